import Base
import Graph
import Kernels
import Onnx

/// A recurrent cell whose weights learn by SnAp-1: one op, which carries how its weights have influenced its state.
struct LearnedCell {
  let rnn: eff_rnn
  /// Value of one number by which the state is multiplied on its way to the cell, or -1.
  let mask: Int
  /// Elements of its scratch memory.
  var gates: Int { 6 * Int(rnn.hidden) }
  /// Elements of influence for the elements of W, and of R and B.
  var scale: (w: Int, rest: Int) {
    switch Int(rnn.cell) {
    case EFF_RNN_LSTM: (2, 2)
    case Int(EFF_CELL_DIAGONAL): (1, 2)
    default: (1, 1)
    }
  }
  /// Elements of the influence, and its place among those of other cells, in elements.
  var size = 0
  var place = 0
}

/// Finds the recurrent cells of a graph that can learn, and says of the others why they cannot.
///
/// A cell can where one call is one step of its own state: an LSTM or GRU with the functions that ONNX gives it, whose
/// state inputs hold at the next call what it gives at this one, perhaps multiplied by one number, as
/// (1 - episode_starts) is.
struct CellSearch {
  private let graph: Graph
  private let isMain: [Bool]
  /// By memory root: where each element was copied from, as `place` writes it; empty where nothing was copied to it.
  private var origins: [[Int]] = []
  /// By memory root: by what it was multiplied on the way, a value of one number, or -1.
  private var masks: [Int] = []

  init(_ g: Graph) {
    graph = g
    isMain = Blocks(g.ops).of.map { $0 == 0 }
    origins = [[Int]](repeating: [], count: g.values.count)
    masks = [Int](repeating: -1, count: g.values.count)
    guard g.ops.contains(where: { if case .rnn = $0.params { true } else { false } }) else { return }
    for (i, op) in g.ops.enumerated() { follow(op, isMain[i]) }
  }

  /// Element `k` of a memory root as one number.
  private func place(_ root: Int, _ k: Int) -> Int { root << 32 | k }

  /// Elements of its memory root before those of `v`.
  private func first(_ v: Int) -> Int { graph.values[v].offset / graph.values[v].type.size }

  /// Why the cell of op `i` cannot learn; nil where it can.
  func obstacle(_ i: Int) -> String? {
    let op = graph.ops[i]
    guard case .rnn(let p) = op.params else { return "it is none" }
    let isLSTM = p.cell == EFF_RNN_LSTM
    if p.cell == EFF_CELL_DIAGONAL { return nil }
    guard isLSTM || p.cell == EFF_RNN_GRU else { return "it is neither an LSTM nor a GRU" }
    guard op.type == .f32 else { return "it is \(op.type.name), expected f32" }
    guard p.dirs == 1, p.reverse == 0, p.time == 1, p.batch == 1, op[.lengths] < 0 else {
      return "a call is \(p.time) steps of \(p.batch) sequences in \(p.dirs) directions, expected one forward"
    }
    guard p.has_clip == 0, p.input_forget == 0, p.dynamic == 0, op[.p] < 0, hasStandardFunctions(p) else {
      return "it has other functions than ONNX's defaults, a clip, peepholes or 8-bit states"
    }
    guard isMain[i] else { return "it does not run at every step" }
    guard isCarried(op[.h0], from: op[.yH], or: op[.y]), !isLSTM || isCarried(op[.c0], from: op[.yC], or: -1) else {
      return "its state at the next step is not what it gives at this one"
    }
    guard !isLSTM || mask(i) == masks[graph.root(op[.c0])] else {
      return "h and c of its state are multiplied by different numbers"
    }
    return nil
  }

  /// What the state of the cell of op `i` is multiplied by on its way to it: a value of one number, or -1.
  func mask(_ i: Int) -> Int {
    let h = graph.ops[i][.h0]
    return h < 0 ? -1 : masks[graph.root(h)]
  }

  private func hasStandardFunctions(_ p: eff_rnn) -> Bool {
    withUnsafeBytes(of: p.act) {
      let act = $0.bindMemory(to: Int32.self)
      let last = p.cell == EFF_RNN_LSTM ? act[2] == EFF_FN_TANH : true
      return act[0] == EFF_FN_SIGMOID && act[1] == EFF_FN_TANH && last
    }
  }

  /// Whether input `v` of a cell holds, at the next step, what the cell gives as one of its outputs.
  private func isCarried(_ v: Int, from output: Int, or other: Int) -> Bool {
    guard v >= 0, let here = sources(v) else { return false }
    for (k, source) in here.enumerated() {
      guard let pair = graph.states.first(where: { graph.root(graph.inputs[$0.input].value) == source >> 32 }),
        let there = sources(graph.outputs[pair.output].value), source & 0xffff_ffff < there.count
      else { return false }
      let from = there[source & 0xffff_ffff]
      guard [output, other].contains(where: { $0 >= 0 && place(graph.root($0), first($0) + k) == from }) else {
        return false
      }
    }
    return true
  }

  /// Where the elements of `v` come from; nil where it is a constant.
  private func sources(_ v: Int) -> [Int]? {
    let value = graph.values[v]
    guard value.constant == nil else { return nil }
    let known = origins[value.root]
    let range = first(v)..<first(v) + value.count
    if known.isEmpty { return range.map { place(value.root, $0) } }
    return range.upperBound <= known.count ? Array(known[range]) : nil
  }

  private mutating func follow(_ op: GraphOp, _ isMain: Bool) {
    if isMain, case .binary(let p) = op.params, p.fn == EFF_FN2_MUL, follow(op[.a], op[.b], op[.y]) { return }
    guard isMain, case .copy(let p) = op.params, let from = sources(op[.x]) else {
      // what an op makes comes from the op
      for v in op.outputs where v >= 0 && !origins[graph.root(v)].isEmpty {
        for k in first(v)..<first(v) + graph.values[v].count { origins[graph.root(v)][k] = place(graph.root(v), k) }
      }
      return
    }
    let root = graph.root(op[.y])
    // what nothing has written yet comes from the value itself
    var to = origins[root].isEmpty ? (0..<graph.values[root].count).map { place(root, $0) } : origins[root]
    let rank = Int(p.rank)
    func numbers(_ list: UnsafeRawBufferPointer) -> [Int] {
      (0..<rank).map { Int(list.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self)) }
    }
    let dims = withUnsafeBytes(of: p.dims, numbers)
    let (xs, ys) = (withUnsafeBytes(of: p.x, numbers), withUnsafeBytes(of: p.y, numbers))
    let count = dims.reduce(1, *)
    // a recurrent state is not as large as that
    guard count <= 1 << 20 else { return }
    for n in 0..<count {
      var (rest, at, out) = (n, Int(p.x_offset), first(op[.y]) + Int(p.y_offset))
      for d in (0..<rank).reversed() {
        (at, out) = (at + rest % dims[d] * xs[d], out + rest % dims[d] * ys[d])
        rest /= dims[d]
      }
      guard from.indices.contains(at), to.indices.contains(out) else { return }
      to[out] = from[at]
    }
    (origins[root], masks[root]) = (to, masks[graph.root(op[.x])])
  }

  /// y = a b where one of them is a recurrent state and the other one number.
  private mutating func follow(_ a: Int, _ b: Int, _ y: Int) -> Bool {
    for (x, mask) in [(a, b), (b, a)] {
      guard graph.values[mask].count == 1, graph.values[x].count == graph.values[y].count, masks[graph.root(x)] < 0,
        Fusion.isWhole(y, graph), let from = sources(x), let start = from.first,
        graph.states.contains(where: { graph.root(graph.inputs[$0.input].value) == start >> 32 })
      else { continue }
      (origins[graph.root(y)], masks[graph.root(y)]) = (from, mask)
      return true
    }
    return false
  }
}
