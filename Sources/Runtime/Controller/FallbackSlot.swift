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
  /// The gains of the targets are not those of the joints: at first, and after a mode wrote its own.
  var hasOtherGains = true
  /// The last written targets have no stiffness.
  var isLimp = false
}

extension ControllerHandle {
  /// The policy no longer moves the robot.
  @_noLocks
  func leavePolicy(_ now: Int64, isRefusal: Bool) {
    if core.pointee.fallback.isActive && core.pointee.fallback.isRefusal == isRefusal { return }
    core.pointee.fallback.isActive = true
    core.pointee.fallback.isRefusal = isRefusal
    core.pointee.fallback.isBlending = false
    core.pointee.fallback.since = now
    core.pointee.fallback.step = -1
  }

  /// The policy moves the robot again: a reset where it was away for longer than the ladder's first step, and a blend.
  @_noLocks
  func enterPolicy(_ now: Int64) {
    if !core.pointee.fallback.isActive { return }
    if !core.pointee.fallback.isRefusal || core.pointee.fallback.step > 0 { core.pointee.fallback.needsReset = true }
    core.pointee.fallback.isActive = false
    if core.pointee.fallback.blendDuration > 0 {
      keepFrom()
      (core.pointee.fallback.isBlending, core.pointee.fallback.blendSince) = (true, now)
    }
  }

  /// Remembers where the joints are sent now; where they are, if nothing holds them.
  @_noLocks
  private func keepFrom() {
    let positions = core.pointee.targets + TargetKind.position
    var j = 0
    while j < core.pointee.jointCount {
      var x = positions.pointee.values[j]
      if let q = core.pointee.position, !core.pointee.fallback.hasTargets || core.pointee.fallback.isLimp {
        x = q[j].isFinite ? q[j] : x
      }
      core.pointee.fallback.from[j] = x
      j += 1
    }
  }

  /// The ladder's step at this time.
  @_noLocks
  func writeLadder(_ now: Int64) {
    var left = now &- core.pointee.fallback.since
    var s = 0
    while s + 1 < core.pointee.fallback.count && left >= core.pointee.fallback.ladder[s].duration {
      left -= core.pointee.fallback.ladder[s].duration
      s += 1
    }
    let step = core.pointee.fallback.ladder[s]
    if s != core.pointee.fallback.step {
      core.pointee.fallback.step = s
      core.pointee.fallback.stepSince = now
      keepFrom()
    }
    let elapsed = now &- core.pointee.fallback.stepSince
    writeMode(step.mode, elapsed: elapsed, duration: step.duration, kp: step.kp, kd: step.kd)
  }

  /// What the caller asked for.
  @_noLocks
  func writeChosenMode(_ now: Int64) {
    if core.pointee.fallback.step != Int(core.pointee.fallback.mode) {
      core.pointee.fallback.step = Int(core.pointee.fallback.mode)
      core.pointee.fallback.stepSince = now
      keepFrom()
    }
    let elapsed = now &- core.pointee.fallback.stepSince
    let f = core.pointee.fallback
    let isStart = f.mode == ControllerMode.ramp
    writeMode(
      f.mode, elapsed: elapsed, duration: f.rampDuration, kp: isStart ? f.startKp : f.kp, kd: isStart ? f.startKd : f.kd
    )
  }

  @_noLocks
  private func writeMode(
    _ mode: Int32, elapsed: Int64, duration: Int64, kp: UnsafeMutablePointer<Double>, kd: UnsafeMutablePointer<Double>
  ) {
    let f = core.pointee.fallback
    let share = duration <= 0 || elapsed >= duration ? 1.0 : Double(elapsed) / Double(duration)
    let positions = core.pointee.targets[TargetKind.position].values
    let velocities = core.pointee.targets[TargetKind.velocity].values
    let efforts = core.pointee.targets[TargetKind.effort].values
    let stiffness = core.pointee.targets[TargetKind.kp].values
    let damping = core.pointee.targets[TargetKind.kd].values
    var mode = mode
    // nothing was ever sent and where the joints are is not known: nothing can be held
    if !f.hasTargets && mode != ControllerMode.zero && !isFromKnown() { mode = ControllerMode.damp }
    core.pointee.report.mode = mode
    let isLimp = mode == ControllerMode.damp || mode == ControllerMode.zero
    var j = 0
    while j < core.pointee.jointCount {
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
    (core.pointee.fallback.isLimp, core.pointee.fallback.hasOtherGains) = (isLimp, true)
    send(isFinite: false)
  }

  @_noLocks
  private func isFromKnown() -> Bool {
    let isCommanded = core.pointee.targets[TargetKind.position].isCommanded
    var j = 0
    while j < core.pointee.jointCount {
      if isCommanded[j] && !core.pointee.fallback.from[j].isFinite { return false }
      j += 1
    }
    return true
  }

  /// Pulls the policy's targets toward where the robot came from.
  @_noLocks
  func blend(_ now: Int64) {
    let f = core.pointee.fallback
    let elapsed = now &- f.blendSince
    if elapsed >= f.blendDuration {
      core.pointee.fallback.isBlending = false
      return
    }
    let share = Double(elapsed) / Double(f.blendDuration)
    let positions = core.pointee.targets[TargetKind.position].values
    let velocities = core.pointee.targets[TargetKind.velocity].values
    let efforts = core.pointee.targets[TargetKind.effort].values
    var j = 0
    while j < core.pointee.jointCount {
      if f.from[j].isFinite { positions[j] = f.from[j] + share * (positions[j] - f.from[j]) }
      velocities[j] *= share
      efforts[j] *= share
      j += 1
    }
  }

  /// Writes the targets to the robot; kinds and values that are not finite stay unwritten.
  /// `isFinite`: all of them were found to be.
  @_noLocks
  func send(isFinite: Bool) {
    var k = 0
    while k < TargetKind.count {
      (core.pointee.targets + k).write(isFinite: isFinite)
      k += 1
    }
    let positions = core.pointee.targets[TargetKind.position].values
    eff_copy(core.pointee.protection.sent, positions, core.pointee.jointCount * 8)
    core.pointee.protection.hasSent = true
    core.pointee.fallback.hasTargets = true
  }
}
