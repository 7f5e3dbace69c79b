// Unix sockets and memory that two processes of one machine share: the system calls of the bridge's transports unix and
// shm, in the way of platform.h.
#pragma once
#include "platform.h"
#include <stddef.h>
#include <sys/uio.h>

// ---- sockets; every descriptor here never blocks and is closed by exec ----

static inline int eff_local_prepare(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? fd : -errno;
}

// Longest path of a Unix socket.
enum { EFF_LOCAL_PATH_LIMIT = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

// The address of PATH ("@name": an abstract one); 0 where it is empty or too long.
static inline int eff_local_address(const char *path, struct sockaddr_un *address, socklen_t *size) {
  const size_t length = strlen(path);
  if (length == 0 || length > EFF_LOCAL_PATH_LIMIT) return 0;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, length);
  *size = sizeof *address;
  if (path[0] == '@') address->sun_path[0] = 0, *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  return 1;
}

// A socket that listens at PATH ("@name": an abstract one), with mode 0600 from the beginning. What is at PATH is
// removed: the caller has looked. Or -errno.
static inline int eff_local_listen(const char *path, int backlog) {
  struct sockaddr_un address;
  socklen_t size = 0;
  if (!eff_local_address(path, &address, &size)) return -ENAMETOOLONG;
  const int is_abstract = path[0] == '@';
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return -errno;
  int code = 0;
  if (eff_local_prepare(fd) < 0) code = errno;
  if (!is_abstract) unlink(path), fchmod(fd, 0600);  // Linux gives the file the mode of its socket
  if (!code && bind(fd, (const struct sockaddr *)&address, size) != 0) code = errno;
  if (!code && !is_abstract && chmod(path, 0600) != 0) code = errno;
  if (!code && listen(fd, backlog) != 0) code = errno;
  if (!code) return fd;
  close(fd);
  return -code;
}

// The next connection of a listening socket, or -errno.
static inline int eff_local_accept(int listener) {
  const int fd = accept(listener, NULL, NULL);
  if (fd < 0) return -errno;
  const int code = eff_local_prepare(fd);
  if (code < 0) close(fd);
  return code;
}

// Whether the process at the other end belongs to this process's user, or to root.
static inline int eff_local_is_own_user(int fd) {
#if defined(__linux__)
  struct {
    int32_t pid;
    uint32_t uid, gid;
  } peer = {0, (uint32_t)-1, (uint32_t)-1};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer) return 0;
  return peer.uid == geteuid() || peer.uid == 0;
#else
  uid_t uid = (uid_t)-1;
  gid_t gid = (gid_t)-1;
  return getpeereid(fd, &uid, &gid) == 0 && (uid == geteuid() || uid == 0);
#endif
}

// Up to SIZE bytes; 0 at the end, or -errno. Descriptors that somebody sends along are not taken.
static inline int64_t eff_local_receive(int fd, void *to, size_t size) {
  ssize_t count;
  do count = recv(fd, to, size, MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : (int64_t)count;
}

#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0
#endif

// How many bytes of PREFIX (4) and a frame were taken, from byte SENT of both on, or -errno. PASSED: a descriptor that
// goes with the first of them; -1: none.
static inline int64_t eff_local_send(int fd, const void *prefix, const void *frame, size_t size, size_t sent,
                                     int passed) {
  struct iovec parts[2] = {{(char *)prefix + sent, 4}, {(void *)frame, size}};
  struct msghdr message;
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&message, 0, sizeof message);
  message.msg_iov = parts, message.msg_iovlen = 2;
  if (sent < 4) {
    parts[0].iov_len = 4 - sent;
  } else {
    parts[1].iov_base = (char *)frame + (sent - 4), parts[1].iov_len = size - (sent - 4);
    message.msg_iov = parts + 1, message.msg_iovlen = 1;
  }
  if (passed >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.space, message.msg_controllen = sizeof control.space;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &passed, sizeof(int));
  }
  ssize_t count;
  do count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : (int64_t)count;
}

// Waits up to MS milliseconds (negative: without limit). How many items have events, or -errno.
static inline int eff_local_poll(struct pollfd *items, size_t count, int ms) {
  const int ready = poll(items, (nfds_t)count, ms);
  return ready < 0 ? -errno : ready;
}

// Whether the other end has closed its connection, though there may be bytes of it to read.
static inline int eff_local_is_ended(int fd) {
#if defined(POLLRDHUP)
  enum { CLOSED = POLLRDHUP };
#elif defined(__linux__)
  enum { CLOSED = 0x2000 };
#else
  enum { CLOSED = 0 };
#endif
  struct pollfd item = {fd, CLOSED, 0};
  return poll(&item, 1, 0) > 0 && (item.revents & (POLLHUP | POLLERR | CLOSED)) != 0;
}

// ---- the other end, which the tests are ----

// A connection to PATH ("@name": an abstract one), or -errno.
static inline int eff_local_connect(const char *path) {
  struct sockaddr_un address;
  socklen_t size = 0;
  if (!eff_local_address(path, &address, &size)) return -ENAMETOOLONG;
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (const struct sockaddr *)&address, size) == 0) return eff_local_prepare(fd);
  const int code = errno;
  close(fd);
  return -code;
}

// As eff_local_receive, with the descriptor that came along in PASSED, or -1.
static inline int64_t eff_local_receive_passed(int fd, void *to, size_t size, int *passed) {
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {to, size};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part, message.msg_iovlen = 1, message.msg_control = control.space,
  message.msg_controllen = sizeof control.space;
  *passed = -1;
  const ssize_t count = recvmsg(fd, &message, MSG_DONTWAIT);
  if (count < 0) return -errno;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(passed, CMSG_DATA(head), sizeof(int));
  return count;
}

// Bytes of a file, or -errno.
static inline int64_t eff_file_size(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 ? (int64_t)s.st_size : -errno;
}

// ---- shared memory without a name ----

// SIZE zeroed bytes as a descriptor that neither side can make smaller or larger, or -errno.
static inline int eff_shared_create(size_t size) {
#if defined(__linux__) && defined(SYS_memfd_create)
  enum { CLOSED_BY_EXEC = 1, MAY_BE_SEALED = 2, ADD_SEALS = 1024 + 9, SEAL = 1, SHRINK = 2, GROW = 4 };
  const int fd = (int)syscall(SYS_memfd_create, "efferent", CLOSED_BY_EXEC | MAY_BE_SEALED);
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, ADD_SEALS, SEAL | SHRINK | GROW) == 0) return fd;
  const int code = errno;
  close(fd);
  return -code;
#else
  return (void)size, -ENOSYS;
#endif
}

// Maps all of it, or NULL.
static inline void *eff_shared_map(int fd, size_t size) {
  void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return start == MAP_FAILED ? NULL : start;
}
static inline void eff_unmap_shared(void *start, size_t size) { munmap(start, size); }

// Words that another process writes: each is read once.
static inline uint32_t eff_word_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void eff_word_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
// What was stored before it is seen before what is loaded after it.
static inline void eff_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
// A moment in a loop that looks for a change.
static inline void eff_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// How many processors this process may use.
static inline int eff_usable_cpus(void) {
#if defined(__linux__)
  unsigned long mask[EFF_CPU_LIMIT / (8 * sizeof(unsigned long))] = {0};
  int count = 0;
  if (syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) < 0) return 1;
  for (size_t i = 0; i < sizeof mask / sizeof *mask; i++) count += __builtin_popcountl(mask[i]);
  return count;
#else
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
}
