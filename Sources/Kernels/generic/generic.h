// Shared by the generic kernels: element types and their arithmetic type, rows, dispatch on a type.
#pragma once
#include "../internal.h"
#include <math.h>
#include <string.h>

#pragma clang diagnostic ignored "-Wunused-function"

namespace eff {

struct half { uint16_t bits; };
struct bfloat { uint16_t bits; };

// y = fn(x) for the codes of eff_unary. elementwise.cpp holds the instances: float, double, int64_t, uint64_t.
float activate(int32_t fn, float x, float alpha, float beta);
double activate(int32_t fn, double x, double alpha, double beta);

// everything below is internal to the file that includes it, so that files compiled with other instruction sets never
// share it
namespace {

template <class A, class B> A bits_as(B b) {
  static_assert(sizeof(A) == sizeof(B), "size");
  A a;
  memcpy(&a, &b, sizeof a);
  return a;
}

inline float widen(half h) {
  uint32_t sign = (uint32_t)(h.bits & 0x8000) << 16, magnitude = (uint32_t)(h.bits & 0x7fff) << 13;
  if (magnitude >= 0x7c00u << 13) return bits_as<float>(sign | 0x7f800000u | magnitude);
  // scaling by 2^112 moves the exponent and makes subnormals normal
  return bits_as<float>(sign | bits_as<uint32_t>(bits_as<float>(magnitude) * 0x1p112f));
}
inline float widen(bfloat b) { return bits_as<float>((uint32_t)b.bits << 16); }

inline half half_of(float f) {
  uint32_t u = bits_as<uint32_t>(f), sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000) return {(uint16_t)(sign | 0x7e00)};
  if (u >= 0x477ff000) return {(uint16_t)(sign | 0x7c00)};
  // below the smallest normal half, adding 0.5 leaves the rounded bits in the low end
  if (u < 0x38800000) return {(uint16_t)(sign | (bits_as<uint32_t>(bits_as<float>(u) + 0.5f) - 0x3f000000u))};
  return {(uint16_t)(sign | ((u - 0x38000000u + 0xfff + (u >> 13 & 1)) >> 13))};
}
inline bfloat bfloat_of(float f) {
  uint32_t u = bits_as<uint32_t>(f);
  if ((u & 0x7fffffff) > 0x7f800000) return {(uint16_t)(u >> 16 | 0x40)};
  return {(uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}
// double to float that keeps a sticky last bit, so that rounding again to 16 bits is exact
inline float sticky(double d) {
  float f = (float)d;
  if (f - f != 0 || (double)f == d) return f;
  uint32_t u = bits_as<uint32_t>(f);
  if (fabs((double)f) > fabs(d)) u--;
  return bits_as<float>(u | 1);
}

// the type that arithmetic on T uses
template <class T> struct wide { using type = T; };
template <> struct wide<half> { using type = float; };
template <> struct wide<bfloat> { using type = float; };
template <> struct wide<int8_t> { using type = int64_t; };
template <> struct wide<int16_t> { using type = int64_t; };
template <> struct wide<int32_t> { using type = int64_t; };
template <> struct wide<uint8_t> { using type = uint64_t; };
template <> struct wide<uint16_t> { using type = uint64_t; };
template <> struct wide<uint32_t> { using type = uint64_t; };
template <> struct wide<bool> { using type = uint64_t; };
template <class T> using wide_t = typename wide<T>::type;

// double for every float type, integers as wide
template <class T> struct widest { using type = wide_t<T>; };
template <> struct widest<float> { using type = double; };
template <> struct widest<half> { using type = double; };
template <> struct widest<bfloat> { using type = double; };
template <class T> using widest_t = typename widest<T>::type;

// the element types that are integers or bool
template <class T> struct is_integer { static constexpr bool value = true; };
template <> struct is_integer<float> { static constexpr bool value = false; };
template <> struct is_integer<double> { static constexpr bool value = false; };
template <> struct is_integer<half> { static constexpr bool value = false; };
template <> struct is_integer<bfloat> { static constexpr bool value = false; };

template <class A, class B> struct same { static constexpr bool value = false; };
template <class A> struct same<A, A> { static constexpr bool value = true; };

inline float load(const half *p) { return widen(*p); }
inline float load(const bfloat *p) { return widen(*p); }
// bool elements come from outside: any byte that is not 0 counts as true
inline uint64_t load(const bool *p) { return *(const uint8_t *)p != 0; }
template <class T> inline wide_t<T> load(const T *p) { return (wide_t<T>)*p; }

inline void store(half *p, float v) { *p = half_of(v); }
inline void store(bfloat *p, float v) { *p = bfloat_of(v); }
inline void store(half *p, double v) { *p = half_of(sticky(v)); }
inline void store(bfloat *p, double v) { *p = bfloat_of(sticky(v)); }
inline void store(bool *p, uint64_t v) { *p = v != 0; }
inline void store(float *p, float v) { *p = v; }
inline void store(float *p, double v) { *p = (float)v; }
inline void store(double *p, double v) { *p = v; }
template <class T, class W> inline void store(T *p, W v) { *p = (T)v; }

// double to an integer type: toward zero, saturating, NaN gives 0
template <class T> inline T saturate(double v) {
  constexpr bool is_signed = (T)-1 < (T)0;
  constexpr int width = sizeof(T) * 8 - (is_signed ? 1 : 0);
  const double end = width == 64 ? 0x1p64 : width == 63 ? 0x1p63 : (double)(1ull << (width & 63));
  if (v != v) return 0;
  if (v >= end) return (T)((~0ull) >> (64 - width));
  if (is_signed ? v < -end : v < 0) return is_signed ? (T)(1ull << (width & 63)) : (T)0;
  return (T)v;
}

inline int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }
inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

// one row of an op: typed operand addresses
struct row {
  const eff_op *op;
  int64_t index;
  template <class T> T *at(int i) const { return op->p[i] ? (T *)((char *)op->p[i] + index * op->stride[i]) : nullptr; }
};

// i32 or i64 indices; negative ones count from the end, and the result is inside [0, n)
inline int64_t index_raw(const void *p, int32_t type, int64_t i) {
  return type == EFF_TYPE_I32 ? ((const int32_t *)p)[i] : ((const int64_t *)p)[i];
}
inline int64_t index_at(const void *p, int32_t type, int64_t i, int64_t n) {
  int64_t v = index_raw(p, type, i);
  return clamp(v < 0 ? v + n : v, 0, n - 1);
}

// any integer or float type as an index, without clamping
inline int64_t index_any(const void *p, int32_t type, int64_t i) {
  switch (type) {
    case EFF_TYPE_I8: return ((const int8_t *)p)[i];
    case EFF_TYPE_U8: return ((const uint8_t *)p)[i];
    case EFF_TYPE_I16: return ((const int16_t *)p)[i];
    case EFF_TYPE_U16: return ((const uint16_t *)p)[i];
    case EFF_TYPE_I32: return ((const int32_t *)p)[i];
    case EFF_TYPE_U32: return ((const uint32_t *)p)[i];
    case EFF_TYPE_F32: return saturate<int64_t>(((const float *)p)[i]);
    case EFF_TYPE_F64: return saturate<int64_t>(((const double *)p)[i]);
    case EFF_TYPE_F16: return saturate<int64_t>(widen(((const half *)p)[i]));
    default: return ((const int64_t *)p)[i];
  }
}

// walks a C-order index over dims; offsets follow with it. rank 0 is one element.
template <int N> struct walker {
  int32_t rank;
  const int64_t *dims;
  const int64_t *strides[N];
  int64_t index[EFF_RANK + 1], offset[N];
  // false after the last one
  bool next() {
    for (int32_t d = rank - 1; d >= 0; d--) {
      for (int n = 0; n < N; n++) offset[n] += strides[n][d];
      if (++index[d] < dims[d]) return true;
      for (int n = 0; n < N; n++) offset[n] -= strides[n][d] * dims[d];
      index[d] = 0;
    }
    return false;
  }
};

// drops dims of 1 and joins neighbours that every operand walks as one
template <int N> inline int32_t merge(int32_t rank, const int64_t *dims, const int64_t *const *in, int64_t *out_dims,
                                      int64_t (*out)[EFF_RANK + 1]) {
  int32_t k = 0;
  for (int32_t d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    bool joins = k > 0;
    for (int i = 0; i < N && joins; i++) joins = out[i][k - 1] == in[i][d] * dims[d];
    if (joins) out_dims[k - 1] *= dims[d];
    else out_dims[k++] = dims[d];
    for (int i = 0; i < N; i++) out[i][k - 1] = in[i][d];
  }
  if (k == 0) {
    out_dims[0] = 1;
    for (int i = 0; i < N; i++) out[i][0] = 0;
    k = 1;
  }
  return k;
}

inline int64_t product(const int64_t *dims, int32_t rank) {
  int64_t n = 1;
  for (int32_t d = 0; d < rank; d++) n *= dims[d];
  return n;
}

// C-order strides of dims; the stride of `axis` is returned and left 0 in the list, so that a walker skips it
inline int64_t dense_strides(const int64_t *dims, int32_t rank, int64_t *strides, int32_t axis) {
  int64_t n = 1, step = 0;
  for (int32_t d = rank - 1; d >= 0; n *= dims[d--]) {
    strides[d] = d == axis ? 0 : n;
    if (d == axis) step = n;
  }
  return step;
}

// where the slice that an index tuple names begins
inline int64_t tuple_offset(const eff_nd &p, const void *indices, int64_t tuple) {
  int64_t offset = 0;
  for (int32_t d = 0; d < p.depth; d++)
    offset = offset * p.data[d] + index_at(indices, p.index_type, tuple * p.depth + d, p.data[d]);
  return offset * p.inner;
}

// the instance of a kernel template, `template <class T> struct K { static void run(const eff_op *, int64_t); }`, for a
// type
#define EFF_SMALL __attribute__((minsize))
// a file of kernels that are rare, or have twins in simd/ for what is not, is compiled for size between these two
#ifdef __clang__
#define EFF_SMALL_BEGIN _Pragma("clang attribute push(__attribute__((minsize)), apply_to = function)")
#define EFF_SMALL_END _Pragma("clang attribute pop")
#else
#define EFF_SMALL_BEGIN
#define EFF_SMALL_END
#endif

// f32 is compiled for speed, every other type for size
template <class K> struct small {
  __attribute__((minsize, flatten)) static void run(const eff_op *op, int64_t rows) { K::run(op, rows); }
};
template <template <class> class K> eff_kernel pick_float(int32_t type) {
  switch (type) {
    case EFF_TYPE_F32: return K<float>::run;
    case EFF_TYPE_F64: return small<K<double>>::run;
    case EFF_TYPE_F16: return small<K<half>>::run;
    case EFF_TYPE_BF16: return small<K<bfloat>>::run;
    default: return nullptr;
  }
}
template <template <class> class K> eff_kernel pick(int32_t type) {
  switch (type) {
    case EFF_TYPE_I8: return small<K<int8_t>>::run;
    case EFF_TYPE_U8: return small<K<uint8_t>>::run;
    case EFF_TYPE_I16: return small<K<int16_t>>::run;
    case EFF_TYPE_U16: return small<K<uint16_t>>::run;
    case EFF_TYPE_I32: return small<K<int32_t>>::run;
    case EFF_TYPE_U32: return small<K<uint32_t>>::run;
    case EFF_TYPE_I64: return small<K<int64_t>>::run;
    case EFF_TYPE_U64: return small<K<uint64_t>>::run;
    case EFF_TYPE_BOOL: return small<K<bool>>::run;
    default: return pick_float<K>(type);
  }
}
// data movement sees sizes alone
inline int64_t size_of_type(int32_t type) {
  switch (type) {
    case EFF_TYPE_I8: case EFF_TYPE_U8: case EFF_TYPE_BOOL: case EFF_TYPE_I4: case EFF_TYPE_U4: return 1;
    case EFF_TYPE_I16: case EFF_TYPE_U16: case EFF_TYPE_F16: case EFF_TYPE_BF16: return 2;
    case EFF_TYPE_I32: case EFF_TYPE_U32: case EFF_TYPE_F32: return 4;
    case EFF_TYPE_I64: case EFF_TYPE_U64: case EFF_TYPE_F64: return 8;
    default: return 0;
  }
}
template <template <class> class K> eff_kernel pick_size(int32_t type) {
  switch (size_of_type(type)) {
    case 1: return K<uint8_t>::run;
    case 2: return K<uint16_t>::run;
    case 4: return K<uint32_t>::run;
    case 8: return K<uint64_t>::run;
    default: return nullptr;
  }
}

}  // namespace

// one per file of kernels: the kernel of an id for a type, NULL where that file has none
#pragma GCC visibility push(hidden)
eff_kernel find_unary(int32_t type);
eff_kernel find_binary(int32_t id, int32_t type);
eff_kernel find_cast(int32_t type);
eff_kernel find_move(int32_t id, int32_t type);
eff_kernel find_scatter(int32_t id, int32_t type);
eff_kernel find_reduce(int32_t id, int32_t type);
eff_kernel find_scan(int32_t id, int32_t type);
eff_kernel find_matmul(int32_t id, int32_t type);
eff_kernel find_conv(int32_t id, int32_t type);
eff_kernel find_pool(int32_t id, int32_t type);
eff_kernel find_norm(int32_t type);
eff_kernel find_rnn(int32_t type);
eff_kernel find_resize(int32_t type);
eff_kernel find_random(int32_t type);
eff_kernel find_quantize(int32_t id, int32_t type);
eff_kernel find_attention(int32_t type);
eff_kernel find_grid_sample(int32_t type);
eff_kernel find_det(int32_t type);
eff_kernel find_branch();
eff_kernel find_trees(int32_t type);
#pragma GCC visibility pop

}  // namespace eff
