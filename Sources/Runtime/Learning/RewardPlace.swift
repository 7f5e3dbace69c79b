import Base
import Kernels
import Platform

/// What a learner owns for its rewards besides memory.
final class RewardOwner {
  let sessions: [Session]
  let predictor: [LearnedParameter]
  let target: [LearnedParameter]

  init(sessions: [Session], predictor: [LearnedParameter], target: [LearnedParameter]) {
    (self.sessions, self.predictor, self.target) = (sessions, predictor, target)
  }
}

/// The pieces of a learner's arena that its rewards take.
struct RewardPlace {
  private let options: RewardOptions
  private let settings: LearnerSettings
  let core: UnsafeMutablePointer<RewardCore>
  private let linear: UnsafeMutablePointer<Double>
  private let action: UnsafeMutablePointer<Double>
  private var network: RewardNetworkCore? = nil
  private var potential: RewardNetworkCore? = nil
  private var sessions: [Session] = []
  private var predictor: NetworkPlace? = nil
  private var target: NetworkPlace? = nil
  /// Gradients of the predictor's weights.
  private var gradients: UnsafeMutableRawPointer
  /// What is saved with the learner's state.
  private(set) var state: UnsafeMutablePointer<RewardState>
  private var errors: RunningStatistics
  private var weights: (predictor: UnsafeMutableRawPointer, target: UnsafeMutableRawPointer)
  private var moments: UnsafeMutableRawPointer

  init(_ o: RewardOptions, _ s: LearnerSettings, _ cursor: inout ArenaCursor) throws(Failure) {
    (options, settings) = (o, s)
    core = try cursor.table(1, of: RewardCore.self)
    linear = try cursor.doubles(o.potentialLinear.count)
    action = try cursor.doubles(s.actionCount)
    gradients = UnsafeMutableRawPointer(action)
    (weights, moments) = ((gradients, gradients), gradients)
    state = UnsafeMutableRawPointer(core).assumingMemoryBound(to: RewardState.self)
    errors = RunningStatistics(mean: action, m2: action, size: 0)
    if let policy = o.network {
      network = try RewardPlace.place(try RewardNetwork(policy, o, s), rows: 1, &cursor, &sessions)
    }
    if let policy = o.potential {
      potential = try RewardPlace.place(try RewardNetwork(potential: policy, s), rows: 2, &cursor, &sessions)
    }
    if o.bonus.weight > 0 {
      let own = o.bonus.settings(s)
      let described = try Network.described(own, o.bonusWidths, outputs: o.bonus.features, rows: 1)
      predictor = try NetworkPlace(described, &cursor)
      target = try NetworkPlace(described, &cursor)
      gradients = try cursor.take(described.plan.count * (s.isDouble ? 8 : 4))
    }
  }

  /// A session of the network in the learner's arena.
  private static func place(
    _ network: RewardNetwork, rows: Int, _ cursor: inout ArenaCursor, _ sessions: inout [Session]
  ) throws(Failure) -> RewardNetworkCore? {
    let size = try Session.arenaSize(network.policy, rows: rows)
    let memory = try cursor.take(size)
    if cursor.isMeasuring { return nil }
    var o = SessionOptions()
    (o.maxRows, o.arena, o.nonFinite) = (rows, (memory, size), .pass)
    let session = try Session(network.policy, o)
    sessions.append(session)
    let plan = network.policy.plan
    func input(_ i: Int) -> RewardPort {
      i < 0 ? RewardPort() : RewardPort(session.handle.input(i), plan.inputs[i])
    }
    return RewardNetworkCore(
      session: session.core, observation: input(network.observation), action: input(network.action),
      next: input(network.next), output: RewardPort(session.handle.output(network.output), plan.outputs[network.output])
    )
  }

  /// What is saved with the learner's state.
  mutating func takeKept(_ cursor: inout ArenaCursor) throws(Failure) {
    state = try cursor.table(1, of: RewardState.self)
    guard let predictor, let target else { return }
    let width = settings.isDouble ? 8 : 4
    errors = RunningStatistics(mean: try cursor.doubles(1), m2: try cursor.doubles(1), size: 1)
    weights = (try cursor.take(predictor.count * width), try cursor.take(target.count * width))
    moments = try cursor.take(predictor.count * width)
  }

  /// Writes the pipeline.
  func bind(_ kernels: PlanKernels) throws(Failure) {
    for (i, x) in options.potentialLinear.enumerated() { linear[i] = x }
    state.initialize(to: RewardState())
    var bonus: BonusCore? = nil
    if let predictor, let target {
      let adam = PlanKernels(table: kernels.table, rule: Int32(EFF_LEARN_ADAPTIVE), isa: kernels.isa)
      // the target is never passed backward
      bonus = BonusCore(
        target: try target.bind(w: weights.target, e: gradients, v: nil, adam),
        predictor: try predictor.bind(w: weights.predictor, e: gradients, v: moments, adam), errors: errors,
        settings: options.bonus)
    }
    core.initialize(
      to: RewardCore(
        network: network, isReplacing: options.isReplacing ?? false, networkWeight: options.networkWeight,
        potential: potential, potentialLinear: options.potentialLinear.isEmpty ? nil : linear,
        potentialBias: options.potentialBias, potentialScale: options.potentialScale, bonus: bonus, clip: options.clip,
        action: action, state: state))
  }

  var owner: RewardOwner {
    let parameters = predictor?.network.plan.parameters ?? []
    return RewardOwner(sessions: sessions, predictor: parameters, target: parameters)
  }
}

extension LearnerHandle {
  /// Initial weights of the bonus: uniform(-1/sqrt(in), 1/sqrt(in)) for weights and biases alike, by a generator of
  /// their own.
  func beginBonus(seed: UInt64) {
    guard let bonus = core.pointee.rewards?.pointee.bonus, let owner = networks.rewards else { return }
    var generator = Generator(seed: seed ^ 0x6E6F_7665_6C74_7921)
    func fill(_ net: eff_learn_net, _ parameters: [LearnedParameter]) {
      let w = Numbers(base: net.w, isDouble: core.pointee.settings.isDouble)
      var bound = 1.0
      for p in parameters {
        if case .fresh(let n) = p.initial { bound = 1 / Double(n).squareRoot() }
        for k in 0..<p.count { w[p.place(k)] = (2 * generator.uniform() - 1) * bound }
      }
    }
    fill(bonus.target, owner.target)
    fill(bonus.predictor, owner.predictor)
  }

  /// The fields of a checkpoint that there are with a pipeline.
  func listRewards(_ list: inout FieldList, _ number: StaticString) {
    guard let rewards = core.pointee.rewards else { return }
    list.prefix = "rewards."
    rewards.pointee.state.pointee.list(&list)
    guard let bonus = rewards.pointee.bonus else { return }
    list.add("errors.mean", "f64", bonus.errors.mean)
    list.add("errors.m2", "f64", bonus.errors.m2)
    list.add("predictor.w", number, bonus.predictor.w)
    list.add("target.w", number, bonus.target.w)
    list.add("predictor.v", number, bonus.predictor.v)
  }
}
