/* The receiver's ways to a bridge of this machine without ZeroMQ: unix and shm, over efferent_local.h. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "receiver_link.h"

#if defined(__linux__)
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "efferent_frame.h"
#include "efferent_local.h"

typedef struct {
  efr_link base;
  efl_link way;
  char *endpoint;
  unsigned char *rest; /* of a frame of which the socket took a part */
  size_t rest_size, rest_sent;
  int is_sent, is_shared; /* the newest frame went; by the memory that both share */
  int is_awaited;         /* its answer was not looked for yet */
} local;

static void destroy(efr_link *link, int linger_ms) {
  local *l = (local *)link;
  (void)linger_ms; /* what was sent reaches the library after the end too */
  efl_close(&l->way);
  free(l->rest);
  free(l->endpoint);
  free(l);
}

static eff_status create(const eff_receiver_options *options, size_t room, efr_link **out) {
  const char *endpoint = options->endpoint;
  if (options->context) {
    return efr_fail(EFF_E_ARGUMENT,
                    "endpoint '%s': unix and shm do without ZeroMQ, found a context, expected NULL", endpoint);
  }
  const char *path = strchr(endpoint, ':') + 1;
  if (strncmp(path, "//", 2) == 0) path += 2;
  const size_t length = strlen(path), limit = sizeof((struct sockaddr_un *)0)->sun_path - 1;
  if (length <= (path[0] == '@') || length > limit) {
    return efr_fail(EFF_E_ARGUMENT, "endpoint '%s': a path of %zu bytes, expected 1 to %zu", endpoint, length, limit);
  }
  local *l = calloc(1, sizeof *l);
  if (l) l->base.transport = &efr_local, l->way.socket = -1;
  if (l) l->endpoint = malloc(strlen(endpoint) + 1), l->rest = malloc(4 + room);
  if (!l || !l->endpoint || !l->rest) {
    if (l) destroy(&l->base, 0);
    return efr_fail(EFF_E_MEMORY, "no memory for %zu bytes of frames", room);
  }
  memcpy(l->endpoint, endpoint, strlen(endpoint) + 1);
  *out = &l->base;
  return EFF_OK;
}

static int open_link(efr_link *link) {
  local *l = (local *)link;
  efl_close(&l->way);
  l->rest_size = l->rest_sent = 0, l->is_sent = l->is_shared = l->is_awaited = 0;
  const int code = efl_connect(&l->way, l->endpoint);
  link->is_open = code == 0;
  if (code == 0) return EFR_NONE;
  if (code == ENOENT || code == ECONNREFUSED || code == EAGAIN) return EFR_ABSENT;
  return efr_fail(EFF_E_IO, "endpoint '%s': %s", l->endpoint, strerror(code));
}

/* Sends what is left of a frame; 1 where nothing is. */
static int flush(local *l) {
  while (l->rest_sent < l->rest_size) {
    const size_t left = l->rest_size - l->rest_sent;
    const ssize_t count = send(l->way.socket, l->rest + l->rest_sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count <= 0) return 0; /* who is gone is told by receive */
    l->rest_sent += (size_t)count;
  }
  l->rest_size = l->rest_sent = 0;
  return 1;
}

/* Sends a frame through the socket; a part that it does not take is kept. */
static int put(local *l, const void *frame, size_t size) {
  uint32_t length = (uint32_t)size;
  struct iovec parts[2] = {{&length, sizeof length}, {(void *)(uintptr_t)frame, size}};
  const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  const ssize_t sent = sendmsg(l->way.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent <= 0) return 0;
  if ((size_t)sent == sizeof length + size) return 1;
  memcpy(l->rest, &length, sizeof length);
  memcpy(l->rest + sizeof length, frame, size);
  l->rest_size = sizeof length + size, l->rest_sent = (size_t)sent;
  return 1;
}

/* Whether the library has read the newest frame. */
static int was_taken(local *l) {
  if (l->is_shared) return __atomic_load_n(&efl_head_of(&l->way)->library.taken, __ATOMIC_ACQUIRE) == l->way.posted;
  int waiting = 0;
  return ioctl(l->way.socket, TIOCOUTQ, &waiting) == 0 && waiting == 0;
}

static int send_frame(efr_link *link, const void *frame, size_t size, int is_repetition) {
  local *l = (local *)link;
  if (!link->is_open || !flush(l)) return 0;
  /* no frame is lost on these ways: where it was taken, its answer may have found no place */
  if (is_repetition && l->is_sent && !was_taken(l)) return 0;
  efb_header h;
  memcpy(&h, frame, sizeof h);
  l->is_shared = l->way.memory && h.type != EFB_HELLO && h.type != EFB_BYE && size <= l->way.request_size;
  l->is_sent = 0;
  if (l->is_shared) {
    void *place = efl_frame(&l->way, NULL);
    if (!place) return 0; /* the library stands still */
    memcpy(place, frame, size);
    /* a socket that is full wakes by what it has to be read */
    if (efl_publish(&l->way, size)) send(l->way.socket, "\0\0\0", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (!put(l, frame, size)) {
    return 0;
  }
  l->is_sent = l->is_awaited = 1;
  return 1;
}

static int receive(efr_link *link, void *to, size_t room, int32_t ms, size_t *size) {
  local *l = (local *)link;
  long count = 0;
  if (l->is_awaited && ms > 0 && l->way.memory) count = efl_look(&l->way, to, room);
  l->is_awaited = 0;
  if (count == 0) count = efl_sleep(&l->way, to, room, (short)(flush(l) ? POLLIN : POLLIN | POLLOUT), ms);
  if (count > 0) return *size = (size_t)count, EFR_FRAME;
  if (count == 0) return EFR_NONE;
  if (count == EFL_SIGNAL) return EFR_SIGNAL;
  efl_close(&l->way);
  link->is_open = 0;
  if (count == EFL_GONE) return EFR_ENDED;
  return efr_fail(EFF_E_FORMAT,
                  "endpoint '%s': a frame above %zu bytes, or shared memory of another form, expected those of "
                  "protocol version 2",
                  l->endpoint, room);
}

const efr_transport efr_local = {create, open_link, send_frame, receive, destroy};
#else
static eff_status create(const eff_receiver_options *options, size_t room, efr_link **out) {
  (void)room, (void)out;
  return efr_fail(EFF_E_UNSUPPORTED, "endpoint '%s': unix and shm are for Linux", options->endpoint);
}

const efr_transport efr_local = {.create = create};
#endif
