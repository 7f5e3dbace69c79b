// Includes the kernel source EFF_FAMILY once per instruction set, inside a namespace and with the target attribute of
// that level, so that no inline function is ever shared between two levels. No compiler flag is needed.
// No include guard: a file may define EFF_FAMILY again and include this again.
#include "../internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__x86_64__)

#define EFF_NS eff_sse2
#define EFF_LEVEL 1
#define EFF_W 4
// small before fast: processors without AVX2 are rare, and their code is a part of every library
#ifdef __clang__
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
namespace EFF_NS {
#include EFF_FAMILY
}
#ifdef __clang__
#pragma clang attribute pop
#endif
#undef EFF_NS
#undef EFF_LEVEL
#undef EFF_W

#define EFF_NS eff_avx2
#define EFF_LEVEL 2
#define EFF_W 8
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
namespace EFF_NS {
#include EFF_FAMILY
}
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef EFF_NS
#undef EFF_LEVEL
#undef EFF_W

#define EFF_NS eff_avx512
#define EFF_LEVEL 3
#define EFF_W 16
#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif
namespace EFF_NS {
#include EFF_FAMILY
}
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef EFF_NS
#undef EFF_LEVEL
#undef EFF_W

#elif defined(__aarch64__)

#define EFF_NS eff_neon
#define EFF_LEVEL 4
#define EFF_W 4
namespace EFF_NS {
#include EFF_FAMILY
}
#undef EFF_NS
#undef EFF_LEVEL
#undef EFF_W

#endif
#undef EFF_FAMILY
