#if defined(EFF_SHIPPED) && defined(__linux__)
#include "old_glibc.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Seeds of Swift's dictionaries; nothing here asks for more than 64 bytes. Never waits: early in a boot the kernel's
// pool may not be filled.
// The kernel's call is newer than some robots' kernels, then its file; where neither is there (a root without /dev),
// what differs by process.
OLD_HIDDEN void arc4random_buf(void *to, size_t size) {
  unsigned char *at = (unsigned char *)to;
  const int before = errno, without_waiting = 1;
  while (size > 0) {
    const long n = syscall(SYS_getrandom, at, size, without_waiting);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += n, size -= (size_t)n;
  }
  const int file = size > 0 ? open("/dev/urandom", O_RDONLY | O_CLOEXEC) : -1;
  while (file >= 0 && size > 0) {
    const ssize_t n = read(file, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += n, size -= (size_t)n;
  }
  if (file >= 0) close(file);
  if (size > 0) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t state = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    state ^= (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)&now;
    for (; size > 0; at++, size--) {  // splitmix64
      uint64_t z = state += 0x9e3779b97f4a7c15u;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
      z = (z ^ z >> 27) * 0x94d049bb133111ebu;
      *at = (unsigned char)(z >> 56);
    }
  }
  errno = before;
}
#endif
