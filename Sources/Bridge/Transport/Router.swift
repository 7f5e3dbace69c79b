#if Bridge
import Base
import CZeroMQ
import Platform

/// A ZeroMQ ROUTER that plants connect to. All calls of ZeroMQ stand here.
final class Router {
  enum Received {
    case none
    /// A frame of `size` bytes, of which at most the capacity given is in memory.
    case frame(size: Int)
    /// A message of a form that the protocol does not have.
    case foreign
  }

  /// The address that was bound.
  let address: String
  private let socket: UnsafeMutableRawPointer
  private let ownContext: UnsafeMutableRawPointer?
  /// Keeps an ipc path for this process; -1: none.
  private let pathLock: Int32
  private let path: String?

  /// Binds. `frameLimit`: longest message that is received at all.
  init(_ endpoint: Endpoint, context: UnsafeMutableRawPointer?, highWater: Int32, frameLimit: Int) throws(Failure) {
    let text = endpoint.text
    try Router.openLibrary(hasContext: context != nil)
    pathLock = try endpoint.take()
    path = endpoint.path
    let shared = context ?? zmq_ctx_new()
    guard let shared, let socket = zmq_socket(shared, ZMQ_ROUTER) else {
      let failure = Router.failure("no ZeroMQ socket")
      if context == nil, let shared { zmq_ctx_term(shared) }
      endpoint.give(pathLock)
      throw failure
    }
    var size = Int64(frameLimit)
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size, MemoryLayout<Int64>.size)
    Router.set(socket, ZMQ_LINGER, 0)
    Router.set(socket, ZMQ_SNDHWM, highWater)
    Router.set(socket, ZMQ_RCVHWM, highWater)
    Router.set(socket, ZMQ_ROUTER_MANDATORY, 1)
    // an identity stays with the connection that has it until that is gone: heartbeats tell within a second
    Router.set(socket, ZMQ_ROUTER_HANDOVER, 0)
    Router.set(socket, ZMQ_HEARTBEAT_IVL, 250)
    Router.set(socket, ZMQ_HEARTBEAT_TIMEOUT, 750)
    Router.set(socket, ZMQ_IPV6, text.utf8.contains(UInt8(ascii: "[")) ? 1 : 0)
    var bound: [CChar] = Array(repeating: 0, count: 1024)
    var count = bound.count
    var failure: Failure? = nil
    if text.withCString({ zmq_bind(socket, $0) }) != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, &bound, &count) != 0 {
      failure = Router.failure("endpoint '\(text)'")
    } else if let path = endpoint.path, path.withCString({ eff_private($0) }) != 0 {
      failure = Failure(.io, "endpoint '\(text)': its mode cannot be set to 0600")
    }
    if let failure {
      zmq_close(socket)
      if context == nil { zmq_ctx_term(shared) }
      endpoint.give(pathLock)
      throw failure
    }
    self.socket = socket
    ownContext = context == nil ? shared : nil
    address = bound.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  /// Closes, and waits up to `linger` milliseconds for what was sent last. The address can be bound again afterwards.
  func close(linger: Int32) {
    Router.set(socket, ZMQ_LINGER, linger)
    _ = address.withCString { zmq_unbind(socket, $0) }
    zmq_close(socket)
    if let ownContext { zmq_ctx_term(ownContext) }
    if let path { Endpoint.give(pathLock, path) }
  }

  /// Takes one message, if there is one: the identity of the plant, an empty part where it is a REQ, then a frame.
  func receive(_ peer: inout Peer, _ frame: UnsafeMutableRawPointer, _ capacity: Int) throws(Failure) -> Received {
    let count = zmq_recv(socket, peer.identity, Peer.limit, ZMQ_DONTWAIT)
    guard count >= 0 else {
      let code = zmq_errno()
      if code == EAGAIN || code == EINTR { return .none }
      throw Router.failure("endpoint '\(address)'")
    }
    peer.received(Int(count))
    peer.isRequest = false
    var size = -1
    var parts = 0
    while hasMore {
      let count = zmq_recv(socket, frame, capacity, ZMQ_DONTWAIT)
      guard count >= 0 else { break }
      if parts == 0 && count == 0 && !peer.isRequest {
        peer.isRequest = true
        continue
      }
      size = Int(count)
      parts += 1
    }
    return parts == 1 ? .frame(size: size) : .foreign
  }

  private var hasMore: Bool {
    var more: Int32 = 0
    var size = MemoryLayout<Int32>.size
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0
  }

  /// Hands a frame to ZeroMQ, which never waits. 0, or an errno: EHOSTUNREACH where the peer is gone, EAGAIN where it does not read.
  func send(_ frame: UnsafeRawBufferPointer, to peer: Peer) -> Int32 {
    var code = put(UnsafeRawPointer(peer.identity), peer.count, ZMQ_DONTWAIT | ZMQ_SNDMORE)
    if code == 0 && peer.isRequest { code = put(UnsafeRawPointer(peer.identity), 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) }
    if code == 0, let base = frame.baseAddress { code = put(base, frame.count, ZMQ_DONTWAIT) }
    return code
  }

  private func put(_ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int32 {
    var looked = false
    while true {
      if zmq_send(socket, bytes, count, flags) >= 0 { return 0 }
      let code = zmq_errno()
      if code == EAGAIN && !looked {
        // the queue looks full until ZeroMQ learns from its mailbox what the plant has read, and it looks there rarely while frames keep coming
        looked = true
        var events: Int32 = 0
        var size = MemoryLayout<Int32>.size
        zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size)
      } else if code != EINTR {
        return code
      }
    }
  }

  /// Waits for a message, a byte in `wake` (-1: none) or the end of `milliseconds` (negative: without limit). False where a signal or `wake` ended it.
  func wait(_ milliseconds: Int, wake: Int32) throws(Failure) -> Bool {
    var items = (
      zmq_pollitem_t(socket: socket, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
      zmq_pollitem_t(socket: nil, fd: wake, events: Int16(ZMQ_POLLIN), revents: 0)
    )
    let ready = withUnsafeMutablePointer(to: &items) {
      $0.withMemoryRebound(to: zmq_pollitem_t.self, capacity: 2) { zmq_poll($0, wake < 0 ? 1 : 2, milliseconds) }
    }
    if ready < 0 {
      if zmq_errno() == EINTR { return false }
      throw Router.failure("endpoint '\(address)'")
    }
    return items.1.revents == 0
  }

  /// Finds libzmq, once in a process.
  private static func openLibrary(hasContext: Bool) throws(Failure) {
    let size = 1024
    var problem: String? = nil
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) {
      if eff_zmq_open(hasContext ? 1 : 0, $0.baseAddress, size) != 0 { problem = String(cString: $0.baseAddress!) }
    }
    if let problem { throw Failure(.unsupported, problem) }
  }

  /// Sets an integer option; the ones used here cannot fail on an open socket.
  private static func set(_ socket: UnsafeMutableRawPointer, _ option: Int32, _ value: Int32) {
    var value = value
    zmq_setsockopt(socket, option, &value, MemoryLayout<Int32>.size)
  }

  /// What ZeroMQ said last on this thread.
  private static func failure(_ what: String) -> Failure {
    let text = zmq_strerror(zmq_errno()).map { String(cString: $0) } ?? "unknown error"
    return Failure(.io, "\(what): \(text)")
  }
}
#endif
