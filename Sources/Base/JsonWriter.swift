/// Writes a JSON value as text that a person reads: what fits in a line stays in one line. Numbers are the shortest
/// text that reads back as the same double.
public struct JsonWriter {
  private var bytes: [UInt8] = []
  private static let width = 120

  /// - Complexity: O(bytes * depth).
  public static func text(_ value: Json) -> String {
    var w = JsonWriter()
    w.write(value, indent: 0, column: 0)
    return String(decoding: w.bytes, as: UTF8.self)
  }

  /// The same on one line.
  public static func line(_ value: Json) -> String {
    var w = JsonWriter()
    w.write(value)
    return String(decoding: w.bytes, as: UTF8.self)
  }

  /// The shortest text that reads back as `number`; whole numbers without a point. JSON has no text for numbers that
  /// are not finite: null.
  public static func number(_ number: Double) -> String {
    guard number.isFinite else { return "null" }
    if number == number.rounded(.towardZero), number.magnitude < 1e15, number != 0 || number.sign == .plus {
      return String(Int(number))
    }
    return number.description
  }

  private mutating func append(_ text: StaticString) {
    for i in 0..<text.utf8CodeUnitCount { bytes.append(text.utf8Start[i]) }
  }

  private mutating func newLine(_ indent: Int) {
    bytes.append(0x0A)
    for _ in 0..<indent { bytes.append(0x20) }
  }

  /// Over several lines where one does not hold it. `column`: where it begins.
  private mutating func write(_ value: Json, indent: Int, column: Int) {
    let from = bytes.count
    write(value)
    guard column + bytes.count - from > Self.width else { return }
    switch value {
    case .array(let items) where !items.isEmpty:
      bytes.removeSubrange(from...)
      bytes.append(UInt8(ascii: "["))
      for (i, item) in items.enumerated() {
        newLine(indent + 2)
        write(item, indent: indent + 2, column: indent + 2)
        if i < items.count - 1 { bytes.append(UInt8(ascii: ",")) }
      }
      newLine(indent)
      bytes.append(UInt8(ascii: "]"))
    case .object(let members) where !members.isEmpty:
      bytes.removeSubrange(from...)
      bytes.append(UInt8(ascii: "{"))
      for (i, m) in members.enumerated() {
        newLine(indent + 2)
        let start = bytes.count
        string(m.key)
        append(": ")
        write(m.value, indent: indent + 2, column: indent + 2 + bytes.count - start)
        if i < members.count - 1 { bytes.append(UInt8(ascii: ",")) }
      }
      newLine(indent)
      bytes.append(UInt8(ascii: "}"))
    default: break
    }
  }

  private mutating func write(_ value: Json) {
    switch value {
    case .null: append("null")
    case .bool(let b): append(b ? "true" : "false")
    case .number(let d): bytes.append(contentsOf: Array(Self.number(d).utf8))
    case .string(let s): string(s)
    case .array(let items):
      bytes.append(UInt8(ascii: "["))
      for (i, item) in items.enumerated() {
        if i > 0 { append(", ") }
        write(item)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (i, m) in members.enumerated() {
        if i > 0 { append(", ") }
        string(m.key)
        append(": ")
        write(m.value)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private mutating func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for b in text.utf8 {
      switch b {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(b)
      case 0x0A: append("\\n")
      case 0x09: append("\\t")
      case 0..<0x20:
        append("\\u00")
        bytes.append(0x30 + b / 16)
        bytes.append(b % 16 < 10 ? 0x30 + b % 16 : 0x57 + b % 16)
      default: bytes.append(b)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
