/* Efferent: a policy that keeps learning on the device. Part of efferent.h; include that. The conventions are those of
 * efferent.h.
 *
 *   options -> eff_learner -> act -> (your robot) -> update -> act -> ...
 *
 * The learner learns from every transition once, as it happens: no replay buffer, no batch (stream-x, arXiv 2410.14606;
 * Intentional updates, arXiv 2604.19033). Observations, rewards and actions are doubles, since running statistics of a
 * sensor are worth no less; networks are f32 or f64. Observations are normalized and rewards scaled inside: give raw
 * ones.
 */
#ifndef EFFERENT_LEARNER_H
#define EFFERENT_LEARNER_H

#include "efferent.h"
#include "reward.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_learner eff_learner;

/* What is learned. */
enum {
  EFF_LEARNER_AC_CONTINUOUS = 0, /* actor-critic(lambda), independent Gaussians */
  EFF_LEARNER_AC_DISCRETE = 1,   /* actor-critic(lambda), softmax over choices */
  EFF_LEARNER_Q = 2,             /* Watkins Q(lambda), epsilon-greedy */
  EFF_LEARNER_SARSA = 3,         /* SARSA(lambda), epsilon-greedy */
  EFF_LEARNER_TD = 4             /* TD(lambda): predicts the return of somebody else's behaviour */
};

/* How a TD error and a trace become a step. */
enum {
  EFF_OPTIMIZER_OBGD = 0,          /* overshooting-bounded gradient descent */
  EFF_OPTIMIZER_ADAPTIVE_OBGD = 1, /* the same over traces scaled by second moments */
  EFF_OPTIMIZER_INTENTIONAL = 2    /* the step that makes an intended change of the output */
};

/* Starting from a loaded policy: which of its weights learn. */
enum {
  EFF_LEARN_ALL = 0,
  EFF_LEARN_LAST = 1,    /* those of the last learn_layers layers (products and convolutions, with the biases and norms
                            that follow them) */
  EFF_LEARN_RESIDUAL = 2 /* none: a network of its own adds at most residual_bound to the mean of every action; it
                            starts at zero */
};

/* Starting from a loaded policy: the Gaussian's standard deviation. */
enum {
  EFF_STD_AUTO = 0,      /* the output that `std` names, or one with "std" in its name (with "log" too: its logarithm);
                            without one EFF_STD_CONSTANT */
  EFF_STD_CONSTANT = 1,  /* initial_std */
  EFF_STD_PARAMETER = 2  /* a vector that learns, and starts at initial_std */
};

/* Starting from a loaded policy: whether its LSTM and GRU cells are among what `learn` is about. */
enum {
  EFF_CELLS_FIXED = 0, /* no: a cell and what is before it stay as they are */
  EFF_CELLS_LEARN = 1  /* yes, by SnAp-1 (arXiv 2006.07232), where one call is one step of the cell: see
                          eff_learner_options_adapt() */
};

/* Activation of hidden units. */
enum {
  EFF_ACTIVATION_LEAKY_RELU = 0,
  EFF_ACTIVATION_RELU = 1,
  EFF_ACTIVATION_TANH = 2,
  EFF_ACTIVATION_ELU = 3,
  EFF_ACTIVATION_SWISH = 4,
  EFF_ACTIVATION_IDENTITY = 5
};

/* What the critic's outputs are. Of a state s, or of each choice in it (Q, SARSA). */
enum {
  EFF_CRITIC_MEAN = 0,        /* the expected return */
  EFF_CRITIC_QUANTILE = 1,    /* quantiles of the return: QR-DQN (arXiv 1710.10044) */
  EFF_CRITIC_CATEGORICAL = 2, /* its distribution over atoms: C51 (arXiv 1707.06887) */
  EFF_CRITIC_TWO_HOT = 3,     /* the expected return by classification: the target lies between two atoms */
  EFF_CRITIC_HL_GAUSS = 4     /* the same with a Gaussian around the target: HL-Gauss (both arXiv 2403.03950) */
};

/* What is climbed instead of the expected return. */
enum {
  EFF_RISK_NONE = 0,
  EFF_RISK_CVAR = 1,   /* the mean of the worst share risk_level of returns */
  EFF_RISK_SPREAD = 2  /* mean minus risk_weight standard deviations */
};

/* Fill with eff_learner_options_default() first, or with eff_learner_options_adapt() for a loaded policy. Then every
 * number means what it says (entropy 0 is no entropy). Set observation_count and action_count; everything else has the
 * value of the papers, which stands first in each comment.
 *
 * Which rule learns, with all its numbers, has a name: eff_learner_options_preset(). Ten that matter then; the others
 * can wait:
 *   algorithm          what is learned
 *   observation_count  numbers of one observation
 *   action_count       dimensions, or choices
 *   hidden             widths of the hidden layers
 *   gamma              how far ahead a return looks: about 1 / (1 - gamma) steps
 *   kappa_policy       larger: smaller steps of the actor
 *   entropy            larger: explores longer
 *   time_limit         of an episode, where it has one: the networks then see how far it is
 *   snapshots          above 0: what was learned and lost again is rolled back
 *   change_limit       of a loaded policy: how differently from the shipped one it may act
 * Where a rare bad return weighs more than a good mean: critic_kind, risk, risk_level. */
typedef struct eff_learner_options {
  size_t struct_size;

  /* what is learned, and of what */
  int32_t algorithm, optimizer;        /* EFF_LEARNER_..., EFF_OPTIMIZER_... */
  int32_t dtype;                       /* networks in EFF_F32 (default) or EFF_F64 */
  int32_t reference;                   /* 1: does what the authors' programs do: a truncation ends the return
                                          (intentional: it clears nothing), the return trace leaks into the next
                                          episode, the time input starts late, SARSA's action survives a reset */
  size_t observation_count;            /* numbers of one observation */
  size_t action_count;                 /* dimensions (continuous) or choices; 0 for TD */

  /* the networks, where none is loaded */
  const size_t *hidden; size_t hidden_count; /* widths of hidden layers; 0: 128, 128 (continuous, TD) or 32, 32 */
  int32_t activation;                  /* EFF_ACTIVATION_... */
  int32_t no_layer_norm, no_observation_norm, no_reward_scaling; /* 1: leave it out */
  double activation_alpha;             /* 0.01: slope of leaky relu, alpha of elu */
  double layer_norm_epsilon;           /* 1e-5 */
  double sparsity;                     /* 0.9: share of a unit's incoming weights that start at 0, rounded up; behind
                                          the first layer one at least does not (reference: it may) */

  /* how far ahead, and how far back */
  double gamma, lambda;                /* 0.99, 0.8: discount of rewards, decay of the trace */

  /* how large a step is */
  double step_size;                    /* 1: of (adaptive) ObGD, before its bound */
  double kappa_value, kappa_policy;    /* 2, 3: ObGD moves a network by an L1 distance of at most min(|TD error|, 1) /
                                          kappa */
  double eta_value, eta_policy;        /* 0.5, 0.05: intentional */
  double beta2, moment_epsilon;        /* 0.999, 1e-8: second moments */
  double clip_multiple, beta_clip, beta_norm; /* 20, 0.9998, 0.9998: intentional */

  /* exploration */
  double entropy;                      /* 0.01: weight of the entropy in the actor's objective */
  double epsilon_start, epsilon_end, epsilon_steps; /* 1, 0.01, 25000: epsilon falls linearly over so many action
                                                       selections */

  /* what the networks see */
  double observation_epsilon, reward_epsilon; /* 1e-8, 1e-8: added to variances */
  double time_limit;                   /* 0: none; otherwise the networks see -0.5 + step / time_limit as one more
                                          input */
  double filter_beta;                  /* 0: none; otherwise observations pass a bias-corrected moving average first */
  double nominal_dt;                   /* 0: all steps count alike; otherwise discount and decay of a transition are
                                          raised to the power dt / nominal_dt */

  /* the actor's spread and its start */
  double std_floor, std_ceiling;       /* 0, infinity: the Gaussian's standard deviation is floor + softplus(output), at
                                          most ceiling */
  uint64_t actor_delay;                /* 0: updates in which only the critic learns: its warm-up, where the actor is a
                                          loaded policy */
  uint64_t seed;                       /* of initial weights and exploration */

  /* guards: snapshots and roll-back */
  size_t snapshots;                    /* 0: kept for roll-back, at most 64; each holds all weights and the observation
                                          statistics */
  uint64_t snapshot_period;            /* 1000: updates between snapshots, at least */
  uint64_t return_window;              /* 0: a return is that of an episode; otherwise that of so many updates */
  double return_rate;                  /* 0.1: weight of the last return in the running return */
  double return_drop;                  /* 0.5: what a policy has gained is the best snapshot's return less the worst
                                          one's. Rolls back when this share of the gain is lost; 0: never */
  double keep_margin;                  /* 0.1: a snapshot is accepted when the return that follows it is within this
                                          share of the best snapshot's */
  double fall_limit;                   /* 6: and only where the return is below the best one by so many times the usual
                                          fall of returns. The running return counts; after five good returns a single
                                          bad one is enough */
  double rollback_step;                /* 0.5: a roll-back multiplies the step size of the network that acts by this.
                                          An accepted snapshot that is the best so far makes it 1.25 times larger, up
                                          to the whole; one that only keeps the level up does not */
  double drift_budget;                 /* 0: none; otherwise the actor stops when its weights have moved so far in L1,
                                          summed over updates */

  /* memory */
  const eff_allocator *allocator;      /* or NULL; used where arena is NULL */
  void *arena; size_t arena_size;      /* kept: memory owned by the caller, aligned to 64 bytes, of at least
                                          eff_learner_arena_size() bytes; or NULL */

  /* starting from a loaded policy; fill with eff_learner_options_adapt() */
  const eff_policy *policy;            /* or NULL; the actor of EFF_LEARNER_AC_..., the network of values of Q and
                                          SARSA [1, choices] and of TD [1], loaded with eff_policy_options.learnable;
                                          retained by the learner */
  const char *mean, *std;              /* tensors of the policy, outputs or inside its graph; NULL: by role and name.
                                          Discrete: mean names the logits or the values; NULL: what the action is the
                                          index of */
  int32_t learn, std_source;           /* EFF_LEARN_..., EFF_STD_... */
  size_t learn_layers;                 /* EFF_LEARN_LAST: 1 */
  double residual_bound;               /* EFF_LEARN_RESIDUAL: 0.1, in units of the mean before tanh, clip or scale */
  double initial_std;                  /* 0.1, in the same units */
  uint64_t normalizer_count;           /* 0: a normalizer in the policy stays as it is. Otherwise its statistics become
                                          the learner's, count as those of so many samples, and go on */
  const char *const *frozen; size_t frozen_count; /* beginnings of the names of parameters that stay as they are */

  /* guards: what the policy does, for EFF_LEARNER_AC_... */
  double change_limit;                 /* 0: none. Otherwise the actor learns only while its mean KL divergence from the
                                          shipped actor (eff_update.change), in nats, is at most this. Infinity:
                                          measured only */
  uint64_t change_period;              /* 8: updates from one look to the next. A look costs one pass over the actor.
                                          One of five looks keeps the observation at hand with the shipped actor's
                                          output; the other four compare the actor with what is kept, one after the
                                          other */
  size_t change_observations;          /* 32: observations kept */

  /* guards: when to roll back */
  double td_error_rise;                /* 0: none. Otherwise rolls back where the mean |TD error| of about 100 updates
                                          is so many times that of about 2000, which is known after 2000. The new level
                                          is the usual one from then on. For tasks whose returns come late or say
                                          little */
  uint64_t steady_updates;             /* 5000: nothing is rolled back for its return until the best snapshot's level
                                          was held for so many updates; the usual falls do not end a level. What was
                                          reached and lost again while much is still being learned is not worth going
                                          back to */

  /* intentional, beside what its paper has: of the actor's step alone. With delta the TD error after clip_multiple, A
   * its running mean magnitude (beta_norm) and Z = sum e^2 / s the energy of the trace (arXiv 2604.19033):
   *   d = clip(delta / A, -error_cap, error_cap)
   *   Z' = beta_energy Z' + (1 - beta_energy) Z, from 0; the step has Z' / (1 - beta_energy^t) in the place of Z */
  double error_cap;                    /* 0: none. Where a task is learned, a surprise is many times A: without a cap
                                          one such update can undo the policy */
  double beta_energy;                  /* 0: Z as it is. Z is small in the first updates of an episode, and the step
                                          divides by its root */

  /* values from a file, beside `policy` above */
  const eff_policy *critic;            /* or NULL; EFF_LEARNER_AC_...: the network whose output is the value of a state,
                                          loaded with eff_policy_options.learnable; retained. NULL with `value` or
                                          `features`: it is in the policy's own file */
  const char *value;                   /* tensor of one number in the critic's file; NULL: by metadata (efferent.value),
                                          as the only output of one number, or by name */
  const char *features;                /* or NULL; tensor in the critic's file (Q, SARSA, TD: in the policy's): the
                                          values are a fresh linear layer on it that starts at 0, and nothing before it
                                          learns */

  const eff_reward_options *rewards;   /* or NULL: the raw reward is learned from; otherwise see reward.h. Copied */

  /* the distribution of returns. The critic has critic_size outputs y_k in the place of each value; x is what its last
   * layer reads. Its trace is that of one function of them, u y, which grows with the expected return:
   *   e = gamma lambda e + d(-u y)/dw       u = 1 / size (quantile), (z - mean z) / sum |z - mean z| (others, atoms z)
   * Each output has an error d_k of its own. The layers below the last see one number of all errors, the last sees all:
   *   w -= step D e                         D = mean d (quantile), u d / (u u) (others)
   *   W_k -= step d_k e_0 / u_0             a row of the last layer; e_0 that of row 0. The exact trace of every output
   * With Y = r' + gamma Z(s'), and Z(s') as the critic has it:
   *   quantile, t_k = (k + 1/2) / size:     d_k = E |t_k - [Y < y_k]| clip(Y - y_k, -quantile_huber, quantile_huber)
   *   others:                               d = projection of Y, or of its mean, onto the atoms - softmax(y)
   * ObGD bounds its step by max(|D|, |d_k|, 1) in the place of max(|TD error|, 1). Where the optimizer has moments, e
   * is over its scale and u_0 is its sign. Errors of distributions have no exact backward view (they depend on the
   * path, arXiv 2207.07570); this one has the fixed points of one-step updates for every lambda. td_error, value and
   * next_value are of means. Any actor, any optimizer. */
  int32_t critic_kind;                 /* EFF_CRITIC_... */
  int32_t risk;                        /* EFF_RISK_..., for QUANTILE and CATEGORICAL, not TD. Q and SARSA choose what is
                                          best by it: a rule of thumb, neither the static nor the nested optimum
                                          (Lim and Malik, NeurIPS 2022), unless there is a stock. An actor climbs, in
                                          every state, the measure of the return from there on, whatever came before.
                                          Its TD error is, with Z = Z(s), b its quantile at risk_level, m and sigma its
                                          mean and deviation (sigma at least 0.01),
                                            CVaR:   (E min(Y - b, 0) - E min(Z - b, 0)) / risk_level
                                            spread: E Y - E Z - risk_weight (E (Y - m)^2 - sigma^2) / (2 sigma) */
  int32_t stock;                       /* 1, with EFF_RISK_CVAR: static CVaR of an episode's whole discounted return
                                          from its first state (Baeuerle and Ott 2011; arXiv 2501.13028). The stock is
                                          what the return has beyond a threshold b_0: c_0 = -b_0, c' = (c + r') / gamma.
                                          b above is -c; Q and SARSA choose the largest E min(c + Z, 0), of equals the
                                          largest mean. b_0 is the best by b + E min(Z - b, 0) / risk_level of 16 over
                                          the range of Z in the first state, by the critic: 17 passes over it when an
                                          episode begins. The networks see the stock, cut off at -5 and 5, as one more
                                          input behind the time; a loaded actor as little as the time. infer has that of
                                          the episode that the learner is in */
  size_t critic_size;                  /* 32: quantiles, atoms or bins, 2 to 256 */
  double support_low, support_high;    /* 0, 0: atoms from -10 to 10 in scaled rewards; a target beyond is cut off and
                                          counted (eff_update.clipped_targets) */
  double quantile_huber;               /* 0.1: in scaled rewards. Larger is faster, and nearer to expectiles than to
                                          quantiles (QR-DQN has 1). 0: plain pinball, whose errors are
                                          t_k - P(Y < y_k): take a step_size of about 0.01 */
  double hl_gauss_sigma;               /* 0.75: of the Gaussian, in widths of a bin */
  double risk_level;                   /* 0.1: of CVaR and of eff_update.value_cvar, above 0 to 1 */
  double risk_weight;                  /* 1: of the spread */
  uint64_t risk_warmup;                /* 0: updates over which risk_level comes down from 1, and risk_weight up from 0.
                                          The worst returns of a policy that is bad all over teach it nothing
                                          (arXiv 2205.05138) */
  double stock_exploration;            /* 0.25: share of episodes that begin with any b_0, so that the networks know
                                          them all; none while the network that acts is frozen */

  int32_t cells;                       /* EFF_CELLS_FIXED, by eff_learner_options_adapt() EFF_CELLS_LEARN: of `policy`
                                          and `critic`. For EFF_LEARN_LAST a cell that learns counts as a layer */
  int32_t reserved;                    /* 0 */
  size_t recurrent_units;              /* 0: none. Networks that are described have so many recurrent trace units
                                          (arXiv 2409.01449), linear and diagonal, over what they see; their first layer
                                          reads the units (real and imaginary parts) and what they see:
                                            h = lambda h + sqrt(1 - |lambda|^2) (W1 + i W2) x
                                            lambda = exp(-exp(nu) + i exp(a))
                                          They learn by exact real-time recurrent learning, whose memory is 2 (inputs +
                                          2) numbers a unit; h begins an episode at 0. A critic then takes s and s' one
                                          after the other. Exported files have h as the state h_in, c_in */
} eff_learner_options;

/* Fills options with defaults. `struct_size` is sizeof(eff_learner_options) of the caller. Any thread. */
EFF_API void eff_learner_options_default(eff_learner_options *options, size_t struct_size);

/* Gives options, filled with eff_learner_options_default(), the learning rule of a paper with all its numbers:
 *   "stream-x"            ObGD (arXiv 2410.14606); what the defaults have
 *   "intentional"         intentional updates (arXiv 2604.19033); learns faster on most tasks, on some it loses what it
 *                         learned
 *   "intentional-capped"  the same with error_cap 3 and beta_energy 0.99, which are not of the paper
 * Sets optimizer, activation, activation_alpha, no_layer_norm, no_observation_norm, no_reward_scaling,
 * layer_norm_epsilon, sparsity, gamma, lambda, step_size, kappa_..., eta_..., beta2, beta_clip, beta_norm,
 * moment_epsilon, clip_multiple, entropy, observation_epsilon, reward_epsilon, error_cap, beta_energy. All else stays
 * as it is. Call it before you set numbers of your own.
 *   "adapted"             for loaded networks: the numbers of eff_learner_options_adapt() for algorithm, critic, value
 *                         and features as they are in options. Sets no_reward_scaling, entropy, and actor_delay,
 *                         kappa_policy, initial_std (EFF_LEARNER_AC_...) or epsilon_start, epsilon_end, kappa_value
 *   "adapted-quick"       for a loaded policy with an actor whose plant has changed: "adapted", but intentional updates
 *                         with eta_policy 0.2, error_cap 1 and beta_energy 0.99, initial_std 0.04, and guards that take
 *                         back what gains nothing: snapshots 8, return_drop 0.1, fall_limit 1, steady_updates 0. They
 *                         act on returns: where episodes do not end, give return_window. Chosen on one task
 *                         (examples/learning/adapt.py)
 * Any thread. EFF_E_ARGUMENT: there is no such preset (the message lists them), or options.policy is set: the others
 * are for fresh networks; "adapted-quick" without a policy or an actor. */
EFF_API eff_status eff_learner_options_preset(eff_learner_options *options, const char *preset);

/* Fills options with defaults for a policy that was trained elsewhere and is in use: the algorithm that the policy is
 * for, the critic warms up for 10000 updates (actor_delay), the actor takes small steps (kappa_policy 300), a policy
 * without a std explores little (initial_std 0.03), and nothing is paid for entropy. What else the policy needs is in
 * its comments above; these numbers were chosen by measurement (examples/learning/naive_switch.py).
 *
 * Values that were trained elsewhere: a policy with an output of several numbers called q, or q values, goes on with
 * EFF_LEARNER_Q (epsilon 0.01, kappa_value 20). A critic comes with `critic` or `value`; where the policy's metadata
 * names one (efferent.value) that is `value`. It needs no warm-up (actor_delay 0), and values are sums of raw rewards
 * (no_reward_scaling 1). gamma is that of the metadata (efferent.gamma), where the file has one; what efferent.frozen
 * lists (a JSON list of beginnings of names) does not learn. After setting algorithm, critic, value or features
 * yourself: eff_learner_options_preset(options, "adapted").
 *
 * Of values learns all (of Q, SARSA and TD what `learn` says). Actor and critic that share weights in one file learn a
 * copy each. The critic is given the actor's observations, raw. A recurrent one carries its state like a policy. A
 * network of value distributions (C51, QR-DQN) whose graph has their expectation is a network of values.
 *
 * What is learned of it: matrices and kernels of MatMul, Gemm, Conv and ConvTranspose, what is added directly to their
 * result, scale and bias of normalization layers, and arrays that act element by element between two such layers. Not:
 * what acts on the observation before the first layer (the statistics of a normalizer) or on the action after the last,
 * single numbers, weights that are not f32. An operator without a derivative behind a learned weight is refused by
 * name. Where the policy ends with clip, or tanh and a scale, the Gaussian lies before them and actions leave through
 * them; log-probabilities are exact.
 *
 * Recurrent policies: an LSTM or GRU cell learns (W, R and B, with their traces) where a call is one forward step, its
 * functions are those of ONNX and its state comes back to it as the policy's recurrent state; the log says of each cell
 * what it does and why. With J_t how the unit that a weight writes to depends on the weight by way of all steps of the
 * episode:
 *   J_t = D_t J_t-1 + I_t      gradient = d(outputs) / d(unit) J_t
 * D_t is the unit's new state by its own old one (h and c of an LSTM), I_t the new state by the weight. This is SnAp-1:
 * exact real-time recurrent learning, without the ways that lead through other units. The gradient of the present step
 * is exact, so that of the first step of an episode is as a whole. What is before a cell learns from the present step
 * alone. J is part of checkpoints, and is cleared with the state. It takes as much memory as the weights, for an LSTM
 * twice, and is brought up to date by every update, also where nothing learns. EFF_E_ARGUMENT: policy is dead. */
EFF_API eff_status eff_learner_options_adapt(eff_learner_options *options, size_t struct_size,
                                             const eff_policy *policy);

/* Bytes of the one arena that a learner with these options lives in. EFF_E_ARGUMENT names the option that cannot be. */
EFF_API eff_status eff_learner_arena_size(const eff_learner_options *options, size_t *out);

/* Creates a learner with fresh weights, or those of options.policy, whose counts it takes where they are 0. *out is
 * NULL on failure. Errors:
 * EFF_E_ARGUMENT, EFF_E_MEMORY; of a policy also EFF_E_STATE (not loaded as learnable), EFF_E_UNSUPPORTED (no
 * derivative, naming the node), EFF_E_SHAPE, EFF_E_MISMATCH (other counts). */
EFF_API eff_status eff_learner_create(const eff_learner_options *options, eff_learner **out);

/* Numbers of an observation, and of an action as eff_learner_act writes it (1 for the index of a choice). */
EFF_API eff_status eff_learner_sizes(const eff_learner *learner, size_t *observation_count, size_t *action_count);

/* Frees the learner; NULL is fine. A caller's arena is no longer used. */
EFF_API void eff_learner_destroy(eff_learner *learner);

/* [RT] Chooses an action for observation [observation_count] and writes action: [action_count] numbers (continuous), or
 * [1] with the index of the choice, or [1] with the predicted return (TD). The first call, and the first after an
 * episode has ended, begins an episode. In an episode, give the observation that the last transition ended with; any
 * other is normalized as it is, and not counted by the statistics.
 * EFF_E_NUMERIC: the observation or the network's output is not finite; action is then the last one (0 before any), so
 * the robot goes on. */
EFF_API EFF_RT eff_status eff_learner_act(eff_learner *learner, const double *observation, double *action);

/* [RT] The action without exploration (mean, most probable, greedy), for evaluation: learns nothing, counts nothing,
 * draws no random number. */
EFF_API EFF_RT eff_status eff_learner_infer(eff_learner *learner, const double *observation, double *action);

/* [RT] The distribution of the return from observation on, as an EFF_CRITIC_QUANTILE or _CATEGORICAL critic has it:
 * values [count] in ascending order, in scaled rewards, and their probabilities [count], or NULL. count is critic_size;
 * choice is that of Q and SARSA, else 0. Learns and counts nothing. EFF_E_STATE: the critic gives no distribution.
 * EFF_E_ARGUMENT: another count, no such choice. EFF_E_NUMERIC: observation or output is not finite; nothing is
 * written. */
EFF_API EFF_RT eff_status eff_learner_returns(eff_learner *learner, const double *observation, size_t choice,
                                              double *values, double *probabilities_or_null, size_t count);

/* What followed the last action. Set struct_size (or use EFF_TRANSITION_INIT) and zero the rest. */
typedef struct eff_transition {
  size_t struct_size;
  const double *observation;    /* raw, [observation_count], as it is after the step, also where the episode ends */
  double reward;                /* raw */
  int32_t terminated;           /* 1: ended for good, no return can follow */
  int32_t truncated;            /* 1: broken off (time limit); the critic stands in for the return that would have
                                   followed */
  const double *action;         /* what was really done, as act writes it, or NULL: what act chose */
  const double *next_action;    /* SARSA: [1], the choice that is made next by somebody else, or NULL: the learner
                                   chooses */
  double dt;                    /* measured seconds of the step; 0: nominal */
} eff_transition;
#define EFF_TRANSITION_INIT { sizeof(eff_transition), 0, 0, 0, 0, 0, 0, 0 }

/* Why an update did what it did. */
enum {
  EFF_LEARNED = 0,
  EFF_LEARNED_FROZEN = 1,      /* all that could learn is frozen */
  EFF_LEARNED_BAD_INPUT = 2,   /* a number of the transition, or what a reward network or potential made of it, is not
                                  finite or beyond 1e100: ignored; the next observation begins an episode */
  EFF_LEARNED_BAD_UPDATE = 3,  /* a TD error, gradient or trace is not finite: no weight moved, traces start afresh;
                                  rolled back where snapshots are kept */
  EFF_LEARNED_DRIFT = 4,       /* the actor has used up its drift budget; the critic learned */
  EFF_LEARNED_ROLLED_BACK = 5, /* the return collapsed, or the TD error rose: a snapshot was restored after this
                                  update */
  EFF_LEARNED_CHANGE = 6       /* the actor acts too differently from the shipped one (change_limit); the critic
                                  learned */
};

/* What one update did to one network. */
typedef struct eff_network_update {
  double trace_norm;  /* L1 norm of the trace, over its scale where the optimizer has one */
  double bound;       /* ObGD: M; the step is step_size / M where M > 1 */
  double step_size;   /* as taken */
  double td_error;    /* as used: after the clipping and normalization of intentional */
  double drift;       /* L1 distance that the weights have moved, summed over all updates since creation or
                         eff_learner_mark() */
} eff_network_update;

/* Telemetry of one update. struct_size is set by the caller; of a shorter struct the first bytes are written. */
typedef struct eff_update {
  size_t struct_size;
  int32_t reason;                 /* EFF_LEARNED... */
  int32_t trace_reset;            /* 1: traces were cleared after the update */
  double td_error;
  double value, next_value;       /* the critic's for s (and a) and for s' as bootstrapped, before the update */
  double scaled_reward;
  double exploration;             /* mean standard deviation (continuous; 0 where nobody asked for an action), epsilon
                                     (Q, SARSA), whether or not they learn */
  eff_network_update actor, critic;
  uint64_t updates, episodes;     /* since creation */
  uint64_t bad_inputs, bad_updates, snapshots, rollbacks;
  double running_return;          /* running mean of the returns of finished episodes (or windows) */
  double change;                  /* KL(actor || shipped actor) in nats, mean over the kept observations; 0 where
                                     change_limit is 0. The shipped actor sees them by the statistics that were shipped.
                                     Squashed and clipped actions: of the Gaussian before */
  double actor_dormant, critic_dormant; /* share of dormant units: hidden units whose magnitude, averaged over about
                                           6400 updates, is at most 0.025 of their layer's mean (arXiv 2302.12902). Of a
                                           loaded policy: of what layers that learn pass on to such layers */
  double running_td_error;        /* mean |TD error| of about the last 100 updates */
  eff_reward_shares reward;       /* of this transition; of a refused one as far as they were found */
  eff_reward_shares reward_size;  /* mean magnitudes over about the last 1000 updates; 0 without options.rewards */
  double value_spread, value_cvar; /* standard deviation, and CVaR at risk_level, of the distribution whose mean `value`
                                      is; 0 where the critic gives none */
  double risk_error;              /* the TD error that the actor climbs; td_error without a risk measure */
  double stock;                   /* of s; 0 without one */
  uint64_t clipped_targets;       /* updates whose target's mean lay beyond the support, since creation */
} eff_update;

/* [RT] Learns from a transition. update may be NULL. EFF_E_STATE: no act since the episode began. EFF_E_NUMERIC:
 * nothing was learned, because something is not finite (see EFF_LEARNED_BAD_...); the learner goes on with the next
 * call. EFF_E_ARGUMENT: struct_size or observation is missing. */
EFF_API EFF_RT eff_status eff_learner_update(eff_learner *learner, const eff_transition *transition,
                                             eff_update *update_or_null);

/* [RT] Keeps parts from learning until called again; 0: nothing is frozen. Updates go on and are counted. */
enum { EFF_FREEZE_ACTOR = 1, EFF_FREEZE_CRITIC = 2, EFF_FREEZE_NORMALIZERS = 4, EFF_FREEZE_ALL = 7 };
EFF_API EFF_RT eff_status eff_learner_freeze(eff_learner *learner, int32_t parts);

/* [RT] Keeps a snapshot now, or goes back to the best one. EFF_E_STATE: options.snapshots is 0, or none has been
 * kept. */
EFF_API EFF_RT eff_status eff_learner_snapshot(eff_learner *learner);
EFF_API EFF_RT eff_status eff_learner_roll_back(eff_learner *learner);

/* [RT] Takes the actor, and the statistics of observations, as they are for the shipped ones: drift, change and their
 * budgets begin anew. A learner begins with what it was created with. */
EFF_API EFF_RT eff_status eff_learner_mark(eff_learner *learner);

/* ---- checkpoints: everything (weights, traces, moments, statistics, generator, guards), to be continued bit for bit
 * ---- */

/* Writes a checkpoint. *size gets its bytes, which depend on the options alone; with buffer_or_null NULL nothing is
 * written. EFF_E_ARGUMENT: capacity is too small. */
EFF_API eff_status eff_learner_save(const eff_learner *learner, void *buffer_or_null, size_t capacity, size_t *size);

/* Replaces the learner's state. Nothing changes on failure. EFF_E_FORMAT: damaged, or no checkpoint. EFF_E_UNSUPPORTED:
 * another version.
 * EFF_E_MISMATCH: a learner of another shape. */
EFF_API eff_status eff_learner_restore(eff_learner *learner, const void *bytes, size_t size);

/* The same with a file. It is replaced at once, by way of path.tmp: whenever the process is killed, the file is the old
 * or the new checkpoint. */
EFF_API eff_status eff_learner_save_file(const eff_learner *learner, const char *path);
EFF_API eff_status eff_learner_restore_file(eff_learner *learner, const char *path);

/* ---- the policy that was learned ---- */

/* The policy that acts, without exploration and as it is now: immutable, to be run by sessions (also by
 * eff_session_swap, where the learner started from a loaded policy with all or its last layers) or to be learned from
 * again. *out is NULL on failure; release it with eff_policy_release. EFF_E_UNSUPPORTED: it cannot be written as a file
 * (a time input, a stock, a moving average, a fresh layer on features, a residual on a safetensors file; Q, SARSA and
 * TD of a critic that classifies, or whose choices follow a risk measure). */
EFF_API eff_status eff_learner_policy(eff_learner *learner, eff_policy **out);

/* The same as an ONNX file: of a loaded policy its own file, ONNX or safetensors, with the learned weights in it (and,
 * where they are the learner's, the statistics and the residual), otherwise a new one. Outputs of a new one: "actions"
 * (mean, or index of the best choice) and "std", "logits" or "q"; or "value".
 * *size gets its bytes; with buffer_or_null NULL nothing is written. Weights are f32. Errors: as above, EFF_E_ARGUMENT:
 * capacity is too small. */
EFF_API eff_status eff_learner_export(eff_learner *learner, void *buffer_or_null, size_t capacity, size_t *size);
EFF_API eff_status eff_learner_export_file(eff_learner *learner, const char *path);

/* ---- giving what was learned to a session that another thread steps ---- */

typedef struct eff_publisher eff_publisher;

/* Prepares a session to be given the learner's policy again and again. The session was made of eff_learner_policy(), or
 * where a loaded policy learns with all or its last layers, of that policy; f32 weights. It may be stepped meanwhile,
 * by one thread; the learner must not be used. Until the publisher is destroyed eff_session_swap is refused and
 * eff_session_reclaim does nothing. *out is NULL on failure. EFF_E_MISMATCH: the session runs another policy.
 * EFF_E_UNSUPPORTED: of the session's weights some are made of several that are learned (or stored with less
 * precision), or the policy cannot be written as a file. EFF_E_STATE: a swap waits for the session's next step, or
 * another learner publishes to it. */
EFF_API eff_status eff_publisher_create(eff_learner *learner, eff_session *session, eff_publisher **out);

/* [RT] Copies weights and statistics of the policy as it is now and offers them to the session by one atomic exchange;
 * the session takes them at its next step, an older offer that it has not taken is replaced. One pass over the weights
 * of the network that acts. For the learner's thread:
 * it counts as a call of the learner. EFF_E_STATE: the learner or the session was destroyed. */
EFF_API EFF_RT eff_status eff_publisher_publish(eff_publisher *publisher);

/* Frees the publisher; NULL is fine. The session keeps what it has. For the learner's thread. */
EFF_API void eff_publisher_destroy(eff_publisher *publisher);

/* ---- arrays by name ---- */

/* `<actor|critic>.<w|e|v>.<l1, l2, ..|out>.<weight|bias>`: weights [out, in], traces, moments; of recurrent units
 * `recurrent.weight` [2 units, in] (W1, W2) and `recurrent.poles` [2, units] (nu, a); of a loaded network
 * `<actor|critic>.<w|e|v>.<name in its file>`, of long names the last 54 bytes, more than two dimensions joined to two;
 * obsnorm.mean, .m2, .count; rewscale.mean, .m2, .count, .return_trace; obsema.mean, .count; with a bonus
 * predictor.<w|e|v>..., target.w... and bonus.mean, .m2, .count, .return_trace. A Gaussian head is one
 * layer of 2 action_count rows: means, then what softplus makes standard deviations. */
typedef struct eff_learner_tensor {
  size_t struct_size;  /* set by the caller */
  char name[64];
  int32_t rank;        /* 1 or 2 */
  int64_t shape[2];
  size_t count;
} eff_learner_tensor;

/* Describes array `index`. EFF_E_ARGUMENT: past the last. */
EFF_API eff_status eff_learner_describe(const eff_learner *learner, size_t index, eff_learner_tensor *out);

/* Copies an array, row-major, out of or into the learner. EFF_E_ARGUMENT: no such name, or count is not its count.
 * EFF_E_NUMERIC: a value to be written is not finite. */
EFF_API eff_status eff_learner_read(eff_learner *learner, const char *name, double *values, size_t count);
EFF_API eff_status eff_learner_write(eff_learner *learner, const char *name, const double *values, size_t count);

#ifdef __cplusplus
}
#endif
#endif
