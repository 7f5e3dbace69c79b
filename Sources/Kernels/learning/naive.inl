// The plainest possible loops: the twin that tests compare the vector kernels with.

template <class T> static int64_t element(const layer<T> &l, int64_t o, int64_t i) {
  return l.by_input ? i * l.lanes + o : o * l.lanes + i;
}

template <class T> static void forward(const eff_op *op, int64_t batch) {
  const layer<T> l(op);
  const T step = (T)l.pass.step;
  if (step != 0) {
    for (int64_t i = 0; i < l.rows * l.lanes; i++) l.w[i] -= step * l.e[i];
    for (int64_t i = 0; i < l.out && l.eb; i++) l.b[i] -= step * l.eb[i];
  }
  for (int64_t n = 0; n < batch; n++) {
    const T *x = l.x + n * l.x_stride;
    T *y = l.y + n * l.y_stride;
    for (int64_t o = 0; o < l.out; o++) {
      y[o] = l.b[o];
      for (int64_t i = 0; i < l.in; i++) y[o] += l.w[element(l, o, i)] * x[i];
    }
    if (l.norm) {
      T mean = 0, var = 0;
      for (int64_t o = 0; o < l.out; o++) mean += y[o] / (T)l.out;
      for (int64_t o = 0; o < l.out; o++) var += (y[o] - mean) * (y[o] - mean) / (T)l.out;
      T inv = 1 / __builtin_elementwise_sqrt(var + (T)l.epsilon);
      for (int64_t o = 0; o < l.out; o++) y[o] = (y[o] - mean) * inv;
      if (n == 0) l.inv_std = inv;
    }
    for (int64_t o = 0; o < l.out && l.h; o++)
      l.h[n * l.h_stride + o] = activation<T>(l.act, (T)l.alpha, y[o]);
  }
}

template <class T> static T scale(int rule, const eff_learn_rule *r, T v) {
  if (rule == EFF_LEARN_ADAPTIVE) return __builtin_elementwise_sqrt(v / (T)r->correction + (T)r->epsilon);
  if (rule == EFF_LEARN_INTENTIONAL) return __builtin_elementwise_sqrt(v / (T)r->correction) + (T)r->epsilon;
  return 1;
}

template <class T, int Rule> static void trace(T &e, T *moment, T g, const eff_learn_pass &p, eff_learn_sums &s) {
  const eff_learn_rule &r = p.rule;
  T v = 0;
  e = (T)r.decay * e + g;
  if (Rule != EFF_LEARN_OBGD) {
    T d = Rule == EFF_LEARN_ADAPTIVE ? (T)r.delta * e : g;
    v = *moment = (T)r.beta * *moment + (T)(1 - r.beta) * d * d;
  }
  T c = scale<T>(Rule, &r, v);
  s.l1 += __builtin_elementwise_abs(e) / c;
  if (Rule == EFF_LEARN_INTENTIONAL) s.energy += e * e / c, s.power += g * g / c;
}

// the place of a moment, where the rule has any
template <class T> static T *moment(T *v, int64_t i) { return v ? v + i : nullptr; }

template <class T, int Rule> static void backward(const eff_op *op, int64_t) {
  const layer<T> l(op);
  if (l.h) {
    T mean = 0, dot = 0;
    for (int64_t o = 0; o < l.out; o++) {
      l.d[o] *= derivative<T>(l.act, (T)l.alpha, l.y[o], l.h[o]);
      mean += l.d[o] / (T)l.out;
      dot += l.d[o] * l.y[o] / (T)l.out;
    }
    for (int64_t o = 0; o < l.out && l.norm; o++) l.d[o] = (l.d[o] - mean - l.y[o] * dot) * (T)l.inv_std;
  }
  for (int64_t i = 0; i < l.in && l.dx; i++) {
    T sum = 0;
    for (int64_t o = 0; o < l.out; o++) sum += l.w[element(l, o, i)] * l.d[o];
    l.dx[i] = l.adds ? l.dx[i] + sum : sum;
  }
  for (int64_t o = 0; o < l.out; o++) {
    for (int64_t i = 0; i < l.in; i++) {
      const int64_t at = element(l, o, i);
      trace<T, Rule>(l.e[at], moment(l.v, at), l.d[o] * l.x[i], l.pass, l.pass.sums);
    }
    if (l.eb) trace<T, Rule>(l.eb[o], moment(l.vb, o), l.d[o], l.pass, l.pass.sums);
  }
}

template <class T, int Rule> static void accumulate(const eff_learn_net *net) {
  for (int64_t i = net->loose; i < net->count; i++)
    trace<T, Rule>(((T *)net->e)[i], moment((T *)net->v, i), ((T *)net->g)[i - net->loose], *net->pass,
                   net->pass->sums);
}

template <class T, int Rule>
static void apply(const eff_learn_net *net, const eff_learn_rule *r, double step, int64_t first) {
  for (int64_t i = first; i < net->count; i++)
    ((T *)net->w)[i] -=
        (T)step * ((T *)net->e)[i] / scale<T>(Rule, r, Rule == EFF_LEARN_OBGD ? T(0) : ((T *)net->v)[i]);
}
