// EFF_K_GRID_SAMPLE: ONNX GridSample (opset 22). A grid point names the last spatial dim first.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

enum { linear = 0, nearest = 1, cubic = 2 };
enum { zeros = 0, border = 1, reflection = 2 };

template <class T> struct grid_sample {
  struct field { const eff_grid_sample &p; const T *x; double at[3]; int64_t strides[3]; };

  static double low(const eff_grid_sample &p) { return p.align_corners ? 0 : -0.5; }
  static double high(const eff_grid_sample &p, int32_t d) { return (double)p.in[d] - (p.align_corners ? 1 : 0.5); }

  static double reflect(double v, double from, double to) {
    const double range = to - from;
    if (!(range > 0)) return from;
    if (v >= from && v <= to) return v;
    const double away = v < from ? from - v : v - to, times = floor(away / range), rest = away - times * range;
    const bool near_side = fmod(times, 2) == 0;
    return (v < from) == near_side ? from + rest : to - rest;
  }
  // the element that index i of dim d means; -1 where it means 0
  static int64_t resolve(const eff_grid_sample &p, int32_t d, double i) {
    if (p.padding == zeros && !(i >= 0 && i < (double)p.in[d])) return -1;
    if (p.padding == reflection) i = reflect(i, low(p), high(p, d));
    return clamp(saturate<int64_t>(i), 0, p.in[d] - 1);
  }

  // Keys' filter with a = -0.75, for |t| < 2
  static double cubic_weight(double t) {
    const double a = -0.75;
    t = fabs(t);
    return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  }

  static double sample(const field &f, int32_t d, int64_t offset) {
    if (d == f.p.spatial) return (double)load(f.x + offset);
    double sum = 0;
    const double base = floor(f.at[d]);
    const int first = f.p.mode == cubic ? -1 : 0, last = f.p.mode == cubic ? 2 : f.p.mode == linear ? 1 : 0;
    for (int t = first; t <= last; t++) {
      const double away = base + t - f.at[d];
      const double w = f.p.mode == nearest ? 1 : f.p.mode == linear ? 1 - fabs(away) : cubic_weight(away);
      const int64_t i = resolve(f.p, d, base + t);
      sum += w * (i < 0 ? 0 : sample(f, d + 1, offset + i * f.strides[d]));
    }
    return sum;
  }

  static double grid_at(const void *grid, int32_t type, int64_t i) {
    switch (type) {
      case EFF_TYPE_F64: return load((const double *)grid + i);
      case EFF_TYPE_F16: return load((const half *)grid + i);
      case EFF_TYPE_BF16: return load((const bfloat *)grid + i);
      default: return load((const float *)grid + i);
    }
  }

  // the source coordinate of a grid value; float arithmetic as everywhere else, since ties decide between pixels
  static double coordinate(const eff_grid_sample &p, int32_t d, double g) {
    const double length = (double)p.in[d];
    double v = p.align_corners ? (g + 1) / 2 * (length - 1) : ((g + 1) * length - 1) / 2;
    if (!same<T, double>::value) v = (float)v;
    if (p.mode == nearest) v = rint(v);
    // cubic pads its taps and keeps the coordinate, as PyTorch and onnxruntime do
    if (p.mode != cubic && (v < low(p) || v > high(p, d))) {
      if (p.padding == border) v = v < 0 ? 0 : v > length - 1 ? length - 1 : v;
      else if (p.padding == reflection) v = reflect(v, low(p), high(p, d));
    }
    return p.mode == nearest ? trunc(v) : v;
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_grid_sample &p = *(const eff_grid_sample *)op->params;
    const int64_t in = product(p.in, p.spatial), out = product(p.out, p.spatial);
    const int32_t type = p.grid_type ? p.grid_type : same<T, double>::value ? EFF_TYPE_F64 : own_type();
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      const void *grid = at.at<const void>(1);
      T *y = at.at<T>(2);
      field f{p, x, {}, {}};
      dense_strides(p.in, p.spatial, f.strides, -1);
      for (int64_t b = 0; b < p.batch; b++) {
        for (int64_t o = 0; o < out; o++) {
          for (int32_t d = 0; d < p.spatial; d++)
            f.at[d] = coordinate(p, d, grid_at(grid, type, (b * out + o) * p.spatial + p.spatial - 1 - d));
          for (int64_t c = 0; c < p.channels; c++) {
            f.x = x + (b * p.channels + c) * in;
            store(y + (b * p.channels + c) * out + o, in ? sample(f, 0, 0) : 0.0);
          }
        }
      }
    }
  }

  static int32_t own_type() {
    return same<T, half>::value ? EFF_TYPE_F16 : same<T, bfloat>::value ? EFF_TYPE_BF16 : EFF_TYPE_F32;
  }
};

}  // namespace

eff_kernel find_grid_sample(int32_t type) { return pick_float<grid_sample>(type); }

}  // namespace eff
EFF_SMALL_END
