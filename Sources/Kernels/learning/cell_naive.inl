// The plainest possible loops: the twin that tests compare cell.inl with. The influence of a weight is carried through
// the equations of the cell one by one, as a tangent of the unit that it writes to.

template <class T> static T sum(int64_t n, const T *m, const T *v) {
  T s = 0;
  for (int64_t k = 0; k < n; k++) s += m[k] * v[k];
  return s;
}

template <class T> static void forward(const eff_op *op, int64_t) {
  const cell<T> l(op);
  const int64_t n = l.n;
  if (l.is_diagonal()) {
    for (int64_t j = 0; j < 2 * n; j++) l.gates[j] = sum(l.in, l.w + j * l.in, l.x);
    return turn_diagonal(l);
  }
  for (int64_t g = 0; g < l.count; g++)
    for (int64_t j = 0; j < n; j++) l.gates[g * n + j] = sum(l.in, l.w + (g * n + j) * l.in, l.x) + l.bias(g, j);
  for (int64_t g = 0; g < (l.is_lstm() ? 4 : 2); g++)
    for (int64_t j = 0; j < n; j++)
      l.gates[g * n + j] += sum(n, l.r + (g * n + j) * n, l.h0) + l.recurrent_bias(g, j);
  if (l.is_lstm()) return activate_lstm(l);
  T *z = l.gates, *r = z + n, *g = r + n, *m = g + n, *rh = m + n;
  for (int64_t j = 0; j < n; j++) z[j] = sigmoid(z[j]), r[j] = sigmoid(r[j]), rh[j] = r[j] * l.h0[j];
  for (int64_t j = 0; j < n; j++) {
    m[j] = sum(n, l.r + (2 * n + j) * n, l.p.linear_before_reset ? l.h0 : rh) + l.recurrent_bias(2, j);
    g[j] = tangent(g[j] + (l.p.linear_before_reset ? r[j] * m[j] : m[j]));
  }
  for (int64_t j = 0; j < n; j++) l.give(j, (1 - z[j]) * g[j] + z[j] * l.h0[j], 0);
}

// Tangents (c, h) of unit j for a weight that adds `v` to gate q's sum of x (is_x) or of h.
template <class T> static void tangents(const cell<T> &l, int64_t q, int64_t j, T v, bool is_x, T &c, T &h) {
  const int64_t n = l.n;
  if (l.is_lstm()) {
    const T i = l.gates[j], o = l.gates[n + j], f = l.gates[2 * n + j], g = l.gates[3 * n + j], t = l.gates[4 * n + j];
    T a[4];
    for (int64_t k = 0; k < 4; k++) a[k] = l.diagonal(k, j) * h + (k == q ? v : 0);
    const T di = i * (1 - i) * a[0], dout = o * (1 - o) * a[1], df = f * (1 - f) * a[2], dg = (1 - g * g) * a[3];
    c = f * c + df * l.c0[j] + di * g + i * dg;
    h = dout * t + o * (1 - t * t) * c;
    return;
  }
  const T z = l.gates[j], r = l.gates[n + j], g = l.gates[2 * n + j], m = l.gates[3 * n + j];
  const T dz = z * (1 - z) * (l.diagonal(0, j) * h + (q == 0 ? v : 0));
  const T dr = r * (1 - r) * (l.diagonal(1, j) * h + (q == 1 ? v : 0));
  T sum_of_x = q == 2 && is_x ? v : 0, sum_of_h = q == 2 && !is_x ? v : 0;
  if (l.p.linear_before_reset) {
    sum_of_h = dr * m + r * (sum_of_h + l.diagonal(2, j) * h);
  } else {
    sum_of_h += l.diagonal(2, j) * (dr * l.h0[j] + r * h);
    // by way of the other units' reset gates
    for (int64_t k = 0; k < n; k++) {
      const T rk = l.gates[n + k];
      if (k != j) sum_of_h += l.r[(2 * n + j) * n + k] * l.h0[k] * rk * (1 - rk) * l.r[(n + k) * n + j] * h;
    }
  }
  const T dg = (1 - g * g) * (sum_of_x + sum_of_h);
  h = (1 - z) * dg - dz * g + dz * l.h0[j] + z * h;
}

// Gradient of the present step alone for the sum of gate q of unit j.
template <class T> static T present(const cell<T> &l, int64_t q, int64_t j, bool is_x) {
  T c = 0, h = 0;
  tangents<T>(l, q, j, 1, is_x, c, h);
  T s = l.slope(j) * h + l.cell_slope(j) * c;
  if (l.is_lstm() || q != 1 || l.p.linear_before_reset) return s;
  // a reset gate before the product reaches every unit
  const int64_t n = l.n;
  const T r = l.gates[n + j];
  for (int64_t k = 0; k < n; k++) {
    const T z = l.gates[k], g = l.gates[2 * n + k];
    if (k != j) s += l.slope(k) * (1 - z) * (1 - g * g) * l.r[(2 * n + k) * n + j] * r * (1 - r) * l.h0[j];
  }
  return s;
}

// The tangent of each weight on its own.
template <class T> static void diagonal(const cell<T> &l, bool learns) {
  const int64_t n = l.n;
  for (int64_t j = 0; j < n; j++) {
    const T c = l.gates[2 * n + j], s = l.gates[3 * n + j], phi = l.gates[4 * n + j];
    auto advance = [&](T &re, T &im, T add_re, T add_im) {
      const T a = c * re - s * im + add_re, b = s * re + c * im + add_im;
      re = a, im = b;
    };
    for (int64_t k = 0; k < l.in && l.p.dw; k++) {
      T &re = l.influence[j * l.in + k], &im = l.influence[(n + j) * l.in + k];
      advance(re, im, phi * l.x[k], 0);
      if (!learns) continue;
      ((T *)l.p.dw)[j * l.in + k] += l.slope(j) * re + l.slope(n + j) * im;
      ((T *)l.p.dw)[(n + j) * l.in + k] += l.slope(n + j) * re - l.slope(j) * im;
    }
    T *poles = l.influence + l.size_w();
    const T rate = exponential(l.r[j]), angle = exponential(l.r[n + j]), re = l.h0[j], im = l.h0[n + j];
    if (l.p.dr) {
      // lambda h, and what phi gives: 1 - phi^2 = exp(-2 rate)
      const T turned = c * re - s * im, across = s * re + c * im, by = rate * exponential(-2 * rate) / phi;
      advance(poles[j], poles[n + j], -rate * turned + by * l.gates[j], -rate * across + by * l.gates[n + j]);
      advance(poles[2 * n + j], poles[3 * n + j], -angle * across, angle * turned);
      for (int64_t q = 0; q < 2 && learns; q++)
        ((T *)l.p.dr)[q * n + j] += l.slope(j) * poles[2 * q * n + j] + l.slope(n + j) * poles[(2 * q + 1) * n + j];
    }
    for (int64_t k = 0; k < l.in && learns && l.p.dx; k++)
      ((T *)l.p.dx)[k] += phi * (l.slope(j) * l.w[j * l.in + k] + l.slope(n + j) * l.w[(n + j) * l.in + k]);
  }
}

template <class T, bool Learns> static void backward(const eff_op *op, int64_t) {
  const cell<T> l(op);
  if (l.is_diagonal()) return diagonal(l, Learns);
  const int64_t n = l.n, all = l.count * n;
  auto one = [&](int64_t at, T *to, int64_t q, int64_t j, T v, bool is_x) {
    T c = l.is_lstm() ? l.influence[at] * l.mask() : 0, h = l.influence[l.is_lstm() ? at + l.size() : at] * l.mask();
    // of the past the unit's own part, of the present all
    T past = h, past_c = c;
    tangents<T>(l, q, j, 0, is_x, past_c, past);
    if (Learns) *to += l.slope(j) * past + l.cell_slope(j) * past_c + v * present(l, q, j, is_x);
    tangents<T>(l, q, j, v, is_x, c, h);
    l.influence[l.is_lstm() ? at + l.size() : at] = h;
    if (l.is_lstm()) l.influence[at] = c;
  };
  const T *gated = l.gates + 4 * n;
  for (int64_t q = 0; q < l.count; q++) {
    for (int64_t j = 0; j < n; j++) {
      const int64_t row = q * n + j, at_r = l.size_w(), at_b = at_r + l.size_r();
      for (int64_t k = 0; k < l.in && l.p.dw; k++)
        one(row * l.in + k, (T *)l.p.dw + row * l.in + k, q, j, l.x[k], true);
      const bool is_gated = !l.is_lstm() && q == 2 && !l.p.linear_before_reset;
      for (int64_t k = 0; k < n && l.p.dr; k++)
        one(at_r + row * n + k, (T *)l.p.dr + row * n + k, q, j, is_gated ? gated[k] : l.h0[k], false);
      if (l.p.db) {
        one(at_b + row, (T *)l.p.db + row, q, j, 1, true);
        one(at_b + all + row, (T *)l.p.db + all + row, q, j, 1, false);
      }
      for (int64_t k = 0; k < l.in && Learns && l.p.dx; k++)
        ((T *)l.p.dx)[k] += l.w[row * l.in + k] * present(l, q, j, true);
    }
  }
}
