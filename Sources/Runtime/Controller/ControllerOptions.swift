import Base
import Card

/// Who moves the robot; the codes of the C header.
public enum ControllerMode {
  public static var run: Int32 { @_noLocks get { 0 } }
  public static var hold: Int32 { @_noLocks get { 1 } }
  public static var ramp: Int32 { @_noLocks get { 2 } }
  public static var damp: Int32 { @_noLocks get { 3 } }
  public static var zero: Int32 { @_noLocks get { 4 } }
  public static let names = ["run", "hold", "ramp", "damp", "zero"]
}

/// Kinds of targets; the codes of the C header.
enum TargetKind {
  static var position: Int { @_noLocks get { 0 } }
  static var velocity: Int { @_noLocks get { 1 } }
  static var effort: Int { @_noLocks get { 2 } }
  static var kp: Int { @_noLocks get { 3 } }
  static var kd: Int { @_noLocks get { 4 } }
  static var count: Int { @_noLocks get { 5 } }
  static let names = ["position", "velocity", "effort", "kp", "kd"]
}

/// What a tick was refused for; the codes of the C header.
enum Fault {
  static var finite: Int32 { @_noLocks get { 1 } }
  static var age: Int32 { @_noLocks get { 2 } }
  static var unit: Int32 { @_noLocks get { 3 } }
  static var roll: Int32 { @_noLocks get { 4 } }
  static var pitch: Int32 { @_noLocks get { 5 } }
  static var action: Int32 { @_noLocks get { 6 } }
  static var target: Int32 { @_noLocks get { 7 } }
  static var deadline: Int32 { @_noLocks get { 8 } }
  static var clock: Int32 { @_noLocks get { 9 } }

  /// The status of a fault: EFF_E_NUMERIC, EFF_E_TIMEOUT or EFF_E_STATE.
  @_noLocks static func status(_ fault: Int32) -> Status {
    if fault == 0 { return .ok }
    if fault == age || fault == deadline { return .timeout }
    if fault == roll || fault == pitch || fault == clock { return .state }
    return .numeric
  }
}

/// Clamps of the guard; the flags of the C header.
public enum GuardFlag {
  public static var position: Int32 { @_noLocks get { 1 } }
  public static var velocity: Int32 { @_noLocks get { 2 } }
  public static var effort: Int32 { @_noLocks get { 4 } }
  public static var command: Int32 { @_noLocks get { 8 } }
}

/// One step of the fallback ladder.
public struct FallbackStep {
  /// Of `ControllerMode`, but for run.
  public var mode: Int32
  /// Time before the next step, ns; the last step lasts.
  public var duration: Int64
  /// Gains while it lasts (ramp, damp); nil: those of the joints.
  public var kp: Card.Numbers?
  public var kd: Card.Numbers?

  public init(mode: Int32, seconds: Double, kp: Card.Numbers? = nil, kd: Card.Numbers? = nil) {
    (self.mode, self.kp, self.kd) = (mode, kp, kd)
    duration = nanoseconds(seconds)
  }

  /// The same gains for all joints; negative: those of the joints.
  public init(mode: Int32, seconds: Double, kp: Double, kd: Double) {
    self.init(mode: mode, seconds: seconds, kp: kp < 0 ? nil : .all(kp), kd: kd < 0 ? nil : .all(kd))
  }
}

public struct ControllerOptions {
  /// The robot's joints in the order of its arrays.
  public var joints: [String] = []
  public var models: [(name: String, policy: Policy)] = []
  /// s; nil: the card's.
  public var controlPeriod: Double?
  /// s, rad, rad/s; 0: the card's.
  public var staleLimit = 0.0
  public var rollLimit = 0.0
  public var pitchLimit = 0.0
  public var slewLimit = 0.0
  /// s; 0: none.
  public var deadline = 0.0
  public var blendSeconds = 0.2
  public var rampSeconds = 0.0
  /// Of `GuardFlag`.
  public var clamps: Int32 = 0
  /// Empty: the card's; without it hold 0.05 s, then damp.
  public var fallback: [FallbackStep] = []
  /// Frames of a motion that is kept in a file: parts of `Card.Reference`, `[frames, width]`, borrowed.
  public var motion: [(part: String, values: UnsafePointer<Double>, frames: Int, width: Int)] = []
  public var seed: UInt64 = 0
  /// Acts in the place of a network, nil: none; which one, nil: the only one. Alive as long as the controller ticks.
  public var learner: LearnerHandle?
  public var learnerModel: String?
  /// Paths of recordings that must be met at start, besides those of the card.
  public var recordings: [String] = []
  public var onMismatch = OnMismatch.refuse
  public var arena: (start: UnsafeMutableRawPointer, size: Int)?
  public var memory = MemorySource.system

  public init() {}
}

/// Whole nanoseconds, saturated.
func nanoseconds(_ seconds: Double) -> Int64 {
  let ns = seconds * 1e9
  if !(ns > -9e18) { return -9_000_000_000_000_000_000 }
  return ns < 9e18 ? Int64(ns.rounded()) : 9_000_000_000_000_000_000
}

/// A number as messages show it: up to six significant digits.
func decimal(_ x: Double) -> String {
  if x.isNaN { return "nan" }
  if x.isInfinite { return x < 0 ? "-inf" : "inf" }
  if x == 0 { return "0" }
  var exponent = 0
  var size = x.magnitude
  while size >= 1_000_000 { (size, exponent) = (size / 10, exponent + 1) }
  while size < 100_000 { (size, exponent) = (size * 10, exponent - 1) }
  var digits = Int(size.rounded())
  while digits != 0 && digits % 10 == 0 { (digits, exponent) = (digits / 10, exponent + 1) }
  var text = Array(String(digits).utf8)
  let point = text.count + exponent
  if exponent > 0 && point <= 15 {
    text += [UInt8](repeating: 0x30, count: exponent)
  } else if exponent < 0 && point > 0 {
    text.insert(0x2E, at: point)
  } else if exponent < 0 && point > -6 {
    text = [0x30, 0x2E] + [UInt8](repeating: 0x30, count: -point) + text
  } else if exponent != 0 {
    if text.count > 1 { text.insert(0x2E, at: 1) }
    text += Array("e\(point - 1)".utf8)
  }
  return (x < 0 ? "-" : "") + String(decoding: text, as: UTF8.self)
}
