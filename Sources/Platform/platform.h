// The few libc calls that Efferent makes, one static-inline wrapper each, so that Swift needs no Glibc overlay.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Callable from Swift that is compiled under @_noLocks.
#ifndef EFF_RT
#define EFF_RT __attribute__((swift_attr("@_noLocks")))
#endif

// ---- files ----

// Opens PATH for reading. Returns a descriptor or -errno.
static inline int eff_open_read(const char *path) {
  int fd;
  do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

// Size of a regular file in bytes, or -errno (-EISDIR for a folder, -EINVAL for anything else that is not a file).
static inline int64_t eff_file_size(int fd) {
  struct stat s;
  if (fstat(fd, &s) != 0) return -errno;
  if (S_ISDIR(s.st_mode)) return -EISDIR;
  if (!S_ISREG(s.st_mode)) return -EINVAL;
  return (int64_t)s.st_size;
}

// Maps SIZE bytes of a file, private and read-only. NULL on failure.
static inline void *eff_map_read(int fd, size_t size) {
  void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  return p == MAP_FAILED ? NULL : p;
}
static inline void eff_unmap(void *p, size_t size) { munmap(p, size); }
static inline void eff_close(int fd) { close(fd); }

// The real path of PATH (no links, no `..`), or NULL; free with eff_free.
static inline char *eff_real_path(const char *path) { return realpath(path, NULL); }
static inline const char *eff_error_text(int code) { return strerror(code); }

// ---- memory ----

static inline void *eff_alloc(size_t size, size_t align) {
  void *p = NULL;
  if (align < sizeof(void *)) align = sizeof(void *);
  return posix_memalign(&p, align, size ? size : 1) == 0 ? p : NULL;
}
static inline void eff_free(void *p) { free(p); }

// Asks for huge pages behind [p, p + size); harmless where there are none.
static inline void eff_advise_huge(void *p, size_t size) {
#ifdef MADV_HUGEPAGE
  madvise(p, size, MADV_HUGEPAGE);
#else
  (void)p, (void)size;
#endif
}

// ---- time ----

// Nanoseconds of the monotonic clock.
static inline uint64_t eff_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- atomics ----

static inline EFF_RT void *eff_atomic_load(void *const *slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }
static inline EFF_RT void *eff_atomic_exchange(void **slot, void *value) { return __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL); }
static inline EFF_RT int64_t eff_atomic_add(int64_t *slot, int64_t delta) { return __atomic_add_fetch(slot, delta, __ATOMIC_ACQ_REL); }

// ---- real-time copies ----

static inline EFF_RT void eff_copy(void *to, const void *from, size_t size) { memcpy(to, from, size); }
static inline EFF_RT void eff_zero(void *to, size_t size) { memset(to, 0, size); }

// ---- this thread's last message; one per importing module, so only CABI uses it ----

enum { EFF_MESSAGE_SIZE = 1024 };
static inline char *eff_message(void) {
  static _Thread_local char text[EFF_MESSAGE_SIZE];
  return text;
}
static inline const char *eff_environment(const char *name) { return getenv(name); }
