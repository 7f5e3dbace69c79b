import Base
import Kernels

/// Watches the TD error for a rise, also where returns say nothing; part of the checkpoint.
struct ErrorWatch {
  /// TD errors seen.
  var count: UInt64 = 0
  /// Running means of |TD error|, over about 100 and about 2000 updates.
  var recent = 0.0
  var usual = 0.0
}

extension LearnerHandle {
  /// Updates before the usual TD error is known.
  private var errorWarmUp: UInt64 { @_noLocks get { 2000 } }

  /// Takes in the TD error of an update; rolls back where the recent mean is `errorRise` times the usual one. That
  /// level is then the usual one, so that a rise that has another cause than the weights costs one roll-back.
  @_noLocks func watchError(_ delta: Double, _ report: UnsafeMutablePointer<UpdateReport>) {
    let state = core.pointee.state
    let limits = core.pointee.watch
    var w = state.pointee.error
    w.count &+= 1
    let first = 1 / Double(w.count)
    w.recent += max(0.01, first) * (delta.magnitude - w.recent)
    w.usual += max(0.0005, first) * (delta.magnitude - w.usual)
    state.pointee.error = w
    guard limits.errorRise > 0, w.count > errorWarmUp, w.recent > limits.errorRise * w.usual,
      !state.pointee.freeze.policy(hasActor: core.pointee.hasActor)
    else { return }
    guard rollBack().isOK else { return }
    report.pointee.reason = .rolledBack
    state.pointee.error.usual = w.recent
  }
}
