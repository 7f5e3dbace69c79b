#if Bridge
import Base
import Platform

/// The way that frames come and answers go.
enum Link {
  enum Received {
    case none
    /// A frame of `size` bytes, of which at most the capacity given is in memory.
    case frame(size: Int)
    /// A message of a form that the protocol does not have.
    case foreign
    /// The connection of the owner ended: that plant is gone.
    case gone
    /// A signal ended the wait.
    case interrupted
  }

  case router(Router)
  case local(Local)

  /// The address that was bound.
  var address: String {
    switch self {
    case .router(let router): router.address
    case .local(let local): local.address
    }
  }

  /// Who is connected by way of ZeroMQ's tcp or ipc.
  var gate: Gate? {
    if case .router(let router) = self { return router.gate }
    return nil
  }

  /// When `wait` should end though nothing happened.
  var deadline: UInt64 {
    switch self {
    case .router(let router): router.gate?.deadline ?? .max
    case .local(let local): local.deadline
    }
  }

  /// Whether the next frame may be waited for by the call that receives it.
  var isUndisturbed: Bool {
    if case .router(let router) = self { return router.isUndisturbed }
    return false
  }

  /// Takes one frame, if there is one within `patience` milliseconds, which are 0 unless `isUndisturbed`. Only its
  /// header is in `frame`, and the rest where `held` says, until `load` or `release`.
  func receive(_ peer: inout Peer, _ frame: UnsafeMutableRawPointer, _ capacity: Int, patience: Int32 = 0)
    throws(Failure) -> Received
  {
    switch self {
    case .router(let router): try router.receive(&peer, frame, capacity, patience: patience)
    case .local(let local): try local.receive(&peer, frame, capacity)
    }
  }

  var held: UnsafeRawPointer? {
    switch self {
    case .router(let router): router.held
    case .local(let local): local.held
    }
  }

  func load(_ frame: UnsafeMutableRawPointer, _ capacity: Int) {
    switch self {
    case .router(let router): router.load(frame, capacity)
    case .local(let local): local.load(frame, capacity)
    }
  }

  func release() {
    if case .local(let local) = self { local.release() }
  }

  /// Hands a frame over and never waits. 0, or an errno: EHOSTUNREACH where the peer is gone, EAGAIN where it does not
  /// read.
  func send(_ frame: UnsafeRawBufferPointer, to peer: Peer) -> Int32 {
    switch self {
    case .router(let router): router.send(frame, to: peer)
    case .local(let local): local.send(frame, to: peer)
    }
  }

  /// Waits until there may be something to receive. False where a signal or `wake` ended it.
  func wait(_ milliseconds: Int, wake: Int32) throws(Failure) -> Bool {
    switch self {
    case .router(let router): try router.wait(milliseconds, wake: wake)
    case .local(let local): try local.wait(milliseconds, wake: wake)
    }
  }

  /// Closes, and waits up to `linger` milliseconds for what was sent last. The address can be bound again afterwards.
  func close(linger: Int32) {
    switch self {
    case .router(let router): router.close(linger: linger)
    case .local(let local): local.close()
    }
  }
}
#endif
