// One learner in a made-up world, and the memory traffic that its algorithm cannot avoid.
#pragma once
#include <efferent/efferent.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

struct subject {
  eff_learner *learner = nullptr;
  std::vector<double> stream, action;
  size_t n, at = 0;
  uint64_t steps = 0;
  const double *now = nullptr;

  subject(int algorithm, size_t observations, size_t actions, std::vector<size_t> hidden,
          int optimizer = EFF_OPTIMIZER_OBGD, int dtype = EFF_F32)
      : n(observations) {
    eff_learner_options o;
    eff_learner_options_default(&o, sizeof o);
    o.algorithm = algorithm, o.observation_count = observations, o.action_count = actions, o.optimizer = optimizer,
    o.dtype = dtype;
    o.hidden = hidden.data(), o.hidden_count = hidden.size();
    start(o, actions);
  }
  // the same network once more, loaded from the file that `like` exports; both networks learn from the first update on
  explicit subject(subject &like, size_t actions, std::vector<size_t> hidden) : n(like.n) {
    size_t size;
    check(eff_learner_export(like.learner, nullptr, 0, &size));
    std::vector<char> file(size);
    check(eff_learner_export(like.learner, file.data(), size, &size));
    eff_policy_options loading;
    eff_policy_options_default(&loading, sizeof loading);
    loading.learnable = 1;
    eff_policy *policy;
    check(eff_policy_load_memory(file.data(), size, &loading, &policy));
    eff_learner_options o;
    eff_learner_options_default(&o, sizeof o);
    check(eff_learner_options_adapt(&o, sizeof o, policy));
    o.hidden = hidden.data(), o.hidden_count = hidden.size(), o.actor_delay = 0;
    start(o, actions);
    eff_policy_release(policy);
  }
  static void check(eff_status status) {
    if (status != EFF_OK) printf("%s\n", eff_last_error()), exit(1);
  }
  void start(const eff_learner_options &o, size_t actions) {
    check(eff_learner_create(&o, &learner));
    action.resize(actions + 1);
    srand48(1);
    for (size_t i = 0; i < 257 * n; i++) stream.push_back(drand48() - 0.5);
    now = next();
    for (int i = 0; i < 2000; i++) both();
  }
  ~subject() { eff_learner_destroy(learner); }
  const double *next() {
    at = (at + 1) % 257;
    return &stream[at * n];
  }
  void act() { eff_learner_act(learner, now, action.data()); }
  void act_anew() { eff_learner_act(learner, next(), action.data()); }
  void update() {
    now = next();
    eff_transition t = EFF_TRANSITION_INIT;
    t.observation = now, t.reward = now[0], t.terminated = ++steps % 1000 == 0;
    eff_learner_update(learner, &t, nullptr);
  }
  void both() { act(), update(); }
};

// The floor: weights are read in forward, read again in backward and written once; traces are read twice and written
// once.
struct floor_of {
  std::vector<float> w, e;
  float sink = 0;
  explicit floor_of(size_t parameters) : w(parameters, 1e-3f), e(parameters, 1e-3f) {}
  __attribute__((noinline, target("avx2,fma"))) void pass() {
    typedef float V __attribute__((vector_size(32), aligned(4)));
    V a[4] = {}, c[4] = {};
    for (size_t i = 0; i + 32 <= w.size(); i += 32)
      for (int k = 0; k < 4; k++) {
        V *p = (V *)&w[i + 8 * k];
        V x = *p - *(V *)&e[i + 8 * k] * 1e-9f;
        *p = x, a[k] += x;
      }
    for (size_t i = 0; i + 32 <= w.size(); i += 32)
      for (int k = 0; k < 4; k++) {
        V *p = (V *)&e[i + 8 * k];
        V x = *p * 0.99f + *(V *)&w[i + 8 * k];
        *p = x, c[k] += x;
      }
    sink += a[0][0] + a[1][0] + a[2][0] + a[3][0] + c[0][0] + c[1][0] + c[2][0] + c[3][0];
  }
  // to act, weights are read once
  __attribute__((noinline, target("avx2,fma"))) void read() {
    typedef float V __attribute__((vector_size(32), aligned(4)));
    V a[4] = {};
    for (size_t i = 0; i + 32 <= w.size(); i += 32)
      for (int k = 0; k < 4; k++) a[k] += *(V *)&w[i + 8 * k];
    sink += a[0][0] + a[1][0] + a[2][0] + a[3][0];
  }
};
