import Testing

@testable import Runtime

/// A TD error that rises far above what is usual brings the best snapshot back, once per rise.
@Suite struct ErrorWatchTests {
  /// Updates with a reward of alternating sign, which cannot be predicted; returns the roll-backs that they brought.
  private func drive(_ l: LearnerHandle, reward: Double, count: Int, _ stream: inout Generator) -> UInt64 {
    let before = l.core.pointee.counters.rollbacks
    var action = [0.0, 0.0, 0.0]
    var report = UpdateReport()
    for _ in 0..<count {
      _ = l.act([1, 2, 3, 4, 5, 6, 7], into: &action)
      _ = l.update(
        Transition(observation: [1, 2, 3, 4, 5, 6, 7], reward: stream.uniform() < 0.5 ? reward : -reward), &report)
    }
    return l.core.pointee.counters.rollbacks - before
  }

  private func made(_ rise: Double) throws -> OwnedLearner {
    var o = smallOptions(.acContinuous, isDouble: false)
    o.settings.scalesRewards = false
    o.watch.snapshots = 2
    o.watch.returnDrop = 0
    o.watch.errorRise = rise
    return try OwnedLearner(o)
  }

  @Test func aRiseRollsBackOnce() throws {
    let owned = try made(4)
    let l = owned.learner
    var stream = Generator(seed: 3)
    #expect(drive(l, reward: 1, count: 2500, &stream) == 0)
    #expect(l.snapshot().isOK)
    // what is usual, and what is not
    #expect(drive(l, reward: 2, count: 500, &stream) == 0)
    #expect(drive(l, reward: 20, count: 1500, &stream) == 1)
    #expect(drive(l, reward: 20, count: 3000, &stream) == 0)
    #expect(drive(l, reward: 400, count: 500, &stream) == 1)
    l.freeze(Freeze(bits: 7))
    #expect(drive(l, reward: 80_000, count: 500, &stream) == 0)
  }

  @Test func withoutTheOptionNothingIsRolledBack() throws {
    let owned = try made(0)
    var stream = Generator(seed: 3)
    _ = drive(owned.learner, reward: 1, count: 2500, &stream)
    #expect(owned.learner.snapshot().isOK)
    #expect(drive(owned.learner, reward: 100, count: 1000, &stream) == 0)
    #expect(owned.learner.core.pointee.runningError > 10)
  }
}
