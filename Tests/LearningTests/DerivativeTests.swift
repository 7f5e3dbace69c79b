import Base
import Graph
import Onnx
import Runtime
import TestSupport
import Testing

/// One operator of ONNX and the shapes that it is tried with.
struct OpCase: CustomTestStringConvertible, @unchecked Sendable {
  let op: String
  let shapes: [[Int64]]
  var attributes: [Node.Attribute] = []
  /// Initializers of other types, after the parameters.
  var extra: [Model.Tensor] = []
  /// Where the parameters lie.
  var low = -0.9
  var high = 0.9
  var opset: Int64 = 18
  var outputs = 1

  var testDescription: String { "\(op) \(shapes) \(attributes.count)" }

  func model() -> Model {
    var parameters: [Model.Tensor] = []
    for (k, s) in shapes.enumerated() {
      let n = Int(s.reduce(1, *))
      // no two alike, none at a corner of a function
      var values: [Float] = []
      for i in 0..<n {
        let share = Double((i * 7 + k * 3 + 1) * 101 % 997) / 997
        values.append(Float(low + (high - low) * share))
      }
      parameters.append(Model.Tensor("p\(k)", values, s))
    }
    let names = parameters.map(\.name) + extra.map(\.name)
    let results = (0..<outputs).map { "y\($0)" }
    // squared, so that what the operator gives matters for its gradient
    var nodes = [Node(op, names, results, attributes)]
    nodes.append(Node("Mul", [results[outputs - 1], results[outputs - 1]], ["out"]))
    return Model(
      inputs: [], outputs: [.init("out", dims: nil)], nodes: nodes, initializers: parameters + extra, opset: opset)
  }
}

private func ints(_ name: String, _ v: [Int64]) -> Model.Tensor { Model.Tensor(name, ints: v) }

private let plain: [String] = [
  "Relu", "Tanh", "Sigmoid", "Softplus", "Softsign", "Mish", "HardSwish", "Exp", "Neg", "Abs", "Sin", "Cos", "Tan",
  "Asin", "Acos", "Atan", "Sinh", "Cosh",
  "Asinh", "Atanh", "Erf", "Elu", "LeakyRelu", "Selu", "Celu", "HardSigmoid", "Identity",
]

private let unaries: [OpCase] = plain.map { OpCase(op: $0, shapes: [[2, 5]], opset: 22) } + otherUnaries

private let otherUnaries: [OpCase] = [
  OpCase(op: "HardSwish", shapes: [[9]], low: -5, high: 5),
  OpCase(op: "HardSigmoid", shapes: [[9]], attributes: [.float("alpha", 0.4)], low: -5, high: 5),
  OpCase(op: "Log", shapes: [[7]], low: 0.2, high: 3), OpCase(op: "Sqrt", shapes: [[7]], low: 0.2, high: 3),
  OpCase(op: "Reciprocal", shapes: [[7]], low: 0.2, high: 3), OpCase(op: "Acosh", shapes: [[7]], low: 1.2, high: 3),
  OpCase(op: "ThresholdedRelu", shapes: [[7]], attributes: [.float("alpha", 0.3)], low: -2, high: 2),
  OpCase(op: "Gelu", shapes: [[7]], low: -3, high: 3, opset: 20),
  OpCase(op: "Gelu", shapes: [[7]], attributes: [.text("approximate", "tanh")], low: -3, high: 3, opset: 20),
  OpCase(op: "Clip", shapes: [[9]], extra: [.init("low", [-0.5], []), .init("high", [0.4], [])]),
  OpCase(op: "Swish", shapes: [[7]], attributes: [.float("alpha", 1.3)], low: -3, high: 3, opset: 24),
  OpCase(op: "Shrink", shapes: [[9]], low: -2, high: 2),
  OpCase(op: "Celu", shapes: [[9]], attributes: [.float("alpha", 0.7)], low: -2, high: 2),
  OpCase(op: "Sign", shapes: [[5]]), OpCase(op: "Floor", shapes: [[5]]),
]

private let pairShapes: [[[Int64]]] = [[[3, 4], [3, 4]], [[2, 3, 4], [4]], [[3, 1], [1, 4]], [[1], [2, 3]]]

private let pairs: [OpCase] =
  ["Add", "Sub", "Mul", "Max", "Min"].flatMap { op in pairShapes.map { OpCase(op: op, shapes: $0) } } + otherPairs

private let otherPairs: [OpCase] = [
  OpCase(op: "Div", shapes: [[3, 4], [4]], low: 0.3, high: 2),
  OpCase(op: "Pow", shapes: [[3, 4], [4]], low: 0.3, high: 2),
  OpCase(op: "Pow", shapes: [[3, 4]], extra: [.init("two", [2], [])]),
  OpCase(op: "Pow", shapes: [[5]], extra: [.init("three", [3], [])]),
  OpCase(op: "PRelu", shapes: [[3, 4], [4]]), OpCase(op: "Mean", shapes: [[3, 4], [4], [3, 1]]),
  OpCase(op: "Sum", shapes: [[4], [4], [4]]),
  OpCase(op: "MatMul", shapes: [[3, 4], [4, 5]]), OpCase(op: "MatMul", shapes: [[2, 3, 4], [4, 5]]),
  OpCase(op: "MatMul", shapes: [[2, 1, 3, 4], [3, 4, 2]]),
  OpCase(op: "MatMul", shapes: [[4], [4, 3]]), OpCase(op: "MatMul", shapes: [[2, 4], [4]]),
  OpCase(op: "Gemm", shapes: [[1, 7], [7, 3], [3]]),
  OpCase(
    op: "Gemm", shapes: [[2, 7], [3, 7], [2, 3]],
    attributes: [.int("transB", 1), .float("alpha", 0.7), .float("beta", 1.3)]),
  OpCase(op: "Gemm", shapes: [[7, 2], [3, 7], [2, 1]], attributes: [.int("transA", 1), .int("transB", 1)]),
  OpCase(op: "Gemm", shapes: [[7, 2], [7, 3]], attributes: [.int("transA", 1)]),
  OpCase(op: "Einsum", shapes: [[2, 3], [4, 3]], attributes: [.text("equation", "ij,kj->ik")]),
]

private let moves: [OpCase] = [
  OpCase(op: "Transpose", shapes: [[2, 3, 4]], attributes: [.ints("perm", [2, 0, 1])]),
  OpCase(op: "Flatten", shapes: [[2, 3, 4]]),
  OpCase(op: "Concat", shapes: [[2, 3], [2, 1], [2, 2]], attributes: [.int("axis", 1)]),
  OpCase(op: "Concat", shapes: [[3], [3]], attributes: [.int("axis", 0)]),
  OpCase(op: "Split", shapes: [[6, 2]], attributes: [.int("axis", 0), .int("num_outputs", 3)], outputs: 3),
  OpCase(
    op: "Slice", shapes: [[5, 6]],
    extra: [ints("s", [4, 1]), ints("e", [0, 6]), ints("a", [0, 1]), ints("t", [-2, 2])]),
  OpCase(op: "Gather", shapes: [[4, 3]], attributes: [.int("axis", 1)], extra: [.init("i", ints: [2, 0, 2], [3])]),
  OpCase(
    op: "GatherElements", shapes: [[3, 2]], attributes: [.int("axis", 0)],
    extra: [.init("i", ints: [0, 2, -1, 2], [2, 2])]),
  OpCase(op: "Reshape", shapes: [[2, 6]], extra: [ints("s", [3, 4])]),
  OpCase(op: "Squeeze", shapes: [[2, 1, 3]], extra: [ints("a", [1])]),
  OpCase(op: "Unsqueeze", shapes: [[2, 3]], extra: [ints("a", [0, 2])]),
  OpCase(op: "Expand", shapes: [[3, 1]], extra: [ints("s", [2, 3, 4])]),
  OpCase(op: "Tile", shapes: [[2, 3]], extra: [ints("r", [2, 2])]),
  OpCase(op: "Pad", shapes: [[2, 3]], extra: [ints("around", [1, 0, 0, 2])]),
  OpCase(op: "DepthToSpace", shapes: [[1, 8, 2, 3]], attributes: [.int("blocksize", 2)]),
]

private let reduced: [String] = [
  "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp",
  "ReduceSumSquare",
]

private let reductions: [OpCase] =
  reduced.map { OpCase(op: $0, shapes: [[2, 3, 4]], extra: [ints("a", [1])]) }
  + reduced.map {
    OpCase(op: $0, shapes: [[2, 3, 4]], attributes: [.int("keepdims", 0)], extra: [ints("a", [0, -1])])
  } + otherReductions

private let otherReductions: [OpCase] = [
  OpCase(op: "ReduceLogSum", shapes: [[2, 3]], extra: [ints("a", [1])], low: 0.2, high: 2),
  OpCase(op: "Softmax", shapes: [[3, 5]]), OpCase(op: "Softmax", shapes: [[2, 4, 3]], attributes: [.int("axis", 1)]),
  OpCase(op: "LogSoftmax", shapes: [[3, 5]]),
  OpCase(op: "GlobalAveragePool", shapes: [[1, 3, 4, 2]]), OpCase(op: "GlobalMaxPool", shapes: [[1, 3, 4, 2]]),
  OpCase(op: "LayerNormalization", shapes: [[3, 8], [8], [8]]), OpCase(op: "LayerNormalization", shapes: [[3, 8], [8]]),
  OpCase(op: "LayerNormalization", shapes: [[2, 3, 4], [3, 4], [3, 4]], attributes: [.int("axis", 1)]),
  OpCase(op: "RMSNormalization", shapes: [[3, 8], [8]], opset: 23),
  OpCase(op: "GroupNormalization", shapes: [[2, 6, 4], [6], [6]], attributes: [.int("num_groups", 3)], opset: 21),
  OpCase(op: "InstanceNormalization", shapes: [[2, 3, 5], [3], [3]]),
  OpCase(
    op: "BatchNormalization", shapes: [[2, 3, 4], [3], [3]],
    extra: [.init("m", [0.1, -0.2, 0.3]), .init("v", [0.5, 1, 2])]),
  OpCase(op: "MeanVarianceNormalization", shapes: [[2, 3, 4]], attributes: [.ints("axes", [0, 2])]),
  OpCase(op: "LpNormalization", shapes: [[3, 4]]),
]

private let windows: [OpCase] = [
  OpCase(op: "Conv", shapes: [[1, 2, 7], [3, 2, 3], [3]]),
  OpCase(
    op: "Conv", shapes: [[2, 4, 6], [6, 2, 2]],
    attributes: [.int("group", 2), .ints("strides", [2]), .ints("pads", [1, 0])]),
  OpCase(
    op: "Conv", shapes: [[1, 2, 5, 6], [3, 2, 3, 2], [3]],
    attributes: [.ints("pads", [1, 1, 0, 1]), .ints("strides", [2, 1]), .ints("dilations", [1, 2])]),
  OpCase(op: "Conv", shapes: [[1, 1, 3, 4, 3], [2, 1, 2, 2, 2]]),
  OpCase(op: "ConvTranspose", shapes: [[1, 2, 4], [2, 3, 3], [3]]),
  OpCase(
    op: "ConvTranspose", shapes: [[1, 4, 3, 4], [4, 1, 2, 3], [2]],
    attributes: [.int("group", 2), .ints("strides", [2, 1]), .ints("pads", [1, 0, 0, 1])]),
  OpCase(
    op: "MaxPool", shapes: [[1, 2, 6, 5]],
    attributes: [.ints("kernel_shape", [3, 2]), .ints("strides", [2, 1]), .ints("pads", [1, 0, 1, 1])]),
  OpCase(
    op: "AveragePool", shapes: [[1, 2, 6, 5]],
    attributes: [.ints("kernel_shape", [3, 2]), .ints("strides", [2, 2]), .ints("pads", [1, 1, 1, 0])]),
  OpCase(
    op: "AveragePool", shapes: [[1, 1, 7]],
    attributes: [
      .ints("kernel_shape", [3]), .ints("strides", [2]), .ints("pads", [1, 1]), .int("count_include_pad", 1),
      .int("ceil_mode", 1),
    ]),
  OpCase(op: "LpPool", shapes: [[1, 2, 6]], attributes: [.ints("kernel_shape", [3]), .int("p", 3)]),
]

/// The derivative of every operator that has one, against central differences in double.
@Suite struct DerivativeTests {
  @Test(arguments: unaries + pairs + moves + reductions + windows)
  func theGradientIsThatOfCentralDifferences(_ c: OpCase) throws {
    let bound = try BoundPlan(c.model())
    let worst = bound.worst()
    #expect(worst < 2e-8)
  }

  @Test func aChoiceBetweenTensorsPassesEachItsPart() throws {
    let model = Model(
      inputs: [], outputs: [.init("out", dims: nil)],
      nodes: [
        Node("Greater", ["p0", "p1"], ["c"]), Node("Where", ["c", "p0", "p1"], ["y"]),
        Node("Mul", ["y", "y"], ["out"]),
      ],
      initializers: [.filled("p0", [3, 4]), .init("p1", [0.01, -0.3, 0.2, 0.4])])
    #expect(try BoundPlan(model).worst() < 2e-8)
  }

  /// A chain of operators drawn at random, in which results are used several times.
  @Test(arguments: 0..<60)
  func randomGraphsHaveTheGradientOfCentralDifferences(_ seed: Int) throws {
    var random = SplitMix(UInt64(seed) &* 7919 &+ 1)
    var nodes: [Node] = []
    var tensors: [Model.Tensor] = []
    func parameter(_ dims: [Int64]) -> String {
      let n = Int(dims.reduce(1, *))
      tensors.append(Model.Tensor("p\(tensors.count)", (0..<n).map { _ in Float(random.unit() - 0.5) }, dims))
      return tensors.last!.name
    }
    var widths = ["x": 5]
    var names = ["x"]
    for k in 0..<12 {
      let from = names[Int(random.unit() * Double(names.count))]
      let n = widths[from]!
      let to = "t\(k)"
      widths[to] = n
      switch Int(random.unit() * 9) {
      case 0:
        let out = 2 + Int(random.unit() * 6)
        nodes.append(
          Node("Gemm", [from, parameter([Int64(out), Int64(n)]), parameter([Int64(out)])], [to], [.int("transB", 1)]))
        widths[to] = out
      case 1:
        let out = 2 + Int(random.unit() * 6)
        nodes.append(Node("MatMul", [from, parameter([Int64(n), Int64(out)])], [to]))
        widths[to] = out
      case 2: nodes.append(Node("Tanh", [from], [to]))
      case 3: nodes.append(Node("LayerNormalization", [from, parameter([Int64(n)]), parameter([Int64(n)])], [to]))
      case 4: nodes.append(Node("Softplus", [from], [to]))
      case 5: nodes.append(Node("Mul", [from, parameter([Int64(n)])], [to]))
      case 6:
        let other = names.last { widths[$0] == n }!
        nodes.append(Node("Add", [from, other], [to]))
      case 7:
        let other = names[Int(random.unit() * Double(names.count))]
        nodes.append(Node("Concat", [from, other], [to], [.int("axis", 1)]))
        widths[to] = n + widths[other]!
      default: nodes.append(Node("Softmax", [from], [to]))
      }
      names.append(to)
    }
    let last = "t11"
    nodes.append(Node("Mul", [last, parameter([1, Int64(widths[last]!)])], ["out"]))
    let model = Model(
      inputs: [.init("x", [1, 5])], outputs: [.init("out", dims: nil)], nodes: nodes, initializers: tensors, opset: 18)
    let bound = try BoundPlan(model)
    #expect(bound.worst([0.3, -0.7, 0.9, -0.1, 0.5]) < 1e-7)
  }

  @Test func anOperatorWithoutDerivativeIsNamed() throws {
    let model = Model(
      inputs: [.init("x", [1, 4])], outputs: [.init("out", dims: nil)],
      nodes: [Node("Gemm", ["x", "p0"], ["h"]), Node("CumSum", ["h", "axis"], ["out"], name: "sum")],
      initializers: [.filled("p0", [4, 4]), .init("axis", ints: [1], [])], opset: 18)
    let error = try #require(throws: Failure.self) { try BoundPlan(model) }
    #expect(error.message.contains("node 'sum' (CumSum): has no derivative"))
  }
}

/// splitmix64.
struct SplitMix {
  private var x: UInt64
  init(_ seed: UInt64) { x = seed }
  mutating func unit() -> Double {
    x &+= 0x9E37_79B9_7F4A_7C15
    var z = x
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
  }
}
