// Recurrent cells whose weights learn by SnAp-1: eff_learn_cell of learning.h.
#include "../generic/generic.h"
#include "learning.h"

namespace {

inline float exponential(float x) { return expf(x); }
inline double exponential(double x) { return exp(x); }
inline float tangent(float x) { return tanhf(x); }
inline double tangent(double x) { return tanh(x); }
inline float sine(float x) { return sinf(x); }
inline double sine(double x) { return sin(x); }
inline float cosine(float x) { return cosf(x); }
inline double cosine(double x) { return cos(x); }
inline float root(float x) { return sqrtf(x); }
inline double root(double x) { return sqrt(x); }
// 1 - exp(x), also near 0
inline float rest(float x) { return -expm1f(x); }
inline double rest(double x) { return -expm1(x); }
template <class T> T sigmoid(T x) { return 1 / (1 + exponential(-x)); }

// An op with its operands by name. What the forward pass leaves for the backward pass lies in `gates`, by unit:
//   LSTM  i o f g [4 n] after their functions, tanh(c) [n]
//   diagonal  (W1 x, W2 x) [2 n], lambda [2 n], phi [n]
//   GRU   z r g [3 n], what r gates [n] (linear_before_reset: R h + Rb), r h [n], and [n] for the backward pass
template <class T> struct cell {
  const eff_learn_cell &p;
  const T *x, *w, *r, *b, *h0, *c0;
  T *y, *y_h, *y_c, *gates, *influence;
  const int64_t in, n, count;  // sizes, and gates

  explicit cell(const eff_op *op)
      : p(*(const eff_learn_cell *)op->params), x(at(op, EFF_CELL_X)), w(at(op, EFF_CELL_W)), r(at(op, EFF_CELL_R)),
        b(at(op, EFF_CELL_B)), h0(at(op, EFF_CELL_H0)), c0(at(op, EFF_CELL_C0)), y(at(op, EFF_CELL_Y)),
        y_h(at(op, EFF_CELL_YH)), y_c(at(op, EFF_CELL_YC)), gates(at(op, EFF_CELL_GATES)),
        influence(at(op, EFF_CELL_INFLUENCE)), in(p.input), n(p.hidden),
        count(p.cell == EFF_RNN_LSTM ? 4 : p.cell == EFF_RNN_GRU ? 3 : 2) {}

  bool is_diagonal() const { return p.cell == EFF_CELL_DIAGONAL; }
  bool is_lstm() const { return p.cell == EFF_RNN_LSTM; }
  // bias of gate g: that of x, and that of h
  T bias(int64_t g, int64_t j) const { return b ? b[g * n + j] : 0; }
  T recurrent_bias(int64_t g, int64_t j) const { return b ? b[(count + g) * n + j] : 0; }
  T diagonal(int64_t g, int64_t j) const { return r[(g * n + j) * n + j]; }
  T mask() const { return p.mask ? *(const T *)p.mask : 1; }
  // gradient of the unit's output and of its cell state
  T slope(int64_t j) const { return (p.dy ? ((T *)p.dy)[j] : 0) + (p.dyh ? ((T *)p.dyh)[j] : 0); }
  T cell_slope(int64_t j) const { return p.dyc ? ((T *)p.dyc)[j] : 0; }
  void give(int64_t j, T h, T c) const {
    if (y) y[j] = h;
    if (y_h) y_h[j] = h;
    if (y_c) y_c[j] = c;
  }

  // The arrays that learn lie one after the other in `influence`; an LSTM has them twice, of c and then of h. A
  // diagonal cell has a complex number for each input of each unit, real parts first, and one for each of nu and a.
  int64_t size_w() const { return p.dw ? count * n * in : 0; }
  int64_t size_r() const { return p.dr ? (is_diagonal() ? 4 * n : count * n * n) : 0; }
  int64_t size() const { return size_w() + size_r() + (p.db ? 2 * count * n : 0); }

 private:
  static T *at(const eff_op *op, int i) { return (T *)op->p[i]; }
};

// The functions of all gates, from the sums W x + Wb + R h + Rb in `gates`.
template <class T> void activate_lstm(const cell<T> &l) {
  const int64_t n = l.n;
  T *i = l.gates, *o = i + n, *f = o + n, *g = f + n, *t = g + n;
  for (int64_t j = 0; j < n; j++) {
    i[j] = sigmoid(i[j]);
    o[j] = sigmoid(o[j]);
    f[j] = sigmoid(f[j]);
    g[j] = tangent(g[j]);
    const T c = f[j] * l.c0[j] + i[j] * g[j];
    t[j] = tangent(c);
    l.give(j, o[j] * t[j], c);
  }
}

// lambda and phi into `gates`, and the new state, from the sums W1 x and W2 x in it.
template <class T> void turn_diagonal(const cell<T> &l) {
  const int64_t n = l.n;
  const T *u = l.gates, *h = l.h0;
  T *c = l.gates + 2 * n, *s = c + n, *phi = s + n;
  for (int64_t j = 0; j < n; j++) {
    const T rate = exponential(l.r[j]), radius = exponential(-rate), angle = exponential(l.r[n + j]);
    c[j] = radius * cosine(angle);
    s[j] = radius * sine(angle);
    phi[j] = root(rest(-2 * rate));
    l.give(j, c[j] * h[j] - s[j] * h[n + j] + phi[j] * u[j], 0);
    l.give(n + j, s[j] * h[j] + c[j] * h[n + j] + phi[j] * u[n + j], 0);
  }
}

}  // namespace

EFF_SMALL_BEGIN
namespace eff_cell_naive {
#include "cell_naive.inl"
}
#if defined(__x86_64__)
namespace eff_cell_base {
#include "cell.inl"
}
#endif
EFF_SMALL_END

#if !defined(__x86_64__)
namespace eff_cell_base {
#include "cell.inl"
}
#else
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace eff_cell_avx2 {
#include "cell.inl"
}
#pragma clang attribute pop
#endif

#define EFF_CELL_OF(space, T) \
  (pass == EFF_CELL_FORWARD    ? space::forward<T> \
   : pass == EFF_CELL_BACKWARD ? space::backward<T, true> \
                               : space::backward<T, false>)
#define EFF_CELL(space) (wide ? EFF_CELL_OF(space, double) : EFF_CELL_OF(space, float))

eff_kernel eff_learn_cell_find(int32_t type, int32_t level, int32_t pass) {
  const bool wide = type == EFF_TYPE_F64;  // double is not worth kernels of its own
  if (level == EFF_ISA_NAIVE) return EFF_CELL(eff_cell_naive);
#if defined(__x86_64__)
  if (!wide && level >= EFF_ISA_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return EFF_CELL_OF(eff_cell_avx2, float);
#endif
  return EFF_CELL(eff_cell_base);
}
