#if Bridge
import Base
import CZeroMQ
import Platform

/// Who is connected to a ROUTER over tcp or ipc. ZeroMQ lets in everybody: the gate bounds how many connections stand,
/// and counts those that end.
///
/// - A monitor tells of each connection. Above the limit the oldest stranger's is ended where it stood for a while,
///   else the new one.
/// - Handshakes wait for the gate (ZAP), so that nobody fills a queue of a host that does not poll.
/// - A handshake with keys costs ZeroMQ's thread, which carries the owner's frames too, a fraction of a millisecond,
///   and what ends a connection before that costs it something too. While an owner is connected, few strangers may
///   begin one in a while; the others are ended before it, and come back later. Where they are many, the kernel throws
///   away what asks to be connected, for longer and longer while they go on.
/// - Where file descriptors run out, ZeroMQ would try to accept without pause. Descriptors that were kept for that are
///   then given to it, and what it accepts with them is ended.
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
  /// Answers the questions of handshakes; nil in a context of the caller, who may have an own one, but where there are
  /// keys.
  private let handshakes: UnsafeMutableRawPointer?
  let monitorDescriptor, handshakeDescriptor: Int32

  /// Who is let in; nil: everybody.
  private let keys: Keys?
  /// Parts of a handshake's question, of which the first bytes are kept, with their sizes.
  private let question: UnsafeMutablePointer<UInt8>
  private var sizes: (Int, Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0, 0)
  private static let partLimit = 64
  /// Denials since the log was told of one, and when that was.
  private var denials = 0
  private var toldDenials: UInt64 = 0

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
  /// When monitor and handshakes were read last, and when there was something.
  private(set) var served: UInt64 = 0
  private var stirred: UInt64
  /// Nobody has come or gone for a while.
  private(set) var isQuiet = false

  /// How long a stranger's connection is safe from newer ones.
  private static let grace: UInt64 = 1_000_000_000
  /// Nanoseconds between two looks at the descriptors, at most and at least.
  private static let interval: UInt64 = 250_000_000
  private static let shortInterval: UInt64 = 20_000_000
  private static let spareCount = 8
  /// Nanoseconds without an event after which the gate is quiet.
  private static let calm: UInt64 = 1_000_000_000
  /// Most strangers that begin a handshake with keys in an interval, while an owner is connected, and most that come:
  /// the next one begins a pause, in which nobody new is heard. After a pause fewer do.
  private static let handshakeLimit = 4
  private static let comingLimit = 20
  private static let limitAgain = 1
  private var handshakesBegun = 0
  private var handshakesSince: UInt64 = 0
  /// Our descriptor of the socket that listens, with keys; -1: not known.
  private var listener: Int32 = -1
  /// When strangers are heard again; 0: they are.
  private var deafUntil: UInt64 = 0
  /// How long they are not heard the next time, from the first to the longest.
  private var pause = Gate.firstPause
  private static let firstPause: UInt64 = 1_000_000_000
  private static let longestPause: UInt64 = 4_000_000_000
  /// Nanoseconds in which few came, after which the pauses begin with the first one again.
  private static let peace: UInt64 = 2_000_000_000
  private static let domain: StaticString = "efferent"

  /// A gate of a socket that is not bound yet. nil where ZeroMQ has no socket left.
  init?(
    _ socket: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer, ownsContext: Bool, limit: Int,
    _ stats: Stats, _ keys: Keys?
  ) {
    var number: UInt64 = 0
    if eff_random_bytes(&number, MemoryLayout<UInt64>.size) != 0 { number = eff_now_ns() }
    let name = "inproc://efferent-gate-\(number)"
    let failures = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    let events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | (keys == nil ? 0 : failures | ZMQ_EVENT_LISTENING)
    guard let monitor = zmq_socket(context, ZMQ_PAIR) else { return nil }
    // without a limit: ZeroMQ's thread would wait for us where this queue is full
    Router.set(monitor, ZMQ_RCVHWM, 0)
    Router.set(monitor, ZMQ_LINGER, 0)
    guard name.withCString({ zmq_socket_monitor(socket, $0, events) }) == 0,
      name.withCString({ zmq_connect(monitor, $0) }) == 0
    else {
      zmq_close(monitor)
      return nil
    }
    var handshakes: UnsafeMutableRawPointer? = nil
    if ownsContext || keys != nil {
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
    self.keys = keys
    self.stats = stats
    self.limit = limit
    question = .allocate(capacity: 8 * Gate.partLimit)
    connections = .allocate(capacity: limit)
    spares = .allocate(capacity: Gate.spareCount + 3)
    stirred = eff_now_ns()
    look(stirred)
  }

  deinit {
    question.deallocate()
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
    if listener >= 0 { eff_close(listener) }
    listener = -1
    giveSpares()
  }

  /// Nanoseconds after which `serve` is due though nothing happened.
  var deadline: UInt64 { looked &+ (isShort ? Gate.shortInterval : Gate.interval) }

  /// Whether the owner's connection is to be learned from its next frame.
  var asksForOwner: Bool { hasOwner && owner < 0 }

  /// The owner's frames come from that connection of ZeroMQ; -1: not known.
  func setOwner(_ descriptor: Int32) { (owner, hasOwner) = (descriptor, true) }

  /// Nobody owns the target.
  func forgetOwner() {
    (owner, hasOwner) = (-1, false)
    hear()
  }

  /// Takes what the monitor and handshakes have, and looks after descriptors where that is due.
  func serve(_ now: UInt64) {
    served = now
    var hasStirred = false
    while let (event, descriptor) = nextEvent() {
      hasStirred = true
      switch event {
      case ZMQ_EVENT_ACCEPTED: accepted(descriptor, now)
      case ZMQ_EVENT_DISCONNECTED: ended(descriptor)
      case ZMQ_EVENT_LISTENING: listens(descriptor)
      default: denied(now) { "no key, or another bridge's" }
      }
    }
    while admitNext(now) { hasStirred = true }
    if deafUntil != 0, now >= deafUntil || owner < 0 {
      hear()
      (handshakesBegun, handshakesSince) = (0, now)
    }
    if hasStirred { stirred = now }
    isQuiet = now &- stirred >= Gate.calm
    if now &- looked >= (hasStirred || isShort ? Gate.shortInterval : Gate.interval) { look(now) }
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
    if isShort || !mayBegin(now) || count == limit && !makeRoom(now) {
      stats.add(.peersRefused)
      eff_hang_up(ours)
      eff_close(ours)
      return
    }
    connections[count] = Connection(theirs: descriptor, ours: ours, since: now)
    count += 1
  }

  /// Whether one more stranger may begin a handshake with keys; where it may not, nobody is heard for a while.
  private func mayBegin(_ now: UInt64) -> Bool {
    guard keys != nil, owner >= 0 else { return true }
    if now &- handshakesSince >= Gate.peace { pause = Gate.firstPause }
    if now &- handshakesSince >= Gate.interval { (handshakesBegun, handshakesSince) = (0, now) }
    handshakesBegun += 1
    let isAgain = pause != Gate.firstPause
    if handshakesBegun > (isAgain ? Gate.limitAgain : Gate.comingLimit) { deafen(now) }
    return handshakesBegun <= (isAgain ? Gate.limitAgain : Gate.handshakeLimit)
  }

  private func listens(_ descriptor: Int32) {
    let ours = eff_duplicate(descriptor)
    guard ours >= 0 else { return }
    if listener >= 0 || !address.isOf(ours) { eff_close(ours) } else { listener = ours }
  }

  /// Has the kernel throw away what asks to be connected, for a while.
  private func deafen(_ now: UInt64) {
    guard deafUntil == 0, listener >= 0, eff_deafen(listener, 1) == 0 else { return }
    deafUntil = now &+ pause
    if pause == Gate.firstPause {
      Log.write(.warning, "bridge: strangers come too often beside the plant: nobody new is heard for a while")
    }
    pause = min(2 * pause, Gate.longestPause)
    stats.add(.deafenings)
  }

  /// Lets strangers be heard again.
  private func hear() {
    guard deafUntil != 0 else { return }
    deafUntil = 0
    _ = eff_deafen(listener, 0)
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
    reloadKeys()
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

  /// Answers the handshake that waits next (RFC 27): version, request, domain, address, identity, mechanism, key;
  /// answered by version, request, status, text, user, metadata.
  private func admitNext(_ now: UInt64) -> Bool {
    guard let handshakes else { return false }
    var parts = 0
    repeat {
      let part = min(parts, 7)
      let count = zmq_recv(handshakes, question + part * Gate.partLimit, Gate.partLimit, ZMQ_DONTWAIT)
      guard count >= 0 else { return false }
      setSize(part, min(Int(count), Gate.partLimit))
      parts += 1
    } while Router.hasMore(handshakes)
    let isAllowed = isAllowed(now, parts)
    let more = ZMQ_DONTWAIT | ZMQ_SNDMORE
    zmq_send(handshakes, "1.0", 3, more)
    zmq_send(handshakes, question + Gate.partLimit, sizes.1, more)
    zmq_send(handshakes, isAllowed ? "200" : "400", 3, more)
    zmq_send(handshakes, isAllowed ? "OK" : "no", 2, more)
    zmq_send(handshakes, question, 0, more)
    zmq_send(handshakes, question, 0, ZMQ_DONTWAIT)
    return true
  }

  private func setSize(_ part: Int, _ size: Int) {
    withUnsafeMutableBytes(of: &sizes) {
      $0.storeBytes(of: size, toByteOffset: part * MemoryLayout<Int>.size, as: Int.self)
    }
  }

  /// Whether the question at hand is of a plant that may come in, or of a socket that is not ours.
  private func isAllowed(_ now: UInt64, _ parts: Int) -> Bool {
    let domain = Gate.domain
    let isOurs =
      sizes.2 == domain.utf8CodeUnitCount && eff_equal(question + 2 * Gate.partLimit, domain.utf8Start, sizes.2) != 0
    guard let keys, isOurs else { return true }
    reloadKeys()
    let key = question + 6 * Gate.partLimit
    let address = UnsafeRawBufferPointer(start: question + 3 * Gate.partLimit, count: sizes.3)
    guard parts >= 7, sizes.6 == Keys.size else {
      denied(now) { "\(String(decoding: address, as: UTF8.self)): no key" }
      return false
    }
    guard let name = keys.name(of: key) else {
      denied(now) { "\(String(decoding: address, as: UTF8.self)): key \(Keys.fingerprint(of: key)) is not allowed" }
      return false
    }
    Log.write(
      .info,
      """
      bridge: plant '\(name)', key \(Keys.fingerprint(of: key)), is let in from \
      \(String(decoding: address, as: UTF8.self))
      """
    )
    return true
  }

  /// Counts a connection that had no right key; the log hears of one in a second.
  private func denied(_ now: UInt64, _ what: () -> String) {
    stats.add(.peersDenied)
    denials += 1
    guard toldDenials == 0 || now &- toldDenials >= 1_000_000_000 else { return }
    Log.write(.warning, "bridge: turned away \(what())\(denials > 1 ? ", and \(denials - 1) before" : "")")
    (denials, toldDenials) = (0, now)
  }

  /// Reads the allow-list where it has changed. Where a key was revoked, every connection is ended: those that are
  /// still allowed come back as the same plants.
  private func reloadKeys() {
    guard let keys, keys.reload() else { return }
    for i in 0..<count { eff_hang_up(connections[i].ours) }
  }
}
#endif
