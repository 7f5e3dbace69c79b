import Platform

/// Limits on signals before the observation and on targets after the action.
struct GuardSlot {
  var clamps: Int32 = 0
  /// The base's orientation, for roll and pitch; -1: none.
  var attitude = -1
  var rollLimit = 0.0
  var pitchLimit = 0.0
  /// ns; 0: none.
  var deadline: Int64 = 0
  /// Largest change of position targets per control tick, `[joints]`; infinite where there is none.
  var slew: UnsafeMutablePointer<Double>
  var hasSlew = false
  /// Limits of the robot, `[joints]`; infinite where there is none.
  var lower: UnsafeMutablePointer<Double>
  var upper: UnsafeMutablePointer<Double>
  var velocity: UnsafeMutablePointer<Double>
  var effort: UnsafeMutablePointer<Double>
  /// Position targets as the robot last got them.
  var sent: UnsafeMutablePointer<Double>
  var hasSent = false
}

extension ControllerHandle {
  /// Reads and checks the signals. - Returns: a fault, described in the report, or 0.
  @_noLocks
  func guardBefore(_ now: Int64) -> Int32 {
    var fault: Int32 = 0
    var oldest: Int64 = 0
    var s = 0
    while s < core.pointee.signalCount {
      let slot = core.pointee.signals + s
      let bad = slot.read()
      if bad >= 0 && fault == 0 {
        fault = Fault.finite
        name(s, slot.pointee.element(bad), slot.pointee.values[bad], 0)
      }
      if slot.pointee.isStamped || slot.pointee.limit > 0 {
        if !slot.pointee.isStamped { (slot.pointee.isStamped, slot.pointee.stamp) = (true, now) }
        let (age, overflow) = now.subtractingReportingOverflow(slot.pointee.stamp)
        let limit = slot.pointee.limit
        if overflow || age > oldest { oldest = overflow ? Int64.max : age }
        // of several old signals, one that is measured says more than a command
        let isBetter = fault == 0 || (fault == Fault.age && isNamedCommand() && !slot.pointee.isCommand)
        if isBetter && limit > 0 && (overflow || age > limit) {
          fault = Fault.age
          name(s, -1, Double(age) * 1e-9, Double(limit) * 1e-9)
        }
      }
      if fault == 0 && slot.pointee.isQuaternion {
        let norm = slot.pointee.norm()
        if !(norm > 0.99 && norm < 1.01) {
          fault = Fault.unit
          name(s, -1, norm, 1)
        }
      }
      s += 1
    }
    core.pointee.report.age = oldest
    if fault == 0 && core.pointee.protection.attitude >= 0 { fault = checkAttitude() }
    return fault
  }

  @_noLocks
  private func isNamedCommand() -> Bool {
    let s = Int(core.pointee.report.signal)
    return s >= 0 && s < core.pointee.signalCount && core.pointee.signals[s].isCommand
  }

  @_noLocks
  private func checkAttitude() -> Int32 {
    let s = core.pointee.protection.attitude
    let e = Rotation(core.pointee.signals[s].values).euler()
    if core.pointee.protection.rollLimit > 0 && !(e.roll.magnitude <= core.pointee.protection.rollLimit) {
      name(s, -1, e.roll, core.pointee.protection.rollLimit)
      return Fault.roll
    }
    if core.pointee.protection.pitchLimit > 0 && !(e.pitch.magnitude <= core.pointee.protection.pitchLimit) {
      name(s, -1, e.pitch, core.pointee.protection.pitchLimit)
      return Fault.pitch
    }
    return 0
  }

  /// What a fault is about.
  @_noLocks
  func name(_ signal: Int, _ joint: Int, _ value: Double, _ limit: Double) {
    core.pointee.report.signal = Int32(truncatingIfNeeded: signal)
    core.pointee.report.joint = Int32(truncatingIfNeeded: joint)
    (core.pointee.report.value, core.pointee.report.limit) = (value, limit)
  }

  /// Checks and clamps the targets of this tick. - Returns: a fault or 0.
  @_noLocks
  func guardAfter() -> Int32 {
    var k = 0
    while k < TargetKind.count {
      let t = core.pointee.targets + k
      if t.pointee.isUsed {
        let bad = t.firstNotFinite()
        if bad >= 0 {
          name(k, Int(core.pointee.robotIndex[bad]), t.pointee.values[bad], 0)
          return Fault.target
        }
      }
      k += 1
    }
    if core.pointee.protection.clamps != 0 || core.pointee.protection.hasSlew { clampTargets() }
    return 0
  }

  @_noLocks
  private func clampTargets() {
    let g = core.pointee.protection
    let positions = core.pointee.targets + TargetKind.position
    let velocities = core.pointee.targets + TargetKind.velocity
    let efforts = core.pointee.targets + TargetKind.effort
    let kp = core.pointee.targets + TargetKind.kp
    let kd = core.pointee.targets + TargetKind.kd
    var j = 0
    while j < core.pointee.jointCount {
      if positions.pointee.isCommanded[j] {
        var x = positions.pointee.values[j]
        let wanted = x
        if g.clamps & GuardFlag.effort != 0, let q = core.pointee.position, kp.pointee.isCommanded[j],
          kp.pointee.values[j] > 0
        {
          let gain = kp.pointee.values[j]
          var damping = 0.0
          if let qd = core.pointee.velocity, kd.pointee.isCommanded[j] { damping = kd.pointee.values[j] * qd[j] }
          x = bound(x, q[j] + (damping - g.effort[j]) / gain, q[j] + (damping + g.effort[j]) / gain)
        }
        if g.hasSlew && g.hasSent { x = bound(x, g.sent[j] - g.slew[j], g.sent[j] + g.slew[j]) }
        if g.clamps & GuardFlag.position != 0 { x = bound(x, g.lower[j], g.upper[j]) }
        if x != wanted { count(j) }
        positions.pointee.values[j] = x
      }
      if velocities.pointee.isCommanded[j] && g.clamps & GuardFlag.velocity != 0 {
        let x = bound(velocities.pointee.values[j], -g.velocity[j], g.velocity[j])
        if x != velocities.pointee.values[j] { count(j) }
        velocities.pointee.values[j] = x
      }
      if efforts.pointee.isCommanded[j] && g.clamps & GuardFlag.effort != 0 {
        let x = bound(efforts.pointee.values[j], -g.effort[j], g.effort[j])
        if x != efforts.pointee.values[j] { count(j) }
        efforts.pointee.values[j] = x
      }
      j += 1
    }
  }

  @_noLocks @inline(__always)
  private func bound(_ x: Double, _ lower: Double, _ upper: Double) -> Double {
    x < lower ? lower : (x > upper ? upper : x)
  }

  @_noLocks
  private func count(_ joint: Int) {
    core.pointee.clamps[joint] &+= 1
    core.pointee.report.clamped &+= 1
  }
}
