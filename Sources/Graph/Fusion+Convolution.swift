import Base
import Kernels
import Onnx

// convolutions with constant weights
extension Fusion {
  /// Convolutions with constant f32 weights take packed weights, where there is a kernel for them.
  /// With `keepsWeights` packed ones are the weights in another order: a publisher can write them.
  static func packConvolutions(_ g: inout Graph, _ isa: Int32, _ keepsWeights: Bool) {
    for i in g.ops.indices {
      guard case .conv(var p) = g.ops[i].params, g.ops[i].type == .f32 else { continue }
      let old = g.ops[i]
      if keepsWeights {
        var kept = p
        kept.keeps_weights = 1
        if eff_conv_packed_size(&kept, isa) != eff_conv_packed_size(&p, isa) { p = kept }
      }
      guard let w = g.values[old[.w]].constant, eff_conv_packed_size(&p, isa) > 0 else { continue }
      let b = old[.bias] >= 0 ? g.values[old[.bias]].constant : nil
      guard old[.bias] < 0 || b != nil else { continue }
      g.ops[i] = GraphOp(.convPacked(p), type: .f32, inputs: [old[.x]], outputs: Array(old.outputs), label: old.label)
      g.ops[i].packing = Packing(weights: w, bias: b)
      g.ops[i].scratch = Int(eff_conv_scratch_size(&p, isa))
      g.ops[i].work = old.work
    }
  }

  /// Most convolutions that one transposed convolution becomes.
  private static let maximumPhases = 8

  /// A transposed convolution with constant f32 weights becomes a convolution for each phase of its strides, whose
  /// outputs are interleaved: outputs that are a stride apart read the same kernel positions.
  static func splitTransposed(_ g: inout Graph, _ isa: Int32) {
    guard g.ops.contains(where: { if case .convTranspose = $0.params { true } else { false } }) else { return }
    var ops: [GraphOp] = []
    ops.reserveCapacity(g.ops.count)
    for op in g.ops { ops += split(op, &g, isa) ?? [op] }
    g.ops = ops
  }

  /// Along one dimension: which kernel positions an output of this phase reads, and where its outputs lie.
  private struct Phase {
    /// The kernel positions are first, first + stride, ...
    var first: Int
    var positions: Int
    /// The first output of the phase, and how many there are, a stride apart.
    var output: Int
    var count: Int
    var pad: Int

    /// Output o reads inputs i and positions k with i * stride + k = o + pad.
    init(_ phase: Int, kernel: Int, stride: Int, pad: Int, out: Int) {
      first = phase
      positions = (kernel - phase + stride - 1) / stride
      let source = (max(0, pad - phase) + stride - 1) / stride
      output = source * stride + phase - pad
      count = output < out ? (out - output + stride - 1) / stride : 0
      self.pad = positions - 1 - source
    }
  }

  private static func split(_ op: GraphOp, _ g: inout Graph, _ isa: Int32) -> [GraphOp]? {
    guard case .convTranspose(let p) = op.params, op.type == .f32, let w = g.values[op[.w]].constant else { return nil }
    let bias = op[.bias]
    guard bias < 0 || g.values[bias].constant != nil, p.groups > 0 else { return nil }
    let rank = Int(p.spatial)
    let (out, kernel, stride) = (load(p.out, rank), load(p.kernel, rank), load(p.stride, rank))
    let pad = load(p.pad, rank)
    guard load(p.dilation, rank).allSatisfy({ $0 == 1 }), zip(kernel, stride).allSatisfy({ $0 >= $1 }) else {
      return nil
    }
    var phases: [[Phase]] = [[]]
    for d in 0..<rank {
      guard phases.count * stride[d] <= maximumPhases else { return nil }
      let along = (0..<stride[d]).map { Phase($0, kernel: kernel[d], stride: stride[d], pad: pad[d], out: out[d]) }
      phases = phases.flatMap { before in along.filter { $0.count > 0 }.map { before + [$0] } }
    }
    let (filters, channels) = (Int(p.out_channels / p.groups), Int(p.in_channels / p.groups))
    let pitches = denseStrides(out)
    let planes = Int(p.batch * p.out_channels)
    var ops: [GraphOp] = []
    for phase in phases {
      var c = p
      let counts = phase.map { $0.count }
      let positions = phase.map { $0.positions }
      store(counts, &c.out)
      store(positions, &c.kernel)
      store([Int](repeating: 1, count: rank), &c.stride)
      store(phase.map { $0.pad }, &c.pad)
      guard eff_conv_packed_size(&c, isa) > 0 else { return nil }
      let size = positions.reduce(1, *)
      let whole = kernel.reduce(1, *)
      // [out channel][in channel of its group][positions, last first]
      guard
        let weights = constant(
          Int(p.out_channels) * channels * size, g,
          { index in
            let (o, i) = (index / size / channels, index / size % channels)
            var (rest, at, pitch) = (index % size, 0, 1)
            for d in (0..<rank).reversed() {
              let q = phase[d].positions - 1 - rest % phase[d].positions
              at += (phase[d].first + q * stride[d]) * pitch
              rest /= phase[d].positions
              pitch *= kernel[d]
            }
            return w.float(((o / filters * channels + i) * filters + o % filters) * whole + at)
          })
      else { return nil }
      let shape = [Int(p.out_channels), channels] + positions
      let v = g.values.count
      g.values.append(
        Value(name: "", type: .f32, shape: shape, constant: weights.reshaped(shape), root: v))
      var y = op[.y]
      if phases.count > 1 {
        y = g.values.count
        g.values.append(
          Value(name: "", type: .f32, shape: [Int(p.batch), Int(p.out_channels)] + counts, root: y))
      }
      var conv = GraphOp(.conv(c), type: .f32, inputs: [op[.x], v, bias], outputs: [y], label: op.label)
      conv.work = planes * channels * size * counts.reduce(1, *)
      ops.append(conv)
      guard phases.count > 1 else { continue }
      var s = eff_strided()
      s.rank = Int32(rank + 1)
      store([planes] + counts, &s.dims)
      store(denseStrides([planes] + counts), &s.x)
      store([out.reduce(1, *)] + (0..<rank).map { stride[$0] * pitches[$0] }, &s.y)
      s.y_offset = Int64((0..<rank).reduce(0) { $0 + phase[$1].output * pitches[$1] })
      ops.append(GraphOp(.copy(s), type: .f32, inputs: [y], outputs: [op[.y]], label: op.label))
    }
    return ops
  }
}
