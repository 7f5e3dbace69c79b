// The plainest possible loops: the twin that tests compare the vector kernels with.

template <class T> static T &element(const eff_learn_layer &l, T *w, int64_t o, int64_t i) {
  return w[l.weight + (l.by_input ? i * l.lanes + o : o * l.lanes + i)];
}

template <class T> static void forward(const eff_learn_net *net, int64_t batch, double step) {
  T *w = (T *)net->w, *e = (T *)net->e;
  if (step != 0)
    for (int64_t i = 0; i < net->count; i++) w[i] -= (T)step * e[i];
  for (int64_t n = 0; n < batch; n++)
    for (int64_t k = 0; k < net->layers; k++) {
      eff_learn_layer &l = net->layer[k];
      const T *x = (const T *)l.x + n * l.x_stride;
      T *y = (T *)l.y + n * l.y_stride;
      for (int64_t o = 0; o < l.out; o++) {
        y[o] = w[l.bias + o];
        for (int64_t i = 0; i < l.in; i++) y[o] += element(l, w, o, i) * x[i];
      }
      if (k + 1 == net->layers) break;
      if (l.norm) {
        T mean = 0, var = 0;
        for (int64_t o = 0; o < l.out; o++) mean += y[o] / (T)l.out;
        for (int64_t o = 0; o < l.out; o++) var += (y[o] - mean) * (y[o] - mean) / (T)l.out;
        T inv = 1 / __builtin_elementwise_sqrt(var + (T)l.epsilon);
        for (int64_t o = 0; o < l.out; o++) y[o] = (y[o] - mean) * inv;
        if (n == 0) l.inv_std = inv;
      }
      T *h = (T *)net->layer[k + 1].x + n * net->layer[k + 1].x_stride;
      for (int64_t o = 0; o < l.out; o++) h[o] = activation<T>(l.act, (T)l.alpha, y[o]);
    }
}

template <class T> static T scale(int rule, const eff_learn_rule *r, T v) {
  if (rule == EFF_LEARN_ADAPTIVE) return __builtin_elementwise_sqrt(v / (T)r->correction + (T)r->epsilon);
  if (rule == EFF_LEARN_INTENTIONAL) return __builtin_elementwise_sqrt(v / (T)r->correction) + (T)r->epsilon;
  return 1;
}

template <class T, int Rule>
static void trace(const eff_learn_net *net, const eff_learn_rule *r, int64_t at, T g, eff_learn_sums &s) {
  T &e = ((T *)net->e)[at], v = 0;
  e = (T)r->decay * e + g;
  if (Rule != EFF_LEARN_OBGD) {
    T d = Rule == EFF_LEARN_ADAPTIVE ? (T)r->delta * e : g;
    v = ((T *)net->v)[at] = (T)r->beta * ((T *)net->v)[at] + (T)(1 - r->beta) * d * d;
  }
  T c = scale<T>(Rule, r, v);
  s.l1 += __builtin_elementwise_abs(e) / c;
  if (Rule == EFF_LEARN_INTENTIONAL) s.energy += e * e / c, s.power += g * g / c;
}

template <class T, int Rule> static eff_learn_sums backward(const eff_learn_net *net, const eff_learn_rule *r) {
  eff_learn_sums s = {};
  for (int64_t k = net->layers - 1; k >= 0; k--) {
    const eff_learn_layer &l = net->layer[k];
    const T *x = (const T *)l.x, *d = (const T *)l.d;
    if (k > 0) {
      const eff_learn_layer &p = net->layer[k - 1];
      T *dp = (T *)p.d;
      const T *y = (const T *)p.y;
      T mean = 0, dot = 0;
      for (int64_t i = 0; i < l.in; i++) {
        dp[i] = 0;
        for (int64_t o = 0; o < l.out; o++) dp[i] += element(l, (T *)net->w, o, i) * d[o];
        dp[i] *= derivative<T>(p.act, (T)p.alpha, y[i], x[i]);
        mean += dp[i] / (T)p.out;
        dot += dp[i] * y[i] / (T)p.out;
      }
      if (p.norm)
        for (int64_t i = 0; i < l.in; i++) dp[i] = (dp[i] - mean - y[i] * dot) * (T)p.inv_std;
    }
    for (int64_t o = 0; o < l.out; o++) {
      for (int64_t i = 0; i < l.in; i++)
        trace<T, Rule>(net, r, &element(l, (T *)net->e, o, i) - (T *)net->e, d[o] * x[i], s);
      trace<T, Rule>(net, r, l.bias + o, d[o], s);
    }
  }
  return s;
}

template <class T, int Rule> static eff_learn_sums accumulate(const eff_learn_net *net, const eff_learn_rule *r) {
  eff_learn_sums s = {};
  for (int64_t i = 0; i < net->count; i++) trace<T, Rule>(net, r, i, ((T *)net->graph->g)[i], s);
  return s;
}

template <class T, int Rule> static void apply(const eff_learn_net *net, const eff_learn_rule *r, double step) {
  for (int64_t i = 0; i < net->count; i++)
    ((T *)net->w)[i] -=
        (T)step * ((T *)net->e)[i] / scale<T>(Rule, r, Rule == EFF_LEARN_OBGD ? T(0) : ((T *)net->v)[i]);
}
