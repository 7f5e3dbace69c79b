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
    let keys = words.map { WordKey($0) }
    func has(_ set: WordSet) -> Bool { keys.contains { set.contains($0) } }
    let isAction = has(ActionWords.actions)
    if ActionWords.isNever(keys, isAction: isAction) {
      self = .never
    } else if isAction {
      if has(ActionWords.values) {
        self = .unknown
      } else if has(ActionWords.certain) {
        self = .deterministic
      } else if has(ActionWords.removed) {
        self = .indirect
      } else {
        let isExact = keys.indices.allSatisfy {
          ActionWords.actions.contains(keys[$0]) || ActionWords.neutral.contains(keys[$0])
            || NameWords.isNumber(words[$0])
        }
        self = isExact ? .exact : .qualified
      }
    } else if has(ActionWords.meant) && !has(ActionWords.estimated) {
      self = has(ActionWords.removed) ? .indirect : .meant
    } else {
      self = .unknown
    }
  }
}

/// The words by which exporters name actions, and what is beside them.
enum ActionWords {
  static let actions: WordSet = ["action", "actions", "act", "acts"]
  static let values: WordSet = ["value", "values"]
  /// Whose values are those of each action.
  static let choices: WordSet = ["q", "qvalue", "qvalues"]
  /// Where a name came from; says nothing about what it is.
  static let neutral: WordSet = [
    "output", "outputs", "out", "policy", "pi", "actor", "agent", "model", "pred", "predicted", "the", "net", "network",
  ]
  static let certain: WordSet = ["deterministic", "greedy"]
  static let removed: WordSet = [
    "raw", "sample", "sampled", "samples", "stochastic", "noisy", "exploration", "prev", "previous", "last", "old",
    "unscaled", "random", "processed",
  ]
  static let meant: WordSet = [
    "mu", "mean", "means", "loc", "actor", "target", "targets", "command", "commands", "cmd", "ctrl", "control",
    "controls", "torque", "torques",
    "effort", "efforts", "setpoint", "setpoints",
  ]

  /// The mean of these is no action's.
  static let estimated: WordSet = ["latent", "z", "vel", "velocity", "estimate", "estimated", "encoder", "hidden"]

  /// What is never an action, beside who writes it. Tests/GraphTests/RoleTests.swift has a policy of each.
  static let never: WordSet = [
    // Stable-Baselines3, CleanRL, Sample Factory
    "value", "values", "logprob", "logprobs", "entropy", "features", "feature",
    // rsl_rl, Isaac Lab, skrl
    "std", "stds", "critic", "contact", "contacts", "stiffness", "damping",
    // rl_games
    "sigma", "sigmas", "logstd", "logstds", "neglogp", "neglogpac",
    // ML-Agents
    "shape", "mask", "masks",
    // RLlib
    "vf", "logp", "embedding", "embeddings",
    // brax, torchrl, d3rlpy
    "scale", "stddev", "deviation", "variance", "covariance", "logvar", "advantage", "advantages",
    // LeRobot, robomimic, world models
    "reward", "rewards", "done", "dones", "terminated", "truncated", "termination", "loss", "kl", "attn",
    // walk-these-ways, HIM, exploy, LEAPP
    "obs", "observation", "observations", "kp", "kd", "gains", "uncertainty", "confidence",
  ]
  /// The same, of two words in a row: Stable-Baselines3, ML-Agents, RLlib, LeRobot.
  static let neverPairs: [(first: WordKey, second: WordKey)] = [
    (WordKey("log"), WordKey("prob")), (WordKey("log"), WordKey("probs")), (WordKey("version"), WordKey("number")),
    (WordKey("memory"), WordKey("size")), (WordKey("action"), WordKey("prob")),
    (WordKey("attention"), WordKey("weights")),
  ]

  static func isNever(_ words: [WordKey], isAction: Bool) -> Bool {
    // the value of each action is what a DQN chooses by: q_values, action_values
    let isValued =
      words.contains { choices.contains($0) }
      || (isAction && !words.contains(WordKey("state")) && !words.contains(WordKey("chosen")))
    let isPardoned = isValued && !words.contains(WordKey("critic"))
    for word in words where never.contains(word) && !(isPardoned && values.contains(word)) { return true }
    for i in words.indices.dropFirst() {
      for pair in neverPairs where words[i - 1] == pair.first && words[i] == pair.second { return true }
    }
    if isAction || words.contains(where: { $0 != WordKey("actor") && meant.contains($0) }) { return false }
    // recurrent state that no input takes up: h_out
    return words.contains {
      StateWords.states.contains($0) || (StateWords.holders.contains($0) && (words.count > 1 || !$0.isLetter))
    }
  }
}
