#include "simd_test.h"

static void one(int level, int spatial, int64_t batch, int64_t ic, int64_t oc, int64_t groups, const int64_t *in,
                const int64_t *kernel, int64_t stride, int64_t dilation, int64_t pad, int64_t extra, int act) {
  eff_conv c = {};
  c.batch = batch, c.in_channels = ic, c.out_channels = oc, c.groups = groups, c.spatial = spatial, c.act = act,
  c.alpha = 1.3;
  int64_t I[3] = {1, 1, 1}, K[3] = {1, 1, 1}, S[3] = {1, 1, 1}, D[3] = {1, 1, 1}, P[3] = {0, 0, 0}, O[3] = {1, 1, 1};
  for (int i = 0; i < spatial; i++) {
    c.in[i] = in[i], c.kernel[i] = kernel[i], c.stride[i] = stride, c.dilation[i] = dilation, c.pad[i] = pad;
    int64_t span = (kernel[i] - 1) * dilation + 1;
    if (in[i] + 2 * pad + extra < span) return;
    c.out[i] = (in[i] + 2 * pad + extra - span) / stride + 1;
    int j = i + 3 - spatial;
    I[j] = in[i], K[j] = kernel[i], S[j] = stride, D[j] = dilation, P[j] = pad, O[j] = c.out[i];
  }
  snprintf(what, sizeof what,
           "conv %s %d-D ic=%d oc=%d groups=%d in=%d,%d kernel=%d,%d stride=%d dilation=%d pad=%d+%d act=%d",
           eff_isa_name(level), spatial, (int)ic, (int)oc, (int)groups, (int)I[1], (int)I[2], (int)K[1], (int)K[2],
           (int)stride, (int)dilation, (int)pad, (int)extra, act);
  int64_t icg = ic / groups, ocg = oc / groups, np = O[0] * O[1] * O[2], ip = I[0] * I[1] * I[2],
          kp = K[0] * K[1] * K[2];
  enum { ROWS = 3 };
  floats x(ROWS * batch * ic * ip), w(oc * icg * kp), bias(oc), y(ROWS * batch * oc * np, 0);
  packed pk(eff_conv_packed_size_simd(&c, level));
  const int64_t one_scratch = eff_conv_scratch_size_simd(&c, level);
  check(pk.n > 0, "there is a packed kernel");
  eff_conv_pack_simd(&c, level, w, act ? bias.p : nullptr, pk.p);
  check(pk.intact(), "the packed size holds the packed weights");
  packed over(pk.n, 0xff);
  eff_conv_pack_simd(&c, level, w, act ? bias.p : nullptr, over.p);
  check(!memcmp(pk.p, over.p, pk.n), "packed over other bytes");
  // room for all rows, so that their images share a pass, or for one
  const bool joint = (ic + oc + np) % 3 != 0;
  packed scratch(one_scratch * (joint ? ROWS : 1));
  int64_t strides[] = {batch * ic * ip * 4, 0, batch * oc * np * 4, joint ? one_scratch : 0};
  void *p[] = {x.p, pk.p, y.p, scratch.p};
  run(eff_kernel_find_simd(EFF_K_CONV_PACKED, EFF_TYPE_F32, level), &c, ROWS, 4, p, strides);
  check(y.intact() && scratch.intact(), "guard");
  int64_t at = 0;
  for (int64_t b = 0; b < ROWS * batch; b++)
    for (int64_t o = 0; o < oc; o++)
      for (int64_t o0 = 0; o0 < O[0]; o0++)
        for (int64_t o1 = 0; o1 < O[1]; o1++)
          for (int64_t o2 = 0; o2 < O[2]; o2++, at++) {
            double sum = act ? bias[o] : 0, size = fabs(sum);
            for (int64_t i = 0; i < icg; i++)
              for (int64_t k0 = 0; k0 < K[0]; k0++)
                for (int64_t k1 = 0; k1 < K[1]; k1++)
                  for (int64_t k2 = 0; k2 < K[2]; k2++) {
                    int64_t a = o0 * S[0] - P[0] + k0 * D[0], e = o1 * S[1] - P[1] + k1 * D[1],
                            f = o2 * S[2] - P[2] + k2 * D[2];
                    if (a < 0 || a >= I[0] || e < 0 || e >= I[1] || f < 0 || f >= I[2]) continue;
                    double t = (double)w[((o * icg + i) * K[0] * K[1] + k0 * K[1] + k1) * K[2] + k2]
                               * x[(b * ic + o / ocg * icg + i) * ip + (a * I[1] + e) * I[2] + f];
                    sum += t, size += fabs(t);
                  }
            double want = reference_fn(act, sum, 1.3, 0);
            // the error of Winograd is that of a tile's inner outputs; a product's magnitude is 1/4 on average
            const bool tiles = icg >= 8 && kp == 9 && stride == 1 && spatial == 2;
            if (tiles) size = fmax(size, 0.25 * (double)(icg * kp));
            if (!near(y[at], want, 6 + 0.3 * (double)(icg * kp), 1.3 * size + 0.1)) check(false, "value", y[at], want);
            // the bound that conv.h gives
            if (tiles && icg >= 32 && act <= EFF_FN_TANH && !(fabs(y[at] - want) <= 1e-6 * size))
              check(false, "error bound", y[at], want);
          }
  passed++;
}

void test_conv(int level) {
  const int64_t sizes[][3] = {{9, 7, 0}, {5, 20, 0}, {12, 33, 0}, {1, 1, 0}, {3, 48, 0}};
  const int64_t kernels[][3] = {{3, 3, 0}, {1, 1, 0}, {2, 5, 0}, {3, 1, 0}};
  int turn = 0;
  for (auto &in : sizes)
    for (auto &kernel : kernels)
      for (int64_t stride : {1, 2, 3})
        for (int64_t dilation : {1, 2})
          for (int64_t pad : {0, 1, 2}) {
            const int64_t channels[][3] = {{3, 5, 1},  {1, 1, 1},  {4, 32, 1}, {6, 12, 2},  {8, 8, 8},
                                           {4, 12, 4}, {2, 17, 1}, {5, 70, 1}, {16, 64, 2}, {3, 3, 3}};
            auto &ch = channels[turn++ % 10];
            one(level, 2, 1 + turn % 2, ch[0], ch[1], ch[2], in, kernel, stride, dilation, pad, turn % 3 == 0,
                turn % 2 ? EFF_FN_RELU : EFF_FN_IDENTITY);
          }
  for (int64_t length : {1, 6, 16, 50, 131})
    for (int64_t k : {1, 3, 8})
      for (int64_t pad : {0, 3})
        for (int64_t groups : {1, 4})
          one(level, 1, 1, 4, 24, groups, &length, &k, 1 + length % 2, 1, pad, 0, EFF_FN_ELU);
  const int64_t cube[3] = {4, 5, 6}, k3[3] = {2, 3, 2};
  for (int64_t groups : {1, 2, 6}) one(level, 3, 2, 6, 18, groups, cube, k3, 1, 1, 1, 0, EFF_FN_TANH);
  // 3x3 of stride 1 with many channels: images of every size, most of which end within a tile
  const int64_t k2[3] = {3, 3, 0};
  for (int64_t size : {1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 14, 23})
    for (int64_t pad : {0, 1, 2}) {
      const int64_t square[3] = {size, size + turn % 3, 0};
      one(level, 2, 1 + turn % 2, 32, turn % 2 ? 32 : 41, 1, square, k2, 1, 1, pad, turn % 4 == 0, EFF_FN_RELU);
      one(level, 2, 1, 96, 33, 1, square, k2, 1, 1, pad, 0, turn % 2 ? EFF_FN_TANH : EFF_FN_IDENTITY);
      turn++;
    }
  const int64_t wide[3] = {40, 31, 0};
  one(level, 2, 1, 64, 64, 1, wide, k2, 1, 1, 1, 0, EFF_FN_RELU);
  // so small that padding is left out
  for (int64_t length : {1, 2, 4, 8, 16})
    for (int64_t k : {3, 5})
      for (int64_t groups : {1, 2})
        one(level, 1, 2, 64 * groups, 20 * groups, groups, &length, &k, 1 + length % 3, 1, k / 2, 0, EFF_FN_RELU);
}

// the maximum of windows beside its naive twin, bit for bit
void test_pool(int level) {
  int turn = 0;
  for (int spatial = 1; spatial <= 3; spatial++)
    for (int64_t width : {1, 2, 5, 8, 17, 40})
      for (int64_t kernel : {1, 2, 3})
        for (int64_t stride : {1, 2, 3})
          for (int64_t pad : {0, 1}) {
            eff_pool p = {};
            p.batch = 1, p.channels = 3, p.spatial = spatial, p.fn = EFF_POOL_MAX;
            int64_t in = 1, out = 1;
            bool fits = pad < kernel;
            for (int d = 0; d < spatial; d++) {
              p.in[d] = d == spatial - 1 ? width : 4 + d, p.kernel[d] = kernel, p.stride[d] = stride;
              p.dilation[d] = 1 + turn % 2, p.pad_begin[d] = p.pad_end[d] = pad;
              const int64_t span = p.in[d] + 2 * pad - p.dilation[d] * (kernel - 1) - 1;
              fits = fits && span >= 0, p.out[d] = span / stride + 1;
              in *= p.in[d], out *= p.out[d];
            }
            turn++;
            if (!fits) continue;
            snprintf(what, sizeof what, "pool %s %d-D width=%d kernel=%d stride=%d pad=%d", eff_isa_name(level),
                     spatial, (int)width, (int)kernel, (int)stride, (int)pad);
            enum { ROWS = 2 };
            floats x(ROWS * 3 * in), y(ROWS * 3 * out, 0), want(ROWS * 3 * out, 0);
            if (turn % 5 == 0) x[turn % (3 * in)] = NAN, x[(turn * 7) % (3 * in)] = INFINITY;
            void *p1[] = {x.p, y.p, nullptr}, *p2[] = {x.p, want.p, nullptr};
            const int64_t strides[] = {3 * in * 4, 3 * out * 4, 0};
            run(eff_kernel_find_simd(EFF_K_POOL, EFF_TYPE_F32, level), &p, ROWS, 3, p1, strides);
            run(eff_kernel_find_generic(EFF_K_POOL, EFF_TYPE_F32), &p, ROWS, 3, p2, strides);
            check(y.intact(), "guard");
            for (int64_t i = 0; i < ROWS * 3 * out; i++)
              if (!near(y[i], want[i], 0, 0)) check(false, "value", y[i], want[i]);
            passed++;
          }
}
