import Base
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// A learner's weights reach a session, also while another thread steps it
/// (`swift test --sanitize=thread --filter PublisherTests`).
@Suite struct PublisherTests {
  private static func step(_ s: Session, _ x: [Double]) -> [Float] {
    var action = [Float](repeating: 0, count: 3)
    #expect(s.handle.step(1, x.map { Float($0) }, &action) == .ok)
    return action
  }

  private func distance(_ s: Session, _ l: LearnerHandle, _ x: [Double]) -> Double {
    var expected = [0.0, 0.0, 0.0]
    #expect(l.infer(x, into: &expected) == .ok)
    return zip(Self.step(s, x), expected).map { abs(Double($0) - $1) / (1 + abs($1)) }.max()!
  }

  @Test(arguments: [false, true])
  func theSessionActsAsTheLearnerDidWhenItPublished(isDouble: Bool) throws {
    let owned = try OwnedLearner(smallOptions(.acContinuous, isDouble: isDouble))
    let l = owned.learner
    let session = try Session(try l.policy(), SessionOptions())
    let publisher = try Publisher(l, to: session)
    var world = World(seed: 3, size: 7)
    for k in 0..<40 {
      for _ in 0..<5 { _ = world.step(l) }
      let before = Self.step(session, world.observation)
      // an offer that nobody took is replaced
      for _ in 0..<k % 3 {
        #expect(publisher.handle.publish() == .ok)
        _ = world.step(l)
      }
      #expect(publisher.handle.publish() == .ok)
      #expect(distance(session, l, world.observation) <= 1e-5)
      #expect(Self.step(session, world.observation) != before)
    }
  }

  @Test func theSessionIsThePublishersUntilItEnds() throws {
    let owned = try OwnedLearner(smallOptions(.acContinuous, isDouble: false))
    let policy = try owned.learner.policy()
    let session = try Session(policy, SessionOptions())
    func refusal(_ body: () throws(Failure) -> Void) -> Failure.Reason? {
      do throws(Failure) {
        try body()
        return nil
      } catch {
        return error.reason
      }
    }
    var publisher: Publisher? = try Publisher(owned.learner, to: session)
    #expect(refusal { () throws(Failure) in try session.swap(to: policy) } == .state)
    #expect(refusal { () throws(Failure) in _ = try Publisher(owned.learner, to: session) } == .state)
    #expect(publisher!.handle.publish() == .ok)
    publisher = nil
    // the last offer still stands
    #expect(distance(session, owned.learner, [1, 2, 3, 4, 5, 6, 7]) <= 1e-5)
    #expect(refusal { () throws(Failure) in try session.swap(to: policy) } == nil)
    var other = smallOptions(.acContinuous, isDouble: false)
    other.hiddenSizes = [19, 34]
    let stranger = try OwnedLearner(other)
    #expect(
      refusal { () throws(Failure) in _ = try Publisher(stranger.learner, to: try Session(policy, SessionOptions())) }
        == .mismatch)
  }

  /// The three means are made equal before each publication, so a step that mixed two publications would show.
  private func equalize(_ l: LearnerHandle) {
    var row: [Double] = []
    var bias = 0.0
    l.visit(.actor, layer: 2, .weight) { i, x in
      switch i {
      case ..<33: row.append(x)
      case ..<99: x = row[i % 33]
      case 198: bias = x
      case 199, 200: x = bias
      default: break
      }
    }
  }

  @Test func stepsSeeOnePublication() async throws {
    let owned = try OwnedLearner(smallOptions(.acContinuous, isDouble: false))
    let l = owned.learner
    equalize(l)
    let shared = Shared(try Session(try l.policy(), SessionOptions()))
    let publisher = try Publisher(l, to: shared.value)
    let found = await withTaskGroup(of: (mixed: Int, seen: Set<Float>).self) { group in
      group.addTask {
        var (mixed, seen, steps) = (0, Set<Float>(), 0)
        repeat {
          steps += 1
          // other tests need a thread too
          if steps % 64 == 0 { await Task.yield() }
          let y = Self.step(shared.value, [1, 2, 3, 4, 5, 6, 7])
          if y != [Float](repeating: y[0], count: 3) { mixed += 1 }
          seen.insert(y[0])
        } while !shared.isStopped.load(ordering: .acquiring)
        return (mixed, seen)
      }
      var world = World(seed: 4, size: 7)
      for k in 0..<3_000 {
        _ = world.step(l)
        equalize(l)
        #expect(publisher.handle.publish() == .ok)
        if k % 16 == 0 { await Task.yield() }
      }
      shared.isStopped.store(true, ordering: .releasing)
      return await group.next()!
    }
    #expect(found.mixed == 0)
    #expect(found.seen.count > 10)
    #expect(publisher.handle.publish() == .ok)
    #expect(distance(shared.value, l, [1, 2, 3, 4, 5, 6, 7]) <= 1e-5)
  }
}
