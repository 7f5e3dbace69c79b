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

}  // namespace

#pragma GCC visibility push(hidden)
eff_kernel find_derivative_elementwise(int32_t id, int32_t type);
eff_kernel find_derivative_reduction(int32_t id, int32_t type);
eff_kernel find_derivative_window(int32_t id, int32_t type);
#pragma GCC visibility pop

}  // namespace eff
