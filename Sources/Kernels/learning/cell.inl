// Kernels of recurrent cells at one instruction set: loops along the rows of W and R, which the compiler makes vectors
// of. Included once per level inside a namespace and, where the level asks for it, inside a target pragma.

// y[r] += m[r, :] . v for `rows` rows
template <class T>
__attribute__((noinline)) static void products(int64_t rows, int64_t n, const T *m, const T *v, T *y) {
#pragma clang fp reassociate(on) contract(fast)
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, m += 4 * n) {
    T a = 0, b = 0, c = 0, d = 0;
    for (int64_t k = 0; k < n; k++)
      a += m[k] * v[k], b += m[n + k] * v[k], c += m[2 * n + k] * v[k], d += m[3 * n + k] * v[k];
    y[r] += a, y[r + 1] += b, y[r + 2] += c, y[r + 3] += d;
  }
  for (; r < rows; r++, m += n) {
    T a = 0;
    for (int64_t k = 0; k < n; k++) a += m[k] * v[k];
    y[r] += a;
  }
}

template <class T>
__attribute__((noinline)) static void add_scaled(T *__restrict y, T c, const T *__restrict x, int64_t n) {
#pragma clang fp contract(fast)
  for (int64_t i = 0; i < n; i++) y[i] += c * x[i];
}

template <class T> static void forward(const eff_op *op, int64_t) {
  const cell<T> l(op);
  const int64_t n = l.n, all = l.count * n;
  if (l.is_diagonal()) {
    for (int64_t j = 0; j < 2 * n; j++) l.gates[j] = 0;
    products(2 * n, l.in, l.w, l.x, l.gates);
    return turn_diagonal(l);
  }
  for (int64_t g = 0; g < l.count; g++)
    for (int64_t j = 0; j < n; j++) l.gates[g * n + j] = l.bias(g, j);
  products(all, l.in, l.w, l.x, l.gates);
  if (l.is_lstm()) {
    for (int64_t g = 0; g < 4 && l.b; g++)
      for (int64_t j = 0; j < n; j++) l.gates[g * n + j] += l.recurrent_bias(g, j);
    products(all, n, l.r, l.h0, l.gates);
    return activate_lstm(l);
  }
  T *z = l.gates, *r = z + n, *g = r + n, *m = g + n, *rh = m + n;
  for (int64_t j = 0; j < 2 * n && l.b; j++) z[j] += l.recurrent_bias(j / n, j % n);
  products(2 * n, n, l.r, l.h0, z);
  for (int64_t j = 0; j < 2 * n; j++) z[j] = sigmoid(z[j]);
  for (int64_t j = 0; j < n; j++) m[j] = l.recurrent_bias(2, j), rh[j] = r[j] * l.h0[j];
  products(n, n, l.r + 2 * n * n, l.p.linear_before_reset ? l.h0 : rh, m);
  for (int64_t j = 0; j < n; j++) {
    g[j] = tangent(g[j] + (l.p.linear_before_reset ? r[j] * m[j] : m[j]));
    l.give(j, (1 - z[j]) * g[j] + z[j] * l.h0[j], 0);
  }
}

// How one unit of an LSTM passes on what influences it:
//   c' = f c + a h + bc v,  h' = alpha c' + rho h + bh v,  gradient += dh h' + dc c'
template <class T> struct lstm_unit { T f, a, alpha, rho, dh, dc; };
template <class T>
__attribute__((noinline)) static void pass(const lstm_unit<T> &u, T bc, T bh, T *__restrict c, T *__restrict h,
                                           T *__restrict g, const T *__restrict v, int64_t n) {
#pragma clang fp contract(fast)
  for (int64_t k = 0; k < n; k++) {
    const T old = h[k], nc = u.f * c[k] + u.a * old + bc * v[k];
    c[k] = nc;
    h[k] = u.alpha * nc + u.rho * old + bh * v[k];
  }
  for (int64_t k = 0; k < n && g; k++) g[k] += u.dh * h[k] + u.dc * c[k];
}

template <class T> static void lstm(const cell<T> &l, bool learns) {
  const int64_t n = l.n, in = l.in;
  const T *i = l.gates, *o = i + n, *f = o + n, *g = f + n, *t = g + n, one = 1, mask = l.mask();
  T *c = l.influence, *h = c + l.size(), *dw = (T *)l.p.dw, *dr = (T *)l.p.dr, *db = (T *)l.p.db;
  T *cr = c + l.size_w(), *hr = h + l.size_w(), *cb = cr + l.size_r(), *hb = hr + l.size_r();
  auto to = [&](T *g, int64_t at) { return learns ? g + at : nullptr; };
  for (int64_t q = 0; q < 4; q++) {
    for (int64_t j = 0; j < n; j++) {
      const T di = i[j] * (1 - i[j]) * g[j], dout = o[j] * (1 - o[j]) * t[j], df = f[j] * (1 - f[j]) * l.c0[j],
              dg = (1 - g[j] * g[j]) * i[j];
      const lstm_unit<T> u = {
          f[j] * mask, (di * l.diagonal(0, j) + df * l.diagonal(2, j) + dg * l.diagonal(3, j)) * mask,
          o[j] * (1 - t[j] * t[j]), dout * l.diagonal(1, j) * mask, learns ? l.slope(j) : 0,
          learns ? l.cell_slope(j) : 0};
      const T bc = q == 0 ? di : q == 2 ? df : q == 3 ? dg : 0, bh = q == 1 ? dout : 0;
      const int64_t row = q * n + j;
      if (dw) pass<T>(u, bc, bh, c + row * in, h + row * in, to(dw, row * in), l.x, in);
      if (dr) pass<T>(u, bc, bh, cr + row * n, hr + row * n, to(dr, row * n), l.h0, n);
      for (int64_t k = row; k < 8 * n && db; k += 4 * n)
        pass<T>(u, bc, bh, cb + k, hb + k, to(db, k), &one, 1);
      if (learns && l.p.dx) add_scaled((T *)l.p.dx, (u.dc + u.dh * u.alpha) * bc + u.dh * bh, l.w + row * in, in);
    }
  }
}

// The same of a GRU: h' = a h + b v,  gradient += d h' + rest v
template <class T>
__attribute__((noinline)) static void pass(T a, T b, T d, T rest, T *__restrict h, T *__restrict g,
                                           const T *__restrict v, int64_t n) {
#pragma clang fp contract(fast)
  for (int64_t k = 0; k < n; k++) h[k] = a * h[k] + b * v[k];
  for (int64_t k = 0; k < n && g; k++) g[k] += d * h[k] + rest * v[k];
}

template <class T> static void gru(const cell<T> &l, bool learns) {
  const int64_t n = l.n, in = l.in;
  const T *z = l.gates, *r = z + n, *g = r + n, *rh = g + 2 * n, one = 1, mask = l.mask();
  T *m = l.gates + 3 * n, *h = l.influence, *hr = h + l.size_w(), *hb = hr + l.size_r(), *through = l.gates + 5 * n;
  T *dw = (T *)l.p.dw, *dr = (T *)l.p.dr, *db = (T *)l.p.db;
  auto to = [&](T *g, int64_t at) { return learns ? g + at : nullptr; };
  const bool is_linear = l.p.linear_before_reset;
  // a unit reaches its own new state also by way of all reset gates before the product
  for (int64_t j = 0; j < n && !is_linear; j++) {
    m[j] = 0;
    for (int64_t k = 0; k < n; k++)
      m[j] += l.r[(2 * n + j) * n + k] * l.h0[k] * r[k] * (1 - r[k]) * l.r[(n + k) * n + j];
  }
  for (int64_t j = 0; j < n; j++) through[j] = 0;
  for (int64_t k = 0; k < n && learns && !is_linear; k++)
    add_scaled(through, l.slope(k) * (1 - z[k]) * (1 - g[k] * g[k]), l.r + (2 * n + k) * n, n);
  for (int64_t q = 0; q < 3; q++) {
    for (int64_t j = 0; j < n; j++) {
      const T d = learns ? l.slope(j) : 0, dz = z[j] * (1 - z[j]) * (l.h0[j] - g[j]),
              dg = (1 - z[j]) * (1 - g[j] * g[j]),
              reset = r[j] * (1 - r[j]), dreset = reset * (is_linear ? m[j] : l.h0[j] * l.diagonal(2, j)) * dg,
              a = z[j] + dz * l.diagonal(0, j) + dg * r[j] * l.diagonal(2, j)
                  + (is_linear ? dreset * l.diagonal(1, j) : dg * m[j]);
      const T b = q == 0 ? dz : q == 1 ? dreset : dg, br = q == 2 && is_linear ? dg * r[j] : b;
      // what a reset gate does to other units in the present step
      const T rest = learns && q == 1 && !is_linear ? reset * l.h0[j] * through[j] - d * dreset : 0;
      const int64_t row = q * n + j;
      const T past = a * mask;
      if (dw) pass<T>(past, b, d, rest, h + row * in, to(dw, row * in), l.x, in);
      if (dr) pass<T>(past, br, d, rest, hr + row * n, to(dr, row * n), q == 2 && !is_linear ? rh : l.h0, n);
      if (db) {
        pass<T>(past, b, d, rest, hb + row, to(db, row), &one, 1);
        pass<T>(past, br, d, rest, hb + row + 3 * n, to(db, row + 3 * n), &one, 1);
      }
      if (learns && l.p.dx) add_scaled((T *)l.p.dx, d * b + rest, l.w + row * in, in);
    }
  }
}

// One unit: p = lambda p + phi x, and where it learns the gradients of the rows of W1 and W2.
template <class T>
__attribute__((noinline)) static void turn(T c, T s, T phi, T d_re, T d_im, T *__restrict re, T *__restrict im,
                                           T *__restrict g1, T *__restrict g2, const T *__restrict x, int64_t n) {
#pragma clang fp contract(fast)
  for (int64_t k = 0; k < n; k++) {
    const T old = re[k];
    re[k] = c * old - s * im[k] + phi * x[k];
    im[k] = s * old + c * im[k];
  }
  for (int64_t k = 0; k < n && g1; k++) {
    g1[k] += d_re * re[k] + d_im * im[k];
    g2[k] += d_im * re[k] - d_re * im[k];
  }
}

template <class T> static void diagonal(const cell<T> &l, bool learns) {
  const int64_t n = l.n, in = l.in;
  const T *u = l.gates, *c = u + 2 * n, *s = c + n, *phi = s + n;
  T *dw = (T *)l.p.dw, *dr = (T *)l.p.dr, *dx = (T *)l.p.dx;
  T *re = l.influence, *im = re + n * in, *poles = re + l.size_w();
  for (int64_t j = 0; j < n; j++) {
    const T d_re = learns ? l.slope(j) : 0, d_im = learns ? l.slope(n + j) : 0;
    if (dw)
      turn(c[j], s[j], phi[j], d_re, d_im, re + j * in, im + j * in, learns ? dw + j * in : nullptr,
           learns ? dw + (n + j) * in : nullptr, l.x, in);
    for (int64_t q = 0; q < 2 && dr; q++) {
      // d(lambda): -exp(nu) lambda by nu, i exp(a) lambda by a; d(phi) by nu
      const T e = exponential(l.r[q * n + j]), by_re = q ? -e * s[j] : -e * c[j], by_im = q ? e * c[j] : -e * s[j];
      const T scale = q ? 0 : e * (c[j] * c[j] + s[j] * s[j]) / phi[j];
      T *a = poles + 2 * q * n + j, *b = a + n;
      const T old = *a;
      *a = c[j] * old - s[j] * *b + by_re * l.h0[j] - by_im * l.h0[n + j] + scale * u[j];
      *b = s[j] * old + c[j] * *b + by_im * l.h0[j] + by_re * l.h0[n + j] + scale * u[n + j];
      if (learns) dr[q * n + j] += d_re * *a + d_im * *b;
    }
    if (!learns || !dx) continue;
    add_scaled(dx, phi[j] * d_re, l.w + j * in, in);
    add_scaled(dx, phi[j] * d_im, l.w + (n + j) * in, in);
  }
}

template <class T, bool Learns> static void backward(const eff_op *op, int64_t) {
  const cell<T> l(op);
  if (l.is_diagonal()) diagonal(l, Learns);
  else if (l.is_lstm()) lstm(l, Learns);
  else gru(l, Learns);
}
