// The bridge from C: a tick allocates nothing in Efferent, and how long a round trip takes.
//   bridge_test MLP.onnx      CALLS in the environment: round trips per transport (2000)
// MLP.onnx has one f32 observation and one f32 action. The plant here is the smallest that speaks
// Sources/Bridge/PROTOCOL.md.
#define _GNU_SOURCE
#include <efferent/bridge.h>
#include <errno.h>
#include <link.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>
// libefferent is built without <zmq.h>: a constant that differs from the real one is an error here
#include "../../Sources/CZeroMQ/include/constants.h"
_Static_assert(sizeof(zmq_pollitem_t) == 16, "as in Sources/CZeroMQ/include/zeromq.h");
_Static_assert(offsetof(zmq_pollitem_t, fd) == 8 && offsetof(zmq_pollitem_t, events) == 12, "as in zeromq.h");
_Static_assert(offsetof(zmq_pollitem_t, revents) == 14, "as in zeromq.h");

#include "../../examples/plants/efferent_local.h"
#include "check.h"

// ---- an allocator that counts the calls that come from libefferent itself ----

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static uintptr_t library_start, library_end;
static volatile int armed;
static long counted;

static void count(const void *caller) {
  if (armed && (uintptr_t)caller >= library_start && (uintptr_t)caller < library_end) counted++;
}
void *malloc(size_t size) { return count(__builtin_return_address(0)), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return count(__builtin_return_address(0)), __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return count(__builtin_return_address(0)), __libc_realloc(p, size); }
void *aligned_alloc(size_t align, size_t size) {
  return count(__builtin_return_address(0)), __libc_memalign(align, size);
}
int posix_memalign(void **out, size_t align, size_t size) {
  count(__builtin_return_address(0));
  *out = __libc_memalign(align, size);
  return *out ? 0 : ENOMEM;
}
void free(void *p) {
  count(__builtin_return_address(0));
  __libc_free(p);
}

static int find_library(struct dl_phdr_info *info, size_t size, void *user) {
  (void)size, (void)user;
  if (strstr(info->dlpi_name, "libefferent") == NULL) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
      library_start = info->dlpi_addr + p->p_vaddr;
      library_end = library_start + p->p_memsz;
    }
  }
  return 1;
}

// ---- a plant ----

enum { HELLO = 1, WELCOME = 2, RESET = 3, ACK = 4, STEP = 5, ACT = 6, BYE = 8 };

typedef struct {
  uint32_t magic;
  uint8_t version, type;
  uint16_t flags;
  uint32_t step_time_us, episode;
  uint64_t session, seq, ref_seq, monotonic_ns, simulation_ns;
  uint32_t ttl_us, crc32c;
} header; // little-endian machines only, as the test

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t crc(uint32_t state, const unsigned char *p, size_t n) {
  static uint32_t table[256];
  if (table[1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t v = i;
      for (int k = 0; k < 8; k++) v = v >> 1 ^ (v & 1 ? 0x82F63B78u : 0);
      table[i] = v;
    }
  }
  while (n--) state = state >> 8 ^ table[(state ^ *p++) & 255];
  return state;
}

static uint32_t checksum(const unsigned char *frame, size_t size) {
  return ~crc(crc(~0u, frame, 60), frame + 64, size - 64);
}

typedef struct {
  void *socket;  // of ZeroMQ; NULL: the way is local
  efl_link local;
  header state;
  unsigned char frame[1 << 16], answer[1 << 16];
} plant;

static void send_frame(plant *p, int type, size_t size) {
  header h = p->state;
  h.magic = 0x42464645, h.version = 2, h.type = (uint8_t)type, h.seq = ++p->state.seq, h.monotonic_ns = now_ns(),
  h.crc32c = 0;
  memcpy(p->frame, &h, sizeof h);
  h.crc32c = checksum(p->frame, size);
  memcpy(p->frame, &h, sizeof h);
  if (p->socket) {
    CHECK(zmq_send(p->socket, p->frame, size, 0) == (int)size);
  } else {
    CHECK(efl_send(&p->local, p->frame, size) == 0);
  }
}

// The type of the answer, verified; 0 where there is none.
static int receive(plant *p, int *size) {
  header h;
  *size = p->socket ? zmq_recv(p->socket, p->answer, sizeof p->answer, 0) : (int)efl_receive(&p->local, p->answer, sizeof p->answer, 5000);
  if (*size < 64) return 0;
  memcpy(&h, p->answer, sizeof h);
  if ((h.crc32c != 0 && h.crc32c != checksum(p->answer, (size_t)*size)) || h.ref_seq != p->state.seq) return 0;
  if (h.type == WELCOME) p->state.session = h.session;
  return h.type;
}

static plant *plant_open(void *context, const char *endpoint) {
  plant *p = (plant *)calloc(1, sizeof *p);
  int zero = 0, wait = 5000;
  const int is_local = strncmp(endpoint, "unix:", 5) == 0 || strncmp(endpoint, "shm:", 4) == 0;
  if (is_local) CHECK(efl_connect(&p->local, endpoint) == 0);
  p->socket = is_local ? NULL : zmq_socket(context, ZMQ_DEALER);
  if (p->socket) {
    zmq_setsockopt(p->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    CHECK(zmq_connect(p->socket, endpoint) == 0);
  }
  static const unsigned char hello[] = "\x81\xA7" "version\x92\x02\x02";
  memcpy(p->frame + 64, hello, sizeof hello - 1);
  send_frame(p, HELLO, 64 + sizeof hello - 1);
  return p;
}

static void plant_close(plant *p) {
  if (p->socket) zmq_close(p->socket);
  else efl_close(&p->local);
  free(p);
}

// ---- the tests ----

static eff_policy *policy;
static eff_session *session, *twin;
static size_t seen, done;

static eff_bridge *bridge_open(const char *endpoint, void *context) {
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = endpoint, options.context = context;
  eff_bridge *bridge = NULL;
  if (eff_bridge_create(session, &options, &bridge) != EFF_OK) printf("%s\n", eff_last_error());
  CHECK(bridge != NULL);
  return bridge;
}

static void test_a_tick_allocates_nothing(const char *endpoint, void *context) {
  eff_bridge *bridge = bridge_open(endpoint, context);
  plant *p = plant_open(context, endpoint);
  eff_bridge_event event = {.struct_size = sizeof event};
  int size;
  counted = 0, armed = 1;
  CHECK(eff_bridge_poll(bridge, 1000, &event) == EFF_OK && event.kind == EFF_BRIDGE_HELLO);
  armed = 0;
  CHECK(counted > 0); // a handshake allocates: the library's calls do arrive here
  CHECK(receive(p, &size) == WELCOME);
  counted = 0;
  float *x = (float *)(void *)(p->frame + 64), action[256];
  int same = 1, kinds = 1;
  for (int i = 0; i < 2000; i++) {
    for (size_t k = 0; k < seen; k++) x[k] = (float)((i + (int)k) % 17) / 9.0f - 1.0f;
    int refused = i % 10 == 9; // refusals as well
    if (refused) p->state.episode++;
    if (i % 100 == 50) {
      p->state.episode++;
      send_frame(p, RESET, 64);
    } else {
      send_frame(p, STEP, 64 + seen * sizeof(float));
    }
    armed = 1;
    eff_status status = eff_bridge_poll(bridge, 1000, &event);
    armed = 0;
    int type = receive(p, &size);
    kinds &= status == EFF_OK
             && event.kind
                    == (refused         ? EFF_BRIDGE_DROP
                        : i % 100 == 50 ? EFF_BRIDGE_RESET
                                        : EFF_BRIDGE_STEP);
    if (refused) p->state.episode--;
    if (type != ACT) continue;
    CHECK(eff_session_step(twin, 1, x, action) == EFF_OK);
    same &= memcmp(action, p->answer + 64, done * sizeof(float)) == 0;
  }
  CHECK(kinds);
  CHECK(same);
  CHECK(counted == 0);
  printf("%s: 2000 ticks, resets and refusals: %ld allocations and frees in Efferent\n", endpoint, counted);
  plant_close(p);
  eff_bridge_destroy(bridge);
  if (context) zmq_ctx_term(context);
}

// The controller of three joints whose network is the policy; NULL where the policy has another shape.
static eff_controller *controller_open(void) {
  char text[2048];
  eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
  if (eff_policy_input(policy, 0, &in) || eff_policy_output(policy, 0, &out) || in.count != 7 || out.count != 3)
    return NULL;
  snprintf(text, sizeof text,
           "{\"efferent_card\": 1, \"policy_period\": 0.02, \"joint_order\": [\"a\", \"b\", \"c\"], \"joints\": {"
           "\"a\": {\"default\": 0, \"kp\": 20, \"kd\": 1}, \"b\": {\"default\": 0, \"kp\": 20, \"kd\": 1},"
           "\"c\": {\"default\": 0, \"kp\": 20, \"kd\": 1}}, \"models\": [{\"name\": \"policy\", \"inputs\": {\"%s\": "
           "{\"from\": \"vector:obs\"}}, \"outputs\": {\"%s\": {\"to\": \"action\"}}}], \"vectors\": {\"obs\": "
           "{\"layout\": \"term_major\", \"terms\": ["
           "{\"name\": \"q\", \"op\": \"joint_position\", \"size\": 3, \"ages\": [0]},"
           "{\"name\": \"v\", \"op\": \"joint_velocity\", \"size\": 3, \"ages\": [0]},"
           "{\"name\": \"one\", \"op\": \"constant\", \"size\": 1, \"ages\": [0], \"value\": [1.0]}]}}, \"actions\": "
           "[{\"name\": \"legs\", \"type\": \"position\", \"model\": \"policy\", \"output\": \"%s\", \"joints\": "
           "[\"a\", \"b\", \"c\"], \"index\": [0, 1, 2], \"scale\": 0.25, \"offset\": \"default\"}]}",
           in.name, out.name, out.name);
  eff_card *card = NULL;
  eff_controller *controller = NULL;
  const char *joints[] = {"c", "a", "b"};
  eff_controller_model model = {"policy", policy};
  eff_controller_options options;
  eff_controller_options_default(&options, sizeof options);
  options.joints = joints, options.joint_count = 3, options.models = &model, options.model_count = 1;
  CHECK(eff_card_load_memory(text, strlen(text), NULL, &card) == EFF_OK);
  if (eff_controller_create(card, &options, &controller) != EFF_OK) printf("%s\n", eff_last_error());
  eff_card_release(card);
  CHECK(controller != NULL);
  return controller;
}

// Raw signals in, targets out: a plant that does not know units and joints is refused, one that has the schema gets
// what a controller here gives.
static void test_a_controllers_tick_allocates_nothing(const char *endpoint) {
  enum { ERR = 7, POSITION = 64, VELOCITY = 128, NOW = 192, STAMP = 256, STEP_SIZE = 264, ACT_SIZE = 216 };
  eff_controller *served = controller_open(), *here = controller_open();
  CHECK(served && here);  // the policy has 7 observations and 3 actions
  if (!served || !here) return;
  double q[3], v[3], targets[3];
  const eff_signal_binding position = {sizeof position, "joint.position", q, 0, NULL, 3, EFF_F64, 0, "rad", NULL, 0};
  const eff_signal_binding velocity = {sizeof velocity, "joint.velocity", v, 0, NULL, 3, EFF_F64, 0, "rad/s", NULL, 0};
  const eff_target_binding target = {sizeof target, EFF_TARGET_POSITION, EFF_F64, targets, 0, NULL, 3};
  CHECK(eff_controller_bind(here, &position) == EFF_OK && eff_controller_bind(here, &velocity) == EFF_OK);
  CHECK(eff_controller_bind_target(here, &target) == EFF_OK && eff_controller_start(here) == EFF_OK);
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = endpoint;
  eff_bridge *bridge = NULL, *second = NULL;
  if (eff_bridge_create_controller(served, &options, &bridge) != EFF_OK) printf("%s\n", eff_last_error());
  CHECK(bridge && eff_bridge_create_controller(served, NULL, &second) == EFF_E_STATE && second == NULL);
  plant *p = plant_open(NULL, endpoint);
  eff_bridge_event event = {.struct_size = sizeof event};
  int size;
  CHECK(eff_bridge_poll(bridge, 1000, &event) == EFF_OK && event.reason == EFF_BRIDGE_MISMATCH);
  CHECK(receive(p, &size) == ERR && strstr((char *)p->answer + 80, "joints: not told by the plant, expected 'c', 'a', 'b'"));
  static const unsigned char guess[] = "\x82\xA7" "version\x92\x02\x02\xA6" "schema\xCF\0\0\0\0\0\0\0\1";
  unsigned char *hello = p->frame + 64;
  memcpy(hello, guess, sizeof guess - 1);
  send_frame(p, HELLO, 64 + sizeof guess - 1);
  CHECK(eff_bridge_poll(bridge, 1000, &event) == EFF_OK && receive(p, &size) == ERR);
  p->answer[size] = 0;
  const char *found = strstr((char *)p->answer + 80, "found ");
  uint64_t schema = found ? strtoull(found + 6, NULL, 10) : 0;
  for (int i = 7; i >= 0; i--, schema >>= 8) hello[sizeof guess - 9 + (size_t)i] = (unsigned char)schema;
  send_frame(p, HELLO, 64 + sizeof guess - 1);
  CHECK(eff_bridge_poll(bridge, 1000, &event) == EFF_OK && receive(p, &size) == WELCOME);
  int same = 1, kinds = 1;
  counted = 0;
  for (int i = 0; i < 2000; i++) {
    if (i % 100 == 50) {
      p->state.episode++;
      send_frame(p, RESET, 64);
      CHECK(eff_controller_reset(here) == EFF_OK);
    } else {
      const int64_t now = (int64_t)(i % 100 < 50 ? i : i - 50) * 20000000, stamp = now;  // begins anew with an episode
      for (int k = 0; k < 3; k++) q[k] = (i + k) % 17 / 9.0 - 1, v[k] = (i + k) % 13 / 7.0 - 1;
      if (i % 10 == 9) q[1] = NAN;  // refused by the guard, answered by the fallback
      memcpy(p->frame + POSITION, q, sizeof q), memcpy(p->frame + VELOCITY, v, sizeof v);
      memcpy(p->frame + NOW, &now, sizeof now), memcpy(p->frame + STAMP, &stamp, sizeof stamp);
      send_frame(p, STEP, STEP_SIZE);
      (void)eff_controller_stamp(here, -1, stamp);
      CHECK((eff_controller_tick(here, now, NULL) == EFF_OK) == (i % 10 != 9));
    }
    armed = 1;
    eff_status status = eff_bridge_poll(bridge, 1000, &event);
    armed = 0;
    const int type = receive(p, &size);
    kinds &= status == EFF_OK && event.kind == (i % 100 == 50 ? EFF_BRIDGE_RESET : EFF_BRIDGE_STEP);
    if (type == ACT) same &= size == ACT_SIZE && memcmp(targets, p->answer + 64, sizeof targets) == 0;
  }
  CHECK(kinds && same && counted == 0);
  printf("%s: 2000 ticks of a controller: %ld allocations and frees in Efferent\n", endpoint, counted);
  plant_close(p);
  // the controller is nobody's afterwards, or dies first
  eff_bridge_destroy(bridge);
  CHECK(eff_controller_tick(served, 0, NULL) == EFF_E_STATE);
  CHECK(eff_bridge_create_controller(served, &options, &bridge) == EFF_OK);
  eff_controller_destroy(served);
  eff_bridge_destroy(bridge);
  eff_controller_destroy(here);
}

static void test_two_bridges_never_serve_one_session(void) {
  eff_bridge *first = bridge_open("tcp://127.0.0.1:*", NULL), *second = (eff_bridge *)first;
  CHECK(eff_bridge_create(session, NULL, &second) == EFF_E_STATE && second == NULL);
  CHECK(strstr(eff_last_error(), "session: another bridge serves it") != NULL);
  eff_bridge_destroy(first);
  CHECK(eff_bridge_create(session, NULL, &second) == EFF_OK);
  eff_bridge_destroy(second);
}

static void test_threads_have_the_name_that_they_are_given(void) {
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  eff_bridge *bridge = NULL;
  options.thread_priority = 5;
  CHECK(eff_bridge_create(session, &options, &bridge) == EFF_E_ARGUMENT
        && strstr(eff_last_error(), "thread_priority is 5") != NULL);
  const int32_t cpus[] = {4095};
  options.thread_priority = 0, options.thread_cpus = cpus, options.thread_cpu_count = 1;
  CHECK(eff_bridge_create(session, &options, &bridge) == EFF_E_UNSUPPORTED
        && strstr(eff_last_error(), "thread_cpus") != NULL);
  options.thread_cpu_count = 0, options.thread_name = "gait";
  CHECK(eff_bridge_create(session, &options, &bridge) == EFF_OK && eff_bridge_start(bridge) == EFF_OK);
  int found = 0;
  for (int task = (int)getpid(); task < (int)getpid() + 1000; task++) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", task);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    if (fgets(name, sizeof name, file)) found += !strcmp(name, "gait\n") + !strcmp(name, "gait-io\n");
    fclose(file);
  }
  CHECK(found == 2);
  eff_bridge_destroy(bridge);
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void round_trips(const char *name, const char *endpoint, void *shared, int calls) {
  eff_bridge *bridge = bridge_open(endpoint, shared);
  if (bridge == NULL) return;
  CHECK(eff_bridge_start(bridge) == EFF_OK && eff_bridge_poll(bridge, 0, NULL) == EFF_E_STATE);
  void *context = shared ? shared : zmq_ctx_new();
  plant *p = plant_open(context, eff_bridge_endpoint(bridge));
  int size, answered = 0;
  CHECK(receive(p, &size) == WELCOME);
  uint64_t *took = (uint64_t *)calloc((size_t)calls, sizeof *took);
  for (int i = 0; i < calls; i++) {
    uint64_t began = now_ns();
    send_frame(p, STEP, 64 + seen * sizeof(float));
    answered += receive(p, &size) == ACT;
    took[i] = now_ns() - began;
  }
  CHECK(answered == calls);
  qsort(took, (size_t)calls, sizeof *took, compare);
  eff_bridge_stats stats = {.struct_size = sizeof stats};
  CHECK(eff_bridge_read_stats(bridge, &stats) == EFF_OK && stats.steps == (uint64_t)calls && stats.drops == 0);
  printf("%-7s round trip p50 %5.1f us, p99 %6.1f us; tick %5.1f us on average, policy %4.1f us\n", name,
         (double)took[calls / 2] / 1e3, (double)took[calls * 99 / 100] / 1e3,
         (double)stats.tick.sum / (double)stats.tick.count / 1e3,
         (double)stats.run.sum / (double)stats.run.count / 1e3);
  free(took);
  plant_close(p);
  uint64_t began = now_ns();
  eff_bridge_destroy(bridge);
  CHECK(now_ns() - began < 2000000000u);
  zmq_ctx_term(context);
}

int main(int argc, char **argv) {
  if (argc != 2) return printf("usage: bridge_test MLP.onnx\n"), 2;
  const char *wanted = getenv("CALLS");
  int calls = wanted ? atoi(wanted) : 2000;
  dl_iterate_phdr(find_library, NULL);
  CHECK(library_end > library_start);
  eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
  if (eff_policy_load_file(argv[1], NULL, &policy) != EFF_OK || eff_session_create(policy, NULL, &session) != EFF_OK
      || eff_session_create(policy, NULL, &twin) != EFF_OK || eff_policy_input(policy, 0, &in) != EFF_OK
      || eff_policy_output(policy, 0, &out) != EFF_OK) {
    return printf("%s: %s\n", argv[1], eff_last_error()), 1;
  }
  seen = in.count, done = out.count;
  char path[64], ways[2][64];
  for (int i = 0; i < 2; i++)
    snprintf(ways[i], sizeof *ways, "%s:@efferent-bridge-test-%d", i ? "shm" : "unix", (int)getpid());
  test_a_tick_allocates_nothing("inproc://tick", zmq_ctx_new());
  for (int i = 0; i < 2; i++) test_a_tick_allocates_nothing(ways[i], NULL);
  test_a_controllers_tick_allocates_nothing(ways[0]);
  test_two_bridges_never_serve_one_session();
  test_threads_have_the_name_that_they_are_given();
  snprintf(path, sizeof path, "ipc://@efferent-bridge-test-%d", (int)getpid());
  round_trips("inproc", "inproc://trips", zmq_ctx_new(), calls);
  round_trips("ipc", path, NULL, calls);
  round_trips("tcp", "tcp://127.0.0.1:*", NULL, calls);
  round_trips("unix", ways[0], NULL, calls);
  round_trips("shm", ways[1], NULL, calls);
  eff_session_destroy(twin);
  eff_session_destroy(session);
  eff_policy_release(policy);
  return check_report();
}
