import Base

/// Copies a model with some of its f32 tensors replaced; every other byte that has a meaning stays. External tensors
/// become part of the file.
public struct OnnxRewriter {
  /// Tensors by name: initializers, or the outputs of Constant nodes.
  public var tensors: [String: (dims: [Int], values: [Float])] = [:]
  /// Nodes and initializers to add behind the node that gives `tensor`, which gives `renamed` instead.
  public var addition: (tensor: String, renamed: String, fields: OnnxWriter)? = nil
  private let source: Bytes
  private let budget: MemoryBudget
  private var reader: TensorReader
  /// Names that were found.
  private var found: Set<String> = []

  @export(interface)
  public init(_ source: Bytes, files: ExternalFiles?, memoryLimit: Int) {
    self.source = source
    budget = MemoryBudget(limit: memoryLimit)
    reader = TensorReader(model: source, files: files, budget: budget)
  }

  @export(interface)
  public mutating func rewrite() throws(Failure) -> [UInt8] {
    var out = OnnxWriter()
    var r = WireReader(source.start, from: 0, to: source.count, budget: budget)
    var at = 0
    while let f = try r.next() {
      if f.number == 7 && f.wire == 2 {
        var m = try r.message()
        out.message(7, try graph(&m))
      } else {
        try r.skip(f)
        out.raw(source.start + at, r.position - at)
      }
      at = r.position
    }
    for name in tensors.keys where !found.contains(name) {
      throw Failure(
        .unsupported, "tensor '\(name)' is not stored in the main graph of the file, so it cannot be replaced there")
    }
    if let addition, !found.contains(addition.tensor) {
      throw Failure(.unsupported, "no node of the main graph gives '\(addition.tensor)', so nothing can be added to it")
    }
    return out.bytes
  }

  private mutating func graph(_ r: inout WireReader) throws(Failure) -> OnnxWriter {
    var out = OnnxWriter()
    var at = r.position
    while let f = try r.next() {
      if f.number == 5 && f.wire == 2 {
        var m = try r.message()
        let start = m.position
        let t = try OnnxReader.tensor(&m)
        if let replaced = try replacement(t, as: t.name, stored: t.name) {
          out.message(5, replaced)
        } else {
          out.blob(5, source.start + start, m.end - start)
        }
      } else if f.number == 1 && f.wire == 2 {
        var m = try r.message()
        try node(&m, &out)
      } else {
        try r.skip(f)
        out.raw(source.start + at, r.position - at)
      }
      at = r.position
    }
    return out
  }

  /// A node, changed where it is a Constant that learns or the one behind which something is added.
  private mutating func node(_ r: inout WireReader, _ out: inout OnnxWriter) throws(Failure) {
    let (start, end) = (r.position, r.end)
    var copy = r
    let n = try OnnxReader.node(&copy)
    let isConstant = n.op == "Constant" && n.outputs.count == 1 && tensors[n.outputs[0]] != nil
    let isExtended = addition.map { a in n.outputs.contains { $0 == a.tensor } } ?? false
    guard isConstant || isExtended else { return out.blob(1, source.start + start, end - start) }
    var changed = OnnxWriter()
    var at = r.position
    while let f = try r.next() {
      if isConstant && f.number == 5 && f.wire == 2 {
        var m = try r.message()
        let a = try OnnxReader.attribute(&m)
        guard let t = a.tensors.first, let replaced = try replacement(t, as: n.outputs[0], stored: t.name) else {
          throw Failure(.unsupported, "tensor '\(n.outputs[0])' is not stored as a tensor, so it cannot be replaced")
        }
        var attribute = OnnxWriter()
        attribute.text(1, a.name)
        attribute.message(5, replaced)
        attribute.int(20, 4)
        changed.message(5, attribute)
      } else if let addition, f.number == 2 && f.wire == 2 {
        let name = try r.string()
        changed.text(2, name == addition.tensor ? addition.renamed : name)
      } else {
        try r.skip(f)
        changed.raw(source.start + at, r.position - at)
      }
      at = r.position
    }
    out.message(1, changed)
    if isExtended, let addition {
      found.insert(addition.tensor)
      addition.fields.bytes.withUnsafeBytes { if let p = $0.baseAddress { out.raw(p, $0.count) } }
    }
  }

  /// The new TensorProto of a tensor that is known as `name` and stored under another; nil where it stays as it is.
  private mutating func replacement(_ t: OnnxTensor, as name: String, stored: String) throws(Failure) -> OnnxWriter? {
    if let new = tensors[name] {
      found.insert(name)
      return new.values.withUnsafeBytes {
        OnnxWriter.tensor(stored, type: 1, new.dims, $0.baseAddress ?? source.start, bytes: $0.count)
      }
    }
    guard t.isExternal else { return nil }
    let data = try reader.read(t, "initializer '\(t.name)'")
    return OnnxWriter.tensor(stored, type: Int(t.type), data.shape, data.start, bytes: data.byteCount)
  }
}
