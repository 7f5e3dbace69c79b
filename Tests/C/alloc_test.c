// The [RT] functions of a session allocate and free nothing, from the very first call on, and make no system call.
//   alloc_test FILE_OR_FOLDER...      CALLS in the environment: calls of each function on each model (10000);
//                                     REFUSED=skip: models that do not load are passed over (other tests say which must)
// The allocator functions are defined here, so the library's calls arrive here; the C library's own names do the work.
#define _GNU_SOURCE
#include <efferent/efferent.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "files.h"

// ---- the counting allocator ----

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static volatile int armed;
static long allocations, frees;

void *malloc(size_t size) { return allocations += armed, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocations += armed, __libc_calloc(count, size); }
void *realloc(void *p, size_t size) { return allocations += armed, __libc_realloc(p, size); }
void *reallocarray(void *p, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, NULL;
  return allocations += armed, __libc_realloc(p, bytes);
}
void *memalign(size_t align, size_t size) { return allocations += armed, __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return allocations += armed, __libc_memalign(align, size); }
int posix_memalign(void **out, size_t align, size_t size) {
  allocations += armed;
  *out = __libc_memalign(align, size);
  return *out ? 0 : ENOMEM;
}
void free(void *p) {
  frees += armed;
  __libc_free(p);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  allocations += armed;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
int munmap(void *p, size_t size) {
  frees += armed;
  return (int)syscall(SYS_munmap, p, size);
}

// ---- every model ----

static int calls = 10000, models, skips_refused;

typedef struct {
  eff_policy *policy;
  eff_session *session;
  size_t inputs, outputs;
  float *observation, *action; // NULL where the policy does not step
} subject;

static subject subject_of(const char *path) {
  subject s = {0};
  allocations = 0, armed = 1;
  (void)eff_policy_load_file(path, NULL, &s.policy);
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
  if (observations == 1 && n_out) s.observation = calloc(n_in, sizeof(float)), s.action = calloc(n_out, sizeof(float));
  return s;
}

static void drop(subject *s) {
  eff_session_destroy(s->session);
  eff_policy_release(s->policy);
  free(s->observation), free(s->action);
}

// Calls every [RT] function once; returns how many failed.
static int tick(subject *s, int i) {
  int bad = 0;
  if (s->observation) {
    s->observation[0] = (float)(i % 17) * 0.1f;
    bad += eff_session_step(s->session, 1, s->observation, s->action) != EFF_OK;
  }
  for (size_t k = 0; k < s->inputs; k++) bad += eff_session_input(s->session, k) == NULL;
  bad += eff_session_run(s->session, 1) != EFF_OK;
  for (size_t k = 0; k < s->outputs; k++) bad += eff_session_output(s->session, k) == NULL;
  bad += eff_session_reset(s->session, i % 2 ? -1 : 0) != EFF_OK;
  bad += eff_session_prewarm(s->session) != EFF_OK;
  bad += eff_session_run(s->session, 7) != EFF_E_ARGUMENT; // failing allocates nothing either
  return bad;
}

// The same in a child that may only read, write and exit: any other system call kills it. 0: none, -1: cannot be tested here.
static int system_calls(const char *path) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    subject s = subject_of(path);
    if (!s.session || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    int bad = 0;
    for (int i = 0; i < 100; i++) bad += tick(&s, i);
    syscall(SYS_exit, bad ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static void test_model(const char *path) {
  models++;
  subject s = subject_of(path);
  if (!s.session && skips_refused) return (void)models--;
  CHECK(s.session);
  if (!s.session) return;
  allocations = frees = 0;
  int bad = 0;
  armed = 1;
  for (int i = 0; i < calls; i++) bad += tick(&s, i);
  armed = 0;
  if (allocations || frees || bad) printf("%s: %ld allocations, %ld frees, %d failed calls\n", path, allocations, frees, bad);
  CHECK(allocations == 0);
  CHECK(frees == 0);
  CHECK(bad == 0);
  drop(&s);
  int found = system_calls(path);
  if (found > 0) printf("%s: a real-time function made a system call\n", path);
  if (found >= 0) CHECK(found == 0);
}

int main(int count, char **arguments) {
  if (getenv("CALLS")) calls = atoi(getenv("CALLS"));
  skips_refused = getenv("REFUSED") && strcmp(getenv("REFUSED"), "skip") == 0;
  // the counter counts
  armed = 1;
  void *volatile p = malloc(10);
  free(p);
  p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p, 4096);
  armed = 0;
  CHECK(allocations == 2 && frees == 2);
  for (int i = 1; i < count; i++) each_file(arguments[i], 2, test_model);
  CHECK(count == 1 || models > 0);
  printf("%d models, %d calls of each function\n", models, calls);
  return check_report();
}
