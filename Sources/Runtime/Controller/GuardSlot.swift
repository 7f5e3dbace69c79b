import Platform

/// Limits on signals before the observation and on targets after the action.
struct GuardSlot {
  var clamps: Int32 = 0
  /// The base's orientation, for roll and pitch; -1: none.
  var attitude = -1
  var rollLimit = 0.0
  var pitchLimit = 0.0
  /// Cosine and sine of them; where there is no limit, what every attitude is within.
  var rollCosine = -2.0
  var pitchSine = 2.0
  /// What is nearer to a limit than this is measured as an angle.
  static var doubt: Double { 1e-6 }
  /// ns; 0: none.
  var deadline: Int64 = 0
  /// Limits of position targets, `[joints]`, infinite where nothing is clamped: bounds, the largest change per control
  /// tick, and the effort of kp (target - q) - kd qd.
  var lower: UnsafeMutablePointer<Double>
  var upper: UnsafeMutablePointer<Double>
  var slew: UnsafeMutablePointer<Double>
  var hasSlew = false
  var band: UnsafeMutablePointer<Double>
  /// Whether the kd of a joint is commanded: 1 or 0.
  var damps: UnsafeMutablePointer<Double>
  /// Limits of velocity and effort targets.
  var velocity: UnsafeMutablePointer<Double>
  var effort: UnsafeMutablePointer<Double>
  /// Targets before they are clamped.
  var before: UnsafeMutablePointer<Double>
  /// Position targets as the robot last got them.
  var sent: UnsafeMutablePointer<Double>
  var hasSent = false
}

extension ControllerHandle {
  /// Reads and checks the signals. - Returns: a fault, described in the report, or 0.
  @_noLocks @_optimize(speed)
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
    let r = Rotation(core.pointee.signals[s].values)
    let (rollCosine, pitchSine) = (core.pointee.protection.rollCosine, core.pointee.protection.pitchSine)
    // clearly upright, as nearly always: no angle is needed for that
    let isRollInside = r.m.8 > rollCosine * eff_sqrt(r.m.7 * r.m.7 + r.m.8 * r.m.8) + GuardSlot.doubt
    if isRollInside && r.m.6.magnitude < pitchSine - GuardSlot.doubt { return 0 }
    return measureAttitude(s, r)
  }

  @_noLocks @inline(never)
  private func measureAttitude(_ s: Int, _ r: Rotation) -> Int32 {
    let e = r.euler()
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
      if t.pointee.isUsed && t.pointee.isComputed {
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

  @_noLocks @_optimize(speed)
  private func clampTargets() {
    let g = core.pointee.protection
    let n = core.pointee.jointCount
    let positions = core.pointee.targets + TargetKind.position
    if positions.pointee.isUsed {
      let x = positions.pointee.values
      eff_copy(g.before, x, n * 8)
      if g.clamps & GuardFlag.effort != 0 { clampToBand(x) }
      if g.hasSlew && g.hasSent {
        let (sent, slew) = (g.sent, g.slew)
        var j = 0
        while j < n {
          x[j] = bounded(x[j], sent[j] - slew[j], sent[j] + slew[j])
          j += 1
        }
      }
      if g.clamps & GuardFlag.position != 0 { clampEach(x, g.lower, g.upper, n) }
      countChanges(x)
    }
    if g.clamps & GuardFlag.velocity != 0 { clampMagnitude(core.pointee.targets + TargetKind.velocity, g.velocity) }
    if g.clamps & GuardFlag.effort != 0 { clampMagnitude(core.pointee.targets + TargetKind.effort, g.effort) }
  }

  /// Position targets whose effort by the gains stays within the robot's.
  @_noLocks @_optimize(speed)
  private func clampToBand(_ x: UnsafeMutablePointer<Double>) {
    guard let q = core.pointee.position, let qd = core.pointee.velocity else { return }
    let (band, damps) = (core.pointee.protection.band, core.pointee.protection.damps)
    let (kp, kd) = (core.pointee.targets[TargetKind.kp].values, core.pointee.targets[TargetKind.kd].values)
    let n = core.pointee.jointCount
    var j = 0
    while j < n {
      let gain = kp[j]
      let damping = kd[j] * qd[j]
      let held = damps[j] > 0 ? damping : 0
      let inside = bounded(x[j], q[j] + (held - band[j]) / gain, q[j] + (held + band[j]) / gain)
      x[j] = gain > 0 ? inside : x[j]
      j += 1
    }
  }

  @_noLocks
  private func clampMagnitude(_ target: UnsafeMutablePointer<TargetSlot>, _ limit: UnsafeMutablePointer<Double>) {
    if !target.pointee.isUsed { return }
    let x = target.pointee.values
    let n = core.pointee.jointCount
    eff_copy(core.pointee.protection.before, x, n * 8)
    var j = 0
    while j < n {
      x[j] = bounded(x[j], -limit[j], limit[j])
      j += 1
    }
    countChanges(x)
  }

  @_noLocks @_optimize(speed)
  private func countChanges(_ x: UnsafeMutablePointer<Double>) {
    let (before, n) = (core.pointee.protection.before, core.pointee.jointCount)
    var j = 0
    while j < n {
      if x[j] < before[j] || x[j] > before[j] {
        core.pointee.clamps[j] &+= 1
        core.pointee.report.clamped &+= 1
      }
      j += 1
    }
  }
}
