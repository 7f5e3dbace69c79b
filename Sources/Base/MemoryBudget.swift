/// Bound on what loading may allocate for tensors.
public final class MemoryBudget {
  public let limit: Int
  public private(set) var used = 0

  public init(limit: Int) { self.limit = limit }

  /// Accounts for `size` more bytes, before they are allocated.
  public func take(_ size: Int, for what: @autoclosure () -> String) throws(Failure) {
    let (sum, overflow) = used.addingReportingOverflow(size)
    guard !overflow, sum <= limit else {
      throw Failure(.memory, "\(what()): needs \(size) bytes more, which exceeds the memory limit of \(limit) bytes")
    }
    used = sum
  }

  /// Zeroed memory for tensors that is accounted for: the one way in which building a graph allocates it.
  public func zeroed(_ count: Int, for what: @autoclosure () -> String) throws(Failure) -> Bytes {
    try take(count, for: what())
    return try Bytes.zeroed(count)
  }

  public func give(_ size: Int) { used -= size }
}
