import Base
import Card
import Platform

/// How a raw signal is read.
public struct SignalBinding {
  public var name: String
  public var data: UnsafeRawPointer
  public var stride = 0
  public var offsets: UnsafePointer<Int>?
  public var count: Int
  public var type: Int32
  public var unit: String?
  /// Order of a quaternion.
  public var layout: String?
  /// s; 0: that of the options; negative: none.
  public var staleLimit = 0.0

  public init(name: String, data: UnsafeRawPointer, count: Int, type: Int32) {
    (self.name, self.data, self.count, self.type) = (name, data, count, type)
  }
}

extension Controller {
  /// Index of a needed signal, or -1.
  public func find(_ name: String) -> Int {
    for (i, s) in signals.enumerated() where s.name == name { return i }
    return -1
  }

  public func bind(_ b: SignalBinding) throws(Failure) {
    guard !core.pointee.isStarted else { throw Failure(.state, "signal '\(b.name)': the controller has started") }
    let size = try elementSize(b.type, "signal '" + b.name + "'")
    let i = find(b.name)
    let isJoint = b.name.begins(with: "joint.")
    let unit = i >= 0 ? signals[i].unit : Unit.expected(b.name)
    let width = i >= 0 ? signals[i].width : (isJoint ? joints.count : Unit.width(b.name))
    if unit != "" {
      guard let told = b.unit ?? b.layout else {
        throw Failure(.mismatch, "signal '\(b.name)': its unit is not told, expected '\(unit)'")
      }
      guard Unit.fits(told, unit) else {
        throw Failure(.mismatch, "signal '\(b.name)' is bound in '\(told)', expected '\(unit)'")
      }
    }
    guard width == 0 || b.count == width else {
      throw Failure(
        .mismatch,
        "signal '\(b.name)' is bound with \(b.count) values, expected \(width)"
          + (isJoint ? ", the robot's joints" : ""))
    }
    var isVectorFirst = false
    if unit.begins(with: "quaternion") {
      if let layout = b.layout {
        guard layout == "wxyz" || layout == "xyzw" else {
          throw Failure(.mismatch, "signal '\(b.name)': layout is '\(layout)', expected 'wxyz' or 'xyzw'")
        }
        isVectorFirst = layout == "xyzw"
      } else if let told = b.unit {
        isVectorFirst = Unit.vectorFirst(told) ?? false
      }
    }
    // the card does not need it: nothing reads it
    if i < 0 { return }
    let slot = core.pointee.signals + i
    slot.pointee.data = b.data
    slot.pointee.stride = b.stride == 0 ? size : b.stride
    slot.pointee.hasOffsets = b.offsets != nil
    if let offsets = b.offsets { for k in 0..<width { slot.pointee.offsets[k] = offsets[k] } }
    slot.pointee.type = b.type
    slot.pointee.isVectorFirst = isVectorFirst
    if b.staleLimit != 0 { slot.pointee.limit = b.staleLimit > 0 ? nanoseconds(b.staleLimit) : 0 }
  }

  public func bindTarget(
    _ what: Int, data: UnsafeMutableRawPointer, stride: Int, offsets: UnsafePointer<Int>?, type: Int32, count: Int
  ) throws(Failure) {
    guard !core.pointee.isStarted else { throw Failure(.state, "targets: the controller has started") }
    guard what >= 0, what < TargetKind.count else {
      throw Failure(.argument, "what is \(what), expected EFF_TARGET_POSITION to EFF_TARGET_KD")
    }
    guard type == 1 || type == 11 else {
      throw Failure(.argument, "target '\(TargetKind.names[what])': dtype is \(type), expected EFF_F32 or EFF_F64")
    }
    guard count == joints.count else {
      throw Failure(
        .mismatch, "target '\(TargetKind.names[what])' is bound for \(count) joints, the robot has \(joints.count)")
    }
    let slot = core.pointee.targets + what
    slot.pointee.data = data
    slot.pointee.stride = stride == 0 ? (type == 1 ? 4 : 8) : stride
    slot.pointee.hasOffsets = offsets != nil
    if let offsets { for k in 0..<count { slot.pointee.offsets[k] = offsets[k] } }
    slot.pointee.type = type
  }

  /// Ends binding, once the recordings are met.
  public func start(checksRecordings: Bool = true) throws(Failure) {
    try checkBindings()
    if checksRecordings { try checkRecordings() }
    begin()
  }

  /// Forgets all bindings: ticks are refused until it is bound and started anew.
  public func unbind() {
    core.pointee.isStarted = false
    for i in 0..<signals.count { core.pointee.signals[i].data = nil }
    for k in 0..<TargetKind.count { core.pointee.targets[k].data = nil }
    core.pointee.timeSignal = -1
  }

  /// Whether a unit that somebody tells is that of a signal. A quaternion's order must be told, and be the same.
  public static func unitFits(_ told: String, _ own: String) -> Bool {
    Unit.fits(told, own)
      && (!own.begins(with: "quaternion") || Unit.vectorFirst(told) == Unit.vectorFirst(own))
  }

  /// Throws `.mismatch` where a needed signal is not bound.
  func checkBindings() throws(Failure) {
    guard !core.pointee.isStarted else { throw Failure(.state, "the controller has started already") }
    for (i, s) in signals.enumerated() where core.pointee.signals[i].data == nil {
      if s.isOptional { continue }
      throw Failure(
        .mismatch,
        "signal '\(s.name)' is needed by the card and not bound"
          + (s.unit == "" ? "" : "; its unit is '" + s.unit + "'"))
    }
  }

  /// From here on ticks run.
  func begin() {
    for i in 0..<signals.count where core.pointee.signals[i].data != nil { core.pointee.signals[i].place() }
    for k in 0..<TargetKind.count { core.pointee.targets[k].place(core.pointee.robotIndex, core.pointee.jointCount) }
    for (i, s) in signals.enumerated() where s.name == "time" && core.pointee.signals[i].data != nil {
      core.pointee.timeSignal = i
    }
    core.pointee.isStarted = true
  }

  private func elementSize(_ type: Int32, _ what: String) throws(Failure) -> Int {
    switch type {
    case 2, 9: return 1
    case 1, 6: return 4
    case 7, 11: return 8
    default:
      throw Failure(
        .argument, "\(what): dtype is \(type), expected EFF_F32, EFF_F64, EFF_I32, EFF_I64, EFF_U8 or EFF_BOOL")
    }
  }

  /// The words of a report.
  public func explain(_ r: ControllerReport) -> String {
    let signal = r.signal >= 0 && Int(r.signal) < signals.count ? signals[Int(r.signal)] : nil
    let name = signal.map { $0.name } ?? "a signal"
    let element: String
    if r.joint < 0 {
      element = ""
    } else if signal?.isJoint ?? true, Int(r.joint) < joints.count {
      element = " of joint '" + joints[Int(r.joint)] + "'"
    } else {
      element = " element \(r.joint)"
    }
    switch r.fault {
    case Fault.finite:
      return "signal '" + name + "'" + element + " is " + decimal(r.value) + ", expected a finite number"
    case Fault.age:
      return "signal '" + name + "': its age is " + decimal(r.value) + " s, expected at most " + decimal(r.limit) + " s"
    case Fault.unit:
      return "signal '" + name + "': the norm of the quaternion is " + decimal(r.value) + ", expected a unit quaternion"
    case Fault.roll:
      return "signal '" + name + "': roll is " + decimal(r.value) + " rad, expected at most " + decimal(r.limit)
    case Fault.pitch:
      return "signal '" + name + "': pitch is " + decimal(r.value) + " rad, expected at most " + decimal(r.limit)
    case Fault.action:
      let action = r.action >= 0 && Int(r.action) < card.actions.count ? card.actions[Int(r.action)] : nil
      return "model '" + (action?.model ?? "?") + "', output '" + (action?.output ?? "?") + "'" + element + " is "
        + decimal(r.value)
        + ", expected a finite action"
    case Fault.target:
      let kind = r.signal >= 0 && Int(r.signal) < TargetKind.names.count ? TargetKind.names[Int(r.signal)] : "?"
      let joint = r.joint >= 0 && Int(r.joint) < joints.count ? joints[Int(r.joint)] : "?"
      return "target '" + kind + "' of joint '" + joint + "' is " + decimal(r.value) + ", expected a finite number"
    case Fault.deadline:
      return "the tick comes " + decimal(r.value) + " s after the last one, expected at most " + decimal(r.limit) + " s"
    case Fault.clock:
      return "now is " + decimal(-r.value) + " s before the last tick, expected a clock that does not go back"
    default: return "ok"
    }
  }
}
