import Base
import Kernels
import Platform

extension LearnerHandle {
  var policyNet: eff_learn_net {
    @_noLocks get { core.pointee.hasActor ? core.pointee.actor : core.pointee.critic }
  }

  var gaussian: GaussianHead {
    @_noLocks get { gaussian(core.pointee.actor.output(row: 0, isDouble: core.pointee.settings.isDouble)) }
  }

  @_noLocks func gaussian(_ outputs: Numbers) -> GaussianHead {
    let s = core.pointee.settings
    return GaussianHead(
      outputs: outputs, count: s.actionCount, floor: s.stdFloor, ceiling: s.stdCeiling, form: s.stdForm,
      isSquashed: isSquashed)
  }

  var softmax: SoftmaxHead {
    @_noLocks get {
      let s = core.pointee.settings
      return SoftmaxHead(outputs: core.pointee.actor.output(row: 0, isDouble: s.isDouble), count: s.actionCount)
    }
  }

  /// Puts a state [inputCount] into batch row `row` of a network's input, where it reads it.
  @_noLocks func feed(_ net: eff_learn_net, _ x: UnsafePointer<Double>, row: Int) {
    guard let to = net.normalized else { return }
    let isDouble = core.pointee.settings.isDouble
    let input = Numbers(base: to + row * Int(net.input_stride) * (isDouble ? 8 : 4), isDouble: isDouble)
    for i in 0..<core.pointee.settings.inputCount { input[i] = x[i] }
  }

  @_noLocks func forward(actor batch: Int) {
    eff_learn_forward(core.pointee.kernels, &core.pointee.actor, Int64(batch), core.pointee.state.pointee.actor.due)
    core.pointee.state.pointee.actor.due = 0
  }

  @_noLocks func forward(critic batch: Int) {
    eff_learn_forward(core.pointee.kernels, &core.pointee.critic, Int64(batch), core.pointee.state.pointee.critic.due)
    core.pointee.state.pointee.critic.due = 0
  }

  /// Runs the network that acts on the current state, unless its activations are there already.
  @_noLocks func forwardPolicy() {
    if core.pointee.state.pointee.isForwarded { return }
    forwardPolicy(raw: core.pointee.raw, normalized: core.pointee.current)
    core.pointee.state.pointee.isForwarded = true
  }

  @_noLocks private func forwardPolicy(raw: UnsafePointer<Double>, normalized: UnsafePointer<Double>) {
    feedPolicy(raw: raw, normalized: normalized)
    if core.pointee.hasActor { forward(actor: 1) } else { forward(critic: 1) }
  }

  @_noLocks func feedPolicy(raw: UnsafePointer<Double>, normalized: UnsafePointer<Double>) {
    feed(policyNet, raw: raw, normalized: normalized)
  }

  /// Puts an observation into a network's inputs, raw and normalized, where it reads them.
  @_noLocks func feed(_ net: eff_learn_net, raw: UnsafePointer<Double>, normalized: UnsafePointer<Double>) {
    if let to = net.raw {
      let input = Numbers(base: to, isDouble: core.pointee.settings.isDouble)
      for i in 0..<core.pointee.settings.observationCount { input[i] = raw[i] }
    }
    feed(net, normalized, row: 0)
  }

  /// Chooses an action for `observation` [observationCount] under the present weights and writes it to `out`
  /// [actionSize].
  ///
  /// The first observation after creation, or after the end of an episode, begins an episode and is counted by the
  /// statistics. In an episode the observation is the one that the last transition ended with; another one is
  /// normalized as it is, and not counted.
  /// Where the observation or the network's output is not finite the last action is repeated.
  /// - Complexity: one pass over the weights of the policy.
  @export(interface)
  @_noLocks public func act(_ observation: UnsafePointer<Double>, into out: UnsafeMutablePointer<Double>)
    -> Status
  {
    let s = core.pointee.state
    let n = core.pointee.settings.observationCount
    guard isUsable(observation, n) else { return hold(out) }
    if !s.pointee.isInEpisode {
      start(observation)
    } else if !isSame(observation) {
      observe(observation, counts: false, into: core.pointee.current)
      eff_copy(core.pointee.raw, observation, n * 8)
      s.pointee.isForwarded = false
    }
    if !s.pointee.isCommitted {
      forwardPolicy()
      guard choose() else { return hold(out) }
    }
    emit(core.pointee.action, into: out)
    return .ok
  }

  /// The action without exploration (mean, most probable or greedy), for evaluation: state, statistics and generator
  /// stay as they are.
  @export(interface)
  @_noLocks public func infer(_ observation: UnsafePointer<Double>, into out: UnsafeMutablePointer<Double>)
    -> Status
  {
    let s = core.pointee.state
    guard isUsable(observation, core.pointee.settings.observationCount) else { return hold(out) }
    let time = s.pointee.time
    observe(observation, counts: false, into: core.pointee.next)
    s.pointee.time = time
    s.pointee.isForwarded = false
    forwardPolicy(raw: observation, normalized: core.pointee.next)
    let y = policyNet.output(row: 0, isDouble: core.pointee.settings.isDouble)
    switch core.pointee.settings.algorithm {
    case .td: out[0] = core.pointee.head?.pointee.mean(y) ?? y[0]
    case .acDiscrete: out[0] = Double(greedy(y, core.pointee.settings.actionCount))
    case .q, .sarsa: out[0] = Double(best(y, stock: stock))
    case .acContinuous: for i in 0..<core.pointee.settings.actionCount { out[i] = y[i] }
    }
    guard isUsable(out, actionSize) else { return hold(out) }
    emit(out, into: out)
    return .ok
  }

  /// Numbers of an observation, and of an action as `act` writes it.
  public var sizes: (observation: Int, action: Int) { (core.pointee.settings.observationCount, actionSize) }

  var actionSize: Int {
    @_noLocks get { core.pointee.settings.algorithm.isContinuous ? core.pointee.settings.actionCount : 1 }
  }

  @_noLocks private func hold(_ out: UnsafeMutablePointer<Double>) -> Status {
    emit(core.pointee.action, into: out)
    return .numeric
  }

  @_noLocks private func isSame(_ observation: UnsafePointer<Double>) -> Bool {
    let raw = core.pointee.raw
    for i in 0..<core.pointee.settings.observationCount where raw[i] != observation[i] { return false }
    return true
  }

  /// Takes an action from the policy network's outputs into `action`; false, and no change, where they are not finite.
  @_noLocks func choose() -> Bool {
    let action = core.pointee.action
    let s = core.pointee.settings
    let scratch = core.pointee.scratch
    switch s.algorithm {
    case .td:
      let y = core.pointee.critic.output(row: 0, isDouble: s.isDouble)
      let v = core.pointee.head?.pointee.mean(y) ?? y[0]
      guard v.isFinite else { return false }
      action[0] = v
    case .acContinuous:
      let head = gaussian
      for i in 0..<s.actionCount { scratch[i] = head.mean(i) + head.std(i) * normal() }
      guard isUsable(scratch, s.actionCount) else { return false }
      for i in 0..<s.actionCount { action[i] = scratch[i] }
    case .acDiscrete:
      let head = softmax
      head.probabilities(into: scratch)
      guard isUsable(scratch, s.actionCount) else { return false }
      commit(head.choose(scratch, at: uniform()))
    case .q, .sarsa:
      let q = core.pointee.critic.output(row: 0, isDouble: s.isDouble)
      for i in 0..<s.criticOutputs where !q[i].isFinite { return false }
      commit(select(q, stock: stock))
    }
    return true
  }

  @_noLocks func commit(_ choice: Int) {
    core.pointee.state.pointee.choice = Int32(truncatingIfNeeded: choice)
    core.pointee.action[0] = Double(choice)
  }

  /// How much the learner explores in the present state: mean standard deviation, or epsilon; 0 where the actor has not
  /// been asked.
  var exploration: Double {
    @_noLocks get {
      if core.pointee.settings.algorithm.isEpsilonGreedy { return epsilon }
      guard core.pointee.settings.algorithm.isContinuous, core.pointee.state.pointee.isForwarded else { return 0 }
      let head = gaussian
      var sum = 0.0
      for i in 0..<head.count { sum += head.std(i) }
      return sum / Double(head.count)
    }
  }

  /// epsilon = max(start + (end - start) selections / steps, end)
  var epsilon: Double {
    @_noLocks get {
      let s = core.pointee.settings
      let share = Double(core.pointee.state.pointee.selections) / s.epsilonSteps
      return max(s.epsilonStart + (s.epsilonEnd - s.epsilonStart) * share, s.epsilonEnd)
    }
  }

  /// Epsilon-greedy over the critic's outputs for a state with this stock.
  @_noLocks func select(_ q: Numbers, stock: Double) -> Int {
    core.pointee.state.pointee.selections &+= 1
    let n = core.pointee.settings.actionCount
    guard uniform() < epsilon else { return best(q, stock: stock) }
    return min(Int(uniform() * Double(n)), n - 1)
  }
}
