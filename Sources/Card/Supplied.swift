import Base

/// What the user answers because no file says it: an object whose keys are named in `keys`.
struct Supplied {
  static let keys: StaticString =
    """
    joint_names joint_order gain_order command_of limits motion chunk_steps joint_units policy_period control_period \
    patch
    """
  let fields: Fields
  /// Merged into the imported card (RFC 7386): what it has, the file need not.
  let patch: Json?

  init(_ json: Json) throws(Failure) {
    fields = try Fields(json, "supplied", keys: Supplied.keys)
    patch = fields["patch"]
    if let patch {
      guard case .object = patch else { throw fields.fail("patch", "found \(patch.kind), expected an object") }
    }
  }

  /// Whether the patch brings a part of the card.
  func brings(_ key: String) -> Bool {
    switch patch?[key] {
    case nil, .null?: false
    default: true
    }
  }

  /// The periods, where they are answered outside the patch.
  func applyPeriods(_ card: inout JsonObject) throws(Failure) {
    for key in ["policy_period", "control_period"] {
      if let s = try fields.positive(key, "s") { card.set(key, .number(s)) }
    }
  }

  /// Refuses answers to what this kind of file does not ask.
  func refuse(allBut keys: StaticString, _ what: StaticString) throws(Failure) {
    let known = splitWords(keys)
    for key in splitWords(Supplied.keys) where fields[key] != nil && !known.contains(key) {
      throw fields.fail(key, "\(what) does not ask for this", .mismatch)
    }
  }
}

extension Json {
  /// RFC 7386: objects are merged key by key, null removes, anything else replaces.
  func merged(with patch: Json) -> Json {
    guard case .object(let changes) = patch else { return patch }
    var members: [JsonMember] = []
    if case .object(let own) = self { members = own }
    for change in changes {
      let place = members.firstIndex { $0.key == change.key }
      if case .null = change.value {
        if let place { members.remove(at: place) }
      } else if let place {
        members[place].value = members[place].value.merged(with: change.value)
      } else {
        members.append(JsonMember(key: change.key, value: Json.null.merged(with: change.value)))
      }
    }
    return .object(members)
  }
}

/// An object while it is put together.
struct JsonObject {
  private(set) var members: [JsonMember] = []
  var value: Json { .object(members) }

  mutating func set(_ key: String, _ value: Json) {
    if let place = members.firstIndex(where: { $0.key == key }) {
      members[place].value = value
    } else {
      members.append(JsonMember(key: key, value: value))
    }
  }

  mutating func set(_ key: String, _ value: String) { set(key, .string(value)) }
  mutating func set(_ key: String, _ value: Int) { set(key, .number(Double(value))) }
  mutating func set(_ key: String, _ names: [String]) { set(key, .array(names.map { .string($0) })) }
  mutating func set(_ key: String, _ numbers: [Double]) { set(key, .array(numbers.map { .number($0) })) }

  subscript(key: String) -> Json? { value[key] }
}
