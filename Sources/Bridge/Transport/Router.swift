#if Bridge
import Base
import CZeroMQ
import Platform

/// A ZeroMQ ROUTER that plants connect to. All calls of ZeroMQ stand here and in `Gate`.
final class Router {
  /// The address that was bound.
  let address: String
  private let socket: UnsafeMutableRawPointer
  /// Readable where the socket may have something: it is polled without the system calls that zmq_poll makes around
  /// that.
  private let descriptor: Int32
  /// The frame that is received, and where its bytes stand until `load` or the next one.
  private let message: UnsafeMutablePointer<zmq_msg_t>
  private(set) var held: UnsafeRawPointer?
  private var heldSize = 0
  /// In which the next frame is looked for.
  private var spin: Spin
  /// Milliseconds that the socket waits for a frame where it may.
  private var receiveTimeout: Int32 = -1
  /// Who is connected; nil for inproc.
  let gate: Gate?
  /// The ipc address is not bound while file descriptors have run out: libzmq 4.3.4 would end the process when somebody
  /// connects.
  private var isSuspended = false
  private let transport: Endpoint.Transport
  private let ownContext: UnsafeMutableRawPointer?
  /// Keeps an ipc path for this process; -1: none.
  private let pathLock: Int32
  private let path: String?
  /// Of the bridge's key; nil where nothing is encrypted.
  let fingerprint: String?

  /// Binds. `frameLimit`: longest message that is received at all; `peers`: most connections.
  init(
    _ endpoint: Endpoint, context: UnsafeMutableRawPointer?, highWater: Int32, frameLimit: Int, peers: Int, spin: Spin,
    _ scheduling: Scheduling, _ stats: Stats, keys options: KeyOptions?
  ) throws(Failure) {
    let text = endpoint.text
    try Router.openLibrary(hasContext: context != nil)
    let keys: Keys? = if let options { try Keys(options) } else { nil }
    fingerprint = keys?.fingerprint
    pathLock = try endpoint.take()
    path = endpoint.path
    let shared = context ?? zmq_ctx_new()
    let mark = context == nil && !scheduling.isDefault && shared != nil ? Router.mark(shared!) : 0
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
    // an identity stays with the connection that has it until that is gone
    Router.set(socket, ZMQ_ROUTER_HANDOVER, 0)
    if keys != nil {
      // the kernel tells at once that a plant of this machine is gone. Of another machine, which needs a key,
      // heartbeats tell within a second; each wait of ZeroMQ's thread then sets a timer
      Router.set(socket, ZMQ_HEARTBEAT_IVL, 250)
      Router.set(socket, ZMQ_HEARTBEAT_TIMEOUT, 750)
    }
    Router.set(socket, ZMQ_IPV6, text.utf8.contains(UInt8(ascii: "[")) ? 1 : 0)
    if let keys {
      Router.set(socket, ZMQ_CURVE_SERVER, 1)
      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secretKey, keys.secretKey.count)
    }
    var bound: [CChar] = Array(repeating: 0, count: 1024)
    var count = bound.count
    var failure: Failure? = nil
    let gate =
      endpoint.transport == .inproc ? nil : Gate(socket, shared, ownsContext: context == nil, limit: peers, stats, keys)
    if endpoint.transport != .inproc && gate == nil {
      failure = Router.failure("endpoint '\(text)': its connections cannot be watched")
      if keys != nil && context != nil {
        failure = failure?.within(
          """
          context: handshakes are answered by something else in it (inproc://zeromq.zap.01), expected no such socket \
          where a bridge has keys
          """
        )
      }
    } else if text.withCString({ zmq_bind(socket, $0) }) != 0
      || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, &bound, &count) != 0
    {
      failure = Router.failure("endpoint '\(text)'")
    } else if let path = endpoint.path, path.withCString({ eff_private($0) }) != 0 {
      failure = Failure(.io, "endpoint '\(text)': its mode cannot be set to 0600")
    }
    if failure == nil && mark != 0 {
      do { try Router.schedule(scheduling, mark) } catch { failure = error }
    }
    if let failure {
      gate?.close(socket)
      zmq_close(socket)
      if context == nil { zmq_ctx_term(shared) }
      endpoint.give(pathLock)
      throw failure
    }
    self.socket = socket
    self.gate = gate
    transport = endpoint.transport
    descriptor = Router.descriptor(socket)
    message = .allocate(capacity: 1)
    message.initialize(to: zmq_msg_t())
    zmq_msg_init(message)
    self.spin = spin
    ownContext = context == nil ? shared : nil
    address = bound.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    gate?.address = endpoint.connections(at: address)
    if let keys {
      Log.write(
        .info, "bridge at \(address): encrypted with key \(keys.fingerprint); keys of \(keys.count) plants are allowed")
    }
  }

  /// Has ZeroMQ name the threads of a context by a number, which is returned, so that they can be told from those of
  /// others.
  private static func mark(_ context: UnsafeMutableRawPointer) -> Int32 {
    var number: UInt32 = 0
    _ = eff_random_bytes(&number, MemoryLayout<UInt32>.size)
    let mark = 10_000 + Int32(number % 90_000)
    _ = zmq_ctx_set(context, ZMQ_THREAD_NAME_PREFIX, mark)
    return mark
  }

  /// Schedules the I/O thread of a marked context. ZeroMQ's own options for this end the process where a right is
  /// missing.
  private static func schedule(_ scheduling: Scheduling, _ mark: Int32) throws(Failure) {
    let name = "\(mark)/ZMQbg/IO"
    var task: Int32 = 0
    // it names itself when it begins
    for _ in 0..<1000 {
      task = name.withCString { eff_task_find($0) }
      if task != 0 { break }
      eff_sleep_ns(1_000_000)
    }
    guard task != 0 else {
      throw Failure(.unsupported, "thread options: ZeroMQ's I/O thread was not found, libzmq 4.3 or later is needed")
    }
    try scheduling.apply(to: task, "ZeroMQ's I/O thread", suffix: "-io")
  }

  /// Closes, and waits up to `linger` milliseconds for what was sent last. The address can be bound again afterwards.
  func close(linger: Int32) {
    release()
    Router.set(socket, ZMQ_LINGER, linger)
    _ = address.withCString { zmq_unbind(socket, $0) }
    gate?.close(socket)
    zmq_close(socket)
    if let ownContext { zmq_ctx_term(ownContext) }
    if let path { Endpoint.give(pathLock, path) }
  }

  deinit { message.deallocate() }

  /// Whether the next frame may be waited for by the call that receives it: nothing else asks for attention.
  var isUndisturbed: Bool { gate?.isQuiet ?? true }

  /// Takes one message, if there is one within `patience` milliseconds: the identity of the plant, an empty part where
  /// it is a REQ, then a frame. Its header is in `frame`, all of it where `held` says.
  func receive(_ peer: inout Peer, _ frame: UnsafeMutableRawPointer, _ capacity: Int, patience: Int32 = 0)
    throws(Failure) -> Link.Received
  {
    release()
    let count = patience > 0 ? expect(peer.identity, patience) : take(peer.identity)
    guard count >= 0 else {
      let code = zmq_errno()
      if code == EINTR && patience > 0 { return .interrupted }
      if code == EAGAIN || code == EINTR { return .none }
      throw Router.failure("endpoint '\(address)'")
    }
    peer.received(Int(count))
    peer.isRequest = false
    var size = -1
    var parts = 0
    // a ROUTER puts an identity in front of what it receives
    var more = true
    while more {
      guard zmq_msg_recv(message, socket, ZMQ_DONTWAIT) >= 0 else { break }
      more = zmq_msg_more(message) != 0
      let count = zmq_msg_size(message)
      if parts == 0 && count == 0 && !peer.isRequest {
        peer.isRequest = true
        continue
      }
      size = count
      parts += 1
      held = UnsafeRawPointer(zmq_msg_data(message))
      heldSize = count
      if count > 0, let held { eff_copy(frame, held, min(count, FrameHeader.size)) }
      if let gate, gate.asksForOwner || FrameHeader.isHello(frame, count) {
        peer.source = zmq_msg_get(message, ZMQ_SRCFD)
      }
    }
    return parts == 1 ? .frame(size: size) : .foreign
  }

  private func take(_ identity: UnsafeMutableRawPointer) -> Int32 {
    zmq_recv(socket, identity, Peer.limit, ZMQ_DONTWAIT)
  }

  /// The identity of the next message: looked for first, then waited for.
  private func expect(_ identity: UnsafeMutableRawPointer, _ patience: Int32) -> Int32 {
    var count: Int32 = -1
    let isOver = spin.look {
      count = take(identity)
      if count >= 0 || zmq_errno() != EAGAIN { return true }
      // the plant and ZeroMQ's threads may want this processor
      eff_yield()
      return false
    }
    if isOver { return count }
    if patience != receiveTimeout {
      receiveTimeout = patience
      Router.set(socket, ZMQ_RCVTIMEO, patience)
    }
    return zmq_recv(socket, identity, Peer.limit, 0)
  }

  /// Copies the rest of the frame behind its header, and releases it.
  func load(_ frame: UnsafeMutableRawPointer, _ capacity: Int) {
    guard let held else { return }
    let rest = min(heldSize, capacity) - FrameHeader.size
    if rest > 0 { eff_copy(frame + FrameHeader.size, held + FrameHeader.size, rest) }
    release()
  }

  private func release() {
    if held == nil { return }
    held = nil
    zmq_msg_close(message)
    zmq_msg_init(message)
  }

  static func hasMore(_ socket: UnsafeMutableRawPointer) -> Bool {
    var more: Int32 = 0
    var size = MemoryLayout<Int32>.size
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0
  }

  /// The descriptor that is readable when a socket may have something.
  static func descriptor(_ socket: UnsafeMutableRawPointer) -> Int32 {
    var descriptor: Int32 = -1
    var size = MemoryLayout<Int32>.size
    return zmq_getsockopt(socket, ZMQ_FD, &descriptor, &size) == 0 ? descriptor : -1
  }

  /// Hands a frame to ZeroMQ, which never waits. 0, or an errno: EHOSTUNREACH where the peer is gone, EAGAIN where it
  /// does not read.
  func send(_ frame: UnsafeRawBufferPointer, to peer: Peer) -> Int32 {
    var code = put(UnsafeRawPointer(peer.identity), peer.count, ZMQ_DONTWAIT | ZMQ_SNDMORE)
    if code == 0 && peer.isRequest { code = put(UnsafeRawPointer(peer.identity), 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) }
    if code == 0, let base = frame.baseAddress { code = put(base, frame.count, ZMQ_DONTWAIT) }
    spin.answer(at: eff_now_ns())
    return code
  }

  private func put(_ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int32 {
    var looked = false
    while true {
      if zmq_send(socket, bytes, count, flags) >= 0 { return 0 }
      let code = zmq_errno()
      if code == EAGAIN && !looked {
        // the queue looks full until ZeroMQ learns from its mailbox what the plant has read, and it looks there rarely
        // while frames keep coming
        looked = true
        var events: Int32 = 0
        var size = MemoryLayout<Int32>.size
        zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size)
      } else if code != EINTR {
        return code
      }
    }
  }

  /// Waits for a message, a byte in `wake` (-1: none) or the end of `milliseconds` (negative: without limit), once
  /// `receive` found nothing; the gate is served meanwhile. False where a signal or `wake` ended it.
  func wait(_ milliseconds: Int, wake: Int32) throws(Failure) -> Bool {
    var descriptors = (descriptor, wake, gate?.monitorDescriptor ?? -1, gate?.handshakeDescriptor ?? -1)
    let ready = withUnsafePointer(to: &descriptors) {
      $0.withMemoryRebound(to: Int32.self, capacity: 4) { eff_wait_readable($0, 4, Int32(clamping: milliseconds)) }
    }
    if ready < 0 {
      if ready == -EINTR { return false }
      throw Failure(.io, "endpoint '\(address)': \(String(cString: eff_error_text(-ready)))")
    }
    if let gate, ready & 1 == 0 || ready & 12 != 0 {
      let now = eff_now_ns()
      if ready & 12 != 0 || now >= gate.deadline { serveGate(now) }
    }
    return ready & 2 == 0
  }

  /// Looks after connections.
  func serveGate(_ now: UInt64) {
    guard let gate else { return }
    gate.serve(now)
    guard transport == .ipc, gate.isShort != isSuspended else { return }
    if !isSuspended {
      isSuspended = address.withCString { zmq_unbind(socket, $0) } == 0
    } else if address.withCString({ zmq_bind(socket, $0) }) == 0 {
      isSuspended = false
      if let path { _ = path.withCString { eff_private($0) } }
    }
  }

  /// Finds libzmq, once in a process.
  static func openLibrary(hasContext: Bool) throws(Failure) {
    let size = 1024
    var problem: String? = nil
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) {
      if eff_zmq_open(hasContext ? 1 : 0, $0.baseAddress, size) != 0 { problem = String(cString: $0.baseAddress!) }
    }
    if let problem { throw Failure(.unsupported, problem) }
  }

  /// Sets an integer option; the ones used here cannot fail on an open socket.
  static func set(_ socket: UnsafeMutableRawPointer, _ option: Int32, _ value: Int32) {
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
