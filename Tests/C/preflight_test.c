// Pre-flight in C: a recording is met by the card that it was made with, and a card with one wrong number, sign or
// order is refused by the name of the first wrong term, action or target, by eff_controller_preflight and by
// eff_controller_start.
//   preflight_test FOLDER
// FOLDER has card.json, controller.onnx and robot.npz, as Tests/Python/controller_cases.py writes them.
#include <efferent/controller.h>
#include <efferent/efferent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { JOINTS = 4, SIGNALS = 16, TICKS = 40 };
static const char *const joints[JOINTS] = {"ankle", "spare", "hip", "knee"};
static char card_path[4096], recording_path[4096];
static eff_policy *policy;

typedef struct {
  eff_controller *controller;
  double values[SIGNALS][JOINTS];
  eff_signal_spec specs[SIGNALS];
  size_t count;
  double targets[5][JOINTS];
} robot;

// A controller of the card with a JSON patch; its signals are bound.
static eff_status open_robot(robot *r, const char *patch, const char *recording, int32_t on_mismatch) {
  memset(r, 0, sizeof *r);
  eff_card_options given;
  eff_card_options_default(&given, sizeof given);
  char text[4096];
  snprintf(text, sizeof text, "{\"patch\": %s}", patch);
  given.supplied = text;
  eff_card *card = NULL;
  eff_status status = eff_card_load_file(card_path, &given, &card);
  if (status != EFF_OK) return status;
  eff_controller_model model = {"policy", policy};
  eff_controller_options options;
  eff_controller_options_default(&options, sizeof options);
  options.joints = joints, options.joint_count = JOINTS, options.models = &model, options.model_count = 1;
  if (recording) options.recordings = &recording, options.recording_count = 1;
  options.on_mismatch = on_mismatch;
  status = eff_controller_create(card, &options, &r->controller);
  eff_card_release(card);
  if (status != EFF_OK) return status;
  for (r->specs[0].struct_size = sizeof r->specs[0];
       eff_controller_signal(r->controller, r->count, &r->specs[r->count]) == EFF_OK; r->count++) {
    eff_signal_spec *s = &r->specs[r->count];
    eff_signal_binding b = {
        .struct_size = sizeof b, .name = s->name, .data = r->values[r->count], .count = s->count, .dtype = EFF_F64};
    b.unit = s->unit[0] ? s->unit : NULL;
    CHECK(s->count <= JOINTS && eff_controller_bind(r->controller, &b) == EFF_OK);
    r->specs[r->count + 1].struct_size = sizeof *s;
  }
  for (int32_t what = 0; what < 5; what++) {
    for (int j = 0; j < JOINTS; j++) r->targets[what][j] = NAN;
    eff_target_binding t = {
        .struct_size = sizeof t, .what = what, .dtype = EFF_F64, .data = r->targets[what], .count = JOINTS};
    CHECK(eff_controller_bind_target(r->controller, &t) == EFF_OK);
  }
  return EFF_OK;
}

// What the card with a patch is told by: the words of the first difference, or "" where all is as recorded.
static const char *told(const char *patch) {
  static eff_preflight_report report;
  robot r;
  report = (eff_preflight_report){.struct_size = sizeof report};
  eff_status status = open_robot(&r, patch, NULL, 0);
  if (status == EFF_OK) {
    eff_recording recording = {.struct_size = sizeof recording, .path = recording_path};
    status = eff_controller_preflight(r.controller, &recording, &report);
    CHECK(status == (report.differs ? EFF_E_MISMATCH : EFF_OK));
    if (report.differs) CHECK(strstr(eff_last_error(), "robot.npz") && strstr(eff_last_error(), report.what));
    eff_controller_report last = {.struct_size = sizeof last};
    CHECK(eff_controller_last(r.controller, &last) == EFF_OK && last.ticks == 0);
  } else {
    printf("%s: %s\n", patch, eff_last_error());
    CHECK(0);
  }
  eff_controller_destroy(r.controller);
  return report.what;
}

static void wrong(const char *patch, const char *word, const char *other) {
  const char *what = told(patch);
  if (!strstr(what, word) || !strstr(what, other))
    printf("%s: '%s', expected '%s' and '%s'\n", patch, what, word, other);
  CHECK(strstr(what, word) && strstr(what, other));
  // start refuses what a card or an option names, unless it is told otherwise
  robot r;
  CHECK(open_robot(&r, patch, recording_path, EFF_PREFLIGHT_REFUSE) == EFF_OK);
  CHECK(eff_controller_start(r.controller) == EFF_E_MISMATCH && strstr(eff_last_error(), word));
  CHECK(eff_controller_tick(r.controller, 0, NULL) == EFF_E_STATE);
  eff_controller_destroy(r.controller);
}

static int warnings;
static void count_warning(void *user, int32_t level, const char *line) {
  (void)user;
  warnings += level == EFF_LOG_WARNING && strstr(line, "preflight") != NULL;
}

static void test_start(void) {
  robot r;
  const char *bad = "{\"joints\": {\"knee\": {\"kp\": 31.0}}, \"recordings\": [\"robot.npz\"]}";
  CHECK(open_robot(&r, "{\"recordings\": [\"robot.npz\"]}", NULL, 0) == EFF_OK
        && eff_controller_start(r.controller) == EFF_OK);
  eff_controller_destroy(r.controller);
  CHECK(open_robot(&r, bad, NULL, EFF_PREFLIGHT_REFUSE) == EFF_OK
        && eff_controller_start(r.controller) == EFF_E_MISMATCH);
  CHECK(strstr(eff_last_error(), "of joint 'knee'"));
  eff_controller_destroy(r.controller);
  eff_set_log(count_warning, NULL, EFF_LOG_WARNING);
  CHECK(open_robot(&r, bad, NULL, EFF_PREFLIGHT_WARN) == EFF_OK && eff_controller_start(r.controller) == EFF_OK
        && warnings == 1);
  eff_controller_destroy(r.controller);
  CHECK(open_robot(&r, bad, NULL, EFF_PREFLIGHT_SKIP) == EFF_OK && eff_controller_start(r.controller) == EFF_OK
        && warnings == 1);
  eff_controller_destroy(r.controller);
  eff_set_log(NULL, NULL, EFF_LOG_ERROR);
  CHECK(open_robot(&r, "{\"recordings\": [\"nowhere.npz\"]}", NULL, 0) == EFF_OK
        && eff_controller_start(r.controller) == EFF_E_IO);
  CHECK(strstr(eff_last_error(), "nowhere.npz"));
  eff_controller_destroy(r.controller);
  CHECK(open_robot(&r, "{}", NULL, 7) == EFF_E_ARGUMENT && strstr(eff_last_error(), "on_mismatch"));
}

// Arrays that C has kept by itself, in the order of its own joints.
static void test_arrays(void) {
  static double in[SIGNALS][TICKS * JOINTS], out[TICKS * JOINTS], kp[TICKS * JOINTS];
  static char names[SIGNALS][64];
  robot r;
  CHECK(open_robot(&r, "{}", NULL, 0) == EFF_OK && eff_controller_start(r.controller) == EFF_OK);
  for (int k = 0; k < TICKS; k++) {
    for (size_t s = 0; s < r.count; s++) {
      const int quaternion = strncmp(r.specs[s].unit, "quaternion", 10) == 0;
      for (size_t i = 0; i < r.specs[s].count; i++)
        r.values[s][i] = quaternion ? i == 0 : 0.3 * sin(k * 0.7 + (double)s + 2.0 * (double)i);
      memcpy(&in[s][(size_t)k * r.specs[s].count], r.values[s], r.specs[s].count * sizeof(double));
    }
    CHECK(eff_controller_tick(r.controller, (int64_t)k * 2000000, NULL) == EFF_OK);
    memcpy(&out[k * JOINTS], r.targets[EFF_TARGET_POSITION], sizeof r.targets[0]);
    memcpy(&kp[k * JOINTS], r.targets[EFF_TARGET_KP], sizeof r.targets[0]);
  }
  eff_recorded_array arrays[SIGNALS + 2];
  size_t n = 0;
  for (size_t s = 0; s < r.count; s++) {
    snprintf(names[s], sizeof names[s], "in.%s", r.specs[s].name);
    arrays[n++] = (eff_recorded_array){names[s], in[s], TICKS, r.specs[s].count};
  }
  arrays[n++] = (eff_recorded_array){"out.position", out, TICKS, JOINTS};
  arrays[n++] = (eff_recorded_array){"out.kp", kp, TICKS, JOINTS};
  eff_recording recording = {.struct_size = sizeof recording, .arrays = arrays, .array_count = n};
  eff_preflight_row rows[64];
  eff_preflight_report report = {.struct_size = sizeof report, .rows = rows, .row_capacity = 64};
  CHECK(eff_controller_preflight(r.controller, &recording, &report) == EFF_OK && report.differs == 0
        && report.what[0] == 0);
  CHECK(report.row_count == 2 && strcmp(rows[0].name, "out.position") == 0 && rows[0].is_same
        && strstr(report.unchecked, "obs.policy."));
  out[5 * JOINTS + 2] += 0.01;
  CHECK(eff_controller_preflight(r.controller, &recording, &report) == EFF_E_MISMATCH && report.differs == 1
        && report.tick == 5);
  CHECK(strstr(report.what, "target 'position' of joint 'hip' at tick 5") && !rows[0].is_same
        && fabs(rows[0].difference - 0.01) < 1e-9);
  recording.absolute = 0.02;
  CHECK(eff_controller_preflight(r.controller, &recording, NULL) == EFF_OK);
  // what does not fit is refused by name and is no difference
  const char *others[JOINTS] = {"ankle", "spare", "left_hip", "knee"};
  recording.joints = others, recording.joint_count = JOINTS;
  // untouched by a failure
  CHECK(eff_controller_preflight(r.controller, &recording, &report) == EFF_E_MISMATCH && report.differs == 1);
  CHECK(strstr(eff_last_error(), "joint 'hip' is not in the recording"));
  // as wide as the robot, but not as the recording's joints
  const char *more[JOINTS + 1] = {"spare", "hip", "knee", "x", "ankle"};
  recording.joints = more, recording.joint_count = JOINTS + 1;
  CHECK(eff_controller_preflight(r.controller, &recording, NULL) == EFF_E_SHAPE
        && strstr(eff_last_error(), "joint.position"));
  recording.joint_count = 0, arrays[0].rows--;
  CHECK(eff_controller_preflight(r.controller, &recording, NULL) == EFF_E_ARGUMENT
        && strstr(eff_last_error(), "not equally long"));
  arrays[0].rows++, arrays[0].name = "inn";
  CHECK(eff_controller_preflight(r.controller, &recording, NULL) == EFF_E_ARGUMENT
        && strstr(eff_last_error(), "'inn' is not known"));
  recording.array_count = 0;
  CHECK(eff_controller_preflight(r.controller, &recording, NULL) == EFF_E_ARGUMENT
        && strstr(eff_last_error(), "no raw signals"));
  CHECK(eff_controller_preflight(r.controller, NULL, NULL) == EFF_E_ARGUMENT
        && eff_controller_preflight(NULL, &recording, NULL) == EFF_E_ARGUMENT);
  eff_controller_destroy(r.controller);
}

// No byte of a recording that was changed or lost is believed, and none stops the program.
static void test_torn(void) {
  FILE *f = fopen(recording_path, "rb");
  CHECK(f != NULL);
  static unsigned char bytes[1 << 22];
  const size_t size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
  if (f) fclose(f);
  CHECK(size > 1000 && size < sizeof bytes);
  char torn[4200];
  snprintf(torn, sizeof torn, "%s.torn", recording_path);
  robot r;
  CHECK(open_robot(&r, "{}", NULL, 0) == EFF_OK);
  eff_recording recording = {.struct_size = sizeof recording, .path = torn, .stops_at_first = 1};
  int accepted = 0;
  for (int i = 0; i < 60; i++) {
    FILE *to = fopen(torn, "wb");
    if (to == NULL) break;
    const size_t at = (size_t)(i * 7919) % size;
    bytes[at] ^= 0x41;
    fwrite(bytes, 1, i % 2 ? size : at, to);
    fclose(to);
    bytes[at] ^= 0x41;
    accepted += eff_controller_preflight(r.controller, &recording, NULL) == EFF_OK;
  }
  // bytes that the directory repeats elsewhere may change
  if (accepted > 6) printf("%d of 60 torn recordings were met\n", accepted);
  CHECK(accepted <= 6);
  remove(torn);
  eff_controller_destroy(r.controller);
}

int main(int count, char **arguments) {
  if (count != 2) return printf("preflight_test FOLDER\n"), 2;
  snprintf(card_path, sizeof card_path, "%s/card.json", arguments[1]);
  snprintf(recording_path, sizeof recording_path, "%s/robot.npz", arguments[1]);
  char path[4096];
  snprintf(path, sizeof path, "%s/controller.onnx", arguments[1]);
  eff_policy_options loading;
  eff_policy_options_default(&loading, sizeof loading);
  loading.no_state = 1;
  CHECK(eff_policy_load_file(path, &loading, &policy) == EFF_OK);
  CHECK(strcmp(told("{}"), "") == 0);
  // its torque band
  wrong("{\"joints\": {\"knee\": {\"kp\": 31.0}}}", "target 'position' of joint 'knee'", "the recording has");
  wrong("{\"joints\": {\"hip\": {\"default\": 0.2}}}", "joint 'hip'", "at tick");
  wrong("{\"policy_period\": 0.03}", "policy_period is 0.03 s", "0.02 s");
  wrong("{\"commands\": {\"velocity\": {\"range\": [[-0.1, 0.1], [-0.1, 0.1], [-0.1, 0.1]], \"clamp\": true}}}",
        "term 'command'", "(");
  test_start();
  test_arrays();
  test_torn();
  eff_policy_release(policy);
  return check_report();
}
