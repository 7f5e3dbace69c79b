/// The words of a tensor's name, in lower case: `actor.hiddenIn_0` is actor, hidden, in, 0.
enum NameWords {
  /// Words end at signs, where digits begin or end, and where an upper-case letter begins a word.
  /// - Complexity: linear in the name.
  static func split(_ name: String) -> [String] {
    var (name, words, letters) = (name, [String](), [UInt8]())
    letters.reserveCapacity(name.utf8.count)
    name.withUTF8 { bytes in
      var before = Kind.sign
      for i in bytes.indices {
        let kind = Kind(bytes[i])
        if !letters.isEmpty {
          var isBorder = kind == .sign || (kind == .digit) != (before == .digit)
          if kind == .upper {
            let next = i + 1 < bytes.count ? Kind(bytes[i + 1]) : .sign
            // hiddenIn, and the last letter of LSTMState
            if before == .lower || (before == .upper && next == .lower) { isBorder = true }
          }
          if isBorder {
            letters.withUnsafeBufferPointer { append($0, &words) }
            letters.removeAll(keepingCapacity: true)
          }
        }
        if kind != .sign { letters.append(kind == .upper ? bytes[i] + 32 : bytes[i]) }
        before = kind
      }
    }
    if !letters.isEmpty { letters.withUnsafeBufferPointer { append($0, &words) } }
    return words
  }

  static func joined(_ words: [String]) -> String {
    var text = ""
    for (i, w) in words.enumerated() { text += (i > 0 ? "_" : "") + w }
    return text
  }

  static func isNumber(_ word: String) -> Bool { word.utf8.allSatisfy { Kind($0) == .digit } }

  private enum Kind {
    case sign, digit, lower, upper

    init(_ b: UInt8) {
      switch b {
      case 48...57: self = .digit
      case 97...122: self = .lower
      case 65...90: self = .upper
      default: self = .sign
      }
    }
  }

  /// Takes words apart that people write as one: hx, hn, hout, newstate, cellstate.
  private static func append(_ letters: UnsafeBufferPointer<UInt8>, _ words: inout [String]) {
    func text(_ part: Slice<UnsafeBufferPointer<UInt8>>) -> String {
      String(decoding: UnsafeBufferPointer(rebasing: part), as: UTF8.self)
    }
    func key(_ part: Slice<UnsafeBufferPointer<UInt8>>) -> WordKey { WordKey(UnsafeBufferPointer(rebasing: part)) }
    guard letters.count >= 2, letters.count <= 16, !StateWords.parts.contains(WordKey(letters)) else {
      words.append(text(letters[...]))
      return
    }
    for cut in 1..<letters.count {
      let (head, tail) = (key(letters[..<cut]), key(letters[cut...]))
      let isHead = StateWords.parts.contains(head)
      let isTail = cut < letters.count - 1 && StateWords.parts.contains(tail)
      let isLetter = cut == 1 && isHead
      if (isHead && (StateWords.glued.contains(tail) || (isLetter && StateWords.gluedToLetter.contains(tail))))
        || (isTail && (isHead || StateWords.glued.contains(head)))
      {
        words += [text(letters[..<cut]), text(letters[cut...])]
        return
      }
    }
    words.append(text(letters[...]))
  }
}

/// The words by which people name recurrent state.
enum StateWords {
  /// Words that mean recurrent state and nothing else.
  static let holders: WordSet = [
    "h", "c", "hxs", "cxs", "hidden", "hiddens", "cell", "cells", "carry", "lstm", "gru", "rnn", "recurrent", "memory",
    "memories", "mem",
    "deter", "stoch", "belief", "ssm", "mamba",
  ]
  /// Words that mean recurrent state unless `outer` ones say that it is the robot's or the world's.
  static let states: WordSet = ["state", "states"]
  /// What is kept from step to step, of whatever it is.
  static let keepers: WordSet = ["history", "hist", "buffer", "cache"]
  /// What is found in words that people write as one.
  static let parts: WordSet = [
    "h", "c", "hxs", "cxs", "hidden", "hiddens", "cell", "cells", "carry", "lstm", "gru", "rnn", "recurrent", "memory",
    "memories", "mem", "deter", "stoch", "belief", "ssm", "mamba", "state", "states", "history", "hist", "buffer",
    "cache",
  ]
  /// A name without any of these names no state.
  static let all: WordSet = [
    "h", "c", "hxs", "cxs", "hidden", "hiddens", "cell", "cells", "carry", "lstm", "gru", "rnn", "recurrent", "memory",
    "memories", "mem", "deter", "stoch", "belief", "ssm", "mamba", "state", "states", "history", "hist", "buffer",
    "cache", "k", "v", "z", "past",
  ]
  /// Whose state is not the network's own.
  static let outer: WordSet = [
    "joint", "joints", "dof", "robot", "base", "root", "body", "bodies", "motor", "motors", "actuator", "obs",
    "observation", "observations",
    "image", "img", "rgb", "depth", "pixels", "pose", "pos", "position", "positions", "vel", "velocity", "velocities",
    "acc", "torque", "torques",
    "effort", "force", "imu", "foot", "feet", "contact", "command", "commands", "cmd", "action", "actions", "goal",
    "env", "environment", "world",
    "sensor", "sensors", "camera", "ee", "gripper", "arm", "leg", "legs", "hand", "target", "targets", "reward",
    "rewards", "quat", "orientation",
    "gravity", "proprio", "object", "ball", "game", "board", "vehicle", "car", "drone", "global", "shared",
    "privileged", "priv",
  ]
  /// What is said about a state, and is none: rnn_mask, lstm_reset.
  static let about: WordSet = [
    "mask", "masks", "reset", "resets", "start", "starts", "done", "dones", "length", "lengths", "len", "size", "shape",
    "id", "ids", "index",
    "count", "mean", "std", "loss",
  ]
  /// Markers that are written in one word with a state: hiddenin, newstate.
  static let glued: WordSet = ["in", "out", "new", "next", "prev", "init", "final", "past", "present"]
  /// Markers that are written in one word with the letters h and c.
  static let gluedToLetter: WordSet = ["in", "out", "x", "y", "n", "t", "prev", "next", "new", "init"]
  /// Names of parts that come together: a half of such a set alone is no state.
  static let couples: [[String]] = [
    ["h", "c", "z"], ["hidden", "cell"], ["deter", "stoch"], ["key", "value"], ["k", "v"], ["past", "present"],
  ]
}

extension String {
  var lowercasedASCII: String {
    String(decoding: utf8.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
