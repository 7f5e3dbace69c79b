import Base
import Graph
import Kernels
import Onnx

/// Where the file keeps the statistics that the learner took over.
struct ImportedNormalizer {
  var center: String
  var scale: String
  var shape: [Int]
  /// By the deviation, rather than multiplied by its inverse.
  var isDivided: Bool
}

/// The graph of a loaded network while it is put together.
struct LoadedDraft {
  private var draft: NetworkDraft
  private(set) var heads: PolicyHeads
  /// Inputs of the file; what follows them are inputs of the learner's.
  let fileInputs: Int
  /// Value of the normalized observation, or -1 where nothing reads it.
  private(set) var normalized = -1
  /// Dimensions or choices.
  let count: Int
  private(set) var mean: [Double] = []
  private(set) var deviation: [Double] = []
  private(set) var normalizer: ImportedNormalizer?
  /// Name in the file of what the Gaussian or the choice lies around.
  private(set) var meanName = ""

  private let settings: PolicySettings
  private let kind: LoadedHead
  private let inputCount: Int

  init(_ settings: PolicySettings, _ kind: LoadedHead, _ s: LearnerSettings, widths: [Int], isa: Int32) throws(Failure)
  {
    self.settings = settings
    self.kind = kind
    inputCount = s.inputCount
    guard let source = settings.policy.source else {
      throw Failure(
        .state,
        """
        the policy was loaded without its file being kept; load it with eff_policy_options.learnable = 1 (Python: \
        learnable=True)
        """
      )
    }
    let (model, build) = try source.read()
    var options = build
    options.isa = isa
    let all = ParameterNames(model.graph, cells: settings.learnsCells)
    var names = all
    for o in model.graph.outputs where contains(o.name, "std") {
      if let leaf = all.source(of: o.name) { names.add(leaf) }
    }
    let frozen = settings.frozen + (try settings.policy.frozenNames())
    var chosen = names.names.filter { name in !frozen.contains { name.utf8.starts(with: $0.utf8) } }
    if case .residual = settings.part { chosen = [] }
    if settings.features != nil { chosen = [] }
    var graph: Graph
    (graph, heads) = try LoadedDraft.build(model, options, chosen, settings, kind)
    // a second look, without what turned out not to learn: its constants fold
    let trial = try DifferentiablePlan(graph, heads: heads)
    let kept = trial.parameters.indices.filter { i in
      guard trial.isReached(i) else { return false }
      if case .last(let n) = settings.part { return trial.layersAfter[i] < n }
      return true
    }
    if kept.count < chosen.count {
      chosen = kept.map { trial.parameters[$0].name }
      (graph, heads) = try LoadedDraft.build(model, options, chosen, settings, kind)
    }
    fileInputs = graph.inputs.count
    count = settings.features == nil ? graph.values[heads.mean].count : kind.isValue ? s.criticOutputs : s.actionCount
    draft = NetworkDraft(graph)
    draft.parameters = graph.parameters.map {
      LearnedParameter(name: $0.name, value: $0.value, shape: $0.initial.shape, initial: .data($0.initial))
    }
    meanName = graph.values[heads.mean].name
    if case .counted = settings.normalizer { try takeNormalizer() }
    if case .residual(let bound) = settings.part { addResidual(bound, widths, s.hidden) }
    if settings.features != nil {
      heads.mean = draft.layers(heads.mean, [], outputs: count, s.hidden, last: .number(0))
    }
  }

  private static func build(
    _ model: OnnxModel, _ options: BuildOptions, _ names: [String], _ settings: PolicySettings, _ kind: LoadedHead
  ) throws(Failure) -> (Graph, PolicyHeads) {
    var options = options
    options.parameters = Set(names)
    for name in [settings.mean, settings.std, settings.value, settings.features] {
      if let name { options.kept.append(name) }
    }
    let g = try Builder.build(model, options)
    return (g, try PolicyHeads(g, settings, kind))
  }

  /// Inputs of the file that are observations.
  private var raw: [Int] {
    let g = draft.graph
    return (0..<fileInputs).filter { i in !g.states.contains { $0.input == i } }.map { g.inputs[$0].value }
  }

  /// The plan over one head: [mean, std], or the numbers alone.
  mutating func finish(_ s: LearnerSettings, _ notes: inout [String]) throws(Failure) -> DifferentiablePlan {
    let n = count
    if kind.isGaussian && heads.std < 0 { addStd() }
    let head = draft.value("head", [kind.isGaussian ? 2 * n : n])
    draft.copy(heads.mean, to: head, count: n)
    if kind.isGaussian { draft.copy(heads.std, to: head, at: n, count: n) }
    draft.graph.keep(head)
    Fusion.simplify(&draft.graph)
    let plan = try DifferentiablePlan(
      draft.graph, head: head, parameters: draft.parameters, raw: raw, isDouble: s.isDouble)
    guard !plan.parameters.isEmpty else {
      throw Failure(
        .unsupported,
        """
        the policy has no f32 weights that lead to its \(kind.noun) through operators with a derivative; learn a \
        residual instead
        """
      )
    }
    for (i, p) in plan.parameters.enumerated() where !plan.isReached(i) {
      notes.append("parameter '\(p.name)' does not reach the head and stays as it is")
    }
    notes += plan.cellNotes
    return plan
  }

  // MARK: adding to the graph

  private mutating func addStd() {
    if case .parameter = settings.stdSource {
      heads.std = draft.parameter("log_std", [count], .number(eff_learn_log(settings.initialStd)))
      heads.stdForm = .logarithm
      return
    }
    heads.stdForm = .direct
    heads.std = draft.value("std", [1], constant: number(settings.initialStd))
  }

  private func number(_ x: Double) -> TensorData? {
    guard let bytes = try? Bytes.zeroed(64) else { return nil }
    bytes.mutable.storeBytes(of: Float(x), as: Float.self)
    return TensorData(type: .f32, shape: [1], bytes: bytes)
  }

  private mutating func normalizedInput() -> Int {
    if normalized < 0 { normalized = draft.normalizedInput(inputCount) }
    return normalized
  }

  // MARK: normalizer

  /// (observation - c) / d, or times 1 / d, becomes the learner's normalized observation; c and d its statistics.
  private mutating func takeNormalizer() throws(Failure) {
    guard draft.graph.inputs.count - draft.graph.states.count == 1,
      let port = draft.graph.inputs.indices.first(where: { i in !draft.graph.states.contains { $0.input == i } })
    else {
      throw Failure(.unsupported, "the policy's normalizer cannot be imported: the policy has several observations")
    }
    let x = draft.graph.inputs[port].value
    let n = draft.graph.values[x].count
    func numbers(_ v: Int) -> [Double]? {
      guard let c = draft.graph.values[v].constant, c.type == .f32, c.count == n || c.count == 1 else { return nil }
      return (0..<n).map { Double(c.float(c.count == 1 ? 0 : $0)) }
    }
    for op in draft.graph.ops {
      guard case .binary(let p) = op.params, p.fn == EFF_FN2_SUB, draft.graph.root(op[.a]) == x,
        draft.graph.values[op[.a]].count == n, let c = numbers(op[.b])
      else { continue }
      let centered = draft.graph.root(op[.y])
      for (i, next) in draft.graph.ops.enumerated() {
        guard case .binary(let q) = next.params, q.fn == EFF_FN2_DIV || q.fn == EFF_FN2_MUL,
          draft.graph.root(next[.a]) == centered, let d = numbers(next[.b])
        else { continue }
        mean = c
        deviation = q.fn == EFF_FN2_DIV ? d : d.map { 1 / $0 }
        normalizer = ImportedNormalizer(
          center: draft.graph.values[op[.b]].name, scale: draft.graph.values[next[.b]].name,
          shape: draft.graph.values[op[.y]].shape.drop { $0 == 1 } + [],
          isDivided: q.fn == EFF_FN2_DIV)
        let y = next[.y]
        let from = normalizedInput()
        let last = draft.graph.ops.count
        draft.copy(from, to: y, count: n)
        draft.graph.ops[i] = draft.graph.ops[last]
        draft.graph.ops.removeLast()
        return
      }
    }
    throw Failure(
      .unsupported,
      "the policy's normalizer cannot be imported: found no (observation - constant) / constant at its input")
  }

  // MARK: residual

  /// mean + bound tanh(network(normalized observation)), with a last layer that starts at zero.
  private mutating func addResidual(_ bound: Double, _ widths: [Int], _ hidden: HiddenLayers) {
    let input = normalizedInput()
    let x = draft.layers(input, widths, outputs: count, hidden, prefix: "residual.", last: .number(0))
    let bounded = draft.value("residual.out.y", [count])
    draft.unary(Int32(EFF_FN_SCALED_TANH), x, to: bounded, alpha: bound)
    var sum = eff_binary()
    (sum.fn, sum.rank) = (Int32(EFF_FN2_ADD), 1)
    store([count], &sum.dims)
    store([1], &sum.a)
    store([1], &sum.b)
    let y = draft.value("corrected mean", [count])
    draft.add(.binary(sum), [heads.mean, bounded], y)
    heads.mean = y
  }
}

extension Graph {
  /// Leaves as outputs a head and the recurrent states.
  fileprivate mutating func keep(_ head: Int) {
    var ports = [Port(name: "head", value: head)]
    var pairs: [StatePair] = []
    for state in states {
      pairs.append(StatePair(input: state.input, output: ports.count))
      ports.append(outputs[state.output])
    }
    (outputs, states) = (ports, pairs)
  }
}

extension DifferentiablePlan {
  /// The plan of a graph as the file has it, to see which parameters reach the head.
  fileprivate init(_ graph: Graph, heads: PolicyHeads) throws(Failure) {
    var g = graph
    var parameters: [LearnedParameter] = []
    for p in graph.parameters {
      parameters.append(
        LearnedParameter(name: p.name, value: p.value, shape: p.initial.shape, initial: .data(p.initial)))
    }
    // one value over mean and std
    let parts = [heads.mean] + (heads.std >= 0 ? [heads.std] : [])
    let head = g.values.count
    g.values.append(Value(name: "head", type: .f32, shape: [parts.count], root: head))
    for v in parts {
      g.ops.append(GraphOp(.copy(eff_strided()), type: .f32, inputs: [v], outputs: [head], label: "head"))
    }
    g.keep(head)
    Fusion.simplify(&g)
    try self.init(g, head: head, parameters: parameters, raw: [], isDouble: false)
  }
}
