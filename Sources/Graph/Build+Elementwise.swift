import Base
import Kernels
import Onnx

// elementwise operators
extension Builder {
  mutating func buildElementwise(_ n: Node) throws(Failure) -> [Int]? {
    if let fn = plainUnary(n.operator) {
      let x = try n.input(0)
      return [try unary(x, fn, label: n.label)]
    }
    if let fn = plainBinary(n.operator) {
      let (a, b) = try operands(n)
      return [try binary(fn, a, b, label: n.label)]
    }
    switch n.operator {
    case .identity, .dropout: return try buildIdentity(n)
    case .elu: return [try unary(try n.input(0), Int(EFF_FN_ELU), alpha: try n.float("alpha", 1), label: n.label)]
    case .leakyRelu:
      return [try unary(try n.input(0), Int(EFF_FN_LEAKY_RELU), alpha: try n.float("alpha", 0.01), label: n.label)]
    case .selu:
      let alpha = try n.float("alpha", 1.6732632423543772)
      return [
        try unary(
          try n.input(0), Int(EFF_FN_SELU), alpha: alpha, beta: try n.float("gamma", 1.0507009873554805), label: n.label
        )
      ]
    case .celu: return [try unary(try n.input(0), Int(EFF_FN_CELU), alpha: try n.float("alpha", 1), label: n.label)]
    case .thresholdedRelu:
      return [try unary(try n.input(0), Int(EFF_FN_THRESHOLDED_RELU), alpha: try n.float("alpha", 1), label: n.label)]
    case .hardSigmoid:
      return [
        try unary(
          try n.input(0), Int(EFF_FN_HARD_SIGMOID), alpha: try n.float("alpha", 0.2), beta: try n.float("beta", 0.5),
          label: n.label)
      ]
    case .swiGLU:
      let (gate, value) = (try n.input(0), try n.input(1))
      guard shape(gate) == shape(value), type(gate) == type(value) else {
        throw n.fail(
          .shape,
          """
          B is \(type(value).name) \(describe(shape(value))), expected \(type(gate).name) \(describe(shape(gate))) as \
          A
          """
        )
      }
      let open = try unary(gate, Int(EFF_FN_SWISH), alpha: try n.float("alpha", 1), label: n.label)
      return [try binary(Int(EFF_FN2_MUL), open, value, label: n.label)]
    case .swish: return [try unary(try n.input(0), Int(EFF_FN_SWISH), alpha: try n.float("alpha", 1), label: n.label)]
    case .gelu:
      let isTanh = try n.choice("approximate", "none", ["none", "tanh"]) == "tanh"
      return [try unary(try n.input(0), Int(isTanh ? EFF_FN_GELU_TANH : EFF_FN_GELU), label: n.label)]
    case .isInf:
      let negative = try n.int("detect_negative", 1)
      return [
        try unary(
          try n.input(0), Int(EFF_FN_IS_INF), alpha: Double(negative), beta: Double(try n.int("detect_positive", 1)),
          label: n.label)
      ]
    case .clip: return try buildClip(n)
    case .pow:
      let (a, given) = try operands(n)
      let b = try cast(given, to: type(a))
      if let c = constant(b), c.count == 1, type(a).isFloat, try number(b, n, "exponent") == 2 {
        guard let out = broadcast(shape(a), shape(b)) else { return nil }
        return [try unary(try expand(a, to: out), Int(EFF_FN_SQUARE), label: n.label)]
      }
      return [try binary(Int(EFF_FN2_POW), a, b, label: n.label)]
    case .mod:
      let fn = try n.bool("fmod", false) ? EFF_FN2_FMOD : EFF_FN2_MOD
      return [try binary(Int(fn), try n.input(0), try n.input(1), label: n.label)]
    case .bitShift:
      let fn = try n.choice("direction", "", ["LEFT", "RIGHT"]) == "LEFT" ? EFF_FN2_SHIFT_LEFT : EFF_FN2_SHIFT_RIGHT
      return [try binary(Int(fn), try n.input(0), try n.input(1), label: n.label)]
    case .pRelu:
      let x = try n.input(0)
      var slope = try n.input(1)
      // before opset 7 a slope is one for each channel
      if (n.opset < 7 || broadcast(shape(x), shape(slope)) != shape(x)) && shape(slope).count == 1 && shape(x).count > 1
        && shape(slope)[0] == shape(x)[1]
      {
        slope = try view(slope, [shape(slope)[0]] + [Int](repeating: 1, count: shape(x).count - 2))
      }
      return [try binary(Int(EFF_FN2_PRELU), x, slope, label: n.label)]
    case .max, .min, .sum, .mean: return try buildVariadic(n)
    case .where: return [try select(try n.input(0), try n.input(1), try n.input(2), label: n.label)]
    case .cast:
      let code = try n.int("to", 0)
      return [try castTo(try n.input(0), code, n)]
    case .castLike:
      n.pass("saturate", "round_mode")
      return [try cast(try n.input(0), to: type(try n.input(1)))]
    case .shrink: return try buildShrink(n)
    default: return nil
    }
  }

  /// The two operands; before opset 7, the second one is fitted to the first by the attributes of the node.
  private mutating func operands(_ n: Node) throws(Failure) -> (Int, Int) {
    let (a, b) = (try n.input(0), try n.input(1))
    guard n.opset < 7 else { return (a, b) }
    let (sa, sb) = (shape(a), shape(b))
    let isBroadcast = try n.bool("broadcast", false)
    let first = try n.int("axis", sa.count - sb.count)
    let at = first < 0 ? first + sa.count : first
    guard isBroadcast || sa == sb else {
      throw n.fail(
        .shape,
        """
        inputs are \(describe(sa)) and \(describe(sb)); before opset 7 they have one shape, or the attribute \
        'broadcast' is 1
        """
      )
    }
    if sa == sb || count(b) == 1 { return (a, count(b) == 1 ? try view(b, []) : b) }
    guard at >= 0, at + sb.count <= sa.count, Array(sa[at..<(at + sb.count)]) == sb else {
      throw n.fail(.shape, "B is \(describe(sb)), expected a part of \(describe(sa)) from axis \(first) on")
    }
    return (a, try view(b, sb + [Int](repeating: 1, count: sa.count - at - sb.count)))
  }

  private func plainUnary(_ op: Operator) -> Int? {
    let fn: Int
    switch op {
    case .relu: fn = Int(EFF_FN_RELU)
    case .tanh: fn = Int(EFF_FN_TANH)
    case .sigmoid: fn = Int(EFF_FN_SIGMOID)
    case .softplus: fn = Int(EFF_FN_SOFTPLUS)
    case .softsign: fn = Int(EFF_FN_SOFTSIGN)
    case .mish: fn = Int(EFF_FN_MISH)
    case .hardSwish: fn = Int(EFF_FN_HARD_SWISH)
    case .exp: fn = Int(EFF_FN_EXP)
    case .log: fn = Int(EFF_FN_LOG)
    case .sqrt: fn = Int(EFF_FN_SQRT)
    case .reciprocal: fn = Int(EFF_FN_RECIPROCAL)
    case .neg: fn = Int(EFF_FN_NEG)
    case .abs: fn = Int(EFF_FN_ABS)
    case .sign: fn = Int(EFF_FN_SIGN)
    case .floor: fn = Int(EFF_FN_FLOOR)
    case .ceil: fn = Int(EFF_FN_CEIL)
    case .round: fn = Int(EFF_FN_ROUND)
    case .sin: fn = Int(EFF_FN_SIN)
    case .cos: fn = Int(EFF_FN_COS)
    case .tan: fn = Int(EFF_FN_TAN)
    case .asin: fn = Int(EFF_FN_ASIN)
    case .acos: fn = Int(EFF_FN_ACOS)
    case .atan: fn = Int(EFF_FN_ATAN)
    case .sinh: fn = Int(EFF_FN_SINH)
    case .cosh: fn = Int(EFF_FN_COSH)
    case .asinh: fn = Int(EFF_FN_ASINH)
    case .acosh: fn = Int(EFF_FN_ACOSH)
    case .atanh: fn = Int(EFF_FN_ATANH)
    case .erf: fn = Int(EFF_FN_ERF)
    case .not: fn = Int(EFF_FN_NOT)
    case .bitwiseNot: fn = Int(EFF_FN_BIT_NOT)
    case .isNaN: fn = Int(EFF_FN_IS_NAN)
    default: return nil
    }
    return fn
  }

  private func plainBinary(_ op: Operator) -> Int? {
    let fn: Int
    switch op {
    case .add: fn = Int(EFF_FN2_ADD)
    case .sub: fn = Int(EFF_FN2_SUB)
    case .mul: fn = Int(EFF_FN2_MUL)
    case .div: fn = Int(EFF_FN2_DIV)
    case .and: fn = Int(EFF_FN2_AND)
    case .or: fn = Int(EFF_FN2_OR)
    case .xor: fn = Int(EFF_FN2_XOR)
    case .bitwiseAnd: fn = Int(EFF_FN2_BIT_AND)
    case .bitwiseOr: fn = Int(EFF_FN2_BIT_OR)
    case .bitwiseXor: fn = Int(EFF_FN2_BIT_XOR)
    case .equal: fn = Int(EFF_FN2_EQUAL)
    case .less: fn = Int(EFF_FN2_LESS)
    case .lessOrEqual: fn = Int(EFF_FN2_LESS_EQUAL)
    case .greater: fn = Int(EFF_FN2_GREATER)
    case .greaterOrEqual: fn = Int(EFF_FN2_GREATER_EQUAL)
    default: return nil
    }
    return fn
  }

  private mutating func castTo(_ x: Int, _ code: Int, _ n: Node) throws(Failure) -> Int {
    // these two say how 8-bit floats are rounded, which are no element types here
    n.pass("saturate", "round_mode")
    guard let to = ElementType(rawValue: Int32(code)) else {
      throw n.fail(
        .unsupported, "casts to element type \(ElementType.unsupportedName(Int32(code))), which is not supported")
    }
    return try cast(x, to: to)
  }

  /// Identity, and Dropout as it is at inference.
  private mutating func buildIdentity(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    // the share that training drops, and its generator
    n.pass("ratio", "seed")
    if n.operator == .dropout && n.opset < 7 {
      guard try n.bool("is_test", false) else {
        throw n.fail(
          .unsupported, "is in training mode (is_test is 0); export the policy in evaluation mode, after model.eval()")
      }
    }
    if n.operator == .dropout, let training = n.optional(2),
      try number(cast(training, to: .f64), n, "training_mode") != 0
    {
      if let ratio = n.optional(1), try number(ratio, n, "ratio") == 0 {} else {
        throw n.fail(.unsupported, "is in training mode; export the policy in evaluation mode, after model.eval()")
      }
    }
    var out = [try view(x, shape(x))]
    if n.hasOutput(1) { out.append(try filled(1, n.opset < 10 ? type(x) : .bool, shape(x))) }
    return out
  }

  private mutating func buildClip(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    var low = -Double.infinity
    var high = Double.infinity
    if n.opset < 11 {
      low = try n.float("min", low)
      high = try n.float("max", high)
      return [try unary(x, Int(EFF_FN_CLIP), alpha: low, beta: high, label: n.label)]
    }
    let isKnown = (n.optional(1).map { isConstant($0) } ?? true) && (n.optional(2).map { isConstant($0) } ?? true)
    if isKnown && type(x).isFloat && type(x) != .f64 {
      if let v = n.optional(1) { low = try number(v, n, "min") }
      if let v = n.optional(2) { high = try number(v, n, "max") }
      if low <= high { return [try unary(x, Int(EFF_FN_CLIP), alpha: low, beta: high, label: n.label)] }
    }
    var y = x
    if let v = n.optional(1) { y = try binary(Int(EFF_FN2_MAX), y, v, label: n.label) }
    if let v = n.optional(2) { y = try binary(Int(EFF_FN2_MIN), y, v, label: n.label) }
    return [y == x ? try view(x, shape(x)) : y]
  }

  private mutating func buildVariadic(_ n: Node) throws(Failure) -> [Int] {
    var y = try n.input(0)
    let fn = n.operator == .max ? EFF_FN2_MAX : n.operator == .min ? EFF_FN2_MIN : EFF_FN2_ADD
    for i in 1..<max(n.inputs.count, 1) { y = try binary(Int(fn), y, try n.input(i), label: n.label) }
    if n.operator == .mean && n.inputs.count > 1 {
      y = try binary(Int(EFF_FN2_DIV), y, try scalar(Double(n.inputs.count), type(y)), label: n.label)
    }
    return [n.inputs.count == 1 ? try view(y, shape(y)) : y]
  }

  /// Shrink: x + bias below -lambd, x - bias above lambd, 0 between.
  private mutating func buildShrink(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let t = type(x)
    let lambda = try n.float("lambd", 0.5)
    let bias = try scalar(try n.float("bias", 0), t)
    let zero = try scalar(0, t)
    let isLow = try binary(Int(EFF_FN2_LESS), x, try scalar(-lambda, t), label: n.label)
    let isHigh = try binary(Int(EFF_FN2_GREATER), x, try scalar(lambda, t), label: n.label)
    let low = try binary(Int(EFF_FN2_ADD), x, bias, label: n.label)
    let high = try binary(Int(EFF_FN2_SUB), x, bias, label: n.label)
    return [try select(isLow, low, try select(isHigh, high, zero, label: n.label), label: n.label)]
  }
}
