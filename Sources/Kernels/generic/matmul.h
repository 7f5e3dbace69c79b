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

// a [M, k], b [k, N] from column j of n on; finish(row, column, sum) takes each element
template <int M, int N, class T, class F>
inline void tile(int64_t i, int64_t j, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t b_k, int64_t b_n, F finish) {
  using A = sum_t<T>;
  A sum[M][N] = {};
  a += i * a_m, b += j * b_n;
  if (n == N && b_n == 1) {
    for (int64_t e = 0; e < k; e++) {
      for (int r = 0; r < M; r++) {
        const A v = (A)load(a + r * a_m + e * a_k);
        for (int c = 0; c < N; c++) sum[r][c] += v * (A)load(b + e * b_k + c);
      }
    }
  } else {
    for (int64_t e = 0; e < k; e++) {
      for (int r = 0; r < M; r++) {
        const A v = (A)load(a + r * a_m + e * a_k);
        for (int64_t c = 0; c < n; c++) sum[r][c] += v * (A)load(b + e * b_k + c * b_n);
      }
    }
  }
  for (int r = 0; r < M; r++)
    for (int64_t c = 0; c < n; c++) finish(i + r, j + c, sum[r][c]);
}

// b is transposed: both operands are contiguous along k
template <class T> inline sum_t<T> dot(int64_t k, const T *a, const T *b) {
  using A = sum_t<T>;
  constexpr int lanes = 16;
  A sum[lanes] = {}, total = 0;
  int64_t e = 0;
  for (; e + lanes <= k; e += lanes)
    for (int l = 0; l < lanes; l++) sum[l] += (A)load(a + e + l) * (A)load(b + e + l);
  for (; e < k; e++) total += (A)load(a + e) * (A)load(b + e);
  for (int l = 0; l < lanes; l++) total += sum[l];
  return total;
}

template <class T, class F>
inline void multiply(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t b_k, int64_t b_n, F finish) {
  if (b_k == 1 && b_n != 1 && a_k == 1) {
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) finish(i, j, dot(k, a + i * a_m, b + j * b_n));
    return;
  }
  int64_t i = 0;
  for (; i + 4 <= m; i += 4)
    for (int64_t j = 0; j < n; j += 8) tile<4, 8>(i, j, min_of(8, n - j), k, a, a_m, a_k, b, b_k, b_n, finish);
  for (; i < m; i++)
    for (int64_t j = 0; j < n; j += 32) tile<1, 32>(i, j, min_of(32, n - j), k, a, a_m, a_k, b, b_k, b_n, finish);
}

}  // namespace
}  // namespace eff
