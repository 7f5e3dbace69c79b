import Base
import Kernels
import Onnx

/// A dense layer to be written: weights [outputs, inputs], bias [outputs].
struct DenseNumbers {
  var inputs: Int
  var weights: [Float]
  var bias: [Float]
}

/// Writes the layers of a described network as ONNX nodes (opset 17).
struct NetworkWriter {
  let hidden: HiddenLayers
  var prefix = ""
  /// Fields of a GraphProto.
  var graph = OnnxWriter()

  init(hidden: HiddenLayers, prefix: String = "") {
    self.hidden = hidden
    self.prefix = prefix
  }

  /// (x - mean) / deviation; returns the name of the result.
  mutating func normalizer(_ x: String, mean: [Float], deviation: [Float]) -> String {
    graph.initializer(prefix + "obs.mean", mean, [mean.count])
    graph.initializer(prefix + "obs.deviation", deviation, [mean.count])
    graph.node("Sub", [x, prefix + "obs.mean"], prefix + "obs.centered")
    graph.node("Div", [prefix + "obs.centered", prefix + "obs.deviation"], prefix + "obs.normalized")
    return prefix + "obs.normalized"
  }

  /// Rows of `count` numbers.
  mutating func flatten(_ x: String, _ count: Int) -> String {
    let shape: [Int64] = [-1, Int64(count)]
    shape.withUnsafeBytes {
      graph.message(5, OnnxWriter.tensor(prefix + "obs.shape", type: 7, [2], $0.baseAddress!, bytes: 16))
    }
    graph.node("Reshape", [x, prefix + "obs.shape"], prefix + "obs.flat")
    return prefix + "obs.flat"
  }

  /// A dense layer, with norm and activation where it is hidden.
  mutating func layer(_ name: String, _ x: String, _ numbers: DenseNumbers, isHidden: Bool) -> String {
    let n = numbers.bias.count
    let name = prefix + name
    graph.initializer(name + ".weight", numbers.weights, [n, numbers.inputs])
    graph.initializer(name + ".bias", numbers.bias, [n])
    var y = isHidden ? name + ".linear" : name
    graph.node("Gemm", [x, name + ".weight", name + ".bias"], y, ints: [("transB", 1)])
    guard isHidden else { return y }
    if hidden.hasLayerNorm {
      graph.initializer(name + ".scale", [Float](repeating: 1, count: n), [n])
      graph.node(
        "LayerNormalization", [y, name + ".scale"], name + ".norm",
        floats: [("epsilon", Float(hidden.layerNormEpsilon))])
      y = name + ".norm"
    }
    let alpha = [("alpha", Float(hidden.alpha))]
    switch Int(hidden.activation) {
    case EFF_FN_RELU: graph.node("Relu", [y], name)
    case EFF_FN_LEAKY_RELU: graph.node("LeakyRelu", [y], name, floats: alpha)
    case EFF_FN_TANH: graph.node("Tanh", [y], name)
    case EFF_FN_ELU: graph.node("Elu", [y], name, floats: alpha)
    case EFF_FN_SWISH:
      graph.node("Sigmoid", [y], name + ".gate")
      graph.node("Mul", [y, name + ".gate"], name)
    default: graph.node("Identity", [y], name)
    }
    return name
  }

  /// std = min(floor + softplus(std.pre), ceiling)
  mutating func std(floor: Double, ceiling: Double) {
    graph.initializer("std.floor", [Float(floor)], [])
    graph.node("Softplus", ["std.pre"], "std.soft")
    graph.node("Add", ["std.soft", "std.floor"], ceiling.isFinite ? "std.free" : "std")
    guard ceiling.isFinite else { return }
    graph.initializer("std.ceiling", [Float(ceiling)], [])
    graph.node("Min", ["std.free", "std.ceiling"], "std")
  }

  /// bound tanh(x), as "bounded"
  mutating func bounded(_ x: String, by bound: Float) {
    graph.initializer(prefix + "bound", [bound], [])
    graph.node("Tanh", [x], prefix + "tanh")
    graph.node("Mul", [prefix + "tanh", prefix + "bound"], prefix + "bounded")
  }
}
