import Base
import Graph
import Onnx

/// What a learner learns from, made of the raw reward in this order: network, shaping, bonus, clip. Each is off until
/// it is asked for.
public struct RewardOptions {
  /// Whether the network's number is added to the raw reward or replaces it; nil: the caller has not said.
  public var isReplacing: Bool? = nil
  public var network: Policy? = nil
  public var networkWeight = 1.0
  /// Names of the network's inputs and output; nil: by the rule in reward.h.
  public var observationName: String? = nil
  public var actionName: String? = nil
  public var nextName: String? = nil
  public var outputName: String? = nil

  public var potential: Policy? = nil
  /// [observationCount], or empty.
  public var potentialLinear: [Double] = []
  public var potentialBias = 0.0
  public var potentialScale = 1.0

  public var bonus = BonusSettings()
  /// Widths of the hidden layers of the bonus; empty for 64.
  public var bonusHidden: [Int] = []
  /// 0: none.
  public var clip = 0.0

  public init() {}

  var isShaped: Bool { potential != nil || !potentialLinear.isEmpty }
  var bonusWidths: [Int] { bonusHidden.isEmpty ? [64] : bonusHidden }

  /// Throws `.argument` naming the first option that cannot be.
  func validate(_ s: LearnerSettings) throws(Failure) {
    func require(_ condition: Bool, _ name: String, _ expected: String) throws(Failure) {
      if !condition { throw Failure(.argument, "reward option '" + name + "' must be " + expected) }
    }
    try require(
      network == nil || isReplacing != nil, "network_mode", "EFF_REWARD_ADD or EFF_REWARD_REPLACE with a network")
    try require(networkWeight.magnitude <= 1e30, "network_weight", "finite")
    guard potentialLinear.isEmpty || potentialLinear.count == s.observationCount else {
      throw Failure(
        .argument,
        """
        reward option 'potential_linear' has \(potentialLinear.count) numbers, expected \(s.observationCount), as the \
        observation has
        """)
    }
    for x in potentialLinear { try require(x.magnitude <= 1e30, "potential_linear", "finite numbers") }
    try require(potentialBias.magnitude <= 1e30, "potential_bias", "finite")
    try require(potentialBias == 0 || isShaped, "potential_bias", "0 without potential and potential_linear")
    try require(potentialScale.magnitude <= 1e30, "potential_scale", "finite")
    try require(bonus.weight >= 0 && bonus.weight <= 1e30, "bonus", "not negative")
    try require(bonus.stepSize > 0 && bonus.stepSize <= 1, "bonus_step_size", "in (0, 1]")
    try require(bonus.gamma >= 0 && bonus.gamma < 1, "bonus_gamma", "in [0, 1)")
    try require(bonus.limit > 0, "bonus_limit", "positive")
    try require(bonusHidden.count <= 16, "bonus_hidden_count", "at most 16")
    for width in bonusHidden { try require(width >= 1 && width <= 1 << 16, "bonus_hidden", "1 to 65536 wide") }
    try require(bonus.features >= 1 && bonus.features <= 1 << 16, "bonus_features", "1 to 65536")
    try require(clip >= 0, "clip", "not negative")
  }
}

/// Numbers of the bonus, all trivial.
public struct BonusSettings {
  /// 0: none.
  public var weight = 0.0
  public var stepSize = 0.0001
  public var gamma = 0.99
  /// Bound of normalized observations.
  public var limit = 5.0
  public var features = 16

  public init() {}

  /// The two networks of it, as a described learner's: dense layers on the normalized observation, without time and
  /// normalization of layers.
  func settings(_ s: LearnerSettings) -> LearnerSettings {
    var own = s
    (own.timeLimit, own.recurrentUnits) = (0, 0)
    own.hidden = HiddenLayers()
    own.hidden.hasLayerNorm = false
    return own
  }
}

/// A loaded network of the pipeline: which of its inputs is what, and that it fits.
struct RewardNetwork {
  let policy: Policy
  /// Indices of inputs, or -1; of the output.
  let observation, action, next: Int
  let output: Int

  /// A network R(s, a, s'). Throws `.mismatch` and `.unsupported`, naming option and tensor.
  init(_ policy: Policy, _ o: RewardOptions, _ s: LearnerSettings) throws(Failure) {
    let inputs = policy.plan.inputs
    func find(_ name: String?, _ option: String, _ known: [String]) throws(Failure) -> Int {
      if let name {
        guard let i = inputs.firstIndex(where: { $0.name == name }) else {
          throw Failure(
            .mismatch, "reward option '\(option)' is '\(name)', but the network has \(RewardNetwork.list(inputs))")
        }
        return i
      }
      return inputs.firstIndex { known.contains($0.name) } ?? -1
    }
    var observation = try find(o.observationName, "network_observation", ["observation", "obs", "state"])
    let action = try find(o.actionName, "network_action", ["action", "act"])
    let next = try find(o.nextName, "network_next", ["next_observation", "next_obs", "next_state"])
    if inputs.count == 1 && observation < 0 && action < 0 && next < 0 { observation = 0 }
    for (i, p) in inputs.enumerated() {
      let uses = (i == observation ? 1 : 0) + (i == action ? 1 : 0) + (i == next ? 1 : 0)
      if uses == 1 { continue }
      let found: String =
        uses == 0 ? "neither observation, action nor next observation" : "named for several things"
      throw Failure(
        .mismatch,
        """
        reward option 'network': input '\(p.name)' is \(found); name inputs by network_observation, network_action and \
        network_next
        """)
    }
    try self.init(policy, "network", observation, action, next, o.outputName, s)
  }

  /// A potential phi(s).
  init(potential policy: Policy, _ s: LearnerSettings) throws(Failure) {
    guard policy.plan.inputs.count == 1 else {
      throw Failure(
        .mismatch,
        "reward option 'potential' has \(RewardNetwork.list(policy.plan.inputs)), expected the observation alone")
    }
    try self.init(policy, "potential", 0, -1, -1, nil, s)
  }

  private init(
    _ policy: Policy, _ option: String, _ observation: Int, _ action: Int, _ next: Int, _ outputName: String?,
    _ s: LearnerSettings
  ) throws(Failure) {
    let plan = policy.plan
    func refuse(_ reason: Failure.Reason, _ text: Message) -> Failure {
      Failure(reason, "reward option '\(option)': \(text.text)")
    }
    if plan.stateCount > 0 { throw refuse(.unsupported, "it keeps recurrent state, expected a network without") }
    if plan.usesRandom { throw refuse(.unsupported, "it draws random numbers, expected a network that does not") }
    func check(_ i: Int, _ what: String, _ counts: [Int]) throws(Failure) {
      guard i >= 0 else { return }
      let p = plan.inputs[i]
      guard isElementSupported(p.type.rawValue) else {
        throw refuse(.unsupported, "input '\(p.name)' is \(p.type.name)")
      }
      let found = p.size / p.type.size
      guard counts.contains(found) else {
        var expected = ""
        for n in counts { expected += (expected.isEmpty ? "" : " or ") + String(n) }
        throw refuse(.mismatch, "input '\(p.name)' has \(found) numbers, expected \(expected) (\(what))")
      }
    }
    try check(observation, "the observation", [s.observationCount])
    try check(next, "the observation", [s.observationCount])
    if action >= 0 && s.algorithm == .td {
      throw refuse(.mismatch, "input '\(plan.inputs[action].name)' is an action, but TD predicts without actions")
    }
    try check(action, "the action", s.algorithm.isContinuous ? [s.actionCount] : [1, s.actionCount])
    var output = -1
    for (i, p) in plan.outputs.enumerated() where outputName == nil ? plan.outputs.count == 1 : p.name == outputName {
      output = i
    }
    guard output >= 0 else {
      let names = RewardNetwork.names(plan.outputs)
      if let outputName { throw refuse(.mismatch, "there is no output '\(outputName)'; it has outputs \(names)") }
      if option == "network" {
        throw refuse(.mismatch, "it has outputs \(names); name one by network_output")
      }
      throw refuse(.mismatch, "it has outputs \(names), expected one")
    }
    let found = plan.outputs[output]
    guard found.size == found.type.size, isElementSupported(found.type.rawValue) else {
      throw refuse(
        .mismatch,
        """
        output '\(found.name)' has \(found.size / found.type.size) numbers of type \(found.type.name), expected one of \
        type f32
        """)
    }
    self.policy = policy
    (self.observation, self.action, self.next, self.output) = (observation, action, next, output)
  }

  private static func list(_ ports: [PlanPort]) -> String { "inputs " + names(ports) }

  private static func names(_ ports: [PlanPort]) -> String {
    var text = ""
    for p in ports { text += (text.isEmpty ? "'" : ", '") + p.name + "'" }
    return text
  }
}
