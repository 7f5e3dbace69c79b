#if Bridge
import Platform

/// Builds the text of an ERR frame in place, so that refusing a frame allocates nothing.
struct ErrorText {
  static let limit = 1024

  private let start: UnsafeMutableRawPointer
  private(set) var count = 0

  /// Writes from `start`, which has room for `limit` bytes.
  init(at start: UnsafeMutableRawPointer) { self.start = start }

  mutating func add(_ text: StaticString) {
    add(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func add(_ value: UInt64) {
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    withUnsafeMutableBytes(of: &digits) { space in
      var left = value
      var first = space.count
      repeat {
        first -= 1
        space[first] = UInt8(ascii: "0") + UInt8(left % 10)
        left /= 10
      } while left > 0
      add(UnsafeRawBufferPointer(rebasing: space[first...]))
    }
  }

  mutating func add(_ text: String) {
    for byte in text.utf8 {
      if count == ErrorText.limit { return }
      start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
      count += 1
    }
  }

  private mutating func add(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    let part = min(bytes.count, ErrorText.limit - count)
    eff_copy(start + count, base, part)
    count += part
  }
}
#endif
