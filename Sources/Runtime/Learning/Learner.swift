import Kernels

/// A policy that learns while it acts, in one arena:
///
///     LearnerCore | layers, activations | LearnerState, states, statistics, w, e, v of actor and critic, snapshots
///
/// The part from `state` on is contiguous and without pointers; it is the checkpoint. Everything marked @_noLocks is
/// [RT].
public struct LearnerCore {
  let settings: LearnerSettings
  let watch: WatchSettings
  let kernels: UnsafePointer<eff_learn_kernels>
  /// Empty where the algorithm has no actor.
  var actor: eff_learn_net
  var critic: eff_learn_net
  /// Where the critic gives a distribution.
  var head: UnsafeMutablePointer<CriticHead>?
  /// Where the network that acts is a loaded policy.
  var loaded: UnsafeMutablePointer<LoadedCore>?
  /// Where the critic is loaded; without an actor it is the one that acts.
  var loadedCritic: UnsafeMutablePointer<LoadedCore>?
  var networks: Unmanaged<LearnerNetworks>

  /// Persistent part of the arena and its bytes.
  var state: UnsafeMutablePointer<LearnerState>
  var stateSize: Int
  var observations: RunningStatistics
  /// Of the return trace; size 1.
  var returns: RunningStatistics
  /// Moving average of raw observations [observationCount].
  var filter: UnsafeMutablePointer<Double>
  /// Raw observation that `current` was made of [observationCount].
  var raw: UnsafeMutablePointer<Double>
  /// The state s and its successor s', normalized [inputCount].
  var current: UnsafeMutablePointer<Double>
  var next: UnsafeMutablePointer<Double>
  /// The action taken in s [actionCount], or [1] with the index of the choice (td: the prediction).
  var action: UnsafeMutablePointer<Double>
  /// Scratch [max(observationCount, actorOutputs, criticOutputs)].
  var scratch: UnsafeMutablePointer<Double>
  var snapshots: UnsafeMutableRawPointer
  /// nil without a change budget.
  var change: UnsafeMutablePointer<ChangeCore>?
  /// nil: the raw reward is learned from.
  var rewards: UnsafeMutablePointer<RewardCore>?
  /// Of no layers where there is no actor.
  var hidden: (actor: HiddenLayersCore, critic: HiddenLayersCore)
  /// Bytes that a snapshot keeps, from the statistics of the observations to the end of the weights; and bytes from one
  /// to the next.
  var snapshotSize: Int
  var snapshotStride: Int

  var layoutHash: UInt64
  /// Of the policy that the learner started from, or 0.
  var sourceHash: UInt64
  /// What `arena` lies in; nil where it is the caller's own memory.
  var memory: Unmanaged<MemoryBlock>?
  /// Conformance: numbers to use instead of the generator's, in order; nil in normal use.
  var tape: UnsafePointer<Double>?

  var hasActor: Bool { @_noLocks get { actor.count > 0 } }
  public var counters: LearnerCounters { @_noLocks get { state.pointee.counters } }
  public var runningReturn: Double { @_noLocks get { state.pointee.watch.running } }
  /// Running mean of |TD error| over about 100 updates.
  public var runningError: Double { @_noLocks get { state.pointee.error.recent } }
  /// Mean KL divergence of the actor from the shipped one; 0 where it is not measured.
  public var meanChange: Double { @_noLocks get { state.pointee.change.mean } }
  /// Running means of the magnitudes of what made the rewards; zeros without a pipeline.
  public var rewardSizes: RewardShares { @_noLocks get { rewards?.pointee.state.pointee.sizes ?? RewardShares() } }
  /// Updates whose target lay beyond the critic's support.
  public var clippedTargets: UInt64 { @_noLocks get { head?.pointee.state.pointee.clipped ?? 0 } }
  /// Shares of dormant units.
  public var dormant: (actor: Double, critic: Double) {
    @_noLocks get { (state.pointee.dormantActor.share, state.pointee.dormantCritic.share) }
  }
}

/// A learner as the thread that drives it has it: its calls are [RT] where they are marked @_noLocks.
public struct LearnerHandle {
  public let core: UnsafeMutablePointer<LearnerCore>

  @_noLocks @inline(__always)
  public init(core: UnsafeMutablePointer<LearnerCore>) { self.core = core }
}

extension LearnerHandle {
  @_noLocks func uniform() -> Double {
    guard let tape = core.pointee.tape else { return core.pointee.state.pointee.generator.uniform() }
    core.pointee.tape = tape + 1
    return tape.pointee
  }

  @_noLocks func normal() -> Double {
    guard let tape = core.pointee.tape else { return core.pointee.state.pointee.generator.normal() }
    core.pointee.tape = tape + 1
    return tape.pointee
  }
}

/// Numbers of a network in either precision.
struct Numbers {
  var base: UnsafeMutableRawPointer
  var isDouble: Bool

  @_noLocks init(base: UnsafeMutableRawPointer, isDouble: Bool) {
    self.base = base
    self.isDouble = isDouble
  }

  subscript(i: Int) -> Double {
    @_noLocks get {
      isDouble
        ? base.assumingMemoryBound(to: Double.self)[i]
        : Double(base.assumingMemoryBound(to: Float.self)[i])
    }
    @_noLocks nonmutating set {
      if isDouble {
        base.assumingMemoryBound(to: Double.self)[i] = newValue
      } else {
        base.assumingMemoryBound(to: Float.self)[i] = Float(newValue)
      }
    }
  }

  @_noLocks func advanced(by n: Int) -> Numbers { Numbers(base: base + n * (isDouble ? 8 : 4), isDouble: isDouble) }
}

extension eff_learn_net {
  @_noLocks func output(row: Int, isDouble: Bool) -> Numbers {
    Numbers(base: output + row * Int(output_stride) * (isDouble ? 8 : 4), isDouble: isDouble)
  }
  /// The gradient of the outputs, to be written before the backward pass.
  @_noLocks func gradient(isDouble: Bool) -> Numbers { Numbers(base: d, isDouble: isDouble) }
}
