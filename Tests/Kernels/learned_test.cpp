// Convolutions whose weights change at every step, and their derivatives, against their naive twins: random shapes,
// f32 and f64, every level of this processor. Every array has its exact size, for the sanitizers.
#include <math.h>
#include <stdio.h>
#include <random>
#include <vector>

#include "kernels.h"
#include "learning.h"

static int passed, failed;
static std::mt19937 random_bits(7);

static int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}

static int64_t product(const int64_t *p, int32_t n) {
  int64_t size = 1;
  for (int32_t i = 0; i < n; i++) size *= p[i];
  return size;
}

// a window that fits, everything else at random
static eff_conv shape(bool transposed) {
  eff_conv p = {};
  p.batch = pick(1, 2), p.groups = pick(0, 3) ? 1 : pick(2, 3), p.spatial = (int32_t)pick(1, 3);
  p.in_channels = p.groups * pick(1, 9), p.out_channels = p.groups * pick(1, 9);
  if (!pick(0, 3)) p.in_channels = p.groups * pick(30, 70);  // more taps than a piece has
  p.act = pick(0, 2) ? EFF_FN_IDENTITY : EFF_FN_RELU;
  for (int32_t d = 0; d < p.spatial; d++) {
    p.kernel[d] = pick(1, 4), p.stride[d] = pick(1, 3), p.dilation[d] = pick(0, 2) ? 1 : pick(2, 3);
    const int64_t span = (p.kernel[d] - 1) * p.dilation[d] + 1, end = pick(0, span - 1);
    p.pad[d] = pick(0, span - 1);
    const int64_t small = pick(1, p.spatial == 1 ? 40 : p.spatial == 2 ? 9 : 4);
    // the larger grid of which `small` windows fit, with what they leave over at its end
    int64_t large = (small - 1) * p.stride[d] + span - p.pad[d] - end + pick(0, p.stride[d] - 1);
    if (large < 1) large = 1, p.pad[d] = span - 1;
    p.in[d] = transposed ? small : large, p.out[d] = transposed ? large : small;
  }
  return p;
}

template <class T> static std::vector<T> numbers(int64_t n) {
  std::vector<T> out(n);
  for (T &x : out) x = (T)std::normal_distribution<double>()(random_bits);
  return out;
}

template <class T> static double apart(const std::vector<T> &a, const std::vector<T> &b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); i++) most = fmax(most, fabs((double)a[i] - b[i]) / (1 + fabs((double)b[i])));
  return most;
}

template <class T> static void compare(const eff_conv &p, bool transposed, int32_t level, int32_t type) {
  const int32_t id = transposed ? EFF_K_CONV_TRANSPOSE : EFF_K_CONV;
  const int64_t weights = p.in_channels * p.out_channels / p.groups * product(p.kernel, p.spatial);
  const int64_t rows = 2;
  const auto x = numbers<T>(rows * p.batch * p.in_channels * product(p.in, p.spatial));
  const auto w = numbers<T>(weights), b = numbers<T>(p.out_channels);
  const int64_t size = p.batch * p.out_channels * product(p.out, p.spatial);
  const bool has_bias = pick(0, 3), wants_x = pick(0, 3);
  std::vector<T> y[2], dx[2], dw[2], db[2];
  const auto g = numbers<T>(size);
  const auto start_x = numbers<T>(x.size() / rows), start_w = numbers<T>(weights), start_b = numbers<T>(p.out_channels);
  for (int k = 0; k < 2; k++) {
    const int32_t at = k ? level : EFF_ISA_NAIVE;
    y[k].resize(rows * size), dx[k] = start_x, dw[k] = start_w, db[k] = start_b;
    eff_op forward = {k ? eff_learn_kernel_find(id, type, at) : eff_kernel_find(id, type, at), &p, {}, {}};
    void *operands[] = {(void *)x.data(), (void *)w.data(), has_bias ? (void *)b.data() : nullptr, y[k].data()};
    for (int i = 0; i < 4; i++) forward.p[i] = operands[i];
    forward.stride[0] = (int64_t)(x.size() / rows * sizeof(T)), forward.stride[3] = size * (int64_t)sizeof(T);
    forward.run(&forward, rows);
    eff_op back = {eff_derivative_find(id, type, at), &p, {}, {}};
    void *all[] = {(void *)x.data(), (void *)w.data(), operands[2], y[k].data(), wants_x ? dx[k].data() : nullptr,
                   dw[k].data(), has_bias ? db[k].data() : nullptr, (void *)g.data()};
    for (int i = 0; i < 8; i++) back.p[i] = all[i];
    back.run(&back, 1);
  }
  const double bound = sizeof(T) == 4 ? 2e-4 : 1e-11;
  const double worst = fmax(fmax(apart(y[1], y[0]), apart(dx[1], dx[0])),
                            fmax(apart(dw[1], dw[0]), apart(db[1], db[0])));
  worst <= bound ? passed++ : failed++;
  if (!(worst <= bound))
    printf("FAILED %s%d at %s: %g apart, %lld -> %lld channels, %d dims\n", transposed ? "transposed " : "",
           (int)sizeof(T) * 8, eff_isa_name(level), worst, (long long)p.in_channels, (long long)p.out_channels,
           p.spatial);
}

int main() {
  for (int32_t level = EFF_ISA_NAIVE + 1; level < EFF_ISA_COUNT; level++) {
    if (!eff_isa_supported(level)) continue;
    for (int i = 0; i < 400; i++) {
      const bool transposed = i & 1;
      const eff_conv p = shape(transposed);
      if (i & 2) compare<double>(p, transposed, level, EFF_TYPE_F64);
      else compare<float>(p, transposed, level, EFF_TYPE_F32);
    }
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
