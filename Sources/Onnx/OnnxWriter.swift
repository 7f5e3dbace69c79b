import Base

/// Protobuf wire format, written field by field, and the messages of onnx.proto3 that exported policies need.
public struct OnnxWriter {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  public mutating func varint(_ value: UInt64) {
    var v = value
    while v > 0x7F {
      bytes.append(UInt8(v & 0x7F) | 0x80)
      v >>= 7
    }
    bytes.append(UInt8(v))
  }

  public mutating func int(_ field: Int, _ value: Int) {
    varint(UInt64(field) << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }

  public mutating func float(_ field: Int, _ value: Float) {
    varint(UInt64(field) << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  public mutating func text(_ field: Int, _ value: String) {
    let utf8 = Array(value.utf8)
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(utf8.count))
    bytes.append(contentsOf: utf8)
  }

  public mutating func blob(_ field: Int, _ start: UnsafeRawPointer, _ count: Int) {
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(count))
    raw(start, count)
  }

  /// Bytes as they are: fields that were written before.
  public mutating func raw(_ start: UnsafeRawPointer, _ count: Int) {
    bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: count))
  }

  public mutating func message(_ field: Int, _ inner: OnnxWriter) {
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(inner.bytes.count))
    bytes.append(contentsOf: inner.bytes)
  }

  // MARK: parts of a graph

  /// TensorProto. `start` holds the elements, dense and little-endian.
  public static func tensor(_ name: String, type: Int, _ dims: [Int], _ start: UnsafeRawPointer, bytes count: Int)
    -> OnnxWriter
  {
    var t = OnnxWriter()
    for d in dims { t.int(1, d) }
    t.int(2, type)
    t.text(8, name)
    t.blob(9, start, count)
    return t
  }

  public mutating func initializer(_ name: String, _ values: [Float], _ dims: [Int]) {
    values.withUnsafeBytes {
      message(
        5, OnnxWriter.tensor(name, type: 1, dims, $0.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!, bytes: $0.count))
    }
  }

  public mutating func node(
    _ op: String, _ inputs: [String], _ output: String, ints: [(String, Int)] = [], floats: [(String, Float)] = []
  ) {
    var n = OnnxWriter()
    for i in inputs { n.text(1, i) }
    n.text(2, output)
    n.text(3, output)
    n.text(4, op)
    for (name, value) in ints { n.attribute(name, type: 2) { $0.int(3, value) } }
    for (name, value) in floats { n.attribute(name, type: 1) { $0.float(2, value) } }
    message(1, n)
  }

  private mutating func attribute(_ name: String, type: Int, _ value: (inout OnnxWriter) -> Void) {
    var a = OnnxWriter()
    a.text(1, name)
    value(&a)
    a.int(20, type)
    message(5, a)
  }

  /// An input (field 11) or output (field 12) of shape ["batch", count].
  public mutating func port(_ field: Int, _ name: String, _ count: Int, type: Int = 1) {
    var symbol = OnnxWriter()
    symbol.text(2, "batch")
    var size = OnnxWriter()
    size.int(1, count)
    var shape = OnnxWriter()
    shape.message(1, symbol)
    shape.message(1, size)
    var tensor = OnnxWriter()
    tensor.int(1, type)
    tensor.message(2, shape)
    var kind = OnnxWriter()
    kind.message(1, tensor)
    var port = OnnxWriter()
    port.text(1, name)
    port.message(2, kind)
    message(field, port)
  }

  /// ModelProto around a graph.
  public static func model(_ graph: OnnxWriter, opset: Int, producer: String, metadata: [OnnxEntry] = []) -> OnnxWriter
  {
    var m = OnnxWriter()
    m.int(1, 8)
    m.text(2, producer)
    var o = OnnxWriter()
    o.int(2, opset)
    m.message(8, o)
    m.message(7, graph)
    for e in metadata {
      var entry = OnnxWriter()
      entry.text(1, e.key)
      entry.text(2, e.value)
      m.message(14, entry)
    }
    return m
  }
}
