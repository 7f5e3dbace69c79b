import Onnx

/// Limits under which a learner may change a policy.
public struct GuardSettings {
  /// Snapshots kept for roll-back; 0: none, and no roll-back.
  public var snapshots = 0
  /// Updates between snapshots, at least.
  public var snapshotPeriod: UInt64 = 1000
  /// Weight of the last episode in the running return.
  public var returnRate = 0.1
  /// Roll back when the running return has lost this share of what was gained since the worst one seen; 0: never.
  public var returnDrop = 0.5
  /// Share of that gain by which the running return may be below the best for a snapshot to be kept.
  public var keepMargin = 0.1
  /// Updates of one return, for tasks that never end; 0: an episode.
  public var returnWindow: UInt64 = 0
  /// The actor stops learning when its weights have moved this far in total, in L1 over all updates; 0: no budget.
  public var driftBudget = 0.0

  public init() {}

  func validate() throws(Failure) {
    func require(_ condition: Bool, _ name: String, _ expected: String) throws(Failure) {
      if !condition { throw Failure(.argument, "learner option '" + name + "' must be " + expected) }
    }
    try require(snapshots >= 0 && snapshots <= 64, "snapshots", "0 to 64")
    try require(returnRate > 0 && returnRate <= 1, "return_rate", "in (0, 1]")
    try require(returnDrop >= 0 && returnDrop <= 1, "return_drop", "in [0, 1]")
    try require(keepMargin >= 0 && keepMargin <= 1, "keep_margin", "in [0, 1]")
    try require(driftBudget >= 0 && driftBudget.isFinite, "drift_budget", "not negative")
  }
}
