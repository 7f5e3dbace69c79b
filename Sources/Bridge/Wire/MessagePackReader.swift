#if Bridge
import Base

/// Reads MessagePack in place, with every length checked against what is left. Nothing that arrives can trap it.
struct MessagePackReader {
  /// Deepest nesting that `skip` follows.
  static let depthLimit = 16
  /// Most elements of one array or map.
  static let countLimit = 65_536

  private let bytes: UnsafeRawBufferPointer
  /// Bytes read so far.
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  /// Number of key-value pairs of the map that follows.
  mutating func map() throws(Failure) -> Int {
    let tag = try byte("a map")
    switch tag {
    case 0x80...0x8F: return Int(tag & 0x0F)
    case 0xDE: return try count(2, "map")
    case 0xDF: return try count(4, "map")
    default: throw unexpected(tag, "a map")
    }
  }

  /// Number of elements of the array that follows.
  mutating func array() throws(Failure) -> Int {
    let tag = try byte("an array")
    switch tag {
    case 0x90...0x9F: return Int(tag & 0x0F)
    case 0xDC: return try count(2, "array")
    case 0xDD: return try count(4, "array")
    default: throw unexpected(tag, "an array")
    }
  }

  /// Bytes of the string that follows; the UTF-8 is not checked.
  mutating func string() throws(Failure) -> UnsafeRawBufferPointer {
    let tag = try byte("a string")
    switch tag {
    case 0xA0...0xBF: return try take(Int(tag & 0x1F))
    case 0xD9: return try take(Int(unsigned(1)))
    case 0xDA: return try take(Int(unsigned(2)))
    case 0xDB: return try take(Int(unsigned(4)))
    default: throw unexpected(tag, "a string")
    }
  }

  /// The string that follows, broken UTF-8 repaired.
  mutating func text() throws(Failure) -> String { String(decoding: try string(), as: UTF8.self) }

  mutating func bool() throws(Failure) -> Bool {
    let tag = try byte("a boolean")
    switch tag {
    case 0xC2: return false
    case 0xC3: return true
    default: throw unexpected(tag, "a boolean")
    }
  }

  /// An integer from 0 to 2^64 - 1.
  mutating func unsigned() throws(Failure) -> UInt64 {
    let tag = try byte("an integer")
    let value: Int64
    switch tag {
    case 0x00...0x7F: return UInt64(tag)
    case 0xCC: return try unsigned(1)
    case 0xCD: return try unsigned(2)
    case 0xCE: return try unsigned(4)
    case 0xCF: return try unsigned(8)
    case 0xD0: value = Int64(Int8(truncatingIfNeeded: try unsigned(1)))
    case 0xD1: value = Int64(Int16(truncatingIfNeeded: try unsigned(2)))
    case 0xD2: value = Int64(Int32(truncatingIfNeeded: try unsigned(4)))
    case 0xD3: value = Int64(bitPattern: try unsigned(8))
    case 0xE0...0xFF: value = Int64(Int8(bitPattern: tag))
    default: throw unexpected(tag, "an integer")
    }
    guard value >= 0 else { throw Failure(.format, "found \(value), expected an integer of at least 0") }
    return UInt64(value)
  }

  /// An integer from 0 to `limit`.
  mutating func unsigned(atMost limit: Int) throws(Failure) -> Int {
    let value: UInt64 = try unsigned()
    guard value <= UInt64(limit) else { throw Failure(.format, "found \(value), expected at most \(limit)") }
    return Int(value)
  }

  /// Steps over one value of any kind. - Complexity: O(bytes of the value)
  mutating func skip() throws(Failure) { try skip(depth: 0) }

  private mutating func skip(depth: Int) throws(Failure) {
    guard depth < MessagePackReader.depthLimit else {
      throw Failure(.format, "nested deeper than \(MessagePackReader.depthLimit)")
    }
    let tag = try byte("a value")
    var children = 0
    switch tag {
    case 0x80...0x8F: children = 2 * Int(tag & 0x0F)
    case 0x90...0x9F: children = Int(tag & 0x0F)
    case 0xA0...0xBF: _ = try take(Int(tag & 0x1F))
    case 0xC4, 0xD9: _ = try take(Int(unsigned(1)))
    case 0xC5, 0xDA: _ = try take(Int(unsigned(2)))
    case 0xC6, 0xDB: _ = try take(Int(unsigned(4)))
    case 0xC7: _ = try take(1 + Int(unsigned(1)))
    case 0xC8: _ = try take(1 + Int(unsigned(2)))
    case 0xC9: _ = try take(1 + Int(unsigned(4)))
    case 0xCC, 0xD0: _ = try take(1)
    case 0xCD, 0xD1, 0xD4: _ = try take(2)
    case 0xCA, 0xCE, 0xD2: _ = try take(4)
    case 0xCB, 0xCF, 0xD3: _ = try take(8)
    case 0xD5: _ = try take(3)
    case 0xD6: _ = try take(5)
    case 0xD7: _ = try take(9)
    case 0xD8: _ = try take(17)
    case 0xDC: children = try count(2, "array")
    case 0xDD: children = try count(4, "array")
    case 0xDE: children = 2 * (try count(2, "map"))
    case 0xDF: children = 2 * (try count(4, "map"))
    case 0xC1: throw unexpected(tag, "a value")
    default: break  // nil, booleans and small integers are their tag
    }
    for _ in 0..<children { try skip(depth: depth + 1) }
  }

  private mutating func byte(_ expected: StaticString) throws(Failure) -> UInt8 {
    guard position < bytes.count else { throw Failure(.format, "ends at byte \(position), expected \(expected)") }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func take(_ count: Int) throws(Failure) -> UnsafeRawBufferPointer {
    guard count <= bytes.count - position else {
      throw Failure(.format, "byte \(position): \(bytes.count - position) bytes are left, expected \(count)")
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  private mutating func unsigned(_ width: Int) throws(Failure) -> UInt64 {
    var value: UInt64 = 0
    for byte in try take(width) { value = value << 8 | UInt64(byte) }
    return value
  }

  private mutating func count(_ width: Int, _ what: StaticString) throws(Failure) -> Int {
    let value = Int(try unsigned(width))
    // every element takes at least a byte
    guard value <= MessagePackReader.countLimit, value <= bytes.count - position else {
      throw Failure(
        .format,
        "byte \(position): \(what) of \(value) elements, more than are left or than \(MessagePackReader.countLimit)")
    }
    return value
  }

  private func unexpected(_ tag: UInt8, _ expected: StaticString) -> Failure {
    Failure(.format, "byte \(position - 1): tag \(tag), expected \(expected)")
  }
}

/// Whether `bytes` are those of `name`.
func matches(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
  guard bytes.count == name.utf8CodeUnitCount else { return false }
  for i in 0..<bytes.count where bytes[i] != name.utf8Start[i] { return false }
  return true
}
#endif
