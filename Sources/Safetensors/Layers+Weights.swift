import Base
import Onnx

// dense, convolution, pooling, recurrent layers
extension ArchitectureReader {
  /// y = x W' + b along the last axis; W is [outputs, inputs], or [inputs, outputs] where "transposed".
  mutating func dense(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["weight", "bias", "weight_scale", "transposed", "activation"])
    let x = try real(input, layer)
    guard let inputs = x.shape.last else {
      throw layer.fail("its input is a single number, expected a vector; reshape it to [1]", .shape)
    }
    let isTransposed = try layer.bool("transposed", false)
    var w = try weight("weight", layer, rank: 2)
    guard w.shape[isTransposed ? 0 : 1] == inputs else {
      throw layer.fail(
        """
        its input is \(describe(x.shape)), but the weight \(describe(w.shape)) takes \(w.shape[isTransposed ? 0 : 1]) \
        values
        """,
        .shape)
    }
    let outputs = w.shape[isTransposed ? 1 : 0]
    if let scale = try vector("weight_scale", layer, for: Signal(name: "", shape: [outputs])) {
      let column = isTransposed ? scale : try reshape(scale, to: [-1, 1], layer)
      w.name = try node("Mul", [w.name, column], layer)
    }
    let bias = try optional("bias", layer, shape: [outputs])
    var y: String
    if x.shape.count == 1 {
      y = try node(
        "Gemm", [x.name, w.name] + (bias.map { [$0.name] } ?? []), [.int("transB", isTransposed ? 0 : 1)], layer)
    } else {
      let matrix = isTransposed ? w.name : try node("Transpose", [w.name], [.ints("perm", [1, 0])], layer)
      y = try node("MatMul", [x.name, matrix], layer)
      if let bias { y = try node("Add", [y, bias.name], layer) }
    }
    return try activated(Signal(name: y, shape: x.shape.dropLast() + [outputs]), layer)
  }

  /// Sizes after a window slid over `x`, [channels, ...]; `size` is that of the window.
  private func windows(_ layer: Layer, _ x: Signal, _ size: [Int], _ stride: [Int], _ padding: [Int], _ dilation: [Int])
    throws(Failure) -> [Int]
  {
    var out: [Int] = []
    for (i, k) in size.enumerated() {
      let span = x.shape[i + 1] + 2 * padding[i] - (k - 1) * dilation[i] - 1
      guard span >= 0 else {
        throw layer.fail(
          "a window of \(k) does not fit into its input \(describe(x.shape)) with a padding of \(padding[i])", .shape)
      }
      out.append(span / stride[i] + 1)
    }
    return out
  }

  private static let windowRange = 1...65_536

  /// Convolution of [channels, ...] with one to three axes; W is [outputs, channels / groups, ...].
  mutating func convolution(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["weight", "bias", "stride", "padding", "dilation", "groups", "activation"])
    let x = try real(input, layer)
    let w = try weight("weight", layer)
    let axes = w.shape.count - 2
    guard (1...3).contains(axes), x.shape.count == axes + 1 else {
      throw layer.fail(
        """
        its input is \(describe(x.shape)), which does not go with the weight \(describe(w.shape)); expected \
        [channels, ...] and [outputs, channels / groups, ...] with 1 to 3 axes more
        """,
        .shape)
    }
    let stride = try layer.integers("stride", in: Self.windowRange, count: axes, absent: 1)
    let padding = try layer.integers("padding", in: 0...65_536, count: axes, absent: 0)
    let dilation = try layer.integers("dilation", in: Self.windowRange, count: axes, absent: 1)
    let groups = try layer.integer("groups", in: 1...TensorReader.maximumSize, absent: 1)
    guard w.shape[1] * groups == x.shape[0], w.shape[0] % groups == 0 else {
      throw layer.fail(
        """
        its input is \(describe(x.shape)), but the weight \(describe(w.shape)) in \(groups) groups takes \
        \(w.shape[1] * groups) channels
        """,
        .shape)
    }
    let bias = try optional("bias", layer, shape: [w.shape[0]])
    let size = Array(w.shape[2...])
    let y = try node("Conv", [x.name, w.name] + (bias.map { [$0.name] } ?? []), [
      .ints("strides", stride), .ints("pads", padding + padding), .ints("dilations", dilation), .int("group", groups),
    ], layer)
    return try activated(
      Signal(name: y, shape: [w.shape[0]] + windows(layer, x, size, stride, padding, dilation)), layer)
  }

  /// The largest or the mean value of a window; padding counts as zeros in the mean.
  mutating func pool(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["size", "stride", "padding"])
    let x = try real(input, layer)
    let axes = x.shape.count - 1
    guard (1...3).contains(axes) else {
      throw layer.fail("its input is \(describe(x.shape)), expected [channels, ...] with 1 to 3 axes more", .shape)
    }
    let size = try layer.integers("size", in: Self.windowRange, count: axes)
    let stride = layer.value("stride") == nil ? size : try layer.integers("stride", in: Self.windowRange, count: axes)
    let padding = try layer.integers("padding", in: 0...65_536, count: axes, absent: 0)
    let isMax = layer.type == "max_pool"
    let attributes: [OnnxAttribute] = [
      .ints("kernel_shape", size), .ints("strides", stride), .ints("pads", padding + padding),
    ]
    let y = try node(
      isMax ? "MaxPool" : "AveragePool", [x.name], attributes + (isMax ? [] : [.int("count_include_pad", 1)]), layer)
    return Signal(
      name: y, shape: [x.shape[0]] + (try windows(layer, x, size, stride, padding, [Int](repeating: 1, count: axes))))
  }

  // MARK: recurrent layers

  /// LSTM, GRU and RNN with the tensors and the gates of torch (`weight_ih_l0`, ...), one after the other; `order` is
  /// that of the gates in ONNX.
  /// Its input is one step [features], or [steps, features]; its state goes from call to call unless "state" is false.
  mutating func recurrent(_ layer: Layer, _ input: Signal, _ op: String, order: [Int]) throws(Failure) -> Signal {
    try layer.expectKeys(["tensors", "layers", "state", "activation"])
    var x = try real(input, layer)
    guard x.shape.count == 1 || x.shape.count == 2 else {
      throw layer.fail("its input is \(describe(x.shape)), expected [features] or [steps, features]", .shape)
    }
    let prefix = try layer.string("tensors") ?? layer.name
    var found = 0
    while file.tensors["\(prefix).weight_ih_l\(found)"] != nil { found += 1 }
    guard found > 0 else { throw layer.fail("needs the tensor '\(prefix).weight_ih_l0', which is not in the file") }
    guard file.tensors["\(prefix).weight_ih_l0_reverse"] == nil else {
      throw layer.fail("is bidirectional, which a policy that runs step by step cannot be", .unsupported)
    }
    let count = try layer.integer("layers", in: 1...found, absent: found)
    let steps = x.shape.count == 2 ? x.shape[0] : 1
    for i in 0..<count {
      x = try cell(layer, x, op, order, prefix, i, count, steps)
    }
    return x
  }

  private mutating func cell(
    _ layer: Layer, _ x: Signal, _ op: String, _ order: [Int], _ prefix: String, _ i: Int, _ count: Int, _ steps: Int
  ) throws(Failure) -> Signal {
    let r = try tensor("\(prefix).weight_hh_l\(i)", layer)
    let gates = order.count
    guard r.shape.count == 2, r.shape[0] == gates * r.shape[1] else {
      throw layer.fail(
        "tensor '\(prefix).weight_hh_l\(i)' is \(describe(r.shape)), expected [\(gates) * hidden, hidden]", .shape)
    }
    let hidden = r.shape[1]
    let features = x.shape[x.shape.count - 1]
    let w = try tensor("\(prefix).weight_ih_l\(i)", layer)
    guard w.shape == [gates * hidden, features] else {
      throw layer.fail(
        "tensor '\(prefix).weight_ih_l\(i)' is \(describe(w.shape)), expected \(describe([gates * hidden, features]))",
        .shape)
    }
    var inputs = [try reshape(x.name, to: [steps, 1, features], layer)]
    for m in [w, r] { inputs.append(try reshape(ordered(m, order, layer), to: [1] + m.shape, layer)) }
    if file.tensors["\(prefix).bias_ih_l\(i)"] != nil {
      var halves: [String] = []
      for half in ["ih", "hh"] {
        let b = try tensor("\(prefix).bias_\(half)_l\(i)", layer)
        guard b.shape == [gates * hidden] else {
          throw layer.fail(
            "tensor '\(prefix).bias_\(half)_l\(i)' is \(describe(b.shape)), expected [\(gates * hidden)]", .shape)
        }
        halves.append(try ordered(b, order, layer))
      }
      inputs.append(try reshape(try node("Concat", halves, [.int("axis", 0)], layer), to: [1, -1], layer))
    } else {
      inputs.append("")
    }
    var outputs = [fresh(layer)]
    if try layer.bool("state", true) {
      inputs.append("")
      let name = count == 1 ? layer.name : "\(layer.name).\(i)"
      for part in op == "LSTM" ? ["h", "c"] : ["h"] {
        let pair = try addState("\(name).\(part)", [1, 1, hidden], label: "layer '\(layer.name)'")
        inputs.append(pair.input)
        outputs.append(pair.output)
      }
    }
    var attributes: [OnnxAttribute] = [.int("hidden_size", hidden)]
    if op == "GRU" { attributes.append(.int("linear_before_reset", 1)) }
    if op == "RNN" {
      let name = try layer.string("activation") ?? "tanh"
      guard name == "tanh" || name == "relu" else {
        throw layer.fail("activation '\(name)' is not known, expected tanh or relu", .unsupported)
      }
      attributes.append(.strings("activations", [name == "tanh" ? "Tanh" : "Relu"]))
    } else if layer.value("activation") != nil {
      throw layer.fail("key 'activation' is for rnn alone")
    }
    try emit(op, inputs, attributes, to: outputs, label: layer.name)
    let shape = x.shape.dropLast() + [hidden]
    return Signal(name: try reshape(outputs[0], to: [1] + shape, layer), shape: Array(shape))
  }

  /// The blocks of rows of `w`, one for each gate, in another order.
  private mutating func ordered(_ w: Signal, _ order: [Int], _ layer: Layer) throws(Failure) -> String {
    if order.count == 1 { return w.name }
    let parts = order.map { _ in fresh(layer) }
    try emit("Split", [w.name], [.int("axis", 0), .int("num_outputs", order.count)], to: parts, label: layer.name)
    return try node("Concat", order.map { parts[$0] }, [.int("axis", 0)], layer)
  }
}
