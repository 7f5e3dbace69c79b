/* A plant on bare libzmq, a Unix socket or shared memory, for the benchmarks of the bridge. Include it after the
 * headers of the C library, <zmq.h>, and bridge_measure.h. */
#pragma once
#include "../../examples/plants/efferent_frame.h"
#include "../../examples/plants/efferent_local.h"

enum { ROOM = 1 << 17 };

typedef struct {
  const char *name;
  eff_bridge *bridge;
  eff_session *session;
  void *socket;  // of ZeroMQ
  efl_link link;
  efb_header state;
  size_t size;
  int writes;  // the clock has the writing of the observation too
  char frame[ROOM], answer[ROOM], observation[ROOM];
} plant;

// The frame at PLACE, whose body is there, and its answer; microseconds.
static inline double ask(plant *p, char *place, int type, size_t size, int wanted) {
  efb_header h = p->state;
  const uint64_t began = efl_now();
  if (p->writes && type == EFB_STEP) memcpy(place + 64, p->observation, size - 64);
  h.type = (uint8_t)type, h.seq = ++p->state.seq, h.monotonic_ns = began, h.flags = type == EFB_HELLO ? EFB_FIXED : 0;
  efb_write(place, size, h, 0);
  long count;
  if (p->socket) {
    zmq_send(p->socket, place, size, 0), count = zmq_recv(p->socket, p->answer, ROOM, 0);
  } else {
    if ((place == p->frame ? efl_send(&p->link, place, size) : efl_post(&p->link, size)) != 0) fail("not sent");
    count = efl_receive(&p->link, p->answer, ROOM, 5000);
  }
  const double took = (double)(efl_now() - began) / 1e3;
  if (count < 64) fail("no answer");
  memcpy(&h, p->answer, sizeof h);
  if (h.type != wanted) fail("another answer");
  p->state.session = h.session;
  return took;
}

// A plant with a bridge of its own. `context`: its ZeroMQ context; NULL over unix and shm. `thread_priority`: FIFO for
// the bridge's threads; 0: as this process.
static inline plant *join(const char *name, eff_policy *policy, size_t count, const char *endpoint, void *context,
                          int writes, int thread_priority) {
  plant *p = (plant *)calloc(1, sizeof *p);
  p->name = name, p->size = 64 + 4 * count, p->writes = writes;
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = endpoint, options.checksum = 1;
  if (thread_priority > 0) options.thread_policy = EFF_BRIDGE_THREAD_FIFO, options.thread_priority = thread_priority;
  if (eff_session_create(policy, NULL, &p->session) != EFF_OK
      || eff_bridge_create(p->session, &options, &p->bridge) != EFF_OK || eff_bridge_start(p->bridge) != EFF_OK)
    fail(endpoint);
  if (context) {
    int wait = 5000, zero = 0;
    p->socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &wait, sizeof wait),
        zmq_setsockopt(p->socket, ZMQ_LINGER, &zero, sizeof zero);
    if (zmq_connect(p->socket, eff_bridge_endpoint(p->bridge)) != 0) fail(endpoint);
  } else if (efl_connect(&p->link, endpoint) != 0) {
    fail(endpoint);
  }
  efb_hello hello = {.oldest = 2, .newest = 2, .options = EFB_NO_CHECKSUM, .rows = 1};
  memcpy(p->frame + 64, &hello, sizeof hello);
  ask(p, p->frame, EFB_HELLO, 64 + sizeof hello, EFB_WELCOME);
  return p;
}

// A thread of a bare ROUTER that answers each frame with as many bytes as a small ACT has, until its context ends.
static inline void *echo(void *socket) {
  char identity[256], bytes[512];
  for (;;) {
    const int count = zmq_recv(socket, identity, sizeof identity, 0), size = zmq_recv(socket, bytes, sizeof bytes, 0);
    if (count < 0 || size < 0) return NULL;
    zmq_send(socket, identity, (size_t)count, ZMQ_SNDMORE), zmq_send(socket, bytes, 112, 0);
  }
}
