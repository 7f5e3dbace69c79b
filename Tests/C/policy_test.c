// Policy and session through the C interface, on every .onnx given: policy_test FILE_OR_FOLDER...
#define _GNU_SOURCE
#include <efferent/efferent.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>

#include "check.h"
#include "files.h"

static int models;

// ---- an allocator that counts ----

typedef struct { int64_t live, blocks, calls, fail_at; } ledger;

static void *counted_alloc(void *user, size_t size, size_t align) {
  ledger *l = user;
  if (l->fail_at && ++l->calls >= l->fail_at) return NULL;
  void *p = aligned_alloc(align, (size + align - 1) / align * align);
  if (p) l->live += (int64_t)size, l->blocks++;
  return p;
}
static void counted_free(void *user, void *p, size_t size) {
  ledger *l = user;
  if (p) l->live -= (int64_t)size, l->blocks--;
  free(p);
}

// ---- every model ----

static void fill(eff_policy *policy, eff_session *session, unsigned seed) {
  for (size_t i = 0; i < eff_policy_input_count(policy); i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    eff_policy_input(policy, i, &spec);
    if (spec.role == EFF_ROLE_STATE) continue;
    void *p = eff_session_input(session, i);
    for (size_t k = 0; k < spec.count; k++) {
      seed = seed * 1664525u + 1013904223u;
      if (spec.dtype == EFF_F32) ((float *)p)[k] = (float)(seed >> 8) / 8388608.0f - 1.0f;
      else if (spec.dtype == EFF_F64) ((double *)p)[k] = (double)(seed >> 8) / 8388608.0 - 1.0;
      else if (spec.size == spec.count) ((uint8_t *)p)[k] = (uint8_t)(seed >> 31);
    }
  }
}

// the outputs of two sessions are equal, bit for bit
static int equal(const eff_policy *policy, eff_session *a, eff_session *b) {
  for (size_t i = 0; i < eff_policy_output_count(policy); i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    if (eff_policy_output(policy, i, &spec) != EFF_OK) return 0;
    const void *x = eff_session_output(a, i), *y = eff_session_output(b, i);
    if (spec.size && (!x || !y || memcmp(x, y, spec.size) != 0)) return 0;
  }
  return 1;
}

static void test_shapes(const eff_policy *policy) {
  size_t actions = 0;
  for (int side = 0; side < 2; side++) {
    size_t count = side ? eff_policy_output_count(policy) : eff_policy_input_count(policy);
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
      eff_tensor_spec spec = {.struct_size = sizeof spec};
      CHECK((side ? eff_policy_output(policy, i, &spec) : eff_policy_input(policy, i, &spec)) == EFF_OK);
      size_t product = 1;
      for (int32_t d = 0; d < spec.rank; d++) product *= (size_t)spec.shape[d];
      CHECK(product == spec.count);
      CHECK(spec.name
            && (side ? eff_policy_find_output(policy, spec.name) : eff_policy_find_input(policy, spec.name))
                   == (int64_t)i);
      CHECK((spec.role == EFF_ROLE_STATE) == (spec.pair >= 0));
      if (spec.role == EFF_ROLE_STATE) {
        eff_tensor_spec other = {.struct_size = sizeof other};
        CHECK((side ? eff_policy_input(policy, (size_t)spec.pair, &other)
                    : eff_policy_output(policy, (size_t)spec.pair, &other))
              == EFF_OK);
        CHECK(other.pair == (int32_t)i && other.count == spec.count && other.dtype == spec.dtype);
      }
      CHECK(spec.reason && (spec.role != EFF_ROLE_ACTION || spec.reason[0]));
      actions += side && spec.role == EFF_ROLE_ACTION;
    }
    eff_tensor_spec none = {.struct_size = sizeof none};
    CHECK((side ? eff_policy_output(policy, count, &none) : eff_policy_input(policy, count, &none)) == EFF_E_ARGUMENT);
    none.struct_size = 0;
    CHECK((side ? eff_policy_output(policy, 0, &none) : eff_policy_input(policy, 0, &none)) == EFF_E_ARGUMENT);
  }
  CHECK(actions <= 1);
  CHECK(eff_policy_find_input(policy, "no such name") == -1 && eff_policy_find_output(policy, "no such name") == -1);
  CHECK(eff_policy_metadata(policy, "no such key") == NULL);
  for (size_t i = 0; eff_policy_metadata_key(policy, i); i++)
    CHECK(eff_policy_metadata(policy, eff_policy_metadata_key(policy, i)));

  eff_policy_info info = {.struct_size = sizeof info};
  CHECK(eff_policy_describe(policy, &info) == EFF_OK);
  size_t ops = 0;
  while (eff_policy_op(policy, ops)) ops++;
  CHECK(info.op_count == ops && info.opset >= 7 && info.isa && info.isa[0] && info.producer);
  CHECK(info.step_refusal && (actions == 1 || info.step_refusal[0]));
  size_t notes = 0;
  while (eff_policy_note(policy, notes)) CHECK(eff_policy_note(policy, notes++)[0]);
  CHECK(!info.step_refusal[0] || notes > 0);
}

static void test_runs(eff_policy *policy) {
  eff_session *a, *b;
  eff_session_options options;
  eff_session_options_default(&options, sizeof options);
  options.seed = 5;
  CHECK(eff_session_create(policy, &options, &a) == EFF_OK);
  size_t size = 0;
  CHECK(eff_session_arena_size(policy, &options, &size) == EFF_OK && size > 0);
  void *arena = aligned_alloc(64, (size + 63) / 64 * 64);
  memset(arena, 0xA5, size);
  options.arena = arena, options.arena_size = size;
  CHECK(eff_session_create(policy, &options, &b) == EFF_OK);

  // a session in the caller's memory does what one in its own does, step after step
  for (unsigned step = 0; step < 20; step++) {
    fill(policy, a, step), fill(policy, b, step);
    // a rehearsal with the new inputs leaves the outputs of the last run, and the next run, as they are
    CHECK(eff_session_prewarm(a) == EFF_OK && equal(policy, a, b));
    CHECK(eff_session_run(a, 1) == EFF_OK && eff_session_run(b, 1) == EFF_OK);
    CHECK(equal(policy, a, b));
  }
  for (size_t i = 0; i < eff_policy_input_count(policy); i++) CHECK((uintptr_t)eff_session_input(a, i) % 64 == 0);
  CHECK(eff_session_input(a, 1000) == NULL && eff_session_output(a, 1000) == NULL);
  CHECK(eff_session_run(a, 0) == EFF_E_ARGUMENT && eff_session_run(a, 2) == EFF_E_ARGUMENT);
  CHECK(eff_session_reset(a, 1) == EFF_E_ARGUMENT && eff_session_reset(a, -2) == EFF_E_ARGUMENT);

  // reset forgets the past
  eff_policy_info info = {.struct_size = sizeof info};
  eff_policy_describe(policy, &info);
  if (info.state_count) {
    eff_session *fresh;
    CHECK(eff_session_create(policy, NULL, &fresh) == EFF_OK);
    CHECK(eff_session_reset(a, -1) == EFF_OK);
    for (unsigned step = 0; step < 3; step++) {
      fill(policy, a, 99 + step), fill(policy, fresh, 99 + step);
      CHECK(eff_session_run(a, 1) == EFF_OK && eff_session_run(fresh, 1) == EFF_OK && equal(policy, a, fresh));
    }
    eff_session_destroy(fresh);
  }
  eff_session_destroy(a);
  eff_session_destroy(b);
  free(arena);

  // too small an arena, or one that is not aligned, is refused
  options.arena = &size, options.arena_size = 1;
  CHECK(eff_session_create(policy, &options, &a) < 0 && a == NULL && eff_last_error()[0]);
}

// whether actions depend on the session's seed
static int is_random(eff_policy *policy) {
  eff_session *s[2];
  eff_session_options options;
  eff_session_options_default(&options, sizeof options);
  for (int i = 0; i < 2; i++) {
    options.seed = (uint64_t)i + 1;
    if (eff_session_create(policy, &options, &s[i]) != EFF_OK || eff_session_run(s[i], 1) != EFF_OK) return 0;
  }
  int differs = !equal(policy, s[0], s[1]);
  eff_session_destroy(s[0]);
  eff_session_destroy(s[1]);
  return differs;
}

static void test_step(eff_policy *policy) {
  int64_t seen = -1, done = -1;
  size_t observations = 0, n_in = 0, n_out = 0;
  for (size_t i = 0; i < eff_policy_input_count(policy); i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    eff_policy_input(policy, i, &spec);
    if (spec.role == EFF_ROLE_OBSERVATION && observations++ == 0 && spec.dtype == EFF_F32)
      seen = (int64_t)i, n_in = spec.count;
  }
  for (size_t i = 0; i < eff_policy_output_count(policy); i++) {
    eff_tensor_spec spec = {.struct_size = sizeof spec};
    eff_policy_output(policy, i, &spec);
    if (spec.role == EFF_ROLE_ACTION && spec.dtype == EFF_F32) done = (int64_t)i, n_out = spec.count;
  }
  enum { rows = 3 };
  eff_session *batch, *one;
  eff_session_options options;
  eff_session_options_default(&options, sizeof options);
  options.max_rows = rows;
  CHECK(eff_session_create(policy, &options, &batch) == EFF_OK);
  float *x = calloc(rows * (n_in + 1), sizeof *x), *y = calloc(rows * (n_out + 1), sizeof *y),
        *z = calloc(n_out + 1, sizeof *z);
  if (seen < 0 || done < 0 || observations != 1) {
    CHECK(eff_session_step(batch, 1, x, y) == EFF_E_STATE);
  } else if (is_random(policy)) {
    CHECK(eff_session_step(batch, rows, x, y) == EFF_OK);
  } else {
    CHECK(eff_session_step(batch, 0, x, y) == EFF_E_ARGUMENT
          && eff_session_step(batch, rows + 1, x, y) == EFF_E_ARGUMENT);
    CHECK(eff_session_step(batch, 1, NULL, y) == EFF_E_ARGUMENT && eff_session_step(NULL, 1, x, y) == EFF_E_ARGUMENT);
    // each row of a batch is what a session of its own gives, recurrent state included
    eff_session *alone[rows];
    for (int r = 0; r < rows; r++) CHECK(eff_session_create(policy, NULL, &alone[r]) == EFF_OK);
    for (int step = 0; step < 4; step++) {
      for (size_t i = 0; i < rows * n_in; i++) x[i] = sinf(0.37f * (float)i + (float)step);
      if (step == 2) CHECK(eff_session_reset(batch, 1) == EFF_OK && eff_session_reset(alone[1], 0) == EFF_OK);
      CHECK(eff_session_step(batch, rows, x, y) == EFF_OK);
      for (int r = 0; r < rows; r++) {
        CHECK(eff_session_step(alone[r], 1, x + (size_t)r * n_in, z) == EFF_OK);
        float worst = 0;
        for (size_t i = 0; i < n_out; i++)
          worst = fmaxf(worst, fabsf(z[i] - y[(size_t)r * n_out + i]) / (1 + fabsf(z[i])));
        CHECK(worst <= 2e-5f);
      }
    }
    for (int r = 0; r < rows; r++) eff_session_destroy(alone[r]);
    // step is input, run, output
    CHECK(eff_session_create(policy, NULL, &one) == EFF_OK);
    memcpy(eff_session_input(one, (size_t)seen), x, n_in * sizeof *x);
    CHECK(eff_session_run(one, 1) == EFF_OK);
    CHECK(eff_session_reset(batch, -1) == EFF_OK && eff_session_step(batch, 1, x, y) == EFF_OK);
    CHECK(memcmp(y, eff_session_output(one, (size_t)done), n_out * sizeof *y) == 0);
    eff_session_destroy(one);
  }
  free(x), free(y), free(z);
  eff_session_destroy(batch);
}

static void *read_all(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  fseek(f, 0, SEEK_END);
  *size = (size_t)ftell(f);
  rewind(f);
  char *bytes = malloc(*size + 1);
  if (fread(bytes, 1, *size, f) != *size) *size = 0;
  fclose(f);
  return bytes;
}

static void test_memory(const char *path, eff_policy *from_file) {
  size_t size = 0;
  char *bytes = read_all(path, &size), *folder = strdup(path);
  char *slash = strrchr(folder, '/');
  if (slash) *slash = 0;
  eff_policy_options options;
  eff_policy_options_default(&options, sizeof options);
  options.folder = slash ? folder : ".";
  ledger l = {0};
  eff_allocator allocator = {counted_alloc, counted_free, &l};
  options.allocator = &allocator;
  eff_policy *policy = NULL;
  CHECK(eff_policy_load_memory(bytes, size, &options, &policy) == EFF_OK);
  memset(bytes, 0, size); // the buffer was borrowed for the call only
  if (policy) {
    eff_session *a, *b;
    CHECK(eff_session_create(policy, NULL, &a) == EFF_OK && eff_session_create(from_file, NULL, &b) == EFF_OK);
    eff_policy_release(policy); // the session keeps its own reference
    for (unsigned step = 0; step < 3; step++) {
      fill(policy, a, step), fill(policy, b, step);
      CHECK(eff_session_run(a, 1) == EFF_OK && eff_session_run(b, 1) == EFF_OK && equal(policy, a, b));
    }
    eff_session_destroy(a);
    eff_session_destroy(b);
  }
  CHECK(l.live == 0 && l.blocks == 0);
  free(bytes), free(folder);

  // an allocator that fails at any time gives EFF_E_MEMORY, and everything back
  for (int64_t at = 1; at <= 3; at++) {
    l = (ledger){.fail_at = at};
    eff_policy_options_default(&options, sizeof options);
    options.allocator = &allocator;
    eff_policy *none = NULL;
    eff_status status = eff_policy_load_file(path, &options, &none);
    CHECK(status == EFF_E_MEMORY || (status == EFF_OK && l.calls < at));
    CHECK(status == EFF_OK || none == NULL);
    eff_policy_release(none);
    CHECK(l.live == 0 && l.blocks == 0);
  }
  eff_policy_info info = {.struct_size = sizeof info};
  CHECK(eff_policy_describe(from_file, &info) == EFF_OK);
  options = (eff_policy_options){.struct_size = sizeof options, .memory_limit = 16};
  eff_policy *none = NULL;
  if (info.parameter_count > 8)
    CHECK(eff_policy_load_file(path, &options, &none) == EFF_E_MEMORY && none == NULL && eff_last_error()[0]);
}

static void test_model(const char *path) {
  int before = check_failed;
  models++;
  eff_policy *policy = NULL;
  eff_status status = eff_policy_load_file(path, NULL, &policy);
  if (status != EFF_OK) printf("%s: %s: %s\n", path, eff_status_name(status), eff_last_error());
  CHECK(status == EFF_OK && policy);
  if (!policy) return;
  test_shapes(policy);
  test_runs(policy);
  test_step(policy);
  test_memory(path, policy);
  CHECK(eff_policy_retain(policy) == policy);
  eff_policy_release(policy);
  eff_policy_release(policy);
  if (check_failed != before) printf("  (in %s)\n", path);
}

// ---- without a model ----

static void *message_of_another_thread(void *out) {
  *(char *)out = eff_last_error()[0];
  return NULL;
}

static void test_errors(void) {
  eff_policy *policy = (eff_policy *)&policy;
  CHECK(eff_policy_load_file("/no/such/file.onnx", NULL, &policy) == EFF_E_IO && policy == NULL);
  CHECK(strstr(eff_last_error(), "/no/such/file.onnx"));
  char other = 'x';
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, message_of_another_thread, &other) == 0 && pthread_join(thread, NULL) == 0
        && other == 0);
  CHECK(eff_policy_load_file("/", NULL, &policy) == EFF_E_IO);
  CHECK(eff_policy_load_file(NULL, NULL, &policy) == EFF_E_ARGUMENT);
  CHECK(eff_policy_load_file("x.onnx", NULL, NULL) == EFF_E_ARGUMENT);
  CHECK(eff_policy_load_memory(NULL, 10, NULL, &policy) == EFF_E_ARGUMENT);
  CHECK(eff_policy_load_memory("", 0, NULL, &policy) == EFF_E_FORMAT);
  CHECK(eff_policy_load_memory("this is no model", 16, NULL, &policy) == EFF_E_FORMAT && policy == NULL
        && eff_last_error()[0]);
  CHECK(eff_policy_input_count(NULL) == 0 && eff_policy_output_count(NULL) == 0
        && eff_policy_find_input(NULL, "x") == -1);
  CHECK(eff_policy_input(NULL, 0, NULL) == EFF_E_ARGUMENT && eff_policy_describe(NULL, NULL) == EFF_E_ARGUMENT);
  CHECK(eff_policy_metadata(NULL, "x") == NULL && eff_policy_op(NULL, 0) == NULL && eff_policy_retain(NULL) == NULL);
  eff_session *session = (eff_session *)&session;
  CHECK(eff_session_create(NULL, NULL, &session) == EFF_E_ARGUMENT && session == NULL);
  CHECK(eff_session_run(NULL, 1) == EFF_E_ARGUMENT && eff_session_reset(NULL, -1) == EFF_E_ARGUMENT
        && eff_session_prewarm(NULL) == EFF_E_ARGUMENT && eff_session_prewarm_weights(NULL) == EFF_E_ARGUMENT);
  CHECK(eff_session_input(NULL, 0) == NULL && eff_session_output(NULL, 0) == NULL);
  char foreign[4096] = {0};
  CHECK(eff_session_run((eff_session *)foreign, 1) == EFF_E_ARGUMENT
        && eff_policy_input_count((eff_policy *)foreign) == 0);
  eff_policy_release(NULL);
  eff_session_destroy(NULL);

  eff_policy_options options = {.struct_size = 3};
  CHECK(eff_policy_load_memory("x", 1, &options, &policy) == EFF_E_ARGUMENT);
}

static void test_names(void) {
  CHECK(eff_version() == EFF_VERSION);
  CHECK(strcmp(eff_status_name(EFF_OK), "EFF_OK") == 0 && strcmp(eff_status_name(EFF_E_SHAPE), "EFF_E_SHAPE") == 0);
  CHECK(strcmp(eff_status_name(EFF_E_MISMATCH), "EFF_E_MISMATCH") == 0);
  CHECK(strcmp(eff_status_name(-12345), "EFF_E_UNKNOWN") == 0 && strcmp(eff_status_name(1), "EFF_E_UNKNOWN") == 0);
  CHECK(strcmp(eff_last_error(), "") == 0);
}

int main(int count, char **arguments) {
  test_names();
  test_errors();
  for (int i = 1; i < count; i++) each_file(arguments[i], 2, test_model);
  CHECK(count == 1 || models > 0);
  printf("%d models\n", models);
  return check_report();
}
