import Platform

/// Who moves the robot while the policy does not: a mode that the caller asked for, or a ladder of modes after a
/// refused tick.
struct FallbackSlot {
  struct Step {
    var mode: Int32
    /// ns; the last step lasts.
    var duration: Int64
    /// Gains while it lasts, `[joints]`; NaN: those of the joint.
    var kp: UnsafeMutablePointer<Double>
    var kd: UnsafeMutablePointer<Double>
  }

  var ladder: UnsafeMutablePointer<Step>
  var count: Int
  /// Goal of a ramp, `[joints]`; NaN where the card has none.
  var pose: UnsafeMutablePointer<Double>
  /// Gains of the joints; NaN where the card has none.
  var kp: UnsafeMutablePointer<Double>
  var kd: UnsafeMutablePointer<Double>
  /// Gains while the caller's ramp lasts, `[joints]`; NaN: those of the joint.
  var startKp: UnsafeMutablePointer<Double>
  var startKd: UnsafeMutablePointer<Double>
  /// ns.
  var rampDuration: Int64
  var blendDuration: Int64

  // state
  /// What the caller asked for.
  var mode: Int32 = 0
  /// The policy does not move the robot, since `since`.
  var isActive = false
  /// Because of a refused tick, not because of the caller.
  var isRefusal = false
  var since: Int64 = 0
  var step = -1
  /// The policy must begin anew when it comes back.
  var needsReset = false
  /// Where the present step and the blend start, `[joints]`.
  var from: UnsafeMutablePointer<Double>
  var stepSince: Int64 = 0
  var isBlending = false
  var blendSince: Int64 = 0
  /// Targets were written before: there is something to hold.
  var hasTargets = false
  /// The last written targets have no stiffness.
  var isLimp = false
}

extension UnsafeMutablePointer where Pointee == ControllerCore {
  /// The policy no longer moves the robot.
  @_noLocks
  func leavePolicy(_ now: Int64, isRefusal: Bool) {
    if pointee.fallback.isActive && pointee.fallback.isRefusal == isRefusal { return }
    pointee.fallback.isActive = true
    pointee.fallback.isRefusal = isRefusal
    pointee.fallback.isBlending = false
    pointee.fallback.since = now
    pointee.fallback.step = -1
  }

  /// The policy moves the robot again: a reset where it was away for longer than the ladder's first step, and a blend.
  @_noLocks
  func enterPolicy(_ now: Int64) {
    if !pointee.fallback.isActive { return }
    if !pointee.fallback.isRefusal || pointee.fallback.step > 0 { pointee.fallback.needsReset = true }
    pointee.fallback.isActive = false
    if pointee.fallback.blendDuration > 0 {
      keepFrom()
      (pointee.fallback.isBlending, pointee.fallback.blendSince) = (true, now)
    }
  }

  /// Remembers where the joints are sent now; where they are, if nothing holds them.
  @_noLocks
  private func keepFrom() {
    let positions = pointee.targets + TargetKind.position
    var j = 0
    while j < pointee.jointCount {
      var x = positions.pointee.values[j]
      if let q = pointee.position, !pointee.fallback.hasTargets || pointee.fallback.isLimp {
        x = q[j].isFinite ? q[j] : x
      }
      pointee.fallback.from[j] = x
      j += 1
    }
  }

  /// The ladder's step at this time.
  @_noLocks
  func writeLadder(_ now: Int64) {
    var left = now &- pointee.fallback.since
    var s = 0
    while s + 1 < pointee.fallback.count && left >= pointee.fallback.ladder[s].duration {
      left -= pointee.fallback.ladder[s].duration
      s += 1
    }
    let step = pointee.fallback.ladder[s]
    if s != pointee.fallback.step {
      pointee.fallback.step = s
      pointee.fallback.stepSince = now
      keepFrom()
    }
    writeMode(step.mode, elapsed: now &- pointee.fallback.stepSince, duration: step.duration, kp: step.kp, kd: step.kd)
  }

  /// What the caller asked for.
  @_noLocks
  func writeChosenMode(_ now: Int64) {
    if pointee.fallback.step != Int(pointee.fallback.mode) {
      pointee.fallback.step = Int(pointee.fallback.mode)
      pointee.fallback.stepSince = now
      keepFrom()
    }
    let elapsed = now &- pointee.fallback.stepSince
    let f = pointee.fallback
    let isStart = f.mode == ControllerMode.ramp
    writeMode(
      f.mode, elapsed: elapsed, duration: f.rampDuration, kp: isStart ? f.startKp : f.kp, kd: isStart ? f.startKd : f.kd
    )
  }

  @_noLocks
  private func writeMode(
    _ mode: Int32, elapsed: Int64, duration: Int64, kp: UnsafeMutablePointer<Double>, kd: UnsafeMutablePointer<Double>
  ) {
    let f = pointee.fallback
    let share = duration <= 0 || elapsed >= duration ? 1.0 : Double(elapsed) / Double(duration)
    let positions = pointee.targets[TargetKind.position].values
    let velocities = pointee.targets[TargetKind.velocity].values
    let efforts = pointee.targets[TargetKind.effort].values
    let stiffness = pointee.targets[TargetKind.kp].values
    let damping = pointee.targets[TargetKind.kd].values
    var mode = mode
    // nothing was ever sent and where the joints are is not known: nothing can be held
    if !f.hasTargets && mode != ControllerMode.zero && !isFromKnown() { mode = ControllerMode.damp }
    pointee.report.mode = mode
    let isLimp = mode == ControllerMode.damp || mode == ControllerMode.zero
    var j = 0
    while j < pointee.jointCount {
      if mode == ControllerMode.hold && f.hasTargets && !f.isLimp {
        // as they are
      } else {
        let goal = f.pose[j]
        positions[j] = mode == ControllerMode.ramp && goal.isFinite ? f.from[j] + share * (goal - f.from[j]) : f.from[j]
        (velocities[j], efforts[j]) = (0, 0)
        let (ownKp, ownKd) = (f.kp[j].isFinite ? f.kp[j] : stiffness[j], f.kd[j].isFinite ? f.kd[j] : damping[j])
        stiffness[j] = isLimp ? 0 : (kp[j].isFinite && mode == ControllerMode.ramp ? kp[j] : ownKp)
        damping[j] = mode == ControllerMode.zero ? 0 : (kd[j].isFinite && mode != ControllerMode.hold ? kd[j] : ownKd)
      }
      j += 1
    }
    pointee.fallback.isLimp = isLimp
    send()
  }

  @_noLocks
  private func isFromKnown() -> Bool {
    let isCommanded = pointee.targets[TargetKind.position].isCommanded
    var j = 0
    while j < pointee.jointCount {
      if isCommanded[j] && !pointee.fallback.from[j].isFinite { return false }
      j += 1
    }
    return true
  }

  /// Pulls the policy's targets toward where the robot came from.
  @_noLocks
  func blend(_ now: Int64) {
    let f = pointee.fallback
    let elapsed = now &- f.blendSince
    if elapsed >= f.blendDuration {
      pointee.fallback.isBlending = false
      return
    }
    let share = Double(elapsed) / Double(f.blendDuration)
    let positions = pointee.targets[TargetKind.position].values
    let velocities = pointee.targets[TargetKind.velocity].values
    let efforts = pointee.targets[TargetKind.effort].values
    var j = 0
    while j < pointee.jointCount {
      if f.from[j].isFinite { positions[j] = f.from[j] + share * (positions[j] - f.from[j]) }
      velocities[j] *= share
      efforts[j] *= share
      j += 1
    }
  }

  /// Writes the targets to the robot; kinds and values that are not finite stay unwritten.
  @_noLocks
  func send() {
    var k = 0
    while k < TargetKind.count {
      (pointee.targets + k).write()
      k += 1
    }
    let positions = pointee.targets[TargetKind.position].values
    eff_copy(pointee.protection.sent, positions, pointee.jointCount * 8)
    pointee.protection.hasSent = true
    pointee.fallback.hasTargets = true
  }
}
