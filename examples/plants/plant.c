/* A plant on bare libzmq: connects to a bridge, steps a policy of one f32 observation and one f32 action, prints the actions.
 *   cc plant.c -lzmq -o plant && ./plant tcp://127.0.0.1:5555 [STEPS] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "efferent_frame.h"

static unsigned char frame[1 << 20], answer[1 << 20];
static void *link_socket;
static efb_header state; /* session, episode, seq */

static uint64_t now_ns(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC); /* any clock will do that never stands still */
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Sends a frame until it is answered, the same bytes each time, at most 50 times 100 ms. Ends the program where it is refused. */
static size_t ask(int type, size_t size, int wanted) {
  efb_header h = state;
  h.type = (uint8_t)type, h.flags = type == EFB_HELLO ? EFB_FIXED : 0, h.monotonic_ns = now_ns();
  for (int tries = 0; tries < 50; tries++) {
    if (tries == 0) h.seq = ++state.seq, efb_write(frame, size, h, 0);
    zmq_send(link_socket, frame, size, 0);
    efb_header found;
    int count;
    while ((count = zmq_recv(link_socket, answer, sizeof answer, 0)) >= 0) {
      if (!efb_read(answer, (size_t)count, 0, &found) || found.ref_seq != state.seq) continue; /* a PING, or a late answer */
      if (found.type == wanted) return state.session = found.session, (size_t)count;
      efb_error e;
      memcpy(&e, answer + 64, sizeof e);
      fprintf(stderr, "refused: %.*s\n", count - 80, (const char *)answer + 80);
      if (e.wait_ms == 0) exit(1);
      nanosleep(&(struct timespec){0, (long)e.wait_ms * 1000000}, NULL); /* another plant is connected */
      tries = -1; /* a new number: a refusal is not repeated */
      break;
    }
  }
  fprintf(stderr, "no answer\n");
  exit(1);
}

int main(int argc, char **argv) {
  const int steps = argc > 2 ? atoi(argv[2]) : 10, wait_ms = 100;
  void *context = zmq_ctx_new();
  link_socket = zmq_socket(context, ZMQ_DEALER);
  uint64_t id[2] = {now_ns() << 8 | 1, (uint64_t)(size_t)frame}; /* the connection that comes back is the same plant; use 16 random bytes */
  zmq_setsockopt(link_socket, ZMQ_ROUTING_ID, id, sizeof id);
  zmq_setsockopt(link_socket, ZMQ_LINGER, &wait_ms, sizeof wait_ms), zmq_setsockopt(link_socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
  if (argc < 2 || zmq_connect(link_socket, argv[1]) != 0) return fprintf(stderr, "usage: plant ENDPOINT [STEPS]\n"), 2;

  efb_hello hello = {.oldest = 2, .newest = 2, .options = EFB_NO_CHECKSUM, .rows = 1};
  efb_welcome welcome;
  memcpy(frame + 64, &hello, sizeof hello);
  ask(EFB_HELLO, 64 + sizeof hello, EFB_WELCOME);
  memcpy(&welcome, answer + 64, sizeof welcome);
  state.episode = 1;
  ask(EFB_RESET, 64, EFB_ACK);
  for (int i = 0; i < steps; i++) {
    float *observation = (float *)(void *)(frame + 64), *action = (float *)(void *)(answer + 64);
    for (size_t k = 0; k < (welcome.step_size - 64) / 4; k++) observation[k] = (float)((i + (int)k) % 5) / 4; /* your sensors */
    size_t count = (ask(EFB_STEP, welcome.step_size, EFB_ACT) - 64) / 4;
    for (size_t k = 0; k < count; k++) printf("%.9g%c", (double)action[k], k + 1 < count ? ' ' : '\n'); /* your motors */
  }
  state.seq++, state.type = EFB_BYE;
  efb_write(frame, 64, state, 0);
  zmq_send(link_socket, frame, 64, 0);
  zmq_close(link_socket);
  return zmq_ctx_term(context); /* waits until BYE has left */
}
