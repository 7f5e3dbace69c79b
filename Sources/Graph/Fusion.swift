import Base
import Kernels
import Onnx

/// Rewrites of a graph that keep its meaning and leave fewer, larger ops. Each pass is linear in the number of ops.
public enum Fusion {
  @export(interface)
  public static func run(_ g: inout Graph, isa: Int32, keepsWeights: Bool = false) {
    removeDead(&g)
    var kinds = KernelSet(g.ops)
    // a pass runs where there are ops that it could fuse
    let hasGates = kinds.hasAll(.unary, .binary)
    if hasGates {
      makeGates(&g)
      makeErrorGates(&g)
      makeNorms(&g)
      kinds.insert(.norm)
    }
    if kinds.hasAll(.gather) {
      makeGathersCopies(&g)
      kinds.insert(.copy)
    }
    if kinds.hasAll(.matmul) {
      if kinds.hasAny(.copy, .binary) { readThroughCopies(&g) }
      removeDead(&g)
      if kinds.hasAll(.softmax) { makeAttention(&g) }
      makeDense(&g)
      kinds.insert(.dense)
    }
    if kinds.hasAll(.binary), kinds.hasAny(.norm, .conv, .dense) { foldAffine(&g) }
    if kinds.hasAll(.unary), kinds.hasAny(.norm, .conv, .dense, .convTranspose) { addActivations(&g) }
    if kinds.hasAll(.rnn) { packRecurrent(&g, isa) }
    if kinds.hasAll(.convTranspose) {
      splitTransposed(&g, isa)
      kinds.insert(.conv)
      kinds.insert(.copy)
    }
    if kinds.hasAll(.conv) { packConvolutions(&g, isa, keepsWeights) }
    if kinds.hasAll(.copy) { writeJoints(&g) }
    removeDead(&g)
  }

  /// Which kernels the ops of a graph have; it may have some that a pass has taken away.
  private struct KernelSet {
    private var mask: UInt64 = 0

    init(_ ops: [GraphOp]) { for i in ops.indices { insert(ops[i].kernel) } }

    mutating func insert(_ kernel: Kernel) { mask |= 1 << UInt64(kernel.rawValue) }

    func hasAll(_ a: Kernel, _ b: Kernel? = nil) -> Bool { has(a) && (b.map { has($0) } ?? true) }

    func hasAny(_ a: Kernel, _ b: Kernel, _ c: Kernel? = nil, _ d: Kernel? = nil) -> Bool {
      has(a) || has(b) || (c.map { has($0) } ?? false) || (d.map { has($0) } ?? false)
    }

    private func has(_ kernel: Kernel) -> Bool { mask >> UInt64(kernel.rawValue) & 1 == 1 }
  }

  /// What helps a graph whose weights still change: nothing that folds or packs them.
  @export(interface)
  public static func simplify(_ g: inout Graph) {
    removeDead(&g)
    makeGates(&g)
    makeErrorGates(&g)
    makeNorms(&g)
    removeDead(&g)
  }

  /// Who writes and reads each memory root; graph outputs count as a reader.
  struct Uses {
    var writers: [Int]
    var readers: [Int]
    /// Last op that writes, and one that reads.
    var writer: [Int]
    var reader: [Int]
    private let blocks: Blocks

    init(_ g: Graph) {
      blocks = Blocks(g.ops)
      writers = [Int](repeating: 0, count: g.values.count)
      readers = writers
      writer = [Int](repeating: -1, count: g.values.count)
      reader = writer
      for i in g.ops.indices {
        for v in g.ops[i].inputs where v >= 0 {
          readers[g.root(v)] += 1
          reader[g.root(v)] = i
        }
        for v in g.ops[i].outputs where v >= 0 {
          writers[g.root(v)] += 1
          writer[g.root(v)] = i
        }
      }
      for o in g.outputs { readers[g.root(o.value)] += 1 }
    }

    /// Whether the memory of `v` is written once and read once, by ops that run for the same rows.
    func isPrivate(_ v: Int, _ g: Graph) -> Bool {
      let r = g.root(v)
      return writers[r] == 1 && readers[r] == 1 && reader[r] >= 0 && blocks.of[writer[r]] == blocks.of[reader[r]]
    }
  }

  /// Whether `v` is all of its root.
  public static func isWhole(_ v: Int, _ g: Graph) -> Bool {
    let value = g.values[v]
    return value.offset == 0 && value.byteCount == g.values[value.root].byteCount
  }

  static func compact(_ g: inout Graph, _ dead: [Bool]) {
    guard var next = dead.firstIndex(of: true) else { return }
    for i in next..<g.ops.count where !dead[i] {
      g.ops.swapAt(next, i)
      next += 1
    }
    g.ops.removeLast(g.ops.count - next)
  }

  /// Drops ops whose results nobody reads, and blocks that are left without ops.
  static func removeDead(_ g: inout Graph) {
    var isLive = [Bool](repeating: false, count: g.values.count)
    for o in g.outputs { isLive[g.root(o.value)] = true }
    var dead = [Bool](repeating: false, count: g.ops.count)
    /// The end of each open block, and whether an op inside of it is needed.
    var open: [(end: Int, isNeeded: Bool)] = []
    for i in stride(from: g.ops.count - 1, through: 0, by: -1) {
      if case .end = g.ops[i].params {
        open.append((i, false))
        continue
      }
      var isNeeded = false
      if case .branch = g.ops[i].params, let block = open.popLast() {
        isNeeded = block.isNeeded
        dead[block.end] = !isNeeded
      }
      for v in g.ops[i].outputs where v >= 0 && isLive[g.root(v)] { isNeeded = true }
      if isNeeded && !open.isEmpty { open[open.count - 1].isNeeded = true }
      dead[i] = !isNeeded
      if isNeeded { for v in g.ops[i].inputs where v >= 0 { isLive[g.root(v)] = true } }
    }
    compact(&g, dead)
  }

  /// Products with a constant f32 matrix become dense ops over packed weights.
  static func makeDense(_ g: inout Graph) {
    for i in g.ops.indices {
      guard case .matmul(let p) = g.ops[i].params, g.ops[i].type == .f32 else {
        continue
      }
      let a = g.ops[i, .a]
      let c = g.ops[i, .bias]
      guard let w = g.values[g.ops[i, .b]].constant, g.values[a].constant == nil, p.m > 0, p.k > 0, p.n > 0
      else { continue }
      guard p.a_k == 1 || p.k == 1, p.a_m == p.k || p.m == 1 else { continue }
      // rows of all matrices of the batch must follow each other, and share the weights
      var m = p.m
      var isPlain = true
      withUnsafeBytes(of: (p.batch, p.a_batch, p.b_batch)) { raw in
        let n = raw.bindMemory(to: Int64.self)
        let rank = Int(p.batch_rank)
        var expected = p.m * p.k
        for d in stride(from: rank - 1, through: 0, by: -1) where n[d] != 1 {
          if n[8 + d] != expected || n[16 + d] != 0 { isPlain = false }
          expected *= n[d]
          m *= n[d]
        }
      }
      guard isPlain, m > 0 else { continue }
      var pack = Packing(weights: w)
      pack.inputStride = Int(p.b_k)
      pack.outputStride = Int(p.b_n)
      pack.scale = p.alpha
      if c >= 0 && p.beta != 0 {
        guard let bias = g.values[c].constant, p.bias_m == 0 || p.m == 1 else { continue }
        pack.bias = bias
        pack.biasStride = Int(p.bias_n)
        pack.biasScale = p.beta
      }
      var d = eff_dense()
      (d.m, d.k, d.n, d.ldx, d.ldy) = (m, p.k, p.n, p.k, p.n)
      d.weights = ElementType.f32.rawValue
      let old = g.ops[i]
      g.ops[i] = GraphOp(.dense(d), type: .f32, inputs: [a], outputs: [old[.y]], label: old.label)
      g.ops[i].packing = pack
      g.ops[i].work = old.work
    }
  }

  /// Activations move into the op that makes their input.
  static func addActivations(_ g: inout Graph) {
    let uses = Uses(g)
    var dead = [Bool](repeating: false, count: g.ops.count)
    for i in g.ops.indices {
      guard case .unary(let u) = g.ops[i].params, g.ops[i].type == .f32, u.fn <= EFF_FN_CLIP else { continue }
      let x = g.ops[i, .x]
      guard x >= 0, g.values[x].constant == nil, uses.isPrivate(x, g), isWhole(x, g) else { continue }
      let w = uses.writer[g.root(x)]
      guard w >= 0, !dead[w] else { continue }
      guard let old = g.ops[w].params.activation, old.isIdentity else { continue }
      g.ops[w].params.activation = Activation(fn: u.fn, alpha: u.alpha, beta: u.beta)
      g.ops[w, .y] = g.ops[i, .y]
      dead[i] = true
    }
    compact(&g, dead)
  }

  /// What branches have in common is written by the op that makes it, without a copy.
  static func writeJoints(_ g: inout Graph) {
    let uses = Uses(g)
    var dead = [Bool](repeating: false, count: g.ops.count)
    for i in g.ops.indices {
      guard case .copy(let p) = g.ops[i].params, p.rank == 1, load(p.x, 1) == [1], load(p.y, 1) == [1],
        p.x_offset == 0, p.y_offset == 0
      else { continue }
      let (x, y) = (g.ops[i, .x], g.ops[i, .y])
      guard g.values[x].constant == nil, uses.isPrivate(x, g), uses.writers[g.root(y)] > 1, isWhole(x, g), isWhole(y, g)
      else { continue }
      guard load(p.dims, 1)[0] == g.values[x].count, g.values[x].byteCount == g.values[y].byteCount else { continue }
      let w = uses.writer[g.root(x)]
      // nobody else writes or reads it in between
      guard i - w <= 256,
        !g.ops[(w + 1)..<i].contains(where: { $0.operands.contains { $0 >= 0 && g.root($0) == g.root(y) } })
      else { continue }
      dead[i] = g.ops[w].redirect(g.root(x), to: y, g.values)
    }
    compact(&g, dead)
  }

  /// LSTM and GRU with constant f32 weights and standard options take packed weights.
  static func packRecurrent(_ g: inout Graph, _ isa: Int32) {
    for i in g.ops.indices {
      guard case .rnn(var p) = g.ops[i].params, g.ops[i].type == .f32 else { continue }
      let old = g.ops[i]
      guard let w = g.values[old[.w]].constant, let r = g.values[old[.r]].constant, old[.lengths] < 0, old[.p] < 0
      else { continue }
      let b = old[.b] >= 0 ? g.values[old[.b]].constant : nil
      guard old[.b] < 0 || b != nil, eff_rnn_packed_size(&p, isa) > 0 else { continue }
      g.ops[i] = GraphOp(
        .rnnPacked(p), type: .f32, inputs: [old[.x], old[.h0], old[.c0]], outputs: Array(old.outputs), label: old.label)
      g.ops[i].packing = Packing(weights: w, recurrent: r, bias: b)
      g.ops[i].scratch = Int(eff_rnn_packed_scratch_size(&p, isa))
      g.ops[i].work = old.work
    }
  }
}
