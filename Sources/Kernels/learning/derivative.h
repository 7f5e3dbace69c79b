// Shared by the derivatives of kernels.
#pragma once
#include "../generic/generic.h"
#include "learning.h"

namespace eff {
namespace {

// learning is f32, or f64 throughout
template <template <class> class K> eff_kernel pick_real(int32_t type) {
  return type == EFF_TYPE_F32 ? K<float>::run : type == EFF_TYPE_F64 ? K<double>::run : nullptr;
}

// one window per place of the grid `out`; fewer than 3 spatial dims are padded in front with dims of 1
struct windows {
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], in_size, out_size, kernel_size;

  template <class P> windows(const P &p, const int64_t *grid_in, const int64_t *grid_out, const int64_t *pads) {
    const int32_t skip = 3 - p.spatial;
    for (int32_t d = 0; d < 3; d++) {
      const int32_t s = d - skip;
      in[d] = s < 0 ? 1 : grid_in[s], out[d] = s < 0 ? 1 : grid_out[s], kernel[d] = s < 0 ? 1 : p.kernel[s];
      stride[d] = s < 0 ? 1 : p.stride[s], dilation[d] = s < 0 ? 1 : p.dilation[s], pad[d] = s < 0 ? 0 : pads[s];
    }
    in_size = product(in, 3), out_size = product(out, 3), kernel_size = product(kernel, 3);
  }

  // visit(tap, place of `out`, place of `in`) for all that lie inside
  template <class F> void each(F visit) const {
    int64_t tap = 0;
    for (int64_t kz = 0; kz < kernel[0]; kz++)
      for (int64_t ky = 0; ky < kernel[1]; ky++)
        for (int64_t kx = 0; kx < kernel[2]; kx++, tap++)
          for (int64_t oz = 0; oz < out[0]; oz++) {
            const int64_t z = oz * stride[0] + kz * dilation[0] - pad[0];
            if (z < 0 || z >= in[0]) continue;
            for (int64_t oy = 0; oy < out[1]; oy++) {
              const int64_t y = oy * stride[1] + ky * dilation[1] - pad[1];
              if (y < 0 || y >= in[1]) continue;
              for (int64_t ox = 0; ox < out[2]; ox++) {
                const int64_t x = ox * stride[2] + kx * dilation[2] - pad[2];
                if (x >= 0 && x < in[2]) visit(tap, (oz * out[1] + oy) * out[2] + ox, (z * in[1] + y) * in[2] + x);
              }
            }
          }
  }
};

}  // namespace

#pragma GCC visibility push(hidden)
eff_kernel find_derivative_elementwise(int32_t id, int32_t type);
eff_kernel find_derivative_reduction(int32_t id, int32_t type);
eff_kernel find_derivative_window(int32_t id, int32_t type);
#pragma GCC visibility pop

}  // namespace eff
