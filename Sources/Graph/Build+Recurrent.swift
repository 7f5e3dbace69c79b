import Base
import Kernels
import Onnx

// RNN, GRU and LSTM
extension Builder {
  mutating func buildRecurrent(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .rnn: return try buildCell(n, Int32(EFF_RNN_PLAIN), gates: 1, activations: ["Tanh"])
    case .gru: return try buildCell(n, Int32(EFF_RNN_GRU), gates: 3, activations: ["Sigmoid", "Tanh"])
    case .lstm: return try buildCell(n, Int32(EFF_RNN_LSTM), gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"])
    default: return nil
    }
  }

  private func activation(_ name: String, _ n: Node) throws(Failure) -> (Int32, Double, Double) {
    switch name.lowercasedASCII {
    case "tanh": (Int32(EFF_FN_TANH), 0, 0)
    case "sigmoid": (Int32(EFF_FN_SIGMOID), 0, 0)
    case "relu": (Int32(EFF_FN_RELU), 0, 0)
    case "elu": (Int32(EFF_FN_ELU), 1, 0)
    case "leakyrelu": (Int32(EFF_FN_LEAKY_RELU), 0.01, 0)
    case "thresholdedrelu": (Int32(EFF_FN_THRESHOLDED_RELU), 1, 0)
    case "hardsigmoid": (Int32(EFF_FN_HARD_SIGMOID), 0.2, 0.5)
    case "scaledtanh": (Int32(EFF_FN_SCALED_TANH), 1, 1)
    case "affine": (Int32(EFF_FN_AFFINE), 1, 0)
    case "softsign": (Int32(EFF_FN_SOFTSIGN), 0, 0)
    case "softplus": (Int32(EFF_FN_SOFTPLUS), 0, 0)
    default: throw n.fail(.unsupported, "activation '\(name)' is not known")
    }
  }

  mutating func buildCell(_ n: Node, _ cell: Int32, gates: Int, activations defaults: [String], isDynamic: Bool = false)
    throws(Failure) -> [Int]
  {
    var x = try n.input(0)
    let w = try n.input(1)
    let r = try n.input(2)
    let isBatchFirst = try n.bool("layout", false)
    guard shape(x).count == 3, shape(w).count == 3, shape(r).count == 3 else {
      throw n.fail(
        .shape, "X, W and R are \(describe(shape(x))), \(describe(shape(w))) and \(describe(shape(r))), expected rank 3"
      )
    }
    if isBatchFirst { x = try transpose(x, [1, 0, 2], label: n.label) }
    let (time, batch, input) = (shape(x)[0], shape(x)[1], shape(x)[2])
    let hidden = try n.int("hidden_size", shape(r)[2])
    let direction = try n.string("direction", "forward")
    guard direction == "forward" || direction == "reverse" || direction == "bidirectional" else {
      throw n.fail(.unsupported, "direction '\(direction)' is not known")
    }
    let dirs = direction == "bidirectional" ? 2 : 1
    guard hidden > 0, shape(w) == [dirs, gates * hidden, input], shape(r) == [dirs, gates * hidden, hidden] else {
      throw n.fail(
        .shape,
        """
        W and R are \(describe(shape(w))) and \(describe(shape(r))), expected \
        \(describe([dirs, gates * hidden, input])) and \(describe([dirs, gates * hidden, hidden]))
        """
      )
    }
    var p = eff_rnn()
    p.cell = cell
    p.dirs = Int32(dirs)
    p.reverse = direction == "reverse" ? 1 : 0
    p.linear_before_reset = Int32(try n.bool("linear_before_reset", false) ? 1 : 0)
    p.input_forget = Int32(try n.bool("input_forget", false) ? 1 : 0)
    p.has_clip = n.has("clip") ? 1 : 0
    p.clip = try n.float("clip", 0)
    p.dynamic = isDynamic ? 1 : 0
    guard p.has_clip == 0 || p.clip > 0 else { throw n.fail(.shape, "attribute 'clip' must be more than 0") }
    (p.time, p.batch, p.input, p.hidden) = (Int64(time), Int64(batch), Int64(input), Int64(hidden))
    try setActivations(&p, n, defaults, dirs)
    func check(_ i: Int, _ form: [Int]) throws(Failure) -> Int {
      guard let v = n.optional(i) else { return -1 }
      guard shape(v) == form else {
        throw n.fail(.shape, "input \(i) is \(describe(shape(v))), expected \(describe(form))")
      }
      return v
    }
    func state(_ b: inout Builder, _ i: Int) throws(Failure) -> Int {
      guard let v = n.optional(i) else { return -1 }
      let t = isBatchFirst ? try b.transpose(v, [1, 0, 2], label: n.label) : v
      guard b.shape(t) == [dirs, batch, hidden] else {
        throw n.fail(.shape, "input \(i) is \(describe(b.shape(v))), expected \(describe([dirs, batch, hidden]))")
      }
      return t
    }
    let b = try check(3, [dirs, 2 * gates * hidden])
    var lengths = try check(4, [batch])
    if lengths >= 0 { lengths = try cast(lengths, to: .i32) }
    if lengths >= 0, constant(lengths) != nil, try integers(lengths, n, "sequence_lens").allSatisfy({ $0 == time }) {
      lengths = -1
    }
    let h0 = try state(&self, 5)
    let c0 = cell == EFF_RNN_LSTM ? try state(&self, 6) : -1
    let peepholes = cell == EFF_RNN_LSTM ? try check(7, [dirs, 3 * hidden]) : -1
    let t = type(x)
    for v in [w, r, b, h0, c0, peepholes] where v >= 0 && type(v) != t {
      throw n.fail(.shape, "inputs have different element types")
    }
    let y = n.hasOutput(0) ? try newValue(t, [time, dirs, batch, hidden], n.label) : -1
    let yh = n.hasOutput(1) ? try newValue(t, [dirs, batch, hidden], n.label) : -1
    let yc = n.hasOutput(2) ? try newValue(t, [dirs, batch, hidden], n.label) : -1
    var op = GraphOp(
      .rnn(p), type: t, inputs: [x, w, r, b, lengths, h0, c0, peepholes], outputs: [y, yh, yc], label: n.label)
    op.scratch = Int(eff_rnn_scratch_size(&p))
    op.work = work([time, batch, dirs, gates * hidden, input + hidden])
    try emit(op)
    guard isBatchFirst else { return [y, yh, yc] }
    return [
      y < 0 ? -1 : try transpose(y, [2, 0, 1, 3], label: n.label),
      yh < 0 ? -1 : try transpose(yh, [1, 0, 2], label: n.label),
      yc < 0 ? -1 : try transpose(yc, [1, 0, 2], label: n.label),
    ]
  }

  private func setActivations(_ p: inout eff_rnn, _ n: Node, _ defaults: [String], _ dirs: Int) throws(Failure) {
    var names = try n.strings("activations") ?? []
    if names.isEmpty { for _ in 0..<dirs { names += defaults } }
    guard names.count == defaults.count * dirs else {
      throw n.fail(.shape, "has \(names.count) activations, expected \(defaults.count * dirs)")
    }
    var codes: [(Int32, Double, Double)] = []
    for name in names { codes.append(try activation(name, n)) }
    // activation_alpha and _beta list values for those activations that take one
    var alphas = try n.floats("activation_alpha") ?? []
    var betas = try n.floats("activation_beta") ?? []
    withUnsafeMutableBytes(of: &p.act) { acts in
      withUnsafeMutableBytes(of: &p.alpha) { alpha in
        withUnsafeMutableBytes(of: &p.beta) { beta in
          for (i, c) in codes.enumerated() {
            var a = c.1
            var b = c.2
            let takesAlpha = a != 0 || c.0 == EFF_FN_AFFINE
            if takesAlpha, !alphas.isEmpty { a = alphas.removeFirst() }
            if b != 0 || c.0 == EFF_FN_AFFINE, !betas.isEmpty { b = betas.removeFirst() }
            acts.assumingMemoryBound(to: Int32.self)[i] = c.0
            alpha.assumingMemoryBound(to: Double.self)[i] = a
            beta.assumingMemoryBound(to: Double.self)[i] = b
          }
        }
      }
    }
    guard alphas.isEmpty, betas.isEmpty else {
      let name = alphas.isEmpty ? "activation_beta" : "activation_alpha"
      throw n.fail(
        .unsupported,
        "attribute '\(name)' has \(alphas.isEmpty ? betas.count : alphas.count) numbers more than its activations take")
    }
  }
}
