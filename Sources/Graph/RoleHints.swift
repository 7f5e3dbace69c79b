import Base
import Onnx

/// What the metadata of a file says: the keys `efferent.action`, `efferent.observation` (a name each), `efferent.state`
/// (a JSON object, `{"h_in": "h_out"}`, or `{}` for none), `efferent.outputs` (a JSON list of names) and
/// `efferent.constants` (a JSON object of numbers and lists of them, by input).
struct RoleHints {
  var action: String?
  var observation: String?
  var states: [(input: String, output: String)]?
  var outputs: [String]?
  private var constants: [JsonMember] = []

  /// What the caller says comes first: keys that it makes needless are not read.
  init(_ model: OnnxModel, _ options: BuildOptions) throws(Failure) {
    action = RoleHints.text(model, "efferent.action")
    observation = RoleHints.text(model, "efferent.observation")
    if options.states == nil, let json = try RoleHints.json(model, "efferent.state") {
      guard case .object(let members) = json else {
        throw Failure(
          .format, "metadata 'efferent.state' is \(json.kind), expected an object such as {\"h_in\": \"h_out\"}")
      }
      var pairs: [(input: String, output: String)] = []
      for m in members {
        guard case .string(let output) = m.value else {
          throw Failure(
            .format, "metadata 'efferent.state': '\(m.key)' is \(m.value.kind), expected the name of an output")
        }
        pairs.append((m.key, output))
      }
      states = pairs
    }
    if options.outputs == nil, let json = try RoleHints.json(model, "efferent.outputs") {
      guard case .array(let items) = json else {
        throw Failure(.format, "metadata 'efferent.outputs' is \(json.kind), expected a list of names")
      }
      var names: [String] = []
      for item in items {
        guard case .string(let name) = item else {
          throw Failure(.format, "metadata 'efferent.outputs' holds \(item.kind), expected names")
        }
        names.append(name)
      }
      outputs = names
    }
    if let json = try RoleHints.json(model, "efferent.constants") {
      guard case .object(let members) = json else {
        throw Failure(
          .format, "metadata 'efferent.constants' is \(json.kind), expected an object such as {\"axes\": [1]}")
      }
      constants = members
    }
  }

  var constantNames: [String] { constants.map { $0.key } }

  /// The constant that the file gives an input.
  func constant(_ input: String, _ budget: MemoryBudget) throws(Failure) -> TensorData? {
    guard let member = constants.first(where: { $0.key == input }) else { return nil }
    var numbers: [Double] = []
    var shape: [Int] = []
    let what = "metadata 'efferent.constants': '\(input)'"
    try RoleHints.flatten(member.value, 0, &shape, &numbers, what)
    let isWhole = numbers.allSatisfy { $0 == $0.rounded(.towardZero) && $0.magnitude <= 9e15 }
    let bytes = try budget.zeroed(max(numbers.count, 1) * 8, for: what)
    for (i, d) in numbers.enumerated() {
      if isWhole {
        bytes.mutable.storeBytes(of: Int64(d), toByteOffset: 8 * i, as: Int64.self)
      } else {
        bytes.mutable.storeBytes(of: d, toByteOffset: 8 * i, as: Double.self)
      }
    }
    return TensorData(type: isWhole ? .i64 : .f64, shape: shape, bytes: bytes)
  }

  /// Nested lists of one form as a shape and its numbers.
  private static func flatten(
    _ json: Json, _ depth: Int, _ shape: inout [Int], _ numbers: inout [Double], _ what: String
  ) throws(Failure) {
    switch json {
    case .number(let d): numbers.append(d)
    case .bool(let b): numbers.append(b ? 1 : 0)
    case .array(let items):
      if depth == shape.count && numbers.isEmpty { shape.append(items.count) }
      guard depth < shape.count, shape[depth] == items.count, depth < 8 else {
        throw Failure(.format, "\(what) has lists of different lengths")
      }
      for item in items { try flatten(item, depth + 1, &shape, &numbers, what) }
      return
    default: throw Failure(.format, "\(what) is \(json.kind), expected numbers")
    }
    guard depth == shape.count else { throw Failure(.format, "\(what) has lists of different depths") }
  }

  static func text(_ model: OnnxModel, _ key: String) -> String? {
    guard let entry = model.metadata.first(where: { $0.key == key }), !entry.value.utf8.isEmpty else { return nil }
    return entry.value
  }

  /// The JSON under a key; nil where there is none.
  static func json(_ model: OnnxModel, _ key: String) throws(Failure) -> Json? {
    guard let text = text(model, key) else { return nil }
    let count = text.utf8.count
    let what = "metadata '\(key)'"
    let budget = MemoryBudget(limit: 1 << 24)
    let bytes = try budget.zeroed(count, for: what)
    for (i, b) in text.utf8.enumerated() { bytes.mutable.storeBytes(of: b, toByteOffset: i, as: UInt8.self) }
    return try JsonReader.read(bytes.start, 0..<count, what: what, budget: budget)
  }
}
