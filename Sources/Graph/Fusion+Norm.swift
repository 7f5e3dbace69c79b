import Base
import Kernels
import Onnx

// normalizations: spelled out, and with what follows them
extension Fusion {
  /// The op that alone writes all of `v`, whoever reads it.
  private static func writer(_ v: Int, _ g: Graph, _ uses: Uses) -> Int {
    v >= 0 && g.values[v].constant == nil && isWhole(v, g) && uses.writers[g.root(v)] == 1 ? uses.writer[g.root(v)] : -1
  }

  /// Both name the same memory and elements.
  private static func isSame(_ a: Int, _ b: Int, _ g: Graph) -> Bool {
    g.root(a) == g.root(b) && g.values[a].offset == g.values[b].offset && g.values[a].byteCount == g.values[b].byteCount
  }

  /// Operands of an op that is `fn` of [outer, n] and one number for each of the outer rows.
  private static func rowwise(_ i: Int, _ fn: Int, n: Int, _ g: Graph) -> (x: Int, row: Int)? {
    guard i >= 0, case .binary(let p) = g.ops[i].params, p.fn == fn, g.ops[i].type == .f32 else { return nil }
    let (dims, a, b) = (load(p.dims, Int(p.rank)), load(p.a, Int(p.rank)), load(p.b, Int(p.rank)))
    let isOne = dims == [n] && a == [1] && b == [0]
    let isMany = dims.count == 2 && dims[1] == n && a == [n, 1] && b == [1, 0]
    return isOne || isMany ? (g.ops[i, .a], g.ops[i, .b]) : nil
  }

  /// x of an op that is the mean over runs of n contiguous elements.
  private static func meanSource(_ i: Int, n: Int, _ g: Graph) -> Int? {
    guard i >= 0, case .reduce(let p) = g.ops[i].params, p.fn == EFF_REDUCE_MEAN, p.reduced_rank == 1,
      load(p.reduced, 1) == [n], load(p.reduced_stride, 1) == [1]
    else { return nil }
    guard p.kept_rank <= 1, load(p.kept, 1)[0] <= 1 || load(p.kept_stride, 1)[0] == n else { return nil }
    return g.ops[i, .x]
  }

  /// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) -> norm.
  static func makeNorms(_ g: inout Graph) {
    let uses = Uses(g)
    for i in g.ops.indices {
      guard case .binary(let divide) = g.ops[i].params, divide.fn == EFF_FN2_DIV, g.ops[i].type == .f32,
        divide.rank >= 1
      else { continue }
      let n = load(divide.dims, Int(divide.rank))[Int(divide.rank) - 1]
      guard n > 1, let (d, std) = rowwise(i, Int(EFF_FN2_DIV), n: n, g) else { continue }
      let root = writer(std, g, uses)
      guard root >= 0, case .unary(let u) = g.ops[root].params, u.fn == EFF_FN_SQRT else { continue }
      let sum = writer(g.ops[root, .x], g, uses)
      guard sum >= 0, case .binary(let add) = g.ops[sum].params, add.fn == EFF_FN2_ADD,
        let epsilon = number(g.ops[sum, .b], g)
      else { continue }
      guard let squares = meanSource(writer(g.ops[sum, .a], g, uses), n: n, g) else { continue }
      let square = writer(squares, g, uses)
      guard square >= 0 else { continue }
      var other = -1
      if case .unary(let u) = g.ops[square].params, u.fn == EFF_FN_SQUARE { other = g.ops[square, .x] }
      if case .binary(let p) = g.ops[square].params, p.fn == EFF_FN2_MUL,
        isSame(g.ops[square, .a], g.ops[square, .b], g)
      {
        other = g.ops[square, .a]
      }
      // numerator and variance may each have subtracted the mean
      guard other >= 0, let (x, mean) = rowwise(writer(d, g, uses), Int(EFF_FN2_SUB), n: n, g) else { continue }
      guard let (x2, mean2) = rowwise(writer(other, g, uses), Int(EFF_FN2_SUB), n: n, g), isSame(x, x2, g) else {
        continue
      }
      guard let of = meanSource(writer(mean, g, uses), n: n, g), isSame(of, x, g),
        let of2 = meanSource(writer(mean2, g, uses), n: n, g), isSame(of2, x, g)
      else { continue }
      var p = eff_norm()
      (p.outer, p.n, p.channels, p.inner) = (Int64(g.values[x].count / n), Int64(n), 1, 1)
      p.affine = Int32(EFF_NORM_ELEMENT)
      p.epsilon = epsilon
      g.ops[i] = GraphOp(.norm(p), type: .f32, inputs: [x, -1, -1], outputs: [g.ops[i, .y]], label: g.ops[i].label)
    }
    removeDead(&g)
  }

  /// A constant f32 operand that depends on `index / inner % channels` of the other, dense operand.
  struct Pattern {
    var fn: Int32
    var x: Int
    var constant: TensorData
    var channels: Int
    var inner: Int

    init?(_ op: GraphOp, _ g: Graph) {
      guard case .binary(let p) = op.params, op.type == .f32, p.fn <= EFF_FN2_DIV else { return nil }
      let (a, b) = (op[.a], op[.b])
      let isLeft = g.values[a].constant != nil && (p.fn == EFF_FN2_ADD || p.fn == EFF_FN2_MUL)
      guard let c = g.values[isLeft ? a : b].constant, g.values[isLeft ? b : a].constant == nil else { return nil }
      let x = isLeft ? b : a
      let dims = load(p.dims, Int(p.rank))
      let strides = load(isLeft ? p.a : p.b, dims.count)
      let total = dims.reduce(1, *)
      guard total > 0, g.values[x].count == total, g.values[op[.y]].count == total else { return nil }
      (fn, self.x, constant, channels, inner) = (p.fn, x, c, 1, total)
      var after = total
      for d in 0..<dims.count {
        after /= dims[d]
        guard strides[d] != 0 else { continue }
        guard channels == 1, strides[d] == 1, c.count == dims[d] else { return nil }
        (channels, inner) = (dims[d], after)
      }
      if channels == 1 && c.count != 1 { return nil }
    }

    func value(_ index: Int) -> Float {
      constant.float(channels == 1 ? 0 : index / inner % channels)
    }
  }

  /// A new f32 constant; nil where the budget of the graph has no memory for it, and the rewrite is left out.
  static func constant(_ count: Int, _ g: Graph, _ fill: (Int) -> Float) -> TensorData? {
    guard let bytes = try? g.budget.zeroed(4 * count, for: "a folded constant") else { return nil }
    let out = bytes.mutable.assumingMemoryBound(to: Float.self)
    for i in 0..<count { out[i] = fill(i) }
    return TensorData(type: .f32, shape: [count], bytes: bytes)
  }

  /// A value for a constant: `old` itself, where a fold made it before.
  private static func place(_ c: TensorData, _ old: Int, _ first: Int, _ g: inout Graph) -> Int {
    let v = old >= first ? old : g.values.count
    if old >= first, let replaced = g.values[old].constant { g.budget.give(replaced.byteCount) }
    let value = Value(name: "", type: .f32, shape: c.shape, constant: c, root: v)
    if v < g.values.count { g.values[v] = value } else { g.values.append(value) }
    return v
  }

  /// Folds into one op; each reads all of its weights.
  private static let maximumFolds: UInt8 = 8

  /// Constant scales and shifts after a norm, a convolution or a dense op go into its own scale and bias, or into its
  /// weights.
  static func foldAffine(_ g: inout Graph) {
    let uses = Uses(g)
    var dead = [Bool](repeating: false, count: g.ops.count)
    // an op that took an affine one in now writes that one's output
    var writer = uses.writer
    var folds = [UInt8](repeating: 0, count: g.ops.count)
    let first = g.values.count
    for i in g.ops.indices {
      guard let p = Pattern(g.ops[i], g), uses.isPrivate(p.x, g), isWhole(p.x, g) else { continue }
      let w = writer[g.root(p.x)]
      guard w >= 0, !dead[w], g.ops[w].type == .f32, folds[w] < maximumFolds else { continue }
      let isTaken: Bool
      switch g.ops[w].params {
      case .norm(let n) where n.act == EFF_FN_IDENTITY: isTaken = foldIntoNorm(p, n, w, first, &g)
      case .conv(let c) where c.act == EFF_FN_IDENTITY: isTaken = foldIntoConv(p, c, w, first, &g)
      case .dense(let d) where d.act == EFF_FN_IDENTITY: isTaken = foldIntoDense(p, d, w, &g)
      default: isTaken = false
      }
      guard isTaken else { continue }
      let y = g.ops[i, .y]
      g.ops[w, .y] = y
      writer[g.root(y)] = w
      dead[i] = true
      folds[w] += 1
    }
    compact(&g, dead)
  }

  private static func apply(_ fn: Int32, _ scale: Float, _ bias: Float, _ c: Float) -> (Float, Float) {
    switch Int(fn) {
    case Int(EFF_FN2_ADD): return (scale, bias + c)
    case Int(EFF_FN2_SUB): return (scale, bias - c)
    case Int(EFF_FN2_MUL): return (scale * c, bias * c)
    default: return (scale / c, bias / c)
    }
  }

  private static func foldIntoNorm(_ p: Pattern, _ n: eff_norm, _ w: Int, _ first: Int, _ g: inout Graph) -> Bool {
    let (s, b) = (g.ops[w, .scale], g.ops[w, .bias])
    guard s < 0 || g.values[s].constant != nil, b < 0 || g.values[b].constant != nil, g.ops[w].outputs.count == 1 else {
      return false
    }
    let total = Int(n.outer * n.n)
    let isElement = n.affine == EFF_NORM_ELEMENT
    // what the norm has already, and what follows, as one finer pattern
    let hasAffine = s >= 0 || b >= 0
    let oldInner = !hasAffine ? total : isElement ? 1 : Int(n.inner)
    let oldChannels = !hasAffine ? 1 : isElement ? Int(n.n) : Int(n.channels)
    let inner = min(oldInner, p.inner)
    guard inner > 0, oldInner % inner == 0, p.inner % inner == 0 else { return false }
    var period = inner
    for (i, c) in [(oldInner, oldChannels), (p.inner, p.channels)] where c > 1 { period = max(period, i * c) }
    for (i, c) in [(oldInner, oldChannels), (p.inner, p.channels)] where c > 1 && period % (i * c) != 0 { return false }
    let channels = period / inner
    let byElement = inner == 1 && channels == Int(n.n)
    guard byElement || inner >= 4, total % period == 0 || channels == 1 else { return false }
    let count = channels
    func old(_ v: Int, _ k: Int, _ missing: Float) -> Float {
      guard v >= 0, let c = g.values[v].constant else { return missing }
      return c.float(k * inner / oldInner % oldChannels)
    }
    let pairs = (0..<count).map { k in apply(p.fn, old(s, k, 1), old(b, k, 0), p.value(k * inner)) }
    guard let scale = constant(count, g, { pairs[$0].0 }), let bias = constant(count, g, { pairs[$0].1 }) else {
      return false
    }
    var n = n
    n.affine = Int32(byElement ? EFF_NORM_ELEMENT : EFF_NORM_CHANNEL)
    (n.channels, n.inner) = byElement ? (1, 1) : (Int64(channels), Int64(inner))
    g.ops[w].params = .norm(n)
    g.ops[w, .scale] = place(scale, s, first, &g)
    g.ops[w, .bias] = place(bias, b, first, &g)
    return true
  }

  private static func foldIntoConv(_ p: Pattern, _ c: eff_conv, _ w: Int, _ first: Int, _ g: inout Graph) -> Bool {
    let (weights, b) = (g.values[g.ops[w, .w]].constant, g.ops[w, .bias])
    let out = load(c.out, Int(c.spatial)).reduce(1, *)
    let channels = Int(c.out_channels)
    guard let weights, b < 0 || g.values[b].constant != nil,
      p.channels == 1 || (p.channels == channels && p.inner == out), channels > 0
    else { return false }
    let old = b >= 0 ? g.values[b].constant : nil
    let pairs = (0..<channels).map { k in apply(p.fn, 1, old?.float(k) ?? 0, p.value(k * out)) }
    guard let bias = constant(channels, g, { pairs[$0].1 }) else { return false }
    if p.fn == EFF_FN2_MUL || p.fn == EFF_FN2_DIV {
      let size = weights.count / channels
      guard let scaled = constant(weights.count, g, { weights.float($0) * pairs[$0 / size].0 }) else { return false }
      g.ops[w, .w] = place(scaled.reshaped(weights.shape), g.ops[w, .w], first, &g)
    }
    g.ops[w, .bias] = place(bias, b, first, &g)
    return true
  }

  private static func foldIntoDense(_ p: Pattern, _ d: eff_dense, _ w: Int, _ g: inout Graph) -> Bool {
    let (n, k) = (Int(d.n), Int(d.k))
    guard let old = g.ops[w].packing, p.channels == 1 || (p.channels == n && p.inner == 1) else { return false }
    let pairs = (0..<n).map { o in
      apply(p.fn, 1, old.bias.map { Float(old.biasScale) * $0.float(o * old.biasStride) } ?? 0, p.value(o))
    }
    guard let bias = constant(n, g, { pairs[$0].1 }) else { return false }
    var new = old
    (new.bias, new.biasStride, new.biasScale) = (bias, 1, 1)
    if p.fn == EFF_FN2_MUL || p.fn == EFF_FN2_DIV {
      guard
        let scaled = constant(
          n * k, g,
          {
            Float(old.scale) * old.weights.float($0 / n * old.inputStride + $0 % n * old.outputStride) * pairs[$0 % n].0
          })
      else { return false }
      (new.weights, new.inputStride, new.outputStride, new.scale) = (scaled, n, 1, 1)
    }
    g.ops[w].packing = new
    return true
  }
}
