import Synchronization

/// What two threads use, where the test is that they may; one tells the other to stop.
public final class Shared<Value>: @unchecked Sendable {
  public let value: Value
  public let hasBegun = Atomic(false)
  public let isStopped = Atomic(false)
  public init(_ value: Value) { self.value = value }
}
