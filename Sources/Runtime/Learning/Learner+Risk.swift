import Base
import Kernels
import Platform

/// What a critic that gives a distribution makes of a transition.
struct Outcome {
  /// Of the mean.
  var delta = 0.0
  /// Of what the actor climbs.
  var actorDelta = 0.0

  @_noLocks init() {}
}

extension LearnerHandle {
  /// The choice that is best by what is climbed, first of equals. Choices that fall short of the threshold alike, as
  /// all do that never fall short of it, are told apart by their mean.
  /// - Parameters:
  ///   - y: outputs of the critic [actionCount], or [actionCount, size]
  ///   - stock: of the state
  @_noLocks func best(_ y: Numbers, stock: Double) -> Int {
    let n = core.pointee.settings.actionCount
    guard let head = core.pointee.head else { return greedy(y, n) }
    let s = head.pointee.settings
    let d = head.pointee.other
    let risk = risk
    var best = 0
    var (bestScore, bestMean) = (-Double.infinity, -Double.infinity)
    for a in 0..<n {
      head.pointee.read(y.advanced(by: a * s.size), into: d)
      let mean = d.mean
      let score =
        switch s.risk {
        case .none: mean
        case .cvar: s.hasStock ? d.shortfall(-stock) : d.tailMean(risk.level)
        case .spread: mean - risk.weight * d.spread
        }
      if score > bestScore || score == bestScore && mean > bestMean { (best, bestScore, bestMean) = (a, score, mean) }
    }
    return best
  }

  /// Level and weight of the risk measure, as they are now.
  var risk: (level: Double, weight: Double) {
    @_noLocks get {
      let s = core.pointee.settings.critic
      let updates = core.pointee.state.pointee.counters.updates
      guard updates < s.warmup else { return (s.level, s.weight) }
      let share = Double(updates) / Double(s.warmup)
      return (1 + (s.level - 1) * share, s.weight * share)
    }
  }

  /// The stock of the present state; 0 where there is none.
  var stock: Double { @_noLocks get { core.pointee.head?.pointee.state.pointee.stock ?? 0 } }

  /// The stock after a step: c' = (c + r') / gamma.
  @_noLocks func nextStock(reward: Double, discount: Double) -> Double {
    guard core.pointee.settings.critic.hasStock else { return 0 }
    let c = (stock + reward) / discount
    return c.isNaN ? 0 : min(max(c, -1e6), 1e6)
  }

  /// Writes the stock into a network's input [inputCount].
  @_noLocks func writeStock(_ c: Double, into y: UnsafeMutablePointer<Double>) {
    guard core.pointee.settings.critic.hasStock else { return }
    y[core.pointee.settings.inputCount - 1] = min(max(c, -5), 5)
  }

  /// Begins an episode with a threshold b: the best of 16 over the range of the critic's distribution for the first
  /// state, by b + E min(Z - b, 0) / level, or any in that range.
  /// - Complexity: 17 passes over the critic.
  @_noLocks func startStock() {
    guard core.pointee.settings.critic.hasStock, let head = core.pointee.head else { return }
    let state = head.pointee.state
    let d = head.pointee.other
    let level = risk.level
    readStart(threshold: state.pointee.threshold, head)
    let (low, high) = (d.values[0], d.values[d.count - 1])
    guard max(abs(low), abs(high)) <= 1e6 else { return }
    let isFixed = core.pointee.state.pointee.freeze.policy(hasActor: core.pointee.hasActor)
    let exploration = core.pointee.settings.critic.stockExploration
    if exploration > 0 && !isFixed && uniform() < exploration {
      return setThreshold(low + (high - low) * uniform(), state)
    }
    var (best, bestScore) = (low, -Double.infinity)
    for i in 0..<16 {
      let b = low + (high - low) * (Double(i) + 0.5) / 16
      readStart(threshold: b, head)
      let score = b + d.shortfall(b) / level
      if score > bestScore { (best, bestScore) = (b, score) }
    }
    setThreshold(best, state)
  }

  /// Reads into `other` the distribution of the present state for an episode that begins with this threshold; of the
  /// best choice where there are choices.
  @_noLocks private func readStart(threshold: Double, _ head: UnsafeMutablePointer<CriticHead>) {
    let s = core.pointee.settings
    setThreshold(threshold, head.pointee.state)
    feed(core.pointee.critic, core.pointee.current, row: 0)
    forward(critic: 1)
    let y = core.pointee.critic.output(row: 0, isDouble: s.isDouble)
    let slot = s.algorithm.isEpsilonGreedy ? best(y, stock: stock) : 0
    head.pointee.read(y.advanced(by: slot * s.critic.size), into: head.pointee.other)
  }

  @_noLocks private func setThreshold(_ b: Double, _ state: UnsafeMutablePointer<CriticState>) {
    (state.pointee.threshold, state.pointee.stock) = (b, -b)
    writeStock(-b, into: core.pointee.current)
  }

  /// TD errors of a transition, and the critic's errors for `learn`. The outputs are those of s and s'; the discount is
  /// 0 where nothing follows.
  ///
  /// What the actor climbs has the TD error of the measure's influence function, whose mean is 0 where the critic is
  /// right. With Z = Z(s), Y = r' + gamma Z(s'):
  /// - CVaR: (E min(Y - b, 0) - E min(Z - b, 0)) / level, b the quantile of Z at the level, or with a stock b = -c
  /// - mean minus spread: E Y - E Z - weight (E (Y - m)^2 - E (Z - m)^2) / (2 sigma), m and sigma of Z
  @_noLocks func compare(
    _ head: UnsafeMutablePointer<CriticHead>, here: Numbers, there: Numbers, slot: Int, nextSlot: Int, reward: Double,
    discount: Double, _ report: UnsafeMutablePointer<UpdateReport>
  ) -> Outcome {
    let s = head.pointee.settings
    let (z, next) = (head.pointee.here, head.pointee.next)
    let y = here.advanced(by: slot * s.size)
    head.pointee.read(y, into: z)
    head.pointee.read(there.advanced(by: nextSlot * s.size), into: next)
    report.pointee.value = z.mean
    report.pointee.nextValue = next.mean
    if discount == 0 {
      // what the critic says of a state that nothing follows has no part in the target
      for k in 0..<s.size { (next.values[k], next.probabilities[k]) = (0, 1 / Double(s.size)) }
    }
    var out = Outcome()
    out.delta = reward + discount * next.mean - report.pointee.value
    let spread = z.spread
    if s.kind.isDistribution {
      report.pointee.valueSpread = spread
      report.pointee.valueTail = z.tailMean(s.level)
    }
    switch s.risk {
    case .none: out.actorDelta = out.delta
    case .cvar:
      let level = risk.level
      let b = s.hasStock ? -stock : z.quantile(level)
      out.actorDelta = (next.shortfall(b, reward: reward, discount: discount) - z.shortfall(b)) / level
    case .spread:
      let m = report.pointee.value
      let change = next.square(around: m, reward: reward, discount: discount) - spread * spread
      out.actorDelta = out.delta - risk.weight * change / (2 * max(spread, 0.01))
    }
    report.pointee.riskError = out.actorDelta
    report.pointee.stock = stock
    head.pointee.findErrors(y, reward: reward, discount: discount)
    return out
  }

  /// The distribution of returns that the critic gives for `observation` [observationCount]: `values` in ascending
  /// order and, unless nil, `probabilities` [size]. Of a choice where there are choices. Learns and counts nothing.
  @export(interface)
  @_noLocks public func returns(
    _ observation: UnsafePointer<Double>, choice: Int, into values: UnsafeMutablePointer<Double>,
    _ probabilities: UnsafeMutablePointer<Double>?, count: Int
  ) -> Status {
    let s = core.pointee.settings
    guard let head = core.pointee.head, s.critic.kind.isDistribution else { return .state }
    let choices = s.algorithm.isEpsilonGreedy ? s.actionCount : 1
    guard count == s.critic.size, choice >= 0, choice < choices else { return .argument }
    guard isUsable(observation, s.observationCount) else { return .numeric }
    observe(observation, counts: false, into: core.pointee.next)
    feed(core.pointee.critic, core.pointee.next, row: 0)
    forward(critic: 1)
    // where the critic acts, its activations are no longer those of the present state
    core.pointee.state.pointee.isForwarded = false
    let y = core.pointee.critic.output(row: 0, isDouble: s.isDouble)
    head.pointee.read(y.advanced(by: choice * s.critic.size), into: head.pointee.other)
    guard head.pointee.other.mean.isFinite else { return .numeric }
    eff_copy(values, head.pointee.other.values, count * 8)
    if let probabilities { eff_copy(probabilities, head.pointee.other.probabilities, count * 8) }
    return .ok
  }
}
