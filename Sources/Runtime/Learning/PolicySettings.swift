import Base
import Graph
import Onnx

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

/// How a learner takes over a loaded policy.
public struct PolicySettings {
  public var policy: Policy
  /// Names of outputs, or of tensors inside the graph; nil: by role and name.
  public var mean: String? = nil
  public var std: String? = nil
  public var stdSource = StdSource.automatic
  /// Standard deviation of `constant`, first one of `parameter`.
  public var initialStd = 0.1
  public var part = LearnedPart.all
  public var normalizer = NormalizerImport.frozen
  /// Parameters whose names begin so stay as they are.
  public var frozen: [String] = []

  public init(_ policy: Policy) { self.policy = policy }

  /// Numbers of all observations of the policy together.
  public var observationCount: Int {
    policy.plan.inputs.reduce(0) { $0 + ($1.role == .observation ? $1.shape.reduce(1, *) : 0) }
  }
}
