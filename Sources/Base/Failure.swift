/// What went wrong, for a person: the thing, what was found and what was expected.
public struct Failure: Error {
  /// The reasons, equal to the `EFF_E_...` codes of the C header.
  public enum Reason: Int32, Sendable {
    case argument = -1, state = -2, memory = -3, io = -4, format = -5, unsupported = -6, shape = -7, numeric = -8, timeout = -9, mismatch = -10
  }

  public let reason: Reason
  public let message: String

  public init(_ reason: Reason, _ message: Message) { self.init(reason, message.text) }

  @_disfavoredOverload
  public init(_ reason: Reason, _ message: String) {
    self.reason = reason
    self.message = message
  }

  /// The same failure with `context` in front, such as the file it happened in.
  public func within(_ context: String) -> Failure { Failure(reason, context + ": " + message) }
}
