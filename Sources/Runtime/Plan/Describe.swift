import Base
import Graph
import Kernels
import Onnx

/// One line of text for an op of a plan, for `eff_policy_op` and people.
enum Describe {
  static func op(_ op: GraphOp, _ params: Params, _ g: Graph) -> String {
    let shapes = io(op, g)
    switch params {
    case .dense(let d):
      return "dense [\(d.k) -> \(d.n)]" + (d.m > 1 ? " x \(d.m)" : "") + activation(d.act) + storage(d.weights)
    case .norm(let n) where n.rms != 0: return "rms norm " + shapes + activation(n.act)
    case .rnn(let r): return cell(r)
    case .rnnPacked(let r): return cell(r) + storage(r.weights)
    case .branch(let b): return "branch where \(b.wanted != 0 ? "true" : "false"), \(b.count) ops"
    case .unary(let u): return "unary" + activation(u.fn) + " " + shapes
    default: return op.kernel.row.name + " " + shapes + activation(params.activation?.fn ?? Int32(EFF_FN_IDENTITY))
    }
  }

  private static func cell(_ r: eff_rnn) -> String {
    let cell = r.cell == EFF_RNN_LSTM ? "lstm" : r.cell == EFF_RNN_GRU ? "gru" : "rnn"
    return "\(cell) [\(r.input) -> \(r.hidden)]" + (r.time > 1 ? " x \(r.time) steps" : "")
      + (r.dirs > 1 ? " bidirectional" : "")
  }

  private static func io(_ op: GraphOp, _ g: Graph) -> String {
    var s = ""
    if let x = op.inputs.first(where: { $0 >= 0 }) { s += describe(g.values[x].shape) }
    if let y = op.outputs.first(where: { $0 >= 0 }) { s += " -> " + describe(g.values[y].shape) }
    return s
  }

  /// Storage of weights, where it is not f32.
  private static func storage(_ code: Int32) -> String {
    guard let format = ElementType(rawValue: code), format != .f32 else { return "" }
    return " " + format.name
  }

  private static func activation(_ fn: Int32) -> String {
    let names: [String] = [
      "", " relu", " tanh", " sigmoid", " elu", " leaky_relu", " selu", " celu", " softplus", " softsign", " swish",
      " mish", " gelu", " gelu_tanh",
      " hard_sigmoid", " hard_swish", " thresholded_relu", " clip", " affine", " exp", " log", " sqrt", " reciprocal",
      " neg", " abs", " sign",
      " floor", " ceil", " round", " sin", " cos", " tan",
    ]
    return Int(fn) < names.count ? names[Int(fn)] : " fn\(fn)"
  }
}
