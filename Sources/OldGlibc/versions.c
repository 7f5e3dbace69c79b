#if defined(EFF_SHIPPED) && defined(__linux__)
#include <features.h>
#endif
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#include "old_glibc.h"
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#define STAT_FORM 1
#else
#define FIRST "GLIBC_2.17"
#define STAT_FORM 0
#endif

// Gives NAME the first version of glibc's function OLD.
#define PASS_TO(old, result, name, parameters, arguments) \
  __asm__(".symver first_" #name "," #old "@" FIRST);     \
  extern result first_##name parameters;                  \
  OLD_HIDDEN result name parameters;                      \
  OLD_HIDDEN result name parameters { return first_##name arguments; }
#define PASS(result, name, parameters, arguments) PASS_TO(name, result, name, parameters, arguments)

// 2.29 and 2.27: the same values, and errno where they are not finite
PASS(double, exp, (double x), (x))
PASS(double, log, (double x), (x))
PASS(double, pow, (double x, double y), (x, y))
PASS(float, expf, (float x), (x))
PASS(float, logf, (float x), (x))
PASS(float, powf, (float x, float y), (x, y))

// 2.34 and 2.32: from libpthread.so.0 and libdl.so.2 before, which the library names where it has the bridge
PASS(int, pthread_create, (void *thread, const void *attributes, void *(*body)(void *), void *argument),
     (thread, attributes, body, argument))
PASS(int, pthread_join, (unsigned long thread, void **result), (thread, result))
PASS(int, pthread_sigmask, (int how, const void *set, void *old), (how, set, old))
PASS(void *, dlopen, (const char *path, int mode), (path, mode))
PASS(void *, dlsym, (void *library, const char *name), (library, name))
PASS(int, dladdr, (const void *address, void *info), (address, info))
PASS(int, dlclose, (void *library), (library))
PASS(char *, dlerror, (void), ())

// 2.33; inline functions of every program before
#define PASS_STAT(old, name, type, value)                                                   \
  __asm__(".symver first_" #name "," #old "@" FIRST);                                       \
  extern int first_##name(int form, type value, void *out);                                 \
  OLD_HIDDEN int name(type value, void *out);                                               \
  OLD_HIDDEN int name(type value, void *out) { return first_##name(STAT_FORM, value, out); }
PASS_STAT(__fxstat, fstat, int, file)
PASS_STAT(__xstat, stat, const char *, path)
PASS_STAT(__lxstat, lstat, const char *, path)

// 2.25
OLD_HIDDEN ssize_t getrandom(void *to, size_t size, unsigned flags);
OLD_HIDDEN ssize_t getrandom(void *to, size_t size, unsigned flags) { return syscall(SYS_getrandom, to, size, flags); }
#endif
