/// A learning rule with all its numbers, by the name of its paper.
public enum LearnerPreset: Sendable {
  /// Overshooting-bounded gradient descent (arXiv 2410.14606).
  case streamX
  /// Intentional updates (arXiv 2604.19033).
  case intentional

  /// As messages list them.
  public static var names: String { "'stream-x', 'intentional'" }

  public init?(name: String) {
    switch name {
    case "stream-x": self = .streamX
    case "intentional": self = .intentional
    default: return nil
    }
  }

  /// Settings that have this preset's numbers; those that no preset is about have their defaults.
  public var settings: LearnerSettings {
    var s = LearnerSettings()
    switch self {
    case .streamX: s.optimizer = .obgd
    case .intentional: s.optimizer = .intentional
    }
    return s
  }
}
