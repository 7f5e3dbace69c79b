import Base
import Onnx

// the vocabulary in which layers are written: nodes, weights and constants
extension ArchitectureReader {
  /// Adds a node whose outputs are named by the caller.
  mutating func emit(
    _ op: String, _ inputs: [String], _ attributes: [OnnxAttribute] = [], to outputs: [String], label: String
  ) throws(Failure) {
    try budget.take(512, for: "layer '\(label)'")
    var n = OnnxNode()
    (n.op, n.name, n.inputs, n.outputs, n.attributes) = (op, label, inputs, outputs, attributes)
    model.graph.nodes.append(n)
  }

  mutating func fresh(_ layer: Layer) -> String {
    counter += 1
    return layer.name + "#" + String(counter)
  }

  /// Adds a node with one output; returns its name.
  mutating func node(_ op: String, _ inputs: [String], _ layer: Layer) throws(Failure) -> String {
    try node(op, inputs, [], layer)
  }

  mutating func node(_ op: String, _ inputs: [String], _ attributes: [OnnxAttribute], _ layer: Layer) throws(Failure)
    -> String
  {
    let out = fresh(layer)
    try emit(op, inputs, attributes, to: [out], label: layer.name)
    return out
  }

  // MARK: constants

  /// An initializer of numbers.
  mutating func constant(_ values: [Float], _ shape: [Int], _ layer: Layer) throws(Failure) -> String {
    try add(layer, shape, .f32) { $0.floats = values }
  }

  mutating func constant(_ values: [Int], _ layer: Layer) throws(Failure) -> String {
    try add(layer, [values.count], .i64) { $0.ints = values.map { Int64($0) } }
  }

  mutating func number(_ value: Double, _ type: ElementType, _ layer: Layer) throws(Failure) -> String {
    try add(layer, [], type) { if type == .f64 { $0.doubles = [value] } else { $0.floats = [Float(value)] } }
  }

  private mutating func add(_ layer: Layer, _ shape: [Int], _ type: ElementType, _ fill: (inout OnnxTensor) -> Void)
    throws(Failure) -> String
  {
    var t = OnnxTensor()
    t.name = fresh(layer)
    t.type = type.rawValue
    t.dims = shape.map { Int64($0) }
    fill(&t)
    try budget.take(512, for: "layer '\(layer.name)'")
    model.graph.initializers.append(t)
    return t.name
  }

  // MARK: weights

  /// A tensor of the file, in floating point as `type`; narrower and wider ones are converted at load.
  mutating func tensor(_ name: String, _ layer: Layer, as type: ElementType = .f32) throws(Failure) -> Signal {
    guard let t = file.tensors[name] else { throw layer.fail("needs the tensor '\(name)', which is not in the file") }
    guard let found = ElementType(safetensors: t.dtype) else {
      throw layer.fail(
        "tensor '\(name)' has the dtype \(t.dtype), expected F64, F32, F16, BF16 or an integer type", .unsupported)
    }
    guard t.shape.allSatisfy({ $0 > 0 }), t.shape.count < 8 else {
      throw layer.fail("tensor '\(name)' is \(describe(t.shape)), expected no empty dimension and at most 7", .shape)
    }
    if declared.insert(name).inserted {
      var w = OnnxTensor()
      (w.name, w.type, w.raw) = (name, found.rawValue, t.range)
      w.dims = t.shape.map { Int64($0) }
      model.graph.initializers.append(w)
    }
    let value = found == type ? name : try node("Cast", [name], [.int("to", Int(type.rawValue))], layer)
    return Signal(name: value, shape: t.shape, type: type)
  }

  /// The tensor that `key` names, or else `<layer>.<key>`; nil where there is no such tensor and `key` does not ask for
  /// one.
  mutating func optional(_ key: String, _ layer: Layer) throws(Failure) -> Signal? {
    if let name = try layer.string(key) { return try tensor(name, layer) }
    let name = layer.name + "." + key
    return file.tensors[name] == nil ? nil : try tensor(name, layer)
  }

  mutating func weight(_ key: String, _ layer: Layer, rank: Int? = nil, shape: [Int]? = nil) throws(Failure) -> Signal {
    guard let w = try optional(key, layer) else {
      throw layer.fail("needs a tensor: '\(layer.name).\(key)' is not in the file, and \(key) names no other")
    }
    try check(w, key, layer, rank: rank, shape: shape)
    return w
  }

  mutating func optional(_ key: String, _ layer: Layer, shape: [Int]) throws(Failure) -> Signal? {
    guard let w = try optional(key, layer) else { return nil }
    try check(w, key, layer, rank: nil, shape: shape)
    return w
  }

  private func check(_ w: Signal, _ key: String, _ layer: Layer, rank: Int?, shape: [Int]?) throws(Failure) {
    if let shape, w.shape != shape {
      throw layer.fail("\(key) is \(describe(w.shape)), expected \(describe(shape))", .shape)
    }
    if let rank, w.shape.count != rank {
      throw layer.fail("\(key) is \(describe(w.shape)), expected rank \(rank)", .shape)
    }
  }

  /// A number, a list of numbers or the name of a tensor, to be combined with `x` element by element: it never widens
  /// `x`.
  mutating func vector(_ key: String, _ layer: Layer, for x: Signal, as type: ElementType = .f32) throws(Failure)
    -> String?
  {
    guard let v = layer.value(key) else { return nil }
    let found: Signal
    switch v {
    case .number(let d): return try number(d, type, layer)
    case .string(let name): found = try tensor(name, layer, as: type)
    case .array(let items):
      var values: [Double] = []
      for i in items {
        guard case .number(let d) = i else { throw layer.fail("\(key) holds \(i.kind), expected numbers") }
        values.append(d)
      }
      guard !values.isEmpty else { throw layer.fail("\(key) is an empty list") }
      let name = try add(layer, [values.count], type) {
        if type == .f64 { $0.doubles = values } else { $0.floats = values.map { Float($0) } }
      }
      found = Signal(name: name, shape: [values.count], type: type)
    default: throw layer.fail("\(key) is \(v.kind), expected a number, a list of numbers or the name of a tensor")
    }
    return try fitted(found, x, key, layer)
  }

  /// `v` without leading sizes of 1 that `x` does not have, if it fits `x` from the right.
  private mutating func fitted(_ v: Signal, _ x: Signal, _ key: String, _ layer: Layer) throws(Failure) -> String {
    var shape = v.shape
    while shape.count > x.shape.count, shape[0] == 1 { shape.removeFirst() }
    let offset = x.shape.count - shape.count
    var fits = offset >= 0
    if fits { for (i, d) in shape.enumerated() where d != 1 && d != x.shape[offset + i] { fits = false } }
    guard fits else {
      throw layer.fail("\(key) is \(describe(v.shape)), expected one that fits its input \(describe(x.shape))", .shape)
    }
    return shape == v.shape ? v.name : try node("Reshape", [v.name, try constant(shape, layer)], layer)
  }

  /// `x` in floating point: f32, or f64 where a layer computes in it.
  mutating func real(_ x: Signal, _ layer: Layer, as type: ElementType = .f32) throws(Failure) -> Signal {
    if x.type == type { return x }
    return Signal(name: try node("Cast", [x.name], [.int("to", Int(type.rawValue))], layer), shape: x.shape, type: type)
  }

  mutating func reshape(_ x: Signal, _ shape: [Int], _ layer: Layer) throws(Failure) -> Signal {
    x.shape == shape ? x : Signal(name: try reshape(x.name, to: [1] + shape, layer), shape: shape, type: x.type)
  }

  mutating func reshape(_ x: String, to dims: [Int], _ layer: Layer) throws(Failure) -> String {
    try node("Reshape", [x, try constant(dims, layer)], layer)
  }
}

extension OnnxAttribute {
  private init(_ name: String, _ kind: Kind) {
    self.init()
    (self.name, self.kind) = (name, kind)
  }

  static func int(_ name: String, _ value: Int) -> OnnxAttribute {
    var a = OnnxAttribute(name, .int)
    a.int = Int64(value)
    return a
  }

  static func float(_ name: String, _ value: Double) -> OnnxAttribute {
    var a = OnnxAttribute(name, .float)
    a.float = Float(value)
    return a
  }

  static func ints(_ name: String, _ values: [Int]) -> OnnxAttribute {
    var a = OnnxAttribute(name, .ints)
    a.ints = values.map { Int64($0) }
    return a
  }

  static func string(_ name: String, _ value: String) -> OnnxAttribute {
    var a = OnnxAttribute(name, .string)
    a.string = value
    return a
  }

  static func strings(_ name: String, _ values: [String]) -> OnnxAttribute {
    var a = OnnxAttribute(name, .strings)
    a.strings = values
    return a
  }
}
