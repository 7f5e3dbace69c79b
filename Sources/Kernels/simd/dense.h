// y[m, n] = act(x[m, k] W[k, n] + b[n]).
//
// The outputs are cut into panels. A lane panel holds NV vectors of outputs, weights k-major: each x is broadcast once
// and meets NV vectors. What is left over (fewer outputs than a vector) goes to dot panels, whose lanes run along k, so
// that narrow heads stream no padding. Fewer than 8 accumulators would wait for each other, so narrow panels split k
// among several. An output's order of accumulation depends on its panel only: a row gives the same bits whatever m is.
//
// panel = [bias][weights], each panel on a 64-byte boundary. f32 and f16 are here; bf16 and i8 have files of their own.
#include "level.h"
#include "vec.h"
#include "weights.h"
#include "tile.h"

// BLOCKS: many rows take a block of inputs at a time (many_rows), so that more of them leave the second cache room for
// weights. Not with SSE2, which is to be small, nor with AVX-512, where it was not measured. `MANY` rows and more fall
// into tiles of 5 and 6.
enum { BLOCKS = EFF_LEVEL == 2 || EFF_LEVEL == 4, CHUNK = BLOCKS ? 192 : 54, MANY = 24 };
enum { REGISTERS = EFF_LEVEL >= 3 ? 24 : 12 };

// adds KS groups of n accumulators into the first, in a fixed tree
template <int KS> EFF_INLINE void join(vf *a, int n) {
  if (KS > 4) EFF_UNROLL for (int i = 0; i < 4 * n; i++) a[i] += a[i + 4 * n];
  if (KS > 2) EFF_UNROLL for (int i = 0; i < 2 * n; i++) a[i] += a[i + 2 * n];
  if (KS > 1) EFF_UNROLL for (int i = 0; i < n; i++) a[i] += a[i + n];
}

template <class T, int NV, int KS, int R, int NB> EFF_INLINE void
lanes(const float *x, int64_t ldx, int64_t k, const float *bias, const typename T::element *w, float *y, int64_t ldy) {
  vf acc[KS][R][NB];
  EFF_UNROLL for (int s = 0; s < KS; s++)
    EFF_UNROLL for (int r = 0; r < R; r++)
      EFF_UNROLL for (int v = 0; v < NB; v++) acc[s][r][v] = s ? vsplat0() : vload(bias + v * W);
  int64_t i = 0;
#if EFF_LEVEL == 4
  if constexpr (KS <= 4)  // as in add_products
    EFF_ROLL for (; i + 4 <= k; i += 4, w += 4 * NV * W) {
      vf a[R];
      EFF_UNROLL for (int r = 0; r < R; r++) a[r] = vload(x + r * ldx + i);
      EFF_UNROLL for (int s = 0; s < 4; s++)
        EFF_UNROLL for (int v = 0; v < NB; v++) {
          vf b = T::load(w + (s * NV + v) * W);
          EFF_UNROLL for (int r = 0; r < R; r++) acc[s % KS][r][v] = vfma(vlane(a[r], s), b, acc[s % KS][r][v]);
        }
    }
#endif
  for (; i + KS <= k; i += KS, w += KS * NV * W) {
    EFF_UNROLL for (int s = 0; s < KS; s++) {
      vf b[NB];
      EFF_UNROLL for (int v = 0; v < NB; v++) b[v] = T::load(w + (s * NV + v) * W);
      EFF_UNROLL for (int r = 0; r < R; r++) {
        vf a = vset(x[r * ldx + i + s]);
        EFF_UNROLL for (int v = 0; v < NB; v++) acc[s][r][v] = vfma(a, b[v], acc[s][r][v]);
      }
    }
  }
  EFF_UNROLL for (int s = 0; s < KS - 1; s++) {
    if (i + s >= k) break;
    EFF_UNROLL for (int r = 0; r < R; r++) {
      vf a = vset(x[r * ldx + i + s]);
      EFF_UNROLL for (int v = 0; v < NB; v++) acc[s][r][v] = vfma(a, T::load(w + (s * NV + v) * W), acc[s][r][v]);
    }
  }
  join<KS>(&acc[0][0][0], R * NB);
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) vstore(y + r * ldy + v * W, acc[0][r][v]);
}

// R rows against one lane panel, NB vectors at a time
template <class T, int NV, int KS, int R> static __attribute__((noinline)) void
lane_rows(const float *x, int64_t ldx, int64_t k, const char *panel, float *y, int64_t ldy) {
  constexpr int room = REGISTERS / (R * KS),
                fit = room >= 8 || R == 1 ? 8
                      : room >= 4         ? 4
                      : room >= 2         ? 2
                                          : 1,
                NB = fit < NV ? fit : NV;
  const float *bias = (const float *)panel;
  const typename T::element *w = (const typename T::element *)(panel + header_bytes<T>(NV * W));
  for (int v = 0; v < NV; v += NB) lanes<T, NV, KS, R, NB>(x, ldx, k, bias + v * W, w + v * W, y + v * W, ldy);
}

// R rows against a block of `depth` inputs and NB vectors of outputs, which lie side by side; from `from` on, which is
// the bias (ldfrom 0) or what the block before has left. `ahead`: weights of the next block, `step` bytes per input.
template <int R, int NB> static __attribute__((noinline)) void
tile(const float *x, int64_t ldx, int64_t depth, const float *block, const float *from, int64_t ldfrom, float *y,
     int64_t ldy, const char *ahead, int64_t step) {
  vf acc[R][NB];
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) acc[r][v] = vload(from + r * ldfrom + v * W);
  add_products(acc, near_steps_ahead(x, ldx, ahead, step), depth, block, NB * W);
  EFF_UNROLL for (int r = 0; r < R; r++) EFF_UNROLL for (int v = 0; v < NB; v++) vstore(y + r * ldy + v * W, acc[r][v]);
}

// Many rows against a lane panel of 8 vectors: what a tile needs of the panel is copied to where it stays in the first
// cache until all rows have used it. The same sums in the same order as those of few rows.
template <class T> static void
many_rows(const float *x, int64_t ldx, int64_t m, int64_t k, const char *panel, float *y, int64_t ldy) {
  enum { NB = 2, DEPTH = 4096 / (NB * W), STEP = 8 * W * (int)sizeof(typename T::element) };
  float block[DEPTH * NB * W] __attribute__((aligned(64)));
  const float *bias = (const float *)panel;
  const typename T::element *w = (const typename T::element *)(panel + header_bytes<T>(8 * W));
  const int64_t tiles = (m + 5) / 6;
  for (int64_t i = 0; i < k || i == 0; i += DEPTH) {
    const int64_t depth = k - i < DEPTH ? k - i : (int64_t)DEPTH;
    for (int v = 0; v < 8; v += NB) {
      for (int64_t q = 0; q < depth; q++)
        EFF_UNROLL for (int u = 0; u < NB; u++)
          vstore(block + (q * NB + u) * W, T::load(w + ((i + q) * 8 + v + u) * W));
      // where the next block begins, and how much of it is fetched while a tile is computed
      const int64_t part = (depth + tiles - 1) / tiles;
      const typename T::element *next = w + (v + NB < 8 ? i * 8 + v + NB : (i + depth) * 8) * W;
      for (int64_t t = 0, r = 0; t < tiles; t++) {
        const int64_t count = (m - r + tiles - t - 1) / (tiles - t);
        const char *ahead = (const char *)next + t * part * STEP;
        float *to = y + r * ldy + v * W;
        const float *from = i ? to : bias + v * W, *at = x + r * ldx + i;
        const int64_t ldfrom = i ? ldy : 0;
        if (count == 6) tile<6, NB>(at, ldx, depth, block, from, ldfrom, to, ldy, ahead, STEP);
        else tile<5, NB>(at, ldx, depth, block, from, ldfrom, to, ldy, ahead, STEP);
        r += count;
      }
    }
  }
}

template <class T, int NV>
static void lane_panel(const float *x, int64_t ldx, int64_t m, int64_t k, const char *panel, float *y, int64_t ldy) {
  constexpr int KS = 8 / NV;
  constexpr bool narrow = sizeof(typename T::element) < 4;  // fewer variants where weights are widened anyway
  if constexpr (BLOCKS && NV == 8)
    if (m >= MANY) return many_rows<T>(x, ldx, m, k, panel, y, ldy);
  int64_t i = 0;
  if constexpr (KS * 6 <= REGISTERS && !narrow)
    for (; i + 6 <= m; i += 6) lane_rows<T, NV, KS, 6>(x + i * ldx, ldx, k, panel, y + i * ldy, ldy);
  if constexpr (KS * 4 <= REGISTERS)
    for (; i + 4 <= m; i += 4) lane_rows<T, NV, KS, 4>(x + i * ldx, ldx, k, panel, y + i * ldy, ldy);
  if constexpr (KS * 2 <= REGISTERS && !narrow)
    for (; i + 2 <= m; i += 2) lane_rows<T, NV, KS, 2>(x + i * ldx, ldx, k, panel, y + i * ldy, ldy);
  for (; i < m; i++) lane_rows<T, NV, KS, 1>(x + i * ldx, ldx, k, panel, y + i * ldy, ldy);
}

template <class T, int N> static __attribute__((noinline)) void
dot_panel(const float *x, int64_t ldx, int64_t m, int64_t k, const char *panel, float *y, int64_t ldy) {
  constexpr int KS = N == 8 ? 1 : N == 4 ? 2 : 4;
  const float *bias = (const float *)panel;
  for (int64_t row = 0; row < m; row++, x += ldx, y += ldy) {
    const typename T::element *w = (const typename T::element *)(panel + header_bytes<T>(W));
    vf acc[KS][N < DOT ? DOT : N];
    EFF_UNROLL for (int s = 0; s < KS; s++)
      EFF_UNROLL for (int o = 0; o < DOT; o++) acc[s][o] = vsplat0();
    int64_t i = 0;
    for (; i + KS * W <= k; i += KS * W, w += KS * N * W)
      EFF_UNROLL for (int s = 0; s < KS; s++) {
        vf a = vload(x + i + s * W);
        EFF_UNROLL for (int o = 0; o < N; o++) acc[s][o] = vfma(a, T::load(w + (s * N + o) * W), acc[s][o]);
      }
    EFF_UNROLL for (int s = 0; s < KS; s++) {
      if (i >= k) break;
      vf a = i + W <= k ? vload(x + i) : vload_tail(x + i, k - i);
      EFF_UNROLL for (int o = 0; o < N; o++) acc[s][o] = vfma(a, T::load(w + o * W), acc[s][o]);
      i += W, w += N * W;
    }
    join<KS>(acc[0], N < DOT ? (int)DOT : N);
    vf t = vsums(acc[0]) + vload(bias);
    if (N == W) vstore(y, t); else vstore_tail(y, t, N);
  }
}

template <class T> struct float_panels {
  typedef T format;
  const float *x;
  int64_t ldx, m, k;
  float *y;
  int64_t ldy;
  template <int NV> EFF_INLINE_MEMBER void lane(const char *panel, int64_t n) const {
    lane_panel<T, NV>(x, ldx, m, k, panel, y + n, ldy);
  }
  template <int N> EFF_INLINE_MEMBER void dot(const char *panel, int64_t n) const {
    dot_panel<T, N>(x, ldx, m, k, panel, y + n, ldy);
  }
};

#include "dense_bf16.h"
#include "dense_blocks.h"
#include "dense_i8.h"

void dense_run(const eff_dense *d, const float *x, int64_t ldx, const char *packed, float *y, int64_t ldy, int64_t m) {
  // every chunk of rows reads all weights: as many rows as leave a panel room in L2, in chunks of about equal size,
  // whole tiles of 6
  int64_t chunk = m;
  if (m > CHUNK) {  // few rows are one chunk, without divisions that take as long as a small layer
    int64_t most = 50000 / (d->k + 1) > CHUNK ? 50000 / (d->k + 1) : (int64_t)CHUNK, chunks = (m + most - 1) / most;
    chunk = ((m + chunks - 1) / chunks + 5) / 6 * 6;
  }
  for (int64_t i = 0; i < m; i += chunk, x += chunk * ldx, y += chunk * ldy) {
    int64_t rows = m - i < chunk ? m - i : chunk;
    if (in_blocks(d)) {
      blocks_run(d, x, ldx, packed, y, ldy, rows);
      continue;
    }
    switch (d->weights) {
      case EFF_TYPE_F16: each_panel(float_panels<weights_f16>{x, ldx, rows, d->k, y, ldy}, d->n, d->k, packed); break;
      case EFF_TYPE_BF16: each_panel(bf16_panels{x, ldx, rows, d->k, y, ldy}, d->n, d->k, packed); break;
      case EFF_TYPE_I8: i8_run(d, x, ldx, packed, y, ldy, rows); break;
      default: each_panel(float_panels<weights_f32>{x, ldx, rows, d->k, y, ldy}, d->n, d->k, packed);
    }
    if (d->act == EFF_FN_IDENTITY) continue;
    if (ldy == d->n) activate(y, y, rows * ldy, d->act, (float)d->alpha, (float)d->beta);
    else
      for (int64_t r = 0; r < rows; r++)
        activate(y + r * ldy, y + r * ldy, d->n, d->act, (float)d->alpha, (float)d->beta);
  }
}

void dense(const eff_op *op, int64_t rows) {
  const eff_dense *d = (const eff_dense *)op->params;
  int64_t sx = op->stride[0], sw = op->stride[1], sy = op->stride[2];
  int64_t m = d->m, ldx = d->ldx, ldy = d->ldy;
  // rows of the session are more rows of the product where they lie at one distance
  if (sw == 0 && m == 1 && sx % 4 == 0 && sy % 4 == 0) m = rows, ldx = sx / 4, ldy = sy / 4, rows = 1;
  else if (sw == 0 && sx == m * ldx * 4 && sy == m * ldy * 4) m *= rows, rows = 1;
  for (int64_t r = 0; r < rows; r++)
    dense_run(d, (const float *)((const char *)op->p[0] + r * sx), ldx, (const char *)op->p[1] + r * sw,
              (float *)((char *)op->p[2] + r * sy), ldy, m);
}
#include "dense_pack.h"
