import Base
import Onnx

// normalizations, the observation normalizer, scale, clip, squash
extension ArchitectureReader {
  /// Layer or RMS normalization over the axes of its weight, or over the last one.
  mutating func layerNorm(_ layer: Layer, _ input: Signal, _ op: String, _ epsilon: Double) throws(Failure) -> Signal {
    try layer.expectKeys(["weight", "bias", "eps", "activation"])
    let x = try real(input, layer)
    let w = try optional("weight", layer)
    let axes = w?.shape.count ?? 1
    guard axes >= 1, axes <= x.shape.count, w == nil || w?.shape == Array(x.shape.suffix(axes)) else {
      throw layer.fail(
        "weight is \(describe(w?.shape ?? [])), expected the last sizes of its input \(describe(x.shape))", .shape)
    }
    let bias = try optional("bias", layer, shape: Array(x.shape.suffix(axes)))
    var scale = w?.name ?? ""
    if w == nil { scale = try constant([1], [1], layer) }
    let attributes: [OnnxAttribute] = [.int("axis", -axes), .float("epsilon", try layer.number("eps", epsilon))]
    if op == "RMSNormalization", let bias {
      throw layer.fail("has a bias \(describe(bias.shape)), which rms_norm does not take")
    }
    return try activated(
      Signal(name: try node(op, [x.name, scale] + (bias.map { [$0.name] } ?? []), attributes, layer), shape: x.shape),
      layer)
  }

  /// The first axis of a row as channels.
  private func channels(_ layer: Layer, _ x: Signal) throws(Failure) -> Int {
    guard let n = x.shape.first else {
      throw layer.fail("its input is a single number, expected [channels, ...]", .shape)
    }
    return n
  }

  /// Batch normalization with its running statistics.
  mutating func batchNorm(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["weight", "bias", "running_mean", "running_var", "eps", "activation"])
    let x = try real(input, layer)
    let n = try channels(layer, x)
    let ones = try constant([1.0], [1], layer)
    let zeros = try constant([0.0], [1], layer)
    func full(_ r: inout ArchitectureReader, _ key: String, _ absent: String) throws(Failure) -> String {
      if let w = try r.optional(key, layer, shape: [n]) { return w.name }
      return try r.node("Expand", [absent, try r.constant([n], layer)], layer)
    }
    var inputs = [x.name, try full(&self, "weight", ones), try full(&self, "bias", zeros)]
    for key in ["running_mean", "running_var"] { inputs.append(try weight(key, layer, shape: [n]).name) }
    let y = try node("BatchNormalization", inputs, [.float("epsilon", try layer.number("eps", 1e-5))], layer)
    return try activated(Signal(name: y, shape: x.shape), layer)
  }

  /// Group normalization of [channels, ...]; one group for each channel is instance normalization.
  mutating func groupNorm(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["weight", "bias", "groups", "eps", "activation"])
    let x = try real(input, layer)
    let n = try channels(layer, x)
    let groups = try layer.integer("groups", in: 1...n)
    guard n % groups == 0 else {
      throw layer.fail("its input has \(n) channels, which do not divide into \(groups) groups", .shape)
    }
    var inputs = [x.name]
    for key in ["weight", "bias"] { inputs.append(try weight(key, layer, shape: [n]).name) }
    let y = try node(
      "GroupNormalization", inputs, [.int("num_groups", groups), .float("epsilon", try layer.number("eps", 1e-5))],
      layer)
    return try activated(Signal(name: y, shape: x.shape), layer)
  }

  /// y = clip((x - mean) / s), where s is sqrt(var + eps) or, with "eps_outside", sqrt(var) + eps, or std + eps; std in
  /// [std_min, std_max].
  /// With "dtype" f64 it is computed in f64, as trainers do that keep their statistics so.
  mutating func normalizer(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["mean", "var", "std", "eps", "eps_outside", "std_min", "std_max", "clip", "dtype"])
    let name = try layer.string("dtype") ?? "f32"
    guard name == "f32" || name == "f64" else { throw layer.fail("dtype is '\(name)', expected f32 or f64") }
    let type = name == "f64" ? ElementType.f64 : .f32
    let x = try real(input, layer, as: type)
    var y = x.name
    if let mean = try vector("mean", layer, for: x, as: type) { y = try node("Sub", [y, mean], layer) }
    if let spread = try spread(layer, x, type) { y = try node("Div", [y, spread], layer) }
    if layer.value("clip") != nil {
      let c = try layer.number("clip", 0)
      guard c > 0 else { throw layer.fail("clip is not positive") }
      y = try node("Clip", [y, try number(-c, type, layer), try number(c, type, layer)], layer)
    }
    return try real(Signal(name: y, shape: x.shape, type: type), layer)
  }

  private mutating func spread(_ layer: Layer, _ x: Signal, _ type: ElementType) throws(Failure) -> String? {
    let variance = try vector("var", layer, for: x, as: type)
    let std = try vector("std", layer, for: x, as: type)
    guard variance == nil || std == nil else { throw layer.fail("has both var and std, expected one of them") }
    guard var s = variance ?? std else {
      for key in ["eps", "std_min", "std_max"] where layer.value(key) != nil {
        throw layer.fail("has \(key), but neither var nor std")
      }
      return nil
    }
    let eps = try layer.number("eps", 0)
    guard eps >= 0 else { throw layer.fail("eps is negative") }
    let isOutside = try layer.bool("eps_outside", false)
    let isInside = variance != nil && !isOutside
    if isInside, eps != 0 { s = try node("Add", [s, try number(eps, type, layer)], layer) }
    if variance != nil { s = try node("Sqrt", [s], layer) }
    for (key, op) in [("std_min", "Max"), ("std_max", "Min")] where layer.value(key) != nil {
      s = try node(op, [s, try number(try layer.number(key, 0), type, layer)], layer)
    }
    if !isInside, eps != 0 { s = try node("Add", [s, try number(eps, type, layer)], layer) }
    return s
  }

  /// y = x * scale + offset
  mutating func scale(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["scale", "offset"])
    var y = try real(input, layer)
    if let scale = try vector("scale", layer, for: y) { y.name = try node("Mul", [y.name, scale], layer) }
    if let offset = try vector("offset", layer, for: y) { y.name = try node("Add", [y.name, offset], layer) }
    return y
  }

  /// y = min(max(x, low), high)
  mutating func clip(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["low", "high"])
    var y = try real(input, layer)
    for (key, op) in [("low", "Max"), ("high", "Min")] {
      if let bound = try vector(key, layer, for: y) { y.name = try node(op, [y.name, bound], layer) }
    }
    return y
  }

  /// y = tanh(x), taken from [-1, 1] to [low, high] where these are given.
  mutating func squash(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["low", "high"])
    let x = try real(input, layer)
    var y = Signal(name: try node("Tanh", [x.name], layer), shape: x.shape)
    let low = try vector("low", layer, for: x)
    let high = try vector("high", layer, for: x)
    if low == nil && high == nil { return y }
    guard let low, let high else { throw layer.fail("has only one of low and high") }
    let range = try node("Sub", [high, low], layer)
    let half = try node("Mul", [range, try number(0.5, .f32, layer)], layer)
    y.name = try node("Mul", [try node("Add", [y.name, try number(1, .f32, layer)], layer), half], layer)
    y.name = try node("Add", [y.name, low], layer)
    return y
  }
}
