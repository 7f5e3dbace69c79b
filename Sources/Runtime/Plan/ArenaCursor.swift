/// Hands out aligned pieces of one block; with no base it only counts.
struct ArenaCursor {
  let base: UnsafeMutableRawPointer?
  private(set) var used = 0

  init(_ base: UnsafeMutableRawPointer?) { self.base = base }

  /// `size` bytes aligned to 64, or an address that must not be used while only counting.
  mutating func take(_ size: Int) -> UnsafeMutableRawPointer {
    used = (used + 63) & ~63
    let at = used
    used += size
    return (base ?? UnsafeMutableRawPointer(bitPattern: 64)!) + at
  }

  /// Room for `count` of a type; 1 where `count` is 0.
  mutating func table<T>(_ count: Int, of type: T.Type) -> UnsafeMutablePointer<T> {
    take(max(count, 1) * MemoryLayout<T>.stride).bindMemory(to: type, capacity: max(count, 1))
  }

  mutating func doubles(_ n: Int) -> UnsafeMutablePointer<Double> { take(n * 8).assumingMemoryBound(to: Double.self) }
}
