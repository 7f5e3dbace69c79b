// The inner loop of every product with many rows: R rows against NB vectors of outputs. Included inside a level's
// namespace, behind vec.h.
//
// `rows` addresses the factors: rows[r] is the next one of row r, next() goes one step on, and settle() ends four of
// them. The loop is bound by how many instructions it has, so that what an address costs decides.
template <int R, int NB, class Rows> EFF_INLINE void
add_products(vf (&acc)[R][NB], Rows rows, int64_t k, const float *b, int64_t ldb) {
  auto step = [&]() __attribute__((always_inline)) {
    vf w[NB];
    EFF_UNROLL for (int v = 0; v < NB; v++) w[v] = vload(b + v * W);
    EFF_UNROLL for (int r = 0; r < R; r++) {
      vf a = vset(rows[r]);
      EFF_UNROLL for (int v = 0; v < NB; v++) acc[r][v] = vfma(a, w[v], acc[r][v]);
    }
    rows.next(), b += ldb;
  };
#if EFF_LEVEL == 4
  if constexpr (Rows::near)  // NEON multiplies by a lane: one load is four steps of a row
    EFF_ROLL for (; k >= 4; k -= 4, rows.forward(4)) {
      vf x[R];
      EFF_UNROLL for (int r = 0; r < R; r++) x[r] = vload(&rows[r]);
      EFF_UNROLL for (int i = 0; i < 4; i++, b += ldb)
        EFF_UNROLL for (int v = 0; v < NB; v++) {
          vf w = vload(b + v * W);
          EFF_UNROLL for (int r = 0; r < R; r++) acc[r][v] = vfma(vlane(x[r], i), w, acc[r][v]);
        }
    }
#endif
  if (EFF_LEVEL > 1)  // SSE2 is to be small
    EFF_ROLL for (; k >= 4; k -= 4) {
      step(), step(), step(), step();
      rows.settle();
    }
  EFF_ROLL for (; k > 0; k--) step();
}
// Rows `pitch` apart and steps next to each other: two pointers reach six rows by the processor's own addressing.
struct near_steps {
  enum { near = 1 };
  const float *low, *high;
  int64_t pitch;
  near_steps(const float *x, int64_t pitch) : low(x), high(x + 3 * pitch), pitch(pitch) {}
  EFF_INLINE_MEMBER const float &operator[](int r) const { return (r < 3 ? low : high)[r % 3 * pitch]; }
  EFF_INLINE_MEMBER void next() { low++, high++; }
  EFF_INLINE_MEMBER void forward(int n) { low += n, high += n; }
  EFF_INLINE_MEMBER void settle() { __asm__("" : "+r"(low), "+r"(high)); }  // stay two
};
// The same, with what is read next on its way: a line every four steps, `step` bytes apart.
struct near_steps_ahead : near_steps {
  const char *ahead;
  int64_t step;
  near_steps_ahead(const float *x, int64_t pitch, const char *ahead, int64_t step)
      : near_steps(x, pitch), ahead(ahead), step(step) {}
  EFF_INLINE_MEMBER void settle() {
    near_steps::settle();
    __builtin_prefetch(ahead, 0, 2), ahead += step;
  }
};
// Steps at any distance: what the next one adds has no place in an address.
template <bool Two> struct strided_steps {
  enum { near = 0 };
  const float *low, *high;
  int64_t pitch, stride;
  EFF_INLINE_MEMBER const float &operator[](int r) const { return (r < 3 ? low : high)[r % 3 * pitch]; }
  EFF_INLINE_MEMBER void next() {
    low += stride, high += stride;
    if (Two) __asm__("" : "+r"(low), "+r"(high));
  }
  EFF_INLINE_MEMBER void settle() {}
};
// Rows anywhere, their steps next to each other. `ahead`: what is read next, a line every four steps.
template <int R> struct apart_steps {
  enum { near = 1 };
  const float *p[R];
  int64_t i;
  const char *ahead;
  EFF_INLINE_MEMBER const float &operator[](int r) const { return p[r][i]; }
  EFF_INLINE_MEMBER void next() { i++; }
  EFF_INLINE_MEMBER void forward(int n) { i += n; }
  EFF_INLINE_MEMBER void settle() { __builtin_prefetch(ahead, 0, 2), ahead += 64; }
};
