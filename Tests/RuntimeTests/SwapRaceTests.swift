import Base
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
    var m = Model(inputs: [.init("x", [1, 4])], outputs: [.init("y", [1, 4])], nodes: [Node("MatMul", ["x", "a"], ["v"]), Node("MatMul", ["v", "b"], ["y"])])
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
        repeat {
          steps += 1
          if steps % 1024 == 0 { await Task.yield() }  // other tests share these threads
          let y = step(shared.value, [1, 1, 1, 1])
          if y != [Float](repeating: y[0], count: 4) || ![1, 4].contains(y[0]) { mixed += 1 }
          seen.insert(y[0])
        } while !shared.isStopped.load(ordering: .acquiring)
        return (mixed, seen)
      }
      // Offers that find the last one waiting are refused; enough are adopted to meet every interleaving.
      var swaps = 0
      var offers = 0
      while swaps < 2_000 && offers < 10_000_000 {
        offers += 1
        if (try? shared.value.swap(to: policies[(swaps + 1) % 2])) != nil { swaps += 1 }
        if offers % 64 == 0 { await Task.yield() }
      }
      shared.isStopped.store(true, ordering: .releasing)
      let found = await group.next()!
      return (found, swaps)
    }
    #expect(counts.0.mixed == 0)
    #expect(counts.0.seen == [1, 4])
    #expect(counts.1 == 2_000)
  }
}
