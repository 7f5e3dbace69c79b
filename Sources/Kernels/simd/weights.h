// Packed weight formats: how W weights of a storage type become W floats. Included inside a level's namespace.
EFF_INLINE int64_t lines(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

typedef uint16_t vh_unaligned __attribute__((vector_size(2 * EFF_W), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * EFF_W)));

// `together` weights of an output lie side by side: what one 32-bit lane takes of the narrow formats
struct weights_f32 {
  typedef float element;
  enum { scaled = 0, together = 1 };
  EFF_INLINE vf load(const element *p) { return vload(p); }
  EFF_INLINE element store(float v) { return v; }
};
// Pairs in a word: a shift makes a float of the first, and the whole word is the second. Its low half is then noise,
// which store_second takes into account: of the words that end in these bits it takes the nearest, which is within half
// a unit of bf16, as for any other rounding.
struct weights_bf16 {
  typedef uint16_t element;
  enum { scaled = 0, together = 2 };
  EFF_INLINE uint32_t bits(float v) {
    uint32_t b;
    __builtin_memcpy(&b, &v, 4);
    return b;
  }
  EFF_INLINE element store(float v) {
    return v != v ? 0x7fc0 : (uint16_t)((bits(v) + 0x7fff + (bits(v) >> 16 & 1)) >> 16);
  }
  EFF_INLINE element store_second(float v, element first) {
    // next to nothing stays a normal number: denormal ones are slow
    enum { least = 0x1e3c };  // 1e-20
    uint32_t sign = bits(v) >> 16 & 0x8000, size = bits(v) & 0x7fffffff, above = size + 0x8000 - first;
    if (v != v) return 0x7fc0;
    return (uint16_t)(sign
                      | (size < (uint32_t)least << 16 ? (uint32_t)least
                         : above >> 16 > 0x7f7f       ? 0x7f7f
                                                      : above >> 16));
  }
};
struct weights_f16 {
  typedef uint16_t element;
  enum { scaled = 0, together = 1 };
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
// A byte is the weight and `raised`: the byte products of x86 have an unsigned operand, those of NEON two signed ones.
struct weights_i8 {
  typedef uint8_t element;
  enum { scaled = 1, together = 4, raised = EFF_LEVEL == 4 ? 0 : 128 };
  EFF_INLINE element store(float v) {
    return (uint8_t)(raised + (int)__builtin_rintf(v < -127 ? -127 : v > 127 ? 127 : v));
  }
};

enum { DOT = W < 8 ? W : 8 };
// bytes in front of the weights of a panel: [bias][scale]
template <class T> EFF_INLINE int64_t header_bytes(int64_t n) { return n * 4 * (1 + T::scaled); }
EFF_INLINE int64_t whole(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
// a panel as next_panel names it: weights of each output with their padding, and bytes
template <class T> EFF_INLINE int64_t panel_depth(int p, int64_t k) {
  return whole(k, p > 0 ? (int64_t)T::together : (int64_t)T::together * W);
}
template <class T> EFF_INLINE int64_t panel_bytes(int p, int64_t k) {
  int64_t outs = p > 0 ? p * W : -p, head = p > 0 ? outs : W;
  return lines(header_bytes<T>(head) + panel_depth<T>(p, k) * outs * (int64_t)sizeof(typename T::element));
}
// the widest panel for what is left of n: > 0 lane vectors, < 0 dot outputs
EFF_INLINE int next_panel(int64_t n, int64_t k) {
  if (n >= 8 * W) return 8;
  if (n >= 4 * W) return 4;
  if (n >= 2 * W) return 2;
  if (n >= W && k < 64) return 1;
  int dot = DOT;
  while (dot > n) dot /= 2;
  return -dot;
}
// kernel.lane<vectors>(panel, first output) or kernel.dot<outputs>(...) for every panel
template <class K> EFF_INLINE void each_panel(const K &kernel, int64_t outputs, int64_t k, const char *panel) {
  for (int64_t n = 0; n < outputs;) {
    int p = next_panel(outputs - n, k);
    switch (p) {
      case 8: kernel.template lane<8>(panel, n); break;
      case 4: kernel.template lane<4>(panel, n); break;
      case 2: kernel.template lane<2>(panel, n); break;
      case 1: kernel.template lane<1>(panel, n); break;
      case -1: kernel.template dot<1>(panel, n); break;
      case -2: kernel.template dot<2>(panel, n); break;
      case -4: kernel.template dot<4>(panel, n); break;
      default: kernel.template dot<DOT>(panel, n);
    }
    panel += panel_bytes<typename K::format>(p, k);
    n += p > 0 ? p * W : -p;
  }
}
