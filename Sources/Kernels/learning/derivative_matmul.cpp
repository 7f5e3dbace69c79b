// Products and convolutions of learners, once per instruction set, and the table of all derivatives.
#include "derivative.h"

#if defined(__x86_64__)
#define EFF_BASE_LEVEL EFF_ISA_SSE2
#else
#define EFF_BASE_LEVEL EFF_ISA_NEON
#endif

namespace eff_derivative_base {
constexpr int vector_bytes = 16;
#include "derivative_matmul.inl"
#include "derivative_conv.inl"
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace eff_derivative_avx2 {
constexpr int vector_bytes = 32;
#include "derivative_matmul.inl"
#include "derivative_conv.inl"
}
#pragma clang attribute pop
#endif

namespace eff {

static bool is_wide(int32_t level) {
#if defined(__x86_64__)
  return level >= EFF_ISA_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

#if defined(__x86_64__)
#define EFF_AT(level, kernel) \
  (is_wide(level) ? pick_real<eff_derivative_avx2::kernel>(type) : pick_real<eff_derivative_base::kernel>(type))
#else
#define EFF_AT(level, kernel) pick_real<eff_derivative_base::kernel>(type)
#endif

}  // namespace eff

extern "C" {

eff_kernel eff_derivative_find(int32_t id, int32_t type, int32_t level) {
  using eff::is_wide, eff::pick_real;
  if (id == EFF_K_MATMUL) return EFF_AT(level, matmul);
  if (id == EFF_K_CONV && level != EFF_ISA_NAIVE) return EFF_AT(level, conv_plain);
  if (id == EFF_K_CONV_TRANSPOSE && level != EFF_ISA_NAIVE) return EFF_AT(level, conv_transposed);
  eff_kernel k = eff::find_derivative_elementwise(id, type);
  if (!k) k = eff::find_derivative_reduction(id, type);
  return k ? k : eff::find_derivative_window(id, type);
}

eff_kernel eff_learn_kernel_find(int32_t id, int32_t type, int32_t level) {
  using eff::is_wide, eff::pick_real;
  eff_kernel k = nullptr;
  if (id == EFF_K_MATMUL && level != EFF_ISA_NAIVE) {
    k = pick_real<eff_derivative_base::product_128>(type);
#if defined(__x86_64__)
    if (eff::is_wide(level))
      k = level >= EFF_ISA_AVX512 ? pick_real<eff_derivative_avx2::product_512>(type)
                                  : pick_real<eff_derivative_avx2::product_256>(type);
#endif
  }
  if (id == EFF_K_CONV && level != EFF_ISA_NAIVE) k = EFF_AT(level, conv_forward_plain);
  if (id == EFF_K_CONV_TRANSPOSE && level != EFF_ISA_NAIVE) k = EFF_AT(level, conv_forward_transposed);
  return k ? k : eff_kernel_find(id, type, level);
}

int32_t eff_derivative_operands(int32_t id) {
  switch (id) {
    case EFF_K_UNARY: case EFF_K_COPY: case EFF_K_CAST: case EFF_K_REDUCE: case EFF_K_SOFTMAX: return 2;
    case EFF_K_BINARY: case EFF_K_GATHER: case EFF_K_GATHER_ELEMENTS: case EFF_K_POOL: return 3;
    case EFF_K_WHERE: case EFF_K_MATMUL: case EFF_K_CONV: case EFF_K_CONV_TRANSPOSE: case EFF_K_NORM: return 4;
    default: return 0;
  }
}

}  // extern "C"
