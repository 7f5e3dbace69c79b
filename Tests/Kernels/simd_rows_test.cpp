// binary, softmax, norm and reduce
#include <vector>
#include "simd_test.h"

static double binary_of(int fn, double a, double b) {
  switch (fn) {
    case EFF_FN2_ADD: return a + b;
    case EFF_FN2_SUB: return a - b;
    case EFF_FN2_MUL: return a * b;
    case EFF_FN2_DIV: return a / b;
    case EFF_FN2_MIN: return isnan(a) ? a : isnan(b) ? b : fmin(a, b);
    default: return isnan(a) ? a : isnan(b) ? b : fmax(a, b);
  }
}

void test_binary(int level) {
  eff_kernel k = eff_kernel_find_simd(EFF_K_BINARY, EFF_TYPE_F32, level);
  for (int fn : {EFF_FN2_ADD, EFF_FN2_SUB, EFF_FN2_MUL, EFF_FN2_DIV, EFF_FN2_MIN, EFF_FN2_MAX})
    for (int64_t n = 1; n <= 40; n++)
      for (int shape = 0; shape < 7; shape++) {
        eff_binary p = {};
        p.fn = fn, p.rank = 3, p.dims[0] = 2, p.dims[1] = 3, p.dims[2] = n;
        // which dimensions of a and b are broadcast
        const int broadcast[7][2] = {{0, 0}, {0, 7}, {7, 0}, {0, 3}, {0, 4}, {2, 5}, {7, 7}};
        int64_t size[2];
        for (int side = 0; side < 2; side++) {
          int64_t s = 1, *strides = side ? p.b : p.a;
          for (int d = 2; d >= 0; d--) {
            bool one = broadcast[shape][side] >> d & 1;
            strides[d] = one ? 0 : s;
            if (!one) s *= p.dims[d];
          }
          size[side] = s;
        }
        snprintf(what, sizeof what, "binary %s fn=%d n=%d shape=%d", eff_isa_name(level), fn, (int)n, shape);
        floats a(size[0]), b(size[1]), y(6 * n, 0);
        if (n == 7) a[0] = NAN;
        if (n == 9) b[0] = NAN;
        void *q[] = {a.p, b.p, y.p};
        run(k, &p, 1, 3, q, nullptr);
        check(y.intact(), "guard");
        for (int64_t i = 0; i < 6 * n; i++) {
          int64_t at[3] = {i / (3 * n), i / n % 3, i % n}, ia = 0, ib = 0;
          for (int d = 0; d < 3; d++) ia += at[d] * p.a[d], ib += at[d] * p.b[d];
          double want = (float)binary_of(fn, a[ia], b[ib]);
          if (!near(y[i], want, 1, 0)) check(false, "value", y[i], want);
        }
        passed++;
      }
}

void test_rows(int level) {
  for (int64_t n = 1; n <= 133; n++) {
    floats x(3 * n, 6), y(3 * n, 0);
    if (n == 50) x[n + 2] = -INFINITY;
    void *p[] = {x.p, y.p};
    for (int fn : {EFF_SOFTMAX_SOFT, EFF_SOFTMAX_LOG}) {
      snprintf(what, sizeof what, "softmax %s n=%d fn=%d", eff_isa_name(level), (int)n, fn);
      eff_softmax s = {3, n, 1, fn, 0};
      run(eff_kernel_find_simd(EFF_K_SOFTMAX, EFF_TYPE_F32, level), &s, 1, 2, p, nullptr);
      check(y.intact(), "guard");
      for (int g = 0; g < 3; g++) {
        double top = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++) top = fmax(top, x[g * n + i]);
        for (int64_t i = 0; i < n; i++) sum += exp(x[g * n + i] - top);
        for (int64_t i = 0; i < n; i++) {
          double t = x[g * n + i] - top, want = fn == EFF_SOFTMAX_LOG ? t - log(sum) : exp(t) / sum;
          if (!near(y[g * n + i], want, 16, fn == EFF_SOFTMAX_LOG ? 12 : 0)) check(false, "value", y[g * n + i], want);
        }
      }
      passed++;
    }
    floats scale(n), bias(n), mean(3, 0), inverse(3, 0);
    if (n == 50) x[n + 2] = 1;
    for (int rms : {0, 1})
      for (int affine : {0, 1, 2}) {
        snprintf(what, sizeof what, "norm %s n=%d rms=%d affine=%d", eff_isa_name(level), (int)n, rms, affine);
        eff_norm o = {};
        o.outer = 3, o.n = n, o.rms = rms, o.affine = affine == 2 ? EFF_NORM_CHANNEL : EFF_NORM_ELEMENT, o.channels = 2,
        o.inner = n % 2 ? 5 : n / 2 + 4, o.act = n % 3 ? 0 : EFF_FN_RELU, o.epsilon = 1e-3;
        if (affine == 2 && n < 2) continue;
        void *q[] = {x.p, affine ? scale.p : nullptr, affine ? bias.p : nullptr, y.p, mean.p, inverse.p};
        run(eff_kernel_find_simd(EFF_K_NORM, EFF_TYPE_F32, level), &o, 1, 6, q, nullptr);
        check(y.intact() && mean.intact() && inverse.intact(), "guard");
        for (int g = 0; g < 3; g++) {
          double m = 0, v = 0;
          for (int64_t i = 0; i < n && !rms; i++) m += x[g * n + i] / (double)n;
          for (int64_t i = 0; i < n; i++) v += (x[g * n + i] - m) * (x[g * n + i] - m) / (double)n;
          double inv = 1 / sqrt(v + o.epsilon);
          if (!near(mean[g], m, 8, 6) || !near(inverse[g], inv, 64 + 16 * inv, 0))
            check(false, "statistics", inverse[g], inv);
          for (int64_t i = 0; i < n; i++) {
            int64_t c = affine == 2 ? (g * n + i) / o.inner % 2 : i;
            double want = (x[g * n + i] - m) * inv * (affine ? scale[c] : 1) + (affine ? bias[c] : 0);
            if (o.act && want < 0) want = 0;
            if (!near(y[g * n + i], want, 32, 6 * inv + 1)) check(false, "value", y[g * n + i], want);
          }
        }
        passed++;
      }
    for (int fn : {EFF_REDUCE_SUM, EFF_REDUCE_MEAN, EFF_REDUCE_MAX, EFF_REDUCE_SUM_SQUARE, EFF_REDUCE_L2}) {
      if (n < 4) continue;
      snprintf(what, sizeof what, "reduce %s n=%d fn=%d", eff_isa_name(level), (int)n, fn);
      eff_reduce o = {};
      o.fn = fn, o.kept_rank = 1, o.kept[0] = 3, o.kept_stride[0] = n, o.reduced_rank = 1, o.reduced[0] = n,
      o.reduced_stride[0] = 1;
      floats z(3, 0);
      void *q[] = {x.p, z.p};
      run(eff_kernel_find_simd(EFF_K_REDUCE, EFF_TYPE_F32, level), &o, 1, 2, q, nullptr);
      check(z.intact(), "guard");
      for (int g = 0; g < 3; g++) {
        double s = 0, top = -INFINITY, sq = 0, size = 0;
        for (int64_t i = 0; i < n; i++)
          s += x[g * n + i], size += fabs(x[g * n + i]), sq += (double)x[g * n + i] * x[g * n + i],
              top = fmax(top, x[g * n + i]);
        double want = fn == EFF_REDUCE_SUM          ? s
                      : fn == EFF_REDUCE_MEAN       ? s / (double)n
                      : fn == EFF_REDUCE_MAX        ? top
                      : fn == EFF_REDUCE_SUM_SQUARE ? sq
                                                    : sqrt(sq);
        check(near(z[g], want, 16, fn == EFF_REDUCE_SUM ? size : 6), "value", z[g], want);
      }
      x[n + 3] = NAN;
      run(eff_kernel_find_simd(EFF_K_REDUCE, EFF_TYPE_F32, level), &o, 1, 2, q, nullptr);
      check(isnan(z[1]) && !isnan(z[0]), "NaN reaches the result");
      x[n + 3] = 0.5f;
    }
  }
}
