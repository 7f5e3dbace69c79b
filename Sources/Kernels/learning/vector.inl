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
EFF_INLINE void dots(const layer<T> &l, int64_t r, T step) {
  EFF_V;
  const int64_t lanes = l.lanes, x_stride = l.x_stride;
  const T *x = l.x, *e = Due ? l.e + r * lanes : nullptr;
  T *w = l.w + r * lanes;
  V acc[R][N] = {};
  EFF_ROLLED
  for (int64_t k = 0; k < lanes; k += W) {
    V xv[N];
    for (int n = 0; n < N; n++) xv[n] = load<T>(x + n * x_stride + k);
    for (int i = 0; i < R; i++) {
      V a = load<T>(w + i * lanes + k);
      if (Due) {
        a -= step * load<T>(e + i * lanes + k);
        store<T>(w + i * lanes + k, a);
      }
      for (int n = 0; n < N; n++) acc[i][n] += a * xv[n];
    }
  }
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) l.y[n * l.y_stride + r + i] = l.b[r + i] + total<T>(acc[i][n]);
}

// R rows of [in, out] for `batch` inputs: y += x W.
template <class T, int R, int N, bool Due>
EFF_INLINE void axpys(const layer<T> &l, int64_t r, const T *from, int64_t from_stride, T step) {
  EFF_V;
  const int64_t lanes = l.lanes, y_stride = l.y_stride;
  const T *x = l.x, *e = Due ? l.e + r * lanes : nullptr;
  T *w = l.w + r * lanes, *y = l.y;
  V xv[R][N];
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) xv[i][n] = splat<T>(x[n * l.x_stride + r + i]);
  EFF_ROLLED
  for (int64_t k = 0; k < lanes; k += W) {
    V acc[N];
    for (int n = 0; n < N; n++) acc[n] = load<T>(from + n * from_stride + k);
    for (int i = 0; i < R; i++) {
      V a = load<T>(w + i * lanes + k);
      if (Due) {
        a -= step * load<T>(e + i * lanes + k);
        store<T>(w + i * lanes + k, a);
      }
      for (int n = 0; n < N; n++) acc[n] += a * xv[i][n];
    }
    for (int n = 0; n < N; n++) store<T>(y + n * y_stride + k, acc[n]);
  }
}

template <class T, int N, bool Due> EFF_INLINE void dense(const layer<T> &l, T step) {
  constexpr int W = vec<T>::W;
  if (Due && l.eb)
    for (int64_t k = 0; k < l.out; k += W) store<T>(l.b + k, load<T>(l.b + k) - step * load<T>(l.eb + k));
  int64_t r = 0;
  if (l.by_input) {
    const T *from = l.b;
    int64_t stride = 0;
    for (; r + 4 <= l.rows; r += 4, from = l.y, stride = l.y_stride) axpys<T, 4, N, Due>(l, r, from, stride, step);
    for (; r < l.rows; r++, from = l.y, stride = l.y_stride) axpys<T, 1, N, Due>(l, r, from, stride, step);
  } else {
    for (; r + 4 <= l.rows; r += 4) dots<T, 4, N, Due>(l, r, step);
    for (; r < l.rows; r++) dots<T, 1, N, Due>(l, r, step);
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

template <class T> EFF_INLINE void activate(const layer<T> &l, const T *y, T *h) {
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

template <class T> static void forward(const eff_op *op, int64_t batch) {
  const layer<T> l(op);
  const T step = (T)l.pass.step;
  // double is not worth kernels of its own for one row; the second row is computed and ignored, or is the first again
  if (sizeof(T) == 8 || batch == 2) step != 0 ? dense<T, 2, true>(l, step) : dense<T, 2, false>(l, 0);
  else step != 0 ? dense<T, 1, true>(l, step) : dense<T, 1, false>(l, 0);
  for (int64_t n = 0; n < batch; n++) {
    T *y = l.y + n * l.y_stride;
    if (l.norm) {
      T inv = normalize<T>(y, l.out, (T)l.epsilon);
      if (n == 0) l.inv_std = inv;
    }
    if (l.h) activate<T>(l, y, l.h + n * l.h_stride);
  }
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
template <class T, int Rule, int R, bool In>
EFF_INLINE void outer(const layer<T> &l, int64_t r, bool first, const rule<T> &rl, eff_learn_sums &to) {
  EFF_V;
  const bool by_input = l.by_input;
  const T *a = by_input ? l.x : l.d, *b = by_input ? l.d : l.x;
  const int64_t lanes = l.lanes, at = r * lanes;
  const T *w = l.w + at;
  T *e = l.e + at, *v = Rule == EFF_LEARN_OBGD ? nullptr : l.v + at, *dx = l.dx;
  V av[R], acc[R] = {};
  for (int i = 0; i < R; i++) av[i] = splat<T>(a[r + i]);
  sums<T> s[R] = {};
  EFF_ROLLED
  for (int64_t k = 0; k < lanes; k += W) {
    V bv = load<T>(b + k), dv = {};
    if (In && !by_input && !first) dv = load<T>(dx + k);
    for (int i = 0; i < R; i++) {
      const int64_t o = i * lanes + k;
      if (In) {
        V m = load<T>(w + o);
        if (by_input) acc[i] += m * bv;
        else dv += m * av[i];
      }
      trace<T, Rule>(e + o, Rule == EFF_LEARN_OBGD ? nullptr : v + o, av[i] * bv, rl, s[i]);
    }
    if (In && !by_input) store<T>(dx + k, dv);
  }
  for (int i = 0; i < R; i++) {
    if (In && by_input) dx[r + i] = l.adds ? dx[r + i] + total<T>(acc[i]) : total<T>(acc[i]);
    if (i) s[0].l1 += s[i].l1, s[0].energy += s[i].energy, s[0].power += s[i].power;
  }
  drain<T>(s[0], to);
}

template <class T, int Rule, bool In>
static void layer_back(const layer<T> &l, const rule<T> &rl, eff_learn_sums &to) {
  constexpr int W = vec<T>::W;
  int64_t r = 0;
  // rules with moments are bound by their square roots and gain nothing from blocks
  if (Rule == EFF_LEARN_OBGD)
    for (; r + 4 <= l.rows; r += 4) outer<T, Rule, 4, In>(l, r, r == 0 && !l.adds, rl, to);
  for (; r < l.rows; r++) outer<T, Rule, 1, In>(l, r, r == 0 && !l.adds, rl, to);
  if (!l.eb) return;
  sums<T> s = {};
  for (int64_t k = 0; k < l.out; k += W)
    trace<T, Rule>(l.eb + k, Rule == EFF_LEARN_OBGD ? nullptr : l.vb + k, load<T>(l.d + k), rl, s);
  drain<T>(s, to);
}

// d of the activated output -> d of the layer's linear output, in place, through activation and LayerNorm.
template <class T> EFF_INLINE void deactivate(const layer<T> &l) {
  EFF_V;
  T *d = l.d;
  const T *y = l.y, *h = l.h;
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

template <class T, int Rule> static void backward(const eff_op *op, int64_t) {
  const layer<T> l(op);
  const rule<T> rl = narrow<T>(&l.pass.rule);
  if (l.h) deactivate<T>(l);
  if (l.dx) layer_back<T, Rule, true>(l, rl, l.pass.sums);
  else layer_back<T, Rule, false>(l, rl, l.pass.sums);
}

template <class T, int Rule> static void accumulate(const eff_learn_net *net) {
  constexpr int W = vec<T>::W;
  const rule<T> rl = narrow<T>(&net->pass->rule);
  T *e = (T *)net->e + net->loose, *v = Rule == EFF_LEARN_OBGD ? nullptr : (T *)net->v + net->loose;
  const T *g = (const T *)net->g;
  sums<T> s[2] = {};
  // count is a multiple of 64 bytes
  EFF_ROLLED
  for (int64_t i = 0; i < net->count - net->loose; i += 2 * W)
    for (int k = 0; k < 2; k++)
      trace<T, Rule>(e + i + k * W, Rule == EFF_LEARN_OBGD ? nullptr : v + i + k * W, load<T>(g + i + k * W), rl, s[k]);
  drain<T>(s[0], net->pass->sums);
  drain<T>(s[1], net->pass->sums);
}

// ---- update ----

template <class T, int Rule>
static void apply(const eff_learn_net *net, const eff_learn_rule *r, double step, int64_t first) {
  EFF_V;
  const T c = (T)step;
  const rule<T> rl = narrow<T>(r);
  T *w = (T *)net->w;
  const T *e = (const T *)net->e, *v = (const T *)net->v;
  EFF_ROLLED
  for (int64_t i = first; i < net->count; i += W) {
    V t = load<T>(e + i);
    if (Rule == EFF_LEARN_ADAPTIVE) t /= __builtin_elementwise_sqrt(load<T>(v + i) * rl.inverse + rl.epsilon);
    if (Rule == EFF_LEARN_INTENTIONAL) t /= __builtin_elementwise_sqrt(load<T>(v + i) * rl.inverse) + rl.epsilon;
    store<T>(w + i, load<T>(w + i) - c * t);
  }
}

#undef EFF_V
#undef EFF_INLINE
#undef EFF_ROLLED
