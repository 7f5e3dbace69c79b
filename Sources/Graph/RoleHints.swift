import Base
import Onnx

/// What the metadata of a file says about roles: the keys `efferent.action`, `efferent.observation` (a name each) and `efferent.state`
/// (a JSON object, `{"h_in": "h_out"}`, or `{}` for none).
struct RoleHints {
  var action: String?
  var observation: String?
  var states: [(input: String, output: String)]?

  init(_ model: OnnxModel) throws(Failure) {
    action = RoleHints.text(model, "efferent.action")
    observation = RoleHints.text(model, "efferent.observation")
    if let json = try RoleHints.json(model, "efferent.state") {
      guard case .object(let members) = json else {
        throw Failure(.format, "metadata 'efferent.state' is \(json.kind), expected an object such as {\"h_in\": \"h_out\"}")
      }
      var pairs: [(input: String, output: String)] = []
      for m in members {
        guard case .string(let output) = m.value else {
          throw Failure(.format, "metadata 'efferent.state': '\(m.key)' is \(m.value.kind), expected the name of an output")
        }
        pairs.append((m.key, output))
      }
      states = pairs
    }
  }

  static func text(_ model: OnnxModel, _ key: String) -> String? {
    guard let entry = model.metadata.first(where: { $0.key == key }), !entry.value.utf8.isEmpty else { return nil }
    return entry.value
  }

  /// The JSON under a key; nil where there is none.
  static func json(_ model: OnnxModel, _ key: String) throws(Failure) -> Json? {
    guard let text = text(model, key) else { return nil }
    let bytes = Array(text.utf8)
    return try bytes.withUnsafeBytes { raw throws(Failure) in
      try JsonReader.read(raw.baseAddress!, 0..<bytes.count, what: "metadata '\(key)'", budget: MemoryBudget(limit: 1 << 24))
    }
  }
}
