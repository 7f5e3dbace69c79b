import Base
import Graph
import Kernels
import Onnx

/// A product of one row with weights of its own, and the normalization and activation that follow it: one kernel, which
/// keeps the traces of the weights as it passes over them.
struct LearnedLayer {
  /// Parameters; the bias is -1 where it is none.
  var weight: Int
  var bias: Int
  var matrix: LayerMatrix
  /// Values: input, output of the product (normalized in place), and output of the layer, which may be the same.
  var x: Int
  var linear: Int
  var output: Int
  /// Epsilon of a LayerNorm without scale and shift.
  var norm: Double? = nil
  var activation = Int32(EFF_FN_IDENTITY)
  var alpha = 0.0
  /// The gradient of its input has other parts.
  var adds = true
}

/// Finds the layers of a graph, and leaves one op of each, its product, which writes the layer's output.
///
/// A layer always runs, and nothing else reads its parameters: else a trace would miss a decay or a gradient.
struct LayerSearch {
  private(set) var graph: Graph
  /// By op.
  private(set) var layers: [LearnedLayer?] = []
  private let parameters: [LearnedParameter]
  private let isDouble: Bool
  /// Curved activations are part of a layer too.
  private let fusesCurves: Bool
  /// By value that is one, -1 for others.
  private var parameterOf: [Int]
  /// By memory root: ops that write and read it; an output of the graph is read once more.
  private var writers: [Int]
  private var readers: [Int]
  private var reader: [Int]
  private let isMain: [Bool]
  /// Inputs that lie next to each other, and so are not padded.
  private let packed: [Int]

  /// - Parameters:
  ///   - raw: values that together are the observation
  ///   - fusesCurves: curved activations are part of a layer, which then passes several states at once. The layer's
  ///     kernel takes them number by number; as ops of their own they are vectors.
  init(
    _ g: Graph, _ parameters: [LearnedParameter], head: Int, raw: [Int], isDouble: Bool, fusesCurves: Bool
  ) {
    graph = g
    (self.parameters, self.isDouble, self.fusesCurves) = (parameters, isDouble, fusesCurves)
    packed = raw.count > 1 ? raw : []
    isMain = Blocks(g.ops).of.map { $0 == 0 }
    parameterOf = [Int](repeating: -1, count: g.values.count)
    writers = [Int](repeating: 0, count: g.values.count)
    (readers, reader) = (writers, parameterOf)
    for (i, p) in parameters.enumerated() { parameterOf[p.value] = i }
    for (i, op) in g.ops.enumerated() {
      for v in op.inputs where v >= 0 {
        readers[g.root(v)] += 1
        reader[g.root(v)] = i
      }
      for v in op.outputs where v >= 0 { writers[g.root(v)] += 1 }
    }
    for port in g.outputs { readers[g.root(port.value)] += 1 }
    for port in g.inputs { writers[g.root(port.value)] += 1 }
    readers[g.root(head)] += 1
    fuse()
  }

  private mutating func fuse() {
    var isFused = [Bool](repeating: false, count: graph.ops.count)
    var found = [LearnedLayer?](repeating: nil, count: graph.ops.count)
    for i in graph.ops.indices {
      guard var layer = product(i) else { continue }
      if let j = follower(of: layer.output), let epsilon = norm(j, layer.matrix.outputs) {
        layer.norm = epsilon
        layer.output = graph.ops[j][.y]
        isFused[j] = true
      }
      if let j = follower(of: layer.output), let (fn, alpha) = activation(j) {
        (layer.activation, layer.alpha) = (fn, alpha)
        layer.output = graph.ops[j][.y]
        isFused[j] = true
      }
      graph.ops[i][.y] = layer.output
      found[i] = layer
    }
    var ops: [GraphOp] = []
    for i in graph.ops.indices where !isFused[i] {
      ops.append(graph.ops[i])
      layers.append(found[i])
    }
    graph.ops = ops
  }

  /// The op that alone reads what a layer has written, where it always runs and writes a value of its own.
  private func follower(of v: Int) -> Int? {
    let r = graph.root(v)
    guard readers[r] == 1, reader[r] >= 0, isMain[reader[r]], graph.ops[reader[r]].type == .f32 else { return nil }
    return reader[r]
  }

  /// Whether one op alone writes `v`, which is all of its memory.
  private func isOwn(_ v: Int) -> Bool {
    v >= 0 && writers[graph.root(v)] == 1 && Fusion.isWhole(v, graph) && graph.values[v].constant == nil
  }

  private func product(_ i: Int) -> LearnedLayer? {
    let op = graph.ops[i]
    guard case .matmul(let p) = op.params, isMain[i], op.type == .f32, p.m == 1, p.n > 0, p.k > 0, p.act == 0,
      p.alpha == 1, p.a_k == 1 || p.k == 1
    else { return nil }
    for d in 0..<Int(p.batch_rank) where dimension(p, d) != 1 { return nil }
    let (n, k) = (Int(p.n), Int(p.k))
    let isPlain = (p.b_k == 1 || k == 1) && (p.b_n == p.k || n == 1)
    let isTransposed = (p.b_n == 1 || n == 1) && (p.b_k == p.n || k == 1)
    let weight = own(op[.b], n * k)
    let x = op[.a]
    guard isPlain || isTransposed, weight >= 0, isOwn(op[.y]), graph.values[op[.y]].count == n else { return nil }
    guard Fusion.isWhole(x, graph), graph.values[x].count == k, graph.values[x].type == .f32,
      parameterOf[graph.root(x)] < 0, !packed.contains(graph.root(x))
    else { return nil }
    var bias = -1
    if op[.bias] >= 0 {
      guard p.beta == 1, p.bias_n == 1 || n == 1, graph.values[op[.bias]].count == n else { return nil }
      bias = own(op[.bias], n)
      guard bias >= 0 || graph.values[op[.bias]].constant?.type == .f32 else { return nil }
    }
    return LearnedLayer(
      weight: weight, bias: bias,
      matrix: LayerMatrix(inputs: k, outputs: n, isTransposed: !isPlain, isDouble: isDouble), x: x,
      linear: op[.y], output: op[.y])
  }

  private func dimension(_ p: eff_matmul, _ d: Int) -> Int64 {
    withUnsafeBytes(of: p.batch) { $0.loadUnaligned(fromByteOffset: d * 8, as: Int64.self) }
  }

  /// The parameter of `count` elements that `v` is, where nothing else reads it; or -1.
  private func own(_ v: Int, _ count: Int) -> Int {
    guard v >= 0, graph.values[v].constant == nil, graph.values[v].offset == 0, graph.values[v].count == count else {
      return -1
    }
    let r = graph.root(v)
    guard parameterOf[r] >= 0, readers[r] == 1, parameters[parameterOf[r]].count == count else { return -1 }
    return parameterOf[r]
  }

  private func norm(_ j: Int, _ n: Int) -> Double? {
    let op = graph.ops[j]
    guard case .norm(let p) = op.params, p.outer == 1, p.n == Int64(n), p.rms == 0, p.act == 0, op[.scale] < 0,
      op[.bias] < 0, op[.mean] < 0, op[.invStd] < 0, isOwn(op[.y])
    else { return nil }
    return p.epsilon
  }

  /// An activation that the layer's kernel knows.
  private func activation(_ j: Int) -> (Int32, Double)? {
    let op = graph.ops[j]
    guard case .unary(let p) = op.params, isOwn(op[.y]) else { return nil }
    switch Int(p.fn) {
    case EFF_FN_IDENTITY, EFF_FN_RELU: return (p.fn, 0)
    case EFF_FN_LEAKY_RELU: return (p.fn, p.alpha)
    case EFF_FN_TANH: return fusesCurves ? (p.fn, 0) : nil
    case EFF_FN_ELU: return fusesCurves ? (p.fn, p.alpha) : nil
    case EFF_FN_SWISH: return fusesCurves && p.alpha == 1 ? (p.fn, 0) : nil
    default: return nil
    }
  }
}
