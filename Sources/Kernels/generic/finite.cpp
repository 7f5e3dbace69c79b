#include "kernels.h"
#include <cstring>

// NaN and the infinities are what has all bits of the exponent set
static inline int32_t is_not_finite(const float *x) {
  int32_t bits;
  std::memcpy(&bits, x, sizeof bits);
  return (bits & 0x7fffffff) > 0x7f7fffff;
}

extern "C" {

int64_t eff_copy_finite(float *to, const float *from, int64_t count) {
  std::memcpy(to, from, (size_t)count * sizeof(float));
  int32_t any = 0;
  for (int64_t i = 0; i < count; i++) any |= is_not_finite(from + i);
  if (!any) return -1;
  for (int64_t i = 0; i < count; i++) if (is_not_finite(from + i)) return i;
  return -1;
}

int64_t eff_clear_not_finite(float *x, int64_t count) {
  int64_t cleared = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!is_not_finite(x + i)) continue;
    x[i] = 0;
    cleared++;
  }
  return cleared;
}

}  // extern "C"
