// EFF_K_QUANTIZE, DEQUANTIZE, DYNAMIC_QUANTIZE.
#include "generic.h"

namespace eff {
namespace {

// elements pass through short blocks of floats, so that x, y and scale may each have their own type
constexpr int64_t block = 64;

template <class T> EFF_SMALL void read(const void *x, int64_t from, float *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = (float)load((const T *)x + from + i);
}
void read(const void *x, int32_t type, int64_t from, float *to, int64_t n) {
  switch (type) {
    case EFF_TYPE_F16: return read<half>(x, from, to, n);
    case EFF_TYPE_BF16: return read<bfloat>(x, from, to, n);
    case EFF_TYPE_I32: return read<int32_t>(x, from, to, n);
    default: return read<float>(x, from, to, n);
  }
}
float scale_at(const void *scale, int32_t type, int64_t i) {
  float v;
  read(scale, type, i, &v, 1);
  return v;
}

// f(i, n, s): at most `block` neighbours from i on share entry s of scale and zero
template <class F> inline void each_scale(const eff_quantize &p, F f) {
  const int64_t blocks = p.block > 0 ? (p.axis + p.block - 1) / p.block : 0;
  for (int64_t o = 0; o < p.outer; o++) {
    for (int64_t a = 0; a < p.axis; a++) {
      const int64_t line = (o * p.axis + a) * p.inner, step = blocks ? 1 : block;
      for (int64_t i = 0; i < p.inner; i += step)
        f(line + i, min_of(step, p.inner - i), blocks ? (o * blocks + a / p.block) * p.inner + i : a);
    }
  }
}

template <class Q> EFF_SMALL void quantize(const eff_quantize &p, int32_t type, const row &at) {
  const void *x = at.at<const void>(0), *scale = at.at<const void>(1);
  const Q *zero = at.at<const Q>(2);
  Q *y = at.at<Q>(3);
  each_scale(p, [&](int64_t from, int64_t n, int64_t s) {
    float v[block];
    read(x, type, from, v, n);
    const float step = scale_at(scale, p.real, s), offset = zero ? (float)zero[s] : 0;
    for (int64_t i = 0; i < n; i++) y[from + i] = saturate<Q>((double)rintf(v[i] / step) + offset);
  });
}
// T: the type of x
template <class T> EFF_SMALL void run_quantize(const eff_op *op, int64_t rows) {
  const eff_quantize &p = *(const eff_quantize *)op->params;
  const int32_t type = same<T, half>::value      ? EFF_TYPE_F16
                       : same<T, bfloat>::value  ? EFF_TYPE_BF16
                       : same<T, int32_t>::value ? EFF_TYPE_I32
                                                 : EFF_TYPE_F32;
  for (int64_t r = 0; r < rows; r++) {
    row at{op, r};
    switch (p.quantized) {
      case EFF_TYPE_I8: quantize<int8_t>(p, type, at); break;
      case EFF_TYPE_I16: quantize<int16_t>(p, type, at); break;
      case EFF_TYPE_U16: quantize<uint16_t>(p, type, at); break;
      default: quantize<uint8_t>(p, type, at); break;
    }
  }
}

template <class T> EFF_SMALL void write(void *y, int64_t from, const float *v, int64_t n) {
  for (int64_t i = 0; i < n; i++) store((T *)y + from + i, v[i]);
}
// Q: the integer type of x
template <class Q> EFF_SMALL void run_dequantize(const eff_op *op, int64_t rows) {
  const eff_quantize &p = *(const eff_quantize *)op->params;
  for (int64_t r = 0; r < rows; r++) {
    row at{op, r};
    const Q *x = at.at<const Q>(0), *zero = at.at<const Q>(2);
    const void *scale = at.at<const void>(1);
    void *y = at.at<void>(3);
    each_scale(p, [&](int64_t from, int64_t n, int64_t s) {
      float v[block];
      const int64_t offset = zero ? (int64_t)zero[s] : 0;
      const float step = scale_at(scale, p.real, s);
      for (int64_t i = 0; i < n; i++) v[i] = (float)((int64_t)x[from + i] - offset) * step;
      if (p.real == EFF_TYPE_F16) write<half>(y, from, v, n);
      else if (p.real == EFF_TYPE_BF16) write<bfloat>(y, from, v, n);
      else write<float>(y, from, v, n);
    });
  }
}

void dynamic_quantize(const eff_op *op, int64_t rows) {
  const int64_t n = ((const eff_fill *)op->params)->count;
  for (int64_t r = 0; r < rows; r++) {
    row at{op, r};
    const float *x = at.at<const float>(0);
    uint8_t *y = at.at<uint8_t>(1);
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
    const float scale = high == low ? 1.f : (high - low) / 255;  // zeros alone: 1, as in onnxruntime
    const float zero = (float)saturate<uint8_t>(rintf(-low / scale));
    for (int64_t i = 0; i < n; i++) y[i] = saturate<uint8_t>(rintf(x[i] / scale) + zero);
    if (float *to = at.at<float>(2)) *to = scale;
    if (uint8_t *to = at.at<uint8_t>(3)) *to = (uint8_t)zero;
  }
}

}  // namespace

eff_kernel find_quantize(int32_t id, int32_t type) {
  if (id == EFF_K_DYNAMIC_QUANTIZE) return type == EFF_TYPE_F32 ? dynamic_quantize : nullptr;
  const bool out = id == EFF_K_QUANTIZE;
  switch (type) {
    case EFF_TYPE_F32: return out ? run_quantize<float> : nullptr;
    case EFF_TYPE_F16: return out ? run_quantize<half> : nullptr;
    case EFF_TYPE_BF16: return out ? run_quantize<bfloat> : nullptr;
    case EFF_TYPE_I32: return out ? run_quantize<int32_t> : run_dequantize<int32_t>;
    case EFF_TYPE_I8: return out ? nullptr : run_dequantize<int8_t>;
    case EFF_TYPE_U8: return out ? nullptr : run_dequantize<uint8_t>;
    case EFF_TYPE_I16: return out ? nullptr : run_dequantize<int16_t>;
    case EFF_TYPE_U16: return out ? nullptr : run_dequantize<uint16_t>;
    default: return nullptr;
  }
}

}  // namespace eff
