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

/// One allocation, aligned to 64 bytes; large ones in a mapping of their own, with huge pages asked for.
public final class MemoryBlock {
  public let start: UnsafeMutableRawPointer
  public let size: Int
  private let source: MemorySource
  private let isMapped: Bool
  /// That the block is in, where others may be, too.
  private let page: HugePage?

  /// From here on a block costs so many small pages that a robot's step, which finds its caches cold, waits for address
  /// translation.
  static let mappedFrom = 128 << 10

  /// `size` zeroed bytes.
  public init(_ size: Int, _ source: MemorySource, for what: String) throws(Failure) {
    // a lock is on pages, which must not be shared with a block that is not locked
    isMapped = (size >= Self.mappedFrom || source.isLocked) && source.allocate == nil
    let unit = size >= Self.mappedFrom ? HugePage.size : 64
    self.size = isMapped ? (max(size, 1) + unit - 1) / unit * unit : max(size, 64)
    self.source = source
    page = nil
    start =
      isMapped
      ? try Self.mapped(self.size, unit, source, what) : try Self.allocated(self.size, source, what, isZeroed: true)
  }

  /// `size` bytes of anything, each of which the caller writes.
  /// - Parameter shared: a page to put the block in, if it has room.
  init(unwritten size: Int, _ source: MemorySource, for what: String, shared: HugePage?) throws(Failure) {
    self.source = source
    if source.allocate == nil, !source.isLocked, size >= Self.mappedFrom, size <= HugePage.size {
      if let shared, let place = shared.takeFront(size) {
        (start, page) = (place, shared)
      } else if let own = HugePage.make(), let place = own.takeFront(size) {
        (start, page) = (place, own)
      } else {
        throw Failure.noMemory(size, for: what)
      }
      (self.size, isMapped) = (size, false)
      return
    }
    isMapped = (size >= Self.mappedFrom || source.isLocked) && source.allocate == nil
    let unit = size >= Self.mappedFrom ? HugePage.size : 64
    self.size = isMapped ? (max(size, 1) + unit - 1) / unit * unit : max(size, 64)
    page = nil
    start =
      isMapped
      ? try Self.mapped(self.size, unit, source, what) : try Self.allocated(self.size, source, what, isZeroed: false)
  }

  private static func mapped(_ size: Int, _ unit: Int, _ source: MemorySource, _ what: String) throws(Failure)
    -> UnsafeMutableRawPointer
  {
    guard let p = eff_map_zeroed(size, unit) else { throw Failure.noMemory(size, for: what) }
    if source.isLocked { try lock(p, size, what) }
    return p
  }

  private static func allocated(_ size: Int, _ source: MemorySource, _ what: String, isZeroed: Bool) throws(Failure)
    -> UnsafeMutableRawPointer
  {
    guard let p = source.allocate.map({ $0(source.user, size, 64) }) ?? eff_alloc(size, 64) else {
      throw Failure.noMemory(size, for: what)
    }
    guard UInt(bitPattern: p) % 64 == 0 else {
      source.release?(source.user, p, size)
      throw Failure(.argument, "\(what): the allocator returned memory that is not aligned to 64 bytes")
    }
    if isZeroed { eff_zero(p, size) }
    return p
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
    if page != nil { return }
    if isMapped {
      eff_unmap(start, size)
    } else if let release = source.release {
      release(source.user, start, size)
    } else if source.allocate == nil {
      eff_free(start)
    }
  }
}
