// A kernel of one instruction set hands what it does not do itself to kernels of the same set: EFFERENT_ISA is obeyed
// all the way down.
#include <stdio.h>
#include <initializer_list>
#include <string.h>

#include "kernels.h"
#include "learning.h"

static int passed, failed;

static void check(const char *what, const char *level, bool ok) {
  ok ? passed++ : failed++;
  if (!ok) printf("FAILED %s at %s\n", what, level);
}

enum { M = 3, K = 37, N = 21 };
static float a[M * K], b[K * N], bias[N];

static void multiply(eff_kernel kernel, const eff_matmul &p, float *y) {
  eff_op op = {kernel, &p, {a, b, bias, y}, {}};
  kernel(&op, 1);
}

int main() {
  uint32_t s = 1;
  for (float *p : {a, b, bias})
    for (int i = 0, n = p == a ? M * K : p == b ? K * N : N; i < n; i++)
      s = s * 1664525u + 1013904223u, p[i] = (float)((double)s / 2147483648.0 - 1);
  eff_matmul p = {};
  p.m = M, p.n = N, p.k = K, p.a_m = K, p.a_k = 1, p.b_k = N, p.b_n = 1, p.bias_n = 1, p.batch_rank = 1, p.batch[0] = 1,
  p.alpha = p.beta = 1;
  int differ = 0;
  for (int32_t level = EFF_ISA_NAIVE; level < EFF_ISA_COUNT; level++) {
    if (!eff_isa_supported(level)) continue;
    const char *name = eff_isa_name(level);
    float plain[M * N], learned[M * N], best[M * N];
    // several rows, which the learner's own product of one row leaves to the ordinary kernel
    multiply(eff_kernel_find(EFF_K_MATMUL, EFF_TYPE_F32, level), p, plain);
    multiply(eff_learn_kernel_find(EFF_K_MATMUL, EFF_TYPE_F32, level), p, learned);
    multiply(eff_kernel_find(EFF_K_MATMUL, EFF_TYPE_F32, eff_isa_best()), p, best);
    check("a product of several rows while learning is the kernel of the level", name,
          memcmp(plain, learned, sizeof plain) == 0);
    differ += memcmp(plain, best, sizeof plain) != 0;
    check("tables of the learner are of the level or a lower one", name,
          eff_learn_kernels_find(EFF_TYPE_F32, level)->level <= level);
  }
  // levels round differently, so that the comparison above can fail
  if (eff_isa_best() > EFF_ISA_SSE2) check("levels differ in their last bits", "any level", differ > 0);
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
