/// A learning rule with all its numbers, by the name of its paper.
public enum LearnerPreset: Sendable {
  /// Overshooting-bounded gradient descent (arXiv 2410.14606).
  case streamX
  /// Intentional updates (arXiv 2604.19033).
  case intentional
  /// Intentional updates whose actor takes no surprise for more than it is, with a steady scale of the trace.
  case intentionalCapped

  /// As messages list them.
  public static var names: String { "'stream-x', 'intentional', 'intentional-capped', 'adapted', 'adapted-quick'" }

  public init?(name: String) {
    switch name {
    case "stream-x": self = .streamX
    case "intentional": self = .intentional
    case "intentional-capped": self = .intentionalCapped
    default: return nil
    }
  }

  /// Settings that have this preset's numbers; those that no preset is about have their defaults.
  public var settings: LearnerSettings {
    var s = LearnerSettings()
    switch self {
    case .streamX: s.optimizer = .obgd
    case .intentional: s.optimizer = .intentional
    case .intentionalCapped:
      s.optimizer = .intentional
      (s.errorCap, s.betaEnergy) = (3, 0.99)
    }
    return s
  }
}
