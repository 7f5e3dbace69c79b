import Base
import Kernels
import Onnx

// operators over quantized tensors
extension Builder {
  mutating func buildQuantization(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .quantizeLinear: return [try buildQuantize(n)]
    case .dequantizeLinear: return [try buildDequantize(n)]
    case .dynamicQuantizeLinear: return try buildDynamicQuantize(n)
    case .matMulInteger: return [try matMulInteger(try n.input(0), try n.input(1), n.optional(2), n.optional(3), n)]
    case .convInteger: return [try convInteger(try n.input(0), try n.input(1), n.optional(2), n.optional(3), n)]
    case .qLinearMatMul: return [try buildQLinearMatMul(n)]
    case .qLinearConv: return [try buildQLinearConv(n)]
    default: return nil
    }
  }

  /// How a scale covers a tensor: one for all, one per entry of an axis, or one per block along it.
  func quantizeParams(_ n: Node, _ x: Int, scale: Int, zero: Int?) throws(Failure) -> eff_quantize {
    let s = shape(x)
    var p = eff_quantize()
    guard type(scale).isFloat, type(scale) != .f64 else {
      throw n.fail(.shape, "scale has type \(type(scale).name), expected f32, f16 or bf16")
    }
    p.real = type(scale).rawValue
    if let zero {
      guard count(zero) == count(scale) else {
        throw n.fail(.shape, "zero point is \(describe(shape(zero))), expected \(describe(shape(scale)))")
      }
    }
    let (block, given) = (try n.int("block_size", 0), try n.int("axis", 1))
    guard block >= 0 else { throw n.fail(.shape, "block_size is \(block), expected 0 or more") }
    if count(scale) == 1 && block == 0 {
      (p.outer, p.axis, p.inner) = (1, 1, Int64(count(x)))
      return p
    }
    let a = try axis(given, rank: s.count, n)
    guard a < s.count else {
      throw n.fail(.shape, "scale is \(describe(shape(scale))), expected one number for a scalar")
    }
    (p.outer, p.axis, p.inner) = split(s, a)
    if block > 0 {
      var expected = s
      expected[a] = (s[a] + block - 1) / block
      guard shape(scale) == expected else {
        throw n.fail(
          .shape, "scale is \(describe(shape(scale))), expected \(describe(expected)) for blocks of \(block)")
      }
      p.block = Int64(block)
    } else {
      guard shape(scale) == [s[a]] else {
        throw n.fail(.shape, "scale is \(describe(shape(scale))), expected [\(s[a])] for axis \(a) of \(describe(s))")
      }
    }
    return p
  }

  private func isQuantized(_ t: ElementType) -> Bool { t == .u8 || t == .i8 || t == .u16 || t == .i16 || t == .i32 }

  mutating func buildQuantize(_ n: Node) throws(Failure) -> Int {
    let scale = try n.input(1)
    n.pass("saturate")  // of 8-bit floats
    let precision = try n.int("precision", 0)
    guard precision == 0 || precision == 1 || precision == Int(type(scale).rawValue) else {
      throw n.fail(
        .unsupported,
        "attribute 'precision' is \(Node.typeName(precision)); only f32 and the type of the scale are implemented")
    }
    var to = ElementType.u8
    if let z = n.optional(2) { to = type(z) }
    let code = Int32(try n.int("output_dtype", 0))
    if code != 0 {
      guard let t = ElementType(rawValue: code) else {
        throw n.fail(.unsupported, "output_dtype \(ElementType.unsupportedName(code)) is not supported")
      }
      guard n.optional(2) == nil || t == to else {
        throw n.fail(.shape, "output_dtype is \(t.name), but the zero point is \(to.name)")
      }
      to = t
    }
    return try quantize(try n.input(0), scale, n.optional(2), to: to, n)
  }

  /// round(x / scale) + zero, saturated.
  mutating func quantize(_ x: Int, _ scale: Int, _ zero: Int?, to: ElementType, _ n: Node) throws(Failure) -> Int {
    if to.isNibble {
      // 8 bits first: what saturates there also saturates here
      let wide = try zero.map { z throws(Failure) in try view(z, shape(z), type: to.stored) }
      let low = try scalar(to == .i4 ? -8 : 0, .f32)
      let high = try scalar(to == .i4 ? 7 : 15, .f32)
      var y = try quantize(x, scale, wide, to: to.stored, n)
      y = try binary(Int(EFF_FN2_MAX), y, try cast(low, to: to.stored), label: n.label)
      y = try binary(Int(EFF_FN2_MIN), y, try cast(high, to: to.stored), label: n.label)
      return try view(y, shape(y), type: to)
    }
    guard isQuantized(to), to != .i32 else {
      throw n.fail(.unsupported, "quantizes to \(to.name), expected i8, u8, i16 or u16")
    }
    var p = try quantizeParams(n, x, scale: scale, zero: zero)
    p.quantized = to.rawValue
    let y = try newValue(to, shape(x), n.label)
    try emit(GraphOp(.quantize(p), type: type(x), inputs: [x, scale, zero ?? -1], outputs: [y], label: n.label))
    return y
  }

  mutating func buildDequantize(_ n: Node) throws(Failure) -> Int {
    var scale = try n.input(1)
    let code = Int32(try n.int("output_dtype", 0))
    var to = type(scale)
    if code != 0 {
      guard let t = ElementType(rawValue: code), t == .f32 || t == .f16 || t == .bf16 else {
        throw n.fail(.unsupported, "output_dtype is \(Node.typeName(Int(code))), expected f32, f16 or bf16")
      }
      to = t
    }
    // products are rounded once, to the type of the output
    if to != type(scale), type(scale) != .f64 { scale = try cast(scale, to: .f32) }
    return try cast(try dequantize(try n.input(0), scale, n.optional(2), n), to: to)
  }

  /// (x - zero) scale in the type of the scale.
  mutating func dequantize(_ source: Int, _ scale: Int, _ zero: Int?, _ n: Node) throws(Failure) -> Int {
    let x = try view(source, shape(source), type: type(source).stored)
    let zero = try zero.map { z throws(Failure) in try view(z, shape(z), type: type(z).stored) }
    guard isQuantized(type(x)), type(scale).isFloat, type(scale) != .f64 else {
      throw n.fail(
        .unsupported,
        """
        dequantizes \(type(x).name) with a scale of \(type(scale).name), expected i8, u8, i16, u16 or i32 and f32 or \
        f16
        """
      )
    }
    if let zero {
      guard type(zero) == type(x) else {
        throw n.fail(.shape, "zero point has type \(type(zero).name), expected \(type(x).name)")
      }
    }
    var p = try quantizeParams(n, x, scale: scale, zero: zero)
    p.quantized = type(x).rawValue
    let y = try newValue(type(scale), shape(x), n.label)
    try emit(GraphOp(.dequantize(p), type: type(x), inputs: [x, scale, zero ?? -1], outputs: [y], label: n.label))
    return y
  }

  private mutating func buildDynamicQuantize(_ n: Node) throws(Failure) -> [Int] {
    let q = try dynamicQuantize(try n.input(0), n)
    return [q.value, q.scale, q.zero]
  }

  /// `x` in u8, with the scale and zero point that its values ask for.
  mutating func dynamicQuantize(_ x: Int, _ n: Node) throws(Failure) -> (value: Int, scale: Int, zero: Int) {
    guard type(x) == .f32 else { throw n.fail(.unsupported, "quantizes \(type(x).name), expected f32") }
    let out = [try newValue(.u8, shape(x), n.label), try newValue(.f32, [], n.label), try newValue(.u8, [], n.label)]
    let p = eff_fill(count: Int64(count(x)))
    try emit(GraphOp(.dynamicQuantize(p), type: .f32, inputs: [x], outputs: out, label: n.label))
    return (out[0], out[1], out[2])
  }

  private func requireBytes(_ x: Int, _ zero: Int?, _ n: Node) throws(Failure) {
    guard type(x) == .u8 || type(x) == .i8 else {
      throw n.fail(.shape, "input has type \(type(x).name), expected i8 or u8")
    }
    if let zero {
      guard type(zero) == type(x) else {
        throw n.fail(.shape, "zero point has type \(type(zero).name), expected \(type(x).name)")
      }
    }
  }

  /// (a - a_zero) (b - b_zero) in i32.
  mutating func matMulInteger(_ a: Int, _ b: Int, _ aZero: Int?, _ bZero: Int?, _ n: Node) throws(Failure) -> Int {
    try requireBytes(a, aZero, n)
    try requireBytes(b, bZero, n)
    let sa = shape(a).count == 1 ? [1] + shape(a) : shape(a)
    let sb = shape(b).count == 1 ? shape(b) + [1] : shape(b)
    guard sa.count >= 2, sb.count >= 2, sa[sa.count - 1] == sb[sb.count - 2] else {
      throw n.fail(.shape, "input B is \(describe(sb)), expected as many rows as input A \(describe(sa)) has columns")
    }
    let (m, k, size) = (sa[sa.count - 2], sa[sa.count - 1], sb[sb.count - 1])
    guard let batch = broadcast(Array(sa.dropLast(2)), Array(sb.dropLast(2))) else {
      throw n.fail(.shape, "batch dimensions of \(describe(sa)) and \(describe(sb)) do not broadcast")
    }
    var p = eff_matmul()
    (p.m, p.n, p.k) = (Int64(m), Int64(size), Int64(k))
    (p.a_m, p.a_k, p.b_k, p.b_n) = (Int64(k), 1, Int64(size), 1)
    p.b_type = type(b).rawValue
    try setBatch(&p, batch, a: (Array(sa.dropLast(2)), m * k), b: (Array(sb.dropLast(2)), k * size))
    if let z = aZero, count(z) != 1 {
      guard count(z) == m else {
        throw n.fail(.unsupported, "zero point of A is \(describe(shape(z))), expected one or [\(m)]")
      }
      p.a_zero_m = 1
    }
    if let z = bZero, count(z) != 1 {
      guard count(z) == size else {
        throw n.fail(.unsupported, "zero point of B is \(describe(shape(z))), expected one or [\(size)]")
      }
      p.b_zero_n = 1
    }
    let y = try newValue(.i32, batch + [m, size], n.label)
    var op = GraphOp(
      .matmulInteger(p), type: type(a), inputs: [a, b, aZero ?? -1, bZero ?? -1], outputs: [y], label: n.label)
    op.work = work(batch + [m, size, k])
    try emit(op)
    var out = batch
    if shape(a).count > 1 { out.append(m) }
    if shape(b).count > 1 { out.append(size) }
    return out == shape(y) ? y : try view(y, out)
  }

  /// Convolution of (x - x_zero) and (w - w_zero) in i32.
  private mutating func convInteger(_ x: Int, _ w: Int, _ xZero: Int?, _ wZero: Int?, _ n: Node) throws(Failure) -> Int
  {
    try requireBytes(x, xZero, n)
    try requireBytes(w, wZero, n)
    if let xZero {
      guard count(xZero) == 1 else {
        throw n.fail(.unsupported, "zero point of x is \(describe(shape(xZero))), expected one")
      }
    }
    let c = try convolution(n, x, w)
    var p = c.params
    p.w_type = type(w).rawValue
    if let z = wZero, count(z) != 1 {
      guard count(z) == shape(w)[0] else {
        throw n.fail(.shape, "zero point of w is \(describe(shape(z))), expected one or [\(shape(w)[0])]")
      }
      p.w_zero_stride = 1
    }
    let y = try newValue(.i32, c.shape, n.label)
    var op = GraphOp(
      .convInteger(p), type: type(x), inputs: [x, w, xZero ?? -1, wZero ?? -1], outputs: [y], label: n.label)
    op.work = c.work
    try emit(op)
    return y
  }

  /// An i32 result scaled by a_scale b_scale / y_scale, rounded and moved to the zero point of y, in the arithmetic of
  /// onnxruntime.
  mutating func requantize(_ sum: Int, _ aScale: Int, _ bScale: Int, _ yScale: Int, _ yZero: Int, _ n: Node)
    throws(Failure) -> Int
  {
    guard count(yScale) == 1, count(yZero) == 1 else {
      throw n.fail(.unsupported, "y_scale is \(describe(shape(yScale))), expected one number")
    }
    let product = try binary(Int(EFF_FN2_MUL), try cast(aScale, to: .f32), try cast(bScale, to: .f32), label: n.label)
    let factor = try binary(Int(EFF_FN2_DIV), product, view(try cast(yScale, to: .f32), []), label: n.label)
    let scaled = try binary(Int(EFF_FN2_MUL), try cast(sum, to: .f32), factor, label: n.label)
    return try quantize(scaled, try scalar(1, .f32), view(yZero, []), to: type(yZero), n)
  }

  private mutating func buildQLinearMatMul(_ n: Node) throws(Failure) -> Int {
    let sum = try matMulInteger(try n.input(0), try n.input(3), try n.input(2), try n.input(5), n)
    var aScale = try n.input(1)
    // one scale per row of A
    if count(aScale) > 1 && shape(aScale).count == 1 { aScale = try view(aScale, [count(aScale), 1]) }
    if count(aScale) == 1 { aScale = try view(aScale, []) }
    var bScale = try n.input(4)
    if count(bScale) == 1 { bScale = try view(bScale, []) }
    return try requantize(sum, aScale, bScale, try n.input(6), try n.input(7), n)
  }

  mutating func buildQLinearConv(_ n: Node) throws(Failure) -> Int {
    let w = try n.input(3)
    var sum = try convInteger(try n.input(0), w, try n.input(2), try n.input(5), n)
    let perChannel = [Int](repeating: 1, count: shape(sum).count - 2)
    if let b = n.optional(8) {
      guard count(b) == shape(w)[0], type(b) == .i32 else {
        throw n.fail(.shape, "bias is \(type(b).name) \(describe(shape(b))), expected i32 [\(shape(w)[0])]")
      }
      sum = try binary(Int(EFF_FN2_ADD), sum, view(b, [count(b)] + perChannel), label: n.label)
    }
    let xScale = try n.input(1)
    let wScale = try n.input(4)
    guard count(xScale) == 1, count(wScale) == 1 || count(wScale) == shape(w)[0] else {
      throw n.fail(
        .shape,
        """
        x_scale is \(describe(shape(xScale))) and w_scale \(describe(shape(wScale))), expected one and one or \
        [\(shape(w)[0])]
        """
      )
    }
    let form = count(wScale) == 1 ? [] : [count(wScale)] + perChannel
    return try requantize(sum, view(xScale, []), view(wScale, form), try n.input(6), try n.input(7), n)
  }
}
