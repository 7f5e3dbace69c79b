// Vector kernels of the learner at one instruction set. Included once per level inside a namespace and, where the level
// asks for it, inside a target pragma; EFF_BYTES is the width of a vector.

template <class T> struct vec;
template <> struct vec<float> {
  typedef float V __attribute__((vector_size(EFF_BYTES), may_alias));
  enum { W = EFF_BYTES / 4 };
};
template <> struct vec<double> {
  typedef double V __attribute__((vector_size(EFF_BYTES), may_alias));
  enum { W = EFF_BYTES / 8 };
};

#define EFF_V typedef typename vec<T>::V V; constexpr int W = vec<T>::W; (void)W
#define EFF_INLINE static inline __attribute__((always_inline))
#define EFF_ROLLED _Pragma("clang loop unroll(disable)")

template <class T> EFF_INLINE typename vec<T>::V load(const T *p) { return *(const typename vec<T>::V *)p; }
template <class T> EFF_INLINE void store(T *p, typename vec<T>::V v) { *(typename vec<T>::V *)p = v; }
template <class T> EFF_INLINE typename vec<T>::V splat(T a) { return a - typename vec<T>::V{}; }
template <class T> EFF_INLINE T total(typename vec<T>::V v) {
  constexpr int W = vec<T>::W;
  T b[W];
  for (int i = 0; i < W; i++) b[i] = v[i];
  for (int h = W / 2; h; h /= 2)
    for (int i = 0; i < h; i++) b[i] += b[i + h];
  return b[0];
}

// ---- forward ----

// R rows of [out, in] against `batch` inputs: y = W x + b.
template <class T, int R, int N, bool Due>
EFF_INLINE void dots(const eff_learn_layer &l, int64_t r, T *w, const T *e, const T *b, T step) {
  EFF_V;
  const T *x = (const T *)l.x;
  T *y = (T *)l.y;
  V acc[R][N] = {};
  w += r * l.lanes;
  if (Due) e += r * l.lanes;
  EFF_ROLLED
  for (int64_t k = 0; k < l.lanes; k += W) {
    V xv[N];
    for (int n = 0; n < N; n++) xv[n] = load<T>(x + n * l.x_stride + k);
    for (int i = 0; i < R; i++) {
      V a = load<T>(w + i * l.lanes + k);
      if (Due) {
        a -= step * load<T>(e + i * l.lanes + k);
        store<T>(w + i * l.lanes + k, a);
      }
      for (int n = 0; n < N; n++) acc[i][n] += a * xv[n];
    }
  }
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) y[n * l.y_stride + r + i] = b[r + i] + total<T>(acc[i][n]);
}

// R rows of [in, out] for `batch` inputs: y += x W.
template <class T, int R, int N, bool Due> EFF_INLINE void axpys(const eff_learn_layer &l, int64_t r, T *w, const T *e,
                                                                 const T *from, int64_t from_stride, T step) {
  EFF_V;
  const T *x = (const T *)l.x;
  T *y = (T *)l.y;
  V xv[R][N];
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) xv[i][n] = splat<T>(x[n * l.x_stride + r + i]);
  w += r * l.lanes;
  if (Due) e += r * l.lanes;
  EFF_ROLLED
  for (int64_t k = 0; k < l.lanes; k += W) {
    V acc[N];
    for (int n = 0; n < N; n++) acc[n] = load<T>(from + n * from_stride + k);
    for (int i = 0; i < R; i++) {
      V a = load<T>(w + i * l.lanes + k);
      if (Due) {
        a -= step * load<T>(e + i * l.lanes + k);
        store<T>(w + i * l.lanes + k, a);
      }
      for (int n = 0; n < N; n++) acc[n] += a * xv[i][n];
    }
    for (int n = 0; n < N; n++) store<T>(y + n * l.y_stride + k, acc[n]);
  }
}

template <class T, int N, bool Due>
EFF_INLINE void dense(const eff_learn_net &net, const eff_learn_layer &l, T step) {
  constexpr int W = vec<T>::W;
  T *w = (T *)net.w + l.weight, *b = (T *)net.w + l.bias;
  const T *e = (const T *)net.e + l.weight;
  if (Due) {
    const T *eb = (const T *)net.e + l.bias;
    for (int64_t k = 0; k < l.out; k += W) store<T>(b + k, load<T>(b + k) - step * load<T>(eb + k));
  }
  int64_t r = 0;
  if (l.by_input) {
    const T *from = b;
    int64_t stride = 0;
    for (; r + 4 <= l.rows; r += 4, from = (const T *)l.y, stride = l.y_stride)
      axpys<T, 4, N, Due>(l, r, w, e, from, stride, step);
    for (; r < l.rows; r++, from = (const T *)l.y, stride = l.y_stride)
      axpys<T, 1, N, Due>(l, r, w, e, from, stride, step);
  } else {
    for (; r + 4 <= l.rows; r += 4) dots<T, 4, N, Due>(l, r, w, e, b, step);
    for (; r < l.rows; r++) dots<T, 1, N, Due>(l, r, w, e, b, step);
  }
}

// y = (y - mean y) / sqrt(var y + epsilon), biased variance; returns 1 / sqrt(...).
template <class T> EFF_INLINE T normalize(T *y, int64_t n, T epsilon) {
  EFF_V;
  int64_t whole = n / W * W, i;
  V s = {};
  for (i = 0; i < whole; i += W) s += load<T>(y + i);
  T mean = total<T>(s);
  for (; i < n; i++) mean += y[i];
  mean /= (T)n;
  V q = {};
  T var = 0;
  for (i = 0; i < whole; i += W) {
    V c = load<T>(y + i) - mean;
    q += c * c;
    store<T>(y + i, c);
  }
  for (; i < n; i++) y[i] -= mean, var += y[i] * y[i];
  T inv = 1 / __builtin_elementwise_sqrt((total<T>(q) + var) / (T)n + epsilon);
  for (i = 0; i < whole; i += W) store<T>(y + i, load<T>(y + i) * inv);
  for (; i < n; i++) y[i] *= inv;
  return inv;
}

template <class T> EFF_INLINE void activate(const eff_learn_layer &l, const T *y, T *h) {
  EFF_V;
  T alpha = l.act == EFF_FN_RELU ? 0 : (T)l.alpha;
  switch (l.act) {
    case EFF_FN_RELU:
    case EFF_FN_LEAKY_RELU:
      for (int64_t i = 0; i < l.out; i += W) {
        V a = load<T>(y + i), b = a * alpha;
        store<T>(h + i, a > 0 ? a : b);
      }
      break;
    default:
      for (int64_t i = 0; i < l.out; i++) h[i] = activation<T>(l.act, alpha, y[i]);
  }
}

template <class T, int N, bool Due> static void forward_n(const eff_learn_net *net, T step) {
  for (int64_t i = 0; i < net->layers; i++) {
    eff_learn_layer &l = net->layer[i];
    dense<T, N, Due>(*net, l, step);
    if (i + 1 == net->layers) break;
    const eff_learn_layer &next = net->layer[i + 1];
    for (int n = 0; n < N; n++) {
      T *y = (T *)l.y + n * l.y_stride;
      if (l.norm) {
        T inv = normalize<T>(y, l.out, (T)l.epsilon);
        if (n == 0) l.inv_std = inv;
      }
      activate<T>(l, y, (T *)next.x + n * next.x_stride);
    }
  }
}

template <class T> static void forward(const eff_learn_net *net, int64_t batch, double step) {
  // double is not worth kernels of its own for one row; the second row is computed and ignored
  if (sizeof(T) == 8) batch = 2;
  if (step != 0) batch == 2 ? forward_n<T, 2, true>(net, (T)step) : forward_n<T, 1, true>(net, (T)step);
  else batch == 2 ? forward_n<T, 2, false>(net, 0) : forward_n<T, 1, false>(net, 0);
}

// ---- backward ----

template <class T> struct sums { typename vec<T>::V l1, energy, power; };
template <class T> struct rule { T decay, delta, beta, rest, inverse, epsilon; };

// One vector of traces (and moments) from one vector of gradients.
template <class T, int Rule>
EFF_INLINE void trace(T *e, T *v, typename vec<T>::V g, const rule<T> &r, sums<T> &s) {
  EFF_V;
  V t = load<T>(e) * r.decay + g;
  store<T>(e, t);
  if (Rule == EFF_LEARN_OBGD) {
    s.l1 += __builtin_elementwise_abs(t);
  } else if (Rule == EFF_LEARN_ADAPTIVE) {
    V d = t * r.delta, m = load<T>(v) * r.beta + d * d * r.rest;
    store<T>(v, m);
    s.l1 += __builtin_elementwise_abs(t) / __builtin_elementwise_sqrt(m * r.inverse + r.epsilon);
  } else {
    V m = load<T>(v) * r.beta + g * g * r.rest;
    store<T>(v, m);
    V inv = 1 / (__builtin_elementwise_sqrt(m * r.inverse) + r.epsilon);
    V n = t * inv;
    s.power += g * g * inv;
    s.energy += t * n;
    s.l1 += __builtin_elementwise_abs(n);
  }
}

template <class T> EFF_INLINE void drain(const sums<T> &s, eff_learn_sums &to) {
  to.l1 += total<T>(s.l1);
  to.energy += total<T>(s.energy);
  to.power += total<T>(s.power);
}

// R stored rows: e = decay e + a (x) b; and, where In, the gradient of the layer's input from the same pass over w.
// by output: a = d, b = x, dx += a W. by input: a = x, b = d, dx[r] = W[r] . d.
template <class T, int Rule, int R, bool In> EFF_INLINE void outer(const eff_learn_net &net, const eff_learn_layer &l,
                                                                   int64_t r, T *dx, bool first, const rule<T> &rl,
                                                                   eff_learn_sums &to) {
  EFF_V;
  const T *a = (const T *)(l.by_input ? l.x : l.d), *b = (const T *)(l.by_input ? l.d : l.x);
  const int64_t at = l.weight + r * l.lanes;
  const T *w = (const T *)net.w + at;
  T *e = (T *)net.e + at, *v = Rule == EFF_LEARN_OBGD ? nullptr : (T *)net.v + at;
  V av[R], acc[R] = {};
  for (int i = 0; i < R; i++) av[i] = splat<T>(a[r + i]);
  sums<T> s[R] = {};
  EFF_ROLLED
  for (int64_t k = 0; k < l.lanes; k += W) {
    V bv = load<T>(b + k), dv = {};
    if (In && !l.by_input && !first) dv = load<T>(dx + k);
    for (int i = 0; i < R; i++) {
      const int64_t o = i * l.lanes + k;
      if (In) {
        V m = load<T>(w + o);
        if (l.by_input) acc[i] += m * bv;
        else dv += m * av[i];
      }
      trace<T, Rule>(e + o, Rule == EFF_LEARN_OBGD ? nullptr : v + o, av[i] * bv, rl, s[i]);
    }
    if (In && !l.by_input) store<T>(dx + k, dv);
  }
  for (int i = 0; i < R; i++) {
    if (In && l.by_input) dx[r + i] = total<T>(acc[i]);
    if (i) s[0].l1 += s[i].l1, s[0].energy += s[i].energy, s[0].power += s[i].power;
  }
  drain<T>(s[0], to);
}

template <class T, int Rule, bool In> static void layer_back(const eff_learn_net &net, const eff_learn_layer &l, T *dx,
                                                             const rule<T> &rl, eff_learn_sums &to) {
  constexpr int W = vec<T>::W;
  int64_t r = 0;
  // rules with moments are bound by their square roots and gain nothing from blocks
  if (Rule == EFF_LEARN_OBGD)
    for (; r + 4 <= l.rows; r += 4) outer<T, Rule, 4, In>(net, l, r, dx, r == 0, rl, to);
  for (; r < l.rows; r++) outer<T, Rule, 1, In>(net, l, r, dx, r == 0, rl, to);
  T *e = (T *)net.e + l.bias, *v = Rule == EFF_LEARN_OBGD ? nullptr : (T *)net.v + l.bias;
  const T *d = (const T *)l.d;
  sums<T> s = {};
  for (int64_t k = 0; k < l.out; k += W)
    trace<T, Rule>(e + k, Rule == EFF_LEARN_OBGD ? nullptr : v + k, load<T>(d + k), rl, s);
  drain<T>(s, to);
}

// d of the activated output -> d of the layer's linear output, in place, through activation and LayerNorm.
template <class T> EFF_INLINE void deactivate(const eff_learn_layer &l, const T *h) {
  EFF_V;
  T *d = (T *)l.d;
  const T *y = (const T *)l.y;
  const int64_t n = l.out, whole = n / W * W;
  T alpha = l.act == EFF_FN_RELU ? 0 : (T)l.alpha;
  if (l.act == EFF_FN_RELU || l.act == EFF_FN_LEAKY_RELU) {
    for (int64_t i = 0; i < n; i += W) {
      V g = load<T>(d + i), c = g * alpha;
      store<T>(d + i, load<T>(y + i) > 0 ? g : c);
    }
  } else {
    for (int64_t i = 0; i < n; i++) d[i] *= derivative<T>(l.act, alpha, y[i], h[i]);
  }
  if (!l.norm) return;
  V sv = {}, qv = {};
  int64_t i;
  for (i = 0; i < whole; i += W) {
    V g = load<T>(d + i);
    sv += g;
    qv += g * load<T>(y + i);
  }
  T s = total<T>(sv), q = total<T>(qv);
  for (; i < n; i++) s += d[i], q += d[i] * y[i];
  s /= (T)n;
  q /= (T)n;
  const T inv = (T)l.inv_std;
  for (i = 0; i < whole; i += W) store<T>(d + i, (load<T>(d + i) - s - load<T>(y + i) * q) * inv);
  for (; i < n; i++) d[i] = (d[i] - s - y[i] * q) * inv;
}

template <class T> EFF_INLINE rule<T> narrow(const eff_learn_rule *r) {
  return {(T)r->decay, (T)r->delta, (T)r->beta, (T)(1 - r->beta), (T)(1 / r->correction), (T)r->epsilon};
}

template <class T, int Rule> static eff_learn_sums backward(const eff_learn_net *net, const eff_learn_rule *r) {
  eff_learn_sums to = {};
  const rule<T> rl = narrow<T>(r);
  for (int64_t i = net->layers - 1; i > 0; i--) {
    const eff_learn_layer &l = net->layer[i];
    layer_back<T, Rule, true>(*net, l, (T *)net->layer[i - 1].d, rl, to);
    deactivate<T>(net->layer[i - 1], (const T *)l.x);
  }
  layer_back<T, Rule, false>(*net, net->layer[0], nullptr, rl, to);
  return to;
}

template <class T, int Rule> static eff_learn_sums accumulate(const eff_learn_net *net, const eff_learn_rule *r) {
  constexpr int W = vec<T>::W;
  const rule<T> rl = narrow<T>(r);
  T *e = (T *)net->e, *v = (T *)net->v;
  T *g = (T *)net->graph->g;
  eff_learn_sums to = {};
  sums<T> s[2] = {};
  // count is a multiple of 64 bytes
  EFF_ROLLED
  for (int64_t i = 0; i < net->count; i += 2 * W)
    for (int k = 0; k < 2; k++)
      trace<T, Rule>(e + i + k * W, Rule == EFF_LEARN_OBGD ? nullptr : v + i + k * W, load<T>(g + i + k * W), rl, s[k]);
  drain<T>(s[0], to);
  drain<T>(s[1], to);
  return to;
}

// ---- update ----

template <class T, int Rule> static void apply(const eff_learn_net *net, const eff_learn_rule *r, double step) {
  EFF_V;
  const T c = (T)step;
  const rule<T> rl = narrow<T>(r);
  T *w = (T *)net->w;
  const T *e = (const T *)net->e, *v = (const T *)net->v;
  EFF_ROLLED
  for (int64_t i = 0; i < net->count; i += W) {
    V t = load<T>(e + i);
    if (Rule == EFF_LEARN_ADAPTIVE) t /= __builtin_elementwise_sqrt(load<T>(v + i) * rl.inverse + rl.epsilon);
    if (Rule == EFF_LEARN_INTENTIONAL) t /= __builtin_elementwise_sqrt(load<T>(v + i) * rl.inverse) + rl.epsilon;
    store<T>(w + i, load<T>(w + i) - c * t);
  }
}

#undef EFF_V
#undef EFF_INLINE
#undef EFF_ROLLED
