import Base
import Kernels
import Onnx
import Platform

// If and Loop that are computed while running: ops between a branch and its end run for the rows whose condition asks
// for them
extension Builder {
  /// Both branches, of which one runs, and what they have in common: one value per output, which either writes.
  mutating func buildRunningIf(_ n: Node, _ condition: Int) throws(Failure) -> [Int] {
    let start = graph.ops.count
    // what a branch counts is not there for others
    let counted = lengths
    defer { lengths = counted }
    let then = try inline(try n.graph("then_branch"), [], n)
    var thenOps = takeOps(from: start)
    lengths = counted
    let other = try inline(try n.graph("else_branch"), [], n)
    var otherOps = takeOps(from: start)
    guard then.count == other.count else {
      throw n.fail(
        .format, "has \(then.count) outputs in then_branch and \(other.count) in else_branch, expected the same")
    }
    var out: [Int] = []
    for i in then.indices {
      let name = i < n.onnx.outputs.count ? n.onnx.outputs[i] : ""
      out.append(try join(then[i], other[i], "output \(i) ('\(name)')", n, &thenOps, &otherOps))
    }
    appendBlock(condition, wanted: true, thenOps, n)
    appendBlock(condition, wanted: false, otherOps, n)
    return out
  }

  /// Ops from `start` on, no longer in the graph.
  private mutating func takeOps(from start: Int) -> [GraphOp] {
    let ops = Array(graph.ops[start...])
    graph.ops.removeSubrange(start...)
    return ops
  }

  /// Ops that run for the rows whose condition is `wanted`.
  private mutating func appendBlock(_ condition: Int, wanted: Bool, _ ops: [GraphOp], _ n: Node) {
    guard !ops.isEmpty else { return }
    let p = eff_branch(count: 0, wanted: wanted ? 1 : 0, reserved: 0)
    graph.ops.append(GraphOp(.branch(p), type: .bool, inputs: [condition], outputs: [], label: n.label))
    graph.ops += ops
    graph.ops.append(GraphOp(.end, type: .bool, inputs: [], outputs: [], label: n.label))
  }

  /// One value for what either branch gives: itself where both give the same, else one that each copies its own to.
  private mutating func join(
    _ a: Int, _ b: Int, _ what: String, _ n: Node, _ thenOps: inout [GraphOp], _ otherOps: inout [GraphOp]
  ) throws(Failure) -> Int {
    for v in [a, b] { try requireTensor(v, "\(n.label): its \(what)") }
    if sequences[a] != nil || sequences[b] != nil {
      guard let first = sequences[a], let second = sequences[b], first.count == second.count else {
        throw n.fail(
          .unsupported,
          """
          its \(what) is a sequence of other length in the other branch; which branch runs is computed while running, \
          and lengths must be known at load
          """
        ).dynamic
      }
      var items: [Int] = []
      for k in first.indices {
        items.append(try join(first[k], second[k], "\(what), item \(k),", n, &thenOps, &otherOps))
      }
      return try newSequence(items)
    }
    guard type(a) == type(b), shape(a) == shape(b) else {
      throw n.fail(
        .unsupported,
        """
        its \(what) is \(type(a).name) \(describe(shape(a))) in then_branch and \(type(b).name) \(describe(shape(b))) \
        in else_branch; which one runs is computed while running, so expected the same: export both with one shape, \
        or bind the input that the condition ('\(graph.values[try n.input(0)].name)') depends on to a constant
        """
      ).dynamic
    }
    if isSame(a, b) { return a }
    let y = try newValue(type(a), shape(a))
    if count(y) > 0 {
      thenOps.append(wholeCopy(a, y, n))
      otherOps.append(wholeCopy(b, y, n))
    }
    return y
  }

  /// Whether both are the same memory, or constants with the same bytes.
  private func isSame(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (graph.values[a], graph.values[b])
    if let c = x.constant, let d = y.constant { return c.hasEqualBytes(d) }
    return x.constant == nil && y.constant == nil && x.root == y.root && x.offset == y.offset
  }

  private func wholeCopy(_ x: Int, _ y: Int, _ n: Node) -> GraphOp {
    let strides = denseStrides(shape(x))
    return move(x, y, dims: shape(x), x: strides, y: strides, label: n.label)
  }

  // MARK: loops

  /// One trip of a loop: what its body gives.
  mutating func trip(_ i: Int, _ body: OnnxGraph, _ carried: [Int], _ n: Node) throws(Failure) -> [Int] {
    try account(nodes: 1)
    let index = try integers([i], [])
    let flag = try filled(1, .bool, [])
    return try inline(body, [index, flag] + carried, n)
  }

  /// Condition of trip `i`: what the body gave, and `i` below the trip count where that is computed while running. nil:
  /// it never runs.
  mutating func nextTrip(_ i: Int, _ limit: Int, _ condition: Int, _ trips: Int, _ n: Node) throws(Failure) -> Int? {
    guard i < limit else { return nil }
    let known = try truth(condition, n)
    if known == false { return nil }
    guard trips >= 0 else { return condition }
    let isBelow = try binary(
      Int(EFF_FN2_LESS), try integers([i], []), try cast(try view(trips, []), to: .i64), label: n.label)
    return known == true ? isBelow : try binary(Int(EFF_FN2_AND), try view(condition, []), isBelow, label: n.label)
  }

  /// Trips of a loop most that can be unrolled where a condition ends it.
  private static let maximumTrips = 4096

  /// The trips of a loop from `first` on, which run while a condition holds that is computed while running. Each has a
  /// block of its own, whose last ops copy what it carries to the results and whether it goes on to the condition of
  /// those after it.
  mutating func finishLoop(
    _ n: Node, _ body: OnnxGraph, from first: Int, _ limit: Int, _ condition: Int, _ trips: Int, _ carried: [Int]
  ) throws(Failure) -> [Int] {
    for (k, v) in carried.enumerated() where sequences[v] != nil {
      throw n.fail(
        .unsupported,
        """
        carries a sequence (input \(2 + k)) through trips whose number is computed while running; carry a tensor of \
        fixed length instead
        """
      ).dynamic
    }
    let counted = lengths
    defer { lengths = counted }
    let gate = try newValue(.bool, [])
    let entry = try view(condition, [])
    graph.ops.append(wholeCopy(entry, gate, n))
    var results: [Int] = []
    for v in carried {
      let y = try newValue(type(v), shape(v))
      if count(y) > 0 { graph.ops.append(wholeCopy(v, y, n)) }
      results.append(y)
    }
    var carried = carried
    var i = first
    while true {
      guard i - first < Self.maximumTrips else {
        let bound = limit == .max || limit >= Int(Int32.max) ? "has no trip count" : "may take \(limit) trips"
        throw n.fail(
          .unsupported,
          """
          \(bound), and when it ends is computed while running; expected at most \(Self.maximumTrips) trips: give it \
          a trip count as a constant, limit it with Min or Clip, or bind the input that it depends on to a constant
          """
        ).dynamic
      }
      let start = graph.ops.count
      // it runs only where all before it ran: what they carried needs no choice
      let out = try trip(i, body, carried, n)
      i += 1
      let next = try nextTrip(i, limit, out[0], trips, n)
      var ops = takeOps(from: start)
      for (k, y) in results.enumerated() {
        let v = out[1 + k]
        try requireTensor(v, "\(n.label): carried value \(k)")
        guard sequences[v] == nil, type(v) == type(y), shape(v) == shape(y) else {
          throw n.fail(
            .unsupported,
            """
            carried value \(k) is \(type(y).name) \(describe(shape(y))) before and \(type(v).name) \
            \(describe(shape(v))) after a trip; how many there are is computed while running, so expected the same
            """
          ).dynamic
        }
        if v != carried[k] && count(y) > 0 { ops.append(wholeCopy(v, y, n)) }
        carried[k] = v
      }
      if let next, constant(next) == nil {
        let goes = try view(next, [])
        ops.append(wholeCopy(goes, gate, n))
      }
      appendBlock(gate, wanted: true, ops, n)
      if next == nil { return results }
    }
  }

  /// The most trips that a trip count computed while running can ask for.
  func tripBound(_ v: Int, _ n: Node) throws(Failure) -> Int {
    let high = range(v).high
    guard high < Double(Int32.max) else {
      throw n.fail(
        .unsupported,
        """
        its trip count ('\(graph.values[v].name)') is computed while running and has no bound; limit it with Min or \
        Clip before the loop, or bind the input that it depends on to a constant
        """
      ).dynamic
    }
    return clampIndex(high)
  }

  /// And and Or with one side known: the other side, or a constant. It ends loops that count and also test.
  mutating func shortcut(_ n: Node) throws(Failure) -> Int? {
    guard n.operator == .and || n.operator == .or else { return nil }
    let (a, b) = (try n.input(0), try n.input(1))
    guard type(a) == .bool, type(b) == .bool, isConstant(a) != isConstant(b) else { return nil }
    let (known, running) = isConstant(a) ? (a, b) : (b, a)
    guard let c = constant(known), c.count == 1, let out = broadcast(shape(a), shape(b)) else { return nil }
    let isTrue = c.start.load(as: UInt8.self) != 0
    if isTrue == (n.operator == .or) { return try filled(isTrue ? 1 : 0, .bool, out) }
    return count(running) == out.reduce(1, *) ? try view(running, out) : nil
  }
}

extension TensorData {
  /// Whether both hold the same bytes.
  func hasEqualBytes(_ other: TensorData) -> Bool {
    byteCount == other.byteCount && (byteCount == 0 || memcmp(start, other.start, byteCount) == 0)
  }
}
