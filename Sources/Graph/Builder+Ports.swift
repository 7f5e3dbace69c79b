import Onnx

// inputs, outputs and recurrent state of the graph
extension Builder {
  /// Initializers and inputs become the first values. An input with an initializer is that constant (IR version 3 lists all weights as inputs).
  mutating func declareInputs() throws(Failure) {
    try declare(model.graph.initializers)
    for (i, input) in model.graph.inputs.enumerated() where scopes[0][input.name] == nil {
      let what = "input '\(input.name)'"
      if let bound = options.constants[input.name] {
        scopes[0][input.name] = newConstant(bound, input.name)
        continue
      }
      guard input.isTensor else { throw Failure(.unsupported, "\(what) is not a tensor (a sequence, map or optional); expected tensors only") }
      guard let type = ElementType(rawValue: input.type) else {
        throw Failure(.unsupported, "\(what): element type \(ElementType.unsupportedName(input.type)) is not supported")
      }
      let v = try newValue(type, try inputShape(input, i), input.name)
      scopes[0][input.name] = v
      graph.inputs.append(Port(name: input.name, value: v))
    }
    for name in options.constants.keys where scopes[0][name] == nil {
      throw Failure(.argument, "constant '\(name)' names no input of the model; it has \(names(model.graph.inputs))")
    }
    for name in options.dims.keys where !isKnownDim(name) {
      throw Failure(.argument, "dims names '\(name)', but no input has a symbolic dimension of that name")
    }
  }

  func names(_ values: [OnnxValue]) -> String {
    var s = ""
    for (i, v) in values.enumerated() { s += (i > 0 ? ", " : "") + "'\(v.name)'" }
    return s.utf8.isEmpty ? "none" : s
  }

  mutating func declare(_ initializers: [OnnxTensor]) throws(Failure) {
    for t in initializers {
      let data = try tensors.read(t, "initializer '\(t.name)'")
      scopes[scopes.count - 1][t.name] = newConstant(data, t.name)
    }
  }

  private func isKnownDim(_ name: String) -> Bool {
    if name == "batch" { return true }
    for input in model.graph.inputs {
      for (i, d) in (input.dims ?? []).enumerated() {
        if case .symbol(let s) = d, s == name { return true }
        if name == "\(input.name)[\(i)]" { return true }
      }
    }
    return false
  }

  /// Every dimension as a size: stated, bound by name or by `input[axis]`, or 1 for a batch dimension.
  private func inputShape(_ input: OnnxValue, _ position: Int) throws(Failure) -> [Int] {
    guard let dims = input.dims else {
      throw Failure(.unsupported, "input '\(input.name)' states no shape; export the model with a shape for each input")
    }
    guard dims.count <= 8 else { throw Failure(.unsupported, "input '\(input.name)' has rank \(dims.count), expected at most 8") }
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
          shape.append(axis == 0 ? options.dims["batch"] ?? 1 : isBatch(name) ? options.dims["batch"] ?? 1 : 1)
        } else {
          throw Failure(.shape, "input '\(input.name)': dimension \(axis) is symbolic ('\(name)') and not bound; give its size in dims, such as {\"\(name)\": 16}")
        }
      default:
        guard axis == 0 else {
          throw Failure(.shape, "input '\(input.name)': dimension \(axis) has no size; bind it in dims as {\"\(input.name)[\(axis)]\": 16}")
        }
        shape.append(options.dims["batch"] ?? 1)
      }
    }
    return shape
  }

  /// Whether a symbol stands for the batch: it has the name of one, or leads some input.
  private func isBatch(_ name: String) -> Bool {
    let lower = name.lowercasedASCII
    if lower == "batch" || lower == "batch_size" || lower == "n" || lower == "b" || lower == "num_envs" || lower == "batchsize" { return true }
    for input in model.graph.inputs {
      if let first = input.dims?.first, case .symbol(let s) = first, s == name { return true }
    }
    return false
  }

  mutating func declareOutputs() throws(Failure) {
    for output in model.graph.outputs {
      guard let v = scopes[0][output.name], v >= 0 else {
        throw Failure(.format, "output '\(output.name)' is produced by no node; the model may be cut short")
      }
      graph.outputs.append(Port(name: output.name, value: v))
    }
    guard !graph.outputs.isEmpty else { throw Failure(.format, "the graph has no outputs") }
  }

  // MARK: recurrent state

  /// Pairs given by the caller, or recognized by name and shape.
  mutating func findStates() throws(Failure) {
    if let named = options.states {
      for pair in named {
        guard let i = graph.inputs.firstIndex(where: { $0.name == pair.input }) else {
          throw Failure(.argument, "state '\(pair.input)' names no input; the inputs are \(names(model.graph.inputs))")
        }
        guard let o = graph.outputs.firstIndex(where: { $0.name == pair.output }) else {
          throw Failure(.argument, "state '\(pair.output)' names no output; the outputs are \(names(model.graph.outputs))")
        }
        guard fits(i, o) else {
          throw Failure(.shape, "state '\(pair.input)' is \(describePort(graph.inputs[i])), but '\(pair.output)' is \(describePort(graph.outputs[o])); expected the same")
        }
        guard !graph.states.contains(where: { $0.input == i || $0.output == o }) else {
          throw Failure(.argument, "state '\(pair.input)' -> '\(pair.output)' is given twice")
        }
        graph.states.append(StatePair(input: i, output: o))
      }
      return
    }
    for (i, input) in graph.inputs.enumerated() {
      for (o, output) in graph.outputs.enumerated() where fits(i, o) && isStatePair(input.name, output.name) {
        if graph.states.contains(where: { $0.input == i || $0.output == o }) { continue }
        graph.states.append(StatePair(input: i, output: o))
        break
      }
    }
  }

  private func describePort(_ p: Port) -> String { type(p.value).name + " " + describe(shape(p.value)) }

  private func fits(_ i: Int, _ o: Int) -> Bool {
    let a = graph.inputs[i].value
    let b = graph.outputs[o].value
    return type(a) == type(b) && shape(a) == shape(b)
  }
}

/// Whether two names say "this output is that input, one step later": equal but for a word such as in/out, prev/next, 0/n, on both sides;
/// or only on one, if what is left names a state.
func isStatePair(_ input: String, _ output: String) -> Bool {
  let (a, aDropped) = stem(input, ["in", "ins", "input", "prev", "previous", "old", "init", "initial", "0", "t", "last"])
  let (b, bDropped) = stem(output, ["out", "outs", "output", "next", "new", "n", "final", "1", "t1", "updated"])
  guard !a.utf8.isEmpty, a == b else { return false }
  if aDropped && bDropped { return true }
  guard aDropped || bDropped else { return false }
  for word in ["h", "c", "hx", "cx", "hxs", "hidden", "cell", "state", "states", "memory", "carry", "lstm", "gru", "rnn", "recurrent"] {
    if a == word || a.split(separator: "_").contains(where: { String($0) == word }) { return true }
  }
  return false
}

/// The words of a name without the markers, joined by `_`, and whether there was one.
private func stem(_ name: String, _ markers: [String]) -> (String, Bool) {
  var words: [String] = []
  var word = ""
  var previous: UInt8 = 0
  func isDigit(_ b: UInt8) -> Bool { b >= 48 && b <= 57 }
  for byte in name.lowercasedASCII.utf8 {
    let isLetter = (byte >= 97 && byte <= 122) || isDigit(byte)
    let isBorder = !isLetter || (isDigit(byte) && !isDigit(previous) && word.utf8.count > 0)
    if isBorder && !word.utf8.isEmpty {
      words.append(word)
      word = ""
    }
    if isLetter { word.unicodeScalars.append(Unicode.Scalar(byte)) }
    previous = byte
  }
  if !word.utf8.isEmpty { words.append(word) }
  // hn, cn: the usual names of the last hidden and cell state
  if words.count == 1 && (words[0] == "hn" || words[0] == "cn") { words = [words[0] == "hn" ? "h" : "c", "n"] }
  var kept: [String] = []
  var dropped = false
  for w in words {
    if markers.contains(w) && !dropped { dropped = true } else { kept.append(w) }
  }
  var joined = ""
  for (i, w) in kept.enumerated() { joined += (i > 0 ? "_" : "") + w }
  return (joined, dropped)
}

extension String {
  var lowercasedASCII: String {
    String(decoding: utf8.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
