// Dense layers with 8-bit weights: y = b + scale[n] * sum_k x[k] w[k, n].
//
// x is rounded to 16-bit integers, with a scale per row and block of 512; the sums of a block are exact in 32 bits, so
// that every level and the naive twin add the same integers, and what is lost is what the weights lost. A weight is
// stored as w + 128 on x86: the unsigned operand of the byte dot product, which needs x in two bytes; 16-bit products
// take it just as well. Both start from -128 * sum_k x[k]. NEON stores w and starts from 0.
// panel = [bias][scale][weights]: lanes [k / 4][outputs][4], dots [k / 4W][outputs][4W]. Padding meets an x of 0.
enum { I8_BLOCK = 512, I8_TOP = 32512 /* 127 * 256: both bytes of x are signed */, I8_SEGMENT = 4096, I8_ROWS = 4 };

// a few rows of x, rounded: one segment of k at a time
struct i8_input {
  float scale[I8_ROWS][I8_SEGMENT / I8_BLOCK];
  int32_t start[I8_ROWS][I8_SEGMENT / I8_BLOCK];
  union {
    int16_t whole[I8_ROWS][I8_SEGMENT];
    struct { int8_t high[I8_SEGMENT], low[I8_SEGMENT]; } part[I8_ROWS];
  };
};

typedef int8_t vb4_unaligned __attribute__((vector_size(4 * EFF_W), aligned(1), may_alias));
#if EFF_LEVEL == 4
typedef int8_t half_unaligned __attribute__((vector_size(2 * EFF_W), aligned(1), may_alias));
#else
typedef uint8_t half_unaligned __attribute__((vector_size(2 * EFF_W), aligned(1), may_alias));
#endif
typedef int16_t vs1_unaligned __attribute__((vector_size(2 * EFF_W), aligned(2), may_alias));
typedef int16_t vs2 __attribute__((vector_size(4 * EFF_W)));
typedef int16_t vs2_unaligned __attribute__((vector_size(4 * EFF_W), aligned(2), may_alias));
typedef int8_t vb1 __attribute__((vector_size(EFF_W)));

// sums of neighbours: lane i = a[2i] + a[2i + 1], then those of b
EFF_INLINE vi add_neighbours(vi a, vi b) {
#if EFF_W == 4
  return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
#elif EFF_W == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
         + __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
}
EFF_INLINE int32_t sum_lanes(vi v) {
  int32_t t[W];
  __builtin_memcpy(t, &v, sizeof t);
  uint32_t s = 0;
  EFF_UNROLL for (int i = 0; i < W; i++) s += (uint32_t)t[i];
  return (int32_t)s;
}

// 4W weights with 16-bit products: what every processor of the level has
struct short_dots {
  enum { room = EFF_LEVEL == 3 ? 8 : 4 };  // vectors of sums that registers hold
  struct factor { vi first, second; };  // x for the first and the second 2W weights
  struct sum { vi first, second; };
  EFF_INLINE vi products(vi x, const uint8_t *w) {
    vs2 a = __builtin_convertvector(*(const half_unaligned *)w, vs2);
#if EFF_LEVEL == 1
    return (vi)_mm_madd_epi16((__m128i)a, (__m128i)x);
#elif EFF_LEVEL == 2
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)x);
#elif EFF_LEVEL == 3
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)x);
#else
    int16x8_t p = (int16x8_t)a, q = (int16x8_t)(vs2)x;
    return (vi)vpaddq_s32(vmull_s16(vget_low_s16(p), vget_low_s16(q)), vmull_s16(vget_high_s16(p), vget_high_s16(q)));
#endif
  }
  EFF_INLINE void add(sum &s, const factor &x, const uint8_t *w) {
    s.first += products(x.first, w);
    s.second += products(x.second, w + 2 * W);
  }
  EFF_INLINE factor broadcast(const i8_input *in, int row, int64_t i) {
    typedef int64_t vl __attribute__((vector_size(4 * EFF_W)));
    int64_t four;
    __builtin_memcpy(&four, in->whole[row] + i, 8);
    vi x = (vi)(vl{} + four);
    return {x, x};
  }
  EFF_INLINE factor load(const i8_input *in, int row, int64_t i) {
    return {(vi)*(const vs2_unaligned *)(in->whole[row] + i), (vi)*(const vs2_unaligned *)(in->whole[row] + i + 2 * W)};
  }
  EFF_INLINE vi lanes_total(const sum &s) { return add_neighbours(s.first, s.second); }
  EFF_INLINE vi dot_total(const sum &s) { return s.first + s.second; }
  EFF_INLINE void keep(i8_input *in, int row, int64_t i, vi q) {
    *(vs1_unaligned *)(in->whole[row] + i) = __builtin_convertvector(q, vs1_unaligned);
  }
};

#if EFF_LEVEL > 1
// the same with byte dot products, once for each byte of x, where eff_byte_dots says so. The instruction is written
// out: a function of its own target could not be inlined here.
struct byte_dots {
  enum { room = EFF_LEVEL == 2 ? 4 : 8 };
  struct factor { vi high, low; };
  struct sum { vi high, low; };
  EFF_INLINE void dot(vi &s, vi w, vi x) {
#if EFF_LEVEL == 2
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(s) : "x"(w), "x"(x));
#elif EFF_LEVEL == 3
    __asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(w), "v"(x));
#else
    __asm__(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b" : "+w"(s) : "w"(w), "w"(x));
#endif
  }
  EFF_INLINE void add(sum &s, const factor &x, const uint8_t *w) {
    vi v = (vi)*(const vb4_unaligned *)w;
    dot(s.high, v, x.high);
    dot(s.low, v, x.low);
  }
  EFF_INLINE vi four(const int8_t *p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return vseti(v);
  }
  EFF_INLINE factor broadcast(const i8_input *in, int row, int64_t i) {
    return {four(in->part[row].high + i), four(in->part[row].low + i)};
  }
  EFF_INLINE factor load(const i8_input *in, int row, int64_t i) {
    return {(vi)*(const vb4_unaligned *)(in->part[row].high + i), (vi)*(const vb4_unaligned *)(in->part[row].low + i)};
  }
  EFF_INLINE vi lanes_total(const sum &s) { return (s.high << 8) + s.low; }
  EFF_INLINE vi dot_total(const sum &s) { return lanes_total(s); }
  EFF_INLINE void keep(i8_input *in, int row, int64_t i, vi q) {
    vi high = (q + vseti(128)) >> 8;
    vb1 h = __builtin_convertvector(high, vb1), l = __builtin_convertvector(q - (high << 8), vb1);
    __builtin_memcpy(in->part[row].high + i, &h, W);
    __builtin_memcpy(in->part[row].low + i, &l, W);
  }
};
#endif

// rounds x[0, n), n at most a segment, to nearest even; up to 4W zeros follow. A value that is not finite makes its
// block NaN.
template <class D> EFF_INLINE void i8_round(const float *x, int64_t n, i8_input *in, int row) {
  for (int64_t first = 0, b = 0; first < n; first += I8_BLOCK, b++) {
    int64_t end = n - first < I8_BLOCK ? n : first + I8_BLOCK, padded = (end + 4 * W - 1) / (4 * W) * (4 * W),
            i = first;
    vf top = vsplat0(), poison = vsplat0();
    for (; i < end; i += W) {
      vf v = i + W <= end ? vload(x + i) : vload_tail(x + i, end - i);
      top = vmax(vabs(v), top);
      poison = vfma(v, vsplat0(), poison);
    }
    float most = vtop(top);
    // below this the inverse is not finite: such a block counts as 0
    bool none = !(most > 1e-30f), poisoned = vany(poison != poison);
    in->scale[row][b] = poisoned ? __builtin_nanf("") : none ? 0 : most / I8_TOP;
    vf inverse = vset(none ? 0 : I8_TOP / most);
    vi sum = {};
    for (i = first; i < padded; i += W) {
      vf v = i + W <= end ? vload(x + i) : i < end ? vload_tail(x + i, end - i) : vsplat0();
      vi q = __builtin_convertvector(vround(v * inverse), vi);
      sum += q;
      D::keep(in, row, i, q);
    }
    // what is not finite rounds to any number
    in->start[row][b] = poisoned ? 0 : -(int32_t)weights_i8::raised * sum_lanes(sum);
  }
}

// R rows from `row` on against NB vectors of a lane panel of `outs` outputs; `more`: y already holds the segments
// before this one
template <class D, int R, int NB> EFF_INLINE void i8_lanes(const i8_input *in, int row, int64_t k, const float *bias,
                                                           const float *scale, const uint8_t *w, int64_t outs, float *y,
                                                           int64_t ldy, bool more) {
  vf total[R][NB];
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) total[r][v] = vsplat0();
  for (int64_t i = 0, b = 0; i < k; b++) {
    int64_t end = i + I8_BLOCK < k ? i + I8_BLOCK : k;
    typename D::sum acc[R][NB] = {};
    EFF_ROLL for (; i < end; i += 4, w += 4 * outs)
      EFF_UNROLL for (int r = 0; r < R; r++) {
        typename D::factor x = D::broadcast(in, row + r, i);
        EFF_UNROLL for (int v = 0; v < NB; v++) D::add(acc[r][v], x, w + v * 4 * W);
      }
    EFF_UNROLL for (int r = 0; r < R; r++)
      EFF_UNROLL for (int v = 0; v < NB; v++) {
        vi exact = D::lanes_total(acc[r][v]) + vseti(in->start[row + r][b]);
        total[r][v] = vfma(__builtin_convertvector(exact, vf), vset(in->scale[row + r][b]), total[r][v]);
      }
  }
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) {
      float *to = y + (row + r) * ldy + v * W;
      vstore(to, vfma(total[r][v], vload(scale + v * W), more ? vload(to) : vload(bias + v * W)));
    }
}

// N outputs of a dot panel for one row
template <class D, int N> EFF_INLINE void i8_dots(const i8_input *in, int row, int64_t k, const float *bias,
                                                  const float *scale, const uint8_t *w, float *y, bool more) {
  float total[N] = {};
  for (int64_t i = 0, b = 0; i < k; b++) {
    int64_t end = i + I8_BLOCK < k ? i + I8_BLOCK : k;
    typename D::sum acc[N] = {};
    EFF_ROLL for (; i < end; i += 4 * W, w += N * 4 * W) {
      typename D::factor x = D::load(in, row, i);
      EFF_UNROLL for (int o = 0; o < N; o++) D::add(acc[o], x, w + o * 4 * W);
    }
    EFF_UNROLL for (int o = 0; o < N; o++) total[o] +=
        (float)(sum_lanes(D::dot_total(acc[o])) + in->start[row][b]) * in->scale[row][b];
  }
  EFF_UNROLL for (int o = 0; o < N; o++) y[o] = (more ? y[o] : bias[o]) + scale[o] * total[o];
}

// one segment of `rows` rows against one panel; k: what is left of it from `first` on
template <class D, int NV> static __attribute__((noinline)) void
i8_lane_panel(const i8_input *in, int rows, int64_t first, int64_t k, const char *panel, float *y, int64_t ldy) {
  constexpr int alone = D::room < NV ? (int)D::room : NV,
                together = D::room / I8_ROWS < NV ? D::room / I8_ROWS : NV;
  const float *bias = (const float *)panel, *scale = bias + NV * W;
  const uint8_t *w = (const uint8_t *)(scale + NV * W) + first * NV * W;
  if (rows == I8_ROWS)
    for (int v = 0; v < NV; v += together)
      i8_lanes<D, I8_ROWS, together>(in, 0, k, bias + v * W, scale + v * W, w + v * 4 * W, NV * W, y + v * W, ldy,
                                     first > 0);
  else
    for (int r = 0; r < rows; r++)
      for (int v = 0; v < NV; v += alone)
        i8_lanes<D, 1, alone>(in, r, k, bias + v * W, scale + v * W, w + v * 4 * W, NV * W, y + v * W, ldy, first > 0);
}
template <class D, int N> static __attribute__((noinline)) void
i8_dot_panel(const i8_input *in, int rows, int64_t first, int64_t k, const char *panel, float *y, int64_t ldy) {
  const float *bias = (const float *)panel, *scale = bias + W;
  for (int r = 0; r < rows; r++)
    i8_dots<D, N>(in, r, k, bias, scale, (const uint8_t *)(scale + W) + first * N, y + r * ldy, first > 0);
}

template <class D> struct i8_panels {
  typedef weights_i8 format;
  const i8_input *in;
  int rows;
  int64_t first, k;
  float *y;
  int64_t ldy;
  template <int NV> EFF_INLINE_MEMBER void lane(const char *panel, int64_t n) const {
    i8_lane_panel<D, NV>(in, rows, first, k, panel, y + n, ldy);
  }
  template <int N> EFF_INLINE_MEMBER void dot(const char *panel, int64_t n) const {
    i8_dot_panel<D, N>(in, rows, first, k, panel, y + n, ldy);
  }
};

template <class D> static __attribute__((noinline)) void i8_rows(const eff_dense *d, const float *x, int64_t ldx,
                                                                 const char *packed, float *y, int64_t ldy, int64_t m) {
  i8_input in;
  for (int64_t i = 0; i < m; i += I8_ROWS, x += I8_ROWS * ldx, y += I8_ROWS * ldy) {
    int rows = m - i < I8_ROWS ? (int)(m - i) : (int)I8_ROWS;
    for (int64_t first = 0; first < d->k; first += I8_SEGMENT) {
      int64_t k = d->k - first < I8_SEGMENT ? d->k - first : (int64_t)I8_SEGMENT;
      for (int r = 0; r < rows; r++) i8_round<D>(x + r * ldx + first, k, &in, r);
      each_panel(i8_panels<D>{&in, rows, first, k, y, ldy}, d->n, d->k, packed);
    }
  }
}

static void i8_run(const eff_dense *d, const float *x, int64_t ldx, const char *packed, float *y, int64_t ldy,
                   int64_t m) {
#if EFF_LEVEL > 1
  if (eff_byte_dots[EFF_LEVEL]) return i8_rows<byte_dots>(d, x, ldx, packed, y, ldy, m);
#endif
  i8_rows<short_dots>(d, x, ldx, packed, y, ldy, m);
}
