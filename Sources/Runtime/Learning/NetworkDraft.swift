import Base
import Graph
import Kernels
import Onnx

/// A graph to which values, ops and parameters are added one by one.
struct NetworkDraft {
  var graph: Graph
  var parameters: [LearnedParameter] = []

  init(_ graph: Graph) { self.graph = graph }

  mutating func value(_ name: String, _ shape: [Int], constant: TensorData? = nil) -> Int {
    graph.values.append(Value(name: name, type: .f32, shape: shape, constant: constant, root: graph.values.count))
    return graph.values.count - 1
  }

  mutating func parameter(_ name: String, _ shape: [Int], _ initial: InitialNumbers) -> Int {
    let v = value(name, shape)
    parameters.append(LearnedParameter(name: name, value: v, shape: shape, initial: initial))
    return v
  }

  mutating func add(_ params: Params, _ inputs: [Int], _ output: Int) {
    graph.ops.append(
      GraphOp(params, type: .f32, inputs: inputs, outputs: [output], label: graph.values[output].name))
  }

  /// An input that carries the observation as the learner's own networks see it.
  mutating func normalizedInput(_ count: Int) -> Int {
    let v = value("normalized observation", [count])
    graph.inputs.append(Port(name: "normalized observation", value: v))
    return v
  }

  /// Writes x to `count` elements of y; a single number to all of them.
  mutating func copy(_ x: Int, to y: Int, at offset: Int = 0, count n: Int) {
    var p = eff_strided()
    p.rank = 1
    store([n], &p.dims)
    store([graph.values[x].count == 1 ? 0 : 1], &p.x)
    store([1], &p.y)
    p.y_offset = Int64(offset)
    add(.copy(p), [x], y)
  }

  mutating func unary(_ fn: Int32, _ x: Int, to y: Int, alpha: Double) {
    let count = Int64(graph.values[y].count)
    add(.unary(eff_unary(count: count, fn: fn, reserved: 0, alpha: alpha, beta: 1)), [x], y)
  }

  /// Recurrent trace units over x, linear and diagonal (EFF_CELL_DIAGONAL of learning.h), with a state of their own.
  /// Returns their real parts, their imaginary parts and x, next to each other. Parameters are `recurrent.weight`
  /// [2 units, inputs] and `recurrent.poles` [2, units].
  mutating func recurrent(_ x: Int, units: Int) -> Int {
    let n = graph.values[x].count
    let w = parameter("recurrent.weight", [2 * units, n], .uniform(1 / eff_learn_sqrt(Double(n))))
    let poles = parameter("recurrent.poles", [2, units], .poles)
    let (state, next) = (value("h_in", [2 * units]), value("h_out", [2 * units]))
    graph.states.append(StatePair(input: graph.inputs.count, output: 1))
    graph.inputs.append(Port(name: "h_in", value: state))
    graph.outputs = [Port(name: "h_out", value: next)]
    var p = eff_rnn()
    (p.cell, p.dirs, p.time, p.batch) = (Int32(EFF_CELL_DIAGONAL), 1, 1, 1)
    (p.input, p.hidden) = (Int64(n), Int64(units))
    graph.ops.append(
      GraphOp(
        .rnn(p), type: .f32, inputs: [x, w, poles, -1, -1, state, -1, -1], outputs: [-1, next], label: "recurrent"))
    let y = value("features", [2 * units + n])
    copy(next, to: y, count: 2 * units)
    copy(x, to: y, at: 2 * units, count: n)
    return y
  }

  /// Dense layers: hidden ones of `widths` units, with their normalization and activation, then a linear one, whose
  /// outputs are returned. Parameters are `<prefix>l1.weight` [out, in], `<prefix>l1.bias` [out], ..,
  /// `<prefix>out.weight`, `<prefix>out.bias`.
  mutating func layers(
    _ input: Int, _ widths: [Int], outputs: Int, _ hidden: HiddenLayers, prefix: String = "",
    last: InitialNumbers? = nil
  ) -> Int {
    var x = input
    for (i, out) in (widths + [outputs]).enumerated() {
      let isLast = i == widths.count
      let n = graph.values[x].count
      let layer = prefix + (isLast ? "out" : "l\(i + 1)")
      let w = parameter(layer + ".weight", [out, n], isLast ? last ?? .fresh(inputs: n) : .fresh(inputs: n))
      let b = parameter(layer + ".bias", [out], .number(0))
      var p = eff_matmul()
      (p.m, p.n, p.k) = (1, Int64(out), Int64(n))
      (p.a_m, p.a_k, p.b_k, p.b_n, p.bias_n) = (Int64(n), 1, 1, Int64(n), 1)
      (p.alpha, p.beta, p.batch_rank) = (1, 1, 1)
      store([1], &p.batch)
      var y = value(layer, [out])
      add(.matmul(p), [x, w, b], y)
      if isLast { return y }
      if hidden.hasLayerNorm {
        var norm = eff_norm()
        (norm.outer, norm.n, norm.channels, norm.inner) = (1, Int64(out), 1, 1)
        norm.epsilon = hidden.layerNormEpsilon
        let z = value(layer + ".norm", [out])
        add(.norm(norm), [y, -1, -1], z)
        y = z
      }
      x = value(layer + ".y", [out])
      unary(hidden.activation, y, to: x, alpha: hidden.activation == EFF_FN_SWISH ? 1 : hidden.alpha)
    }
    return x
  }
}
