import Base
import Graph
import Onnx
@testable import Runtime
import TestSupport
import Testing

/// Which products of a graph become layers that keep the traces of their weights, and that all gradients are those of
/// the graph, whatever reads and writes beside them.
@Suite struct LayerTests {
  private func bound(_ nodes: [Node], _ initializers: [Model.Tensor], inputs: [Model.Port] = [.init("obs", [1, 5])])
    throws -> BoundPlan
  {
    try BoundPlan(
      Model(inputs: inputs, outputs: [.init("y", dims: nil)], nodes: nodes, initializers: initializers, opset: 17))
  }
  private let x = [0.3, -0.5, 0.9, 0.1, -0.7]
  private let transposed = [Node.Attribute.int("transB", 1)]

  /// Both orders of a matrix in the file, wide and narrow, with bias and without.
  @Test func layersOfEveryForm() throws {
    for (activation, attributes) in [
      ("Relu", []), ("LeakyRelu", [Node.Attribute.float("alpha", 0.2)]), ("Tanh", []), ("Elu", []), ("Identity", []),
      ("Sigmoid", []),
    ] {
      let plan = try bound(
        [
          Node("Gemm", ["obs", "p1", "pb1"], ["a"], transposed), Node(activation, ["a"], ["b"], attributes),
          Node("MatMul", ["b", "p2"], ["c"]), Node(activation, ["c"], ["d"], attributes),
          Node("Gemm", ["d", "p3", "pb3"], ["e"]), Node(activation, ["e"], ["f"], attributes),
          Node("MatMul", ["f", "p4"], ["y"]),
        ],
        [
          .filled("p1", [19, 5]), .filled("pb1", [19]), .filled("p2", [19, 4]), .filled("p3", [4, 33]),
          .filled("pb3", [33]), .filled("p4", [33, 3]),
        ])
      #expect(plan.layers == 4, "\(activation)")
      #expect(plan.plan.loose == plan.plan.count, "\(activation): no parameter is left to the other ops")
      #expect(plan.worst(x) < 1e-7, "\(activation)")
    }
  }

  /// A trunk that two heads and a sum read: its gradient has three parts, of which only the first is written.
  @Test func aTrunkWithSeveralReaders() throws {
    let plan = try bound(
      [
        Node("Gemm", ["obs", "p1", "pb1"], ["a"], transposed), Node("Tanh", ["a"], ["t"]),
        Node("Gemm", ["t", "p2", "pb2"], ["m"], transposed), Node("Gemm", ["t", "p3", "pb3"], ["s"], transposed),
        Node("Sigmoid", ["s"], ["g"]), Node("Mul", ["m", "g"], ["h"]), Node("Add", ["h", "t"], ["y"]),
      ],
      [
        .filled("p1", [6, 5]), .filled("pb1", [6]), .filled("p2", [6, 6]), .filled("pb2", [6]), .filled("p3", [6, 6]),
        .filled("pb3", [6]),
      ])
    #expect(plan.layers == 3)
    #expect(plan.worst(x) < 1e-7)
  }

  /// Weights that are read twice, and a matrix of a graph that is no layer, keep gradients of their own.
  @Test func weightsThatAreReadTwiceAreNoLayers() throws {
    let plan = try bound(
      [
        Node("Gemm", ["obs", "p1", "pb1"], ["a"], transposed), Node("Tanh", ["a"], ["b"]),
        Node("Gemm", ["b", "p2", "pb1"], ["c"], transposed), Node("MatMul", ["c", "p2"], ["d"]),
        Node("Mul", ["d", "p3"], ["e"]), Node("Gemm", ["e", "p4", "pb4"], ["y"], transposed),
      ],
      [
        .filled("p1", [6, 5]), .filled("pb1", [6]), .filled("p2", [6, 6]), .filled("p3", [6]), .filled("p4", [2, 6]),
        .filled("pb4", [2]),
      ])
    #expect(plan.layers == 1)
    #expect(plan.plan.loose == 2 * 8 + 8, "the matrix [2, 6] and its bias, padded")
    #expect(plan.worst(x) < 1e-7)
  }

  /// Observations that lie next to each other are not padded, so that the first product cannot be a layer.
  @Test func aProductOfOneOfSeveralInputsIsNoLayer() throws {
    let plan = try bound(
      [
        Node("Gemm", ["obs", "p1", "pb1"], ["a"], transposed), Node("Gemm", ["more", "p2", "pb2"], ["b"], transposed),
        Node("Concat", ["a", "b"], ["c"], [.int("axis", 1)]), Node("Gemm", ["c", "p3", "pb3"], ["y"], transposed),
      ],
      [
        .filled("p1", [6, 5]), .filled("pb1", [6]), .filled("p2", [4, 3]), .filled("pb2", [4]), .filled("p3", [2, 10]),
        .filled("pb3", [2]),
      ], inputs: [.init("obs", [1, 5]), .init("more", [1, 3])])
    #expect(plan.layers == 1)
    #expect(plan.worst(x + [0.4, -0.2, 0.6]) < 1e-7)
  }

  /// A factor of the product, or of its bias.
  @Test func factorsCount() throws {
    let plan = try bound(
      [
        Node("Gemm", ["obs", "p1", "pb1"], ["a"], transposed + [.float("alpha", 0.5)]), Node("Tanh", ["a"], ["b"]),
        Node("Gemm", ["b", "p2", "pb2"], ["y"], transposed + [.float("beta", 2)]),
      ],
      [.filled("p1", [6, 5]), .filled("pb1", [6]), .filled("p2", [2, 6]), .filled("pb2", [2])])
    #expect(plan.worst(x) < 1e-7)
  }
}
