import Base
@testable import CABI
import CEfferent
import Kernels
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// Swaps from one thread while another steps: no step sees a mixture, and the thread sanitizer sees no race
/// (`swift test --sanitize=thread --filter SwapRace`).
@Suite struct SwapRaceTests {
  /// An mlp whose action is `scale` times that of another.
  private func scaled(_ scale: Float) -> Model {
    var m = Model(
      inputs: [.init("x", [1, 4])], outputs: [.init("y", [1, 4])],
      nodes: [Node("MatMul", ["x", "a"], ["v"]), Node("MatMul", ["v", "b"], ["y"])])
    let diagonal = (0..<16).map { Float($0 % 5 == 0 ? scale : 0) }
    m.initializers = [.init("a", diagonal, [4, 4]), .init("b", diagonal, [4, 4])]
    return m
  }

  @Test func stepsSeeOneSetOfWeights() async throws {
    let policies = [try load(scaled(1)), try load(scaled(2))]
    let shared = Shared(try session(policies[0]))
    let counts = await withTaskGroup(of: (mixed: Int, seen: Set<Float>).self) { group in
      group.addTask {
        var (mixed, seen, steps) = (0, Set<Float>(), 0)
        var isLast = false
        repeat {
          isLast = shared.isStopped.load(ordering: .acquiring)  // one more step after the last offer
          steps += 1
          if steps % 1024 == 0 { await Task.yield() }  // other tests share these threads
          let y = step(shared.value, [1, 1, 1, 1])
          if y != [Float](repeating: y[0], count: 4) || ![1, 4].contains(y[0]) { mixed += 1 }
          seen.insert(y[0])
          shared.hasBegun.store(true, ordering: .releasing)
        } while !isLast
        return (mixed, seen)
      }
      // offers that wait are replaced, in between others are reclaimed: enough to meet every interleaving
      var swaps = 0
      while !shared.hasBegun.load(ordering: .acquiring) { await Task.yield() }
      while swaps < 20_000 {
        // the last one is not what the session began with
        if (try? shared.value.swap(to: policies[swaps % 2])) != nil { swaps += 1 } else { break }
        if swaps % 3 == 0 { shared.value.reclaim() }
        if swaps % 64 == 0 { await Task.yield() }
      }
      shared.isStopped.store(true, ordering: .releasing)
      let found = await group.next()!
      return (found, swaps)
    }
    #expect(counts.0.mixed == 0)
    #expect(counts.0.seen == [1, 4])
    #expect(counts.1 == 20_000)
  }

  /// Whatever becomes of an offer, its policy is freed once, and not before its session is done with it.
  @Test func offeredPoliciesAreFreed() throws {
    final class Watch { weak var policy: Policy? }
    var watches: [Watch] = []
    func fresh() throws -> Policy {
      let policy = try load(scaled(Float(watches.count + 2)))
      let watch = Watch()
      watch.policy = policy
      watches.append(watch)
      return policy
    }
    func alive() -> [Int] { watches.indices.filter { watches[$0].policy != nil } }
    let s = try session(try load(scaled(1)))
    for _ in 0..<5 { try s.swap(to: try fresh()) }
    #expect(alive() == [4])
    #expect(step(s, [1, 1, 1, 1])[0] == 36)
    for _ in 0..<3 { try s.swap(to: try fresh()) }
    #expect(alive() == [4, 7])
    #expect(step(s, [1, 1, 1, 1])[0] == 81)
    #expect(alive() == [4, 7])
    s.reclaim()
    #expect(alive() == [7])
    s.reclaim()
    #expect(step(s, [1, 1, 1, 1])[0] == 81)
  }

  /// A const handle may be used by many threads: sessions of one policy are made, stepped and destroyed at the same
  /// time, and references counted.
  @Test func manyThreadsMakeSessionsOfOnePolicy() async throws {
    let bytes = scaled(2).bytes
    var made: OpaquePointer? = nil
    #expect(eff_policy_load_memory(bytes, bytes.count, nil, &made) == 0)
    let policy = UInt(bitPattern: made)
    let sums = await withTaskGroup(of: Float.self) { group in
      for _ in 0..<4 {
        group.addTask {
          let policy = OpaquePointer(bitPattern: policy)
          var sum: Float = 0
          for _ in 0..<100 {
            var s: OpaquePointer? = nil
            let kept = eff_policy_retain(policy)
            guard eff_session_create(kept, nil, &s) == 0 else { return -1 }
            eff_policy_release(kept)
            var y: [Float] = [0, 0, 0, 0]
            guard eff_session_step(s, 1, [1, 1, 1, 1], &y) == 0 else { return -2 }
            sum += y[0]
            eff_session_destroy(s)
          }
          return sum
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(sums == [400, 400, 400, 400])
    eff_policy_release(made)
    #expect(eff_policy_retain(made) == nil && eff_policy_input_count(made) == 0)
  }
}
