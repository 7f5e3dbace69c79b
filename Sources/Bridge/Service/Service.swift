#if Bridge
import Base
import Platform

/// What a bridge serves, without a transport: frames of peers in, answers out. One plant at a time owns the target; it
/// asks, and every frame of it is answered. Handling a frame allocates nothing but for HELLO.
final class Service {
  struct Options {
    /// Milliseconds of silence after which another plant may take over; negative for never.
    var idleTimeout = 2000
    var labels = Labels()
    /// `EFF_VERSION` of the library, told to the plant.
    var library = 0
    /// Whether frames carry a checksum where the plant leaves it open.
    var seals = true
    /// Whether observations that are not finite are refused.
    var refusesNonFinite = false
    /// Tells this machine's boot: its clock is the plant's where the plant says the same. Empty: unknown.
    var boot: [UInt8] = []
  }

  /// What became of one frame.
  struct Outcome {
    var event = Event()
    /// The answer to the sender, in memory of the service until the next frame.
    var answer: UnsafeRawBufferPointer? = nil
    /// Goes to `replaced`: its bridge session is over.
    var farewell: UnsafeRawBufferPointer? = nil
  }

  /// Room for a HELLO and its names.
  static let helloLimit = 1 << 18
  /// Bytes of reason, status and waiting time in front of the text of an ERR frame.
  static let errorHead = 16
  /// Nanoseconds of age below which no newer frame is looked for: plants wait longer than that for an answer.
  static let fresh: UInt64 = 500_000
  /// Milliseconds after which a plant that was told to wait should ask again.
  static let busyWait: UInt32 = 50

  let target: Target
  let options: Options
  /// Of the bridge's key, told to plants; nil where nothing is encrypted.
  var fingerprint: String?
  let stats = Stats()
  let crc = Crc32c()
  /// Whether the connection of a peer stands; asked for the owner only, when another plant knocks.
  var isReachable: (Peer) -> Bool = { _ in true }

  /// One block: ACT, ERR, ACK, a farewell, and the identities of the owner and of the one it replaced.
  private let memory: UnsafeMutableRawPointer
  let act, refusal, ack, goodbye: UnsafeMutableRawPointer
  /// Longest frame that is looked at.
  let capacity: Int

  private(set) var owner, replaced: Peer
  var isConnected = false
  /// The secret that every frame of the bridge session carries, and its number for people.
  var secret: UInt64 = 0
  var number: UInt32 = 0
  var episode: UInt32 = 0
  /// Whether a STEP ran in this episode.
  var hasStepped = false
  var lastSeq: UInt64 = 0
  var seq: UInt64 = 0
  /// When the last answer was ready.
  var completed: UInt64 = 0
  var isSealed = true
  var clock = PlantClock()
  /// When the owner was last heard, whether its silence was reported, and when its connection was last tried.
  var heard: UInt64 = 0
  var isIdleReported = false
  var probed: UInt64 = 0
  var probes = 0

  /// The last frame that was acted on and its answer, which is sent again where the same frame comes again.
  var keptHeader: FrameHeader?
  var keptAnswer: UnsafeRawBufferPointer?
  var keptHello: FrameHeader?
  var keptWelcome: Bytes?

  var layout: Layout
  /// Arrays of STEP and ACT as plain (index, offset, size): what the tick reads.
  let copies: UnsafeMutablePointer<Copy>
  var inputCopies = 0
  var outputCopies = 0

  /// One array to copy between a frame and the target.
  struct Copy {
    let index, offset, size: Int
    let dtype: Int32
  }

  init(_ target: Target, _ options: Options) throws(Failure) {
    self.target = target
    self.options = options
    layout = try Layout(target, rows: target.maxRows, aux: true)
    capacity = max(layout.stepSize, Service.helloLimit)
    let actSize = Service.align(layout.actSize)
    let refusalSize = Service.align(FrameHeader.size + Service.errorHead + ErrorText.limit)
    let size = actSize + refusalSize + 2 * FrameHeader.size + 2 * Peer.limit
    guard let memory = eff_alloc(size, Layout.alignment) else {
      throw Failure(.memory, "no memory for \(size) bytes of frames")
    }
    eff_zero(memory, size)
    self.memory = memory
    act = memory
    refusal = act + actSize
    ack = refusal + refusalSize
    goodbye = ack + FrameHeader.size
    owner = Peer(at: goodbye + FrameHeader.size)
    replaced = Peer(at: goodbye + FrameHeader.size + Peer.limit)
    copies = .allocate(capacity: target.inputs.count + target.outputs.count)
  }

  deinit {
    copies.deallocate()
    eff_free(memory)
  }

  static func align(_ size: Int) -> Int { (size + Layout.alignment - 1) / Layout.alignment * Layout.alignment }

  /// Bytes of the longest frames of the bridge session after its handshake: STEP or a RESET of all rows by mask, ACT or
  /// ERR.
  var longestRequest: Int { max(layout.stepSize, FrameHeader.size + layout.rows) }
  var longestAnswer: Int { max(layout.actSize, FrameHeader.size + Service.errorHead + ErrorText.limit) }

  /// When the silence of the plant is to be reported; never, where there is none or it was.
  var idleDeadline: UInt64 {
    isConnected && !isIdleReported && options.idleTimeout >= 0 ? heard + UInt64(options.idleTimeout) * 1_000_000 : .max
  }

  /// Reports the silence of the plant.
  func reportIdle() -> Event {
    isIdleReported = true
    stats.add(.idles)
    return event(.idle)
  }

  /// Makes `peer` the plant that owns the target.
  func hand(to peer: Peer) {
    replaced.copy(owner)
    owner.copy(peer)
  }

  /// An event of the present bridge session.
  func event(_ kind: Event.Kind) -> Event {
    var event = Event()
    event.kind = kind
    event.session = number
    event.episode = episode
    return event
  }
}

/// What became of one wait.
public struct Event: Sendable {
  /// Equal to the `EFF_BRIDGE_...` codes of the C header.
  public enum Kind: Int32, Sendable {
    case none = 0, hello = 1, reset = 2, step = 3, bye = 4, drop = 5, idle = 6, retry = 7
  }

  public var kind = Kind.none
  public var reason = Reason.ok
  /// Number of the bridge session; 0 before the first.
  public var session: UInt32 = 0
  public var episode: UInt32 = 0
  public var seq: UInt64 = 0
  public var simulation: UInt64 = 0
  public var rows = 0
  public var tick: UInt64 = 0
  public var run: UInt64 = 0
}
#endif
