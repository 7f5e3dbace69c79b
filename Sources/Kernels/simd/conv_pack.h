// Packing for conv.h, which describes the format.
typedef double vd __attribute__((vector_size(8 * EFF_W)));

// one dimension of transformed kernels: 3 weights, `step` apart, -> f + 2 points
EFF_INLINE void transform_weights(int f, const vd *g, int step, vd *u, int to) {
  const vd a = g[0], b = g[step], c = g[2 * step];
  u[0] = a, u[(f + 1) * to] = c;
  if (f == 2) {
    u[to] = (a + b + c) * 0.5, u[2 * to] = (a - b + c) * 0.5;
    return;
  }
  const vd r = 1.4142135623730951 * b, p = (-2 * a - c) * (1.0 / 3), q = (a + 2 * c) * (1.0 / 6);
  u[to] = p - r * (1.0 / 3), u[2 * to] = p + r * (1.0 / 3);
  u[3 * to] = q + r * (1.0 / 6), u[4 * to] = q - r * (1.0 / 6);
}

// W outputs at a time
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
    for (int64_t v = 0; v < lanes; v += W)
      for (int64_t i = 0; i < s->ic; i++) {
        float kernel[9][W] = {};
        for (int64_t j = 0; j < least(W, s->oc - o - v); j++)
          for (int e = 0; e < 9; e++) kernel[e][j] = w[((o + v + j) * s->ic + i) * 9 + e];
        vd g[9], rows[18], u[36];
        for (int e = 0; e < 9; e++) g[e] = __builtin_convertvector(vload(kernel[e]), vd);
        for (int e = 0; e < 3; e++) transform_weights(s->method, g + e, 3, rows + e, 3);
        for (int e = 0; e < n; e++) transform_weights(s->method, rows + 3 * e, 1, u + n * e, 1);
        for (int e = 0; e < n * n; e++)
          vstore((float *)(to + e * step) + i * lanes + v, __builtin_convertvector(u[e], vf));
      }
    to += lines(s->ic * lanes * 4);
  }
}

void conv_pack(const eff_conv *c, const float *w, const float *bias, void *packed) {
  conv_shape s = shape_of(c);
  const eff_loose_float *from = w, *start = bias;
  // of Winograd's, all but the bias is written
  const int64_t clear = s.method > 0 ? panels_bytes(&s, 1) : conv_packed_size(c);
  __builtin_memset(packed, 0, (size_t)clear);
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
