// Packed weight formats: how W weights of a storage type become W floats. Included inside a level's namespace.
EFF_INLINE int64_t lines(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"  // a debug build does not unroll
#define EFF_UNROLL _Pragma("clang loop unroll(full)")
#define EFF_ROLL _Pragma("clang loop unroll(disable) vectorize(disable)")
#else
#define EFF_UNROLL _Pragma("GCC unroll 16")
#define EFF_ROLL _Pragma("GCC unroll 1")
#endif

typedef int8_t vb_unaligned __attribute__((vector_size(EFF_W), aligned(1), may_alias));
typedef uint16_t vh_unaligned __attribute__((vector_size(2 * EFF_W), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * EFF_W)));

struct weights_f32 {
  typedef float element;
  enum { scaled = 0 };
  EFF_INLINE vf load(const element *p) { return vload(p); }
  EFF_INLINE element store(float v) { return v; }
};
struct weights_bf16 {
  typedef uint16_t element;
  enum { scaled = 0 };
  EFF_INLINE vf load(const element *p) { return (vf)(__builtin_convertvector(*(const vh_unaligned *)p, vu) << 16); }
  EFF_INLINE element store(float v) {
    uint32_t b;
    __builtin_memcpy(&b, &v, 4);
    if (v != v) return 0x7fc0;
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
  }
};
struct weights_f16 {
  typedef uint16_t element;
  enum { scaled = 0 };
#if EFF_LEVEL == 2
  EFF_INLINE vf load(const element *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#elif EFF_LEVEL == 3
  EFF_INLINE vf load(const element *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#elif EFF_LEVEL == 4
  EFF_INLINE vf load(const element *p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
  EFF_INLINE vf load(const element *p) {  // exponent moved up and rebased by a product, which also serves denormals
    vi h = (vi)__builtin_convertvector(*(const vh_unaligned *)p, vu);
    vf m = (vf)((h & vseti(0x7fff)) << 13) * vset(5.192296858534828e33f);
    return (vf)((vi)m | ((h & vseti(0x8000)) << 16));
  }
#endif
  static element store(float v) {  // to nearest even; beyond the range to the largest finite value
    uint32_t b;
    __builtin_memcpy(&b, &v, 4);
    uint32_t sign = b >> 16 & 0x8000;
    b &= 0x7fffffff;
    if (b >= 0x477ff000) return (uint16_t)(sign | 0x7bff);
    if (b >= 0x38800000) return (uint16_t)(sign | (b - 0x38000000 + 0xfff + (b >> 13 & 1)) >> 13);
    float a, magic = 0.5f;  // the denormals of f16 are multiples of 2^-24, the spacing of floats at 1/2
    __builtin_memcpy(&a, &b, 4);
    a += magic;
    __builtin_memcpy(&b, &a, 4);
    return (uint16_t)(sign | (b - 0x3f000000));
  }
};
struct weights_i8 {
  typedef int8_t element;
  enum { scaled = 1 };
  EFF_INLINE vf load(const element *p) { return __builtin_convertvector(__builtin_convertvector(*(const vb_unaligned *)p, vi), vf); }
  EFF_INLINE element store(float v) { return (int8_t)__builtin_rintf(v < -127 ? -127 : v > 127 ? 127 : v); }
};
