// Controllers of a list, as Tests/Python/controller_cases.py writes it: per line CARD, the robot's joints (comma),
// NAME=POLICY..., separated by tabs.
#pragma once
#include <efferent/controller.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { MOST = 64 };

typedef struct {
  eff_controller *controller;
  eff_learner *learner; // or NULL
  double *values[MOST];
  size_t counts[MOST], count;
  int quaternion[MOST];
  double *targets[5];
  int64_t now;
  uint32_t random;
  const char *path;
  size_t joint_count;
} subject;

static double number(subject *s) {
  s->random = s->random * 1664525u + 1013904223u;
  return (s->random >> 8) / 16777216.0 - 0.5;
}

static int controller_ticks(void *context, int i) {
  subject *s = context;
  for (size_t k = 0; k < s->count; k++) {
    for (size_t j = 0; j < s->counts[k]; j++) s->values[k][j] = s->quaternion[k] ? j == 0 : 0.2 * number(s);
  }
  const int bad = i % 37 == 36 && s->count > 0;
  if (bad) s->values[(size_t)i % s->count][0] = NAN; // of a joint that the policy does not know this is no fault
  if (i % 101 == 100) (void)eff_controller_reset(s->controller);
  if (i % 211 == 0) (void)eff_controller_mode(s->controller, i / 211 % 5);
  if (i % 211 == 20) (void)eff_controller_mode(s->controller, EFF_MODE_RUN);
  s->now += i % 53 == 52 ? 90000000 : 2000000;
  (void)eff_controller_stamp(s->controller, -1, s->now);
  if (s->learner) {
    eff_transition t = EFF_TRANSITION_INIT;
    t.reward = number(s), t.terminated = i % 101 == 99, t.truncated = i % 71 == 70;
    (void)eff_controller_reward(s->controller, &t);
    eff_update update = {.struct_size = sizeof update};
    (void)eff_controller_learned(s->controller, &update);
  }
  eff_controller_report r = {.struct_size = sizeof r};
  const eff_status status = eff_controller_tick(s->controller, s->now, &r);
  size_t n;
  (void)eff_controller_vector(s->controller, "obs", &n);
  (void)eff_controller_input(s->controller, 0, 0);
  (void)eff_controller_output(s->controller, 0, 0);
  (void)eff_controller_clamps(s->controller, 0);
  (void)eff_controller_last(s->controller, &r);
  return status != EFF_OK && !bad;
}

// Opens the controller of a line and binds what it needs; 0 where that fails. learns: a learner stands for its only
// network.
static int open_subject(char *line, subject *s, int learns) {
  char *save = NULL, *path = strtok_r(line, "\t\n", &save), *names = strtok_r(NULL, "\t\n", &save);
  *s = (subject){.random = 1, .path = path};
  if (path == NULL || names == NULL) return 0;
  const char *joints[256];
  eff_controller_model models[8];
  eff_controller_options options;
  eff_controller_options_default(&options, sizeof options);
  char *inner = NULL;
  for (char *j = strtok_r(names, ",", &inner); j && options.joint_count < 256; j = strtok_r(NULL, ",", &inner))
    joints[options.joint_count++] = j;
  for (char *m; (m = strtok_r(NULL, "\t\n", &save)) && options.model_count < 8;) {
    char *equals = strchr(m, '=');
    eff_policy_options loading;
    eff_policy_options_default(&loading, sizeof loading);
    loading.no_state = 1;
    eff_policy *policy = NULL;
    *equals = 0;
    if (eff_policy_load_file(equals + 1, &loading, &policy) != EFF_OK) {
      printf("%s: %s\n", path, eff_last_error());
      CHECK(0);
      return 0;
    }
    models[options.model_count++] = (eff_controller_model){m, policy};
  }
  s->joint_count = options.joint_count;
  options.joints = joints, options.models = models, options.guard = 15, options.slew_limit = 5,
  options.blend_seconds = 0.05;
  if (learns) {
    eff_tensor_spec in = {.struct_size = sizeof in}, out = {.struct_size = sizeof out};
    CHECK(eff_policy_input(models[0].policy, 0, &in) == EFF_OK
          && eff_policy_output(models[0].policy, 0, &out) == EFF_OK);
    eff_learner_options l;
    eff_learner_options_default(&l, sizeof l);
    l.observation_count = in.count, l.action_count = out.count, l.snapshots = 2, l.snapshot_period = 100;
    CHECK(eff_learner_create(&l, &s->learner) == EFF_OK);
    options.learner = s->learner;
  }
  eff_card *card = NULL;
  if (eff_card_load_file(path, NULL, &card) != EFF_OK
      || eff_controller_create(card, &options, &s->controller) != EFF_OK) {
    printf("%s: %s\n", path, eff_last_error());
    CHECK(0);
    return 0;
  }
  eff_signal_spec spec = {.struct_size = sizeof spec};
  for (; s->count < MOST && eff_controller_signal(s->controller, s->count, &spec) == EFF_OK; s->count++) {
    s->counts[s->count] = spec.count, s->values[s->count] = calloc(spec.count, sizeof(double));
    s->quaternion[s->count] = strncmp(spec.unit, "quaternion", 10) == 0;
    eff_signal_binding b = {
        .struct_size = sizeof b, .name = spec.name, .data = s->values[s->count], .count = spec.count, .dtype = EFF_F64};
    b.unit = spec.unit[0] ? spec.unit : NULL;
    CHECK(eff_controller_bind(s->controller, &b) == EFF_OK);
  }
  for (int32_t what = 0; what < 5; what++) {
    s->targets[what] = calloc(options.joint_count, sizeof(double));
    eff_target_binding t = {.struct_size = sizeof t,
                            .what = what,
                            .dtype = EFF_F64,
                            .data = s->targets[what],
                            .count = options.joint_count};
    CHECK(eff_controller_bind_target(s->controller, &t) == EFF_OK);
  }
  eff_card_release(card);
  for (size_t i = 0; i < options.model_count; i++) eff_policy_release(models[i].policy);
  CHECK(eff_controller_start(s->controller) == EFF_OK);
  return 1;
}

static void close_subject(subject *s) {
  eff_controller_destroy(s->controller);
  CHECK(eff_controller_tick(s->controller, 0, NULL) == EFF_E_ARGUMENT);
  eff_learner_destroy(s->learner);
  for (int what = 0; what < 5; what++) free(s->targets[what]);
  for (size_t i = 0; i < s->count; i++) free(s->values[i]);
}
