// Winograd convolutions of conv.h.

// one dimension: N inputs -> N points, `step` vectors apart
template <int F> EFF_INLINE void transform_input(const vf *d, int step, vf *t, int to) {
  if constexpr (F == 2) {
    vf a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
    t[0] = a - c, t[to] = b + c, t[2 * to] = c - b, t[3 * to] = b - e;
  } else {
    const vf root = vset(1.4142135623730951f), half = vset(0.70710678118654752f);
    vf a = d[0], b = d[step], c = d[2 * step], e = d[3 * step], f = d[4 * step], g = d[5 * step];
    vf p = vfma(vset(-2), c, f), q = vfma(half, e, -(root * b)), u = vfma(vset(-0.5f), c, f),
       v = vfma(root, e, -(half * b));
    t[0] = vfma(vset(-2.5f), c, a + f), t[5 * to] = vfma(vset(-2.5f), e, b + g);
    t[to] = p + q, t[2 * to] = p - q, t[3 * to] = u + v, t[4 * to] = u - v;
  }
}
// one dimension: N points -> F outputs
template <int F> EFF_INLINE void transform_output(const vf *m, int step, vf *y, int to) {
  vf a = m[step] + m[2 * step], b = m[step] - m[2 * step];
  if constexpr (F == 2) {
    y[0] = m[0] + a, y[to] = b - m[3 * step];
  } else {
    vf c = m[3 * step] + m[4 * step], d = m[3 * step] - m[4 * step];
    y[0] = m[0] + a + c;
    y[to] = vfma(vset(0.70710678118654752f), b, vset(1.4142135623730951f) * d);
    y[2 * to] = vfma(vset(0.5f), a, c + c);
    y[3 * to] = vfma(vset(0.35355339059327376f), b, vfma(vset(2.8284271247461903f), d, m[5 * step]));
  }
}

// a tile of the image [pixel][channel] -> points[point][channel], `step` floats apart
template <int F> static __attribute__((noinline)) void tile_in(const conv_shape *s, const float *x, float *points,
                                                               int64_t step) {
  enum { N = F + 2 };
  for (int64_t ch = 0; ch < s->ic; ch += W) {
    vf d[N], t[N * N];
    for (int j = 0; j < N; j++) {
      EFF_UNROLL for (int i = 0; i < N; i++) d[i] = vload(x + (i * s->padded[2] + j) * s->ic + ch);
      transform_input<F>(d, 1, t + j, N);
    }
    for (int i = 0; i < N; i++) {
      transform_input<F>(t + i * N, 1, d, 1);
      EFF_UNROLL for (int j = 0; j < N; j++) vstore(points + (i * N + j) * step + ch, d[j]);
    }
  }
}
// points[point][lane], `step` floats apart -> out[F * F][lanes]
template <int F> static __attribute__((noinline)) void tile_out(const float *points, int64_t step, int64_t lanes,
                                                                const float *bias, float *out) {
  enum { N = F + 2 };
  for (int64_t l = 0; l < lanes; l += W) {
    vf m[N], t[F * N], b = vload(bias + l);
    for (int j = 0; j < N; j++) {
      EFF_UNROLL for (int i = 0; i < N; i++) m[i] = vload(points + (i * N + j) * step + l);
      transform_output<F>(m, 1, t + j, N);
    }
    for (int i = 0; i < F; i++) {
      transform_output<F>(t + i * N, 1, m, 1);
      EFF_UNROLL for (int j = 0; j < F; j++) vstore(out + (i * F + j) * lanes + l, m[j] + b);
    }
  }
}

template <int F> static void winograd(const eff_conv *c, const conv_shape *s, const conv_images *im, const char *packed,
                                      float *room, int64_t most) {
  enum { POINTS = (F + 2) * (F + 2) };
  const int64_t each = s->tiles[0] * s->tiles[1], total = im->count * each, width = whole(s->oc, W);
  const int64_t chunks = (total + most - 1) / most, weights = panels_bytes(s, s->ic);
  const char *first = packed + panels_bytes(s, 1);
  const int32_t none = 0;
  const float zeros[PANEL] = {0};
  for (int64_t k = 0, p = 0; k < chunks; k++) {
    const int64_t n = (total - p + chunks - k - 1) / (chunks - k);
    float *in = room, *out = room + POINTS * n * s->ic;
    for (int64_t i = 0; i < n; i++) {
      const int64_t image = (p + i) / each, e = (p + i) % each, down = e / s->tiles[1], across = e % s->tiles[1];
      tile_in<F>(s, im->scratch + image * im->step + (down * F * s->padded[2] + across * F) * s->ic, in + i * s->ic,
                 n * s->ic);
    }
    for (int64_t e = 0; e < POINTS; e++) {
      const char *panel = first + e * weights;
      const float *pixel[CHUNK];
      for (int64_t i = 0; i < n; i++) pixel[i] = in + (e * n + i) * s->ic;
      float *to = out + e * n * width;  // [panel][tile][lane]
      for (int64_t o = 0; o < s->oc; o += PANEL) {
        const int64_t vectors = panel_vectors(s->oc - o), lanes = vectors * W;
        const float *w = (const float *)panel, *from = zeros;
        for (int64_t i = 0; i < s->ic; i += DEPTH) {
          const int64_t length = least(DEPTH, s->ic - i);
          conv_block b = {&none, 1, length, i, w, from, from == zeros ? 0 : lanes, to, nullptr};
          w += length * lanes, from = to;
          product(vectors, &b, pixel, all_pixels(), n, (const char *)w, length * lanes * 4);
        }
        panel += lines(s->ic * lanes * 4);
        to += n * lanes;
      }
    }
    const float *bias = (const float *)packed;
    for (int64_t o = 0; o < s->oc; o += PANEL) {
      const int64_t lanes = panel_vectors(s->oc - o) * W, channels = least(s->oc - o, PANEL);
      for (int64_t i = 0; i < n; i++) {
        const int64_t image = (p + i) / each, e = (p + i) % each, down = e / s->tiles[1] * F,
                      across = e % s->tiles[1] * F;
        float pixels[F * F * PANEL];
        tile_out<F>(out + o * n + i * lanes, n * width, lanes, bias, pixels);
        if (c->act) activate(pixels, pixels, F * F * lanes, c->act, (float)c->alpha, (float)c->beta);
        for (int64_t r = 0; r < least(F, s->out[1] - down); r++)
          from_channels_last(pixels + r * F * lanes, lanes, channels, least(F, s->out[2] - across),
                             im->y[image] + o * s->pixels + (down + r) * s->out[2] + across, s->pixels);
      }
      bias += lines(lanes * 4) / 4;
    }
    p += n;
  }
}
