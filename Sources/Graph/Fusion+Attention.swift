import Base
import Kernels
import Onnx

// products that read through transpositions, and softmax(q k') v as one op
extension Fusion {
  /// Strides in x for axes of sizes and strides in y, where `p` copies x to all of y; nil where they are no plain
  /// strides.
  private static func strides(_ axes: [(size: Int, stride: Int)], through p: eff_strided) -> [Int]? {
    let rank = Int(p.rank)
    return strides(axes, dims: load(p.dims, rank), from: load(p.y, rank), to: load(p.x, rank))
  }

  /// Axes of a tensor with strides `from` over `dims`, brought to strides `to` over the same dims. An axis must stay
  /// within one dimension.
  static func strides(_ axes: [(size: Int, stride: Int)], dims: [Int], from: [Int], to: [Int]) -> [Int]? {
    var used = [Int](repeating: 0, count: dims.count)
    var out: [Int] = []
    for axis in axes {
      if axis.size == 1 {
        out.append(0)
        continue
      }
      var found = -1
      for d in 0..<dims.count where from[d] > 0 && axis.stride % from[d] == 0 && axis.stride / from[d] < dims[d] {
        found = d
      }
      guard found >= 0 else { return nil }
      let step = axis.stride / from[found]
      used[found] += (axis.size - 1) * step
      guard used[found] < dims[found] else { return nil }
      out.append(step * to[found])
    }
    return out
  }

  /// Element `index` of one axis, picked by a constant, is a strided copy.
  static func makeGathersCopies(_ g: inout Graph) {
    for i in g.ops.indices {
      guard case .gather(let p) = g.ops[i].params, p.indices == 1, let c = g.values[g.ops[i, .indices]].constant
      else { continue }
      var at =
        p.index_type == ElementType.i64.rawValue ? Int(c.start.load(as: Int64.self)) : Int(c.start.load(as: Int32.self))
      let axis = Int(p.axis)
      if at < 0 { at += axis }
      guard at >= 0, at < axis, p.outer > 0, p.inner > 0 else { continue }
      var s = eff_strided()
      s.rank = 2
      store([Int(p.outer), Int(p.inner)], &s.dims)
      store([axis * Int(p.inner), 1], &s.x)
      store([Int(p.inner), 1], &s.y)
      s.x_offset = Int64(at) * p.inner
      let old = g.ops[i]
      g.ops[i] = GraphOp(.copy(s), type: old.type, inputs: [old[.x]], outputs: [old[.y]], label: old.label)
    }
  }

  /// Follows an f32 operand with the given axes back through copies; returns the value to read and its strides.
  private static func source(_ v: Int, _ axes: [(size: Int, stride: Int)], _ g: inout Graph, _ uses: Uses) -> (
    value: Int, strides: [Int]
  )? {
    var v = v
    var axes = axes
    var moved = false
    while g.values[v].constant == nil, isWhole(v, g), uses.writers[g.root(v)] == 1 {
      let w = uses.writer[g.root(v)]
      guard case .copy(let p) = g.ops[w].params, p.y_offset == 0,
        load(p.dims, Int(p.rank)).reduce(1, *) == g.values[v].count
      else { break }
      let x = g.ops[w, .x]
      guard g.values[x].constant == nil, let s = strides(axes, through: p) else { break }
      axes = axes.indices.map { (axes[$0].size, s[$0]) }
      v = x
      moved = true
      guard p.x_offset == 0 else {
        let from = g.values[x]
        g.values.append(
          Value(
            name: from.name, type: from.type, shape: from.shape, root: from.root,
            offset: from.offset + 4 * Int(p.x_offset)))
        v = g.values.count - 1
        break
      }
    }
    return moved ? (v, axes.map { $0.stride }) : nil
  }

  /// Matrix products read their operands where a transposition or a slice took them from, and multiply by a scale
  /// themselves.
  static func readThroughCopies(_ g: inout Graph) {
    let uses = Uses(g)
    for i in g.ops.indices {
      guard case .matmul(var p) = g.ops[i].params, g.ops[i].type == .f32 else {
        continue
      }
      let rank = Int(p.batch_rank)
      let batch = load(p.batch, rank)
      for side in [OperandName.a, .b] {
        let isLeft = side == .a
        g.ops[i, side] = unscaled(g.ops[i, side], &p, g, uses)
        // weights are packed, which needs x as it is
        if isLeft && g.values[g.ops[i, .b]].constant != nil { continue }
        let (rows, columns, strideRow, strideColumn) = isLeft ? (p.m, p.k, p.a_m, p.a_k) : (p.k, p.n, p.b_k, p.b_n)
        let outer = load(isLeft ? p.a_batch : p.b_batch, rank)
        var axes = (0..<rank).map { (size: batch[$0], stride: outer[$0]) }
        // a stride of 0 repeats the matrix, wherever it is
        guard !outer.indices.contains(where: { outer[$0] == 0 && batch[$0] != 1 }) else { continue }
        axes.append((size: Int(rows), stride: Int(strideRow)))
        axes.append((size: Int(columns), stride: Int(strideColumn)))
        guard let s = source(g.ops[i, side], axes, &g, uses) else { continue }
        let found = Array(s.strides[..<rank])
        if isLeft {
          store(found, &p.a_batch)
          (p.a_m, p.a_k) = (Int64(s.strides[rank]), Int64(s.strides[rank + 1]))
        } else {
          store(found, &p.b_batch)
          (p.b_k, p.b_n) = (Int64(s.strides[rank]), Int64(s.strides[rank + 1]))
        }
        g.ops[i, side] = unscaled(s.value, &p, g, uses)
      }
      g.ops[i].params = .matmul(p)
    }
  }

  /// x * number as an operand of a product -> x, and the number into alpha.
  private static func unscaled(_ v: Int, _ p: inout eff_matmul, _ g: Graph, _ uses: Uses) -> Int {
    guard g.values[v].constant == nil, isWhole(v, g), uses.writers[g.root(v)] == 1,
      let (x, c) = scaled(g.ops[uses.writer[g.root(v)]], g)
    else { return v }
    p.alpha *= c
    return x
  }

  /// x and c where the op is x * c or x / c with one number c.
  static func scaled(_ op: GraphOp, _ g: Graph) -> (x: Int, c: Double)? {
    guard case .binary(let p) = op.params, op.type == .f32, p.fn == EFF_FN2_MUL || p.fn == EFF_FN2_DIV else {
      return nil
    }
    let (a, b) = (op[.a], op[.b])
    let count = g.values[op[.y]].count
    if let c = number(b, g), g.values[a].constant == nil, g.values[a].count == count {
      return p.fn == EFF_FN2_MUL ? (a, c) : c != 0 ? (a, 1 / c) : nil
    }
    if p.fn == EFF_FN2_MUL, let c = number(a, g), g.values[b].constant == nil, g.values[b].count == count {
      return (b, c)
    }
    return nil
  }

  /// What an f32 constant of one element holds.
  static func number(_ v: Int, _ g: Graph) -> Double? {
    guard v >= 0, let c = g.values[v].constant, c.type == .f32, c.count == 1 else { return nil }
    return Double(c.float(0))
  }

  /// softmax(scale q k' + mask) v -> one op that reads q, k and v where they are and writes the heads where they
  /// belong.
  static func makeAttention(_ g: inout Graph) {
    let uses = Uses(g)
    var dead = [Bool](repeating: false, count: g.ops.count)
    /// The op that alone writes what `v` alone reads.
    func producer(_ v: Int) -> Int {
      g.values[v].constant == nil && uses.isPrivate(v, g) && isWhole(v, g) ? uses.writer[g.root(v)] : -1
    }
    for i in g.ops.indices {
      guard case .matmul(let second) = g.ops[i].params, g.ops[i].type == .f32 else {
        continue
      }
      guard second.alpha == 1, g.ops[i, .bias] < 0, second.act == EFF_FN_IDENTITY else { continue }
      let s = producer(g.ops[i, .a])
      guard s >= 0, case .softmax(let soft) = g.ops[s].params, soft.fn == EFF_SOFTMAX_SOFT, soft.inner == 1,
        soft.n == second.k
      else { continue }
      // back from the softmax over scales and one mask to the product of q and k
      var at = producer(g.ops[s, .x])
      var inner = [s]
      var scale = 1.0
      var mask = -1
      var maskParams = eff_binary()
      var isMaskFirst = false
      while at >= 0, case .binary(let p) = g.ops[at].params {
        let add = g.ops[at]
        if let (x, c) = scaled(add, g) {
          scale *= c
          inner.append(at)
          at = producer(x)
        } else if inner.count == 1, p.fn == EFF_FN2_ADD, add.type == .f32 {
          // the scores are the side that comes from a product
          let (l, r) = (producer(add[.a]), producer(add[.b]))
          isMaskFirst = !isScores(l, g)
          let scores = add[isMaskFirst ? .b : .a]
          guard isScores(isMaskFirst ? r : l, g), g.values[scores].count == g.values[add[.y]].count else { break }
          (mask, maskParams) = (add[isMaskFirst ? .a : .b], p)
          inner.append(at)
          at = isMaskFirst ? r : l
        } else {
          break
        }
      }
      guard at >= 0, case .matmul(let first) = g.ops[at].params,
        g.ops[at, .bias] < 0, first.act == EFF_FN_IDENTITY
      else { continue }
      let rank = Int(first.batch_rank)
      let batch = load(first.batch, rank)
      guard rank <= 2, Int(second.batch_rank) == rank, load(second.batch, rank) == batch, first.m == second.m,
        first.n == second.k, second.a_k == 1
      else { continue }
      guard second.m == 1 || second.a_m == second.k,
        load(second.a_batch, rank) == products(batch, Int(second.m * second.k))
      else { continue }
      var p = eff_attention()
      let wide = [Int](repeating: 1, count: 2 - rank) + batch
      func four(_ outer: [Int], _ row: Int64, _ column: Int64) -> [Int] {
        [Int](repeating: 0, count: 2 - rank) + outer + [Int(row), Int(column)]
      }
      (p.batch, p.heads, p.kv_heads) = (Int64(wide[0]), Int64(wide[1]), Int64(wide[1]))
      (p.lq, p.lk, p.dk, p.dv) = (first.m, first.n, first.k, second.n)
      p.scale = scale * first.alpha
      store(four(load(first.a_batch, rank), first.a_m, first.a_k), &p.q)
      store(four(load(first.b_batch, rank), first.b_n, first.b_k), &p.k)
      store(four(load(second.b_batch, rank), second.b_k, second.b_n), &p.v)
      let full = wide + [Int(p.lq), Int(p.dv)]
      store(denseStrides(full), &p.y)
      if mask >= 0 {
        let scores = wide + [Int(p.lq), Int(p.lk)]
        let dense = denseStrides(scores)
        let dims = load(maskParams.dims, Int(maskParams.rank))
        let side = isMaskFirst ? load(maskParams.a, dims.count) : load(maskParams.b, dims.count)
        guard g.values[mask].type == .f32,
          let m = strides((0..<4).map { (scores[$0], dense[$0]) }, dims: dims, from: denseStrides(dims), to: side)
        else { continue }
        store(m, &p.mask)
      }
      var y = g.ops[i, .y]
      // a transposition of the result is only another way to write it
      let reader = uses.reader[g.root(y)]
      if uses.isPrivate(y, g), isWhole(y, g), reader > i, case .copy(let move) = g.ops[reader].params,
        move.x_offset == 0, move.y_offset == 0
      {
        let moved = g.ops[reader, .y]
        let dims = load(move.dims, Int(move.rank))
        let dense = denseStrides(full)
        if uses.writers[g.root(moved)] == 1, isWhole(moved, g), g.values[moved].count == g.values[y].count,
          let ys = strides(
            (0..<4).map { (full[$0], dense[$0]) }, dims: dims, from: load(move.x, dims.count),
            to: load(move.y, dims.count))
        {
          store(ys, &p.y)
          y = moved
          dead[reader] = true
        }
      }
      var op = GraphOp(
        .attention(p), type: .f32, inputs: [g.ops[at, .a], g.ops[at, .b], g.ops[i, .b], mask], outputs: [y],
        label: g.ops[i].label)
      op.scratch = Int(eff_attention_scratch_size(&p))
      op.work = g.ops[at].work + g.ops[i].work
      g.ops[i] = op
      for k in inner { dead[k] = true }
      dead[at] = true
    }
    compact(&g, dead)
  }

  private static func isScores(_ i: Int, _ g: Graph) -> Bool {
    guard i >= 0 else { return false }
    if case .matmul = g.ops[i].params { return true }
    return scaled(g.ops[i], g) != nil
  }

  /// Strides of dense matrices of `size` elements over batch dims.
  private static func products(_ batch: [Int], _ size: Int) -> [Int] { denseStrides(batch).map { $0 * size } }
}
