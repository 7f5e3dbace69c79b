import Base
import CEfferent
import Handles
import Kernels
import Onnx
import Runtime

@c @implementation
public func eff_learner_options_default(_ options: UnsafeMutablePointer<eff_learner_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var o = learnerDefaults()
  o.struct_size = struct_size
  write(o, options, struct_size)
}

func learnerDefaults() -> eff_learner_options {
  let s = LearnerSettings()
  let g = WatchSettings()
  var o = eff_learner_options()
  o.dtype = Int32(EFF_F32)
  (o.learn_layers, o.residual_bound, o.initial_std) = (1, 0.1, 0.1)
  writeRule(s, &o)
  (o.epsilon_start, o.epsilon_end, o.epsilon_steps) = (s.epsilonStart, s.epsilonEnd, s.epsilonSteps)
  (o.std_floor, o.std_ceiling) = (s.stdFloor, s.stdCeiling)
  (o.snapshot_period, o.return_rate, o.return_drop, o.keep_margin) = (
    g.snapshotPeriod, g.returnRate, g.returnDrop, g.keepMargin
  )
  (o.fall_limit, o.rollback_step) = (g.fallLimit, g.rollbackStep)
  (o.change_period, o.change_observations) = (g.changePeriod, g.changeObservations)
  o.steady_updates = g.steadyUpdates
  let c = CriticSettings()
  (o.critic_size, o.quantile_huber, o.hl_gauss_sigma) = (c.size, c.huber, c.smoothing)
  (o.risk_level, o.risk_weight, o.stock_exploration) = (c.level, c.weight, c.stockExploration)
  return o
}

/// The options that a preset is about: how a transition becomes a step, and how networks and normalizers are made.
private func writeRule(_ s: LearnerSettings, _ o: inout eff_learner_options) {
  o.optimizer =
    switch s.optimizer {
    case .obgd: Int32(EFF_OPTIMIZER_OBGD)
    case .adaptiveObGD: Int32(EFF_OPTIMIZER_ADAPTIVE_OBGD)
    case .intentional: Int32(EFF_OPTIMIZER_INTENTIONAL)
    }
  o.activation =
    switch s.hidden.activation {
    case Int32(EFF_FN_RELU): Int32(EFF_ACTIVATION_RELU)
    case Int32(EFF_FN_TANH): Int32(EFF_ACTIVATION_TANH)
    case Int32(EFF_FN_ELU): Int32(EFF_ACTIVATION_ELU)
    case Int32(EFF_FN_SWISH): Int32(EFF_ACTIVATION_SWISH)
    case Int32(EFF_FN_IDENTITY): Int32(EFF_ACTIVATION_IDENTITY)
    default: Int32(EFF_ACTIVATION_LEAKY_RELU)
    }
  o.no_layer_norm = s.hidden.hasLayerNorm ? 0 : 1
  o.no_observation_norm = s.normalizesObservations ? 0 : 1
  o.no_reward_scaling = s.scalesRewards ? 0 : 1
  o.activation_alpha = s.hidden.alpha
  o.layer_norm_epsilon = s.hidden.layerNormEpsilon
  o.sparsity = s.hidden.sparsity
  (o.gamma, o.lambda, o.step_size) = (s.gamma, s.lambda, s.stepSize)
  (o.kappa_value, o.kappa_policy, o.eta_value, o.eta_policy) = (s.kappaValue, s.kappaPolicy, s.etaValue, s.etaPolicy)
  (o.beta2, o.moment_epsilon) = (s.beta2, s.momentEpsilon)
  (o.clip_multiple, o.beta_clip, o.beta_norm, o.entropy) = (s.clipMultiple, s.betaClip, s.betaNorm, s.entropy)
  (o.observation_epsilon, o.reward_epsilon) = (s.observationEpsilon, s.rewardEpsilon)
  (o.error_cap, o.beta_energy) = (s.errorCap.isFinite ? s.errorCap : 0, s.betaEnergy)
}

@c @implementation
public func eff_learner_options_preset(
  _ options: UnsafeMutablePointer<eff_learner_options>?, _ preset: UnsafePointer<CChar>?
) -> eff_status {
  report { () throws(Failure) in
    guard let options else {
      throw Failure(.argument, "options is NULL; fill eff_learner_options with eff_learner_options_default()")
    }
    guard let preset else { throw Failure(.argument, "preset is NULL, expected one of " + LearnerPreset.names) }
    var o = try readOptions(options, learnerDefaults(), "eff_learner_options")
    if o.critic != nil { _ = try CABI.policy(o.critic) }
    let name = text(preset)
    if name == "adapted" || name == "adapted-quick" {
      if o.policy != nil { _ = try CABI.policy(o.policy) }
      if name == "adapted-quick" {
        try writeQuick(&o)
      } else {
        guard o.policy != nil || o.critic != nil else {
          throw Failure(
            .argument, "preset 'adapted' is for loaded networks, but options.policy and options.critic are NULL")
        }
        writeAdapted(&o)
      }
      return write(o, options, o.struct_size)
    }
    guard o.policy == nil else {
      throw Failure(
        .argument,
        "preset '" + name + "' is for fresh networks, but options.policy is set: leave the preset out, the "
          + "numbers of a loaded policy are those of eff_learner_options_adapt() and of the preset 'adapted'")
    }
    guard let found = LearnerPreset(name: name) else {
      throw Failure(.argument, "preset is '" + name + "', expected one of " + LearnerPreset.names)
    }
    writeRule(found.settings, &o)
    write(o, options, o.struct_size)
  }
}

/// The caller's options, of which it may know only the first bytes, in Swift's form.
private func read(_ given: UnsafePointer<eff_learner_options>?) throws(Failure) -> (eff_learner_options, LearnerOptions)
{
  guard let given else {
    throw Failure(.argument, "options is NULL; fill eff_learner_options with eff_learner_options_default()")
  }
  let o = try readOptions(given, learnerDefaults(), "eff_learner_options")
  return (o, try options(o))
}

private func options(_ o: eff_learner_options) throws(Failure) -> LearnerOptions {
  var out = LearnerOptions()
  var s = LearnerSettings()
  switch Int(o.algorithm) {
  case EFF_LEARNER_AC_CONTINUOUS: s.algorithm = .acContinuous
  case EFF_LEARNER_AC_DISCRETE: s.algorithm = .acDiscrete
  case EFF_LEARNER_Q: s.algorithm = .q
  case EFF_LEARNER_SARSA: s.algorithm = .sarsa
  case EFF_LEARNER_TD: s.algorithm = .td
  default: throw Failure(.argument, "learner option 'algorithm' is \(o.algorithm), expected one of EFF_LEARNER_...")
  }
  switch Int(o.optimizer) {
  case EFF_OPTIMIZER_OBGD: s.optimizer = .obgd
  case EFF_OPTIMIZER_ADAPTIVE_OBGD: s.optimizer = .adaptiveObGD
  case EFF_OPTIMIZER_INTENTIONAL: s.optimizer = .intentional
  default: throw Failure(.argument, "learner option 'optimizer' is \(o.optimizer), expected one of EFF_OPTIMIZER_...")
  }
  guard o.dtype == EFF_F32 || o.dtype == EFF_F64 || o.dtype == 0 else {
    throw Failure(.argument, "learner option 'dtype' is \(o.dtype), expected EFF_F32 or EFF_F64")
  }
  s.isDouble = o.dtype == EFF_F64
  s.isReference = o.reference != 0
  (s.observationCount, s.actionCount) = (o.observation_count, o.action_count)
  s.hidden.activation =
    switch Int(o.activation) {
    case EFF_ACTIVATION_LEAKY_RELU: Int32(EFF_FN_LEAKY_RELU)
    case EFF_ACTIVATION_RELU: Int32(EFF_FN_RELU)
    case EFF_ACTIVATION_TANH: Int32(EFF_FN_TANH)
    case EFF_ACTIVATION_ELU: Int32(EFF_FN_ELU)
    case EFF_ACTIVATION_SWISH: Int32(EFF_FN_SWISH)
    case EFF_ACTIVATION_IDENTITY: Int32(EFF_FN_IDENTITY)
    default:
      throw Failure(.argument, "learner option 'activation' is \(o.activation), expected one of EFF_ACTIVATION_...")
    }
  s.hidden.hasLayerNorm = o.no_layer_norm == 0
  (s.hidden.alpha, s.hidden.layerNormEpsilon, s.hidden.sparsity) = (
    o.activation_alpha, o.layer_norm_epsilon, o.sparsity
  )
  s.normalizesObservations = o.no_observation_norm == 0
  s.scalesRewards = o.no_reward_scaling == 0
  (s.gamma, s.lambda, s.stepSize) = (o.gamma, o.lambda, o.step_size)
  (s.kappaValue, s.kappaPolicy, s.etaValue, s.etaPolicy) = (o.kappa_value, o.kappa_policy, o.eta_value, o.eta_policy)
  (s.beta2, s.momentEpsilon) = (o.beta2, o.moment_epsilon)
  (s.clipMultiple, s.betaClip, s.betaNorm, s.entropy) = (o.clip_multiple, o.beta_clip, o.beta_norm, o.entropy)
  (s.epsilonStart, s.epsilonEnd, s.epsilonSteps) = (o.epsilon_start, o.epsilon_end, o.epsilon_steps)
  (s.observationEpsilon, s.rewardEpsilon) = (o.observation_epsilon, o.reward_epsilon)
  (s.errorCap, s.betaEnergy) = (o.error_cap == 0 ? .infinity : o.error_cap, o.beta_energy)
  (s.timeLimit, s.filterBeta, s.nominalStep) = (o.time_limit, o.filter_beta, o.nominal_dt)
  (s.stdFloor, s.stdCeiling, s.actorDelay) = (o.std_floor, o.std_ceiling, o.actor_delay)
  s.critic = try critic(o)
  s.recurrentUnits = try count(o.recurrent_units, atMost: 1 << 16, "learner option 'recurrent_units'")
  out.settings = s
  out.seed = o.seed
  out.isa = try Policy.isa()
  try count(o.observation_count, atMost: 1 << 20, "learner option 'observation_count'")
  try count(o.action_count, atMost: 1 << 16, "learner option 'action_count'")
  try count(o.snapshots, atMost: 64, "learner option 'snapshots'")
  try count(o.change_observations, atMost: 1 << 20, "learner option 'change_observations'")
  try count(o.hidden_count, atMost: 16, "learner option 'hidden_count'")
  for width in try list(o.hidden, o.hidden_count, "learner option 'hidden'", "hidden_count") {
    out.hiddenSizes.append(try count(width, atMost: 1 << 16, "a width in learner option 'hidden'"))
  }
  var g = WatchSettings()
  (g.snapshots, g.snapshotPeriod, g.returnWindow) = (o.snapshots, o.snapshot_period, o.return_window)
  (g.returnRate, g.returnDrop, g.keepMargin, g.driftBudget) = (
    o.return_rate, o.return_drop, o.keep_margin, o.drift_budget
  )
  (g.fallLimit, g.rollbackStep, g.steadyUpdates) = (o.fall_limit, o.rollback_step, o.steady_updates)
  g.errorRise = o.td_error_rise
  (g.changeLimit, g.changePeriod, g.changeObservations) = (o.change_limit, o.change_period, o.change_observations)
  out.watch = g
  let policy = try policySettings(o)
  if let policy { try out.start(from: policy) }
  if let critic = try criticSettings(o, policy) { try out.judge(by: critic) }
  out.rewards = try rewards(o.rewards)
  return out
}

private func critic(_ o: eff_learner_options) throws(Failure) -> CriticSettings {
  var c = CriticSettings()
  switch Int(o.critic_kind) {
  case EFF_CRITIC_MEAN: c.kind = .mean
  case EFF_CRITIC_QUANTILE: c.kind = .quantile
  case EFF_CRITIC_CATEGORICAL: c.kind = .categorical
  case EFF_CRITIC_TWO_HOT: c.kind = .twoHot
  case EFF_CRITIC_HL_GAUSS: c.kind = .hlGauss
  default: throw Failure(.argument, "learner option 'critic_kind' is \(o.critic_kind), expected one of EFF_CRITIC_...")
  }
  switch Int(o.risk) {
  case EFF_RISK_NONE: c.risk = .none
  case EFF_RISK_CVAR: c.risk = .cvar
  case EFF_RISK_SPREAD: c.risk = .spread
  default: throw Failure(.argument, "learner option 'risk' is \(o.risk), expected one of EFF_RISK_...")
  }
  c.hasStock = o.stock != 0
  c.size = try count(o.critic_size, atMost: 256, "learner option 'critic_size'")
  (c.low, c.high) = (o.support_low, o.support_high)
  (c.huber, c.smoothing) = (o.quantile_huber, o.hl_gauss_sigma)
  (c.level, c.weight, c.warmup) = (o.risk_level, o.risk_weight, o.risk_warmup)
  c.stockExploration = o.stock_exploration
  return c
}

@c @implementation
public func eff_learner_arena_size(_ options: UnsafePointer<eff_learner_options>?, _ out: UnsafeMutablePointer<Int>?)
  -> eff_status
{
  report { () throws(Failure) in
    guard let out else { throw Failure(.argument, "out is NULL") }
    out.pointee = try read(options).1.arenaSize()
  }
}

@c @implementation
public func eff_learner_create(
  _ options: UnsafePointer<eff_learner_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let (raw, options) = try read(options)
    tell(options)
    var arena: (start: UnsafeMutableRawPointer, size: Int)? = nil
    if let start = raw.arena { arena = (start, try count(raw.arena_size, atMost: .max, "arena_size")) }
    let learner = try options.create(arena, try memory(raw.allocator))
    out.pointee = try handle(learner.core, EFF_HANDLE_LEARNER, orFree: { learner.free() })
  }
}

/// Tells the log what a loaded policy means for learning.
private func tell(_ options: LearnerOptions) {
  for note in options.notes { Log.write(.info, note) }
}

@c @implementation
public func eff_learner_destroy(_ learner: OpaquePointer?) {
  if let object = released(learner, EFF_HANDLE_LEARNER) {
    LearnerHandle(core: object.assumingMemoryBound(to: LearnerCore.self)).free()
  }
}

@c @implementation @_noLocks
public func eff_learner_act(
  _ learner: OpaquePointer?, _ observation: UnsafePointer<Double>?, _ action: UnsafeMutablePointer<Double>?
) -> eff_status {
  guard let l = CABI.learner(learner), let observation, let action else { return Status.argument.code }
  return l.act(observation, into: action).code
}

@c @implementation @_noLocks
public func eff_learner_infer(
  _ learner: OpaquePointer?, _ observation: UnsafePointer<Double>?, _ action: UnsafeMutablePointer<Double>?
) -> eff_status {
  guard let l = CABI.learner(learner), let observation, let action else { return Status.argument.code }
  return l.infer(observation, into: action).code
}

@c @implementation @_noLocks
public func eff_learner_returns(
  _ learner: OpaquePointer?, _ observation: UnsafePointer<Double>?, _ choice: Int,
  _ values: UnsafeMutablePointer<Double>?, _ probabilities_or_null: UnsafeMutablePointer<Double>?, _ count: Int
) -> eff_status {
  guard let l = CABI.learner(learner), let observation, let values else { return Status.argument.code }
  return l.returns(observation, choice: choice, into: values, probabilities_or_null, count: count).code
}

@c @implementation @_noLocks
public func eff_learner_freeze(_ learner: OpaquePointer?, _ parts: Int32) -> eff_status {
  guard let l = CABI.learner(learner), parts & ~Int32(7) == 0 else { return Status.argument.code }
  l.freeze(Freeze(bits: parts))
  return Status.ok.code
}

@c @implementation @_noLocks
public func eff_learner_snapshot(_ learner: OpaquePointer?) -> eff_status {
  guard let l = CABI.learner(learner) else { return Status.argument.code }
  return l.snapshot().code
}

@c @implementation @_noLocks
public func eff_learner_roll_back(_ learner: OpaquePointer?) -> eff_status {
  guard let l = CABI.learner(learner) else { return Status.argument.code }
  return l.rollBack().code
}

@c @implementation @_noLocks
public func eff_learner_mark(_ learner: OpaquePointer?) -> eff_status {
  guard let l = CABI.learner(learner) else { return Status.argument.code }
  l.mark()
  return Status.ok.code
}
