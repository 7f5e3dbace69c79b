/* Efferent controller: a policy, its card and its robot.
 *
 *   eff_card + eff_policy per network -> eff_controller: bind signals and targets, start, tick
 *
 * One tick is one control period: read the bound signals once, guard them, build the observation and run the networks
 * if they are due, turn actions into targets, guard those, write them. Everything is resolved by name at create and
 * start; a tick allocates nothing and reads no clock.
 * Joints are matched by name and never by position. Values are in the card's units: rad, rad/s, N m, N m/rad, N m
 * s/rad, m, m/s, s.
 *
 * A refused tick returns EFF_E_NUMERIC, EFF_E_TIMEOUT or EFF_E_STATE, names signal and joint in its report, and writes
 * the targets of the fallback ladder, never those computed from bad input. The ladder is left by a clean tick, with a
 * blend.
 * The card's joint limits clamp targets only where `guard` asks for it. What the guard clamps is not what the policy
 * remembers as its last action.
 * See efferent.h for the rules that hold everywhere.
 */
#ifndef EFFERENT_CONTROLLER_H
#define EFFERENT_CONTROLLER_H

#include "efferent.h"
#include "card.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_controller eff_controller;

/* What targets are: per joint of the robot. Only the kinds that the card commands are written. */
enum { EFF_TARGET_POSITION = 0, EFF_TARGET_VELOCITY = 1, EFF_TARGET_EFFORT = 2, EFF_TARGET_KP = 3, EFF_TARGET_KD = 4 };

/* Who moves the robot. A controller starts in EFF_MODE_RUN.
 * RUN   the policy. Entering it resets the policy and blends from the present targets.
 * HOLD  the targets as they are; before any target, the measured positions.
 * RAMP  a straight line from the present targets to the card's startup pose (its default pose where it names none),
 * with the gains
 *       that its startup names.
 * DAMP  kp 0, the joints' kd (or the ladder's), velocity and effort 0: the robot sinks.
 * ZERO  kp, kd, velocity and effort 0. */
enum { EFF_MODE_RUN = 0, EFF_MODE_HOLD = 1, EFF_MODE_RAMP = 2, EFF_MODE_DAMP = 3, EFF_MODE_ZERO = 4 };

/* What a tick was refused for. */
enum {
  EFF_FAULT_NONE = 0,
  EFF_FAULT_FINITE = 1,    /* a signal is not finite: signal, joint */
  EFF_FAULT_AGE = 2,       /* a signal is older than its limit: signal, value and limit in s */
  EFF_FAULT_UNIT = 3,      /* a quaternion is not of unit length: signal, value is its norm */
  EFF_FAULT_ROLL = 4,      /* the base is rolled or pitched beyond its limit: signal, value and limit in rad */
  EFF_FAULT_PITCH = 5,
  EFF_FAULT_ACTION = 6,    /* a network's action is not finite: model, action, joint */
  EFF_FAULT_TARGET = 7,    /* a target is not finite: target kind in `signal`, joint */
  EFF_FAULT_DEADLINE = 8,  /* the time since the last tick is above `deadline`: value and limit in s */
  EFF_FAULT_CLOCK = 9      /* now_ns is before that of the last tick */
};

/* Clamps of the guard, all off by default; each is counted per joint. They need the limit in the card (or in the
 * options). */
enum {
  EFF_GUARD_POSITION = 1,  /* position targets within the joint's lower and upper */
  EFF_GUARD_VELOCITY = 2,  /* velocity targets within velocity_limit; position targets change by at most velocity_limit
                              per s */
  EFF_GUARD_EFFORT = 4,    /* effort targets within effort_limit; position targets where |kp (target - q) - kd qd| stays
                              within it */
  EFF_GUARD_COMMAND = 8    /* commands within the card's range, also where the card does not clamp them */
};

/* What a recording that is not met does at start: refuse it, write a warning to the log, or no recording is run. */
enum { EFF_PREFLIGHT_REFUSE = 0, EFF_PREFLIGHT_WARN = 1, EFF_PREFLIGHT_SKIP = 2 };

/* One step of the fallback ladder. */
typedef struct eff_fallback_step {
  int32_t mode, reserved;  /* EFF_MODE_HOLD, RAMP, DAMP or ZERO */
  double seconds;          /* time before the next step (RAMP: also its length); the last step lasts */
  double kp, kd;           /* RAMP and DAMP: gains of all joints; negative: those of the joints */
} eff_fallback_step;

/* A network of the card. The controller retains the policy and runs a session of it with one row. */
typedef struct eff_controller_model { const char *name; eff_policy *policy; } eff_controller_model;

/* Frames of a motion that the card keeps in a file: values [frames, width], borrowed for the call. `part` is the card's
 * word: joint_position, joint_velocity, body_position, body_orientation, anchor_position, anchor_orientation. */
typedef struct eff_motion_track { const char *part; const double *values; size_t frames, width; } eff_motion_track;

typedef struct eff_controller_options {
  size_t struct_size;
  const char *const *joints;               size_t joint_count;     /* the robot's joints, in the order of its arrays;
                                                                      must hold every joint of the card */
  const eff_controller_model *models;      size_t model_count;     /* one per network of the card, in any order */
  double control_period;                   /* s between two ticks; 0: the card's. policy_period must be a multiple of
                                              it */
  double stale_limit;                      /* s: oldest signal that a tick accepts; 0: the card's safety, none without
                                              it */
  double roll_limit, pitch_limit;          /* rad; 0: the card's safety, none without it */
  double slew_limit;                       /* rad/s: largest change of a position target; 0: the card's safety, none
                                              without it */
  double deadline;                         /* s: longest time between two ticks; 0: none */
  double blend_seconds;                    /* from the fallback or another mode to the policy; negative: none. Default
                                              0.2 */
  double ramp_seconds;                     /* length of EFF_MODE_RAMP; 0: the card's startup, 2 s without it */
  int32_t guard;                           /* EFF_GUARD_... flags */
  int32_t locked;                          /* 1: block and sessions are locked in memory, but for what `arena` or
                                              `allocator` gave */
  const eff_fallback_step *fallback;       size_t fallback_count;  /* none: the card's safety; without it hold 0.05 s,
                                                                      then damp */
  uint64_t seed;                           /* of stochastic policies */
  void *arena;                             size_t arena_size;      /* kept: memory of the caller, aligned to 64 bytes,
                                                                      or NULL */
  const eff_allocator *allocator;          /* or NULL; used where arena is NULL */
  const eff_motion_track *motion;          size_t motion_count;    /* of a motion in a file; all parts have the same
                                                                      number of frames */
  const char *const *recordings;           size_t recording_count; /* paths of recordings that must be met at start,
                                                                      besides those of the card */
  int32_t on_mismatch, reserved;           /* EFF_PREFLIGHT_...: what a recording that is not met does at start */
  eff_learner *learner;                    /* or NULL: acts in the place of a network, whose policy is given all the
                                              same; see eff_controller_reward */
  const char *learner_model;               /* which network; NULL: the only one */
} eff_controller_options;

/* Fills options with defaults. `struct_size` is sizeof(eff_controller_options) of the caller. Any thread. */
EFF_API void eff_controller_options_default(eff_controller_options *options, size_t struct_size);

/* Bytes that a controller and its sessions need. Errors as eff_controller_create. Any thread. */
EFF_API eff_status eff_controller_arena_size(const eff_card *card, const eff_controller_options *options, size_t *out);

/* Creates a controller. The card is copied; names of the options are borrowed for the call. *out is NULL on failure.
 * EFF_E_MISMATCH: a joint that the robot lacks or has twice, periods that are no multiples, gains or poses that the
 * card leaves open.
 * EFF_E_SHAPE: a network's inputs or outputs are not as wide as the card says. EFF_E_UNSUPPORTED, EFF_E_ARGUMENT,
 * EFF_E_MEMORY. */
EFF_API eff_status eff_controller_create(const eff_card *card, const eff_controller_options *options,
                                         eff_controller **out);

/* ---- binding: once, before start ---- */

/* How a raw signal is read at every tick. Element i is at data + i * stride, or at data + offsets[i]. */
typedef struct eff_signal_binding {
  size_t struct_size;
  const char *name;          /* "joint.position", "base.orientation", "command.velocity", "body.torso_link.position",
                                ... */
  const void *data;          /* kept: read at every tick until the controller is destroyed or the signal is bound
                                anew */
  ptrdiff_t stride;          /* bytes; 0: dense */
  const ptrdiff_t *offsets;  /* bytes, one per element, copied; or NULL */
  size_t count;              /* joints of the robot, or width of the signal */
  int32_t dtype, reserved;   /* EFF_F32, EFF_F64, EFF_I32, EFF_I64, EFF_U8 or EFF_BOOL */
  const char *unit;          /* "rad", "rad/s", "N m", "m", "m/s", "s", "m/s, m/s, rad/s", "quaternion w,x,y,z"; must be
                                the card's. NULL: not told, allowed only for signals that have no unit */
  const char *layout;        /* quaternions: "wxyz" or "xyzw"; NULL: as `unit` says, "wxyz" without it */
  double stale_limit;        /* s; 0: that of the options; negative: none */
} eff_signal_binding;

/* How targets of one kind are written: joint i of the robot at data + i * stride, or at data + offsets[i]. A joint that
 * the card does not command is not touched. */
typedef struct eff_target_binding {
  size_t struct_size;
  int32_t what, dtype;       /* EFF_TARGET_..., EFF_F32 or EFF_F64 */
  void *data;                /* kept */
  ptrdiff_t stride;          /* bytes; 0: dense */
  const ptrdiff_t *offsets;  /* bytes, one per joint, copied; or NULL */
  size_t count;              /* joints of the robot */
} eff_target_binding;

/* A raw signal that the card needs. */
typedef struct eff_signal_spec {
  size_t struct_size;
  const char *name, *unit;   /* owned by the controller; unit is "" where any will do */
  size_t count;              /* elements that a binding must have */
  int32_t is_joint, is_bound;
  int32_t is_optional;       /* 1: "time": the clock of the tick where it is not bound */
  int32_t reserved;
} eff_signal_spec;

/* Describes one needed signal; EFF_E_ARGUMENT past the last. Signals are numbered in this order in reports and in
 * eff_controller_stamp. */
EFF_API eff_status eff_controller_signal(const eff_controller *controller, size_t index, eff_signal_spec *out);

/* Index of a needed signal, or -1. */
EFF_API int64_t eff_controller_find_signal(const eff_controller *controller, const char *name);

/* 1 where the card commands targets of a kind for at least one joint. */
EFF_API int32_t eff_controller_commands(const eff_controller *controller, int32_t what);

/* Binds a signal. One that the card does not need is checked and left unread. EFF_E_MISMATCH: another unit than the
 * card's, or another width. */
EFF_API eff_status eff_controller_bind(eff_controller *controller, const eff_signal_binding *binding);

/* Binds targets. Kinds that the card does not command stay untouched. */
EFF_API eff_status eff_controller_bind_target(eff_controller *controller, const eff_target_binding *binding);

/* Ends binding: EFF_E_MISMATCH names the first needed signal that is not bound, or the first term, action or target
 * that is not as a recording of the card or of the options has it. Ticks are refused before it. Other errors: those of
 * eff_controller_preflight. */
EFF_API eff_status eff_controller_start(eff_controller *controller);

/* ---- running ---- */

typedef struct eff_controller_report {
  size_t struct_size;
  eff_status status;                         /* of this tick */
  int32_t mode;                              /* EFF_MODE_...: who moved the robot in this tick; a fallback's step where
                                                the tick was refused */
  int32_t fault, signal, joint;              /* EFF_FAULT_...; index of the needed signal, or -1; joint of the robot
                                                (elements of others), or -1 */
  int32_t model, action;                     /* index in the card, or -1 */
  int32_t ran;                               /* 1 where networks ran in this tick */
  double value, limit;                       /* what the fault is about */
  uint64_t ticks, runs, late, refused, clamped; /* since create: ticks; runs of the networks; ticks later than 1.5
                                                   periods; refused; values clamped */
  int64_t age_ns;                            /* of the oldest stamped signal */
  int64_t period_ns;                         /* since the tick before; 0 at the first */
} eff_controller_report;

/* [RT] One control period. now_ns is the caller's monotonic clock. Writes the bound targets and the report.
 * Errors as in the report; EFF_E_STATE: not started. */
EFF_API EFF_RT eff_status eff_controller_tick(eff_controller *controller, int64_t now_ns,
                                              eff_controller_report *report_or_null);

/* [RT] The next tick begins a new episode: histories, clocks, memories, recurrent state and the phase of the policy.
 * The caller's clock may begin anew with it, as that of a simulator does. */
EFF_API EFF_RT eff_status eff_controller_reset(eff_controller *controller);

/* [RT] Changes who moves the robot, from the next tick on. */
EFF_API EFF_RT eff_status eff_controller_mode(eff_controller *controller, int32_t mode);

/* [RT] The time at which a signal was sampled, on the clock of the ticks; -1: all signals. A signal with a limit that
 * is never stamped is as old as the first tick. */
EFF_API EFF_RT eff_status eff_controller_stamp(eff_controller *controller, int64_t signal, int64_t ns);

/* ---- a learner where a network stands ---- */

/* [RT] What followed the last run of the network for which the learner stands. At the next run the learner is given the
 * new observation, learns from the transition and chooses the action. `transition` is that of eff_learner_update, but
 * its observation and next_action are NULL; dt 0: as measured between the runs. Rewards and dt of several calls between
 * two runs add up; a run without a call before it has the reward 0. terminated or truncated ends the episode with the
 * next run, or with the reset if that comes first: then the observation for which the last action was chosen stands in
 * for the one that followed. From the end to the reset actions have no exploration and nothing is learned. A reset
 * (also by the fallback) without such an end drops the open transition: the learner begins a new episode. The learner
 * must not be used by others between two ticks, but may be read, saved, frozen or published from the thread that ticks.
 * It should outlive the controller: where it was destroyed, runs are refused (EFF_FAULT_ACTION). EFF_E_STATE: no
 * learner. EFF_E_ARGUMENT: observation or next_action is given. EFF_E_NUMERIC: the reward or dt is not finite; the next
 * run drops the transition as eff_learner_update does. */
EFF_API EFF_RT eff_status eff_controller_reward(eff_controller *controller, const eff_transition *transition);

/* [RT] Telemetry of the last update, as eff_learner_update writes it, and its status. EFF_E_STATE: no learner, or
 * nothing learned yet. */
EFF_API EFF_RT eff_status eff_controller_learned(const eff_controller *controller, eff_update *out);

/* [RT] The report of the last tick. */
EFF_API EFF_RT eff_status eff_controller_last(const eff_controller *controller, eff_controller_report *out);

/* [RT] How many values of joint `joint` of the robot the guard has clamped since create; -1 for a bad joint. */
EFF_API EFF_RT int64_t eff_controller_clamps(const eff_controller *controller, size_t joint);

/* Writes the words of a report, cut to `size` bytes with the closing 0: what is refused, signal, joint, what was found
 * and what is expected. */
EFF_API eff_status eff_controller_explain(const eff_controller *controller, const eff_controller_report *report,
                                          char *text, size_t size);

/* ---- pre-flight: raw signals kept with what belongs to them, run again before a robot moves ---- */

/* One array of a recording: values [rows, width], row by row, borrowed for the call. Names:
 *   in.SIGNAL         [ticks, width or joints]  raw signals in the card's units
 *   obs.MODEL.TENSOR  [runs, elements]          what a network took
 *   act.MODEL.TENSOR  [runs, elements]          what it gave
 *   out.TARGET        [ticks, joints]           position, velocity, effort, kp or kd; NaN where nothing is commanded
 *   time, stamp       [ticks, 1]                s: of the tick, and when its signals were sampled; without them tick k
 *                                               is at k control periods
 *   mode, status, ran [ticks, 1]                EFF_MODE_..., eff_status, and whether networks ran
 *   resets            [any, 1]                  ticks before which the controller is reset
 * Needed are the card's signals and one obs, act or out. */
typedef struct eff_recorded_array { const char *name; const double *values; size_t rows, width; } eff_recorded_array;

/* A recording: a file, or arrays. All is borrowed for the call. */
typedef struct eff_recording {
  size_t struct_size;
  const char *path;                                      /* npz of `efferent preflight CARD --record FILE` or
                                                            numpy.savez; NULL: what follows */
  const eff_recorded_array *arrays; size_t array_count;
  const char *const *joints; size_t joint_count;         /* in the order of its arrays; none: those of the controller */
  const char *const *units; size_t unit_count;           /* "SIGNAL=UNIT": refused where the card's unit is another */
  const char *const *policies; size_t policy_count;      /* "MODEL=HASH", 16 hexadecimal digits: noted where the network
                                                            is another */
  double control_period, policy_period;                  /* s; 0: not told */
  int32_t guard;                                         /* EFF_GUARD_... flags that it was made with */
  int32_t stops_at_first;                                /* 1: ends at the first difference; rows are then incomplete */
  double absolute, relative;                             /* tolerance; 0: 1e-4; negative: none */
} eff_recording;

/* How far one term, action or target is from its recording at worst. */
typedef struct eff_preflight_row {
  char name[192];            /* "obs.MODEL.TENSOR TERM", "act.MODEL.TENSOR", "out.TARGET"; cut */
  double difference, found, expected;
  int64_t tick;
  int32_t is_same, reserved; /* 1: within the tolerance at every tick */
} eff_preflight_row;

typedef struct eff_preflight_report {
  size_t struct_size;
  int32_t differs, reserved;
  int64_t tick;              /* of the first difference */
  double found, expected;    /* NaN where it is about no number */
  char name[192], what[512]; /* the term, action or target that differs first, and in words; "" where nothing does;
                                cut */
  char unchecked[512];       /* what the recording does not hold, with line feeds between names; cut */
  char notes[512];           /* of networks with another hash and arrays that were not read, with line feeds; cut */
  eff_preflight_row *rows; size_t row_capacity; /* of the caller, or NULL and 0 */
  size_t row_count;          /* how many there are; those beyond row_capacity are not written */
} eff_preflight_report;

/* Runs a recording through a twin of the controller, without its limits, ladders and clamps, and compares observations,
 * actions and targets. The controller itself is neither ticked nor changed; it may be ticked meanwhile, but not swapped
 * or destroyed. EFF_E_MISMATCH: something is not as recorded, and `differs` is 1: the error and `what` name the first
 * wrong term, action or target with what was found and what is recorded, and say where one sign, factor, order, shift
 * in time or offset explains all its values. The same code with `differs` 0: a joint or signal that the recording
 * lacks. EFF_E_SHAPE, EFF_E_ARGUMENT: arrays that do not fit together. EFF_E_IO, EFF_E_FORMAT: the file. */
EFF_API eff_status eff_controller_preflight(const eff_controller *controller, const eff_recording *recording,
                                            eff_preflight_report *report_or_null);

/* ---- looking in ---- */

/* [RT] An observation as the last run saw it: `*count` values, or NULL where the card has no vector of that name. */
EFF_API EFF_RT const float *eff_controller_vector(const eff_controller *controller, const char *name, size_t *count);

/* [RT] Memory of a tensor as the last run read or wrote it, one row in the type of the policy's spec; NULL for a bad
 * index. Models in card order, tensors in the order of their policy. */
EFF_API EFF_RT const void *eff_controller_input(const eff_controller *controller, size_t model, size_t input);
EFF_API EFF_RT const void *eff_controller_output(const eff_controller *controller, size_t model, size_t output);

/* The session of the network `name`, for swap, reclaim and prewarm; NULL for a bad name. It dies with the controller.
 * Do not step it. */
EFF_API eff_session *eff_controller_session(const eff_controller *controller, const char *name);

/* Frees the controller and its sessions; NULL is fine. Bound memory is no longer touched. */
EFF_API void eff_controller_destroy(eff_controller *controller);

#ifdef __cplusplus
}
#endif

#endif
