#include <vector>
#include "simd_test.h"

static void product(int level, int64_t m, int64_t n, int64_t k, bool ta, bool tb, int extras) {
  snprintf(what, sizeof what, "matmul %s m=%d n=%d k=%d transposed=%d,%d extras=%d", eff_isa_name(level), (int)m,
           (int)n, (int)k, ta, tb, extras);
  eff_matmul p = {};
  p.m = m, p.n = n, p.k = k, p.a_m = ta ? 1 : k, p.a_k = ta ? m : 1, p.b_k = tb ? 1 : n, p.b_n = tb ? k : 1;
  p.batch_rank = 2, p.batch[0] = 2, p.batch[1] = 2, p.a_batch[0] = 2 * m * k, p.a_batch[1] = m * k, p.b_batch[0] = 0,
  p.b_batch[1] = k * n;
  p.alpha = extras ? 0.7 : 1, p.beta = extras ? 1.3 : 1, p.act = extras == 2 ? EFF_FN_TANH : 0,
  p.bias_m = extras == 2 ? 0 : n, p.bias_n = 1;
  floats a(4 * m * k), b(2 * k * n), bias(m * n), y(4 * m * n, 0);
  void *q[] = {a.p, b.p, extras ? bias.p : nullptr, y.p};
  eff_kernel f = eff_kernel_find_simd(EFF_K_MATMUL, EFF_TYPE_F32, level);
  run(f, &p, 1, 4, q, nullptr);
  check(y.intact(), "guard");
  for (int64_t t = 0; t < 4; t++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double s = 0, size = 0;
        for (int64_t e = 0; e < k; e++) {
          double v = (double)a[t * m * k + i * p.a_m + e * p.a_k] * b[t % 2 * k * n + e * p.b_k + j * p.b_n];
          s += v, size += fabs(v);
        }
        if (extras) s = 0.7 * s + 1.3 * bias[i * p.bias_m + j], size += 1.3;
        if (p.act) s = tanh(s);
        if (!near(y[(t * m + i) * n + j], s, 6 + 0.2 * (double)k, size))
          check(false, "value", y[(t * m + i) * n + j], s);
      }
  passed++;
  // a row of y has the same bits whatever m is
  if (!ta && !extras)
    for (int64_t i = 0; i < m; i++) {
      floats one(n, 0);
      eff_matmul r = p;
      r.m = 1, r.batch_rank = 0;
      void *s[] = {a + i * k, b.p, nullptr, one.p};
      run(f, &r, 1, 4, s, nullptr);
      check(one.intact() && !memcmp(one, y + i * n, (size_t)n * 4), "a row depends on m");
    }
}

static void attend(int level, int64_t heads, int64_t kv, int64_t lq, int64_t lk, int64_t dk, int64_t dv, bool causal,
                   int64_t past, bool masked, double softcap, bool interleaved) {
  snprintf(what, sizeof what, "attention %s heads=%d,%d lq=%d lk=%d dk=%d dv=%d causal=%d past=%d mask=%d",
           eff_isa_name(level), (int)heads, (int)kv, (int)lq, (int)lk, (int)dk, (int)dv, causal, (int)past, masked);
  eff_attention p = {};
  p.batch = 2, p.heads = heads, p.kv_heads = kv, p.lq = lq, p.lk = lk, p.dk = dk, p.dv = dv, p.past = past,
  p.causal = causal, p.scale = 1 / sqrt((double)dk), p.softcap = softcap;
  auto lay = [&](int64_t *s, int64_t h, int64_t l, int64_t d) {  // [batch, heads, l, d] or [batch, l, heads, d]
    s[0] = h * l * d, s[1] = interleaved ? d : l * d, s[2] = interleaved ? h * d : d, s[3] = 1;
  };
  lay(p.q, heads, lq, dk), lay(p.k, kv, lk, dk), lay(p.v, kv, lk, dv), lay(p.y, heads, lq, dv);
  p.mask[2] = lk, p.mask[3] = 1;
  floats q(2 * heads * lq * dk, 2), k(2 * kv * lk * dk, 2), v(2 * kv * lk * dv), mask(lq * lk),
      y(2 * heads * lq * dv, 0), scratch(eff_attention_scratch_size(&p) / 4);
  if (masked) for (int64_t i = 0; i < lq * lk; i++) if (mask[i] < -0.5f || i < lk) mask[i] = -INFINITY;
  void *o[] = {q.p, k.p, v.p, masked ? mask.p : nullptr, y.p, scratch.p};
  run(eff_kernel_find_simd(EFF_K_ATTENTION, EFF_TYPE_F32, level), &p, 1, 6, o, nullptr);
  check(y.intact() && scratch.intact(), "guard");
  for (int64_t b = 0; b < 2; b++)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t i = 0; i < lq; i++) {
        int64_t g = h / (heads / kv), visible = causal && i + past + 1 < lk ? i + past + 1 : lk;
        std::vector<double> s(lk);
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < visible; j++) {
          for (int64_t e = 0; e < dk; e++)
            s[j] += (double)q[b * p.q[0] + h * p.q[1] + i * p.q[2] + e] * k[b * p.k[0] + g * p.k[1] + j * p.k[2] + e];
          s[j] *= p.scale;
          if (softcap > 0) s[j] = softcap * tanh(s[j] / softcap);
          if (masked) s[j] += mask[i * lk + j];
          top = fmax(top, s[j]);
        }
        for (int64_t j = 0; j < visible; j++) sum += s[j] = top == -INFINITY ? 0 : exp(s[j] - top);
        for (int64_t e = 0; e < dv; e++) {
          double t = 0;
          for (int64_t j = 0; j < visible; j++) t += s[j] * v[b * p.v[0] + g * p.v[1] + j * p.v[2] + e];
          double want = sum == 0 ? 0 : t / sum, got = y[b * p.y[0] + h * p.y[1] + i * p.y[2] + e];
          if (!near((float)got, want, 64, 1)) check(false, "value", got, want);
        }
      }
  passed++;
}

void test_matmul(int level) {
  int turn = 0;
  for (int64_t m : {1, 2, 5, 7, 13})
    for (int64_t n : {1, 3, 8, 15, 16, 17, 33, 64})
      for (int64_t k : {1, 4, 7, 32, 261}) product(level, m, n, k, turn % 3 == 0, turn % 2, turn % 5 % 3), turn++;
  for (int64_t lk : {1, 5, 16, 37, 100})
    for (int64_t lq : {1, 3, 26})
      for (int kind = 0; kind < 6; kind++) {
        int64_t lq2 = kind == 2 ? lk : lq;
        attend(level, 4, kind % 2 ? 2 : 4, lq2, lk, 8 + lk % 9, 5 + lk, kind >= 2, kind == 3 ? 2 : 0,
               kind == 1 || kind == 4, kind == 5 ? 5 : 0, kind % 3 == 1);
      }
}
