/* What receiver.c asks of a way to a bridge. Each way is one file: receiver_zeromq.c (tcp, ipc, inproc),
 * receiver_local.c (unix, shm). All of it belongs to the thread that polls. */
#ifndef EFFERENT_RECEIVER_LINK_H
#define EFFERENT_RECEIVER_LINK_H

#include <efferent/receiver.h>

/* What became of opening and receiving, beside a negative eff_status whose words efr_fail has kept. */
enum {
  EFR_NONE = 0,   /* opened; nothing arrived in time */
  EFR_FRAME = 1,
  EFR_SIGNAL = 2, /* ended the wait */
  EFR_ENDED = 3,  /* the connection is over */
  EFR_ABSENT = 4  /* nobody listens */
};

typedef struct efr_transport efr_transport;

/* The first member of each way's own struct. */
typedef struct {
  const efr_transport *transport;
  int is_open;
} efr_link;

struct efr_transport {
  /* Takes memory for frames of up to `room` bytes that are sent, and checks the options of this way. */
  eff_status (*create)(const eff_receiver_options *options, size_t room, efr_link **out);
  /* A fresh connection in place of the old one: EFR_NONE, EFR_ABSENT or a status. */
  int (*open)(efr_link *link);
  /* Sends a frame, or the same one again where it may be lost; never waits. 1 where it went. */
  int (*send)(efr_link *link, const void *frame, size_t size, int is_repetition);
  /* The next frame into `to`, of which at most `room` bytes are kept, within `ms` milliseconds. The same `to` each
   * time: a frame may arrive in parts. */
  int (*receive)(efr_link *link, void *to, size_t room, int32_t ms, size_t *size);
  /* Closes and frees; what was sent last has up to `linger_ms` to leave. */
  void (*destroy)(efr_link *link, int linger_ms);
};

/* visibility: a library that has the receiver in it shows no more than eff_receiver_... */
#define EFR_HIDDEN __attribute__((visibility("hidden")))
EFR_HIDDEN extern const efr_transport efr_zeromq, efr_local;

/* Keeps the words of this thread's failure. */
EFR_HIDDEN __attribute__((format(printf, 2, 3))) eff_status efr_fail(eff_status status, const char *format, ...);

#endif
