// The [RT] functions of a learner allocate and free nothing, from the very first call on, and make no system call:
// every algorithm, optimizer and precision, with guards at work.
//   learner_test      CALLS in the environment: ticks of each learner (2000)
#include "realtime.h"

#include "check.h"
#include "learners.h"

static int calls = 2000, learners;

static void test_learner(const char *name, learning *l) {
  learners++;
  int found = system_calls(learning_tick, l);
  if (found > 0) printf("%s: a real-time function made a system call\n", name);
  if (found >= 0) CHECK(found == 0);
  allocations = frees = 0;
  int bad = 0;
  armed = 1;
  for (int i = 0; i < calls; i++) bad += learning_tick(l, i);
  armed = 0;
  if (allocations || frees || bad)
    printf("%s: %ld allocations, %ld frees, %d calls that did otherwise\n", name, allocations, frees, bad);
  CHECK(allocations == 0);
  CHECK(frees == 0);
  CHECK(bad == 0);
}

int main(void) {
  if (getenv("CALLS")) calls = atoi(getenv("CALLS"));
  CHECK(counter_works());
  learning one;
  allocations = 0, armed = 1;
  CHECK(learner_of(&one, EFF_LEARNER_Q, EFF_OPTIMIZER_OBGD, EFF_F32));
  armed = 0;
  CHECK(allocations > 0); // the library's calls do arrive here
  eff_learner_destroy(one.learner);
  each_learner(test_learner);
  CHECK(learners == LEARNERS);
  printf("%d learners, %d ticks of each\n", learners, calls);
  return check_report();
}
