// RealtimeSanitizer watches the [RT] functions of sessions, learners and controllers: it stops the program at the first
// allocation, lock or other call that may block.
//   sanitizer_test FILE_OR_FOLDER...      a .txt is a list of controllers, as controllers.h says
// Built by a clang that has -fsanitize=realtime.
#define _GNU_SOURCE
#include <efferent/efferent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "controllers.h"
#include "files.h"
#include "learners.h"

#define NONBLOCKING __attribute__((nonblocking))

static int models, learners, cards;
static float observation[4096], action[4096];

// the library's functions carry no attribute of clang's; whether they keep their word is what is tested
#pragma clang diagnostic ignored "-Wfunction-effects"

static int learn(learning *l, int ticks) NONBLOCKING {
  int bad = 0;
  for (int i = 0; i < ticks; i++) bad += learning_tick(l, i);
  return bad;
}

static int step(eff_session *session, int steps) NONBLOCKING {
  int bad = 0;
  for (int i = 0; i < steps; i++) {
    bad += eff_session_step(session, 1, observation, action) != EFF_OK;
    bad += eff_session_run(session, 1) != EFF_OK;
    bad += eff_session_prewarm(session) != EFF_OK;
    bad += eff_session_reset(session, -1) != EFF_OK;
  }
  return bad;
}

// Creating allocates, inside the library.
static int create(learning *l) NONBLOCKING { return learner_of(l, EFF_LEARNER_Q, EFF_OPTIMIZER_OBGD, EFF_F32); }

static void test_learner(const char *name, learning *l) {
  learners++;
  int bad = learn(l, 500);
  if (bad) printf("%s: %d calls that did otherwise\n", name, bad);
  CHECK(bad == 0);
}

static void test_model(const char *path) {
  eff_policy *policy;
  eff_session *session;
  if (eff_policy_load_file(path, NULL, &policy) != EFF_OK) return;
  eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
  int steps = eff_policy_input(policy, 0, &in) == EFF_OK && eff_policy_output(policy, 0, &out) == EFF_OK
              && in.count <= 4096 && out.count <= 4096 && in.dtype == EFF_F32 && out.dtype == EFF_F32;
  if (steps && eff_session_create(policy, NULL, &session) == EFF_OK) {
    if (eff_session_step(session, 1, observation, action) == EFF_OK) {
      models++;
      CHECK(step(session, 50) == 0);
    }
    eff_session_destroy(session);
  }
  eff_policy_release(policy);
}

static int tick(subject *s, int ticks) NONBLOCKING {
  int bad = 0;
  for (int i = 0; i < ticks; i++) bad += controller_ticks(s, i);
  return bad;
}

static void test_controllers(const char *path) {
  FILE *list = fopen(path, "r");
  CHECK(list != NULL);
  static char line[65536];
  while (list && fgets(line, sizeof line, list)) {
    static char copy[sizeof line];
    memcpy(copy, line, sizeof line);
    // the first card also with a learner in the place of its network
    for (int learns = 0; learns < (cards ? 1 : 2); learns++) {
      subject s;
      if (!open_subject(learns ? copy : line, &s, learns)) continue;
      CHECK(tick(&s, 1000) == 0);
      close_subject(&s);
    }
    cards++;
  }
  if (list) fclose(list);
  CHECK(cards > 0);
}

int main(int count, char **arguments) {
  // the sanitizer stops what may block, in the library too
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    fclose(stderr);
    learning l;
    _exit(create(&l) ? 0 : 77);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child
        && !(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77)));
  each_learner(test_learner);
  CHECK(learners == LEARNERS);
  int files = 0;
  for (int i = 1; i < count; i++) {
    const size_t length = strlen(arguments[i]);
    if (length > 4 && strcmp(arguments[i] + length - 4, ".txt") == 0) {
      test_controllers(arguments[i]);
    } else {
      each_file(arguments[i], 2, test_model), files++;
    }
  }
  CHECK(files == 0 || models > 0);
  printf("%d learners, %d models, %d cards\n", learners, models, cards);
  return check_report();
}
