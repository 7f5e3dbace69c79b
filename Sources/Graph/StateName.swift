/// The name of an input or output, as far as it says whether it is recurrent state.
struct StateName {
  private enum Side { case input, output }

  /// What a pair has in common: the words without the marker, and `kind`. Empty where no words are left.
  private let key: String
  /// Whether a word such as in/out, prev/next, 0/n was there.
  private let isMarked: Bool
  /// Whether what is left names a state.
  private let isState: Bool

  private init(_ name: String, _ kind: String, _ side: Side) {
    let markers =
      side == .input
      ? ["in", "ins", "input", "prev", "previous", "old", "init", "initial", "0", "t", "last"]
      : ["out", "outs", "output", "next", "new", "n", "final", "1", "t1", "updated"]
    let (words, isMarked) = StateName.stem(name, markers)
    key = words.utf8.isEmpty ? "" : words + " " + kind
    self.isMarked = isMarked
    let known = ["h", "c", "hx", "cx", "hxs", "hidden", "cell", "state", "states", "memory", "carry", "lstm", "gru", "rnn", "recurrent"]
    isState = words.split(separator: "_").contains { known.contains(String($0)) }
  }

  /// Which output holds the next value of which input, by position. Two names say so if they are equal but for a word such as in/out,
  /// prev/next, 0/n, on both sides; or only on one, if what is left names a state. `kind` is what else must be equal: type and shape.
  /// - Complexity: linear in the names.
  static func pairs(inputs: [(name: String, kind: String)], outputs: [(name: String, kind: String)]) -> [StatePair] {
    struct Candidates {
      var marked: ArraySlice<Int> = []
      var unmarked: ArraySlice<Int> = []
    }
    var free: [String: Candidates] = [:]
    for (o, output) in outputs.enumerated() {
      let name = StateName(output.name, output.kind, .output)
      if name.isMarked { free[name.key, default: Candidates()].marked.append(o) } else { free[name.key, default: Candidates()].unmarked.append(o) }
    }
    var found: [StatePair] = []
    for (i, input) in inputs.enumerated() {
      let name = StateName(input.name, input.kind, .input)
      guard !name.key.utf8.isEmpty, let candidates = free[name.key] else { continue }
      let marked = name.isMarked || name.isState ? candidates.marked.first : nil
      let unmarked = name.isMarked && name.isState ? candidates.unmarked.first : nil
      if let marked, marked < unmarked ?? .max {
        free[name.key]?.marked.removeFirst()
        found.append(StatePair(input: i, output: marked))
      } else if let unmarked {
        free[name.key]?.unmarked.removeFirst()
        found.append(StatePair(input: i, output: unmarked))
      }
    }
    return found
  }

  /// The words of a name without the markers, joined by `_`, and whether there was one.
  private static func stem(_ name: String, _ markers: [String]) -> (String, Bool) {
    var words: [String] = []
    var word = ""
    var previous: UInt8 = 0
    func isDigit(_ b: UInt8) -> Bool { b >= 48 && b <= 57 }
    for byte in name.lowercasedASCII.utf8 {
      let isLetter = (byte >= 97 && byte <= 122) || isDigit(byte)
      let isBorder = !isLetter || (isDigit(byte) && !isDigit(previous) && word.utf8.count > 0)
      if isBorder && !word.utf8.isEmpty {
        words.append(word)
        word = ""
      }
      if isLetter { word.unicodeScalars.append(Unicode.Scalar(byte)) }
      previous = byte
    }
    if !word.utf8.isEmpty { words.append(word) }
    // hn, cn: the usual names of the last hidden and cell state
    if words.count == 1 && (words[0] == "hn" || words[0] == "cn") { words = [words[0] == "hn" ? "h" : "c", "n"] }
    var kept: [String] = []
    var dropped = false
    for w in words {
      if markers.contains(w) && !dropped { dropped = true } else { kept.append(w) }
    }
    var joined = ""
    for (i, w) in kept.enumerated() { joined += (i > 0 ? "_" : "") + w }
    return (joined, dropped)
  }
}

extension String {
  var lowercasedASCII: String {
    String(decoding: utf8.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
