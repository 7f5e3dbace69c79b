import Kernels
import Onnx

/// What an operator takes in one opset: a row of the tables in Schemas.swift.
struct Schema {
  enum Row { case known, unknown, absent, old, ended }

  /// One attribute of a row, as bytes of the table.
  struct Attribute {
    let name: UnsafeBufferPointer<UInt8>
    /// Must be given.
    let isRequired: Bool
    /// Does not change the result.
    let isAdvice: Bool
  }

  /// `known`: built or buildable; `unknown`: no operator of this name; `absent`: it came later; `old`: this definition
  /// is not built; `ended`: it is gone.
  let row: Row
  /// The opset at which this row begins; of an absent operator the first one, of an old one the first that is built.
  let since: Int
  /// Greatest numbers; nil for any.
  let inputs: Int?
  let outputs: Int?
  private let words: UnsafeBufferPointer<UInt8>
  private let line: UnsafeBufferPointer<UInt8>

  private init(_ row: Row, since: Int = 0, line: UnsafeBufferPointer<UInt8> = .init(start: nil, count: 0)) {
    (self.row, self.since, self.line) = (row, since, line)
    (inputs, outputs, words) = (nil, nil, .init(start: nil, count: 0))
  }

  private init(since: Int, row: UnsafeBufferPointer<UInt8>, line: UnsafeBufferPointer<UInt8>) {
    var rest = row
    func count(_ word: UnsafeBufferPointer<UInt8>) -> Int? { word.first == UInt8(ascii: "*") ? nil : number(word) }
    self.row = .known
    self.since = since
    self.line = line
    inputs = count(cut(&rest, UInt8(ascii: " ")))
    outputs = count(cut(&rest, UInt8(ascii: " ")))
    words = rest
  }

  /// The row of an operator; `version` is that of its domain.
  static func find(domain: String, op: String, version: Int) -> Schema {
    let isStandard = domain.utf8.isEmpty || domain == "ai.onnx"
    var key = isStandard ? op : domain + "." + op
    let table = domain == "com.microsoft" ? microsoftTable : standardTable
    return key.withUTF8 { key in
      let position = table.position(of: key)
      guard position >= 0 else { return Schema(.unknown) }
      var line = table.entry(position)
      _ = cut(&line, UInt8(ascii: " "))
      return choose(line, version)
    }
  }

  private static let standardTable = NameTable(standard, separator: newline)
  private static let microsoftTable = NameTable(microsoft, separator: newline)

  /// The row of a line that is in force at `version`.
  private static func choose(_ line: UnsafeBufferPointer<UInt8>, _ version: Int) -> Schema {
    var rest = line
    var found: Schema? = nil
    while !rest.isEmpty {
      var row = cut(&rest, UInt8(ascii: "|"))
      let since = number(cut(&row, UInt8(ascii: " ")))
      if since > version {
        if let found, found.row != .old { return found }
        return Schema(found == nil ? .absent : .old, since: since, line: line)
      }
      switch row.first {
      case UInt8(ascii: "!"): found = Schema(.old, since: since, line: line)
      case UInt8(ascii: "-"): found = Schema(.ended, since: since, line: line)
      default: found = Schema(since: since, row: row, line: line)
      }
    }
    return found ?? Schema(.unknown)
  }

  /// Calls `body` for each attribute of this row until it returns false.
  func forEachAttribute(_ body: (Attribute) -> Bool) {
    var rest = words
    while !rest.isEmpty {
      let word = cut(&rest, UInt8(ascii: " "))
      let mark = word.first
      let isMarked = mark == UInt8(ascii: "=") || mark == UInt8(ascii: "~")
      let name = isMarked ? UnsafeBufferPointer(rebasing: word[1...]) : word
      if !body(Attribute(name: name, isRequired: mark == UInt8(ascii: "="), isAdvice: mark == UInt8(ascii: "~"))) {
        return
      }
    }
  }

  /// The attribute of this name.
  func attribute(_ name: String) -> Attribute? {
    var found: Attribute? = nil
    var name = name
    name.withUTF8 { name in
      forEachAttribute { a in
        if isSame(a.name, name) { found = a }
        return found == nil
      }
    }
    return found
  }

  /// The first and last opset at which the operator has this attribute; `last` is nil where it still has it. nil where
  /// it never had.
  func range(ofAttribute name: String) -> (first: Int, last: Int?)? {
    var rest = line
    var first: Int? = nil
    var last: Int? = nil
    while !rest.isEmpty {
      var row = cut(&rest, UInt8(ascii: "|"))
      let since = number(cut(&row, UInt8(ascii: " ")))
      guard row.count > 1 else { continue }
      let has = Schema(since: since, row: row, line: line).attribute(name) != nil
      if has && first == nil { first = since }
      if has { last = nil } else if first != nil && last == nil { last = since - 1 }
    }
    return first.map { ($0, last) }
  }

  /// The names of its attributes: "'alpha', 'beta'".
  var names: String {
    var text = ""
    forEachAttribute { a in
      text += (text.utf8.isEmpty ? "'" : ", '") + string(a.name) + "'"
      return true
    }
    return text
  }

  /// The attribute that somebody who wrote `name` may have meant: one that differs by two letters, begins with it or
  /// the other way round, or the only one.
  func near(_ name: String) -> String? {
    let bytes = Array(name.utf8.prefix(64))
    var best: String? = nil
    var least = 3
    var count = 0
    forEachAttribute { a in
      count += 1
      let isPrefix = min(bytes.count, a.name.count) >= 3 && (a.name.starts(with: bytes) || bytes.starts(with: a.name))
      let d = isPrefix ? 1 : distance(bytes, a.name)
      if d < least && d < max(bytes.count, a.name.count) { (least, best) = (d, string(a.name)) }
      return true
    }
    if best == nil && count == 1 { forEachAttribute { a in best = string(a.name); return false } }
    return best
  }
}

private let newline = UInt8(ascii: "\n")

/// Cuts the text up to `end` off the front of `rest`.
func cut(_ rest: inout UnsafeBufferPointer<UInt8>, _ end: UInt8) -> UnsafeBufferPointer<UInt8> {
  guard let start = rest.baseAddress else { return rest }
  let at = memchr(start, Int32(end), rest.count).map { UnsafeRawPointer($0) - UnsafeRawPointer(start) } ?? rest.count
  let word = UnsafeBufferPointer(rebasing: rest[..<at])
  rest = UnsafeBufferPointer(rebasing: rest[min(at + 1, rest.count)...])
  return word
}

private func number(_ word: UnsafeBufferPointer<UInt8>) -> Int {
  var n = 0
  for b in word { n = n * 10 + Int(b) - 48 }
  return n
}

func isSame(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
  guard a.count == b.count else { return false }
  return a.count == 0 || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0
}

private func string(_ bytes: UnsafeBufferPointer<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

/// Letters to change, insert or remove between two names.
private func distance(_ a: [UInt8], _ b: UnsafeBufferPointer<UInt8>) -> Int {
  var row = Array(0...b.count)
  for i in 0..<a.count {
    var corner = row[0]
    row[0] = i + 1
    for k in 0..<b.count {
      let change = corner + (a[i] == b[k] ? 0 : 1)
      corner = row[k + 1]
      row[k + 1] = min(change, min(row[k], corner) + 1)
    }
  }
  return row[b.count]
}
