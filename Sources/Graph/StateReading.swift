/// One way to read a name: what is left without a marker such as in/out, prev/next, 0/n, and which kind of marker it
/// was.
struct StateReading {
  enum Side { case input, output }

  /// The two markers of a kind belong together: in and out, prev and next, initial and final, t and t1, past and
  /// present, hx and hy.
  enum Family: Int {
    case none = 0, place, sequence, end, step, past, letter
    /// torch writes `h.1` for the input where the output is `h`.
    case renamed
  }

  /// The words without the marker.
  var words: [String]
  var family: Family
  /// A digit was taken for a marker: it may be an index.
  var isDigit = false
  /// More than one marker was taken away.
  var isBare = false
  /// The marker as it was written; empty where there was none.
  var marker = ""

  var key: String { family == .renamed ? "." + words[0] : NameWords.joined(words) }

  /// All ways to read a name; the plain one is first.
  static func all(_ name: String, _ words: [String], _ side: Side) -> [StateReading] {
    var found = [StateReading(words: words, family: .none)]
    var marked: [Int] = []
    var i = 0
    while i < words.count && i < 24 {
      if let (family, length, isDigit) = marker(words, i, side) {
        var rest = words
        rest.removeSubrange(i..<(i + length))
        let text = NameWords.joined(Array(words[i..<(i + length)]))
        if !rest.isEmpty { found.append(StateReading(words: rest, family: family, isDigit: isDigit, marker: text)) }
        marked += Array(i..<(i + length))
      }
      i += 1
    }
    // input_h0 -> output_hn
    if found.count > 2 {
      var rest: [String] = []
      for (i, w) in words.enumerated() where !marked.contains(i) { rest.append(w) }
      if !rest.isEmpty {
        found.append(
          StateReading(
            words: rest, family: found[1].family, isDigit: found[1].isDigit, isBare: true, marker: found[1].marker))
      }
    }
    found.append(StateReading(words: ["=" + name], family: .renamed))
    if name.utf8.count > 2, name.utf8.suffix(2).elementsEqual(".1".utf8) {
      let stem = "=" + String(decoding: Array(name.utf8.dropLast(2)), as: UTF8.self)
      found.append(StateReading(words: [stem], family: .renamed, isDigit: true, marker: ".1"))
    }
    return found
  }

  /// The marker that begins at word `i`, and how many words it takes.
  private static func marker(_ words: [String], _ i: Int, _ side: Side) -> (Family, Int, isDigit: Bool)? {
    func at(_ k: Int) -> String { i + k < words.count ? words[i + k] : "" }
    let isInput = side == .input
    switch words[i] {
    case "in", "ins", "input", "inputs": return isInput ? (.place, 1, false) : nil
    case "out", "outs", "output", "outputs": return isInput ? nil : (.place, 1, false)
    case "prev", "previous", "last", "before", "old", "cur", "curr", "current":
      if isInput { return (.sequence, 1, false) }
      return words[i] == "last" ? (.end, 1, false) : nil
    case "next", "new", "updated", "after": return isInput ? nil : (.sequence, 1, false)
    case "initial", "init": return isInput ? (.end, 1, false) : nil
    case "final", "n": return isInput ? nil : (.end, 1, false)
    // Y_h, Y_c: outputs of ONNX's own recurrent operators; hy, cy: torch's
    case "y": return isInput ? nil : (i > 0 ? .letter : .end, 1, false)
    case "x": return isInput && i > 0 ? (.letter, 1, false) : nil
    case "0": return isInput ? (.end, 1, true) : nil
    case "1": return isInput ? nil : (.end, 1, true)
    case "past": return isInput ? (.past, at(1) == "key" && at(2) == "values" ? 3 : 1, false) : nil
    case "present": return isInput ? nil : (.past, at(1) == "key" && at(2) == "values" ? 3 : 1, false)
    case "t":
      if at(1) == "1" { return (.step, 2, false) }
      if at(1) == (isInput ? "minus" : "plus") && at(2) == "1" { return (.step, 3, false) }
      return (.step, 1, false)
    case "tm", "tminus": return isInput && at(1) == "1" ? (.step, 2, false) : nil
    case "tp", "tplus": return !isInput && at(1) == "1" ? (.step, 2, false) : nil
    default: return nil
    }
  }

  /// How far two readings of one key are from being written for each other; nil where they are not.
  static func distance(_ input: StateReading, _ output: StateReading) -> Int? {
    if input.family == .renamed || output.family == .renamed {
      // exactly one of the two names has torch's .1
      return input.family == output.family && input.isDigit != output.isDigit ? 4 : nil
    }
    if input.family == .none && output.family == .none { return nil }
    var d = input.family == output.family ? 0 : input.family == .none || output.family == .none ? 4 : 2
    // a digit is an index first, and a marker where nothing else fits
    if input.isDigit { d += 8 }
    if output.isDigit { d += 8 }
    if input.isBare || output.isBare { d += 1 }
    return d
  }
}

/// What the words of a name say about state.
struct StateMeaning {
  /// Recurrent state of a network.
  var isState = false
  /// It says `state` and no more: a model of the world says so as well.
  var isWeak = false
  /// A part that is state beside its other half alone: k and v, h and z.
  var partner = ""

  init(_ words: [String], _ family: StateReading.Family) {
    if words.contains(where: { StateWords.about.contains($0) }) { return }
    let isHeld = words.contains { StateWords.holders.contains($0) || StateWords.keepers.contains($0) }
    let isOuter = words.contains { StateWords.outer.contains($0) }
    let isNamed = words.contains { StateWords.states.contains($0) }
    if isHeld || family == .past {
      isState = true
    } else if isNamed && !isOuter {
      (isState, isWeak) = (true, true)
    } else {
      for (part, other) in [("k", "v"), ("v", "k"), ("z", "h")] where words.contains(part) {
        isState = true
        partner = NameWords.joined(words.map { $0 == part ? other : $0 })
      }
    }
  }
}
