/// What an input or output is for; the codes of the C header.
public enum Role: Int32, Sendable {
  case observation = 0, action, state, auxiliary
}

/// Why a tensor has its role.
public enum RoleReason: Int32, Sendable {
  /// The caller said so.
  case option
  /// The file's metadata says so.
  case metadata
  /// One clear name.
  case name
  /// Nothing else can be it.
  case onlyCandidate
  /// The same as a sampled output, without the noise.
  case deterministic
  /// Nothing reads this input.
  case unused
  /// Its name is never an action's.
  case neverAction
  /// The caller or the metadata named another.
  case another
  /// It does not depend on what the policy sees.
  case constant
  /// It may be the action, and so may others.
  case undecided
  case none

  /// As `inspect` shows it.
  public var text: StaticString {
    switch self {
    case .option: "told"
    case .metadata: "by metadata"
    case .name: "by name"
    case .onlyCandidate: "only candidate"
    case .deterministic: "by name, without noise"
    case .unused: "nothing reads it"
    case .neverAction: "never an action"
    case .another: "another is"
    case .constant: "constant or input"
    case .undecided: "undecided"
    case .none: ""
    }
  }
}

/// What the name of an output says about the action.
enum ActionName: Int {
  /// A name that is never an action, of whatever exporter.
  case never = -1
  case unknown = 0
  /// raw_action, sampled_action, prev_action: an action, but not what the robot gets.
  case indirect
  /// mu, mean, joint_targets, torques: what the robot gets, under another name.
  case meant
  /// continuous_actions, scaled_action: an action and more.
  case qualified
  /// action, actions, policy/actions.1.
  case exact
  /// deterministic_action, greedy_action.
  case deterministic

  init(_ name: String) {
    let words = NameWords.split(name)
    let isAction = words.contains { ActionWords.actions.contains($0) }
    if ActionWords.isNever(words, isAction: isAction) {
      self = .never
    } else if isAction {
      let rest = words.filter {
        !ActionWords.actions.contains($0) && !ActionWords.neutral.contains($0) && !NameWords.isNumber($0)
      }
      if words.contains("value") || words.contains("values") {
        self = .unknown
      } else if words.contains(where: { ActionWords.certain.contains($0) }) {
        self = .deterministic
      } else if words.contains(where: { ActionWords.removed.contains($0) }) {
        self = .indirect
      } else {
        self = rest.isEmpty ? .exact : .qualified
      }
    } else if words.contains(where: { ActionWords.meant.contains($0) })
      && !words.contains(where: { ActionWords.estimated.contains($0) })
    {
      self = words.contains(where: { ActionWords.removed.contains($0) }) ? .indirect : .meant
    } else {
      self = .unknown
    }
  }
}

/// The words by which exporters name actions, and what is beside them.
enum ActionWords {
  static let actions: Set<String> = ["action", "actions", "act", "acts"]
  /// Where a name came from; says nothing about what it is.
  static let neutral: Set<String> = [
    "output", "outputs", "out", "policy", "pi", "actor", "agent", "model", "pred", "predicted", "the", "net", "network",
  ]
  static let certain: Set<String> = ["deterministic", "greedy"]
  static let removed: Set<String> = [
    "raw", "sample", "sampled", "samples", "stochastic", "noisy", "exploration", "prev", "previous", "last", "old",
    "unscaled", "random", "processed",
  ]
  static let meant: Set<String> = [
    "mu", "mean", "means", "loc", "actor", "target", "targets", "command", "commands", "cmd", "ctrl", "control",
    "controls", "torque", "torques",
    "effort", "efforts", "setpoint", "setpoints",
  ]

  /// The mean of these is no action's.
  static let estimated: Set<String> = ["latent", "z", "vel", "velocity", "estimate", "estimated", "encoder", "hidden"]

  /// What is never an action, word by word, beside who writes it. Tests/GraphTests/RoleTests.swift has a policy of
  /// each.
  static let never: [[String]] = [
    // Stable-Baselines3, CleanRL, Sample Factory
    ["value"], ["values"], ["log", "prob"], ["log", "probs"], ["logprob"], ["logprobs"], ["entropy"], ["features"],
    ["feature"],
    // rsl_rl, Isaac Lab, skrl
    ["std"], ["stds"], ["critic"], ["contact"], ["contacts"], ["stiffness"], ["damping"],
    // rl_games
    ["sigma"], ["sigmas"], ["logstd"], ["logstds"], ["neglogp"], ["neglogpac"],
    // ML-Agents
    ["version", "number"], ["memory", "size"], ["shape"], ["mask"], ["masks"],
    // RLlib
    ["vf"], ["logp"], ["action", "prob"], ["embedding"], ["embeddings"],
    // brax, torchrl, d3rlpy
    ["scale"], ["stddev"], ["deviation"], ["variance"], ["covariance"], ["logvar"], ["advantage"], ["advantages"],
    // LeRobot, robomimic, world models
    ["reward"], ["rewards"], ["done"], ["dones"], ["terminated"], ["truncated"], ["termination"], ["loss"], ["kl"],
    ["attention", "weights"], ["attn"],
    // walk-these-ways, HIM, exploy, LEAPP
    ["obs"], ["observation"], ["observations"], ["kp"], ["kd"], ["gains"], ["uncertainty"], ["confidence"],
  ]

  static func isNever(_ words: [String], isAction: Bool) -> Bool {
    // the value of each action is what a DQN chooses by: q_values, action_values
    let isValued =
      words.contains { $0 == "q" || $0 == "qvalue" || $0 == "qvalues" }
      || (isAction && !words.contains("state") && !words.contains("chosen"))
    for entry in never where follows(entry, words) {
      if isValued && (entry[0] == "value" || entry[0] == "values") && !words.contains("critic") { continue }
      return true
    }
    if isAction || words.contains(where: { $0 != "actor" && meant.contains($0) }) { return false }
    // recurrent state that no input takes up: h_out
    return words.contains {
      StateWords.states.contains($0) || (StateWords.holders.contains($0) && (words.count > 1 || $0.utf8.count > 1))
    }
  }

  private static func follows(_ entry: [String], _ words: [String]) -> Bool {
    guard words.count >= entry.count else { return false }
    for i in 0...(words.count - entry.count) where Array(words[i..<(i + entry.count)]) == entry { return true }
    return false
  }
}
