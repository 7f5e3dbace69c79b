import Kernels
import Platform

/// Watches the return for a collapse.
struct ReturnWatch {
  var episodeReturn = 0.0
}

extension UnsafeMutablePointer where Pointee == Learner {
  /// Called for every transition with its raw reward.
  @_noLocks func watch(reward: Double, ends: Bool) {
    pointee.state.pointee.watch.episodeReturn += reward
    if ends { pointee.state.pointee.watch.episodeReturn = 0 }
  }

  /// An update whose numbers are not finite: no weight moves, and what is spoiled starts afresh.
  @_noLocks func fail(_ report: UnsafeMutablePointer<UpdateReport>) {
    let state = pointee.state
    state.pointee.counters.badUpdates += 1
    report.pointee.reason = .badUpdate
    report.pointee.isSound = false
    clearTraces()
    let width = pointee.settings.isDouble ? 8 : 4
    if pointee.settings.optimizer.hasMoments {
      if pointee.actor.layers > 0 { eff_zero(pointee.actor.v, Int(pointee.actor.count) * width) }
      eff_zero(pointee.critic.v, Int(pointee.critic.count) * width)
    }
    state.pointee.actor = OptimizerState()
    state.pointee.critic = OptimizerState()
  }
}
