#if Bridge

/// Writes MessagePack, always in the shortest form.
struct MessagePackWriter {
  private(set) var bytes: [UInt8] = []

  mutating func map(_ count: Int) { head(count, small: 0x80, limit: 16, wide: 0xDE, wider: 0xDF) }
  mutating func array(_ count: Int) { head(count, small: 0x90, limit: 16, wide: 0xDC, wider: 0xDD) }

  mutating func string(_ text: String) {
    let utf8 = Array(text.utf8)
    stringHead(utf8.count)
    bytes.append(contentsOf: utf8)
  }

  /// A map key or a fixed word.
  mutating func word(_ text: StaticString) {
    stringHead(text.utf8CodeUnitCount)
    for i in 0..<text.utf8CodeUnitCount { bytes.append(text.utf8Start[i]) }
  }

  mutating func bool(_ value: Bool) { bytes.append(value ? 0xC3 : 0xC2) }

  mutating func unsigned(_ value: UInt64) {
    switch value {
    case 0...0x7F: bytes.append(UInt8(value))
    case 0...0xFF: big(0xCC, value, 1)
    case 0...0xFFFF: big(0xCD, value, 2)
    case 0...0xFFFF_FFFF: big(0xCE, value, 4)
    default: big(0xCF, value, 8)
    }
  }

  /// A length, offset or count.
  mutating func size(_ value: Int) { unsigned(UInt64(value)) }

  mutating func double(_ value: Double) { big(0xCB, value.bitPattern, 8) }

  mutating func names(_ names: [String]) {
    array(names.count)
    for name in names { string(name) }
  }

  mutating func doubles(_ values: [Double]) {
    array(values.count)
    for value in values { double(value) }
  }

  /// Bytes that are MessagePack already.
  mutating func append(_ encoded: [UInt8]) { bytes.append(contentsOf: encoded) }

  private mutating func stringHead(_ count: Int) {
    if count < 32 {
      bytes.append(0xA0 | UInt8(count))
    } else if count <= 0xFF {
      big(0xD9, UInt64(count), 1)
    } else {
      head(count, small: 0, limit: 0, wide: 0xDA, wider: 0xDB)
    }
  }

  private mutating func head(_ count: Int, small: UInt8, limit: Int, wide: UInt8, wider: UInt8) {
    if count < limit {
      bytes.append(small | UInt8(count))
    } else if count <= 0xFFFF {
      big(wide, UInt64(count), 2)
    } else {
      big(wider, UInt64(count), 4)
    }
  }

  private mutating func big(_ tag: UInt8, _ value: UInt64, _ width: Int) {
    bytes.append(tag)
    for i in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * (width - 1 - i)))) }
  }
}
#endif
