import Base
import Graph
import Onnx
import Platform

/// Where a Gaussian's standard deviation comes from.
public enum StdSource: Sendable {
  /// The output that the caller names or that is called so; without one, a constant.
  case automatic
  case constant
  /// A vector of the learner's own, its logarithm, which learns.
  case parameter
}

/// Which numbers the Gaussian head finds behind the means.
enum StdForm: Sendable {
  /// std = floor + softplus(x), as described networks have it.
  case softplus
  case direct
  case logarithm

  var isSoftplus: Bool {
    @_noLocks get {
      switch self {
      case .softplus: true
      default: false
      }
    }
  }
  var isLogarithm: Bool {
    @_noLocks get {
      switch self {
      case .logarithm: true
      default: false
      }
    }
  }
}

/// What the numbers at the end of a loaded network are.
enum LoadedHead: Sendable {
  /// Mean and standard deviation of an action.
  case gaussian
  /// Preferences of choices.
  case choice
  /// A value of each choice (Q, SARSA).
  case values
  /// The value of a state.
  case value

  init(of algorithm: Algorithm) {
    switch algorithm {
    case .acContinuous: self = .gaussian
    case .acDiscrete: self = .choice
    case .q, .sarsa: self = .values
    case .td: self = .value
    }
  }

  /// As messages call it.
  var noun: String {
    switch self {
    case .gaussian: "mean"
    case .choice: "logits"
    case .values: "values"
    case .value: "value"
    }
  }
  /// The option that names its tensor.
  var option: String {
    switch self {
    case .value: "value"
    default: "mean"
    }
  }
  var isGaussian: Bool {
    switch self {
    case .gaussian: true
    default: false
    }
  }
  /// An estimate of returns.
  var isValue: Bool {
    switch self {
    case .values, .value: true
    default: false
    }
  }
}

/// What of a loaded policy learns.
public enum LearnedPart: Sendable {
  case all
  /// The last so many layers.
  case last(Int)
  /// Nothing: a network of its own adds at most `bound` to the mean of every action.
  case residual(bound: Double)
}

/// What happens to a normalizer inside the policy.
public enum NormalizerImport: Sendable {
  /// It stays as it is.
  case frozen
  /// Its statistics become the learner's, as if they had been taken from so many samples, and go on.
  case counted(UInt64)
}

/// How a learner takes over a loaded network: a policy, or a critic.
public struct PolicySettings {
  public var policy: Policy
  /// Names of outputs, or of tensors inside the graph; nil: by role and name. `mean` is also that of logits and of the
  /// values of choices.
  public var mean: String? = nil
  public var std: String? = nil
  public var value: String? = nil
  /// A tensor on which a fresh linear layer learns in the place of the network's own values; nothing before it does.
  public var features: String? = nil
  public var stdSource = StdSource.automatic
  /// Standard deviation of `constant`, first one of `parameter`.
  public var initialStd = 0.1
  public var part = LearnedPart.all
  /// Of recurrent cells that can; each counts as a layer.
  public var learnsCells = false
  public var normalizer = NormalizerImport.frozen
  /// Parameters whose names begin so stay as they are.
  public var frozen: [String] = []

  public init(_ policy: Policy) { self.policy = policy }

  /// Numbers of all observations of the policy together.
  public var observationCount: Int {
    policy.plan.inputs.reduce(0) { $0 + ($1.role == .observation ? $1.shape.reduce(1, *) : 0) }
  }
}

extension Policy {
  /// What the file's metadata has under a key; nil where it has none.
  public func metadata(of key: StaticString) -> UnsafePointer<CChar>? {
    var i = 0
    while let entry = metadata(i) {
      if strcmp(entry.key, UnsafeRawPointer(key.utf8Start).assumingMemoryBound(to: CChar.self)) == 0 {
        return entry.value
      }
      i += 1
    }
    return nil
  }

  /// The tensor that the file calls the value of a state (efferent.value).
  public var valueName: UnsafePointer<CChar>? { metadata(of: "efferent.value") }

  /// Beginnings of the names of parameters that the file keeps from learning (efferent.frozen, a JSON list).
  func frozenNames() throws(Failure) -> [String] {
    guard let text = metadata(of: "efferent.frozen") else { return [] }
    let bytes = try Bytes.text(String(cString: text))
    let what = "metadata 'efferent.frozen'"
    let json = try JsonReader.read(bytes.start, 0..<bytes.count, what: what, budget: MemoryBudget(limit: 1 << 20))
    guard case .array(let items) = json else {
      throw Failure(.format, "\(what) is \(json.kind), expected a list of beginnings of names")
    }
    var names: [String] = []
    for item in items {
      guard case .string(let name) = item else { throw Failure(.format, "\(what) holds \(item.kind), expected names") }
      names.append(name)
    }
    return names
  }

  /// The policy chooses by values: an output of several numbers is called q, or q values.
  public var choosesByValues: Bool {
    plan.outputs.contains { output in
      guard output.type == .f32, output.shape.reduce(1, *) > 1 else { return false }
      let name = output.name.utf8.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }
      let known: [StaticString] = ["q", "q_values", "q_value", "qvalues", "qvalue"]
      return known.contains { word in
        word.utf8CodeUnitCount == name.count && name.indices.allSatisfy { word.utf8Start[$0] == name[$0] }
      }
    }
  }
}
