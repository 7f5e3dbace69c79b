import Kernels
import Platform

/// How far the actor has come from the one that was shipped; part of the checkpoint.
struct ChangeState {
  /// Updates since the last turn, and turns taken.
  var waited: UInt64 = 0
  var turns: UInt64 = 0
  /// Observations kept, and the places of the next to be replaced and of the next to be checked.
  var kept = 0
  var oldest = 0
  var next = 0
  /// Samples in the statistics that were shipped.
  var observationCount: UInt64 = 0
  /// Mean over the kept observations of KL(actor || shipped actor) as last measured, in nats.
  var mean = 0.0

  @_noLocks init() {}

  /// Brings what indexes the ring into it.
  mutating func bound(observations: Int) {
    func within(_ i: Int, _ last: Int) -> Int { max(0, min(i, last)) }
    (kept, oldest, next) = (
      within(kept, observations), within(oldest, observations - 1), within(next, observations - 1)
    )
  }
}

/// The shipped actor and a ring of recent observations with what it makes of them.
struct ChangeCore {
  /// The actor with the weights that were shipped, and activations shared with the one that learns.
  var shipped: eff_learn_net
  /// Statistics that were shipped.
  var observations: RunningStatistics
  var ring: UnsafeMutableRawPointer
  /// Bytes from one kept observation to the next.
  var stride: Int
  /// Where recurrent state waits while a kept one is looked at.
  var hidden: UnsafeMutableRawPointer
}

/// A kept observation: the divergence last measured on it (negative: not yet), raw, as the actor saw it, what the
/// shipped actor gave, recurrent state.
struct KeptObservation {
  let divergence: UnsafeMutablePointer<Double>
  let raw: UnsafeMutablePointer<Double>
  let input: UnsafeMutablePointer<Double>
  let shipped: UnsafeMutablePointer<Double>
  let hidden: UnsafeMutableRawPointer

  @_noLocks init(_ start: UnsafeMutableRawPointer, _ s: LearnerSettings) {
    divergence = start.assumingMemoryBound(to: Double.self)
    raw = divergence + 1
    input = raw + s.observationCount
    shipped = input + s.inputCount
    hidden = UnsafeMutableRawPointer(shipped + s.actorOutputs)
  }

  static func size(_ s: LearnerSettings, hidden: Int) -> Int {
    (8 * (1 + s.observationCount + s.inputCount + s.actorOutputs) + hidden + 63) & ~63
  }
}

extension LearnerHandle {
  /// Turns in which a kept observation is checked, for one in which a new one is kept.
  private var checksPerObservation: UInt64 { @_noLocks get { 4 } }

  /// Takes the actor as it is for the shipped one: drift and change are measured from here.
  @export(interface)
  @_noLocks public func mark() {
    settle()
    let state = core.pointee.state
    state.pointee.counters.actorDrift = 0
    state.pointee.counters.criticDrift = 0
    guard let change = core.pointee.change?.pointee else { return }
    let width = core.pointee.settings.isDouble ? 8 : 4
    eff_copy(change.shipped.w, core.pointee.actor.w, Int(core.pointee.actor.count) * width)
    eff_copy(change.observations.mean, core.pointee.observations.mean, change.observations.size * 8)
    eff_copy(change.observations.m2, core.pointee.observations.m2, change.observations.size * 8)
    var fresh = ChangeState()
    fresh.observationCount = state.pointee.observationCount
    state.pointee.change = fresh
  }

  /// Measures the change a little further; for the end of an update. The activations of the actor are lost.
  /// - Complexity: in one update of `changePeriod` one pass over the weights of the actor.
  @_noLocks func measureChange() {
    guard let change = core.pointee.change?.pointee, core.pointee.state.pointee.isInEpisode else { return }
    let state = core.pointee.state
    state.pointee.change.waited &+= 1
    guard state.pointee.change.waited >= core.pointee.watch.changePeriod else { return }
    state.pointee.change.waited = 0
    if state.pointee.change.turns % (checksPerObservation + 1) == 0 { keep(change) } else { check(change) }
    state.pointee.change.turns &+= 1
    state.pointee.isForwarded = false
  }

  /// Keeps the present state, with the actions of the shipped actor, in place of the oldest one.
  @_noLocks private func keep(_ change: ChangeCore) {
    let state = core.pointee.state
    let s = core.pointee.settings
    let place = state.pointee.change.oldest
    let entry = KeptObservation(change.ring + place * change.stride, s)
    state.pointee.change.oldest = place + 1 < core.pointee.watch.changeObservations ? place + 1 : 0
    state.pointee.change.kept = max(state.pointee.change.kept, place + 1)
    entry.divergence.pointee = -1
    eff_copy(entry.raw, core.pointee.raw, s.observationCount * 8)
    eff_copy(entry.input, core.pointee.current, s.inputCount * 8)
    if let loaded = core.pointee.loaded { eff_copy(entry.hidden, loaded.pointee.hidden, loaded.pointee.hiddenSize) }
    // as the shipped actor would see it; the time is the same
    let x = core.pointee.next
    eff_copy(x, core.pointee.current, s.inputCount * 8)
    if s.normalizesObservations {
      change.observations.normalize(
        filtered(core.pointee.raw), count: state.pointee.change.observationCount, epsilon: s.observationEpsilon,
        into: x)
    }
    feedPolicy(raw: core.pointee.raw, normalized: x)
    var shipped = change.shipped
    eff_learn_forward(core.pointee.kernels, &shipped, 1, 0)
    let y = core.pointee.actor.output(row: 0, isDouble: s.isDouble)
    for i in 0..<s.actorOutputs { entry.shipped[i] = y[i] }
  }

  /// Compares the actor with the shipped one on the kept observation whose turn it is.
  @_noLocks private func check(_ change: ChangeCore) {
    let state = core.pointee.state
    let s = core.pointee.settings
    let place = state.pointee.change.next
    state.pointee.change.next = place + 1 < state.pointee.change.kept ? place + 1 : 0
    let entry = KeptObservation(change.ring + place * change.stride, s)
    let loaded = core.pointee.loaded
    if let loaded {
      eff_copy(change.hidden, loaded.pointee.hidden, loaded.pointee.hiddenSize)
      eff_copy(loaded.pointee.hidden, entry.hidden, loaded.pointee.hiddenSize)
    }
    feedPolicy(raw: entry.raw, normalized: entry.input)
    forward(actor: 1)
    if let loaded { eff_copy(loaded.pointee.hidden, change.hidden, loaded.pointee.hiddenSize) }
    let found = divergence(from: Numbers(base: entry.shipped, isDouble: true))
    // what is not a number is as far away as can be
    entry.divergence.pointee = found < 1e30 ? max(found, 0) : 1e30
    var sum = 0.0
    var count = 0.0
    for i in 0..<state.pointee.change.kept {
      let d = KeptObservation(change.ring + i * change.stride, s).divergence.pointee
      if d >= 0 { (sum, count) = (sum + d, count + 1) }
    }
    state.pointee.change.mean = sum / max(count, 1)
  }

  /// KL(actor || other), of the outputs that the last forward pass gave.
  @_noLocks private func divergence(from other: Numbers) -> Double {
    if core.pointee.settings.algorithm.isContinuous { return gaussian.divergence(from: gaussian(other)) }
    return softmax.divergence(from: SoftmaxHead(outputs: other, count: core.pointee.settings.actionCount))
  }
}
