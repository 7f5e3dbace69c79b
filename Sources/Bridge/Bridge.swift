#if Bridge
import Base
import CZeroMQ
import Platform

/// Serves a target over ZeroMQ in lock-step: a ROUTER that one plant at a time steps, through frames laid out in the handshake.
///
/// One thread polls, the caller's or the bridge's own. A tick neither allocates (ZeroMQ itself may) nor waits for the plant.
public final class Bridge {
  public struct Options {
    public var endpoint = "tcp://127.0.0.1:*"
    public var allowRemote = false
    /// Milliseconds of silence after which another plant may take over; negative for never.
    public var idleTimeout = 2000
    /// Frames queued per plant and direction.
    public var highWater: Int32 = 16
    public var labels = Labels()
    /// The caller's ZeroMQ context, or nil for an own one.
    public var context: UnsafeMutableRawPointer?
    /// `EFF_VERSION` of the library, told to the plant.
    public var library = 0
    /// Called after every event but `.none`, on the thread that polls.
    public var onEvent: ((Event) -> Void)?

    public init() {}
  }

  /// What became of one wait.
  public struct Event: Sendable {
    /// Equal to the `EFF_BRIDGE_...` codes of the C header.
    public enum Kind: Int32, Sendable { case none = 0, hello = 1, reset = 2, step = 3, bye = 4, drop = 5, idle = 6 }

    public var kind = Kind.none
    public var reason = Reason.ok
    public var session: UInt32 = 0
    public var episode: UInt32 = 0
    public var seq: UInt64 = 0
    public var simulation: UInt64 = 0
    public var rows = 0
    public var tick: UInt64 = 0
    public var run: UInt64 = 0
  }

  /// Room for a HELLO and its names.
  static let helloLimit = 1 << 18
  /// ZeroMQ's limit on identities.
  static let identityLimit = 256

  public let options: Options
  let target: Target
  let socket: UnsafeMutableRawPointer
  private let ownContext: UnsafeMutableRawPointer?
  /// The address that was bound.
  public let endpoint: String
  public let stats = Stats()
  let crc = Crc32c()

  /// One block: the frame that arrived, ACT, ERR, and the identities of the plant that the frame is from and of the one that steps.
  private let memory: UnsafeMutableRawPointer
  let received, act, refusal, sender, owner: UnsafeMutableRawPointer
  let capacity: Int
  var senderCount = 0

  var ownerCount = 0
  var connected = false
  var session: UInt32
  var episode: UInt32 = 0
  var lastSeq: UInt64 = 0
  var seq: UInt64 = 0
  /// When the plant was last heard, and whether its silence was reported.
  var heard: UInt64 = 0
  var idleTold = false
  var layout: Layout
  /// Arrays of STEP and ACT as plain (index, offset, size): what the tick reads.
  let copies: UnsafeMutablePointer<Copy>
  var inputCopies = 0
  var outputCopies = 0

  let thread = ThreadState()

  /// Bytes of reason and status in front of the text of an ERR frame.
  static let errorHead = 8

  /// One array to copy between a frame and the target.
  struct Copy { let index, offset, size: Int }

  public init(_ target: Target, _ options: Options) throws(Failure) {
    self.target = target
    self.options = options
    try checkEndpoint(options)
    layout = try Layout(target, rows: target.maxRows, aux: true)
    capacity = max(layout.stepSize, Bridge.helloLimit)
    let refusalSize = FrameHeader.size + Bridge.errorHead + ErrorText.limit
    let actOffset = align(capacity)
    let refusalOffset = actOffset + align(layout.actSize)
    let senderOffset = refusalOffset + align(refusalSize)
    let size = senderOffset + 2 * Bridge.identityLimit
    guard let memory = eff_alloc(size, Layout.alignment) else { throw Failure(.memory, "no memory for \(size) bytes of frames") }
    let context = options.context ?? zmq_ctx_new()
    do {
      (socket, endpoint) = try openSocket(context, options, frameLimit: 4 * capacity)
    } catch {
      if options.context == nil { zmq_ctx_term(context) }
      eff_free(memory)
      throw error
    }
    ownContext = options.context == nil ? context : nil
    eff_zero(memory, size)
    self.memory = memory
    received = memory
    act = memory + actOffset
    refusal = memory + refusalOffset
    sender = memory + senderOffset
    owner = sender + Bridge.identityLimit
    copies = .allocate(capacity: target.inputs.count + target.outputs.count)
    // ids of two runs of a program should differ, so that a plant notices a restart
    session = UInt32(truncatingIfNeeded: eff_now_ns() >> 10)
  }

  deinit {
    sendBye()
    zmq_close(socket)
    if let ownContext { zmq_ctx_term(ownContext) }
    copies.deallocate()
    eff_free(memory)
  }
}

private func align(_ size: Int) -> Int { (size + Layout.alignment - 1) / Layout.alignment * Layout.alignment }
#endif
