// Vectors of EFF_W floats and the few operations that the language does not spell. Included inside a level's namespace.
#define EFF_INLINE_MEMBER inline __attribute__((always_inline, unused))
#define EFF_INLINE static EFF_INLINE_MEMBER
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"  // a debug build does not unroll
#define EFF_UNROLL _Pragma("clang loop unroll(full)")
#define EFF_ROLL _Pragma("clang loop unroll(disable) vectorize(disable)")
#else
#define EFF_UNROLL _Pragma("GCC unroll 16")
#define EFF_ROLL _Pragma("GCC unroll 1")
#endif

enum { W = EFF_W };
typedef float vf __attribute__((vector_size(4 * EFF_W)));
typedef int32_t vi __attribute__((vector_size(4 * EFF_W)));
typedef float vf_unaligned __attribute__((vector_size(4 * EFF_W), aligned(4), may_alias));

EFF_INLINE vf vload(const float *p) { return *(const vf_unaligned *)p; }
EFF_INLINE void vstore(float *p, vf v) { *(vf_unaligned *)p = v; }
typedef float v4 __attribute__((vector_size(16)));
typedef float v4_unaligned __attribute__((vector_size(16), aligned(1), may_alias));
EFF_INLINE v4 v4_load(const eff_loose_float *p) { return *(const v4_unaligned *)p; }
EFF_INLINE void v4_store(float *p, v4 v) { *(v4_unaligned *)p = v; }
// y[j * to + i] = x[i * from + j] for 4 by 4
EFF_INLINE void transpose4(const eff_loose_float *x, int64_t from, float *y, int64_t to) {
  v4 a = v4_load(x), b = v4_load(x + from), c = v4_load(x + 2 * from), d = v4_load(x + 3 * from);
  v4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  v4 AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  v4_store(y, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
  v4_store(y + to, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
  v4_store(y + 2 * to, __builtin_shufflevector(AB, CD, 0, 1, 4, 5));
  v4_store(y + 3 * to, __builtin_shufflevector(AB, CD, 2, 3, 6, 7));
}
// y[j * to + i] = x[i * from + j] for W by W: 4 by 4 in each quarter of the registers, which are put together while
// loading
#if EFF_W == 4
EFF_INLINE void transpose(const eff_loose_float *x, int64_t from, float *y, int64_t to) { transpose4(x, from, y, to); }
#else
#if EFF_W == 8
#define EFF_LANES(a, b, c, d) a, b, c, d, a + 4, b + 4, c + 4, d + 4
EFF_INLINE vf load_lanes(const eff_loose_float *x, int64_t from) {
  return __builtin_shufflevector(v4_load(x), v4_load(x + 4 * from), 0, 1, 2, 3, 4, 5, 6, 7);
}
#else
#define EFF_LANES(a, b, c, d)                                                                                          \
  a, b, c, d, a + 4, b + 4, c + 4, d + 4, a + 8, b + 8, c + 8, d + 8, a + 12, b + 12, c + 12, d + 12
EFF_INLINE vf load_lanes(const eff_loose_float *x, int64_t from) {
  __m256 low = __builtin_shufflevector(v4_load(x), v4_load(x + 4 * from), 0, 1, 2, 3, 4, 5, 6, 7);
  __m256 high = __builtin_shufflevector(v4_load(x + 8 * from), v4_load(x + 12 * from), 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
#endif
EFF_INLINE void transpose(const eff_loose_float *x, int64_t from, float *y, int64_t to) {
  EFF_UNROLL for (int j = 0; j < W; j += 4, x += 4, y += 4 * to) {
    vf a = load_lanes(x, from), b = load_lanes(x + from, from);
    vf c = load_lanes(x + 2 * from, from), d = load_lanes(x + 3 * from, from);
    vf ab = __builtin_shufflevector(a, b, EFF_LANES(0, W, 1, W + 1));
    vf cd = __builtin_shufflevector(c, d, EFF_LANES(0, W, 1, W + 1));
    vf AB = __builtin_shufflevector(a, b, EFF_LANES(2, W + 2, 3, W + 3));
    vf CD = __builtin_shufflevector(c, d, EFF_LANES(2, W + 2, 3, W + 3));
    vstore(y, __builtin_shufflevector(ab, cd, EFF_LANES(0, 1, W, W + 1)));
    vstore(y + to, __builtin_shufflevector(ab, cd, EFF_LANES(2, 3, W + 2, W + 3)));
    vstore(y + 2 * to, __builtin_shufflevector(AB, CD, EFF_LANES(0, 1, W, W + 1)));
    vstore(y + 3 * to, __builtin_shufflevector(AB, CD, EFF_LANES(2, 3, W + 2, W + 3)));
  }
}
#undef EFF_LANES
#endif
EFF_INLINE vf vsel(vi mask, vf a, vf b) { return mask ? a : b; }
// the second operand wins where either is NaN, as minps does
EFF_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
EFF_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
EFF_INLINE vf vbits(vi v) { return (vf)v; }
EFF_INLINE vi vint(vf v) { return (vi)v; }

#if EFF_LEVEL == 1
EFF_INLINE vf vset(float v) { return _mm_set1_ps(v); }
EFF_INLINE vf vfma(vf a, vf b, vf c) { return a * b + c; }
EFF_INLINE vf vsqrt(vf v) { return _mm_sqrt_ps(v); }
EFF_INLINE bool vany(vi m) { return _mm_movemask_ps((vf)m) != 0; }
EFF_INLINE vf vload_tail(const float *p, int64_t n) {
  if (n == 1) return _mm_load_ss(p);
  vf low = _mm_castpd_ps(_mm_load_sd((const double *)p));
  return n == 2 ? low : (vf)_mm_movelh_ps(low, _mm_load_ss(p + 2));
}
EFF_INLINE void vstore4_tail(float *p, __m128 v, int64_t n) {
  if (n & 2) { _mm_storel_pi((__m64 *)p, v); v = _mm_movehl_ps(v, v); p += 2; }
  if (n & 1) _mm_store_ss(p, v);
}
EFF_INLINE void vstore_tail(float *p, vf v, int64_t n) { vstore4_tail(p, v, n); }
// lane i = sum of the lanes of a[i]
EFF_INLINE vf vsums(const vf *a) {
  __m128 r0 = a[0], r1 = a[1], r2 = a[2], r3 = a[3];
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  return (r0 + r1) + (r2 + r3);
}
#elif EFF_LEVEL == 2 || EFF_LEVEL == 3
EFF_INLINE void vstore4_tail(float *p, __m128 v, int64_t n) {
  if (n & 2) { _mm_storel_pi((__m64 *)p, v); v = _mm_movehl_ps(v, v); p += 2; }
  if (n & 1) _mm_store_ss(p, v);
}
EFF_INLINE void vstore8_tail(float *p, __m256 v, int64_t n) {
  __m128 low = _mm256_castps256_ps128(v);
  if (n & 4) { _mm_storeu_ps(p, low); low = _mm256_extractf128_ps(v, 1); p += 4; }
  vstore4_tail(p, low, n);
}
EFF_INLINE __m256 vsums8(__m256 a0, __m256 a1, __m256 a2, __m256 a3, __m256 a4, __m256 a5, __m256 a6, __m256 a7) {
  __m256 b0 = _mm256_hadd_ps(_mm256_hadd_ps(a0, a1), _mm256_hadd_ps(a2, a3));
  __m256 b1 = _mm256_hadd_ps(_mm256_hadd_ps(a4, a5), _mm256_hadd_ps(a6, a7));
  return _mm256_permute2f128_ps(b0, b1, 0x20) + _mm256_permute2f128_ps(b0, b1, 0x31);
}
#if EFF_LEVEL == 2
EFF_INLINE vf vset(float v) { return _mm256_set1_ps(v); }
EFF_INLINE vf vfma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
EFF_INLINE vf vsqrt(vf v) { return _mm256_sqrt_ps(v); }
EFF_INLINE bool vany(vi m) { return _mm256_movemask_ps((vf)m) != 0; }
EFF_INLINE vf vload_tail(const float *p, int64_t n) {
  static const int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(mask + 8 - n)));
}
EFF_INLINE void vstore_tail(float *p, vf v, int64_t n) { vstore8_tail(p, v, n); }
EFF_INLINE vf vsums(const vf *a) { return vsums8(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]); }
#else
EFF_INLINE vf vset(float v) { return _mm512_set1_ps(v); }
EFF_INLINE vf vfma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
EFF_INLINE vf vsqrt(vf v) { return _mm512_sqrt_ps(v); }
EFF_INLINE bool vany(vi m) { return _mm512_movepi32_mask((__m512i)m) != 0; }
EFF_INLINE vf vload_tail(const float *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
EFF_INLINE void vstore_tail(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
EFF_INLINE __m256 vhalves(vf v) { return _mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1); }
EFF_INLINE vf vsums(const vf *a) {
  return _mm512_zextps256_ps512(vsums8(vhalves(a[0]), vhalves(a[1]), vhalves(a[2]), vhalves(a[3]), vhalves(a[4]),
                                       vhalves(a[5]), vhalves(a[6]), vhalves(a[7])));
}
#endif
#elif EFF_LEVEL == 4
EFF_INLINE vf vset(float v) { return (vf)vdupq_n_f32(v); }
EFF_INLINE vf vfma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
EFF_INLINE vf vsqrt(vf v) { return (vf)vsqrtq_f32((float32x4_t)v); }
EFF_INLINE bool vany(vi m) { return vmaxvq_u32((uint32x4_t)m) != 0; }
EFF_INLINE vf vload_tail(const float *p, int64_t n) {
  float32x4_t v = vld1q_lane_f32(p, vdupq_n_f32(0), 0);
  if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
  return (vf)v;
}
EFF_INLINE void vstore_tail(float *p, vf v, int64_t n) {
  vst1q_lane_f32(p, (float32x4_t)v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, (float32x4_t)v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, (float32x4_t)v, 2);
}
EFF_INLINE vf vsums(const vf *a) {
  float32x4_t b = vpaddq_f32((float32x4_t)a[0], (float32x4_t)a[1]),
              c = vpaddq_f32((float32x4_t)a[2], (float32x4_t)a[3]);
  return (vf)vpaddq_f32(b, c);
}
#endif

EFF_INLINE vi vseti(int32_t v) { return vi{} + v; }
// 1 / x within 1 ulp, for a finite x and a finite inverse
EFF_INLINE vf vinverse(vf x) {
#if EFF_LEVEL == 3
  vf y = _mm512_rcp14_ps(x);  // a division of 16 lanes takes as long as 16 multiplications
  return vfma(y, vfma(-x, y, vset(1)), y);
#else
  return vset(1) / x;
#endif
}
EFF_INLINE vf vabs(vf v) { return (vf)((vi)v & vseti(0x7fffffff)); }
EFF_INLINE vf vsigned(vf magnitude, vf sign) { return (vf)((vi)magnitude | ((vi)sign & vseti((int32_t)0x80000000))); }
EFF_INLINE vf vsplat0() { return vf{}; }

// to nearest even; exact for every magnitude because values of 2^23 and above are integers already
EFF_INLINE vf vround(vf v) {
  vf big = vset(8388608.0f), a = vabs(v), r = (a + big) - big;
  return vsel(a < big, vsigned(r, v), v);
}
EFF_INLINE vf vfloor(vf v) {
  vf r = vround(v);
  return vsel(vabs(v) < vset(8388608.0f), vsigned(r - vsel(r > v, vset(1), vsplat0()), v), v);
}
EFF_INLINE vf vceil(vf v) { return -vfloor(-v); }

#if EFF_LEVEL == 4
// lane `i` of v in all lanes: an operand of NEON's multiply-add, no instruction of its own. Unroll what calls it.
EFF_INLINE vf vlane(vf v, int i) {
  switch (i) {
    case 0: return __builtin_shufflevector(v, v, 0, 0, 0, 0);
    case 1: return __builtin_shufflevector(v, v, 1, 1, 1, 1);
    case 2: return __builtin_shufflevector(v, v, 2, 2, 2, 2);
    default: return __builtin_shufflevector(v, v, 3, 3, 3, 3);
  }
}
#endif

template <int N> struct some_lanes { typedef float floats __attribute__((vector_size(4 * N))); };
struct lane_sum { template <class V> EFF_INLINE V of(V a, V b) { return a + b; } };
// NaN where there is one
struct lane_top { template <class V> EFF_INLINE V of(V a, V b) { return (a == a) & ~(b <= a) ? b : a; } };
// all lanes in one: halves are combined until one is left, in an order that no position changes
template <class F, int N = W> EFF_INLINE float fold_lanes(typename some_lanes<N>::floats x) {
  if constexpr (N == 1) return x[0];
  else {
    typename some_lanes<N / 2>::floats a, b;
    __builtin_memcpy(&a, &x, sizeof a);
    __builtin_memcpy(&b, (const char *)&x + sizeof a, sizeof b);
    return fold_lanes<F, N / 2>(F::of(a, b));
  }
}
EFF_INLINE float vsum(vf v) { return fold_lanes<lane_sum>(v); }
EFF_INLINE float vtop(vf v) { return fold_lanes<lane_top>(v); }
