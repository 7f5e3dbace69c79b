// EFF_K_RNN_PACKED: x, packed, h0?, c0? -> y?, y_h?, y_c? (scratch).
//
// The input projection of all steps is one product; each step then multiplies the state and applies the gates. Both
// products are those of dense.h, so weights stream through the same panels and a row gives the same bits whatever the
// batch.
// packed = [bytes of the three blocks, one line] then per direction [W panels, bias Wb and what of Rb may join it][R
// panels][GRU, reset before: R panels of h alone]
#include "level.h"
#include "vec.h"
#include "vmath.h"

static int64_t gates(const eff_rnn *r) { return r->cell == EFF_RNN_LSTM ? 4 : r->cell == EFF_RNN_GRU ? 3 : 1; }
static bool reset_first(const eff_rnn *r) { return r->cell == EFF_RNN_GRU && !r->linear_before_reset; }

static bool rnn_fits(const eff_rnn *r) {
  if (r->has_clip || r->input_forget) return false;
  for (int d = 0; d < r->dirs; d++) {
    const int32_t *a = r->act + d * (r->cell == EFF_RNN_LSTM ? 3 : r->cell == EFF_RNN_GRU ? 2 : 1);
    if (r->cell == EFF_RNN_PLAIN) continue;  // any function: it is applied by activate
    if (a[0] != EFF_FN_SIGMOID || a[1] != EFF_FN_TANH || (r->cell == EFF_RNN_LSTM && a[2] != EFF_FN_TANH)) return false;
  }
  return true;
}

// the products of one direction: 0 = input, 1 = state, 2 = reset state (GRU, reset before)
static eff_dense product(const eff_rnn *r, int which) {
  int64_t h = r->hidden,
          n = which == 2                     ? h
              : which == 1 && reset_first(r) ? 2 * h
                                             : gates(r) * h,
          k = which ? h : r->input;
  return eff_dense{1, k, n, k, n, EFF_FN_IDENTITY, r->weights ? r->weights : (int32_t)EFF_TYPE_F32, 0, 0};
}
static int64_t product_bytes(const eff_rnn *r, int which) {
  if (which == 2 && !reset_first(r)) return 0;
  eff_dense d = product(r, which);
  return dense_packed_size(&d);
}

int64_t rnn_packed_size(const eff_rnn *r) {
  if (r->dynamic) return 0;
  return rnn_fits(r) ? 64 + r->dirs * (product_bytes(r, 0) + product_bytes(r, 1) + product_bytes(r, 2)) : 0;
}

int64_t rnn_scratch_size(const eff_rnn *r) {
  int64_t g = gates(r), h = r->hidden, b = r->batch;
  return 4 * (r->time * b * g * h + b * g * h + 4 * b * h) + 64;
}

void rnn_pack(const eff_rnn *r, const float *w, const float *recurrent, const float *b, void *packed) {
  int64_t g = gates(r), h = r->hidden, in = r->input;
  int64_t *bytes = (int64_t *)packed;
  char *p = (char *)packed + 64;
  __builtin_memset(packed, 0, 64);
  for (int i = 0; i < 3; i++) bytes[i] = product_bytes(r, i);
  for (int d = 0; d < r->dirs; d++, w += g * h * in, recurrent += g * h * h) {
    eff_dense input = product(r, 0), state = product(r, 1);
    const float *wb = b ? b + d * 2 * g * h : nullptr, *rb = wb ? wb + g * h : nullptr;
    char *x = p, *s = x + bytes[0], *s2 = s + bytes[1];
    p = s2 + bytes[2];
    dense_pack(&input, w, 1, in, wb, x);
    // linear_before_reset keeps Rb of h with the state's product; every other recurrent bias is one more constant
    dense_pack(&state, recurrent, 1, h, rb, s);
    if (reset_first(r)) {
      eff_dense reset = product(r, 2);
      dense_pack(&reset, recurrent + 2 * h * h, 1, h, rb ? rb + 2 * h : nullptr, s2);
    }
  }
}

EFF_INLINE vf rnn_load(const float *p, int64_t n) { return n >= W ? vload(p) : vload_tail(p, n); }
EFF_INLINE void rnn_store(float *p, vf v, int64_t n) { if (n >= W) vstore(p, v); else vstore_tail(p, v, n); }
// 1 + exp(-x), the inverse of a gate. A gate below e^-26 counts as e^-26, so that products of inverses stay finite and
// gates can share a division.
EFF_INLINE vf gate_inverse(vf x) {
  vi n; vf r;
  vexp_reduced(vmax(vset(-26), vmin(vset(26), -x)), &n, &r);
  vf s = vpow2(n);
  return vfma(s, r, s) + vset(1);
}
// numerator and denominator of tanh(|x|); the product with a sigmoid then needs one division instead of two
EFF_INLINE vf tanh_part(vf x) { return vexpm1_bounded(vmin(vset(20), vabs(x) + vabs(x))); }

// The gates of AT_ONCE vectors go stage by stage: the exponential functions of one vector alone would wait for each
// other.
enum { AT_ONCE = EFF_LEVEL >= 3 ? 4 : 2 };

template <int U> EFF_INLINE void lstm_units(const float *a, const float *b, int64_t h, const float *c, float *c_out,
                                            float *h_out, int64_t n) {
  vf forget[U], input[U], t[U], u[U], cell[U], out[U], two = vset(2);
  auto gate = [&](int64_t which, int j) {
    return rnn_load(a + which * h + j * W, n) + rnn_load(b + which * h + j * W, n);
  };
  EFF_UNROLL for (int j = 0; j < U; j++) forget[j] = gate_inverse(gate(2, j));
  EFF_UNROLL for (int j = 0; j < U; j++) input[j] = gate_inverse(gate(0, j));
  EFF_UNROLL for (int j = 0; j < U; j++) u[j] = gate(3, j), t[j] = tanh_part(u[j]);
  EFF_UNROLL for (int j = 0; j < U; j++) out[j] = gate_inverse(gate(1, j));
  EFF_UNROLL for (int j = 0; j < U; j++) {
    input[j] *= t[j] + two;
    cell[j] = vfma(rnn_load(c + j * W, n), input[j], vsigned(t[j], u[j]) * forget[j]) * vinverse(forget[j] * input[j]);
    rnn_store(c_out + j * W, cell[j], n);
  }
  EFF_UNROLL for (int j = 0; j < U; j++) u[j] = tanh_part(cell[j]);
  EFF_UNROLL for (int j = 0; j < U; j++)
      rnn_store(h_out + j * W, vsigned(u[j] * vinverse(out[j] * (u[j] + two)), cell[j]), n);
}
static void lstm_gates(const float *a, const float *b, int64_t h, const float *c, float *c_out, float *h_out) {
  int64_t i = 0;
  for (; i + AT_ONCE * W <= h; i += AT_ONCE * W) lstm_units<AT_ONCE>(a + i, b + i, h, c + i, c_out + i, h_out + i, W);
  for (; i < h; i += W) lstm_units<1>(a + i, b + i, h, c + i, c_out + i, h_out + i, h - i);
}

// a: input part of z r h, b: state part of z r (and of h where linear_before_reset)
template <int U>
EFF_INLINE void gru_units(const float *a, const float *b, int64_t h, const float *prior, float *h_out, int64_t n) {
  vf z[U], r[U], x[U], t[U];
  auto from = [&](const float *p, int64_t which, int j) { return rnn_load(p + which * h + j * W, n); };
  EFF_UNROLL for (int j = 0; j < U; j++) r[j] = gate_inverse(from(a, 1, j) + from(b, 1, j));
  EFF_UNROLL for (int j = 0; j < U; j++) z[j] = gate_inverse(from(a, 0, j) + from(b, 0, j));
  EFF_UNROLL for (int j = 0; j < U; j++) {
    vf both = vinverse(z[j] * r[j]);
    x[j] = vfma(z[j] * both, from(b, 2, j), from(a, 2, j));
    z[j] = r[j] * both;
  }
  EFF_UNROLL for (int j = 0; j < U; j++) t[j] = tanh_part(x[j]);
  EFF_UNROLL for (int j = 0; j < U; j++) {
    vf c = vsigned(t[j] * vinverse(t[j] + vset(2)), x[j]);
    rnn_store(h_out + j * W, vfma(z[j], rnn_load(prior + j * W, n) - c, c), n);
  }
}
static void gru_gates(const float *a, const float *b, int64_t h, const float *prior, float *h_out) {
  int64_t i = 0;
  for (; i + AT_ONCE * W <= h; i += AT_ONCE * W) gru_units<AT_ONCE>(a + i, b + i, h, prior + i, h_out + i, W);
  for (; i < h; i += W) gru_units<1>(a + i, b + i, h, prior + i, h_out + i, h - i);
}
static void gru_reset(const float *a, const float *b, int64_t h, const float *prior, float *out) {
  for (int64_t i = 0; i < h; i += W) {
    int64_t n = h - i;
    rnn_store(out + i, rnn_load(prior + i, n) / gate_inverse(rnn_load(a + h + i, n) + rnn_load(b + h + i, n)), n);
  }
}
static void gru_gates_reset(const float *a, const float *b, const float *b2, int64_t h, const float *prior,
                            float *h_out) {
  for (int64_t i = 0; i < h; i += W) {
    int64_t n = h - i;
    vf z = vset(1) / gate_inverse(rnn_load(a + i, n) + rnn_load(b + i, n));
    vf c = vtanh(rnn_load(a + 2 * h + i, n) + rnn_load(b2 + i, n));
    rnn_store(h_out + i, vfma(z, rnn_load(prior + i, n) - c, c), n);
  }
}

static void rnn_run(const eff_rnn *r, const float *x, const char *packed, const float *h0, const float *c0, float *y,
                    float *y_h, float *y_c, float *s) {
  int64_t g = gates(r), h = r->hidden, b = r->batch, bh = b * h;
  float *xp = s, *hp = xp + r->time * b * g * h, *zero = hp + b * g * h, *turn = zero + bh, *cell = turn + 2 * bh;
  const int64_t *bytes = (const int64_t *)packed;
  packed += 64;
  for (int d = 0; d < r->dirs; d++) {
    eff_dense input = product(r, 0), state = product(r, 1), reset = product(r, 2);
    dense_run(&input, x, r->input, packed, xp, g * h, r->time * b);
    packed += bytes[0];
    if (!h0 || (!c0 && r->cell == EFF_RNN_LSTM)) __builtin_memset(zero, 0, (size_t)bh * 4);
    const float *prior = h0 ? h0 + d * bh : zero, *c = c0 ? c0 + d * bh : zero;
    float *c_out = y_c ? y_c + d * bh : cell;
    for (int64_t i = 0; i < r->time; i++) {
      int64_t t = r->reverse || d == 1 ? r->time - 1 - i : i;
      bool last = i == r->time - 1;
      float *out = y ? y + (t * r->dirs + d) * bh : last && y_h ? y_h + d * bh : turn + i % 2 * bh;
      const float *in = xp + t * b * g * h;
      dense_run(&state, prior, h, packed, hp, state.n, b);
      if (reset_first(r)) {
        // r prior waits in `out` until its product is made
        for (int64_t q = 0; q < b; q++) gru_reset(in + q * g * h, hp + q * 2 * h, h, prior + q * h, out + q * h);
        float *hp2 = hp + b * 2 * h;
        dense_run(&reset, out, h, packed + bytes[1], hp2, h, b);
        for (int64_t q = 0; q < b; q++)
          gru_gates_reset(in + q * g * h, hp + q * 2 * h, hp2 + q * h, h, prior + q * h, out + q * h);
      } else if (r->cell == EFF_RNN_GRU) {
        for (int64_t q = 0; q < b; q++) gru_gates(in + q * g * h, hp + q * g * h, h, prior + q * h, out + q * h);
      } else if (r->cell == EFF_RNN_LSTM) {
        for (int64_t q = 0; q < b; q++)
          lstm_gates(in + q * g * h, hp + q * g * h, h, c + q * h, c_out + q * h, out + q * h);
        c = c_out;
      } else {
        for (int64_t q = 0; q < bh; q += W)
          rnn_store(out + q, rnn_load(in + q, bh - q) + rnn_load(hp + q, bh - q), bh - q);
        activate(out, out, bh, r->act[d], (float)r->alpha[d], (float)r->beta[d]);
      }
      prior = out;
    }
    if (y_h && prior != y_h + d * bh) __builtin_memcpy(y_h + d * bh, prior, (size_t)bh * 4);
    packed += bytes[1] + bytes[2];
  }
}

void rnn(const eff_op *op, int64_t rows) {
  const eff_rnn *r = (const eff_rnn *)op->params;
  const int64_t *s = op->stride;
  eff_rnn folded = *r;
  // rows of a session join the batch where every operand simply continues from one row to the next
  int64_t in = r->batch * r->input * 4, state = r->batch * r->hidden * 4;
  bool joined = rows > 1 && r->time == 1 && r->dirs == 1 && s[0] == in && s[1] == 0 && (!op->p[2] || s[2] == state)
                && (!op->p[3] || s[3] == state) && (!op->p[4] || s[4] == state) && (!op->p[5] || s[5] == state)
                && (!op->p[6] || s[6] == state) && s[7] >= rnn_scratch_size(r);
  if (joined) folded.batch *= rows, rows = 1;
  for (int64_t i = 0; i < rows; i++) {
    void *p[8];
    for (int j = 0; j < 8; j++) p[j] = op->p[j] ? (char *)op->p[j] + i * s[j] : nullptr;
    rnn_run(&folded, (const float *)p[0], (const char *)p[1], (const float *)p[2], (const float *)p[3], (float *)p[4],
            (float *)p[5], (float *)p[6], (float *)p[7]);
  }
}
