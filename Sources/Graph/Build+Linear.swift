import Base
import Kernels
import Onnx

// matrix products
extension Builder {
  mutating func buildLinear(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .matMul: return [try buildMatMul(n)]
    case .gemm: return [try buildGemm(n)]
    case .einsum: return [try buildEinsum(n)]
    default: return nil
    }
  }

  mutating func buildMatMul(_ n: Node) throws(Failure) -> Int {
    let a = try n.input(0)
    let b = try n.input(1)
    let sa = shape(a)
    let sb = shape(b)
    guard !sa.isEmpty, !sb.isEmpty else {
      throw n.fail(.shape, "inputs are \(describe(sa)) and \(describe(sb)), expected at least one dimension")
    }
    let y = try matmul(sa.count == 1 ? view(a, [1] + sa) : a, sb.count == 1 ? view(b, sb + [1]) : b, label: n.label)
    var out = shape(y)
    if sb.count == 1 { out.removeLast() }
    if sa.count == 1 { out.remove(at: out.count - (sb.count == 1 ? 1 : 2)) }
    return out == shape(y) ? y : try view(y, out)
  }

  /// y = alpha A' B' + beta C
  mutating func buildGemm(_ n: Node) throws(Failure) -> Int {
    let a = try n.input(0)
    let b = try n.input(1)
    let c = n.optional(2)
    guard shape(a).count == 2, shape(b).count == 2 else {
      throw n.fail(.shape, "inputs are \(describe(shape(a))) and \(describe(shape(b))), expected matrices")
    }
    let transA = try n.bool("transA", false)
    let transB = try n.bool("transB", false)
    let m = shape(a)[transA ? 1 : 0]
    let k = shape(a)[transA ? 0 : 1]
    let size = shape(b)[transB ? 0 : 1]
    guard shape(b)[transB ? 1 : 0] == k else {
      let expected = transB ? "[\(size), \(k)]" : "[\(k), \(size)]"
      throw n.fail(.shape, "input B is \(describe(shape(b))), expected \(expected)")
    }
    guard type(a) == type(b), c == nil || type(c!) == type(a) else {
      throw n.fail(.shape, "inputs have different element types")
    }
    var p = eff_matmul()
    (p.m, p.n, p.k) = (Int64(m), Int64(size), Int64(k))
    (p.a_m, p.a_k) = transA ? (1, Int64(m)) : (Int64(k), 1)
    (p.b_k, p.b_n) = transB ? (1, Int64(k)) : (Int64(size), 1)
    p.alpha = try n.float("alpha", 1)
    let beta = try n.float("beta", 1)
    p.beta = c == nil ? 0 : beta
    p.batch_rank = 1
    store([1], &p.batch)
    if let c {
      if n.opset < 7, try !n.bool("broadcast", false), shape(c) != [m, size] {
        throw n.fail(
          .shape,
          """
          input C is \(describe(shape(c))), expected \(describe([m, size])); before opset 7 it fits others only where \
          the attribute 'broadcast' is 1
          """
        )
      }
      guard broadcast(shape(c), [m, size]) == [m, size] else {
        throw n.fail(
          .shape, "input C is \(describe(shape(c))), expected a shape that broadcasts to \(describe([m, size]))")
      }
      let s = broadcastStrides(shape(c), to: [m, size])
      (p.bias_m, p.bias_n) = (Int64(s[0]), Int64(s[1]))
    }
    let y = try newValue(type(a), [m, size], n.label)
    var op = GraphOp(.matmul(p), type: type(a), inputs: [a, b, c ?? -1], outputs: [y], label: n.label)
    op.work = work([m, size, k])
    try emit(op)
    return y
  }

  // MARK: Einsum

  /// Einsum as transpositions, products and one sum: operands are brought to [labels of the output and of the sum],
  /// multiplied pairwise, and reduced; a pair that is a plain matrix product is computed as one.
  private mutating func buildEinsum(_ n: Node) throws(Failure) -> Int {
    let equation = try n.string("equation", "")
    var terms: [[UInt8]] = [[]]
    var output: [UInt8]? = nil
    var bytes = Array(equation.utf8).filter { $0 != UInt8(ascii: " ") }
    bytes.append(0)
    var i = 0
    while bytes[i] != 0 {
      let b = bytes[i]
      if b == UInt8(ascii: ",") {
        terms.append([])
      } else if b == UInt8(ascii: "-") && bytes[i + 1] == UInt8(ascii: ">") {
        output = []
        i += 1
      } else if output != nil {
        output!.append(b)
      } else {
        terms[terms.count - 1].append(b)
      }
      i += 1
    }
    guard terms.count == n.inputs.count else {
      throw n.fail(.shape, "equation '\(equation)' has \(terms.count) operands, found \(n.inputs.count) inputs")
    }
    var operands: [Int] = []
    var labels: [[UInt8]] = []
    var sizes = [Int](repeating: 0, count: 256)
    var ellipsis = 0
    for (t, term) in terms.enumerated() {
      let x = try n.input(t)
      let named = term.filter { $0 != UInt8(ascii: ".") }.count
      let extra = term.count > named ? shape(x).count - named : 0
      guard extra >= 0, named + extra == shape(x).count else {
        throw n.fail(.shape, "operand \(t) of '\(equation)' is \(describe(shape(x)))")
      }
      ellipsis = max(ellipsis, extra)
      // dimensions of an ellipsis get labels 128, 129, ... counted from its end
      var l: [UInt8] = []
      var isExpanded = false
      for b in term {
        if b != UInt8(ascii: ".") {
          l.append(b)
        } else if !isExpanded {
          isExpanded = true
          for k in stride(from: extra - 1, through: 0, by: -1) { l.append(UInt8(128 + k)) }
        }
      }
      let (y, unique) = try diagonal(x, l, n)
      for (d, b) in unique.enumerated() {
        let s = shape(y)[d]
        guard sizes[Int(b)] == 0 || sizes[Int(b)] == s || s == 1 || sizes[Int(b)] == 1 else {
          throw n.fail(.shape, "a label of '\(equation)' has sizes \(sizes[Int(b)]) and \(s)")
        }
        sizes[Int(b)] = max(sizes[Int(b)], s)
      }
      operands.append(y)
      labels.append(unique)
    }
    var order: [UInt8] = []
    if let output {
      var isExpanded = false
      for b in output {
        if b != UInt8(ascii: ".") {
          order.append(b)
        } else if !isExpanded {
          isExpanded = true
          for k in stride(from: ellipsis - 1, through: 0, by: -1) { order.append(UInt8(128 + k)) }
        }
      }
    } else {
      for k in stride(from: ellipsis - 1, through: 0, by: -1) { order.append(UInt8(128 + k)) }
      for b in 0..<128 {
        var seen = 0
        for t in terms { seen += t.filter { $0 == UInt8(b) && $0 != UInt8(ascii: ".") }.count }
        if seen == 1 { order.append(UInt8(b)) }
      }
    }
    var acc = operands[0]
    var accLabels = labels[0]
    for t in 1..<max(operands.count, 1) {
      var later = order
      for k in (t + 1)..<max(operands.count, t + 1) { later += labels[k] }
      (acc, accLabels) = try contract(acc, accLabels, operands[t], labels[t], keep: later, n)
    }
    let summed = (0..<accLabels.count).filter { !order.contains(accLabels[$0]) }
    if !summed.isEmpty {
      acc = try reduce(acc, Int(EFF_REDUCE_SUM), axes: summed, keepDims: false, label: n.label)
      accLabels = accLabels.filter { order.contains($0) }
    }
    var perm: [Int] = []
    for b in order {
      guard let at = accLabels.firstIndex(of: b) else {
        throw n.fail(.shape, "equation '\(equation)' has an output label that no operand has")
      }
      perm.append(at)
    }
    return try transpose(acc, perm, label: n.label)
  }

  /// Repeated labels of one operand become its diagonal.
  private mutating func diagonal(_ x: Int, _ labels: [UInt8], _ n: Node) throws(Failure) -> (Int, [UInt8]) {
    var unique: [UInt8] = []
    var dims: [Int] = []
    var strides: [Int] = []
    let s = denseStrides(shape(x))
    for (d, b) in labels.enumerated() {
      if let at = unique.firstIndex(of: b) {
        guard dims[at] == shape(x)[d] else {
          throw n.fail(.shape, "a repeated label has sizes \(dims[at]) and \(shape(x)[d])")
        }
        strides[at] += s[d]
      } else {
        unique.append(b)
        dims.append(shape(x)[d])
        strides.append(s[d])
      }
    }
    if unique.count == labels.count { return (x, labels) }
    return (try gatherStrided(x, dims: dims, strides: strides, offset: 0, label: n.label), unique)
  }

  /// One pair of operands as a batched matrix product: batch, rows of a, columns of b, summed labels.
  private mutating func contract(_ a: Int, _ la: [UInt8], _ b: Int, _ lb: [UInt8], keep: [UInt8], _ n: Node)
    throws(Failure) -> (Int, [UInt8])
  {
    let shared = la.filter { lb.contains($0) }
    let batch = shared.filter { keep.contains($0) }
    let sum = shared.filter { !keep.contains($0) }
    let rows = la.filter { !lb.contains($0) }
    let columns = lb.filter { !la.contains($0) }
    func size(_ v: Int, _ l: [UInt8], _ set: [UInt8]) -> [Int] { set.map { shape(v)[l.firstIndex(of: $0)!] } }
    let ta = try transpose(a, (batch + rows + sum).map { la.firstIndex(of: $0)! }, label: n.label)
    let tb = try transpose(b, (batch + sum + columns).map { lb.firstIndex(of: $0)! }, label: n.label)
    var ba = size(a, la, batch)
    var bb = size(b, lb, batch)
    let ks = (size(a, la, sum), size(b, lb, sum))
    guard ks.0 == ks.1, let full = broadcast(ba, bb) else { throw n.fail(.shape, "summed labels differ in size") }
    let k = ks.0.reduce(1, *)
    let r = size(a, la, rows)
    let c = size(b, lb, columns)
    if ba.isEmpty { (ba, bb) = ([1], [1]) }
    let y = try matmul(view(ta, ba + [r.reduce(1, *), k]), view(tb, bb + [k, c.reduce(1, *)]), label: n.label)
    return (try view(y, full + r + c), batch + rows + columns)
  }
}
