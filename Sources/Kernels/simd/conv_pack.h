// Packing for conv.h, which describes the format.
// one dimension of a transformed kernel: N points of 3 weights
static void transform_weights(int f, const double *g, int64_t step, double *u, int64_t to) {
  const double root = 1.4142135623730951;
  double a = g[0], b = g[step], c = g[2 * step];
  if (f == 2) {
    u[0] = a, u[to] = (a + b + c) / 2, u[2 * to] = (a - b + c) / 2, u[3 * to] = c;
    return;
  }
  u[0] = a, u[5 * to] = c;
  u[to] = (-2 * a - root * b - c) / 3, u[2 * to] = (-2 * a + root * b - c) / 3;
  u[3 * to] = (a + root * b + 2 * c) / 6, u[4 * to] = (a - root * b + 2 * c) / 6;
}

static void winograd_pack(const conv_shape *s, const eff_loose_float *w, const eff_loose_float *bias, char *to) {
  const int n = s->method + 2;
  for (int64_t o = 0; o < s->oc; o += PANEL) {
    const int64_t lanes = panel_vectors(s->oc - o) * W;
    for (int64_t j = 0; bias && j < least(lanes, s->oc - o); j++) ((float *)to)[j] = bias[o + j];
    to += lines(lanes * 4);
  }
  const int64_t step = panels_bytes(s, s->ic);
  for (int64_t o = 0; o < s->oc; o += PANEL) {
    const int64_t lanes = panel_vectors(s->oc - o) * W;
    for (int64_t j = 0; j < least(lanes, s->oc - o); j++)
      for (int64_t i = 0; i < s->ic; i++) {
        double g[9], rows[18], u[36];
        for (int e = 0; e < 9; e++) g[e] = w[((o + j) * s->ic + i) * 9 + e];
        for (int e = 0; e < 3; e++) transform_weights(s->method, g + e, 3, rows + e, 3);
        for (int e = 0; e < n; e++) transform_weights(s->method, rows + 3 * e, 1, u + n * e, 1);
        for (int e = 0; e < n * n; e++) ((float *)(to + e * step))[i * lanes + j] = (float)u[e];
      }
    to += lines(s->ic * lanes * 4);
  }
}

void conv_pack(const eff_conv *c, const float *w, const float *bias, void *packed) {
  conv_shape s = shape_of(c);
  const eff_loose_float *from = w, *start = bias;
  __builtin_memset(packed, 0, (size_t)conv_packed_size(c));
  if (s.method > 0) return winograd_pack(&s, from, start, (char *)packed);
  const bool wise = s.method == DEPTHWISE;
  // the image of a depthwise convolution has its channels outside
  const int64_t pixel = wise ? 1 : c->in_channels;
  int32_t *offset = (int32_t *)packed;
  const int64_t across = wise || s.length == s.ic ? s.kernel[2] : 1;
  for (int64_t a = 0; a < s.kernel[0]; a++)
    for (int64_t b = 0; b < s.kernel[1]; b++)
      for (int64_t e = 0; e < across; e++)
        *offset++ = (int32_t)(((a * s.dilation[0] * s.padded[1] + b * s.dilation[1]) * s.padded[2] + e * s.dilation[2])
                              * pixel);
  char *p = (char *)packed + lines(table_size(&s) * 4);
  for (int64_t first = 0; first < c->out_channels; first += s.oc)
    for (int64_t o = 0; o < s.oc;) {
      const int64_t lanes = wise ? 1 : panel_vectors(s.oc - o) * W, take = least(s.oc - o, lanes);
      float *f = (float *)p;
      for (int64_t j = 0; j < take; j++) {
        if (start) f[j] = start[first + o + j];
        for (int64_t i = 0; i < s.ic; i++)
          for (int64_t q = 0; q < s.positions; q++)
            f[(1 + q * s.ic + i) * lanes + j] = from[((first + o + j) * s.ic + i) * s.positions + q];
      }
      p += lines((1 + s.k) * lanes * 4);
      o += take;
    }
}
