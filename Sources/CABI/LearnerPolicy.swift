import CEfferent
import Onnx
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
    write(o, options, struct_size)
  }
}
