#include "kernels.h"
#include <cstring>

// four numbers as bits; vectors of the compiler, which every target has
typedef int32_t four __attribute__((vector_size(16)));

// NaN and the infinities are what has all bits of the exponent set: -1 in their lanes
static inline four are_not_finite(const float *x) {
  four bits;
  std::memcpy(&bits, x, sizeof bits);
  return (bits & 0x7fffffff) > 0x7f7fffff;
}
static inline bool is_not_finite(const float *x) {
  int32_t bits;
  std::memcpy(&bits, x, sizeof bits);
  return (bits & 0x7fffffff) > 0x7f7fffff;
}

extern "C" {

int64_t eff_first_not_finite(const float *x, int64_t count) {
  if (count >= 4) {
    four any = are_not_finite(x + count - 4);  // the last four, again where count is no multiple
    for (int64_t i = 0; i + 4 <= count; i += 4) any |= are_not_finite(x + i);
    if (!(any[0] | any[1] | any[2] | any[3])) return -1;
  }
  for (int64_t i = 0; i < count; i++) if (is_not_finite(x + i)) return i;
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
