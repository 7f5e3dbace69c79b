import Base
import Kernels
import Onnx

// attention and its companions
extension Builder {
  mutating func buildAttention(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .attention: return try buildDotAttention(n)
    case .rotaryEmbedding: return [try buildRotary(n)]
    case .linearAttention: return try buildLinearAttention(n)
    case .causalConvWithState: return try buildCausalConv(n)
    case .tensorScatter: return [try buildTensorScatter(n)]
    default: return nil
    }
  }

  /// `x` as [batch, heads, length, size], and its strides; rank 3 packs the heads into the last dimension.
  private struct Heads {
    var value: Int
    var shape: [Int]
    var strides: [Int]
  }

  private func heads(_ x: Int, _ attribute: String, _ n: Node) throws(Failure) -> Heads {
    try heads(x, try n.int(attribute, 0), attribute, n)
  }

  private func heads(_ x: Int, _ count: Int, _ attribute: String, _ n: Node) throws(Failure) -> Heads {
    let s = shape(x)
    if s.count == 4 { return Heads(value: x, shape: s, strides: denseStrides(s)) }
    guard s.count == 3 else { throw n.fail(.shape, "input is \(describe(s)), expected rank 3 or 4") }
    guard count > 0, s[2] % count == 0 else {
      throw n.fail(.shape, "\(attribute) is \(count), expected a divisor of \(s[2])")
    }
    let size = s[2] / count
    return Heads(value: x, shape: [s[0], count, s[1], size], strides: [s[1] * s[2], size, s[2], 1])
  }

  /// The heads as a dense tensor of rank 4.
  private mutating func dense(_ h: Heads, _ n: Node) throws(Failure) -> Int {
    try gatherStrided(h.value, dims: h.shape, strides: h.strides, offset: 0, label: n.label)
  }

  /// past and the new keys or values behind each other.
  private mutating func joined(_ past: Int?, _ h: Heads, _ n: Node) throws(Failure) -> Heads {
    guard let past else { return h }
    let s = shape(past)
    guard s.count == 4, s[0] == h.shape[0], s[1] == h.shape[1], s[3] == h.shape[3], type(past) == type(h.value) else {
      throw n.fail(
        .shape,
        "the past is \(describe(s)), expected \(describe([h.shape[0], h.shape[1], -1, h.shape[3]])) with any length")
    }
    let all = s[2] == 0 ? try dense(h, n) : try concat([past, try dense(h, n)], axis: 2, label: n.label)
    return Heads(value: all, shape: shape(all), strides: denseStrides(shape(all)))
  }

  /// Which keys a query sees by position: key j for query i where i + offset - left <= j <= i + offset + right.
  private struct Visibility {
    var left: Int? = nil
    var right: Int? = nil
    var isCausal: Bool

    init(_ n: Node) throws(Failure) {
      isCausal = try n.bool("is_causal", false)
      func size(_ name: String) throws(Failure) -> Int? {
        let v = try n.int(name, -1)
        guard v >= -1 else { throw n.fail(.unsupported, "attribute '\(name)' is \(v), expected -1 (no bound) or more") }
        return v < 0 ? nil : v
      }
      left = try size("left_window_size")
      right = try size("right_window_size")
    }
  }

  private mutating func buildDotAttention(_ n: Node) throws(Failure) -> [Int] {
    let given = type(try n.input(0))
    let precision = try n.int("softmax_precision", 1)
    guard [1, 10, 11, 16].contains(precision) else {
      throw n.fail(
        .unsupported, "attribute 'softmax_precision' is \(Node.typeName(precision)), expected a floating-point type")
    }
    /// in f64 where the node asks for it; everything else is computed in f32, which is as precise as what it may ask
    /// for
    func widened(_ b: inout Builder, _ i: Int) throws(Failure) -> Int? {
      guard let x = n.optional(i), precision == 11, b.type(x) == given else { return n.optional(i) }
      return try b.cast(x, to: .f64)
    }
    guard let q0 = try widened(&self, 0), let k0 = try widened(&self, 1), let v0 = try widened(&self, 2) else {
      throw n.fail(.format, "input 0, 1 or 2 is missing; Q, K and V must be given")
    }
    let q = try heads(q0, "q_num_heads", n)
    let k = try joined(try widened(&self, 4), try heads(k0, "kv_num_heads", n), n)
    let v = try joined(try widened(&self, 5), try heads(v0, "kv_num_heads", n), n)
    guard n.optional(6) == nil || n.optional(4) == nil && n.optional(5) == nil else {
      throw n.fail(.format, "has both nonpad_kv_seqlen and a past; ONNX allows one of them")
    }
    let mode = try n.int("qk_matmul_output_mode", 0)
    guard mode >= 0, mode <= 3 else {
      throw n.fail(.unsupported, "attribute 'qk_matmul_output_mode' is \(mode), expected 0 to 3")
    }
    let t = type(q.value)
    guard type(k.value) == t, type(v.value) == t, k.shape[0] == q.shape[0], v.shape[0] == q.shape[0],
      k.shape[1] == v.shape[1], k.shape[2] == v.shape[2],
          k.shape[3] == q.shape[3], k.shape[1] > 0, q.shape[1] % k.shape[1] == 0 else {
      throw n.fail(
        .shape,
        """
        Q, K and V are \(describe(q.shape)), \(describe(k.shape)) and \(describe(v.shape)) as [batch, heads, length, \
        size]; they do not fit
        """
      )
    }
    let window = try Visibility(n)
    let past = n.optional(4).map { shape($0)[2] } ?? 0
    var p = eff_attention()
    (p.batch, p.heads, p.kv_heads) = (Int64(q.shape[0]), Int64(q.shape[1]), Int64(k.shape[1]))
    (p.lq, p.lk, p.dk, p.dv) = (Int64(q.shape[2]), Int64(k.shape[2]), Int64(q.shape[3]), Int64(v.shape[3]))
    p.past = Int64(past)
    // the kernel knows one rule: query i sees keys up to i + past
    let isPlain = n.optional(6) == nil && window.left == nil && window.right == nil
    p.causal = window.isCausal && isPlain ? 1 : 0
    let scale = try n.float("scale", 0)
    guard !n.has("scale") || scale > 0 else { throw n.fail(.shape, "attribute 'scale' must be more than 0") }
    p.scale = scale != 0 ? scale : 1 / Double(max(q.shape[3], 1)).squareRoot()
    p.softcap = try n.float("softcap", 0)
    let scores = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]]
    var mask = try attentionMask(n, scores)
    if !isPlain { mask = try windowMask(n, window, mask, scores, past: past) }
    let isPacked = shape(q.value).count == 3
    let full = [q.shape[0], q.shape[1], q.shape[2], v.shape[3]]
    let y = try newValue(t, isPacked ? [full[0], full[2], full[1] * full[3]] : full, n.label)
    let ys = isPacked ? [full[1] * full[2] * full[3], full[3], full[1] * full[3], 1] : denseStrides(full)
    store(q.strides, &p.q)
    store(k.strides, &p.k)
    store(v.strides, &p.v)
    store(ys, &p.y)
    if mask >= 0 { store(broadcastStrides(shape(mask), to: scores), &p.mask) }
    var op = GraphOp(.attention(p), type: t, inputs: [q.value, k.value, v.value, mask], outputs: [y], label: n.label)
    op.scratch = Int(eff_attention_scratch_size(&p))
    op.work = work([scores[0], scores[1], scores[2], scores[3], q.shape[3] + v.shape[3]])
    try emit(op)
    var out = [y, -1, -1, -1]
    if n.hasOutput(1) { out[1] = try dense(k, n) }
    if n.hasOutput(2) { out[2] = try dense(v, n) }
    if n.hasOutput(3) { out[3] = try attentionScores(n, q, k, p, mask, scores, mode: mode) }
    for i in 0..<4 where out[i] >= 0 && t != given { out[i] = try cast(out[i], to: given) }
    return out
  }

  /// What is added to the scores, f32: the mask of the node, filled up to all keys, and the lengths without padding.
  private mutating func attentionMask(_ n: Node, _ scores: [Int]) throws(Failure) -> Int {
    var mask = -1
    if let m = n.optional(3) {
      let never = try scalar(-.infinity, .f32)
      mask = type(m) == .bool ? try select(m, try scalar(0, .f32), never, label: n.label) : try cast(m, to: .f32)
      let missing = scores[3] - (shape(mask).last ?? scores[3])
      if missing > 0 && shape(mask).last != 1 {
        let s = shape(mask)
        let rest = try expand(never, to: Array(s.dropLast()) + [missing])
        mask = try concat([mask, rest], axis: s.count - 1, label: n.label)
      }
      guard broadcast(shape(mask), scores) == scores else {
        throw n.fail(
          .shape, "attn_mask is \(describe(shape(m))), expected a shape that broadcasts to \(describe(scores))")
      }
    }
    if let lengths = n.optional(6) {
      guard count(lengths) == scores[0] else {
        throw n.fail(.shape, "nonpad_kv_seqlen is \(describe(shape(lengths))), expected [\(scores[0])]")
      }
      let places = try positions(scores[3], [1, 1, 1, scores[3]])
      let isKey = try binary(
        Int(EFF_FN2_LESS), places, view(try cast(lengths, to: .i64), [scores[0], 1, 1, 1]), label: n.label)
      let padding = try select(isKey, try scalar(0, .f32), try scalar(-.infinity, .f32), label: n.label)
      mask = mask < 0 ? padding : try binary(Int(EFF_FN2_ADD), mask, padding, label: n.label)
    }
    return mask
  }

  /// The mask and the bounds by position. The first query stands `past` keys in, or at the end of the keys that are no
  /// padding.
  private mutating func windowMask(_ n: Node, _ window: Visibility, _ mask: Int, _ scores: [Int], past: Int)
    throws(Failure) -> Int
  {
    let (lq, lk) = (scores[2], scores[3])
    var mask = mask
    var i = try positions(lq, [1, 1, lq, 1])
    if let lengths = n.optional(6) {
      let offset = try binary(
        Int(EFF_FN2_SUB), view(try cast(lengths, to: .i64), [scores[0], 1, 1, 1]), try integers([lq], []),
        label: n.label)
      i = try binary(Int(EFF_FN2_ADD), i, offset, label: n.label)
    } else {
      i = try binary(Int(EFF_FN2_ADD), i, try integers([past], []), label: n.label)
    }
    let j = try positions(lk, [1, 1, 1, lk])
    /// minus infinity where key j is beyond the bound
    func bound(_ b: inout Builder, _ fn: Int32, _ distance: Int) throws(Failure) {
      let edge = try b.binary(Int(EFF_FN2_ADD), i, try b.integers([distance], []), label: n.label)
      let isOutside = try b.binary(Int(fn), j, edge, label: n.label)
      let hidden = try b.select(isOutside, try b.scalar(-.infinity, .f32), try b.scalar(0, .f32), label: n.label)
      mask = mask < 0 ? hidden : try b.binary(Int(EFF_FN2_ADD), mask, hidden, label: n.label)
    }
    if let right = window.isCausal ? 0 : window.right { try bound(&self, Int32(EFF_FN2_GREATER), right) }
    if let left = window.left { try bound(&self, Int32(EFF_FN2_LESS), -left) }
    return mask
  }

  /// The optional output of scores: 0 the product, 1 with softcap, 2 with the mask, 3 after softmax.
  private mutating func attentionScores(
    _ n: Node, _ q: Heads, _ k: Heads, _ p: eff_attention, _ mask: Int, _ form: [Int], mode: Int
  ) throws(Failure) -> Int {
    let t = type(q.value)
    let share = q.shape[1] / k.shape[1]
    // keys as [batch, kv_heads, 1, size, length], queries as [batch, kv_heads, share, length, size]
    let keys = try gatherStrided(k.value, dims: [k.shape[0], k.shape[1], 1, k.shape[3], k.shape[2]],
      strides: [k.strides[0], k.strides[1], 0, k.strides[3], k.strides[2]], offset: 0, label: n.label)
    let queries = try view(try dense(q, n), [q.shape[0], k.shape[1], share, q.shape[2], q.shape[3]])
    var s = try view(try matmul(queries, keys, label: n.label), form)
    s = try cast(try binary(Int(EFF_FN2_MUL), s, try scalar(p.scale, t), label: n.label), to: .f32)
    if mode >= 1 && p.softcap > 0 {
      let cap = try scalar(p.softcap, .f32)
      let bent = try unary(try binary(Int(EFF_FN2_DIV), s, cap, label: n.label), Int(EFF_FN_TANH), label: n.label)
      s = try binary(Int(EFF_FN2_MUL), bent, cap, label: n.label)
    }
    if mode >= 2 && mask >= 0 { s = try binary(Int(EFF_FN2_ADD), s, mask, label: n.label) }
    if mode >= 2 && p.causal != 0 {
      let i = try binary(
        Int(EFF_FN2_ADD), try positions(form[2], [form[2], 1]), try integers([Int(p.past)], []), label: n.label)
      let j = try positions(form[3], [1, form[3]])
      let isLater = try binary(Int(EFF_FN2_GREATER), j, i, label: n.label)
      s = try select(isLater, try scalar(-.infinity, .f32), s, label: n.label)
    }
    if mode == 3 {  // a query that sees nothing has a row of zeros
      let top = try reduce(s, Int(EFF_REDUCE_MAX), axes: [3], keepDims: true, label: n.label)
      let isBlind = try binary(Int(EFF_FN2_EQUAL), top, try scalar(-.infinity, .f32), label: n.label)
      s = try select(isBlind, try scalar(0, .f32), try softmax(s, label: n.label), label: n.label)
    }
    return try cast(s, to: t)
  }

  /// Softmax over the last axis.
  mutating func softmax(_ x: Int, label: String) throws(Failure) -> Int {
    var p = eff_softmax()
    let s = shape(x)
    (p.outer, p.n, p.inner) = split(s, max(s.count - 1, 0))
    p.fn = Int32(EFF_SOFTMAX_SOFT)
    let y = try newValue(type(x), s, label)
    try emit(GraphOp(.softmax(p), type: type(x), inputs: [x], outputs: [y], label: label))
    return y
  }

  /// Attention whose scores and probabilities pass through subgraphs of the node.
  mutating func buildFlexAttention(_ n: Node) throws(Failure) -> Int {
    let (q, k, v) = (try n.input(0), try n.input(1), try n.input(2))
    let (sq, sk, sv) = (shape(q), shape(k), shape(v))
    guard sq.count == 4, sk.count == 4, sv.count == 4, sk[1] > 0, sq[1] % sk[1] == 0, sv[1] == sk[1], sk[3] == sq[3]
    else {
      throw n.fail(
        .shape,
        "Q, K and V are \(describe(sq)), \(describe(sk)) and \(describe(sv)), expected [batch, heads, length, size]")
    }
    let share = sq[1] / sk[1]
    let scale = try n.float("scale", 1 / Double(max(sq[3], 1)).squareRoot())
    let code = Int32(try n.int("softmax_precision", Int((type(q) == .f64 ? ElementType.f64 : .f32).rawValue)))
    guard let precision = ElementType(rawValue: code), precision.isFloat else {
      throw n.fail(.unsupported, "softmax_precision \(ElementType.unsupportedName(code)) is not supported")
    }
    let keys = try view(try transpose(k, [0, 1, 3, 2], label: n.label), [sk[0], sk[1], 1, sk[3], sk[2]])
    let product = try matmul(
      view(try cast(q, to: precision), [sq[0], sk[1], share, sq[2], sq[3]]), try cast(keys, to: precision),
      label: n.label)
    let form = [sq[0], sq[1], sq[2], sk[2]]
    var s = try binary(Int(EFF_FN2_MUL), view(product, form), try scalar(scale, precision), label: n.label)
    if n.has("score_mod") { s = try modified(s, "score_mod", n) }
    s = try softmax(s, label: n.label)
    if n.has("prob_mod") { s = try modified(s, "prob_mod", n) }
    let values = try view(try cast(v, to: precision), [sv[0], sv[1], 1, sv[2], sv[3]])
    let y = try matmul(view(s, [sq[0], sk[1], share, sq[2], sk[2]]), values, label: n.label)
    return try cast(view(y, [sq[0], sq[1], sq[2], sv[3]]), to: type(q))
  }

  private mutating func modified(_ x: Int, _ name: String, _ n: Node) throws(Failure) -> Int {
    let out = try inline(try n.graph(name), [x], n)
    guard out.count == 1, shape(out[0]) == shape(x), type(out[0]) == type(x) else {
      throw n.fail(.shape, "\(name) must give one tensor of type \(type(x).name) and shape \(describe(shape(x)))")
    }
    return out[0]
  }

  /// Rotation of pairs of features by the angle of their position.
  private mutating func buildRotary(_ n: Node) throws(Failure) -> Int {
    var (cos, sin) = (try n.input(1), try n.input(2))
    if let ids = n.optional(3) { (cos, sin) = (try gather(cos, ids, axis: 0, n), try gather(sin, ids, axis: 0, n)) }
    return try rotate(try n.input(0), cos, sin, heads: try n.int("num_heads", 0), n)
  }

  /// cos and sin: [batch, length, half of the rotated features]
  mutating func rotate(_ x: Int, _ cos: Int, _ sin: Int, heads count: Int, _ n: Node) throws(Failure) -> Int {
    let h = try heads(x, count, "num_heads", n)
    let (batch, length, size) = (h.shape[0], h.shape[2], h.shape[3])
    let given = try n.int("rotary_embedding_dim", 0)
    let rotary = given == 0 ? size : given
    guard rotary > 0, rotary <= size, rotary % 2 == 0 else {
      throw n.fail(.shape, "rotates \(rotary) of \(size) features, expected an even number")
    }
    let half = rotary / 2
    func cache(_ b: inout Builder, _ c: Int) throws(Failure) -> Int {
      guard broadcast(b.shape(c), [batch, length, half]) == [batch, length, half] else {
        throw n.fail(.shape, "cache is \(describe(b.shape(c))), expected \(describe([batch, length, half]))")
      }
      return try b.view(try b.expand(c, to: [batch, length, half]), [batch, 1, length, half])
    }
    let cos = try cache(&self, cos)
    let sin = try cache(&self, sin)
    let all = try dense(h, n)
    let isInterleaved = try n.bool("interleaved", false)
    let a = try slice(all, axis: 3, start: 0, count: half, step: isInterleaved ? 2 : 1, label: n.label)
    let b = try slice(
      all, axis: 3, start: isInterleaved ? 1 : half, count: half, step: isInterleaved ? 2 : 1, label: n.label)
    let real = try binary(
      Int(EFF_FN2_SUB), try binary(Int(EFF_FN2_MUL), cos, a, label: n.label),
      try binary(Int(EFF_FN2_MUL), sin, b, label: n.label), label: n.label)
    let imaginary = try binary(
      Int(EFF_FN2_ADD), try binary(Int(EFF_FN2_MUL), sin, a, label: n.label),
      try binary(Int(EFF_FN2_MUL), cos, b, label: n.label), label: n.label)
    let form = Array(h.shape[..<3])
    var parts: [Int]
    if isInterleaved {
      parts = [
        try view(
          try concat([view(real, form + [half, 1]), view(imaginary, form + [half, 1])], axis: 4, label: n.label),
          form + [rotary])
      ]
    } else {
      parts = [real, imaginary]
    }
    if rotary < size { parts.append(try slice(all, axis: 3, start: rotary, count: size - rotary, label: n.label)) }
    let y = try concat(parts, axis: 3, label: n.label)
    return shape(x).count == 4 ? y : try view(try transpose(y, [0, 2, 1, 3], label: n.label), shape(x))
  }
}
