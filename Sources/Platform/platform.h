// The few libc calls that Efferent makes, one static-inline wrapper each, so that Swift needs no Glibc overlay.
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <linux/filter.h>
#include <sys/syscall.h>
#endif
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Callable from Swift that is compiled under @_noLocks.
#ifndef EFF_RT
#if defined(__clang__)
#define EFF_RT __attribute__((swift_attr("@_noLocks")))
#else
#define EFF_RT
#endif
#endif

// ---- numbers ----

#if defined(__GLIBC__) && !defined(__USE_GNU)
extern double strtod_l(const char *text, char **end, locale_t locale);  // glibc declares it for _GNU_SOURCE alone
#endif

// The double nearest to the decimal TEXT, whose point is '.' whatever the process's locale is. The C locale takes no
// memory in glibc.
static inline double eff_text_to_double(const void *text) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  double value = strtod_l((const char *)text, NULL, c);
  freelocale(c);
  return value;
}

// Whether TEXT is a number from its first to its last byte, and which.
static inline int eff_is_double(const char *text, double *value) {
  char *end = NULL;
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  *value = strtod_l(text, &end, c);
  freelocale(c);
  return end != text && *end == 0;
}

// ---- files ----

// Opens PATH for reading. Returns a descriptor or -errno.
static inline int eff_open_read(const char *path) {
  int fd;
  do fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

// What tells whether a regular file was changed: its size, and when its content and its status were changed last.
typedef struct eff_file_state {
  int64_t size, modified_ns, changed_ns, links;
} eff_file_state;

// Looks at a regular file. 0 or -errno (-EISDIR for a folder, -EINVAL for anything else that is not a file).
static inline int eff_file_look(int fd, eff_file_state *out) {
  struct stat s;
  if (fstat(fd, &s) != 0) return -errno;
  if (S_ISDIR(s.st_mode)) return -EISDIR;
  if (!S_ISREG(s.st_mode)) return -EINVAL;
#if defined(__APPLE__)
  const struct timespec modified = s.st_mtimespec, changed = s.st_ctimespec;
#else
  const struct timespec modified = s.st_mtim, changed = s.st_ctim;
#endif
  out->size = (int64_t)s.st_size, out->links = (int64_t)s.st_nlink;
  out->modified_ns = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec;
  out->changed_ns = (int64_t)changed.tv_sec * 1000000000 + changed.tv_nsec;
  return 0;
}

// Whether a file has the content that it had. That its name was removed, or given to another file, changes its status
// alone.
static inline int eff_file_is_same(eff_file_state a, eff_file_state b) {
  return a.size == b.size && a.modified_ns == b.modified_ns && (a.changed_ns == b.changed_ns || a.links != b.links);
}

// Reads up to SIZE bytes. Their number (0 at the end) or -errno.
static inline int64_t eff_read(int fd, void *to, size_t size) {
  ssize_t n;
  do n = read(fd, to, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : (int64_t)n;
}

// Replaces the file PATH by SIZE bytes so that at any time either the old or the new content is there: PATH.tmp beside
// it, fsync, rename, fsync of the folder. Returns 0 or -errno.
static inline int eff_write_atomically(const char *path, const void *bytes, size_t size) {
  const size_t length = strlen(path);
  char *name = (char *)malloc(length + 8);
  if (!name) return -ENOMEM;
  memcpy(name, path, length);
  memcpy(name + length, ".tmp", 5);
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), code = fd < 0 ? -errno : 0;
  for (size_t done = 0; code == 0 && done < size;) {
    ssize_t n = write(fd, (const char *)bytes + done, size - done);
    if (n >= 0) done += (size_t)n;
    else if (errno != EINTR) code = -errno;
  }
  if (code == 0 && fsync(fd) != 0) code = -errno;
  if (fd >= 0) close(fd);
  if (code == 0 && rename(name, path) != 0) code = -errno;
  if (code != 0 && fd >= 0) unlink(name);
  if (code == 0) {
    char *slash = strrchr(name, '/');
    if (slash) slash[slash == name] = 0;
    int folder = open(slash ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) fsync(folder), close(folder);
  }
  free(name);
  return code;
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

// SIZE bytes of zeroed memory that begin at a multiple of ALIGN (a power of two), with huge pages asked for; harmless
// where there are none. Free with eff_unmap. NULL on failure.
static inline void *eff_map_zeroed(size_t size, size_t align) {
  if (size > SIZE_MAX - align) return NULL;
  const int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  char *start = (char *)mmap(NULL, size, access, flags, -1, 0);
  if (start == MAP_FAILED) return NULL;
  if ((uintptr_t)start & (align - 1)) {  // newer kernels align by themselves
    munmap(start, size);
    char *p = (char *)mmap(NULL, size + align, access, flags, -1, 0);
    if (p == MAP_FAILED) return NULL;
    start = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
    if (start > p) munmap(p, (size_t)(start - p));
    if (p + align > start) munmap(start + size, (size_t)(p + align - start));
  }
#ifdef MADV_HUGEPAGE
  madvise(start, size, MADV_HUGEPAGE);
#endif
  return start;
}

// Keeps SIZE bytes from being paged out, until they are unmapped. Returns 0 or -errno.
static inline int eff_lock(const void *p, size_t size) { return mlock(p, size) == 0 ? 0 : -errno; }

// Bytes that this process may lock, or -1 where there is no bound.
static inline int64_t eff_lock_limit(void) {
  struct rlimit r;
  return getrlimit(RLIMIT_MEMLOCK, &r) != 0 || r.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)r.rlim_cur;
}

// Bytes of memory that this process may have, or -1 where there is no bound.
static inline int64_t eff_address_limit(void) {
  struct rlimit r;
  return getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)r.rlim_cur;
}

// ---- time ----

// Nanoseconds of the clock that files are stamped with.
static inline int64_t eff_wall_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline void eff_sleep_ns(int64_t ns) {
  struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  nanosleep(&t, NULL);
}

// Lets others run that want this processor.
static inline void eff_yield(void) { sched_yield(); }

// Nanoseconds of the monotonic clock.
static inline uint64_t eff_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Reads a byte of every line. Loads, since processors drop prefetches where many are on their way (measured on Zen 3).
static inline EFF_RT void eff_touch(const void *start, size_t size) {
  for (size_t i = 0; i < size; i += 64) (void)*((const volatile char *)start + i);
}

// ---- atomics ----

static inline EFF_RT void *eff_atomic_load(void *const *slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }
static inline EFF_RT void *eff_atomic_exchange(void **slot, void *value) {
  return __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
}
// Puts VALUE where EXPECTED is; 0 where something else was.
static inline EFF_RT int eff_atomic_replace(void **slot, void *expected, void *value) {
  return __atomic_compare_exchange_n(slot, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline EFF_RT int64_t eff_atomic_add(int64_t *slot, int64_t delta) {
  return __atomic_add_fetch(slot, delta, __ATOMIC_ACQ_REL);
}

// One caller at a time, without a locked instruction. eff_enter: who this caller is, or NULL where a call is at work.
// eff_leave: 0 where another caller came in between looking and writing.
static inline EFF_RT void *eff_enter(void **caller) {
  if (__atomic_load_n(caller, __ATOMIC_RELAXED)) return NULL;
  void *me = __builtin_frame_address(0);
  __atomic_store_n(caller, me, __ATOMIC_RELAXED);
  return me;
}
static inline EFF_RT int eff_leave(void **caller, void *me) {
  if (__atomic_load_n(caller, __ATOMIC_RELAXED) != me) return 0;
  __atomic_store_n(caller, NULL, __ATOMIC_RELAXED);
  return 1;
}

// Counters that one thread writes and any thread reads.
static inline EFF_RT void eff_counter_add(uint64_t *slot, uint64_t delta) {
  __atomic_store_n(slot, *slot + delta, __ATOMIC_RELAXED);
}
static inline EFF_RT void eff_counter_store(uint64_t *slot, uint64_t value) {
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}
static inline EFF_RT uint64_t eff_counter_load(const uint64_t *slot) { return __atomic_load_n(slot, __ATOMIC_RELAXED); }

// ---- crc32c (Castagnoli), one step of 8 bytes and of 1; only where the processor has it ----

#if defined(__x86_64__)
static inline int eff_crc32c_supported(void) { return __builtin_cpu_supports("sse4.2") ? 1 : 0; }
__attribute__((target("sse4.2"))) static inline EFF_RT uint32_t eff_crc32c_8(uint32_t crc, uint64_t v) {
  return (uint32_t)__builtin_ia32_crc32di(crc, v);
}
__attribute__((target("sse4.2"))) static inline EFF_RT uint32_t eff_crc32c_1(uint32_t crc, uint8_t v) {
  return __builtin_ia32_crc32qi(crc, v);
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
static inline int eff_crc32c_supported(void) { return 1; }
static inline EFF_RT uint32_t eff_crc32c_8(uint32_t crc, uint64_t v) { return __builtin_arm_crc32cd(crc, v); }
static inline EFF_RT uint32_t eff_crc32c_1(uint32_t crc, uint8_t v) { return __builtin_arm_crc32cb(crc, v); }
#else
static inline int eff_crc32c_supported(void) { return 0; }
static inline EFF_RT uint32_t eff_crc32c_8(uint32_t crc, uint64_t v) { return (void)v, crc; }
static inline EFF_RT uint32_t eff_crc32c_1(uint32_t crc, uint8_t v) { return (void)v, crc; }
#endif

// ---- threads ----

typedef struct eff_thread {
  pthread_t handle;  // for who started it
  pthread_t id;      // written by the thread itself, before its body
  int has_id;
  int task;  // Linux's number of it, set before has_id
  void (*body)(void *);
  void *argument;
} eff_thread;

static inline void *eff_thread_enter(void *p) {
  eff_thread *t = (eff_thread *)p;
  __atomic_store_n(&t->id, pthread_self(), __ATOMIC_RELAXED);
#if defined(__linux__)
  t->task = (int)syscall(SYS_gettid);
#endif
  __atomic_store_n(&t->has_id, 1, __ATOMIC_RELEASE);
  t->body(t->argument);
  return NULL;
}

// Starts a thread with all signals blocked. 0 or an errno. THREAD stays in place until it is joined.
static inline int eff_thread_start(eff_thread *thread, void (*body)(void *), void *argument) {
  sigset_t all, old;
  thread->body = body, thread->argument = argument;
  __atomic_store_n(&thread->has_id, 0, __ATOMIC_RELAXED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int code = pthread_create(&thread->handle, NULL, eff_thread_enter, thread);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return code;
}
static inline void eff_thread_join(eff_thread *thread) { pthread_join(thread->handle, NULL); }
static inline int eff_thread_is_current(const eff_thread *thread) {
  return __atomic_load_n(&thread->has_id, __ATOMIC_ACQUIRE) &&
         pthread_equal(__atomic_load_n(&thread->id, __ATOMIC_RELAXED), pthread_self());
}

// ---- scheduling of threads, by Linux's numbers of them ----

// The number of a thread that was started; waits for it to begin.
static inline int eff_thread_task(const eff_thread *thread) {
  while (!__atomic_load_n(&thread->has_id, __ATOMIC_ACQUIRE)) sched_yield();
  return thread->task;
}

// POLICY 1: first in, first out; 2: round robin. 0 or an errno.
static inline int eff_task_schedule(int task, int policy, int priority) {
#if defined(__linux__)
  struct sched_param p = {.sched_priority = priority};
  return sched_setscheduler(task, policy == 1 ? SCHED_FIFO : SCHED_RR, &p) == 0 ? 0 : errno;
#else
  return (void)task, (void)policy, (void)priority, ENOSYS;
#endif
}

enum { EFF_CPU_LIMIT = 4096 };
// Lets a thread run on COUNT CPUs, each below EFF_CPU_LIMIT, alone. 0 or an errno.
static inline int eff_task_pin(int task, const int32_t *cpus, size_t count) {
#if defined(__linux__)
  unsigned long mask[EFF_CPU_LIMIT / (8 * sizeof(unsigned long))] = {0};
  for (size_t i = 0; i < count; i++)
    mask[(size_t)cpus[i] / (8 * sizeof *mask)] |= 1ul << ((size_t)cpus[i] % (8 * sizeof *mask));
  return syscall(SYS_sched_setaffinity, task, sizeof mask, mask) == 0 ? 0 : errno;
#else
  return (void)task, (void)cpus, (void)count, ENOSYS;
#endif
}

// Names a thread of this process, at most 15 bytes.
static inline void eff_task_name(int task, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", task);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, name, strlen(name)) < 0) {}  // a name is for people
  close(fd);
}

// The thread of this process whose name begins with START, or 0.
static inline int eff_task_find(const char *start) {
  DIR *tasks = opendir("/proc/self/task");
  int found = 0;
  for (struct dirent *entry; tasks && !found && (entry = readdir(tasks));) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    if (read(fd, name, sizeof name - 1) > 0 && strncmp(name, start, strlen(start)) == 0) found = atoi(entry->d_name);
    close(fd);
  }
  if (tasks) closedir(tasks);
  return found;
}

// The highest real-time priority that this process may have without CAP_SYS_NICE, or -1 where there is no bound.
static inline int64_t eff_priority_limit(void) {
#if defined(RLIMIT_RTPRIO)
  struct rlimit r;
  return getrlimit(RLIMIT_RTPRIO, &r) != 0 || r.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)r.rlim_cur;
#else
  return 0;
#endif
}

// ---- waking a thread that polls ----

// Fills ENDS with the reading and the writing end of a pipe that never blocks. 0 or an errno.
static inline int eff_pipe(int ends[2]) {
  if (pipe(ends) != 0) return errno;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC), fcntl(ends[i], F_SETFL, O_NONBLOCK);
  return 0;
}
static inline void eff_pipe_signal(int end) {
  while (write(end, "", 1) < 0 && errno == EINTR) {}
}

// Waits up to MS milliseconds (negative: without limit) until one of COUNT descriptors (at most 8, negative ones are
// passed over) can be read. Bit i of the result is descriptor i's; -errno on failure.
static inline int eff_wait_readable(const int *descriptors, int count, int ms) {
  struct pollfd items[8];
  for (int i = 0; i < count; i++) items[i].fd = descriptors[i], items[i].events = POLLIN, items[i].revents = 0;
  if (poll(items, (nfds_t)count, ms) < 0) return -errno;
  int ready = 0;
  for (int i = 0; i < count; i++) ready |= (items[i].revents != 0) << i;
  return ready;
}

// ---- connections of others ----

// A descriptor of our own of the same connection, or -errno.
static inline int eff_duplicate(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? -errno : copy;
}
// Whether a descriptor is of a connection that was accepted at a tcp PORT, or at the unix PATH ("@name": an abstract
// one).
static inline int eff_is_connection(int fd, int port, const char *path) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
  } address;
  socklen_t size = sizeof address;
  memset(&address, 0, sizeof address);
  if (getsockname(fd, &address.any, &size) != 0) return 0;
  if (address.any.sa_family == AF_INET) return ntohs(address.v4.sin_port) == port;
  if (address.any.sa_family == AF_INET6) return ntohs(address.v6.sin6_port) == port;
  if (address.any.sa_family != AF_UNIX || !path) return 0;
  const char *name = address.local.sun_path;
  if (path[0] == '@') name++, path++;
  return strncmp(name, path, sizeof address.local.sun_path - 1) == 0;
}
// Has the kernel throw away what asks to be connected to a listening tcp socket, or no longer; connections that stand
// are not touched. 0 or -errno: -ENOTSUP where this system cannot.
static inline int eff_deafen(int fd, int deaf) {
#if defined(__linux__)
  struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
  const struct sock_fprog filter = {1, &nothing};
  const int none = 0;
  const int code = deaf ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)
                        : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
  return code == 0 ? 0 : -errno;
#else
  (void)fd, (void)deaf;
  return -ENOTSUP;
#endif
}
static inline void eff_hang_up(int fd) { shutdown(fd, SHUT_RDWR); }
// Whether the other end has hung up.
static inline int eff_is_hung_up(int fd) {
  char byte;
  const ssize_t count = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
// A descriptor that stands for nothing, to be given up when none are left; -errno where there is none.
static inline int eff_spare_descriptor(void) { return eff_open_read("/dev/null"); }

// ---- local sockets ----

// 1 where somebody listens on the unix socket at PATH.
static inline int eff_unix_listens(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return 0;
  memcpy(address.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return 0;
  fcntl(fd, F_SETFD, FD_CLOEXEC), fcntl(fd, F_SETFL, O_NONBLOCK);
  int found = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
  close(fd);
  return found;
}

// 0 where PATH does not exist, 1 where it is a socket, 2 where it is anything else. Links are not followed.
static inline int eff_socket_at(const char *path) {
  struct stat s;
  return lstat(path, &s) != 0 ? 0 : S_ISSOCK(s.st_mode) ? 1 : 2;
}
static inline int eff_remove(const char *path) { return unlink(path) == 0 ? 0 : -errno; }
static inline int eff_private(const char *path) { return chmod(path, 0600) == 0 ? 0 : -errno; }

// Locks PATH, which is created, for as long as the file that is returned is open; -errno, -EAGAIN where somebody else
// has it.
// A holder that ends removes its file before it closes it, so that the file which is locked may be gone: then there is
// a new one.
static inline int eff_lock_path(const char *path) {
  for (int tries = 0; tries < 100; tries++) {
    struct stat mine, there;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      int code = errno;
      close(fd);
      return code == EWOULDBLOCK ? -EAGAIN : -code;
    }
    if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
      return fd;
    close(fd);
  }
  return -EAGAIN;
}

// ---- this machine and process ----

static inline int eff_process_id(void) { return (int)getpid(); }
// Fills SIZE bytes with unpredictable ones. 0 or an errno.
static inline int eff_random_bytes(void *to, size_t size) { return getrandom(to, size, 0) == (ssize_t)size ? 0 : EIO; }
// The first SIZE bytes of a file; how many there are, or -errno.
static inline int64_t eff_read_start(const char *path, void *to, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ssize_t count = read(fd, to, size);
  int code = errno;
  close(fd);
  return count < 0 ? -code : count;
}

// Tells one state of a file from another; 0: there is none.
static inline uint64_t eff_file_stamp(const char *path) {
  struct stat s;
  if (stat(path, &s) != 0) return 0;
#if defined(__APPLE__)
  const uint64_t time = (uint64_t)s.st_mtimespec.tv_sec * 1000000000u + (uint64_t)s.st_mtimespec.tv_nsec;
#else
  const uint64_t time = (uint64_t)s.st_mtim.tv_sec * 1000000000u + (uint64_t)s.st_mtim.tv_nsec;
#endif
  return (time ^ (uint64_t)s.st_size << 40 ^ (uint64_t)s.st_ino * 0x9E3779B97F4A7C15u ^ (uint64_t)s.st_mode << 20) | 1;
}

// Reads a file that is for this user alone. Its size, which may be above SIZE, or -errno: -EPERM where others may read
// or write it or it is somebody else's, -EINVAL where it is no file.
static inline int64_t eff_read_private(const char *path, void *to, size_t size) {
  struct stat s;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  int64_t result = 0;
  if (fstat(fd, &s) != 0) result = -errno;
  else if (!S_ISREG(s.st_mode)) result = -EINVAL;
  else if ((s.st_mode & 077) != 0 || (s.st_uid != geteuid() && s.st_uid != 0)) result = -EPERM;
  else if (s.st_size > (off_t)size) result = s.st_size;
  else if ((result = read(fd, to, size)) < 0) result = -errno;
  close(fd);
  return result;
}

// ---- real-time math ----

static inline EFF_RT double eff_sin(double x) { return sin(x); }
static inline EFF_RT double eff_cos(double x) { return cos(x); }
static inline EFF_RT double eff_asin(double x) { return asin(x); }
static inline EFF_RT double eff_atan2(double y, double x) { return atan2(y, x); }
static inline EFF_RT double eff_sqrt(double x) { return sqrt(x); }
static inline EFF_RT double eff_floor(double x) { return floor(x); }

// ---- real-time copies ----

static inline EFF_RT int eff_equal(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

static inline EFF_RT void eff_copy(void *to, const void *from, size_t size) { memcpy(to, from, size); }
// The same where both overlap.
static inline EFF_RT void eff_move(void *to, const void *from, size_t size) { memmove(to, from, size); }
static inline EFF_RT void eff_zero(void *to, size_t size) { memset(to, 0, size); }

// ---- this thread's last message; one per importing module, so only CABI uses it ----

enum { EFF_MESSAGE_SIZE = 1024 };
static inline char *eff_message(void) {
  static _Thread_local char text[EFF_MESSAGE_SIZE];
  return text;
}
static inline const char *eff_environment(const char *name) { return getenv(name); }
