// Kernels along one axis of x [outer, n, inner]: EFF_K_SOFTMAX, CUMULATE, TOPK.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

inline float f_exp(float x) { return expf(x); }
inline double f_exp(double x) { return exp(x); }

template <class T> struct softmax {
  using W = wide_t<T>;

  // one line of n elements, `step` apart
  static void line(int32_t fn, const T *x, T *y, int64_t n, int64_t step) {
    int64_t top = 0;
    for (int64_t i = 1; i < n; i++)
      if (load(x + i * step) > load(x + top * step)) top = i;
    if (fn == EFF_SOFTMAX_HARD) {
      for (int64_t i = 0; i < n; i++) store(y + i * step, W(i == top));
      return;
    }
    const W peak = load(x + top * step);
    double sum = 0;
    if (fn == EFF_SOFTMAX_LOG) {
      for (int64_t i = 0; i < n; i++) sum += f_exp(load(x + i * step) - peak);
      const double l = log(sum);
      for (int64_t i = 0; i < n; i++) store(y + i * step, (double)(load(x + i * step) - peak) - l);
      return;
    }
    // 16-bit types would round twice if y held the exponentials
    constexpr bool twice = sizeof(T) == 2;
    for (int64_t i = 0; i < n; i++) {
      const W e = f_exp(load(x + i * step) - peak);
      sum += e;
      if (!twice) store(y + i * step, e);
    }
    for (int64_t i = 0; i < n; i++)
      store(y + i * step, (W)((twice ? f_exp(load(x + i * step) - peak) : load(y + i * step)) / sum));
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_softmax &p = *(const eff_softmax *)op->params;
    if (p.n <= 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      for (int64_t o = 0; o < p.outer; o++, x += p.n * p.inner, y += p.n * p.inner)
        for (int64_t i = 0; i < p.inner; i++) line(p.fn, x + i, y + i, p.n, p.inner);
    }
  }
};

// signed sums and products wrap
template <class W> struct modular { using type = W; };
template <> struct modular<int64_t> { using type = uint64_t; };

template <class T> struct cumulate {
  static void run(const eff_op *op, int64_t rows) {
    using A = typename modular<widest_t<T>>::type;
    const eff_cumulate &p = *(const eff_cumulate *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      for (int64_t o = 0; o < p.outer; o++) {
        for (int64_t i = 0; i < p.inner; i++) {
          A total = p.product ? 1 : 0;
          for (int64_t j = 0; j < p.n; j++) {
            const int64_t e = (o * p.n + (p.reverse ? p.n - 1 - j : j)) * p.inner + i;
            const A v = (A)load(x + e), next = p.product ? total * v : total + v;
            store(y + e, p.exclusive ? total : next);
            total = next;
          }
        }
      }
    }
  }
};

template <class T> struct topk {
  // NaN is larger than every number
  static bool before(wide_t<T> a, wide_t<T> b, bool largest) {
    if (a != a || b != b) return largest ? b == b : a == a && b != b;
    return largest ? a > b : a < b;
  }
  // a sorted list of the k best so far; x names the values, so either output may be absent
  static void line(const T *x, T *values, int64_t *indices, const eff_topk &p) {
    const int64_t step = p.inner;
    const auto kept = [&](int64_t j) { return values ? load(values + j * step) : load(x + indices[j * step] * step); };
    for (int64_t i = 0, count = 0; i < p.n; i++) {
      const wide_t<T> v = load(x + i * step);
      int64_t j = count;
      while (j > 0 && before(v, kept(j - 1), p.largest)) {
        j--;
        if (j + 1 < p.k) {
          if (values) values[(j + 1) * step] = values[j * step];
          if (indices) indices[(j + 1) * step] = indices[j * step];
        }
      }
      if (j >= p.k) continue;
      if (values) values[j * step] = x[i * step];
      if (indices) indices[j * step] = i;
      if (count < p.k) count++;
    }
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_topk &p = *(const eff_topk *)op->params;
    if (!op->p[1] && !op->p[2]) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *values = at.at<T>(1);
      int64_t *indices = at.at<int64_t>(2);
      for (int64_t o = 0; o < p.outer; o++) {
        for (int64_t i = 0; i < p.inner; i++) {
          const int64_t out = o * p.k * p.inner + i;
          line(x + o * p.n * p.inner + i, values ? values + out : nullptr, indices ? indices + out : nullptr, p);
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_scan(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_SOFTMAX: return pick_float<softmax>(type);
    case EFF_K_CUMULATE: return pick<cumulate>(type);
    case EFF_K_TOPK: return pick<topk>(type);
    default: return nullptr;
  }
}

}  // namespace eff
EFF_SMALL_END
