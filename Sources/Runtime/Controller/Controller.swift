import Base
import Card
import Platform

/// A policy, its card and its robot: owns the block of memory and the sessions. Everything that a tick needs is in
/// `core`.
public final class Controller {
  public let card: Card
  public let core: UnsafeMutablePointer<ControllerCore>
  public var handle: ControllerHandle { ControllerHandle(core: core) }
  public let sessions: [Session]
  /// Needed signals in the order of `core.signals`.
  public let signals: [NeededSignal]
  public let joints: [String]
  /// What a twin is made with: as in the options; frames of the motion as this controller keeps them.
  let givenPeriod: Double?
  let seed: UInt64
  let motion: [(part: String, values: UnsafePointer<Double>, frames: Int, width: Int)]
  /// Paths of recordings that must be met at start.
  let recordings: [String]
  let onMismatch: OnMismatch
  private let block: MemoryBlock?
  /// Names of vectors, each closed by a zero byte, for `ControllerHandle.vector`.
  private let names: [CText]
  /// What C knows the sessions by.
  public var sessionHandles: [OpaquePointer] = []

  /// Bytes that a controller with these options needs.
  @export(interface)
  public static func arenaSize(_ card: Card, _ options: ControllerOptions) throws(Failure) -> Int {
    let sessions = try sessionSizes(options).reduce(0, +)
    let cursor = ArenaCursor(
      measuring: "a controller of this card, without its networks,", limit: 1 << 30, isWritable: true)
    var layout = try ControllerLayout(card, options, sessions: [], cursor)
    _ = try layout.build()
    return sessions + layout.cursor.used + 64
  }

  /// Bytes of each model's session, in the order of the options.
  private static func sessionSizes(_ options: ControllerOptions) throws(Failure) -> [Int] {
    var sizes: [Int] = []
    for m in options.models { sizes.append((try Session.arenaSize(m.policy, rows: 1) + 63) & ~63) }
    return sizes
  }

  // a designated initializer stands in the table of its class, which keeps it in programs that never call it
  @export(interface)
  public convenience init(_ card: Card, _ options: ControllerOptions) throws(Failure) {
    try self.init(of: card, options)
  }

  @export(interface)
  private init(of card: Card, _ options: ControllerOptions) throws(Failure) {
    let sizes = try Controller.sessionSizes(options)
    let size = try Controller.arenaSize(card, options)
    let start: UnsafeMutableRawPointer
    (start, block) = try MemoryBlock.arena(
      size, options.arena, options.memory, for: "controller", asked: "eff_controller_arena_size")
    var made: [Session] = []
    var at = start
    for (i, m) in options.models.enumerated() {
      var s = SessionOptions()
      s.arena = (at, sizes[i])
      s.memory.isLocked = options.memory.isLocked
      s.seed = options.seed &+ UInt64(i)
      made.append(try Session(m.policy, s))
      at += sizes[i]
    }
    var layout = try ControllerLayout(card, options, sessions: made, ArenaCursor(at))
    let core = try layout.build()
    self.card = card
    self.core = core
    sessions = layout.sessions
    signals = layout.signals
    joints = options.joints
    (givenPeriod, seed) = (options.controlPeriod, options.seed)
    (recordings, onMismatch) = (card.recordings + options.recordings, options.onMismatch)
    let slot = core.pointee.motion
    var frames: [(part: String, values: UnsafePointer<Double>, frames: Int, width: Int)] = []
    if let tracks = slot.tracks {
      for (i, t) in options.motion.enumerated() where i < slot.trackCount {
        frames.append((t.part, UnsafePointer(tracks[i].frames), slot.frames, tracks[i].width))
      }
    }
    motion = frames
    names = card.vectors.map { CText($0.name) }
    core.pointee.owner = Unmanaged.passUnretained(self)
    for (i, n) in names.enumerated() { core.pointee.vectors[i].name = UnsafePointer(n.start) }
  }

  /// Index of a network of the card, or -1.
  public func modelIndex(_ name: String) -> Int {
    for (i, m) in card.models.enumerated() where m.name == name { return i }
    return -1
  }

  public func isBound(_ signal: Int) -> Bool { core.pointee.signals[signal].data != nil }

  /// Whether the card commands targets of a kind.
  public func commands(_ what: Int) -> Bool {
    what >= 0 && what < TargetKind.count && core.pointee.targets[what].isUsed
  }
}

/// A raw signal that a card needs.
public struct NeededSignal {
  public var name: String
  /// As messages call it; "" where any will do.
  public var unit: String
  /// Elements that a binding has.
  public var width: Int
  public var isJoint: Bool
  public var isQuaternion: Bool
  /// Only "time": the clock of the ticks stands in for it.
  public var isOptional: Bool
  let text: CText
  let unitText: CText
  var values: UnsafeMutablePointer<Double>
  var count: Int

  public var nameText: UnsafePointer<CChar> { UnsafePointer(text.start) }
  public var unitCText: UnsafePointer<CChar> { UnsafePointer(unitText.start) }
}
