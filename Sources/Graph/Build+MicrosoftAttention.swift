import Base
import Kernels
import Onnx

// domain com.microsoft: attention as onnxruntime's transformer optimizer fuses it
extension Builder {
  mutating func buildMicrosoftAttention(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .attention: return try buildFusedAttention(n)
    case .qAttention: return try buildQuantizedAttention(n)
    case .multiHeadAttention: return try buildMultiHead(n)
    case .rotaryEmbedding: return [try buildMicrosoftRotary(n)]
    default: return nil
    }
  }

  /// Queries, keys or values with their place in memory: as [batch, heads, length, size], strides in elements.
  struct AttentionHeads {
    var value: Int
    var shape: [Int]
    var strides: [Int]
  }

  /// x [batch, length, heads * size]
  private func split(_ x: Int, heads: Int, _ what: String, _ n: Node) throws(Failure) -> AttentionHeads {
    let s = shape(x)
    guard s.count == 3, heads > 0, s[2] % heads == 0 else {
      throw n.fail(.shape, "\(what) is \(describe(s)), expected [batch, length, a multiple of \(heads) heads]")
    }
    let size = s[2] / heads
    return AttentionHeads(value: x, shape: [s[0], heads, s[1], size], strides: [s[1] * s[2], size, s[2], 1])
  }

  /// x [batch, heads, length, size]
  private func whole(_ x: Int) -> AttentionHeads {
    AttentionHeads(value: x, shape: shape(x), strides: denseStrides(shape(x)))
  }

  private mutating func dense(_ h: AttentionHeads, _ n: Node) throws(Failure) -> Int {
    try gatherStrided(h.value, dims: h.shape, strides: h.strides, offset: 0, label: n.label)
  }

  /// The past in front of new keys or values.
  private mutating func joined(_ past: Int, _ h: AttentionHeads, _ n: Node) throws(Failure) -> AttentionHeads {
    let s = shape(past)
    guard s.count == 4, s[0] == h.shape[0], s[1] == h.shape[1], s[3] == h.shape[3], type(past) == type(h.value) else {
      throw n.fail(
        .shape,
        """
        the past is \(type(past).name) \(describe(s)), expected \(type(h.value).name) \(describe(h.shape)) with any \
        length
        """
      )
    }
    var all = try dense(h, n)
    if s[2] > 0 { all = try concat([past, all], axis: 2, label: n.label) }
    return whole(all)
  }

  /// softmax(scale q k' + mask) v as [batch, length, heads * size].
  private mutating func attend(
    _ q: AttentionHeads, _ k: AttentionHeads, _ v: AttentionHeads, mask: Int, past: Int, isCausal: Bool, _ n: Node
  ) throws(Failure) -> Int {
    let t = type(q.value)
    guard type(k.value) == t, type(v.value) == t, k.shape[0] == q.shape[0], v.shape[0] == q.shape[0],
      k.shape[1] == q.shape[1],
          v.shape[1] == q.shape[1], k.shape[2] == v.shape[2], k.shape[3] == q.shape[3] else {
      throw n.fail(.shape, """
        Q, K and V are \(describe(q.shape)), \(describe(k.shape)) and \(describe(v.shape)) \
        as [batch, heads, length, size]; they do not fit
        """)
    }
    guard !isCausal || k.shape[2] == past + q.shape[2] else {
      throw n.fail(
        .unsupported,
        """
        is unidirectional with \(k.shape[2]) keys for \(past + q.shape[2]) queries, the past among them; expected as \
        many
        """
      )
    }
    var p = eff_attention()
    (p.batch, p.heads, p.kv_heads) = (Int64(q.shape[0]), Int64(q.shape[1]), Int64(q.shape[1]))
    (p.lq, p.lk, p.dk, p.dv) = (Int64(q.shape[2]), Int64(k.shape[2]), Int64(q.shape[3]), Int64(v.shape[3]))
    p.past = Int64(past)
    p.causal = isCausal ? 1 : 0
    let scale = try n.float("scale", 0)
    p.scale = scale != 0 ? scale : 1 / Double(max(q.shape[3], 1)).squareRoot()
    let y = try newValue(t, [q.shape[0], q.shape[2], q.shape[1] * v.shape[3]], n.label)
    store(q.strides, &p.q)
    store(k.strides, &p.k)
    store(v.strides, &p.v)
    store([q.shape[1] * q.shape[2] * v.shape[3], v.shape[3], q.shape[1] * v.shape[3], 1], &p.y)
    if mask >= 0 { store(broadcastStrides(shape(mask), to: [q.shape[0], q.shape[1], q.shape[2], k.shape[2]]), &p.mask) }
    var op = GraphOp(.attention(p), type: t, inputs: [q.value, k.value, v.value, mask], outputs: [y], label: n.label)
    op.scratch = Int(eff_attention_scratch_size(&p))
    op.work = work([q.shape[0], q.shape[1], q.shape[2], k.shape[2], q.shape[3] + v.shape[3]])
    try emit(op)
    return y
  }

  /// What is added to the scores [batch, heads, length, total], f32; -1 where nothing is.
  /// `mask` keeps keys where it is positive ([batch, total], [batch, length, total]), or gives the end [batch] and,
  /// behind all ends, the start of the keys to keep [2 batch].
  private mutating func scoreMask(_ mask: Int?, _ bias: Int?, _ scores: [Int], _ n: Node) throws(Failure) -> Int {
    let filter = try n.float("mask_filter_value", -10000)
    var out = -1
    if let mask {
      let s = shape(mask)
      let (batch, length, total) = (scores[0], scores[2], scores[3])
      guard type(mask) == .i32 else { throw n.fail(.shape, "the mask has type \(type(mask).name), expected i32") }
      let isKept: Int
      if s == [batch, total] || s == [batch, length, total] {
        let form = s.count == 2 ? [batch, 1, 1, total] : [batch, 1, length, total]
        isKept = try view(try binary(Int(EFF_FN2_GREATER), mask, try scalar(0, .i32), label: n.label), form)
      } else if s == [batch] || s == [2 * batch] {
        let places = try cast(try positions(total, [1, 1, 1, total]), to: .i32)
        let end = try slice(mask, axis: 0, start: 0, count: batch, label: n.label)
        var inside = try binary(Int(EFF_FN2_LESS), places, view(end, [batch, 1, 1, 1]), label: n.label)
        if s == [2 * batch] {
          let start = try slice(mask, axis: 0, start: batch, count: batch, label: n.label)
          let isLate = try binary(Int(EFF_FN2_GREATER_EQUAL), places, view(start, [batch, 1, 1, 1]), label: n.label)
          inside = try binary(Int(EFF_FN2_AND), inside, isLate, label: n.label)
        }
        isKept = inside
      } else {
        throw n.fail(.unsupported, """
          the mask is \(describe(s)), expected \(describe([batch])), \(describe([2 * batch])), \
          \(describe([batch, total])) or \(describe([batch, length, total]))
          """)
      }
      out = try select(isKept, try scalar(0, .f32), try scalar(filter, .f32), label: n.label)
    }
    if let bias {
      guard shape(bias).count == 4, broadcast(shape(bias), scores) == scores else {
        throw n.fail(
          .shape,
          "attention_bias is \(describe(shape(bias))), expected \(describe(scores)), where batch and heads may be 1")
      }
      let wide = try cast(bias, to: .f32)
      out = out < 0 ? wide : try binary(Int(EFF_FN2_ADD), out, wide, label: n.label)
    }
    return out
  }

  private func requireNoSharing(_ n: Node) throws(Failure) {
    n.passOver(["rotary_embedding_dim"])  // belongs to do_rotary
    guard try !n.bool("past_present_share_buffer", false), try !n.bool("do_rotary", false) else {
      throw n.fail(.unsupported, "past_present_share_buffer and do_rotary are not supported; expected 0")
    }
  }

  /// Self-attention of projections q, k and v [batch, length, size]; `past` and the second output are [2, batch, heads,
  /// length, size].
  private mutating func selfAttention(_ parts: [Int], mask: Int?, past: Int?, bias: Int?, _ n: Node) throws(Failure)
    -> [Int]
  {
    let heads = try n.int("num_heads", 0)
    let q = try split(parts[0], heads: heads, "Q", n)
    var k = try split(parts[1], heads: heads, "K", n)
    var v = try split(parts[2], heads: heads, "V", n)
    var pastLength = 0
    if let past {
      let s = shape(past)
      guard s.count == 5, s[0] == 2 else {
        throw n.fail(.shape, "past is \(describe(s)), expected [2, batch, heads, length, size]")
      }
      let half = Array(s[1...])
      pastLength = s[3]
      k = try joined(try view(try slice(past, axis: 0, start: 0, count: 1, label: n.label), half), k, n)
      v = try joined(try view(try slice(past, axis: 0, start: 1, count: 1, label: n.label), half), v, n)
    }
    let scores = [q.shape[0], heads, q.shape[2], k.shape[2]]
    let added = try scoreMask(mask, bias, scores, n)
    let y = try attend(q, k, v, mask: added, past: pastLength, isCausal: try n.bool("unidirectional", false), n)
    guard n.hasOutput(1) else { return [y] }
    let (keys, values) = (try dense(k, n), try dense(v, n))
    guard shape(keys) == shape(values) else {
      throw n.fail(.shape, "present needs K and V of one size, found \(describe(k.shape)), \(describe(v.shape))")
    }
    return [y, try concat([view(keys, [1] + shape(keys)), view(values, [1] + shape(values))], axis: 0, label: n.label)]
  }

  /// Widths of the projections to Q, K and V.
  private func projections(_ n: Node, _ total: Int) throws(Failure) -> [Int] {
    let sizes = try n.ints("qkv_hidden_sizes") ?? [Int](repeating: total / 3, count: 3)
    guard sizes.count == 3, sizes.allSatisfy({ $0 > 0 && $0 <= total }), sizes.reduce(0, +) == total else {
      throw n.fail(
        .shape,
        "qkv_hidden_sizes are \(describe(sizes)), expected three with the sum \(total), the columns of the weights")
    }
    return sizes
  }

  private mutating func buildFusedAttention(_ n: Node) throws(Failure) -> [Int] {
    try requireNoSharing(n)
    let x = try n.input(0)
    let w = try n.input(1)
    guard n.optional(6) == nil else {
      throw n.fail(.unsupported, "past_sequence_length belongs to a shared buffer, which is not supported")
    }
    guard shape(x).count == 3, shape(w).count == 2 else {
      throw n.fail(
        .shape,
        """
        input is \(describe(shape(x))) and weights are \(describe(shape(w))), expected [batch, length, size] and a \
        matrix
        """
      )
    }
    var parts: [Int] = []
    var start = 0
    // one product for each: constant weights are cut once, at load
    for size in try projections(n, shape(w)[1]) {
      var y = try matmul(x, try slice(w, axis: 1, start: start, count: size, label: n.label), label: n.label)
      if let b = n.optional(2) {
        guard shape(b) == [shape(w)[1]] else {
          throw n.fail(.shape, "bias is \(describe(shape(b))), expected [\(shape(w)[1])]")
        }
        y = try biased(y, try slice(b, axis: 0, start: start, count: size, label: n.label), n)
      }
      parts.append(y)
      start += size
    }
    return try selfAttention(parts, mask: n.optional(3), past: n.optional(4), bias: n.optional(5), n)
  }

  /// Attention whose projection multiplies 8-bit integers; what follows is float.
  private mutating func buildQuantizedAttention(_ n: Node) throws(Failure) -> [Int] {
    try requireNoSharing(n)
    let w = try n.input(1)
    guard shape(try n.input(0)).count == 3, shape(w).count == 2 else {
      throw n.fail(.shape, "expected [batch, length, size] and a matrix")
    }
    let y = try integerProduct(
      try n.input(0), w, n.optional(6), n.optional(7), scale: try n.input(3), columns: try n.input(4), n)
    let all = try biased(y, try n.input(2), n)
    var parts: [Int] = []
    var start = 0
    for size in try projections(n, shape(w)[1]) {
      parts.append(try slice(all, axis: 2, start: start, count: size, label: n.label))
      start += size
    }
    return try selfAttention(parts, mask: n.optional(5), past: n.optional(8), bias: nil, n)
  }

  private mutating func buildMultiHead(_ n: Node) throws(Failure) -> [Int] {
    let heads = try n.int("num_heads", 0)
    guard n.optional(8) == nil, n.optional(9) == nil else {
      throw n.fail(
        .unsupported, "past_sequence_length and cache_indirection belong to a shared buffer, which is not supported")
    }
    guard let key = n.optional(1), let value = n.optional(2), shape(try n.input(0)).count == 3 else {
      throw n.fail(.unsupported, "query, key and value packed into one tensor are not supported; expected three")
    }
    var inputs = [try n.input(0), key, value]
    if let b = n.optional(3) {
      var start = 0
      for i in 0..<3 where shape(inputs[i]).count == 3 {
        let size = shape(inputs[i])[2]
        guard shape(b).count == 1, shape(b)[0] >= start + size else {
          throw n.fail(.shape, "bias is \(describe(shape(b))), expected one for each of Q, K and V")
        }
        inputs[i] = try biased(inputs[i], try slice(b, axis: 0, start: start, count: size, label: n.label), n)
        start += size
      }
    }
    func form(_ v: Int, _ what: String) throws(Failure) -> AttentionHeads {
      shape(v).count == 4 ? whole(v) : try split(v, heads: heads, what, n)
    }
    let q = try split(inputs[0], heads: heads, "query", n)
    var k = try form(inputs[1], "key")
    var v = try form(inputs[2], "value")
    if let p = n.optional(6) { k = try joined(p, k, n) }
    if let p = n.optional(7) { v = try joined(p, v, n) }
    let past = n.optional(6).map { shape($0)[2] } ?? 0
    let mask = try scoreMask(n.optional(4), n.optional(5), [q.shape[0], heads, q.shape[2], k.shape[2]], n)
    let y = try attend(q, k, v, mask: mask, past: past, isCausal: try n.bool("unidirectional", false), n)
    return [y, n.hasOutput(1) ? try dense(k, n) : -1, n.hasOutput(2) ? try dense(v, n) : -1]
  }

  /// The rotation of the standard's RotaryEmbedding, with positions as second input: one number counts up from there.
  private mutating func buildMicrosoftRotary(_ n: Node) throws(Failure) -> Int {
    guard try !n.bool("is_packed_batching", false), try n.float("scale", 1) == 1 else {
      throw n.fail(.unsupported, "is_packed_batching and a scale are not supported; expected 0 and 1")
    }
    let x = try n.input(0)
    var ids = try n.input(1)
    let s = shape(x)
    guard s.count == 3 || s.count == 4 else { throw n.fail(.shape, "input is \(describe(s)), expected rank 3 or 4") }
    let form = [s[0], s.count == 4 ? s[2] : s[1]]
    if count(ids) == 1 && shape(ids).count == 1 {
      ids = try binary(Int(EFF_FN2_ADD), try positions(form[1], [1, form[1]]), ids, label: n.label)
      ids = try expand(ids, to: form)
    }
    var cos = try n.input(2)
    var sin = try n.input(3)
    guard shape(ids) == form, shape(cos).count == 2, shape(cos) == shape(sin) else {
      throw n.fail(.shape, """
        position_ids is \(describe(shape(ids))), expected [1] or \(describe(form)); the caches are \
        \(describe(shape(cos))) and \(describe(shape(sin))), expected two equal matrices
        """)
    }
    cos = try gather(cos, ids, axis: 0, n)
    sin = try gather(sin, ids, axis: 0, n)
    var heads = try n.int("num_heads", 0)
    if s.count == 3 && heads == 0 {  // the caches hold half of a head
      let size = 2 * shape(cos)[2]
      guard size > 0, s[2] % size == 0 else {
        throw n.fail(.shape, "the caches rotate \(size) features, expected a divisor of \(s[2])")
      }
      heads = s[2] / size
    }
    return try rotate(x, cos, sin, heads: heads, n)
  }
}
