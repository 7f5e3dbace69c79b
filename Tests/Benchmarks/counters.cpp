// Stands before malloc in the benchmark process and counts per thread; glibc's own functions do the work.
#include <cerrno>
#include <cstddef>
#include <cstdint>

thread_local int64_t allocation_count = 0;

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t n) { return allocation_count++, __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return allocation_count++, __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return allocation_count++, __libc_realloc(p, n); }
void *memalign(size_t align, size_t n) { return allocation_count++, __libc_memalign(align, n); }
void *aligned_alloc(size_t align, size_t n) { return allocation_count++, __libc_memalign(align, n); }
int posix_memalign(void **out, size_t align, size_t n) {
  allocation_count++;
  *out = __libc_memalign(align, n);
  return *out ? 0 : ENOMEM;
}
void free(void *p) { __libc_free(p); }
}
