import Base
import Kernels
import Onnx

// operators along axes
extension Builder {
  mutating func buildReduction(_ n: Node) throws(Failure) -> [Int]? {
    if let fn = reduction(n.operator) { return [try buildReduce(n, fn)] }
    switch n.operator {
    case .argMax, .argMin: return [try buildArg(n)]
    case .softmax: return [try buildSoftmax(n, Int(EFF_SOFTMAX_SOFT))]
    case .logSoftmax: return [try buildSoftmax(n, Int(EFF_SOFTMAX_LOG))]
    case .hardmax: return [try buildSoftmax(n, Int(EFF_SOFTMAX_HARD))]
    case .cumSum, .cumProd:
      let x = try n.input(0)
      guard let first = try integers(try n.input(1), n, "axis").first else { throw n.fail(.shape, "has no axis") }
      let (outer, size, inner) = split(shape(x), try axis(first, rank: shape(x).count, n))
      var p = eff_cumulate()
      (p.outer, p.n, p.inner) = (outer, size, inner)
      p.exclusive = Int32(try n.bool("exclusive", false) ? 1 : 0)
      p.reverse = Int32(try n.bool("reverse", false) ? 1 : 0)
      p.product = n.operator == .cumProd ? 1 : 0
      let y = try newValue(type(x), shape(x), n.label)
      try emit(GraphOp(.cumulate(p), type: type(x), inputs: [x], outputs: [y], label: n.label))
      return [y]
    case .topK: return try buildTopK(n)
    case .globalAveragePool: return [try globalPool(n, Int(EFF_REDUCE_MEAN))]
    case .globalMaxPool: return [try globalPool(n, Int(EFF_REDUCE_MAX))]
    case .globalLpPool:
      let p = try n.int("p", 2)
      guard p == 1 || p == 2 else { throw n.fail(.unsupported, "attribute 'p' is \(p), expected 1 or 2") }
      return [try globalPool(n, Int(p == 1 ? EFF_REDUCE_L1 : EFF_REDUCE_L2))]
    default: return nil
    }
  }

  func reduction(_ op: Operator) -> Int? {
    switch op {
    case .reduceSum: Int(EFF_REDUCE_SUM)
    case .reduceMean: Int(EFF_REDUCE_MEAN)
    case .reduceMax: Int(EFF_REDUCE_MAX)
    case .reduceMin: Int(EFF_REDUCE_MIN)
    case .reduceProd: Int(EFF_REDUCE_PROD)
    case .reduceL1: Int(EFF_REDUCE_L1)
    case .reduceL2: Int(EFF_REDUCE_L2)
    case .reduceLogSum: Int(EFF_REDUCE_LOG_SUM)
    case .reduceLogSumExp: Int(EFF_REDUCE_LOG_SUM_EXP)
    case .reduceSumSquare: Int(EFF_REDUCE_SUM_SQUARE)
    default: nil
    }
  }

  /// A shape around one axis: elements before it, its size, elements after it.
  func split(_ s: [Int], _ axis: Int) -> (Int64, Int64, Int64) {
    if s.isEmpty { return (1, 1, 1) }
    return (Int64(s[..<axis].reduce(1, *)), Int64(s[axis]), Int64(s[(axis + 1)...].reduce(1, *)))
  }

  private mutating func buildReduce(_ n: Node, _ fn: Int) throws(Failure) -> Int {
    let x = try n.input(0)
    let rank = shape(x).count
    var list = try axes(n, input: 1) ?? []
    let (isIdentity, keepDims) = (try n.bool("noop_with_empty_axes", false), try n.bool("keepdims", true))
    if list.isEmpty {
      if isIdentity {
        switch Int32(fn) {  // the elementwise part of the reduction remains
        case Int32(EFF_REDUCE_SUM_SQUARE): return try unary(x, Int(EFF_FN_SQUARE), label: n.label)
        case Int32(EFF_REDUCE_L1), Int32(EFF_REDUCE_L2): return try unary(x, Int(EFF_FN_ABS), label: n.label)
        case Int32(EFF_REDUCE_LOG_SUM): return try unary(x, Int(EFF_FN_LOG), label: n.label)
        default: return try view(x, shape(x))
        }
      }
      list = Array(0..<rank)
    }
    var axes: [Int] = []
    for a in list { axes.append(try axis(a, rank: rank, n)) }
    return try reduce(x, fn, axes: axes, keepDims: keepDims, label: n.label)
  }

  private mutating func globalPool(_ n: Node, _ fn: Int) throws(Failure) -> Int {
    let x = try n.input(0)
    guard shape(x).count > 2 else { throw n.fail(.shape, "needs [batch, channels, ...]; found \(describe(shape(x)))") }
    return try reduce(x, fn, axes: Array(2..<shape(x).count), keepDims: true, label: n.label)
  }

  private mutating func buildArg(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let a = try axis(try n.int("axis", 0), rank: s.count, n)
    let (outer, size, inner) = split(s, a)
    guard size > 0 || outer * inner == 0 else { throw n.fail(.shape, "axis \(a) of \(describe(s)) is empty") }
    var out = s
    let keepDims = try n.bool("keepdims", true)
    if !s.isEmpty { if keepDims { out[a] = 1 } else { out.remove(at: a) } }
    let y = try newValue(.i64, out, n.label)
    var p = eff_arg()
    (p.outer, p.n, p.inner) = (outer, size, inner)
    p.is_max = n.operator == .argMax ? 1 : 0
    p.last = Int32(try n.bool("select_last_index", false) ? 1 : 0)
    try emit(GraphOp(.arg(p), type: type(x), inputs: [x], outputs: [y], label: n.label))
    return y
  }

  private mutating func buildSoftmax(_ n: Node, _ fn: Int) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    var p = eff_softmax()
    p.fn = Int32(fn)
    if n.opset >= 13 {
      (p.outer, p.n, p.inner) = split(s, try axis(try n.int("axis", -1), rank: s.count, n))
    } else {  // the tensor is seen as a matrix
      let a = try axis(try n.int("axis", 1), rank: max(s.count, 2), n)
      let at = min(a, s.count)
      (p.outer, p.n, p.inner) = (Int64(s[..<at].reduce(1, *)), Int64(s[at...].reduce(1, *)), 1)
    }
    let y = try newValue(type(x), s, n.label)
    try emit(GraphOp(.softmax(p), type: type(x), inputs: [x], outputs: [y], label: n.label))
    return y
  }

  private mutating func buildTopK(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let s = shape(x)
    let k = n.opset < 10 ? try n.int("k", -1) : try integers(try n.input(1), n, "k").first ?? -1
    let a = try axis(try n.int("axis", -1), rank: s.count, n)
    guard a < s.count, k >= 0, k <= s[a] else {
      throw n.fail(.shape, "k is \(k), expected 0 to the size of axis \(a) of \(describe(s))")
    }
    var p = eff_topk()
    (p.outer, p.n, p.inner) = split(s, a)
    p.k = Int64(k)
    n.pass("sorted")  // what is in order fits one that asks for none
    p.largest = Int32(try n.bool("largest", true) ? 1 : 0)
    var out = s
    out[a] = k
    let values = try newValue(type(x), out, n.label)
    let indices = try newValue(.i64, out, n.label)
    try emit(GraphOp(.topK(p), type: type(x), inputs: [x], outputs: [values, indices], label: n.label))
    return [values, indices]
  }
}
