import Base

/// What the robot's side of a link must know, in the robot's order of joints; NaN where the card says nothing, and for
/// joints that it does not command.
extension Controller {
  /// One step of the fallback ladder, with the gains of every joint while it lasts.
  public struct RobotStep {
    /// Of `ControllerMode`.
    public let mode: Int32
    public let seconds: Double
    public let kp, kd: [Double]
  }

  /// Names of the kinds of targets, in the order of their codes.
  public static var targetNames: [String] { TargetKind.names }

  /// Seconds between two ticks.
  public var period: Double { Double(core.pointee.controlPeriod) * 1e-9 }

  /// Whether the card commands each joint.
  public var isMoved: [Bool] {
    robotOrder { j in
      for k in 0..<TargetKind.count where core.pointee.targets[k].isCommanded[j] { return 1 }
      return .nan
    }.map { $0 == 1 }
  }

  /// Seconds from the fallback to the policy.
  public var blend: Double { Double(core.pointee.fallback.blendDuration) * 1e-9 }

  /// Where a ramp ends.
  public var pose: [Double] { robotOrder { core.pointee.fallback.pose[$0] } }
  /// Gains of the joints.
  public var stiffness: [Double] { robotOrder { core.pointee.fallback.kp[$0] } }
  public var damping: [Double] { robotOrder { core.pointee.fallback.kd[$0] } }

  public var ladder: [RobotStep] {
    let f = core.pointee.fallback
    return (0..<f.count).map { i in
      let s = f.ladder[i]
      let isLimp = s.mode == ControllerMode.damp || s.mode == ControllerMode.zero
      return RobotStep(
        mode: s.mode, seconds: Double(s.duration) * 1e-9,
        kp: robotOrder { j in isLimp ? 0 : s.mode == ControllerMode.ramp && s.kp[j].isFinite ? s.kp[j] : f.kp[j] },
        kd: robotOrder { j in
          s.mode == ControllerMode.zero ? 0 : s.mode != ControllerMode.hold && s.kd[j].isFinite ? s.kd[j] : f.kd[j]
        })
    }
  }

  private func robotOrder(_ value: (Int) -> Double) -> [Double] {
    var out = [Double](repeating: .nan, count: joints.count)
    for j in 0..<core.pointee.jointCount {
      let r = Int(core.pointee.robotIndex[j])
      if r >= 0, r < out.count { out[r] = value(j) }
    }
    return out
  }
}
