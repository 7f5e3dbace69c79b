/* Efferent ladder: what moves a robot while its controller is not heard. It stands on the robot's side of a link, in
 * libefferent_receiver.a or as its source (ladder.c); it needs the C library alone.
 *
 *   eff_receiver_latest -> targets and their age -> eff_ladder_update [RT] -> the robot
 *
 * The same steps, times and gains as the fallback of eff_controller (EFF_MODE_HOLD, RAMP, DAMP and ZERO of
 * controller.h), for a bridge that serves it: WELCOME has them as `robot`. The link is dead where the newest targets
 * are older than `age_limit`; those that come again are blended in. The conventions ([RT], threads, structs, codes) are
 * those of efferent.h, whose functions are not needed. */
#ifndef EFFERENT_LADDER_H
#define EFFERENT_LADDER_H

#include "controller.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_ladder eff_ladder;

/* One step. Gains of all joints while it lasts, [joint_count], copied; NULL or NaN: as they are, but kp 0 in DAMP and
 * ZERO and kd 0 in ZERO. */
typedef struct eff_ladder_step {
  int32_t mode, reserved;    /* EFF_MODE_HOLD, RAMP, DAMP or ZERO */
  double seconds;            /* before the next step (RAMP: also its length); the last step lasts */
  const double *kp, *kd;
} eff_ladder_step;

typedef struct eff_ladder_options {
  size_t struct_size;
  size_t joint_count;                               /* of the robot, 1 to 4096 */
  const eff_ladder_step *steps; size_t step_count;  /* 1 to 64 */
  const double *pose;        /* rad or m: where RAMP ends, [joint_count], copied; NULL or NaN: joints stay */
  double blend_seconds;      /* from the ladder back to the controller; 0: none */
  double age_limit;          /* s: older targets are those of a dead link; above 0 */
} eff_ladder_options;

/* Targets of the robot by kind, [joint_count], in the order of EFF_TARGET_...; NULL: a kind that the card does not
 * command, NaN: a joint that it does not. */
typedef struct eff_ladder_targets { double *kinds[5]; } eff_ladder_targets;

/* Makes a ladder, which takes its memory here. *out is NULL on failure. EFF_E_ARGUMENT: options; EFF_E_MEMORY. */
eff_status eff_ladder_create(const eff_ladder_options *options, eff_ladder **out);

/* [RT] The targets of this control period. `targets` are those of the controller, `age_ns` old, or whatever stands
 * there where it was never heard: pass UINT64_MAX then. They are replaced by the ladder's where they are too old, and
 * blended in where they come again. `measured`: positions of the joints, or NULL where they are not known. `now_ns`:
 * the caller's clock, which does not go back. `controller_mode`: EFF_MODE_... of the controller's report where it is
 * known, else EFF_MODE_RUN. Returns who moves the robot: EFF_MODE_RUN, or the mode of the step. Joints that were never
 * commanded stay as they stand; before the controller was heard no joint is known to be. One caller at a time. */
EFF_RT int32_t eff_ladder_update(eff_ladder *ladder, int64_t now_ns, uint64_t age_ns, int32_t controller_mode,
                                 const double *measured, eff_ladder_targets *targets);

/* Frees it; NULL is fine. */
void eff_ladder_destroy(eff_ladder *ladder);

#ifdef __cplusplus
}
#endif

#endif
