// Depthwise convolutions of conv.h.

// one channel: N vectors of neighbouring pixels of one output row, the last of which ends with the row (and so may
// overlap the one before it); `some` < W where the row is shorter than a vector
template <int N, bool Unit> EFF_INLINE void depthwise_run(const float *x, int64_t stride, const int32_t *offset,
                                                          int64_t k, const float *w, float *y, int64_t last,
                                                          int64_t some) {
  vf acc[N];
  EFF_UNROLL for (int v = 0; v < N; v++) acc[v] = vset(w[0]);
  EFF_ROLL for (int64_t i = 0; i < k; i++) {
    vf a = vset(w[1 + i]);
    const float *p = x + offset[i];
    EFF_UNROLL for (int v = 0; v < N; v++) {
      const float *q = p + (v == N - 1 ? last : v * W) * (Unit ? 1 : stride);
      vf b;
      if (Unit) b = some < W ? vload_tail(q, some) : vload(q);
      else for (int l = 0; l < W; l++) b[l] = l < some ? q[l * stride] : 0;
      acc[v] = vfma(a, b, acc[v]);
    }
  }
  EFF_UNROLL for (int v = 0; v < N; v++) {
    float *to = y + (v == N - 1 ? last : v * W);
    if (some < W) vstore_tail(to, acc[v], some); else vstore(to, acc[v]);
  }
}
template <bool Unit> static void depthwise(const eff_conv *c, const conv_shape *s, const float *x,
                                           const int32_t *offset, const char *panel, float *y) {
  int64_t width = c->out[c->spatial - 1], stride = c->stride[c->spatial - 1], k = s->k;
  for (int64_t o = 0; o < s->oc; o++, panel += lines((1 + k) * 4)) {
    int64_t line[2] = {0, 0};
    const float *w = (const float *)panel;
    for (int64_t row = 0; row < s->pixels; row += width, y += width) {
      const float *p = x + (line[0] * s->stride[0] * s->padded[1] + line[1] * s->stride[1]) * s->padded[2];
      if (++line[1] == s->out[1]) line[1] = 0, line[0]++;
      int64_t i = 0;
      for (; i + 4 * W < width; i += 4 * W)
        depthwise_run<4, Unit>(p + i * stride, stride, offset, k, w, y + i, 3 * W, W);
      const float *q = p + i * stride;
      float *to = y + i;
      int64_t left = width - i;  // 1 to 4 W
      if (left > 3 * W) depthwise_run<4, Unit>(q, stride, offset, k, w, to, left - W, W);
      else if (left > 2 * W) depthwise_run<3, Unit>(q, stride, offset, k, w, to, left - W, W);
      else if (left > W) depthwise_run<2, Unit>(q, stride, offset, k, w, to, left - W, W);
      else depthwise_run<1, Unit>(q, stride, offset, k, w, to, 0, left);
    }
  }
}

static void depthwise_rows(const eff_op *op, const eff_conv *c, const conv_shape *s, int64_t rows) {
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    const char *packed = (const char *)op->p[1] + r * op->stride[1];
    float *y = (float *)((char *)op->p[2] + r * op->stride[2]),
          *scratch = op->p[3] ? (float *)((char *)op->p[3] + r * op->stride[3]) : nullptr;
    for (int64_t b = 0; b < c->batch; b++, x += c->in_channels * s->in_plane, y += c->out_channels * s->pixels) {
      const float *image = x;
      if (s->copy) pad_image(c, s, x, scratch, false), image = scratch;
      for (int64_t g = 0; g < c->groups; g++) {
        const char *panels = packed + lines(s->k * 4) + g * group_bytes(s);
        const float *from = image + g * s->plane;
        float *to = y + g * s->oc * s->pixels;
        if (c->stride[c->spatial - 1] == 1) depthwise<true>(c, s, from, (const int32_t *)packed, panels, to);
        else depthwise<false>(c, s, from, (const int32_t *)packed, panels, to);
      }
      if (c->act) activate(y, y, c->out_channels * s->pixels, c->act, (float)c->alpha, (float)c->beta);
    }
  }
}
