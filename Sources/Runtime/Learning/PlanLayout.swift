import Base
import Graph
import Kernels
import Onnx
import Platform

/// Where everything of a differentiable plan lies in one block of memory; offsets in bytes.
struct PlanLayout {
  private(set) var size = 0
  var forward = 0
  var backward = 0
  var params: [Int] = []
  /// Parameters of the branches of the backward pass.
  private(set) var branches: [Int] = []
  /// By op: zeros in place of the bias that a layer does not have, or -1.
  private(set) var zeros: [Int] = []
  /// Batch rows: two states of a network of nothing but layers, else one.
  let rows: Int
  /// By op: what the forward pass of a cell leaves for the backward pass, or -1.
  private(set) var gates: [Int] = []
  /// Ops that advance the influence of cells.
  private(set) var cells = 0
  /// By value; constants and what ops write.
  var values: [Int]
  /// By memory root, and -1 where there is none. Those between start and end are cleared before every backward pass:
  /// of values that several ops add to, then of the loose parameters.
  var gradients: [Int]
  var gradientStart = 0
  var gradientEnd = 0
  var g = 0
  var scratch = 0
  var raw = 0
  var normalized = 0

  mutating func take(_ bytes: Int) -> Int {
    let at = (size + 63) & ~63
    size = at + (bytes + 63) & ~63
    return at
  }

  /// - Parameters:
  ///   - input: the normalized observation, or -1
  ///   - kept: memory roots that lie elsewhere (parameters, recurrent state)
  init(_ p: DifferentiablePlan, rows: Int = 1, normalized input: Int, kept: [Bool]) {
    let g = p.graph
    assert(rows == 1 || p.layers.allSatisfy { $0 != nil }, "other ops than layers take one row")
    self.rows = rows
    values = [Int](repeating: -1, count: g.values.count)
    gradients = values
    func bytes(_ v: Int) -> Int { g.values[v].count * p.width(g.values[v].type) }
    func padded(_ v: Int) -> Int { (bytes(v) + 63) & ~63 }
    forward = take(g.ops.count * MemoryLayout<eff_op>.stride)
    backward = take(p.backwardOps.count * MemoryLayout<eff_op>.stride)
    for (i, op) in g.ops.enumerated() {
      var length = MemoryLayout<eff_learn_layer>.size
      if p.layers[i] == nil { op.params.withBytes { length = $0.count } }
      if p.cells[i] != nil { length = MemoryLayout<eff_learn_cell>.size }
      params.append(take(length))
      gates.append(p.cells[i].map { take($0.gates * (p.isDouble ? 8 : 4)) } ?? -1)
    }
    cells = take(p.cells.reduce(0) { $0 + ($1 == nil ? 0 : 1) } * MemoryLayout<eff_op>.stride)
    for entry in p.backwardOps {
      if case .branch = entry.op.params { branches.append(take(MemoryLayout<eff_branch>.size)) }
    }
    raw = take(p.raw.reduce(0) { $0 + bytes($1) })
    var at = raw
    for v in p.raw {
      values[v] = at
      at += bytes(v)
    }
    if input >= 0 {
      normalized = take(rows * padded(input))
      values[input] = normalized
    }
    for (i, op) in g.ops.enumerated() {
      for v in op.operands + [p.layers[i]?.linear ?? -1] where v >= 0 {
        let r = g.values[v].constant != nil ? v : g.root(v)
        if values[r] < 0 && !kept[r] { values[r] = take(rows * padded(r)) }
      }
      let isBiased = p.layers[i] == nil || op[.bias] >= 0
      zeros.append(isBiased ? -1 : take(bytes(op[.y])))
      scratch = max(scratch, op.scratch * (p.isDouble ? 2 : 1))
    }
    scratch = take(scratch)
    // the head's gradient is an input of the backward pass: it lies before what is cleared
    let head = g.root(p.head)
    gradients[head] = take(bytes(head))
    for isOverwritten in [true, false] {
      if !isOverwritten { gradientStart = take(0) }
      for v in g.values.indices
      where p.hasGradient[v] && v == g.root(v) && v != head && !kept[v] && p.isOverwritten[v] == isOverwritten {
        gradients[v] = take(bytes(v))
      }
    }
    self.g = take((p.count - p.loose) * (p.isDouble ? 8 : 4))
    gradientEnd = size
  }

  /// Elements from the first batch row of `v` to the second.
  func stride(_ v: Int, _ p: DifferentiablePlan) -> Int {
    rows == 1 ? 0 : padded(p.graph.values[v].count, isDouble: p.isDouble)
  }
}
