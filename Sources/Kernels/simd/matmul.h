// EFF_K_MATMUL and EFF_K_ATTENTION f32: products of two operands that are both known only at run time.
//
// y is cut into columns of 2 vectors and k into blocks; a block of b is copied to the stack (k-major, so that a
// transposed b costs the same) unless few rows would use the copy. Every output adds its products in order of k, so its
// bits depend neither on m nor on whether b was copied.
#include "level.h"
#include "vec.h"
#include "vmath.h"
#include "weights.h"
#include "tile.h"

enum { COLUMNS = 2 * W, BLOCK = EFF_LEVEL == 3 ? 128 : 256, ROWS = 6 };

EFF_INLINE vf some_load(const float *p, int64_t n) { return n >= W ? vload(p) : n > 0 ? vload_tail(p, n) : vsplat0(); }
EFF_INLINE void some_store(float *p, vf v, int64_t n) {
  if (n >= W) vstore(p, v);
  else if (n > 0) vstore_tail(p, v, n);
}

template <int R> static __attribute__((noinline)) void gemm_tile(const float *a, int64_t a_m, int64_t a_k,
                                                                 const float *b, int64_t ldb, int64_t k, float *y,
                                                                 int64_t ldy, int64_t columns, bool more) {
  vf acc[R][2];
  EFF_UNROLL for (int r = 0; r < R; r++) EFF_UNROLL for (int v = 0; v < 2; v++) acc[r][v] =
      more ? some_load(y + r * ldy + v * W, columns - v * W) : vsplat0();
  if (EFF_LEVEL == 4 && a_k == 1) add_products(acc, near_steps(a, a_m), k, b, ldb);
  else add_products(acc, strided_steps<(R > 3)>{a, a + 3 * a_m, a_m, a_k}, k, b, ldb);
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < 2; v++) some_store(y + r * ldy + v * W, acc[r][v], columns - v * W);
}

static void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_m, int64_t a_k, const float *b, int64_t b_k,
                 int64_t b_n, float *y, int64_t ldy) {
  float copy[BLOCK * COLUMNS] __attribute__((aligned(64)));
  // blocks of about equal depth: a short one would spend more on the sums than on the products
  const int64_t blocks = k > BLOCK ? (k + BLOCK - 1) / BLOCK : 1;
  const int64_t block = blocks > 1 ? (k + blocks - 1) / blocks : (int64_t)BLOCK;
  for (int64_t j = 0; j < n; j += COLUMNS) {
    int64_t columns = n - j < COLUMNS ? n - j : (int64_t)COLUMNS;
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += block) {
      int64_t depth = k - k0 < block ? k - k0 : block, ldb = b_k;
      const float *from = b + k0 * b_k + j * b_n;
      if (b_n != 1 || columns < COLUMNS || m > 8) {
        ldb = COLUMNS;
        if (b_n == 1 && columns == COLUMNS) {
          for (int64_t i = 0; i < depth; i++)
            EFF_UNROLL for (int v = 0; v < 2; v++) vstore(copy + i * COLUMNS + v * W, vload(from + i * b_k + v * W));
        } else {
          if (columns < COLUMNS) __builtin_memset(copy, 0, (size_t)(depth * COLUMNS) * 4);
          int64_t c = 0;
          if (b_k == 1)  // a transposed operand: 4 columns by 4 steps of k at a time
            for (; c + 4 <= columns; c += 4) {
              int64_t i = 0;
              for (; i + 4 <= depth; i += 4) transpose4(from + c * b_n + i, b_n, copy + i * COLUMNS + c, COLUMNS);
              for (; i < depth; i++)
                for (int64_t q = c; q < c + 4; q++) copy[i * COLUMNS + q] = from[i + q * b_n];
            }
          for (int64_t i = 0; i < depth; i++)
            for (int64_t q = c; q < columns; q++) copy[i * COLUMNS + q] = from[i * b_k + q * b_n];
        }
        from = copy;
      }
      int64_t tiles = (m + ROWS - 1) / ROWS;
      for (int64_t t = 0, r = 0; t < tiles; t++) {
        int count = (int)((m - r + tiles - t - 1) / (tiles - t));
        const float *x = a + r * a_m + k0 * a_k;
        float *to = y + r * ldy + j;
        switch (count) {
          case 1: gemm_tile<1>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0); break;
          case 2: gemm_tile<2>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0); break;
          case 3: gemm_tile<3>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0); break;
          case 4: gemm_tile<4>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0); break;
          case 5: gemm_tile<5>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0); break;
          default: gemm_tile<6>(x, a_m, a_k, from, ldb, depth, to, ldy, columns, k0 > 0);
        }
        r += count;
      }
    }
  }
}

void matmul(const eff_op *op, int64_t rows) {
  const eff_matmul *p = (const eff_matmul *)op->params;
  float alpha = (float)p->alpha, beta = (float)p->beta;
  for (int64_t r = 0; r < rows; r++) {
    const float *a = (const float *)((const char *)op->p[0] + r * op->stride[0]),
                *b = (const float *)((const char *)op->p[1] + r * op->stride[1]);
    const float *bias = op->p[2] ? (const float *)((const char *)op->p[2] + r * op->stride[2]) : nullptr;
    float *y = (float *)((char *)op->p[3] + r * op->stride[3]);
    int64_t at[EFF_RANK] = {0}, count = 1;
    for (int d = 0; d < p->batch_rank; d++) count *= p->batch[d];
    for (int64_t i = 0; i < count; i++, y += p->m * p->n) {
      gemm(p->m, p->n, p->k, a, p->a_m, p->a_k, b, p->b_k, p->b_n, y, p->n);
      if (alpha != 1 || bias)
        for (int64_t q = 0; q < p->m; q++)
          for (int64_t j = 0; j < p->n; j++) {
            float *e = y + q * p->n + j, t = bias ? beta * bias[q * p->bias_m + j * p->bias_n] : 0;
            *e = alpha * *e + t;
          }
      if (p->act) activate(y, y, p->m * p->n, p->act, (float)p->act_alpha, (float)p->act_beta);
      for (int d = p->batch_rank - 1; d >= 0; d--) {
        a += p->a_batch[d], b += p->b_batch[d];
        if (++at[d] < p->batch[d]) break;
        a -= p->a_batch[d] * p->batch[d], b -= p->b_batch[d] * p->batch[d], at[d] = 0;
      }
    }
  }
}

// the scores of many queries at a time, in the scratch: what a product copies of k and v is used by all of them
static void attention_head(const eff_attention *p, const float *q, const float *k, const float *v, const float *mask,
                           float *y, float *scores) {
  const int64_t lk = p->lk, most = eff_attention_queries(p), parts = (p->lq + most - 1) / most;
  for (int64_t first = 0, part = 0; part < parts; part++) {
    const int64_t m = (p->lq - first + parts - part - 1) / (parts - part);
    gemm(m, lk, p->dk, q + first * p->q[2], p->q[2], p->q[3], k, p->k[3], p->k[2], scores, lk);
    float inverse[EFF_ATTENTION_QUERIES];
    const bool plain = !mask && p->softcap <= 0;  // then the scale is a part of the exponential
    vf scale = vset((float)p->scale), cap = vset((float)p->softcap);
    for (int64_t i = 0; i < m; i++) {
      float *s = scores + i * lk;
      int64_t visible = p->causal && first + i + p->past + 1 < lk ? first + i + p->past + 1 : lk;
      for (int64_t j = 0; !plain && j < visible; j += W) {
        int64_t n = visible - j;
        vf t = some_load(s + j, n) * scale;
        if (p->softcap > 0) t = cap * vtanh(t / cap);
        some_store(s + j, t, n);
      }
      if (mask) {
        const float *at = mask + (first + i) * p->mask[2];
        if (p->mask[3] == 1)
          for (int64_t j = 0; j < visible; j += W)
            some_store(s + j, some_load(s + j, visible - j) + some_load(at + j, visible - j), visible - j);
        else for (int64_t j = 0; j < visible; j++) s[j] += at[j * p->mask[3]];
      }
      float top = -__builtin_inff();
      for (int64_t j = 0; mask && j < visible; j++) top = s[j] > top || s[j] != s[j] ? s[j] : top;
      // nothing to attend to
      if (visible <= 0 || (mask && top == -__builtin_inff())) __builtin_memset(s, 0, (size_t)lk * 4), inverse[i] = 0;
      else {
        inverse[i] = 1 / exponentials(s, s, visible, plain ? (float)p->scale : 1);
        if (visible < lk) __builtin_memset(s + visible, 0, (size_t)(lk - visible) * 4);
      }
    }
    float *to = y + first * p->y[2];
    if (p->y[3] == 1) {
      gemm(m, p->dv, lk, scores, lk, 1, v, p->v[2], p->v[3], to, p->y[2]);
      for (int64_t i = 0; i < m; i++)
        for (int64_t e = 0; e < p->dv; e += W) {
          float *at = to + i * p->y[2] + e;
          some_store(at, some_load(at, p->dv - e) * vset(inverse[i]), p->dv - e);
        }
    } else {
      for (int64_t i = 0; i < m; i++)
        for (int64_t e = 0; e < p->dv; e++) {
          float t = 0;
          for (int64_t j = 0; j < lk; j++) t += scores[i * lk + j] * v[j * p->v[2] + e * p->v[3]];
          to[i * p->y[2] + e * p->y[3]] = t * inverse[i];
        }
    }
    first += m;
  }
}

void attention(const eff_op *op, int64_t rows) {
  const eff_attention *p = (const eff_attention *)op->params;
  if (p->lk <= 0 || p->lk > EFF_ATTENTION_SCORES || p->kv_heads <= 0 || p->heads < p->kv_heads)
    return eff_kernel_find_generic(EFF_K_ATTENTION, EFF_TYPE_F32)(op, rows);
  for (int64_t r = 0; r < rows; r++) {
    const float *in[4];
    for (int i = 0; i < 4; i++)
      in[i] = op->p[i] ? (const float *)((const char *)op->p[i] + r * op->stride[i]) : nullptr;
    float *y = (float *)((char *)op->p[4] + r * op->stride[4]),
          *scores = (float *)((char *)op->p[5] + r * op->stride[5]);
    for (int64_t b = 0; b < p->batch; b++)
      for (int64_t h = 0; h < p->heads; h++) {
        int64_t g = h / (p->heads / p->kv_heads);
        attention_head(p, in[0] + b * p->q[0] + h * p->q[1], in[1] + b * p->k[0] + g * p->k[1],
                       in[2] + b * p->v[0] + g * p->v[1], in[3] ? in[3] + b * p->mask[0] + h * p->mask[1] : nullptr,
                       y + b * p->y[0] + h * p->y[1], scores);
      }
  }
}
