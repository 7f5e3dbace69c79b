import Base
import Kernels
import Onnx

/// What a learner learns. All are on-line and use eligibility traces (stream-x, arXiv 2410.14606).
public enum Algorithm: Sendable {
  /// TD(lambda): predicts the return of somebody else's behaviour.
  case td
  /// Watkins Q(lambda) with an epsilon-greedy policy.
  case q
  /// SARSA(lambda) with an epsilon-greedy policy.
  case sarsa
  /// Actor-critic(lambda), independent Gaussians.
  case acContinuous
  /// Actor-critic(lambda), softmax over actions.
  case acDiscrete

  public var hasActor: Bool {
    @_noLocks get {
      switch self {
      case .acContinuous, .acDiscrete: true
      default: false
      }
    }
  }
  /// Chooses what is done.
  var acts: Bool {
    switch self {
    case .td: false
    default: true
    }
  }
  public var isContinuous: Bool {
    @_noLocks get {
      switch self {
      case .acContinuous: true
      default: false
      }
    }
  }
  public var isEpsilonGreedy: Bool {
    @_noLocks get {
      switch self {
      case .q, .sarsa: true
      default: false
      }
    }
  }
}

/// How a TD error and a trace become a step.
public enum Optimizer: Sendable {
  /// Overshooting-bounded gradient descent (arXiv 2410.14606, algorithm 3).
  case obgd
  /// ObGD over traces scaled by second moments.
  case adaptiveObGD
  /// Intentional updates (arXiv 2604.19033): the step that makes an intended change of the output.
  case intentional

  /// Keeps a second moment of every parameter.
  var hasMoments: Bool {
    @_noLocks get {
      switch self {
      case .adaptiveObGD, .intentional: true
      default: false
      }
    }
  }

  var isIntentional: Bool {
    @_noLocks get {
      switch self {
      case .intentional: true
      default: false
      }
    }
  }

  /// The kernels' code of this rule.
  var rule: Int32 {
    @_noLocks get {
      switch self {
      case .obgd: Int32(EFF_LEARN_OBGD)
      case .adaptiveObGD: Int32(EFF_LEARN_ADAPTIVE)
      case .intentional: Int32(EFF_LEARN_INTENTIONAL)
      }
    }
  }
}

/// Numbers that a learner keeps, all trivial. Filled with the defaults of the papers.
public struct LearnerSettings {
  public var algorithm = Algorithm.acContinuous
  public var optimizer = Optimizer.obgd
  /// Networks in double precision instead of single.
  public var isDouble = false
  /// Reproduces the published implementations: no bootstrap at truncation, a return trace that leaks into the next
  /// episode, a time input that starts late, SARSA's action kept over a reset. With `intentional`: truncation clears
  /// nothing.
  public var isReference = false
  public var observationCount = 0
  /// Continuous: dimensions; otherwise: number of choices. 0 for `td`.
  public var actionCount = 0

  public var gamma = 0.99
  public var lambda = 0.8
  public var stepSize = 1.0
  public var kappaValue = 2.0
  public var kappaPolicy = 3.0
  public var etaValue = 0.5
  public var etaPolicy = 0.05
  /// Of the second moments (adaptive, intentional).
  public var beta2 = 0.999
  public var momentEpsilon = 1e-8
  /// Intentional: TD errors are clipped at this multiple of their root mean square.
  public var clipMultiple = 20.0
  public var betaClip = 0.9998
  public var betaNorm = 0.9998
  /// Intentional, actor: the largest magnitude of the normalized TD error.
  public var errorCap = Double.infinity
  /// Intentional, actor: of the running mean of the trace's energy Z; 0: Z as it is.
  public var betaEnergy = 0.0
  public var entropy = 0.01

  /// What the Gaussian's standard deviation is made of.
  var stdForm = StdForm.softplus

  public var epsilonStart = 1.0
  public var epsilonEnd = 0.01
  /// Steps over which epsilon falls from start to end.
  public var epsilonSteps = 25_000.0

  public var normalizesObservations = true
  public var scalesRewards = true
  public var observationEpsilon = 1e-8
  public var rewardEpsilon = 1e-8
  /// Steps of an episode for the time input; 0: no time input.
  public var timeLimit = 0.0
  /// Of the moving average over observations; 0: none.
  public var filterBeta = 0.0
  /// Seconds of a nominal step; discount and decay of a transition are raised to the power dt / nominal. 0: every step
  /// counts one.
  public var nominalStep = 0.0
  /// Added to the standard deviation, so that exploration never dies out.
  public var stdFloor = 0.0
  /// Upper bound of the standard deviation.
  public var stdCeiling = Double.infinity
  /// Updates before the actor begins to learn.
  public var actorDelay: UInt64 = 0

  /// What the critic gives, and what is climbed.
  public var critic = CriticSettings()

  public var hidden: HiddenLayers = HiddenLayers()
  /// Recurrent trace units of described networks, before their layers; 0: none.
  public var recurrentUnits = 0

  public init() {}

  /// Numbers that the networks see: the normalized observation, then the time, then the stock.
  public var inputCount: Int {
    @_noLocks get { observationCount + (timeLimit > 0 ? 1 : 0) + (critic.hasStock ? 1 : 0) }
  }
  /// Outputs of the actor: mean and pre-softplus standard deviation of each dimension, or one preference per choice.
  public var actorOutputs: Int { @_noLocks get { algorithm.isContinuous ? 2 * actionCount : actionCount } }
  /// Outputs of the critic: those of a state, or of each choice.
  public var criticOutputs: Int {
    @_noLocks get { (algorithm.isEpsilonGreedy ? actionCount : 1) * critic.outputs }
  }
}

/// The hidden layers of a learner's networks.
public struct HiddenLayers {
  /// One of `EFF_FN_IDENTITY`, `RELU`, `TANH`, `ELU`, `LEAKY_RELU`, `SWISH`.
  public var activation = Int32(EFF_FN_LEAKY_RELU)
  public var alpha = 0.01
  public var hasLayerNorm = true
  public var layerNormEpsilon = 1e-5
  /// Share of a unit's incoming weights that start at zero, rounded up.
  public var sparsity = 0.9

  public init() {}
}

/// Everything that `create` needs to know.
public struct LearnerOptions {
  public var settings = LearnerSettings()
  /// Widths of the hidden layers; empty for 128, 128 (`td`, `acContinuous`) or 32, 32.
  public var hiddenSizes: [Int] = []
  public var seed: UInt64 = 0
  /// `EFF_ISA_...`, or -1 for the best of this processor.
  public var isa: Int32 = -1
  /// Snapshots kept for roll-back.
  public var watch = WatchSettings()
  /// nil: the raw reward is learned from.
  public var rewards: RewardOptions? = nil
  /// The actor, where it is a loaded policy.
  public private(set) var actor: LoadedNetwork? = nil
  /// The critic (q, sarsa: the values of choices), where it is loaded.
  public private(set) var critic: LoadedNetwork? = nil

  public init() {}

  /// What the caller should know of the loaded networks, a sentence each.
  public private(set) var notes: [String] = []

  /// The loaded network that acts.
  public var acting: LoadedNetwork? { settings.algorithm.hasActor ? actor : critic }

  /// Makes a loaded policy the network that acts. Counts that are 0 are those of the policy.
  @export(interface)
  public mutating func start(from policy: PolicySettings) throws(Failure) {
    guard settings.timeLimit >= 0, policy.initialStd > 0, policy.initialStd <= 1e6 else {
      throw Failure(.argument, "learner option 'initial_std' must be positive")
    }
    if case .residual(let bound) = policy.part, !(bound > 0 && bound <= 1e6) {
      throw Failure(.argument, "learner option 'residual_bound' must be positive")
    }
    if case .last(let n) = policy.part, n < 1 {
      throw Failure(.argument, "learner option 'learn_layers' must be at least 1")
    }
    let given = settings
    if settings.observationCount == 0 { settings.observationCount = policy.observationCount }
    let head = LoadedHead(of: settings.algorithm)
    if policy.features != nil, settings.actionCount == 0, settings.algorithm.isEpsilonGreedy {
      throw Failure(
        .argument, "learner option 'action_count' is 0, expected the number of choices beside 'features'")
    }
    let made = try LoadedNetwork(policy, head, settings, widths: widths, isa: level)
    settings.observationCount = made.observationCount
    if settings.algorithm != .td { settings.actionCount = made.actionCount }
    guard given.observationCount == 0 || given.observationCount == made.observationCount else {
      throw Failure(
        .mismatch,
        """
        learner option 'observation_count' is \(given.observationCount), but the policy observes \
        \(made.observationCount) numbers; leave it 0
        """
      )
    }
    guard given.actionCount == 0 || given.actionCount == made.actionCount else {
      throw Failure(
        .mismatch,
        "learner option 'action_count' is \(given.actionCount), but the policy has \(made.actionCount); leave it 0")
    }
    guard made.mean.isEmpty || settings.normalizesObservations else {
      throw Failure(
        .argument, "learner option 'normalizer_count' needs the learner's own normalization of observations")
    }
    notes += made.notes
    settings.stdForm = settings.algorithm.isContinuous ? made.heads.stdForm : .softplus
    if settings.algorithm.hasActor {
      actor = made
    } else {
      try requireRawRewards(made)
      critic = made
    }
  }

  /// Makes a loaded network the critic beside an actor.
  @export(interface)
  public mutating func judge(by given: PolicySettings) throws(Failure) {
    guard settings.algorithm.hasActor else {
      throw Failure(
        .argument,
        """
        learner option 'critic' stands beside an actor; give the network of EFF_LEARNER_Q, SARSA and TD as 'policy'
        """
      )
    }
    let made = try LoadedNetwork(given, .value, settings, widths: widths, isa: level)
    if settings.observationCount == 0 { settings.observationCount = made.observationCount }
    guard made.observationCount == settings.observationCount else {
      throw Failure(
        .mismatch,
        """
        the critic observes \(made.observationCount) numbers, but the actor \(settings.observationCount): both see \
        what the learner is given. A critic that was trained with more than the robot measures cannot go on; leave it \
        out
        """
      )
    }
    // several observations lie next to each other, in the order of the actor's
    if let actor, actor.observations.count > 1 || made.observations.count > 1,
      actor.observations.count != made.observations.count
        || !made.observations.indices.allSatisfy({ actor.observations[$0] == made.observations[$0] })
    {
      throw Failure(
        .mismatch,
        """
        the critic observes \(LearnerOptions.list(made.observations)), but the actor \
        \(LearnerOptions.list(actor.observations)): of several observations names and order must be the same
        """
      )
    }
    try requireRawRewards(made)
    critic = made
    notes += made.notes
    noteShared()
  }

  private static func list(_ names: [String]) -> String {
    var text = ""
    for name in names { text += (text.utf8.isEmpty ? "'" : ", '") + name + "'" }
    return text
  }

  /// What actor and critic have in common in one file is there twice once they learn.
  private mutating func noteShared() {
    guard let actor, let critic, actor.settings.policy.hash == critic.settings.policy.hash else { return }
    var count = 0
    for p in critic.network.plan.parameters where actor.network.plan.parameters.contains(where: { $0.name == p.name }) {
      count += 1
    }
    if count == 0 { return }
    notes.append(
      """
      actor and critic share \(count) arrays in the file: each learns a copy of its own; the exported policy has the \
      actor's, and its value is no longer the critic's
      """)
  }

  /// A network that has learned values of raw rewards cannot go on with scaled ones.
  private func requireRawRewards(_ made: LoadedNetwork) throws(Failure) {
    guard made.settings.features == nil, settings.scalesRewards else { return }
    throw Failure(
      .argument,
      """
      learner option 'no_reward_scaling' is 0, expected 1: the values of a loaded network are sums of rewards as they \
      were in its training (eff_learner_options_preset "adapted" sets it)
      """
    )
  }

  /// Instruction set of the kernels of a loaded policy.
  var level: Int32 { isa < 0 ? eff_isa_best() : isa }

  /// The widths with the default filled in.
  public var widths: [Int] {
    if !hiddenSizes.isEmpty { return hiddenSizes }
    return settings.algorithm == .td || settings.algorithm.isContinuous ? [128, 128] : [32, 32]
  }

  /// Throws `.argument` naming the first option that cannot be.
  func validate() throws(Failure) {
    let s = settings
    func require(_ condition: Bool, _ name: String, _ expected: String) throws(Failure) {
      if !condition { throw Failure(.argument, "learner option '" + name + "' must be " + expected) }
    }
    func inside(_ x: Double, _ low: Double, _ high: Double) -> Bool { x >= low && x <= high }
    try require(s.observationCount >= 1 && s.observationCount <= 1 << 20, "observation_count", "1 to 1048576")
    try require(
      s.algorithm == .td ? s.actionCount == 0 : s.actionCount >= 1 && s.actionCount <= 1 << 16, "action_count",
      "1 to 65536 (0 for td)")
    try require(s.recurrentUnits >= 0 && s.recurrentUnits <= 1 << 16, "recurrent_units", "at most 65536")
    try require(widths.count <= 16, "hidden_count", "at most 16")
    for width in widths { try require(width >= 1 && width <= 1 << 16, "hidden", "1 to 65536 wide") }
    try require(inside(s.gamma, 0, 1), "gamma", "in [0, 1]")
    try require(inside(s.lambda, 0, 1), "lambda", "in [0, 1]")
    try require(inside(s.stepSize, 1e-30, 1e30), "step_size", "positive")
    try require(inside(s.kappaValue, 1e-30, 1e30), "kappa_value", "positive")
    try require(inside(s.kappaPolicy, 1e-30, 1e30), "kappa_policy", "positive")
    try require(inside(s.etaValue, 1e-30, 1e30), "eta_value", "positive")
    try require(inside(s.etaPolicy, 1e-30, 1e30), "eta_policy", "positive")
    try require(inside(s.beta2, 0, 0x1.ffffffp-1), "beta2", "in [0, 1)")
    try require(inside(s.betaClip, 0, 0x1.ffffffffp-1), "beta_clip", "in [0, 1)")
    try require(inside(s.betaNorm, 0, 0x1.ffffffffp-1), "beta_norm", "in [0, 1)")
    try require(inside(s.momentEpsilon, 1e-30, 1), "moment_epsilon", "in (0, 1]")
    try require(inside(s.clipMultiple, 1e-30, 1e30), "clip_multiple", "positive")
    try require(s.errorCap > 0, "error_cap", "positive, or 0 for none")
    try require(inside(s.betaEnergy, 0, 0x1.ffffffffp-1), "beta_energy", "in [0, 1)")
    try require(inside(s.entropy, 0, 1e30), "entropy", "not negative")
    try require(inside(s.epsilonStart, 0, 1) && inside(s.epsilonEnd, 0, 1), "epsilon", "in [0, 1]")
    try require(inside(s.epsilonSteps, 1e-30, 1e30), "epsilon_steps", "positive")
    try require(inside(s.timeLimit, 0, 1e15), "time_limit", "not negative")
    try require(inside(s.filterBeta, 0, 0x1.ffffffffp-1), "filter_beta", "in [0, 1)")
    try require(inside(s.nominalStep, 0, 1e9), "nominal_step", "not negative")
    try require(inside(s.stdFloor, 0, 1e30), "std_floor", "not negative")
    try require(s.stdCeiling > s.stdFloor, "std_ceiling", "above std_floor")
    try require(inside(s.hidden.sparsity, 0, 1), "sparsity", "in [0, 1]")
    try require(inside(s.hidden.layerNormEpsilon, 1e-30, 1), "layer_norm_epsilon", "in (0, 1]")
    try require(s.hidden.alpha.isFinite, "activation_alpha", "finite")
    try s.critic.validate(s)
    try require(critic == nil || s.critic.kind.isMean, "critic_kind", "0 (EFF_CRITIC_MEAN) for a critic from a file")
    try watch.validate()
    try rewards?.validate(s)
    try require(s.algorithm.hasActor || watch.changeLimit == 0, "change_limit", "0 for an algorithm without an actor")
  }
}
