// EFF_K_REDUCE and EFF_K_ARG.
#include "generic.h"

namespace eff {
namespace {

template <class W> inline W magnitude(W v) { return v < 0 ? (W)(0 - v) : v; }
template <> inline int64_t magnitude(int64_t v) { return v < 0 ? (int64_t)(0 - (uint64_t)v) : v; }
template <> inline uint64_t magnitude(uint64_t v) { return v; }
template <class W> inline W times(W a, W b) { return a * b; }
template <> inline int64_t times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
template <class W> inline W plus(W a, W b) { return a + b; }
template <> inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

// what the reduction starts from, also the result of reducing nothing
template <class T, class W> W start(int32_t fn) {
  if (fn == EFF_REDUCE_PROD) return 1;
  if (fn != EFF_REDUCE_MAX && fn != EFF_REDUCE_MIN) return 0;
  if constexpr (!is_integer<T>::value) return fn == EFF_REDUCE_MAX ? -(W)INFINITY : (W)INFINITY;
  else if constexpr (same<T, bool>::value) return fn == EFF_REDUCE_MAX ? 0 : 1;
  else return fn == EFF_REDUCE_MAX ? (W)saturate<T>(-INFINITY) : (W)saturate<T>(INFINITY);
}

template <class W> inline W gather_in(int32_t fn, W sum, W v) {
  switch (fn) {
    case EFF_REDUCE_MAX: return v > sum || v != v ? v : sum;
    case EFF_REDUCE_MIN: return v < sum || v != v ? v : sum;
    case EFF_REDUCE_PROD: return times(sum, v);
    case EFF_REDUCE_L1: return plus(sum, magnitude(v));
    case EFF_REDUCE_L2:
    case EFF_REDUCE_SUM_SQUARE: return plus(sum, times(v, v));
    default: return plus(sum, v);
  }
}

template <class W> W finish(int32_t fn, W v, int64_t n) {
  const auto whole = [](double d) { return saturate<W>(d); };
  if constexpr (same<W, double>::value) {
    switch (fn) {
      case EFF_REDUCE_MEAN: return v / (double)n;
      case EFF_REDUCE_L2: return sqrt(v);
      case EFF_REDUCE_LOG_SUM: return log(v);
      default: return v;
    }
  } else {
    switch (fn) {
      case EFF_REDUCE_MEAN: return n ? (W)(v / (W)n) : 0;
      case EFF_REDUCE_L2: return whole(sqrt((double)v));
      case EFF_REDUCE_LOG_SUM: return whole(log((double)v));
      default: return v;
    }
  }
}

struct reduction { int32_t rank; int64_t n, dims[EFF_RANK + 1], s[1][EFF_RANK + 1]; };

template <class T, class W, class F> inline void each(const T *x, const reduction &d, F f) {
  const int32_t last = d.rank - 1;
  walker<1> w{last, d.dims, {d.s[0]}, {}, {}};
  do {
    const T *run = x + w.offset[0];
    for (int64_t i = 0; i < d.dims[last]; i++) f((W)load(run + i * d.s[0][last]));
  } while (w.next());
}

template <class T> struct reduce {
  using W = widest_t<T>;

  EFF_SMALL static double log_sum_exp(const T *x, const reduction &d) {
    double top = -INFINITY, sum = 0;
    each<T, double>(x, d, [&](double v) { top = v > top || v != v ? v : top; });
    if (top - top != 0) return top;
    each<T, double>(x, d, [&](double v) { sum += exp(v - top); });
    return top + log(sum);
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_reduce &p = *(const eff_reduce *)op->params;
    reduction d;
    const int64_t *in[1] = {p.reduced_stride};
    d.rank = merge<1>(p.reduced_rank, p.reduced, in, d.dims, d.s);
    d.n = product(d.dims, d.rank);
    if (product(p.kept, p.kept_rank) == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      walker<1> kept{p.kept_rank, p.kept, {p.kept_stride}, {}, {}};
      do {
        const T *from = x + kept.offset[0];
        W v = start<T, W>(p.fn);
        if (p.fn == EFF_REDUCE_LOG_SUM_EXP) {
          const double l = d.n ? log_sum_exp(from, d) : -INFINITY;
          if constexpr (same<W, double>::value) v = l;
          else v = saturate<W>(l);
        } else {
          if (d.n) each<T, W>(from, d, [&](W e) { v = gather_in(p.fn, v, e); });
          v = finish(p.fn, v, d.n);
        }
        store(y++, v);
      } while (kept.next());
    }
  }
};

template <class T> struct arg {
  static void run(const eff_op *op, int64_t rows) {
    const eff_arg &p = *(const eff_arg *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      int64_t *y = at.at<int64_t>(1);
      for (int64_t o = 0; o < p.outer; o++, x += p.n * p.inner) {
        for (int64_t i = 0; i < p.inner; i++) {
          int64_t best = 0;
          for (int64_t j = 1; j < p.n; j++) {
            const auto v = load(x + j * p.inner + i), top = load(x + best * p.inner + i);
            // NaN is an extreme of both kinds, as in numpy
            if (top != top ? p.last && v != v : v != v || (p.is_max ? v > top : v < top) || (p.last && v == top))
              best = j;
          }
          *y++ = best;
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_reduce(int32_t id, int32_t type) { return id == EFF_K_ARG ? pick<arg>(type) : pick<reduce>(type); }

}  // namespace eff
