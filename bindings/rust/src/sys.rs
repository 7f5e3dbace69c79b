//! The C interface, declaration by declaration. include/efferent/*.h says what each does, which calls are `[RT]`, and who may call them.
//! Written by Tests/Symbols/rust.py from the headers; Tests/Python/test_rust.py compares the two.
#![allow(non_camel_case_types)]

use std::os::raw::{c_char, c_void};

pub const EFF_VERSION: i32 = 100;

pub type eff_status = i32;

// ---- efferent.h ----

pub const EFF_OK: i32 = 0;
pub const EFF_E_ARGUMENT: i32 = -1;
pub const EFF_E_STATE: i32 = -2;
pub const EFF_E_MEMORY: i32 = -3;
pub const EFF_E_IO: i32 = -4;
pub const EFF_E_FORMAT: i32 = -5;
pub const EFF_E_UNSUPPORTED: i32 = -6;
pub const EFF_E_SHAPE: i32 = -7;
pub const EFF_E_NUMERIC: i32 = -8;
pub const EFF_E_TIMEOUT: i32 = -9;
pub const EFF_E_MISMATCH: i32 = -10;
pub const EFF_LOG_DEBUG: i32 = 0;
pub const EFF_LOG_INFO: i32 = 1;
pub const EFF_LOG_WARNING: i32 = 2;
pub const EFF_LOG_ERROR: i32 = 3;
pub const EFF_MAX_RANK: usize = 8;
pub const EFF_F32: i32 = 1;
pub const EFF_U8: i32 = 2;
pub const EFF_I8: i32 = 3;
pub const EFF_U16: i32 = 4;
pub const EFF_I16: i32 = 5;
pub const EFF_I32: i32 = 6;
pub const EFF_I64: i32 = 7;
pub const EFF_BOOL: i32 = 9;
pub const EFF_F16: i32 = 10;
pub const EFF_F64: i32 = 11;
pub const EFF_U32: i32 = 12;
pub const EFF_U64: i32 = 13;
pub const EFF_BF16: i32 = 16;
pub const EFF_ROLE_OBSERVATION: i32 = 0;
pub const EFF_ROLE_ACTION: i32 = 1;
pub const EFF_ROLE_STATE: i32 = 2;
pub const EFF_ROLE_AUX: i32 = 3;
pub const EFF_NON_FINITE_REFUSE: i32 = 0;
pub const EFF_NON_FINITE_PASS: i32 = 1;
pub const EFF_NON_FINITE_CLEAR: i32 = 2;

#[repr(C)]
pub struct eff_policy {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct eff_session {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_allocator {
    pub alloc: Option<unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize)>,
    pub user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_tensor_spec {
    pub struct_size: usize,
    pub name: *const c_char,
    pub role: i32,
    pub dtype: i32,
    pub rank: i32,
    pub pair: i32,
    pub shape: [i64; EFF_MAX_RANK],
    pub count: usize,
    pub size: usize,
    pub reason: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_dim_binding {
    pub name: *const c_char,
    pub size: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_state_pair {
    pub input: *const c_char,
    pub output: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_constant_binding {
    pub input: *const c_char,
    pub dtype: i32,
    pub rank: i32,
    pub shape: [i64; EFF_MAX_RANK],
    pub data: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_policy_options {
    pub struct_size: usize,
    pub weights: i32,
    pub no_state: i32,
    pub dims: *const eff_dim_binding,
    pub dim_count: usize,
    pub constants: *const eff_constant_binding,
    pub constant_count: usize,
    pub states: *const eff_state_pair,
    pub state_count: usize,
    pub allocator: *const eff_allocator,
    pub memory_limit: usize,
    pub folder: *const c_char,
    pub learnable: i32,
    pub locked: i32,
    pub layer_weights: *const i32,
    pub layer_count: usize,
    pub action: *const c_char,
    pub observation: *const c_char,
    pub outputs: *const *const c_char,
    pub output_count: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_policy_info {
    pub struct_size: usize,
    pub opset: i64,
    pub ir_version: i64,
    pub parameter_count: usize,
    pub weight_bytes: usize,
    pub arena_bytes: usize,
    pub node_count: usize,
    pub op_count: usize,
    pub state_count: usize,
    pub multiply_adds: i64,
    pub isa: *const c_char,
    pub producer: *const c_char,
    pub layer_count: usize,
    pub unfused_op_count: usize,
    pub state_bytes: usize,
    pub peak_bytes: usize,
    pub hash: u64,
    pub step_refusal: *const c_char,
    pub operators: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_layer {
    pub struct_size: usize,
    pub weights: i32,
    pub op: i32,
    pub parameter_count: usize,
    pub bytes: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_session_options {
    pub struct_size: usize,
    pub max_rows: usize,
    pub arena: *mut c_void,
    pub arena_size: usize,
    pub allocator: *const eff_allocator,
    pub seed: u64,
    pub locked: i32,
    pub reserved: i32,
    pub first_row: u64,
    pub non_finite: i32,
    pub reserved2: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_session_swap_options {
    pub struct_size: usize,
    pub reset_state: i32,
    pub reserved: i32,
}

extern "C" {
    pub fn eff_version() -> i32;
    pub fn eff_status_name(status: eff_status) -> *const c_char;
    pub fn eff_last_error() -> *const c_char;
    pub fn eff_set_log(fn_or_null: Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char)>, user: *mut c_void, min_level: i32);
    pub fn eff_policy_options_default(options: *mut eff_policy_options, struct_size: usize);
    pub fn eff_policy_load_file(path: *const c_char, options_or_null: *const eff_policy_options, out: *mut *mut eff_policy) -> eff_status;
    pub fn eff_policy_load_memory(bytes: *const c_void, size: usize, options_or_null: *const eff_policy_options, out: *mut *mut eff_policy) -> eff_status;
    pub fn eff_policy_input_count(policy: *const eff_policy) -> usize;
    pub fn eff_policy_output_count(policy: *const eff_policy) -> usize;
    pub fn eff_policy_input(policy: *const eff_policy, index: usize, out: *mut eff_tensor_spec) -> eff_status;
    pub fn eff_policy_output(policy: *const eff_policy, index: usize, out: *mut eff_tensor_spec) -> eff_status;
    pub fn eff_policy_find_input(policy: *const eff_policy, name: *const c_char) -> i64;
    pub fn eff_policy_find_output(policy: *const eff_policy, name: *const c_char) -> i64;
    pub fn eff_policy_metadata(policy: *const eff_policy, key: *const c_char) -> *const c_char;
    pub fn eff_policy_metadata_key(policy: *const eff_policy, index: usize) -> *const c_char;
    pub fn eff_policy_describe(policy: *const eff_policy, out: *mut eff_policy_info) -> eff_status;
    pub fn eff_policy_layer(policy: *const eff_policy, index: usize, out: *mut eff_layer) -> eff_status;
    pub fn eff_policy_op(policy: *const eff_policy, index: usize) -> *const c_char;
    pub fn eff_policy_note(policy: *const eff_policy, index: usize) -> *const c_char;
    pub fn eff_policy_retain(policy: *const eff_policy) -> *mut eff_policy;
    pub fn eff_policy_release(policy: *mut eff_policy);
    pub fn eff_session_options_default(options: *mut eff_session_options, struct_size: usize);
    pub fn eff_session_arena_size(policy: *const eff_policy, options_or_null: *const eff_session_options, out: *mut usize) -> eff_status;
    pub fn eff_session_create(policy: *const eff_policy, options_or_null: *const eff_session_options, out: *mut *mut eff_session) -> eff_status;
    pub fn eff_session_step_n(session: *mut eff_session, rows: usize, observation: *const f32, observation_count: usize, action: *mut f32, action_count: usize) -> eff_status;
    pub fn eff_session_step(session: *mut eff_session, rows: usize, observation: *const f32, action: *mut f32) -> eff_status;
    pub fn eff_session_explain(session: *mut eff_session) -> *const c_char;
    pub fn eff_session_input(session: *mut eff_session, index: usize) -> *mut c_void;
    pub fn eff_session_run(session: *mut eff_session, rows: usize) -> eff_status;
    pub fn eff_session_output(session: *const eff_session, index: usize) -> *const c_void;
    pub fn eff_session_reset(session: *mut eff_session, row: i64) -> eff_status;
    pub fn eff_session_prewarm(session: *mut eff_session) -> eff_status;
    pub fn eff_session_prewarm_weights(session: *const eff_session) -> eff_status;
    pub fn eff_session_swap(session: *mut eff_session, next: *const eff_policy) -> eff_status;
    pub fn eff_session_swap_options_default(options: *mut eff_session_swap_options, struct_size: usize);
    pub fn eff_session_swap_with(session: *mut eff_session, next: *const eff_policy, options_or_null: *const eff_session_swap_options) -> eff_status;
    pub fn eff_session_reclaim(session: *mut eff_session) -> eff_status;
    pub fn eff_session_destroy(session: *mut eff_session);
}

// ---- reward.h ----

pub const EFF_REWARD_ADD: i32 = 1;
pub const EFF_REWARD_REPLACE: i32 = 2;
pub const EFF_SUM_TRAPEZOID: i32 = 0;
pub const EFF_SUM_SIMPSON: i32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_reward_options {
    pub struct_size: usize,
    pub network: *const eff_policy,
    pub network_mode: i32,
    pub reserved: i32,
    pub network_weight: f64,
    pub network_observation: *const c_char,
    pub network_action: *const c_char,
    pub network_next: *const c_char,
    pub network_output: *const c_char,
    pub potential: *const eff_policy,
    pub potential_linear: *const f64,
    pub potential_linear_count: usize,
    pub potential_bias: f64,
    pub potential_scale: f64,
    pub bonus: f64,
    pub bonus_step_size: f64,
    pub bonus_gamma: f64,
    pub bonus_limit: f64,
    pub bonus_hidden: *const usize,
    pub bonus_hidden_count: usize,
    pub bonus_features: usize,
    pub clip: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_reward_shares {
    pub raw: f64,
    pub network: f64,
    pub shaping: f64,
    pub bonus: f64,
    pub clip: f64,
    pub total: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_reward_sum {
    pub gamma: f64,
    pub nominal_dt: f64,
    pub rule: i32,
    pub count: i32,
    pub times: [f64; 4],
    pub values: [f64; 4],
    pub start: f64,
    pub last: f64,
    pub sum: f64,
}

extern "C" {
    pub fn eff_reward_options_default(options: *mut eff_reward_options, struct_size: usize);
    pub fn eff_reward_sum_begin(sum: *mut eff_reward_sum, rule: i32, gamma: f64, nominal_dt: f64) -> eff_status;
    pub fn eff_reward_sum_add(sum: *mut eff_reward_sum, rate: f64, time: f64) -> eff_status;
    pub fn eff_reward_sum_take(sum: *mut eff_reward_sum, reward: *mut f64, dt_or_null: *mut f64) -> eff_status;
}

// ---- learner.h ----

pub const EFF_LEARNER_AC_CONTINUOUS: i32 = 0;
pub const EFF_LEARNER_AC_DISCRETE: i32 = 1;
pub const EFF_LEARNER_Q: i32 = 2;
pub const EFF_LEARNER_SARSA: i32 = 3;
pub const EFF_LEARNER_TD: i32 = 4;
pub const EFF_OPTIMIZER_OBGD: i32 = 0;
pub const EFF_OPTIMIZER_ADAPTIVE_OBGD: i32 = 1;
pub const EFF_OPTIMIZER_INTENTIONAL: i32 = 2;
pub const EFF_LEARN_ALL: i32 = 0;
pub const EFF_LEARN_LAST: i32 = 1;
pub const EFF_LEARN_RESIDUAL: i32 = 2;
pub const EFF_STD_AUTO: i32 = 0;
pub const EFF_STD_CONSTANT: i32 = 1;
pub const EFF_STD_PARAMETER: i32 = 2;
pub const EFF_CELLS_FIXED: i32 = 0;
pub const EFF_CELLS_LEARN: i32 = 1;
pub const EFF_ACTIVATION_LEAKY_RELU: i32 = 0;
pub const EFF_ACTIVATION_RELU: i32 = 1;
pub const EFF_ACTIVATION_TANH: i32 = 2;
pub const EFF_ACTIVATION_ELU: i32 = 3;
pub const EFF_ACTIVATION_SWISH: i32 = 4;
pub const EFF_ACTIVATION_IDENTITY: i32 = 5;
pub const EFF_CRITIC_MEAN: i32 = 0;
pub const EFF_CRITIC_QUANTILE: i32 = 1;
pub const EFF_CRITIC_CATEGORICAL: i32 = 2;
pub const EFF_CRITIC_TWO_HOT: i32 = 3;
pub const EFF_CRITIC_HL_GAUSS: i32 = 4;
pub const EFF_RISK_NONE: i32 = 0;
pub const EFF_RISK_CVAR: i32 = 1;
pub const EFF_RISK_SPREAD: i32 = 2;
pub const EFF_LEARNED: i32 = 0;
pub const EFF_LEARNED_FROZEN: i32 = 1;
pub const EFF_LEARNED_BAD_INPUT: i32 = 2;
pub const EFF_LEARNED_BAD_UPDATE: i32 = 3;
pub const EFF_LEARNED_DRIFT: i32 = 4;
pub const EFF_LEARNED_ROLLED_BACK: i32 = 5;
pub const EFF_LEARNED_CHANGE: i32 = 6;
pub const EFF_FREEZE_ACTOR: i32 = 1;
pub const EFF_FREEZE_CRITIC: i32 = 2;
pub const EFF_FREEZE_NORMALIZERS: i32 = 4;
pub const EFF_FREEZE_ALL: i32 = 7;

#[repr(C)]
pub struct eff_learner {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct eff_publisher {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_learner_options {
    pub struct_size: usize,
    pub algorithm: i32,
    pub optimizer: i32,
    pub dtype: i32,
    pub reference: i32,
    pub observation_count: usize,
    pub action_count: usize,
    pub hidden: *const usize,
    pub hidden_count: usize,
    pub activation: i32,
    pub no_layer_norm: i32,
    pub no_observation_norm: i32,
    pub no_reward_scaling: i32,
    pub activation_alpha: f64,
    pub layer_norm_epsilon: f64,
    pub sparsity: f64,
    pub gamma: f64,
    pub lambda: f64,
    pub step_size: f64,
    pub kappa_value: f64,
    pub kappa_policy: f64,
    pub eta_value: f64,
    pub eta_policy: f64,
    pub beta2: f64,
    pub moment_epsilon: f64,
    pub clip_multiple: f64,
    pub beta_clip: f64,
    pub beta_norm: f64,
    pub entropy: f64,
    pub epsilon_start: f64,
    pub epsilon_end: f64,
    pub epsilon_steps: f64,
    pub observation_epsilon: f64,
    pub reward_epsilon: f64,
    pub time_limit: f64,
    pub filter_beta: f64,
    pub nominal_dt: f64,
    pub std_floor: f64,
    pub std_ceiling: f64,
    pub actor_delay: u64,
    pub seed: u64,
    pub snapshots: usize,
    pub snapshot_period: u64,
    pub return_window: u64,
    pub return_rate: f64,
    pub return_drop: f64,
    pub keep_margin: f64,
    pub fall_limit: f64,
    pub rollback_step: f64,
    pub drift_budget: f64,
    pub allocator: *const eff_allocator,
    pub arena: *mut c_void,
    pub arena_size: usize,
    pub policy: *const eff_policy,
    pub mean: *const c_char,
    pub std: *const c_char,
    pub learn: i32,
    pub std_source: i32,
    pub learn_layers: usize,
    pub residual_bound: f64,
    pub initial_std: f64,
    pub normalizer_count: u64,
    pub frozen: *const *const c_char,
    pub frozen_count: usize,
    pub change_limit: f64,
    pub change_period: u64,
    pub change_observations: usize,
    pub td_error_rise: f64,
    pub steady_updates: u64,
    pub error_cap: f64,
    pub beta_energy: f64,
    pub critic: *const eff_policy,
    pub value: *const c_char,
    pub features: *const c_char,
    pub rewards: *const eff_reward_options,
    pub critic_kind: i32,
    pub risk: i32,
    pub stock: i32,
    pub critic_size: usize,
    pub support_low: f64,
    pub support_high: f64,
    pub quantile_huber: f64,
    pub hl_gauss_sigma: f64,
    pub risk_level: f64,
    pub risk_weight: f64,
    pub risk_warmup: u64,
    pub stock_exploration: f64,
    pub cells: i32,
    pub reserved: i32,
    pub recurrent_units: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_transition {
    pub struct_size: usize,
    pub observation: *const f64,
    pub reward: f64,
    pub terminated: i32,
    pub truncated: i32,
    pub action: *const f64,
    pub next_action: *const f64,
    pub dt: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_network_update {
    pub trace_norm: f64,
    pub bound: f64,
    pub step_size: f64,
    pub td_error: f64,
    pub drift: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_update {
    pub struct_size: usize,
    pub reason: i32,
    pub trace_reset: i32,
    pub td_error: f64,
    pub value: f64,
    pub next_value: f64,
    pub scaled_reward: f64,
    pub exploration: f64,
    pub actor: eff_network_update,
    pub critic: eff_network_update,
    pub updates: u64,
    pub episodes: u64,
    pub bad_inputs: u64,
    pub bad_updates: u64,
    pub snapshots: u64,
    pub rollbacks: u64,
    pub running_return: f64,
    pub change: f64,
    pub actor_dormant: f64,
    pub critic_dormant: f64,
    pub running_td_error: f64,
    pub reward: eff_reward_shares,
    pub reward_size: eff_reward_shares,
    pub value_spread: f64,
    pub value_cvar: f64,
    pub risk_error: f64,
    pub stock: f64,
    pub clipped_targets: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_learner_tensor {
    pub struct_size: usize,
    pub name: [c_char; 64],
    pub rank: i32,
    pub shape: [i64; 2],
    pub count: usize,
}

extern "C" {
    pub fn eff_learner_options_default(options: *mut eff_learner_options, struct_size: usize);
    pub fn eff_learner_options_preset(options: *mut eff_learner_options, preset: *const c_char) -> eff_status;
    pub fn eff_learner_options_adapt(options: *mut eff_learner_options, struct_size: usize, policy: *const eff_policy) -> eff_status;
    pub fn eff_learner_arena_size(options: *const eff_learner_options, out: *mut usize) -> eff_status;
    pub fn eff_learner_create(options: *const eff_learner_options, out: *mut *mut eff_learner) -> eff_status;
    pub fn eff_learner_sizes(learner: *const eff_learner, observation_count: *mut usize, action_count: *mut usize) -> eff_status;
    pub fn eff_learner_destroy(learner: *mut eff_learner);
    pub fn eff_learner_act(learner: *mut eff_learner, observation: *const f64, action: *mut f64) -> eff_status;
    pub fn eff_learner_infer(learner: *mut eff_learner, observation: *const f64, action: *mut f64) -> eff_status;
    pub fn eff_learner_returns(learner: *mut eff_learner, observation: *const f64, choice: usize, values: *mut f64, probabilities_or_null: *mut f64, count: usize) -> eff_status;
    pub fn eff_learner_update(learner: *mut eff_learner, transition: *const eff_transition, update_or_null: *mut eff_update) -> eff_status;
    pub fn eff_learner_freeze(learner: *mut eff_learner, parts: i32) -> eff_status;
    pub fn eff_learner_snapshot(learner: *mut eff_learner) -> eff_status;
    pub fn eff_learner_roll_back(learner: *mut eff_learner) -> eff_status;
    pub fn eff_learner_mark(learner: *mut eff_learner) -> eff_status;
    pub fn eff_learner_save(learner: *const eff_learner, buffer_or_null: *mut c_void, capacity: usize, size: *mut usize) -> eff_status;
    pub fn eff_learner_restore(learner: *mut eff_learner, bytes: *const c_void, size: usize) -> eff_status;
    pub fn eff_learner_save_file(learner: *const eff_learner, path: *const c_char) -> eff_status;
    pub fn eff_learner_restore_file(learner: *mut eff_learner, path: *const c_char) -> eff_status;
    pub fn eff_learner_policy(learner: *mut eff_learner, out: *mut *mut eff_policy) -> eff_status;
    pub fn eff_learner_export(learner: *mut eff_learner, buffer_or_null: *mut c_void, capacity: usize, size: *mut usize) -> eff_status;
    pub fn eff_learner_export_file(learner: *mut eff_learner, path: *const c_char) -> eff_status;
    pub fn eff_publisher_create(learner: *mut eff_learner, session: *mut eff_session, out: *mut *mut eff_publisher) -> eff_status;
    pub fn eff_publisher_publish(publisher: *mut eff_publisher) -> eff_status;
    pub fn eff_publisher_destroy(publisher: *mut eff_publisher);
    pub fn eff_learner_describe(learner: *const eff_learner, index: usize, out: *mut eff_learner_tensor) -> eff_status;
    pub fn eff_learner_read(learner: *mut eff_learner, name: *const c_char, values: *mut f64, count: usize) -> eff_status;
    pub fn eff_learner_write(learner: *mut eff_learner, name: *const c_char, values: *const f64, count: usize) -> eff_status;
}

// ---- card.h ----


#[repr(C)]
pub struct eff_card {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_card_options {
    pub struct_size: usize,
    pub supplied: *const c_char,
    pub name: *const c_char,
}

extern "C" {
    pub fn eff_card_options_default(options: *mut eff_card_options, struct_size: usize);
    pub fn eff_card_load_file(path: *const c_char, options_or_null: *const eff_card_options, out: *mut *mut eff_card) -> eff_status;
    pub fn eff_card_load_memory(bytes: *const c_void, size: usize, options_or_null: *const eff_card_options, out: *mut *mut eff_card) -> eff_status;
    pub fn eff_card_json(card: *const eff_card) -> *const c_char;
    pub fn eff_card_question_count(card: *const eff_card) -> usize;
    pub fn eff_card_question(card: *const eff_card, index: usize) -> *const c_char;
    pub fn eff_card_answer(card: *const eff_card, index: usize) -> *const c_char;
    pub fn eff_card_recording(card: *const eff_card, index: usize) -> *const c_char;
    pub fn eff_card_retain(card: *const eff_card) -> *mut eff_card;
    pub fn eff_card_release(card: *mut eff_card);
}

// ---- controller.h ----

pub const EFF_TARGET_POSITION: i32 = 0;
pub const EFF_TARGET_VELOCITY: i32 = 1;
pub const EFF_TARGET_EFFORT: i32 = 2;
pub const EFF_TARGET_KP: i32 = 3;
pub const EFF_TARGET_KD: i32 = 4;
pub const EFF_MODE_RUN: i32 = 0;
pub const EFF_MODE_HOLD: i32 = 1;
pub const EFF_MODE_RAMP: i32 = 2;
pub const EFF_MODE_DAMP: i32 = 3;
pub const EFF_MODE_ZERO: i32 = 4;
pub const EFF_FAULT_NONE: i32 = 0;
pub const EFF_FAULT_FINITE: i32 = 1;
pub const EFF_FAULT_AGE: i32 = 2;
pub const EFF_FAULT_UNIT: i32 = 3;
pub const EFF_FAULT_ROLL: i32 = 4;
pub const EFF_FAULT_PITCH: i32 = 5;
pub const EFF_FAULT_ACTION: i32 = 6;
pub const EFF_FAULT_TARGET: i32 = 7;
pub const EFF_FAULT_DEADLINE: i32 = 8;
pub const EFF_FAULT_CLOCK: i32 = 9;
pub const EFF_GUARD_POSITION: i32 = 1;
pub const EFF_GUARD_VELOCITY: i32 = 2;
pub const EFF_GUARD_EFFORT: i32 = 4;
pub const EFF_GUARD_COMMAND: i32 = 8;
pub const EFF_PREFLIGHT_REFUSE: i32 = 0;
pub const EFF_PREFLIGHT_WARN: i32 = 1;
pub const EFF_PREFLIGHT_SKIP: i32 = 2;

#[repr(C)]
pub struct eff_controller {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_fallback_step {
    pub mode: i32,
    pub reserved: i32,
    pub seconds: f64,
    pub kp: f64,
    pub kd: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_controller_model {
    pub name: *const c_char,
    pub policy: *mut eff_policy,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_motion_track {
    pub part: *const c_char,
    pub values: *const f64,
    pub frames: usize,
    pub width: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_controller_options {
    pub struct_size: usize,
    pub joints: *const *const c_char,
    pub joint_count: usize,
    pub models: *const eff_controller_model,
    pub model_count: usize,
    pub control_period: f64,
    pub stale_limit: f64,
    pub roll_limit: f64,
    pub pitch_limit: f64,
    pub slew_limit: f64,
    pub deadline: f64,
    pub blend_seconds: f64,
    pub ramp_seconds: f64,
    pub guard: i32,
    pub locked: i32,
    pub fallback: *const eff_fallback_step,
    pub fallback_count: usize,
    pub seed: u64,
    pub arena: *mut c_void,
    pub arena_size: usize,
    pub allocator: *const eff_allocator,
    pub motion: *const eff_motion_track,
    pub motion_count: usize,
    pub recordings: *const *const c_char,
    pub recording_count: usize,
    pub on_mismatch: i32,
    pub reserved: i32,
    pub learner: *mut eff_learner,
    pub learner_model: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_signal_binding {
    pub struct_size: usize,
    pub name: *const c_char,
    pub data: *const c_void,
    pub stride: isize,
    pub offsets: *const isize,
    pub count: usize,
    pub dtype: i32,
    pub reserved: i32,
    pub unit: *const c_char,
    pub layout: *const c_char,
    pub stale_limit: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_target_binding {
    pub struct_size: usize,
    pub what: i32,
    pub dtype: i32,
    pub data: *mut c_void,
    pub stride: isize,
    pub offsets: *const isize,
    pub count: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_signal_spec {
    pub struct_size: usize,
    pub name: *const c_char,
    pub unit: *const c_char,
    pub count: usize,
    pub is_joint: i32,
    pub is_bound: i32,
    pub is_optional: i32,
    pub reserved: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_controller_report {
    pub struct_size: usize,
    pub status: eff_status,
    pub mode: i32,
    pub fault: i32,
    pub signal: i32,
    pub joint: i32,
    pub model: i32,
    pub action: i32,
    pub ran: i32,
    pub value: f64,
    pub limit: f64,
    pub ticks: u64,
    pub runs: u64,
    pub late: u64,
    pub refused: u64,
    pub clamped: u64,
    pub age_ns: i64,
    pub period_ns: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_recorded_array {
    pub name: *const c_char,
    pub values: *const f64,
    pub rows: usize,
    pub width: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_recording {
    pub struct_size: usize,
    pub path: *const c_char,
    pub arrays: *const eff_recorded_array,
    pub array_count: usize,
    pub joints: *const *const c_char,
    pub joint_count: usize,
    pub units: *const *const c_char,
    pub unit_count: usize,
    pub policies: *const *const c_char,
    pub policy_count: usize,
    pub control_period: f64,
    pub policy_period: f64,
    pub guard: i32,
    pub stops_at_first: i32,
    pub absolute: f64,
    pub relative: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_preflight_row {
    pub name: [c_char; 192],
    pub difference: f64,
    pub found: f64,
    pub expected: f64,
    pub tick: i64,
    pub is_same: i32,
    pub reserved: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_preflight_report {
    pub struct_size: usize,
    pub differs: i32,
    pub reserved: i32,
    pub tick: i64,
    pub found: f64,
    pub expected: f64,
    pub name: [c_char; 192],
    pub what: [c_char; 512],
    pub unchecked: [c_char; 512],
    pub notes: [c_char; 512],
    pub rows: *mut eff_preflight_row,
    pub row_capacity: usize,
    pub row_count: usize,
}

extern "C" {
    pub fn eff_controller_options_default(options: *mut eff_controller_options, struct_size: usize);
    pub fn eff_controller_arena_size(card: *const eff_card, options: *const eff_controller_options, out: *mut usize) -> eff_status;
    pub fn eff_controller_create(card: *const eff_card, options: *const eff_controller_options, out: *mut *mut eff_controller) -> eff_status;
    pub fn eff_controller_signal(controller: *const eff_controller, index: usize, out: *mut eff_signal_spec) -> eff_status;
    pub fn eff_controller_find_signal(controller: *const eff_controller, name: *const c_char) -> i64;
    pub fn eff_controller_commands(controller: *const eff_controller, what: i32) -> i32;
    pub fn eff_controller_bind(controller: *mut eff_controller, binding: *const eff_signal_binding) -> eff_status;
    pub fn eff_controller_bind_target(controller: *mut eff_controller, binding: *const eff_target_binding) -> eff_status;
    pub fn eff_controller_start(controller: *mut eff_controller) -> eff_status;
    pub fn eff_controller_tick(controller: *mut eff_controller, now_ns: i64, report_or_null: *mut eff_controller_report) -> eff_status;
    pub fn eff_controller_reset(controller: *mut eff_controller) -> eff_status;
    pub fn eff_controller_mode(controller: *mut eff_controller, mode: i32) -> eff_status;
    pub fn eff_controller_stamp(controller: *mut eff_controller, signal: i64, ns: i64) -> eff_status;
    pub fn eff_controller_reward(controller: *mut eff_controller, transition: *const eff_transition) -> eff_status;
    pub fn eff_controller_learned(controller: *const eff_controller, out: *mut eff_update) -> eff_status;
    pub fn eff_controller_last(controller: *const eff_controller, out: *mut eff_controller_report) -> eff_status;
    pub fn eff_controller_clamps(controller: *const eff_controller, joint: usize) -> i64;
    pub fn eff_controller_explain(controller: *const eff_controller, report: *const eff_controller_report, text: *mut c_char, size: usize) -> eff_status;
    pub fn eff_controller_preflight(controller: *const eff_controller, recording: *const eff_recording, report_or_null: *mut eff_preflight_report) -> eff_status;
    pub fn eff_controller_vector(controller: *const eff_controller, name: *const c_char, count: *mut usize) -> *const f32;
    pub fn eff_controller_input(controller: *const eff_controller, model: usize, input: usize) -> *const c_void;
    pub fn eff_controller_output(controller: *const eff_controller, model: usize, output: usize) -> *const c_void;
    pub fn eff_controller_session(controller: *const eff_controller, name: *const c_char) -> *mut eff_session;
    pub fn eff_controller_destroy(controller: *mut eff_controller);
}

// ---- bridge.h ----

pub const EFF_BRIDGE_NONE: i32 = 0;
pub const EFF_BRIDGE_HELLO: i32 = 1;
pub const EFF_BRIDGE_RESET: i32 = 2;
pub const EFF_BRIDGE_STEP: i32 = 3;
pub const EFF_BRIDGE_BYE: i32 = 4;
pub const EFF_BRIDGE_DROP: i32 = 5;
pub const EFF_BRIDGE_IDLE: i32 = 6;
pub const EFF_BRIDGE_RETRY: i32 = 7;
pub const EFF_BRIDGE_OK: i32 = 0;
pub const EFF_BRIDGE_MALFORMED: i32 = 1;
pub const EFF_BRIDGE_VERSION: i32 = 2;
pub const EFF_BRIDGE_CHECKSUM: i32 = 3;
pub const EFF_BRIDGE_SESSION: i32 = 4;
pub const EFF_BRIDGE_SCHEMA: i32 = 5;
pub const EFF_BRIDGE_EPISODE: i32 = 6;
pub const EFF_BRIDGE_SEQUENCE: i32 = 7;
pub const EFF_BRIDGE_EXPIRED: i32 = 8;
pub const EFF_BRIDGE_BUSY: i32 = 9;
pub const EFF_BRIDGE_MISMATCH: i32 = 10;
pub const EFF_BRIDGE_RUN: i32 = 11;
pub const EFF_BRIDGE_SUPERSEDED: i32 = 12;
pub const EFF_BRIDGE_FLAGS: i32 = 13;
pub const EFF_BRIDGE_NUMERIC: i32 = 14;
pub const EFF_BRIDGE_THREAD_INHERITED: i32 = 0;
pub const EFF_BRIDGE_THREAD_FIFO: i32 = 1;
pub const EFF_BRIDGE_THREAD_ROUND_ROBIN: i32 = 2;
pub const EFF_BRIDGE_KEY_SIZE: i32 = 41;
pub const EFF_BRIDGE_BINS: usize = 32;
pub const EFF_BRIDGE_REASONS: usize = 16;

#[repr(C)]
pub struct eff_bridge {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_bridge_event {
    pub struct_size: usize,
    pub kind: i32,
    pub reason: i32,
    pub session: u32,
    pub episode: u32,
    pub seq: u64,
    pub simulation_ns: u64,
    pub rows: u64,
    pub tick_ns: u64,
    pub run_ns: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_bridge_options {
    pub struct_size: usize,
    pub endpoint: *const c_char,
    pub allow_remote: i32,
    pub idle_timeout_ms: i32,
    pub high_water: i32,
    pub reserved: i32,
    pub rate: f64,
    pub context: *mut c_void,
    pub observation_names: *const *const c_char,
    pub observation_count: usize,
    pub joint_names: *const *const c_char,
    pub joint_count: usize,
    pub on_event: Option<unsafe extern "C" fn(*mut c_void, *const eff_bridge_event)>,
    pub user: *mut c_void,
    pub checksum: i32,
    pub non_finite: i32,
    pub max_peers: i32,
    pub thread_policy: i32,
    pub thread_priority: i32,
    pub spin_us: i32,
    pub thread_cpus: *const i32,
    pub thread_cpu_count: usize,
    pub thread_name: *const c_char,
    pub key_file: *const c_char,
    pub secret_key: *const c_char,
    pub allow_file: *const c_char,
    pub allowed_keys: *const *const c_char,
    pub allowed_key_count: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_bridge_latency {
    pub count: u64,
    pub sum: u64,
    pub min: u64,
    pub max: u64,
    pub bins: [u64; EFF_BRIDGE_BINS],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct eff_bridge_stats {
    pub struct_size: usize,
    pub session: u32,
    pub episode: u32,
    pub connected: u64,
    pub hellos: u64,
    pub resets: u64,
    pub steps: u64,
    pub rows: u64,
    pub byes: u64,
    pub idles: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub drops: u64,
    pub dropped: [u64; EFF_BRIDGE_REASONS],
    pub unsent: u64,
    pub tick: eff_bridge_latency,
    pub run: eff_bridge_latency,
    pub age: eff_bridge_latency,
    pub retries: u64,
    pub peers: u64,
    pub peers_accepted: u64,
    pub peers_refused: u64,
    pub peers_cut: u64,
    pub peers_denied: u64,
    pub deafenings: u64,
}

extern "C" {
    pub fn eff_bridge_options_default(options: *mut eff_bridge_options, struct_size: usize);
    pub fn eff_bridge_create(session: *mut eff_session, options_or_null: *const eff_bridge_options, out: *mut *mut eff_bridge) -> eff_status;
    pub fn eff_bridge_create_learner(learner: *mut eff_learner, options_or_null: *const eff_bridge_options, out: *mut *mut eff_bridge) -> eff_status;
    pub fn eff_bridge_create_controller(controller: *mut eff_controller, options_or_null: *const eff_bridge_options, out: *mut *mut eff_bridge) -> eff_status;
    pub fn eff_bridge_endpoint(bridge: *const eff_bridge) -> *const c_char;
    pub fn eff_bridge_poll(bridge: *mut eff_bridge, timeout_ms: i32, event_or_null: *mut eff_bridge_event) -> eff_status;
    pub fn eff_bridge_start(bridge: *mut eff_bridge) -> eff_status;
    pub fn eff_bridge_stop(bridge: *mut eff_bridge) -> eff_status;
    pub fn eff_bridge_read_stats(bridge: *const eff_bridge, out: *mut eff_bridge_stats) -> eff_status;
    pub fn eff_bridge_reason_name(reason: i32) -> *const c_char;
    pub fn eff_bridge_crc32c(crc: u32, bytes: *const c_void, count: usize) -> u32;
    pub fn eff_bridge_make_keys(public_key: *mut c_char, secret_key: *mut c_char) -> eff_status;
    pub fn eff_bridge_destroy(bridge: *mut eff_bridge);
}
