import Base

/// bytes -> OnnxModel. Reads protobuf in place; tensors stay where they are.
public struct OnnxReader {
  /// Reads a model. `bytes` must stay unchanged while the model lives. What reading allocates is bounded by
  /// `memoryLimit` bytes, about.
  /// - Complexity: O(bytes).
  @export(interface)
  public static func read(_ bytes: Bytes, memoryLimit: Int) throws(Failure) -> OnnxModel {
    try refuseOtherFormats(bytes)
    var model = OnnxModel(bytes: bytes)
    var sawGraph = false
    var r = WireReader(bytes.start, from: 0, to: bytes.count, budget: MemoryBudget(limit: memoryLimit))
    while let f = try r.next() {
      switch f.number {
      case 1:
        try r.expect(f, wire: 0, "ModelProto.ir_version")
        model.irVersion = Int64(bitPattern: try r.varint())
      case 2:
        try r.expect(f, wire: 2, "ModelProto.producer_name")
        model.producer = try r.string()
      case 7:
        try r.expect(f, wire: 2, "ModelProto.graph")
        var m = try r.message()
        model.graph = try graph(&m)
        sawGraph = true
      case 8:
        try r.expect(f, wire: 2, "ModelProto.opset_import")
        var m = try r.message()
        model.opsets.append(try opset(&m))
      case 14:
        try r.expect(f, wire: 2, "ModelProto.metadata_props")
        var m = try r.message()
        model.metadata.append(try entry(&m))
      case 25:
        try r.expect(f, wire: 2, "ModelProto.functions")
        var m = try r.message()
        model.functions.append(try function(&m))
      default: try r.skip(f)
      }
    }
    guard sawGraph else {
      throw Failure(
        .format,
        """
        this is not an ONNX model, or it is cut short: it holds no graph (\(bytes.count) bytes); copy or download the \
        file again
        """
      )
    }
    guard !model.opsets.isEmpty || model.irVersion < 3 else {
      throw Failure(
        .format,
        """
        the model states no opset, as all of IR version \(model.irVersion) do; it is damaged or cut short: copy or \
        download the file again
        """
      )
    }
    return model
  }

  /// Recognizes what people load by mistake and says so.
  static func refuseOtherFormats(_ bytes: Bytes) throws(Failure) {
    let p = UnsafeRawBufferPointer(start: bytes.start, count: bytes.count)
    func starts(_ text: StaticString) -> Bool {
      guard p.count >= text.utf8CodeUnitCount else { return false }
      for i in 0..<text.utf8CodeUnitCount where p[i] != text.utf8Start[i] { return false }
      return true
    }
    if p.count == 0 { throw Failure(.format, "the file is empty (0 bytes); expected an ONNX model") }
    if starts("version https://git-lfs") {
      throw Failure(.format, "this is a git-lfs pointer, not the model itself; fetch the model with 'git lfs pull'")
    }
    if starts("PK\u{03}\u{04}") {
      throw Failure(
        .format,
        """
        this is a zip archive (a TorchScript file, a torch checkpoint or a Stable-Baselines3 zip), not ONNX; export \
        it with torch.onnx.export, or use 'efferent convert'
        """
      )
    }
    if p.count > 1 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 {
      throw Failure(
        .format,
        """
        this is a Python pickle, not ONNX; it will not be unpickled: export the policy with torch.onnx.export, or use \
        'efferent convert'
        """
      )
    }
    if p[0] == 0x89, p.count > 3, p[1] == 0x48, p[2] == 0x44, p[3] == 0x46 {
      throw Failure(.format, "this is an HDF5 file (Keras), not ONNX; convert it with tf2onnx")
    }
    if p.count > 7 && p[4] == 0x54 && p[5] == 0x46 && p[6] == 0x4C && p[7] == 0x33 {
      throw Failure(.format, "this is a TensorFlow Lite file, not ONNX; convert it with tf2onnx --tflite")
    }
    if p.count > 7 && p[4] == 0x4F && p[5] == 0x52 && p[6] == 0x54 && p[7] == 0x4D {
      throw Failure(
        .format, "this is an ONNX Runtime file (.ort), not ONNX; give the .onnx file that it was converted from")
    }
    // spaces before the first character of a page
    var first = 0
    while first < p.count, first < 64, p[first] == 0x0A || p[first] == 0x0D || p[first] == 0x20 { first += 1 }
    if first + 1 < p.count, p[first] == UInt8(ascii: "<"),
      p[first + 1] == UInt8(ascii: "!") || p[first + 1] | 0x20 == UInt8(ascii: "h")
    {
      throw Failure(
        .format,
        """
        this is an HTML page, not an ONNX model; the download gave a web page (a login, or a 'file not found'): fetch \
        the raw file
        """
      )
    }
    if p[0] == 0x7B || starts("<") || starts("#!") {
      let hint: StaticString =
        p[0] == 0x7B ? "; the architecture of safetensors is read with them: give the .safetensors file beside it" : ""
      throw Failure(.format, "this is a text file, not an ONNX model\(hint)")
    }
  }

  // MARK: messages of onnx.proto3

  static func opset(_ r: inout WireReader) throws(Failure) -> OnnxOpset {
    var out = OnnxOpset()
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.domain = try r.string()
      case (2, 0): out.version = Int64(bitPattern: try r.varint())
      default: try r.skip(f)
      }
    }
    return out
  }

  static func entry(_ r: inout WireReader) throws(Failure) -> OnnxEntry {
    var out = OnnxEntry()
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.key = try r.string()
      case (2, 2): out.value = try r.string()
      default: try r.skip(f)
      }
    }
    return out
  }

  static func graph(_ r: inout WireReader) throws(Failure) -> OnnxGraph {
    var out = OnnxGraph()
    var ahead = r
    let (nodes, initializers) = try count(&ahead, 1, 5)
    out.nodes.reserveCapacity(nodes)
    out.initializers.reserveCapacity(initializers)
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2):
        var m = try r.message()
        out.nodes.append(try node(&m))
      case (2, 2): out.name = try r.string()
      case (5, 2):
        var m = try r.message()
        out.initializers.append(try tensor(&m))
      case (11, 2):
        var m = try r.message()
        out.inputs.append(try value(&m))
      case (12, 2):
        var m = try r.message()
        out.outputs.append(try value(&m))
      case (15, _):
        throw Failure(
          .unsupported,
          "graph '\(out.name)' has a sparse initializer; expected dense initializers: convert it before export")
      default: try r.skip(f)
      }
    }
    return out
  }

  /// How many fields of two numbers follow in a message, as far as that is worth making room for at once.
  private static func count(_ r: inout WireReader, _ a: Int, _ b: Int) throws(Failure) -> (Int, Int) {
    var found = (0, 0)
    while let f = try r.next() {
      if f.number == a { found.0 += 1 }
      if f.number == b { found.1 += 1 }
      try r.skip(f)
    }
    return (min(found.0, 1024), min(found.1, 1024))
  }

  static func node(_ r: inout WireReader) throws(Failure) -> OnnxNode {
    var out = OnnxNode()
    out.inputs.reserveCapacity(3)
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.inputs.append(try r.string())
      case (2, 2): out.outputs.append(try r.string())
      case (3, 2): out.name = try r.string()
      case (4, 2): out.op = try r.string()
      case (5, 2):
        var m = try r.message()
        out.attributes.append(try attribute(&m))
      case (7, 2): out.domain = try r.string()
      case (8, 2): out.overload = try r.string()
      default: try r.skip(f)
      }
    }
    return out
  }

  static func attribute(_ r: inout WireReader) throws(Failure) -> OnnxAttribute {
    var out = OnnxAttribute()
    var seen = OnnxAttribute.Kind.undefined
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.name = try r.string()
      case (2, 5):
        out.float = Float(bitPattern: try r.fixed32())
        seen = .float
      case (3, 0):
        out.int = Int64(bitPattern: try r.varint())
        seen = .int
      case (4, 2):
        out.string = try r.string()
        seen = .string
      case (5, 2), (10, 2):
        var m = try r.message()
        out.tensors.append(try tensor(&m))
        seen = f.number == 5 ? .tensor : .tensors
      case (6, 2), (11, 2):
        var m = try r.message()
        out.graphs.append(try graph(&m))
        seen = f.number == 6 ? .graph : .graphs
      case (7, _):
        try r.fixed32s(f) { out.floats.append(Float(bitPattern: $0)) }
        seen = .floats
      case (8, _):
        try r.varints(f) { out.ints.append(Int64(bitPattern: $0)) }
        seen = .ints
      case (9, 2):
        out.strings.append(try r.string())
        seen = .strings
      case (20, 0): out.kind = OnnxAttribute.Kind(rawValue: Int(truncatingIfNeeded: try r.varint())) ?? .other
      case (21, 2): out.reference = try r.string()
      default: try r.skip(f)
      }
    }
    if out.kind == .undefined { out.kind = seen }  // ir_version 1 and 2 do not write the type
    return out
  }

  static func tensor(_ r: inout WireReader) throws(Failure) -> OnnxTensor {
    var out = OnnxTensor()
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, _): try r.varints(f) { out.dims.append(Int64(bitPattern: $0)) }
      case (2, 0): out.type = Int32(truncatingIfNeeded: try r.varint())
      case (4, _): try r.fixed32s(f) { out.floats.append(Float(bitPattern: $0)) }
      case (5, _), (7, _), (11, _): try r.varints(f) { out.ints.append(Int64(bitPattern: $0)) }
      case (6, 2):
        _ = try r.range()
        out.stringCount += 1
      case (8, 2): out.name = try r.string()
      case (9, 2): out.raw = try r.range()
      case (10, _): try r.fixed64s(f) { out.doubles.append(Double(bitPattern: $0)) }
      case (13, 2):
        var m = try r.message()
        out.external.append(try entry(&m))
      case (14, 0): out.isExternal = try r.varint() == 1
      default: try r.skip(f)
      }
    }
    return out
  }

  static func value(_ r: inout WireReader) throws(Failure) -> OnnxValue {
    var out = OnnxValue()
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.name = try r.string()
      case (2, 2):
        var type = try r.message()
        out.isTensor = false
        while let t = try type.next() {
          if t.number == 1 && t.wire == 2 {
            out.isTensor = true
            var m = try type.message()
            try tensorType(&m, &out)
          } else {
            try type.skip(t)
          }
        }
      default: try r.skip(f)
      }
    }
    return out
  }

  static func tensorType(_ r: inout WireReader, _ out: inout OnnxValue) throws(Failure) {
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 0): out.type = Int32(truncatingIfNeeded: try r.varint())
      case (2, 2):
        var shape = try r.message()
        var dims: [OnnxValue.Dim] = []
        while let s = try shape.next() {
          guard s.number == 1 && s.wire == 2 else {
            try shape.skip(s)
            continue
          }
          var dim = OnnxValue.Dim.unknown
          var m = try shape.message()
          while let d = try m.next() {
            switch (d.number, d.wire) {
            case (1, 0): dim = .size(Int64(bitPattern: try m.varint()))
            case (2, 2):
              let name = try m.string()
              dim = name.utf8.isEmpty ? .unknown : .symbol(name)
            default: try m.skip(d)
            }
          }
          dims.append(dim)
        }
        out.dims = dims
      default: try r.skip(f)
      }
    }
  }

  static func function(_ r: inout WireReader) throws(Failure) -> OnnxFunction {
    var out = OnnxFunction()
    while let f = try r.next() {
      switch (f.number, f.wire) {
      case (1, 2): out.name = try r.string()
      case (4, 2): out.inputs.append(try r.string())
      case (5, 2): out.outputs.append(try r.string())
      case (6, 2): out.attributes.append(try r.string())
      case (7, 2):
        var m = try r.message()
        out.nodes.append(try node(&m))
      case (9, 2):
        var m = try r.message()
        out.opsets.append(try opset(&m))
      case (10, 2): out.domain = try r.string()
      case (11, 2):
        var m = try r.message()
        out.defaults.append(try attribute(&m))
      case (13, 2): out.overload = try r.string()
      default: try r.skip(f)
      }
    }
    return out
  }
}
