// EFF_K_POOL, the maximum of f32 without indices: the lines of a window are combined first, then the numbers of what is
// left. Everything else goes to the generic kernel.
#include "level.h"
#include "vec.h"

enum { LINE = 2048 };

// y[i] = the larger of x[i] and y[i], NaN where there is one
static void keep_larger(const float *x, float *y, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) vstore(y + i, lane_top::of(vload(y + i), vload(x + i)));
  if (i < n) vstore_tail(y + i, lane_top::of(vload_tail(y + i, n - i), vload_tail(x + i, n - i)), n - i);
}

void pool(const eff_op *op, int64_t rows) {
  const eff_pool *p = (const eff_pool *)op->params;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1},
          pad[3] = {0, 0, 0};
  for (int i = 0; i < p->spatial; i++) {
    int d = i + 3 - p->spatial;
    in[d] = p->in[i], out[d] = p->out[i], kernel[d] = p->kernel[i], stride[d] = p->stride[i];
    dilation[d] = p->dilation[i], pad[d] = p->pad_begin[i];
  }
  // a line with its padding
  const int64_t need = (out[2] - 1) * stride[2] + (kernel[2] - 1) * dilation[2] + 1, end = pad[2] + in[2];
  const int64_t width = need > end ? need : end, maxima = (out[2] - 1) * stride[2] + 1;
  if (p->fn != EFF_POOL_MAX || op->p[2] || width > LINE || out[2] <= 0)
    return eff_kernel_find_generic(EFF_K_POOL, EFF_TYPE_F32)(op, rows);
  for (int64_t r = 0; r < rows; r++) {
    const float *x = (const float *)((const char *)op->p[0] + r * op->stride[0]);
    float *y = (float *)((char *)op->p[1] + r * op->stride[1]);
    for (int64_t c = 0; c < p->batch * p->channels; c++, x += in[0] * in[1] * in[2])
      for (int64_t o0 = 0; o0 < out[0]; o0++)
        for (int64_t o1 = 0; o1 < out[1]; o1++, y += out[2]) {
          float line[LINE], most[LINE];
          for (int64_t i = 0; i < width; i++) line[i] = -__builtin_inff();
          for (int64_t k0 = 0; k0 < kernel[0]; k0++)
            for (int64_t k1 = 0; k1 < kernel[1]; k1++) {
              const int64_t a = o0 * stride[0] - pad[0] + k0 * dilation[0],
                            b = o1 * stride[1] - pad[1] + k1 * dilation[1];
              if (a < 0 || a >= in[0] || b < 0 || b >= in[1]) continue;
              keep_larger(x + (a * in[1] + b) * in[2], line + pad[2], in[2]);
            }
          __builtin_memcpy(most, line, (size_t)maxima * 4);
          for (int64_t k = 1; k < kernel[2]; k++) keep_larger(line + k * dilation[2], most, maxima);
          for (int64_t o = 0; o < out[2]; o++) y[o] = most[o * stride[2]];
        }
  }
}
