import Base
import Graph
import Kernels
import Onnx

/// One line of text for an op of a plan, for `eff_policy_op` and people.
struct Describe {
  let out: PlanWriter

  /// Writes the line; where it is among the names.
  func op(_ op: GraphOp, _ params: Params, _ g: Graph) -> Int32 {
    let start = Int32(truncatingIfNeeded: out.size(EFF_PLAN_NAMES))
    switch params {
    case .dense(let d):
      text("dense [")
      number(Int(d.k))
      text(" -> ")
      number(Int(d.n))
      text("]")
      if d.m > 1 {
        text(" x ")
        number(Int(d.m))
      }
      activation(d.act)
      storage(d.weights)
    case .norm(let n) where n.rms != 0:
      text("rms norm ")
      io(op, g)
      activation(n.act)
    case .rnn(let r): cell(r)
    case .rnnPacked(let r):
      cell(r)
      storage(r.weights)
    case .branch(let b):
      text("branch where ")
      text(b.wanted != 0 ? "true" : "false")
      text(", ")
      number(Int(b.count))
      text(" ops")
    case .unary(let u):
      text("unary")
      activation(u.fn)
      text(" ")
      io(op, g)
    default:
      out.append(op.kernel.row.name, to: EFF_PLAN_NAMES)
      text(" ")
      io(op, g)
      activation(params.activation?.fn ?? Int32(EFF_FN_IDENTITY))
    }
    out.append(UInt8(0), to: EFF_PLAN_NAMES)
    return start
  }

  private func text(_ words: StaticString) {
    out.append(UnsafeRawBufferPointer(start: words.utf8Start, count: words.utf8CodeUnitCount), to: EFF_PLAN_NAMES)
  }

  private func number(_ n: Int) { out.append(decimal: n, to: EFF_PLAN_NAMES) }

  private func cell(_ r: eff_rnn) {
    text(r.cell == EFF_RNN_LSTM ? "lstm [" : r.cell == EFF_RNN_GRU ? "gru [" : "rnn [")
    number(Int(r.input))
    text(" -> ")
    number(Int(r.hidden))
    text("]")
    if r.time > 1 {
      text(" x ")
      number(Int(r.time))
      text(" steps")
    }
    if r.dirs > 1 { text(" bidirectional") }
  }

  private func io(_ op: GraphOp, _ g: Graph) {
    if let x = op.inputs.first(where: { $0 >= 0 }) { shape(g.values[x].shape) }
    if let y = op.outputs.first(where: { $0 >= 0 }) {
      text(" -> ")
      shape(g.values[y].shape)
    }
  }

  private func shape(_ sizes: [Int]) {
    text("[")
    for (i, size) in sizes.enumerated() {
      if i > 0 { text(", ") }
      number(size)
    }
    text("]")
  }

  /// Storage of weights, where it is not f32.
  private func storage(_ code: Int32) {
    guard let format = ElementType(rawValue: code), format != .f32 else { return }
    text(" ")
    out.append(format.name, to: EFF_PLAN_NAMES)
  }

  private func activation(_ fn: Int32) {
    if Int(fn) < Describe.functions.count { return text(Describe.functions[Int(fn)]) }
    text(" fn")
    number(Int(fn))
  }

  private static let functions: [StaticString] = [
    "", " relu", " tanh", " sigmoid", " elu", " leaky_relu", " selu", " celu", " softplus", " softsign", " swish",
    " mish", " gelu", " gelu_tanh", " hard_sigmoid", " hard_swish", " thresholded_relu", " clip", " affine", " exp",
    " log", " sqrt", " reciprocal", " neg", " abs", " sign", " floor", " ceil", " round", " sin", " cos", " tan",
  ]
}
