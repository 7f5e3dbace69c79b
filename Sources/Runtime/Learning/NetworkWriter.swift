import Base
import Kernels
import Onnx

/// A dense layer to be written: weights [outputs, inputs], bias [outputs].
struct DenseNumbers {
  var inputs: Int
  var weights: [Float]
  var bias: [Float]
}

/// Recurrent trace units to be written: h = (cosines + i sines) h + W x, W [2 units, inputs] real parts first.
struct DiagonalNumbers {
  var inputs: Int
  var weights: [Float]
  var cosines: [Float]
  var sines: [Float]
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

  /// Recurrent units with their state as the ports h_in and c_in [1, units], real and imaginary parts. Returns the name
  /// of [h, c, x].
  mutating func recurrent(_ x: String, _ numbers: DiagonalNumbers) -> String {
    let n = numbers.cosines.count
    graph.initializer("recurrent.along", numbers.cosines, [n])
    graph.initializer("recurrent.across", numbers.sines, [n])
    for (k, part) in ["h", "c"].enumerated() {
      let half = numbers.weights.count / 2
      graph.port(11, part + "_in", n)
      graph.initializer(
        "recurrent.weight." + part, Array(numbers.weights[k * half..<(k + 1) * half]), [n, numbers.inputs])
      graph.node("Gemm", [x, "recurrent.weight." + part], "recurrent.driven." + part, ints: [("transB", 1)])
      graph.node("Mul", [part + "_in", "recurrent.along"], "recurrent.kept." + part)
      graph.node("Mul", [k == 0 ? "c_in" : "h_in", "recurrent.across"], "recurrent.turned." + part)
      graph.node(
        k == 0 ? "Sub" : "Add", ["recurrent.kept." + part, "recurrent.turned." + part], "recurrent.past." + part)
      graph.node("Add", ["recurrent.past." + part, "recurrent.driven." + part], part + "_out")
    }
    graph.node("Concat", ["h_out", "c_out", x], "recurrent.features", ints: [("axis", 1)])
    return "recurrent.features"
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
