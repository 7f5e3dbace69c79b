// y = fn(x) over contiguous floats; also the epilogue of every fused kernel.
#include "level.h"
#include "vec.h"
#include "vmath.h"

template <class F> EFF_INLINE void map(F f, const float *x, float *y, int64_t n, float a, float b) {
  int64_t i = 0;
  for (; i + W <= n; i += W) vstore(y + i, f(vload(x + i), a, b));
  if (i < n) vstore_tail(y + i, f(vload_tail(x + i, n - i), a, b), n - i);
}
template <class F> EFF_INLINE void map_scalar(F f, const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);
}

// the function objects below are structs and not lambdas because the target attribute does not reach lambdas
#define FN(name, expression) \
  struct name { EFF_MEMBER vf operator()(vf x, float a, float b) const { (void)a; (void)b; return expression; } }
#define FN_SCALAR(name, f) struct name { EFF_MEMBER float operator()(float x) const { return f(x); } }
#define EFF_MEMBER __attribute__((always_inline)) inline
#define ZERO vsplat0()
FN(relu, vmax(ZERO, x));
FN(tanh_, vtanh(x));
FN(sigmoid, vsigmoid(x));
FN(elu, vsel(x < ZERO, vset(a) * vexpm1_negative(vmin(ZERO, x)), x));
FN(leaky_relu, vsel(x < ZERO, vset(a) * x, x));
FN(selu, vset(b) * vsel(x < ZERO, vset(a) * vexpm1_negative(vmin(ZERO, x)), x));
FN(celu, vsel(x < ZERO, vset(a) * vexpm1_negative(vmin(ZERO, x / vset(a))), x));
FN(softplus, vsoftplus(x));
FN(softsign, x / (vset(1) + vabs(x)));
FN(swish, vsilu(x, a));
FN(mish, vmish(x));
FN(gelu, vgelu(x));
FN(gelu_tanh, vgelu_tanh(x));
FN(hard_sigmoid, vmax(ZERO, vmin(vset(1), vfma(vset(a), x, vset(b)))));
FN(hard_swish, x * vmax(ZERO, vmin(vset(1), vfma(vset(1.0f / 6), x, vset(0.5f)))));
FN(thresholded_relu, vsel(x > vset(a), x, vsel(x == x, ZERO, x)));
FN(clip, vmin(vset(b), vmax(vset(a), x)));
FN(affine, vset(a) * x + vset(b));
FN(exp_, vexp(x));
FN(log_, vlog(x));
FN(sqrt_, vsqrt(x));
FN(reciprocal, vset(1) / x);
FN(neg, -x);
FN(abs_, vabs(x));
FN(sign, vsel(x > ZERO, vset(1), vsel(x < ZERO, vset(-1), x)));
FN(floor_, vfloor(x));
FN(ceil_, vceil(x));
FN(round_, vround(x));
FN(erf_, verf(x));
FN(square, x * x);
FN(scaled_tanh, vset(a) * vtanh(vset(b) * x));
FN_SCALAR(tan_, __builtin_tanf);
FN_SCALAR(asin_, __builtin_asinf);
FN_SCALAR(acos_, __builtin_acosf);
FN_SCALAR(atan_, __builtin_atanf);
FN_SCALAR(sinh_, __builtin_sinhf);
FN_SCALAR(cosh_, __builtin_coshf);
FN_SCALAR(asinh_, __builtin_asinhf);
FN_SCALAR(acosh_, __builtin_acoshf);
FN_SCALAR(atanh_, __builtin_atanhf);
// lanes too large for the reduction by quadrants, and those that are not finite, go to libm one by one
template <int odd> struct sincos_ {
  EFF_MEMBER vf operator()(vf x, float, float) const {
    vi near = vabs(x) <= vset(8192.0f);
    vf y = vsincos(x, odd);
    if (!vany(~near)) return y;
    float in[W], out[W];
    vstore(in, x);
    vstore(out, y);
    for (int i = 0; i < W; i++)
      if (!(in[i] <= 8192.0f && in[i] >= -8192.0f)) out[i] = odd ? __builtin_cosf(in[i]) : __builtin_sinf(in[i]);
    return vload(out);
  }
};
#undef FN
#undef FN_SCALAR

void activate(const float *x, float *y, int64_t n, int32_t fn, float a, float b) {
  switch (fn) {
    case EFF_FN_RELU: map(relu(), x, y, n, a, b); break;
    case EFF_FN_TANH: map(tanh_(), x, y, n, a, b); break;
    case EFF_FN_SIGMOID: map(sigmoid(), x, y, n, a, b); break;
    case EFF_FN_ELU: map(elu(), x, y, n, a, b); break;
    case EFF_FN_LEAKY_RELU: map(leaky_relu(), x, y, n, a, b); break;
    case EFF_FN_SELU: map(selu(), x, y, n, a, b); break;
    case EFF_FN_CELU: map(celu(), x, y, n, a, b); break;
    case EFF_FN_SOFTPLUS: map(softplus(), x, y, n, a, b); break;
    case EFF_FN_SOFTSIGN: map(softsign(), x, y, n, a, b); break;
    case EFF_FN_SWISH: map(swish(), x, y, n, a, b); break;
    case EFF_FN_MISH: map(mish(), x, y, n, a, b); break;
    case EFF_FN_GELU: map(gelu(), x, y, n, a, b); break;
    case EFF_FN_GELU_TANH: map(gelu_tanh(), x, y, n, a, b); break;
    case EFF_FN_HARD_SIGMOID: map(hard_sigmoid(), x, y, n, a, b); break;
    case EFF_FN_HARD_SWISH: map(hard_swish(), x, y, n, a, b); break;
    case EFF_FN_THRESHOLDED_RELU: map(thresholded_relu(), x, y, n, a, b); break;
    case EFF_FN_CLIP: map(clip(), x, y, n, a, b); break;
    case EFF_FN_AFFINE: map(affine(), x, y, n, a, b); break;
    case EFF_FN_EXP: map(exp_(), x, y, n, a, b); break;
    case EFF_FN_LOG: map(log_(), x, y, n, a, b); break;
    case EFF_FN_SQRT: map(sqrt_(), x, y, n, a, b); break;
    case EFF_FN_RECIPROCAL: map(reciprocal(), x, y, n, a, b); break;
    case EFF_FN_NEG: map(neg(), x, y, n, a, b); break;
    case EFF_FN_ABS: map(abs_(), x, y, n, a, b); break;
    case EFF_FN_SIGN: map(sign(), x, y, n, a, b); break;
    case EFF_FN_FLOOR: map(floor_(), x, y, n, a, b); break;
    case EFF_FN_CEIL: map(ceil_(), x, y, n, a, b); break;
    case EFF_FN_ROUND: map(round_(), x, y, n, a, b); break;
    case EFF_FN_SIN: map(sincos_<0>(), x, y, n, a, b); break;
    case EFF_FN_COS: map(sincos_<1>(), x, y, n, a, b); break;
    case EFF_FN_ERF: map(erf_(), x, y, n, a, b); break;
    case EFF_FN_SQUARE: map(square(), x, y, n, a, b); break;
    case EFF_FN_SCALED_TANH: map(scaled_tanh(), x, y, n, a, b); break;
    case EFF_FN_TAN: map_scalar(tan_(), x, y, n); break;
    case EFF_FN_ASIN: map_scalar(asin_(), x, y, n); break;
    case EFF_FN_ACOS: map_scalar(acos_(), x, y, n); break;
    case EFF_FN_ATAN: map_scalar(atan_(), x, y, n); break;
    case EFF_FN_SINH: map_scalar(sinh_(), x, y, n); break;
    case EFF_FN_COSH: map_scalar(cosh_(), x, y, n); break;
    case EFF_FN_ASINH: map_scalar(asinh_(), x, y, n); break;
    case EFF_FN_ACOSH: map_scalar(acosh_(), x, y, n); break;
    case EFF_FN_ATANH: map_scalar(atanh_(), x, y, n); break;
    default: if (x != y) __builtin_memcpy(y, x, (size_t)n * 4);
  }
}

void unary(const eff_op *op, int64_t rows) {
  const eff_unary *u = (const eff_unary *)op->params;
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    char *y = (char *)op->p[1] + r * op->stride[1];
    if (u->fn == EFF_FN_IS_NAN) {
      for (int64_t i = 0; i < u->count; i++) y[i] = x[i] != x[i];
    } else if (u->fn == EFF_FN_IS_INF) {
      const float inf = __builtin_inff();
      for (int64_t i = 0; i < u->count; i++) y[i] = (u->beta != 0 && x[i] == inf) || (u->alpha != 0 && x[i] == -inf);
    } else {
      activate(x, (float *)y, u->count, u->fn, (float)u->alpha, (float)u->beta);
    }
  }
}
