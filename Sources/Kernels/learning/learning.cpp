#include "learning.h"

#include "kernels.h"

// Scalar activations: y before, h after. At exactly 0 the slope of relu and its kin is the one of the negative side.
template <class T> static inline T exponential(T x);
template <> inline float exponential(float x) { return expf(x); }
template <> inline double exponential(double x) { return exp(x); }
static inline float tangent(float x) { return tanhf(x); }
static inline double tangent(double x) { return tanh(x); }

template <class T> static inline T activation(int32_t act, T alpha, T y) {
  switch (act) {
    case EFF_FN_RELU: return y > 0 ? y : 0;
    case EFF_FN_LEAKY_RELU: return y > 0 ? y : alpha * y;
    case EFF_FN_TANH: return tangent(y);
    case EFF_FN_ELU: return y > 0 ? y : alpha * (exponential(y) - 1);
    case EFF_FN_SWISH: return y / (1 + exponential(-y));
    default: return y;
  }
}

template <class T> static inline T derivative(int32_t act, T alpha, T y, T h) {
  switch (act) {
    case EFF_FN_RELU: return y > 0 ? 1 : 0;
    case EFF_FN_LEAKY_RELU: return y > 0 ? 1 : alpha;
    case EFF_FN_TANH: return 1 - h * h;
    case EFF_FN_ELU: return y > 0 ? 1 : h + alpha;
    case EFF_FN_SWISH: {
      T s = 1 / (1 + exponential(-y));
      return s + h * (1 - s);
    }
    default: return 1;
  }
}

// The op of a dense layer, with its operands by name.
template <class T> struct layer {
  T *x, *w, *b, *y, *h, *e, *eb, *v, *vb, *d, *dx;
  eff_learn_pass &pass;
  const int64_t in, out, rows, lanes, x_stride, y_stride, h_stride;
  const int32_t by_input, act, norm, adds;
  const double epsilon, alpha;
  double &inv_std;

  explicit layer(const eff_op *op) : layer(op, *(eff_learn_layer *)op->params) {}

 private:
  static T *operand(const eff_op *op, int i) { return (T *)op->p[i]; }
  layer(const eff_op *op, eff_learn_layer &l)
      : x(operand(op, EFF_LAYER_X)), w(operand(op, EFF_LAYER_W)), b(operand(op, EFF_LAYER_B)),
        y(operand(op, EFF_LAYER_Y)), h(operand(op, EFF_LAYER_H)), e(operand(op, EFF_LAYER_E)),
        eb(operand(op, EFF_LAYER_EB)), v(operand(op, EFF_LAYER_V)), vb(operand(op, EFF_LAYER_VB)),
        d(operand(op, EFF_LAYER_D)), dx(operand(op, EFF_LAYER_DX)),
        pass(*(eff_learn_pass *)op->p[EFF_LAYER_PASS]), in(l.in), out(l.out), rows(l.rows), lanes(l.lanes),
        x_stride(l.x_stride), y_stride(l.y_stride), h_stride(l.h_stride), by_input(l.by_input), act(l.act),
        norm(l.norm), adds(l.adds), epsilon(l.epsilon), alpha(l.alpha), inv_std(l.inv_std) {}
};

namespace eff_learn_naive {
#include "naive.inl"
}

namespace eff_learn_base {
#define EFF_BYTES 16
#include "vector.inl"
#undef EFF_BYTES
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace eff_learn_avx2 {
#define EFF_BYTES 32
#include "vector.inl"
#undef EFF_BYTES
}
#pragma clang attribute pop
#endif

#define EFF_TABLE(space, T, level)                                                              \
  {space::forward<T>, {space::backward<T, 0>, space::backward<T, 1>, space::backward<T, 2>},    \
   {space::accumulate<T, 0>, space::accumulate<T, 1>, space::accumulate<T, 2>},                 \
   {space::apply<T, 0>, space::apply<T, 1>, space::apply<T, 2>}, level}

const eff_learn_kernels *eff_learn_kernels_find(int32_t type, int32_t level) {
  static const eff_learn_kernels naive[2] = {EFF_TABLE(eff_learn_naive, float, EFF_ISA_NAIVE),
                                             EFF_TABLE(eff_learn_naive, double, EFF_ISA_NAIVE)};
  const int wide = type == EFF_TYPE_F64;
  if (level == EFF_ISA_NAIVE) return &naive[wide];
#if defined(__x86_64__)
  static const eff_learn_kernels avx2[2] = {EFF_TABLE(eff_learn_avx2, float, EFF_ISA_AVX2),
                                            EFF_TABLE(eff_learn_avx2, double, EFF_ISA_AVX2)};
  static const eff_learn_kernels base[2] = {EFF_TABLE(eff_learn_base, float, EFF_ISA_SSE2),
                                            EFF_TABLE(eff_learn_base, double, EFF_ISA_SSE2)};
  if ((level < 0 || level >= EFF_ISA_AVX2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &avx2[wide];
#else
  static const eff_learn_kernels base[2] = {EFF_TABLE(eff_learn_base, float, EFF_ISA_NEON),
                                            EFF_TABLE(eff_learn_base, double, EFF_ISA_NEON)};
#endif
  return &base[wide];
}
