#include <vector>
#include "simd_test.h"

static float from_bits(uint32_t b) {
  float f;
  memcpy(&f, &b, 4);
  return f;
}
static uint32_t bf16_bits(float w) {
  uint32_t b;
  memcpy(&b, &w, 4);
  return (b + 0x7fff + (b >> 16 & 1)) >> 16;
}
// what a stored weight is worth: the rounding of the packed format. i8: whole numbers. bf16: weights 2i and 2i + 1
// share a word, the second ends in the bits of the first; of the numbers that do, its bits are nearest to the weight's.
static double stored(int type, const float *w, int64_t stride, int64_t i, float top) {
  float v = w[i * stride];
  if (type == EFF_TYPE_I8) return top > 0 ? rintf(v * (127 / top)) : 0;
  if (type == EFF_TYPE_BF16) {
    if (i % 2 == 0) return from_bits(bf16_bits(v) << 16);
    uint32_t tail = bf16_bits(w[(i - 1) * stride]), high = bf16_bits(v) & 0x7fff, bits;
    double best = 1e-20, size = fabs(v);
    memcpy(&bits, &v, 4);
    int64_t off = INT64_MAX;
    for (uint32_t h = high ? high - 1 : 0; size > 1e-20 && h <= high + 1; h++)
      if (int64_t d = llabs((int64_t)(h << 16 | tail) - (bits & 0x7fffffff)); d <= off)
        off = d, best = from_bits(h << 16 | tail);
    check(fabs(best - size) <= size / 256 + 1e-20, "bf16 rounds to half a unit", best, size);
    return v < 0 ? -best : best;
  }
  if (type == EFF_TYPE_F16) {
    int e;
    frexp(v, &e);
    double step = ldexp(1, (e < -13 ? -13 : e) - 11);
    return rint(v / step) * step;
  }
  return v;
}

// row r of x, rounded as i8 layers do: to 16-bit integers per block of 512
static void round_x(const float *x, int64_t k, double *rounded) {
  for (int64_t first = 0; first < k; first += 512) {
    int64_t end = first + 512 < k ? first + 512 : k;
    float top = 0;
    for (int64_t i = first; i < end; i++) top = fmaxf(top, fabsf(x[i]));
    for (int64_t i = first; i < end; i++) rounded[i] = rintf(x[i] * (32512 / top)) * (double)(top / 32512);
  }
}

static void one(int level, int64_t k, int64_t n, int64_t max_m, int type, int act) {
  eff_kernel f = eff_kernel_find_simd(EFF_K_DENSE, EFF_TYPE_F32, level);
  int64_t ldx = k + (k % 3), ldy = n + (n % 2 ? 3 : 0);
  double a = act == EFF_FN_CLIP           ? -0.3
             : act == EFF_FN_HARD_SIGMOID ? 0.2
                                          : 1.3,
         b = act == EFF_FN_HARD_SIGMOID ? 0.5 : 0.9;
  snprintf(what, sizeof what, "dense %s k=%lld n=%lld type=%d act=%d", eff_isa_name(level), (long long)k, (long long)n,
           type, act);
  floats w(k * n, 0.5f), bias(n), x((max_m - 1) * ldx + k);
  if (k > 2) w[1] = 3e-6f, w[0] = 0;
  bool transposed = (k + n) % 2, biased = (k + n) % 5 != 0;
  int64_t ks = transposed ? 1 : n, ns = transposed ? k : 1;
  eff_dense d = {max_m, k, n, ldx, ldy, act, type, a, b};
  packed pk(eff_dense_packed_size_simd(&d, level));
  eff_dense_pack_simd(&d, level, w, ks, ns, biased ? bias.p : nullptr, pk.p);
  check(pk.intact(), "the packed size holds the packed weights");
  // a file has its weights at any address
  std::vector<char> loose(k * n * 4 + 1);
  memcpy(loose.data() + 1, w.p, k * n * 4);
  packed again(pk.n);
  eff_dense_pack_simd(&d, level, (const float *)(loose.data() + 1), ks, ns, biased ? bias.p : nullptr, again.p);
  check(!memcmp(pk.p, again.p, pk.n), "packed from an odd address");
  // the twin of whole lines and transpositions: numbers one by one. A kept page holds what was packed there before
  std::vector<float> apart(2 * k * n);
  for (int64_t i = 0; i < k * n; i++) apart[2 * i] = w[i];
  packed single(pk.n, 0xff);
  eff_dense_pack_simd(&d, level, apart.data(), 2 * ks, 2 * ns, biased ? bias.p : nullptr, single.p);
  check(!memcmp(pk.p, single.p, pk.n), "packed one by one, over other bytes");
  floats all((max_m - 1) * ldy + n, 0);
  void *p[] = {x.p, pk.p, all.p};
  run(f, &d, 1, 3, p, nullptr);
  check(all.intact(), "guard");
  std::vector<double> column(k), rounded(max_m * k);
  for (int64_t r = 0; r < max_m; r++)
    if (type == EFF_TYPE_I8) round_x(x + r * ldx, k, &rounded[r * k]);
    else for (int64_t i = 0; i < k; i++) rounded[r * k + i] = x[r * ldx + i];
  for (int64_t j = 0; j < n; j++) {
    float top = 0;
    for (int64_t i = 0; i < k; i++) top = fmaxf(top, fabsf(w[i * ks + j * ns]));
    for (int64_t i = 0; i < k; i++) column[i] = stored(type, w + j * ns, ks, i, top);
    if (type == EFF_TYPE_I8) for (double &v : column) v *= top / 127;
    for (int64_t r = 0; r < max_m; r++) {
      double sum = biased ? bias[j] : 0, size = fabs(sum);
      for (int64_t i = 0; i < k; i++) {
        double t = rounded[r * k + i] * column[i];
        sum += t, size += fabs(t);
      }
      double slope = act == EFF_FN_SELU || act == EFF_FN_SWISH ? 1.7 : 1.3;
      double want = reference_fn(act, sum, (float)a, (float)b);
      if (!near(all[r * ldy + j], want, 4 + 0.2 * (double)k, slope * size + 0.1))
        check(false, "value", all[r * ldy + j], want);
    }
  }
  passed++;
  for (int64_t r = 0; r + 1 < max_m; r++)
    for (int64_t j = n; j < ldy; j++) check(all.untouched(r * ldy + j), "between the rows");
  // a session of two such matrices gives their bits
  {
    floats twice(2 * max_m * ldx), y(2 * max_m * ldy, 0);
    for (int64_t i = 0; i < 2; i++) memcpy(twice + i * max_m * ldx, x.p, (size_t)x.n * 4);
    void *q[] = {twice.p, pk.p, y.p};
    int64_t strides[] = {max_m * ldx * 4, 0, max_m * ldy * 4};
    run(f, &d, 2, 3, q, strides);
    check(y.intact(), "guard, two matrices");
    for (int64_t r = 0; r < 2 * max_m; r++)
      check(!memcmp(y + r * ldy, all + r % max_m * ldy, (size_t)n * 4), "a row depends on the matrices", (double)r);
  }
  // any number of rows, as m or as rows of the session, gives the same bits; long sequences have a format of their own
  eff_dense d1 = d;
  d1.m = 1;
  packed few(eff_dense_packed_size_simd(&d1, level));
  eff_dense_pack_simd(&d1, level, w, ks, ns, biased ? bias.p : nullptr, few.p);
  floats same((max_m - 1) * ldy + n, 0);
  for (int64_t m = max_m; m > 0; m--) {
    floats y((m - 1) * ldy + n, 0), z((m - 1) * ldy + n, 0);
    eff_dense dm = d;
    dm.m = m;
    void *q[] = {x.p, few.p, y.p}, *s[] = {x.p, few.p, z.p};
    int64_t strides[] = {ldx * 4, 0, ldy * 4};
    run(f, &d1, m, 3, s, strides);
    check(z.intact(), "guard, session");
    if (m == max_m) memcpy(same.p, z.p, (size_t)z.n * 4);
    if (m < 24) run(f, &dm, 1, 3, q, nullptr), check(y.intact(), "guard, m");
    for (int64_t r = 0; r < m; r++) {
      check(m >= 24 || !memcmp(y + r * ldy, same + r * ldy, (size_t)n * 4), "a row depends on m", (double)r, (double)m);
      check(!memcmp(z + r * ldy, same + r * ldy, (size_t)n * 4), "a row depends on the session's rows", (double)r,
            (double)m);
    }
  }
  for (int64_t r = 0; r < max_m; r++)
    for (int64_t j = 0; j < n; j++)
      if (!near(same[r * ldy + j], all[r * ldy + j], 8 + 0.4 * (double)k, 1 + (double)k))
        check(false, "few rows beside many", same[r * ldy + j], all[r * ldy + j]);
}

// i8 adds integers, so that every way of doing it gives the bits of the naive twin but for the last roundings
static void against_twin(int level, int64_t k, int64_t n) {
  snprintf(what, sizeof what, "dense i8 %s k=%lld n=%lld", eff_isa_name(level), (long long)k, (long long)n);
  floats w(k * n), bias(n), x(3 * k, 3), want(3 * n, 0), got(3 * n, 0);
  eff_dense d = {3, k, n, k, n, EFF_FN_IDENTITY, EFF_TYPE_I8, 0, 0};
  packed plain(eff_dense_packed_size(&d, EFF_ISA_NAIVE)), fast(eff_dense_packed_size_simd(&d, level));
  eff_dense_pack(&d, EFF_ISA_NAIVE, w, n, 1, bias, plain.p);
  eff_dense_pack_simd(&d, level, w, n, 1, bias, fast.p);
  check(plain.intact() && fast.intact(), "the packed size holds the packed weights");
  void *a[] = {x.p, plain.p, want.p}, *b[] = {x.p, fast.p, got.p};
  run(eff_kernel_find(EFF_K_DENSE, EFF_TYPE_F32, EFF_ISA_NAIVE), &d, 1, 3, a, nullptr);
  run(eff_kernel_find_simd(EFF_K_DENSE, EFF_TYPE_F32, level), &d, 1, 3, b, nullptr);
  for (int64_t i = 0; i < 3 * n; i++) check(near(got[i], want[i], 8, sqrt((double)k)), "value", got[i], want[i]);
  // a value that is not finite shows in its row and in no other
  for (float bad : {(float)NAN, (float)INFINITY}) {
    x[k + k / 2] = bad;
    run(eff_kernel_find_simd(EFF_K_DENSE, EFF_TYPE_F32, level), &d, 1, 3, b, nullptr);
    for (int64_t i = 0; i < n; i++)
      check(!isfinite(got[n + i]) && isfinite(got[i]) && isfinite(got[2 * n + i]), "not finite", got[n + i]);
  }
}

static void test_i8(int level) {
  for (int64_t n : {1, 2, 3, 5, 7, 8, 12, 16, 17, 31, 33, 64, 65, 96, 127, 128, 257})
    for (int64_t k : {1, 3, 8, 17, 64, 100}) one(level, k, n, 7, EFF_TYPE_I8, EFF_FN_TANH);
  for (int64_t k : {511, 512, 513, 1100, 4096, 4097, 9001}) against_twin(level, k, 75);
}

void test_dense(int level) {
  const int types[] = {EFF_TYPE_F32, EFF_TYPE_F16, EFF_TYPE_BF16};
  for (int64_t n = 1; n <= 130; n++) one(level, 1 + n * 7 % 41, n, 9, EFF_TYPE_F32, EFF_FN_IDENTITY);
  for (int64_t k = 1; k <= 130; k++) one(level, k, 1 + k * 11 % 83, 3, EFF_TYPE_F32, EFF_FN_RELU);
  for (int act = 0; act <= EFF_FN_AFFINE; act++) one(level, 33, 47, 7, EFF_TYPE_F32, act);
  for (int type : types)
    for (int64_t n : {1, 2, 3, 5, 7, 8, 12, 16, 17, 31, 33, 64, 65, 96, 127, 128, 257})
      for (int64_t k : {1, 3, 8, 17, 64, 100}) one(level, k, n, 7, type, EFF_FN_TANH);
  one(level, 300, 200, 101, EFF_TYPE_F32, EFF_FN_ELU);
  one(level, 530, 301, 26, EFF_TYPE_F32, EFF_FN_RELU);
  one(level, 7, 16, 24, EFF_TYPE_F32, EFF_FN_IDENTITY);
  int32_t dots = eff_byte_dots[level];
  for (eff_byte_dots[level] = 0; eff_byte_dots[level] <= dots; eff_byte_dots[level]++) test_i8(level);
  eff_byte_dots[level] = dots;
}
