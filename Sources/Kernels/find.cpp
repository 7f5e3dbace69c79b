#include "internal.h"

extern "C" {

eff_kernel eff_kernel_find(int32_t id, int32_t type, int32_t level) {
  eff_kernel k = level == EFF_ISA_NAIVE ? nullptr : eff_kernel_find_simd(id, type, level);
  return k ? k : eff_kernel_find_generic(id, type);
}

int64_t eff_dense_packed_size(const eff_dense *d, int32_t level) {
  return level == EFF_ISA_NAIVE ? eff_dense_packed_size_generic(d) : eff_dense_packed_size_simd(d, level);
}

void eff_dense_pack(const eff_dense *d, int32_t level, const float *w, int64_t k_stride, int64_t n_stride,
                    const float *bias, void *packed) {
  if (level == EFF_ISA_NAIVE) eff_dense_pack_generic(d, w, k_stride, n_stride, bias, packed);
  else eff_dense_pack_simd(d, level, w, k_stride, n_stride, bias, packed);
}

int64_t eff_conv_packed_size(const eff_conv *c, int32_t level) {
  return level == EFF_ISA_NAIVE ? 0 : eff_conv_packed_size_simd(c, level);
}
int64_t eff_conv_scratch_size(const eff_conv *c, int32_t level) {
  return level == EFF_ISA_NAIVE ? 0 : eff_conv_scratch_size_simd(c, level);
}
void eff_conv_pack(const eff_conv *c, int32_t level, const float *w, const float *bias, void *packed) {
  if (level != EFF_ISA_NAIVE) eff_conv_pack_simd(c, level, w, bias, packed);
}

int64_t eff_rnn_packed_size(const eff_rnn *r, int32_t level) {
  return level == EFF_ISA_NAIVE ? 0 : eff_rnn_packed_size_simd(r, level);
}
int64_t eff_rnn_packed_scratch_size(const eff_rnn *r, int32_t level) {
  return level == EFF_ISA_NAIVE ? 0 : eff_rnn_packed_scratch_size_simd(r, level);
}
void eff_rnn_pack(const eff_rnn *r, int32_t level, const float *w, const float *recurrent, const float *b,
                  void *packed) {
  if (level != EFF_ISA_NAIVE) eff_rnn_pack_simd(r, level, w, recurrent, b, packed);
}

}  // extern "C"
