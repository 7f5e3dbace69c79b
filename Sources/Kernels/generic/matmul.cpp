// EFF_K_MATMUL, EFF_K_MATMUL_INTEGER and the plain EFF_K_DENSE.
#include "matmul.h"

namespace eff {
namespace {

template <class T> struct matmul {
  using A = sum_t<T>;

  static void finish(const eff_matmul &p, T *to, A sum, const T *bias) {
    if constexpr (is_integer<T>::value) {
      if (p.alpha == 1 && p.beta == 1) return (void)(*to = (T)(sum + (bias ? (A)load(bias) : A(0))));
      *to = saturate<T>(p.alpha * (double)(wide_t<T>)(T)sum + (bias ? p.beta * (double)load(bias) : 0));
    } else {
      A v = (A)p.alpha * sum + (bias ? (A)p.beta * load(bias) : A(0));
      if (p.act != EFF_FN_IDENTITY) v = activate(p.act, v, (A)p.act_alpha, (A)p.act_beta);
      store(to, v);
    }
  }

  static void run(const eff_op *op, int64_t rows) {
    eff_matmul p = *(const eff_matmul *)op->params;
    const int64_t size = sizeof(T);
    // rows that share b are more rows of a
    const bool shared = op->stride[1] == 0 && (!op->p[2] || (op->stride[2] == 0 && p.bias_m == 0));
    if (rows > 1 && shared && product(p.batch, p.batch_rank) == 1 && op->stride[3] == p.m * p.n * size &&
        (p.m == 1 || op->stride[0] == p.m * p.a_m * size)) {
      if (p.m == 1) p.a_m = op->stride[0] / size;
      p.m *= rows, rows = 1;
    }
    if (product(p.batch, p.batch_rank) == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *a = at.at<const T>(0), *b = at.at<const T>(1), *bias = at.at<const T>(2);
      T *y = at.at<T>(3);
      walker<2> w{p.batch_rank, p.batch, {p.a_batch, p.b_batch}, {}, {}};
      do {
        multiply(p.m, p.n, p.k, a + w.offset[0], p.a_m, p.a_k, b + w.offset[1], p.b_k, p.b_n,
                 [&](int64_t i, int64_t j, A sum) {
                   finish(p, y + i * p.n + j, sum, bias ? bias + i * p.bias_m + j * p.bias_n : nullptr);
                 });
        y += p.m * p.n;
      } while (w.next());
    }
  }
};

inline int32_t byte_at(const void *p, bool is_signed, int64_t i) {
  return is_signed ? (int32_t)((const int8_t *)p)[i] : (int32_t)((const uint8_t *)p)[i];
}

template <class T> struct matmul_integer {
  EFF_SMALL static void run(const eff_op *op, int64_t rows) {
    const eff_matmul &p = *(const eff_matmul *)op->params;
    const bool a_signed = (T)-1 < (T)0, b_signed = p.b_type ? p.b_type == EFF_TYPE_I8 : a_signed;
    if (product(p.batch, p.batch_rank) == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *a = at.at<const T>(0);
      const uint8_t *b = at.at<const uint8_t>(1);
      const void *a_zero = at.at<const void>(2), *b_zero = at.at<const void>(3);
      int32_t *y = at.at<int32_t>(4);
      walker<2> w{p.batch_rank, p.batch, {p.a_batch, p.b_batch}, {}, {}};
      do {
        for (int64_t i = 0; i < p.m; i++) {
          const int32_t za = a_zero ? byte_at(a_zero, a_signed, i * p.a_zero_m) : 0;
          for (int64_t j = 0; j < p.n; j++) {
            const int32_t zb = b_zero ? byte_at(b_zero, b_signed, j * p.b_zero_n) : 0;
            uint32_t sum = 0;
            for (int64_t e = 0; e < p.k; e++)
              sum += (uint32_t)((a[w.offset[0] + i * p.a_m + e * p.a_k] - za)
                                * (byte_at(b, b_signed, w.offset[1] + e * p.b_k + j * p.b_n) - zb));
            *y++ = (int32_t)sum;
          }
        }
      } while (w.next());
    }
  }
};

// x[0, n) as integers of at most 127 * 256 and their scale; n is at most dense_block, whose sums fit 32 bits
constexpr int64_t dense_block = 512;
float round_block(const float *x, int64_t n, int32_t *q) {
  float top = 0, poison = 0;
  for (int64_t i = 0; i < n; i++) top = fmaxf(top, fabsf(x[i])), poison += x[i] * 0;
  const bool none = !(top > 1e-30f);
  const float inverse = none ? 0 : 32512 / top;
  for (int64_t i = 0; i < n; i++) q[i] = poison == 0 ? (int32_t)rintf(x[i] * inverse) : 0;
  return poison == 0 ? none ? 0 : top / 32512 : poison;
}
// W as eff_dense_pack_generic leaves it: whole numbers, bias, then a scale per output
void dense_i8(const eff_dense &p, const float *x, const float *w, float *y) {
  const float *bias = w + p.k * p.n, *scale = bias + p.n;
  int32_t q[dense_block];
  for (int64_t i = 0; i < p.m; i++, x += p.ldx, y += p.ldy) {
    for (int64_t j = 0; j < p.n; j++) y[j] = 0;
    for (int64_t first = 0; first < p.k; first += dense_block) {
      const int64_t n = min_of(dense_block, p.k - first);
      const float step = round_block(x + first, n, q);
      for (int64_t j = 0; j < p.n; j++) {
        int32_t sum = 0;
        for (int64_t e = 0; e < n; e++) sum += q[e] * (int32_t)w[(first + e) * p.n + j];
        y[j] += (float)sum * step;
      }
    }
    for (int64_t j = 0; j < p.n; j++) y[j] = activate(p.act, y[j] * scale[j] + bias[j], (float)p.alpha, (float)p.beta);
  }
}

void dense(const eff_op *op, int64_t rows) {
  eff_dense p = *(const eff_dense *)op->params;
  if (rows > 1 && p.m == 1 && op->stride[1] == 0) {
    p.ldx = op->stride[0] / (int64_t)sizeof(float), p.ldy = op->stride[2] / (int64_t)sizeof(float);
    p.m = rows, rows = 1;
  }
  for (int64_t r = 0; r < rows; r++) {
    row at{op, r};
    const float *x = at.at<const float>(0), *w = at.at<const float>(1), *bias = w + p.k * p.n;
    float *y = at.at<float>(2);
    if (p.weights == EFF_TYPE_I8) {
      dense_i8(p, x, w, y);
      continue;
    }
    multiply(p.m, p.n, p.k, x, p.ldx, 1, w, p.n, 1, [&](int64_t i, int64_t j, float sum) {
      sum += bias[j];
      y[i * p.ldy + j] = p.act == EFF_FN_IDENTITY ? sum : activate(p.act, sum, (float)p.alpha, (float)p.beta);
    });
  }
}

// of the floats that end in the bits of `first`, the one nearest to v; at least 1e-20
float bf16_second(float v, bfloat first) {
  uint32_t u = bits_as<uint32_t>(v), sign = u & 0x80000000u, size = u & 0x7fffffff;
  if (v != v) return v;
  uint32_t high = (size + 0x8000 - first.bits) >> 16;
  if (size < 0x1e3c0000) high = 0x1e3c;
  return bits_as<float>(sign | (high > 0x7f7f ? 0x7f7fu : high) << 16 | first.bits);
}

}  // namespace

eff_kernel find_matmul(int32_t id, int32_t type) {
  if (id == EFF_K_DENSE) return type == EFF_TYPE_F32 ? dense : nullptr;
  if (id == EFF_K_MATMUL_INTEGER)
    return type == EFF_TYPE_U8   ? matmul_integer<uint8_t>::run
           : type == EFF_TYPE_I8 ? matmul_integer<int8_t>::run
                                 : nullptr;
  switch (type) {
    case EFF_TYPE_I32: return small<matmul<int32_t>>::run;
    case EFF_TYPE_U32: return small<matmul<uint32_t>>::run;
    case EFF_TYPE_I64: return small<matmul<int64_t>>::run;
    case EFF_TYPE_U64: return small<matmul<uint64_t>>::run;
    default: return pick_float<matmul>(type);
  }
}

}  // namespace eff

extern "C" int64_t eff_dense_packed_size_generic(const eff_dense *d) {
  return (d->k + 1 + (d->weights == EFF_TYPE_I8)) * d->n * (int64_t)sizeof(float);
}

// a reduced format is f32 rounded to it (i8: to whole numbers), so that this is the twin of every packed kernel
extern "C" void eff_dense_pack_generic(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride,
                                       const float *bias, void *packed) {
  float *to = (float *)packed;
  const eff_loose_float *from = w;
  for (int64_t j = 0; j < d->n; j++) {
    float top = 0;
    for (int64_t e = 0; e < d->k; e++) top = fmaxf(top, fabsf(from[e * k_stride + j * n_stride]));
    const float inverse = top > 0 ? 127 / top : 0;
    eff::bfloat first = {};
    for (int64_t e = 0; e < d->k; e++) {
      float v = from[e * k_stride + j * n_stride];
      switch (d->weights) {
        case EFF_TYPE_F16: v = eff::widen(eff::half_of(v)); break;
        case EFF_TYPE_BF16:
          if (e % 2) v = eff::bf16_second(v, first);
          else v = eff::widen(first = eff::bfloat_of(v));
          break;
        case EFF_TYPE_I8: v = rintf(v * inverse); break;
        default: break;
      }
      to[e * d->n + j] = v;
    }
    to[d->k * d->n + j] = bias ? bias[j] : 0;
    if (d->weights == EFF_TYPE_I8) to[(d->k + 1) * d->n + j] = top / 127;
  }
}
