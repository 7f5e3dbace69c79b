// Embedded Swift asks for every object with posix_memalign, even at the alignment that malloc gives anyway; the C
// library serves that several times slower than malloc. This definition is hidden and serves the shipped library only.
#ifdef EFF_SHIPPED
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

__attribute__((visibility("hidden"))) int posix_memalign(void **out, size_t align, size_t size) {
  void *p = align <= _Alignof(max_align_t) ? malloc(size) : aligned_alloc(align, size);
  if (p == NULL) return ENOMEM;
  *out = p;
  return 0;
}
#endif
