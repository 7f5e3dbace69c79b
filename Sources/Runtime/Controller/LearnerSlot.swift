import Base
import Platform

/// A learner that acts in the place of one network: the controller gives it the observation, the reward comes from
/// outside.
///
/// A transition is open from a run of the network to the next one, whose observation ends it. It is learned from at the
/// beginning of that run.
public struct LearnerSlot {
  var learner: LearnerHandle
  /// The network that it stands for: index in the card, the tensor that brings the observation and the one that takes
  /// the action.
  var model: Int
  var input: Int
  var output: Int
  var observationCount: Int
  var actionCount: Int
  /// `[observationCount]`, `[actionCount]`; and what was really done, where somebody says so.
  var observation: UnsafeMutablePointer<Double>
  var action: UnsafeMutablePointer<Double>
  var done: UnsafeMutablePointer<Double>
  /// The owner of the learner has not destroyed it.
  var isAlive = true

  // state
  var isOpen = false
  /// The episode has ended: until the reset the learner acts without exploration and learns nothing.
  var isOver = false
  /// ns of the run that opened the transition.
  var since: Int64 = 0
  /// What came from outside since then.
  var rewards: UInt64 = 0
  var reward = 0.0
  var isTerminated = false
  var isTruncated = false
  var isDoneTold = false
  var duration = 0.0
  /// The last update, its status, and how many there were.
  public var report = UpdateReport()
  public var status = Status.ok
  public var updates: UInt64 = 0
}

extension ControllerHandle {
  /// The learner that acts, or nil.
  public var learner: UnsafeMutablePointer<LearnerSlot>? { @_noLocks get { core.pointee.learner } }

  /// What followed the last run.
  @_noLocks
  public func reward(
    _ reward: Double, isTerminated: Bool, isTruncated: Bool, action: UnsafePointer<Double>?, duration: Double
  ) -> Status {
    guard let l = core.pointee.learner else { return .state }
    l.pointee.rewards &+= 1
    l.pointee.reward += reward
    if isTerminated { l.pointee.isTerminated = true }
    if isTruncated { l.pointee.isTruncated = true }
    if let action {
      eff_copy(l.pointee.done, action, l.pointee.actionCount * 8)
      l.pointee.isDoneTold = true
    }
    l.pointee.duration += duration
    return reward.isFinite && duration.isFinite && duration >= 0 ? .ok : .numeric
  }

  /// The learner was destroyed: runs are refused from now on.
  @_noLocks
  public func loseLearner() {
    if let l = core.pointee.learner { l.pointee.isAlive = false }
  }
}

extension UnsafeMutablePointer where Pointee == LearnerSlot {
  /// Learns from the open transition, which ends with the observation at hand.
  @_noLocks
  private func close(_ now: Int64) {
    pointee.isOpen = false
    let ends = pointee.isTerminated || pointee.isTruncated
    let measured = Double(now &- pointee.since) * 1e-9
    pointee.status =
      pointee.learner.update(
        Transition(
          observation: pointee.observation, reward: pointee.reward, isTerminated: pointee.isTerminated,
          isTruncated: pointee.isTruncated,
          action: pointee.isDoneTold ? UnsafePointer(pointee.done) : nil, nextAction: nil,
          duration: pointee.duration != 0 ? pointee.duration : (measured > 0 ? measured : 0)), &pointee.report)
    pointee.updates &+= 1
    if ends { pointee.isOver = true }
  }

  @_noLocks
  private func clear() {
    (pointee.rewards, pointee.reward, pointee.duration) = (0, 0, 0)
    (pointee.isTerminated, pointee.isTruncated, pointee.isDoneTold) = (false, false, false)
  }

  /// One run of the network that it stands for: learns, then acts. An action that is not finite says that there is
  /// none.
  @_noLocks
  func run(_ session: SessionHandle, _ now: Int64) {
    guard let from = session.input(pointee.input), let to = session.output(pointee.output) else { return }
    let (x, y) = (from.assumingMemoryBound(to: Float.self), to.assumingMemoryBound(to: Float.self))
    let (observation, action) = (pointee.observation, pointee.action)
    var isActing = pointee.isAlive
    if isActing {
      var i = 0
      while i < pointee.observationCount {
        observation[i] = Double(x[i])
        i += 1
      }
      if pointee.isOpen { close(now) }
      clear()
      if pointee.isOver {
        isActing = pointee.learner.infer(observation, into: action).isOK
      } else {
        isActing = pointee.learner.act(observation, into: action).isOK
        (pointee.isOpen, pointee.since) = (isActing, now)
      }
    }
    var i = 0
    while i < pointee.actionCount {
      y[i] = isActing ? Float(action[i]) : .nan
      i += 1
    }
  }

  /// The controller begins a new episode. A transition whose end was told is learned from with the observation at hand;
  /// another one is dropped.
  @_noLocks
  func begin(_ now: Int64) {
    if pointee.isAlive && pointee.isOpen {
      if pointee.isTerminated || pointee.isTruncated { close(now) } else { pointee.learner.abandon() }
    }
    (pointee.isOpen, pointee.isOver) = (false, false)
    clear()
  }
}
