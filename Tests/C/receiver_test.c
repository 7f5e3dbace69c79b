// The receiver against a real bridge: the control thread's calls allocate nothing, and two threads share actions that
// are whole.
//   receiver_test MLP.onnx           over tcp, unix and shm; under the thread sanitizer the same without counting
//   receiver_test MLP.onnx ENDPOINT  serves there until it is killed
// With LOCAL_ONLY it is linked with efferent::receiver_local, which has no libzmq.
// MLP.onnx has one f32 observation and one f32 action.
#define _GNU_SOURCE
#include <efferent/bridge.h>
#include <efferent/receiver.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/plants/efferent_frame.h"
#include "../../examples/plants/efferent_local.h"
#include "check.h"

enum { KINDS = 64, SEEN = 64 };

static eff_policy *policy;
static eff_session *session, *twin;
static size_t seen, done;
static float observations[KINDS][SEEN], expected[KINDS][SEEN];

// ---- an allocator that counts the calls of a thread that is armed ----

static _Thread_local int armed;
static long counted;

#if !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
void *malloc(size_t size) { return counted += armed, __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return counted += armed, __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return counted += armed, __libc_realloc(p, size); }
void free(void *p) { counted += armed && p, __libc_free(p); }
#else
// the sanitizer's own wants a size that is a multiple of the alignment, as C11 did
void *aligned_alloc(size_t align, size_t size) {
  void *p = NULL;
  return posix_memalign(&p, align, size) == 0 ? p : NULL;
}
#endif

static void pause_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

static eff_bridge *serve(const char *endpoint) {
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = endpoint;
  eff_bridge *bridge = NULL;
  if (eff_bridge_create(session, &options, &bridge) != EFF_OK) printf("%s\n", eff_last_error());
  CHECK(bridge && eff_bridge_start(bridge) == EFF_OK);
  return bridge;
}

static eff_receiver *receive(const char *endpoint) {
  eff_receiver_options options;
  eff_receiver_options_default(&options, sizeof options);
  options.endpoint = endpoint, options.observation_size = seen * sizeof(float),
  options.action_size = done * sizeof(float);
  eff_receiver *receiver = NULL;
  if (eff_receiver_create(&options, &receiver) != EFF_OK) printf("%s\n", eff_receiver_last_error());
  CHECK(receiver != NULL);
  return receiver;
}

// Which observation an action answers; -1: none.
static int kind_of(const float *action) {
  for (int i = 0; i < KINDS; i++) {
    if (memcmp(action, expected[i], done * sizeof(float)) == 0) return i;
  }
  return -1;
}

// Whether a way does without ZeroMQ, which allocates.
static int is_local(const char *endpoint) { return endpoint[0] != 't'; }

static void test_one_thread_posts_polls_and_reads(const char *endpoint) {
  eff_bridge *bridge = serve(endpoint);
  eff_receiver *r = receive(eff_bridge_endpoint(bridge));
  float action[SEEN];
  uint64_t age = 0;
  int32_t kind = 0;
  CHECK(eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_E_STATE);
  int same = 0;
  for (int i = 0; i < KINDS; i++) {
    armed = is_local(endpoint);
    CHECK(eff_receiver_post(r, observations[i], seen * sizeof(float)) == EFF_OK);
    for (int tries = 0; tries < 100 && kind != EFF_RECEIVER_ACTION; tries++) {
      CHECK(eff_receiver_poll(r, 100, &kind) == EFF_OK);
    }
    kind = 0;
    same += eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_OK && kind_of(action) == i
            && age < 5000000000u;
    armed = 0;
  }
  CHECK(same == KINDS);
  CHECK(counted == 0);
  eff_receiver_stats stats = {.struct_size = sizeof stats};
  CHECK(eff_receiver_read_stats(r, &stats) == EFF_OK && stats.actions == KINDS && stats.connects == 1
        && stats.connected == 1);
  printf("%s: %d round trips by one thread, the last one took %.0f us\n", endpoint, KINDS,
         (double)stats.round_trip_ns / 1e3);
  eff_receiver_destroy(r);
  eff_bridge_destroy(bridge);
}

static atomic_int ending;

static void *link_thread(void *receiver) {
  while (!atomic_load(&ending)) eff_receiver_poll((eff_receiver *)receiver, 20, NULL);
  return NULL;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// The control thread posts and reads every half millisecond: each action is whole, its age is that of the observation
// which it answers, and none is older than the one before.
static void test_two_threads_share_no_lock(const char *endpoint, int ticks) {
  enum { TICKS = 4000 };
  static uint64_t began[TICKS], ended[TICKS];  // of each post
  eff_bridge *bridge = serve(endpoint);
  atomic_store(&ending, 0);
  eff_receiver *r = receive(eff_bridge_endpoint(bridge));
  pthread_t thread;
  pthread_create(&thread, NULL, link_thread, r);
  float action[SEEN];
  uint64_t age = 0;
  int wrong = 0, changes = 0, newest = 0;
  eff_receiver_stats stats = {.struct_size = sizeof stats};
  armed = 1;
  eff_receiver_reset(r);
  for (int i = 0; i < ticks; i++) {
    began[i] = now_ns();
    CHECK(eff_receiver_post(r, observations[i % KINDS], seen * sizeof(float)) == EFF_OK);
    ended[i] = now_ns();
    const uint64_t before = ended[i];
    if (eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_OK) {
      const uint64_t after = now_ns();
      const int kind = kind_of(action);
      int tick = i;  // the post of that kind at that time
      while (tick >= newest && (tick % KINDS != kind || ended[tick] < before - age || began[tick] > after - age))
        tick--;
      wrong += kind < 0 || tick < newest;
      changes += tick > newest;
      if (tick > newest) newest = tick;
    }
    eff_receiver_read_stats(r, &stats);
    nanosleep(&(struct timespec){0, 500000}, NULL);
  }
  armed = 0;
  CHECK(wrong == 0);
  CHECK(changes > ticks / 20);
  CHECK(counted == 0);
  CHECK(stats.connects == 1 && stats.resets == 1 && stats.steps >= stats.actions && stats.posts == (uint64_t)ticks);
  printf("%s: %d posts and reads beside the link's thread: %d new actions, %ld allocations\n", endpoint, ticks, changes,
         counted);
  atomic_store(&ending, 1);
  pthread_join(thread, NULL);
  eff_receiver_destroy(r);
  eff_bridge_destroy(bridge);
}

static void test_allocations_are_counted(void) {
  armed = 1;
  free(malloc(1));
  armed = 0;
#if !defined(__SANITIZE_THREAD__)
  CHECK(counted == 2);
#endif
  counted = 0;
}

static void test_age_grows_while_nobody_answers(const char *endpoint) {
  eff_bridge *bridge = serve(endpoint);
  eff_receiver *r = receive(eff_bridge_endpoint(bridge));
  float action[SEEN];
  uint64_t age = 0;
  int32_t kind = 0;
  eff_receiver_post(r, observations[0], seen * sizeof(float));
  while (kind != EFF_RECEIVER_ACTION) CHECK(eff_receiver_poll(r, 1000, &kind) == EFF_OK);
  CHECK(eff_bridge_stop(bridge) == EFF_OK);  // its host stands still
  for (int i = 0; i < 30; i++) {
    eff_receiver_post(r, observations[1], seen * sizeof(float));
    eff_receiver_poll(r, 10, &kind);
    CHECK(kind == EFF_RECEIVER_NONE);
  }
  CHECK(eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_OK && kind_of(action) == 0
        && age >= 250000000);
  CHECK(eff_bridge_start(bridge) == EFF_OK);
  while (kind != EFF_RECEIVER_ACTION) CHECK(eff_receiver_poll(r, 1000, &kind) == EFF_OK);
  CHECK(eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_OK && kind_of(action) == 1
        && age < 250000000);
  eff_bridge_destroy(bridge);
  for (int i = 0; i < 100 && kind != EFF_RECEIVER_LOST; i++) CHECK(eff_receiver_poll(r, 50, &kind) == EFF_OK);
  CHECK(kind == EFF_RECEIVER_LOST);  // it said goodbye
  pause_ms(1);
  eff_receiver_destroy(r);
}

// A bridge in a process of its own.
static pid_t begin_server(const char *model, const char *endpoint) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ready[1], 1);
    execl("/proc/self/exe", "receiver_test", model, endpoint, (char *)NULL);
    _exit(1);
  }
  close(ready[1]);
  char byte;
  CHECK(child > 0 && read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  return child;
}

// Without a goodbye: the end of the connection says it, long before lost_ms, and another server is found.
static void test_a_server_that_is_killed_is_noticed_at_once(const char *model, const char *endpoint) {
  pid_t server = begin_server(model, endpoint);
  eff_receiver *r = receive(endpoint);
  float action[SEEN];
  int32_t kind = 0;
  eff_receiver_reset(r);
  eff_receiver_post(r, observations[0], seen * sizeof(float));
  for (int i = 0; i < 100 && kind != EFF_RECEIVER_ACTION; i++) CHECK(eff_receiver_poll(r, 100, &kind) == EFF_OK);
  for (int round = 0; round < 2; round++) {
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    const uint64_t began = now_ns();
    for (int i = 0; i < 100 && kind != EFF_RECEIVER_LOST; i++) CHECK(eff_receiver_poll(r, 100, &kind) == EFF_OK);
    const uint64_t took = now_ns() - began;
    CHECK(kind == EFF_RECEIVER_LOST && took < 500000000);
    uint64_t age = 0;
    CHECK(eff_receiver_latest(r, action, done * sizeof(float), &age) == EFF_OK && kind_of(action) == round);
    for (int i = 0; i < 5; i++) CHECK(eff_receiver_poll(r, 10, &kind) == EFF_OK && kind == EFF_RECEIVER_NONE);
    server = begin_server(model, endpoint);
    eff_receiver_post(r, observations[round + 1], seen * sizeof(float));
    for (int i = 0; i < 100 && kind != EFF_RECEIVER_ACTION; i++) CHECK(eff_receiver_poll(r, 100, &kind) == EFF_OK);
    CHECK(eff_receiver_latest(r, action, done * sizeof(float), NULL) == EFF_OK && kind_of(action) == round + 1);
    printf("%s: a server that was killed is noticed after %.1f ms\n", endpoint, (double)took / 1e6);
  }
  eff_receiver_stats stats = {.struct_size = sizeof stats};
  CHECK(eff_receiver_read_stats(r, &stats) == EFF_OK && stats.connects == 3 && stats.losts == 2 && stats.resets == 3);
  eff_receiver_destroy(r);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
}

static long step_of(efl_link *way, efb_header *state, int type, const void *body, size_t size, void *answer) {
  uint8_t frame[512];
  efb_header h = *state;
  h.type = (uint8_t)type, h.flags = type == EFB_HELLO ? EFB_FIXED : 0, h.monotonic_ns = efl_now();
  memcpy(frame + sizeof h, body, size);
  efb_write(frame, sizeof h + size, h, 0);
  CHECK(efl_send(way, frame, sizeof h + size) == 0);
  if (type == EFB_HELLO) CHECK(efl_send(way, frame, sizeof h + size) == 0);  // again: an answer seemed lost
  return efl_receive(way, answer, 4096, 5000);
}

// The second WELCOME brings the same memory: what was counted in it goes on.
static void test_a_repeated_hello_keeps_the_memory(const char *endpoint) {
  eff_bridge *bridge = serve(endpoint);
  static uint8_t answer[4096];
  efl_link way;
  efb_header state = {.seq = 1}, found;
  const efb_hello hello = {.oldest = 2, .newest = 2, .options = EFB_NO_CHECKSUM, .rows = 1};
  CHECK(efl_connect(&way, endpoint) == 0);
  CHECK(step_of(&way, &state, EFB_HELLO, &hello, sizeof hello, answer) == 128);
  memcpy(&found, answer, sizeof found);
  state.session = found.session;
  int welcomes = 1, actions = 0;
  for (int i = 0; i < 8; i++) {
    pause_ms(2);
    state.seq++;
    long size = step_of(&way, &state, EFB_STEP, observations[i], seen * sizeof(float), answer);
    for (; size > 0; size = efl_receive(&way, answer, sizeof answer, 100)) {
      memcpy(&found, answer, sizeof found);
      welcomes += found.type == EFB_WELCOME;
      if (found.type != EFB_ACT || found.ref_seq != state.seq) continue;
      actions += memcmp(answer + sizeof found, expected[i], done * sizeof(float)) == 0;
      break;
    }
    // what came through the socket is read where nothing else is
    const long late = efl_receive(&way, answer, sizeof answer, 0);
    memcpy(&found, answer, sizeof found);
    welcomes += late > 0 && found.type == EFB_WELCOME;
  }
  CHECK(welcomes == 2);
  CHECK(actions == 8);
  efl_close(&way);
  eff_bridge_destroy(bridge);
}

static void test_options_of_these_ways_are_checked(void) {
  char long_path[300];
  snprintf(long_path, sizeof long_path, "unix:/%0250d", 0);
  const struct {
    const char *endpoint;
    void *context;
    const char *key, *says;
  } wrong[] = {{"unix:", NULL, NULL, "a path of 0 bytes"},
               {"shm:@", NULL, NULL, "a path of 1 bytes"},
               {long_path, NULL, NULL, "a path of 251 bytes, expected 1 to 107"},
               {"unix:/x", (void *)long_path, NULL, "do without ZeroMQ, found a context"},
               {"shm:/x", NULL, "0123456789012345678901234567890123456789", "keys are for tcp"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    eff_receiver_options options;
    eff_receiver_options_default(&options, sizeof options);
    options.observation_size = options.action_size = 4;
    options.endpoint = wrong[i].endpoint, options.context = wrong[i].context, options.server_key = wrong[i].key;
    eff_receiver *r = NULL;
    CHECK(eff_receiver_create(&options, &r) == EFF_E_ARGUMENT && !r);
    CHECK(strstr(eff_receiver_last_error(), wrong[i].says) != NULL);
  }
}

#if defined(LOCAL_ONLY)
static void test_other_ways_are_refused_by_name(void) {
  eff_receiver_options options;
  eff_receiver_options_default(&options, sizeof options);
  options.endpoint = "tcp://127.0.0.1:5555", options.observation_size = options.action_size = 4;
  eff_receiver *r = NULL;
  CHECK(eff_receiver_create(&options, &r) == EFF_E_UNSUPPORTED && !r);
  CHECK(strstr(eff_receiver_last_error(), "built without ZeroMQ") != NULL);
}
#endif

int main(int argc, char **argv) {
  if (argc < 2) return printf("usage: receiver_test MLP.onnx [ENDPOINT]\n"), 2;
  eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
  if (eff_policy_load_file(argv[1], NULL, &policy) != EFF_OK || eff_session_create(policy, NULL, &session) != EFF_OK ||
      eff_session_create(policy, NULL, &twin) != EFF_OK || eff_policy_input(policy, 0, &in) != EFF_OK ||
      eff_policy_output(policy, 0, &out) != EFF_OK) {
    return printf("%s: %s\n", argv[1], eff_last_error()), 1;
  }
  if (argc > 2) {
    serve(argv[2]);
    if (write(1, "", 1) != 1) return 1;
    while (1) pause();
  }
  seen = in.count, done = out.count;
  CHECK(seen <= SEEN && done <= SEEN);
  for (int i = 0; i < KINDS; i++) {
    for (size_t k = 0; k < seen; k++) observations[i][k] = (float)(i + 1) / KINDS - (float)k / 7;
    CHECK(eff_session_step(twin, 1, observations[i], expected[i]) == EFF_OK);
  }
  char unix_way[64], shm_way[64];
  snprintf(unix_way, sizeof unix_way, "unix:@efferent-receiver-%d", (int)getpid());
  snprintf(shm_way, sizeof shm_way, "shm:@efferent-receiver-%d", (int)getpid());
  test_allocations_are_counted();
  test_options_of_these_ways_are_checked();
  const char *ways[] = {"tcp://127.0.0.1:*", unix_way, shm_way};
  int first = 0, ticks = 2000;
#if defined(LOCAL_ONLY)
  test_other_ways_are_refused_by_name();
  first = 1, ticks = 200;
#endif
  for (int i = first; i < 3; i++) {
    test_one_thread_posts_polls_and_reads(ways[i]);
    test_two_threads_share_no_lock(ways[i], i == 0 ? 4000 : ticks);
    test_age_grows_while_nobody_answers(ways[i]);
    if (i > 0) test_a_repeated_hello_keeps_the_memory(ways[i]);
    if (i > 0) test_a_server_that_is_killed_is_noticed_at_once(argv[1], ways[i]);
  }
  eff_session_destroy(twin);
  eff_session_destroy(session);
  eff_policy_release(policy);
  return check_report();
}
