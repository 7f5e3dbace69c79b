// EFF_K_CONV_PACKED: x, packed -> y (scratch), 1 to 3 spatial dimensions.
//
// Lanes are output channels, rows are output pixels: a tile of up to 6 pixels by 2 vectors of channels accumulates over
// k = (input channel, kernel position). The weights are k-major panels; x needs no im2col, because the address of k
// relative to a pixel's first element is the same for every pixel and comes from a table made at packing. Where the
// convolution pads, x is first copied into a padded image (the scratch).
// Depthwise convolutions have one channel per group: there the lanes are pixels of one row and the weights are
// broadcast.
// packed = [K offsets, i32][per group and panel: bias, weights]; depthwise: [K offsets][channel: bias, K weights,
// padded to a line]
#include "level.h"
#include "vec.h"
#include "weights.h"
#include "tile.h"

enum { TILE = 6, PANEL = 2 * W };

struct conv_shape {
  int64_t k, positions, pixels, ic, oc, padded[3], in_plane, plane;  // ic, oc: per group
  bool copy, depthwise;
};
static conv_shape shape_of(const eff_conv *c) {
  conv_shape s = {};
  s.positions = s.pixels = s.in_plane = s.plane = 1;
  for (int i = 0; i < 3; i++) {
    bool used = i < c->spatial;
    int64_t need = used ? (c->out[i] - 1) * c->stride[i] + (c->kernel[i] - 1) * c->dilation[i] + 1 : 1;
    s.padded[i] = need;
    if (!used) continue;
    if (c->pad[i] != 0 || need > c->in[i]) s.copy = true;
    s.positions *= c->kernel[i], s.pixels *= c->out[i], s.in_plane *= c->in[i], s.plane *= need;
  }
  if (!s.copy) {
    s.plane = s.in_plane;
    for (int i = 0; i < c->spatial; i++) s.padded[i] = c->in[i];
  }
  s.ic = c->in_channels / c->groups, s.oc = c->out_channels / c->groups, s.k = s.ic * s.positions;
  s.depthwise = s.ic == 1 && s.oc < W && c->groups > 1;
  return s;
}
static int64_t panel_vectors(int64_t left) { return left > W ? 2 : 1; }
static int64_t group_bytes(const conv_shape *s) {
  if (s->depthwise) return s->oc * lines((1 + s->k) * 4);
  int64_t bytes = 0;
  for (int64_t o = 0; o < s->oc; o += PANEL) bytes += lines((1 + s->k) * panel_vectors(s->oc - o) * W * 4);
  return bytes;
}

int64_t conv_packed_size(const eff_conv *c) {
  conv_shape s = shape_of(c);
  if (s.pixels <= 0 || s.k <= 0 || s.oc <= 0 || s.ic * s.plane >= (int64_t)1 << 31) return 0;
  return lines(s.k * 4) + c->groups * group_bytes(&s);
}
int64_t conv_scratch_size(const eff_conv *c) {
  conv_shape s = shape_of(c);
  return s.copy ? lines(c->in_channels * s.plane * 4) : 0;
}

void conv_pack(const eff_conv *c, const float *w, const float *bias, void *packed) {
  conv_shape s = shape_of(c);
  const eff_loose_float *from = w, *start = bias;
  int32_t *offset = (int32_t *)packed;
  int64_t kernel[3] = {1, 1, 1}, step[3] = {0, 0, 0}, pitch = 1;
  for (int i = c->spatial - 1; i >= 0; i--)
    kernel[i] = c->kernel[i], step[i] = pitch * c->dilation[i], pitch *= s.padded[i];
  for (int64_t i = 0; i < s.ic; i++)
    for (int64_t a = 0; a < kernel[0]; a++)
      for (int64_t b = 0; b < kernel[1]; b++)
        for (int64_t e = 0; e < kernel[2]; e++)
          *offset++ = (int32_t)(i * s.plane + a * step[0] + b * step[1] + e * step[2]);
  char *p = (char *)packed + lines(s.k * 4);
  __builtin_memset(offset, 0, (size_t)(p - (char *)offset));
  __builtin_memset(p, 0, (size_t)(c->groups * group_bytes(&s)));
  for (int64_t first = 0; first < c->out_channels; first += s.oc)
    for (int64_t o = 0; o < s.oc;) {
      int64_t left = s.oc - o, lanes = s.depthwise ? 1 : panel_vectors(left) * W, take = left < lanes ? left : lanes;
      float *f = (float *)p;
      for (int64_t j = 0; j < take; j++) {
        if (start) f[j] = start[first + o + j];
        for (int64_t i = 0; i < s.k; i++) f[(1 + i) * lanes + j] = from[(first + o + j) * s.k + i];
      }
      p += lines((1 + s.k) * lanes * 4);
      o += take;
    }
}

// 4 channels of 2 pixels, `from` apart in pixels, `to` apart in channels
EFF_INLINE void transpose2(const float *x, int64_t from, float *y, int64_t to) {
  v4 a = v4_load(x), b = v4_load(x + from), low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
     high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  __builtin_memcpy(y, &low, 8);
  __builtin_memcpy(y + to, (const char *)&low + 8, 8);
  __builtin_memcpy(y + 2 * to, &high, 8);
  __builtin_memcpy(y + 3 * to, (const char *)&high + 8, 8);
}

// y[channel * pixels + r] for R pixels; `channels` of the NB vectors are real
template <int R, int NB> static __attribute__((noinline)) void conv_tile(const float *const *x, const int32_t *offset,
                                                                         int64_t k, const float *w, float *y,
                                                                         int64_t pixels, int64_t channels) {
  vf acc[R][NB];
  table_steps<R> rows{{}, offset};
  EFF_UNROLL for (int r = 0; r < R; r++) {
    rows.p[r] = x[r];
    EFF_UNROLL for (int v = 0; v < NB; v++) acc[r][v] = vload(w + v * W);
  }
  add_products(acc, rows, k, w + NB * W, NB * W);
  float t[R][NB * W];
  EFF_UNROLL for (int r = 0; r < R; r++)
    EFF_UNROLL for (int v = 0; v < NB; v++) vstore(t[r] + v * W, acc[r][v]);
  int64_t j = 0;
  for (; j + 4 <= channels; j += 4) {
    float *to = y + j * pixels;
    if constexpr (R >= 4) transpose4(t[0] + j, NB * W, to, pixels);
    if constexpr (R == 2 || R == 6) transpose2(t[R - 2] + j, NB * W, to + R - 2, pixels);
    if constexpr (R == 3) transpose2(t[0] + j, NB * W, to, pixels);
    if constexpr (R % 2) EFF_UNROLL for (int q = 0; q < 4; q++) to[q * pixels + R - 1] = t[R - 1][j + q];
  }
  for (; j < channels; j++)
    EFF_UNROLL for (int r = 0; r < R; r++) y[j * pixels + r] = t[r][j];
}
template <int NB> static void conv_tiles(int count, const float *const *x, const int32_t *offset, int64_t k,
                                         const float *w, float *y, int64_t pixels, int64_t channels) {
  switch (count) {
    case 1: conv_tile<1, NB>(x, offset, k, w, y, pixels, channels); break;
    case 2: conv_tile<2, NB>(x, offset, k, w, y, pixels, channels); break;
    case 3: conv_tile<3, NB>(x, offset, k, w, y, pixels, channels); break;
    case 4: conv_tile<4, NB>(x, offset, k, w, y, pixels, channels); break;
    case 5: conv_tile<5, NB>(x, offset, k, w, y, pixels, channels); break;
    default: conv_tile<6, NB>(x, offset, k, w, y, pixels, channels);
  }
}

// walks the output pixels in order and yields the address of each one's first input element
struct pixel_walk {
  const float *row;
  int64_t out[3], step[3], at[3];
  pixel_walk(const eff_conv *c, const conv_shape *s, const float *x) : row(x), at{0, 0, 0} {
    int64_t pitch = 1;
    for (int i = 2; i >= 0; i--) {
      int d = i - (3 - c->spatial);  // the last dimension always moves fastest
      out[i] = d >= 0 ? c->out[d] : 1;
      step[i] = d >= 0 ? pitch * c->stride[d] : 0;
      if (d >= 0) pitch *= s->padded[d];
    }
  }
  const float *next() {
    const float *p = row + at[2] * step[2];
    if (++at[2] == out[2]) {
      at[2] = 0, row += step[1];
      if (++at[1] == out[1]) at[1] = 0, row += step[0] - out[1] * step[1];
    }
    return p;
  }
  const float *next_row() {
    const float *p = row;
    row += step[1];
    if (++at[1] == out[1]) at[1] = 0, row += step[0] - out[1] * step[1];
    return p;
  }
};

static void conv_group(const eff_conv *c, const conv_shape *s, const float *x, const int32_t *offset, const char *panel,
                       float *y) {
  int64_t tiles = (s->pixels + TILE - 1) / TILE;
  for (int64_t o = 0; o < s->oc; o += PANEL) {
    int64_t left = s->oc - o, vectors = panel_vectors(left), channels = left < PANEL ? left : (int64_t)PANEL;
    pixel_walk walk(c, s, x);
    for (int64_t t = 0, p = 0; t < tiles; t++) {
      int count = (int)((s->pixels - p + tiles - t - 1) / (tiles - t));  // even tiles: none too narrow to hide latency
      const float *at[TILE];
      for (int r = 0; r < count; r++) at[r] = walk.next();
      if (vectors == 2)
        conv_tiles<2>(count, at, offset, s->k, (const float *)panel, y + o * s->pixels + p, s->pixels, channels);
      else conv_tiles<1>(count, at, offset, s->k, (const float *)panel, y + o * s->pixels + p, s->pixels, channels);
      p += count;
    }
    panel += lines((1 + s->k) * vectors * W * 4);
  }
}

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
    pixel_walk walk(c, s, x);
    const float *w = (const float *)panel;
    for (int64_t row = 0; row < s->pixels; row += width, y += width) {
      const float *p = walk.next_row();
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

// places x into the zeroed scratch image, cutting what no output reads
static void pad_image(const eff_conv *c, const conv_shape *s, const float *x, float *to) {
  int64_t in[3] = {1, 1, 1}, pad[3] = {0, 0, 0}, size[3] = {1, 1, 1};
  for (int i = 0; i < c->spatial; i++) {
    int d = i + 3 - c->spatial;
    in[d] = c->in[i], pad[d] = c->pad[i], size[d] = s->padded[i];
  }
  int64_t begin = pad[2] < 0 ? -pad[2] : 0, end = size[2] - pad[2] < in[2] ? size[2] - pad[2] : in[2];
  __builtin_memset(to, 0, (size_t)(c->in_channels * s->plane) * 4);
  for (int64_t ch = 0; ch < c->in_channels; ch++, x += s->in_plane, to += s->plane)
    for (int64_t a = 0; a < in[0]; a++)
      for (int64_t b = 0; b < in[1]; b++) {
        int64_t ta = a + pad[0], tb = b + pad[1];
        if (ta < 0 || ta >= size[0] || tb < 0 || tb >= size[1] || begin >= end) continue;
        __builtin_memcpy(to + (ta * size[1] + tb) * size[2] + begin + pad[2], x + (a * in[1] + b) * in[2] + begin,
                         (size_t)(end - begin) * 4);
      }
}

void conv(const eff_op *op, int64_t rows) {
  const eff_conv *c = (const eff_conv *)op->params;
  conv_shape s = shape_of(c);
  int64_t group = group_bytes(&s);
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    const char *packed = (const char *)op->p[1] + r * op->stride[1];
    float *y = (float *)((char *)op->p[2] + r * op->stride[2]),
          *scratch = op->p[3] ? (float *)((char *)op->p[3] + r * op->stride[3]) : nullptr;
    for (int64_t b = 0; b < c->batch; b++, x += c->in_channels * s.in_plane, y += c->out_channels * s.pixels) {
      const float *image = x;
      if (s.copy) pad_image(c, &s, x, scratch), image = scratch;
      for (int64_t g = 0; g < c->groups; g++) {
        const char *panels = packed + lines(s.k * 4) + g * group;
        const float *from = image + g * s.ic * s.plane;
        if (s.depthwise && c->stride[c->spatial - 1] == 1)
          depthwise<true>(c, &s, from, (const int32_t *)packed, panels, y + g * s.oc * s.pixels);
        else if (s.depthwise) depthwise<false>(c, &s, from, (const int32_t *)packed, panels, y + g * s.oc * s.pixels);
        else conv_group(c, &s, from, (const int32_t *)packed, panels, y + g * s.oc * s.pixels);
      }
      if (c->act) activate(y, y, c->out_channels * s.pixels, c->act, (float)c->alpha, (float)c->beta);
    }
  }
}
