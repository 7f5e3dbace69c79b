// EFF_K_RNN: the ONNX operators RNN, GRU and LSTM (opset 22), one sequence after the other.
#include "matmul.h"

namespace eff {
namespace {

int64_t gates_of(int32_t cell) { return cell == EFF_RNN_LSTM ? 4 : cell == EFF_RNN_GRU ? 3 : 1; }
int32_t acts_of(int32_t cell) { return cell == EFF_RNN_LSTM ? 3 : cell == EFF_RNN_GRU ? 2 : 1; }

template <class T> struct rnn {
  using A = wide_t<T>;

  // one direction: its weights and activations, the state h and c [hidden] and gates [gates * hidden] in scratch
  struct direction {
    const eff_rnn &p;
    const T *w, *r, *b, *peep;
    A *h, *c, *gates, *mixed;
    int32_t acts;

    // a gate's activation; onnxruntime does not clip the cell state, so lstm() calls unclipped() there
    A act(int32_t which, A v) const {
      if (p.has_clip) v = v < -(A)p.clip ? -(A)p.clip : v > (A)p.clip ? (A)p.clip : v;
      return unclipped(which, v);
    }
    A unclipped(int32_t which, A v) const {
      return activate(p.act[acts + which], v, (A)p.alpha[acts + which], (A)p.beta[acts + which]);
    }
    A bias(int64_t i) const { return b ? load(b + i) : A(0); }
    A recurrent(int64_t row_of_r, const A *state) const {
      A sum = 0;
      const T *from = r + row_of_r * p.hidden;
      for (int64_t i = 0; i < p.hidden; i++) sum += load(from + i) * state[i];
      return sum;
    }
    // gates [from, to) = w x + wb + r h + rb
    void drive(const T *x, int64_t from, int64_t to, bool with_state) const {
      const int64_t all = gates_of(p.cell) * p.hidden;
      for (int64_t g = from; g < to; g++) {
        A v = dot(p.input, x, w + g * p.input) + bias(g);
        if (with_state) v += recurrent(g, h) + bias(all + g);
        gates[g] = v;
      }
    }

    void plain(const T *x) const {
      drive(x, 0, p.hidden, true);
      for (int64_t i = 0; i < p.hidden; i++) h[i] = act(0, gates[i]);
    }
    void gru(const T *x) const {
      const int64_t n = p.hidden, rb = 3 * n;
      drive(x, 0, 2 * n, true);
      drive(x, 2 * n, 3 * n, false);
      A *z = gates, *reset = gates + n, *g = gates + 2 * n;
      for (int64_t i = 0; i < 2 * n; i++) gates[i] = act(0, gates[i]);
      for (int64_t i = 0; i < n; i++) mixed[i] = p.linear_before_reset ? h[i] : reset[i] * h[i];
      for (int64_t i = 0; i < n; i++) {
        const A v = recurrent(2 * n + i, mixed) + bias(rb + 2 * n + i);
        g[i] = act(1, g[i] + (p.linear_before_reset ? reset[i] * v : v));
      }
      for (int64_t i = 0; i < n; i++) h[i] = (1 - z[i]) * g[i] + z[i] * h[i];
    }
    // h as 8 bits hold it, with a scale and zero point of this step
    void round_state() const {
      A low = 0, high = 0;
      for (int64_t i = 0; i < p.hidden; i++) low = h[i] < low ? h[i] : low, high = h[i] > high ? h[i] : high;
      const A scale = high == low ? A(1) / 255 : (high - low) / 255;
      const A zero = (A)saturate<uint8_t>(rint(-low / scale));
      for (int64_t i = 0; i < p.hidden; i++) h[i] = ((A)saturate<uint8_t>(rint(h[i] / scale) + zero) - zero) * scale;
    }
    void lstm(const T *x) const {
      const int64_t n = p.hidden;
      if (p.dynamic) round_state();
      drive(x, 0, 4 * n, true);
      const A *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;
      for (int64_t i = 0; i < n; i++) {
        const A old = c[i];
        const A take = act(0, in[i] + (peep ? load(peep + i) * old : A(0)));
        const A keep = p.input_forget ? 1 - take : act(0, forget[i] + (peep ? load(peep + 2 * n + i) * old : A(0)));
        c[i] = keep * old + take * act(1, cell[i]);
        h[i] = act(0, out[i] + (peep ? load(peep + n + i) * c[i] : A(0))) * unclipped(2, c[i]);
      }
    }
    void step(const T *x) const {
      if (p.cell == EFF_RNN_LSTM) lstm(x);
      else if (p.cell == EFF_RNN_GRU) gru(x);
      else plain(x);
    }
  };

  static void run(const eff_op *op, int64_t rows) {
    const eff_rnn &p = *(const eff_rnn *)op->params;
    const int64_t n = p.hidden, all = gates_of(p.cell) * n;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0), *w = at.at<const T>(1), *rec = at.at<const T>(2), *bias = at.at<const T>(3),
              *peep = at.at<const T>(7);
      const int32_t *lengths = at.at<const int32_t>(4);
      const T *h0 = at.at<const T>(5), *c0 = at.at<const T>(6);
      T *y = at.at<T>(8), *y_h = at.at<T>(9), *y_c = at.at<T>(10);
      A *scratch = at.at<A>(11);
      for (int32_t d = 0; d < p.dirs; d++) {
        const direction dir{p,
                            w + d * all * p.input,
                            rec + d * all * n,
                            bias ? bias + d * 2 * all : nullptr,
                            peep ? peep + d * 3 * n : nullptr,
                            scratch,
                            scratch + n,
                            scratch + 3 * n,
                            scratch + 2 * n,
                            d * acts_of(p.cell)};
        for (int64_t b = 0; b < p.batch; b++) {
          const int64_t state = (d * p.batch + b) * n;
          for (int64_t i = 0; i < n; i++)
            dir.h[i] = h0 ? load(h0 + state + i) : A(0), dir.c[i] = c0 ? load(c0 + state + i) : A(0);
          const int64_t length = lengths ? clamp(lengths[b], 0, p.time) : p.time;
          for (int64_t s = 0; s < length; s++) {
            const int64_t t = d == 1 || p.reverse ? length - 1 - s : s;
            dir.step(x + (t * p.batch + b) * p.input);
            if (y) for (int64_t i = 0; i < n; i++) store(y + ((t * p.dirs + d) * p.batch + b) * n + i, dir.h[i]);
          }
          if (y)
            for (int64_t t = length; t < p.time; t++)
              for (int64_t i = 0; i < n; i++) store(y + ((t * p.dirs + d) * p.batch + b) * n + i, A(0));
          for (int64_t i = 0; i < n; i++) {
            if (y_h) store(y_h + state + i, dir.h[i]);
            if (y_c) store(y_c + state + i, dir.c[i]);
          }
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_rnn(int32_t type) { return pick_float<rnn>(type); }

}  // namespace eff

// h, c, the mixed state and the gates, in the widest arithmetic type
extern "C" int64_t eff_rnn_scratch_size(const eff_rnn *r) {
  return (3 + eff::gates_of(r->cell)) * r->hidden * (int64_t)sizeof(double);
}
