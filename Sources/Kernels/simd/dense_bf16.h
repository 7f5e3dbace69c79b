// Dense layers with bf16 weights: pairs of k in one 32-bit word per output (see weights_bf16), x stays f32.
//
// The dot product of AVX-512 BF16 is no faster here: it runs every other cycle where two multiply-adds and a shift take
// one and a half, and it would round x to bf16 too. So every level does the same arithmetic.
// panel = [bias][weights]: lanes [k / 2][outputs][2], dots [k / 2W][outputs][2W]. Padding is 0.
typedef int32_t vi_unaligned __attribute__((vector_size(4 * EFF_W), aligned(4), may_alias));
EFF_INLINE vi bf16_load(const uint16_t *w) { return (vi)*(const vi_unaligned *)w; }
EFF_INLINE vf bf16_first(vi word) { return (vf)(word << 16); }

// every other lane of a and b, from `first` on
template <int first> EFF_INLINE vf every_other(vf a, vf b) {
#if EFF_W == 4
  return __builtin_shufflevector(a, b, first, first + 2, first + 4, first + 6);
#elif EFF_W == 8
  return __builtin_shufflevector(a, b, first, first + 2, first + 4, first + 6, first + 8, first + 10, first + 12,
                                 first + 14);
#else
  return __builtin_shufflevector(a, b, first, first + 2, first + 4, first + 6, first + 8, first + 10, first + 12,
                                 first + 14, first + 16, first + 18, first + 20, first + 22, first + 24, first + 26,
                                 first + 28, first + 30);
#endif
}

// Weights are asked for this many bytes ahead: where they are cold, their arithmetic leaves fewer loads in flight than
// f32's.
// What 8-bit weights gain so when cold they lose when hot.
enum { AHEAD = 4096 };

// sums of firsts and seconds apart where one row leaves registers for it: the order of addition depends on the panel
// alone
template <int NV> struct bf16_chains { enum { count = 2 * NV <= REGISTERS ? 2 : 1 }; };

// R rows against NB vectors of a panel of NV
template <int NV, int R, int NB> EFF_INLINE void bf16_lanes(const float *x, int64_t ldx, int64_t k, const float *bias,
                                                            const uint16_t *w, float *y, int64_t ldy) {
  constexpr int C = bf16_chains<NV>::count;
  vf acc[C][R][NB];
  EFF_UNROLL for (int c = 0; c < C; c++)
    EFF_UNROLL for (int r = 0; r < R; r++)
      EFF_UNROLL for (int v = 0; v < NB; v++) acc[c][r][v] = c ? vsplat0() : vload(bias + v * W);
  int64_t i = 0;
#if EFF_LEVEL == 4
  EFF_ROLL for (; i + 4 <= k; i += 4, w += 4 * NV * W) {  // as in add_products
    vf x4[R];
    EFF_UNROLL for (int r = 0; r < R; r++) x4[r] = vload(x + r * ldx + i);
    EFF_UNROLL for (int s = 0; s < 4; s += 2)
      EFF_UNROLL for (int v = 0; v < NB; v++) {
        vi word = bf16_load(w + (s * NV + v * 2) * W);
        EFF_UNROLL for (int r = 0; r < R; r++) {
          acc[0][r][v] = vfma(vlane(x4[r], s), bf16_first(word), acc[0][r][v]);
          acc[C - 1][r][v] = vfma(vlane(x4[r], s + 1), (vf)word, acc[C - 1][r][v]);
        }
      }
  }
#endif
  EFF_ROLL for (; i + 2 <= k; i += 2, w += 2 * NV * W) {
    vi word[NB];
    EFF_UNROLL for (int v = 0; v < NB; v++) word[v] = bf16_load(w + v * 2 * W);
    if (R == 1)
      EFF_UNROLL for (int v = 0; v < NB; v += 16 / W) __builtin_prefetch((const char *)(w + v * 2 * W) + AHEAD);
    EFF_UNROLL for (int r = 0; r < R; r++) {
      vf a = vset(x[r * ldx + i]), b = vset(x[r * ldx + i + 1]);
      EFF_UNROLL for (int v = 0; v < NB; v++) {
        acc[0][r][v] = vfma(a, bf16_first(word[v]), acc[0][r][v]);
        acc[C - 1][r][v] = vfma(b, (vf)word[v], acc[C - 1][r][v]);
      }
    }
  }
  if (i < k)
    EFF_UNROLL for (int r = 0; r < R; r++) EFF_UNROLL for (int v = 0; v < NB; v++) acc[0][r][v] =
        vfma(vset(x[r * ldx + i]), bf16_first(bf16_load(w + v * 2 * W)), acc[0][r][v]);
  EFF_UNROLL for (int r = 0; r < R; r++) EFF_UNROLL for (int v = 0; v < NB; v++)
      vstore(y + r * ldy + v * W, C > 1 ? acc[0][r][v] + acc[C - 1][r][v] : acc[0][r][v]);
}

template <int NV> static __attribute__((noinline)) void
bf16_lane_panel(const float *x, int64_t ldx, int64_t m, int64_t k, const char *panel, float *y, int64_t ldy) {
  constexpr int R = 4, room = REGISTERS / (R * bf16_chains<NV>::count),
                fit = room >= 4   ? 4
                      : room >= 2 ? 2
                                  : 1,
                NB = fit < NV ? fit : NV;
  const float *bias = (const float *)panel;
  const uint16_t *w = (const uint16_t *)(bias + NV * W);
  int64_t i = 0;
  for (; i + R <= m; i += R)
    for (int v = 0; v < NV; v += NB)
      bf16_lanes<NV, R, NB>(x + i * ldx, ldx, k, bias + v * W, w + v * 2 * W, y + i * ldy + v * W, ldy);
  for (; i < m; i++) bf16_lanes<NV, 1, NV>(x + i * ldx, ldx, k, bias, w, y + i * ldy, ldy);
}

template <int N> static __attribute__((noinline)) void bf16_dot_panel(const float *x, int64_t ldx, int64_t m, int64_t k,
                                                                      const char *panel, float *y, int64_t ldy) {
  const float *bias = (const float *)panel;
  for (int64_t row = 0; row < m; row++, x += ldx, y += ldy) {
    const uint16_t *w = (const uint16_t *)(bias + W);
    constexpr int C = N <= DOT / 2 ? 2 : 1;
    vf acc[C][DOT] = {};
    for (int64_t i = 0; i < k; i += 2 * W, w += N * 2 * W) {
      vf a = i + W <= k ? vload(x + i) : vload_tail(x + i, k - i);
      vf b = i + 2 * W <= k ? vload(x + i + W) : i + W < k ? vload_tail(x + i + W, k - i - W) : vsplat0();
      vf first = every_other<0>(a, b), second = every_other<1>(a, b);
      EFF_UNROLL for (int o = 0; o < N; o++) {
        vi word = bf16_load(w + o * 2 * W);
        acc[0][o] = vfma(first, bf16_first(word), acc[0][o]);
        acc[C - 1][o] = vfma(second, (vf)word, acc[C - 1][o]);
      }
    }
    join<C>(acc[0], DOT);
    vf t = vsums(acc[0]) + vload(bias);
    if (N == W) vstore(y, t); else vstore_tail(y, t, N);
  }
}

struct bf16_panels {
  typedef weights_bf16 format;
  const float *x;
  int64_t ldx, m, k;
  float *y;
  int64_t ldy;
  template <int NV> EFF_INLINE_MEMBER void lane(const char *panel, int64_t n) const {
    bf16_lane_panel<NV>(x, ldx, m, k, panel, y + n, ldy);
  }
  template <int N> EFF_INLINE_MEMBER void dot(const char *panel, int64_t n) const {
    bf16_dot_panel<N>(x, ldx, m, k, panel, y + n, ldy);
  }
};
