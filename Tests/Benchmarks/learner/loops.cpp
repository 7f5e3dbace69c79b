// Loops over learners for torch_bench.py, so that no Python lies between two calls.
#include "subject.h"

#include <time.h>

// Of this thread alone: other processes may interrupt it.
static double thread_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

extern "C" {
subject *bench_learner(int algorithm, size_t observations, size_t actions, size_t hidden) {
  return new subject(algorithm, observations, actions, {hidden, hidden});
}

// Microseconds of one act + update, or of one act, over so many calls.
double bench_both(subject *s, int calls) {
  double t = thread_us();
  for (int i = 0; i < calls; i++) s->both();
  return (thread_us() - t) / calls;
}
double bench_act(subject *s, int calls) {
  double t = thread_us();
  for (int i = 0; i < calls; i++) s->act_anew();
  return (thread_us() - t) / calls;
}

floor_of *bench_floor(size_t parameters) { return new floor_of(parameters); }
double bench_floor_both(floor_of *f, int calls) {
  double t = thread_us();
  for (int i = 0; i < calls; i++) f->pass();
  return (thread_us() - t) / calls;
}
double bench_floor_act(floor_of *f, int calls) {
  double t = thread_us();
  for (int i = 0; i < calls; i++) f->read();
  return (thread_us() - t) / calls;
}
}
