// Eigen's product and the peak of multiply-adds, compiled for one instruction set: roof.sh gives the flags.
#include <Eigen/Dense>
#include <cstdint>

using matrix = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using view = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// y[m, n] = a[m, k] b, where b is [k, n] or, transposed, [n, k]
extern "C" void roof_eigen(int64_t m, int64_t n, int64_t k, const float *a, const float *b, int transposed, float *y) {
  if (transposed) matrix(y, m, n).noalias() = view(a, m, k) * view(b, n, k).transpose();
  else matrix(y, m, n).noalias() = view(a, m, k) * view(b, k, n);
}

#if defined(__AVX512F__)
enum { WIDTH = 16, CHAINS = 24 };
#elif defined(__AVX__)
enum { WIDTH = 8, CHAINS = 12 };
#elif defined(__aarch64__)
enum { WIDTH = 4, CHAINS = 24 };
#else
enum { WIDTH = 4, CHAINS = 12 };  // SSE2 multiplies and adds apart
#endif
typedef float lanes __attribute__((vector_size(4 * WIDTH)));

// `steps` times CHAINS multiply-adds of vectors, none of which waits for another; how many floating-point operations
extern "C" double roof_peak(int64_t steps, float *out) {
  lanes sums[CHAINS], x, y;
  for (int l = 0; l < WIDTH; l++) x[l] = 0.5f + out[0] * 1e-9f, y[l] = 1;
  for (auto &s : sums) s = y;
  for (int64_t i = 0; i < steps; i++) {
    for (int c = 0; c < CHAINS; c++) sums[c] = sums[c] * x + y;
#if defined(__x86_64__)
    for (int c = 0; c < CHAINS; c++) __asm__("" : "+x"(sums[c]));
#else
    for (int c = 0; c < CHAINS; c++) __asm__("" : "+w"(sums[c]));
#endif
  }
  float total = 0;
  for (auto &s : sums) total += s[0];
  out[0] = total;
  return 2.0 * CHAINS * WIDTH * (double)steps;
}
