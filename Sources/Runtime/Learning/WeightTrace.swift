import Base
import Kernels
import Onnx

/// Where a learner's weights and statistics go in the packed weights of its policy, found out by packing numbers that
/// tell where they come from.
struct WeightTrace {
  private(set) var weights: [WeightMove] = []
  private(set) var statistics: [StatisticMove] = []

  /// Two policies whose numbers are 2, 3, ... and as many further on: what differs comes from the learner, and says
  /// from which of its numbers.
  init(_ learner: LearnerHandle) throws(Failure) {
    let n = learner.core.pointee.settings.observationCount
    let count = 2 * n + Int(learner.policyNet.count)
    guard count < 1 << 22 else {
      throw Failure(
        .unsupported, "the learner has \(count) weights, but at most \(1 << 22) can be published to a session")
    }
    let policies = (try learner.policy(numberedFrom: 2), try learner.policy(numberedFrom: 2 + count))
    // the weights are theirs
    defer { withExtendedLifetime(policies) {} }
    let (first, second) = (policies.0.plan.weights, policies.1.plan.weights)
    guard first.count == second.count else { throw WeightTrace.isMixed }
    let a = first.baseAddress!.assumingMemoryBound(to: Float.self)
    let b = second.baseAddress!.assumingMemoryBound(to: Float.self)
    for i in 0..<first.count / 4 where a[i].bitPattern != b[i].bitPattern {
      let isInverse = a[i].magnitude < 1
      let x = isInverse ? (1 / a[i]).rounded() : a[i]
      let number = Int(exactly: x.magnitude).map { $0 - 2 } ?? -1
      guard number >= 0, number < count, !isInverse || number < 2 * n else { throw WeightTrace.isMixed }
      let to = Int32(truncatingIfNeeded: i)
      if number >= 2 * n {
        weights.append(WeightMove(to: to, from: Int32(truncatingIfNeeded: number - 2 * n)))
      } else if number < n {
        statistics.append(
          StatisticMove(to: to, from: Int32(truncatingIfNeeded: number), form: x < 0 ? .negatedMean : .mean))
      } else {
        statistics.append(
          StatisticMove(
            to: to, from: Int32(truncatingIfNeeded: number - n), form: isInverse ? .inverseDeviation : .deviation))
      }
    }
  }

  private static var isMixed: Failure {
    Failure(
      .unsupported,
      """
      the policy's weights are combined with each other, or stored with less precision, when it is loaded; use \
      eff_learner_policy() and eff_session_swap()
      """
    )
  }
}

extension LearnerHandle {
  /// The policy that this learner would have if its means, its deviations and then its weights were `first`, `first` +
  /// 1, ...
  fileprivate func policy(numberedFrom first: Int) throws(Failure) -> Policy {
    settle()
    let isDouble = core.pointee.settings.isDouble
    let n = core.pointee.settings.observationCount
    let count = Int(policyNet.count)
    let state = UnsafeMutablePointer<LearnerState>.allocate(capacity: 1)
    let numbers = UnsafeMutablePointer<Double>.allocate(capacity: 2 * n + count)
    let twin = UnsafeMutablePointer<LearnerCore>.allocate(capacity: 1)
    defer {
      state.deallocate()
      numbers.deallocate()
      twin.deallocate()
    }
    state.initialize(to: core.pointee.state.pointee)
    state.pointee.observationCount = 2
    twin.initialize(to: core.pointee)
    twin.pointee.state = state
    twin.pointee.observations = RunningStatistics(mean: numbers, m2: numbers + n, size: n)
    for i in 0..<n {
      numbers[i] = Double(first + i)
      let deviation = Double(first + n + i)
      numbers[n + i] = deviation * deviation - core.pointee.settings.observationEpsilon
    }
    let w = Numbers(base: numbers + 2 * n, isDouble: isDouble)
    for k in 0..<count { w[k] = Double(first + 2 * n + k) }
    if core.pointee.hasActor { twin.pointee.actor.w = w.base } else { twin.pointee.critic.w = w.base }
    return try LearnerHandle(core: twin).policy()
  }
}
