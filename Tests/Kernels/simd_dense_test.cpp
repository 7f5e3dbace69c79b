#include "simd_test.h"

// what a stored weight is worth: the rounding of the packed format
static double stored(int type, float w, float top) {
  if (type == EFF_TYPE_I8) return top > 0 ? rint(w * (127 / top)) * (top / 127) : 0;
  if (type == EFF_TYPE_BF16) {
    uint32_t b;
    memcpy(&b, &w, 4);
    b = (b + 0x7fff + (b >> 16 & 1)) & 0xffff0000u;
    memcpy(&w, &b, 4);
    return w;
  }
  if (type == EFF_TYPE_F16) {
    int e;
    frexp(w, &e);
    double step = ldexp(1, (e < -13 ? -13 : e) - 11);
    return rint(w / step) * step;
  }
  return w;
}

static void one(int level, int64_t k, int64_t n, int64_t max_m, int type, int act) {
  eff_kernel f = eff_kernel_find_simd(EFF_K_DENSE, EFF_TYPE_F32, level);
  int64_t ldx = k + (k % 3), ldy = n + (n % 2 ? 3 : 0);
  double a = act == EFF_FN_CLIP ? -0.3 : act == EFF_FN_HARD_SIGMOID ? 0.2 : 1.3, b = act == EFF_FN_HARD_SIGMOID ? 0.5 : 0.9;
  snprintf(what, sizeof what, "dense %s k=%lld n=%lld type=%d act=%d", eff_isa_name(level), (long long)k, (long long)n, type, act);
  floats w(k * n, 0.5f), bias(n), x((max_m - 1) * ldx + k);
  if (k > 2) w[1] = 3e-6f, w[0] = 0;
  bool transposed = (k + n) % 2, biased = (k + n) % 5 != 0;
  int64_t ks = transposed ? 1 : n, ns = transposed ? k : 1;
  eff_dense d = {max_m, k, n, ldx, ldy, act, type, a, b};
  packed pk(eff_dense_packed_size_simd(&d, level));
  eff_dense_pack_simd(&d, level, w, ks, ns, biased ? bias.p : nullptr, pk.p);
  check(pk.intact(), "the packed size holds the packed weights");
  floats all((max_m - 1) * ldy + n, 0);
  void *p[] = {x.p, pk.p, all.p};
  run(f, &d, 1, 3, p, nullptr);
  check(all.intact(), "guard");
  for (int64_t j = 0; j < n; j++) {
    float top = 0;
    for (int64_t i = 0; i < k; i++) top = fmaxf(top, fabsf(w[i * ks + j * ns]));
    for (int64_t r = 0; r < max_m; r++) {
      double sum = biased ? bias[j] : 0, size = fabs(sum);
      for (int64_t i = 0; i < k; i++) {
        double t = x[r * ldx + i] * stored(type, w[i * ks + j * ns], top);
        sum += t, size += fabs(t);
      }
      double slope = act == EFF_FN_SELU || act == EFF_FN_SWISH ? 1.7 : 1.3;
      double want = reference_fn(act, sum, (float)a, (float)b);
      if (!near(all[r * ldy + j], want, 4 + 0.2 * (double)k, slope * size + 0.1)) check(false, "value", all[r * ldy + j], want);
    }
  }
  passed++;
  for (int64_t r = 0; r + 1 < max_m; r++)
    for (int64_t j = n; j < ldy; j++) check(all.untouched(r * ldy + j), "between the rows");
  // any number of rows, as m or as rows of the session, gives the same bits
  for (int64_t m = 1; m <= max_m; m++) {
    floats y((m - 1) * ldy + n, 0), z((m - 1) * ldy + n, 0);
    eff_dense dm = d, d1 = d;
    dm.m = m, d1.m = 1;
    void *q[] = {x.p, pk.p, y.p}, *s[] = {x.p, pk.p, z.p};
    int64_t strides[] = {ldx * 4, 0, ldy * 4};
    run(f, &dm, 1, 3, q, nullptr);
    run(f, &d1, m, 3, s, strides);
    check(y.intact() && z.intact(), "guard, m");
    for (int64_t r = 0; r < m; r++) {
      check(!memcmp(y + r * ldy, all + r * ldy, (size_t)n * 4), "a row depends on m", (double)r, (double)m);
      check(!memcmp(z + r * ldy, all + r * ldy, (size_t)n * 4), "a row depends on the session's rows", (double)r, (double)m);
    }
  }
}

void test_dense(int level) {
  const int types[] = {EFF_TYPE_F32, EFF_TYPE_F16, EFF_TYPE_BF16, EFF_TYPE_I8};
  for (int64_t n = 1; n <= 130; n++) one(level, 1 + n * 7 % 41, n, 9, EFF_TYPE_F32, EFF_FN_IDENTITY);
  for (int64_t k = 1; k <= 130; k++) one(level, k, 1 + k * 11 % 83, 3, EFF_TYPE_F32, EFF_FN_RELU);
  for (int act = 0; act <= EFF_FN_AFFINE; act++) one(level, 33, 47, 7, EFF_TYPE_F32, act);
  for (int type : types)
    for (int64_t n : {1, 2, 3, 5, 7, 8, 12, 16, 17, 31, 33, 64, 65, 96, 127, 128, 257})
      for (int64_t k : {1, 3, 8, 17, 64, 100}) one(level, k, n, 7, type, EFF_FN_TANH);
  one(level, 300, 200, 101, EFF_TYPE_F32, EFF_FN_ELU);
}
