import Base

/// Reads protobuf wire format in place: every read is checked against the end of the message.
struct WireReader {
  let base: UnsafeRawPointer
  private(set) var position: Int
  let end: Int
  /// Nesting depth of this message, bounded so that hostile files cannot exhaust the stack.
  let depth: Int
  /// What reading may still allocate: small files can hold very many empty messages.
  let budget: MemoryBudget

  static let maximumDepth = 48
  /// Bytes that a message takes in memory, about.
  static let messageSize = 256

  init(_ base: UnsafeRawPointer, from: Int, to: Int, budget: MemoryBudget, depth: Int = 0) {
    self.base = base
    position = from
    end = to
    self.depth = depth
    self.budget = budget
  }

  /// A field's number and how it is encoded.
  struct Field {
    let number: Int
    let wire: Int
  }

  private func truncated(_ what: String) -> Failure {
    Failure(
      .format,
      """
      truncated or damaged at byte \(position): \(what) runs past the end of its message at byte \(end); copy or \
      download the file again
      """
    )
  }

  /// Next field, or nil at the end of the message.
  mutating func next() throws(Failure) -> Field? {
    if position >= end { return nil }
    let at = position
    let key = try varint()
    let number = key >> 3
    guard number > 0, number <= 0x1FFF_FFFF else {
      throw Failure(.format, "not an ONNX model: field number \(number) at byte \(at)")
    }
    return Field(number: Int(number), wire: Int(key & 7))
  }

  mutating func varint() throws(Failure) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < end else { throw truncated("a number") }
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
      if shift > 63 { throw Failure(.format, "damaged at byte \(position): a number of more than 10 bytes") }
    }
  }

  /// Start and end of a length-delimited field.
  mutating func range() throws(Failure) -> Range<Int> {
    let length = try varint()
    guard length <= UInt64(end - position) else { throw truncated("a field of \(length) bytes") }
    let from = position
    position += Int(length)
    return from..<position
  }

  mutating func message() throws(Failure) -> WireReader {
    guard depth < Self.maximumDepth else {
      throw Failure(.format, "messages nested more than \(Self.maximumDepth) deep at byte \(position)")
    }
    try budget.take(Self.messageSize, for: "reading the file, at byte \(position)")
    let r = try range()
    return WireReader(base, from: r.lowerBound, to: r.upperBound, budget: budget, depth: depth + 1)
  }

  mutating func string() throws(Failure) -> String {
    let r = try range()
    try budget.take(16 + r.count, for: "reading the file, at byte \(position)")
    return String(decoding: UnsafeRawBufferPointer(start: base + r.lowerBound, count: r.count), as: UTF8.self)
  }

  mutating func fixed32() throws(Failure) -> UInt32 {
    guard end - position >= 4 else { throw truncated("a 4-byte value") }
    defer { position += 4 }
    return UInt32(littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt32.self))
  }

  mutating func fixed64() throws(Failure) -> UInt64 {
    guard end - position >= 8 else { throw truncated("an 8-byte value") }
    defer { position += 8 }
    return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt64.self))
  }

  /// Checks the encoding of a known field.
  func expect(_ field: Field, wire: Int, _ what: String) throws(Failure) {
    guard field.wire == wire else {
      throw Failure(.format, "damaged at byte \(position): \(what) has wire type \(field.wire), expected \(wire)")
    }
  }

  mutating func skip(_ field: Field) throws(Failure) {
    switch field.wire {
    case 0: _ = try varint()
    case 1: _ = try fixed64()
    case 2: _ = try range()
    case 5: _ = try fixed32()
    default: throw Failure(.format, "not an ONNX model: wire type \(field.wire) at byte \(position)")
    }
  }

  /// A repeated number, packed or not: calls `body` for each.
  mutating func varints(_ field: Field, _ body: (UInt64) -> Void) throws(Failure) {
    if field.wire == 2 {
      let r = try range()
      var inner = WireReader(base, from: r.lowerBound, to: r.upperBound, budget: budget, depth: depth)
      while inner.position < inner.end {
        try budget.take(8, for: "reading the file, at byte \(inner.position)")
        body(try inner.varint())
      }
    } else {
      try expect(field, wire: 0, "a repeated number")
      body(try varint())
    }
  }

  mutating func fixed32s(_ field: Field, _ body: (UInt32) -> Void) throws(Failure) {
    if field.wire == 2 {
      let r = try range()
      var inner = WireReader(base, from: r.lowerBound, to: r.upperBound, budget: budget, depth: depth)
      while inner.position < inner.end {
        try budget.take(4, for: "reading the file, at byte \(inner.position)")
        body(try inner.fixed32())
      }
    } else {
      try expect(field, wire: 5, "a repeated float")
      body(try fixed32())
    }
  }

  mutating func fixed64s(_ field: Field, _ body: (UInt64) -> Void) throws(Failure) {
    if field.wire == 2 {
      let r = try range()
      var inner = WireReader(base, from: r.lowerBound, to: r.upperBound, budget: budget, depth: depth)
      while inner.position < inner.end {
        try budget.take(8, for: "reading the file, at byte \(inner.position)")
        body(try inner.fixed64())
      }
    } else {
      try expect(field, wire: 1, "a repeated double")
      body(try fixed64())
    }
  }
}
