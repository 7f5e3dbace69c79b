import Base
import Kernels
import Onnx

// the vocabulary in which ONNX operators are written
extension Builder {
  /// y = fn(x), same shape; bool for the tests.
  mutating func unary(_ x: Int, _ fn: Int, alpha: Double = 0, beta: Double = 0, label: String) throws(Failure) -> Int {
    let isTest = fn == Int(EFF_FN_IS_NAN) || fn == Int(EFF_FN_IS_INF)
    let y = try newValue(isTest ? .bool : type(x), shape(x), label)
    let p = eff_unary(count: Int64(count(x)), fn: Int32(fn), reserved: 0, alpha: alpha, beta: beta)
    try emit(GraphOp(.unary(p), type: type(x), inputs: [x], outputs: [y], label: label))
    return y
  }

  /// y = fn(a, b) under numpy broadcasting; codes from 32 on give bool.
  mutating func binary(_ fn: Int, _ a: Int, _ b: Int, label: String) throws(Failure) -> Int {
    guard type(a) == type(b) else {
      throw Failure(.shape, "\(label): inputs have types \(type(a).name) and \(type(b).name), expected the same")
    }
    guard let out = broadcast(shape(a), shape(b)) else {
      throw Failure(.shape, "\(label): shapes \(describe(shape(a))) and \(describe(shape(b))) do not broadcast")
    }
    let y = try newValue(fn >= 32 ? .bool : type(a), out, label)
    let it = Iteration(out, [broadcastStrides(shape(a), to: out), broadcastStrides(shape(b), to: out)])
    var p = eff_binary()
    p.fn = Int32(fn)
    p.rank = Int32(it.dims.count)
    store(it.dims, &p.dims)
    store(it.strides[0], &p.a)
    store(it.strides[1], &p.b)
    try emit(GraphOp(.binary(p), type: type(a), inputs: [a, b], outputs: [y], label: label))
    return y
  }

  /// y = condition ? a : b
  mutating func select(_ c: Int, _ a: Int, _ b: Int, label: String) throws(Failure) -> Int {
    guard type(c) == .bool, type(a) == type(b) else {
      throw Failure(
        .shape,
        "\(label): types \(type(c).name), \(type(a).name) and \(type(b).name), expected bool and two equal types")
    }
    guard let ab = broadcast(shape(a), shape(b)), let out = broadcast(ab, shape(c)) else {
      throw Failure(
        .shape,
        "\(label): shapes \(describe(shape(c))), \(describe(shape(a))) and \(describe(shape(b))) do not broadcast")
    }
    let y = try newValue(type(a), out, label)
    let it = Iteration(
      out,
      [broadcastStrides(shape(c), to: out), broadcastStrides(shape(a), to: out), broadcastStrides(shape(b), to: out)])
    var p = eff_where()
    p.rank = Int32(it.dims.count)
    store(it.dims, &p.dims)
    store(it.strides[0], &p.c)
    store(it.strides[1], &p.a)
    store(it.strides[2], &p.b)
    try emit(GraphOp(.where(p), type: type(a), inputs: [c, a, b], outputs: [y], label: label))
    return y
  }

  mutating func cast(_ x: Int, to: ElementType) throws(Failure) -> Int {
    if type(x) == to { return x }
    if type(x).isNibble { return try cast(try view(x, shape(x), type: type(x).stored), to: to) }
    guard !to.isNibble else {
      throw Failure(
        .unsupported,
        """
        Cast: to \(ElementType.unsupportedName(to.rawValue)) is not supported; 4-bit integers are constants of the \
        file
        """
      )
    }
    let y = try newValue(to, shape(x), graph.values[x].name)
    let p = eff_cast(count: Int64(count(x)), from: type(x).rawValue, to: to.rawValue)
    try emit(GraphOp(.cast(p), type: type(x), inputs: [x], outputs: [y], label: "Cast"))
    return y
  }

  /// A call that moves elements between strided places; strides and offsets in elements.
  func move(
    _ x: Int, _ y: Int, dims: [Int], x xs: [Int], y ys: [Int], xOffset: Int = 0, yOffset: Int = 0, label: String
  ) -> GraphOp {
    let it = Iteration(dims, [xs, ys])
    var p = eff_strided()
    p.rank = Int32(it.dims.count)
    store(it.dims, &p.dims)
    store(it.strides[0], &p.x)
    store(it.strides[1], &p.y)
    p.x_offset = Int64(xOffset)
    p.y_offset = Int64(yOffset)
    return GraphOp(.copy(p), type: type(x), inputs: [x], outputs: [y], label: label)
  }

  /// A new tensor of shape `dims` read from `x` with strides and an offset in elements; a view where that is the same
  /// memory.
  mutating func gatherStrided(_ x: Int, dims: [Int], strides: [Int], offset: Int, label: String) throws(Failure) -> Int
  {
    let total = try TensorReader.count(dims, label)
    let it = Iteration(dims, [strides])
    if total > 0 && it.dims.count == 1 && (it.strides[0][0] == 1 || it.dims[0] == 1) {
      return try view(x, dims, offset: offset * type(x).size)
    }
    let y = try newValue(type(x), dims, label)
    try emit(move(x, y, dims: dims, x: strides, y: denseStrides(dims), xOffset: offset, label: label))
    return y
  }

  mutating func transpose(_ x: Int, _ perm: [Int], label: String) throws(Failure) -> Int {
    let s = shape(x)
    let strides = denseStrides(s)
    return try gatherStrided(x, dims: perm.map { s[$0] }, strides: perm.map { strides[$0] }, offset: 0, label: label)
  }

  /// Broadcasts `x` to `out`, which must be its broadcast shape.
  mutating func expand(_ x: Int, to out: [Int]) throws(Failure) -> Int {
    if shape(x) == out { return x }
    return try gatherStrided(x, dims: out, strides: broadcastStrides(shape(x), to: out), offset: 0, label: "Expand")
  }

  /// Elements start, start + step, ... of one axis.
  mutating func slice(_ x: Int, axis: Int, start: Int, count n: Int, step: Int = 1, label: String) throws(Failure)
    -> Int
  {
    var dims = shape(x)
    var strides = denseStrides(dims)
    let offset = dims.contains(0) || n == 0 ? 0 : start * strides[axis]
    dims[axis] = n
    strides[axis] *= step
    return try gatherStrided(x, dims: dims, strides: strides, offset: offset, label: label)
  }

  mutating func concat(_ parts: [Int], axis: Int, label: String) throws(Failure) -> Int {
    if parts.count == 1 { return parts[0] }
    var out = shape(parts[0])
    out[axis] = 0
    for p in parts { out[axis] += shape(p)[axis] }
    let y = try newValue(type(parts[0]), out, label)
    let strides = denseStrides(out)
    let first = graph.ops.count
    var at = 0
    for p in parts {
      if count(p) > 0 {
        graph.ops.append(
          move(p, y, dims: shape(p), x: denseStrides(shape(p)), y: strides, yOffset: at * strides[axis], label: label))
      }
      at += shape(p)[axis]
    }
    try foldIfConstant(from: first, [y])
    return y
  }

  /// A copy of `x` in memory of its own.
  mutating func copy(_ x: Int, label: String) throws(Failure) -> Int {
    let y = try newValue(type(x), shape(x), label)
    graph.ops.append(move(x, y, dims: shape(x), x: denseStrides(shape(x)), y: denseStrides(shape(x)), label: label))
    return y
  }

  /// y = fn over `axes`.
  mutating func reduce(_ x: Int, _ fn: Int, axes: [Int], keepDims: Bool, label: String) throws(Failure) -> Int {
    let s = shape(x)
    let strides = denseStrides(s)
    let isReduced = (0..<s.count).map { axes.contains($0) }
    var out: [Int] = []
    for i in 0..<s.count {
      if !isReduced[i] { out.append(s[i]) } else if keepDims { out.append(1) }
    }
    let kept = Iteration(
      (0..<s.count).filter { !isReduced[$0] }.map { s[$0] },
      [(0..<s.count).filter { !isReduced[$0] }.map { strides[$0] }])
    let reduced = Iteration(
      (0..<s.count).filter { isReduced[$0] }.map { s[$0] }, [(0..<s.count).filter { isReduced[$0] }.map { strides[$0] }]
    )
    var p = eff_reduce()
    p.fn = Int32(fn)
    p.kept_rank = Int32(kept.dims.count)
    p.reduced_rank = Int32(reduced.dims.count)
    store(kept.dims, &p.kept)
    store(kept.strides[0], &p.kept_stride)
    store(reduced.dims, &p.reduced)
    store(reduced.strides[0], &p.reduced_stride)
    let y = try newValue(type(x), out, label)
    try emit(GraphOp(.reduce(p), type: type(x), inputs: [x], outputs: [y], label: label))
    return y
  }

  /// y = a b over the last two dims with broadcast batch dims, as numpy.matmul for ranks of at least 2.
  mutating func matmul(_ a: Int, _ b: Int, label: String) throws(Failure) -> Int {
    let sa = shape(a)
    let sb = shape(b)
    let m = sa[sa.count - 2]
    let k = sa[sa.count - 1]
    let n = sb[sb.count - 1]
    guard type(a) == type(b) else {
      throw Failure(.shape, "\(label): inputs have types \(type(a).name) and \(type(b).name), expected the same")
    }
    guard sb[sb.count - 2] == k else {
      throw Failure(.shape, "\(label): input B is \(describe(sb)), expected \(k) rows to match input A \(describe(sa))")
    }
    guard let batch = broadcast(Array(sa.dropLast(2)), Array(sb.dropLast(2))) else {
      throw Failure(.shape, "\(label): batch dimensions of \(describe(sa)) and \(describe(sb)) do not broadcast")
    }
    var p = eff_matmul()
    p.m = Int64(m)
    p.n = Int64(n)
    p.k = Int64(k)
    (p.a_m, p.a_k, p.b_k, p.b_n) = (Int64(k), 1, Int64(n), 1)
    (p.alpha, p.beta) = (1, 0)
    try setBatch(&p, batch, a: (Array(sa.dropLast(2)), m * k), b: (Array(sb.dropLast(2)), k * n))
    let y = try newValue(type(a), batch + [m, n], label)
    var op = GraphOp(.matmul(p), type: type(a), inputs: [a, b, -1], outputs: [y], label: label)
    op.work = work(batch + [m, n, k])
    try emit(op)
    return y
  }

  /// Batch strides of a product whose operands hold `elements` per matrix.
  func setBatch(_ p: inout eff_matmul, _ batch: [Int], a: ([Int], Int), b: ([Int], Int)) throws(Failure) {
    let it = Iteration(
      batch, [broadcastStrides(a.0, to: batch).map { $0 * a.1 }, broadcastStrides(b.0, to: batch).map { $0 * b.1 }])
    p.batch_rank = Int32(it.dims.count)
    store(it.dims, &p.batch)
    store(it.strides[0], &p.a_batch)
    store(it.strides[1], &p.b_batch)
  }

  /// Product of sizes that saturates: an estimate for people.
  func work(_ sizes: [Int]) -> Int {
    var n = 1
    for s in sizes {
      let (p, overflow) = n.multipliedReportingOverflow(by: s)
      if overflow { return .max }
      n = p
    }
    return n
  }
}
