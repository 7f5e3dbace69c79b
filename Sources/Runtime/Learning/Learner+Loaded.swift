import Kernels
import Platform

/// What a learner needs to run a loaded policy besides its network: trivial, in its arena.
struct LoadedCore {
  /// Recurrent state, part of the checkpoint, and where the ops write the next one.
  var hidden: UnsafeMutableRawPointer
  var hiddenSize: Int
  /// Influence of the cells' weights on it, part of the checkpoint.
  var influence: UnsafeMutableRawPointer
  var influenceSize: Int
  var copies: UnsafeMutablePointer<HiddenCopy>
  var copyCount: Int
  /// nil for logits and values.
  var map: ActionMap?
  /// Of a critic: its outputs for s', and where the recurrent state of s waits meanwhile.
  var ahead: UnsafeMutablePointer<Double>
  var kept: UnsafeMutableRawPointer
}

struct HiddenCopy {
  var to: UnsafeMutableRawPointer
  var from: UnsafeRawPointer
  var size: Int
}

extension LearnerHandle {
  var isSquashed: Bool { @_noLocks get { core.pointee.loaded?.pointee.map?.isSquashed ?? false } }

  /// What leaves the learner for what the head gave; the two may be the same memory.
  @_noLocks func emit(_ u: UnsafePointer<Double>, into out: UnsafeMutablePointer<Double>) {
    let map = core.pointee.loaded?.pointee.map
    for i in 0..<actionSize { out[i] = map?.emit(i, u[i]) ?? u[i] }
  }

  /// Adopts an action that was really done. Where it is what the learner asked for, the sample behind it stays: a clip
  /// cannot be undone.
  @_noLocks func takeBack(_ done: UnsafePointer<Double>) {
    let action = core.pointee.action
    let map = core.pointee.loaded?.pointee.map
    for i in 0..<core.pointee.settings.actionCount {
      guard let map else {
        action[i] = done[i]
        continue
      }
      if map.emit(i, action[i]) != done[i] { action[i] = map.invert(i, done[i]) }
    }
  }

  /// The recurrent states of the next observation, as the networks gave them for this one.
  @_noLocks func carryHidden() {
    if let loaded = core.pointee.loaded { carry(loaded.pointee) }
    if core.pointee.hasActor, let critic = core.pointee.loadedCritic { carry(critic.pointee) }
  }

  @_noLocks func carry(_ loaded: LoadedCore) {
    for i in 0..<loaded.copyCount {
      let c = loaded.copies[i]
      eff_copy(c.to, c.from, c.size)
    }
  }

  @_noLocks func clearHidden() {
    if let loaded = core.pointee.loaded { eff_zero(loaded.pointee.hidden, loaded.pointee.hiddenSize) }
    if let critic = core.pointee.loadedCritic { eff_zero(critic.pointee.hidden, critic.pointee.hiddenSize) }
    clearInfluence()
  }

  /// What the weights have done to the recurrent states is forgotten; the states stay.
  @_noLocks func clearInfluence() {
    if let loaded = core.pointee.loaded { eff_zero(loaded.pointee.influence, loaded.pointee.influenceSize) }
    if let critic = core.pointee.loadedCritic { eff_zero(critic.pointee.influence, critic.pointee.influenceSize) }
  }
}
