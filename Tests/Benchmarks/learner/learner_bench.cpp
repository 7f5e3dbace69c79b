// Cost of act + update through the C ABI of the finished library, and of the memory traffic that the algorithm cannot
// avoid.
// run.sh builds and runs it.
#include "subject.h"

#include "../bench.h"

int main() {
  subject large(EFF_LEARNER_AC_CONTINUOUS, 18, 6, {128, 128}),
      adaptive(EFF_LEARNER_AC_CONTINUOUS, 18, 6, {128, 128}, EFF_OPTIMIZER_ADAPTIVE_OBGD),
      intentional(EFF_LEARNER_AC_CONTINUOUS, 18, 6, {128, 128}, EFF_OPTIMIZER_INTENTIONAL),
      small(EFF_LEARNER_AC_CONTINUOUS, 5, 1, {32, 32}), q(EFF_LEARNER_Q, 5, 2, {32, 32}),
      wide(EFF_LEARNER_AC_CONTINUOUS, 18, 6, {128, 128}, EFF_OPTIMIZER_OBGD, EFF_F64);
  const size_t parameters = (18 * 128 + 128) * 2 + (128 * 128 + 128) * 2 + 128 * 13 + 13;
  floor_of floor(parameters);
  printf("microseconds (ratio to the first); AC 18-128-128-(6,6) has %zu parameters, weights and traces %zu bytes\n",
         parameters, parameters * 8);
  std::vector<contender> a = {{"floor", [&] { floor.pass(); }, {}},
                              {"act+update", [&] { large.both(); }, {}},
                              {"act", [&] { large.act_anew(); }, {}}};
  compare("AC 18-128-128-(6,6)", a);
  std::vector<contender> b = {{"ObGD", [&] { large.both(); }, {}},
                              {"adaptive", [&] { adaptive.both(); }, {}},
                              {"intentional", [&] { intentional.both(); }, {}},
                              {"f64", [&] { wide.both(); }, {}}};
  compare("AC 18-128-128-(6,6)", b);
  subject loaded(large, 6, {128, 128});
  std::vector<contender> d = {{"described", [&] { large.both(); }, {}}, {"loaded", [&] { loaded.both(); }, {}}};
  compare("AC 18-128-128-(6,6)", d);
  std::vector<contender> c = {{"AC 5-32-32-1", [&] { small.both(); }, {}},
                              {"Q 5-32-32-2", [&] { q.both(); }, {}},
                              {"AC act", [&] { small.act_anew(); }, {}}};
  compare("small", c);
}
