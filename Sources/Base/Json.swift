/// A JSON value. Objects keep the order of the file; their keys are unique.
public enum Json: Equatable, Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([Json])
  case object([JsonMember])

  /// What messages call it.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .number: "a number"
    case .string(let s): "the text '\(s)'"
    case .array(let a): "a list of \(a.count)"
    case .object: "an object"
    }
  }

  /// The number, where it is a whole one that a double holds exactly.
  public var integer: Int? {
    guard case .number(let d) = self, d >= -9e15, d <= 9e15, d == d.rounded(.towardZero) else { return nil }
    return Int(d)
  }

  /// The value of a key of an object.
  public subscript(key: String) -> Json? {
    guard case .object(let members) = self else { return nil }
    for m in members where m.key == key { return m.value }
    return nil
  }
}

public struct JsonMember: Equatable, Sendable {
  public var key: String
  public var value: Json

  public init(key: String, value: Json) { (self.key, self.value) = (key, value) }
}
