#include "internal.h"

static const char *const names[EFF_ISA_COUNT] = {"naive", "sse2", "avx2", "avx512", "neon"};

static bool same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

extern "C" {

int32_t eff_isa_supported(int32_t level) {
  switch (level) {
    case EFF_ISA_NAIVE: return 1;
#if defined(__x86_64__)
    case EFF_ISA_SSE2: return 1;
    case EFF_ISA_AVX2:
      __builtin_cpu_init();
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case EFF_ISA_AVX512:
      return eff_isa_supported(EFF_ISA_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
             && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__aarch64__)
    case EFF_ISA_NEON: return 1;
#endif
    default: return 0;
  }
}

#if defined(__x86_64__)
static int32_t has(int32_t level) {
  __builtin_cpu_init();
  return level == EFF_ISA_AVX2 ? __builtin_cpu_supports("avxvnni") != 0 : __builtin_cpu_supports("avx512vnni") != 0;
}
int32_t eff_byte_dots[EFF_ISA_COUNT] = {0, 0, has(EFF_ISA_AVX2), has(EFF_ISA_AVX512), 0};
#elif defined(__aarch64__)
#if defined(__linux__)
unsigned long getauxval(unsigned long type);
static int32_t byte_dots() {
  enum { hwcap = 16, asimddp = 20 };  // AT_HWCAP and a bit of it
  return getauxval(hwcap) >> asimddp & 1;
}
#elif defined(__ARM_FEATURE_DOTPROD)  // what the compiler may take for granted
static int32_t byte_dots() { return 1; }
#else
static int32_t byte_dots() { return 0; }
#endif
int32_t eff_byte_dots[EFF_ISA_COUNT] = {0, 0, 0, 0, byte_dots()};
#else
int32_t eff_byte_dots[EFF_ISA_COUNT];
#endif

int32_t eff_isa_best(void) {
  for (int32_t level = EFF_ISA_COUNT - 1; level > 0; level--)
    if (eff_isa_supported(level)) return level;
  return EFF_ISA_NAIVE;
}

const char *eff_isa_name(int32_t level) { return level >= 0 && level < EFF_ISA_COUNT ? names[level] : nullptr; }

int32_t eff_isa_parse(const char *name) {
  for (int32_t level = 0; name && level < EFF_ISA_COUNT; level++)
    if (same(name, names[level])) return level;
  return -1;
}

}  // extern "C"
