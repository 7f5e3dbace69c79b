// EFF_K_BINARY f32: + - * / min max. Dimensions that continue each other are merged; a run is then a vector or a
// constant on either side. Anything else goes to the generic kernel.
#include "level.h"
#include "vec.h"

struct add { EFF_INLINE vf of(vf a, vf b) { return a + b; } };
struct sub { EFF_INLINE vf of(vf a, vf b) { return a - b; } };
struct mul { EFF_INLINE vf of(vf a, vf b) { return a * b; } };
struct div_ { EFF_INLINE vf of(vf a, vf b) { return a / b; } };
struct min_ { EFF_INLINE vf of(vf a, vf b) { return vsel(a == a, vmin(a, b), a); } };  // NaN wins
struct max_ { EFF_INLINE vf of(vf a, vf b) { return vsel(a == a, vmax(a, b), a); } };

template <class F, bool A, bool B> EFF_INLINE void binary_run(const float *a, const float *b, float *y, int64_t n) {
  vf ca = vset(*a), cb = vset(*b);
  int64_t i = 0;
  for (; i + W <= n; i += W) vstore(y + i, F::of(A ? vload(a + i) : ca, B ? vload(b + i) : cb));
  if (i < n) vstore_tail(y + i, F::of(A ? vload_tail(a + i, n - i) : ca, B ? vload_tail(b + i, n - i) : cb), n - i);
}
template <class F> static void binary_runs(const float *a, const float *b, float *y, int64_t n, bool va, bool vb) {
  if (va && vb) binary_run<F, true, true>(a, b, y, n);
  else if (va) binary_run<F, true, false>(a, b, y, n);
  else if (vb) binary_run<F, false, true>(a, b, y, n);
  else binary_run<F, false, false>(a, b, y, n);
}

void binary(const eff_op *op, int64_t rows) {
  const eff_binary *p = (const eff_binary *)op->params;
  int64_t dims[EFF_RANK], sa[EFF_RANK], sb[EFF_RANK], total = 1;
  int rank = 0;
  for (int d = p->rank - 1; d >= 0; d--) {  // innermost first
    total *= p->dims[d];
    if (p->dims[d] == 1) continue;
    if (rank && p->a[d] == sa[rank - 1] * dims[rank - 1] && p->b[d] == sb[rank - 1] * dims[rank - 1]) {
      dims[rank - 1] *= p->dims[d];
      continue;
    }
    dims[rank] = p->dims[d], sa[rank] = p->a[d], sb[rank] = p->b[d], rank++;
  }
  if (!rank) dims[0] = 1, sa[0] = sb[0] = 0, rank = 1;
  bool known = p->fn <= EFF_FN2_DIV || p->fn == EFF_FN2_MIN || p->fn == EFF_FN2_MAX;
  if (!known || total == 0 || (sa[0] | sb[0]) & ~(int64_t)1)
    return eff_kernel_find_generic(EFF_K_BINARY, EFF_TYPE_F32)(op, rows);
  for (int64_t r = 0; r < rows; r++) {
    const float *a = (const float *)((const char *)op->p[0] + r * op->stride[0]),
                *b = (const float *)((const char *)op->p[1] + r * op->stride[1]);
    float *y = (float *)((char *)op->p[2] + r * op->stride[2]), *end = y + total;
    int64_t at[EFF_RANK] = {0}, n = dims[0];
    while (y < end) {
      switch (p->fn) {
        case EFF_FN2_ADD: binary_runs<add>(a, b, y, n, sa[0], sb[0]); break;
        case EFF_FN2_SUB: binary_runs<sub>(a, b, y, n, sa[0], sb[0]); break;
        case EFF_FN2_MUL: binary_runs<mul>(a, b, y, n, sa[0], sb[0]); break;
        case EFF_FN2_DIV: binary_runs<div_>(a, b, y, n, sa[0], sb[0]); break;
        case EFF_FN2_MIN: binary_runs<min_>(a, b, y, n, sa[0], sb[0]); break;
        default: binary_runs<max_>(a, b, y, n, sa[0], sb[0]);
      }
      y += n;
      for (int d = 1; d < rank; d++) {
        a += sa[d], b += sb[d];
        if (++at[d] < dims[d]) break;
        a -= sa[d] * dims[d], b -= sb[d] * dims[d], at[d] = 0;
      }
    }
  }
}
