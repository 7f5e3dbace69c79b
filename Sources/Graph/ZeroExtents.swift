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
      if case .strided(let p) = op.params, load(p.dims, Int(p.rank)).contains(0) { continue }
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
    switch op.params {
    case .reduce(let p): return [try fill(op, op.operands[1], emptyReduction(p.fn, type(op.operands[1])))]
    case .matmul where op.kernel == EFF_K_MATMUL_INTEGER: return [try fill(op, op.operands[4], 0)]
    case .matmul(var p) where op.kernel == EFF_K_MATMUL && p.k == 0:
      // a sum of no products is a sum of one product of zeros: bias, beta and activation stay the kernel's
      var one = op
      one.operands[0] = try scalar(0, type(op.operands[0]))
      one.operands[1] = try scalar(0, type(op.operands[1]))
      p.k = 1
      (p.a_m, p.a_k, p.b_k, p.b_n) = (0, 1, 1, 0)
      store([Int](repeating: 0, count: Int(EFF_RANK)), &p.a_batch)
      store([Int](repeating: 0, count: Int(EFF_RANK)), &p.b_batch)
      one.params = .matmul(p)
      one.work = 0
      return [one]
    case .conv(let p) where p.act == EFF_FN_IDENTITY:
      // no channels, or padding alone: the bias everywhere
      let y = op.kernel == EFF_K_CONV_INTEGER ? op.operands[4] : op.operands[3]
      guard op.kernel != EFF_K_CONV_INTEGER, op.operands[2] >= 0 else { return [try fill(op, y, 0)] }
      let form = [Int(p.batch), Int(p.out_channels), count(y) / Int(p.batch * p.out_channels)]
      let copy = move(op.operands[2], y, dims: form, x: [0, 1, 0], y: denseStrides(form), label: op.label)
      return [replaced(op, EFF_K_COPY, type(y), copy.params, [op.operands[2], y])]
    case .elements where op.kernel == EFF_K_SCATTER_ELEMENTS && count(op.operands[0]) == 0: return []
    case .tuples where op.kernel == EFF_K_SCATTER_ND && count(op.operands[1]) == 0: return []
    // no time or no input: the state stays, or moves by itself
    case .rnn(let p) where p.batch > 0 && p.hidden > 0: return [op]
    case .attention(var p) where p.lk > 0 && p.dk == 0 && p.dv > 0:
      // all scores are 0
      var one = op
      one.operands[0] = try scalar(0, type(op.operands[0]))
      one.operands[1] = try scalar(0, type(op.operands[1]))
      p.dk = 1
      store([0, 0, 0, 0], &p.q)
      store([0, 0, 0, 0], &p.k)
      one.params = .attention(p)
      return [one]
    case .attention(let p) where p.lk == 0: return [try fill(op, op.operands[4], 0)]
    case .det: return [try fill(op, op.operands[1], 1)]
    case .fill where op.kernel == EFF_K_DYNAMIC_QUANTIZE:
      return [try fill(op, op.operands[2], 1), try fill(op, op.operands[3], 0)]
    default: break
    }
    var text = ""
    for (i, v) in op.inputs.enumerated() where v >= 0 && count(v) == 0 {
      text += "\(text.utf8.isEmpty ? "" : ", ")input \(i) \(describe(shape(v)))"
    }
    throw Failure(
      .shape, "\(op.label): \(text) has no elements, and the result is not defined then; expected at least one")
  }

  /// The same op with another kernel of one input and one output.
  private func replaced(
    _ op: GraphOp, _ kernel: some BinaryInteger, _ type: ElementType, _ params: Params, _ operands: [Int]
  ) -> GraphOp {
    var one = op
    (one.kernel, one.type, one.params, one.operands, one.inputCount) = (Int32(kernel), type, params, operands, 1)
    (one.scratch, one.work) = (0, 0)
    return one
  }

  private mutating func fill(_ op: GraphOp, _ y: Int, _ value: Double) throws(Failure) -> GraphOp {
    var p = eff_fill()
    p.count = Int64(count(y))
    return replaced(op, EFF_K_FILL, type(y), .fill(p), [try scalar(value, type(y)), y])
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
