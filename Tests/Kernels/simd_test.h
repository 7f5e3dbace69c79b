// Shared by the kernel tests: counting, comparing, and buffers that notice a stray write.
#pragma once
#include <math.h>
#include <initializer_list>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/Kernels/internal.h"

extern int passed, failed;
extern char what[256];  // names the case under test

inline void check(bool ok, const char *why, double got = 0, double want = 0) {
  if (ok) { passed++; return; }
  if (failed++ < 40) printf("FAILED %s: %s (got %.9g, expected %.9g)\n", what, why, got, want);
}

inline float uniform() {
  static uint64_t s = 88172645463325252ull;
  s ^= s << 13, s ^= s >> 7, s ^= s << 17;
  return (float)((double)(s >> 11) / 9007199254740992.0 * 2 - 1);
}

// n floats with exactly n * 4 bytes of heap behind them (so that the address sanitizer sees every overrun) and a guard
// that holds a NaN pattern on both sides
struct floats {
  int64_t n;
  float *base, *p;
  static constexpr uint32_t canary = 0x7fc0dead;
  explicit floats(int64_t n, float scale = 1) : n(n), base((float *)malloc((size_t)(n + 8) * 4)), p(base + 4) {
    for (int64_t i = 0; i < n + 8; i++) memcpy(base + i, &canary, 4);
    if (scale != 0) for (int64_t i = 0; i < n; i++) p[i] = uniform() * scale;
  }
  ~floats() { free(base); }
  floats(const floats &) = delete;
  bool intact() const {
    for (int i = 0; i < 4; i++)
      if (memcmp(base + i, &canary, 4) || memcmp(p + n + i, &canary, 4)) return false;
    return true;
  }
  bool untouched(int64_t i) const { return !memcmp(p + i, &canary, 4); }
  operator float *() const { return p; }
};

// 64-byte aligned packed weights with a canary behind them
struct packed {
  char *p;
  int64_t n;
  explicit packed(int64_t n, int before = 0x5a) : p((char *)aligned_alloc(64, (size_t)((n + 127) & ~63))), n(n) {
    memset(p, 0x5a, (size_t)((n + 127) & ~63));
    memset(p, before, (size_t)n);
  }
  ~packed() { free(p); }
  packed(const packed &) = delete;
  bool intact() const {
    for (int i = 0; i < 32; i++) if (p[n + i] != 0x5a) return false;
    return true;
  }
};

// |got - want| <= ulps of max(|want|, scale); equal infinities and NaN with NaN pass
inline bool near(float got, double want, double ulps, double scale) {
  if (isnan(want)) return isnan(got);
  if (isinf((float)want) || isinf(got)) return got == (float)want || (fabs(want) > 3.39e38 && fabs(got) > 3.39e38);
  double m = fabs(want) > scale ? fabs(want) : scale;
  return fabs(got - want) <= ulps * m * 5.9604645e-8 + 1.5e-38;
}

inline void run(eff_kernel k, const void *params, int64_t rows, int count, void *const *p, const int64_t *strides) {
  eff_op op;
  memset(&op, 0, sizeof op);
  op.run = k;
  op.params = params;
  for (int i = 0; i < count; i++) op.p[i] = p[i], op.stride[i] = strides ? strides[i] : 0;
  k(&op, rows);
}

double reference_fn(int fn, double x, double a, double b);

void test_unary(int level);
void test_binary(int level);
void test_dense(int level);
void test_rnn(int level);
void test_conv(int level);
void test_pool(int level);
void test_matmul(int level);
void test_rows(int level);
