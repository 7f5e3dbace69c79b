// EFF_K_NORM, EFF_K_SOFTMAX and EFF_K_REDUCE along contiguous f32; other shapes go to the generic kernels.
#include "level.h"
#include "vec.h"
#include "vmath.h"

static const int32_t lane_index[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
// the first n lanes of v, `rest` in the others
EFF_INLINE vf vfirst(vf v, int64_t n, float rest) {
  vi i;
  __builtin_memcpy(&i, lane_index, sizeof i);
  return vsel(i < vseti((int32_t)n), v, vset(rest));
}
EFF_INLINE vf load_rest(const float *p, int64_t n, float rest) {
  return n >= W ? vload(p) : vfirst(vload_tail(p, n), n, rest);
}
EFF_INLINE void store_some(float *p, vf v, int64_t n) { if (n >= W) vstore(p, v); else vstore_tail(p, v, n); }
EFF_INLINE vf vmax_nan(vf a, vf b) { return vsel(a == a, vmax(a, b), a); }

struct fold_sum { EFF_INLINE float zero() { return 0; } EFF_INLINE vf of(vf a, vf x, vf) { return a + x; } };
struct fold_square {
  EFF_INLINE float zero() { return 0; }
  EFF_INLINE vf of(vf a, vf x, vf m) { return vfma(x - m, x - m, a); }
};
struct fold_max {
  EFF_INLINE float zero() { return -__builtin_inff(); }
  EFF_INLINE vf of(vf a, vf x, vf) { return vmax_nan(a, x); }
};
struct fold_negated {
  EFF_INLINE float zero() { return -__builtin_inff(); }
  EFF_INLINE vf of(vf a, vf x, vf) { return vmax_nan(a, -x); }
};

template <class F> EFF_INLINE vf fold(const float *x, int64_t n, float mean) {
  vf a[4], m = vset(mean), rest = vset(F::zero());
  for (int j = 0; j < 4; j++) a[j] = rest;
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) a[j] = F::of(a[j], vload(x + i + j * W), m);
  for (int j = 0; i < n; i += W, j++) {
    vf t = F::of(a[j], n - i >= W ? vload(x + i) : vload_tail(x + i, n - i), m);
    if (n - i >= W) { a[j] = t; continue; }
    vi lane;
    __builtin_memcpy(&lane, lane_index, sizeof lane);
    a[j] = vsel(lane < vseti((int32_t)(n - i)), t, a[j]);
  }
  a[0] = F::of(a[0], a[1], vsplat0()), a[2] = F::of(a[2], a[3], vsplat0());
  return F::of(a[0], a[2], vsplat0());
}
EFF_INLINE float sum_of(const float *x, int64_t n) { return vsum(fold<fold_sum>(x, n, 0)); }
// the lanes are joined by addition, not by the fold's own step
static float squares_of(const float *x, int64_t n, float mean) {
  vf a[4], m = vset(mean);
  for (int j = 0; j < 4; j++) a[j] = vsplat0();
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) a[j] = fold_square::of(a[j], vload(x + i + j * W), m);
  for (int j = 0; i < n; i += W, j++)
    a[j] = fold_square::of(a[j], n - i >= W ? vload(x + i) : vfirst(vload_tail(x + i, n - i), n - i, mean), m);
  return vsum((a[0] + a[1]) + (a[2] + a[3]));
}
static float max_of(const float *x, int64_t n) { return vtop(fold<fold_max>(x, n, 0)); }
static float max_negated(const float *x, int64_t n) { return vtop(fold<fold_negated>(x, n, 0)); }

void norm(const eff_op *op, int64_t rows) {
  const eff_norm *p = (const eff_norm *)op->params;
  bool channel = p->affine == EFF_NORM_CHANNEL && (op->p[1] || op->p[2]);
  if (p->n <= 0 || (channel && p->inner < 4)) return eff_kernel_find_generic(EFF_K_NORM, EFF_TYPE_F32)(op, rows);
  for (int64_t r = 0; r < rows; r++) {
    char *q[6];
    for (int i = 0; i < 6; i++) q[i] = op->p[i] ? (char *)op->p[i] + r * op->stride[i] : nullptr;
    const float *x = (const float *)q[0], *scale = (const float *)q[1], *bias = (const float *)q[2];
    float *y = (float *)q[3];
    for (int64_t g = 0; g < p->outer; g++, x += p->n, y += p->n) {
      float mean = p->rms ? 0 : sum_of(x, p->n) / (float)p->n;
      float inverse = 1 / __builtin_sqrtf(squares_of(x, p->n, mean) / (float)p->n + (float)p->epsilon);
      if (q[4]) ((float *)q[4])[g] = mean;
      if (q[5]) ((float *)q[5])[g] = inverse;
      vf m = vset(mean), v = vset(inverse);
      for (int64_t i = 0; i < p->n;) {
        int64_t run = p->n - i, c = 0;
        if (channel) {
          int64_t at = g * p->n + i, left = p->inner - at % p->inner;
          c = at / p->inner % p->channels, run = left < run ? left : run;
        }
        vf s = vset(channel && scale ? scale[c] : 1), b = vset(channel && bias ? bias[c] : 0);
        for (int64_t j = i; j < i + run; j += W) {
          int64_t n = i + run - j;
          vf t = (load_rest(x + j, n, 0) - m) * v;
          if (channel) t = vfma(t, s, b);
          else {
            if (scale) t *= load_rest(scale + j, n, 0);
            if (bias) t += load_rest(bias + j, n, 0);
          }
          store_some(y + j, t, n);
        }
        i += run;
      }
      if (p->act) activate(y, y, p->n, p->act, (float)p->alpha, (float)p->beta);
    }
  }
}

// y = exp(scale (x - its largest)); their sum
float exponentials(const float *x, float *y, int64_t n, float scale) {
  // the largest product is that of the largest or, where the scale is negative, of the smallest
  vf factor = vset(scale), top = vset(scale < 0 ? -max_negated(x, n) : max_of(x, n)), sum = vsplat0();
  for (int64_t i = 0; i < n; i += W) {
    vf e = vexp((load_rest(x + i, n - i, 0) - top) * factor);
    if (n - i < W) e = vfirst(e, n - i, 0);
    sum += e;
    store_some(y + i, e, n - i);
  }
  return vsum(sum);
}
static void softmax_row(const float *x, float *y, int64_t n, bool log) {
  if (!log) {
    vf scale = vset(1 / exponentials(x, y, n, 1));
    for (int64_t i = 0; i < n; i += W) store_some(y + i, load_rest(y + i, n - i, 0) * scale, n - i);
    return;
  }
  vf top = vset(max_of(x, n)), sum = vsplat0();
  for (int64_t i = 0; i < n; i += W) {
    vf e = vexp(load_rest(x + i, n - i, 0) - top);
    sum += n - i < W ? vfirst(e, n - i, 0) : e;
  }
  vf total = vlog(vset(vsum(sum)));
  for (int64_t i = 0; i < n; i += W) store_some(y + i, load_rest(x + i, n - i, 0) - top - total, n - i);
}

void softmax(const eff_op *op, int64_t rows) {
  const eff_softmax *p = (const eff_softmax *)op->params;
  if (p->inner != 1 || p->fn == EFF_SOFTMAX_HARD || p->n <= 0)
    return eff_kernel_find_generic(EFF_K_SOFTMAX, EFF_TYPE_F32)(op, rows);
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    float *y = (float *)((char *)op->p[1] + r * op->stride[1]);
    for (int64_t g = 0; g < p->outer; g++, x += p->n, y += p->n) softmax_row(x, y, p->n, p->fn == EFF_SOFTMAX_LOG);
  }
}
void reduce(const eff_op *op, int64_t rows) {
  const eff_reduce *p = (const eff_reduce *)op->params;
  int64_t n = 1;
  bool dense = true;
  for (int d = p->reduced_rank - 1; d >= 0; d--) {
    if (p->reduced[d] != 1 && p->reduced_stride[d] != n) dense = false;
    n *= p->reduced[d];
  }
  bool known = p->fn == EFF_REDUCE_SUM || p->fn == EFF_REDUCE_MEAN || p->fn == EFF_REDUCE_MAX
               || p->fn == EFF_REDUCE_SUM_SQUARE || p->fn == EFF_REDUCE_L2;
  if (!dense || !known || n < 4) return eff_kernel_find_generic(EFF_K_REDUCE, EFF_TYPE_F32)(op, rows);
  int64_t count = 1;
  for (int d = 0; d < p->kept_rank; d++) count *= p->kept[d];
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    float *y = (float *)((char *)op->p[1] + r * op->stride[1]);
    int64_t at[EFF_RANK] = {0};
    for (int64_t i = 0; i < count; i++) {
      float v = p->fn == EFF_REDUCE_MAX ? max_of(x, n) : p->fn >= EFF_REDUCE_L2 ? squares_of(x, n, 0) : sum_of(x, n);
      y[i] = p->fn == EFF_REDUCE_MEAN ? v / (float)n : p->fn == EFF_REDUCE_L2 ? __builtin_sqrtf(v) : v;
      for (int d = p->kept_rank - 1; d >= 0; d--) {
        x += p->kept_stride[d];
        if (++at[d] < p->kept[d]) break;
        x -= p->kept_stride[d] * p->kept[d], at[d] = 0;
      }
    }
  }
}
