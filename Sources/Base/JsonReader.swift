/// Reads one JSON text (RFC 8259). What it may allocate is bounded by the budget, its nesting by `maximumDepth`.
/// - Complexity: O(bytes).
public struct JsonReader {
  private let base: UnsafeRawPointer
  private var position: Int
  private let end: Int
  private let budget: MemoryBudget
  /// What messages call the text.
  private let what: String

  static let maximumDepth = 32
  /// Bytes that a value takes in memory, about.
  static let valueSize = 64

  /// The value of the whole text at `range` of `base`.
  @export(interface)
  public static func read(_ base: UnsafeRawPointer, _ range: Range<Int>, what: String, budget: MemoryBudget) throws(Failure) -> Json {
    var r = JsonReader(base: base, position: range.lowerBound, end: range.upperBound, budget: budget, what: what)
    let value = try r.value(depth: 0)
    r.skipSpace()
    guard r.position == r.end else { throw r.fail("text after the end of the value") }
    return value
  }

  private func fail(_ problem: String) -> Failure { Failure(.format, "\(what) is not JSON at byte \(position): \(problem)") }

  private func peek() -> UInt8? { position < end ? base.load(fromByteOffset: position, as: UInt8.self) : nil }

  private mutating func take(_ byte: Character) -> Bool {
    guard let b = peek(), b == byte.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let b = peek(), b == 0x20 || b == 0x0A || b == 0x0D || b == 0x09 { position += 1 }
  }

  private mutating func value(depth: Int) throws(Failure) -> Json {
    guard depth < Self.maximumDepth else { throw fail("values nested more than \(Self.maximumDepth) deep") }
    try budget.take(Self.valueSize, for: "reading \(what), at byte \(position)")
    skipSpace()
    guard let b = peek() else { throw fail("it ends where a value is expected") }
    switch b {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try array(depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return .number(try number())
    }
  }

  private mutating func word(_ text: StaticString, _ value: Json) throws(Failure) -> Json {
    for i in 0..<text.utf8CodeUnitCount {
      guard peek() == text.utf8Start[i] else { throw fail("expected '\(text)'") }
      position += 1
    }
    return value
  }

  private mutating func array(_ depth: Int) throws(Failure) -> Json {
    position += 1
    var items: [Json] = []
    skipSpace()
    if take("]") { return .array(items) }
    while true {
      items.append(try value(depth: depth + 1))
      skipSpace()
      if take("]") { return .array(items) }
      guard take(",") else { throw fail("expected ',' or ']' in a list") }
    }
  }

  private mutating func object(_ depth: Int) throws(Failure) -> Json {
    position += 1
    var members: [JsonMember] = []
    var keys: Set<String> = []
    skipSpace()
    if take("}") { return .object(members) }
    while true {
      skipSpace()
      guard peek() == UInt8(ascii: "\"") else { throw fail("expected a key in quotes") }
      let key = try string()
      guard keys.insert(key).inserted else { throw fail("the key '\(key)' is there twice") }
      skipSpace()
      guard take(":") else { throw fail("expected ':' after the key '\(key)'") }
      members.append(JsonMember(key: key, value: try value(depth: depth + 1)))
      skipSpace()
      if take("}") { return .object(members) }
      guard take(",") else { throw fail("expected ',' or '}' in an object") }
    }
  }

  // MARK: strings

  private mutating func string() throws(Failure) -> String {
    position += 1
    let from = position
    while let b = peek(), b != UInt8(ascii: "\""), b != UInt8(ascii: "\\") {
      guard b >= 0x20 else { throw fail("a control character in a string") }
      position += 1
    }
    try budget.take(2 * (position - from), for: "reading \(what), at byte \(position)")
    var bytes = Array(UnsafeRawBufferPointer(start: base + from, count: position - from))
    while let b = peek() {
      position += 1
      if b == UInt8(ascii: "\"") { return String(decoding: bytes, as: UTF8.self) }
      guard b >= 0x20 else { throw fail("a control character in a string") }
      try budget.take(2, for: "reading \(what), at byte \(position)")
      if b == UInt8(ascii: "\\") { try escape(&bytes) } else { bytes.append(b) }
    }
    throw fail("a string does not end")
  }

  private mutating func escape(_ bytes: inout [UInt8]) throws(Failure) {
    guard let b = peek() else { throw fail("a string does not end") }
    position += 1
    switch b {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(b)
    case UInt8(ascii: "b"): bytes.append(0x08)
    case UInt8(ascii: "f"): bytes.append(0x0C)
    case UInt8(ascii: "n"): bytes.append(0x0A)
    case UInt8(ascii: "r"): bytes.append(0x0D)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if code & 0xFC00 == 0xD800, take("\\") {
        guard take("u") else { throw fail("half of a surrogate pair") }
        let low = try hexadecimal()
        guard low & 0xFC00 == 0xDC00 else { throw fail("half of a surrogate pair") }
        code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
      }
      guard let scalar = Unicode.Scalar(code) else { throw fail("half of a surrogate pair") }
      bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw fail("an escape that JSON does not have")
    }
  }

  private mutating func hexadecimal() throws(Failure) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let b = peek() else { throw fail("a string does not end") }
      let digit: UInt8
      switch b {
      case 0x30...0x39: digit = b - 0x30
      case 0x41...0x46: digit = b - 0x37
      case 0x61...0x66: digit = b - 0x57
      default: throw fail("\\u is not followed by four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
      position += 1
    }
    return code
  }

  // MARK: numbers

  /// Within 3 parts in 10^15, exact for integers below 2^53 and decimals of up to 15 digits near 1; independent of the locale, as strtod is not.
  private mutating func number() throws(Failure) -> Double {
    let isNegative = take("-")
    var mantissa: UInt64 = 0
    var exponent = 0
    guard let first = peek(), first >= 0x30, first <= 0x39 else { throw fail("expected a value") }
    if take("0") {
      if let b = peek(), b >= 0x30, b <= 0x39 { throw fail("a number begins with 0") }
    } else {
      digits { digit in
        if mantissa < 100_000_000_000_000_000 { mantissa = mantissa * 10 + digit } else { exponent += 1 }
      }
    }
    if take(".") {
      let from = position
      digits { digit in
        guard mantissa < 100_000_000_000_000_000 else { return }
        mantissa = mantissa * 10 + digit
        exponent -= 1
      }
      guard position > from else { throw fail("no digits after the point of a number") }
    }
    if take("e") || take("E") {
      let isSmall = take("-")
      if !isSmall { _ = take("+") }
      let from = position
      var e = 0
      digits { e = min(e * 10 + Int($0), 10_000) }
      guard position > from else { throw fail("no digits in the exponent of a number") }
      exponent += isSmall ? -e : e
    }
    let size = Double(mantissa)
    // in two steps, so that the power itself stays in range
    let half = exponent / 2
    let value = mantissa == 0 ? 0 : Self.scale(Self.scale(size, half), exponent - half)
    guard value.isFinite else { throw fail("a number beyond the range of a double") }
    return isNegative ? -value : value
  }

  private mutating func digits(_ body: (UInt64) -> Void) {
    while let b = peek(), b >= 0x30, b <= 0x39 {
      body(UInt64(b - 0x30))
      position += 1
    }
  }

  private static func scale(_ x: Double, _ exponent: Int) -> Double {
    var power = 1.0
    var base = 10.0
    var n = exponent.magnitude
    while n > 0 {
      if n & 1 == 1 { power *= base }
      base *= base
      n >>= 1
    }
    return exponent < 0 ? x / power : x * power
  }
}
