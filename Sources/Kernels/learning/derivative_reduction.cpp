// Derivatives of reductions, softmax and normalizations. Convention: eff_derivative_find of learning.h.
#include "derivative.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

template <class T> struct reduce {
  static void run(const eff_op *op, int64_t) {
    const eff_reduce &p = *(const eff_reduce *)op->params;
    const T *x = (const T *)op->p[0], *y = (const T *)op->p[1], *g = (const T *)op->p[3];
    T *dx = (T *)op->p[2];
    const int64_t n = product(p.reduced, p.reduced_rank);
    if (n == 0 || product(p.kept, p.kept_rank) == 0) return;
    walker<1> kept{p.kept_rank, p.kept, {p.kept_stride}, {}, {}};
    do {
      const T *from = x + kept.offset[0];
      T *to = dx + kept.offset[0];
      const double d = *g++, z = *y++;
      // extremes share the gradient; a product with a zero passes on the product of the others
      double others = 1;
      int64_t ties = 0;
      walker<1> w{p.reduced_rank, p.reduced, {p.reduced_stride}, {}, {}};
      do {
        const double v = from[w.offset[0]];
        ties += p.fn == EFF_REDUCE_PROD ? v == 0 : v == z;
        if (v != 0) others *= v;
      } while (w.next());
      walker<1> u{p.reduced_rank, p.reduced, {p.reduced_stride}, {}, {}};
      do {
        const double v = from[u.offset[0]];
        double s = 1;
        switch (p.fn) {
          case EFF_REDUCE_MEAN: s = 1 / (double)n; break;
          case EFF_REDUCE_MAX:
          case EFF_REDUCE_MIN: s = v == z ? 1 / (double)ties : 0; break;
          case EFF_REDUCE_PROD: s = ties == 0 ? others / v : ties == 1 && v == 0 ? others : 0; break;
          case EFF_REDUCE_L1: s = v > 0 ? 1 : v < 0 ? -1 : 0; break;
          case EFF_REDUCE_L2: s = z > 0 ? v / z : 0; break;
          case EFF_REDUCE_LOG_SUM: s = exp(-z); break;
          case EFF_REDUCE_LOG_SUM_EXP: s = exp(v - z); break;
          case EFF_REDUCE_SUM_SQUARE: s = 2 * v; break;
          default: break;
        }
        to[u.offset[0]] += (T)(d * s);
      } while (u.next());
    } while (kept.next());
  }
};

template <class T> struct softmax {
  static void run(const eff_op *op, int64_t) {
    const eff_softmax &p = *(const eff_softmax *)op->params;
    for (int64_t o = 0; o < p.outer; o++)
      for (int64_t i = 0; i < p.inner; i++) {
        const int64_t at = o * p.n * p.inner + i;
        const T *y = (const T *)op->p[1] + at, *g = (const T *)op->p[3] + at;
        T *dx = (T *)op->p[2] + at;
        const bool is_log = p.fn == EFF_SOFTMAX_LOG;
        double sum = 0;
        for (int64_t k = 0; k < p.n; k++) sum += is_log ? g[k * p.inner] : (double)g[k * p.inner] * y[k * p.inner];
        for (int64_t k = 0; k < p.n; k++) {
          const int64_t e = k * p.inner;
          dx[e] += (T)(is_log ? g[e] - exp((double)y[e]) * sum : y[e] * (g[e] - sum));
        }
      }
  }
};

// x, scale?, bias?, y, and their gradients
template <class T> struct norm {
  static void run(const eff_op *op, int64_t) {
    const eff_norm &p = *(const eff_norm *)op->params;
    const T *x = (const T *)op->p[0], *g = (const T *)op->p[7];
    T *dx = (T *)op->p[4];
    const bool by_channel = p.affine == EFF_NORM_CHANNEL;
    for (int64_t o = 0; o < p.outer; o++, x += p.n, g += p.n, dx += dx ? p.n : 0) {
      double mean = 0, square = 0;
      for (int64_t i = 0; i < p.n && !p.rms; i++) mean += x[i];
      mean /= (double)p.n;
      for (int64_t i = 0; i < p.n; i++) square += (x[i] - mean) * (x[i] - mean);
      const double inverse = 1 / sqrt(square / (double)p.n + p.epsilon);
      if (by_channel)
        group(op, p, x, g, dx, mean, inverse, [&](int64_t i) { return (o * p.n + i) / p.inner % p.channels; });
      else group(op, p, x, g, dx, mean, inverse, [](int64_t i) { return i; });
    }
  }

  template <class Channel> static void group(const eff_op *op, const eff_norm &p, const T *x, const T *g, T *dx,
                                             double mean, double inverse, Channel channel) {
    const T *scale = (const T *)op->p[1];
    T *dscale = (T *)op->p[5], *dbias = (T *)op->p[6];
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < p.n; i++) {
      const int64_t c = channel(i);
      const double h = (x[i] - mean) * inverse, d = scale ? g[i] * scale[c] : g[i];
      if (dscale) dscale[c] += (T)(g[i] * h);
      if (dbias) dbias[c] += g[i];
      sum += d, dot += d * h;
    }
    sum = p.rms ? 0 : sum / (double)p.n, dot /= (double)p.n;
    for (int64_t i = 0; i < p.n && dx; i++) {
      const double h = (x[i] - mean) * inverse, d = scale ? g[i] * scale[channel(i)] : g[i];
      dx[i] += (T)((d - sum - h * dot) * inverse);
    }
  }
};

}  // namespace

eff_kernel find_derivative_reduction(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_REDUCE: return pick_real<reduce>(type);
    case EFF_K_SOFTMAX: return pick_real<softmax>(type);
    case EFF_K_NORM: return pick_real<norm>(type);
    default: return nullptr;
  }
}

}  // namespace eff
EFF_SMALL_END
