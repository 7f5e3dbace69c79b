// What the parts of Kernels offer each other. `level` is above EFF_ISA_NAIVE in every _simd function; a size of 0 or
// NULL means that the level has nothing for these parameters.
#pragma once
#include "kernels.h"

#pragma GCC visibility push(hidden)
#ifdef __cplusplus
extern "C" {
#endif

// generic/: every kernel, and the plain dense format ([k][n] f32, then n f32 of bias).
eff_kernel eff_kernel_find_generic(int32_t id, int32_t type);
int64_t eff_dense_packed_size_generic(const eff_dense *d);
void eff_dense_pack_generic(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride, const float *bias,
                            void *packed);

// Attention takes so many queries at a time that their scores stay in the second cache.
enum { EFF_ATTENTION_QUERIES = 96, EFF_ATTENTION_SCORES = 32768 };
static inline int64_t eff_attention_queries(const eff_attention *a) {
  const int64_t fit = EFF_ATTENTION_SCORES / (a->lk > 0 ? a->lk : 1), most = a->lq < fit ? a->lq : fit;
  return most > EFF_ATTENTION_QUERIES ? (int64_t)EFF_ATTENTION_QUERIES : most > 0 ? most : 1;
}

// 1 at a level whose products of bytes this processor sums by fours (VNNI, sdot); tests clear it to run the other way.
extern int32_t eff_byte_dots[EFF_ISA_COUNT];

// simd/: what pays per instruction set.
eff_kernel eff_kernel_find_simd(int32_t id, int32_t type, int32_t level);
int64_t eff_dense_packed_size_simd(const eff_dense *d, int32_t level);
void eff_dense_pack_simd(const eff_dense *d, int32_t level, const float *w, int64_t k_stride, int64_t n_stride,
                         const float *bias, void *packed);
int64_t eff_conv_packed_size_simd(const eff_conv *c, int32_t level);
int64_t eff_conv_scratch_size_simd(const eff_conv *c, int32_t level);
void eff_conv_pack_simd(const eff_conv *c, int32_t level, const float *w, const float *bias, void *packed);
int64_t eff_rnn_packed_size_simd(const eff_rnn *r, int32_t level);
int64_t eff_rnn_packed_scratch_size_simd(const eff_rnn *r, int32_t level);
void eff_rnn_pack_simd(const eff_rnn *r, int32_t level, const float *w, const float *recurrent, const float *b,
                       void *packed);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
