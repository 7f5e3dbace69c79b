import Base
import Kernels

// Tensors without elements. The rule of every op is here, so that no kernel of a plan ever meets an extent of 0 that it
// divides by:
// an op that writes nothing is dropped; one that writes something out of nothing gets the value that ONNX defines; the
// rest is refused.
extension Builder {
  /// Applies the rule to all ops of the graph. - Complexity: linear in ops.
  mutating func settleEmpty() throws(Failure) {
    guard graph.values.contains(where: { $0.count == 0 }) else { return }
    graph.ops = try settled(graph.ops)
  }

  /// The ops that remain of `ops`.
  mutating func settled(_ ops: [GraphOp]) throws(Failure) -> [GraphOp] {
    var kept: [GraphOp] = []
    for op in ops {
      let outputs = op.outputs.filter { $0 >= 0 }
      if !outputs.isEmpty && outputs.allSatisfy({ count($0) == 0 }) { continue }
      if case .copy(let p) = op.params, load(p.dims, Int(p.rank)).contains(0) { continue }
      if op.inputs.contains(where: { $0 >= 0 && count($0) == 0 }) {
        kept += try outOfNothing(op)
      } else {
        kept.append(op)
      }
    }
    return kept
  }

  /// An op with an input without elements and an output with some.
  private mutating func outOfNothing(_ op: GraphOp) throws(Failure) -> [GraphOp] {
    switch op.kernel.row.empty {
    case .undefined: break
    case .filled(let value): return [try fill(op, .y, value)]
    case .unitScale: return [try fill(op, .scale, 1), try fill(op, .zero, 0)]
    case .unchanged: if count(op[.updates]) == 0 { return [] }
    case .neutral:
      guard case .reduce(let p) = op.params else { break }
      return [try fill(op, .y, emptyReduction(p.fn, type(op[.y])))]
    case .zeroProduct:
      // bias, beta and activation stay the kernel's
      guard case .matmul(var p) = op.params, p.k == 0 else { break }
      var one = op
      one[.a] = try scalar(0, type(op[.a]))
      one[.b] = try scalar(0, type(op[.b]))
      p.k = 1
      (p.a_m, p.a_k, p.b_k, p.b_n) = (0, 1, 1, 0)
      store([Int](repeating: 0, count: Int(EFF_RANK)), &p.a_batch)
      store([Int](repeating: 0, count: Int(EFF_RANK)), &p.b_batch)
      one.params = .matmul(p)
      one.work = 0
      return [one]
    case .bias:
      switch op.params {
      case .conv(let p), .convTranspose(let p): if p.act == EFF_FN_IDENTITY { return [try biased(op, p)] }
      default: break
      }
    case .state: if case .rnn(let p) = op.params, p.batch > 0, p.hidden > 0 { return [op] }
    case .equalScores:
      guard case .attention(var p) = op.params else { break }
      if p.lk == 0 { return [try fill(op, .y, 0)] }
      guard p.dk == 0, p.dv > 0 else { break }
      var one = op
      one[.q] = try scalar(0, type(op[.q]))
      one[.k] = try scalar(0, type(op[.k]))
      p.dk = 1
      store([0, 0, 0, 0], &p.q)
      store([0, 0, 0, 0], &p.k)
      one.params = .attention(p)
      return [one]
    }
    var text = ""
    for (i, v) in op.inputs.enumerated() where v >= 0 && count(v) == 0 {
      text += "\(text.utf8.isEmpty ? "" : ", ")input \(i) \(describe(shape(v)))"
    }
    throw Failure(
      .shape, "\(op.label): \(text) has no elements, and the result is not defined then; expected at least one")
  }

  private mutating func fill(_ op: GraphOp, _ output: OperandName, _ value: Double) throws(Failure) -> GraphOp {
    let y = op[output]
    return GraphOp(
      .fill(eff_fill(count: Int64(count(y)))), type: type(y), inputs: [try scalar(value, type(y))], outputs: [y],
      label: op.label)
  }

  /// A convolution that sums nothing: its bias, or 0.
  private mutating func biased(_ op: GraphOp, _ p: eff_conv) throws(Failure) -> GraphOp {
    let (bias, y) = (op[.bias], op[.y])
    guard bias >= 0 else { return try fill(op, .y, 0) }
    let form = [Int(p.batch), Int(p.out_channels), count(y) / Int(p.batch * p.out_channels)]
    return move(bias, y, dims: form, x: [0, 1, 0], y: denseStrides(form), label: op.label)
  }

  /// The neutral element of a reduction (ONNX 20); of a mean 0, as onnxruntime has it.
  private func emptyReduction(_ fn: Int32, _ type: ElementType) -> Double {
    switch Int(fn) {
    case Int(EFF_REDUCE_PROD): return 1
    case Int(EFF_REDUCE_MIN): return .infinity
    case Int(EFF_REDUCE_MAX) where type == .bool: return 0
    case Int(EFF_REDUCE_MAX), Int(EFF_REDUCE_LOG_SUM), Int(EFF_REDUCE_LOG_SUM_EXP): return -.infinity
    default: return 0
    }
  }
}
