import Kernels
import Platform

/// Watches the return for a collapse. Scores are running means of the return of an episode (or of a window of updates).
struct ReturnWatch {
  var episodeReturn = 0.0
  /// Updates in this episode or window.
  var length: UInt64 = 0
  var episodes: UInt64 = 0
  var running = 0.0
  var best = 0.0
  var worst = 0.0
  var lastSnapshot: UInt64 = 0
}

/// The head of a snapshot; the bytes that it keeps follow.
struct SnapshotHeader {
  var score: Double
  var observationCount: UInt64
  var isTaken: Bool

  static let bytes = 64
}

extension UnsafeMutablePointer where Pointee == Learner {
  /// Called for every transition with its raw reward. At the end of an episode or window: judges, keeps a snapshot, or rolls back.
  @_noLocks func watch(reward: Double, ends: Bool, _ report: UnsafeMutablePointer<UpdateReport>) {
    let state = pointee.state
    let guards = pointee.guards
    var w = state.pointee.watch
    w.episodeReturn += reward
    w.length &+= 1
    let closes = guards.returnWindow > 0 ? w.length >= guards.returnWindow : ends
    guard closes else {
      state.pointee.watch = w
      return
    }
    w.running = w.episodes == 0 ? w.episodeReturn : w.running + guards.returnRate * (w.episodeReturn - w.running)
    w.best = w.episodes == 0 ? w.running : max(w.best, w.running)
    w.worst = w.episodes == 0 ? w.running : min(w.worst, w.running)
    w.episodes &+= 1
    w.episodeReturn = 0
    w.length = 0
    state.pointee.watch = w
    if pointee.guards.snapshots == 0 { return }
    let gained = w.best - w.worst
    if guards.returnDrop > 0 && gained > 0 && w.running < w.best - guards.returnDrop * gained {
      if rollBack() { report.pointee.reason = .rolledBack }
    } else if state.pointee.counters.updates - w.lastSnapshot >= guards.snapshotPeriod && w.running >= w.best - guards.keepMargin * gained {
      keepSnapshot()
    }
  }

  @_noLocks private func slot(_ i: Int) -> UnsafeMutablePointer<SnapshotHeader> {
    (pointee.snapshots + i * pointee.snapshotStride).assumingMemoryBound(to: SnapshotHeader.self)
  }

  /// Keeps a snapshot now; false where the learner has no room for one.
  @export(interface)
  @_noLocks public func snapshot() -> Bool {
    guard pointee.guards.snapshots > 0 else { return false }
    keepSnapshot()
    return true
  }

  /// Keeps the present weights and statistics in the free or lowest-scored slot.
  @_noLocks func keepSnapshot() {
    settle()
    let state = pointee.state
    var chosen = slot(0)
    for i in 1..<max(pointee.guards.snapshots, 1) {
      let s = slot(i)
      if chosen.pointee.isTaken && (!s.pointee.isTaken || s.pointee.score < chosen.pointee.score) { chosen = s }
    }
    chosen.pointee.score = state.pointee.watch.running
    chosen.pointee.observationCount = state.pointee.observationCount
    chosen.pointee.isTaken = true
    eff_copy(UnsafeMutableRawPointer(chosen) + SnapshotHeader.bytes, pointee.observations.mean, pointee.snapshotSize)
    state.pointee.watch.lastSnapshot = state.pointee.counters.updates
    state.pointee.counters.snapshots &+= 1
  }

  /// Returns to the best-scored snapshot; false where there is none.
  ///
  /// Its score is then moved half-way to the return that made this necessary: a snapshot that was only lucky loses its rank.
  @export(interface)
  @_noLocks public func rollBack() -> Bool {
    let state = pointee.state
    var chosen = slot(0)
    for i in 1..<max(pointee.guards.snapshots, 1) {
      let s = slot(i)
      if s.pointee.isTaken && (!chosen.pointee.isTaken || s.pointee.score > chosen.pointee.score) { chosen = s }
    }
    guard pointee.guards.snapshots > 0, chosen.pointee.isTaken else { return false }
    state.pointee.actor.due = 0
    state.pointee.critic.due = 0
    eff_copy(pointee.observations.mean, UnsafeMutableRawPointer(chosen) + SnapshotHeader.bytes, pointee.snapshotSize)
    state.pointee.observationCount = chosen.pointee.observationCount
    startAfresh()
    let score = chosen.pointee.score
    chosen.pointee.score = (score + state.pointee.watch.running) / 2
    state.pointee.watch.running = score
    state.pointee.watch.best = score
    state.pointee.isForwarded = false
    state.pointee.isCommitted = false
    state.pointee.counters.rollbacks &+= 1
    return true
  }

  /// Clears traces, moments and what the optimizers remember.
  @_noLocks private func startAfresh() {
    clearTraces()
    let width = pointee.settings.isDouble ? 8 : 4
    if pointee.settings.optimizer.hasMoments {
      if pointee.actor.layers > 0 { eff_zero(pointee.actor.v, Int(pointee.actor.count) * width) }
      eff_zero(pointee.critic.v, Int(pointee.critic.count) * width)
    }
    state.pointee.actor = OptimizerState()
    state.pointee.critic = OptimizerState()
  }

  /// Sets what is kept from learning.
  @_noLocks public func freeze(_ parts: Freeze) { pointee.state.pointee.freeze = parts }

  private var state: UnsafeMutablePointer<LearnerState> { @_noLocks get { pointee.state } }

  /// An update whose numbers are not finite: no weight moves, what is spoiled starts afresh, and weights that give such values are rolled back.
  @_noLocks func fail(_ report: UnsafeMutablePointer<UpdateReport>) {
    state.pointee.counters.badUpdates &+= 1
    report.pointee.reason = .badUpdate
    report.pointee.isSound = false
    if !rollBack() {
      state.pointee.actor.due = 0
      state.pointee.critic.due = 0
      startAfresh()
    }
  }
}
