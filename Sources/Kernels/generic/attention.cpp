// EFF_K_ATTENTION: scaled dot product attention, one query at a time; scratch holds the scores of one query.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

inline float f_exp(float x) { return expf(x); }
inline double f_exp(double x) { return exp(x); }

template <class T> struct attention {
  using A = wide_t<T>;

  // q [dk], k [lk, dk], v [lk, dv] at the strides of p; y [dv] at stride p.y[3]
  static void query(const eff_attention &p, int64_t visible, const T *q, const T *k, const T *v, const float *mask,
                    T *y, A *scores) {
    A top = -(A)INFINITY;
    for (int64_t j = 0; j < visible; j++) {
      A s = 0;
      const T *key = k + j * p.k[2];
      for (int64_t e = 0; e < p.dk; e++) s += load(q + e * p.q[3]) * load(key + e * p.k[3]);
      s *= (A)p.scale;
      if (p.softcap > 0) s = activate(EFF_FN_TANH, s / (A)p.softcap, A(0), A(0)) * (A)p.softcap;
      if (mask) s += (A)mask[j * p.mask[3]];
      scores[j] = s;
      if (s > top || s != s) top = s;
    }
    // a query that sees nothing attends to nothing
    double sum = 0;
    for (int64_t j = 0; j < visible; j++) sum += scores[j] = top == -(A)INFINITY ? A(0) : f_exp(scores[j] - top);
    const A norm = sum == 0 ? A(0) : (A)(1 / sum);
    for (int64_t e = 0; e < p.dv; e++) {
      A total = 0;
      for (int64_t j = 0; j < visible; j++) total += scores[j] * load(v + j * p.v[2] + e * p.v[3]);
      store(y + e * p.y[3], total * norm);
    }
  }

  static void run(const eff_op *op, int64_t rows) {
    const eff_attention &p = *(const eff_attention *)op->params;
    const int64_t share = p.kv_heads > 0 ? max_of(p.heads / p.kv_heads, 1) : 1;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *q = at.at<const T>(0), *k = at.at<const T>(1), *v = at.at<const T>(2);
      const float *mask = at.at<const float>(3);
      T *y = at.at<T>(4);
      A *scores = at.at<A>(5);
      for (int64_t b = 0; b < p.batch; b++) {
        for (int64_t h = 0; h < p.heads; h++) {
          const int64_t kv = h / share;
          for (int64_t i = 0; i < p.lq; i++) {
            const int64_t visible = p.causal ? clamp(i + p.past + 1, 0, p.lk) : p.lk;
            query(p, visible, q + b * p.q[0] + h * p.q[1] + i * p.q[2], k + b * p.k[0] + kv * p.k[1],
                  v + b * p.v[0] + kv * p.v[1], mask ? mask + b * p.mask[0] + h * p.mask[1] + i * p.mask[2] : nullptr,
                  y + b * p.y[0] + h * p.y[1] + i * p.y[2], scores);
          }
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_attention(int32_t type) { return pick_float<attention>(type); }

}  // namespace eff

extern "C" int64_t eff_attention_scratch_size(const eff_attention *a) {
  // in doubles for one query, in floats for several
  const int64_t one = a->lk * (int64_t)sizeof(double);
  if (a->lk <= 0 || a->lk > EFF_ATTENTION_SCORES) return one;
  const int64_t some = eff_attention_queries(a) * a->lk * (int64_t)sizeof(float);
  return one > some ? one : some;
}
EFF_SMALL_END
