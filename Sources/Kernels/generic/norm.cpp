// EFF_K_NORM: layer, RMS, group and instance normalization.
#include "generic.h"

namespace eff {
namespace {

template <class T> struct norm {
  // statistics are f32, and f64 for f64
  static void put(void *to, int64_t i, double v) {
    if (!to) return;
    if (same<T, double>::value) ((double *)to)[i] = v;
    else ((float *)to)[i] = (float)v;
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_norm &p = *(const eff_norm *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0), *scale = at.at<const T>(1), *bias = at.at<const T>(2);
      T *y = at.at<T>(3);
      for (int64_t g = 0; g < p.outer; g++, x += p.n, y += p.n) {
        double mean = 0, square = 0;
        if (!p.rms) {
          for (int64_t i = 0; i < p.n; i++) mean += load(x + i);
          mean /= (double)p.n;
        }
        for (int64_t i = 0; i < p.n; i++) {
          const double d = load(x + i) - mean;
          square += d * d;
        }
        const double inverse = 1 / sqrt(square / (double)p.n + p.epsilon);
        put(at.at<void>(4), g, mean);
        put(at.at<void>(5), g, inverse);
        for (int64_t i = 0; i < p.n; i++) {
          const int64_t c = p.affine == EFF_NORM_CHANNEL ? (g * p.n + i) / p.inner % p.channels : i;
          double v = (load(x + i) - mean) * inverse;
          if (scale) v *= load(scale + c);
          if (bias) v += load(bias + c);
          store(y + i, p.act == EFF_FN_IDENTITY ? v : activate(p.act, v, p.alpha, p.beta));
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_norm(int32_t type) { return pick_float<norm>(type); }

}  // namespace eff
