import Base
import Onnx

// If, Loop and Scan: unrolled where their course is known at load; Build+Conditional.swift has what is computed while
// running
extension Builder {
  mutating func buildControl(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .if: return try buildIf(n)
    case .loop: return try buildLoop(n)
    case .scan: return try buildScan(n)
    default: return nil
    }
  }

  /// Builds a subgraph with `inputs` bound to its input names; returns its outputs.
  mutating func inline(_ g: OnnxGraph, _ inputs: [Int], _ n: Node) throws(Failure) -> [Int] {
    guard scopes.count < 32 else { throw n.fail(.unsupported, "subgraphs are nested more than 32 deep") }
    try account(items: g.initializers.count + g.inputs.count + g.outputs.count)
    scopes.append(NameMap())
    try declare(g.initializers)
    for (i, v) in inputs.enumerated() where i < g.inputs.count { scopes[scopes.count - 1].set(g.inputs[i].name, v) }
    let outerWay = way
    enter(n.label)
    try run(g)
    way = outerWay
    var out: [Int] = []
    for o in g.outputs {
      guard let v = lookup(o.name), v >= 0 else { throw n.fail(.format, "its body does not produce '\(o.name)'") }
      out.append(v)
    }
    scopes.removeLast()
    return out
  }

  /// One bool: its value where it is known at load, else nil.
  func truth(_ v: Int, _ n: Node) throws(Failure) -> Bool? {
    try requireTensor(v, "\(n.label): its condition")
    guard type(v) == .bool, count(v) == 1 else {
      throw n.fail(
        .shape, "its condition ('\(graph.values[v].name)') is \(type(v).name) \(describe(shape(v))), expected one bool")
    }
    return constant(v).map { $0.start.load(as: UInt8.self) != 0 }
  }

  private mutating func buildIf(_ n: Node) throws(Failure) -> [Int] {
    let condition = try n.input(0)
    guard let isTrue = try truth(condition, n) else { return try buildRunningIf(n, condition) }
    return try inline(try n.graph(isTrue ? "then_branch" : "else_branch"), [], n)
  }

  /// Loop(M, cond, v...) with body (i, cond, v...) -> (cond, v..., scan...)
  private mutating func buildLoop(_ n: Node) throws(Failure) -> [Int] {
    let body = try n.graph("body")
    var limit = Int.max
    var trips = -1
    if let m = n.optional(0) {
      guard count(m) == 1 else { throw n.fail(.shape, "its trip count is \(describe(shape(m))), expected one number") }
      if isConstant(m) {
        limit = try integers(m, n, "trip count")[0]
      } else {
        (trips, limit) = (m, try tripBound(m, n))
      }
    }
    var carried: [Int] = []
    for i in 2..<max(n.inputs.count, 2) { carried.append(try n.input(i)) }
    let scans = body.outputs.count - 1 - carried.count
    guard scans >= 0, body.inputs.count >= 2 + carried.count else {
      throw n.fail(
        .format,
        "its body has \(body.inputs.count) inputs and \(body.outputs.count) outputs for \(carried.count) carried values"
      )
    }
    var collected = [[Int]](repeating: [], count: scans)
    var i = 0
    let isTrue = try filled(1, .bool, [])
    var goes = try nextTrip(0, limit, n.optional(1) ?? isTrue, trips, n)
    while let condition = goes {
      if try truth(condition, n) == nil {
        for s in 0..<scans where n.hasOutput(carried.count + s) {
          throw n.fail(
            .unsupported,
            """
            output \(carried.count + s) ('\(n.onnx.outputs[carried.count + s])') has one entry for each trip, and how \
            many there are is computed while running; shapes must be known at load: write into a carried tensor of \
            fixed length instead, or bind the input that it depends on to a constant
            """
          ).dynamic
        }
        return try finishLoop(n, body, from: i, limit, condition, trips, carried) + [Int](repeating: -1, count: scans)
      }
      let out = try trip(i, body, carried, n)
      carried = Array(out[1..<(1 + carried.count)])
      for s in 0..<scans { collected[s].append(out[1 + carried.count + s]) }
      i += 1
      goes = try nextTrip(i, limit, out[0], trips, n)
    }
    var result = carried
    for s in 0..<scans {
      guard !collected[s].isEmpty else { throw n.fail(.unsupported, "runs no iteration, so a scan output is empty") }
      result.append(try stack(collected[s], axis: 0, n))
    }
    return result
  }

  /// One new axis over values of equal shape.
  mutating func stack(_ parts: [Int], axis: Int, _ n: Node) throws(Failure) -> Int {
    var views: [Int] = []
    for p in parts {
      try requireTensor(p, "\(n.label): an item")
      guard shape(p) == shape(parts[0]), type(p) == type(parts[0]) else {
        throw n.fail(.shape, "a scan output changes its shape between iterations")
      }
      var s = shape(p)
      s.insert(1, at: axis)
      views.append(try view(p, s))
    }
    return try concat(views, axis: axis, label: n.label)
  }

  /// Scan(state..., sequences...) with body (state..., elements...) -> (state..., outputs...)
  private mutating func buildScan(_ n: Node) throws(Failure) -> [Int] {
    if n.opset < 9 { return try buildBatchedScan(n) }
    let body = try n.graph("body")
    let sequences = try n.int("num_scan_inputs", 0)
    let states = n.inputs.count - sequences
    let outputs = body.outputs.count - states
    guard sequences > 0, states >= 0, outputs >= 0 else {
      throw n.fail(.format, "has \(n.inputs.count) inputs for \(sequences) scan inputs")
    }
    let inAxes = try n.ints("scan_input_axes", count: sequences, fallback: 0)
    let inReversed = try n.ints("scan_input_directions", count: sequences, fallback: 0)
    let outAxes = try n.ints("scan_output_axes", count: outputs, fallback: 0)
    let outReversed = try n.ints("scan_output_directions", count: outputs, fallback: 0)
    var carried: [Int] = []
    for i in 0..<states { carried.append(try n.input(i)) }
    var length = -1
    var axes: [Int] = []
    for s in 0..<sequences {
      let x = try n.input(states + s)
      let a = try axis(inAxes[s], rank: shape(x).count, n)
      guard a < shape(x).count, length < 0 || shape(x)[a] == length else {
        throw n.fail(.shape, "scan inputs have different lengths")
      }
      length = shape(x)[a]
      axes.append(a)
    }
    var collected = [[Int]](repeating: [], count: outputs)
    for t in 0..<length {
      try account(nodes: 1)
      var inputs = carried
      for s in 0..<sequences {
        let x = try n.input(states + s)
        let one = try slice(x, axis: axes[s], start: inReversed[s] == 1 ? length - 1 - t : t, count: 1, label: n.label)
        var form = shape(x)
        form.remove(at: axes[s])
        inputs.append(try view(one, form))
      }
      let out = try inline(body, inputs, n)
      carried = Array(out[..<states])
      for k in 0..<outputs { collected[k].append(out[states + k]) }
    }
    var result = carried
    for k in 0..<outputs {
      guard let first = collected[k].first else { throw n.fail(.unsupported, "scans an empty sequence") }
      let parts = outReversed[k] == 1 ? Array(collected[k].reversed()) : collected[k]
      result.append(try stack(parts, axis: try axis(outAxes[k], rank: shape(first).count + 1, n), n))
    }
    return result
  }

  /// Scan of opset 8: Scan(lengths?, state..., sequences...) for each entry of a leading batch axis; time is the second
  /// axis.
  private mutating func buildBatchedScan(_ n: Node) throws(Failure) -> [Int] {
    let body = try n.graph("body")
    let sequences = try n.int("num_scan_inputs", 0)
    let states = n.inputs.count - 1 - sequences
    let outputs = body.outputs.count - states
    guard sequences > 0, states >= 0, outputs >= 0 else {
      throw n.fail(.format, "has \(n.inputs.count) inputs for \(sequences) scan inputs")
    }
    let reversed = try n.ints("directions", count: sequences, fallback: 0)
    let first = shape(try n.input(1 + states))
    guard first.count >= 2 else {
      throw n.fail(.shape, "scan input is \(describe(first)), expected [batch, time, ...]")
    }
    let (batch, length) = (first[0], first[1])
    for i in 0..<(states + sequences) {
      let s = shape(try n.input(1 + i))
      guard s.count >= (i < states ? 1 : 2), s[0] == batch, i < states || s[1] == length else {
        throw n.fail(.shape, "input \(1 + i) is \(describe(s)), expected [\(batch), ...] and \(length) steps")
      }
    }
    if let lengths = n.optional(0) {
      guard try integers(lengths, n, "sequence_lens").allSatisfy({ $0 == length }) else {
        throw n.fail(.unsupported, "has sequences of different lengths")
      }
    }
    /// one element of the leading axes
    func element(_ b: inout Builder, _ x: Int, _ places: [Int]) throws(Failure) -> Int {
      var y = x
      for p in places {
        y = try b.view(try b.slice(y, axis: 0, start: p, count: 1, label: n.label), Array(b.shape(y).dropFirst()))
      }
      return y
    }
    var finals = [[Int]](repeating: [], count: states + outputs)
    for b in 0..<batch {
      try account(nodes: 1)
      var carried: [Int] = []
      for i in 0..<states { carried.append(try element(&self, try n.input(1 + i), [b])) }
      var collected = [[Int]](repeating: [], count: outputs)
      for t in 0..<length {
        try account(nodes: 1)
        var inputs = carried
        for s in 0..<sequences {
          inputs.append(try element(&self, try n.input(1 + states + s), [b, reversed[s] == 1 ? length - 1 - t : t]))
        }
        let out = try inline(body, inputs, n)
        carried = Array(out[..<states])
        for k in 0..<outputs { collected[k].append(out[states + k]) }
      }
      for i in 0..<states { finals[i].append(carried[i]) }
      for k in 0..<outputs {
        guard !collected[k].isEmpty else { throw n.fail(.unsupported, "scans an empty sequence") }
        finals[states + k].append(try stack(collected[k], axis: 0, n))
      }
    }
    var result: [Int] = []
    for parts in finals {
      guard !parts.isEmpty else { throw n.fail(.unsupported, "scans an empty batch") }
      result.append(try stack(parts, axis: 0, n))
    }
    return result
  }
}
