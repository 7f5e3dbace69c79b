// Direct convolutions of conv.h, and the product that Winograd takes too.

// What all tiles of a block of k share: `count` runs of `length` numbers, each `offset` numbers behind a pixel's first
struct conv_block {
  const int32_t *offset;
  int64_t count, length, shift;  // shift: of all offsets
  const float *w, *from;  // from: what is added to, `pitch` floats per pixel (0: the same for all)
  int64_t pitch;
  float *sums;  // [pixel][NB * W]
  const char *ahead;
};

// adds a block to the sums of R pixels
template <int R, int NB> static __attribute__((noinline)) void conv_tile(const conv_block *b, const float *const *pixel,
                                                                         const int32_t *which) {
  vf acc[R][NB];
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) acc[r][v] = vload(b->from + which[r] * b->pitch + v * W);
  apart_steps<R> rows;
  rows.ahead = b->ahead;
  const float *w = b->w;
  for (int64_t q = 0; q < b->count; q++, w += b->length * NB * W) {
    const int64_t offset = b->offset[q] + b->shift;
    rows.i = 0;
    EFF_UNROLL for (int r = 0; r < R; r++) rows.p[r] = pixel[which[r]] + offset;
    add_products(acc, rows, b->length, w, NB * W);
  }
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) vstore(b->sums + (which[r] * NB + v) * W, acc[r][v]);
}

// adds a block to the sums of `n` pixels, whose numbers are `which`; what comes next (`bytes`) is fetched on the way
template <int NB> static void conv_tiles(conv_block *b, const float *const *pixel, const int32_t *which, int64_t n,
                                         const char *next, int64_t bytes) {
  const int64_t tiles = (n + TILE - 1) / TILE, part = lines(bytes / (tiles ? tiles : 1));
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t count = (n + tiles - t - 1) / (tiles - t);  // even tiles: none too narrow to hide latency
    b->ahead = next + least(t * part, bytes);
    switch (count) {
      case 1: conv_tile<1, NB>(b, pixel, which); break;
      case 2: conv_tile<2, NB>(b, pixel, which); break;
      case 3: conv_tile<3, NB>(b, pixel, which); break;
      case 4: conv_tile<4, NB>(b, pixel, which); break;
      case 5: conv_tile<5, NB>(b, pixel, which); break;
      default: conv_tile<6, NB>(b, pixel, which);
    }
    which += count, n -= count;
  }
}
static void product(int64_t vectors, conv_block *b, const float *const *pixel, const int32_t *which, int64_t n,
                    const char *next, int64_t bytes) {
  if (vectors == 2) conv_tiles<2>(b, pixel, which, n, next, bytes);
  else conv_tiles<1>(b, pixel, which, n, next, bytes);
}

static const int32_t *all_pixels() {
  struct list {
    int32_t at[CHUNK];
    constexpr list() : at() { for (int i = 0; i < CHUNK; i++) at[i] = i; }
  };
  static constexpr list all;
  return all.at;
}

// images that are worked on together, each `step` floats of scratch and output apart
struct conv_images {
  const float *scratch;
  int64_t step, count;
  float *const *y;
};

static void direct(const eff_conv *c, const conv_shape *s, const conv_images *im, const char *packed, int64_t group) {
  const int32_t *offset = (const int32_t *)packed;
  const int64_t total = im->count * s->pixels, pitch = c->in_channels;
  const int64_t chunks = (total + CHUNK - 1) / CHUNK;
  // blocks of k: several runs, or parts of one
  const int64_t parts = (s->length + DEPTH - 1) / DEPTH, part = (s->length + parts - 1) / parts;
  const int64_t together = s->skips || parts > 1 ? 1 : least(s->runs, DEPTH / s->length);
  const char *first = packed + lines(table_size(s) * 4) + group * group_bytes(s);
  for (int64_t k = 0, p = 0; k < chunks; k++) {
    const int64_t n = (total - p + chunks - k - 1) / (chunks - k);
    const float *pixel[CHUNK];
    int64_t at[CHUNK][3];  // of its first input
    int32_t some[CHUNK];
    float sums[CHUNK * PANEL] __attribute__((aligned(64)));
    int64_t image = p / s->pixels, e = p % s->pixels;
    int64_t z[3] = {e / (s->out[1] * s->out[2]), e / s->out[2] % s->out[1], e % s->out[2]};
    for (int64_t i = 0; i < n; i++) {
      pixel[i] = im->scratch + image * im->step + group * s->ic
                 + ((z[0] * s->stride[0] * s->padded[1] + z[1] * s->stride[1]) * s->padded[2] + z[2] * s->stride[2])
                     * pitch;
      if (s->skips) for (int d = 0; d < 3; d++) at[i][d] = z[d] * s->stride[d] - s->pad[d];
      if (++z[2] < s->out[2]) continue;
      z[2] = 0;
      if (++z[1] < s->out[1]) continue;
      z[1] = 0;
      if (++z[0] == s->out[0]) z[0] = 0, image++;
    }
    const char *panel = first;
    for (int64_t o = 0; o < s->oc; o += PANEL) {
      const int64_t vectors = panel_vectors(s->oc - o), lanes = vectors * W, channels = least(s->oc - o, PANEL);
      const float *w = (const float *)panel + lanes;
      const float *from = (const float *)panel;
      int64_t step = 0;
      if (s->skips) {
        for (int64_t i = 0; i < n; i++) __builtin_memcpy(sums + i * lanes, panel, (size_t)lanes * 4);
        from = sums, step = lanes;
      }
      for (int64_t run = 0; run < s->runs; run += together) {
        const int32_t *which = all_pixels();
        int64_t count = n;
        if (s->skips) {  // the pixels for which this position is not padding
          const int64_t q[3] = {run / (s->kernel[1] * s->kernel[2]), run / s->kernel[2] % s->kernel[1],
                                run % s->kernel[2]};
          count = 0;
          for (int64_t i = 0; i < n; i++) {
            bool inside = true;
            for (int d = 0; d < 3; d++) {
              const int64_t e = at[i][d] + q[d] * s->dilation[d];
              inside = inside && e >= 0 && e < s->in[d];
            }
            some[count] = (int32_t)i, count += inside;
          }
          which = some;
        }
        for (int64_t e = 0; e < s->length; e += part) {
          const int64_t runs = least(together, s->runs - run), length = least(part, s->length - e);
          conv_block b = {offset + run, runs, length, e, w, from, step, sums, nullptr};
          w += runs * length * lanes, from = sums, step = lanes;
          product(vectors, &b, pixel, which, count, (const char *)w, part * together * lanes * 4);
        }
      }
      if (c->act) activate(sums, sums, n * lanes, c->act, (float)c->alpha, (float)c->beta);
      for (int64_t i = 0; i < n;) {
        const int64_t image = (p + i) / s->pixels, e = (p + i) % s->pixels, take = least(n - i, s->pixels - e);
        from_channels_last(sums + i * lanes, lanes, channels, take,
                           im->y[image] + (group * s->oc + o) * s->pixels + e, s->pixels);
        i += take;
      }
      panel += lines((1 + s->k) * lanes * 4);
    }
    p += n;
  }
}
