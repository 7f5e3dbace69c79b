// Locked memory through the C interface: lock_test FILE_OR_FOLDER...
#define _GNU_SOURCE
#include <efferent/efferent.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "files.h"

// KiB that this process has locked
static long locked(void) {
  FILE *f = fopen("/proc/self/status", "r");
  char line[256];
  long found = -1;
  while (f && fgets(line, sizeof line, f)) sscanf(line, "VmLck: %ld", &found);
  if (f) fclose(f);
  return found;
}

// the weights of a locked policy and the arena of a locked session count as locked, as long as they live
static void test_locks(const char *path) {
  eff_policy_options loading;
  eff_policy_options_default(&loading, sizeof loading);
  loading.locked = 1;
  eff_policy *policy;
  eff_session *session;
  const long before = locked();
  if (eff_policy_load_file(path, &loading, &policy) != EFF_OK) {
    if (strstr(eff_last_error(), "RLIMIT_MEMLOCK")) printf("%s: not locked here: %s\n", path, eff_last_error());
    return;  // this system admits less, or the file is no policy
  }
  eff_policy_info info = {.struct_size = sizeof info};
  CHECK(eff_policy_describe(policy, &info) == EFF_OK);
  const long weights = locked();
  CHECK((weights - before) * 1024 >= (long)info.weight_bytes);
  eff_session_options options;
  eff_session_options_default(&options, sizeof options);
  options.locked = 1;
  if (eff_session_create(policy, &options, &session) == EFF_OK) {
    CHECK((locked() - weights) * 1024 >= (long)info.arena_bytes);
    CHECK(eff_session_run(session, 1) == EFF_OK);
    eff_session_destroy(session);
    CHECK(locked() == weights);
  }
  eff_policy_release(policy);
  CHECK(locked() == before);
}

// where nothing may be locked, the message says so and nothing is left; in a process of its own, which gives its rights
// up
static void test_refusal(const char *path) {
  FILE *f = fopen(path, "rb");
  static char bytes[1 << 20];
  const size_t size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
  if (f) fclose(f);
  eff_policy *policy;
  if (size == sizeof bytes || eff_policy_load_memory(bytes, size, NULL, &policy) != EFF_OK) return;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0)) _exit(2);
    eff_session_options options;
    eff_session_options_default(&options, sizeof options);
    options.locked = 1;
    eff_session *session = (eff_session *)&session;
    if (eff_session_create(policy, &options, &session) != EFF_E_MEMORY || session
        || !strstr(eff_last_error(), "RLIMIT_MEMLOCK") || locked() != 0)
      _exit(3);
    eff_policy_options loading;
    eff_policy_options_default(&loading, sizeof loading);
    loading.locked = 1;
    eff_policy *refused = (eff_policy *)&refused;
    if (eff_policy_load_memory(bytes, size, &loading, &refused) != EFF_E_MEMORY || refused
        || !strstr(eff_last_error(), "weights"))
      _exit(4);
    _exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  eff_policy_release(policy);
}

static void test_model(const char *path) {
  test_locks(path);
  test_refusal(path);
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) each_file(arguments[i], 2, test_model);
  CHECK(check_passed > 0);
  return check_report();
}
