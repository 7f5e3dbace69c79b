import Base
import Kernels
import Onnx

// normalizations
extension Builder {
  mutating func buildNormalization(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .batchNormalization: return try buildBatchNorm(n)
    case .layerNormalization, .rmsNormalization, .simplifiedLayerNormalization: return try buildLayerNorm(n)
    case .instanceNormalization:
      return [try buildGroupNorm(n, groups: shape(try n.input(0)).count > 1 ? shape(try n.input(0))[1] : 1)]
    case .groupNormalization: return [try buildGroupNorm(n, groups: try n.int("num_groups", 1))]
    case .meanVarianceNormalization: return [try buildMeanVariance(n)]
    case .lpNormalization: return [try buildLpNorm(n)]
    case .lrn: return [try buildLRN(n)]
    default: return nil
    }
  }

  /// y = (x - mean) / sqrt(var + epsilon) * scale + bias with the running statistics; everything but x folds.
  /// In training mode with those of the batch, and the running statistics as further outputs.
  private mutating func buildBatchNorm(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count >= 2 || n.opset < 14 else {
      throw n.fail(.shape, "input is \(describe(s)), expected [batch, channels, ...]")
    }
    let isTraining = try n.bool("training_mode", false)
    if n.opset < 9 { try n.require("spatial", 1) }
    if n.opset < 7 {
      guard try n.bool("is_test", false) else {
        throw n.fail(
          .unsupported, "is in training mode (is_test is 0); export the policy in evaluation mode, after model.eval()")
      }
    }
    guard n.opset >= 14 || !n.hasOutput(1) else {
      throw n.fail(.unsupported, "is in training mode; export the policy in evaluation mode, after model.eval()")
    }
    let channels = s.count > 1 ? s[1] : 1
    let t = type(x)
    var inputs: [Int] = []
    for i in 1..<5 {
      let v = try n.input(i)
      guard count(v) == channels else {
        throw n.fail(.shape, "input \(i) is \(describe(shape(v))), expected [\(channels)]")
      }
      inputs.append(try cast(v, to: t))
    }
    let form = [channels] + [Int](repeating: 1, count: max(s.count - 2, 0))
    var running: [Int] = []
    if isTraining {
      let axes = (0..<s.count).filter { $0 != 1 }
      let mean = try reduce(x, Int(EFF_REDUCE_MEAN), axes: axes, keepDims: false, label: n.label)
      let away = try unary(
        try binary(Int(EFF_FN2_SUB), x, try view(mean, form), label: n.label), Int(EFF_FN_SQUARE), label: n.label)
      let variance = try reduce(away, Int(EFF_REDUCE_MEAN), axes: axes, keepDims: false, label: n.label)
      let momentum = try n.float("momentum", 0.9)
      for (old, new) in [(inputs[2], mean), (inputs[3], variance)] {
        let kept = try binary(Int(EFF_FN2_MUL), try view(old, [channels]), try scalar(momentum, t), label: n.label)
        running.append(
          try binary(
            Int(EFF_FN2_ADD), kept, try binary(Int(EFF_FN2_MUL), new, try scalar(1 - momentum, t), label: n.label),
            label: n.label))
      }
      (inputs[2], inputs[3]) = (mean, variance)
    }
    let epsilon = try scalar(try n.float("epsilon", 1e-5), t)
    let spread = try unary(
      try binary(Int(EFF_FN2_ADD), inputs[3], epsilon, label: n.label), Int(EFF_FN_SQRT), label: n.label)
    let scale = try binary(Int(EFF_FN2_DIV), inputs[0], spread, label: n.label)
    let shift = try binary(
      Int(EFF_FN2_SUB), inputs[1], try binary(Int(EFF_FN2_MUL), inputs[2], scale, label: n.label), label: n.label)
    let scaled = try binary(Int(EFF_FN2_MUL), x, try view(scale, form), label: n.label)
    return [try binary(Int(EFF_FN2_ADD), scaled, try view(shift, form), label: n.label)] + running
  }

  mutating func norm(
    _ x: Int, _ scale: Int, _ bias: Int, outer: Int, n size: Int, affine: Int32, channels: Int, inner: Int,
    epsilon: Double, rms: Bool,
    extra: [Int] = [], _ n: Node
  ) throws(Failure) -> Int {
    var p = eff_norm()
    (p.outer, p.n, p.channels, p.inner) = (Int64(outer), Int64(size), Int64(channels), Int64(inner))
    p.rms = rms ? 1 : 0
    p.affine = affine
    p.epsilon = epsilon
    let y = try newValue(type(x), shape(x), n.label)
    try emit(GraphOp(.norm(p), type: type(x), inputs: [x, scale, bias], outputs: [y] + extra, label: n.label))
    return y
  }

  private mutating func buildLayerNorm(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let s = shape(x)
    let a = try axis(try n.int("axis", -1), rank: s.count, n)
    let inner = Array(s[a...])
    let size = inner.reduce(1, *)
    /// scale and bias as full vectors of the normalized part
    func full(_ b: inout Builder, _ v: Int) throws(Failure) -> Int {
      let w = try b.cast(v, to: b.type(x))
      let vs = b.shape(w)
      let leading = vs.count > inner.count ? Array(vs[..<(vs.count - inner.count)]) : []
      guard leading.allSatisfy({ $0 == 1 }), broadcast(Array(vs[leading.count...]), inner) == inner else {
        throw n.fail(.shape, "scale or bias is \(describe(vs)), expected a shape that broadcasts to \(describe(inner))")
      }
      return try b.expand(b.view(w, Array(vs[leading.count...])), to: inner)
    }
    try checkStash(n, type(x))
    let scale = try full(&self, try n.input(1))
    let isRMS = n.operator != .layerNormalization
    let bias = try n.optional(2).map { v throws(Failure) in try full(&self, v) } ?? -1
    var extra: [Int] = []
    if n.hasOutput(1) || n.hasOutput(2) {
      let form = Array(s[..<a]) + [Int](repeating: 1, count: s.count - a)
      extra = [try newValue(.f32, form, n.label), try newValue(.f32, form, n.label)]
      guard type(x) == .f32 else { throw n.fail(.unsupported, "statistics outputs are supported for f32 only") }
    }
    let y = try norm(
      x, scale, bias, outer: s[..<a].reduce(1, *), n: size, affine: Int32(EFF_NORM_ELEMENT), channels: 1, inner: 1,
                     epsilon: try n.float("epsilon", 1e-5), rms: isRMS, extra: extra, n)
    // onnxruntime's form has one statistic alone: the inverse deviation
    return n.operator == .simplifiedLayerNormalization ? [y] + extra.suffix(1) : [y] + extra
  }

  /// Means and variances are computed in f32, those of f64 in f64.
  private func checkStash(_ n: Node, _ t: ElementType) throws(Failure) {
    if t == .f64, try n.int("stash_type", 1) == Int(t.rawValue) { return }
    try n.require("stash_type", 1)
  }

  /// Instance normalization is group normalization with a group for each channel.
  private mutating func buildGroupNorm(_ n: Node, groups: Int) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let epsilon = try n.float("epsilon", 1e-5)
    // no channels to normalize
    if groups == 0 && count(x) == 0 { return try view(x, s) }
    guard s.count >= 2, groups > 0, s[1] % groups == 0 else {
      throw n.fail(.shape, "input \(describe(s)) does not divide into \(groups) groups")
    }
    let space = s[2...].reduce(1, *)
    try checkStash(n, type(x))
    var scale = try cast(try n.input(1), to: type(x))
    var bias = try cast(try n.input(2), to: type(x))
    // opset 18: one scale for each group
    if n.operator == .groupNormalization && n.opset < 21 && count(scale) == groups && groups != s[1] {
      let form = [groups, s[1] / groups]
      scale = try view(try expand(try view(scale, [groups, 1]), to: form), [s[1]])
      bias = try view(try expand(try view(bias, [groups, 1]), to: form), [s[1]])
    }
    let isPerGroup = n.operator == .groupNormalization && n.opset < 21
    let given = try n.input(1)
    guard !isPerGroup || count(given) == groups else {
      throw n.fail(
        .shape, "scale is \(describe(shape(given))), expected [\(groups)]: one for each group before opset 21")
    }
    guard count(scale) == s[1], count(bias) == s[1] else {
      throw n.fail(.shape, "scale is \(describe(shape(scale))), expected [\(s[1])]")
    }
    return try norm(
      x, scale, bias, outer: s[0] * groups, n: s[1] / groups * space, affine: Int32(EFF_NORM_CHANNEL), channels: s[1],
      inner: space,
                    epsilon: epsilon, rms: false, n)
  }

  private mutating func buildMeanVariance(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let t = type(x)
    var list: [Int] = []
    for a in try n.ints("axes") ?? [0, 2, 3] { list.append(try axis(a, rank: shape(x).count, n)) }
    let mean = try reduce(x, Int(EFF_REDUCE_MEAN), axes: list, keepDims: true, label: n.label)
    let d = try binary(Int(EFF_FN2_SUB), x, mean, label: n.label)
    let variance = try reduce(
      try unary(d, Int(EFF_FN_SQUARE), label: n.label), Int(EFF_REDUCE_MEAN), axes: list, keepDims: true, label: n.label
    )
    let std = try binary(
      Int(EFF_FN2_ADD), try unary(variance, Int(EFF_FN_SQRT), label: n.label), try scalar(1e-9, t), label: n.label)
    return try binary(Int(EFF_FN2_DIV), d, std, label: n.label)
  }

  private mutating func buildLpNorm(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let a = try axis(try n.int("axis", -1), rank: shape(x).count, n)
    let p = try n.int("p", 2)
    guard p == 1 || p == 2 else { throw n.fail(.unsupported, "attribute 'p' is \(p), expected 1 or 2") }
    let fn = p == 1 ? EFF_REDUCE_L1 : EFF_REDUCE_L2
    let length = try reduce(x, Int(fn), axes: [a], keepDims: true, label: n.label)
    // a vector of zeros stays zero
    let isZero = try binary(Int(EFF_FN2_EQUAL), length, try scalar(0, type(x)), label: n.label)
    let safe = try select(isZero, try scalar(1, type(x)), length, label: n.label)
    return try binary(Int(EFF_FN2_DIV), x, safe, label: n.label)
  }

  private mutating func buildLRN(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count >= 3 else { throw n.fail(.shape, "input is \(describe(s)), expected [batch, channels, ...]") }
    var p = eff_lrn()
    (p.batch, p.channels, p.inner) = (Int64(s[0]), Int64(s[1]), Int64(s[2...].reduce(1, *)))
    p.size = Int64(try n.int("size", 1))
    guard p.size > 0 else { throw n.fail(.shape, "attribute 'size' is \(p.size), expected 1 or more") }
    p.alpha = try n.float("alpha", 1e-4)
    p.beta = try n.float("beta", 0.75)
    p.bias = try n.float("bias", 1)
    let y = try newValue(type(x), s, n.label)
    try emit(GraphOp(.lrn(p), type: type(x), inputs: [x], outputs: [y], label: n.label))
    return y
  }
}
