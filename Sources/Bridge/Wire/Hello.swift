#if Bridge
import Base

/// What a plant says of itself, and what it counts on. All but `version` may be left out.
struct Hello {
  /// An input or output as the plant knows it.
  struct Tensor {
    var name = ""
    /// Empty where the plant does not say.
    var dtype = ""
    /// Shape of one row; nil where the plant does not say.
    var shape: [Int]?
    /// What its numbers are measured in; nil where the plant does not say.
    var unit: String?
  }

  /// Most elements of a shape.
  static let rankLimit = 8

  /// Oldest and newest protocol version that the plant speaks.
  var versions = (oldest: 0, newest: 0)
  var rows = 1
  /// Whether ACT carries the aux outputs too.
  var aux = false
  /// What the plant will send and wants to get; nil where it takes what there is.
  var inputs, outputs: [Tensor]?
  /// Its names for the elements of observation and action.
  var observations, joints: [String]?
  /// The policy that it was made for; 0 for any.
  var policy: UInt64 = 0
  /// Whether its frames carry a checksum; nil where it leaves that to the library.
  var checksum: Bool?
  /// Tells the boot of its machine, where its monotonic clock begins; empty where it does not say.
  var boot: [UInt8] = []
  /// The frames that it is made for; 0 where it takes the layout that it is given.
  var schema: UInt64 = 0
  var stepSize = 0
  var actSize = 0

  /// Reads the body of a HELLO frame. Unknown keys are skipped, so that newer plants can say more.
  init(_ body: UnsafeRawBufferPointer) throws(Failure) {
    var reader = MessagePackReader(body)
    let pairs = try reader.map()
    for _ in 0..<pairs {
      let key = try reader.string()
      do {
        try read(key, from: &reader)
      } catch {
        throw error.within("HELLO '\(String(decoding: key, as: UTF8.self))'")
      }
    }
    guard reader.isAtEnd else { throw Failure(.format, "HELLO: \(body.count - reader.position) bytes after the map") }
    guard versions.newest > 0 else { throw Failure(.format, "HELLO 'version': missing, expected [oldest, newest]") }
  }

  private mutating func read(_ key: UnsafeRawBufferPointer, from reader: inout MessagePackReader) throws(Failure) {
    if matches(key, "version") {
      let count = try reader.array()
      guard count == 2 else { throw Failure(.format, "\(count) elements, expected [oldest, newest]") }
      versions.oldest = try reader.unsigned(atMost: 255)
      versions.newest = try reader.unsigned(atMost: 255)
    } else if matches(key, "rows") {
      rows = try reader.unsigned(atMost: Int(Int32.max))
    } else if matches(key, "aux") {
      aux = try reader.bool()
    } else if matches(key, "policy") {
      policy = try reader.unsigned()
    } else if matches(key, "schema") {
      schema = try reader.unsigned()
    } else if matches(key, "inputs") {
      inputs = try Hello.tensors(from: &reader)
    } else if matches(key, "outputs") {
      outputs = try Hello.tensors(from: &reader)
    } else if matches(key, "observations") {
      observations = try Hello.names(from: &reader)
    } else if matches(key, "joints") {
      joints = try Hello.names(from: &reader)
    } else if matches(key, "checksum") {
      let word = try reader.string()
      guard matches(word, "none") || matches(word, "crc32c") || matches(word, "any") else {
        throw Failure(.format, "'\(String(decoding: word, as: UTF8.self))', expected 'none', 'crc32c' or 'any'")
      }
      checksum = matches(word, "any") ? nil : matches(word, "crc32c")
    } else if matches(key, "boot") {
      boot = bootIdentity(try reader.string())
    } else {
      try reader.skip()
    }
  }

  /// Bytes of the fixed body.
  static let fixedSize = 64

  /// Reads the fixed body, for plants without MessagePack; PROTOCOL.md has its table. Bytes without a meaning must be
  /// 0.
  init(fixed body: UnsafeRawBufferPointer) throws(Failure) {
    guard body.count == Hello.fixedSize, let p = body.baseAddress else {
      throw Failure(.format, "HELLO: fixed body of \(body.count) bytes, expected \(Hello.fixedSize)")
    }
    func word32(_ at: Int) -> Int { Int(UInt32(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt32.self))) }
    func word64(_ at: Int) -> UInt64 { UInt64(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
    versions = (Int(body[0]), Int(body[1]))
    let options = UInt16(littleEndian: p.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    guard options & ~7 == 0 else { throw Failure(.format, "HELLO: options \(options), expected bits 0 to 2") }
    aux = options & 1 != 0
    // bit 1: with a checksum; bit 2: without; neither: as the library has it
    guard options & 6 != 6 else { throw Failure(.format, "HELLO: options ask for a checksum and for none") }
    checksum = options & 2 != 0 ? true : options & 4 != 0 ? false : nil
    rows = word32(4)
    policy = word64(8)
    schema = word64(16)
    stepSize = word32(24)
    actSize = word32(28)
    for i in 32..<48 where body[i] != 0 { boot = Array(body[32..<48]); break }
    for i in 48..<Hello.fixedSize where body[i] != 0 {
      throw Failure(.format, "HELLO: byte \(i) of the fixed body is not 0")
    }
  }

  private static func names(from reader: inout MessagePackReader) throws(Failure) -> [String] {
    var names: [String] = []
    let count = try reader.array()
    for _ in 0..<count { names.append(try reader.text()) }
    return names
  }

  private static func tensors(from reader: inout MessagePackReader) throws(Failure) -> [Tensor] {
    var tensors: [Tensor] = []
    let count = try reader.array()
    for _ in 0..<count {
      var tensor = Tensor()
      let pairs = try reader.map()
      for _ in 0..<pairs {
        let key = try reader.string()
        if matches(key, "name") {
          tensor.name = try reader.text()
        } else if matches(key, "dtype") {
          tensor.dtype = try reader.text()
        } else if matches(key, "shape") {
          let rank = try reader.array()
          guard rank <= rankLimit else {
            throw Failure(.format, "shape of rank \(rank), expected at most \(rankLimit)")
          }
          var shape: [Int] = []
          for _ in 0..<rank { shape.append(try reader.unsigned(atMost: Int(Int32.max))) }
          tensor.shape = shape
        } else if matches(key, "unit") {
          tensor.unit = try reader.text()
        } else {
          try reader.skip()
        }
      }
      tensors.append(tensor)
    }
    return tensors
  }
}

/// The 16 bytes of a boot id as Linux writes it, 32 hexadecimal digits with dashes; empty where it is none.
func bootIdentity(_ text: UnsafeRawBufferPointer) -> [UInt8] {
  var digits: [UInt8] = []
  for byte in text {
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "\n"): continue
    case 0x30...0x39: digits.append(byte - 0x30)
    case 0x61...0x66: digits.append(byte - 0x57)
    case 0x41...0x46: digits.append(byte - 0x37)
    default: return []
    }
  }
  guard digits.count == 32 else { return [] }
  var bytes: [UInt8] = []
  for i in 0..<16 { bytes.append(digits[2 * i] << 4 | digits[2 * i + 1]) }
  return bytes
}
#endif
