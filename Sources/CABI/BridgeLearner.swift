#if Bridge
import Base
import Bridge
import Runtime

/// A learner as a bridge serves it: a step carries what followed the last action, and brings the next one.
///
///     in:  observation f64 [n], reward f64 [1], terminated bool [1], truncated bool [1]
///     out: action f64 [m], aux: td_error f64 [1], reason i32 [1]
///
/// The step time of the frame is the dt of the transition.
final class LearnerPort {
  /// Looked up at each call: where the learner was destroyed too early, the plant is told so.
  private let learner: OpaquePointer?
  private let observationCount: Int
  private let actionCount: Int
  /// observation, reward | action, td_error
  private let numbers: UnsafeMutablePointer<Double>
  private let flags = UnsafeMutablePointer<UInt8>.allocate(capacity: 2)
  private let reason = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
  /// The next step begins an episode: its reward and flags say nothing.
  private var isFirst = true

  init(_ learner: LearnerHandle, _ handle: OpaquePointer?) {
    self.learner = handle
    (observationCount, actionCount) = learner.sizes
    numbers = .allocate(capacity: observationCount + actionCount + 2)
    numbers.initialize(repeating: 0, count: observationCount + actionCount + 2)
    flags.initialize(repeating: 0, count: 2)
    reason.initialize(to: 0)
  }

  deinit {
    numbers.deallocate()
    flags.deallocate()
    reason.deallocate()
  }

  private var action: UnsafeMutablePointer<Double> { numbers + observationCount + 1 }

  var target: Target {
    func tensor(_ name: String, _ role: Target.Role, _ dtype: Int32, _ count: Int, _ width: Int) -> Target.Tensor {
      Target.Tensor(name: name, role: role, dtype: dtype, shape: [count], size: count * width)
    }
    return Target(
      inputs: [
        tensor("observation", .observation, 11, observationCount, 8), tensor("reward", .observation, 11, 1, 8),
        tensor("terminated", .observation, 9, 1, 1), tensor("truncated", .observation, 9, 1, 1),
      ],
      outputs: [
        tensor("action", .action, 11, actionCount, 8), tensor("td_error", .aux, 11, 1, 8),
        tensor("reason", .aux, 6, 1, 4),
      ],
      maxRows: 1, policyHash: CABI.learner(self.learner)?.policyHash() ?? 0,
      input: { self.input($0) }, output: { self.output($0) }, run: { self.run($0) }, reset: { _ in self.reset() })
  }

  private func input(_ index: Int) -> UnsafeMutableRawPointer? {
    switch index {
    case 0: UnsafeMutableRawPointer(numbers)
    case 1: UnsafeMutableRawPointer(numbers + observationCount)
    case 2: UnsafeMutableRawPointer(flags)
    default: UnsafeMutableRawPointer(flags + 1)
    }
  }

  private func output(_ index: Int) -> UnsafeRawPointer? {
    switch index {
    case 0: UnsafeRawPointer(action)
    case 1: UnsafeRawPointer(action + actionCount)
    default: UnsafeRawPointer(reason)
    }
  }

  /// Learns from the step before, unless this is the first of an episode, and acts unless that ended it. Numbers that
  /// are not finite are the learner's to deal with: the plant gets an action all the same.
  private func run(_ step: Target.Step) -> Int32 {
    guard let learner = CABI.learner(learner) else { return Status.argument.code }
    var ends = false
    if !isFirst {
      ends = flags[0] != 0 || flags[1] != 0
      var report = UpdateReport()
      // a state that was lost to numbers that are not finite has no successor to learn from; the action below begins
      // again
      _ = learner.update(
        Transition(
          observation: numbers, reward: numbers[observationCount], isTerminated: flags[0] != 0,
          isTruncated: flags[1] != 0, duration: step.duration), &report)
      action[actionCount] = report.tdError
      reason.pointee = report.reason.code
    }
    isFirst = ends
    if !ends { _ = learner.act(numbers, into: action) }
    return Status.ok.code
  }

  private func reset() -> Int32 {
    guard let learner = CABI.learner(learner) else { return Status.argument.code }
    learner.breakOff()
    isFirst = true
    return Status.ok.code
  }
}
#endif
