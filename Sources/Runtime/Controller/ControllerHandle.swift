import Base
import Platform

/// A controller as the thread that ticks it has it: [RT] calls of one caller at a time.
public struct ControllerHandle {
  public let core: UnsafeMutablePointer<ControllerCore>

  @_noLocks @inline(__always)
  public init(core: UnsafeMutablePointer<ControllerCore>) { self.core = core }

  /// The next tick begins a new episode.
  @_noLocks
  public func reset() {
    core.pointee.isFresh = true
    core.pointee.mayRestartClock = true
  }

  /// Changes who moves the robot.
  @_noLocks
  public func setMode(_ mode: Int32) -> Status {
    if mode < ControllerMode.run || mode > ControllerMode.zero { return .argument }
    core.pointee.fallback.mode = mode
    return .ok
  }

  /// When a signal was sampled; -1: all signals.
  @_noLocks
  public func stamp(_ signal: Int64, _ ns: Int64) -> Status {
    if signal < -1 || signal >= Int64(core.pointee.signalCount) { return .argument }
    var s = signal < 0 ? 0 : Int(signal)
    let end = signal < 0 ? core.pointee.signalCount : s + 1
    while s < end {
      core.pointee.signals[s].stamp = ns
      core.pointee.signals[s].isStamped = true
      s += 1
    }
    return .ok
  }

  /// Values that the guard has clamped of joint `joint` of the robot; -1 where it has no such joint.
  @_noLocks
  public func clamps(_ joint: Int) -> Int64 {
    if joint < 0 || joint >= core.pointee.robotJoints { return -1 }
    var j = 0
    while j < core.pointee.jointCount {
      if Int(core.pointee.robotIndex[j]) == joint { return Int64(truncatingIfNeeded: core.pointee.clamps[j]) }
      j += 1
    }
    return 0
  }

  /// An observation as the last run saw it, and its length; nil where no vector has the name.
  @_noLocks
  public func vector(_ name: UnsafePointer<CChar>, _ count: UnsafeMutablePointer<Int>) -> UnsafePointer<Float>? {
    var v = 0
    while v < core.pointee.vectorCount {
      if let own = core.pointee.vectors[v].name {
        var i = 0
        while own[i] != 0 && own[i] == name[i] { i += 1 }
        if own[i] == name[i] {
          count.pointee = core.pointee.vectors[v].count
          return UnsafePointer(core.pointee.vectors[v].values)
        }
      }
      v += 1
    }
    return nil
  }

  /// What the last run read.
  @_noLocks
  public func input(_ model: Int, _ input: Int) -> UnsafeRawPointer? {
    if model < 0 || model >= core.pointee.modelCount { return nil }
    let m = core.pointee.models + model
    if input < 0 || input >= m.pointee.inputCount { return nil }
    if let mirror = m.pointee.inputs[input].mirror { return UnsafeRawPointer(mirror) }
    return m.pointee.session.input(input).map { UnsafeRawPointer($0) }
  }

  /// What the last run wrote.
  @_noLocks
  public func output(_ model: Int, _ output: Int) -> UnsafeRawPointer? {
    if model < 0 || model >= core.pointee.modelCount { return nil }
    return core.pointee.models[model].session.output(output).map { UnsafeRawPointer($0) }
  }
}
