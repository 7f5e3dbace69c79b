import Onnx
import Platform

/// Where weights and arenas come from: the caller's functions or the C library.
public struct MemorySource: @unchecked Sendable {
  public typealias Allocate = @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer?
  public typealias Release = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> Void
  let allocate: Allocate?
  let release: Release?
  let user: UnsafeMutableRawPointer?

  public static let system = MemorySource(allocate: nil, release: nil, user: nil)

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
  /// From here on a block costs so many small pages that a robot's step, which finds its caches cold, waits for address translation.
  static let mappedFrom = 128 << 10

  public init(_ size: Int, _ source: MemorySource, for what: String) throws(Failure) {
    isMapped = size >= Self.mappedFrom && source.allocate == nil
    let rounded = isMapped ? (size + Self.hugePage - 1) / Self.hugePage * Self.hugePage : max(size, 64)
    let p = isMapped ? eff_map_zeroed(rounded, Self.hugePage) : source.allocate.map { $0(source.user, rounded, 64) } ?? eff_alloc(rounded, 64)
    guard let p else { throw Failure(.memory, "\(what): cannot allocate \(rounded) bytes") }
    guard UInt(bitPattern: p) % 64 == 0 else {
      source.release?(source.user, p, rounded)
      throw Failure(.argument, "\(what): the allocator returned memory that is not aligned to 64 bytes")
    }
    if !isMapped { eff_zero(p, rounded) }
    start = p
    self.size = rounded
    self.source = source
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
