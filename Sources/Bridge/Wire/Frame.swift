#if Bridge

/// What a frame is, as in its header. Codes are frozen, append only.
public enum FrameType: UInt8, Sendable {
  case hello = 1, welcome = 2, reset = 3, ack = 4, step = 5, act = 6, error = 7, bye = 8, ping = 9
}

/// Why a frame was refused, equal to the `EFF_BRIDGE_...` codes of the C header.
public enum Reason: Int32, Sendable {
  case ok = 0, malformed = 1, version = 2, checksum = 3, session = 4, schema = 5, episode = 6, sequence = 7, expired =
    8, busy = 9, mismatch = 10
  case run = 11, superseded = 12, flags = 13, numeric = 14

  /// The name that stands in messages and in the C header.
  public var name: StaticString {
    switch self {
    case .ok: "ok"
    case .malformed: "malformed"
    case .version: "version"
    case .checksum: "checksum"
    case .session: "session"
    case .schema: "schema"
    case .episode: "episode"
    case .sequence: "sequence"
    case .expired: "expired"
    case .busy: "busy"
    case .mismatch: "mismatch"
    case .run: "run"
    case .superseded: "superseded"
    case .flags: "flags"
    case .numeric: "numeric"
    }
  }
}

/// Flags of a frame. A receiver may pass over those of the low byte, and must refuse those of the high byte that it
/// does not know.
enum FrameFlags {
  /// HELLO and WELCOME: the body is the fixed one of 64 bytes, not MessagePack.
  static let fixed: UInt16 = 0x0100
  static let mustUnderstand: UInt16 = 0xFF00
}

/// The 64 bytes at the front of every frame, little-endian. PROTOCOL.md has the table.
public struct FrameHeader: Equatable, Sendable {
  public static let size = 64
  /// The bytes "EFFB".
  public static let magic: UInt32 = 0x4246_4645
  public static let version: UInt8 = 2

  public var version: UInt8 = FrameHeader.version
  public var type: UInt8
  public var flags: UInt16 = 0
  /// Microseconds of plant time since the step before; 0: unknown.
  public var stepTime: UInt32 = 0
  public var episode: UInt32 = 0
  /// The secret of the bridge session, from WELCOME; 0 in HELLO.
  public var session: UInt64 = 0
  /// Counts the frames of the sender within a bridge session.
  public var seq: UInt64 = 0
  /// The `seq` of the frame that this one answers.
  public var refSeq: UInt64 = 0
  /// The sender's monotonic clock.
  public var monotonic: UInt64 = 0
  /// The plant's own clock; echoed in answers.
  public var simulation: UInt64 = 0
  /// Microseconds after `monotonic` in which the frame is worth acting on; 0 is for ever.
  public var ttl: UInt32 = 0
  /// CRC-32C where one was agreed in the handshake; else 0.
  public var checksum: UInt32 = 0

  public init(_ type: FrameType) { self.type = type.rawValue }

  /// Whether `size` bytes may be a HELLO.
  static func isHello(_ bytes: UnsafeRawPointer, _ size: Int) -> Bool {
    size >= FrameHeader.size && bytes.load(fromByteOffset: 5, as: UInt8.self) == FrameType.hello.rawValue
  }

  /// Reads a header; nil where `bytes` is shorter than one or does not start with the magic.
  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= FrameHeader.size, let p = bytes.baseAddress else { return nil }
    guard UInt32(littleEndian: p.loadUnaligned(as: UInt32.self)) == FrameHeader.magic else { return nil }
    version = p.load(fromByteOffset: 4, as: UInt8.self)
    type = p.load(fromByteOffset: 5, as: UInt8.self)
    flags = UInt16(littleEndian: p.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
    stepTime = UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    episode = UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    session = UInt64(littleEndian: p.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    seq = UInt64(littleEndian: p.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    refSeq = UInt64(littleEndian: p.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
    monotonic = UInt64(littleEndian: p.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
    simulation = UInt64(littleEndian: p.loadUnaligned(fromByteOffset: 48, as: UInt64.self))
    ttl = UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 56, as: UInt32.self))
    checksum = UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 60, as: UInt32.self))
  }

  /// Writes the 64 bytes, `checksum` as it stands.
  public func write(to p: UnsafeMutableRawPointer) {
    p.storeBytes(of: FrameHeader.magic.littleEndian, as: UInt32.self)
    p.storeBytes(of: version, toByteOffset: 4, as: UInt8.self)
    p.storeBytes(of: type, toByteOffset: 5, as: UInt8.self)
    p.storeBytes(of: flags.littleEndian, toByteOffset: 6, as: UInt16.self)
    p.storeBytes(of: stepTime.littleEndian, toByteOffset: 8, as: UInt32.self)
    p.storeBytes(of: episode.littleEndian, toByteOffset: 12, as: UInt32.self)
    p.storeBytes(of: session.littleEndian, toByteOffset: 16, as: UInt64.self)
    p.storeBytes(of: seq.littleEndian, toByteOffset: 24, as: UInt64.self)
    p.storeBytes(of: refSeq.littleEndian, toByteOffset: 32, as: UInt64.self)
    p.storeBytes(of: monotonic.littleEndian, toByteOffset: 40, as: UInt64.self)
    p.storeBytes(of: simulation.littleEndian, toByteOffset: 48, as: UInt64.self)
    p.storeBytes(of: ttl.littleEndian, toByteOffset: 56, as: UInt32.self)
    p.storeBytes(of: checksum.littleEndian, toByteOffset: 60, as: UInt32.self)
  }
}

extension Crc32c {
  /// Checksum of a frame of at least 64 bytes: all of it but the last four bytes of the header, where the checksum
  /// itself stands.
  public func frame(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let head = state(Crc32c.start, after: UnsafeRawBufferPointer(rebasing: bytes[0..<FrameHeader.size - 4]))
    return ~state(head, after: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.size...]))
  }
}
#endif
