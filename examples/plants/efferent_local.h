/* The ways unix and shm to an Efferent bridge on the same machine, for plants in C that link nothing of Efferent:
 * "Without ZeroMQ" in Sources/Bridge/PROTOCOL.md. Frames are those of efferent_frame.h. Linux, little-endian, one
 * thread at a time. Copy it. */
#ifndef EFFERENT_LOCAL_H
#define EFFERENT_LOCAL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EFL_SLOTS = 4, EFL_PAGE = 4096, EFL_RING = 0x53464645 };
/* the connection ended; the library wrote what it never writes; a signal ended a wait */
enum { EFL_GONE = -1, EFL_BROKEN = -2, EFL_SIGNAL = -3 };

/* A line of words that one side writes and the other reads. */
typedef struct {
  uint32_t posted, taken, asleep, zero;
  struct {
    uint32_t slot, size;
  } frames[EFL_SLOTS];
  uint32_t rest[4];
} efl_line;

/* The first bytes of the shared memory. */
typedef struct {
  uint32_t magic, version, slots, zero;
  uint64_t request_size, answer_size, size;
  uint8_t rest[24];
  efl_line plant, library;
} efl_head;

typedef struct {
  int socket, is_shared;
  uint8_t *memory; /* NULL until WELCOME came, and over unix */
  size_t size, request_size, answer_size;
  uint64_t identity; /* of the memory */
  uint32_t posted, taken, slot;
  uint32_t length; /* of a frame of the socket that is on its way, and how many bytes of it arrived, its length's too */
  size_t arrived;
  uint64_t spin_ns; /* how long an answer is looked for before the thread sleeps; 0 on one processor */
  uint32_t rest, vain; /* answers that are not looked for so, since looks were in vain: 1, 2, 4, ... 64 */
} efl_link;

static inline efl_head *efl_head_of(const efl_link *l) { return (efl_head *)(void *)l->memory; }
static inline uint8_t *efl_request(const efl_link *l, uint32_t slot) {
  return l->memory + EFL_PAGE + slot * l->request_size;
}
static inline const uint8_t *efl_answer(const efl_link *l, uint32_t slot) {
  return l->memory + EFL_PAGE + EFL_SLOTS * l->request_size + slot * l->answer_size;
}
static inline uint64_t efl_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline void efl_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static inline void efl_close(efl_link *l) {
  if (l->memory) munmap(l->memory, l->size);
  /* the library sees the end though a child of this process may have the descriptor too */
  if (l->socket >= 0) shutdown(l->socket, SHUT_RDWR), close(l->socket);
  l->memory = NULL, l->socket = -1;
}

/* Connects to "unix:PATH" or "shm:PATH" (PATH may begin with @: an abstract name). 0 or an errno: ENOENT, ECONNREFUSED
 * where nobody listens, EAGAIN where too many wait to be let in. Never waits. */
static inline int efl_connect(efl_link *l, const char *endpoint) {
  struct sockaddr_un address;
  memset(l, 0, sizeof *l), memset(&address, 0, sizeof address);
  l->socket = -1;
  l->is_shared = strncmp(endpoint, "shm:", 4) == 0;
  if (!l->is_shared && strncmp(endpoint, "unix:", 5) != 0) return EINVAL;
  const char *path = endpoint + (l->is_shared ? 4 : 5);
  if (strncmp(path, "//", 2) == 0) path += 2;
  const size_t length = strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return ENAMETOOLONG;
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path, length);
  socklen_t size = sizeof address;
  if (path[0] == '@') address.sun_path[0] = 0, size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  l->socket = socket(AF_UNIX, SOCK_STREAM, 0);
  if (l->socket < 0) return errno;
  fcntl(l->socket, F_SETFD, FD_CLOEXEC);
  fcntl(l->socket, F_SETFL, O_NONBLOCK);
  l->spin_ns = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 50000 : 0;
  const int code = connect(l->socket, (struct sockaddr *)&address, size) == 0 ? 0 : errno;
  fcntl(l->socket, F_SETFL, 0);
  if (code == 0) return 0;
  efl_close(l);
  return code;
}

static inline int efl_write(efl_link *l, const void *bytes, size_t size) {
  for (size_t sent = 0; sent < size;) {
    const ssize_t count = send(l->socket, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) return EFL_GONE;
    if (count > 0) sent += (size_t)count;
  }
  return 0;
}

/* Maps the memory that came with WELCOME; that of a HELLO that was said again is the same one and stays as it is. */
static inline int efl_attach(efl_link *l, int memory) {
  struct stat s;
  efl_head head;
  const int seals = fcntl(memory, 1034 /* F_GET_SEALS */);
  int ok = seals >= 0 && (seals & 2 /* F_SEAL_SHRINK */) && fstat(memory, &s) == 0 && s.st_size >= EFL_PAGE;
  if (ok && l->memory && l->identity == (uint64_t)s.st_ino) return close(memory), 0;
  void *start = ok ? mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) : MAP_FAILED;
  close(memory);
  if (start == MAP_FAILED) return EFL_BROKEN;
  if (l->memory) munmap(l->memory, l->size);
  memcpy(&head, start, sizeof head); /* read once, then checked */
  l->memory = (uint8_t *)start, l->size = (size_t)s.st_size, l->identity = (uint64_t)s.st_ino;
  l->request_size = head.request_size, l->answer_size = head.answer_size;
  l->posted = l->taken = l->slot = 0;
  const uint64_t limit = (uint64_t)1 << 40;
  ok = head.magic == EFL_RING && head.version == 1 && head.slots == EFL_SLOTS && head.request_size < limit
       && head.answer_size < limit
       && EFL_PAGE + EFL_SLOTS * (head.request_size + head.answer_size) == (uint64_t)s.st_size;
  return ok ? 0 : EFL_BROKEN;
}

/* Up to SIZE bytes of the socket that are there; a descriptor that comes along is mapped. 0: none. */
static inline ssize_t efl_read(efl_link *l, void *to, size_t size) {
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {to, size};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part, message.msg_iovlen = 1;
  message.msg_control = control.space, message.msg_controllen = sizeof control.space;
  const ssize_t count = recvmsg(l->socket, &message, MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : EFL_GONE;
  if (count == 0) return EFL_GONE;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS
      && head->cmsg_len == CMSG_LEN(sizeof(int))) {
    int memory;
    memcpy(&memory, CMSG_DATA(head), sizeof memory);
    fcntl(memory, F_SETFD, FD_CLOEXEC);
    if (!l->is_shared) return close(memory), count;
    if (efl_attach(l, memory) != 0) return EFL_BROKEN;
  }
  return count;
}

/* The next frame of the socket into TO: its size, 0 where it is not there as a whole, or EFL_.... What arrived of it
 * stays in TO, where the next call goes on. */
static inline long efl_read_frame(efl_link *l, void *to, size_t room) {
  for (;;) {
    const int is_length = l->arrived < 4;
    uint8_t *at = is_length ? (uint8_t *)&l->length + l->arrived : (uint8_t *)to + (l->arrived - 4);
    const ssize_t count = efl_read(l, at, (is_length ? 4 : 4 + (size_t)l->length) - l->arrived);
    if (count <= 0) return count;
    l->arrived += (size_t)count;
    if (l->arrived == 4 && l->length > room) return EFL_BROKEN;
    if (l->arrived == 4 && l->length == 0) l->arrived = 0; /* it only wakes */
    if (l->arrived < 4 || l->arrived < 4 + (size_t)l->length) continue;
    l->arrived = 0;
    return (long)l->length;
  }
}

/* Where the next frame may be written in place, LIMIT bytes, until efl_post sends it; NULL without shared memory, or
 * where the library stands still. */
static inline void *efl_frame(efl_link *l, size_t *limit) {
  if (!l->memory) return NULL;
  const uint32_t waiting = l->posted - __atomic_load_n(&efl_head_of(l)->library.taken, __ATOMIC_ACQUIRE);
  if (waiting >= EFL_SLOTS) return NULL;
  l->slot = waiting == 0 ? 0 : (l->slot + 1) % EFL_SLOTS; /* those that wait follow each other up to the last one */
  if (limit) *limit = l->request_size;
  return efl_request(l, l->slot);
}

/* Hands the SIZE bytes over that were written where efl_frame said; 1 where the library sleeps and is to be woken by
 * four zeros through the socket. */
static inline int efl_publish(efl_link *l, size_t size) {
  efl_head *head = efl_head_of(l);
  const uint32_t at = l->posted % EFL_SLOTS;
  __atomic_store_n(&head->plant.frames[at].slot, l->slot, __ATOMIC_RELAXED);
  __atomic_store_n(&head->plant.frames[at].size, (uint32_t)size, __ATOMIC_RELAXED);
  __atomic_store_n(&head->plant.posted, ++l->posted, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return __atomic_load_n(&head->library.asleep, __ATOMIC_ACQUIRE) != 0;
}

/* Sends the SIZE bytes that were written where efl_frame said. 0, or EFL_GONE. */
static inline int efl_post(efl_link *l, size_t size) {
  return efl_publish(l, size) ? efl_write(l, "\0\0\0", 4) : 0;
}

/* Sends a frame: HELLO, and every frame over unix, through the socket. 0, EFL_GONE, or EAGAIN where the library stands
 * still. */
static inline int efl_send(efl_link *l, const void *frame, size_t size) {
  size_t limit = 0;
  if (l->memory) {
    void *to = efl_frame(l, &limit);
    if (!to) return EAGAIN;
    if (size <= limit) return memcpy(to, frame, size), efl_post(l, size);
  }
  const uint32_t length = (uint32_t)size;
  return efl_write(l, &length, 4) == 0 ? efl_write(l, frame, size) : EFL_GONE;
}

/* An answer in shared memory, if there is one. A frame of the socket that has begun in TO comes first. */
static inline long efl_take(efl_link *l, void *to, size_t room) {
  if (l->arrived > 4) return 0;
  efl_head *head = efl_head_of(l);
  if (__atomic_load_n(&head->library.posted, __ATOMIC_ACQUIRE) == l->taken) return 0;
  const uint32_t at = l->taken % EFL_SLOTS;
  const uint32_t slot = __atomic_load_n(&head->library.frames[at].slot, __ATOMIC_RELAXED);
  const uint32_t size = __atomic_load_n(&head->library.frames[at].size, __ATOMIC_RELAXED);
  if (slot >= EFL_SLOTS || size > l->answer_size || size > room || size == 0) return EFL_BROKEN;
  memcpy(to, efl_answer(l, slot), size);
  __atomic_store_n(&head->plant.taken, ++l->taken, __ATOMIC_RELEASE);
  return (long)size;
}

/* Looks for an answer in shared memory for a while without sleeping: its size, 0, or EFL_BROKEN. A processor that
 * others want is theirs: after looks in vain 1, 2, 4, ... 64 answers are not looked for so. */
static inline long efl_look(efl_link *l, void *to, size_t room) {
  if (l->spin_ns == 0 || (l->rest > 0 && l->rest-- > 0)) return 0;
  const uint64_t until = efl_now() + l->spin_ns;
  do {
    for (int i = 0; i < 16; i++, efl_pause()) {
      const long size = efl_take(l, to, room);
      if (size != 0) return l->vain = 0, size;
    }
  } while (efl_now() < until);
  l->rest = l->vain = l->vain == 0 ? 1 : l->vain < 64 ? 2 * l->vain : 64;
  return 0;
}

/* Sleeps until EVENTS (POLLIN, POLLOUT) or MS milliseconds: the size of a frame in TO, 0, or EFL_.... */
static inline long efl_sleep(efl_link *l, void *to, size_t room, short events, int ms) {
  efl_head *head = l->memory ? efl_head_of(l) : NULL;
  long size = 0;
  if (head) {
    __atomic_store_n(&head->plant.asleep, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    size = efl_take(l, to, room);
  }
  if (size == 0) {
    struct pollfd item = {l->socket, events, 0};
    const int ready = poll(&item, 1, ms);
    if (ready < 0) size = errno == EINTR ? EFL_SIGNAL : EFL_GONE;
    if (ready > 0 && (item.revents & ~POLLOUT)) size = efl_read_frame(l, to, room);
  }
  /* WELCOME may have brought another memory */
  if (head && head == efl_head_of(l)) {
    __atomic_store_n(&head->plant.asleep, 0, __ATOMIC_RELAXED);
    if (size == 0) size = efl_take(l, to, room);
  }
  return size;
}

/* The next frame of the library into TO: its size, 0 where none comes within MS milliseconds, EFL_GONE, or
 * EFL_BROKEN. What arrived of a longer one stays in TO, where the next call goes on. */
static inline long efl_receive(efl_link *l, void *to, size_t room, int ms) {
  const uint64_t deadline = efl_now() + (uint64_t)ms * 1000000u;
  long size = l->memory ? efl_look(l, to, room) : 0;
  for (int is_late = 0; size == 0 && !is_late;) {
    const uint64_t now = efl_now();
    is_late = now >= deadline;
    size = efl_sleep(l, to, room, POLLIN, is_late ? 0 : (int)((deadline - now + 999999) / 1000000));
    if (size == EFL_SIGNAL) size = 0;
  }
  return size;
}

#endif
