import Base

/// Which output holds the next value of which input, by their names, types and shapes.
///
/// Two names are a pair where they are equal but for a marker (in/out, prev/next, 0/n, t/t1, ...) and name a state. All
/// inputs that belong together (h and c, carry_0 and carry_1) have an output each, or none of them is state. What is
/// not clear is no state, and a line says so.
struct StatePairing {
  struct Tensor {
    var name: String
    /// Type and shape: equal in both halves of a pair.
    var kind: String
  }

  /// What is found, by position in inputs and outputs.
  private(set) var pairs: [StatePair] = []
  /// Pairs of names that say `state` and no more.
  private(set) var weak: Set<Int> = []
  /// What was nearly state, a line each.
  private(set) var notes: [String] = []

  private let inputs: [Tensor]
  private let outputs: [Tensor]
  /// Readings of the outputs by key: of each kind of marker the first two.
  private var places: [String: [(output: Int, reading: StateReading)]] = [:]
  private var words: [[String]] = []
  /// Output of each input, or -1.
  private var match: [Int]
  private var readings: [StateReading?]
  private var meanings: [StateMeaning]

  /// - Complexity: linear in the names.
  init(inputs: [Tensor], outputs: [Tensor]) {
    self.inputs = inputs
    self.outputs = outputs
    match = [Int](repeating: -1, count: inputs.count)
    readings = [StateReading?](repeating: nil, count: inputs.count)
    meanings = [StateMeaning](repeating: StateMeaning([], .none), count: inputs.count)
    words = inputs.map { NameWords.split($0.name) }
    guard words.contains(where: StatePairing.isState) else { return }
    indexOutputs()
    matchNames()
    keepOneEach()
    requirePartners()
    requireGroups()
    for i in inputs.indices where match[i] >= 0 {
      pairs.append(StatePair(input: i, output: match[i]))
      if meanings[i].isWeak { weak.insert(i) }
    }
  }

  /// Whether one of these names may be that of a state.
  static func mayBeStates(_ names: [String]) -> Bool { names.contains { isState(NameWords.split($0)) } }

  private static func isState(_ words: [String]) -> Bool { words.contains { StateWords.all.contains($0) } }

  private mutating func indexOutputs() {
    for (o, output) in outputs.enumerated() {
      for reading in StateReading.all(output.name, NameWords.split(output.name), .output) {
        let same = (places[reading.key] ?? []).count {
          $0.reading.family == reading.family && $0.reading.isDigit == reading.isDigit
        }
        if same < 2 { places[reading.key, default: []].append((o, reading)) }
      }
    }
  }

  /// The nearest output of every input that names a state.
  private mutating func matchNames() {
    for i in inputs.indices {
      var best = Int.max
      var rival = -1
      for reading in StateReading.all(inputs[i].name, words[i], .input) {
        for (o, other) in places[reading.key] ?? [] {
          guard let d = StateReading.distance(reading, other) else { continue }
          let isPast = reading.family == .past && other.family == .past
          let meaning = StateMeaning(reading.family == .renamed ? words[i] : reading.words, isPast ? .past : .none)
          guard meaning.isState else { continue }
          if d < best {
            (best, rival) = (d, -1)
            (match[i], readings[i], meanings[i]) = (o, reading, meaning)
          } else if d == best && o != match[i] {
            rival = o
          }
        }
      }
      if rival >= 0 {
        note(i, "outputs '\(outputs[match[i]].name)' and '\(outputs[rival].name)' are both named as its next value")
        match[i] = -1
      } else if match[i] >= 0 && inputs[i].kind != outputs[match[i]].kind {
        note(
          i,
          """
          it is \(inputs[i].kind), but output '\(outputs[match[i]].name)', which is named as its next value, is \
          \(outputs[match[i]].kind)
          """
        )
        match[i] = -1
      }
      distances.append(best)
    }
  }
  private var distances: [Int] = []

  /// An output serves the input that is nearest to it, and none where two are.
  private mutating func keepOneEach() {
    var first: [Int: Int] = [:]
    var shared: [Int: Int] = [:]
    for i in inputs.indices where match[i] >= 0 {
      guard let other = first[match[i]] else {
        first[match[i]] = i
        continue
      }
      if distances[i] == distances[other] { shared[match[i]] = i }
      if distances[i] < distances[other] {
        first[match[i]] = i
        shared[match[i]] = nil
      }
    }
    for i in inputs.indices where match[i] >= 0 {
      let o = match[i]
      if let rival = shared[o], let winner = first[o], distances[i] == distances[winner] {
        note(
          i,
          """
          output '\(outputs[o].name)' is named as the next value of '\(inputs[i == rival ? winner : rival].name)' as \
          well
          """
        )
        match[i] = -1
      } else if first[o] != i {
        match[i] = -1
      }
    }
  }

  /// k without v, or z without h, is no state.
  private mutating func requirePartners() {
    for i in inputs.indices where match[i] >= 0 { if let r = readings[i] { matched.insert(r.key) } }
    for i in inputs.indices where match[i] >= 0 && !isWhole(meanings[i]) { match[i] = -1 }
  }
  private var matched: Set<String> = []

  /// Whether the other half of a part is there, where it needs one.
  private func isWhole(_ m: StateMeaning) -> Bool { m.partner.utf8.isEmpty || matched.contains(m.partner) }

  /// All of a group or none of it.
  private mutating func requireGroups() {
    guard match.contains(where: { $0 >= 0 }) else { return }
    var groups = Groups(inputs.count)
    var isMember = match.map { $0 >= 0 }
    var holders: [String: Int] = [:]
    for i in inputs.indices {
      guard let (tags, isState) = tags(i) else { continue }
      isMember[i] = isMember[i] || isState
      guard isMember[i] else { continue }
      for tag in tags {
        if let other = holders[tag] { groups.join(i, other) } else { holders[tag] = i }
      }
    }
    var missing: [Int: Int] = [:]
    for i in inputs.indices where isMember[i] && match[i] < 0 { missing[groups.root(i)] = i }
    for i in inputs.indices where match[i] >= 0 {
      guard let other = missing[groups.root(i)] else { continue }
      note(i, "'\(inputs[other].name)' belongs to it and has no output of its own")
      match[i] = -1
    }
  }

  /// What an input has in common with the others of its group, and whether it must be state where they are.
  private func tags(_ i: Int) -> ([String], isState: Bool)? {
    var own = match[i] >= 0 ? readings[i] : nil
    if own == nil || own?.family == .renamed {
      let all = StateReading.all(inputs[i].name, words[i], .input)
      own = all.first { $0.family != .none && $0.family != .renamed && !$0.isDigit } ?? all.first
    }
    guard let reading = own else { return nil }
    var stem: [String] = []
    var isNumbered = reading.isDigit
    for w in reading.words { if NameWords.isNumber(w) { isNumbered = true } else { stem.append(w) } }
    let meaning = StateMeaning(reading.family == .renamed ? words[i] : stem, reading.family)
    guard match[i] >= 0 || meaning.isState else { return nil }
    let marker = reading.isDigit ? "" : reading.marker
    var tags = [NameWords.joined(stem) + "|" + marker]
    var couple = ""
    for (k, set) in StateWords.couples.enumerated() where stem.contains(where: { set.contains($0) }) {
      couple = "@\(k) " + NameWords.joined(stem.map { set.contains($0) ? "@" : $0 }) + "|" + marker
    }
    if !couple.utf8.isEmpty { tags.append(couple) }
    // two names with the same marker that say state and nothing else
    if !marker.utf8.isEmpty && !meaning.isWeak && meaning.partner.utf8.isEmpty { tags.append("|" + marker) }
    if inputs[i].name.utf8.suffix(2).elementsEqual(".1".utf8) { tags.append("|.1") }
    let isExpected = !marker.utf8.isEmpty || isNumbered || !couple.utf8.isEmpty
    return (tags, meaning.isState && isWhole(meaning) && isExpected)
  }

  private mutating func note(_ i: Int, _ reason: String) {
    if notes.count < 16 {
      notes.append(
        "input '\(inputs[i].name)' is no state: \(reason); name the pairs, or none, if it is meant otherwise")
    }
  }
}

/// Disjoint sets of positions.
private struct Groups {
  private var parents: [Int]

  init(_ count: Int) { parents = Array(0..<count) }

  mutating func root(_ i: Int) -> Int {
    var r = i
    while parents[r] != r {
      parents[r] = parents[parents[r]]
      r = parents[r]
    }
    return r
  }

  mutating func join(_ a: Int, _ b: Int) { parents[root(a)] = root(b) }
}
