import Base
import Kernels
import Platform

/// One step of an environment, after `act`.
public struct Transition {
  /// Raw observation that the step led to [observationCount]. Also where the episode ends.
  public var observation: UnsafePointer<Double>
  public var reward: Double
  /// Ended for good: no return can follow.
  public var isTerminated: Bool
  /// Broken off (time limit): the return that would have followed is estimated by the critic.
  public var isTruncated: Bool
  /// What was done [actionSize], where it differs from what `act` chose.
  public var action: UnsafePointer<Double>?
  /// SARSA: the choice [1] that somebody else makes next; nil: the learner chooses.
  public var nextAction: UnsafePointer<Double>?
  /// Measured duration of the step in seconds; 0: nominal.
  public var duration: Double

  @_noLocks public init(
    observation: UnsafePointer<Double>, reward: Double, isTerminated: Bool = false, isTruncated: Bool = false,
    action: UnsafePointer<Double>? = nil, nextAction: UnsafePointer<Double>? = nil, duration: Double = 0
  ) {
    self.observation = observation
    self.reward = reward
    self.isTerminated = isTerminated
    self.isTruncated = isTruncated
    self.action = action
    self.nextAction = nextAction
    self.duration = duration
  }
}

/// What one update did to one network.
public struct NetworkReport {
  /// Sum of |e / s| over all parameters before a reset: the trace's L1 norm (s = 1 for ObGD).
  public var traceNorm = 0.0
  /// ObGD: the effective step-size bound M.
  public var bound = 0.0
  public var stepSize = 0.0
  /// TD error after clipping and normalization (equal to the TD error for ObGD).
  public var deltaUsed = 0.0
  /// Weights moved.
  public var isChanged = false

  @_noLocks public init() {}
}

/// What one update saw and did.
public struct UpdateReport {
  public var tdError = 0.0
  /// Critic's estimate for s (of the action taken), and for s' as bootstrapped, under the weights before the update.
  public var value = 0.0
  public var nextValue = 0.0
  /// Reward after scaling, and what it was made of before.
  public var reward = 0.0
  public var shares = RewardShares()
  /// Mean standard deviation of the policy (acContinuous), or epsilon (q, sarsa), whether or not it learns.
  public var exploration = 0.0
  /// Standard deviation and CVaR of the critic's distribution for s; 0 where it gives none.
  public var valueSpread = 0.0
  public var valueTail = 0.0
  /// The TD error of what is climbed: `tdError`, or its counterpart of the risk measure.
  public var riskError = 0.0
  /// Of s; 0 where there is none.
  public var stock = 0.0
  public var actor = NetworkReport()
  public var critic = NetworkReport()
  public var isTraceReset = false
  public var reason = UpdateReason.learned
  /// Every number was finite.
  public var isSound = true

  @_noLocks public init() {}
}

/// Why an update did what it did; `code` is that of the C header.
public enum UpdateReason: Sendable {
  case learned, frozen, badInput, badUpdate, drift, rolledBack, change

  public var code: Int32 {
    @_noLocks get {
      switch self {
      case .learned: 0
      case .frozen: 1
      case .badInput: 2
      case .badUpdate: 3
      case .drift: 4
      case .rolledBack: 5
      case .change: 6
      }
    }
  }
}

extension LearnerHandle {
  /// Learns from the transition that followed the last `act`. On return the learner is in the transition's state, or
  /// before a new episode.
  ///
  /// With s, a, r', s' normalized and all values under the weights before the update (arXiv 2410.14606):
  /// delta = r' + discount N - P; P = v(s), N = v(s') (TD, AC); P = q(s)[a], N = max q(s') (Q) or q(s')[a'] (SARSA); N
  /// = 0 at termination.
  /// The critic's loss is -P, the actor's -(log pi(a|s) + beta sign(delta) H(s)). Of a critic that gives a distribution
  /// P and N are means; CriticHead has its loss.
  /// - Complexity: with ObGD, `act` and `update` together read weights and traces twice and write them once: the
  ///   forward pass makes the update that is due as it reads (w r, e r, w w), the backward pass brings the trace up to
  ///   date (w r, e r, e w). With moments: one more pass over all three.
  @export(interface)
  @_noLocks public func update(_ t: Transition, _ report: UnsafeMutablePointer<UpdateReport>) -> Status {
    let state = core.pointee.state
    let s = core.pointee.settings
    guard state.pointee.isInEpisode else { return .state }
    let ends = t.isTerminated || t.isTruncated
    report.pointee = UpdateReport()
    guard t.reward.magnitude <= 1e100, t.duration.isFinite, t.duration >= 0,
      isUsable(t.observation, s.observationCount), isChoice(t.nextAction), adopt(t.action)
    else {
      return skip(ends: ends, report)
    }
    let elapsed = s.nominalStep > 0 && t.duration > 0 ? t.duration / s.nominalStep : 1
    let discount = elapsed == 1 ? s.gamma : eff_learn_pow(s.gamma, elapsed)
    let isIntentionalReference = s.isReference && s.optimizer.isIntentional
    let cutsTrace = isIntentionalReference ? t.isTerminated : ends
    let bootstraps = s.isReference && !isIntentionalReference ? !ends : !t.isTerminated
    guard appraise(t, discount: discount, bootstraps: bootstraps, &report.pointee.shares) else {
      return skip(ends: ends, report)
    }
    state.pointee.counters.updates &+= 1
    // recurrent state goes on from the weights that acted, also where nobody asked for an action
    if core.pointee.loaded != nil { forwardPolicy() }

    observeNext(t.observation, into: core.pointee.next)
    let earned = complete(&report.pointee.shares, elapsed: elapsed)
    // a bonus that is not finite must not reach the statistics
    let reward = earned.isFinite ? scale(reward: earned, discount: discount, ends: cutsTrace) : .nan

    let nextStock = nextStock(reward: reward, discount: discount)
    writeStock(nextStock, into: core.pointee.next)
    let (here, there) = forwardCritic(next: t.observation)
    let choice = Int(state.pointee.choice)
    var nextChoice = 0
    var isOffPolicy = false
    var isOnPolicy = false
    switch s.algorithm {
    case .q:
      nextChoice = best(there, stock: nextStock)
      isOffPolicy = choice != best(here, stock: stock)
    case .sarsa:
      if let given = t.nextAction {
        nextChoice = Int(given.pointee)
      } else {
        nextChoice = select(there, stock: nextStock)
      }
      isOnPolicy = true
    default: break
    }
    let slot = s.algorithm.isEpsilonGreedy ? choice : 0
    var out = Outcome()
    if let head = core.pointee.head {
      out = compare(
        head, here: here, there: there, slot: slot, nextSlot: nextChoice, reward: reward,
        discount: bootstraps ? discount : 0, report)
    } else {
      let p = here[slot]
      let n = there[nextChoice]
      out.delta = reward + (bootstraps ? discount * n : 0) - p
      out.actorDelta = out.delta
      report.pointee.value = p
      report.pointee.nextValue = n
      report.pointee.riskError = out.delta
    }
    let delta = out.delta
    report.pointee.tdError = delta
    report.pointee.reward = reward

    if delta.isFinite && out.actorDelta.isFinite {
      learn(out, slot: slot, report)
    } else {
      fail(report)
    }
    core.pointee.head?.pointee.state.pointee.stock = nextStock
    let resets = cutsTrace || (isOffPolicy)
    if resets { clearTraces() }
    report.pointee.isTraceReset = resets

    state.pointee.decay = discount * (elapsed == 1 ? s.lambda : eff_learn_pow(s.lambda, elapsed))
    if isOnPolicy {
      commit(nextChoice)
      state.pointee.isCommitted = !ends || s.isReference
    }
    report.pointee.exploration = exploration
    if report.pointee.isSound { countDormant() }
    advance(t, ends: ends, report)
    if report.pointee.isSound { watchError(delta, report) }
    measureChange()
    return delta.isFinite && out.actorDelta.isFinite && report.pointee.isSound ? .ok : .numeric
  }

  @_noLocks private func isChoice(_ x: UnsafePointer<Double>?) -> Bool {
    guard let x else { return true }
    return x.pointee >= 0 && x.pointee < Double(core.pointee.settings.actionCount)
  }

  /// Takes over the action that was really done; false where it is not one.
  @_noLocks private func adopt(_ done: UnsafePointer<Double>?) -> Bool {
    guard let done else { return true }
    let s = core.pointee.settings
    switch s.algorithm {
    case .td: break
    case .acContinuous:
      guard isUsable(done, s.actionCount) else { return false }
      takeBack(done)
    case .q, .sarsa, .acDiscrete:
      guard isChoice(done) else { return false }
      commit(Int(done[0]))
    }
    return true
  }

  /// Moves to s', or to the end of the episode.
  @_noLocks private func advance(_ t: Transition, ends: Bool, _ report: UnsafeMutablePointer<UpdateReport>) {
    let state = core.pointee.state
    let s = core.pointee.settings
    carryHidden()
    eff_copy(core.pointee.current, core.pointee.next, s.inputCount * 8)
    eff_copy(core.pointee.raw, t.observation, s.observationCount * 8)
    state.pointee.isForwarded = false
    watch(reward: report.pointee.shares.task, ends: ends, report)
    if ends { finish() }
  }

  /// Ends the episode.
  @_noLocks private func finish() {
    let state = core.pointee.state
    state.pointee.isInEpisode = false
    state.pointee.counters.episodes &+= 1
    state.pointee.filterCount = 0
    // who asks for an action before the next episode has begun is at its beginning
    clearHidden()
    eff_zero(core.pointee.filter, core.pointee.settings.observationCount * 8)
  }

  /// Ends the episode without an outcome, where there is one: the next observation begins another.
  @export(interface)
  @_noLocks public func breakOff() {
    let state = core.pointee.state
    if !state.pointee.isInEpisode { return }
    state.pointee.watch.episodeReturn = 0
    state.pointee.watch.length = 0
    breakChain()
    finish()
  }

  /// Breaks an episode off without a last transition: traces are cleared, and an episode begins with the next
  /// observation. Nothing is counted.
  @export(interface)
  @_noLocks public func abandon() {
    let state = core.pointee.state
    if !state.pointee.isInEpisode { return }
    breakChain()
    state.pointee.isInEpisode = false
  }

  /// What comes next has nothing to do with what was: nothing is traced and no action waits for its outcome.
  @_noLocks private func breakChain() {
    core.pointee.state.pointee.isCommitted = false
    core.pointee.state.pointee.returnTrace = 0
    clearTraces()
  }

  /// A transition that cannot be used: the chain of states is broken, so traces are cleared and an episode begins with
  /// the next observation.
  @_noLocks private func skip(ends: Bool, _ report: UnsafeMutablePointer<UpdateReport>) -> Status {
    let state = core.pointee.state
    state.pointee.counters.badInputs &+= 1
    breakChain()
    report.pointee.reason = .badInput
    report.pointee.isTraceReset = true
    if ends { finish() } else { state.pointee.isInEpisode = false }
    return .numeric
  }
}
