import Base
import Card

/// One array of a recording, `[rows, width]`, row by row.
public struct RecordedArray {
  public var name: String
  public var values: UnsafePointer<Double>
  public var rows: Int
  public var width: Int

  public init(name: String, values: UnsafePointer<Double>, rows: Int, width: Int) {
    (self.name, self.values, self.rows, self.width) = (name, values, rows, width)
  }
}

/// Raw signals that were kept with the observations, actions and targets that belong to them.
///
/// Arrays: in.SIGNAL and out.TARGET `[ticks, width]`, obs.MODEL.TENSOR and act.MODEL.TENSOR `[runs, elements]`, time
/// and stamp `[ticks]` in s, mode, status and ran `[ticks]`, resets `[k]`: ticks before which the controller is reset.
public struct Recording {
  public var arrays: [RecordedArray] = []
  /// Its joints in the order of its arrays; empty: those of the controller.
  public var joints: [String] = []
  /// What is told of its signals and networks: units, and hashes in hex.
  public var units: [(name: String, value: String)] = []
  public var policies: [(name: String, value: String)] = []
  /// s; nil: not told.
  public var controlPeriod: Double?
  public var policyPeriod: Double?
  /// Clamps that it was made with, of `GuardFlag`.
  public var clamps: Int32 = 0
  /// Memory behind arrays that were read from a file.
  var memory: [Bytes] = []

  public init() {}

  subscript(name: String) -> RecordedArray? {
    for a in arrays where a.name == name { return a }
    return nil
  }

  func value(_ list: [(name: String, value: String)], _ name: String) -> String? {
    for item in list where item.name == name { return item.value }
    return nil
  }

  /// What follows a prefix; nil where `text` does not begin with it.
  static func suffix(_ text: String, after prefix: StaticString) -> String? {
    let (all, head) = (Array(text.utf8), Array(prefix.description.utf8))
    guard all.count > head.count, all.starts(with: head) else { return nil }
    return String(decoding: all[head.count...], as: UTF8.self)
  }

  /// "a=b" as a and b.
  public static func pair(_ text: String) -> (name: String, value: String)? {
    let bytes = Array(text.utf8)
    guard let at = bytes.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    return (String(decoding: bytes[..<at], as: UTF8.self), String(decoding: bytes[(at + 1)...], as: UTF8.self))
  }

  /// What is missing or does not fit together, before anything runs.
  func check() throws(Failure) -> Int {
    var ticks = -1
    var isCompared = false
    for a in arrays {
      if Recording.suffix(a.name, after: "in.") != nil {
        guard ticks < 0 || a.rows == ticks else {
          throw Failure(
            .argument, "the recording's signals are not equally long: '\(a.name)' has \(a.rows) ticks, another \(ticks)"
          )
        }
        ticks = a.rows
      } else if ["obs.", "act.", "out."].contains(String(decoding: Array(a.name.utf8).prefix(4), as: UTF8.self)) {
        isCompared = true
      }
    }
    guard ticks >= 0 else { throw Failure(.argument, "the recording has no raw signals ('in.NAME')") }
    guard isCompared else {
      throw Failure(
        .argument, "the recording has nothing to compare with: no obs.MODEL.TENSOR, act.MODEL.TENSOR or out.TARGET")
    }
    for name in ["time", "stamp", "mode", "status", "ran"] {
      guard let a = self[name], a.rows != ticks || a.width != 1 else { continue }
      throw Failure(
        .argument, "the recording's '\(name)' is [\(a.rows), \(a.width)], expected [\(ticks), 1], as its signals")
    }
    for a in arrays where Recording.suffix(a.name, after: "out.") != nil && a.rows != ticks {
      throw Failure(.argument, "the recording's '\(a.name)' has \(a.rows) rows, expected \(ticks), as its signals")
    }
    return ticks
  }
}
