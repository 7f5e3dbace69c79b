import Base
import Onnx

/// Limits under which a learner may change a policy.
public struct WatchSettings {
  /// Snapshots kept for roll-back; 0: none, and no roll-back.
  public var snapshots = 0
  /// Updates between snapshots, at least.
  public var snapshotPeriod: UInt64 = 1000
  /// Weight of the last return in the running return.
  public var returnRate = 0.1
  /// Roll back when this share of what the best snapshot had gained over the worst running return is lost; 0: never.
  public var returnDrop = 0.5
  /// Share of that gain by which a return may be below the best snapshot's for a snapshot to be accepted.
  public var keepMargin = 0.1
  /// What is lost must also be more than so many times the usual fall from one return to the next; then a single return
  /// after good ones is enough.
  public var fallLimit = 6.0
  /// Updates that a level has to be held for until its loss is a collapse; before, much is still being learned.
  public var steadyUpdates: UInt64 = 5000
  /// Factor of the step size of what acts after every roll-back; it recovers with what is gained.
  public var rollbackStep = 0.5
  /// Updates of one return, for tasks that never end; 0: an episode.
  public var returnWindow: UInt64 = 0
  /// The actor stops learning when its weights have moved this far in total, in L1 over all updates; 0: no budget.
  public var driftBudget = 0.0
  /// Roll back where the recent mean of |TD error| is so many times the usual one; 0: never.
  public var errorRise = 0.0
  /// The actor stops learning while its mean KL divergence from the shipped one, in nats, is above this; 0: it is not
  /// measured.
  public var changeLimit = 0.0
  /// Updates from one look at the change to the next.
  public var changePeriod: UInt64 = 8
  /// Observations that the change is measured on.
  public var changeObservations = 32

  public init() {}

  func validate() throws(Failure) {
    func require(_ condition: Bool, _ name: String, _ expected: String) throws(Failure) {
      if !condition { throw Failure(.argument, "learner option '" + name + "' must be " + expected) }
    }
    try require(snapshots >= 0 && snapshots <= 64, "snapshots", "0 to 64")
    try require(returnRate > 0 && returnRate <= 1, "return_rate", "in (0, 1]")
    try require(returnDrop >= 0 && returnDrop <= 1, "return_drop", "in [0, 1]")
    try require(keepMargin >= 0 && keepMargin <= 1, "keep_margin", "in [0, 1]")
    try require(fallLimit >= 0 && fallLimit.isFinite, "fall_limit", "not negative")
    try require(rollbackStep > 0 && rollbackStep <= 1, "rollback_step", "in (0, 1]")
    try require(driftBudget >= 0 && driftBudget.isFinite, "drift_budget", "not negative")
    try require(errorRise == 0 || errorRise > 1 && errorRise.isFinite, "td_error_rise", "0 or above 1")
    try require(changeLimit >= 0, "change_limit", "not negative")
    try require(changePeriod >= 1, "change_period", "at least 1")
    try require(changeObservations >= 1 && changeObservations <= 1 << 16, "change_observations", "1 to 65536")
  }
}
