import Base
import Onnx

/// One object of the architecture, with checked access to its keys.
struct Layer {
  let json: Json
  let name: String
  let type: String

  init(_ json: Json, name: String, type: String) {
    self.json = json
    self.name = name
    self.type = type
  }

  func fail(_ problem: Message, _ reason: Failure.Reason = .format) -> Failure {
    Failure(reason, "layer '\(name)' (\(type)): " + problem.text)
  }

  private func wrong(_ key: String, _ value: Json, _ expected: StaticString) -> Failure {
    fail("\(key) is \(value.kind), expected \(expected)")
  }

  /// The value of a key; nil where it is absent or null.
  func value(_ key: String) -> Json? {
    guard let v = json[key] else { return nil }
    if case .null = v { return nil }
    return v
  }

  /// Refuses keys that the layer does not read: a misspelt one would be lost in silence.
  func expectKeys(_ known: [String]) throws(Failure) {
    guard case .object(let members) = json else { return }
    for m in members where m.key != "type" && m.key != "name" && m.key != "from" && !known.contains(m.key) {
      var list = ""
      for k in known { list += (list.utf8.isEmpty ? "" : ", ") + k }
      throw fail("key '\(m.key)' is not known; it has \(list.utf8.isEmpty ? "none of its own" : list)")
    }
  }

  func string(_ key: String) throws(Failure) -> String? {
    guard let v = value(key) else { return nil }
    guard case .string(let s) = v else { throw wrong(key, v, "a text") }
    return s
  }

  func number(_ key: String, _ absent: Double) throws(Failure) -> Double {
    guard let v = value(key) else { return absent }
    guard case .number(let d) = v else { throw wrong(key, v, "a number") }
    return d
  }

  func bool(_ key: String, _ absent: Bool) throws(Failure) -> Bool {
    guard let v = value(key) else { return absent }
    guard case .bool(let b) = v else { throw wrong(key, v, "true or false") }
    return b
  }

  func integer(_ key: String, in range: ClosedRange<Int>, absent: Int? = nil) throws(Failure) -> Int {
    guard let v = value(key) else {
      guard let absent else { throw fail("needs \(key)") }
      return absent
    }
    return try integer(v, key, range)
  }

  private func integer(_ v: Json, _ key: String, _ range: ClosedRange<Int>) throws(Failure) -> Int {
    guard let n = v.integer, range.contains(n) else {
      throw fail(
        """
        \(key) is \(v.integer.map { String($0) } ?? v.kind), expected a whole number from \(range.lowerBound) to \
        \(range.upperBound)
        """
      )
    }
    return n
  }

  /// A list of whole numbers; a single one stands for `count` of them.
  func integers(_ key: String, in range: ClosedRange<Int>, count: Int? = nil, absent: Int? = nil) throws(Failure)
    -> [Int]
  {
    guard let v = value(key) else {
      guard let absent, let count else { throw fail("needs \(key)") }
      return [Int](repeating: absent, count: count)
    }
    guard case .array(let items) = v else {
      guard let count else { throw wrong(key, v, "a list of whole numbers") }
      return [Int](repeating: try integer(v, key, range), count: count)
    }
    guard items.count <= 8, count == nil || items.count == count else {
      throw fail("\(key) has \(items.count) numbers, expected \(count.map { String($0) } ?? "at most 8")")
    }
    var out: [Int] = []
    for i in items { out.append(try integer(i, key, range)) }
    return out
  }
}
