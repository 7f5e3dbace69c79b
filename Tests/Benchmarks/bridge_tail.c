// The tail of a round trip at 200 Hz beside processes that burn the processors: bash Tests/Benchmarks/bridge.sh
//   bridge_tail MLP.onnx [BURNERS [BLOCKS [SECONDS]]]      blocks of SECONDS of each case by turns; all round trips
// Cases: the bridge's own thread and ZeroMQ's I/O thread as any other, and both at FIFO; so the plant's, which is a
// control loop. Beside them the same loop without a bridge: how late a thread at FIFO wakes is the machine's part; and
// bare ZeroMQ, a ROUTER on a thread that echoes, with the same threads at FIFO: what no bridge over ZeroMQ can mend.
// Ends with 1 where a bar of issue 12 is missed, with 2 where FIFO is not allowed here.
#define _GNU_SOURCE
#include <efferent/bridge.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "bridge_measure.h"
#include "bridge_plant.h"

enum { RATE = 200, PRIORITY = 50, BURNERS_MAX = 64 };
static const double BAR_US = 2000;

typedef struct {
  const char *name;
  const char *scheme;  // NULL: no bridge
  int bridge_fifo, plant_fifo, has_bar, is_bare;
  plant *plant;
  void *bare; /* the plant's socket of bare ZeroMQ */
  double *took;
  size_t count;
} row;

static int set_fifo(int on) {
  const struct sched_param p = {.sched_priority = on ? PRIORITY : 0};
  return sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &p);
}

static pid_t burners[BURNERS_MAX];
static int burner_count;

static void end_burners(void) {
  for (int i = 0; i < burner_count; i++) kill(burners[i], SIGKILL), waitpid(burners[i], NULL, 0);
}

static void begin_burners(int count) {
  for (; burner_count < count; burner_count++) {
    const pid_t child = fork();
    if (child < 0) fail("fork");
    burners[burner_count] = child;
    if (child > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile uint64_t turns = 0;; turns++) {}
  }
}

// ---- bare ZeroMQ ----

static void set_context_fifo(void *context) {
  zmq_ctx_set(context, ZMQ_THREAD_SCHED_POLICY, SCHED_FIFO), zmq_ctx_set(context, ZMQ_THREAD_PRIORITY, PRIORITY);
}

// The socket of a plant, beside a ROUTER whose threads run as those of the bridge would.
static void *bare(const row *r, const char *at, void *context) {
  void *served = zmq_ctx_new();
  if (r->bridge_fifo) set_context_fifo(served);
  void *router = zmq_socket(served, ZMQ_ROUTER), *made = zmq_socket(context, ZMQ_DEALER);
  char bound[256];
  size_t size = sizeof bound;
  if (zmq_bind(router, at) != 0 || zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, bound, &size) != 0) fail(at);
  pthread_t thread;
  if (pthread_create(&thread, NULL, echo, router) != 0) fail("thread");
  const struct sched_param p = {.sched_priority = PRIORITY};
  if (r->bridge_fifo && pthread_setschedparam(thread, SCHED_FIFO, &p) != 0) fail("FIFO");
  if (zmq_connect(made, bound) != 0) fail(bound);
  return made;
}

static double ask_bare(void *socket) {
  static char frame[256], answer[512];
  const uint64_t began = efl_now();
  if (zmq_send(socket, frame, sizeof frame, 0) < 0 || zmq_recv(socket, answer, sizeof answer, 0) < 0) fail("no echo");
  return (double)(efl_now() - began) / 1e3;
}

static void block(row *r, double seconds) {
  uint64_t due = efl_now() + 1000000000u / RATE;
  if (set_fifo(r->plant_fifo) != 0) fail("FIFO");
  for (int i = 0; i < (int)(seconds * RATE); i++, due += 1000000000u / RATE) {
    const struct timespec at = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {}
    r->took[r->count++] = r->plant  ? ask(r->plant, r->plant->frame, EFB_STEP, r->plant->size, EFB_ACT)
                          : r->bare ? ask_bare(r->bare)
                                    : (double)(efl_now() - due) / 1e3;
  }
  set_fifo(0);
}

int main(int argc, char **argv) {
  if (argc < 2) return printf("usage: bridge_tail MLP.onnx [BURNERS [BLOCKS [SECONDS]]]\n"), 2;
  const int count = argc > 2 ? atoi(argv[2]) : 3, blocks = argc > 3 ? atoi(argv[3]) : 4;
  const double seconds = argc > 4 ? atof(argv[4]) : 2;
  if (count < 0 || count > BURNERS_MAX || blocks < 1 || seconds <= 0) fail("0 to 64 burners, a block, a time");
  if (set_fifo(1) != 0) return puts("FIFO is not allowed here (RLIMIT_RTPRIO, CAP_SYS_NICE): not measured"), 2;
  set_fifo(0);
  row rows[] = {
      {.name = "no bridge: a FIFO thread wakes", .plant_fifo = 1},
      {.name = "tcp, no thread at FIFO", .scheme = "tcp"},
      {.name = "bare tcp, no thread at FIFO", .scheme = "tcp", .is_bare = 1},
      {.name = "tcp, the bridge's at FIFO", .scheme = "tcp", .bridge_fifo = 1, .has_bar = 1},
      {.name = "bare tcp, the server's at FIFO", .scheme = "tcp", .bridge_fifo = 1, .is_bare = 1},
      {.name = "tcp, the plant's too", .scheme = "tcp", .bridge_fifo = 1, .plant_fifo = 1, .has_bar = 1},
      {.name = "bare tcp, the plant's too", .scheme = "tcp", .bridge_fifo = 1, .plant_fifo = 1, .is_bare = 1},
      {.name = "tcp, the plant's alone", .scheme = "tcp", .plant_fifo = 1},
      {.name = "ipc, the bridge's at FIFO", .scheme = "ipc", .bridge_fifo = 1, .has_bar = 1},
      {.name = "bare ipc, the server's at FIFO", .scheme = "ipc", .bridge_fifo = 1, .is_bare = 1},
      {.name = "ipc, the plant's too", .scheme = "ipc", .bridge_fifo = 1, .plant_fifo = 1, .has_bar = 1},
      {.name = "bare ipc, the plant's too", .scheme = "ipc", .bridge_fifo = 1, .plant_fifo = 1, .is_bare = 1},
      {.name = "shm, no thread at FIFO", .scheme = "shm"},
      {.name = "shm, the bridge's at FIFO", .scheme = "shm", .bridge_fifo = 1, .has_bar = 1},
      {.name = "shm, the plant's too", .scheme = "shm", .bridge_fifo = 1, .plant_fifo = 1, .has_bar = 1},
  };
  enum { ROWS = sizeof rows / sizeof *rows };
  eff_policy *policy = NULL;
  eff_tensor_spec in = {.struct_size = sizeof in};
  if (eff_policy_load_file(argv[1], NULL, &policy) != EFF_OK || eff_policy_input(policy, 0, &in) != EFF_OK) {
    fail(argv[1]);
  }
  for (int i = 0; i < ROWS; i++) {
    row *r = &rows[i];
    r->took = (double *)calloc((size_t)(blocks + 1) * (size_t)(seconds * RATE + 1), sizeof(double));
    if (!r->scheme) continue;
    char at[64] = "tcp://127.0.0.1:*";
    void *context = NULL;
    const char *form = r->scheme[0] == 'i' ? "ipc://@efferent-tail-%d-%d" : "shm:@efferent-tail-%d-%d";
    if (r->scheme[0] != 't') snprintf(at, sizeof at, form, (int)getpid(), i);
    if (r->scheme[0] != 's') {
      context = zmq_ctx_new();
      if (r->plant_fifo) set_context_fifo(context);
    }
    if (r->is_bare) {
      r->bare = bare(r, at, context);
      continue;
    }
    r->plant = join(r->name, policy, in.count, at, context, 0, r->bridge_fifo ? PRIORITY : 0);
  }
  begin_burners(count);
  for (int b = -1; b < blocks; b++) {
    for (int i = 0; i < ROWS; i++) {
      block(&rows[i], seconds);
      if (b < 0) rows[i].count = 0;  // the first block warms up
    }
  }
  end_burners();
  int missed = 0;
  printf("%d processes burn, %d Hz\n", count, RATE);
  for (int i = 0; i < ROWS; i++) {
    row *r = &rows[i];
    const double middle = quantile(r->took, r->count, 0.5), tail = quantile(r->took, r->count, 0.99);
    const int is_met = tail <= BAR_US;
    printf("%-32s p50 %8.1f us, p99 %8.1f us, most %9.1f us of %zu%s\n", r->name, middle, tail, r->took[r->count - 1],
           r->count, !r->has_bar ? "" : is_met ? "; bar 2000 us: met" : "; bar 2000 us: MISSED");
    missed |= r->has_bar && !is_met;
  }
  fflush(stdout);
  _exit(missed);  // bridges go with the process
}
