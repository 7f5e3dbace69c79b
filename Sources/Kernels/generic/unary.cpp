// EFF_K_UNARY, and the activations that every fused kernel uses.
#include "generic.h"

namespace eff {
namespace {

// float and double call their own libm; the templates below are shared
inline float f_exp(float x) { return expf(x); }
inline double f_exp(double x) { return exp(x); }
#define EFF_MATH(name) \
  inline float m_##name(float x) { return name##f(x); } \
  inline double m_##name(double x) { return name(x); }
EFF_MATH(log)
EFF_MATH(log1p) EFF_MATH(expm1) EFF_MATH(tanh) EFF_MATH(sqrt) EFF_MATH(sin) EFF_MATH(cos) EFF_MATH(tan) EFF_MATH(asin)
    EFF_MATH(acos) EFF_MATH(atan) EFF_MATH(sinh) EFF_MATH(cosh) EFF_MATH(asinh) EFF_MATH(acosh) EFF_MATH(atanh)
        EFF_MATH(erf) EFF_MATH(erfc) EFF_MATH(floor) EFF_MATH(ceil) EFF_MATH(rint)
#undef EFF_MATH

            template <class F>
            inline F sigmoid(F x) {
  // exp of a negative number alone: no overflow, and small results keep their digits
  F e = f_exp(x < 0 ? x : -x);
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}
template <class F> inline F softplus(F x) { return (x > 0 ? x : F(0)) + m_log1p(f_exp(x > 0 ? -x : x)); }
// x g, where g reaches 0 as x goes to -inf faster than x grows
template <class F> inline F gated(F x, F g) { return g == 0 ? F(0) : x * g; }
template <class F> inline F clip(F x, F low, F high) {
  return x != x ? x : x < low ? (low < high ? low : high) : x > high ? high : x;
}

template <class F> F real(int32_t fn, F x, F alpha, F beta) {
  switch (fn) {
    case EFF_FN_IDENTITY: return x;
    case EFF_FN_RELU: return x < 0 ? F(0) : x;
    case EFF_FN_TANH: return m_tanh(x);
    case EFF_FN_SIGMOID: return sigmoid(x);
    case EFF_FN_ELU: return x < 0 ? alpha * m_expm1(x) : x;
    case EFF_FN_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case EFF_FN_SELU: return beta * (x <= 0 ? alpha * m_expm1(x) : x);
    case EFF_FN_CELU: return x < 0 ? alpha * m_expm1(x / alpha) : x;
    case EFF_FN_SOFTPLUS: return softplus(x);
    case EFF_FN_SOFTSIGN: return x / (1 + (x < 0 ? -x : x));
    case EFF_FN_SWISH: return gated(x, sigmoid(alpha * x));
    case EFF_FN_MISH: return gated(x, m_tanh(softplus(x)));
    case EFF_FN_GELU: return gated(x, F(0.5) * m_erfc(x * F(-0.70710678118654752440)));
    case EFF_FN_GELU_TANH: return gated(x, sigmoid(F(1.5957691216057307118) * (x + F(0.044715) * x * x * x)));
    case EFF_FN_HARD_SIGMOID: return clip(alpha * x + beta, F(0), F(1));
    case EFF_FN_HARD_SWISH: return x * clip(x / 6 + F(0.5), F(0), F(1));
    case EFF_FN_THRESHOLDED_RELU: return x > alpha ? x : x != x ? x : F(0);
    case EFF_FN_CLIP: return clip(x, alpha, beta);
    case EFF_FN_AFFINE: return alpha * x + beta;
    case EFF_FN_EXP: return f_exp(x);
    case EFF_FN_LOG: return m_log(x);
    case EFF_FN_SQRT: return m_sqrt(x);
    case EFF_FN_RECIPROCAL: return 1 / x;
    case EFF_FN_NEG: return -x;
    case EFF_FN_ABS: return x < 0 ? -x : x + 0;
    case EFF_FN_SIGN: return x > 0 ? F(1) : x < 0 ? F(-1) : x;
    case EFF_FN_FLOOR: return m_floor(x);
    case EFF_FN_CEIL: return m_ceil(x);
    case EFF_FN_ROUND: return m_rint(x);
    case EFF_FN_SIN: return m_sin(x);
    case EFF_FN_COS: return m_cos(x);
    case EFF_FN_TAN: return m_tan(x);
    case EFF_FN_ASIN: return m_asin(x);
    case EFF_FN_ACOS: return m_acos(x);
    case EFF_FN_ATAN: return m_atan(x);
    case EFF_FN_SINH: return m_sinh(x);
    case EFF_FN_COSH: return m_cosh(x);
    case EFF_FN_ASINH: return m_asinh(x);
    case EFF_FN_ACOSH: return m_acosh(x);
    case EFF_FN_ATANH: return m_atanh(x);
    case EFF_FN_ERF: return m_erf(x);
    case EFF_FN_SQUARE: return x * x;
    case EFF_FN_SCALED_TANH: return alpha * m_tanh(beta * x);
    default: return x;
  }
}

// integers: what ONNX defines for them; a bound outside the type saturates
template <class I> I whole(int32_t fn, I x, double alpha, double beta) {
  switch (fn) {
    case EFF_FN_RELU: return x > 0 ? x : 0;
    case EFF_FN_CLIP: {
      I low = saturate<I>(ceil(alpha)), high = saturate<I>(floor(beta));
      return x < low ? (low < high ? low : high) : x > high ? high : x;
    }
    case EFF_FN_NEG: return (I)(0 - (uint64_t)x);
    case EFF_FN_ABS: return x < 0 ? (I)(0 - (uint64_t)x) : x;
    case EFF_FN_SIGN: return x > 0 ? 1 : x != 0 ? (I)-1 : 0;
    case EFF_FN_SQUARE: return (I)((uint64_t)x * (uint64_t)x);
    case EFF_FN_BIT_NOT: return (I)~(uint64_t)x;
    case EFF_FN_NOT: return x == 0;
    case EFF_FN_AFFINE:
    case EFF_FN_RECIPROCAL:
    case EFF_FN_SQRT: return saturate<I>(real<double>(fn, (double)x, alpha, beta));
    default: return x;
  }
}

inline int64_t compute(int32_t fn, int64_t x, double alpha, double beta) { return whole(fn, x, alpha, beta); }
inline uint64_t compute(int32_t fn, uint64_t x, double alpha, double beta) { return whole(fn, x, alpha, beta); }
inline float compute(int32_t fn, float x, double alpha, double beta) {
  return activate(fn, x, (float)alpha, (float)beta);
}
inline double compute(int32_t fn, double x, double alpha, double beta) { return activate(fn, x, alpha, beta); }

template <class T> inline bool is_nan(T x) { return x != x; }
template <class T> inline bool is_inf(T x, double alpha, double beta) {
  return ((x - x != 0) && x == x) && (x < 0 ? alpha != 0 : beta != 0);
}

template <class T> void run_test(const T *x, bool *y, int64_t n, const eff_unary &u) {
  for (int64_t i = 0; i < n; i++)
    y[i] = u.fn == EFF_FN_IS_NAN ? is_nan(load(x + i)) : is_inf((double)load(x + i), u.alpha, u.beta);
}

template <class T> void run_span(const T *x, T *y, int64_t n, const eff_unary &u) {
  for (int64_t i = 0; i < n; i++) store(y + i, compute(u.fn, load(x + i), u.alpha, u.beta));
}
// the cheap functions in loops of their own, which vectorize
template <> void run_span<float>(const float *x, float *y, int64_t n, const eff_unary &u) {
  const float a = (float)u.alpha, b = (float)u.beta;
  switch (u.fn) {
#define EFF_LOOP(code, expression) \
  case code: \
    for (int64_t i = 0; i < n; i++) { float v = x[i]; y[i] = expression; } \
    return
    EFF_LOOP(EFF_FN_IDENTITY, v);
    EFF_LOOP(EFF_FN_RELU, v < 0 ? 0 : v);
    EFF_LOOP(EFF_FN_LEAKY_RELU, v < 0 ? a * v : v);
    EFF_LOOP(EFF_FN_AFFINE, a * v + b);
    EFF_LOOP(EFF_FN_CLIP, clip(v, a, b));
    EFF_LOOP(EFF_FN_NEG, -v);
    EFF_LOOP(EFF_FN_ABS, fabsf(v));
    EFF_LOOP(EFF_FN_SQUARE, v * v);
    EFF_LOOP(EFF_FN_SQRT, sqrtf(v));
    EFF_LOOP(EFF_FN_RECIPROCAL, 1 / v);
#undef EFF_LOOP
    default:
      for (int64_t i = 0; i < n; i++) y[i] = activate(u.fn, x[i], a, b);
  }
}

template <class T> struct unary {
  static void run(const eff_op *op, int64_t rows) {
    const eff_unary &u = *(const eff_unary *)op->params;
    const bool test = u.fn == EFF_FN_IS_NAN || u.fn == EFF_FN_IS_INF;
    int64_t n = u.count, size_y = test ? 1 : sizeof(T);
    if (op->stride[0] == n * (int64_t)sizeof(T) && op->stride[1] == n * size_y) n *= rows, rows = 1;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      if (test) run_test(at.at<const T>(0), at.at<bool>(1), n, u);
      else run_span(at.at<const T>(0), at.at<T>(1), n, u);
    }
  }
};

}  // namespace

float activate(int32_t fn, float x, float alpha, float beta) { return real(fn, x, alpha, beta); }
double activate(int32_t fn, double x, double alpha, double beta) { return real(fn, x, alpha, beta); }

eff_kernel find_unary(int32_t type) { return pick<unary>(type); }

}  // namespace eff
