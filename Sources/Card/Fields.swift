import Base

/// One object of a card while it is read: its members, where it stands, and the keys that it may have.
struct Fields {
  /// Where it stands, such as "vectors.obs.terms[3] (joint_vel)"; "" for the card itself.
  let path: String
  private let members: [JsonMember]

  /// Refuses a key that is not among `keys` (one blank between them).
  init(_ json: Json, _ path: String, keys: StaticString) throws(Failure) {
    guard case .object(let members) = json else {
      throw Failure(.format, "\(path): found \(json.kind), expected an object")
    }
    (self.path, self.members) = (path, members)
    let known = splitWords(keys)
    for m in members where !known.contains(m.key) {
      throw Failure(.format, "\(place(m.key)): unknown key '\(m.key)'\(suggestion(m.key, known))")
    }
  }

  /// The path of a key.
  func place(_ key: String) -> String { path.isEmpty ? key : path + "." + key }

  func fail(_ key: String, _ problem: Message, _ reason: Failure.Reason = .format) -> Failure {
    Failure(reason, "\(place(key)): \(problem.text)")
  }

  /// The value of a key; nil where it is absent or null.
  subscript(key: String) -> Json? {
    for m in members where m.key == key {
      if case .null = m.value { return nil }
      return m.value
    }
    return nil
  }

  /// Whether a key is there, null or not.
  func has(_ key: String) -> Bool { members.contains { $0.key == key } }

  /// The value of a key under its first name that is there; two names at once are refused.
  func aliased(_ names: StaticString) throws(Failure) -> (key: String, value: Json)? {
    var found: (key: String, value: Json)?
    for name in splitWords(names) {
      guard let value = self[name] else { continue }
      if let found { throw fail(name, "says the same as '\(found.key)', which is there too") }
      found = (name, value)
    }
    return found
  }

  // MARK: numbers

  static func number(_ json: Json, _ path: String) throws(Failure) -> Double {
    guard case .number(let d) = json else { throw Failure(.format, "\(path): found \(json.kind), expected a number") }
    guard d.isFinite else { throw Failure(.format, "\(path): found \(d), expected a finite number") }
    return d
  }

  static func integer(_ json: Json, _ path: String) throws(Failure) -> Int {
    let d = try number(json, path)
    guard let i = json.integer, i.magnitude <= 1 << 40 else {
      throw Failure(.format, "\(path): found \(d), expected a whole number")
    }
    return i
  }

  func number(_ key: String) throws(Failure) -> Double? {
    guard let json = self[key] else { return nil }
    return try Fields.number(json, place(key))
  }

  /// A number above 0.
  func positive(_ key: String, _ unit: StaticString) throws(Failure) -> Double? {
    guard let d = try number(key) else { return nil }
    guard d > 0 else { throw fail(key, "found \(d), expected more than 0 \(unit)") }
    return d
  }

  func integer(_ key: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
    guard let json = self[key] else { return nil }
    let i = try Fields.integer(json, place(key))
    guard i >= range.lowerBound, i <= range.upperBound else {
      throw fail(key, "found \(i), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return i
  }

  func setting(_ key: String) throws(Failure) -> Card.Setting {
    if let d = try number(key) { return .known(d) }
    return has(key) ? .unknown : .absent
  }

  func numbers(_ key: String) throws(Failure) -> Card.Numbers? {
    guard let json = self[key] else { return nil }
    if case .array = json { return .each(try list(key) ?? []) }
    return .all(try Fields.number(json, place(key)))
  }

  /// One number for all, or `count` of them.
  func numbers(_ key: String, count: Int, of what: String) throws(Failure) -> Card.Numbers? {
    let out = try numbers(key)
    if case .each(let list)? = out { try check(key, list.count, count, "numbers", what) }
    return out
  }

  /// A list of numbers; empty where the key is absent.
  func list(_ key: String) throws(Failure) -> [Double]? {
    guard let items = try array(key) else { return nil }
    var out: [Double] = []
    out.reserveCapacity(items.count)
    for (i, item) in items.enumerated() { out.append(try Fields.number(item, "\(place(key))[\(i)]")) }
    return out
  }

  func check(_ key: String, _ found: Int, _ expected: Int, _ noun: StaticString, _ what: String) throws(Failure) {
    guard found == expected else { throw fail(key, "\(found) \(noun) for \(expected) \(what)") }
  }

  func interval(_ json: Json, _ path: String) throws(Failure) -> Card.Interval {
    guard case .array(let pair) = json, pair.count == 2 else {
      throw Failure(.format, "\(path): found \(json.kind), expected [lower, upper]")
    }
    let (lower, upper) = (try Fields.number(pair[0], path + "[0]"), try Fields.number(pair[1], path + "[1]"))
    guard lower <= upper else {
      throw Failure(.format, "\(path): the lower bound \(lower) is above the upper bound \(upper)")
    }
    return Card.Interval(lower, upper)
  }

  /// [lower, upper] for all, or one per element.
  func bounds(_ key: String, count: Int, of what: String) throws(Failure) -> Card.Bounds? {
    guard let items = try array(key) else { return nil }
    // a pair of pairs is one per element, a pair of numbers is for all
    guard case .array? = items.first else { return .all(try interval(.array(items), place(key))) }
    try check(key, items.count, count, "pairs of bounds", what)
    return .each(try intervals(key) ?? [])
  }

  func intervals(_ key: String) throws(Failure) -> [Card.Interval]? {
    guard let items = try array(key) else { return nil }
    var out: [Card.Interval] = []
    for (i, item) in items.enumerated() { out.append(try interval(item, "\(place(key))[\(i)]")) }
    return out
  }

  // MARK: texts

  func bool(_ key: String) throws(Failure) -> Bool? {
    guard let json = self[key] else { return nil }
    guard case .bool(let b) = json else { throw fail(key, "found \(json.kind), expected true or false") }
    return b
  }

  static func string(_ json: Json, _ path: String) throws(Failure) -> String {
    guard case .string(let s) = json else { throw Failure(.format, "\(path): found \(json.kind), expected a text") }
    guard !s.isEmpty else { throw Failure(.format, "\(path): the text is empty") }
    return s
  }

  func string(_ key: String) throws(Failure) -> String? {
    guard let json = self[key] else { return nil }
    return try Fields.string(json, place(key))
  }

  func required(_ key: String, _ what: StaticString) throws(Failure) -> String {
    guard let s = try string(key) else { throw fail(key, "missing; expected \(what)") }
    return s
  }

  static func strings(_ json: Json, _ path: String) throws(Failure) -> [String] {
    guard case .array(let items) = json else {
      throw Failure(.format, "\(path): found \(json.kind), expected a list of names")
    }
    var out: [String] = []
    for (i, item) in items.enumerated() { out.append(try string(item, "\(path)[\(i)]")) }
    return out
  }

  /// A list of names; empty where the key is absent.
  func strings(_ key: String) throws(Failure) -> [String] {
    guard let json = self[key] else { return [] }
    return try Fields.strings(json, place(key))
  }

  /// The same, where a name may be there only once.
  func uniqueStrings(_ key: String) throws(Failure) -> [String] {
    let out = try strings(key)
    var seen: Set<String> = []
    for name in out { guard seen.insert(name).inserted else { throw fail(key, "the name '\(name)' is there twice") } }
    return out
  }

  func stringLists(_ key: String) throws(Failure) -> [[String]] {
    guard let items = try array(key) else { return [] }
    var out: [[String]] = []
    for (i, item) in items.enumerated() { out.append(try Fields.strings(item, "\(place(key))[\(i)]")) }
    return out
  }

  func word<W: CardWord>(_ key: String, _ type: W.Type) throws(Failure) -> W? {
    guard let s = try string(key) else { return nil }
    if let w = W(s) { return w }
    throw unknownWord(key, s, W.words, W.noun)
  }

  @inline(never)
  func unknownWord(_ key: String, _ word: String, _ words: StaticString, _ noun: StaticString) -> Failure {
    let known = splitWords(words)
    return fail(key, "unknown \(noun) '\(word)'\(suggestion(word, known)); known are \(joined(known))", .unsupported)
  }

  // MARK: parts

  func array(_ key: String) throws(Failure) -> [Json]? {
    guard let json = self[key] else { return nil }
    guard case .array(let items) = json else { throw fail(key, "found \(json.kind), expected a list") }
    return items
  }

  /// The members of an object whose keys are names; none where the key is absent.
  func named(_ key: String) throws(Failure) -> [JsonMember] {
    guard let json = self[key] else { return [] }
    guard case .object(let members) = json else { throw fail(key, "found \(json.kind), expected an object of names") }
    for m in members { guard !m.key.isEmpty else { throw fail(key, "a name is empty") } }
    return members
  }
}

/// "a, b, c"
func joined(_ names: [String]) -> String {
  var out = ""
  for (i, n) in names.enumerated() { out += i == 0 ? n : ", " + n }
  return out
}

/// ", did you mean 'scale'?" where one of the names is near.
func suggestion(_ name: String, _ known: [String]) -> String {
  var best = ""
  let length = name.utf8.count
  let limit = length < 4 ? 1 : max(2, length / 3)
  var distance = limit + 1
  for candidate in known {
    let d = editDistance(name, candidate, below: distance)
    if d < distance { (best, distance) = (candidate, d) }
  }
  return best.isEmpty ? "" : ", did you mean '" + best + "'?"
}

/// Insertions, deletions and replacements of one byte between two names; `limit` where they are not fewer.
/// - Complexity: O(a * b).
private func editDistance(_ a: String, _ b: String, below limit: Int) -> Int {
  let (x, y) = (Array(a.utf8), Array(b.utf8))
  // names that long differ anyhow, and the table stays small
  guard abs(x.count - y.count) < limit, x.count < 256, y.count < 256 else { return limit }
  var row = Array(0...y.count)
  for i in 0..<x.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<y.count {
      let replaced = diagonal + (x[i] == y[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, min(row[j], row[j + 1]) + 1)
    }
  }
  return min(row[y.count], limit)
}
