// The ladder on the robot's side of a link against that of a controller: the same card, the same signals; one
// controller's data are old, the other's targets. Also that an update allocates nothing.
//   ladder_test FOLDER      card.json and controller.onnx, as Tests/Python/controller_cases.py writes them
#include "realtime.h"

#include <efferent/controller.h>
#include <efferent/ladder.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { JOINTS = 4, SIGNALS = 16, PERIOD = 2000000 };
static const char *const joints[JOINTS] = {"ankle", "spare", "hip", "knee"};

typedef struct {
  eff_controller *controller;
  double values[SIGNALS][JOINTS], targets[5][JOINTS], *position;
  size_t counts[SIGNALS], count;
} robot;

static void open_robot(robot *r, const char *folder, const eff_fallback_step *steps, size_t step_count) {
  char path[4096];
  memset(r, 0, sizeof *r);
  eff_card *card = NULL;
  eff_policy *policy = NULL;
  snprintf(path, sizeof path, "%s/card.json", folder);
  CHECK(eff_card_load_file(path, NULL, &card) == EFF_OK);
  snprintf(path, sizeof path, "%s/controller.onnx", folder);
  CHECK(eff_policy_load_file(path, NULL, &policy) == EFF_OK);
  eff_controller_model model = {"policy", policy};
  eff_controller_options o;
  eff_controller_options_default(&o, sizeof o);
  o.joints = joints, o.joint_count = JOINTS, o.models = &model, o.model_count = 1;
  o.fallback = steps, o.fallback_count = step_count, o.stale_limit = 0.01, o.blend_seconds = 0.03;
  CHECK(eff_controller_create(card, &o, &r->controller) == EFF_OK);
  eff_signal_spec s = {.struct_size = sizeof s};
  for (; r->count < SIGNALS && eff_controller_signal(r->controller, r->count, &s) == EFF_OK; r->count++) {
    r->counts[r->count] = s.count;
    if (strcmp(s.name, "joint.position") == 0) r->position = r->values[r->count];
    if (strncmp(s.unit, "quaternion", 10) == 0) r->counts[r->count] = 0, r->values[r->count][0] = 1;
    eff_signal_binding b = {
        .struct_size = sizeof b, .name = s.name, .data = r->values[r->count], .count = s.count, .dtype = EFF_F64};
    b.unit = s.unit[0] ? s.unit : NULL;
    CHECK(eff_controller_bind(r->controller, &b) == EFF_OK);
  }
  for (int32_t what = 0; what < 5; what++) {
    for (int j = 0; j < JOINTS; j++) r->targets[what][j] = NAN;
    eff_target_binding t = {
        .struct_size = sizeof t, .what = what, .dtype = EFF_F64, .data = r->targets[what], .count = JOINTS};
    CHECK(eff_controller_bind_target(r->controller, &t) == EFF_OK);
  }
  CHECK(r->position && eff_controller_start(r->controller) == EFF_OK);
  eff_card_release(card), eff_policy_release(policy);
}

static uint32_t state = 7;
static double number(void) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) / 16777216.0 - 0.5;
}

typedef struct {
  eff_ladder *ladder;
  const double *measured;
  eff_ladder_targets *targets;
  int64_t now;
  uint64_t age;
} period;

static int update(void *context, int i) {
  const period *p = context;
  return eff_ladder_update(p->ladder, p->now + i, p->age, EFF_MODE_RUN, p->measured, p->targets);
}

static void test_same(const char *folder, const eff_fallback_step *steps, size_t step_count, const double *gains) {
  robot whole, far;
  open_robot(&whole, folder, steps, step_count);
  open_robot(&far, folder, steps, step_count);
  eff_ladder_step own[8];
  // gains as the card and the steps have them, in the robot's order
  double kp[8][JOINTS], kd[8][JOINTS], pose[JOINTS];
  for (size_t s = 0; s < step_count; s++) {
    for (int j = 0; j < JOINTS; j++) {
      const int ramps = steps[s].mode == EFF_MODE_RAMP, holds = steps[s].mode == EFF_MODE_HOLD;
      kp[s][j] = ramps && steps[s].kp >= 0 ? steps[s].kp : gains[j];
      kd[s][j] = !holds && steps[s].kd >= 0 ? steps[s].kd : gains[JOINTS + j];
    }
    own[s] = (eff_ladder_step){steps[s].mode, 0, steps[s].seconds, kp[s], kd[s]};
  }
  for (int j = 0; j < JOINTS; j++) pose[j] = gains[2 * JOINTS + j];
  eff_ladder_options o = {sizeof o, JOINTS, own, step_count, pose, 0.03, 0.01};
  eff_ladder *ladder = NULL;
  CHECK(eff_ladder_create(&o, &ladder) == EFF_OK);
  double sent[5][JOINTS];
  eff_ladder_targets t = {{sent[0], NULL, NULL, sent[3], sent[4]}};
  long long now = 5000000000;
  int differ = 0, modes = 0;
  for (int k = 0; k < 600; k++, now += PERIOD) {
    const int dead = k >= 150 && k < 400;
    for (size_t i = 0; i < whole.count; i++) {
      for (size_t e = 0; e < whole.counts[i]; e++) whole.values[i][e] = far.values[i][e] = number();
    }
    eff_controller_report r = {.struct_size = sizeof r};
    (void)eff_controller_stamp(whole.controller, -1, dead ? 0 : now);
    CHECK((eff_controller_tick(whole.controller, now, &r) == EFF_OK) == !dead);
    if (!dead) {
      (void)eff_controller_stamp(far.controller, -1, now);
      if (k == 400) (void)eff_controller_reset(far.controller);  // as a plant that connects again does
      CHECK(eff_controller_tick(far.controller, now, NULL) == EFF_OK);
      memcpy(sent, far.targets, sizeof sent);
    }
    period p = {ladder, far.position, &t, now, dead ? 20000000 : 0};
    armed = 1;
    const int32_t mode = update(&p, 0);
    armed = 0;
    if (k == 500) {
      const int calls = system_calls(update, &p);
      CHECK(calls <= 0);
    }
    modes |= 1 << mode;
    CHECK(mode == r.mode);
    for (int what = 0; what < 5; what++) {
      if (t.kinds[what]) differ += memcmp(sent[what], whole.targets[what], sizeof sent[what]) != 0;
    }
  }
  CHECK(differ == 0 && (modes & 1) && modes != 1);
  eff_ladder_destroy(ladder);
  eff_controller_destroy(whole.controller), eff_controller_destroy(far.controller);
}

static void test_never_heard(void) {
  const double kd[2] = {3, 4};
  const eff_ladder_step steps[] = {{EFF_MODE_HOLD, 0, 0.1, NULL, NULL}, {EFF_MODE_DAMP, 0, 0, NULL, kd}};
  eff_ladder_options o = {sizeof o, 2, steps, 2, NULL, 0, 0.05};
  eff_ladder *ladder = NULL;
  CHECK(eff_ladder_create(&o, &ladder) == EFF_OK);
  double position[2] = {NAN, NAN}, gain[2] = {NAN, NAN}, damping[2] = {NAN, NAN};
  const double measured[2] = {0.5, -0.5};
  eff_ladder_targets t = {{position, NULL, NULL, gain, damping}};
  // where the joints are is not known: nothing can be held
  CHECK(eff_ladder_update(ladder, 0, UINT64_MAX, 0, NULL, &t) == EFF_MODE_DAMP);
  eff_ladder_destroy(ladder);
  CHECK(eff_ladder_create(&o, &ladder) == EFF_OK);
  CHECK(eff_ladder_update(ladder, 0, UINT64_MAX, 0, measured, &t) == EFF_MODE_HOLD && position[1] == -0.5);
  CHECK(eff_ladder_update(ladder, 200000000, UINT64_MAX, 0, measured, &t) == EFF_MODE_DAMP && gain[0] == 0);
  CHECK(damping[1] == 4);
  eff_ladder_destroy(ladder);
}

static void test_refusals(void) {
  const eff_ladder_step good = {EFF_MODE_DAMP, 0, 0, NULL, NULL};
  eff_ladder_step bad = good;
  eff_ladder *ladder = NULL;
  eff_ladder_options o = {sizeof o, 2, &good, 1, NULL, 0, 0.05}, p = o;
  CHECK(eff_ladder_create(NULL, &ladder) == EFF_E_ARGUMENT && eff_ladder_create(&o, NULL) == EFF_E_ARGUMENT);
  p.joint_count = 0;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p.joint_count = SIZE_MAX;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p = o, p.step_count = 65;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p = o, p.age_limit = NAN;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p = o, p.blend_seconds = -1;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p = o, p.struct_size = 3;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  p = o, p.steps = &bad, bad.mode = EFF_MODE_RUN;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  bad = good, bad.seconds = INFINITY;
  CHECK(eff_ladder_create(&p, &ladder) == EFF_E_ARGUMENT);
  CHECK(ladder == NULL);
  eff_ladder_destroy(NULL);
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  CHECK(counter_works());
  allocations = frees = 0;
  // kp, kd and default pose of the card, in the robot's order; "spare" is not the card's
  const double card[3 * JOINTS] = {40, NAN, 20, 30, 0.9, NAN, 0.5, 0.7, 0.3, NAN, 0.1, -0.4};
  const eff_fallback_step hold[] = {{EFF_MODE_HOLD, 0, 0.1, -1, -1}, {EFF_MODE_DAMP, 0, 0, -1, -1}};
  const eff_fallback_step ramp[] = {{EFF_MODE_RAMP, 0, 0.3, 12, 1.5}, {EFF_MODE_HOLD, 0, 0.1, -1, -1},
                                    {EFF_MODE_DAMP, 0, 0.05, -1, 2}, {EFF_MODE_ZERO, 0, 0, -1, -1}};
  const eff_fallback_step limp[] = {{EFF_MODE_DAMP, 0, 0.1, -1, 4}, {EFF_MODE_HOLD, 0, 0.1, -1, -1},
                                    {EFF_MODE_RAMP, 0, 0.1, -1, -1}};
  test_same(arguments[1], hold, 2, card);
  test_same(arguments[1], ramp, 4, card);
  test_same(arguments[1], limp, 3, card);
  test_never_heard();
  test_refusals();
  CHECK(allocations == 0 && frees == 0);
  return check_report();
}
