/// FNV-1a, 64 bits (Fowler, Noll, Vo), of the bytes that were added. For short keys of layouts; files have XxHash64.
public struct Fnv1a {
  public private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  public init() {}

  /// The hash of a list of bytes.
  public static func of(_ bytes: [UInt8]) -> UInt64 {
    var hash = Fnv1a()
    for byte in bytes { hash.add(byte) }
    return hash.value
  }

  public mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }

  /// Adds the 8 bytes of a number, lowest first.
  public mutating func add(_ number: Int) {
    var x = UInt64(bitPattern: Int64(number))
    for _ in 0..<8 {
      add(UInt8(truncatingIfNeeded: x))
      x >>= 8
    }
  }
}
