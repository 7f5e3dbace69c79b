"""The part of the C interface in learner.h, as in _table."""
from ctypes import POINTER, Structure, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint64, c_void_p

from ._table import Options, eff_allocator, handle, out, status

array = c_void_p  # double *


def fields(kind, names):
    return [(name, kind) for name in names.split()]


class eff_reward_options(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("network", handle), *fields(c_int32, "network_mode reserved"),
        ("network_weight", c_double),
        *fields(c_char_p, "network_observation network_action network_next network_output"),
        ("potential", handle), ("potential_linear", POINTER(c_double)),
        ("potential_linear_count", c_size_t),
        *fields(c_double, "potential_bias potential_scale bonus bonus_step_size bonus_gamma bonus_limit"),
        ("bonus_hidden", POINTER(c_size_t)), ("bonus_hidden_count", c_size_t), ("bonus_features", c_size_t),
        ("clip", c_double),
    ]


class eff_reward_shares(Structure):
    _fields_ = fields(c_double, "raw network shaping bonus clip total")


class eff_reward_sum(Structure):
    _fields_ = [
        *fields(c_double, "gamma nominal_dt"), *fields(c_int32, "rule count"), ("times", c_double * 4),
        ("values", c_double * 4), *fields(c_double, "start last sum"),
    ]


class eff_learner_options(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        *fields(c_int32, "algorithm optimizer dtype reference"), ("observation_count", c_size_t),
        ("action_count", c_size_t),
        ("hidden", POINTER(c_size_t)), ("hidden_count", c_size_t),
        *fields(c_int32, "activation no_layer_norm no_observation_norm no_reward_scaling"),
        *fields(c_double, """activation_alpha layer_norm_epsilon sparsity gamma lambda step_size kappa_value
                kappa_policy eta_value eta_policy beta2 moment_epsilon clip_multiple beta_clip beta_norm entropy
                epsilon_start epsilon_end epsilon_steps observation_epsilon reward_epsilon time_limit filter_beta
                nominal_dt std_floor std_ceiling"""),
        ("actor_delay", c_uint64), ("seed", c_uint64), ("snapshots", c_size_t), ("snapshot_period", c_uint64),
        ("return_window", c_uint64),
        *fields(c_double, "return_rate return_drop keep_margin fall_limit rollback_step drift_budget"),
        ("allocator", POINTER(eff_allocator)), ("arena", c_void_p), ("arena_size", c_size_t),
        ("policy", handle), *fields(c_char_p, "mean std"), *fields(c_int32, "learn std_source"),
        ("learn_layers", c_size_t),
        *fields(c_double, "residual_bound initial_std"), ("normalizer_count", c_uint64), ("frozen", POINTER(c_char_p)),
        ("frozen_count", c_size_t),
        ("change_limit", c_double), ("change_period", c_uint64), ("change_observations", c_size_t),
        ("td_error_rise", c_double), ("steady_updates", c_uint64), *fields(c_double, "error_cap beta_energy"),
        ("critic", handle), *fields(c_char_p, "value features"),
        ("rewards", POINTER(eff_reward_options)),
        *fields(c_int32, "critic_kind risk stock"), ("critic_size", c_size_t),
        *fields(c_double, "support_low support_high quantile_huber hl_gauss_sigma risk_level risk_weight"),
        ("risk_warmup", c_uint64), ("stock_exploration", c_double), *fields(c_int32, "cells reserved"),
        ("recurrent_units", c_size_t),
    ]


class eff_transition(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("observation", array), ("reward", c_double), ("terminated", c_int32),
        ("truncated", c_int32),
        ("action", array), ("next_action", array), ("dt", c_double),
    ]


class eff_network_update(Structure):
    _fields_ = fields(c_double, "trace_norm bound step_size td_error drift")


class eff_update(Options):
    _fields_ = [
        ("struct_size", c_size_t), ("reason", c_int32), ("trace_reset", c_int32),
        *fields(c_double, "td_error value next_value scaled_reward exploration"),
        ("actor", eff_network_update), ("critic", eff_network_update),
        *fields(c_uint64, "updates episodes bad_inputs bad_updates snapshots rollbacks"),
        *fields(c_double, "running_return change actor_dormant critic_dormant running_td_error"),
        ("reward", eff_reward_shares), ("reward_size", eff_reward_shares),
        *fields(c_double, "value_spread value_cvar risk_error stock"), ("clipped_targets", c_uint64),
    ]


class eff_learner_tensor(Options):
    _fields_ = [("struct_size", c_size_t), ("name", c_char * 64), ("rank", c_int32), ("shape", c_int64 * 2),
    ("count", c_size_t)]


FUNCTIONS = {
    "eff_learner_options_default": (None, [POINTER(eff_learner_options), c_size_t]),
    "eff_reward_options_default": (None, [POINTER(eff_reward_options), c_size_t]),
    "eff_reward_sum_begin": (status, [POINTER(eff_reward_sum), c_int32, c_double, c_double]),
    "eff_reward_sum_add": (status, [POINTER(eff_reward_sum), c_double, c_double]),
    "eff_reward_sum_take": (status, [POINTER(eff_reward_sum), array, array]),
    "eff_learner_options_preset": (status, [POINTER(eff_learner_options), c_char_p]),
    "eff_learner_options_adapt": (status, [POINTER(eff_learner_options), c_size_t, handle]),
    "eff_learner_arena_size": (status, [POINTER(eff_learner_options), POINTER(c_size_t)]),
    "eff_learner_create": (status, [POINTER(eff_learner_options), out]),
    "eff_learner_sizes": (status, [handle, POINTER(c_size_t), POINTER(c_size_t)]),
    "eff_learner_destroy": (None, [handle]),
    "eff_learner_act": (status, [handle, array, array]),
    "eff_learner_infer": (status, [handle, array, array]),
    "eff_learner_returns": (status, [handle, array, c_size_t, array, array, c_size_t]),
    "eff_learner_update": (status, [handle, POINTER(eff_transition), POINTER(eff_update)]),
    "eff_learner_freeze": (status, [handle, c_int32]),
    "eff_learner_snapshot": (status, [handle]),
    "eff_learner_roll_back": (status, [handle]),
    "eff_learner_mark": (status, [handle]),
    "eff_learner_save": (status, [handle, c_void_p, c_size_t, POINTER(c_size_t)]),
    "eff_learner_restore": (status, [handle, c_void_p, c_size_t]),
    "eff_learner_save_file": (status, [handle, c_char_p]),
    "eff_learner_restore_file": (status, [handle, c_char_p]),
    "eff_learner_policy": (status, [handle, out]),
    "eff_learner_export": (status, [handle, c_void_p, c_size_t, POINTER(c_size_t)]),
    "eff_learner_export_file": (status, [handle, c_char_p]),
    "eff_publisher_create": (status, [handle, handle, out]),
    "eff_publisher_publish": (status, [handle]),
    "eff_publisher_destroy": (None, [handle]),
    "eff_learner_describe": (status, [handle, c_size_t, POINTER(eff_learner_tensor)]),
    "eff_learner_read": (status, [handle, c_char_p, array, c_size_t]),
    "eff_learner_write": (status, [handle, c_char_p, array, c_size_t]),
}
