import Testing

@testable import Runtime

@Suite struct WatchTests {
  private func weights(_ l: LearnerHandle, _ net: NetworkKind = .critic) -> [Double] {
    var all: [Double] = []
    for i in 0..<l.layerCount(net) { l.visit(net, layer: i, .weight) { all.append($1) } }
    return all
  }

  private func trained(_ algorithm: Algorithm, _ change: (inout LearnerOptions) -> Void = { _ in }) throws -> (
    OwnedLearner, World
  ) {
    var o = smallOptions(algorithm, isDouble: false)
    change(&o)
    let owned = try OwnedLearner(o)
    var world = World(seed: 2, size: 7)
    for _ in 0..<60 { _ = world.step(owned.learner) }
    return (owned, world)
  }

  @Test(arguments: [Algorithm.acContinuous, .acDiscrete, .q, .sarsa, .td])
  func inputsThatAreNotFiniteChangeNoWeightAndStopNothing(_ algorithm: Algorithm) throws {
    var (owned, world) = try trained(algorithm)
    let l = owned.learner
    for bad in [Double.nan, .infinity, -.infinity] {
      let before = weights(l)
      var action = [0.0, 0.0, 0.0]
      var report = UpdateReport()
      #expect(l.act(world.observation, into: &action) == .ok)
      let last = action
      var spoiled = world.observation
      spoiled[3] = bad
      #expect(l.act(spoiled, into: &action) == .numeric)
      #expect(action == last)
      #expect(l.update(Transition(observation: spoiled, reward: 0), &report) == .numeric)
      #expect(report.reason == .badInput)
      #expect(l.act(world.observation, into: &action) == .ok)
      #expect(l.update(Transition(observation: world.observation, reward: bad), &report) == .numeric)
      #expect(weights(l) == before)
      for _ in 0..<30 { _ = world.step(l) }
      #expect(weights(l) != before)
      #expect(weights(l).allSatisfy { $0.isFinite })
    }
    #expect(l.core.pointee.counters.badInputs == 6)
  }

  @Test(arguments: [Algorithm.acContinuous, .q])
  func weightsThatAreNotFiniteAreRolledBack(_ algorithm: Algorithm) throws {
    var (owned, world) = try trained(algorithm) { $0.watch.snapshots = 2 }
    let l = owned.learner
    #expect(l.snapshot().isOK)
    l.visit(.critic, layer: 1, .weight) { if $0 == 5 { $1 = .nan } }
    let (_, report) = world.step(l)
    #expect(report.reason == .badUpdate || l.core.pointee.counters.rollbacks == 1)
    for _ in 0..<50 { _ = world.step(l) }
    #expect(weights(l).allSatisfy { $0.isFinite })
    #expect(l.core.pointee.counters.rollbacks == 1)
  }

  @Test func hugeRewardsNeverMakeAWeightInfinite() throws {
    for optimizer in [Optimizer.obgd, .adaptiveObGD, .intentional] {
      var o = smallOptions(.acContinuous, optimizer, isDouble: false)
      o.settings.scalesRewards = false
      let owned = try OwnedLearner(o)
      let l = owned.learner
      var world = World(seed: 4, size: 7)
      var report = UpdateReport()
      var action = [0.0, 0.0, 0.0]
      for i in 0..<40 {
        _ = l.act(world.observation, into: &action)
        _ = l.update(
          Transition(observation: world.observation, reward: i % 3 == 0 ? 1e99 : i % 3 == 1 ? -1e60 : -1e308), &report)
        _ = world.step(l)
      }
      #expect(weights(l).allSatisfy { $0.isFinite }, "\(optimizer)")
      #expect(weights(l, .actor).allSatisfy { $0.isFinite }, "\(optimizer)")
    }
  }

  @Test func whatIsFrozenDoesNotMove() throws {
    var (owned, world) = try trained(.acContinuous)
    let l = owned.learner
    let (actor, critic) = (weights(l, .actor), weights(l))
    let count = l.core.pointee.state.pointee.observationCount
    l.freeze(Freeze(bits: 7))
    for _ in 0..<20 { _ = world.step(l) }
    #expect(weights(l, .actor) == actor && weights(l) == critic)
    #expect(l.core.pointee.state.pointee.observationCount == count)
    l.freeze(Freeze(bits: 1))
    for _ in 0..<20 { _ = world.step(l) }
    #expect(weights(l, .actor) == actor && weights(l) != critic)
    l.freeze(Freeze())
    for _ in 0..<20 { _ = world.step(l) }
    #expect(weights(l, .actor) != actor)
  }

  @Test func theActorStopsWhenItsDriftBudgetIsUsedUp() throws {
    var (owned, world) = try trained(.acContinuous) { $0.watch.driftBudget = 2 }
    let l = owned.learner
    let start = try OwnedLearner(
      {
        var o = smallOptions(.acContinuous, isDouble: false); o.watch.driftBudget = 2; return o
      }())
    for _ in 0..<200 { _ = world.step(l) }
    let (_, report) = world.step(l)
    #expect(report.reason == .drift)
    let moved = zip(weights(l, .actor), weights(start.learner, .actor)).reduce(0) { $0 + abs($1.0 - $1.1) }
    // one update moves at most 1 / kappa
    #expect(moved > 0 && moved <= 2 + 1.0 / 3)
  }

  /// A learner with a watch, and episodes of ten steps whose rewards are given.
  private struct Watched {
    let owned: OwnedLearner
    var report = UpdateReport()
    /// The actor's weights after every episode.
    var seen: [[Double]] = []

    init(_ change: (inout WatchSettings) -> Void = { _ in }) throws {
      var o = smallOptions(.acContinuous, isDouble: false)
      o.watch.snapshots = 5
      o.watch.snapshotPeriod = 10
      o.watch.returnRate = 0.5
      o.watch.steadyUpdates = 50
      change(&o.watch)
      owned = try OwnedLearner(o)
    }

    var counters: LearnerCounters { owned.learner.core.pointee.counters }
    var stepScale: Double { owned.learner.core.pointee.state.pointee.watch.stepScale }

    mutating func episode(_ r: Double, count: Int = 1) {
      let l = owned.learner
      var action = [0.0, 0.0, 0.0]
      for _ in 0..<count {
        for i in 0..<10 {
          _ = l.act([1, 2, 3, 4, 5, 6, Double(i)], into: &action)
          _ = l.update(
            Transition(observation: [1, 2, 3, 4, 5, 6, Double(i + 1)], reward: r, isTerminated: i == 9), &report)
        }
        var all: [Double] = []
        for i in 0..<l.layerCount(.actor) { l.visit(.actor, layer: i, .weight) { all.append($1) } }
        seen.append(all)
      }
    }
  }

  @Test func aCollapsedReturnBringsWeightsFromAmongGoodReturnsBack() throws {
    var w = try Watched()
    w.episode(0)
    w.episode(100, count: 24)
    #expect(w.counters.snapshots > 5 && w.counters.rollbacks == 0)
    w.episode(5)
    #expect(w.report.reason == .rolledBack && w.counters.rollbacks == 1)
    // not the last weights before the fall, nor the first good ones
    let place = try #require(w.seen.dropLast().firstIndex(of: w.seen.last!))
    #expect(place >= 5 && place <= 21, "\(place)")
    #expect(w.stepScale == 0.5)
    w.episode(100, count: 30)
    #expect(w.counters.rollbacks == 1 && w.stepScale > 0.5)
  }

  /// Steps that lost what was gained become larger again once more is gained, not while the level is only kept up.
  @Test func stepsGrowAgainWithWhatIsGained() throws {
    var w = try Watched()
    w.episode(0)
    w.episode(100, count: 24)
    w.episode(5)
    let kept = w.counters.snapshots
    w.episode(97, count: 30)
    #expect(w.counters.snapshots > kept + 5 && w.counters.rollbacks == 1 && w.stepScale == 0.5)
    w.episode(110, count: 10)
    #expect(w.counters.rollbacks == 1 && w.stepScale > 0.5)
  }

  /// The running return stays above the limit here, so that the single return alone is judged.
  @Test(arguments: [(count: 3, rollbacks: 0), (count: 8, rollbacks: 1)])
  func aSingleBadReturnIsACollapseOnlyAfterARunOfGoodOnes(_ run: (count: Int, rollbacks: Int)) throws {
    var w = try Watched()
    w.episode(0)
    w.episode(100, count: run.count)
    #expect(w.counters.snapshots > 0)
    w.episode(40)
    #expect(w.counters.rollbacks == UInt64(run.rollbacks))
  }

  @Test func aSnapshotIsKeptOnlyWhereAGoodReturnFollowsIt() throws {
    var w = try Watched { $0.returnDrop = 0 }
    w.episode(0)
    w.episode(100, count: 10)
    let kept = w.counters.snapshots
    // what was taken at the end of the last good episode is not confirmed by this one
    w.episode(60)
    #expect(w.counters.snapshots == kept)
    #expect(w.owned.learner.core.pointee.state.pointee.watch.candidate == -1)
  }

  @Test func whereThePlantHasChangedTheNewLevelIsAccepted() throws {
    var w = try Watched()
    w.episode(0)
    w.episode(100, count: 30)
    w.episode(30, count: 40)
    #expect(w.counters.rollbacks >= 1 && w.counters.rollbacks <= 6)
    let rollbacks = w.counters.rollbacks
    w.episode(30, count: 5)
    #expect(w.counters.rollbacks == rollbacks && w.report.reason == .learned && w.stepScale == 1)
    w.episode(90, count: 20)
    w.episode(10)
    #expect(w.counters.rollbacks == rollbacks + 1, "the watch holds the new level")
  }

  /// A level that is accepted below all that there was is the worst from then on: what is gained is measured from there.
  @Test func aLowerLevelThatIsAcceptedIsTheWorst() throws {
    var w = try Watched()
    w.episode(50)
    w.episode(100, count: 30)
    for _ in 0..<100 {
      w.episode(20)
      if w.counters.rollbacks > 0 && w.stepScale == 1 { break }
    }
    let rollbacks = w.counters.rollbacks
    #expect(rollbacks > 0 && w.stepScale == 1)
    w.episode(90, count: 25)
    // less than half of what was gained since 20 is lost, but more than half of what was gained since 50
    w.episode(60)
    #expect(w.counters.rollbacks == rollbacks)
    w.episode(90, count: 10)
    w.episode(30)
    #expect(w.counters.rollbacks == rollbacks + 1)
  }

  /// What was not held for long may be ups and downs of learning; to return to it would stop what rises from there.
  @Test(arguments: [(count: 14, rollbacks: 0), (count: 16, rollbacks: 1)])
  func aLevelCountsOnceItWasHeld(_ run: (count: Int, rollbacks: Int)) throws {
    var w = try Watched { $0.steadyUpdates = 150 }
    w.episode(0)
    w.episode(100, count: run.count)
    w.episode(5)
    #expect(w.counters.rollbacks == UInt64(run.rollbacks))
  }

  @Test func theUsualUpsAndDownsBringNothingBack() throws {
    var w = try Watched()
    w.episode(0)
    for k in 0..<60 { w.episode([100, 40, 120, 70, 95, 30][k % 6]) }
    #expect(w.counters.rollbacks == 0)
  }

  /// A policy that was good from the start gains little over its worst return, less than what its returns vary by.
  @Test func noiseAroundASteadyLevelBringsNothingBack() throws {
    var w = try Watched { $0.returnRate = 0.2 }
    for k in 0..<60 { w.episode([100, 96, 103, 92, 101, 90][k % 6]) }
    #expect(w.counters.snapshots > 0 && w.counters.rollbacks == 0)
    w.episode(10, count: 10)
    #expect(w.counters.rollbacks > 0)
  }

  @Test func whatIsFrozenIsNotRolledBack() throws {
    var w = try Watched()
    w.episode(0)
    w.episode(100, count: 20)
    w.owned.learner.freeze(Freeze(bits: 7))
    w.episode(0)
    #expect(w.counters.rollbacks == 0 && w.seen.last! == w.seen[w.seen.count - 2])
  }

  @Test func aTruncationBootstrapsAndATerminationDoesNot() throws {
    for (terminated, truncated) in [(true, false), (false, true), (false, false)] {
      let owned = try OwnedLearner(smallOptions(.td))
      var report = UpdateReport()
      var prediction = [0.0]
      _ = owned.learner.act([1, 2, 3, 4, 5, 6, 7], into: &prediction)
      let t = Transition(
        observation: [2, 1, 0, 3, 1, 0, 1], reward: 1, isTerminated: terminated, isTruncated: truncated)
      #expect(owned.learner.update(t, &report) == .ok)
      let bootstrapped = report.reward + 0.99 * report.nextValue - report.value
      #expect(abs(report.tdError - (terminated ? report.reward - report.value : bootstrapped)) < 1e-12)
      #expect(report.isTraceReset == (terminated || truncated))
    }
  }

  @Test func theDiscountFollowsTheMeasuredStep() throws {
    var o = smallOptions(.td)
    o.settings.nominalStep = 0.01
    let owned = try OwnedLearner(o)
    var report = UpdateReport()
    var prediction = [0.0]
    _ = owned.learner.act([1, 2, 3, 4, 5, 6, 7], into: &prediction)
    #expect(
      owned.learner.update(Transition(observation: [2, 1, 0, 3, 1, 0, 1], reward: 1, duration: 0.03), &report) == .ok)
    #expect(abs(report.tdError - (report.reward + 0.99 * 0.99 * 0.99 * report.nextValue - report.value)) < 1e-12)
  }
}
