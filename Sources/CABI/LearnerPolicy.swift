import Base
import CEfferent
import Onnx
import Platform
import Runtime

/// The part of the options that is about a loaded policy; nil where there is none.
func policySettings(_ o: eff_learner_options) throws(Failure) -> PolicySettings? {
  let frozen = try list(o.frozen, o.frozen_count, "learner option 'frozen'", "frozen_count")
  guard let pointer = o.policy else { return nil }
  var s = PolicySettings(try policy(pointer))
  if !isActorCritic(o) { (s.value, s.features) = (o.value.map { text($0) }, o.features.map { text($0) }) }
  s.mean = o.mean.map { text($0) }
  s.std = o.std.map { text($0) }
  switch Int(o.std_source) {
  case EFF_STD_AUTO: s.stdSource = .automatic
  case EFF_STD_CONSTANT: s.stdSource = .constant
  case EFF_STD_PARAMETER: s.stdSource = .parameter
  default: throw Failure(.argument, "learner option 'std_source' is \(o.std_source), expected one of EFF_STD_...")
  }
  switch Int(o.learn) {
  case EFF_LEARN_ALL: s.part = .all
  case EFF_LEARN_LAST: s.part = .last(try count(o.learn_layers, atMost: 1 << 20, "learner option 'learn_layers'"))
  case EFF_LEARN_RESIDUAL: s.part = .residual(bound: o.residual_bound)
  default: throw Failure(.argument, "learner option 'learn' is \(o.learn), expected one of EFF_LEARN_...")
  }
  s.learnsCells = try learnsCells(o)
  s.initialStd = o.initial_std
  guard o.normalizer_count <= 1 << 60 else {
    throw Failure(.argument, "learner option 'normalizer_count' is \(o.normalizer_count), expected at most 2^60")
  }
  s.normalizer = o.normalizer_count > 0 ? .counted(o.normalizer_count) : .frozen
  for (i, name) in frozen.enumerated() {
    guard let name else { throw Failure(.argument, "learner option 'frozen' has no name \(i)") }
    s.frozen.append(text(name))
  }
  return s
}

private func learnsCells(_ o: eff_learner_options) throws(Failure) -> Bool {
  switch Int(o.cells) {
  case EFF_CELLS_FIXED: return false
  case EFF_CELLS_LEARN: return true
  default: throw Failure(.argument, "learner option 'cells' is \(o.cells), expected one of EFF_CELLS_...")
  }
}

private func isActorCritic(_ o: eff_learner_options) -> Bool {
  o.algorithm == EFF_LEARNER_AC_CONTINUOUS || o.algorithm == EFF_LEARNER_AC_DISCRETE
}

/// The critic beside an actor, of its own file or of the policy's; nil where it is a fresh network.
func criticSettings(_ o: eff_learner_options, _ actor: PolicySettings?) throws(Failure) -> PolicySettings? {
  guard isActorCritic(o) || o.critic != nil else { return nil }
  guard o.critic != nil || o.value != nil || o.features != nil else { return nil }
  guard let pointer = o.critic ?? o.policy else {
    let name = o.value == nil ? "features" : "value"
    throw Failure(
      .argument, "learner option '\(name)' names a tensor, but there is no file: 'critic' and 'policy' are NULL")
  }
  var s = PolicySettings(try policy(pointer))
  (s.value, s.features) = (o.value.map { text($0) }, o.features.map { text($0) })
  // the name that the policy's metadata gave is not one of another file
  if o.critic != nil, let actor, o.value == actor.policy.valueName { s.value = nil }
  s.frozen = actor?.frozen ?? []
  s.learnsCells = try learnsCells(o)
  return s
}

/// The numbers that are right for loaded networks, as they are named in the options.
func writeAdapted(_ o: inout eff_learner_options) {
  let hasValues = o.features == nil && (o.critic != nil || o.value != nil || !isActorCritic(o))
  o.no_reward_scaling = hasValues ? 1 : 0
  o.entropy = 0
  if isActorCritic(o) {
    o.actor_delay = hasValues ? 0 : 10_000
    o.kappa_policy = 300
    o.initial_std = 0.03
  } else {
    (o.epsilon_start, o.epsilon_end) = (0.01, 0.01)
    o.kappa_value = 20
  }
}

/// The numbers for a policy whose plant has changed: large steps, which the guards take back where nothing is gained.
func writeQuick(_ o: inout eff_learner_options) throws(Failure) {
  guard isActorCritic(o), o.policy != nil else {
    throw Failure(
      .argument, "preset 'adapted-quick' is for an actor-critic with a loaded policy: options.policy is NULL, or "
        + "options.algorithm is none with an actor")
  }
  writeAdapted(&o)
  o.optimizer = Int32(EFF_OPTIMIZER_INTENTIONAL)
  (o.eta_policy, o.error_cap, o.beta_energy, o.initial_std) = (0.2, 1, 0.99, 0.04)
  (o.snapshots, o.return_drop, o.fall_limit, o.steady_updates) = (8, 0.1, 1, 0)
}

@c @implementation
public func eff_learner_options_adapt(
  _ options: UnsafeMutablePointer<eff_learner_options>?, _ struct_size: Int, _ policy: OpaquePointer?
) -> eff_status {
  report { () throws(Failure) in
    guard let options, struct_size >= MemoryLayout<Int>.size else {
      throw Failure(.argument, "options is NULL or struct_size is not sizeof(eff_learner_options)")
    }
    let p = try CABI.policy(policy)
    var o = learnerDefaults()
    o.struct_size = struct_size
    o.policy = policy
    o.cells = Int32(EFF_CELLS_LEARN)
    o.algorithm = Int32(
      p.choosesByValues ? EFF_LEARNER_Q : p.isDiscrete ? EFF_LEARNER_AC_DISCRETE : EFF_LEARNER_AC_CONTINUOUS)
    if o.algorithm != EFF_LEARNER_Q { o.value = p.valueName }
    if let found = p.metadata(of: "efferent.gamma") {
      guard eff_is_double(found, &o.gamma) != 0, o.gamma >= 0, o.gamma <= 1 else {
        throw Failure(.format, "metadata 'efferent.gamma' is '" + text(found) + "', expected a number from 0 to 1")
      }
    }
    writeAdapted(&o)
    write(o, options, struct_size)
  }
}

@c @implementation
public func eff_learner_sizes(
  _ learner: OpaquePointer?, _ observation_count: UnsafeMutablePointer<Int>?, _ action_count: UnsafeMutablePointer<Int>?
) -> eff_status {
  report { () throws(Failure) in
    let l = try liveLearner(learner)
    guard let observation_count, let action_count else {
      throw Failure(.argument, "observation_count or action_count is NULL")
    }
    (observation_count.pointee, action_count.pointee) = l.sizes
  }
}

@c @implementation
public func eff_learner_policy(_ learner: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    out.pointee = try handle(try liveLearner(learner).policy())
  }
}

@c @implementation
public func eff_learner_export(
  _ learner: OpaquePointer?, _ buffer_or_null: UnsafeMutableRawPointer?, _ capacity: Int,
  _ size: UnsafeMutablePointer<Int>?
) -> eff_status {
  report { () throws(Failure) in
    let file = try liveLearner(learner).export()
    guard let size else { throw Failure(.argument, "size is NULL") }
    size.pointee = file.count
    guard let buffer = buffer_or_null else { return }
    guard unsigned(capacity) >= file.count else {
      throw Failure(.argument, "capacity is \(capacity), expected at least \(file.count)")
    }
    file.withUnsafeBytes { eff_copy(buffer, $0.baseAddress!, $0.count) }
  }
}

@c @implementation
public func eff_learner_export_file(_ learner: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> eff_status {
  report { () throws(Failure) in
    guard let path else { throw Failure(.argument, "path is NULL") }
    let file = try liveLearner(learner).export()
    let code = file.withUnsafeBytes { eff_write_atomically(path, $0.baseAddress!, $0.count) }
    if code != 0 { throw Failure(.io, "'" + text(path) + "': " + String(cString: eff_error_text(-code))) }
  }
}
