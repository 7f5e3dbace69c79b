/// The process-wide log, silent until `eff_set_log` gives it a sink. Not for [RT] code.
public enum Log {
  /// Severity, equal to the `EFF_LOG_...` codes of the C header.
  public enum Level: Int32, Sendable { case debug = 0, info, warning, error }

  /// A C function that takes a level and a borrowed line of text.
  public struct Sink {
    let write: @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?) -> Void
    let user: UnsafeMutableRawPointer?
    let minimum: Int32

    public init(
      write: @escaping @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?) -> Void,
      user: UnsafeMutableRawPointer?, minimum: Int32
    ) {
      self.write = write
      self.user = user
      self.minimum = minimum
    }
  }

  // set before other threads start, as the C header asks
  nonisolated(unsafe) public static var sink: Sink? = nil

  /// Hands a line to the sink; `text` is not evaluated when nobody listens.
  public static func write(_ level: Level, _ text: @autoclosure () -> String) {
    guard let sink, level.rawValue >= sink.minimum else { return }
    text().withCString { sink.write(sink.user, level.rawValue, $0) }
  }
}
