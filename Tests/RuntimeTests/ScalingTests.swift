import Base
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// Loading takes time in proportion to the file: eight times as much of anything costs far less than the 64 times of a
/// quadratic load.
@Suite(.serialized) struct ScalingTests {
  private func seconds(_ m: Model) -> Double {
    let bytes = m.bytes
    let took = ContinuousClock().measure { _ = try? load(bytes) }
    return Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
  }

  /// The least of several loads, small and large in turn: on a busy machine each may be late, but not all.
  private func expectLinear(_ what: String, _ size: Int, _ make: (Int) -> Model) {
    let (small, large) = (make(size), make(8 * size))
    var least = (seconds(small), seconds(large))
    for _ in 0..<8 where least.1 / least.0 >= 24 {
      least = (min(least.0, seconds(small)), min(least.1, seconds(large)))
    }
    #expect(least.1 / least.0 < 28, "\(what): \(size) take \(least.0) s, \(8 * size) take \(least.1) s")
  }

  private func io(_ nodes: [Node], _ initializers: [Model.Tensor] = [], outputs: [Model.Port] = [.init("y", [4])])
    -> Model
  {
    Model(inputs: [.init("x", [4])], outputs: outputs, nodes: nodes, initializers: initializers)
  }

  @Test func chainsOfNodes() {
    expectLinear("a chain", 100) { n in
      io((0..<n).map { Node("Sin", [$0 == 0 ? "x" : "v\($0)"], [$0 == n - 1 ? "y" : "v\($0 + 1)"]) })
    }
    expectLinear("a chain of sums with one value", 100) { n in
      io((0..<n).map { Node("Add", [$0 == 0 ? "x" : "v\($0)", "x"], [$0 == n - 1 ? "y" : "v\($0 + 1)"]) })
    }
    expectLinear("a chain of layers", 60) { n in
      io(
        (0..<n).map { Node("Gemm", [$0 == 0 ? "x2" : "v\($0)", "w\($0)"], ["v\($0 + 1)"]) } + [
          Node("Flatten", ["v\(n)"], ["y"])
        ],
        (0..<n).map { .filled("w\($0)", [4, 4]) } + [.filled("x2", [1, 4])], outputs: [.init("y", [1, 4])])
    }
  }

  @Test func wideNodes() {
    expectLinear("inputs of one node", 100) { n in
      io(
        [Node("Concat", [String](repeating: "x", count: n), ["y"], [.int("axis", 0)])],
        outputs: [.init("y", [Int64(4 * n)])])
    }
    expectLinear("outputs of one node", 60) { n in
      Model(
        inputs: [.init("x", [Int64(n)])], outputs: [.init("v0", [1])],
        nodes: [Node("Split", ["x"], (0..<n).map { "v\($0)" }, [.int("axis", 0)])], opset: 13)
    }
    expectLinear("readers of one value", 100) { n in
      io((0..<n).map { Node("Sin", ["x"], ["v\($0)"]) } + [Node("Sum", (0..<n).map { "v\($0)" }, ["y"])])
    }
  }

  @Test func lists() {
    expectLinear("initializers", 500) { n in io([Node("Relu", ["x"], ["y"])], (0..<n).map { .filled("w\($0)", [4]) }) }
    expectLinear("initializers of one name", 500) { n in
      io([Node("Relu", ["x"], ["y"])], (0..<n).map { _ in .filled("w", [4]) })
    }
    expectLinear("graph outputs", 60) { n in
      io((0..<n).map { Node("Sin", ["x"], ["y\($0)"]) }, outputs: (0..<n).map { .init("y\($0)", [4]) })
    }
    expectLinear("graph inputs", 60) { n in
      Model(
        inputs: (0..<n).map { .init("x\($0)", [4]) }, outputs: [.init("y", [4])],
        nodes: [Node("Sum", (0..<n).map { "x\($0)" }, ["y"])])
    }
    expectLinear("recurrent states", 30) { n in
      Model(
        inputs: [.init("x", [4])] + (0..<n).map { .init("h\($0)_in", [4]) },
        outputs: [.init("y", [4])] + (0..<n).map { .init("h\($0)_out", [4]) },
        nodes: [Node("Relu", ["x"], ["y"])] + (0..<n).map { Node("Add", ["h\($0)_in", "x"], ["h\($0)_out"]) })
    }
    expectLinear("metadata", 500) { n in
      var m = io([Node("Relu", ["x"], ["y"])])
      m.metadata = (0..<n).map { ("key\($0)", "value") }
      return m
    }
    expectLinear("bytes of a name", 20_000) { n in
      io([Node("Relu", ["x"], ["y"], name: String(repeating: "a", count: n))])
    }
  }

  @Test func bodies() {
    expectLinear("trips of a loop", 60) { n in Model.control(trips: Int64(n)) }
    expectLinear("functions", 100) { n in
      var m = io((0..<n).map { Node("f\($0)", ["x"], [$0 == n - 1 ? "y" : "v\($0)"], domain: "local") })
      m.domains = ["local"]
      m.functions = (0..<n).map {
        .init("f\($0)", domain: "local", inputs: ["a"], outputs: ["b"], nodes: [Node("Sin", ["a"], ["b"])])
      }
      return m
    }
  }
}
