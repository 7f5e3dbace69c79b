#if Bridge
import Platform

/// CRC-32C (Castagnoli, RFC 3720 B.4), by the processor's instruction where it has one.
public struct Crc32c {
  let hardware: Bool

  public init() { hardware = eff_crc32c_supported() != 0 }

  /// For tests: with `hardware` off, the portable loop.
  init(hardware: Bool) { self.hardware = hardware && eff_crc32c_supported() != 0 }

  /// State before any byte.
  public static let start: UInt32 = 0xFFFF_FFFF

  /// State after `bytes`. The checksum of a message is the inverse of its last state.
  /// - Complexity: O(count), 8 bytes per instruction in hardware.
  public func state(_ state: UInt32, after bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = state
    guard let base = bytes.baseAddress else { return crc }
    var i = 0
    if hardware {
      while i + 8 <= bytes.count {
        crc = eff_crc32c_8(crc, UInt64(littleEndian: base.loadUnaligned(fromByteOffset: i, as: UInt64.self)))
        i += 8
      }
      while i < bytes.count {
        crc = eff_crc32c_1(crc, base.load(fromByteOffset: i, as: UInt8.self))
        i += 1
      }
      return crc
    }
    while i < bytes.count {
      crc ^= UInt32(base.load(fromByteOffset: i, as: UInt8.self))
      for _ in 0..<8 { crc = crc >> 1 ^ (0 &- (crc & 1)) & 0x82F6_3B78 }
      i += 1
    }
    return crc
  }

  /// Checksum of a whole message.
  public func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 { ~state(Crc32c.start, after: bytes) }
}
#endif
