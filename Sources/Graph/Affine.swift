import Base
import Kernels
import Onnx

/// An integer that is computed while running, as a sum over elements of other tensors: factor * element + ... +
/// constant.
struct Affine: Equatable {
  struct Term: Equatable {
    /// Memory root, and the element in it.
    var root: Int
    var element: Int
    var factor: Int
  }
  /// In ascending order, no factor 0.
  var terms: [Term] = []
  var constant = 0

  /// self + factor * other; nil where numbers grow beyond what is of use.
  func adding(_ other: Affine, times factor: Int = 1) -> Affine? {
    var sum = self
    guard terms.count + other.terms.count <= 16 else { return nil }
    let (c, o1) = other.constant.multipliedReportingOverflow(by: factor)
    let (total, o2) = constant.addingReportingOverflow(c)
    guard !o1, !o2, abs(total) < 1 << 40 else { return nil }
    sum.constant = total
    for t in other.terms {
      let (f, overflow) = t.factor.multipliedReportingOverflow(by: factor)
      guard !overflow, abs(f) < 1 << 40 else { return nil }
      if let i = sum.terms.firstIndex(where: { $0.root == t.root && $0.element == t.element }) {
        sum.terms[i].factor += f
      } else {
        sum.terms.append(Term(root: t.root, element: t.element, factor: f))
      }
    }
    sum.terms.removeAll { $0.factor == 0 }
    sum.terms.sort { ($0.root, $0.element) < ($1.root, $1.element) }
    return sum
  }
}

/// Bounds the time that is spent on following numbers back through a graph: what is not found within it counts as
/// unknown.
final class SearchBudget {
  private var steps = 1 << 27

  func take(_ n: Int) -> Bool {
    steps -= n
    return steps >= 0
  }
}

extension Builder {
  /// Element `i` of an integer tensor, followed back through casts, moves, sums and products with constants.
  /// - Complexity: linear in ops for each level, of which there are few.
  func affine(_ v: Int, _ i: Int, depth: Int = 0) -> Affine {
    let value = graph.values[v]
    if let c = value.constant {
      switch c.type {
      case .i64: return Affine(constant: clampIndex(c.start.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self)))
      case .i32: return Affine(constant: Int(c.start.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self)))
      default: break
      }
    }
    let at = value.offset / value.type.size + i
    guard depth < 24, value.constant == nil, value.type == .i64 || value.type == .i32 else {
      return Affine(terms: [Affine.Term(root: value.root, element: at, factor: 1)])
    }
    return through(value.root, at, depth)
      ?? Affine(terms: [Affine.Term(root: twin(value.root), element: at, factor: 1)])
  }

  /// What the op that writes element `at` of a root computes it from.
  private func through(_ root: Int, _ at: Int, _ depth: Int) -> Affine? {
    // one op; of several copies, the only one that reaches the element
    var source: (x: Int, element: Int)?
    let writers = writers(root)
    for op in writers {
      guard let y = op.outputs.first(where: { $0 >= 0 && graph.root($0) == root }) else { continue }
      let i = at - graph.values[y].offset / graph.values[y].type.size
      switch op.params {
      case .cast(let p):
        guard let from = ElementType(rawValue: p.from), from == .i64 || from == .i32 else { return nil }
        return affine(op[.x], i, depth: depth + 1)
      case .copy(let p):
        guard let x = origin(p, i) else { continue }
        guard source == nil else { return nil }
        source = (op[.x], x)
      case _ where writers.count > 1: return nil
      case .gather(let p):
        guard let c = graph.values[op[.indices]].constant, p.inner > 0, p.indices > 0,
          c.type == .i64 || c.type == .i32
        else { return nil }
        let (inner, indices) = (Int(p.inner), Int(p.indices))
        var k = affine(op[.indices], i / inner % indices).constant
        if k < 0 { k += Int(p.axis) }
        guard k >= 0, k < Int(p.axis) else { return nil }
        return affine(op[.x], (i / inner / indices * Int(p.axis) + k) * inner + i % inner, depth: depth + 1)
      case .unary(let p) where p.fn == EFF_FN_NEG:
        return Affine().adding(affine(op[.x], i, depth: depth + 1), times: -1)
      case .binary(let p):
        guard let (a, b) = sides(p, i) else { return nil }
        let (l, r) = (affine(op[.a], a, depth: depth + 1), affine(op[.b], b, depth: depth + 1))
        switch Int(p.fn) {
        case Int(EFF_FN2_ADD): return l.adding(r)
        case Int(EFF_FN2_SUB): return l.adding(r, times: -1)
        case Int(EFF_FN2_MUL):
          if r.terms.isEmpty { return Affine().adding(l, times: r.constant) }
          return l.terms.isEmpty ? Affine().adding(r, times: l.constant) : nil
        default: return nil
        }
      default: return nil
      }
    }
    return source.map { affine($0.x, $0.element, depth: depth + 1) }
  }

  private func writers(_ root: Int) -> [GraphOp] {
    guard search.take(graph.ops.count) else { return [] }
    return graph.ops.filter { op in op.outputs.contains { $0 >= 0 && graph.root($0) == root } }
  }

  /// The first root that an equal op computes from equal operands: exporters write the same conversion for each use.
  func twin(_ root: Int, depth: Int = 0) -> Int {
    guard depth < 4, search.take(graph.ops.count), let op = writer(root), op.kernel != .random, op.inputCount <= 4,
      graph.values[root].byteCount <= 512
    else { return root }
    for other in graph.ops {
      guard other.kernel == op.kernel, other.type == op.type, other.inputCount == op.inputCount,
        other.operands.count == op.operands.count
      else { continue }
      var isEqual = true
      for k in 0..<op.inputCount where !isSame(other.operands[k], op.operands[k], depth) { isEqual = false }
      guard isEqual, hasEqualParams(op, other), let y = other.outputs.first, y >= 0, graph.root(y) == y,
        writer(y) != nil
      else { continue }
      return y
    }
    return root
  }

  private func isSame(_ a: Int, _ b: Int, _ depth: Int) -> Bool {
    if a == b { return true }
    guard a >= 0, b >= 0 else { return false }
    let (x, y) = (graph.values[a], graph.values[b])
    guard x.type == y.type, x.count == y.count else { return false }
    if let c = x.constant, let d = y.constant { return c.hasEqualBytes(d) }
    guard x.constant == nil, y.constant == nil, x.offset == y.offset else { return false }
    return x.root == y.root || twin(x.root, depth: depth + 1) == twin(y.root, depth: depth + 1)
  }

  private func hasEqualParams(_ a: GraphOp, _ b: GraphOp) -> Bool {
    var bytes: [UInt8] = []
    a.params.withBytes { bytes = Array($0) }
    var isEqual = false
    b.params.withBytes { isEqual = bytes == Array($0) }
    return isEqual
  }

  /// The element that a copy puts at `i`.
  private func origin(_ p: eff_strided, _ i: Int) -> Int? {
    let dims = load(p.dims, Int(p.rank))
    guard dims.reduce(1, { $0 > 4096 ? $0 : $0 * $1 }) <= 4096 else { return nil }
    let (xs, ys) = (load(p.x, dims.count), load(p.y, dims.count))
    for e in 0..<dims.reduce(1, *) {
      var (rest, x, y) = (e, Int(p.x_offset), Int(p.y_offset))
      for d in dims.indices.reversed() {
        x += rest % dims[d] * xs[d]
        y += rest % dims[d] * ys[d]
        rest /= dims[d]
      }
      if y == i { return x }
    }
    return nil
  }

  /// The elements of both sides that give element `i`.
  private func sides(_ p: eff_binary, _ i: Int) -> (Int, Int)? {
    let dims = load(p.dims, Int(p.rank))
    let (xs, ys) = (load(p.a, dims.count), load(p.b, dims.count))
    var (rest, a, b) = (i, 0, 0)
    for d in dims.indices.reversed() {
      guard dims[d] > 0 else { return nil }
      a += rest % dims[d] * xs[d]
      b += rest % dims[d] * ys[d]
      rest /= dims[d]
    }
    return (a, b)
  }
}
