import Platform

/// What went wrong, for a person: the thing, what was found and what was expected.
public struct Failure: Error {
  /// The reasons, equal to the `EFF_E_...` codes of the C header.
  public enum Reason: Int32, Sendable {
    case argument = -1, state = -2, memory = -3, io = -4, format = -5, unsupported = -6, shape = -7, numeric = -8,
      timeout = -9, mismatch = -10
  }

  public let reason: Reason
  public let message: String
  /// Something is computed while running that must be known at load: what does not depend on it can run.
  public private(set) var isDynamic = false

  public init(_ reason: Reason, _ message: Message) { self.init(reason, message.text) }

  @_disfavoredOverload
  public init(_ reason: Reason, _ message: String) {
    self.reason = reason
    self.message = message
  }

  /// The same failure with `context` in front, such as the file it happened in.
  public func within(_ context: String) -> Failure {
    var f = Failure(reason, context + ": " + message)
    f.isDynamic = isDynamic
    return f
  }

  /// The same failure, marked as one of what is known while running alone.
  public var dynamic: Failure {
    var f = self
    f.isDynamic = true
    return f
  }

  /// Memory was refused: says what for, and the bound of the process where it has one.
  public static func noMemory(_ size: Int, for what: String) -> Failure {
    let limit = eff_address_limit()
    let bound =
      limit < 0 ? "" : "; the process may have \(limit) bytes of memory in all (RLIMIT_AS): raise it with 'ulimit -v'"
    return Failure(.memory, what + ": cannot allocate \(size) bytes" + bound)
  }
}
