// EFF_K_POOL and EFF_K_LRN. Fewer than 3 spatial dims are padded in front with dims of 1.
#include "generic.h"

namespace eff {
namespace {

struct window { int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3]; };

window window_of(const eff_pool &p) {
  window w;
  const int32_t skip = 3 - p.spatial;
  for (int32_t d = 0; d < 3; d++) {
    const int32_t s = d - skip;
    w.in[d] = s < 0 ? 1 : p.in[s], w.out[d] = s < 0 ? 1 : p.out[s], w.kernel[d] = s < 0 ? 1 : p.kernel[s];
    w.stride[d] = s < 0 ? 1 : p.stride[s], w.dilation[d] = s < 0 ? 1 : p.dilation[s];
    w.begin[d] = s < 0 ? 0 : p.pad_begin[s], w.end[d] = s < 0 ? 0 : p.pad_end[s];
  }
  return w;
}

// visits the input offsets of one window; returns its size with the padding, but not what lies beyond the padding
template <class F> inline int64_t visit(const window &w, const int64_t *o, F f) {
  int64_t first[3], padded = 1;
  for (int d = 0; d < 3; d++) {
    first[d] = o[d] * w.stride[d] - w.begin[d];
    int64_t n = 0;
    for (int64_t k = 0; k < w.kernel[d]; k++) n += first[d] + k * w.dilation[d] < w.in[d] + w.end[d];
    padded *= n;
  }
  for (int64_t kz = 0; kz < w.kernel[0]; kz++) {
    const int64_t z = first[0] + kz * w.dilation[0];
    if (z < 0 || z >= w.in[0]) continue;
    for (int64_t ky = 0; ky < w.kernel[1]; ky++) {
      const int64_t y = first[1] + ky * w.dilation[1];
      if (y < 0 || y >= w.in[1]) continue;
      for (int64_t kx = 0; kx < w.kernel[2]; kx++) {
        const int64_t x = first[2] + kx * w.dilation[2];
        if (x >= 0 && x < w.in[2]) f((z * w.in[1] + y) * w.in[2] + x);
      }
    }
  }
  return padded;
}

// the offset of an element when the first spatial dim runs fastest
inline int64_t column_major(const window &w, int64_t i, int32_t spatial) {
  const int64_t z = i / (w.in[1] * w.in[2]), y = i / w.in[2] % w.in[1], x = i % w.in[2];
  if (spatial == 3) return z + w.in[0] * (y + w.in[1] * x);
  return spatial == 2 ? y + w.in[1] * x : x;
}

template <class T> struct pool {
  // y, and where it was found for the maximum
  static int64_t largest(const window &w, const int64_t *o, const T *x, T *y) {
    int64_t best = -1;
    visit(w, o, [&](int64_t i) {
      if (best < 0 || load(x + i) > load(x + best) || (load(x + i) != load(x + i) && load(x + best) == load(x + best)))
        best = i;
    });
    if (best >= 0) *y = x[best];
    else if constexpr (is_integer<T>::value) *y = saturate<T>(-INFINITY);
    else store(y, -(widest_t<T>)INFINITY);
    return max_of(best, 0);
  }
  static void combined(const eff_pool &p, const window &w, const int64_t *o, const T *x, T *y) {
    double sum = 0;
    int64_t n = 0;
    const double power = p.fn == EFF_POOL_AVERAGE ? 0 : p.p;
    const int64_t padded = visit(w, o, [&](int64_t i) {
      const double v = (double)load(x + i);
      sum += power == 0 ? v : power == 1 ? fabs(v) : power == 2 ? v * v : pow(fabs(v), power);
      n++;
    });
    double v = sum;
    if (p.fn == EFF_POOL_AVERAGE)
      v = p.count_include_pad ? sum / (double)max_of(padded, 1) : sum / (double)max_of(n, 1);
    else if (p.p != 1) v = p.p == 2 ? sqrt(sum) : pow(sum, 1 / p.p);
    if constexpr (is_integer<T>::value) *y = saturate<T>(rint(v));
    else store(y, v);
  }
  static void run(const eff_op *op, int64_t rows) {
    const eff_pool &p = *(const eff_pool *)op->params;
    const window w = window_of(p);
    const int64_t in = product(w.in, 3);
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      int64_t *indices = at.at<int64_t>(2);
      for (int64_t c = 0; c < p.batch * p.channels; c++, x += in) {
        int64_t o[3];
        for (o[0] = 0; o[0] < w.out[0]; o[0]++) {
          for (o[1] = 0; o[1] < w.out[1]; o[1]++) {
            for (o[2] = 0; o[2] < w.out[2]; o[2]++, y++) {
              if (p.fn != EFF_POOL_MAX) {
                combined(p, w, o, x, y);
                continue;
              }
              const int64_t i = largest(w, o, x, y);
              if (indices) *indices++ = c * in + (p.column_major ? column_major(w, i, p.spatial) : i);
            }
          }
        }
      }
    }
  }
};

template <class T> struct lrn {
  static void run(const eff_op *op, int64_t rows) {
    const eff_lrn &p = *(const eff_lrn *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      for (int64_t b = 0; b < p.batch; b++, x += p.channels * p.inner) {
        for (int64_t c = 0; c < p.channels; c++) {
          const int64_t from = max_of(0, c - (p.size - 1) / 2), to = min_of(p.channels - 1, c + p.size / 2);
          for (int64_t i = 0; i < p.inner; i++) {
            double sum = 0;
            for (int64_t k = from; k <= to; k++) {
              const double v = load(x + k * p.inner + i);
              sum += v * v;
            }
            store(y++, (double)load(x + c * p.inner + i) / pow(p.bias + p.alpha / (double)p.size * sum, p.beta));
          }
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_pool(int32_t id, int32_t type) {
  if (id == EFF_K_LRN) return pick_float<lrn>(type);
  return type == EFF_TYPE_I8   ? small<pool<int8_t>>::run
         : type == EFF_TYPE_U8 ? small<pool<uint8_t>>::run
                               : pick_float<pool>(type);
}

}  // namespace eff
