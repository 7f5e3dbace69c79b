import Base
import Onnx
import Platform

/// Where weights and arenas come from: the caller's functions or the C library.
public struct MemorySource: @unchecked Sendable {
  public typealias Allocate = @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer?
  public typealias Release = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> Void
  let allocate: Allocate?
  let release: Release?
  let user: UnsafeMutableRawPointer?
  /// Locks what is not the caller's.
  public var isLocked = false

  public static let system = MemorySource(allocate: nil, release: nil, user: nil)

  /// Of this library, whatever the caller's allocator is.
  static func tables(isLocked: Bool) -> MemorySource {
    var source = MemorySource.system
    source.isLocked = isLocked
    return source
  }

  public init(allocate: Allocate?, release: Release?, user: UnsafeMutableRawPointer?) {
    self.allocate = allocate
    self.release = release
    self.user = user
  }
}

/// One zeroed allocation, aligned to 64 bytes; large ones in a mapping of their own, with huge pages asked for.
public final class MemoryBlock {
  public let start: UnsafeMutableRawPointer
  public let size: Int
  private let source: MemorySource
  private let isMapped: Bool

  static let hugePage = 2 << 20
  /// From here on a block costs so many small pages that a robot's step, which finds its caches cold, waits for address
  /// translation.
  static let mappedFrom = 128 << 10

  public init(_ size: Int, _ source: MemorySource, for what: String) throws(Failure) {
    // a lock is on pages, which must not be shared with a block that is not locked
    isMapped = (size >= Self.mappedFrom || source.isLocked) && source.allocate == nil
    let page = size >= Self.mappedFrom ? Self.hugePage : 64
    let rounded = isMapped ? (max(size, 1) + page - 1) / page * page : max(size, 64)
    let p =
      isMapped
      ? eff_map_zeroed(rounded, page) : source.allocate.map { $0(source.user, rounded, 64) } ?? eff_alloc(rounded, 64)
    guard let p else { throw Failure.noMemory(rounded, for: what) }
    guard UInt(bitPattern: p) % 64 == 0 else {
      source.release?(source.user, p, rounded)
      throw Failure(.argument, "\(what): the allocator returned memory that is not aligned to 64 bytes")
    }
    if !isMapped { eff_zero(p, rounded) }
    if isMapped && source.isLocked { try Self.lock(p, rounded, what) }
    start = p
    self.size = rounded
    self.source = source
  }

  /// `size` zeroed bytes for an object: the caller's arena, or a block of its own, which the object keeps. `asked` is
  /// the function that tells the size.
  static func arena(
    _ size: Int, _ given: (start: UnsafeMutableRawPointer, size: Int)?, _ source: MemorySource, for what: String,
    asked: StaticString
  ) throws(Failure) -> (start: UnsafeMutableRawPointer, block: MemoryBlock?) {
    guard let given else {
      let own = try MemoryBlock(size, source, for: what)
      return (own.start, own)
    }
    guard UInt(bitPattern: given.start) % 64 == 0 else {
      throw Failure(.argument, "the arena is not aligned to 64 bytes")
    }
    guard given.size >= size else {
      throw Failure(
        .argument,
        "the arena has \(given.size) bytes, expected at least \(size); ask \(asked)() with the same options")
    }
    eff_zero(given.start, size)
    return (given.start, nil)
  }

  private static func lock(_ p: UnsafeMutableRawPointer, _ size: Int, _ what: String) throws(Failure) {
    let code = eff_lock(p, size)
    if code == 0 { return }
    let limit = eff_lock_limit()
    eff_unmap(p, size)
    let allowed = limit < 0
      ? "any number of bytes"
      : """
      \(limit) bytes (RLIMIT_MEMLOCK): raise it with 'ulimit -l' or LimitMEMLOCK=, give the process CAP_IPC_LOCK, or \
      set locked to 0
      """
    throw Failure(
      .memory,
      """
      \(what): \(size) bytes cannot be locked in memory: \(String(cString: eff_error_text(-code))); the process may \
      lock \(allowed)
      """)
  }

  deinit {
    if isMapped {
      eff_unmap(start, size)
    } else if let release = source.release {
      release(source.user, start, size)
    } else if source.allocate == nil {
      eff_free(start)
    }
  }
}
