// EFF_K_DET: elimination with row pivots, in scratch of one matrix.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

template <class T> struct det {
  using A = wide_t<T>;
  static A eliminate(A *m, int64_t n) {
    A result = 1;
    for (int64_t c = 0; c < n; c++) {
      int64_t pivot = c;
      for (int64_t i = c + 1; i < n; i++)
        if (fabs((double)m[i * n + c]) > fabs((double)m[pivot * n + c])) pivot = i;
      if (m[pivot * n + c] == 0) return 0;
      if (pivot != c) {
        result = -result;
        for (int64_t j = c; j < n; j++) {
          const A t = m[c * n + j];
          m[c * n + j] = m[pivot * n + j], m[pivot * n + j] = t;
        }
      }
      result *= m[c * n + c];
      for (int64_t i = c + 1; i < n; i++) {
        const A f = m[i * n + c] / m[c * n + c];
        for (int64_t j = c + 1; j < n; j++) m[i * n + j] -= f * m[c * n + j];
      }
    }
    return result;
  }
  static void run(const eff_op *op, int64_t rows) {
    const eff_det &p = *(const eff_det *)op->params;
    const int64_t size = p.n * p.n;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      T *y = at.at<T>(1);
      A *m = at.at<A>(2);
      for (int64_t c = 0; c < p.count; c++, x += size) {
        for (int64_t i = 0; i < size; i++) m[i] = load(x + i);
        store(y++, eliminate(m, p.n));
      }
    }
  }
};

}  // namespace

eff_kernel find_det(int32_t type) {
  return type == EFF_TYPE_F32 ? det<float>::run : type == EFF_TYPE_F64 ? small<det<double>>::run : nullptr;
}

}  // namespace eff
EFF_SMALL_END
