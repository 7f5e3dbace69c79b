// EFF_K_CONV_PACKED: x, packed -> y (scratch), 1 to 3 spatial dimensions. Three methods, chosen by shape (method_of):
//
// Direct: a product without a copy per kernel position. The image is brought to [pixel][channel] with its padding (the
// scratch), so that what one output pixel reads are `runs` of contiguous numbers: a row of the kernel each, or one of
// its positions. A tile of up to 6 pixels by 2 vectors of output channels adds up one block of k (which stays in the
// first cache) after the other. Pixels of several images share a pass over the weights. Where images are so small that
// much of a kernel lies in the padding, positions are runs, and the pixels they pad are left out.
//
// Winograd (Lavin, Gray 2016), 3x3 of stride 1: F(4x4, 3x3) or F(2x2, 3x3). Tiles are transformed to N * N matrices
// [tile][channel], multiplied by weights that were transformed at load, and transformed back. The weights take 4 times
// (4x4) or 1.8 times (2x2) the memory. With 32 to 512 channels an output is within 1e-6 of the sum of its products'
// magnitudes, the largest such sum in its tile (the direct sum: within 2e-7 of its own); the tests hold it to that. An
// infinity or NaN reaches all outputs of the tiles that read it.
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
// as much as 12 multiply-adds where nothing is in a cache.
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
  bool fits = WINOGRAD && !c->keeps_weights && c->spatial == 2 && c->groups == 1;
  fits = fits && s->ic % W == 0 && s->ic >= 2 * W && s->oc >= W;
  for (int d = 1; d < 3; d++) fits = fits && s->kernel[d] == 3 && s->stride[d] == 1 && s->dilation[d] == 1;
  if (!fits) return DIRECT;
  double size = (double)(s->ic * s->oc), read = 12, best = size * ((s->skips ? real : pairs) * 1.1 + 9 * read);
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

#include "conv_pack.h"
#include "conv_image.h"
#include "conv_direct.h"
#include "conv_winograd.h"
#include "conv_depthwise.h"

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
