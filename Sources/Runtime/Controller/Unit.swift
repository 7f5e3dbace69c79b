import Base

/// What a signal is measured in: one word per field, in the spelling that messages use. Empty words: any.
enum Unit {
  /// The unit that a card expects of a raw signal of this name; "" where any will do.
  static func expected(_ signal: String) -> String {
    switch signal {
    case "joint.position": return "rad"
    case "joint.velocity": return "rad/s"
    case "joint.effort": return "N m"
    case "time": return "s"
    default: break
    }
    // the unit of a command is what the card says
    if signal.begins(with: "command.") { return "" }
    if signal.ends(with: ".orientation") { return "quaternion w,x,y,z" }
    if signal.ends(with: ".angular_velocity") { return "rad/s" }
    if signal.ends(with: ".linear_velocity") { return "m/s" }
    if signal.ends(with: ".linear_acceleration") { return "m/s^2" }
    if signal.ends(with: ".position") { return "m" }
    if signal == "height_scan" { return "m" }
    return ""
  }

  /// Elements of a signal whose name tells; 0 where it does not.
  static func width(_ signal: String) -> Int {
    if signal.ends(with: ".orientation") && !signal.begins(with: "command.") { return 4 }
    if signal == "time" { return 1 }
    guard signal.begins(with: "base.") || signal.begins(with: "body.") || signal.begins(with: "imu.") else { return 0 }
    for end in [".angular_velocity", ".linear_velocity", ".linear_acceleration", ".position"]
    where signal.ends(with: end) { return 3 }
    return 0
  }

  /// The order of a quaternion's elements where the text names one: true for x, y, z, w.
  static func vectorFirst(_ text: String) -> Bool? {
    let letters = Array(text.utf8).filter { [0x77, 0x78, 0x79, 0x7A].contains($0 | 0x20) }
    if letters.count < 4 { return nil }
    let tail = letters.suffix(4).map { $0 | 0x20 }
    if tail == [0x77, 0x78, 0x79, 0x7A] { return false }
    if tail == [0x78, 0x79, 0x7A, 0x77] { return true }
    return nil
  }

  /// Whether a bound unit is what a card expects. Spellings of one unit are equal: "N m", "Nm", "N*m".
  static func fits(_ bound: String, _ expected: String) -> Bool {
    if expected.begins(with: "quaternion") {
      let b = canonical(bound)
      return b == "wxyz" || b == "xyzw" || b.begins(with: "quaternion") || b.begins(with: "quat")
    }
    let (a, b) = (fields(bound), fields(expected))
    if b.count == 1 && a.count > 1 { return a.allSatisfy { fitsOne($0, b[0]) } }
    if a.count == 1 && b.count > 1 { return b.allSatisfy { fitsOne(a[0], $0) } }
    guard a.count == b.count else { return false }
    for (x, y) in zip(a, b) where !fitsOne(x, y) { return false }
    return true
  }

  private static func fitsOne(_ bound: String, _ expected: String) -> Bool {
    expected == "" || canonical(bound) == canonical(expected)
  }

  private static func fields(_ text: String) -> [String] {
    var out: [String] = []
    var word: [UInt8] = []
    for byte in Array(text.utf8) + [0x2C] {
      if byte == 0x2C {
        out.append(String(decoding: word, as: UTF8.self))
        word = []
      } else {
        word.append(byte)
      }
    }
    return out
  }

  /// Lower case, without blanks and signs of multiplication; names of the same thing become one.
  private static func canonical(_ text: String) -> String {
    var bytes: [UInt8] = []
    for b in text.utf8 where b != 0x20 && b != 0x2A && b != 0x2E && b != 0xC2 && b != 0xB7 && b != 0x09 && b != 0x2C {
      bytes.append(b >= 0x41 && b <= 0x5A ? b | 0x20 : b)
    }
    let t = String(decoding: bytes, as: UTF8.self)
    switch t {
    case "radian", "radians": return "rad"
    case "radian/s", "radians/s", "rad/sec", "rads^-1", "rads-1": return "rad/s"
    case "newtonmeter", "newtonmetre", "newton-meter": return "nm"
    case "meter", "meters", "metre": return "m"
    case "m/sec", "ms^-1", "ms-1": return "m/s"
    case "sec", "second", "seconds": return "s"
    case "degree", "degrees", "\u{00B0}": return "deg"
    case "bool", "boolean", "0or1": return "bool"
    case "", "-", "1", "none": return ""
    default: return t
    }
  }
}
