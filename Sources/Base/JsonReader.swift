import Platform

/// Reads one JSON text (RFC 8259). What it may allocate is bounded by the budget, its nesting by `maximumDepth`.
/// - Complexity: O(bytes).
public struct JsonReader {
  private let base: UnsafeRawPointer
  private var position: Int
  private let end: Int
  private let budget: MemoryBudget
  /// What messages call the text.
  private let what: String
  /// Whether NaN, Infinity and -Infinity are numbers, so that who reads the value can say where they stand.
  private let acceptsNonFinite: Bool

  static let maximumDepth = 32
  /// Bytes that a value takes in memory, about.
  static let valueSize = 64

  /// The value of the whole text at `range` of `base`.
  @export(interface)
  public static func read(
    _ base: UnsafeRawPointer, _ range: Range<Int>, what: String, budget: MemoryBudget, acceptsNonFinite: Bool = false
  ) throws(Failure) -> Json {
    var r = JsonReader(
      base: base, position: range.lowerBound, end: range.upperBound, budget: budget, what: what,
      acceptsNonFinite: acceptsNonFinite)
    let value = try r.value(depth: 0)
    r.skipSpace()
    guard r.position == r.end else { throw r.fail("text after the end of the value") }
    return value
  }

  private func fail(_ problem: String) -> Failure {
    Failure(.format, "\(what) is not JSON at byte \(position): \(problem)")
  }

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
    case UInt8(ascii: "N") where acceptsNonFinite, UInt8(ascii: "I") where acceptsNonFinite:
      return .number(try number())
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

  /// Correctly rounded, whatever the locale: by the exact product or quotient of two doubles where there is one
  /// (Clinger 1990), otherwise by the C library.
  private mutating func number() throws(Failure) -> Double {
    let from = position
    let isNegative = take("-")
    guard let first = peek(), first >= 0x30, first <= 0x39 else {
      if acceptsNonFinite, let value = nonFinite() { return isNegative ? -value : value }
      throw fail("expected a value")
    }
    var decimal = Decimal()
    if take("0") {
      if let b = peek(), b >= 0x30, b <= 0x39 { throw fail("a number begins with 0") }
    } else {
      digits { decimal.append($0) }
    }
    if take(".") {
      let point = position
      digits {
        decimal.append($0)
        decimal.exponent -= 1
      }
      guard position > point else { throw fail("no digits after the point of a number") }
    }
    if take("e") || take("E") {
      let isSmall = take("-")
      if !isSmall { _ = take("+") }
      let sign = position
      var e = 0
      digits { e = min(e * 10 + Int($0), 1_000_000) }
      guard position > sign else { throw fail("no digits in the exponent of a number") }
      decimal.exponent += isSmall ? -e : e
    }
    if let value = decimal.exact { return isNegative ? -value : value }
    let value = try rounded(from)
    guard value.isFinite else { throw fail("a number beyond the range of a double") }
    return value
  }

  /// The text from `from` to here, by the C library.
  private func rounded(_ from: Int) throws(Failure) -> Double {
    let count = position - from
    try budget.take(count + 1, for: "reading \(what), at byte \(position)")
    defer { budget.give(count + 1) }
    return withUnsafeTemporaryAllocation(byteCount: count + 1, alignment: 1) { text in
      text.copyMemory(from: UnsafeRawBufferPointer(start: base + from, count: count))
      text[count] = 0
      return eff_text_to_double(text.baseAddress!)
    }
  }

  /// What Python writes for numbers that JSON does not have.
  private mutating func nonFinite() -> Double? {
    if takeWord("NaN") { return .nan }
    return takeWord("Infinity") ? .infinity : nil
  }

  private mutating func takeWord(_ word: StaticString) -> Bool {
    guard end - position >= word.utf8CodeUnitCount else { return false }
    for i in 0..<word.utf8CodeUnitCount
    where base.load(fromByteOffset: position + i, as: UInt8.self) != word.utf8Start[i] { return false }
    position += word.utf8CodeUnitCount
    return true
  }

  private mutating func digits(_ body: (UInt64) -> Void) {
    while let b = peek(), b >= 0x30, b <= 0x39 {
      body(UInt64(b - 0x30))
      position += 1
    }
  }
}

/// The digits of a number as a whole and a power of ten.
private struct Decimal {
  private var whole: UInt64 = 0
  private var isWhole = true
  var exponent = 0

  mutating func append(_ digit: UInt64) {
    if whole <= (UInt64.max - 9) / 10 { whole = whole * 10 + digit } else { isWhole = false }
  }

  /// The double nearest to it, where both factors are doubles, so that one rounding makes it.
  var exact: Double? {
    guard isWhole else { return nil }
    if whole == 0 { return 0 }
    guard whole <= 1 << 53, exponent >= -22, exponent <= 22 else { return nil }
    var power = 1.0
    for _ in 0..<exponent.magnitude { power *= 10 }
    return exponent < 0 ? Double(whole) / power : Double(whole) * power
  }
}
