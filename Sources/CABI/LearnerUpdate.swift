import Base
import CEfferent
import Platform
import Runtime

@c @implementation @_noLocks
public func eff_learner_update(
  _ learner: OpaquePointer?, _ transition: UnsafePointer<eff_transition>?,
  _ update_or_null: UnsafeMutablePointer<eff_update>?
) -> eff_status {
  guard let l = CABI.learner(learner), let transition else { return Status.argument.code }
  let t = transition.pointee
  let size = update_or_null?.pointee.struct_size ?? MemoryLayout<Int>.size
  guard t.struct_size >= MemoryLayout<eff_transition>.size, let observation = t.observation,
    size >= MemoryLayout<Int>.size
  else { return Status.argument.code }
  var report = UpdateReport()
  let outcome = l.update(
    Transition(
      observation: observation, reward: t.reward, isTerminated: t.terminated != 0, isTruncated: t.truncated != 0,
      action: t.action,
      nextAction: t.next_action, duration: t.dt), &report)
  if let out = update_or_null {
    publish(report, l, out)
  }
  return outcome.code
}

/// The C form of an update; only what the caller knows is written.
@_noLocks func publish(_ report: UpdateReport, _ l: LearnerHandle, _ out: UnsafeMutablePointer<eff_update>) {
  let size = out.pointee.struct_size
  var told = eff_update()
  told.struct_size = size
  fill(report, l, &told)
  eff_copy(out, &told, min(size, MemoryLayout<eff_update>.size))
}

@_noLocks private func fill(_ r: UpdateReport, _ l: LearnerHandle, _ out: UnsafeMutablePointer<eff_update>) {
  let c = l.core.pointee.counters
  out.pointee.reason = r.reason.code
  out.pointee.trace_reset = r.isTraceReset ? 1 : 0
  out.pointee.td_error = r.tdError
  out.pointee.value = r.value
  out.pointee.next_value = r.nextValue
  out.pointee.scaled_reward = r.reward
  out.pointee.exploration = r.exploration
  fill(&out.pointee.actor, r.actor, c.actorDrift)
  fill(&out.pointee.critic, r.critic, c.criticDrift)
  out.pointee.updates = c.updates
  out.pointee.episodes = c.episodes
  out.pointee.bad_inputs = c.badInputs
  out.pointee.bad_updates = c.badUpdates
  out.pointee.snapshots = c.snapshots
  out.pointee.rollbacks = c.rollbacks
  out.pointee.running_return = l.core.pointee.runningReturn
  out.pointee.change = l.core.pointee.meanChange
  out.pointee.running_td_error = l.core.pointee.runningError
  fill(&out.pointee.reward, r.shares)
  fill(&out.pointee.reward_size, l.core.pointee.rewardSizes)
  (out.pointee.value_spread, out.pointee.value_cvar) = (r.valueSpread, r.valueTail)
  (out.pointee.risk_error, out.pointee.stock) = (r.riskError, r.stock)
  out.pointee.clipped_targets = l.core.pointee.clippedTargets
  (out.pointee.actor_dormant, out.pointee.critic_dormant) = l.core.pointee.dormant
}

@_noLocks private func fill(_ out: UnsafeMutablePointer<eff_network_update>, _ r: NetworkReport, _ drift: Double) {
  out.pointee.trace_norm = r.traceNorm
  out.pointee.bound = r.bound
  out.pointee.step_size = r.stepSize
  out.pointee.td_error = r.deltaUsed
  out.pointee.drift = drift
}

@_noLocks private func fill(_ out: UnsafeMutablePointer<eff_reward_shares>, _ s: RewardShares) {
  (out.pointee.raw, out.pointee.network, out.pointee.shaping) = (s.raw, s.network, s.shaping)
  (out.pointee.bonus, out.pointee.clip, out.pointee.total) = (s.bonus, s.clip, s.total)
}
