/// Small policies of the kinds that trainers export.
extension Model {
  /// obs [batch, 7] -> Gemm tanh, Gemm relu, Gemm -> action [batch, 3]
  public static func mlp(seed: Float = 0) -> Model {
    var m = Model(
      inputs: [Port("obs", dims: [.symbol("batch"), .size(7)])],
      outputs: [Port("action", dims: [.symbol("batch"), .size(3)])], nodes: [])
    let sizes: [Int64] = [7, 16, 16, 3]
    for i in 0..<3 {
      var w = Tensor.filled("w\(i)", [sizes[i + 1], sizes[i]])
      if seed != 0 {
        w.raw = Tensor("", (0..<Int(sizes[i + 1] * sizes[i])).map { Float(($0 * 31 + 7) % 97) / 97 * seed - 0.4 }).raw
      }
      m.initializers += [w, .filled("b\(i)", [sizes[i + 1]])]
      m.nodes.append(
        Node(
          "Gemm", [i == 0 ? "obs" : "t\(i - 1)", "w\(i)", "b\(i)"], [i == 2 ? "action" : "g\(i)"], [.int("transB", 1)],
          name: "actor.\(i)"))
      if i < 2 { m.nodes.append(Node(i == 0 ? "Tanh" : "Relu", ["g\(i)"], ["t\(i)"])) }
    }
    return m
  }

  /// obs [1, 3], h_in, c_in [1, 1, 4] -> action [1, 4], h_out, c_out
  public static func lstm() -> Model {
    Model(
      inputs: [Port("obs", [1, 3]), Port("h_in", [1, 1, 4]), Port("c_in", [1, 1, 4])],
      outputs: [Port("action", [1, 4]), Port("h_out", [1, 1, 4]), Port("c_out", [1, 1, 4])],
      nodes: [
        Node("Unsqueeze", ["obs", "zero"], ["x"]),
        Node(
          "LSTM", ["x", "w", "r", "b", "", "h_in", "c_in"], ["y", "h_out", "c_out"], [.int("hidden_size", 4)],
          name: "memory"),
        Node("Reshape", ["y", "form"], ["action"]),
      ],
      initializers: [
        Tensor("zero", ints: [0]), .filled("w", [1, 16, 3]), .filled("r", [1, 16, 4]), .filled("b", [1, 32]),
        Tensor("form", ints: [1, 4]),
      ])
  }

  /// image [1, 2, 8, 8] -> Conv relu, MaxPool, Flatten, MatMul -> action [1, 2]
  public static func conv() -> Model {
    Model(
      inputs: [Port("image", [1, 2, 8, 8])], outputs: [Port("action", [1, 2])],
      nodes: [
        Node("Conv", ["image", "w", "b"], ["c"], [.ints("pads", [1, 1, 1, 1]), .ints("strides", [2, 2])]),
        Node("Relu", ["c"], ["r"]),
        Node("MaxPool", ["r"], ["p"], [.ints("kernel_shape", [2, 2]), .ints("strides", [2, 2])]),
        Node("Flatten", ["p"], ["f"]),
        Node("MatMul", ["f", "head"], ["action"]),
      ],
      initializers: [.filled("w", [4, 2, 3, 3]), .filled("b", [4]), .filled("head", [16, 2])])
  }

  /// x [1, 4] -> quantized product -> y [1, 3]
  public static func quantized() -> Model {
    Model(
      inputs: [Port("x", [1, 4])], outputs: [Port("y", [1, 3])],
      nodes: [
        Node("QuantizeLinear", ["x", "s", "z"], ["q"]), Node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        Node("DequantizeLinear", ["w", "s", "z"], ["e"]), Node("MatMul", ["d", "e"], ["y"]),
      ],
      initializers: [
        Tensor("s", [0.02], []), Tensor("z", type: 3, dims: [], raw: [0]),
        Tensor("w", type: 3, dims: [4, 3], raw: (0..<12).map { UInt8(truncatingIfNeeded: $0 * 37) }),
      ], opset: 19)
  }

  /// x [2] -> If with a constant condition, then a Loop of `trips` -> y [2]
  public static func control(trips: Int64 = 3, op: String = "Identity") -> Model {
    let branch = Model(inputs: [], outputs: [Port("t", [2])], nodes: [Node("Relu", ["x"], ["t"])])
    let other = Model(inputs: [], outputs: [Port("e", [2])], nodes: [Node("Neg", ["x"], ["e"])])
    let body = Model(
      inputs: [Port("i", [], type: 7), Port("go", [], type: 9), Port("v", [2])],
      outputs: [Port("again", [], type: 9), Port("w", [2])],
      nodes: [Node(op, ["go"], ["again"]), Node("Add", ["v", "x"], ["w"])])
    return Model(
      inputs: [Port("x", [2])], outputs: [Port("y", [2])],
      nodes: [
        Node("If", ["yes"], ["a"], [.graph("then_branch", branch.graph), .graph("else_branch", other.graph)]),
        Node("Loop", ["trips", "yes", "a"], ["y"], [.graph("body", body.graph)]),
      ],
      initializers: [Tensor("yes", type: 9, dims: [], raw: [1]), Tensor("trips", ints: [trips], [])])
  }

  /// obs [1, 2] -> If: noise is added where the first number is above 0, else the sign changes -> action [1, 2]
  public static func branching() -> Model {
    let noisy = Model(
      inputs: [], outputs: [Port("t", [1, 2])],
      nodes: [Node("RandomNormalLike", ["obs"], ["n"]), Node("Add", ["obs", "n"], ["t"])])
    let other = Model(inputs: [], outputs: [Port("e", [1, 2])], nodes: [Node("Neg", ["obs"], ["e"])])
    return Model(
      inputs: [Port("obs", [1, 2])], outputs: [Port("action", [1, 2])],
      nodes: [
        Node("Gather", ["obs", "first"], ["x"], [.int("axis", 1)]), Node("Greater", ["x", "zero"], ["is"]),
        Node("If", ["is"], ["action"], [.graph("then_branch", noisy.graph), .graph("else_branch", other.graph)]),
      ], initializers: [Tensor("first", ints: [0]), Tensor("zero", [0], [1])])
  }

  /// All samples by name.
  public static var samples: [(name: String, model: Model)] {
    [("mlp", mlp()), ("lstm", lstm()), ("conv", conv()), ("quantized", quantized()), ("control", control())]
  }
}
