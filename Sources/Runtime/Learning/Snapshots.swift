import Base
import Kernels
import Platform

/// The head of a snapshot; the bytes that it keeps follow.
struct SnapshotHeader {
  /// Mean return that the weights are known for.
  var score: Double
  var observationCount: UInt64
  /// Returns that there had been when it was taken, as a place on the time line.
  var place: UInt64
  /// Good returns in a row before it was taken, and after.
  var before: UInt64
  var after: UInt64 = 0
  private var flags = Flags()

  /// A candidate.
  @_noLocks init(score: Double, observationCount: UInt64, place: UInt64, before: UInt64) {
    (self.score, self.observationCount, self.place, self.before) = (score, observationCount, place, before)
    isOpen = true
  }

  mutating func fields() -> [CheckpointField] {
    withUnsafeMutablePointer(to: &self) { p in
      var list = FieldList(base: UnsafeRawPointer(p))
      list.add("score", &p.pointee.score)
      list.add("observationCount", &p.pointee.observationCount)
      list.add("place", &p.pointee.place)
      list.add("before", &p.pointee.before)
      list.add("after", &p.pointee.after)
      p.pointee.flags.list(&list, "flags")
      return list.fields
    }
  }

  /// No bad return has come since.
  var isOpen: Bool {
    @_noLocks get { flags[0] }
    @_noLocks set { flags[0] = newValue }
  }
  /// Accepted; otherwise the slot is free, or holds the candidate.
  var isTaken: Bool {
    @_noLocks get { flags[1] }
    @_noLocks set { flags[1] = newValue }
  }

  /// How far it lies from either end of a run of good returns. Weights near the end of one may be about to fail.
  var depth: UInt64 { @_noLocks get { min(before, after) } }

  static let bytes = 64
}

/// The ring of snapshots: `watch.snapshots` accepted ones, and one slot for a candidate that the next return has to
/// confirm.
extension LearnerHandle {
  private var slots: Int {
    @_noLocks get { core.pointee.watch.snapshots == 0 ? 0 : core.pointee.watch.snapshots + 1 }
  }

  @_noLocks private func slot(_ i: Int) -> UnsafeMutablePointer<SnapshotHeader> {
    (core.pointee.snapshots + i * core.pointee.snapshotStride).assumingMemoryBound(to: SnapshotHeader.self)
  }

  /// The highest score of a snapshot; minus infinity where there is none.
  var bestScore: Double {
    @_noLocks get {
      var best = -Double.infinity
      for i in 0..<slots where slot(i).pointee.isTaken { best = max(best, slot(i).pointee.score) }
      return best
    }
  }

  /// The least score that passes for as good as the best.
  var goodScore: Double {
    @_noLocks get {
      let worst = core.pointee.state.pointee.watch.worst
      return bestScore - core.pointee.watch.keepMargin * max(bestScore - worst, 0)
    }
  }

  @_noLocks func score(of snapshot: Int) -> Double { slot(snapshot).pointee.score }

  /// The weights of a snapshot gave a worse return than they were known for.
  @_noLocks func degrade(_ snapshot: Int, to score: Double) {
    slot(snapshot).pointee.score = score
    slot(snapshot).pointee.after = 0
  }

  /// What began at the snapshot that was last returned to has ended after so many good returns.
  @_noLocks func discredit(streak: UInt64) {
    let base = Int(core.pointee.state.pointee.watch.base)
    if base >= 0 { slot(base).pointee.after = min(slot(base).pointee.after, streak) }
  }

  /// Counts a return, good or bad, for all snapshots.
  @_noLocks func count(isGood: Bool) {
    for i in 0..<slots where slot(i).pointee.isOpen {
      if isGood { slot(i).pointee.after &+= 1 } else { slot(i).pointee.isOpen = false }
    }
  }

  /// Copies the present weights and statistics into the free slot.
  @_noLocks func takeCandidate() {
    settle()
    let state = core.pointee.state
    var free = 0
    while free < slots - 1 && slot(free).pointee.isTaken { free += 1 }
    let w = state.pointee.watch
    slot(free).pointee = SnapshotHeader(
      score: w.running, observationCount: state.pointee.observationCount, place: w.episodes, before: w.streak)
    let kept = UnsafeMutableRawPointer(slot(free)) + SnapshotHeader.bytes
    eff_copy(kept, core.pointee.observations.mean, core.pointee.snapshotSize)
    state.pointee.watch.candidate = Int32(truncatingIfNeeded: free)
    state.pointee.watch.lastSnapshot = state.pointee.counters.updates
  }

  /// Makes the candidate a snapshot, and room for the next candidate.
  @_noLocks func acceptCandidate() {
    let state = core.pointee.state
    let candidate = Int(state.pointee.watch.candidate)
    state.pointee.watch.candidate = -1
    state.pointee.counters.snapshots &+= 1
    slot(candidate).pointee.score = state.pointee.watch.running
    slot(candidate).pointee.isTaken = true
    for i in 0..<slots where !slot(i).pointee.isTaken { return }
    drop(besides: candidate)
  }

  /// Frees the slot of the lowest score, or where all are good the one whose neighbours in time are nearest to each
  /// other: so the ring covers the whole time that went well.
  @_noLocks private func drop(besides kept: Int) {
    let good = goodScore
    var chosen = -1
    var least = Double.infinity
    var isLow = false
    for i in 0..<slots where i != kept {
      let s = slot(i).pointee
      var before: UInt64 = 0
      var after = s.place
      for k in 0..<slots where k != i {
        let place = slot(k).pointee.place
        if place <= s.place { before = max(before, place) }
        if place > s.place { after = after == s.place ? place : min(after, place) }
      }
      let low = s.score < good
      let measure = low ? s.score : Double(after &- before)
      if low && !isLow || low == isLow && measure < least { (chosen, least, isLow) = (i, measure, low) }
    }
    slot(max(chosen, 0)).pointee.isTaken = false
    if chosen == Int(core.pointee.state.pointee.watch.base) { core.pointee.state.pointee.watch.base = -1 }
  }

  /// Keeps a snapshot of the present weights, known for the running return; `.state` where the learner has no room for
  /// one.
  @export(interface)
  @_noLocks public func snapshot() -> Status {
    guard core.pointee.watch.snapshots > 0 else { return .state }
    takeCandidate()
    acceptCandidate()
    return .ok
  }

  /// The snapshot to return to: of the good ones that which lies deepest in a run of good returns, the latest of
  /// equals; -1 where there is none.
  @_noLocks private func choice() -> Int {
    let good = goodScore
    var best = -1
    for i in 0..<slots {
      let s = slot(i).pointee
      guard s.isTaken, s.score >= good else { continue }
      if best < 0 || s.depth > slot(best).pointee.depth
        || s.depth == slot(best).pointee.depth && s.place > slot(best).pointee.place
      {
        best = i
      }
    }
    return best
  }

  /// Returns to the best snapshot; `.state` where there is none.
  @export(interface)
  @_noLocks public func rollBack() -> Status {
    let chosen = choice()
    guard chosen >= 0 else { return .state }
    let state = core.pointee.state
    state.pointee.actor.due = 0
    state.pointee.critic.due = 0
    let kept = UnsafeMutableRawPointer(slot(chosen)) + SnapshotHeader.bytes
    eff_copy(core.pointee.observations.mean, kept, core.pointee.snapshotSize)
    state.pointee.observationCount = slot(chosen).pointee.observationCount
    startAfresh()
    state.pointee.watch.running = slot(chosen).pointee.score
    state.pointee.watch.candidate = -1
    state.pointee.watch.base = Int32(truncatingIfNeeded: chosen)
    state.pointee.watch.isTrial = true
    state.pointee.watch.streak = 0
    state.pointee.watch.stepScale = max(state.pointee.watch.stepScale * core.pointee.watch.rollbackStep, 1.0 / 64)
    state.pointee.isForwarded = false
    state.pointee.isCommitted = false
    state.pointee.counters.rollbacks &+= 1
    return .ok
  }

  /// Clears traces, moments and what the optimizers remember.
  @_noLocks func startAfresh() {
    clearTraces()
    clearInfluence()
    let width = core.pointee.settings.isDouble ? 8 : 4
    if core.pointee.settings.optimizer.hasMoments {
      if core.pointee.hasActor { eff_zero(core.pointee.actor.v, Int(core.pointee.actor.count) * width) }
      eff_zero(core.pointee.critic.v, Int(core.pointee.critic.count) * width)
    }
    core.pointee.state.pointee.actor = OptimizerState()
    core.pointee.state.pointee.critic = OptimizerState()
  }
}
