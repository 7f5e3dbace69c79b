// What tests of [RT] functions count: include first, once per program, and link it with ENABLE_EXPORTS and
// -fno-builtin.
// The allocator functions are defined here, so the library's calls arrive here; the C library's own names do the work.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- the counting allocator ----

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static volatile int armed;
static long allocations, frees, bytes;

static void counted(size_t size) {
  if (armed) allocations++, bytes += (long)size;
}

void *malloc(size_t size) { return counted(size), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return counted(n * size), __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return counted(size), __libc_realloc(p, size); }
void *reallocarray(void *p, size_t n, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(n, size, &total)) return errno = ENOMEM, NULL;
  return counted(total), __libc_realloc(p, total);
}
void *memalign(size_t align, size_t size) { return counted(size), __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return counted(size), __libc_memalign(align, size); }
int posix_memalign(void **out, size_t align, size_t size) {
  counted(size);
  *out = __libc_memalign(align, size);
  return *out ? 0 : ENOMEM;
}
void free(void *p) {
  frees += armed;
  __libc_free(p);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  counted(size);
  return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
int munmap(void *p, size_t size) {
  frees += armed;
  return (int)syscall(SYS_munmap, p, size);
}

// Whether the counter counts.
static int counter_works(void) {
  allocations = frees = 0, armed = 1;
  void *volatile p = malloc(10);
  free(p);
  p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p, 4096);
  armed = 0;
  return allocations == 2 && frees == 2;
}

// Calls tick 100 times in a child that may only read, write and exit: any other system call kills it. 0: none, 1: one
// was made or a tick failed, -1: cannot be tested here.
static int system_calls(int (*tick)(void *subject, int i), void *subject) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    int bad = 0;
    for (int i = 0; i < 100; i++) bad += tick(subject, i);
    syscall(SYS_exit, bad ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
