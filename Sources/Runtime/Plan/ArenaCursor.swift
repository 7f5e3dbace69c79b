import Base
import Platform

/// Hands out pieces of one block, each aligned to 64 bytes. The same code runs twice: once to measure, and once over a
/// block of the size that was measured.
struct ArenaCursor {
  private let base: UnsafeMutableRawPointer?
  private let draft: Draft?
  /// What messages call the owner of the block.
  private let what: StaticString
  private let limit: Int
  private(set) var used = 0

  /// Far more than any object needs; a damaged file must not take all memory.
  static let largest = 1 << 46

  /// Pieces of `base`, whose size was measured.
  init(_ base: UnsafeMutableRawPointer) { (self.base, draft, what, limit) = (base, nil, "the arena", .max - 64) }

  /// Measures. Pieces are addresses that must not be used, or where `isWritable` zeroed memory until the cursor ends,
  /// for code that reads again what it wrote. Throws `.memory` beyond `limit` bytes.
  init(measuring what: StaticString, limit: Int = ArenaCursor.largest, isWritable: Bool = false) {
    (base, draft, self.what, self.limit) = (nil, isWritable ? Draft() : nil, what, limit)
  }

  var isMeasuring: Bool { base == nil }

  /// `size` bytes.
  mutating func take(_ size: Int) throws(Failure) -> UnsafeMutableRawPointer {
    let place = (used + 63) & ~63
    let (end, overflow) = place.addingReportingOverflow(size)
    guard size >= 0, !overflow, end <= limit else {
      throw Failure(.memory, "\(what) needs more than \(limit) bytes")
    }
    used = end
    if let base { return base + place }
    guard let draft else { return UnsafeMutableRawPointer(bitPattern: 64)! + place }
    return try draft.take(size, what)
  }

  /// Room for `count` of a type; 1 where `count` is 0.
  mutating func table<T>(_ count: Int, of type: T.Type) throws(Failure) -> UnsafeMutablePointer<T> {
    let (size, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    return try take(overflow ? .max : size).bindMemory(to: type, capacity: max(count, 1))
  }

  mutating func doubles(_ count: Int) throws(Failure) -> UnsafeMutablePointer<Double> {
    try table(count, of: Double.self)
  }

  private final class Draft {
    private var pieces: [UnsafeMutableRawPointer] = []

    deinit { for p in pieces { eff_free(p) } }

    func take(_ size: Int, _ what: StaticString) throws(Failure) -> UnsafeMutableRawPointer {
      let rounded = (max(size, 1) + 63) & ~63
      guard let p = eff_alloc(rounded, 64) else { throw Failure(.memory, "\(what): cannot allocate \(size) bytes") }
      eff_zero(p, rounded)
      pieces.append(p)
      return p
    }
  }
}
