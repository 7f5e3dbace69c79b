/* The fallback ladder on the robot's side of a link: FallbackSlot.swift without the runtime. */
#include "efferent/ladder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 5, STEPS = 64, JOINTS = 4096 };

typedef struct step {
  int32_t mode;
  int64_t length; /* ns */
  double *kp, *kd;
} step;

struct eff_ladder {
  size_t joints, step_count;
  step steps[STEPS];
  int64_t blend;
  uint64_t limit;
  double *pose;
  /* what the robot was sent last, by kind; NaN: a joint that is not commanded */
  double *sent[KINDS];
  /* where the present step and the blend start */
  double *from;
  int has_sent, is_limp, is_blending;
  int at; /* step that moves the robot; -1: the controller does */
  int64_t since, began, blend_since;
  double memory[];
};

/* ns of finite seconds; -1 where they are none */
static int64_t ns(double seconds) {
  return seconds >= 0 && seconds < 9e9 ? (int64_t)(seconds * 1e9 + 0.5) : -1;
}

static void fill(double *to, const double *from, size_t count) {
  for (size_t i = 0; i < count; i++) to[i] = from ? from[i] : (double)NAN;
}

eff_status eff_ladder_create(const eff_ladder_options *options, eff_ladder **out) {
  if (out) *out = NULL;
  eff_ladder_options o = {0};
  if (!out || !options || options->struct_size < sizeof o || options->struct_size > 1 << 16) return EFF_E_ARGUMENT;
  memcpy(&o, options, sizeof o);
  if (o.joint_count < 1 || o.joint_count > JOINTS || o.step_count < 1 || o.step_count > STEPS || !o.steps ||
      ns(o.blend_seconds) < 0 || ns(o.age_limit) < 1) {
    return EFF_E_ARGUMENT;
  }
  for (size_t s = 0; s < o.step_count; s++) {
    const int32_t mode = o.steps[s].mode;
    if (mode < EFF_MODE_HOLD || mode > EFF_MODE_ZERO || ns(o.steps[s].seconds) < 0) return EFF_E_ARGUMENT;
  }
  const size_t n = o.joint_count, arrays = 2 * o.step_count + KINDS + 2;
  eff_ladder *l = calloc(1, sizeof *l + arrays * n * sizeof(double));
  if (!l) return EFF_E_MEMORY;
  double *at = l->memory;
  l->joints = n, l->step_count = o.step_count, l->at = -1;
  l->blend = ns(o.blend_seconds), l->limit = (uint64_t)ns(o.age_limit);
  for (size_t s = 0; s < o.step_count; s++) {
    l->steps[s].mode = o.steps[s].mode, l->steps[s].length = ns(o.steps[s].seconds);
    fill(l->steps[s].kp = at, o.steps[s].kp, n), at += n;
    fill(l->steps[s].kd = at, o.steps[s].kd, n), at += n;
  }
  for (int k = 0; k < KINDS; k++) fill(l->sent[k] = at, NULL, n), at += n;
  fill(l->from = at, NULL, n), at += n;
  fill(l->pose = at, o.pose, n);
  *out = l;
  return EFF_OK;
}

void eff_ladder_destroy(eff_ladder *ladder) { free(ladder); }

/* where the joints are sent now; where they are, if nothing holds them */
static void keep(eff_ladder *l, const double *measured) {
  for (size_t j = 0; j < l->joints; j++) {
    const int holds = l->has_sent && !l->is_limp && isfinite(l->sent[EFF_TARGET_POSITION][j]);
    if (holds) {
      l->from[j] = l->sent[EFF_TARGET_POSITION][j];
    } else if (measured && isfinite(measured[j])) {
      l->from[j] = measured[j];
    }
  }
}

/* the controller is heard: its targets, pulled toward where the robot came from */
static int32_t follow(eff_ladder *l, int64_t now, int32_t mode, const double *measured, eff_ladder_targets *t) {
  if (l->at >= 0) {
    keep(l, measured);
    l->at = -1, l->is_blending = l->blend > 0, l->blend_since = now;
  }
  const double share = l->is_blending ? (double)(now - l->blend_since) / (double)l->blend : 1;
  l->is_blending = l->is_blending && share < 1;
  for (int k = 0; k < KINDS; k++) {
    double *own = t->kinds[k];
    if (!own) continue;
    if (l->is_blending && k <= EFF_TARGET_EFFORT) {
      for (size_t j = 0; j < l->joints; j++) {
        const double from = k != EFF_TARGET_POSITION ? 0 : isfinite(l->from[j]) ? l->from[j] : own[j];
        own[j] = from + share * (own[j] - from);
      }
    }
    memcpy(l->sent[k], own, l->joints * sizeof *own);
  }
  l->has_sent = 1, l->is_limp = mode == EFF_MODE_DAMP || mode == EFF_MODE_ZERO;
  return EFF_MODE_RUN;
}

int32_t eff_ladder_update(eff_ladder *l, int64_t now, uint64_t age, int32_t controller_mode, const double *measured,
                          eff_ladder_targets *targets) {
  if (age <= l->limit) return follow(l, now, controller_mode, measured, targets);
  if (l->at < 0) l->since = now, l->is_blending = 0;
  int64_t left = now - l->since;
  int at = 0;
  while (at + 1 < (int)l->step_count && left >= l->steps[at].length) left -= l->steps[at++].length;
  if (at != l->at) keep(l, measured), l->at = at, l->began = now;
  const step *s = &l->steps[at];
  int32_t mode = s->mode;
  /* nothing was ever sent and where the joints are is not known: nothing can be held */
  int is_known = 1;
  for (size_t j = 0; j < l->joints; j++) is_known &= isfinite(l->from[j]) != 0;
  if (!l->has_sent && mode != EFF_MODE_ZERO && !is_known) mode = EFF_MODE_DAMP;
  const int limp = mode == EFF_MODE_DAMP || mode == EFF_MODE_ZERO;
  const int keeps = mode == EFF_MODE_HOLD && l->has_sent && !l->is_limp;
  const int64_t elapsed = now - l->began;
  const double share = s->length <= 0 || elapsed >= s->length ? 1 : (double)elapsed / (double)s->length;
  for (int k = 0; k < KINDS; k++) {
    double *own = targets->kinds[k], *sent = l->sent[k];
    if (!own) continue;
    for (size_t j = 0; j < l->joints; j++) {
      double x = sent[j];
      /* what the controller never commanded stays so, once it was heard */
      if (!keeps && (isfinite(x) || !l->has_sent)) {
        double to = x;
        switch (k) {
          case EFF_TARGET_POSITION:
            to = l->from[j];
            if (mode == EFF_MODE_RAMP && isfinite(l->pose[j])) to += share * (l->pose[j] - l->from[j]);
            break;
          case EFF_TARGET_KP: to = limp ? 0 : s->kp[j]; break;
          case EFF_TARGET_KD: to = mode == EFF_MODE_ZERO ? 0 : s->kd[j]; break;
          default: to = 0;
        }
        if (isfinite(to)) x = to;
      }
      /* what was never commanded stays as it stands */
      if (isfinite(x)) sent[j] = own[j] = x;
    }
  }
  l->is_limp = limp;
  return mode;
}
