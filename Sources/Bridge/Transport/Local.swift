#if Bridge
import Base
import Platform

/// Plants of this machine, without ZeroMQ: a Unix socket that they connect to, and with `shm` memory that the connected
/// one shares.
///
/// A connection that ends is a plant that is gone. Connections are bounded as those of ZeroMQ are, and belong to this
/// process's user or to root.
final class Local {
  private let endpoint: Endpoint
  private let stats: Stats
  /// Most connections, and the longest frames that are kept of strangers and of the plant that is connected.
  private let limit, strangerRoom, ownerRoom: Int
  private let listener: Int32
  /// Keeps the path for this process; -1: none.
  private let pathLock: Int32
  private var connections: [Connection] = []
  /// For poll: the listener, what wakes the thread, then the connections.
  private let polled: UnsafeMutablePointer<pollfd>
  private var lastId: UInt64 = 0
  private var owner: Connection?
  /// The connection that is looked at next.
  private var cursor = 0
  private var turns: UInt8 = 0
  /// Nothing is accepted before that time: file descriptors had run out.
  private var acceptsFrom: UInt64 = 0

  /// Where the frame of `receive` stands and whose it is, until it is read.
  private(set) var held: UnsafeRawPointer?
  private var holder: Connection?
  private var heldSize = 0

  /// In which the next frame of shared memory is looked for.
  private var spin: Spin

  /// How long a stranger's connection is safe from newer ones.
  private static let grace: UInt64 = 1_000_000_000
  /// Nanoseconds without file descriptors after which to try again.
  private static let pause: UInt64 = 50_000_000
  /// Frames after which others are looked at though more of the plant's are there.
  private static let fairness: UInt8 = 64

  var address: String { endpoint.text }

  init(_ endpoint: Endpoint, peers: Int, ownerRoom: Int, spin: Spin, _ stats: Stats) throws(Failure) {
    pathLock = try endpoint.take()
    listener = endpoint.name.withCString { eff_local_listen($0, 128) }
    guard listener >= 0 else {
      endpoint.give(pathLock)
      throw Failure(.io, "endpoint '\(endpoint.text)': \(String(cString: eff_error_text(-listener)))")
    }
    self.endpoint = endpoint
    self.stats = stats
    limit = peers
    self.ownerRoom = ownerRoom
    strangerRoom = min(ownerRoom, Service.helloLimit)
    self.spin = spin
    polled = .allocate(capacity: peers + 2)
    polled.initialize(repeating: pollfd(fd: -1, events: Int16(POLLIN), revents: 0), count: peers + 2)
    connections.reserveCapacity(peers)
  }

  deinit { polled.deallocate() }

  /// Gives the address back and ends all connections.
  func close() {
    release()
    owner = nil
    connections = []
    if let path = endpoint.path { _ = path.withCString { eff_remove($0) } }
    eff_close(listener)
    endpoint.give(pathLock)
  }

  // MARK: frames

  /// The next frame: its header in `frame`, the rest where `held` says, until `load` or `release`. `.gone`: the owner's
  /// connection ended.
  func receive(_ peer: inout Peer, _ frame: UnsafeMutableRawPointer, _ capacity: Int) throws(Failure) -> Link.Received {
    turns &+= 1
    if turns % Local.fairness == 0 {
      _ = try poll(0, wake: -1)
    } else if let owner {
      if let ring = owner.ring {
        switch ring.next() {
        case .none: break
        case .frame(let at, let size):
          hold(owner, at, size, &peer, frame)
          peer.isShared = true
          return .frame(size: size)
        case .broken:
          stats.add(.peersCut)
          return remove(owner, &peer) ? .gone : .none
        }
      }
      if let found = next(of: owner, &peer, frame, capacity) { return found }
    }
    var looked = 0
    while looked < connections.count {
      if cursor >= connections.count { cursor = 0 }
      let (connection, count) = (connections[cursor], connections.count)
      // the end of the owner is heard before the HELLO of the plant that comes after it
      if let owner, connection !== owner, connection.isReadable, eff_local_is_ended(owner.descriptor) != 0 {
        owner.isReadable = true
        if let found = next(of: owner, &peer, frame, capacity) { return found }
      }
      if let found = next(of: connection, &peer, frame, capacity) {
        cursor += 1
        return found
      }
      // a connection that ended has left its place to another
      if connections.count == count {
        cursor += 1
        looked += 1
      }
    }
    return .none
  }

  /// The next frame of a connection, or that the owner's ended; nil where there is nothing to tell.
  private func next(of connection: Connection, _ peer: inout Peer, _ frame: UnsafeMutableRawPointer, _ capacity: Int)
    -> Link.Received?
  {
    switch connection.next(limit: 2 * capacity) {
    case .nothing: return nil
    case .frame(let size):
      hold(connection, connection.frame, size, &peer, frame)
      peer.isShared = false
      return .frame(size: size)
    case .tooLong: stats.add(.peersCut)
    case .ended: break
    }
    return remove(connection, &peer) ? .gone : nil
  }

  private func hold(
    _ connection: Connection, _ at: UnsafeRawPointer, _ size: Int, _ peer: inout Peer, _ frame: UnsafeMutableRawPointer
  ) {
    (holder, held, heldSize) = (connection, at, size)
    peer.identity.storeBytes(of: connection.id, as: UInt64.self)
    peer.received(MemoryLayout<UInt64>.size)
    peer.isRequest = false
    holdsShared = connection.ring != nil && at != connection.frame
    eff_copy(frame, at, min(size, FrameHeader.size))
  }

  /// Whether the frame that is held stands in shared memory.
  private var holdsShared = false

  /// Copies the rest of the frame that is held behind its header, which is not read again, and releases it.
  func load(_ frame: UnsafeMutableRawPointer, _ capacity: Int) {
    guard let held, let holder else { return }
    let size = min(heldSize, capacity, holdsShared ? heldSize : holder.room)
    if size > FrameHeader.size { eff_copy(frame + FrameHeader.size, held + FrameHeader.size, size - FrameHeader.size) }
    release()
  }

  /// The frame that is held was read.
  func release() {
    guard let holder else { return }
    if holdsShared { holder.ring?.take() } else { holder.consume(heldSize) }
    (self.holder, held) = (nil, nil)
  }

  /// Sends a frame and never waits. 0, or an errno: EHOSTUNREACH where the peer is gone, EAGAIN where it does not read.
  func send(_ frame: UnsafeRawBufferPointer, to peer: Peer) -> Int32 {
    guard let connection = find(peer) else { return EHOSTUNREACH }
    guard peer.isShared else {
      let isWelcome = FrameHeader(frame)?.type == FrameType.welcome.rawValue
      return connection.send(frame, passing: isWelcome ? connection.ring?.descriptor ?? -1 : -1)
    }
    guard let ring = connection.ring else { return EHOSTUNREACH }
    let code = ring.post(frame)
    if code == 0 && ring.isPlantAsleep { connection.wake() }
    spin.answer(at: eff_now_ns())
    return code
  }

  /// Whether the connection of a peer stands.
  func isReachable(_ peer: Peer) -> Bool { find(peer) != nil }

  private func find(_ peer: Peer) -> Connection? {
    guard peer.count == MemoryLayout<UInt64>.size else { return nil }
    let id = peer.identity.load(as: UInt64.self)
    if let owner, owner.id == id { return owner }
    for connection in connections where connection.id == id { return connection }
    return nil
  }

  // MARK: the owner

  /// The target is that peer's from now on; `request` and `answer` are the longest frames of its session.
  func own(_ peer: Peer, request: Int, answer: Int) {
    owner?.ring = nil
    owner = find(peer)
    guard let owner else { return }
    var isReady = owner.grow(to: ownerRoom)
    if isReady, endpoint.transport == .shm {
      owner.ring = Ring(requestSize: request, answerSize: answer)
      isReady = owner.ring != nil
    }
    if !isReady {
      // it learns that by the end of its connection, and may come again
      stats.add(.peersRefused)
      eff_hang_up(owner.descriptor)
    }
  }

  /// Nobody owns the target.
  func forgetOwner() {
    owner?.ring = nil
    owner = nil
  }

  // MARK: connections

  private func accept(_ now: UInt64) {
    for _ in 0..<128 {
      let descriptor = eff_local_accept(listener)
      if descriptor == -EMFILE || descriptor == -ENFILE || descriptor == -ENOMEM || descriptor == -ENOBUFS {
        acceptsFrom = now &+ Local.pause
      }
      guard descriptor >= 0 else { return }
      stats.add(.peersAccepted)
      guard eff_local_is_own_user(descriptor) != 0, connections.count < limit || makeRoom(now),
        let connection = Connection(descriptor, id: lastId + 1, since: now, room: strangerRoom)
      else {
        stats.add(.peersRefused)
        eff_close(descriptor)
        continue
      }
      lastId += 1
      connections.append(connection)
    }
  }

  /// Ends the oldest stranger's connection, where one stood for long enough.
  private func makeRoom(_ now: UInt64) -> Bool {
    var oldest: Connection? = nil
    for c in connections where c !== owner && now &- c.since >= Local.grace {
      if let found = oldest, found.since <= c.since { continue }
      oldest = c
    }
    guard let oldest else { return false }
    stats.add(.peersRefused)
    drop(oldest)
    return true
  }

  private func drop(_ connection: Connection) {
    connections.removeAll { $0 === connection }
    stats.set(.peers, UInt64(connections.count))
  }

  /// Ends a connection; whether it was the owner's, which `peer` then is.
  private func remove(_ connection: Connection, _ peer: inout Peer) -> Bool {
    drop(connection)
    guard connection === owner else { return false }
    peer.identity.storeBytes(of: connection.id, as: UInt64.self)
    peer.received(MemoryLayout<UInt64>.size)
    forgetOwner()
    return true
  }

  // MARK: waiting

  /// When `wait` should end though nothing happened.
  var deadline: UInt64 { acceptsFrom == 0 ? .max : acceptsFrom }

  /// Waits for something to receive, a byte in `wake` (-1: none) or the end of `milliseconds` (negative: without
  /// limit). False where a signal or `wake` ended it.
  func wait(_ milliseconds: Int, wake: Int32) throws(Failure) -> Bool {
    guard milliseconds != 0, let ring = owner?.ring else { return try poll(milliseconds, wake: wake) }
    if isNext(in: ring) || !ring.sleep(true) {
      _ = ring.sleep(false)
      return true
    }
    defer { _ = ring.sleep(false) }
    return try poll(milliseconds, wake: wake)
  }

  private func isNext(in ring: Ring) -> Bool {
    spin.look {
      for _ in 0..<16 {
        if ring.hasRequest { return true }
        eff_pause()
      }
      return false
    }
  }

  private func poll(_ milliseconds: Int, wake: Int32) throws(Failure) -> Bool {
    let now = acceptsFrom == 0 ? 0 : eff_now_ns()
    if now >= acceptsFrom { acceptsFrom = 0 }
    polled[0].fd = acceptsFrom == 0 ? listener : -1
    polled[1].fd = wake
    for (i, connection) in connections.enumerated() {
      polled[2 + i].fd = connection.descriptor
      polled[2 + i].events = Int16(connection.hasRest ? POLLIN | POLLOUT : POLLIN)
    }
    let ready = eff_local_poll(polled, connections.count + 2, Int32(clamping: milliseconds))
    if ready < 0 {
      if ready == -EINTR { return false }
      throw Failure(.io, "endpoint '\(address)': \(String(cString: eff_error_text(-ready)))")
    }
    guard ready > 0 else { return true }
    for (i, connection) in connections.enumerated() where polled[2 + i].revents != 0 {
      if polled[2 + i].revents & ~Int16(POLLOUT) != 0 { connection.isReadable = true }
      if connection.hasRest && !connection.flush() { connection.isReadable = true }
    }
    if polled[0].fd >= 0 && polled[0].revents != 0 {
      accept(eff_now_ns())
      stats.set(.peers, UInt64(connections.count))
    }
    return polled[1].fd < 0 || polled[1].revents == 0
  }
}
#endif
