import Kernels
import Platform

extension LearnerHandle {
  /// What the critic makes of s and of s', with the activations of s left for the backward pass.
  ///
  /// A described critic takes both at once. A loaded one may have any operators, which take one state: it runs s', then
  /// s. A recurrent one first runs s, for the state with which it runs s'.
  /// - Complexity: one pass over the weights of the critic, of a loaded one two, of a recurrent one three.
  @_noLocks func forwardCritic(next raw: UnsafePointer<Double>) -> (here: Numbers, there: Numbers) {
    let isDouble = core.pointee.settings.isDouble
    guard let loaded = core.pointee.loadedCritic else {
      feed(core.pointee.critic, core.pointee.current, row: 0)
      feed(core.pointee.critic, core.pointee.next, row: 1)
      forward(critic: 2)
      return (
        core.pointee.critic.output(row: 0, isDouble: isDouble), core.pointee.critic.output(row: 1, isDouble: isDouble)
      )
    }
    let critic = loaded.pointee
    if critic.hiddenSize > 0 {
      forwardCritic(raw: core.pointee.raw, normalized: core.pointee.current)
      eff_copy(critic.kept, critic.hidden, critic.hiddenSize)
      carry(critic)
    }
    forwardCritic(raw: raw, normalized: core.pointee.next)
    let y = core.pointee.critic.output(row: 0, isDouble: isDouble)
    for i in 0..<core.pointee.settings.criticOutputs { critic.ahead[i] = y[i] }
    if critic.hiddenSize > 0 { eff_copy(critic.hidden, critic.kept, critic.hiddenSize) }
    forwardCritic(raw: core.pointee.raw, normalized: core.pointee.current)
    return (y, Numbers(base: UnsafeMutableRawPointer(critic.ahead), isDouble: true))
  }

  @_noLocks private func forwardCritic(raw: UnsafePointer<Double>, normalized: UnsafePointer<Double>) {
    feed(core.pointee.critic, raw: raw, normalized: normalized)
    forward(critic: 1)
  }
}
