import Base
import Onnx

// inputs, outputs and recurrent state of the graph
extension Builder {
  /// Initializers and inputs become the first values. An input with an initializer is that constant (IR version 3 lists
  /// all weights as inputs).
  mutating func declareInputs() throws(Failure) {
    let initializers = model.graph.initializers
    scopes[0].reserve(initializers.count + model.graph.nodes.count + 8)
    graph.values.reserveCapacity(initializers.count + 2 * model.graph.nodes.count + 8)
    graph.ops.reserveCapacity(model.graph.nodes.count)
    try declare(initializers)
    for input in model.graph.inputs {
      if let first = input.dims?.first, case .symbol(let s) = first { batchSymbols.insert(s) }
    }
    for input in model.graph.inputs where !scopes[0].contains(input.name) && !unread.contains(input.name) {
      let what = "input '\(input.name)'"
      var bound = options.constants[input.name]
      if bound == nil { bound = try hints.constant(input.name, budget) }
      if let bound {
        scopes[0].set(input.name, try boundInput(input, bound))
        continue
      }
      if !read.contains(input.name) && !isPlain(input) {
        graph.notes.append(GraphNote("\(what) is left out: no output depends on it"))
        continue
      }
      guard input.isTensor else {
        throw Failure(.unsupported, "\(what) is not a tensor (a sequence, map or optional); expected tensors only")
      }
      guard let type = ElementType(rawValue: input.type), !type.isNibble else {
        throw Failure(.unsupported, "\(what): element type \(ElementType.unsupportedName(input.type)) is not supported")
      }
      let v = try newValue(type, try inputShape(input), input.name)
      scopes[0].set(input.name, v)
      graph.inputs.append(Port(name: input.name, value: v))
    }
    for name in Array(options.constants.keys) + hints.constantNames
    where !scopes[0].contains(name) && !unread.contains(name) {
      throw Failure(.argument, "constant '\(name)' names no input of the model; it has \(names(model.graph.inputs))")
    }
    let known = options.dims.isEmpty ? [] : knownDims()
    for name in options.dims.keys where !known.contains(name) {
      throw Failure(
        .argument,
        """
        dims names '\(name)', but no input has a dimension of that name; it has \(symbols()); by position: \
        {"\(model.graph.inputs.first?.name ?? "input")[0]": 1}
        """)
    }
  }

  /// A constant in place of an input, in the type and with the sizes that the input states.
  private mutating func boundInput(_ input: OnnxValue, _ bound: TensorData) throws(Failure) -> Int {
    if let dims = input.dims {
      var fits = dims.count == bound.shape.count
      for (d, size) in zip(dims, bound.shape) { if case .size(let n) = d, n >= 0, n != Int64(size) { fits = false } }
      guard fits else {
        throw Failure(
          .argument,
          """
          constant '\(input.name)' is \(describe(bound.shape)), which is not what the input states: rank \
          \(dims.count) and its fixed sizes
          """
        )
      }
    }
    let v = newConstant(bound, input.name)
    guard let type = ElementType(rawValue: input.type), type != bound.type else { return v }
    // callers without bf16 give its bits
    return type == .bf16 && bound.type == .u16 ? try view(v, bound.shape, type: .bf16) : try cast(v, to: type)
  }

  func names(_ values: [OnnxValue]) -> String {
    var s = ""
    for (i, v) in values.enumerated() { s += (i > 0 ? ", " : "") + "'\(v.name)'" }
    return s.utf8.isEmpty ? "none" : s
  }

  mutating func declare(_ initializers: [OnnxTensor]) throws(Failure) {
    for t in initializers {
      let data = try tensors.read(t, "initializer '\(t.name)'")
      scopes[scopes.count - 1].set(t.name, try newTensor(data, t.name))
    }
  }

  /// The symbolic dimensions of the inputs, for messages.
  private func symbols() -> String {
    var text = ""
    var seen: Set<String> = []
    for input in model.graph.inputs {
      for case .symbol(let s) in (input.dims ?? []).prefix(8) where seen.insert(s).inserted {
        text += (text.utf8.isEmpty ? "" : ", ") + "'\(s)'"
      }
    }
    return text.utf8.isEmpty ? "none" : text
  }

  /// All names that options may bind: symbols, `input[axis]` and "batch".
  private func knownDims() -> Set<String> {
    var known: Set<String> = ["batch"]
    for input in model.graph.inputs {
      for (i, d) in (input.dims ?? [OnnxValue.Dim](repeating: .unknown, count: 8)).prefix(8).enumerated() {
        if case .symbol(let s) = d { known.insert(s) }
        known.insert("\(input.name)[\(i)]")
      }
    }
    return known
  }

  /// Every dimension as a size: stated, bound by name or by `input[axis]`, or 1 for a batch dimension.
  private func inputShape(_ input: OnnxValue) throws(Failure) -> [Int] {
    guard let dims = input.dims else {
      // as many axes as the caller gives sizes
      var shape: [Int] = []
      while shape.count < 8, let size = options.dims["\(input.name)[\(shape.count)]"] { shape.append(size) }
      guard !shape.isEmpty else {
        throw Failure(
          .unsupported,
          """
          input '\(input.name)' states no shape; export the model with one, or give the size of each axis in dims, \
          such as {\"\(input.name)[0]\": 1, \"\(input.name)[1]\": 16}
          """
        )
      }
      return shape
    }
    guard dims.count <= 8 else {
      throw Failure(.unsupported, "input '\(input.name)' has rank \(dims.count), expected at most 8")
    }
    var shape: [Int] = []
    for (axis, d) in dims.enumerated() {
      if let size = options.dims["\(input.name)[\(axis)]"] {
        shape.append(size)
        continue
      }
      switch d {
      case .size(let n) where n >= 0: shape.append(clampIndex(n))
      case .symbol(let name):
        if let size = options.dims[name] {
          shape.append(size)
        } else if axis == 0 || isBatch(name) {
          shape.append(options.dims["batch"] ?? 1)
        } else {
          throw Failure(
            .shape,
            """
            input '\(input.name)': dimension \(axis) is symbolic ('\(name)') and not bound; give its size in dims, \
            such as {\"\(name)\": 16} or {\"\(input.name)[\(axis)]\": 16}
            """
          )
        }
      default:
        guard axis == 0 else {
          throw Failure(
            .shape,
            "input '\(input.name)': dimension \(axis) has no size; bind it in dims as {\"\(input.name)[\(axis)]\": 16}")
        }
        shape.append(options.dims["batch"] ?? 1)
      }
    }
    return shape
  }

  /// Whether an input can be declared as it is: a tensor of a known type and with known sizes.
  private func isPlain(_ input: OnnxValue) -> Bool {
    guard input.isTensor, ElementType(rawValue: input.type) != nil, let dims = input.dims, dims.count <= 8 else {
      return false
    }
    for (axis, d) in dims.enumerated() where axis > 0 {
      switch d {
      case .size(let n) where n >= 0: continue
      case .symbol(let name) where options.dims[name] != nil || isBatch(name): continue
      default: if options.dims["\(input.name)[\(axis)]"] == nil { return false }
      }
    }
    return true
  }

  /// Whether a symbol stands for the batch: it has the name of one, or leads some input.
  private func isBatch(_ name: String) -> Bool {
    let lower = name.lowercasedASCII
    if lower == "batch" || lower == "batch_size" || lower == "n" || lower == "b" || lower == "num_envs"
      || lower == "batchsize"
    {
      return true
    }
    return batchSymbols.contains(name)
  }
}
