// Which kernels a level has.
#include "../internal.h"
#define EFF_FAMILY "level.h"
#include "levels.h"

// one row per family; NULL where the level has nothing of its own
struct family {
  int64_t (*dense_size)(const eff_dense *);
  void (*dense_pack)(const eff_dense *, const float *, int64_t, int64_t, const float *, void *);
  int64_t (*rnn_size)(const eff_rnn *), (*rnn_scratch)(const eff_rnn *);
  void (*rnn_pack)(const eff_rnn *, const float *, const float *, const float *, void *);
  int64_t (*conv_size)(const eff_conv *), (*conv_scratch)(const eff_conv *);
  void (*conv_pack)(const eff_conv *, const float *, const float *, void *);
  eff_kernel unary, binary, dense, rnn, conv, pool, norm, softmax, reduce, matmul, attention;
};
#define LEVEL(ns)                                                                                                      \
  {ns::dense_packed_size,                                                                                              \
   ns::dense_pack,                                                                                                     \
   ns::rnn_packed_size,                                                                                                \
   ns::rnn_scratch_size,                                                                                               \
   ns::rnn_pack,                                                                                                       \
   ns::conv_packed_size,                                                                                               \
   ns::conv_scratch_size,                                                                                              \
   ns::conv_pack,                                                                                                      \
   ns::unary,                                                                                                          \
   ns::binary,                                                                                                         \
   ns::dense,                                                                                                          \
   ns::rnn,                                                                                                            \
   ns::conv,                                                                                                           \
   ns::pool,                                                                                                           \
   ns::norm,                                                                                                           \
   ns::softmax,                                                                                                        \
   ns::reduce,                                                                                                         \
   ns::matmul,                                                                                                         \
   ns::attention}
static const family families[EFF_ISA_COUNT] = {
  {},
#if defined(__x86_64__)
  LEVEL(eff_sse2), LEVEL(eff_avx2), LEVEL(eff_avx512), {},
#elif defined(__aarch64__)
  {}, {}, {}, LEVEL(eff_neon),
#endif
};
static const family *of(int32_t level) { return &families[level > 0 && level < EFF_ISA_COUNT ? level : 0]; }

extern "C" {

eff_kernel eff_kernel_find_simd(int32_t id, int32_t type, int32_t level) {
  if (type != EFF_TYPE_F32) return nullptr;
  const family *f = of(level);
  switch (id) {
    case EFF_K_UNARY: return f->unary;
    case EFF_K_BINARY: return f->binary;
    case EFF_K_POOL: return f->pool;
    case EFF_K_NORM: return f->norm;
    case EFF_K_SOFTMAX: return f->softmax;
    case EFF_K_REDUCE: return f->reduce;
    case EFF_K_MATMUL: return f->matmul;
    case EFF_K_ATTENTION: return f->attention;
    case EFF_K_DENSE: return f->dense;
    case EFF_K_CONV_PACKED: return f->conv;
    case EFF_K_RNN_PACKED: return f->rnn;
    default: return nullptr;
  }
}

int64_t eff_dense_packed_size_simd(const eff_dense *d, int32_t level) {
  return of(level)->dense_size ? of(level)->dense_size(d) : 0;
}
void eff_dense_pack_simd(const eff_dense *d, int32_t level, const float *w, int64_t k_stride, int64_t n_stride,
                         const float *bias, void *packed) {
  of(level)->dense_pack(d, w, k_stride, n_stride, bias, packed);
}

int64_t eff_rnn_packed_size_simd(const eff_rnn *r, int32_t level) {
  return of(level)->rnn_size ? of(level)->rnn_size(r) : 0;
}
int64_t eff_rnn_packed_scratch_size_simd(const eff_rnn *r, int32_t level) {
  return of(level)->rnn_scratch ? of(level)->rnn_scratch(r) : 0;
}
void eff_rnn_pack_simd(const eff_rnn *r, int32_t level, const float *w, const float *recurrent, const float *b,
                       void *packed) {
  of(level)->rnn_pack(r, w, recurrent, b, packed);
}

int64_t eff_conv_packed_size_simd(const eff_conv *c, int32_t level) {
  return of(level)->conv_size ? of(level)->conv_size(c) : 0;
}
int64_t eff_conv_scratch_size_simd(const eff_conv *c, int32_t level) {
  return of(level)->conv_scratch ? of(level)->conv_scratch(c) : 0;
}
void eff_conv_pack_simd(const eff_conv *c, int32_t level, const float *w, const float *bias, void *packed) {
  of(level)->conv_pack(c, w, bias, packed);
}

}  // extern "C"
