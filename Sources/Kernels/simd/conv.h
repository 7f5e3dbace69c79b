// EFF_K_CONV_PACKED: x, packed -> y (scratch), 1 to 3 spatial dimensions. Three methods, chosen by shape (method_of):
//
// Direct: a product without a copy per kernel position. The image is brought to [pixel][channel] with its padding (the
// scratch), so that what one output pixel reads are `runs` of contiguous numbers: a row of the kernel each, or one of
// its positions. A tile of up to 6 pixels by 2 vectors of output channels adds up one block of k (which stays in the
// first cache) after the other. Pixels of several images share a pass over the weights. Where images are so small that
// much of a kernel lies in the padding, positions are runs, and the pixels they pad are left out.
//
// Winograd (Lavin, Gray 2016), 3x3 of stride 1: F(4x4, 3x3) or F(2x2, 3x3). Tiles are transformed to N * N matrices
// [tile][channel], multiplied by weights that were transformed at load, and transformed back. The error is up to 10
// (4x4) or 2 (2x2) times that of the direct sum; an infinity or NaN reaches all outputs of the tiles that read it.
//
// Depthwise (one channel per group): lanes are pixels of one row, weights are broadcast.
//
// An output adds its products in an order that depends on its place in the image alone, never on how many rows there
// are.
// packed = [offset of each run, i32][per group and panel: bias, weights (k-major)]; Winograd: [panels: bias][per point
// and panel: weights]; depthwise: [K offsets][channel: bias, K weights, padded to a line]
#include "level.h"
#include "vec.h"
#include "weights.h"
#include "tile.h"

enum { TILE = 6, PANEL = 2 * W, DEPTH = 4096 / PANEL, CHUNK = 96, GROUP_PIXELS = 192, WINOGRAD = EFF_LEVEL > 1 };
enum { DIRECT = 0, WINOGRAD2 = 2, WINOGRAD4 = 4, DEPTHWISE = -1 };

struct conv_shape {
  // of the last three dimensions, which one or two spatial ones fill from behind
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], padded[3];
  int64_t k, positions, pixels, ic, oc, in_plane, plane;  // ic, oc: per group
  int64_t runs, length;  // direct: per pixel, and numbers in each
  int64_t tiles[2];  // Winograd: down and across
  int method;
  bool copy, skips;  // copy: depthwise needs a padded image; skips: padding is left out
};

// how many (output, kernel position) pairs along a dimension are not padding
static int64_t real_positions(const conv_shape *s, int d) {
  int64_t n = 0;
  for (int64_t k = 0; k < s->kernel[d]; k++)
    for (int64_t o = 0; o < s->out[d]; o++) {
      int64_t i = o * s->stride[d] - s->pad[d] + k * s->dilation[d];
      n += i >= 0 && i < s->in[d];
    }
  return n;
}

// Cycles of a method in multiply-adds: products, transformations, and reading weights from memory, each of which costs
// as much as 8 multiply-adds where nothing is in a cache.
static int method_of(const eff_conv *c, conv_shape *s) {
  s->skips = false;
  if (s->ic == 1 && s->oc < W && c->groups > 1) return DEPTHWISE;
  // long lines are never mostly padding
  bool small = s->positions > 1 && s->positions <= 64 && s->ic >= 32;
  double real = 1, pairs = (double)(s->pixels * s->positions);
  for (int d = 0; d < 3; d++) {
    small = small && s->out[d] <= 32;
    if (small) real *= (double)real_positions(s, d);
  }
  s->skips = small && real < 0.92 * pairs;
  bool fits = WINOGRAD && c->spatial == 2 && c->groups == 1 && s->ic % W == 0 && s->ic >= 2 * W && s->oc >= W;
  for (int d = 1; d < 3; d++) fits = fits && s->kernel[d] == 3 && s->stride[d] == 1 && s->dilation[d] == 1;
  if (!fits) return DIRECT;
  double size = (double)(s->ic * s->oc), read = 8, best = size * ((s->skips ? real : pairs) * 1.1 + 9 * read);
  int method = DIRECT;
  for (int f = 2; f <= 4; f += 2) {
    double tiles = (double)((s->out[1] + f - 1) / f * ((s->out[2] + f - 1) / f)), points = (f + 2) * (f + 2);
    double cost = points * (size * (1.1 * tiles + read) + 8 * tiles * (double)(s->ic + s->oc));
    if (cost < (method ? best : 0.85 * best)) best = cost, method = f;
  }
  return method;
}

static conv_shape shape_of(const eff_conv *c) {
  conv_shape s = {};
  s.positions = s.pixels = s.in_plane = s.plane = 1;
  for (int d = 0; d < 3; d++) {
    int i = d - (3 - c->spatial);
    bool used = i >= 0;
    s.in[d] = used ? c->in[i] : 1, s.out[d] = used ? c->out[i] : 1, s.kernel[d] = used ? c->kernel[i] : 1;
    s.stride[d] = used ? c->stride[i] : 1, s.dilation[d] = used ? c->dilation[i] : 1, s.pad[d] = used ? c->pad[i] : 0;
    s.padded[d] = (s.out[d] - 1) * s.stride[d] + (s.kernel[d] - 1) * s.dilation[d] + 1;
    if (s.pad[d] != 0 || s.padded[d] > s.in[d]) s.copy = true;
    s.positions *= s.kernel[d], s.pixels *= s.out[d], s.in_plane *= s.in[d];
  }
  s.ic = c->in_channels / c->groups, s.oc = c->out_channels / c->groups, s.k = s.ic * s.positions;
  if (s.pixels <= 0 || s.k <= 0 || s.oc <= 0) return s;
  s.method = method_of(c, &s);
  if (s.method == DEPTHWISE && !s.copy) for (int d = 0; d < 3; d++) s.padded[d] = s.in[d];
  if (s.method > 0)
    for (int d = 0; d < 2; d++) {
      s.tiles[d] = (s.out[d + 1] + s.method - 1) / s.method;
      s.padded[d + 1] = s.tiles[d] * s.method + 2;
    }
  for (int d = 0; d < 3; d++) s.plane *= s.padded[d];
  bool joined = s.dilation[2] == 1 && c->groups == 1 && !s.skips;
  s.length = joined ? s.ic * s.kernel[2] : s.ic, s.runs = s.k / s.length;
  return s;
}
static int64_t panel_vectors(int64_t left) { return left > W ? 2 : 1; }
// bytes of [depth][lanes] for all panels of a group
static int64_t panels_bytes(const conv_shape *s, int64_t depth) {
  int64_t bytes = 0;
  for (int64_t o = 0; o < s->oc; o += PANEL) bytes += lines(depth * panel_vectors(s->oc - o) * W * 4);
  return bytes;
}
static int64_t group_bytes(const conv_shape *s) {
  return s->method == DEPTHWISE ? s->oc * lines((1 + s->k) * 4) : panels_bytes(s, 1 + s->k);
}
static int64_t table_size(const conv_shape *s) { return s->method == DEPTHWISE ? s->k : s->runs; }
static int64_t points_of(const conv_shape *s) { return (s->method + 2) * (s->method + 2); }

int64_t conv_packed_size(const eff_conv *c) {
  conv_shape s = shape_of(c);
  if (s.pixels <= 0 || s.k <= 0 || s.oc <= 0 || c->in_channels * s.plane >= (int64_t)1 << 31) return 0;
  if (s.method > 0) return panels_bytes(&s, 1) + points_of(&s) * panels_bytes(&s, s.ic);
  return lines(table_size(&s) * 4) + c->groups * group_bytes(&s);
}

// Winograd: tiles that are transformed at a time, so that what they become stays in the second cache where there are
// few channels, and weights are used often where there are many
static int64_t most_tiles(const conv_shape *s) {
  return s->ic + s->oc <= 256 ? 24 : s->ic + s->oc <= 512 ? 48 : 96;
}
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
// floats of one tile before and behind the product
static int64_t tile_floats(const conv_shape *s) { return s->method > 0 ? points_of(s) * (s->ic + whole(s->oc, W)) : 0; }
static int64_t image_bytes(const eff_conv *c, const conv_shape *s) { return lines(c->in_channels * s->plane * 4); }
static int64_t scratch_size(const eff_conv *c, const conv_shape *s) {
  if (s->method == DEPTHWISE) return s->copy ? image_bytes(c, s) : 0;
  const int64_t tiles = s->method > 0 ? least(s->tiles[0] * s->tiles[1], most_tiles(s)) : 0;
  return image_bytes(c, s) + lines(tiles * tile_floats(s) * 4);
}
int64_t conv_scratch_size(const eff_conv *c) {
  conv_shape s = shape_of(c);
  return scratch_size(c, &s);
}

// ---- packing ----

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

// ---- images ----

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

// ---- products ----

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

// ---- direct ----

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

// ---- Winograd ----

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

// ---- depthwise ----

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

void conv(const eff_op *op, int64_t rows) {
  const eff_conv *c = (const eff_conv *)op->params;
  const conv_shape s = shape_of(c);
  if (s.method == DEPTHWISE) return depthwise_rows(op, c, &s, rows);
  // as many images at a time as fill the tiles and have room
  const int64_t image = image_bytes(c, &s) / 4, total = rows * c->batch, each = s.tiles[0] * s.tiles[1];
  const int64_t wanted = s.method > 0 ? most_tiles(&s) / each : GROUP_PIXELS / s.pixels;
  const bool joint = op->stride[1] == 0 && op->stride[3] == scratch_size(c, &s);
  const int64_t most = joint && wanted > 1 ? least(wanted, rows) : 1;
  float *scratch = (float *)op->p[3], *y[GROUP_PIXELS];
  for (int64_t first = 0; first < total; first += most) {
    conv_images im = {scratch, image, least(most, total - first), y};
    for (int64_t i = 0; i < im.count; i++) {
      const int64_t r = (first + i) / c->batch, b = (first + i) % c->batch;
      const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]) + b * c->in_channels * s.in_plane;
      y[i] = (float *)((char *)op->p[2] + r * op->stride[2]) + b * c->out_channels * s.pixels;
      pad_image(c, &s, x, scratch + i * image, true);
    }
    const char *packed = (const char *)op->p[1] + first / c->batch * op->stride[1];
#if EFF_LEVEL > 1
    float *room = scratch + im.count * image;
    const int64_t tiles = least(most_tiles(&s), im.count * each);
    if (s.method == WINOGRAD4) winograd<4>(c, &s, &im, packed, room, tiles);
    else if (s.method == WINOGRAD2) winograd<2>(c, &s, &im, packed, room, tiles);
    else
#endif
      for (int64_t g = 0; g < c->groups; g++) direct(c, &s, &im, packed, g);
  }
}
