// EFF_K_RESIZE: ONNX Resize (opset 19). Each axis is a filter around a source coordinate; the axes are combined by
// recursion.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

// one axis at one output index
struct axis {
  double x, shrink, norm;  // source coordinate, min(scale, 1) where antialiased, 1 / sum of weights
  int64_t low, high;       // taps, may lie outside
};

// in single precision and with whole lengths, as PyTorch and onnxruntime: a coordinate that falls between two elements
// then falls the same way. half_pixel_symmetric alone asks how far the length is from scale * length.
double coordinate(const eff_resize &p, int32_t d, int64_t o) {
  const float in = (float)p.in[d], at = (float)o, out = (float)p.out[d], scale = (float)p.scale[d];
  switch (p.coordinate) {
    case EFF_COORD_ASYMMETRIC: return at / scale;
    case EFF_COORD_ALIGN_CORNERS: return out == 1 ? 0 : at * (in - 1) / (out - 1);
    case EFF_COORD_PYTORCH_HALF_PIXEL: return out > 1 ? (at + 0.5f) / scale - 0.5f : 0;
    case EFF_COORD_TF_CROP: {
      const float start = (float)p.roi_start[d], end = (float)p.roi_end[d];
      if (out == 1) return 0.5f * (start + end) * (in - 1);
      return start * (in - 1) + at * (end - start) * (in - 1) / (out - 1);
    }
    case EFF_COORD_HALF_PIXEL_SYMMETRIC: {
      float exact = scale * in;
      if (fabsf(exact - out) < 1e-5f) exact = out;
      return in / 2 * (1 - out / exact) + (at + 0.5f) / scale - 0.5f;
    }
    default: return (at + 0.5f) / scale - 0.5f;
  }
}

double nearest(int32_t mode, double x) {
  switch (mode) {
    case EFF_NEAREST_FLOOR: return floor(x);
    case EFF_NEAREST_CEIL: return ceil(x);
    case EFF_NEAREST_ROUND_PREFER_CEIL: return floor(x + 0.5);
    default: return ceil(x - 0.5);
  }
}

double weight(const eff_resize &p, const axis &a, int32_t d, int64_t tap) {
  if (p.mode == EFF_RESIZE_NEAREST) return 1;
  if (p.exclude_outside && (tap < 0 || tap >= p.in[d])) return 0;
  const double t = fabs((double)tap - a.x) * a.shrink;
  if (p.mode == EFF_RESIZE_LINEAR) return t < 1 ? 1 - t : 0;
  // Keys, 1981
  const double c = p.cubic_a;
  if (t <= 1) return ((c + 2) * t - (c + 3)) * t * t + 1;
  return t < 2 ? ((c * t - 5 * c) * t + 8 * c) * t - 4 * c : 0;
}

axis axis_at(const eff_resize &p, int32_t d, int64_t o) {
  axis a{coordinate(p, d, o), 1, 1, 0, 0};
  // a hostile scale must not become an endless filter
  if (!(fabs(a.x) < 1e15)) a.x = 0;
  if (p.mode == EFF_RESIZE_NEAREST) {
    a.low = a.high = (int64_t)nearest(p.nearest, a.x);
    return a;
  }
  if (p.antialias && p.scale[d] < 1) a.shrink = p.scale[d];
  const double support = fmin((p.mode == EFF_RESIZE_CUBIC ? 2 : 1) / a.shrink, 4 * (double)p.in[d] + 4);
  a.low = (int64_t)floor(a.x - support) + 1, a.high = (int64_t)ceil(a.x + support) - 1;
  double sum = 0;
  for (int64_t t = a.low; t <= a.high; t++) sum += weight(p, a, d, t);
  a.norm = sum != 0 ? 1 / sum : 1;
  return a;
}

template <class T> struct resize {
  static double sample(const eff_resize &p, const axis *axes, const int64_t *strides, int32_t d, const T *x) {
    double sum = 0;
    for (int64_t t = axes[d].low; t <= axes[d].high; t++) {
      const double w = weight(p, axes[d], d, t) * axes[d].norm;
      if (w == 0) continue;
      const T *from = x + clamp(t, 0, p.in[d] - 1) * strides[d];
      sum += w * (d + 1 == p.rank ? (double)load(from) : sample(p, axes, strides, d + 1, from));
    }
    return sum;
  }

  static void put(T *y, double v) {
    if constexpr (is_integer<T>::value) *y = saturate<T>(v);
    else store(y, v);
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_resize &p = *(const eff_resize *)op->params;
    int64_t strides[5];
    dense_strides(p.in, p.rank, strides, -1);
    const int64_t in = product(p.in, p.rank), out = product(p.out, p.rank);
    if (in <= 0 || out <= 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      for (int64_t o = 0; o < p.outer; o++, x += in) {
        axis axes[5];
        int64_t index[5] = {};
        int32_t changed = 0;
        do {
          for (int32_t d = changed; d < p.rank; d++) axes[d] = axis_at(p, d, index[d]);
          bool outside = false;
          for (int32_t d = 0; d < p.rank; d++)
            outside |= p.coordinate == EFF_COORD_TF_CROP && (axes[d].x < 0 || axes[d].x > (double)(p.in[d] - 1));
          if (outside) put(y++, p.extrapolation);
          else if (p.mode == EFF_RESIZE_NEAREST) {
            int64_t from = 0;
            for (int32_t d = 0; d < p.rank; d++) from += clamp(axes[d].low, 0, p.in[d] - 1) * strides[d];
            *y++ = x[from];
          } else {
            put(y++, p.rank ? sample(p, axes, strides, 0, x) : (double)load(x));
          }
          for (changed = p.rank - 1; changed >= 0 && ++index[changed] == p.out[changed]; changed--) index[changed] = 0;
        } while (changed >= 0);
      }
    }
  }
};

}  // namespace

eff_kernel find_resize(int32_t type) {
  switch (type) {
    case EFF_TYPE_I8: return small<resize<int8_t>>::run;
    case EFF_TYPE_U8: return small<resize<uint8_t>>::run;
    case EFF_TYPE_I32: return small<resize<int32_t>>::run;
    case EFF_TYPE_I64: return small<resize<int64_t>>::run;
    default: return pick_float<resize>(type);
  }
}

}  // namespace eff
EFF_SMALL_END
