// EFF_K_BINARY and EFF_K_WHERE.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

inline float f_pow(float a, float b) { return powf(a, b); }
inline double f_pow(double a, double b) { return pow(a, b); }
inline float f_mod(float a, float b) { return fmodf(a, b); }
inline double f_mod(double a, double b) { return fmod(a, b); }

template <class F> inline F mod(F a, F b) {
  F m = f_mod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

template <class F> F real(int32_t fn, F a, F b) {
  switch (fn) {
    case EFF_FN2_ADD: return a + b;
    case EFF_FN2_SUB: return a - b;
    case EFF_FN2_MUL: return a * b;
    case EFF_FN2_DIV: return a / b;
    case EFF_FN2_POW: return f_pow(a, b);
    case EFF_FN2_MOD: return mod(a, b);
    case EFF_FN2_FMOD: return f_mod(a, b);
    case EFF_FN2_MIN: return a < b || a != a ? a : b;
    case EFF_FN2_MAX: return a > b || a != a ? a : b;
    case EFF_FN2_PRELU: return a < 0 ? a * b : a;
    default: return a;
  }
}

// by squaring, wrapping; a negative exponent truncates 1 / a^-b
template <class I> I power(I a, I b) {
  if (b < 0) return a == 1 ? 1 : a == (I)-1 ? ((uint64_t)b & 1 ? a : 1) : 0;
  uint64_t result = 1, base = (uint64_t)a;
  for (uint64_t e = (uint64_t)b; e; e >>= 1, base *= base)
    if (e & 1) result *= base;
  return (I)result;
}

template <class I> I whole(int32_t fn, I a, I b) {
  const uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
  constexpr bool is_signed = (I)-1 < (I)0;
  switch (fn) {
    case EFF_FN2_ADD: return (I)(ua + ub);
    case EFF_FN2_SUB: return (I)(ua - ub);
    case EFF_FN2_MUL: return (I)(ua * ub);
    case EFF_FN2_DIV: return b == 0 ? 0 : is_signed && b == (I)-1 ? (I)(0 - ua) : (I)(a / b);
    case EFF_FN2_POW: return power(a, b);
    case EFF_FN2_MOD:
    case EFF_FN2_FMOD: {
      if (b == 0 || (is_signed && b == (I)-1)) return 0;
      I m = (I)(a % b);
      return fn == EFF_FN2_MOD && m != 0 && (m < 0) != (b < 0) ? (I)(m + b) : m;
    }
    case EFF_FN2_MIN: return a < b ? a : b;
    case EFF_FN2_MAX: return a > b ? a : b;
    case EFF_FN2_PRELU: return a < 0 ? (I)(ua * ub) : a;
    case EFF_FN2_AND: return a != 0 && b != 0;
    case EFF_FN2_OR: return a != 0 || b != 0;
    case EFF_FN2_XOR: return (a != 0) != (b != 0);
    case EFF_FN2_BIT_AND: return (I)(ua & ub);
    case EFF_FN2_BIT_OR: return (I)(ua | ub);
    case EFF_FN2_BIT_XOR: return (I)(ua ^ ub);
    case EFF_FN2_SHIFT_LEFT: return ub < 64 ? (I)(ua << ub) : 0;
    case EFF_FN2_SHIFT_RIGHT: return ub < 64 ? (I)(a >> ub) : is_signed && a < 0 ? (I)-1 : 0;
    default: return a;
  }
}

__attribute__((noinline)) float compute(int32_t fn, float a, float b) { return real(fn, a, b); }
__attribute__((noinline)) double compute(int32_t fn, double a, double b) { return real(fn, a, b); }
__attribute__((noinline)) int64_t compute(int32_t fn, int64_t a, int64_t b) { return whole(fn, a, b); }
__attribute__((noinline)) uint64_t compute(int32_t fn, uint64_t a, uint64_t b) { return whole(fn, a, b); }

template <class W> inline bool compare(int32_t fn, W a, W b) {
  switch (fn) {
    case EFF_FN2_EQUAL: return a == b;
    case EFF_FN2_LESS: return a < b;
    case EFF_FN2_LESS_EQUAL: return a <= b;
    case EFF_FN2_GREATER: return a > b;
    default: return a >= b;
  }
}

// one innermost run: n elements of y, operands at element strides sa, sb
template <class T> struct span {
  static void run(int32_t fn, const T *a, int64_t sa, const T *b, int64_t sb, T *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) store(y + i, compute(fn, load(a + i * sa), load(b + i * sb)));
  }
};

template <class F>
inline void shapes(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n, F f) {
  if (sa == 1 && sb == 1) {
    for (int64_t i = 0; i < n; i++) y[i] = f(a[i], b[i]);
  } else if (sa == 1 && sb == 0) {
    const float v = *b;
    for (int64_t i = 0; i < n; i++) y[i] = f(a[i], v);
  } else if (sa == 0 && sb == 1) {
    const float v = *a;
    for (int64_t i = 0; i < n; i++) y[i] = f(v, b[i]);
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = f(a[i * sa], b[i * sb]);
  }
}
template <> struct span<float> {
  static void run(int32_t fn, const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n) {
    switch (fn) {
      case EFF_FN2_ADD: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u + v; });
      case EFF_FN2_SUB: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u - v; });
      case EFF_FN2_MUL: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u * v; });
      case EFF_FN2_DIV: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u / v; });
      case EFF_FN2_MIN: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u < v || u != u ? u : v; });
      case EFF_FN2_MAX: return shapes(a, sa, b, sb, y, n, [](float u, float v) { return u > v || u != u ? u : v; });
      default:
        for (int64_t i = 0; i < n; i++) y[i] = compute(fn, a[i * sa], b[i * sb]);
    }
  }
};

template <class T> struct binary {
  static void run(const eff_op *op, int64_t rows) {
    const eff_binary &p = *(const eff_binary *)op->params;
    const int64_t *in[2] = {p.a, p.b};
    int64_t dims[EFF_RANK + 1], s[2][EFF_RANK + 1];
    int32_t rank = merge<2>(p.rank, p.dims, in, dims, s);
    const bool compares = p.fn >= EFF_FN2_EQUAL;
    const int64_t total = product(dims, rank), size = sizeof(T);
    if (total == 0) return;
    // rows that continue where the last one ended, or share an operand that is one element, are one long run
    auto folds = [&](int i) {
      return op->stride[i] == total * size ? s[i][0] == 1 || total == 1 : op->stride[i] == 0 && s[i][0] == 0;
    };
    if (rank == 1 && rows > 1 && folds(0) && folds(1) && op->stride[2] == total * (compares ? 1 : size)) {
      for (int i = 0; i < 2; i++) s[i][0] = op->stride[i] ? 1 : 0;
      dims[0] *= rows, rows = 1;
    }
    const int64_t n = dims[rank - 1];
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *a = at.at<const T>(0), *b = at.at<const T>(1);
      T *y = at.at<T>(2);
      bool *flag = at.at<bool>(2);
      walker<2> w{rank - 1, dims, {s[0], s[1]}, {}, {}};
      do {
        const T *ra = a + w.offset[0], *rb = b + w.offset[1];
        const int64_t sa = s[0][rank - 1], sb = s[1][rank - 1];
        if (compares) {
          for (int64_t i = 0; i < n; i++) flag[i] = compare(p.fn, load(ra + i * sa), load(rb + i * sb));
        } else {
          span<T>::run(p.fn, ra, sa, rb, sb, y, n);
        }
        y += n, flag += n;
      } while (w.next());
    }
  }
};

template <class T> struct where {
  static void run(const eff_op *op, int64_t rows) {
    const eff_where &p = *(const eff_where *)op->params;
    const int64_t *in[3] = {p.c, p.a, p.b};
    int64_t dims[EFF_RANK + 1], s[3][EFF_RANK + 1];
    const int32_t rank = merge<3>(p.rank, p.dims, in, dims, s), last = rank - 1;
    if (product(dims, rank) == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const uint8_t *c = at.at<const uint8_t>(0);
      const T *a = at.at<const T>(1), *b = at.at<const T>(2);
      T *y = at.at<T>(3);
      walker<3> w{last, dims, {s[0], s[1], s[2]}, {}, {}};
      do {
        for (int64_t i = 0; i < dims[last]; i++)
          *y++ = c[w.offset[0] + i * s[0][last]] ? a[w.offset[1] + i * s[1][last]] : b[w.offset[2] + i * s[2][last]];
      } while (w.next());
    }
  }
};

}  // namespace

eff_kernel find_binary(int32_t id, int32_t type) {
  return id == EFF_K_WHERE ? pick_size<where>(type) : pick<binary>(type);
}

}  // namespace eff
EFF_SMALL_END
