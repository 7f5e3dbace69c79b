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
        multiply(p.m, p.n, p.k, a + w.offset[0], p.a_m, p.a_k, b + w.offset[1], p.b_k, p.b_n, [&](int64_t i, int64_t j, A sum) {
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
              sum += (uint32_t)((a[w.offset[0] + i * p.a_m + e * p.a_k] - za) * (byte_at(b, b_signed, w.offset[1] + e * p.b_k + j * p.b_n) - zb));
            *y++ = (int32_t)sum;
          }
        }
      } while (w.next());
    }
  }
};

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
    multiply(p.m, p.n, p.k, x, p.ldx, 1, w, p.n, 1, [&](int64_t i, int64_t j, float sum) {
      sum += bias[j];
      y[i * p.ldy + j] = p.act == EFF_FN_IDENTITY ? sum : activate(p.act, sum, (float)p.alpha, (float)p.beta);
    });
  }
}

}  // namespace

eff_kernel find_matmul(int32_t id, int32_t type) {
  if (id == EFF_K_DENSE) return type == EFF_TYPE_F32 ? dense : nullptr;
  if (id == EFF_K_MATMUL_INTEGER)
    return type == EFF_TYPE_U8 ? matmul_integer<uint8_t>::run : type == EFF_TYPE_I8 ? matmul_integer<int8_t>::run : nullptr;
  switch (type) {
    case EFF_TYPE_I32: return small<matmul<int32_t>>::run;
    case EFF_TYPE_U32: return small<matmul<uint32_t>>::run;
    case EFF_TYPE_I64: return small<matmul<int64_t>>::run;
    case EFF_TYPE_U64: return small<matmul<uint64_t>>::run;
    default: return pick_float<matmul>(type);
  }
}

}  // namespace eff

extern "C" int64_t eff_dense_packed_size_generic(const eff_dense *d) { return (d->k + 1) * d->n * (int64_t)sizeof(float); }

// a reduced format is f32 rounded to it, so that this is the twin of every packed kernel
extern "C" void eff_dense_pack_generic(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride, const float *bias, void *packed) {
  float *to = (float *)packed;
  for (int64_t j = 0; j < d->n; j++) {
    float top = 0;
    for (int64_t e = 0; e < d->k; e++) top = fmaxf(top, fabsf(w[e * k_stride + j * n_stride]));
    const float step = top / 127;
    for (int64_t e = 0; e < d->k; e++) {
      float v = w[e * k_stride + j * n_stride];
      switch (d->weights) {
        case EFF_TYPE_F16: v = eff::widen(eff::half_of(v)); break;
        case EFF_TYPE_BF16: v = eff::widen(eff::bfloat_of(v)); break;
        case EFF_TYPE_I8: v = step > 0 ? rintf(v / step) * step : 0; break;
        default: break;
      }
      to[e * d->n + j] = v;
    }
    to[d->k * d->n + j] = bias ? bias[j] : 0;
  }
}
