// Matrix product in register tiles, shared by MATMUL, DENSE and the like. T: elements, A: accumulator.
#pragma once
#include "generic.h"

namespace eff {
namespace {

template <class T> struct sum_of { using type = wide_t<T>; };
template <> struct sum_of<int8_t> { using type = uint64_t; };
template <> struct sum_of<int16_t> { using type = uint64_t; };
template <> struct sum_of<int32_t> { using type = uint64_t; };
template <> struct sum_of<int64_t> { using type = uint64_t; };
template <class T> using sum_t = typename sum_of<T>::type;

// rows [i, i + M) and columns [j, j + N) of the product; b is contiguous along n; finish(row, column, sum) takes each
// element
template <int M, int N, class T, class F> inline void tile(int64_t i, int64_t j, int64_t k, const T *a, int64_t a_m,
                                                           int64_t a_k, const T *b, int64_t b_k, F finish) {
  using A = sum_t<T>;
  A sum[M][N] = {};
  a += i * a_m, b += j;
  for (int64_t e = 0; e < k; e++) {
    for (int r = 0; r < M; r++) {
      const A v = (A)load(a + r * a_m + e * a_k);
      for (int c = 0; c < N; c++) sum[r][c] += v * (A)load(b + e * b_k + c);
    }
  }
  for (int r = 0; r < M; r++)
    for (int c = 0; c < N; c++) finish(i + r, j + c, sum[r][c]);
}

// b is transposed: both operands are contiguous along k
template <class T> inline sum_t<T> dot(int64_t k, const T *a, const T *b) {
  using A = sum_t<T>;
  constexpr int lanes = same<T, float>::value ? 16 : 1;
  A sum[lanes] = {}, total = 0;
  int64_t e = 0;
  for (; e + lanes <= k; e += lanes)
    for (int l = 0; l < lanes; l++) sum[l] += (A)load(a + e + l) * (A)load(b + e + l);
  for (; e < k; e++) total += (A)load(a + e) * (A)load(b + e);
  for (int l = 0; l < lanes; l++) total += sum[l];
  return total;
}

// f32 alone is worth more than the plain loop
template <class T, class F> inline void multiply(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k,
                                                 const T *b, int64_t b_k, int64_t b_n, F finish) {
  int64_t tiled = 0;
  if constexpr (same<T, float>::value) {
    if (b_k == 1 && b_n != 1 && a_k == 1) {
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) finish(i, j, dot(k, a + i * a_m, b + j * b_n));
      return;
    }
    tiled = b_n == 1 ? n / 8 * 8 : 0;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4)
      for (int64_t j = 0; j < tiled; j += 8) tile<4, 8>(i, j, k, a, a_m, a_k, b, b_k, finish);
    for (; i < m; i++) {
      int64_t j = 0;
      for (; j + 32 <= tiled; j += 32) tile<1, 32>(i, j, k, a, a_m, a_k, b, b_k, finish);
      for (; j < tiled; j += 8) tile<1, 8>(i, j, k, a, a_m, a_k, b, b_k, finish);
    }
  }
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = tiled; j < n; j++) {
      sum_t<T> sum = 0;
#pragma clang loop vectorize(disable) unroll(disable)
      for (int64_t e = 0; e < k; e++)
        sum += (sum_t<T>)load(a + i * a_m + e * a_k) * (sum_t<T>)load(b + e * b_k + j * b_n);
      finish(i, j, sum);
    }
  }
}

}  // namespace
}  // namespace eff
