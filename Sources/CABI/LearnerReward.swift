import Base
import CEfferent
import Onnx
import Runtime

@c @implementation
public func eff_reward_options_default(_ options: UnsafeMutablePointer<eff_reward_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var o = rewardDefaults()
  o.struct_size = struct_size
  write(o, options, struct_size)
}

private func rewardDefaults() -> eff_reward_options {
  let r = RewardOptions()
  var o = eff_reward_options()
  (o.network_weight, o.potential_scale) = (r.networkWeight, r.potentialScale)
  (o.bonus_step_size, o.bonus_gamma, o.bonus_limit) = (r.bonus.stepSize, r.bonus.gamma, r.bonus.limit)
  o.bonus_features = r.bonus.features
  return o
}

/// The caller's pipeline of rewards; nil where there is none.
func rewards(_ given: UnsafePointer<eff_reward_options>?) throws(Failure) -> RewardOptions? {
  guard let given else { return nil }
  let o = try readOptions(given, rewardDefaults(), "eff_reward_options")
  var out = RewardOptions()
  if let network = o.network { out.network = try CABI.policy(network, "reward option 'network'") }
  switch Int(o.network_mode) {
  case 0: break
  case EFF_REWARD_ADD: out.isReplacing = false
  case EFF_REWARD_REPLACE: out.isReplacing = true
  default:
    throw Failure(
      .argument, "reward option 'network_mode' is \(o.network_mode), expected EFF_REWARD_ADD or EFF_REWARD_REPLACE")
  }
  out.networkWeight = o.network_weight
  out.observationName = o.network_observation.map { text($0) }
  out.actionName = o.network_action.map { text($0) }
  out.nextName = o.network_next.map { text($0) }
  out.outputName = o.network_output.map { text($0) }
  if let potential = o.potential { out.potential = try CABI.policy(potential, "reward option 'potential'") }
  try count(o.potential_linear_count, atMost: 1 << 20, "reward option 'potential_linear_count'")
  guard o.potential_linear_count == 0 || o.potential_linear != nil else {
    throw Failure(
      .argument,
      "reward option 'potential_linear' is NULL, but potential_linear_count is \(o.potential_linear_count)")
  }
  for i in 0..<o.potential_linear_count { out.potentialLinear.append(o.potential_linear[i]) }
  (out.potentialBias, out.potentialScale) = (o.potential_bias, o.potential_scale)
  out.bonus.weight = o.bonus
  (out.bonus.stepSize, out.bonus.gamma, out.bonus.limit) = (o.bonus_step_size, o.bonus_gamma, o.bonus_limit)
  out.bonus.features = try count(o.bonus_features, atMost: 1 << 16, "reward option 'bonus_features'")
  try count(o.bonus_hidden_count, atMost: 16, "reward option 'bonus_hidden_count'")
  for width in try list(
    o.bonus_hidden, o.bonus_hidden_count, "reward option 'bonus_hidden'", "bonus_hidden_count")
  {
    out.bonusHidden.append(try count(width, atMost: 1 << 16, "a width in reward option 'bonus_hidden'"))
  }
  out.clip = o.clip
  return out
}
