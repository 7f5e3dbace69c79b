// A controller's [RT] functions allocate and free nothing from the very first tick on and make no system call, over
// resets, modes and refused ticks.
//   controller_test LIST...      lists as Tests/Python/controller_cases.py writes them
// CALLS in the environment: ticks per card (10000).
#include "realtime.h"

#include "controllers.h"

static int cards;

static void test_card(char *line, int calls, int learns) {
  subject s;
  if (!open_subject(line, &s, learns)) return;
  allocations = frees = 0;
  int bad = 0;
  armed = 1;
  for (int i = 0; i < calls; i++) bad += controller_ticks(&s, i);
  armed = 0;
  if (allocations || frees || bad)
    printf("%s: %ld allocations, %ld frees, %d failed ticks\n", s.path, allocations, frees, bad);
  CHECK(allocations == 0 && frees == 0 && bad == 0);
  int calls_found = system_calls(controller_ticks, &s);
  if (calls_found > 0) printf("%s: a tick made a system call\n", s.path);
  if (calls_found >= 0) CHECK(calls_found == 0);
  for (int what = 0; what < 5; what++) {
    for (size_t j = 0; j < s.joint_count; j++) CHECK(isfinite(s.targets[what][j]));
  }
  if (learns) {
    eff_update update = {.struct_size = sizeof update};
    CHECK(eff_controller_learned(s.controller, &update) == EFF_OK && update.updates > (uint64_t)calls / 40
          && update.episodes > 0);
  }
  close_subject(&s);
  cards++;
}

int main(int count, char **arguments) {
  const int calls = getenv("CALLS") ? atoi(getenv("CALLS")) : 10000;
  CHECK(counter_works());
  for (int i = 1; i < count; i++) {
    FILE *list = fopen(arguments[i], "r");
    CHECK(list != NULL);
    static char line[65536];
    int first = 1;
    for (; list && fgets(line, sizeof line, list); first = 0) {
      static char copy[sizeof line];
      memcpy(copy, line, sizeof line);
      test_card(line, calls, 0);
      if (first) test_card(copy, calls, 1); // the small card: a learner in the place of its network
    }
    if (list) fclose(list);
  }
  CHECK(count == 1 || cards > 0);
  printf("%d cards, %d ticks each\n", cards, calls);
  return check_report();
}
