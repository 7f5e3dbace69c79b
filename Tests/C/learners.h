// Learners of every algorithm, optimizer, precision and critic, and one tick that calls each of their [RT] functions.
#pragma once
#include <efferent/efferent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBSERVATIONS 7
#define ACTIONS 3
// that each_learner visits: algorithm, optimizer and precision, then algorithm and kind of critic, then those with a
// memory by algorithm and precision
#define LEARNERS (5 * 3 * 2 + 5 * 4 + 5 * 2)

typedef struct {
  eff_learner *learner;
  eff_reward_sum sum; // of the step at hand
  double clock;
  double observation[OBSERVATIONS], action[ACTIONS];
  uint64_t state;
  int returns; // its critic gives a distribution
} learning;

// A network from the observation to one number.
static eff_policy *judge_of(void) {
  eff_learner_options o;
  eff_learner *critic = NULL;
  eff_policy *policy = NULL;
  eff_learner_options_default(&o, sizeof o);
  o.algorithm = EFF_LEARNER_TD, o.observation_count = OBSERVATIONS;
  if (eff_learner_create(&o, &critic) == EFF_OK) (void)eff_learner_policy(critic, &policy);
  eff_learner_destroy(critic);
  return policy;
}

static int learner_with(learning *l, int algorithm, int optimizer, int dtype, int critic, size_t units) {
  memset(l, 0, sizeof *l);
  eff_learner_options o;
  eff_learner_options_default(&o, sizeof o);
  o.algorithm = algorithm, o.optimizer = optimizer, o.dtype = dtype;
  o.observation_count = OBSERVATIONS, o.action_count = algorithm == EFF_LEARNER_TD ? 0 : ACTIONS;
  o.snapshots = 3, o.snapshot_period = 20, o.time_limit = 50, o.filter_beta = algorithm == EFF_LEARNER_TD ? 0.9 : 0;
  o.error_cap = 3, o.beta_energy = 0.99;
  o.drift_budget = 1e6, o.std_floor = 0.01, o.std_ceiling = 3, o.td_error_rise = 1.5;
  if (algorithm == EFF_LEARNER_AC_CONTINUOUS || algorithm == EFF_LEARNER_AC_DISCRETE)
    o.change_limit = 0.01, o.change_period = 2, o.change_observations = 5;
  // learners by ObGD have all that can happen to a reward
  eff_reward_options r;
  eff_policy *judge = NULL;
  static const double slope[OBSERVATIONS] = {0.1, -0.2};
  static const size_t widths[] = {9, 5};
  eff_reward_options_default(&r, sizeof r);
  if (optimizer == EFF_OPTIMIZER_OBGD && (judge = judge_of()) == NULL) return 0;
  r.network = r.potential = judge, r.network_mode = EFF_REWARD_ADD, r.network_weight = 0.1;
  r.potential_linear = slope, r.potential_linear_count = OBSERVATIONS, r.potential_bias = 1;
  r.bonus = 0.1, r.bonus_hidden = widths, r.bonus_hidden_count = 2, r.clip = 2;
  if (judge) o.rewards = &r;
  if (eff_reward_sum_begin(&l->sum, dtype == EFF_F64, 0.99, 0.02) != EFF_OK) return 0;
  o.critic_kind = critic, o.critic_size = 9, o.recurrent_units = units;
  if (algorithm != EFF_LEARNER_TD && critic == EFF_CRITIC_QUANTILE)
    o.risk = EFF_RISK_CVAR, o.stock = algorithm % 3 != 0;
  if (algorithm != EFF_LEARNER_TD && critic == EFF_CRITIC_CATEGORICAL)
    o.risk = algorithm % 2 ? EFF_RISK_CVAR : EFF_RISK_SPREAD;
  l->state = 1;
  l->returns = critic == EFF_CRITIC_QUANTILE || critic == EFF_CRITIC_CATEGORICAL;
  const int made = eff_learner_create(&o, &l->learner) == EFF_OK;
  eff_policy_release(judge);
  return made;
}

static int learner_of(learning *l, int algorithm, int optimizer, int dtype) {
  return learner_with(l, algorithm, optimizer, dtype, EFF_CRITIC_MEAN, 0);
}

static double noise(learning *l) {
  l->state = l->state * 6364136223846793005u + 1442695040888963407u;
  return (double)(l->state >> 11) / 9007199254740992.0 - 0.5;
}

// Returns how many calls did not do as expected.
static int learning_tick(void *context, int i) {
  learning *l = context;
  eff_update told = {.struct_size = sizeof told};
  eff_transition t = EFF_TRANSITION_INIT;
  int bad = eff_learner_act(l->learner, l->observation, l->action) != EFF_OK;
  for (int k = 0; k < OBSERVATIONS; k++) l->observation[k] = noise(l);
  // long good times and a sudden fall, so that the guards have something to do
  t.observation = l->observation, t.reward = i % 400 < 300 ? 1 : -1, t.terminated = i % 13 == 12,
  t.truncated = i % 29 == 28;
  for (int k = 0; k < 6; k++) bad += eff_reward_sum_add(&l->sum, t.reward, l->clock += 0.003) != EFF_OK;
  bad += eff_reward_sum_take(&l->sum, &t.reward, &t.dt) != EFF_OK;
  bad += eff_learner_update(l->learner, &t, &told) != EFF_OK;
  bad += eff_learner_infer(l->learner, l->observation, l->action) != EFF_OK;
  double values[9], probabilities[9];
  bad += eff_learner_returns(l->learner, l->observation, 0, values, i % 2 ? probabilities : NULL, 9)
         != (l->returns ? EFF_OK : EFF_E_STATE);
  if (i % 50 == 7) bad += eff_learner_freeze(l->learner, i % 8) != EFF_OK;
  if (i % 50 == 9) bad += eff_learner_freeze(l->learner, 0) != EFF_OK;
  if (i % 100 == 40) bad += eff_learner_snapshot(l->learner) != EFF_OK;
  if (i % 100 == 80) bad += eff_learner_roll_back(l->learner) != EFF_OK;
  if (i % 200 == 60) bad += eff_learner_mark(l->learner) != EFF_OK;
  if (i % 100 == 90) { // what is not finite is refused on the same path
    t.reward = 1e308 * 10;
    bad += eff_learner_act(l->learner, l->observation, l->action) != EFF_OK;
    bad += eff_learner_update(l->learner, &t, NULL) != EFF_E_NUMERIC;
  }
  return bad;
}

static void each_learner(void (*visit)(const char *name, learning *l)) {
  static const char *const algorithms[] = {"continuous", "discrete", "q", "sarsa", "td"}, *const optimizers[] = {
                                                                                              "ObGD", "adaptive",
                                                                                              "intentional"};
  for (int a = 0; a < 5; a++)
    for (int o = 0; o < 3; o++)
      for (int d = 0; d < 2; d++) {
        char name[64];
        snprintf(name, sizeof name, "%s, %s, %s", algorithms[a], optimizers[o], d ? "f64" : "f32");
        learning l;
        if (!learner_of(&l, a, o, d ? EFF_F64 : EFF_F32)) {
          printf("%s: %s\n", name, eff_last_error());
          exit(1);
        }
        visit(name, &l);
        eff_learner_destroy(l.learner);
      }
  for (int a = 0; a < 5; a++)
    for (int c = EFF_CRITIC_QUANTILE; c <= EFF_CRITIC_HL_GAUSS; c++) {
      char name[64];
      snprintf(name, sizeof name, "%s, %s, critic %d", algorithms[a], optimizers[(a + c) % 3], c);
      learning l;
      if (!learner_with(&l, a, (a + c) % 3, c % 2 ? EFF_F32 : EFF_F64, c, 0)) {
        printf("%s: %s\n", name, eff_last_error());
        exit(1);
      }
      visit(name, &l);
      eff_learner_destroy(l.learner);
    }
  for (int a = 0; a < 5; a++)
    for (int d = 0; d < 2; d++) {
      char name[64];
      snprintf(name, sizeof name, "%s, %s, recurrent, %s", algorithms[a], optimizers[(a + d) % 3], d ? "f64" : "f32");
      learning l;
      if (!learner_with(&l, a, (a + d) % 3, d ? EFF_F64 : EFF_F32, d ? EFF_CRITIC_QUANTILE : EFF_CRITIC_MEAN, 6)) {
        printf("%s: %s\n", name, eff_last_error());
        exit(1);
      }
      visit(name, &l);
      eff_learner_destroy(l.learner);
    }
}
