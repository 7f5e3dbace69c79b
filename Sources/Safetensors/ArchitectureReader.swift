import Base
import Onnx

/// A policy that was read from an architecture and tensors: in the terms of ONNX, with the recurrent state that it
/// declares.
public struct Architecture {
  public let model: OnnxModel
  public let states: [(input: String, output: String)]
}

/// Architecture (JSON) + tensors (safetensors) -> OnnxModel: each layer becomes a few ONNX nodes over initializers that
/// view the file's bytes, so that shapes, folding, fusion, recurrent state and errors are those of any other policy.
/// FORMAT.md beside this file is the format.
public struct ArchitectureReader {
  /// A value between layers: its name in the ONNX graph, the shape of one row without the leading batch of 1, and the
  /// type.
  struct Signal {
    var name: String
    var shape: [Int]
    var type = ElementType.f32
  }

  /// Key of `__metadata__` that holds the architecture.
  public static let key = "efferent.architecture"
  static let maximumLayers = 10_000
  static let opset: Int64 = 24

  let file: SafetensorsFile
  let budget: MemoryBudget
  var model: OnnxModel
  var states: [(input: String, output: String)] = []
  var signals: [String: Signal] = [:]
  var declared: Set<String> = []
  var counter = 0

  /// Reads a policy. `sidecar` is the architecture where it is not in the file's metadata; its bytes are needed for the
  /// call alone.
  @export(interface)
  public static func read(_ bytes: Bytes, sidecar: Bytes?, memoryLimit: Int) throws(Failure) -> Architecture {
    let budget = MemoryBudget(limit: memoryLimit)
    let file = try SafetensorsFile.read(bytes, budget: budget)
    let what = "the architecture"
    var inline: String? = nil
    for e in file.metadata where e.key == key { inline = e.value }
    let root: Json
    if let inline {
      let text = try budget.zeroed(inline.utf8.count, for: what)
      var n = 0
      for b in inline.utf8 {
        text.mutable.storeBytes(of: b, toByteOffset: n, as: UInt8.self)
        n += 1
      }
      root = try JsonReader.read(text.start, 0..<n, what: what, budget: budget)
    } else if let sidecar {
      root = try JsonReader.read(sidecar.start, 0..<sidecar.count, what: what, budget: budget)
    } else {
      throw Failure(.format, """
        this safetensors file holds tensors alone, not how they are connected; expected the architecture in its \
        metadata ('\(key)') or in a .json file beside it: write it with 'efferent convert'
        """)
    }
    var reader = ArchitectureReader(file: file, budget: budget, model: OnnxModel(bytes: bytes))
    try reader.read(root)
    return Architecture(model: reader.model, states: reader.states)
  }

  private init(file: SafetensorsFile, budget: MemoryBudget, model: OnnxModel) {
    (self.file, self.budget, self.model) = (file, budget, model)
  }

  private mutating func read(_ root: Json) throws(Failure) {
    guard case .object(let members) = root else {
      throw Failure(.format, "the architecture is \(root.kind), expected an object with inputs and layers")
    }
    for m in members {
      guard ["efferent", "producer", "inputs", "layers", "outputs", "metadata"].contains(m.key) else {
        throw Failure(
          .format,
          "the architecture has the key '\(m.key)', expected efferent, producer, inputs, layers, outputs or metadata")
      }
    }
    guard let version = root["efferent"]?.integer, version >= 1 else {
      throw Failure(.format, "the architecture states no version; expected \"efferent\": 1")
    }
    guard version == 1 else {
      throw Failure(.unsupported, "the architecture is of version \(version), expected 1; update Efferent")
    }
    var opset = OnnxOpset()
    opset.version = Self.opset
    model.opsets = [opset]
    if case .string(let s)? = root["producer"] { model.producer = s }
    model.metadata = file.metadata.filter { $0.key != Self.key }
    try readMetadata(root["metadata"])
    let first = try readInputs(root["inputs"])
    let last = try readLayers(root["layers"], first)
    try readOutputs(root["outputs"], last)
  }

  private mutating func readMetadata(_ value: Json?) throws(Failure) {
    guard let value else { return }
    guard case .object(let members) = value else {
      throw Failure(.format, "metadata of the architecture is \(value.kind), expected an object")
    }
    for m in members {
      guard case .string(let text) = m.value else {
        throw Failure(.format, "metadata '\(m.key)' of the architecture is \(m.value.kind), expected a text")
      }
      model.metadata.append(OnnxEntry(key: m.key, value: text))
    }
  }

  // MARK: inputs and outputs

  private mutating func readInputs(_ value: Json?) throws(Failure) -> Signal {
    guard case .array(let items)? = value, !items.isEmpty else {
      throw Failure(
        .format, "the architecture has no list of inputs, expected one such as [{\"name\": \"obs\", \"shape\": [48]}]")
    }
    for (i, item) in items.enumerated() {
      guard case .string(let name)? = item["name"], !name.utf8.isEmpty else {
        throw Failure(.format, "input \(i) of the architecture has no name")
      }
      let port = Layer(item, name: name, type: "input")
      try port.expectKeys(["shape", "dtype"])
      let type = try elementType(port)
      try addInput(
        Signal(name: name, shape: try port.integers("shape", in: 1...TensorReader.maximumSize), type: type),
        label: "input '\(name)'")
    }
    return signals[model.graph.inputs[0].name] ?? Signal(name: "", shape: [])
  }

  private func elementType(_ port: Layer) throws(Failure) -> ElementType {
    guard let name = try port.string("dtype") else { return .f32 }
    for type in [ElementType.f32, .f64, .f16, .bf16, .u8, .i8, .i32, .i64, .bool] where type.name == name {
      return type
    }
    throw port.fail("dtype is '\(name)', expected f32, f64, f16, bf16, u8, i8, i32, i64 or bool")
  }

  /// Declares an input of the policy.
  mutating func addInput(_ s: Signal, label: String, dims: [Int]? = nil) throws(Failure) {
    guard signals[s.name] == nil else {
      throw Failure(.format, "\(label): there is another input or layer of that name")
    }
    guard file.tensors[s.name] == nil else {
      throw Failure(.format, "\(label): a tensor has the same name; give it another")
    }
    _ = try TensorReader.count(s.shape, label)
    guard s.shape.count < 8 else {
      throw Failure(.unsupported, "\(label): has \(s.shape.count) dimensions, expected at most 7")
    }
    signals[s.name] = s
    model.graph.inputs.append(port(s.name, s.type, dims ?? [1] + s.shape))
  }

  private func port(_ name: String, _ type: ElementType, _ dims: [Int]) -> OnnxValue {
    var v = OnnxValue()
    (v.name, v.type) = (name, type.rawValue)
    v.dims = dims.map { .size(Int64($0)) }
    return v
  }

  private mutating func readOutputs(_ value: Json?, _ last: Signal) throws(Failure) {
    let carried = model.graph.outputs
    model.graph.outputs = []
    if let value {
      guard case .array(let items) = value, !items.isEmpty else {
        throw Failure(
          .format, "outputs of the architecture is \(value.kind), expected a list such as [{\"name\": \"action\"}]")
      }
      for (i, item) in items.enumerated() {
        guard case .string(let name)? = item["name"], !name.utf8.isEmpty else {
          throw Failure(.format, "output \(i) of the architecture has no name")
        }
        let port = Layer(item, name: name, type: "output")
        try port.expectKeys([])
        try addOutput(name, try port.string("from").map { s throws(Failure) in try signal(s, port) } ?? last)
      }
    } else {
      try addOutput("action", last)
    }
    for o in carried {
      guard !model.graph.outputs.contains(where: { $0.name == o.name }) else {
        throw Failure(.format, "output '\(o.name)' has the name of a recurrent state; give it another")
      }
    }
    model.graph.outputs += carried
  }

  private mutating func addOutput(_ name: String, _ s: Signal) throws(Failure) {
    for o in model.graph.outputs where o.name == name { throw Failure(.format, "output '\(name)' is there twice") }
    try emit("Identity", [s.name], to: [name], label: "output '\(name)'")
    model.graph.outputs.append(port(name, s.type, [1] + s.shape))
  }

  /// Declares a recurrent state that the session carries, as an input and an output of the policy; returns their names.
  mutating func addState(_ name: String, _ dims: [Int], label: String) throws(Failure) -> (
    input: String, output: String
  ) {
    let pair = (input: name + "_in", output: name + "_out")
    try addInput(Signal(name: pair.input, shape: []), label: label, dims: dims)
    model.graph.outputs.append(port(pair.output, .f32, dims))
    states.append(pair)
    return pair
  }

  // MARK: layers

  private mutating func readLayers(_ value: Json?, _ first: Signal) throws(Failure) -> Signal {
    guard case .array(let items)? = value else { throw Failure(.format, "the architecture has no list of layers") }
    guard items.count <= Self.maximumLayers else {
      throw Failure(.unsupported, "the architecture has \(items.count) layers, expected at most \(Self.maximumLayers)")
    }
    var last = first
    for (i, item) in items.enumerated() {
      var name = "#\(i)"
      if case .string(let given)? = item["name"] { name = given }
      guard case .string(let type)? = item["type"] else { throw Failure(.format, "layer '\(name)' has no type") }
      let layer = Layer(item, name: name, type: type)
      guard signals[name] == nil else { throw layer.fail("there is another layer or input of that name") }
      var inputs: [Signal] = []
      switch layer.value("from") {
      case nil: inputs = [last]
      case .string(let s): inputs = [try signal(s, layer)]
      case .array(let list):
        guard list.count <= 64 else { throw layer.fail("from has \(list.count) names, expected at most 64") }
        for item in list {
          guard case .string(let s) = item else {
            throw layer.fail("from holds \(item.kind), expected names of layers or inputs")
          }
          inputs.append(try signal(s, layer))
        }
      case let other?:
        throw layer.fail("from is \(other.kind), expected the name of a layer or input, or a list of them")
      }
      last = try build(layer, inputs)
      signals[name] = last
    }
    return last
  }

  private func signal(_ name: String, _ layer: Layer) throws(Failure) -> Signal {
    guard let s = signals[name], !states.contains(where: { $0.input == name }) else {
      throw layer.fail("from names '\(name)', which is no input and no layer before this one")
    }
    return s
  }
}
