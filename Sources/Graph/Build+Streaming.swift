import Base
import Kernels
import Onnx

// layers that carry a state from call to call: linear attention, causal convolution, caches
extension Builder {
  /// One step per position: S = exp(g) S + beta k (v - S' k), o = scale q' S, in the variants of `update_rule`.
  mutating func buildLinearAttention(_ n: Node) throws(Failure) -> [Int] {
    let (q, k, v) = (try n.input(0), try n.input(1), try n.input(2))
    let (heads, kvHeads) = (try n.int("q_num_heads", 0), try n.int("kv_num_heads", 0))
    let sq = shape(q)
    guard sq.count == 3, shape(k).count == 3, shape(v).count == 3, heads > 0, kvHeads > 0, heads % kvHeads == 0,
      sq[2] % heads == 0,
      shape(k) == [sq[0], sq[1], sq[2] / heads * kvHeads], Array(shape(v)[..<2]) == Array(sq[..<2]),
      shape(v)[2] % kvHeads == 0
    else {
      throw n.fail(
        .shape,
        """
        query, key and value are \(describe(sq)), \(describe(shape(k))) and \(describe(shape(v))) for \(heads) and \
        \(kvHeads) heads; they do not fit
        """
      )
    }
    let (batch, length, dk, dv, share) = (sq[0], sq[1], sq[2] / heads, shape(v)[2] / kvHeads, heads / kvHeads)
    let rule = try n.string("update_rule", "gated_delta")
    guard ["linear", "gated", "delta", "gated_delta"].contains(rule) else {
      throw n.fail(.unsupported, "update_rule '\(rule)' is not known")
    }
    let isDelta = rule == "delta" || rule == "gated_delta"
    let given = try n.float("scale", 0)
    let scale = try scalar(given != 0 ? given : 1 / Double(dk).squareRoot(), .f32)
    var state = try filled(0, .f32, [batch, kvHeads, dk, dv])
    if let past = n.optional(3) {
      guard shape(past) == [batch, kvHeads, dk, dv] else {
        throw n.fail(.shape, "past_state is \(describe(shape(past))), expected \(describe([batch, kvHeads, dk, dv]))")
      }
      state = try cast(past, to: .f32)
    }
    /// position t of a packed input as [batch, kvHeads] + form
    func at(_ b: inout Builder, _ x: Int, _ t: Int, _ form: [Int]) throws(Failure) -> Int {
      let one = try b.slice(x, axis: 1, start: t, count: 1, label: n.label)
      guard b.count(one) == form.reduce(batch, *) else {
        throw n.fail(.shape, "decay or beta is \(describe(b.shape(x))), which does not fit \(kvHeads) heads of \(dk)")
      }
      return try b.cast(b.view(one, [batch] + form), to: .f32)
    }
    var steps: [Int] = []
    for t in 0..<length {
      try account(nodes: 1)
      let key = try at(&self, k, t, [kvHeads, dk, 1])
      var value = try at(&self, v, t, [kvHeads, 1, dv])
      if rule != "linear" && rule != "delta" {
        let decay = try n.input(4)
        let isPerHead = shape(decay).last == kvHeads && dk != 1
        let g = try at(&self, decay, t, [kvHeads, isPerHead ? 1 : dk, 1])
        state = try binary(Int(EFF_FN2_MUL), state, try unary(g, Int(EFF_FN_EXP), label: n.label), label: n.label)
      }
      if isDelta {
        let recalled = try matmul(view(key, [batch, kvHeads, 1, dk]), state, label: n.label)
        let rate = try n.input(5)
        let beta = try at(&self, rate, t, [shape(rate).last == 1 ? 1 : kvHeads, 1, 1])
        value = try binary(
          Int(EFF_FN2_MUL), try binary(Int(EFF_FN2_SUB), value, recalled, label: n.label), beta, label: n.label)
      }
      state = try binary(
        Int(EFF_FN2_ADD), state, try binary(Int(EFF_FN2_MUL), key, value, label: n.label), label: n.label)
      let query = try at(&self, q, t, [kvHeads, share, dk])
      let out = try binary(Int(EFF_FN2_MUL), try matmul(query, state, label: n.label), scale, label: n.label)
      steps.append(try view(out, [batch, 1, heads * dv]))
    }
    guard !steps.isEmpty else { throw n.fail(.unsupported, "attends over an empty sequence") }
    let y = try cast(try concat(steps, axis: 1, label: n.label), to: type(q))
    return [y, try cast(state, to: n.optional(3).map { type($0) } ?? type(q))]
  }

  /// Depthwise convolution over past and present; the last positions are the state.
  mutating func buildCausalConv(_ n: Node) throws(Failure) -> [Int] {
    let (x, w) = (try n.input(0), try n.input(1))
    let (s, ws) = (shape(x), shape(w))
    guard s.count == 3, ws.count == 3, ws[0] == s[1], ws[1] == 1, ws[2] > 0, type(w) == type(x) else {
      throw n.fail(
        .shape,
        """
        input and weight are \(describe(s)) and \(describe(ws)), expected [batch, channels, length] and [channels, 1, \
        k]
        """
      )
    }
    let carried = ws[2] - 1
    var joined = x
    if carried > 0 {
      let past: Int
      if let given = n.optional(3) { past = given } else { past = try filled(0, type(x), [s[0], s[1], carried]) }
      guard shape(past) == [s[0], s[1], carried], type(past) == type(x) else {
        throw n.fail(.shape, "past_state is \(describe(shape(past))), expected \(describe([s[0], s[1], carried]))")
      }
      joined = try concat([past, x], axis: 2, label: n.label)
    }
    let window = Window(kernel: [ws[2]], strides: [1], dilations: [1], begin: [0], end: [0])
    let p = convParams(n, joined, w, window, out: [s[2]], channels: s[1], groups: s[1])
    let b = n.optional(2)
    if let b {
      guard count(b) == s[1], type(b) == type(x) else {
        throw n.fail(.shape, "bias is \(describe(shape(b))), expected [\(s[1])]")
      }
    }
    var y = try newValue(type(x), s, n.label)
    var op = GraphOp(.conv(p), type: type(x), inputs: [joined, w, b ?? -1], outputs: [y], label: n.label)
    op.work = work(s + [ws[2]])
    try emit(op)
    let activation = try n.choice("activation", "none", ["none", "silu", "swish"])
    if activation == "silu" || activation == "swish" { y = try unary(y, Int(EFF_FN_SWISH), alpha: 1, label: n.label) }
    let state = try slice(joined, axis: 2, start: shape(joined)[2] - carried, count: carried, label: n.label)
    return [y, state]
  }

  /// Writes `update` into a copy of the cache at a position per batch entry.
  mutating func buildTensorScatter(_ n: Node) throws(Failure) -> Int {
    let (cache, update) = (try n.input(0), try n.input(1))
    let (s, u) = (shape(cache), shape(update))
    let a = try axis(try n.int("axis", -2), rank: s.count, n)
    guard a > 0, u.count == s.count, u[a] <= s[a], (0..<s.count).allSatisfy({ $0 == a || u[$0] == s[$0] }) else {
      throw n.fail(.shape, "update is \(describe(u)), which does not fit the cache \(describe(s)) along axis \(a)")
    }
    func along(_ d: Int, _ size: Int) -> [Int] { (0..<s.count).map { $0 == d ? size : 1 } }
    let isCircular = try n.choice("mode", "linear", ["linear", "circular"]) == "circular"
    var places = try positions(u[a], along(a, u[a]))
    if let first = n.optional(2) {
      guard count(first) == s[0] else {
        throw n.fail(.shape, "write_indices is \(describe(shape(first))), expected [\(s[0])]")
      }
      places = try binary(Int(EFF_FN2_ADD), places, view(try cast(first, to: .i64), along(0, s[0])), label: n.label)
      if isCircular { places = try binary(Int(EFF_FN2_MOD), places, try scalar(Double(s[a]), .i64), label: n.label) }
    }
    let indices = try expand(places, to: u)
    let p = elements(n, axis: a, data: s, indices: indices, reduction: Int(EFF_SCATTER_SET))
    return try scatter(.scatterElements(p), data: cache, indices, update, n)
  }
}
