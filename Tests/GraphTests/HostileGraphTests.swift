import Base
@testable import Graph
import Onnx
import TestSupport
import Testing


/// Graphs that are well-formed, but ask for too much or lead outside their tensors.
@Suite struct HostileGraphTests {
  private func build(_ m: Model, limit: Int = 64 << 20) -> Result<Graph, Failure> {
    m.bytes.withUnsafeBytes { raw in
      Result { () throws(Failure) in
        var options = BuildOptions()
        options.memoryLimit = limit
        return try Builder.build(
          try OnnxReader.read(Bytes.borrowed(raw.baseAddress!, raw.count), memoryLimit: 1 << 30), options)
      }
    }
  }

  private func failure(
    _ nodes: [Node], _ initializers: [Model.Tensor] = [], inputs: [Model.Port] = [.init("x", [2, 3])],
    opset: Int64 = 18, limit: Int = 64 << 20
  ) -> String {
    let m = Model(inputs: inputs, outputs: [.init("y", [1])], nodes: nodes, initializers: initializers, opset: opset)
    guard case .failure(let f) = build(m, limit: limit) else { return "no failure" }
    return f.message
  }

  @Test func anAxisSlicedTwiceCannotLeaveTheTensor() {
    let found = failure(
      [Node("Slice", ["x", "starts", "ends", "axes"], ["y"])],
      [.init("starts", ints: [2, 2, 2]), .init("ends", ints: [3, 3, 3]), .init("axes", ints: [1, 1, 1])])
    #expect(found == "node #0 (Slice): axes [1, 1, 1] name an axis twice")
  }

  @Test func sizesWhoseProductOverflowsAreRefused() {
    let most = Int64.max
    #expect(
      failure([Node("Tile", ["x", "r"], ["y"])], [.init("r", ints: [most, most])]).contains("has too many elements"))
    #expect(
      failure(
        [Node("Expand", ["one", "s"], ["y"])],
        [.init("one", [1]), .init("s", ints: [Int64](repeating: most, count: 8))]
      ).contains("too many elements"))
    #expect(
      failure([Node("Expand", ["one", "s"], ["y"])], [.init("one", [1]), .init("s", ints: [1 << 20, 1 << 20])])
        .contains("exceeds the memory limit of 67108864 bytes"))
    #expect(
      failure([Node("ConstantOfShape", ["s"], ["y"])], [.init("s", ints: [1 << 40])]).contains(
        "exceeds the memory limit"))
    #expect(
      failure([Node("Pad", ["x", "p"], ["y"])], [.init("p", ints: [most, most, most, most])]).contains(
        "too many elements"))
    #expect(
      failure([Node("Pad", ["x", "p"], ["y"], [.text("mode", "edge")])], [.init("p", ints: [0, 0, most, 0])]).contains(
        "pads axis 0 to 2147483649 elements"))
    #expect(
      failure([Node("Pad", ["x", "p"], ["y"], [.text("mode", "edge")])], [.init("p", ints: [0, 0, 1 << 30, 0])])
        .contains("memory limit"))
    #expect(
      failure(
        [Node("Range", ["a", "b", "c"], ["y"])], [.init("a", [0], []), .init("b", [-1e30], []), .init("c", [1], [])])
        == "no failure")
    #expect(
      failure(
        [Node("Range", ["a", "b", "c"], ["y"])], [.init("a", [0], []), .init("b", [1e30], []), .init("c", [1], [])]
      ).contains("memory limit"))
    #expect(
      failure(
        [Node("OneHot", ["i", "d", "v"], ["y"])], [.init("i", ints: [0]), .init("d", [.nan], []), .init("v", [0, 1])]
      ).contains("needs a positive depth"))
    #expect(
      failure([Node("Cast", ["x"], ["y"], [.int("to", 1 << 31)])]).contains("casts to element type of code 2147483647"))
    #expect(
      failure(
        [Node("SpaceToDepth", ["e"], ["y"], [.int("blocksize", (1 << 20) - 1)])],
        [.init("e", type: 1, dims: [1, 1 << 30, 0, 0], raw: [])]
      ).contains("too many elements"))
  }

  @Test func rankAboveEightIsRefusedWhereItArises() {
    let eight = [Int64](repeating: 1, count: 8)
    #expect(
      failure([Node("Gather", ["x", "i"], ["y"])], [.init("i", ints: [0], eight)], inputs: [.init("x", eight)])
        .contains("rank 15, expected at most 8"))
    #expect(
      failure(
        [Node("Einsum", ["x", "x"], ["y"], [.text("equation", "abcde,fghij->a")])],
        inputs: [.init("x", [1, 1, 1, 1, 1])]
      ).contains("rank 10, expected at most 8"))
  }

  @Test func splittingIntoMoreOutputsThanTheNodeHasIsRefused() {
    #expect(
      failure([Node("Split", ["x"], ["y"], [.int("num_outputs", 1 << 30)])])
        == "node #0 (Split): num_outputs is 1073741824, but the node has 1 outputs")
  }

  @Test func aLoopOfTwoBillionTripsIsRefusedInBoundedTime() {
    let clock = ContinuousClock()
    let took = clock.measure {
      guard case .failure(let f) = build(Model.control(trips: 1 << 31)) else {
        Issue.record("no failure")
        return
      }
      #expect(
        f.message
          == "the model has more than 100000 nodes after unrolling its loops and functions; export a smaller one")
    }
    #expect(took < .seconds(60))  // 3 s without run-time checks
  }

  @Test func functionsThatCallEachOtherManyTimesAreBounded() {
    var m = Model(
      inputs: [.init("x", [1])], outputs: [.init("y", [1])], nodes: [Node("f0", ["x"], ["y"], domain: "local")])
    m.domains = ["local"]
    for i in 0..<16 {
      let calls = (0..<64).map {
        Node(i == 15 ? "Relu" : "f\(i + 1)", ["a\($0)"], ["a\($0 + 1)"], domain: i == 15 ? "" : "local")
      }
      m.functions.append(.init("f\(i)", domain: "local", inputs: ["a0"], outputs: ["a64"], nodes: calls))
    }
    guard case .failure(let f) = build(m) else {
      Issue.record("no failure")
      return
    }
    #expect(f.message.contains("more than 100000 nodes"))
  }

  @Test func aFunctionThatCallsItselfIsRefused() {
    var m = Model(
      inputs: [.init("x", [1])], outputs: [.init("y", [1])], nodes: [Node("f", ["x"], ["y"], domain: "local")])
    m.functions = [
      .init("f", domain: "local", inputs: ["a"], outputs: ["b"], nodes: [Node("f", ["a"], ["b"], domain: "local")])
    ]
    guard case .failure(let f) = build(m) else {
      Issue.record("no failure")
      return
    }
    #expect(f.message.hasSuffix("node #0 (f): functions call each other more than 16 deep"))
    #expect(f.message.utf8.count < 300)
  }

  @Test func subgraphsNestedTooDeepAreRefused() {
    var inner = Model(inputs: [], outputs: [.init("t", [2, 3])], nodes: [Node("Relu", ["x"], ["t"])])
    for _ in 0..<20 {
      inner = Model(
        inputs: [], outputs: [.init("t", [2, 3])],
        nodes: [Node("If", ["yes"], ["t"], [.graph("then_branch", inner.graph)])])
    }
    #expect(
      failure(
        [Node("If", ["yes"], ["y"], [.graph("then_branch", inner.graph)])], [.init("yes", type: 9, dims: [], raw: [1])]
      ).contains("nested more than"))
  }

  @Test func foldingThatTakesTooLongIsRefused() {
    let found = failure(
      [Node("ConstantOfShape", ["s"], ["a"]), Node("MatMul", ["a", "a"], ["y"])], [.init("s", ints: [3000, 3000])])
    #expect(found.hasPrefix("node #1 (MatMul): computing its constants at load takes more than"))
  }
}
