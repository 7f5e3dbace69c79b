// EFF_K_CONV, CONV_TRANSPOSE, CONV_INTEGER. Fewer than 3 spatial dims are padded in front with dims of 1.
#include "generic.h"

namespace eff {
namespace {

struct volume {
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], in_size, out_size, kernel_size;
};

volume volume_of(const eff_conv &p) {
  volume v;
  const int32_t skip = 3 - p.spatial;
  for (int32_t d = 0; d < 3; d++) {
    const int32_t s = d - skip;
    v.in[d] = s < 0 ? 1 : p.in[s], v.out[d] = s < 0 ? 1 : p.out[s], v.kernel[d] = s < 0 ? 1 : p.kernel[s];
    v.stride[d] = s < 0 ? 1 : p.stride[s], v.dilation[d] = s < 0 ? 1 : p.dilation[s], v.pad[d] = s < 0 ? 0 : p.pad[s];
  }
  v.in_size = product(v.in, 3), v.out_size = product(v.out, 3), v.kernel_size = product(v.kernel, 3);
  return v;
}

inline int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// outputs are computed in tiles of 8 neighbours; the vector type keeps every optimization level from rearranging the
// loops
constexpr int64_t block = 8;
template <class A> struct vector_of { typedef A type __attribute__((vector_size(8 * sizeof(A)))); };
template <class A> using vector = typename vector_of<A>::type;

// where a tile of outputs lies: up to `block` neighbours along the last dim
struct place { int64_t oz, oy, ox, n; };

// sums of one tile for M filters, all taps and channels. x_at: a value of the input group; w_at: a weight of filter m.
template <int M, class A, class X, class W> __attribute__((always_inline)) inline void
convolve(const volume &v, int64_t channels, const place &o, vector<A> *sum, X x_at, W w_at) {
  for (int64_t kx = 0; kx < v.kernel[2]; kx++) {
    // outputs whose tap kx is inside the input
    const int64_t base = o.ox * v.stride[2] + kx * v.dilation[2] - v.pad[2], step = v.stride[2];
    const int64_t from = clamp(ceil_div(-base, step), 0, o.n), to = clamp(ceil_div(v.in[2] - base, step), from, o.n);
    if (from == to) continue;
    for (int64_t kz = 0; kz < v.kernel[0]; kz++) {
      const int64_t iz = o.oz * v.stride[0] + kz * v.dilation[0] - v.pad[0];
      if (iz < 0 || iz >= v.in[0]) continue;
      for (int64_t ky = 0; ky < v.kernel[1]; ky++) {
        const int64_t iy = o.oy * v.stride[1] + ky * v.dilation[1] - v.pad[1];
        if (iy < 0 || iy >= v.in[1]) continue;
        const int64_t line = (iz * v.in[1] + iy) * v.in[2] + base, tap = (kz * v.kernel[1] + ky) * v.kernel[2] + kx;
        // all channels of this tap, with the sums in registers; load_x fills the inputs of one channel
        const auto channel_loop = [&](auto load_x) {
          vector<A> part[M], x = {};
          for (int m = 0; m < M; m++) part[m] = sum[m];
          for (int64_t c = 0; c < channels; c++) {
            load_x(c * v.in_size + line, &x);
            for (int m = 0; m < M; m++) part[m] += w_at(m, c * v.kernel_size + tap) * x;
          }
          for (int m = 0; m < M; m++) sum[m] = part[m];
        };
        if (to - from == block && step == 1)
          channel_loop([&](int64_t first, vector<A> *x) {
            for (int64_t i = 0; i < block; i++) (*x)[i] = x_at(first + i);
          });
        else
          channel_loop([&](int64_t first, vector<A> *x) {
            for (int64_t i = 0; i < block; i++) (*x)[i] = i >= from && i < to ? x_at(first + i * step) : A(0);
          });
      }
    }
  }
}

// visit(place, index of its first output in a plane)
template <class F> inline void each_tile(const volume &v, F visit) {
  for (int64_t oz = 0; oz < v.out[0]; oz++)
    for (int64_t oy = 0; oy < v.out[1]; oy++)
      for (int64_t ox = 0; ox < v.out[2]; ox += block)
        visit(place{oz, oy, ox, min_of(block, v.out[2] - ox)}, (oz * v.out[1] + oy) * v.out[2] + ox);
}

template <class T> struct conv {
  using A = wide_t<T>;

  // M filters from `oc` on, all of one group; x: the channels of that group
  template <int M>
  static void filters(const eff_conv &p, const volume &v, int64_t oc, const T *x, const T *w, const T *bias, T *y) {
    const int64_t channels = p.in_channels / p.groups, size = channels * v.kernel_size;
    each_tile(v, [&](const place &o, int64_t first) {
      vector<A> sum[M];
      for (int m = 0; m < M; m++) sum[m] = vector<A>{} + (bias ? A(load(bias + oc + m)) : A(0));
      convolve<M, A>(
          v, channels, o, sum, [=](int64_t i) { return load(x + i); },
          [=](int m, int64_t i) { return load(w + (oc + m) * size + i); });
      for (int m = 0; m < M; m++)
        for (int64_t i = 0; i < o.n; i++)
          store(y + (oc + m) * v.out_size + first + i,
                p.act == EFF_FN_IDENTITY ? sum[m][i] : activate(p.act, sum[m][i], (A)p.alpha, (A)p.beta));
    });
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const volume v = volume_of(p);
    const int64_t channels = p.in_channels / p.groups, share = p.out_channels / p.groups;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0), *w = at.at<const T>(1), *bias = at.at<const T>(2);
      T *y = at.at<T>(3);
      for (int64_t b = 0; b < p.batch; b++, y += p.out_channels * v.out_size) {
        for (int64_t g = 0; g < p.groups; g++, x += channels * v.in_size) {
          int64_t oc = g * share;
          if constexpr (same<T, float>::value)
            for (; oc + 4 <= (g + 1) * share; oc += 4) filters<4>(p, v, oc, x, w, bias, y);
          for (; oc < (g + 1) * share; oc++) filters<1>(p, v, oc, x, w, bias, y);
        }
      }
    }
  }
};

template <class T> struct conv_integer {
  static void run(const eff_op *op, int64_t rows) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const volume v = volume_of(p);
    const int64_t channels = p.in_channels / p.groups, filters = p.out_channels / p.groups;
    const bool w_signed = p.w_type ? p.w_type == EFF_TYPE_I8 : (T)-1 < (T)0;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0), *x_zero = at.at<const T>(2);
      const uint8_t *w = at.at<const uint8_t>(1), *w_zero = at.at<const uint8_t>(3);
      int32_t *y = at.at<int32_t>(4);
      const int32_t zx = x_zero ? *x_zero : 0;
      const auto byte = [=](uint8_t u) { return w_signed ? (int32_t)(int8_t)u : (int32_t)u; };
      for (int64_t b = 0; b < p.batch; b++) {
        for (int64_t oc = 0; oc < p.out_channels; oc++) {
          const T *xg = x + (b * p.in_channels + oc / filters * channels) * v.in_size;
          const uint8_t *wf = w + oc * channels * v.kernel_size;
          const int32_t zw = w_zero ? byte(w_zero[oc * p.w_zero_stride]) : 0;
          each_tile(v, [&](const place &o, int64_t) {
            vector<uint32_t> sum[1] = {};
            convolve<1, uint32_t>(
                v, channels, o, sum, [=](int64_t i) { return (uint32_t)(xg[i] - zx); },
                [=](int, int64_t i) { return (uint32_t)(byte(wf[i]) - zw); });
            for (int64_t i = 0; i < o.n; i++) *y++ = (int32_t)sum[0][i];
          });
        }
      }
    }
  }
};

// the input position that tap k of output o came from; false where there is none
inline bool source(const volume &v, int d, int64_t o, int64_t k, int64_t *i) {
  const int64_t at = o + v.pad[d] - k * v.dilation[d];
  *i = at / v.stride[d];
  return at >= 0 && at % v.stride[d] == 0 && *i < v.in[d];
}

template <class T> struct conv_transpose {
  using A = wide_t<T>;
  static void run(const eff_op *op, int64_t rows) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const volume v = volume_of(p);
    const int64_t channels = p.in_channels / p.groups, filters = p.out_channels / p.groups;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0), *w = at.at<const T>(1), *bias = at.at<const T>(2);
      T *y = at.at<T>(3);
      for (int64_t b = 0; b < p.batch; b++) {
        for (int64_t oc = 0; oc < p.out_channels; oc++) {
          const int64_t group = oc / filters;
          const T *xg = x + (b * p.in_channels + group * channels) * v.in_size;
          const T *wf = w + (group * channels * filters + oc % filters) * v.kernel_size;
          for (int64_t o = 0; o < v.out_size; o++) {
            const int64_t oz = o / (v.out[1] * v.out[2]), oy = o / v.out[2] % v.out[1], ox = o % v.out[2];
            A sum = bias ? load(bias + oc) : A(0);
            int64_t iz, iy, ix;
            for (int64_t kz = 0; kz < v.kernel[0]; kz++) {
              if (!source(v, 0, oz, kz, &iz)) continue;
              for (int64_t ky = 0; ky < v.kernel[1]; ky++) {
                if (!source(v, 1, oy, ky, &iy)) continue;
                for (int64_t kx = 0; kx < v.kernel[2]; kx++) {
                  if (!source(v, 2, ox, kx, &ix)) continue;
                  const T *from = xg + (iz * v.in[1] + iy) * v.in[2] + ix,
                          *tap = wf + (kz * v.kernel[1] + ky) * v.kernel[2] + kx;
                  for (int64_t c = 0; c < channels; c++)
                    sum += load(from + c * v.in_size) * load(tap + c * filters * v.kernel_size);
                }
              }
            }
            store(y++, p.act == EFF_FN_IDENTITY ? sum : activate(p.act, sum, (A)p.alpha, (A)p.beta));
          }
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_conv(int32_t id, int32_t type) {
  if (id == EFF_K_CONV) return pick_float<conv>(type);
  if (id == EFF_K_CONV_TRANSPOSE) return pick_float<conv_transpose>(type);
  return type == EFF_TYPE_U8   ? small<conv_integer<uint8_t>>::run
         : type == EFF_TYPE_I8 ? small<conv_integer<int8_t>>::run
                               : nullptr;
}

}  // namespace eff
