import Base
import Onnx

/// Which constants of a model are weights, and which are facts about the robot.
///
/// Weights are: the matrices and kernels of MatMul, Gemm, Conv and ConvTranspose; what is added directly to their
/// result; scale and bias of normalization layers; and arrays that act element by element between two such layers (the
/// gain of a normalization that is spelled out, the slope of a PRelu). Not weights, and never learned: what acts on the
/// observation before the first layer (the statistics of a normalizer), what acts after the last one (the scale of the
/// action), single numbers, and the running statistics of a BatchNormalization.
/// Those of LSTM and GRU cells (W, R and B) are, where the caller wants them.
/// Only f32 tensors in the main graph are looked at: initializers, and Constant nodes. The branches of an If may be
/// what uses them.
public struct ParameterNames {
  /// In the order in which the nodes use them.
  public private(set) var names: [String] = []
  private var known: Set<String> = []
  /// f32 tensors: elements.
  private var leaves: [String: Int] = [:]
  /// The leaf that a tensor computed at load comes from, by way of nodes with one such input.
  private var sources: [String: String] = [:]
  /// Tensors that several leaves are joined to.
  private var joined: [(name: String, leaves: [String])] = []
  private let hasCells: Bool
  private var constants: Set<String> = []
  /// Results that have passed a layer, and those that come directly out of one.
  private var layered: Set<String> = []
  private var fresh: Set<String> = []
  private var pending: [(name: String, node: Int)] = []

  @export(interface)
  public init(_ graph: OnnxGraph, cells: Bool = false) {
    hasCells = cells
    for t in graph.initializers {
      constants.insert(t.name)
      declare(t.name, t)
    }
    for (i, n) in graph.nodes.enumerated() { visit(n, i) }
    settle(graph)
  }

  /// The f32 tensor that alone decides `name`, an output or inner tensor that depends on no input; nil where there is
  /// none.
  @export(interface)
  public func source(of name: String) -> String? { sources[name] }

  @export(interface)
  public mutating func add(_ name: String) {
    if known.insert(name).inserted { names.append(name) }
  }

  private mutating func declare(_ name: String, _ t: OnnxTensor) {
    guard t.type == ElementType.f32.rawValue else { return }
    var count = 1
    for d in t.dims { count = d > 0 && d < 1 << 40 ? count.multipliedReportingOverflow(by: Int(d)).partialValue : 0 }
    leaves[name] = count
    sources[name] = name
  }

  private mutating func weight(_ n: OnnxNode, _ i: Int) {
    guard i < n.inputs.count, constants.contains(n.inputs[i]), let leaf = sources[n.inputs[i]] else { return }
    add(leaf)
  }

  private mutating func cellWeight(_ n: OnnxNode, _ i: Int) {
    guard i < n.inputs.count, constants.contains(n.inputs[i]) else { return }
    for leaf in allSources(of: n.inputs[i]) { add(leaf) }
  }

  private func allSources(of name: String) -> [String] {
    if let source = sources[name] { return [source] }
    return joined.first { $0.name == name }?.leaves ?? []
  }

  private mutating func visit(_ n: OnnxNode, _ index: Int) {
    let op = Operator(n.op)
    if op == .if { return visitBranches(n, index) }
    if isConstant(n, op) { return }
    let data = n.inputs.first { !$0.utf8.isEmpty && !constants.contains($0) } ?? ""
    var isLayered = n.inputs.contains { layered.contains($0) }
    var isFresh = false
    switch op {
    case .matMul, .gemm, .conv, .convTranspose:
      isFresh = n.inputs.contains { constants.contains($0) && sources[$0] != nil }
      isLayered = isLayered || isFresh
      for i in 0..<3 { weight(n, i) }
    case .layerNormalization, .rmsNormalization, .groupNormalization, .instanceNormalization:
      weight(n, 1)
      weight(n, 2)
    case .batchNormalization where isLayered:
      weight(n, 1)
      weight(n, 2)
    case .add where fresh.contains(data): for i in 0..<2 { weight(n, i) }
    case .add, .sub, .mul, .div, .pRelu:
      guard isLayered else { break }
      for name in n.inputs where constants.contains(name) {
        if let leaf = sources[name], (leaves[leaf] ?? 0) > 1 { pending.append((leaf, index)) }
      }
    case .lstm, .gru, .rnn:
      isLayered = true
      if hasCells { for i in 1..<4 { cellWeight(n, i) } }
    case .reshape, .transpose, .squeeze, .unsqueeze, .flatten, .identity: isFresh = fresh.contains(data)
    default: break
    }
    for name in n.outputs {
      if isLayered { layered.insert(name) }
      if isFresh { fresh.insert(name) }
    }
  }

  /// What the nodes of branches use; an output is layered where it is in one of them.
  private mutating func visitBranches(_ n: OnnxNode, _ index: Int) {
    for a in n.attributes {
      for g in a.graphs {
        for inner in g.nodes { visit(inner, index) }
        for (o, name) in zip(g.outputs, n.outputs) {
          if layered.contains(o.name) { layered.insert(name) }
          if fresh.contains(o.name) { fresh.insert(name) }
        }
      }
    }
  }

  /// Names that a node reads, those of its subgraphs included.
  private func reads(_ n: OnnxNode) -> [String] {
    var names = n.inputs
    for a in n.attributes { for g in a.graphs { for inner in g.nodes { names += reads(inner) } } }
    return names
  }

  /// Notes what a node gives that depends on no input.
  private mutating func isConstant(_ n: OnnxNode, _ op: Operator) -> Bool {
    let isShape = op == .shape || op == .size
    let isRandom = op == .randomNormal || op == .randomUniform
    for name in n.inputs where !name.utf8.isEmpty && !constants.contains(name) && !isShape { return false }
    if isRandom { return false }
    // single numbers beside an array do not matter
    var found: [String] = []
    for name in n.inputs {
      for source in allSources(of: name) where !found.contains(source) { found.append(source) }
    }
    let arrays = found.filter { (leaves[$0] ?? 0) > 1 }
    let leaf = arrays.count == 1 ? arrays.first : found.count == 1 ? found.first : nil
    for name in n.outputs {
      constants.insert(name)
      if op == .constant, let t = n.attributes.first(where: { $0.name == "value" })?.tensors.first {
        declare(name, t)
      } else if let leaf {
        sources[name] = leaf
      } else if hasCells, op != .constant, found.count > 1 {
        joined.append((name, found))
      }
    }
    return true
  }

  /// Arrays that act element by element are weights where another layer follows.
  private mutating func settle(_ graph: OnnxGraph) {
    var leads: Set<String> = []
    var isFollowed = [Bool](repeating: false, count: graph.nodes.count)
    for (i, n) in graph.nodes.enumerated().reversed() {
      isFollowed[i] = n.outputs.contains { leads.contains($0) }
      let isLayer =
        [Operator.matMul, .gemm, .conv, .convTranspose].contains(Operator(n.op))
        && n.inputs.contains { constants.contains($0) }
      if isFollowed[i] || isLayer { for name in reads(n) { leads.insert(name) } }
    }
    for p in pending where isFollowed[p.node] { add(p.name) }
  }
}
