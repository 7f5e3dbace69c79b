// Derivatives of convolutions and pooling: every pair of an input and an output element that a window joins, once.
#include "derivative.h"

namespace eff {
namespace {

// The naive twin of derivative_conv.inl, whose convention this has.
template <class T, bool Transposed> struct conv {
  static void run(const eff_op *op, int64_t) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const windows v(p, Transposed ? p.out : p.in, Transposed ? p.in : p.out, p.pad);
    const int64_t outs = Transposed ? p.in_channels : p.out_channels, ins = Transposed ? p.out_channels : p.in_channels,
                  per = ins / p.groups;
    const T *x = (const T *)op->p[0], *w = (const T *)op->p[1], *g = (const T *)op->p[7];
    T *dx = (T *)op->p[4], *dw = (T *)op->p[5], *db = (T *)op->p[6];
    const int64_t x_channel = Transposed ? v.out_size : v.in_size, g_channel = Transposed ? v.in_size : v.out_size;
    for (int64_t n = 0; n < p.batch; n++, x += p.in_channels * x_channel, g += p.out_channels * g_channel,
                 dx += dx ? p.in_channels * x_channel : 0) {
      for (int64_t c = 0; c < p.out_channels && db; c++)
        for (int64_t i = 0; i < g_channel; i++) db[c] += g[c * g_channel + i];
      for (int64_t o = 0; o < outs; o++)
        for (int64_t c = 0; c < per; c++) {
          const int64_t i = o / (outs / p.groups) * per + c, tap0 = (o * per + c) * v.kernel_size;
          const T *xc = x + (Transposed ? o : i) * x_channel, *gc = g + (Transposed ? i : o) * g_channel;
          T *dxc = dx ? dx + (Transposed ? o : i) * x_channel : nullptr;
          v.each([&](int64_t tap, int64_t small, int64_t big) {
            const int64_t xi = Transposed ? small : big, gi = Transposed ? big : small;
            if (dxc) dxc[xi] += w[tap0 + tap] * gc[gi];
            if (dw) dw[tap0 + tap] += xc[xi] * gc[gi];
          });
        }
    }
  }
};
template <class T> using conv_plain = conv<T, false>;
template <class T> using conv_transposed = conv<T, true>;

// x, y, indices?, and the gradients of x and y. A maximum that occurs several times in a window shares its gradient.
template <class T> struct pool {
  static void run(const eff_op *op, int64_t) {
    const eff_pool &p = *(const eff_pool *)op->params;
    const windows v(p, p.in, p.out, p.pad_begin);
    const T *x = (const T *)op->p[0], *y = (const T *)op->p[1], *g = (const T *)op->p[4];
    T *dx = (T *)op->p[3];
    for (int64_t c = 0; c < p.batch * p.channels;
         c++, x += v.in_size, dx += v.in_size, y += v.out_size, g += v.out_size)
      v.each([&](int64_t, int64_t o, int64_t i) {
        const double at = x[i], z = y[o];
        double s = 0;
        if (p.fn == EFF_POOL_AVERAGE) s = 1 / (double)members(p, v, o);
        else if (p.fn == EFF_POOL_MAX) s = at == z ? 1 / (double)ties(v, o, x, z) : 0;
        else s = z > 0 ? pow(fabs(at) / z, p.p - 1) * (at < 0 ? -1 : 1) : 0;
        dx[i] += (T)(g[o] * s);
      });
  }

  // elements of window `o` of which the average is taken, as the forward kernel counts them
  static int64_t members(const eff_pool &p, const windows &v, int64_t o) {
    const int64_t at[3] = {o / (v.out[1] * v.out[2]), o / v.out[2] % v.out[1], o % v.out[2]};
    int64_t n = 1;
    for (int d = 0; d < 3; d++) {
      const int32_t s = d - (3 - p.spatial);
      const int64_t end = v.in[d] + (p.count_include_pad && s >= 0 ? p.pad_end[s] : 0);
      int64_t m = 0;
      for (int64_t k = 0; k < v.kernel[d]; k++) {
        const int64_t i = at[d] * v.stride[d] + k * v.dilation[d] - v.pad[d];
        m += i < end && (p.count_include_pad || i >= 0);
      }
      n *= m;
    }
    return n;
  }

  static int64_t ties(const windows &v, int64_t o, const T *x, double top) {
    int64_t n = 0;
    windows one = v;
    const int64_t at[3] = {o / (v.out[1] * v.out[2]), o / v.out[2] % v.out[1], o % v.out[2]};
    for (int d = 0; d < 3; d++) one.out[d] = 1, one.pad[d] = v.pad[d] - at[d] * v.stride[d];
    one.each([&](int64_t, int64_t, int64_t i) { n += x[i] == top; });
    return n;
  }
};

}  // namespace

eff_kernel find_derivative_window(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_CONV: return pick_real<conv_plain>(type);
    case EFF_K_CONV_TRANSPOSE: return pick_real<conv_transposed>(type);
    case EFF_K_POOL: return pick_real<pool>(type);
    default: return nullptr;
  }
}

}  // namespace eff
