#if Bridge
import Base
import CZeroMQ
import Platform

/// Serves a target in lock-step: frames of one plant at a time, through a `Link` (Transport), are answered by a
/// `Service` that knows no transport.
///
/// One thread polls, the caller's or the bridge's own. A tick neither allocates (ZeroMQ itself may) nor waits for the
/// plant.
public final class Bridge {
  public struct Options {
    public var endpoint = "tcp://127.0.0.1:*"
    public var allowRemote = false
    /// Milliseconds of silence after which another plant may take over; negative for never.
    public var idleTimeout = 2000
    /// Frames queued per plant and direction.
    public var highWater: Int32 = 16
    /// Most connections over tcp or ipc.
    public var peers = 32
    /// How the bridge's thread and ZeroMQ's run.
    public var scheduling = Scheduling()
    public var labels = Labels()
    /// The caller's ZeroMQ context, or nil for an own one.
    public var context: UnsafeMutableRawPointer?
    /// `EFF_VERSION` of the library, told to the plant.
    public var library = 0
    /// Whether frames carry a checksum where the plant leaves it open; nil: on tcp.
    public var seals: Bool?
    /// Whether observations that are not finite are refused.
    public var refusesNonFinite = false
    /// Keys for tcp; nil: nothing is encrypted.
    public var keys: KeyOptions?
    /// Nanoseconds in which the bridge looks for the next frame before it sleeps; nil: as long as a plant without pause
    /// takes.
    public var spin: UInt64?
    /// Called after every event but `.none`, on the thread that polls.
    public var onEvent: ((Event) -> Void)?

    public init() {}
  }

  public let options: Options
  let service: Service
  private let link: Link
  let thread = ThreadState()
  /// The process that made the bridge: a fork's child must not touch it.
  private let process = eff_process_id()

  /// Two buffers of frames, each with its sender: the frame at hand, and one that arrived behind it.
  private let memory: UnsafeMutableRawPointer
  private var received, behind: UnsafeMutableRawPointer
  private var sender, other: Peer
  /// As long as a plant takes that steps without pause, from Python too, by shared memory and by ZeroMQ; nothing where
  /// the plant has no other processor.
  private static let defaultSpin: UInt64 = 50_000
  private static let defaultSocketSpin: UInt64 = 200_000
  /// Most messages that are looked at behind a STEP.
  private static let lookAhead = 64
  /// Milliseconds for which the next frame of a plant that was just answered is waited for by the very call of ZeroMQ
  /// that receives it. Whatever else is to be looked at, the end of the thread too, waits that long at most.
  private static let patience: Int32 = 10
  /// Nanoseconds after which connections are looked after though frames keep coming.
  private static let attention = UInt64(patience) * 1_000_000
  /// Nanoseconds that a call takes which had to wait for its frame.
  private static let wait: UInt64 = 5_000
  /// Whether the last thing that happened was a frame of the plant's that was answered.
  private var isPaced = false

  public var endpoint: String { link.address }
  public var stats: Stats { service.stats }

  public convenience init(_ target: Target, _ options: Options) throws(Failure) {
    try self.init(serving: target, options)
  }

  private init(serving target: Target, _ options: Options) throws(Failure) {
    self.options = options
    let endpoint = try Endpoint(
      options.endpoint, allowRemote: options.allowRemote, hasContext: options.context != nil,
      hasKeys: options.keys != nil)
    var offered = Service.Options()
    offered.idleTimeout = options.idleTimeout
    offered.labels = options.labels
    offered.library = options.library
    offered.seals = options.seals ?? (endpoint.transport == .tcp)
    offered.refusesNonFinite = options.refusesNonFinite
    offered.boot = Bridge.bootOfThisMachine()
    service = try Service(target, offered)
    let capacity = Service.align(service.capacity)
    let size = 2 * capacity + 2 * Peer.limit
    guard let memory = eff_alloc(size, Layout.alignment) else {
      throw Failure(.memory, "no memory for \(size) bytes of frames")
    }
    eff_zero(memory, size)
    do {
      let usual = endpoint.isLocal ? Bridge.defaultSpin : Bridge.defaultSocketSpin
      let spin = Spin(limit: options.spin ?? (eff_usable_cpus() > 1 ? usual : 0))
      if endpoint.isLocal {
        link = .local(try Local(endpoint, peers: options.peers, ownerRoom: service.capacity, spin: spin, service.stats))
      } else {
        let router = try Router(
          endpoint, context: options.context, highWater: options.highWater, frameLimit: 2 * service.capacity,
          peers: options.peers, spin: spin, options.scheduling, service.stats, keys: options.keys)
        service.fingerprint = router.fingerprint
        link = .router(router)
      }
    } catch {
      eff_free(memory)
      throw error
    }
    self.memory = memory
    received = memory
    behind = memory + capacity
    sender = Peer(at: memory + 2 * capacity)
    other = Peer(at: memory + 2 * capacity + Peer.limit)
    service.isReachable = { [unowned(unsafe) self] peer in
      switch link {
      case .router(let router): router.send(service.notice(.ping), to: peer) != EHOSTUNREACH
      case .local(let local): local.isReachable(peer)
      }
    }
  }

  /// Whether this is the process that made the bridge.
  public var isOwnProcess: Bool { eff_process_id() == process }

  private static func bootOfThisMachine() -> [UInt8] {
    var text = [UInt8](repeating: 0, count: 64)
    let count = "/proc/sys/kernel/random/boot_id".withCString { path in
      text.withUnsafeMutableBytes { eff_read_start(path, $0.baseAddress!, $0.count) }
    }
    guard count > 0 else { return [] }
    return text.withUnsafeBytes { bootIdentity(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
  }

  deinit {
    close(service.isConnected)
    eff_free(memory)
  }

  /// Says BYE to the plant, if there is one, and gives the endpoint back.
  private func close(_ saysGoodbye: Bool) {
    guard isOwnProcess else { return }
    let isSaid = saysGoodbye && link.send(service.saidGoodbye(), to: service.owner) == 0
    link.close(linger: isSaid ? 50 : 0)
  }

  // MARK: polling

  /// Waits up to `timeout` milliseconds (negative: without limit) for one frame and handles it. `.none` where nothing
  /// arrived or a signal interrupted. Throws `.state` while the bridge's own thread polls and in a child of the process
  /// that made it, `.io` where the socket failed.
  public func poll(timeout: Int) throws(Failure) -> Event {
    guard isOwnProcess else {
      throw Failure(.state, "the bridge is the parent process's: make one of your own after fork")
    }
    guard !thread.isRunning else { throw Failure(.state, "the bridge's own thread polls; stop it first") }
    return try wait(timeout, wake: -1)
  }

  /// `poll`, ended by a byte in the pipe `wake` too.
  func wait(_ timeout: Int, wake: Int32) throws(Failure) -> Event {
    let deadline = timeout < 0 ? UInt64.max : eff_now_ns() + UInt64(timeout) * 1_000_000
    var hasWaited = false
    var patience = patience(timeout)
    isPaced = false
    while true {
      if let event = try receive(hasWaited: hasWaited, patience) { return event.kind == .none ? event : report(event) }
      patience = 0
      let now = eff_now_ns()
      let idle = service.idleDeadline
      if now >= idle { return report(service.reportIdle()) }
      let until = min(deadline, idle, link.deadline)
      let milliseconds =
        until == .max ? -1 : until <= now ? 0 : Int(min((until - now + 999_999) / 1_000_000, UInt64(Int32.max)))
      if try !link.wait(milliseconds, wake: wake) || now >= deadline { return Event() }
      hasWaited = true
    }
  }

  /// Milliseconds for which the next frame may be waited for without a look at anything else; 0: not at all.
  private func patience(_ timeout: Int) -> Int32 {
    guard isPaced, link.isUndisturbed else { return 0 }
    var limit = Bridge.patience
    if timeout >= 0 { limit = min(limit, Int32(clamping: timeout)) }
    if options.idleTimeout >= 0 { limit = min(limit, Int32(clamping: options.idleTimeout)) }
    return limit
  }

  private func report(_ event: Event) -> Event {
    isPaced = event.kind == .step || event.kind == .retry || event.kind == .reset || event.kind == .hello
    if let onEvent = options.onEvent { onEvent(event) }
    return event
  }

  /// Takes one frame, if there is one within `patience` milliseconds, and answers it. A STEP that waited is passed over
  /// where its plant has sent a newer frame. `.none`: a signal ended the wait.
  private func receive(hasWaited: Bool, _ patience: Int32) throws(Failure) -> Event? {
    let began = patience > 0 ? eff_now_ns() : 0
    var size: Int
    switch try link.receive(&sender, received, service.capacity, patience: patience) {
    case .none: return nil
    case .interrupted: return Event()
    case .foreign: return foreign()
    case .gone: return lose()
    case .frame(let count): size = count
    }
    let arrived = eff_now_ns()
    if case .router(let router) = link, let gate = router.gate, arrived &- gate.served >= Bridge.attention {
      router.serveGate(arrived)
    }
    let hasWaited = hasWaited || patience > 0 && arrived &- began >= Bridge.wait
    var header = FrameHeader(frame(received, size))
    // a frame that came while this thread waited has none behind it, unless the whole process stood still: to look is a
    // system call
    var looks = hasWaited && service.isFresh(header, arrived) ? Bridge.lookAhead : 0
    let arrays = looks == Bridge.lookAhead && service.readsInPlace(header, size) ? link.held : nil
    if arrays == nil { link.load(received, service.capacity) }
    while looks < Bridge.lookAhead, let seq = service.isSupersedable(header, from: sender) {
      looks += 1
      var next = 0
      switch try link.receive(&other, behind, service.capacity) {
      case .none, .interrupted: looks = Bridge.lookAhead
      case .foreign: _ = report(foreign())
      case .gone:
        // nobody waits for the answer
        _ = report(service.supersede(seq))
        return lose()
      case .frame(let count):
        next = count
        link.load(behind, service.capacity)
        service.stats.add(.bytesIn, count)
        let newer = FrameHeader(frame(behind, next))
        if service.isSame(newer, from: other, as: header) {
          // the plant asked again while nobody looked: the answer to the one is that to the other
          service.stats.add(.retries)
        } else if service.supersedes(newer, from: other, seq) {
          _ = report(service.supersede(seq))
          (received, behind) = (behind, received)
          (sender, other) = (other, sender)
          size = next
          header = newer
        } else {
          let outcome = service.handle(newer, frame(behind, next), size: next, from: other, arrived: arrived)
          _ = report(answer(outcome, to: other))
        }
      }
    }
    service.stats.add(.bytesIn, size)
    let outcome = service.handle(
      header, frame(received, size), size: size, from: sender, arrived: arrived, arrays: arrays)
    link.release()
    return answer(outcome, to: sender)
  }

  /// The owner's connection is gone.
  private func lose() -> Event? { service.isConnected ? service.lose() : nil }

  private func frame(_ p: UnsafeMutableRawPointer, _ size: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: p, count: min(size, service.capacity))
  }

  private func foreign() -> Event {
    // not a frame of this protocol, so there is nothing to answer
    service.stats.drop(.malformed)
    return service.dropped(.malformed, seq: 0)
  }

  private func answer(_ outcome: Service.Outcome, to peer: Peer) -> Event {
    if case .local(let local) = link {
      switch outcome.event.kind {
      case .hello: local.own(peer, request: service.longestRequest, answer: service.longestAnswer)
      case .bye: local.forgetOwner()
      default: break
      }
    }
    if let gate = link.gate {
      switch outcome.event.kind {
      case .hello: gate.setOwner(peer.source)
      case .bye: gate.forgetOwner()
      case .step, .reset, .retry: if gate.asksForOwner { gate.setOwner(peer.source) }
      default: break
      }
    }
    if let farewell = outcome.farewell { send(farewell, to: service.replaced) }
    if let answer = outcome.answer { send(answer, to: peer) }
    return outcome.event
  }

  private func send(_ frame: UnsafeRawBufferPointer, to peer: Peer) {
    if link.send(frame, to: peer) == 0 { stats.add(.bytesOut, frame.count) } else { stats.add(.unsent) }
  }
}
#endif
