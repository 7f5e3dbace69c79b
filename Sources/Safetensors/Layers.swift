import Base
import Onnx

// which layers there are
extension ArchitectureReader {
  mutating func build(_ layer: Layer, _ inputs: [Signal]) throws(Failure) -> Signal {
    switch layer.type {
    case "concat": return try concat(layer, inputs)
    case "add", "subtract", "multiply", "divide": return try combine(layer, inputs)
    case "constant":
      try layer.expectKeys(["value"])
      let value = try weight("value", layer)
      return Signal(name: try reshape(value.name, to: [1] + value.shape, layer), shape: value.shape)
    default: break
    }
    guard inputs.count == 1 else {
      throw layer.fail("has \(inputs.count) inputs, expected 1; join them with a concat layer")
    }
    let x = inputs[0]
    switch layer.type {
    case "dense": return try dense(layer, x)
    case "conv": return try convolution(layer, x)
    case "max_pool", "average_pool": return try pool(layer, x)
    case "lstm": return try recurrent(layer, x, "LSTM", order: [0, 3, 1, 2])
    case "gru": return try recurrent(layer, x, "GRU", order: [1, 0, 2])
    case "rnn": return try recurrent(layer, x, "RNN", order: [0])
    case "layer_norm": return try layerNorm(layer, x, "LayerNormalization", 1e-5)
    case "rms_norm": return try layerNorm(layer, x, "RMSNormalization", 1e-6)
    case "batch_norm": return try batchNorm(layer, x)
    case "group_norm": return try groupNorm(layer, x)
    case "normalizer": return try normalizer(layer, x)
    case "scale": return try scale(layer, x)
    case "clip": return try clip(layer, x)
    case "squash": return try squash(layer, x)
    case "flatten": return try flatten(layer, x)
    case "reshape": return try reshaped(layer, x)
    case "transpose": return try transpose(layer, x)
    case "slice": return try slice(layer, x)
    case "mean", "max": return try reduce(layer, x)
    case "argmax": return try argmax(layer, x)
    case "one_hot": return try oneHot(layer, x)
    case "embedding": return try embedding(layer, x)
    default: break
    }
    try layer.expectKeys(["alpha", "axis"])
    guard let y = try function(layer.type, real(x, layer), layer, layer) else {
      throw layer.fail("its type is neither a layer nor a function that is known", .unsupported)
    }
    return y
  }

  /// The function that `activation` names, after a layer with weights.
  mutating func activated(_ y: Signal, _ layer: Layer) throws(Failure) -> Signal {
    guard let name = try layer.string("activation") else { return y }
    guard let out = try function(name, y, layer, nil) else {
      throw layer.fail("activation '\(name)' is not known", .unsupported)
    }
    return out
  }

  /// A function of each element, or along one axis; nil where it is unknown. `parameters` may hold alpha and axis.
  private mutating func function(_ name: String, _ x: Signal, _ layer: Layer, _ parameters: Layer?) throws(Failure)
    -> Signal?
  {
    let alpha = try parameters.flatMap { p throws(Failure) in p.value("alpha") == nil ? nil : try p.number("alpha", 0) }
    let op: String
    var attributes: [OnnxAttribute] = []
    switch name {
    case "identity", "linear": return x
    case "relu": op = "Relu"
    case "tanh": op = "Tanh"
    case "sigmoid": op = "Sigmoid"
    case "softplus": op = "Softplus"
    case "softsign": op = "Softsign"
    case "mish": op = "Mish"
    case "selu": op = "Selu"
    case "hard_swish": op = "HardSwish"
    case "exp": op = "Exp"
    case "log": op = "Log"
    case "abs": op = "Abs"
    case "sqrt": op = "Sqrt"
    case "negate": op = "Neg"
    case "sin": op = "Sin"
    case "cos": op = "Cos"
    case "silu", "swish": op = "Swish"
    case "gelu": op = "Gelu"
    case "gelu_tanh": (op, attributes) = ("Gelu", [.string("approximate", "tanh")])
    case "elu": (op, attributes) = ("Elu", [.float("alpha", alpha ?? 1)])
    case "celu": (op, attributes) = ("Celu", [.float("alpha", alpha ?? 1)])
    case "leaky_relu": (op, attributes) = ("LeakyRelu", [.float("alpha", alpha ?? 0.01)])
    case "hard_sigmoid": (op, attributes) = ("HardSigmoid", [.float("alpha", 1 / 6.0), .float("beta", 0.5)])
    case "softmax", "log_softmax":
      let axis = try axis(parameters ?? layer, x, absent: -1)
      (op, attributes) = (name == "softmax" ? "Softmax" : "LogSoftmax", [.int("axis", 1 + axis)])
    case "relu6": return try clip(x, 0, 6, layer)
    case "hard_tanh": return try clip(x, -1, 1, layer)
    case "step":
      let positive = try node("Greater", [x.name, try number(0, x.type, layer)], layer)
      return try real(Signal(name: positive, shape: x.shape, type: .bool), layer)
    default: return nil
    }
    return Signal(name: try node(op, [x.name], attributes, layer), shape: x.shape)
  }

  private mutating func clip(_ x: Signal, _ low: Double, _ high: Double, _ layer: Layer) throws(Failure) -> Signal {
    Signal(
      name: try node("Clip", [x.name, try number(low, x.type, layer), try number(high, x.type, layer)], layer),
      shape: x.shape, type: x.type)
  }

  /// The axis of one row that the layer names, counted from the front.
  func axis(_ layer: Layer, _ x: Signal, absent: Int) throws(Failure) -> Int {
    let rank = x.shape.count
    guard rank > 0 else { throw layer.fail("its input is a single number, expected at least one dimension", .shape) }
    let a = try layer.integer("axis", in: -rank...rank - 1, absent: absent)
    return a < 0 ? a + rank : a
  }
}
