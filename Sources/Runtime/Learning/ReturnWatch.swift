import Base
import Kernels
import Platform

/// Watches the return for a collapse. A return is that of an episode, or of a window of updates.
struct ReturnWatch {
  private var flags = Flags()
  var episodeReturn = 0.0
  /// Updates in this episode or window.
  var length: UInt64 = 0
  var episodes: UInt64 = 0
  /// Running mean of the returns, and the lowest one that there was.
  var running = 0.0
  var worst = 0.0
  var last = 0.0
  /// Running mean of how far a return falls below the one before; a rise counts as 0.
  var fall = 0.0
  /// Good returns in a row.
  var streak: UInt64 = 0
  /// Updates since the best snapshot's level was last lost by more than returns usually fall.
  var held: UInt64 = 0
  var lastSnapshot: UInt64 = 0
  /// Slot of the snapshot that the next return has to confirm; -1: none.
  var candidate: Int32 = -1
  /// Slot of the snapshot that was last returned to; -1: none, or it is gone.
  var base: Int32 = -1
  /// The next return is the first after a roll-back.
  var isTrial: Bool {
    @_noLocks get { flags[0] }
    @_noLocks set { flags[0] = newValue }
  }
  /// The level was held for long enough to be worth a roll-back.
  var isSteady: Bool {
    @_noLocks get { flags[1] }
    @_noLocks set { flags[1] = newValue }
  }
  /// Factor of the step size of the network that acts.
  var stepScale = 1.0

  mutating func list(_ list: inout FieldList) {
    flags.list(&list, "flags")
    list.add("episodeReturn", &episodeReturn)
    list.add("length", &length)
    list.add("episodes", &episodes)
    list.add("running", &running)
    list.add("worst", &worst)
    list.add("last", &last)
    list.add("fall", &fall)
    list.add("streak", &streak)
    list.add("held", &held)
    list.add("lastSnapshot", &lastSnapshot)
    list.add("candidate", &candidate)
    list.add("base", &base)
    list.add("stepScale", &stepScale)
  }
}

extension LearnerHandle {
  /// Called for every transition with its raw reward. At the end of an episode or window: judges the return.
  @_noLocks func watch(reward: Double, ends: Bool, _ report: UnsafeMutablePointer<UpdateReport>) {
    let state = core.pointee.state
    let limits = core.pointee.watch
    state.pointee.watch.episodeReturn += reward
    state.pointee.watch.length &+= 1
    guard limits.returnWindow > 0 ? state.pointee.watch.length >= limits.returnWindow : ends else { return }
    let found = state.pointee.watch.episodeReturn
    let length = state.pointee.watch.length
    state.pointee.watch.episodeReturn = 0
    state.pointee.watch.length = 0
    let before = state.pointee.watch
    judge(found)
    if limits.snapshots == 0 || state.pointee.freeze.policy(hasActor: core.pointee.hasActor) { return }
    let isGood = found >= goodScore
    count(isGood: isGood)
    state.pointee.watch.streak = isGood ? before.streak &+ 1 : 0
    hold(found, isGood: isGood, length: length, before: before)
    if hasCollapsed(found, before: before) {
      // what led here is not the usual ups and downs
      state.pointee.watch.fall = before.fall
      discredit(streak: before.streak)
      if rollBack().isOK { report.pointee.reason = .rolledBack }
    } else {
      keep(isGood: isGood && state.pointee.watch.running >= goodScore)
    }
  }

  /// Takes a return into the running figures.
  @_noLocks private func judge(_ found: Double) {
    let rate = core.pointee.watch.returnRate
    var w = core.pointee.state.pointee.watch
    let isFirst = w.episodes == 0
    w.fall = isFirst ? 0 : w.fall + max(rate, 0.2) * (max(w.last - found, 0) - w.fall)
    w.running = isFirst ? found : w.running + rate * (found - w.running)
    w.worst = isFirst ? found : min(w.worst, w.running)
    w.last = found
    w.episodes &+= 1
    if w.isTrial && w.base >= 0 {
      // the weights that gave this return are all but those of the snapshot, so it says what they are worth now
      let snapshot = Int(w.base)
      let known = score(of: snapshot)
      if found < known - core.pointee.watch.keepMargin * (known - w.worst) { degrade(snapshot, to: found) }
      // where the plant has changed every snapshot is tried once; then the new level is the measure, and there is much
      // to learn
      if bestScore <= found {
        w.running = found
        w.worst = min(w.worst, found)
        w.stepScale = 1
        w.isSteady = false
      }
    }
    w.isTrial = false
    core.pointee.state.pointee.watch = w
  }

  /// Counts how long the level has been held.
  @_noLocks private func hold(_ found: Double, isGood: Bool, length: UInt64, before: ReturnWatch) {
    let state = core.pointee.state
    let best = bestScore
    let isHeld = isGood || found >= best - 0.5 * core.pointee.watch.fallLimit * before.fall
    state.pointee.watch.held = isHeld && best > -Double.infinity ? before.held &+ length : 0
    if state.pointee.watch.held >= core.pointee.watch.steadyUpdates && before.episodes >= 5 {
      state.pointee.watch.isSteady = true
    }
  }

  /// Whether a return, or the running one, is below what the best snapshot allows, and below it by far more than
  /// returns usually fall. A single return counts only where all went well before: while much is still being learned,
  /// ups and downs are part of it.
  @_noLocks private func hasCollapsed(_ found: Double, before: ReturnWatch) -> Bool {
    let limits = core.pointee.watch
    let w = core.pointee.state.pointee.watch
    let best = bestScore
    let gained = best - w.worst
    guard limits.returnDrop > 0, gained > 0, w.isSteady else { return false }
    let least = best - limits.returnDrop * gained
    let usual = limits.fallLimit * before.fall
    return w.running < min(least, best - usual) || before.streak >= 5 && found < min(least, before.running - usual)
  }

  /// Accepts the candidate that a good return confirms, and takes another one where it is time.
  @_noLocks private func keep(isGood: Bool) {
    let state = core.pointee.state
    if isGood && state.pointee.watch.candidate >= 0 {
      // what is only kept up asks for no larger steps: they would lose it again
      let isGain = state.pointee.watch.running >= bestScore
      acceptCandidate()
      if isGain { state.pointee.watch.stepScale = min(state.pointee.watch.stepScale * 1.25, 1) }
    }
    state.pointee.watch.candidate = -1
    let age = state.pointee.counters.updates &- state.pointee.watch.lastSnapshot
    if isGood && age >= core.pointee.watch.snapshotPeriod { takeCandidate() }
  }

  /// Sets what is kept from learning.
  @_noLocks public func freeze(_ parts: Freeze) { core.pointee.state.pointee.freeze = parts }

  /// An update whose numbers are not finite: no weight moves, what is spoiled starts afresh, and weights that give such
  /// values are rolled back.
  @_noLocks func fail(_ report: UnsafeMutablePointer<UpdateReport>) {
    let state = core.pointee.state
    state.pointee.counters.badUpdates &+= 1
    report.pointee.reason = .badUpdate
    report.pointee.isSound = false
    if !rollBack().isOK {
      state.pointee.actor.due = 0
      state.pointee.critic.due = 0
      startAfresh()
    }
  }
}
