/* A plant on bare libzmq (cc plant.c -lzmq) for one f32 observation and action: ENDPOINT [STEPS] */
#include <err.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

enum { HELLO = 1, RESET = 3, STEP = 5, ERR = 7, BYE = 8, FIXED = 0x0100 };
static struct { /* a frame, as in Sources/Bridge/PROTOCOL.md */
  uint32_t magic;
  uint8_t version, type;
  uint16_t flags;
  uint32_t step_time_us, episode;
  uint64_t session, seq, ref_seq, monotonic_ns, simulation_ns;
  uint32_t ttl_us, crc32c;
  union { float number; uint32_t word; } body[1 << 18];
} sent = {.magic = 0x42464645, .version = 2}, answer;
static void *dealer;

/* Sends a frame, the same bytes every 100 ms for 5 s, and returns the size of its answer. */
static int ask(uint8_t type, int size) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  sent.monotonic_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
  sent.type = type, sent.flags = type == HELLO ? FIXED : 0, sent.seq++;
  for (int tries = 0, count; tries < 50; tries++) {
    zmq_send(dealer, &sent, (size_t)size, 0);
    while ((count = zmq_recv(dealer, &answer, sizeof answer, 0)) >= 0) { /* waits for 100 ms */
      if (answer.ref_seq != sent.seq) continue; /* a PING, or a late answer */
      if (answer.type != ERR || answer.body[2].word > 0) return count;
      errx(1, "refused: %.*s", count - 80, (char *)&answer.body[4]);
    }
  }
  errx(1, "no answer");
}

int main(int argc, char **argv) {
  const int wait_ms = 100, steps = argc > 2 ? atoi(argv[2]) : 10;
  void *context = zmq_ctx_new();
  dealer = zmq_socket(context, ZMQ_DEALER);
  const size_t id[2] = {(size_t)context << 8 | 1, (size_t)time(NULL)}; /* better: random bytes */
  zmq_setsockopt(dealer, ZMQ_ROUTING_ID, id, sizeof id); /* who comes back is the same plant */
  zmq_setsockopt(dealer, ZMQ_LINGER, &wait_ms, sizeof wait_ms);
  zmq_setsockopt(dealer, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
  if (argc < 2 || zmq_connect(dealer, argv[1]) != 0) errx(2, "usage: plant ENDPOINT [STEPS]");
  sent.body[0].word = 0x00040202, sent.body[1].word = 1; /* version 2, no checksum, one row */
  while (ask(HELLO, 128), answer.type == ERR) zmq_poll(NULL, 0, 50); /* until the place is free */
  const int size = (int)answer.body[6].word, seen = (size - 64) / 4; /* of STEP */
  if (size < 64 || size > (int)sizeof sent) errx(1, "STEP of %d bytes", size);
  sent.session = answer.session, sent.episode = 1;
  ask(RESET, 64);
  for (int i = 0; i < steps; i++) {
    for (int k = 0; k < seen; k++) sent.body[k].number = (i + k) % 5 / 4.0f; /* your sensors */
    const int done = (ask(STEP, size) - 64) / 4;
    for (int k = 0; k < done; k++) printf("%.9g ", answer.body[k].number); /* your motors */
    puts("");
  }
  sent.type = BYE, sent.seq++;
  zmq_send(dealer, &sent, 64, 0);
  return zmq_close(dealer) || zmq_ctx_term(context); /* waits until BYE has left */
}
