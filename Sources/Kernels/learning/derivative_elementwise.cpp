// Derivatives of the kernels that work on single elements or move them. Convention: eff_derivative_find of learning.h.
#include "derivative.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

double sigmoid(double x) { return 1 / (1 + exp(-x)); }

// dy/dx of y = fn(x). Where a function has a corner, the slope of its left side counts, but a clip passes the gradient
// on at its bounds.
double slope(const eff_unary &u, double x, double y) {
  const double a = u.alpha, b = u.beta;
  switch (u.fn) {
    case EFF_FN_RELU: return x > 0;
    case EFF_FN_TANH: return 1 - y * y;
    case EFF_FN_SIGMOID: return y * (1 - y);
    case EFF_FN_ELU: return x > 0 ? 1 : y + a;
    case EFF_FN_LEAKY_RELU: return x > 0 ? 1 : a;
    case EFF_FN_SELU: return x > 0 ? b : y + a * b;
    case EFF_FN_CELU: return x > 0 ? 1 : exp(x / a);
    case EFF_FN_SOFTPLUS: return sigmoid(x);
    case EFF_FN_SOFTSIGN: return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
    case EFF_FN_SWISH: {
      const double s = sigmoid(a * x);
      return s + a * y * (1 - s);
    }
    case EFF_FN_MISH: {
      const double t = tanh(x > 30 ? x : log1p(exp(x)));
      return t + x * (1 - t * t) * sigmoid(x);
    }
    case EFF_FN_GELU: return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * 0.3989422804014327;
    case EFF_FN_GELU_TANH: {
      const double c = 1.5957691216057308, s = sigmoid(c * (x + 0.044715 * x * x * x));
      return s + x * s * (1 - s) * c * (1 + 0.134145 * x * x);
    }
    case EFF_FN_HARD_SIGMOID: return y > 0 && y < 1 ? a : 0;
    case EFF_FN_HARD_SWISH: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case EFF_FN_THRESHOLDED_RELU: return x > a;
    case EFF_FN_CLIP: return x >= a && x <= b;
    case EFF_FN_AFFINE: return a;
    case EFF_FN_EXP: return y;
    case EFF_FN_LOG: return 1 / x;
    case EFF_FN_SQRT: return 0.5 / y;
    case EFF_FN_RECIPROCAL: return -y * y;
    case EFF_FN_NEG: return -1;
    case EFF_FN_ABS: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case EFF_FN_SIN: return cos(x);
    case EFF_FN_COS: return -sin(x);
    case EFF_FN_TAN: return 1 + y * y;
    case EFF_FN_ASIN: return 1 / sqrt(1 - x * x);
    case EFF_FN_ACOS: return -1 / sqrt(1 - x * x);
    case EFF_FN_ATAN: return 1 / (1 + x * x);
    case EFF_FN_SINH: return cosh(x);
    case EFF_FN_COSH: return sinh(x);
    case EFF_FN_ASINH: return 1 / sqrt(x * x + 1);
    case EFF_FN_ACOSH: return 1 / sqrt(x * x - 1);
    case EFF_FN_ATANH: return 1 / (1 - x * x);
    case EFF_FN_ERF: return M_2_SQRTPI * exp(-x * x);
    case EFF_FN_SQUARE: return 2 * x;
    case EFF_FN_SCALED_TANH: return b * (a - y * y / a);
    case EFF_FN_IDENTITY: return 1;
    default: return 0;  // sign, floor, ceil, round: flat
  }
}

template <class T> struct unary {
  static void run(const eff_op *op, int64_t) {
    const eff_unary &u = *(const eff_unary *)op->params;
    const T *x = (const T *)op->p[0], *y = (const T *)op->p[1], *g = (const T *)op->p[3];
    T *dx = (T *)op->p[2];
    for (int64_t i = 0; i < u.count; i++) dx[i] += g[i] * (T)slope(u, x[i], y[i]);
  }
};

template <class T> struct binary {
  static void run(const eff_op *op, int64_t) {
    const eff_binary &p = *(const eff_binary *)op->params;
    const T *a = (const T *)op->p[0], *b = (const T *)op->p[1], *y = (const T *)op->p[2], *g = (const T *)op->p[5];
    T *da = (T *)op->p[3], *db = (T *)op->p[4];
    if (product(p.dims, p.rank) == 0) return;
    walker<2> w{p.rank, p.dims, {p.a, p.b}, {}, {}};
    do {
      const double u = a[w.offset[0]], v = b[w.offset[1]], d = *g++, z = *y++;
      double ga = d, gb = d;
      switch (p.fn) {
        case EFF_FN2_SUB: gb = -d; break;
        case EFF_FN2_MUL: ga = d * v, gb = d * u; break;
        case EFF_FN2_DIV: ga = d / v, gb = -d * z / v; break;
        // a power of 0 or less has no derivative by its exponent; 0 stands for it
        case EFF_FN2_POW: ga = v == 0 ? 0 : d * v * pow(u, v - 1), gb = u > 0 ? d * z * log(u) : 0; break;
        case EFF_FN2_FMOD: gb = -d * trunc(u / v); break;
        // the larger one gets the gradient; equal ones share it
        case EFF_FN2_MIN: ga = u < v ? d : u == v ? d / 2 : 0, gb = d - ga; break;
        case EFF_FN2_MAX: ga = u > v ? d : u == v ? d / 2 : 0, gb = d - ga; break;
        case EFF_FN2_PRELU: ga = u > 0 ? d : d * v, gb = u > 0 ? 0 : d * u; break;
        default: break;
      }
      if (da) da[w.offset[0]] += (T)ga;
      if (db) db[w.offset[1]] += (T)gb;
    } while (w.next());
  }
};

template <class T> struct select {
  static void run(const eff_op *op, int64_t) {
    const eff_where &p = *(const eff_where *)op->params;
    const uint8_t *c = (const uint8_t *)op->p[0];
    T *da = (T *)op->p[5], *db = (T *)op->p[6];
    const T *g = (const T *)op->p[7];
    if (product(p.dims, p.rank) == 0) return;
    walker<3> w{p.rank, p.dims, {p.c, p.a, p.b}, {}, {}};
    do {
      T *to = c[w.offset[0]] ? da : db;
      if (to) to[w.offset[to == da ? 1 : 2]] += *g;
      g++;
    } while (w.next());
  }
};

template <class T> struct copy {
  static void run(const eff_op *op, int64_t) {
    const eff_strided &p = *(const eff_strided *)op->params;
    T *dx = (T *)op->p[2] + p.x_offset;
    const T *g = (const T *)op->p[3] + p.y_offset;
    if (product(p.dims, p.rank) == 0) return;
    walker<2> w{p.rank, p.dims, {p.x, p.y}, {}, {}};
    do dx[w.offset[0]] += g[w.offset[1]]; while (w.next());
  }
};

template <class T> struct gather {
  static void run(const eff_op *op, int64_t) {
    const eff_gather &p = *(const eff_gather *)op->params;
    T *dx = (T *)op->p[3];
    const T *g = (const T *)op->p[5];
    for (int64_t o = 0; o < p.outer; o++)
      for (int64_t k = 0; k < p.indices; k++, g += p.inner) {
        T *to = dx + (o * p.axis + index_at(op->p[1], p.index_type, k, p.axis)) * p.inner;
        for (int64_t i = 0; i < p.inner; i++) to[i] += g[i];
      }
  }
};

// where elements are read by index along one axis
template <class T> struct gather_elements {
  static void run(const eff_op *op, int64_t) {
    const eff_elements &p = *(const eff_elements *)op->params;
    T *dx = (T *)op->p[3];
    const T *g = (const T *)op->p[5];
    if (product(p.dims, p.rank) == 0) return;
    int64_t strides[EFF_RANK], at = 0;
    const int64_t step = dense_strides(p.data, p.rank, strides, p.axis);
    walker<1> w{p.rank, p.dims, {strides}, {}, {}};
    do {
      dx[w.offset[0] + step * index_at(op->p[1], p.index_type, at, p.data[p.axis])] += g[at];
      at++;
    } while (w.next());
  }
};

template <class T> struct same_type {
  static void run(const eff_op *op, int64_t) {
    const eff_cast &p = *(const eff_cast *)op->params;
    T *dx = (T *)op->p[2];
    const T *g = (const T *)op->p[3];
    for (int64_t i = 0; i < p.count; i++) dx[i] += g[i];
  }
};

}  // namespace

eff_kernel find_derivative_elementwise(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_UNARY: return pick_real<unary>(type);
    case EFF_K_BINARY: return pick_real<binary>(type);
    case EFF_K_WHERE: return pick_real<select>(type);
    case EFF_K_COPY: return pick_real<copy>(type);
    case EFF_K_GATHER: return pick_real<gather>(type);
    case EFF_K_GATHER_ELEMENTS: return pick_real<gather_elements>(type);
    case EFF_K_CAST: return pick_real<same_type>(type);
    default: return nullptr;
  }
}

}  // namespace eff
EFF_SMALL_END
