import Base
import Kernels
import Onnx

// domain com.microsoft: integer operators, in the arithmetic of onnxruntime on x86 (float in between, rounded once,
// half to even)
extension Builder {
  mutating func buildMicrosoftQuantized(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .quantizeLinear, .dequantizeLinear:
      let scale = try n.input(1)
      guard n.has("axis") || count(scale) == 1 else {
        throw n.fail(.shape, "has several scales and no attribute 'axis'")
      }
      return [n.operator == .quantizeLinear ? try buildQuantize(n) : try buildDequantize(n)]
    case .qGemm: return [try buildQGemm(n)]
    case .matMulIntegerToFloat:
      let y = try integerProduct(try n.input(0), try n.input(1), n.optional(4), n.optional(5), scale: try n.input(2),
                                 columns: try n.input(3), n)
      return [try biased(y, n.optional(6), n)]
    case .dynamicQuantizeMatMul:
      let q = try dynamicQuantize(try n.input(0), n)
      let y = try integerProduct(
        q.value, try n.input(1), q.zero, n.optional(3), scale: q.scale, columns: try n.input(2), n)
      return [try biased(y, n.optional(4), n)]
    case .dynamicQuantizeLSTM: return try buildDynamicLSTM(n)
    case .qLinearAdd: return [try buildQLinearAdd(n)]
    case .qLinearMul: return [try buildQLinearMul(n)]
    case .qLinearSigmoid:
      let x = try dequantized(try n.input(0), try n.input(1), n.optional(2), n)
      return [try quantized(try unary(x, Int(EFF_FN_SIGMOID), label: n.label), like: try n.input(0), 3, n)]
    case .qLinearLeakyRelu:
      let x = try dequantized(try n.input(0), try n.input(1), n.optional(2), n)
      let y = try unary(x, Int(EFF_FN_LEAKY_RELU), alpha: try n.float("alpha", 0.01), label: n.label)
      return [try quantized(y, like: try n.input(0), 3, n)]
    case .qLinearSoftmax: return [try buildQLinearSoftmax(n)]
    case .qLinearConcat: return [try buildQLinearConcat(n)]
    case .qLinearWhere:
      let x = try dequantized(try n.input(1), try n.input(2), n.optional(3), n)
      let y = try dequantized(try n.input(4), try n.input(5), n.optional(6), n)
      // onnxruntime rounds each side and then chooses, which is the same
      return [try quantized(try select(try n.input(0), x, y, label: n.label), like: try n.input(1), 7, n)]
    case .qLinearReduceMean: return [try buildQLinearMean(n)]
    case .qLinearGlobalAveragePool: return [try buildQLinearGlobalPool(n)]
    case .qLinearAveragePool: return [try buildQLinearPool(n)]
    case .nhwcMaxPool:
      return [try channelsLast(try n.input(0), n) { (b, x) throws(Failure) in
        try b.buildPool(n.with(inputs: [x]), Int(EFF_POOL_MAX))[0]
      }]
    case .qLinearConv:
      guard try n.bool("channels_last", false) else { return [try buildQLinearConv(n)] }
      return [try channelsLast(try n.input(0), n) { (b, x) throws(Failure) in
        try b.buildQLinearConv(n.with(inputs: [x] + n.inputs.dropFirst()))
      }]
    case .qEmbedLayerNormalization: return try buildQEmbedNorm(n)
    default: return nil
    }
  }

  // MARK: between integers and numbers

  /// (x - zero) scale, with one scale for the tensor.
  func requireOne(_ v: Int, _ what: String, _ n: Node) throws(Failure) {
    guard count(v) == 1 else { throw n.fail(.unsupported, "\(what) is \(describe(shape(v))), expected one number") }
  }

  private mutating func dequantized(_ x: Int, _ scale: Int, _ zero: Int?, _ n: Node) throws(Failure) -> Int {
    try requireOne(scale, "a scale", n)
    return try dequantize(x, scale, zero, n)
  }

  /// Rounds `y` with the scale at input `i` and the zero point behind it, to the type of `like`.
  private mutating func quantized(_ y: Int, like x: Int, _ i: Int, _ n: Node) throws(Failure) -> Int {
    try requireOne(try n.input(i), "a scale", n)
    return try quantize(y, try n.input(i), try zeroPoint(n.optional(i + 1), like: x, n), to: type(x), n)
  }

  private func zeroPoint(_ zero: Int?, like x: Int, _ n: Node) throws(Failure) -> Int? {
    guard type(x) == .u8 || type(x) == .i8 else {
      throw n.fail(.shape, "input has type \(type(x).name), expected i8 or u8")
    }
    guard let zero else { return nil }
    try requireOne(zero, "a zero point", n)
    guard type(zero) == type(x) else {
      throw n.fail(.shape, "zero point has type \(type(zero).name), expected \(type(x).name)")
    }
    return zero
  }

  /// The number at input `i`, f32 []; a missing zero point is 0.
  private mutating func one(_ i: Int, _ n: Node) throws(Failure) -> Int {
    guard let v = n.optional(i) else { return try scalar(0, .f32) }
    try requireOne(v, "input \(i)", n)
    return try view(try cast(v, to: .f32), [])
  }

  private mutating func times(_ a: Int, _ b: Int, _ n: Node) throws(Failure) -> Int {
    try binary(Int(EFF_FN2_MUL), a, b, label: n.label)
  }
  private mutating func plus(_ a: Int, _ b: Int, _ n: Node) throws(Failure) -> Int {
    try binary(Int(EFF_FN2_ADD), a, b, label: n.label)
  }
  private mutating func over(_ a: Int, _ b: Int, _ n: Node) throws(Failure) -> Int {
    try binary(Int(EFF_FN2_DIV), a, b, label: n.label)
  }

  /// Rounds `y`, which holds the zero point already.
  private mutating func rounded(_ y: Int, to: ElementType, _ n: Node) throws(Failure) -> Int {
    try quantize(y, try scalar(1, .f32), nil, to: to, n)
  }

  // MARK: products

  /// scale (a - a_zero) (b - b_zero) columns
  mutating func integerProduct(_ a: Int, _ b: Int, _ aZero: Int?, _ bZero: Int?, scale: Int, columns: Int, _ n: Node)
    throws(Failure) -> Int
  {
    let sum = try matMulInteger(a, b, aZero, bZero, n)
    try requireOne(scale, "the scale of A", n)
    guard count(columns) == 1 || count(columns) == shape(sum).last else {
      throw n.fail(
        .shape, "the scale of B is \(describe(shape(columns))), expected one number or [\(shape(sum).last ?? 1)]")
    }
    let factor = try times(try view(scale, []), try view(columns, count(columns) == 1 ? [] : [count(columns)]), n)
    let y = try times(try cast(sum, to: .f32), try cast(factor, to: .f32), n)
    return try cast(y, to: type(scale))
  }

  /// alpha a_scale b_scale ((A - a_zero)' (B - b_zero)' + C), as number or rounded to y_scale.
  private mutating func buildQGemm(_ n: Node) throws(Failure) -> Int {
    var (a, b) = (try n.input(0), try n.input(3))
    guard shape(a).count == 2, shape(b).count == 2 else {
      throw n.fail(.shape, "inputs are \(describe(shape(a))) and \(describe(shape(b))), expected matrices")
    }
    if try n.bool("transA", false) { a = try transpose(a, [1, 0], label: n.label) }
    if try n.bool("transB", false) { b = try transpose(b, [1, 0], label: n.label) }
    try requireOne(try n.input(1), "a_scale", n)
    try requireOne(try n.input(2), "a_zero_point", n)
    var sum = try matMulInteger(a, b, try n.input(2), n.optional(5), n)
    if let c = n.optional(6) {
      guard type(c) == .i32 else { throw n.fail(.shape, "input C has type \(type(c).name), expected i32") }
      sum = try biased(sum, c, n)
    }
    let bScale = try n.input(4)
    let columns = shape(b)[1]
    guard count(bScale) == 1 || count(bScale) == columns else {
      throw n.fail(.shape, "b_scale is \(describe(shape(bScale))), expected one number or [\(columns)]")
    }
    let alpha = try scalar(try n.float("alpha", 1), .f32)
    let aScale = try times(try one(1, n), alpha, n)
    let bForm = try view(bScale, count(bScale) == 1 ? [] : [columns])
    guard let yScale = n.optional(7) else { return try times(try cast(sum, to: .f32), try times(aScale, bForm, n), n) }
    guard let yZero = n.optional(8) else { throw n.fail(.format, "has y_scale without y_zero_point") }
    return try requantize(sum, aScale, bForm, yScale, yZero, n)
  }

  /// An LSTM with 8-bit weights [dirs, input, 4 hidden] whose inputs and states are rounded to 8 bits before each
  /// product.
  private mutating func buildDynamicLSTM(_ n: Node) throws(Failure) -> [Int] {
    func weights(_ b: inout Builder, _ i: Int, _ scale: Int) throws(Failure) -> Int {
      let w = try n.input(i)
      let s = b.shape(w)
      guard s.count == 3 else { throw n.fail(.shape, "input \(i) is \(describe(s)), expected [dirs, size, 4 hidden]") }
      let real = try b.perGate(w, try n.input(scale), n)
      let zero = try n.optional(scale + 1).map { z throws(Failure) in try b.cast(try b.perGate(w, z, n), to: .f32) }
      var wide = try b.cast(w, to: .f32)
      if let zero { wide = try b.binary(Int(EFF_FN2_SUB), wide, zero, label: n.label) }
      return try b.transpose(try b.times(wide, real, n), [0, 2, 1], label: n.label)
    }
    let x = try n.input(0)
    if let lengths = n.optional(4) {
      guard constant(lengths) != nil, try integers(lengths, n, "sequence_lens").allSatisfy({ $0 == shape(x).first })
      else {
        throw n.fail(.unsupported, "sequence_lens shortens a sequence; expected full sequences")
      }
    }
    let q = try dynamicQuantize(x, n)
    let inputs = [try dequantize(q.value, q.scale, q.zero, n), try weights(&self, 1, 8), try weights(&self, 2, 10)]
    let cell = n.with(inputs: inputs + n.inputs[3..<8])
    return try buildCell(cell, Int32(EFF_RNN_LSTM), gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"], isDynamic: true)
  }

  /// Scales or zero points of weights [dirs, size, columns], one for each direction or for each column of it.
  private mutating func perGate(_ w: Int, _ v: Int, _ n: Node) throws(Failure) -> Int {
    let (dirs, columns) = (shape(w)[0], shape(w)[2])
    guard shape(v) == [dirs] || shape(v) == [dirs, columns] else {
      throw n.fail(
        .shape, "scale or zero point is \(describe(shape(v))), expected [\(dirs)] or \(describe([dirs, columns]))")
    }
    return try view(v, [dirs, 1, shape(v).count == 1 ? 1 : columns])
  }

  // MARK: elementwise

  private mutating func buildQLinearAdd(_ n: Node) throws(Failure) -> Int {
    let (a, b, scale) = (try n.input(0), try n.input(3), try one(6, n))
    _ = (
      try zeroPoint(n.optional(2), like: a, n), try zeroPoint(n.optional(5), like: b, n),
      try zeroPoint(n.optional(7), like: a, n)
    )
    let aRatio = try over(try one(1, n), scale, n)
    let bRatio = try over(try one(4, n), scale, n)
    let zeros = try plus(try times(aRatio, try one(2, n), n), try times(bRatio, try one(5, n), n), n)
    let fixed = try binary(Int(EFF_FN2_SUB), try one(7, n), zeros, label: n.label)
    let left = try plus(try times(try cast(a, to: .f32), aRatio, n), fixed, n)
    return try rounded(try plus(left, try times(try cast(b, to: .f32), bRatio, n), n), to: type(a), n)
  }

  private mutating func buildQLinearMul(_ n: Node) throws(Failure) -> Int {
    let (a, b) = (try n.input(0), try n.input(3))
    _ = (
      try zeroPoint(n.optional(2), like: a, n), try zeroPoint(n.optional(5), like: b, n),
      try zeroPoint(n.optional(7), like: a, n)
    )
    let ratio = try over(try times(try one(1, n), try one(4, n), n), try one(6, n), n)
    let left = try binary(Int(EFF_FN2_SUB), try cast(a, to: .f32), try one(2, n), label: n.label)
    let right = try binary(Int(EFF_FN2_SUB), try cast(b, to: .f32), try one(5, n), label: n.label)
    return try rounded(try plus(try times(try times(left, right, n), ratio, n), try one(7, n), n), to: type(a), n)
  }

  private mutating func buildQLinearSoftmax(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let opset = try n.int("opset", 13)
    let s = shape(x)
    let a = try axis(try n.int("axis", opset < 13 ? 1 : -1), rank: s.count, n)
    let wide = try dequantized(x, try n.input(1), n.optional(2), n)
    // before opset 13 all dimensions from the axis on are one
    let form = opset < 13 ? [s[..<a].reduce(1, *), s[a...].reduce(1, *)] : s
    var order = Array(0..<form.count)
    if opset >= 13 { order.swapAt(a, s.count - 1) }
    let y = try softmax(try transpose(try view(wide, form), order, label: n.label), label: n.label)
    // onnxruntime counts whole steps in 1: floor(1 / y_scale)
    let steps = try unary(
      try unary(try one(3, n), Int(EFF_FN_RECIPROCAL), label: n.label), Int(EFF_FN_FLOOR), label: n.label)
    let scaled = try times(try view(try transpose(y, order, label: n.label), s), steps, n)
    return try quantize(scaled, try scalar(1, .f32), try zeroPoint(n.input(4), like: x, n), to: type(x), n)
  }

  private mutating func buildQLinearConcat(_ n: Node) throws(Failure) -> Int {
    guard n.inputs.count >= 5, (n.inputs.count - 2) % 3 == 0 else {
      throw n.fail(
        .format, "has \(n.inputs.count) inputs, expected scale and zero point of Y and three for each tensor")
    }
    var parts: [Int] = []
    let first = shape(try n.input(2))
    let a = try axis(try n.int("axis", 0), rank: first.count, n)
    let to = type(try n.input(1))
    for i in stride(from: 2, to: n.inputs.count, by: 3) {
      var s = shape(try n.input(i))
      if s.count == first.count, a < s.count { s[a] = first[a] }
      guard s == first, !first.isEmpty else {
        throw n.fail(.shape, "input \(i) is \(describe(shape(try n.input(i)))), which does not fit \(describe(first))")
      }
      let x = try dequantized(try n.input(i), try n.input(i + 1), n.optional(i + 2), n)
      parts.append(try quantize(x, try n.input(0), try n.input(1), to: to, n))
    }
    try requireOne(try n.input(0), "the scale of Y", n)
    return try concat(parts, axis: a, label: n.label)
  }

  private mutating func buildQLinearMean(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    var axes: [Int] = []
    for a in try n.ints("axes") ?? Array(0..<shape(x).count) { axes.append(try axis(a, rank: shape(x).count, n)) }
    let wide = try dequantized(x, try n.input(1), n.optional(2), n)
    let y = try reduce(wide, Int(EFF_REDUCE_MEAN), axes: axes, keepDims: try n.bool("keepdims", true), label: n.label)
    return try quantized(y, like: x, 3, n)
  }

  private mutating func buildQEmbedNorm(_ n: Node) throws(Failure) -> [Int] {
    // tables 2 to 6 with their scales from 8 and zero points from 13 on
    var tables: [Int?] = []
    for i in 2..<7 {
      let table = try n.optional(i).map { v throws(Failure) in
        try dequantized(v, try n.input(i + 6), n.optional(i + 11), n)
      }
      guard table != nil || i == 4 else { throw n.fail(.format, "input \(i) is missing") }
      tables.append(table)
    }
    return try embedNorm(
      words: tables[0]!, places: tables[1]!, segments: tables[2], gamma: tables[3]!, beta: tables[4]!,
                         mask: n.optional(7), ids: nil, n)
  }

  // MARK: pooling

  /// Runs `body` with the channels of `x` behind the batch, and puts them last again.
  private mutating func channelsLast(
    _ x: Int, _ n: Node, _ body: (inout Builder, Int) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    let rank = shape(x).count
    guard rank >= 3 else { throw n.fail(.shape, "input is \(describe(shape(x))), expected [batch, ..., channels]") }
    let y = try body(&self, try transpose(x, [0, rank - 1] + Array(1..<(rank - 1)), label: n.label))
    return try transpose(y, [0] + Array(2..<rank) + [1], label: n.label)
  }

  private mutating func buildQLinearGlobalPool(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count >= 3 else { throw n.fail(.shape, "input is \(describe(s)), expected [batch, channels, ...]") }
    _ = try zeroPoint(n.optional(2), like: x, n)
    let axes = try n.bool("channels_last", false) ? Array(1..<(s.count - 1)) : Array(2..<s.count)
    let size = axes.map { s[$0] }.reduce(1, *)
    let centered = try binary(
      Int(EFF_FN2_SUB), try cast(x, to: .i32), try view(try cast(try n.input(2), to: .i32), []), label: n.label)
    let sum = try reduce(centered, Int(EFF_REDUCE_SUM), axes: axes, keepDims: true, label: n.label)
    let ratio = try over(try one(1, n), try times(try one(3, n), try scalar(Double(size), .f32), n), n)
    return try quantize(
      try times(try cast(sum, to: .f32), ratio, n), try scalar(1, .f32), try zeroPoint(n.input(4), like: x, n),
      to: type(x), n)
  }

  private mutating func buildQLinearPool(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    func pool(_ b: inout Builder, _ x: Int) throws(Failure) -> Int {
      try b.buildPool(n.with(inputs: [x]), Int(EFF_POOL_AVERAGE))[0]
    }
    let wide = try dequantized(x, try n.input(1), n.optional(2), n)
    let y = try n.bool("channels_last", false) ? try channelsLast(wide, n, pool) : try pool(&self, wide)
    return try quantized(y, like: x, 3, n)
  }
}
