// Round trips of the bridge beside raw ZeroMQ over the same sockets: bash Tests/Benchmarks/bridge.sh
//   bridge_bench MLP.onnx [BLOCKS [CALLS]]
// Per transport: blocks of CALLS round trips, the bridge's and raw ones by turns; medians of the blocks.
// Raw: a ROUTER on a thread that echoes (blocking zmq_recv), and the same DEALER client, which sends and receives the
// same number of bytes. Ends with 1 where a bar of issue 12 is missed. SPIN_US: eff_bridge_options.spin_us.
#define _GNU_SOURCE
#include <efferent/bridge.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "../../examples/plants/efferent_frame.h"
#include "bridge_measure.h"

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

typedef struct {
  void *socket;
  efb_header state;
  size_t step_size;
  char *frame, answer[1 << 17];
} plant;

static void ask(plant *p, int type, size_t size, int wanted) {
  efb_header h = p->state;
  h.type = (uint8_t)type, h.seq = ++p->state.seq, h.monotonic_ns = now_ns();
  efb_write(p->frame, size, h, 0);
  if (zmq_send(p->socket, p->frame, size, 0) != (int)size || zmq_recv(p->socket, p->answer, sizeof p->answer, 0) < 64)
    fail("no answer");
  memcpy(&h, p->answer, sizeof h);
  if (h.type != wanted) fail("another answer");
  p->state.session = h.session;
}

// ---- raw ZeroMQ ----

typedef struct {
  void *socket;
  size_t answer_size;
  char buffer[1 << 17];
} echo;

static void *serve(void *argument) {
  echo *e = (echo *)argument;
  char identity[256];
  while (1) {
    int count = zmq_recv(e->socket, identity, sizeof identity, 0);
    int size = zmq_recv(e->socket, e->buffer, sizeof e->buffer, 0);
    if (count < 0 || size <= 1) break;
    zmq_send(e->socket, identity, (size_t)count, ZMQ_SNDMORE);
    zmq_send(e->socket, e->buffer, e->answer_size, 0);
  }
  return NULL;
}

static double *block(plant *p, int raw, int calls, size_t size, double *took) {
  for (int i = 0; i < calls; i++) {
    uint64_t began = now_ns();
    if (raw) {
      if (zmq_send(p->socket, p->frame, size, 0) < 0 || zmq_recv(p->socket, p->answer, sizeof p->answer, 0) < 1)
        fail("no echo");
    } else {
      ask(p, EFB_STEP, size, EFB_ACT);
    }
    took[i] = (double)(now_ns() - began) / 1e3;
  }
  return took;
}

static plant *client(void *context, const char *endpoint, size_t room) {
  plant *p = (plant *)calloc(1, sizeof *p);
  int zero = 0, wait = 5000;
  p->frame = (char *)calloc(1, room + 4096);
  p->socket = zmq_socket(context, ZMQ_DEALER);
  zmq_setsockopt(p->socket, ZMQ_LINGER, &zero, sizeof zero);
  zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
  if (zmq_connect(p->socket, endpoint) != 0) fail(endpoint);
  return p;
}

// The median ratio of the blocks; 1 where it is above `bar`.
static int measure(const char *name, eff_session *session, size_t seen, size_t done, const char *at,
                   const char *raw_at, int blocks, int calls, double bar) {
  const int shared = strcmp(name, "inproc") == 0;
  void *context = shared ? zmq_ctx_new() : NULL;
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = at, options.context = context, options.checksum = 1;
  if (getenv("SPIN_US")) options.spin_us = atoi(getenv("SPIN_US"));
  eff_bridge *bridge = NULL;
  if (eff_bridge_create(session, &options, &bridge) != EFF_OK || eff_bridge_start(bridge) != EFF_OK) fail(at);
  void *plants = shared ? context : zmq_ctx_new();
  const size_t size = 64 + 4 * seen;
  plant *p = client(plants, eff_bridge_endpoint(bridge), size);
  static const char hello[] = "\x82\xA7" "version\x92\x02\x02\xA8" "checksum\xA4" "none";
  memcpy(p->frame + 64, hello, sizeof hello - 1);
  ask(p, EFB_HELLO, 64 + sizeof hello - 1, EFB_WELCOME);

  void *raw_context = zmq_ctx_new();
  static echo e;
  e.answer_size = 64 + 4 * done, e.socket = zmq_socket(raw_context, ZMQ_ROUTER);
  char bound[256];
  size_t length = sizeof bound;
  if (zmq_bind(e.socket, raw_at) != 0 || zmq_getsockopt(e.socket, ZMQ_LAST_ENDPOINT, bound, &length) != 0) fail(raw_at);
  pthread_t thread;
  pthread_create(&thread, NULL, serve, &e);
  void *raw_plants = shared ? raw_context : zmq_ctx_new();
  plant *r = client(raw_plants, bound, size);

  double *took = (double *)calloc((size_t)calls, sizeof *took), *ours = (double *)calloc((size_t)blocks, sizeof *ours);
  double *raw = (double *)calloc((size_t)blocks, sizeof *raw), *ratio = (double *)calloc((size_t)blocks, sizeof *ratio),
         tail = 0, raw_tail = 0;
  // it looks after its connections at every frame until nobody has come for a second
  for (const uint64_t began = now_ns(); now_ns() - began < 1500000000u;)
    block(p, 0, calls, size, took), block(r, 1, calls, size, took);
  for (int i = 0; i < blocks; i++) {
    for (int k = 0; k < 2; k++) {
      const int is_raw = (i + k) & 1;
      double middle = quantile(block(is_raw ? r : p, is_raw, calls, size, took), (size_t)calls, 0.5);
      if (is_raw) raw[i] = middle, raw_tail += took[calls * 99 / 100];
      else ours[i] = middle, tail += took[calls * 99 / 100];
    }
    ratio[i] = ours[i] / raw[i];
  }
  const double found = quantile(ratio, (size_t)blocks, 0.5);
  eff_bridge_stats stats = {.struct_size = sizeof stats};
  eff_bridge_read_stats(bridge, &stats);
  const double run = stats.run.count ? (double)stats.run.sum / (double)stats.run.count / 1e3 : 0;
  printf("%-7s %6zu B  bridge %6.1f us (the policy's %.1f), raw %6.1f us, ratio %.3f; p99 %7.1f and %7.1f us; "
         "bar %.2f: %s\n",
         name, size, quantile(ours, (size_t)blocks, 0.5), run, quantile(raw, (size_t)blocks, 0.5), found, tail / blocks,
         raw_tail / blocks, bar, found <= bar ? "met" : "MISSED");
  fflush(stdout);
  free(took), free(ours), free(raw), free(ratio);
  zmq_send(r->socket, "", 1, 0);
  pthread_join(thread, NULL);
  zmq_close(r->socket), zmq_close(e.socket), zmq_close(p->socket);
  if (raw_plants != raw_context) zmq_ctx_term(raw_plants);
  zmq_ctx_term(raw_context);
  free(p->frame), free(p), free(r->frame), free(r);
  eff_bridge_destroy(bridge);
  zmq_ctx_term(plants);
  return found > bar;
}

int main(int argc, char **argv) {
  if (argc < 2) return printf("usage: bridge_bench MLP.onnx [BLOCKS [CALLS]]\n"), 2;
  const int blocks = argc > 2 ? atoi(argv[2]) : 60, calls = argc > 3 ? atoi(argv[3]) : 500;
  eff_policy *policy = NULL;
  eff_session *session = NULL;
  eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
  if (eff_policy_load_file(argv[1], NULL, &policy) != EFF_OK || eff_session_create(policy, NULL, &session) != EFF_OK ||
      eff_policy_input(policy, 0, &in) != EFF_OK || eff_policy_output(policy, 0, &out) != EFF_OK) fail(argv[1]);
  char path[64], raw_path[64];
  snprintf(path, sizeof path, "ipc://@efferent-bench-%d", (int)getpid());
  snprintf(raw_path, sizeof raw_path, "ipc://@efferent-bench-raw-%d", (int)getpid());
  const double bar = in.count < 100 ? 1.03 : 1.05;
  const char *any = "tcp://127.0.0.1:*";
  int missed = measure("inproc", session, in.count, out.count, "inproc://bridge", "inproc://raw", blocks, calls, 1.1);
  missed |= measure("ipc", session, in.count, out.count, path, raw_path, blocks, calls, bar);
  missed |= measure("tcp", session, in.count, out.count, any, any, blocks, calls, bar);
  eff_session_destroy(session);
  eff_policy_release(policy);
  return missed;
}
