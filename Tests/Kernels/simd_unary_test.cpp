#include "simd_test.h"

// the error of one function over its whole range
static void sweep(int level, eff_kernel k, int fn, float a, float b) {
  double ulps = 4, scale = 0;  // in units of 2^-24
  if (fn == EFF_FN_GELU) ulps = 4, scale = -1;                     // relative to x: 1 + erf cancels
  if (fn == EFF_FN_GELU_TANH || fn == EFF_FN_SWISH) ulps = 6, scale = -1;
  if (fn == EFF_FN_SIN || fn == EFF_FN_COS) scale = 0.5;           // near the zeros, absolute
  if (fn == EFF_FN_TAN || fn == EFF_FN_ACOSH || fn == EFF_FN_MISH || fn == EFF_FN_SCALED_TANH) ulps = 8;
  if (fn == EFF_FN_AFFINE || fn == EFF_FN_HARD_SIGMOID) scale = 1;
  if (fn == EFF_FN_HARD_SWISH) ulps = 4, scale = -1;
  if (level == EFF_ISA_SSE2) ulps *= 1.35;                         // no fused multiply-add
  enum { N = 4099 };
  floats x(N), y(N, 0);
  double worst = 0, at = 0;
  for (int block = 0; block < 40; block++) {
    for (int i = 0; i < N; i++) {
      float m = exp2f(uniform() * 30 - (block % 3) * 8), s = uniform() < 0 ? -1 : 1;
      x[i] = block % 4 == 0 ? uniform() * 10 : block % 4 == 1 ? uniform() * 100 : s * m;
    }
    if (block == 0) {
      const float special[] = {0.0f,  -0.0f, INFINITY, -INFINITY, NAN,     1e-40f, -1e-40f, 3e38f, -3e38f,
                               88.7f, 88.8f, -87.4f,   -103.9f,   -104.1f, 1,      -1,      0.5f,  2.5f,
                               -2.5f, 1.5f,  8388609,  -8388609,  20,      -20,    9,       -9};
      memcpy(x.p, special, sizeof special);
    }
    eff_unary u = {N, fn, 0, a, b};
    void *p[] = {x.p, y.p};
    run(k, &u, 1, 2, p, nullptr);
    for (int i = 0; i < N; i++) {
      double want = reference_fn(fn, x[i], a, b);
      double m = scale < 0 ? fabs(x[i]) : scale;
      if (fn == EFF_FN_AFFINE || fn == EFF_FN_HARD_SIGMOID) m = fabs(a * x[i]) + fabs(b);
      if (!near(y[i], want, ulps, m)) {
        char why[64];
        snprintf(why, sizeof why, "fn %d of %.9g", fn, x[i]);
        check(false, why, y[i], want);
      }
      double e = fabs(y[i] - want) / (fmax(fabs(want), fmax(m, 1.2e-38)) * 5.96e-8);
      if (e > worst && isfinite(e)) worst = e, at = x[i];
    }
  }
  check(y.intact(), "guard");
  check(true, "");
  if (getenv("ULPS")) printf("  fn %2d worst %.2f half-ulps at %.9g\n", fn, worst, at);
}

void test_unary(int level) {
  eff_kernel k = eff_kernel_find_simd(EFF_K_UNARY, EFF_TYPE_F32, level);
  for (int fn = 0; fn <= EFF_FN_SCALED_TANH; fn++) {
    if (fn >= EFF_FN_NOT && fn <= EFF_FN_IS_INF) continue;
    snprintf(what, sizeof what, "unary %s", eff_isa_name(level));
    float a = fn == EFF_FN_CLIP           ? -0.7f
              : fn == EFF_FN_HARD_SIGMOID ? 0.2f
                                          : 1.3f,
          b = fn == EFF_FN_HARD_SIGMOID ? 0.5f : 0.9f;
    sweep(level, k, fn, a, b);
    // an element gives the same bits at every position and in every length
    floats x(140), whole(140, 0);
    for (int i = 0; i < 140; i++) x[i] = x[i] * 5;
    eff_unary u = {140, fn, 0, a, b};
    void *p[] = {x.p, whole.p};
    run(k, &u, 1, 2, p, nullptr);
    for (int n = 1; n <= 70; n++) {
      floats y(n * 2, 0);
      eff_unary v = {n, fn, 0, a, b};
      void *q[] = {x.p, y.p};
      int64_t strides[] = {n * 4, n * 4};
      run(k, &v, 2, 2, q, strides);
      check(!memcmp(y.p, whole.p, (size_t)n * 8), "an element depends on its position", fn, n);
      check(y.intact(), "guard");
    }
  }
  floats x(37);
  x[3] = NAN, x[9] = INFINITY, x[10] = -INFINITY;
  char y[37];
  eff_unary nan = {37, EFF_FN_IS_NAN, 0, 0, 0}, inf = {37, EFF_FN_IS_INF, 0, 1, 0};
  void *p[] = {x.p, y};
  run(k, &nan, 1, 2, p, nullptr);
  for (int i = 0; i < 37; i++) check(y[i] == (i == 3), "is_nan");
  run(k, &inf, 1, 2, p, nullptr);
  for (int i = 0; i < 37; i++) check(y[i] == (i == 10), "is_inf, negative only");
}
