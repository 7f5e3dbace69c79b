import Kernels
import Platform

/// What a learner needs to run a loaded policy besides its network: trivial, in its arena.
struct LoadedCore {
  /// Recurrent state, part of the checkpoint, and where the ops write the next one.
  var hidden: UnsafeMutableRawPointer
  var hiddenSize: Int
  var copies: UnsafeMutablePointer<HiddenCopy>
  var copyCount: Int
  /// nil for logits.
  var map: ActionMap?
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

  /// The recurrent state of the next observation, as the policy gave it for this one.
  @_noLocks func carryHidden() {
    guard let loaded = core.pointee.loaded else { return }
    for i in 0..<loaded.pointee.copyCount {
      let c = loaded.pointee.copies[i]
      eff_copy(c.to, c.from, c.size)
    }
  }

  @_noLocks func clearHidden() {
    guard let loaded = core.pointee.loaded else { return }
    eff_zero(loaded.pointee.hidden, loaded.pointee.hiddenSize)
  }
}
