/* Efferent: what a learner learns from. Part of learner.h; include efferent.h.
 *
 *   raw -> reward network -> shaping by a potential -> bonus for what is new -> clip -> (reward scaling) -> TD error
 *
 * Every stage is off until it is asked for. What each one did stands in eff_update.
 */
/* in front of the guard: efferent.h includes learner.h, which needs what is below */
#include "efferent.h"

#ifndef EFFERENT_REWARD_H
#define EFFERENT_REWARD_H

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a reward network's number is added to the raw reward or stands in its place. */
enum { EFF_REWARD_ADD = 1, EFF_REWARD_REPLACE = 2 };

/* Fill with eff_reward_options_default() and give it as eff_learner_options.rewards. Networks are retained, everything
 * else is copied.
 *
 * Networks see raw observations, keep no state, draw no random numbers, and run in the learner's arena. A transition of
 * which one makes a number that is not finite, or beyond 1e100, is refused (EFF_LEARNED_BAD_INPUT). The returns that
 * guards watch are those of the raw reward and the reward network. */
typedef struct eff_reward_options {
  size_t struct_size;

  /* a reward network R(s, a, s'): its one number, times network_weight, is added to the raw reward or replaces it */
  const eff_policy *network;           /* or NULL */
  int32_t network_mode;                /* EFF_REWARD_ADD or EFF_REWARD_REPLACE; there is no default */
  int32_t reserved;                    /* 0 */
  double network_weight;               /* 1 */
  const char *network_observation, *network_action, *network_next; /* its inputs for s, a and s'. NULL: what is called
                                          observation, obs or state; action or act; next_observation, next_obs or
                                          next_state; a single input of another name is s. a is as act writes it: of a
                                          choice the index [1], or one-hot [action_count] */
  const char *network_output;          /* NULL: the only output */

  /* shaping: potential_scale (gamma phi(s') - phi(s)) is added, which leaves what is optimal as it is (Ng, Harada,
   * Russell 1999). phi(s) = potential(s) + potential_linear . s + potential_bias. gamma is that of the transition (see
   * nominal_dt); phi(s') is 0 where no return can follow */
  const eff_policy *potential;         /* or NULL; one input, the observation, and one number out */
  const double *potential_linear; size_t potential_linear_count; /* or NULL: [observation_count], of raw observations */
  double potential_bias;               /* 0 */
  double potential_scale;              /* 1 */

  /* bonus for what is new: random network distillation (arXiv 1810.12894). A predictor learns what a fixed random
   * network makes of s', normalized; added is bonus * mean squared error / sqrt(variance of the error's discounted sum
   * + 1e-8). EFF_FREEZE_NORMALIZERS keeps predictor and variance as they are */
  double bonus;                        /* 0: none */
  double bonus_step_size;              /* 0.0001: of the predictor: w -= step g / sqrt(v + 1e-8), v the mean of g^2,
                                          beta2 0.999, bias-corrected */
  double bonus_gamma;                  /* 0.99: of the error's discounted sum, which goes on over ends of episodes */
  double bonus_limit;                  /* 5: normalized observations are kept within -limit and limit; they are taken as
                                          they are with no_observation_norm */
  const size_t *bonus_hidden; size_t bonus_hidden_count; /* widths of both networks' hidden layers; 0: 64 */
  size_t bonus_features;               /* 16: outputs of both networks */

  double clip;                         /* 0: none; otherwise the sum is kept within -clip and clip. Where it clips,
                                          shaping no longer leaves what is optimal as it is */
} eff_reward_options;

/* Fills options with defaults: the raw reward as it is. `struct_size` is sizeof(eff_reward_options) of the caller. Any
 * thread. */
EFF_API void eff_reward_options_default(eff_reward_options *options, size_t struct_size);

/* What each stage added to a reward; the sum is `total`. */
typedef struct eff_reward_shares {
  double raw;      /* 0 where the reward network replaces it */
  double network, shaping, bonus;
  double clip;     /* what clipping added or took away */
  double total;    /* before reward scaling */
} eff_reward_shares;

/* ---- a plant that is sampled faster than its policy runs ---- */

/* How samples become an integral. */
enum {
  EFF_SUM_TRAPEZOID = 0,
  EFF_SUM_SIMPSON = 1 /* parabolas through two intervals, a cubic through the last three where their number is odd:
                         exact for cubics between even samples, for parabolas between uneven ones. Where samples are so
                         uneven that one of them would count negatively (of two neighbouring intervals one is more than
                         twice the other), trapezoids take the place of a parabola, and a parabola and a trapezoid that
                         of a cubic */
};

/* The reward of one step of the policy from a reward rate (reward per second) that is sampled as often as wanted:
 *
 *   integral over the step of gamma^(t / nominal_dt) rate(t) dt,  t from the beginning of the step
 *
 * which is what a transition with dt and eff_learner_options.gamma and nominal_dt leaves to the caller. A reward r of a
 * nominal step is a rate of r / nominal_dt. Fill with eff_reward_sum_begin(); its fields are the library's. */
typedef struct eff_reward_sum {
  double gamma, nominal_dt;
  int32_t rule, count;     /* samples kept */
  double times[4], values[4];
  double start, last, sum;
} eff_reward_sum;

/* [RT] Begins an episode: nothing is summed, the next sample begins a step. nominal_dt 0: no discount within a step.
 * EFF_E_ARGUMENT: sum is NULL, no such rule, gamma not in [0, 1], nominal_dt negative or not finite. */
EFF_API EFF_RT eff_status eff_reward_sum_begin(eff_reward_sum *sum, int32_t rule, double gamma, double nominal_dt);

/* [RT] Takes a sample of the rate at `time` in seconds, by any clock that goes forward. A rate that is not finite makes
 * the reward of its step not finite, which the learner refuses and counts. EFF_E_ARGUMENT: sum is NULL, or time is not
 * finite or not after the last sample's; the sample is left out. */
EFF_API EFF_RT eff_status eff_reward_sum_add(eff_reward_sum *sum, double rate, double time);

/* [RT] Ends a step at its last sample, with which the next one begins: its reward, and its seconds for
 * eff_transition.dt. EFF_E_STATE: there are no two samples; nothing is written. */
EFF_API EFF_RT eff_status eff_reward_sum_take(eff_reward_sum *sum, double *reward, double *dt_or_null);

#ifdef __cplusplus
}
#endif
#endif
