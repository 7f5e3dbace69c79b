// The [RT] functions of a session, and of a learner that starts from its policy, allocate and free nothing, from the
// very first call on, and make no system call, with weights in any storage.
//   alloc_test FILE_OR_FOLDER...
// CALLS in the environment: calls of each function on each model (10000), or of a slow one as many as fit into half a
// second, at least 300: enough for everything that a learner does now and then. REFUSED=skip: models that do not load
// are passed over (other tests say which must).
#include "realtime.h"

#include <efferent/efferent.h>
#include <math.h>
#include <time.h>

#include "check.h"
#include "files.h"

// ---- every model ----

static int calls = 10000, models, skips_refused, learners, publishers, critics;
static const int32_t storages[] = {EFF_F32, EFF_F16, EFF_BF16, EFF_I8};

typedef struct {
  eff_policy *policy;
  eff_session *session;
  size_t inputs, outputs;
  float *observation, *action; // NULL where the policy does not step
  size_t observation_count, action_count;
  eff_learner *learner;        // NULL where the policy cannot learn
  // from learner to session; NULL where the session has other weights than those that are learned
  eff_publisher *publisher;
  double *seen, *done;
} subject;

// A learner that goes on from the policy, with everything that its updates can do. Its critic is a layer on the
// policy's own action where that is possible: every operator runs in a loaded critic too.
static void learner_of(subject *s) {
  eff_learner_options o;
  if (eff_learner_options_adapt(&o, sizeof o, s->policy) != EFF_OK) return;
  const int acts = o.algorithm == EFF_LEARNER_AC_CONTINUOUS || o.algorithm == EFF_LEARNER_AC_DISCRETE;
  if (acts) o.change_limit = 1, o.change_period = 1, o.change_observations = 3;
  o.actor_delay = 3, o.snapshots = 2, o.snapshot_period = 10, o.std_source = EFF_STD_PARAMETER;
  eff_tensor_spec spec = {.struct_size = sizeof spec};
  for (size_t i = 0; acts && i < eff_policy_output_count(s->policy); i++)
    if (eff_policy_output(s->policy, i, &spec) == EFF_OK && spec.role == EFF_ROLE_ACTION && spec.dtype == EFF_F32)
      o.features = spec.name;
  if (eff_learner_create(&o, &s->learner) == EFF_OK) {
    critics += o.features != NULL;
  } else {
    o.features = NULL;
    if (eff_learner_create(&o, &s->learner) != EFF_OK) return;
  }
  size_t observations = 0, actions = 0;
  CHECK(eff_learner_sizes(s->learner, &observations, &actions) == EFF_OK);
  publishers += eff_publisher_create(s->learner, s->session, &s->publisher) == EFF_OK;
  s->seen = calloc(observations, sizeof(double)), s->done = calloc(actions, sizeof(double));
}

static subject subject_of(const char *path, int32_t weights) {
  subject s = {0};
  eff_policy_options options;
  eff_policy_options_default(&options, sizeof options);
  options.weights = weights;
  options.learnable = 1;
  allocations = 0, armed = 1;
  (void)eff_policy_load_file(path, &options, &s.policy);
  armed = 0;
  CHECK(allocations > 0); // loading allocates: the library's calls do arrive here
  if (s.policy == NULL || eff_session_create(s.policy, NULL, &s.session) != EFF_OK) {
    printf("%s: %s\n", path, eff_last_error());
    eff_policy_release(s.policy);
    return (subject){0};
  }
  s.inputs = eff_policy_input_count(s.policy), s.outputs = eff_policy_output_count(s.policy);
  size_t observations = 0, n_in = 0, n_out = 0;
  for (size_t i = 0; i < s.inputs; i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    eff_policy_input(s.policy, i, &spec);
    if (spec.role == EFF_ROLE_OBSERVATION && (observations++ > 0 || spec.dtype != EFF_F32)) observations = 99;
    if (spec.role == EFF_ROLE_OBSERVATION) n_in = spec.count;
  }
  for (size_t i = 0; i < s.outputs; i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    eff_policy_output(s.policy, i, &spec);
    if (spec.role == EFF_ROLE_ACTION && spec.dtype == EFF_F32) n_out = spec.count;
  }
  learner_of(&s);
  s.observation_count = n_in, s.action_count = n_out;
  if (observations == 1 && n_out) s.observation = calloc(n_in, sizeof(float)), s.action = calloc(n_out, sizeof(float));
  return s;
}

// Most bytes of the handle that a session has besides its block.
enum { HANDLE = 256 };

static size_t given, returned;
static void *give(void *user, size_t size, size_t align) {
  return (void)user, given += size, __libc_memalign(align, size);
}
static void take_back(void *user, void *p, size_t size) { (void)user, returned += size, __libc_free(p); }

// A session in memory of the caller, or of the caller's allocator, uses that alone: what else it allocates does not
// grow with the policy.
static void test_memory(const char *path, const eff_policy *policy) {
  eff_allocator allocator = {give, take_back, NULL};
  for (int has_arena = 0; has_arena < 2; has_arena++) {
    eff_session_options o;
    eff_session *session = NULL;
    size_t size = 0;
    eff_session_options_default(&o, sizeof o);
    o.max_rows = 3;
    CHECK(eff_session_arena_size(policy, &o, &size) == EFF_OK);
    void *arena = has_arena ? __libc_memalign(64, size) : NULL;
    o.arena = arena, o.arena_size = size, o.allocator = has_arena ? NULL : &allocator;
    given = returned = 0;
    allocations = frees = bytes = 0, armed = 1;
    const eff_status status = eff_session_create(policy, &o, &session);
    armed = 0;
    CHECK(status == EFF_OK);
    const long expected = has_arena ? 1 : 2; // the handle, and the owner of the block
    CHECK(allocations == expected && frees == 0 && bytes <= HANDLE);
    if (allocations != expected || frees || bytes > HANDLE)
      printf("%s, %s: eff_session_create allocates %ld times, %ld bytes, frees %ld times\n", path,
             has_arena ? "arena" : "allocator", allocations, bytes, frees);
    CHECK(given == (has_arena ? 0 : size < 64 ? 64 : size));
    CHECK(eff_session_run(session, 3) == EFF_OK);
    eff_session_destroy(session);
    CHECK(returned == given);
    __libc_free(arena);
  }
}

static void drop(subject *s) {
  eff_publisher_destroy(s->publisher);
  eff_session_destroy(s->session);
  eff_policy_release(s->policy);
  eff_learner_destroy(s->learner);
  free(s->seen), free(s->done);
  free(s->observation), free(s->action);
}

// Acts and learns, now and then from a number that is none.
static int learn(subject *s, int i) {
  if (!s->learner) return 0;
  int bad = 0;
  s->seen[0] = (i % 13) * 0.1;
  bad += eff_learner_act(s->learner, s->seen, s->done) != EFF_OK;
  bad += eff_learner_infer(s->learner, s->seen, s->done) != EFF_OK;
  s->seen[0] = ((i + 1) % 13) * 0.1;
  eff_transition t = EFF_TRANSITION_INIT;
  eff_update u = {.struct_size = sizeof u};
  t.observation = s->seen, t.reward = i % 97 == 96 ? 0.0 / 0.0 : i % 7, t.terminated = i % 31 == 0,
  t.truncated = i % 29 == 0;
  bad += eff_learner_update(s->learner, &t, &u) != (i % 97 == 96 ? EFF_E_NUMERIC : EFF_OK);
  bad += eff_learner_freeze(s->learner, i % 5 ? 0 : EFF_FREEZE_ACTOR) != EFF_OK;
  if (i % 50 == 0) bad += eff_learner_snapshot(s->learner) != EFF_OK || eff_learner_roll_back(s->learner) != EFF_OK;
  if (s->publisher && i % 3) bad += eff_publisher_publish(s->publisher) != EFF_OK;
  if (i % 200 == 30) bad += eff_learner_mark(s->learner) != EFF_OK;
  return bad;
}

// Calls every [RT] function once; returns how many failed.
static int tick(void *context, int i) {
  subject *s = context;
  int bad = 0;
  if (s->observation) {
    s->observation[0] = (float)(i % 17) * 0.1f;
    // a policy may give infinities for it, which is refused
    const eff_status status =
        eff_session_step_n(s->session, 1, s->observation, s->observation_count, s->action, s->action_count);
    const eff_status again = eff_session_step(s->session, 1, s->observation, s->action);
    bad += (status != EFF_OK && status != EFF_E_NUMERIC) || (again != EFF_OK && again != EFF_E_NUMERIC);
    bad += eff_session_step_n(s->session, 1, s->observation, s->observation_count + 1, s->action, s->action_count)
           != EFF_E_SHAPE;
    s->observation[0] = NAN;
    bad += eff_session_step_n(s->session, 1, s->observation, s->observation_count, s->action, s->action_count)
           != EFF_E_NUMERIC;
    s->observation[0] = 0;
  }
  for (size_t k = 0; k < s->inputs; k++) bad += eff_session_input(s->session, k) == NULL;
  bad += eff_session_run(s->session, 1) != EFF_OK;
  for (size_t k = 0; k < s->outputs; k++) bad += eff_session_output(s->session, k) == NULL;
  bad += eff_session_reset(s->session, i % 2 ? -1 : 0) != EFF_OK;
  bad += eff_session_prewarm(s->session) != EFF_OK;
  bad += eff_session_prewarm_weights(s->session) != EFF_OK;
  bad += eff_session_run(s->session, 7) != EFF_E_ARGUMENT; // failing allocates nothing either
  return bad + learn(s, i);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_storage(const char *path, int32_t weights) {
  subject s = subject_of(path, weights);
  if (!s.session && skips_refused) return;
  models += weights == EFF_F32;
  CHECK(s.session);
  if (!s.session) return;
  if (weights == EFF_F32) test_memory(path, s.policy);
  int found = system_calls(tick, &s);
  if (found > 0) printf("%s, weights %d: a real-time function made a system call\n", path, (int)weights);
  if (found >= 0) CHECK(found == 0);
  allocations = frees = 0;
  int bad = 0;
  armed = 1;
  const double end = seconds() + 0.5;
  for (int i = 0; i < calls && (i < 300 || i % 16 || seconds() < end); i++) bad += tick(&s, i);
  armed = 0;
  if (allocations || frees || bad)
    printf("%s, weights %d: %ld allocations, %ld frees, %d failed calls\n", path, (int)weights, allocations, frees,
           bad);
  CHECK(allocations == 0);
  CHECK(frees == 0);
  CHECK(bad == 0);
  learners += s.learner != NULL;
  drop(&s);
}

static void test_model(const char *path) {
  for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) test_storage(path, storages[i]);
}

int main(int count, char **arguments) {
  if (getenv("CALLS")) calls = atoi(getenv("CALLS"));
  skips_refused = getenv("REFUSED") && strcmp(getenv("REFUSED"), "skip") == 0;
  CHECK(counter_works());
  for (int i = 1; i < count; i++) each_file(arguments[i], 2, test_model);
  CHECK(count == 1 || models > 0);
  CHECK(count == 1 || (learners > 0 && critics > 0));
  CHECK(count == 1 || publishers > 0);
  printf("%d models, of which %d learn, %d with a loaded critic, up to %d calls of each function\n", models, learners,
         critics, calls);
  return check_report();
}
