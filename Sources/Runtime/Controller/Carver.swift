import Base
import Platform

/// Carves tables out of one block. While measuring, every table gets memory of its own that is freed afterwards, so
/// that one function both measures and fills.
struct Carver {
  private let base: UnsafeMutableRawPointer?
  private let scratch = Scratch()
  private(set) var used = 0

  /// Far more than any robot's card; a damaged card must not take all memory.
  static let limit = 1 << 30

  /// nil: measure.
  init(_ base: UnsafeMutableRawPointer?) { self.base = base }

  var isMeasuring: Bool { base == nil }

  private final class Scratch {
    var pieces: [UnsafeMutableRawPointer] = []
    deinit { for p in pieces { eff_free(p) } }
  }

  /// `size` zeroed bytes, aligned to 64.
  mutating func bytes(_ size: Int) throws(Failure) -> UnsafeMutableRawPointer {
    let place = (used + 63) & ~63
    let (end, overflow) = place.addingReportingOverflow(max(size, 1))
    guard !overflow, size >= 0, end <= Carver.limit else {
      throw Failure(.memory, "a controller of this card needs more than \(Carver.limit) bytes beside its networks")
    }
    used = end
    if let base { return base + place }
    guard let p = eff_alloc((max(size, 1) + 63) & ~63, 64) else {
      throw Failure(.memory, "controller: cannot allocate \(size) bytes")
    }
    eff_zero(p, max(size, 1))
    scratch.pieces.append(p)
    return p
  }

  mutating func table<T>(_ count: Int, of type: T.Type) throws(Failure) -> UnsafeMutablePointer<T> {
    let (size, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    guard !overflow else { throw Failure(.memory, "a controller of this card is too large") }
    return try bytes(size).bindMemory(to: type, capacity: max(count, 1))
  }

  mutating func doubles(_ count: Int) throws(Failure) -> UnsafeMutablePointer<Double> {
    try table(count, of: Double.self)
  }
  mutating func floats(_ count: Int) throws(Failure) -> UnsafeMutablePointer<Float> { try table(count, of: Float.self) }

  mutating func doubles(_ values: [Double]) throws(Failure) -> UnsafeMutablePointer<Double> {
    let p = try doubles(values.count)
    for (i, v) in values.enumerated() { p[i] = v }
    return p
  }

  mutating func indices(_ values: [Int]) throws(Failure) -> UnsafeMutablePointer<Int32> {
    let p = try table(values.count, of: Int32.self)
    for (i, v) in values.enumerated() { p[i] = Int32(truncatingIfNeeded: v) }
    return p
  }

  mutating func flags(_ values: [Bool]) throws(Failure) -> UnsafeMutablePointer<Bool> {
    let p = try table(values.count, of: Bool.self)
    for (i, v) in values.enumerated() { p[i] = v }
    return p
  }
}
