#include <vector>
#include "simd_test.h"

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

// ONNX RNN, GRU and LSTM by their equations, in double
static void reference(const eff_rnn &r, const float *x, const float *w, const float *u, const float *b, const float *h0,
                      const float *c0, std::vector<double> &y, std::vector<double> &y_h, std::vector<double> &y_c) {
  int64_t g = r.cell == EFF_RNN_LSTM  ? 4
              : r.cell == EFF_RNN_GRU ? 3
                                      : 1,
          H = r.hidden, I = r.input, B = r.batch, D = r.dirs;
  y.assign((size_t)(r.time * D * B * H), 0), y_h.assign((size_t)(D * B * H), 0), y_c = y_h;
  for (int64_t d = 0; d < D; d++)
    for (int64_t q = 0; q < B; q++) {
      std::vector<double> h(H), c(H), a(g * H), s(g * H);
      for (int64_t i = 0; i < H; i++) h[i] = h0 ? h0[(d * B + q) * H + i] : 0, c[i] = c0 ? c0[(d * B + q) * H + i] : 0;
      for (int64_t step = 0; step < r.time; step++) {
        int64_t t = r.reverse || d ? r.time - 1 - step : step;
        for (int64_t j = 0; j < g * H; j++) {
          a[j] = b ? b[d * 2 * g * H + j] : 0, s[j] = b ? b[d * 2 * g * H + g * H + j] : 0;
          for (int64_t i = 0; i < I; i++) a[j] += (double)w[(d * g * H + j) * I + i] * x[(t * B + q) * I + i];
          if (r.cell == EFF_RNN_GRU && !r.linear_before_reset && j >= 2 * H) continue;
          for (int64_t i = 0; i < H; i++) s[j] += (double)u[(d * g * H + j) * H + i] * h[i];
        }
        std::vector<double> n(H);
        for (int64_t i = 0; i < H; i++) {
          if (r.cell == EFF_RNN_LSTM) {
            c[i] =
                sigmoid(a[2 * H + i] + s[2 * H + i]) * c[i] + sigmoid(a[i] + s[i]) * tanh(a[3 * H + i] + s[3 * H + i]);
            n[i] = sigmoid(a[H + i] + s[H + i]) * tanh(c[i]);
          } else if (r.cell == EFF_RNN_GRU) {
            double z = sigmoid(a[i] + s[i]), v = s[2 * H + i];
            if (r.linear_before_reset) v *= sigmoid(a[H + i] + s[H + i]);
            else
              for (int64_t k = 0; k < H; k++)
                v += (double)u[(d * g * H + 2 * H + i) * H + k] * sigmoid(a[H + k] + s[H + k]) * h[k];
            n[i] = (1 - z) * tanh(a[2 * H + i] + v) + z * h[i];
          } else {
            n[i] = reference_fn(r.act[d], a[i] + s[i], 1, 0);
          }
        }
        h = n;
        for (int64_t i = 0; i < H; i++) y[((t * D + d) * B + q) * H + i] = h[i];
      }
      for (int64_t i = 0; i < H; i++) y_h[(d * B + q) * H + i] = h[i], y_c[(d * B + q) * H + i] = c[i];
    }
}

static void one(int level, int cell, int64_t time, int64_t batch, int64_t input, int64_t hidden, int dirs, int reverse,
                int before, bool states, bool outputs, int weights = 0) {
  eff_rnn r = {};
  r.weights = weights;
  r.cell = cell, r.dirs = dirs, r.reverse = reverse, r.linear_before_reset = before, r.time = time, r.batch = batch,
  r.input = input, r.hidden = hidden;
  int acts = cell == EFF_RNN_LSTM ? 3 : cell == EFF_RNN_GRU ? 2 : 1;
  for (int i = 0; i < 6; i++) r.act[i] = acts > 1 && i % acts == 0 ? EFF_FN_SIGMOID : EFF_FN_TANH;
  snprintf(what, sizeof what,
           "rnn %s cell=%d time=%d batch=%d input=%d hidden=%d dirs=%d reverse=%d before=%d weights=%d",
           eff_isa_name(level), cell, (int)time, (int)batch, (int)input, (int)hidden, dirs, reverse, before, weights);
  int64_t g = cell == EFF_RNN_LSTM ? 4 : cell == EFF_RNN_GRU ? 3 : 1, bh = batch * hidden;
  floats x(time * batch * input, 2), w(dirs * g * hidden * input), u(dirs * g * hidden * hidden, 0.5f),
      b(dirs * 2 * g * hidden), h0(dirs * bh), c0(dirs * bh);
  packed pk(eff_rnn_packed_size_simd(&r, level)), scratch(eff_rnn_packed_scratch_size_simd(&r, level));
  eff_rnn_pack_simd(&r, level, w, u, states ? b.p : nullptr, pk.p);
  check(pk.intact(), "the packed size holds the packed weights");
  packed over(pk.n, 0xff);
  eff_rnn_pack_simd(&r, level, w, u, states ? b.p : nullptr, over.p);
  check(!memcmp(pk.p, over.p, pk.n), "packed over other bytes");
  floats y(time * dirs * bh, 0), yh(dirs * bh, 0), yc(dirs * bh, 0);
  bool lstm = cell == EFF_RNN_LSTM;
  void *p[] = {x.p,
               pk.p,
               states ? h0.p : nullptr,
               states && lstm ? c0.p : nullptr,
               outputs ? y.p : nullptr,
               yh.p,
               lstm && outputs ? yc.p : nullptr,
               scratch.p};
  eff_kernel f = eff_kernel_find_simd(EFF_K_RNN_PACKED, EFF_TYPE_F32, level);
  run(f, &r, 1, 8, p, nullptr);
  check(y.intact() && yh.intact() && yc.intact() && scratch.intact(), "guard");
  std::vector<double> ry, rh, rc;
  reference(r, x, w, u, states ? b.p : nullptr, states ? h0.p : nullptr, states && lstm ? c0.p : nullptr, ry, rh, rc);
  double size = 8 + 0.3 * (double)(input + hidden), scale = 2.0 * (double)time + 4;
  // a step of weights up to 1 times x up to 2, in random directions
  double step = weights == EFF_TYPE_F16 ? 0x1p-12 : weights == EFF_TYPE_BF16 ? 0x1p-9 : 0x1p-8;
  if (weights) size += 0x1p24 * step * sqrt((double)(input + hidden)) / 2;
  for (int64_t i = 0; i < dirs * bh; i++) {
    if (!near(yh[i], rh[i], size, scale)) check(false, "y_h", yh[i], rh[i]);
    if (lstm && outputs && !near(yc[i], rc[i], size, scale)) check(false, "y_c", yc[i], rc[i]);
  }
  for (int64_t i = 0; outputs && i < (int64_t)ry.size(); i++)
    if (!near(y[i], ry[i], size, scale)) check(false, "y", y[i], ry[i]);
  passed++;
}

// rows of a session give the bits that each row gives alone
static void rows(int level, int cell, int64_t hidden) {
  enum { N = 5 };
  snprintf(what, sizeof what, "rnn rows %s cell=%d hidden=%d", eff_isa_name(level), cell, (int)hidden);
  eff_rnn r = {};
  r.cell = cell, r.dirs = 1, r.linear_before_reset = 1, r.time = 1, r.batch = 1, r.input = 11, r.hidden = hidden;
  r.act[0] = EFF_FN_SIGMOID, r.act[1] = r.act[2] = EFF_FN_TANH;
  int64_t g = cell == EFF_RNN_LSTM ? 4 : 3, s = eff_rnn_packed_scratch_size_simd(&r, level);
  floats x(N * 11, 2), w(g * hidden * 11), u(g * hidden * hidden), h0(N * hidden), c0(N * hidden), yh(N * hidden, 0),
      yc(N * hidden, 0), ah(hidden, 0), ac(hidden, 0);
  packed pk(eff_rnn_packed_size_simd(&r, level)), scratch(s * N);
  eff_rnn_pack_simd(&r, level, w, u, nullptr, pk.p);
  eff_kernel f = eff_kernel_find_simd(EFF_K_RNN_PACKED, EFF_TYPE_F32, level);
  for (int64_t stride : {s, (int64_t)0}) {
    void *p[] = {x.p, pk.p, h0.p, c0.p, nullptr, yh.p, yc.p, scratch.p};
    int64_t strides[] = {44, 0, hidden * 4, hidden * 4, 0, hidden * 4, hidden * 4, stride};
    run(f, &r, N, 8, p, strides);
    check(scratch.intact() && yh.intact() && yc.intact(), "guard");
    for (int i = 0; i < N; i++) {
      void *q[] = {x + i * 11, pk.p, h0 + i * hidden, c0 + i * hidden, nullptr, ah.p, ac.p, scratch.p};
      run(f, &r, 1, 8, q, nullptr);
      check(!memcmp(ah, yh + i * hidden, (size_t)hidden * 4), "a row depends on the others");
      if (cell == EFF_RNN_LSTM)
        check(!memcmp(ac, yc + i * hidden, (size_t)hidden * 4), "a row's cell depends on the others");
    }
  }
}

void test_rnn(int level) {
  for (int cell : {EFF_RNN_PLAIN, EFF_RNN_GRU, EFF_RNN_LSTM})
    for (int64_t hidden : {1, 3, 4, 8, 11, 16, 33, 64}) {
      for (int dirs : {1, 2})
        for (int reverse : {0, 1})
          for (int before : {0, 1})
            for (int64_t time : {1, 5})
              one(level, cell, time, 1 + hidden % 3, 1 + hidden * 5 % 23, hidden, dirs, reverse && dirs == 1, before,
                  hidden % 2, (hidden + time) % 3 != 0);
      for (int weights : {EFF_TYPE_F16, EFF_TYPE_BF16, EFF_TYPE_I8})
        one(level, cell, 3, 2, 1 + hidden * 5 % 23, hidden, 2, 0, 1, true, true, weights);
      if (cell != EFF_RNN_PLAIN) rows(level, cell, hidden);
    }
}
