#if Bridge
import Platform

/// Where a frame comes from and where its answer goes: the identity of a connection, ZeroMQ's or one of `Local`. Its
/// bytes stand in memory of the bridge.
struct Peer {
  /// ZeroMQ's limit on identities is 255.
  static let limit = 256

  private let bytes: UnsafeMutableRawPointer
  private(set) var count = 0
  /// A REQ socket, which puts an empty part in front of the frame and wants it back.
  var isRequest = false
  /// The frame stood in shared memory, and so will its answer.
  var isShared = false
  /// ZeroMQ's descriptor of its connection, where the gate asked for it; else -1.
  var source: Int32 = -1

  /// A peer in `limit` bytes of memory, none yet.
  init(at bytes: UnsafeMutableRawPointer) { self.bytes = bytes }

  var identity: UnsafeMutableRawPointer { bytes }

  mutating func received(_ count: Int) { self.count = min(max(count, 0), Peer.limit) }

  mutating func copy(_ other: Peer) {
    eff_copy(bytes, other.bytes, other.count)
    count = other.count
    isRequest = other.isRequest
    isShared = other.isShared
  }

  mutating func forget() { count = 0 }

  func isSame(_ other: Peer) -> Bool { count == other.count && eff_equal(bytes, other.bytes, count) != 0 }
}
#endif
