// Images of conv.h: with their padding, channels innermost, and back.
// n numbers of each of `channels` planes -> [n][pitch]
static void to_channels_last(const float *x, int64_t plane, int64_t channels, int64_t n, float *to, int64_t pitch) {
  enum { BLOCK = 32 };  // channels whose lines fit the first cache
  for (int64_t first = 0; first < channels; first += BLOCK) {
    const int64_t end = least(channels, first + BLOCK), quads = first + (end - first) / 4 * 4;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
      for (int64_t c = first; c < quads; c += 4) transpose4(x + c * plane + i, plane, to + i * pitch + c, pitch);
    for (; i < n; i++)
      for (int64_t c = first; c < quads; c++) to[i * pitch + c] = x[c * plane + i];
    for (int64_t c = quads; c < end; c++)
      for (i = 0; i < n; i++) to[i * pitch + c] = x[c * plane + i];
  }
}

// Places x into the scratch image, without what no output reads, with zeros around it. last: channels are innermost.
static void pad_image(const eff_conv *c, const conv_shape *s, const float *x, float *to, bool last) {
  const int64_t *pad = s->pad, *in = s->in, *size = s->padded, pixel = last ? c->in_channels : 1;
  const int64_t begin = pad[2] < 0 ? -pad[2] : 0, end = least(in[2], size[2] - pad[2]), n = end - begin;
  bool full = true;
  for (int d = 0; d < 3; d++) full = full && pad[d] <= 0 && size[d] <= in[d] + pad[d];
  if (!full) __builtin_memset(to, 0, (size_t)(c->in_channels * s->plane) * 4);
  if (n <= 0) return;
  const int64_t planes = last ? 1 : c->in_channels;
  for (int64_t ch = 0; ch < planes; ch++, x += s->in_plane, to += s->plane)
    for (int64_t a = 0; a < in[0]; a++)
      for (int64_t b = 0; b < in[1]; b++) {
        const int64_t ta = a + pad[0], tb = b + pad[1];
        if (ta < 0 || ta >= size[0] || tb < 0 || tb >= size[1]) continue;
        float *at = to + ((ta * size[1] + tb) * size[2] + begin + pad[2]) * pixel;
        const float *line = x + (a * in[1] + b) * in[2] + begin;
        if (last) to_channels_last(line, s->in_plane, c->in_channels, n, at, pixel);
        else __builtin_memcpy(at, line, (size_t)n * 4);
      }
}

// [n][lanes] -> n numbers of each of `channels` planes
static void from_channels_last(const float *x, int64_t lanes, int64_t channels, int64_t n, float *y, int64_t plane) {
  int64_t j = 0;
  for (; j + 4 <= channels; j += 4) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) transpose4(x + i * lanes + j, lanes, y + j * plane + i, plane);
    for (; i < n; i++)
      EFF_UNROLL for (int q = 0; q < 4; q++) y[(j + q) * plane + i] = x[i * lanes + j + q];
  }
  for (; j < channels; j++)
    for (int64_t i = 0; i < n; i++) y[j * plane + i] = x[i * lanes + j];
}
