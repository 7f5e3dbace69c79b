// Round trips without ZeroMQ beside bare ones: bash Tests/Benchmarks/bridge.sh
//   bridge_local MLP.onnx WIDE.onnx [BLOCKS [CALLS]]
// Blocks of CALLS round trips of each way by turns; medians of the blocks.
// Bare: two threads that wake each other by futex; a ROUTER on a thread that echoes; a Unix socket that echoes; two
// threads that look for each other's frames in memory without sleeping, of which one writes them and the other copies
// them, which is the floor of shm. WIDE has 64 kB of observation, of which it reads little, so that what is measured
// is the way. "in place": the plant wrote the observation where the bridge reads it, before the clock began; "and
// written": the clock has that too. Ends with 1 where a bar of issue 12 is missed.
#define _GNU_SOURCE
#include <efferent/bridge.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "bridge_measure.h"
#include "bridge_plant.h"

// ---- bare ways ----

static uint32_t words[2 * 64];  // a line each
static char shared_bytes[2][256];

static void futex_wait(uint32_t *word, uint32_t seen) {
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == seen) syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}
static void futex_post(uint32_t *word) {
  __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
static void *futex_echo(void *unused) {
  for (uint32_t seen = 0;; seen++) {
    futex_wait(&words[0], seen);
    if (shared_bytes[0][0]) return unused;
    memcpy(shared_bytes[1], shared_bytes[0], 256);
    futex_post(&words[64]);
  }
}
static void *socket_echo(void *p) {
  char bytes[256];
  const int fd = *(int *)p;
  for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, MSG_WAITALL)) > 0;)
    if (send(fd, bytes, (size_t)n, 0) < 0) break;
  return NULL;
}
// words: a frame is there, its answer, bytes of the frame; blocks are begun by the futex, so that nobody looks in vain
static uint32_t turn[4 * 64];
static _Alignas(4096) char seen[ROOM], kept[ROOM];
static void *memory_echo(void *unused) {
  for (uint32_t begun = 0;; begun++) {
    futex_wait(&turn[0], begun);
    for (uint32_t calls = turn[192], at = turn[128]; calls > 0; calls--) {
      while (__atomic_load_n(&turn[64], __ATOMIC_ACQUIRE) == at) efl_pause();
      at++;
      memcpy(kept, seen, turn[129]);
      __atomic_store_n(&turn[128], at, __ATOMIC_RELEASE);
    }
  }
  return unused;
}
static double memory_step(size_t size, int writes) {
  static char observation[ROOM];
  static int value;
  memset(writes ? observation : seen, value++, size);
  const uint64_t began = efl_now();
  if (writes) memcpy(seen, observation, size);
  const uint32_t next = turn[64] + 1;
  __atomic_store_n(&turn[64], next, __ATOMIC_RELEASE);
  while (__atomic_load_n(&turn[128], __ATOMIC_ACQUIRE) != next) efl_pause();
  return (double)(efl_now() - began) / 1e3;
}
static void memory_begin(size_t size, int calls) {
  turn[129] = (uint32_t)size, turn[192] = (uint32_t)calls;
  futex_post(&turn[0]);
}
static void *router_echo(void *socket) {
  char identity[256], bytes[512];
  for (;;) {
    int count = zmq_recv(socket, identity, sizeof identity, 0), size = zmq_recv(socket, bytes, sizeof bytes, 0);
    if (count < 0 || size <= 1) return NULL;
    zmq_send(socket, identity, (size_t)count, ZMQ_SNDMORE), zmq_send(socket, bytes, 256, 0);
  }
}

// ---- the ways ----

static double step(plant *p) {
  char *place = p->socket ? NULL : (char *)efl_frame(&p->link, NULL);
  if (!place) place = p->frame;
  if (!p->writes && !p->socket) memset(place + 64, (int)p->state.seq, p->size - 64);
  return ask(p, place, EFB_STEP, p->size, EFB_ACT);
}

// ---- the table ----

enum {
  FUTEX, SOCKET, RAW_IPC, IPC, UNIX, SHM, SHM_WRITTEN, WIDE, WIDE_WRITTEN, MEMORY, MEMORY_WIDE, MEMORY_WIDE_WRITTEN,
  WAYS
};
static const char *names[] = {
    "bare futex",      "bare unix socket",   "bare ZeroMQ ipc",       "ipc",         "unix", "shm in place",
    "shm and written", "shm 64 kB in place", "shm 64 kB and written", "bare memory", "bare memory, 64 kB",
    "the same, written"};

int main(int argc, char **argv) {
  if (argc < 3) return printf("usage: bridge_local MLP.onnx WIDE.onnx [BLOCKS [CALLS]]\n"), 2;
  const int blocks = argc > 3 ? atoi(argv[3]) : 60, calls = argc > 4 ? atoi(argv[4]) : 500;
  eff_policy *policies[2];
  eff_tensor_spec in[2] = {{.struct_size = sizeof *in}, {.struct_size = sizeof *in}};
  for (int i = 0; i < 2; i++)
    if (eff_policy_load_file(argv[1 + i], NULL, &policies[i]) != EFF_OK
        || eff_policy_input(policies[i], 0, &in[i]) != EFF_OK)
      fail(argv[1 + i]);
  char at[WAYS][64];
  for (int i = 0; i < WAYS; i++) {
    const char *scheme = i <= IPC ? "ipc://" : i == UNIX ? "unix:" : "shm:";
    snprintf(at[i], sizeof *at, "%s@efferent-local-%d-%d", scheme, (int)getpid(), i);
  }

  void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER), *echo = zmq_socket(context, ZMQ_ROUTER);
  if (zmq_bind(echo, at[RAW_IPC]) != 0 || zmq_connect(raw, at[RAW_IPC]) != 0) fail(at[RAW_IPC]);
  int pair[2];
  pthread_t thread;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) fail("socketpair");
  pthread_create(&thread, NULL, futex_echo, NULL), pthread_create(&thread, NULL, socket_echo, &pair[1]),
      pthread_create(&thread, NULL, router_echo, echo), pthread_create(&thread, NULL, memory_echo, NULL);
  plant *plants[WAYS] = {
      [IPC] = join(names[IPC], policies[0], in[0].count, at[IPC], context, 0, 0),
      [UNIX] = join(names[UNIX], policies[0], in[0].count, at[UNIX], NULL, 0, 0),
      [SHM] = join(names[SHM], policies[0], in[0].count, at[SHM], NULL, 0, 0),
      [SHM_WRITTEN] = join(names[SHM_WRITTEN], policies[0], in[0].count, at[SHM_WRITTEN], NULL, 1, 0),
      [WIDE] = join(names[WIDE], policies[1], in[1].count, at[WIDE], NULL, 0, 0),
      [WIDE_WRITTEN] = join(names[WIDE_WRITTEN], policies[1], in[1].count, at[WIDE_WRITTEN], NULL, 1, 0),
  };

  static double middle[WAYS][1000], took[100000], tail[WAYS];
  char bytes[256] = {0};
  uint32_t turns = 0;
  if (blocks > 1000 || calls > 100000) fail("at most 1000 blocks of 100000 calls");
  for (int b = -1; b < blocks; b++) {
    for (int k = 0; k < WAYS; k++) {
      const int way = (k + b + WAYS) % WAYS;
      const size_t bare = way == MEMORY ? 256 : 1 << 16;
      if (way >= MEMORY) memory_begin(bare, calls);
      for (int i = 0; i < calls; i++) {
        const uint64_t began = efl_now();
        if (way >= MEMORY) {
          took[i] = memory_step(bare, way == MEMORY_WIDE_WRITTEN);
          continue;
        }
        if (way == FUTEX) {
          memcpy(shared_bytes[0], bytes, 256), futex_post(&words[0]), futex_wait(&words[64], turns++),
              memcpy(bytes, shared_bytes[1], 256);
        } else if (way == SOCKET) {
          if (send(pair[0], bytes, 256, 0) != 256 || recv(pair[0], bytes, 256, MSG_WAITALL) != 256) fail("no echo");
        } else if (way == RAW_IPC) {
          if (zmq_send(raw, bytes, 256, 0) < 0 || zmq_recv(raw, bytes, 256, 0) < 1) fail("no echo");
        } else {
          took[i] = step(plants[way]);
          continue;
        }
        took[i] = (double)(efl_now() - began) / 1e3;
      }
      if (b < 0) continue;  // the first block warms up
      middle[way][b] = quantile(took, (size_t)calls, 0.5), tail[way] += took[calls * 99 / 100] / blocks;
    }
  }
  double p50[WAYS];
  for (int way = 0; way < WAYS; way++) {
    p50[way] = quantile(middle[way], (size_t)blocks, 0.5);
    const size_t size = plants[way] ? plants[way]->size : way > MEMORY ? 1 << 16 : 256;
    printf("%-22s %6zu B  p50 %7.2f us, p99 %8.2f us\n", names[way], size, p50[way],
           tail[way]);
  }
  printf("shm at 256 B as a multiple of bare memory: %.2f; at 64 kB in place %.2f, and written %.2f\n",
         p50[SHM] / p50[MEMORY], p50[WIDE] / p50[MEMORY_WIDE], p50[WIDE_WRITTEN] / p50[MEMORY_WIDE_WRITTEN]);
  printf("bare memory at 64 kB as a multiple of itself at 256 B: %.2f\n", p50[MEMORY_WIDE] / p50[MEMORY]);
  int missed = 0;
  const struct {
    const char *what;
    double found, limit;
  } bars[] = {{"shm at 256 B, us", p50[SHM_WRITTEN], 10},
              {"shm at 256 B as a part of ipc", p50[SHM_WRITTEN] / p50[IPC], 0.25},
              {"shm at 64 kB in place as a multiple of 256 B", p50[WIDE] / p50[SHM], 1.5}};
  for (size_t i = 0; i < sizeof bars / sizeof *bars; i++) {
    const int met = bars[i].found <= bars[i].limit;
    missed |= !met;
    printf("bar: %s: %.2f, at most %.2f: %s\n", bars[i].what, bars[i].found, bars[i].limit, met ? "met" : "MISSED");
  }
  fflush(stdout);
  _exit(missed);  // bridges and echoes go with the process
}
