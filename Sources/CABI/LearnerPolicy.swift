import Base
import CEfferent
import Onnx
import Platform
import Runtime

/// The part of the options that is about a loaded policy; nil where there is none.
func policySettings(_ o: eff_learner_options) throws(Failure) -> PolicySettings? {
  guard let pointer = o.policy else { return nil }
  var s = PolicySettings(try policy(pointer))
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
  case EFF_LEARN_LAST: s.part = .last(min(o.learn_layers, 1 << 20))
  case EFF_LEARN_RESIDUAL: s.part = .residual(bound: o.residual_bound)
  default: throw Failure(.argument, "learner option 'learn' is \(o.learn), expected one of EFF_LEARN_...")
  }
  s.initialStd = o.initial_std
  s.normalizer = o.normalizer_count > 0 ? .counted(min(o.normalizer_count, 1 << 60)) : .frozen
  for i in 0..<o.frozen_count {
    guard let name = o.frozen?[i] else { throw Failure(.argument, "learner option 'frozen' has no name \(i)") }
    s.frozen.append(text(name))
  }
  return s
}

@c @implementation
public func eff_learner_options_adapt(_ options: UnsafeMutablePointer<eff_learner_options>?, _ struct_size: Int, _ policy: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in
    guard let options, struct_size >= MemoryLayout<Int>.size else { throw Failure(.argument, "options is NULL or struct_size is not sizeof(eff_learner_options)") }
    let p = try CABI.policy(policy)
    var o = learnerDefaults()
    o.struct_size = struct_size
    o.policy = policy
    o.algorithm = Int32(p.isDiscrete ? EFF_LEARNER_AC_DISCRETE : EFF_LEARNER_AC_CONTINUOUS)
    o.actor_delay = 10_000
    o.kappa_policy = 300
    o.entropy = 0
    o.initial_std = 0.03
    write(o, options, struct_size)
  }
}

@c @implementation
public func eff_learner_sizes(_ learner: OpaquePointer?, _ observation_count: UnsafeMutablePointer<Int>?, _ action_count: UnsafeMutablePointer<Int>?) -> eff_status {
  report { () throws(Failure) in
    let l = try live(learner)
    guard let observation_count, let action_count else { throw Failure(.argument, "observation_count or action_count is NULL") }
    (observation_count.pointee, action_count.pointee) = l.sizes
  }
}

private func live(_ p: OpaquePointer?) throws(Failure) -> LearnerPointer {
  guard let l = learner(p) else { throw Failure(.argument, "learner is NULL or not a live eff_learner") }
  return l
}

@c @implementation
public func eff_learner_policy(_ learner: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    out.pointee = publish(try live(learner).policy())
  }
}

@c @implementation
public func eff_learner_export(_ learner: OpaquePointer?, _ buffer_or_null: UnsafeMutableRawPointer?, _ capacity: Int, _ size: UnsafeMutablePointer<Int>?) -> eff_status {
  report { () throws(Failure) in
    let file = try live(learner).export()
    guard let size else { throw Failure(.argument, "size is NULL") }
    size.pointee = file.count
    guard let buffer = buffer_or_null else { return }
    guard capacity >= file.count else { throw Failure(.argument, "capacity is \(capacity), expected at least \(file.count)") }
    file.withUnsafeBytes { eff_copy(buffer, $0.baseAddress!, $0.count) }
  }
}

@c @implementation
public func eff_learner_export_file(_ learner: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> eff_status {
  report { () throws(Failure) in
    guard let path else { throw Failure(.argument, "path is NULL") }
    let file = try live(learner).export()
    let code = file.withUnsafeBytes { eff_write_atomically(path, $0.baseAddress!, $0.count) }
    if code != 0 { throw Failure(.io, "'" + text(path) + "': " + String(cString: eff_error_text(-code))) }
  }
}
