/// The words of a tensor's name, in lower case: `actor.hiddenIn_0` is actor, hidden, in, 0.
enum NameWords {
  /// Words end at signs, where digits begin or end, and where an upper-case letter begins a word.
  /// - Complexity: linear in the name.
  static func split(_ name: String) -> [String] {
    let bytes = Array(name.utf8)
    var words: [String] = []
    var word = ""
    for (i, b) in bytes.enumerated() {
      let kind = Kind(b)
      if !word.utf8.isEmpty {
        let before = Kind(bytes[i - 1])
        var isBorder = kind == .sign || (kind == .digit) != (before == .digit)
        if kind == .upper {
          let next = i + 1 < bytes.count ? Kind(bytes[i + 1]) : .sign
          // hiddenIn, and the last letter of LSTMState
          if before == .lower || (before == .upper && next == .lower) { isBorder = true }
        }
        if isBorder {
          append(word, &words)
          word = ""
        }
      }
      if kind != .sign { word.unicodeScalars.append(Unicode.Scalar(kind == .upper ? b + 32 : b)) }
    }
    if !word.utf8.isEmpty { append(word, &words) }
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
  private static func append(_ word: String, _ words: inout [String]) {
    let bytes = Array(word.utf8)
    guard bytes.count >= 2, bytes.count <= 16, !StateWords.holders.contains(word), !StateWords.stores.contains(word)
    else {
      words.append(word)
      return
    }
    for cut in 1..<bytes.count {
      let head = String(decoding: bytes[..<cut], as: UTF8.self)
      let tail = String(decoding: bytes[cut...], as: UTF8.self)
      let isHead = StateWords.holders.contains(head) || StateWords.stores.contains(head)
      let isTail = tail.utf8.count > 1 && (StateWords.holders.contains(tail) || StateWords.stores.contains(tail))
      let isLetter = cut == 1 && isHead
      if (isHead && (StateWords.glued.contains(tail) || (isLetter && StateWords.gluedToLetter.contains(tail))))
        || (isTail && (isHead || StateWords.glued.contains(head)))
      {
        words += [head, tail]
        return
      }
    }
    words.append(word)
  }
}

/// The words by which people name recurrent state.
enum StateWords {
  /// Words that mean recurrent state and nothing else.
  static let holders: Set<String> = [
    "h", "c", "hxs", "cxs", "hidden", "hiddens", "cell", "cells", "carry", "lstm", "gru", "rnn", "recurrent", "memory",
    "memories", "mem",
    "deter", "stoch", "belief", "ssm", "mamba",
  ]
  /// Words that mean recurrent state unless `outer` ones say that it is the robot's or the world's.
  static let states: Set<String> = ["state", "states"]
  /// What is kept from step to step, of whatever it is.
  static let keepers: Set<String> = ["history", "hist", "buffer", "cache"]
  static let stores: Set<String> = ["state", "states", "history", "hist", "buffer", "cache"]
  /// Whose state is not the network's own.
  static let outer: Set<String> = [
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
  static let about: Set<String> = [
    "mask", "masks", "reset", "resets", "start", "starts", "done", "dones", "length", "lengths", "len", "size", "shape",
    "id", "ids", "index",
    "count", "mean", "std", "loss",
  ]
  /// Markers that are written in one word with a state: hiddenin, newstate.
  static let glued: Set<String> = ["in", "out", "new", "next", "prev", "init", "final", "past", "present"]
  /// Markers that are written in one word with the letters h and c.
  static let gluedToLetter: Set<String> = ["in", "out", "x", "y", "n", "t", "prev", "next", "new", "init"]
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
