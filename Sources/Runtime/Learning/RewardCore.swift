import Base
import Kernels

/// What each stage of the pipeline added to a reward.
public struct RewardShares {
  public var raw = 0.0
  public var network = 0.0
  public var shaping = 0.0
  public var bonus = 0.0
  /// What clipping added or took away.
  public var clip = 0.0
  /// The sum, before reward scaling.
  public var total = 0.0

  @_noLocks public init() {}

  /// The reward of the task: what guards watch.
  var task: Double { @_noLocks get { raw + network } }
}

/// What a learner remembers of its rewards; part of the checkpoint where there is a pipeline.
struct RewardState {
  /// Updates in the running means.
  var count: UInt64 = 0
  /// Running means of the shares' magnitudes over about 1000 updates.
  var sizes = RewardShares()
  /// Errors in the statistics of the bonus, which are the steps of its predictor, and their discounted sum.
  var errorCount: UInt64 = 0
  var errorTrace = 0.0

  @_noLocks init() {}

  mutating func list(_ list: inout FieldList) {
    list.add("count", &count)
    list.add("sizes.raw", &sizes.raw)
    list.add("sizes.network", &sizes.network)
    list.add("sizes.shaping", &sizes.shaping)
    list.add("sizes.bonus", &sizes.bonus)
    list.add("sizes.clip", &sizes.clip)
    list.add("sizes.total", &sizes.total)
    list.add("errorCount", &errorCount)
    list.add("errorTrace", &errorTrace)
  }

  /// Takes the shares of an update into the running means.
  @_noLocks mutating func add(_ s: RewardShares) {
    count &+= 1
    let rate = max(0.001, 1 / Double(count))
    sizes.raw += rate * (s.raw.magnitude - sizes.raw)
    sizes.network += rate * (s.network.magnitude - sizes.network)
    sizes.shaping += rate * (s.shaping.magnitude - sizes.shaping)
    sizes.bonus += rate * (s.bonus.magnitude - sizes.bonus)
    sizes.clip += rate * (s.clip.magnitude - sizes.clip)
    sizes.total += rate * (s.total.magnitude - sizes.total)
  }
}

/// Memory of an input or output of a loaded network; `base` is nil where there is none.
struct RewardPort {
  var base: UnsafeMutableRawPointer? = nil
  var type: Int32 = 0
  var width = 0
  var count = 0

  init() {}

  init(_ base: UnsafeMutableRawPointer?, _ port: PlanPort) {
    self.base = base
    (type, width) = (port.type.rawValue, port.type.size)
    count = port.size / port.type.size
  }

  /// Writes x [count] to row `row`.
  @_noLocks func write(_ x: UnsafePointer<Double>, row: Int = 0) {
    guard let base else { return }
    for i in 0..<count { storeElement(base + (row * count + i) * width, type, x[i]) }
  }

  /// Writes a choice: its index, or one-hot.
  @_noLocks func write(choice: Int) {
    guard let base else { return }
    if count == 1 { return storeElement(base, type, Double(choice)) }
    for i in 0..<count { storeElement(base + i * width, type, i == choice ? 1 : 0) }
  }

  /// The one number of row `row`.
  @_noLocks func number(row: Int = 0) -> Double {
    guard let base else { return .nan }
    return loadElement(base + row * width, type)
  }
}

/// A loaded network of the pipeline, in the learner's arena.
struct RewardNetworkCore {
  var session: UnsafeMutablePointer<SessionCore>
  var observation: RewardPort
  var action: RewardPort
  var next: RewardPort
  var output: RewardPort

  @_noLocks func run(_ rows: Int) { _ = SessionHandle(core: session).run(rows) }
}

/// The pipeline of a learner's rewards, in its arena.
struct RewardCore {
  var network: RewardNetworkCore?
  var isReplacing: Bool
  var networkWeight: Double
  var potential: RewardNetworkCore?
  /// nil: phi has no linear part.
  var potentialLinear: UnsafeMutablePointer<Double>?
  var potentialBias: Double
  var potentialScale: Double
  var bonus: BonusCore?
  var clip: Double
  /// Of the action as it leaves the learner [actionCount].
  var action: UnsafeMutablePointer<Double>
  var state: UnsafeMutablePointer<RewardState>

  var isShaped: Bool { @_noLocks get { potential != nil || potentialLinear != nil } }
}

extension LearnerHandle {
  /// The shares that follow from the transition alone: raw, network and shaping, before any of it is counted. false
  /// where one is not finite.
  ///
  /// - Parameter bootstraps: a return can follow s'; else phi(s') is 0, so that no behaviour gains by ending
  @_noLocks func appraise(
    _ t: Transition, discount: Double, bootstraps: Bool, _ shares: UnsafeMutablePointer<RewardShares>
  ) -> Bool {
    shares.pointee.raw = t.reward
    guard let rewards = core.pointee.rewards else { return true }
    if let network = rewards.pointee.network {
      network.observation.write(core.pointee.raw)
      network.next.write(t.observation)
      if core.pointee.settings.algorithm.isContinuous {
        if let done = t.action {
          network.action.write(done)
        } else {
          emit(core.pointee.action, into: rewards.pointee.action)
          network.action.write(rewards.pointee.action)
        }
      } else {
        network.action.write(choice: Int(core.pointee.state.pointee.choice))
      }
      network.run(1)
      shares.pointee.network = rewards.pointee.networkWeight * network.output.number()
      if rewards.pointee.isReplacing { shares.pointee.raw = 0 }
    }
    if rewards.pointee.isShaped {
      if let network = rewards.pointee.potential {
        network.observation.write(core.pointee.raw)
        network.observation.write(t.observation, row: 1)
        network.run(2)
      }
      let here = potential(rewards, core.pointee.raw, row: 0)
      let there = potential(rewards, t.observation, row: 1)
      // also where it is not used: a potential that is not finite is told
      let following = bootstraps || !(there.magnitude <= 1e100) ? discount * there : 0
      shares.pointee.shaping = rewards.pointee.potentialScale * (following - here)
    }
    return shares.pointee.network.magnitude <= 1e100 && shares.pointee.shaping.magnitude <= 1e100
  }

  /// phi of an observation that is in row `row` of the network.
  @_noLocks private func potential(
    _ rewards: UnsafeMutablePointer<RewardCore>, _ x: UnsafePointer<Double>, row: Int
  ) -> Double {
    var sum = rewards.pointee.potentialBias
    if let network = rewards.pointee.potential { sum += network.output.number(row: row) }
    if let linear = rewards.pointee.potentialLinear {
      for i in 0..<core.pointee.settings.observationCount { sum += linear[i] * x[i] }
    }
    return sum
  }

  /// The reward that is learned from: adds bonus and clip to the shares, once s' has been observed.
  @_noLocks func complete(_ shares: UnsafeMutablePointer<RewardShares>, elapsed: Double) -> Double {
    shares.pointee.total = shares.pointee.raw
    guard let rewards = core.pointee.rewards else { return shares.pointee.raw }
    if rewards.pointee.bonus != nil { shares.pointee.bonus = bonus(rewards, elapsed: elapsed) }
    let sum = shares.pointee.raw + shares.pointee.network + shares.pointee.shaping + shares.pointee.bonus
    let limit = rewards.pointee.clip
    shares.pointee.total = limit > 0 ? min(max(sum, -limit), limit) : sum
    shares.pointee.clip = shares.pointee.total - sum
    if sum.isFinite { rewards.pointee.state.pointee.add(shares.pointee) } else { return .nan }
    return shares.pointee.total
  }
}
