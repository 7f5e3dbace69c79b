// Convolutions whose weights change at every step, and their derivatives: x, w, bias?, y, and the gradients of these.
//
// A transposed convolution is one whose input and output have changed places: `big` is read through windows that lie at
// the elements of `small`; w is [channels of small, channels of big / groups, taps]. With the windows of `big` as the
// rows of a matrix all that is wanted are products:
//   small = w rows        rows = w' small, added up where windows overlap        dw = small rows'
// Rows are made for a few places and taps at a time, on the stack.

template <class T> struct convolution {
  static constexpr int64_t lanes = vector_bytes / sizeof(T), most_places = 16, most_taps = 256;
  typedef T vector __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));
  typedef T rows_of[most_places][most_taps] __attribute__((aligned(vector_bytes)));

  const eff::windows v;
  int64_t groups, smalls, bigs, taps;  // channels of a group, and the numbers that a window of a group has

  convolution(const eff_conv &p, bool transposed)
      : v(p, transposed ? p.out : p.in, transposed ? p.in : p.out, p.pad), groups(p.groups),
        smalls((transposed ? p.in_channels : p.out_channels) / p.groups),
        bigs((transposed ? p.out_channels : p.in_channels) / p.groups), taps(bigs * v.kernel_size) {}

  int64_t small_size() const { return groups * smalls * v.out_size; }
  int64_t big_size() const { return groups * bigs * v.in_size; }

  // Numbers `first` ..< first + count of the window at `place`: inside(i, place in a group of `big`) for each that lies
  // in it, run(i, place, n) for n neighbours.
  template <class Run> void each(int64_t place, int64_t first, int64_t count, Run run) const {
    const int64_t oz = place / (v.out[1] * v.out[2]), oy = place / v.out[2] % v.out[1], ox = place % v.out[2];
    int64_t kx = first % v.kernel[2], rest = first / v.kernel[2], ky = rest % v.kernel[1];
    rest /= v.kernel[1];
    int64_t kz = rest % v.kernel[0], c = rest / v.kernel[0];
    const int64_t x0 = ox * v.stride[2] - v.pad[2], dx = v.dilation[2];
    for (int64_t i = 0; i < count; kx = 0) {
      const int64_t n = eff::min_of(v.kernel[2] - kx, count - i);
      const int64_t z = oz * v.stride[0] + kz * v.dilation[0] - v.pad[0];
      const int64_t y = oy * v.stride[1] + ky * v.dilation[1] - v.pad[1];
      if (z >= 0 && z < v.in[0] && y >= 0 && y < v.in[1]) {
        const int64_t line = ((c * v.in[0] + z) * v.in[1] + y) * v.in[2], x = x0 + kx * dx;
        if (dx == 1) {
          const int64_t skip = x < 0 ? -x : 0, end = eff::min_of(n, v.in[2] - x);
          if (skip < end) run(i + skip, line + x + skip, end - skip);
        } else {
          for (int64_t k = 0; k < n; k++)
            if (x + k * dx >= 0 && x + k * dx < v.in[2]) run(i + k, line + x + k * dx, 1);
        }
      }
      i += n;
      if (++ky == v.kernel[1]) {
        ky = 0;
        if (++kz == v.kernel[0]) kz = 0, c++;
      }
    }
  }

  void gather(const T *big, int64_t place, int64_t places, int64_t first, int64_t count, rows_of &rows) const {
    for (int64_t p = 0; p < places; p++) {
      T *row = rows[p];
      for (int64_t i = 0; i < (count + lanes - 1) / lanes * lanes; i++) row[i] = 0;
      each(place + p, first, count, [&](int64_t i, int64_t at, int64_t n) {
        for (int64_t k = 0; k < n; k++) row[i + k] = big[at + k];
      });
    }
  }

  void scatter(T *big, int64_t place, int64_t places, int64_t first, int64_t count, const rows_of &rows) const {
    for (int64_t p = 0; p < places; p++) {
      const T *row = rows[p];
      each(place + p, first, count, [&](int64_t i, int64_t at, int64_t n) {
        for (int64_t k = 0; k < n; k++) big[at + k] += row[i + k];
      });
    }
  }

  // piece(first place, places, first tap, taps) for all of them
  template <class F> void pieces(F piece) const {
    for (int64_t place = 0; place < v.out_size; place += most_places)
      for (int64_t tap = 0; tap < taps; tap += most_taps)
        piece(place, eff::min_of(most_places, v.out_size - place), tap, eff::min_of(most_taps, taps - tap));
  }

  static T sum(const vector &x) {
    T s = 0;
    for (int64_t i = 0; i < lanes; i++) s += x[i];
    return s;
  }

  // small[C channels][P places] += w rows
  template <int C, int P> void dot(const T *w, const T (*rows)[most_taps], int64_t count, T *small) const {
#pragma clang fp contract(fast)
    vector part[C][P] = {};
    const int64_t whole = count / lanes * lanes;
    for (int64_t t = 0; t < whole; t += lanes)
      for (int c = 0; c < C; c++) {
        const vector a = *(const vector *)(w + c * taps + t);
        for (int p = 0; p < P; p++) part[c][p] += a * *(const vector *)(rows[p] + t);
      }
    for (int c = 0; c < C; c++)
      for (int p = 0; p < P; p++) {
        T s = sum(part[c][p]);
        for (int64_t t = whole; t < count; t++) s += w[c * taps + t] * rows[p][t];
        small[c * v.out_size + p] += s;
      }
  }

  // rows[P places][taps, `lanes` at a time, two of these where they are] = w' small
  template <int P, int V> void spread(const T *w, const T *small, T (*rows)[most_taps], int64_t t) const {
#pragma clang fp contract(fast)
    vector part[P][V] = {};
    for (int64_t c = 0; c < smalls; c++)
      for (int k = 0; k < V; k++) {
        const vector a = *(const vector *)(w + c * taps + t + k * lanes);
        for (int p = 0; p < P; p++) part[p][k] += a * small[c * v.out_size + p];
      }
    for (int p = 0; p < P; p++)
      for (int k = 0; k < V; k++) *(vector *)(rows[p] + t + k * lanes) = part[p][k];
  }

  template <int P> void spread_all(const T *w, const T *small, T (*rows)[most_taps], int64_t count) const {
    int64_t t = 0;
    for (; t + 2 * lanes <= count; t += 2 * lanes) spread<P, 2>(w, small, rows, t);
    for (; t + lanes <= count; t += lanes) spread<P, 1>(w, small, rows, t);
    for (; t < count; t++)
      for (int p = 0; p < P; p++) {
        T s = 0;
        for (int64_t c = 0; c < smalls; c++) s += w[c * taps + t] * small[c * v.out_size + p];
        rows[p][t] = s;
      }
  }

  // dw[C channels][taps, `lanes` at a time] += small rows'
  template <int C, int V> void outer(const T *small, const T (*rows)[most_taps], int64_t places, T *dw,
                                     int64_t t) const {
#pragma clang fp contract(fast)
    vector part[C][V];
    for (int c = 0; c < C; c++)
      for (int k = 0; k < V; k++) part[c][k] = *(const vector *)(dw + c * taps + t + k * lanes);
    for (int64_t p = 0; p < places; p++)
      for (int k = 0; k < V; k++) {
        const vector a = *(const vector *)(rows[p] + t + k * lanes);
        for (int c = 0; c < C; c++) part[c][k] += a * small[c * v.out_size + p];
      }
    for (int c = 0; c < C; c++)
      for (int k = 0; k < V; k++) *(vector *)(dw + c * taps + t + k * lanes) = part[c][k];
  }

  template <int C> void outer_all(const T *small, const T (*rows)[most_taps], int64_t places, T *dw,
                                  int64_t count) const {
    int64_t t = 0;
    for (; t + 2 * lanes <= count; t += 2 * lanes) outer<C, 2>(small, rows, places, dw, t);
    for (; t + lanes <= count; t += lanes) outer<C, 1>(small, rows, places, dw, t);
    for (; t < count; t++)
      for (int c = 0; c < C; c++)
        for (int64_t p = 0; p < places; p++) dw[c * taps + t] += small[c * v.out_size + p] * rows[p][t];
  }

  // small += w rows of big
  void add_small(const T *big, const T *w, T *small) const {
    rows_of rows;
    for (int64_t g = 0; g < groups; g++, big += bigs * v.in_size, w += smalls * taps, small += smalls * v.out_size)
      pieces([&](int64_t place, int64_t places, int64_t tap, int64_t count) {
        gather(big, place, places, tap, count, rows);
        int64_t c = 0;
        for (; c + 4 <= smalls; c += 4) {
          const T *here = w + c * taps + tap;
          T *y = small + c * v.out_size + place;
          int64_t p = 0;
          for (; p + 2 <= places; p += 2) dot<4, 2>(here, rows + p, count, y + p);
          if (p < places) dot<4, 1>(here, rows + p, count, y + p);
        }
        for (; c < smalls; c++)
          for (int64_t p = 0; p < places; p++)
            dot<1, 1>(w + c * taps + tap, rows + p, count, small + c * v.out_size + place + p);
      });
  }

  // big += w' small
  void add_big(const T *small, const T *w, T *big) const {
    rows_of rows;
    for (int64_t g = 0; g < groups; g++, big += bigs * v.in_size, w += smalls * taps, small += smalls * v.out_size)
      pieces([&](int64_t place, int64_t places, int64_t tap, int64_t count) {
        int64_t p = 0;
        for (; p + 4 <= places; p += 4) spread_all<4>(w + tap, small + place + p, rows + p, count);
        for (; p < places; p++) spread_all<1>(w + tap, small + place + p, rows + p, count);
        scatter(big, place, places, tap, count, rows);
      });
  }

  // dw += small rows'
  void add_weights(const T *big, const T *small, T *dw) const {
    rows_of rows;
    for (int64_t g = 0; g < groups; g++, big += bigs * v.in_size, dw += smalls * taps, small += smalls * v.out_size)
      pieces([&](int64_t place, int64_t places, int64_t tap, int64_t count) {
        gather(big, place, places, tap, count, rows);
        const T *y = small + place;
        T *to = dw + tap;
        int64_t c = 0;
        for (; c + 4 <= smalls; c += 4) outer_all<4>(y + c * v.out_size, rows, places, to + c * taps, count);
        for (; c < smalls; c++) outer_all<1>(y + c * v.out_size, rows, places, to + c * taps, count);
      });
  }
};

template <class T, bool transposed> struct conv_forward {
  static void run(const eff_op *op, int64_t rows) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const convolution<T> at(p, transposed);
    const int64_t x_size = transposed ? at.small_size() : at.big_size();
    const int64_t places = transposed ? at.v.in_size : at.v.out_size;
    for (int64_t r = 0; r < rows; r++) {
      const eff::row operand{op, r};
      const T *x = operand.template at<const T>(0), *w = operand.template at<const T>(1),
              *bias = operand.template at<const T>(2);
      T *y = operand.template at<T>(3);
      for (int64_t n = 0; n < p.batch; n++, x += x_size, y += p.out_channels * places) {
        for (int64_t c = 0; c < p.out_channels; c++)
          for (int64_t i = 0; i < places; i++) y[c * places + i] = bias ? bias[c] : 0;
        if (transposed) at.add_big(x, w, y);
        else at.add_small(x, w, y);
        for (int64_t i = 0; i < p.out_channels * places && p.act != EFF_FN_IDENTITY; i++)
          y[i] = eff::activate(p.act, y[i], (T)p.alpha, (T)p.beta);
      }
    }
  }
};
template <class T> using conv_forward_plain = conv_forward<T, false>;
template <class T> using conv_forward_transposed = conv_forward<T, true>;

template <class T, bool transposed> struct conv {
  static void run(const eff_op *op, int64_t) {
    const eff_conv &p = *(const eff_conv *)op->params;
    const convolution<T> at(p, transposed);
    const T *x = (const T *)op->p[0], *w = (const T *)op->p[1], *g = (const T *)op->p[7];
    T *dx = (T *)op->p[4], *dw = (T *)op->p[5], *db = (T *)op->p[6];
    const int64_t x_size = transposed ? at.small_size() : at.big_size();
    const int64_t places = transposed ? at.v.in_size : at.v.out_size;
    for (int64_t n = 0; n < p.batch; n++, x += x_size, g += p.out_channels * places, dx += dx ? x_size : 0) {
      for (int64_t c = 0; c < p.out_channels && db; c++)
        for (int64_t i = 0; i < places; i++) db[c] += g[c * places + i];
      if (transposed) {
        if (dx) at.add_small(g, w, dx);
        if (dw) at.add_weights(g, x, dw);
      } else {
        if (dx) at.add_big(g, w, dx);
        if (dw) at.add_weights(x, g, dw);
      }
    }
  }
};
template <class T> using conv_plain = conv<T, false>;
template <class T> using conv_transposed = conv<T, true>;
