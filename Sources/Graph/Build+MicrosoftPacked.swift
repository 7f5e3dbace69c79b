import Base
import Kernels
import Onnx

// domain com.microsoft: weights of a few bits in blocks, as matmul_nbits_quantizer writes them; unpacked to numbers at
// load
extension Builder {
  mutating func buildMicrosoftPacked(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .matMulNBits: return [try buildMatMulNBits(n)]
    case .gatherBlockQuantized: return [try buildGatherBlocks(n)]
    default: return nil
    }
  }

  /// The constant behind an input.
  private func known(_ v: Int, _ what: String, _ n: Node) throws(Failure) -> TensorData {
    guard let c = constant(v) else {
      throw n.fail(.unsupported, "its \(what) is computed while running; expected a constant")
    }
    return c
  }

  /// Y = A W + bias with W [K, N] from B [N, blocks, bytes]: element k of column n is in block k / block_size, low bits
  /// first.
  private mutating func buildMatMulNBits(_ n: Node) throws(Failure) -> Int {
    n.passOver(["accuracy_level"])  // the least accuracy that is asked for: this one is the greatest
    let (k, columns) = (try n.int("K", 0), try n.int("N", 0))
    let (bits, size) = (try n.int("bits", 4), try n.int("block_size", 0))
    guard bits == 2 || bits == 4 || bits == 8, k > 0, columns > 0, size >= 16, size <= 1 << 20, size & (size - 1) == 0
    else {
      throw n.fail(.unsupported, """
        has bits \(bits), K \(k), N \(columns) and block_size \(size); \
        expected 2, 4 or 8 bits and blocks of a power of two from 16 on
        """)
    }
    guard try n.int("weight_prepacked", 0) == 0, n.optional(4) == nil else {
      throw n.fail(.unsupported, "weight_prepacked and g_idx are not supported; quantize without them")
    }
    let a = try n.input(0)
    guard let last = shape(a).last, last == k, shape(a).count >= 2 else {
      throw n.fail(.shape, "input A is \(describe(shape(a))), expected [..., \(k)]")
    }
    let blocks = (k + size - 1) / size
    let bytes = size * bits / 8
    let packed = try known(try n.input(1), "B", n)
    guard packed.type == .u8, packed.count == TensorReader.product(columns, blocks, bytes) else {
      throw n.fail(
        .shape,
        "input B is \(packed.type.name) \(describe(packed.shape)), expected u8 \(describe([columns, blocks, bytes]))")
    }
    let scales = try numbers(try n.input(2), n, "scales")
    guard scales.count == columns * blocks else {
      throw n.fail(.shape, "scales is \(describe(shape(try n.input(2)))), expected \(describe([columns, blocks]))")
    }
    let zeros = try blockZeros(n, columns, blocks, bits)
    let total = try TensorReader.count([k, columns], n.label)
    let wide = try budget.zeroed(total * 4, for: n.label)
    let mask = UInt8(truncatingIfNeeded: 1 << bits - 1)
    for column in 0..<columns {
      for i in 0..<k {
        let block = column * blocks + i / size
        let bit = i % size * bits
        let byte = packed.start.load(fromByteOffset: block * bytes + bit / 8, as: UInt8.self)
        let q = Float(byte >> UInt8(truncatingIfNeeded: bit % 8) & mask)
        wide.mutable.storeBytes(
          of: (q - Float(zeros[block])) * Float(scales[block]), toByteOffset: 4 * (i * columns + column), as: Float.self
        )
      }
    }
    let w = newConstant(TensorData(type: .f32, shape: [k, columns], bytes: wide), n.label)
    let y = try matmul(a, try cast(w, to: type(a)), label: n.label)
    return try biased(y, n.optional(5), n)
  }

  /// Zero points per column and block: numbers of the type of A, or packed like B, each column beginning with a byte of
  /// its own.
  private mutating func blockZeros(_ n: Node, _ columns: Int, _ blocks: Int, _ bits: Int) throws(Failure) -> [Double] {
    guard let v = n.optional(3) else { return [Double](repeating: Double(1 << (bits - 1)), count: columns * blocks) }
    if type(v).isFloat {
      guard count(v) == columns * blocks else {
        throw n.fail(.shape, "zero_points is \(describe(shape(v))), expected \(describe([columns, blocks]))")
      }
      return try numbers(v, n, "zero_points")
    }
    let packed = try known(v, "zero_points", n)
    let bytes = (blocks * bits + 7) / 8
    guard packed.type == .u8, packed.count == columns * bytes else {
      throw n.fail(
        .shape,
        "zero_points is \(packed.type.name) \(describe(packed.shape)), expected u8 \(describe([columns, bytes]))")
    }
    var out: [Double] = []
    for column in 0..<columns {
      for block in 0..<blocks {
        let byte = packed.start.load(fromByteOffset: column * bytes + block * bits / 8, as: UInt8.self)
        out.append(Double(Int(byte) >> (block * bits % 8) & (1 << bits - 1)))
      }
    }
    return out
  }

  /// Gather from a table in blocks along quantize_axis. The table becomes numbers at load.
  private mutating func buildGatherBlocks(_ n: Node) throws(Failure) -> Int {
    let table = try n.input(0)
    let s = shape(table)
    let bits = try n.int("bits", 4)
    guard type(table).isNibble || (type(table) == .u8 && bits == 8) else {
      throw n.fail(.unsupported, "data is \(type(table).name) of \(bits) bits, expected i4, u4, or u8 of 8 bits")
    }
    let a = try axis(try n.int("quantize_axis", 1), rank: s.count, n)
    let to = try axis(try n.int("gather_axis", 0), rank: s.count, n)
    // as DequantizeLinear writes it
    var axisOnly = OnnxAttribute()
    (axisOnly.name, axisOnly.kind, axisOnly.int) = ("axis", .int, Int64(a))
    var block = OnnxAttribute()
    (block.name, block.kind, block.int) = ("block_size", .int, Int64(try n.int("block_size", 128)))
    var plain = n.onnx
    plain.attributes = [axisOnly, block]
    var zero = n.optional(3)
    // onnxruntime's defaults: the middle for u8, 0 for i4 and u4
    if zero == nil && type(table) == .u8 { zero = try filled(128, .u8, shape(try n.input(2))) }
    let inner = Node(onnx: plain, n.operator, inputs: n.inputs, opset: n.opset, place: n.place.withoutNotes)
    return try gather(try dequantize(table, try n.input(2), zero, inner), try n.input(1), axis: to, n)
  }
}
