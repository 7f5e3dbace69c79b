import Base
import Kernels
import Onnx

// operators that pick elements by position
extension Builder {
  mutating func buildIndexing(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .gather:
      let x = try n.input(0)
      let a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
      return [try gather(x, try n.input(1), axis: a, n)]
    case .gatherElements:
      let x = try n.input(0)
      let a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
      try checkPlaces(try n.input(1), [a], shape(x), n)
      return [try gatherElements(x, try n.input(1), axis: a, n)]
    case .gatherND:
      try checkTuples(try n.input(1), try n.int("batch_dims", 0), shape(try n.input(0)), n)
      return [try gatherTuples(try n.input(0), try n.input(1), batch: try n.int("batch_dims", 0), n)]
    case .scatterElements, .scatter: return [try buildScatterElements(n)]
    case .scatterND: return [try buildScatterND(n)]
    case .oneHot: return [try buildOneHot(n)]
    case .trilu: return [try buildTrilu(n)]
    default: return nil
    }
  }

  /// Refuses constant indices outside the axes that they count along in turn; those that are computed are clamped by
  /// the kernels.
  private func checkPlaces(_ i: Int, _ axes: [Int], _ data: [Int], _ n: Node) throws(Failure) {
    guard constant(i) != nil, !axes.isEmpty, axes.allSatisfy({ $0 >= 0 && $0 < data.count }) else { return }
    try requireIndices(i, n)
    for (k, v) in try integers(i, n, "indices").enumerated() {
      let a = axes[k % axes.count]
      guard v >= -data[a], v < data[a] else {
        throw n.fail(.shape, "index \(v) is outside axis \(a) of \(describe(data))")
      }
    }
  }

  private func checkTuples(_ i: Int, _ batch: Int, _ data: [Int], _ n: Node) throws(Failure) {
    let depth = shape(i).last ?? 0
    guard batch >= 0, batch <= data.count, depth >= 0, depth <= data.count - batch else { return }
    try checkPlaces(i, Array(batch..<(batch + depth)), data, n)
  }

  func requireIndices(_ v: Int, _ n: Node) throws(Failure) {
    guard type(v) == .i64 || type(v) == .i32 else {
      throw n.fail(.shape, "indices have type \(type(v).name), expected i64 or i32")
    }
  }

  /// Slices of `x` along `axis`, in the order of `indices`.
  mutating func gather(_ x: Int, _ indices: Int, axis: Int, _ n: Node) throws(Failure) -> Int {
    try requireIndices(indices, n)
    let s = shape(x)
    guard axis < s.count else { throw n.fail(.shape, "cannot gather from a scalar") }
    let out = Array(s[..<axis]) + shape(indices) + Array(s[(axis + 1)...])
    if let c = constant(indices) {
      let list = try integers(indices, n, "indices")
      for i in list where i < -s[axis] || i >= s[axis] {
        throw n.fail(.shape, "index \(i) is outside axis \(axis) of \(describe(s))")
      }
      if c.count == 1 {  // one slice: a view where the memory allows
        let i = list[0] < 0 ? list[0] + s[axis] : list[0]
        let one = try slice(x, axis: axis, start: i, count: 1, label: n.label)
        return try view(one, out)
      }
    }
    let y = try newValue(type(x), out, n.label)
    var p = eff_gather()
    p.outer = Int64(s[..<axis].reduce(1, *))
    p.axis = Int64(s[axis])
    p.inner = Int64(s[(axis + 1)...].reduce(1, *))
    p.indices = Int64(count(indices))
    p.index_type = type(indices).rawValue
    guard s[axis] > 0 || count(y) == 0 else { throw n.fail(.shape, "gathers from an empty axis of \(describe(s))") }
    try emit(GraphOp(.gather(p), type: type(x), inputs: [x, indices], outputs: [y], label: n.label))
    return y
  }

  func elements(_ n: Node, axis: Int, data: [Int], indices: Int, reduction: Int) -> eff_elements {
    var p = eff_elements()
    p.rank = Int32(data.count)
    p.axis = Int32(axis)
    p.index_type = type(indices).rawValue
    p.reduction = Int32(reduction)
    store(shape(indices), &p.dims)
    store(data, &p.data)
    return p
  }

  private func requireElements(_ x: Int, _ i: Int, axis: Int, _ n: Node) throws(Failure) {
    try requireIndices(i, n)
    let s = shape(x)
    let t = shape(i)
    var fits = s.count == t.count && s.count > 0
    if fits { for d in 0..<s.count where d != axis && t[d] > s[d] { fits = false } }
    guard fits, s[axis] > 0 || count(i) == 0 else {
      throw n.fail(.shape, "indices \(describe(t)) do not fit data \(describe(s))")
    }
  }

  /// y[.., i, ..] = x[.., indices[.., i, ..], ..] along `axis`.
  mutating func gatherElements(_ x: Int, _ i: Int, axis a: Int, _ n: Node) throws(Failure) -> Int {
    try requireElements(x, i, axis: a, n)
    let y = try newValue(type(x), shape(i), n.label)
    let p = elements(n, axis: a, data: shape(x), indices: i, reduction: 0)
    try emit(GraphOp(.gatherElements(p), type: type(x), inputs: [x, i], outputs: [y], label: n.label))
    return y
  }

  private func tuples(_ data: [Int], _ indices: Int, batch b: Int, _ n: Node) throws(Failure) -> eff_nd {
    try requireIndices(indices, n)
    let t = shape(indices)
    guard let depth = t.last, b >= 0, b < t.count, b + depth <= data.count, Array(t[..<b]) == Array(data[..<b]) else {
      throw n.fail(.shape, "indices \(describe(t)) do not fit data \(describe(data))")
    }
    var p = eff_nd()
    p.depth = Int32(depth)
    p.index_type = type(indices).rawValue
    p.batch = Int64(data[..<b].reduce(1, *))
    p.tuples = Int64(t[b..<(t.count - 1)].reduce(1, *))
    p.inner = Int64(data[(b + depth)...].reduce(1, *))
    store(Array(data[b..<(b + depth)]), &p.data)
    guard !data[b..<(b + depth)].contains(0) || p.batch * p.tuples * p.inner == 0 else {
      throw n.fail(.shape, "indexes an empty dimension of \(describe(data))")
    }
    return p
  }

  /// The slices of `x` that the tuples in the last axis of the indices name.
  mutating func gatherTuples(_ x: Int, _ i: Int, batch b: Int, _ n: Node) throws(Failure) -> Int {
    let p = try tuples(shape(x), i, batch: b, n)
    let out = Array(shape(i).dropLast()) + Array(shape(x)[(b + Int(p.depth))...])
    if p.depth == 0 {  // an empty tuple names all
      let all = try gatherStrided(
        x, dims: [Int(p.batch), Int(p.tuples), Int(p.inner)], strides: [Int(p.inner), 0, 1], offset: 0, label: n.label)
      return try view(all, out)
    }
    let y = try newValue(type(x), out, n.label)
    try emit(GraphOp(.gatherND(p), type: type(x), inputs: [x, i], outputs: [y], label: n.label))
    return y
  }

  private func reduction(_ n: Node) throws(Failure) -> Int {
    switch try n.string("reduction", "none") {
    case "none": return Int(EFF_SCATTER_SET)
    case "add": return Int(EFF_SCATTER_ADD)
    case "mul": return Int(EFF_SCATTER_MUL)
    case "min": return Int(EFF_SCATTER_MIN)
    case "max": return Int(EFF_SCATTER_MAX)
    default: throw n.fail(.unsupported, "reduction '\(try n.string("reduction", ""))' is not known")
    }
  }

  /// Copies the data, then scatters into the copy.
  mutating func scatter(_ params: Params, data: Int, _ indices: Int, _ updates: Int, _ n: Node) throws(Failure) -> Int {
    guard type(updates) == type(data) else {
      throw n.fail(.shape, "updates have type \(type(updates).name), expected \(type(data).name)")
    }
    let first = graph.ops.count
    let y = try copy(data, label: n.label)
    graph.ops.append(
      GraphOp(params, type: type(data), inputs: [indices, updates], outputs: [y], label: n.label))
    try foldIfConstant(from: first, [y])
    return y
  }

  private mutating func buildScatterElements(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let i = try n.input(1)
    let u = try n.input(2)
    let a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
    try requireElements(x, i, axis: a, n)
    try checkPlaces(i, [a], shape(x), n)
    guard shape(u) == shape(i) else {
      throw n.fail(.shape, "updates are \(describe(shape(u))), expected the shape of indices \(describe(shape(i)))")
    }
    let p = elements(n, axis: a, data: shape(x), indices: i, reduction: try reduction(n))
    return try scatter(.scatterElements(p), data: x, i, u, n)
  }

  private mutating func buildScatterND(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let i = try n.input(1)
    let u = try n.input(2)
    try checkTuples(i, 0, shape(x), n)
    var p = try tuples(shape(x), i, batch: 0, n)
    p.reduction = Int32(try reduction(n))
    let expected = Array(shape(i).dropLast()) + Array(shape(x)[Int(p.depth)...])
    guard shape(u) == expected else {
      throw n.fail(.shape, "updates are \(describe(shape(u))), expected \(describe(expected))")
    }
    return try scatter(.scatterND(p), data: x, i, u, n)
  }

  private mutating func buildOneHot(_ n: Node) throws(Failure) -> Int {
    let i = try cast(try n.input(0), to: .i64)
    let depth = clampIndex(try number(try n.input(1), n, "depth"))
    let values = try n.input(2)
    guard depth > 0, count(values) == 2 else {
      throw n.fail(.shape, "needs a positive depth and two values; found \(depth) and \(count(values))")
    }
    let a = try axis(try n.int("axis", -1), rank: shape(i).count + 1, n)
    var out = shape(i)
    out.insert(depth, at: a)
    let y = try newValue(type(values), out, n.label)
    var p = eff_one_hot()
    p.outer = Int64(out[..<a].reduce(1, *))
    p.depth = Int64(depth)
    p.inner = Int64(out[(a + 1)...].reduce(1, *))
    p.index_type = ElementType.i64.rawValue
    try emit(GraphOp(.oneHot(p), type: type(values), inputs: [i, values], outputs: [y], label: n.label))
    return y
  }

  private mutating func buildTrilu(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count >= 2 else { throw n.fail(.shape, "needs at least 2 dimensions; found \(describe(s))") }
    let k = try n.optional(1).map { v throws(Failure) in try integers(v, n, "k").first ?? 0 } ?? 0
    let isUpper = try n.bool("upper", true)
    let (rows, columns) = (s[s.count - 2], s[s.count - 1])
    let bytes = try budget.zeroed(max(rows * columns, 1), for: n.label)
    for i in 0..<rows {
      for j in 0..<columns where isUpper ? j - i >= k : j - i <= k {
        bytes.mutable.storeBytes(of: 1, toByteOffset: i * columns + j, as: UInt8.self)
      }
    }
    let mask = newConstant(TensorData(type: .bool, shape: [rows, columns], bytes: bytes))
    return try select(mask, x, try scalar(0, type(x)), label: n.label)
  }

  // MARK: padding

  mutating func buildPad(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let rank = shape(x).count
    var pads: [Int]
    if n.opset < 11 {
      pads = try n.ints("pads") ?? []
    } else {
      pads = try integers(try n.input(1), n, "pads")
    }
    if let v = n.optional(3) {
      let axes = try integers(v, n, "axes")
      guard pads.count == 2 * axes.count else {
        throw n.fail(.shape, "has \(pads.count) pads for \(axes.count) axes, expected two for each")
      }
      var all = [Int](repeating: 0, count: 2 * rank)
      for (i, a) in axes.enumerated() {
        let d = try axis(a, rank: rank, n)
        all[d] = pads[i]
        all[rank + d] = pads[axes.count + i]
      }
      pads = all
    }
    guard pads.count == 2 * rank else {
      throw n.fail(.shape, "has \(pads.count) pads for a tensor of rank \(rank), expected \(2 * rank)")
    }
    let begin = Array(pads[..<rank])
    let end = Array(pads[rank...])
    let mode = try n.choice("mode", "constant", ["constant", "edge", "reflect"] + (n.opset >= 19 ? ["wrap"] : []))
    n.pass("value")  // of the mode constant, below
    if mode != "constant" { return try padByIndex(x, begin, end, mode, n) }
    var fill = try scalar(n.opset < 11 ? try n.float("value", 0) : 0, type(x))
    if n.opset >= 11, let given = n.optional(2) { fill = given }
    return try padConstant(x, begin, end, fill, n)
  }

  mutating func padConstant(_ x: Int, _ begin: [Int], _ end: [Int], _ fill: Int, _ n: Node) throws(Failure) -> Int {
    guard count(fill) == 1, type(fill) == type(x) else {
      throw n.fail(.shape, "constant_value must be one \(type(x).name)")
    }
    let s = shape(x)
    var out: [Int] = []
    var dims: [Int] = []
    var from = 0
    var to = 0
    for i in 0..<s.count { out.append(max(0, s[i] + begin[i] + end[i])) }
    let y = try newValue(type(x), out, n.label)
    let xs = denseStrides(s)
    let ys = denseStrides(out)
    for i in 0..<s.count {
      let first = max(0, -begin[i])
      let last = min(s[i], s[i] + end[i])
      dims.append(max(0, last - first))
      from += first * xs[i]
      to += max(0, begin[i]) * ys[i]
    }
    let start = graph.ops.count
    let p = eff_fill(count: Int64(count(y)))
    graph.ops.append(GraphOp(.fill(p), type: type(x), inputs: [fill], outputs: [y], label: n.label))
    if !dims.contains(0) {
      graph.ops.append(move(x, y, dims: dims, x: xs, y: ys, xOffset: from, yOffset: to, label: n.label))
    }
    try foldIfConstant(from: start, [y])
    return y
  }

  /// edge, reflect and wrap: each padded axis is a gather by constant positions.
  private mutating func padByIndex(_ x: Int, _ begin: [Int], _ end: [Int], _ mode: String, _ n: Node) throws(Failure)
    -> Int
  {
    var y = x
    for d in 0..<shape(x).count where begin[d] != 0 || end[d] != 0 {
      let size = shape(y)[d]
      guard size > 0 else { throw n.fail(.shape, "cannot pad an empty axis with mode \(mode)") }
      let total = size + begin[d] + end[d]
      guard total >= 0, total < 1 << 31 else { throw n.fail(.shape, "pads axis \(d) to \(total) elements") }
      var positions: [Int] = []
      try budget.take(8 * total, for: n.label)
      for i in 0..<total {
        var p = i - begin[d]
        switch mode {
        case "edge": p = max(0, min(size - 1, p))
        case "wrap": p = ((p % size) + size) % size
        case "reflect":
          let period = max(1, 2 * (size - 1))
          p = ((p % period) + period) % period
          if p >= size { p = period - p }
        default: throw n.fail(.unsupported, "mode '\(mode)' is not known")
        }
        positions.append(p)
      }
      y = try gather(y, try integers(positions, [positions.count]), axis: d, n)
    }
    return y == x ? try view(x, shape(x)) : y
  }
}
