#if Bridge
import Base
import CZeroMQ
import Platform

/// Who is connected to a ROUTER over tcp or ipc. ZeroMQ lets in everybody: the gate bounds how many connections stand, and counts those that end.
///
/// - A monitor tells of each connection. Above the limit the oldest stranger's is ended where it stood for a while, else the new one.
/// - Handshakes wait for the gate (ZAP), so that nobody fills a queue of a host that does not poll.
/// - Where file descriptors run out, ZeroMQ would try to accept without pause. Descriptors that were kept for that are then given to it, and what it
///   accepts with them is ended.
final class Gate {
  private struct Connection {
    /// ZeroMQ's descriptor, and one of our own, which names this connection for as long as it stands.
    let theirs, ours: Int32
    let since: UInt64
  }

  /// Where connections were accepted: a port of tcp, or the path of ipc.
  struct Address {
    var port: Int32 = 0
    var path: String?

    func isOf(_ descriptor: Int32) -> Bool {
      guard let path else { return eff_is_connection(descriptor, port, nil) != 0 }
      return path.withCString { eff_is_connection(descriptor, port, $0) != 0 }
    }
  }

  /// Set once the endpoint is bound.
  var address = Address()
  private let monitor: UnsafeMutableRawPointer
  /// Answers the questions of handshakes; nil in a context of the caller, who may have an own one.
  private let handshakes: UnsafeMutableRawPointer?
  let monitorDescriptor, handshakeDescriptor: Int32

  private let stats: Stats
  private let limit: Int
  private let connections: UnsafeMutablePointer<Connection>
  private var count = 0
  /// ZeroMQ's descriptor of the owner's connection; -1: none, or not known.
  private(set) var owner: Int32 = -1
  private var hasOwner = false

  private let spares: UnsafeMutablePointer<Int32>
  private var spareCount = 0
  /// Whether file descriptors have run out.
  private(set) var isShort = false
  private var looked: UInt64 = 0

  /// How long a stranger's connection is safe from newer ones.
  private static let grace: UInt64 = 1_000_000_000
  /// Nanoseconds between two looks at the descriptors, at most and at least.
  private static let interval: UInt64 = 250_000_000
  private static let shortInterval: UInt64 = 20_000_000
  private static let spareCount = 8
  private static let domain: StaticString = "efferent"

  /// A gate of a socket that is not bound yet. nil where ZeroMQ has no socket left.
  init?(_ socket: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer, ownsContext: Bool, limit: Int, _ stats: Stats) {
    var number: UInt64 = 0
    if eff_random_bytes(&number, MemoryLayout<UInt64>.size) != 0 { number = eff_now_ns() }
    let name = "inproc://efferent-gate-\(number)"
    let events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED
    guard let monitor = zmq_socket(context, ZMQ_PAIR) else { return nil }
    // without a limit: ZeroMQ's thread would wait for us where this queue is full
    Router.set(monitor, ZMQ_RCVHWM, 0)
    Router.set(monitor, ZMQ_LINGER, 0)
    guard name.withCString({ zmq_socket_monitor(socket, $0, events) }) == 0, name.withCString({ zmq_connect(monitor, $0) }) == 0 else {
      zmq_close(monitor)
      return nil
    }
    var handshakes: UnsafeMutableRawPointer? = nil
    if ownsContext {
      handshakes = zmq_socket(context, ZMQ_REP)
      guard let made = handshakes, zmq_bind(made, "inproc://zeromq.zap.01") == 0 else {
        if let handshakes { zmq_close(handshakes) }
        zmq_close(monitor)
        return nil
      }
      Router.set(made, ZMQ_LINGER, 0)
      zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, Gate.domain.utf8Start, Gate.domain.utf8CodeUnitCount)
    }
    self.monitor = monitor
    self.handshakes = handshakes
    monitorDescriptor = Router.descriptor(monitor)
    handshakeDescriptor = handshakes.map { Router.descriptor($0) } ?? -1
    self.stats = stats
    self.limit = limit
    connections = .allocate(capacity: limit)
    spares = .allocate(capacity: Gate.spareCount + 3)
    look(eff_now_ns())
  }

  deinit {
    connections.deallocate()
    spares.deallocate()
  }

  /// Before the ROUTER is closed. A child of fork must not call it.
  func close(_ socket: UnsafeMutableRawPointer) {
    zmq_socket_monitor(socket, nil, 0)
    zmq_close(monitor)
    if let handshakes { zmq_close(handshakes) }
    for i in 0..<count { eff_close(connections[i].ours) }
    count = 0
    giveSpares()
  }

  /// Nanoseconds after which `serve` is due though nothing happened.
  var deadline: UInt64 { looked &+ (isShort ? Gate.shortInterval : Gate.interval) }

  /// Whether the owner's connection is to be learned from its next frame.
  var asksForOwner: Bool { hasOwner && owner < 0 }

  /// The owner's frames come from that connection of ZeroMQ; -1: not known.
  func setOwner(_ descriptor: Int32) { (owner, hasOwner) = (descriptor, true) }

  /// Nobody owns the target.
  func forgetOwner() { (owner, hasOwner) = (-1, false) }

  /// Takes what the monitor and handshakes have, and looks after descriptors where that is due.
  func serve(_ now: UInt64) {
    while let (event, descriptor) = nextEvent() {
      if event == ZMQ_EVENT_ACCEPTED { accepted(descriptor, now) } else { ended(descriptor) }
    }
    while admitNext() {}
    if now &- looked >= Gate.shortInterval { look(now) }
    stats.set(.peers, UInt64(count))
  }

  // MARK: connections

  private func accepted(_ descriptor: Int32, _ now: UInt64) {
    stats.add(.peersAccepted)
    // an old connection of that number is gone, though nobody said so
    remove(descriptor)
    var ours = eff_duplicate(descriptor)
    if ours == -EMFILE || ours == -ENFILE {
      isShort = true
      giveSpares()
      ours = eff_duplicate(descriptor)
      if ours < 0 && address.isOf(descriptor) {
        stats.add(.peersRefused)
        eff_hang_up(descriptor)
        return
      }
    }
    // gone meanwhile, and its number may be a file of the host by now
    guard ours >= 0, address.isOf(ours) else {
      if ours >= 0 { eff_close(ours) }
      stats.add(.peersCut)
      return
    }
    if isShort || count == limit && !makeRoom(now) {
      stats.add(.peersRefused)
      eff_hang_up(ours)
      eff_close(ours)
      return
    }
    connections[count] = Connection(theirs: descriptor, ours: ours, since: now)
    count += 1
  }

  /// Ends the oldest stranger's connection, where one stood for long enough.
  private func makeRoom(_ now: UInt64) -> Bool {
    var oldest = -1
    for i in 0..<count where connections[i].theirs != owner && now &- connections[i].since >= Gate.grace {
      if oldest < 0 || connections[i].since < connections[oldest].since { oldest = i }
    }
    guard oldest >= 0 else { return false }
    stats.add(.peersRefused)
    eff_hang_up(connections[oldest].ours)
    remove(connections[oldest].theirs)
    return true
  }

  private func ended(_ descriptor: Int32) {
    for i in 0..<count where connections[i].theirs == descriptor {
      if eff_is_hung_up(connections[i].ours) == 0 { stats.add(.peersCut) }
      break
    }
    remove(descriptor)
  }

  private func remove(_ descriptor: Int32) {
    if owner == descriptor { owner = -1 }
    for i in 0..<count where connections[i].theirs == descriptor {
      eff_close(connections[i].ours)
      count -= 1
      connections[i] = connections[count]
      return
    }
  }

  // MARK: descriptors

  private func look(_ now: UInt64) {
    looked = now
    // to be short no longer takes two more than to stay so
    let wanted = Gate.spareCount + (isShort ? 3 : 1)
    isShort = false
    while spareCount < wanted {
      let spare = eff_spare_descriptor()
      isShort = spare < 0
      if isShort { break }
      spares[spareCount] = spare
      spareCount += 1
    }
    giveSpares(to: isShort ? 0 : Gate.spareCount)
  }

  private func giveSpares(to left: Int = 0) {
    while spareCount > left {
      spareCount -= 1
      eff_close(spares[spareCount])
    }
  }

  // MARK: ZeroMQ

  /// An event of the monitor: its code, and the descriptor that it is about.
  private func nextEvent() -> (Int32, Int32)? {
    var event: (UInt16, UInt16, UInt16) = (0, 0, 0)
    guard zmq_recv(monitor, &event, 6, ZMQ_DONTWAIT) == 6 else { return nil }
    var address: UInt8 = 0
    zmq_recv(monitor, &address, 1, ZMQ_DONTWAIT)
    return (Int32(event.0), Int32(bitPattern: UInt32(event.1) | UInt32(event.2) << 16))
  }

  /// Lets the handshake end that waits next (RFC 27): version, request, domain, address, identity, mechanism; answered by version, request, status,
  /// text, user, metadata.
  private func admitNext() -> Bool {
    guard let handshakes else { return false }
    var request: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    var ignored: UInt64 = 0
    var size: Int32 = 0
    guard zmq_recv(handshakes, &ignored, 8, ZMQ_DONTWAIT) >= 0 else { return false }
    var parts = 1
    while Router.hasMore(handshakes) {
      let count = parts == 1 ? zmq_recv(handshakes, &request, 32, ZMQ_DONTWAIT) : zmq_recv(handshakes, &ignored, 8, ZMQ_DONTWAIT)
      guard count >= 0 else { break }
      if parts == 1 { size = min(count, 32) }
      parts += 1
    }
    let more = ZMQ_DONTWAIT | ZMQ_SNDMORE
    zmq_send(handshakes, "1.0", 3, more)
    zmq_send(handshakes, &request, Int(size), more)
    zmq_send(handshakes, "200", 3, more)
    zmq_send(handshakes, "OK", 2, more)
    zmq_send(handshakes, &ignored, 0, more)
    zmq_send(handshakes, &ignored, 0, ZMQ_DONTWAIT)
    return true
  }
}
#endif
