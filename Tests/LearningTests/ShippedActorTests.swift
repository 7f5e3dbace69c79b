import Base
import Kernels
import Onnx
@testable import Runtime
import TestSupport
import Testing

/// What the change budget takes for the shipped actor stays the shipped actor while the other one learns.
@Suite struct ShippedActorTests {
  /// obs [1, 2] -> If the first number is above 0: obs w1, else obs w2 -> action [1, 2]
  private func branching() -> Model {
    let one = Model(
      inputs: [], outputs: [.init("t", [1, 2])],
      nodes: [Node("MatMul", ["obs", "w1"], ["m"]), Node("Tanh", ["m"], ["t"])])
    let other = Model(
      inputs: [], outputs: [.init("e", [1, 2])],
      nodes: [Node("MatMul", ["obs", "w2"], ["n"]), Node("Tanh", ["n"], ["e"])])
    return Model(
      inputs: [.init("obs", [1, 2])], outputs: [.init("action", [1, 2])],
      nodes: [
        Node("Gather", ["obs", "first"], ["x"], [.int("axis", 1)]), Node("Greater", ["x", "zero"], ["is"]),
        Node("If", ["is"], ["a"], [.graph("then_branch", one.graph), .graph("else_branch", other.graph)]),
        Node("Gemm", ["a", "w3", "b3"], ["action"]),
      ],
      initializers: [
        .init("first", ints: [0]), .init("zero", [0], [1]), .filled("w1", [2, 2]), .filled("w2", [2, 2]),
        .filled("w3", [2, 2]), .filled("b3", [2]),
      ])
  }

  @Test func weightsInBranchesAreTheShippedOnesToo() throws {
    let bytes = branching().bytes
    let copy = try Bytes.zeroed(bytes.count)
    bytes.withUnsafeBytes { copy.mutable.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    var loading = PolicyOptions()
    loading.isLearnable = true
    var o = LearnerOptions()
    o.settings.algorithm = .acContinuous
    o.watch.changeLimit = 1e9
    try o.start(from: PolicySettings(try Policy.load(copy, loading)))
    let owned = try OwnedLearner(o)
    let l = owned.learner
    let states = [[0.7, -0.2], [-0.4, 0.6]]
    func outputs(_ x: [Double], shipped: Bool) -> [Double] {
      l.settle()
      l.feedPolicy(raw: x, normalized: x)
      var net = shipped ? l.core.pointee.change!.pointee.shipped : l.core.pointee.actor
      eff_learn_forward(l.core.pointee.kernels, &net, 1, 0)
      l.core.pointee.state.pointee.isForwarded = false
      let y = net.output(row: 0, isDouble: false)
      return [y[0], y[1]]
    }
    let before = states.map { outputs($0, shipped: false) }
    var stream = Generator(seed: 3)
    var action = [0.0, 0.0]
    var x = states[0]
    for _ in 0..<200 {
      #expect(l.act(x, into: &action) == .ok)
      x = [stream.uniform() - 0.5, stream.uniform() - 0.5]
      var report = UpdateReport()
      #expect(l.update(Transition(observation: x, reward: stream.normal()), &report) == .ok)
    }
    for (k, state) in states.enumerated() {
      #expect(outputs(state, shipped: true) == before[k], "state \(k)")
      #expect(outputs(state, shipped: false) != before[k], "state \(k) has learned")
    }
  }
}
