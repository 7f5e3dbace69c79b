import Base
import CEfferent
import Runtime

@_noLocks private func sum(_ p: UnsafeMutablePointer<eff_reward_sum>) -> UnsafeMutablePointer<RewardSum> {
  UnsafeMutableRawPointer(p).assumingMemoryBound(to: RewardSum.self)
}

@c @implementation @_noLocks
public func eff_reward_sum_begin(
  _ sum: UnsafeMutablePointer<eff_reward_sum>?, _ rule: Int32, _ gamma: Double, _ nominal_dt: Double
) -> eff_status {
  guard let sum, let made = RewardSum(rule: rule, gamma: gamma, nominalStep: nominal_dt) else {
    return Status.argument.code
  }
  CABI.sum(sum).pointee = made
  return Status.ok.code
}

@c @implementation @_noLocks
public func eff_reward_sum_add(_ sum: UnsafeMutablePointer<eff_reward_sum>?, _ rate: Double, _ time: Double)
  -> eff_status
{
  guard let sum, CABI.sum(sum).pointee.add(rate, at: time) else { return Status.argument.code }
  return Status.ok.code
}

@c @implementation @_noLocks
public func eff_reward_sum_take(
  _ sum: UnsafeMutablePointer<eff_reward_sum>?, _ reward: UnsafeMutablePointer<Double>?,
  _ dt_or_null: UnsafeMutablePointer<Double>?
) -> eff_status {
  guard let sum, let reward else { return Status.argument.code }
  guard let found = CABI.sum(sum).pointee.take() else { return Status.state.code }
  reward.pointee = found.reward
  dt_or_null?.pointee = found.duration
  return Status.ok.code
}
