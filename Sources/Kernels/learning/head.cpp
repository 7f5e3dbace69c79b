// The last layer of a critic that gives a distribution: each output takes a step of its own from one trace.
#include "learning.h"

template <class T> static T inverse_scale(int32_t rule, const eff_learn_rule &r, const T *v, int64_t at) {
  if (rule == EFF_LEARN_OBGD) return 1;
  const T moment = v[at] / (T)r.correction;
  if (rule == EFF_LEARN_ADAPTIVE) return 1 / __builtin_elementwise_sqrt(moment + (T)r.epsilon);
  return 1 / (__builtin_elementwise_sqrt(moment) + (T)r.epsilon);
}

template <class T>
static double turn(const eff_learn_head &h, const eff_learn_net &n, int32_t rule, const eff_learn_rule &r,
                   const double *step, double common) {
  T *w = (T *)n.w;
  const T *e = (const T *)n.e, *v = (const T *)n.v;
  double moved = 0;
  for (int64_t group = 0; group < h.groups; group++) {
    for (int64_t i = 0; i <= h.inputs; i++) {
      // the bias is the input after the last
      const bool is_bias = i == h.inputs;
      const int64_t start = is_bias ? h.bias : h.weight + i * h.in_stride;
      const int64_t stride = is_bias ? 1 : h.out_stride;
      const int64_t first = start + group * h.atoms * stride;
      const T shared = e[first] * inverse_scale(rule, r, v, first);
      if (shared == 0) continue;
      for (int64_t k = 0; k < h.atoms; k++) {
        const int64_t at = first + k * stride;
        const T change = (T)step[k] * shared - (T)common * e[at] * inverse_scale(rule, r, v, at);
        w[at] -= change;
        moved += __builtin_elementwise_abs(change);
      }
    }
  }
  return moved;
}

double eff_learn_turn_head(int32_t type, const eff_learn_head *h, const eff_learn_net *n, int32_t rule,
                           const eff_learn_rule *r, const double *step, double common) {
  return type == EFF_TYPE_F64 ? turn<double>(*h, *n, rule, *r, step, common)
                              : turn<float>(*h, *n, rule, *r, step, common);
}
