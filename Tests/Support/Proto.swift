/// Protobuf wire format, written field by field.
public struct Proto {
  public var bytes: [UInt8] = []

  public init() {}

  public init(_ build: (inout Proto) -> Void) { build(&self) }

  public mutating func varint(_ value: UInt64) {
    var v = value
    while v > 0x7F {
      bytes.append(UInt8(v & 0x7F) | 0x80)
      v >>= 7
    }
    bytes.append(UInt8(v))
  }

  public mutating func int(_ field: Int, _ value: Int64) {
    varint(UInt64(field) << 3)
    varint(UInt64(bitPattern: value))
  }

  public mutating func float(_ field: Int, _ value: Float) {
    varint(UInt64(field) << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  public mutating func blob(_ field: Int, _ value: [UInt8]) {
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  public mutating func text(_ field: Int, _ value: String) { blob(field, Array(value.utf8)) }

  public mutating func message(_ field: Int, _ value: Proto) { blob(field, value.bytes) }
}
