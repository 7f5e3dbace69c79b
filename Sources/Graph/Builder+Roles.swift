import Base
import Kernels
import Onnx

// what every input and output is for: decided by the caller, by metadata, by one clear name, by being the only
// candidate; never guessed
extension Builder {
  mutating func decideRoles() throws(Failure) {
    try setStates(hints)
    try setObservation(hints)
    try setAction(hints)
    noteBatch()
    graph.refusal = refusal()
    if !graph.refusal.utf8.isEmpty { graph.notes.append(GraphNote(graph.refusal)) }
  }

  // MARK: recurrent state

  /// Pairs given by the caller or the file, or recognized by name and shape.
  private mutating func setStates(_ hints: RoleHints) throws(Failure) {
    if let pairs = options.states {
      try setStates(pairs, .option)
    } else if let pairs = hints.states {
      try setStates(pairs, .metadata)
    } else {
      recognizeStates()
    }
  }

  private mutating func setStates(_ pairs: [(input: String, output: String)], _ reason: RoleReason) throws(Failure) {
    for pair in pairs {
      guard let i = graph.inputs.firstIndex(where: { $0.name == pair.input }) else {
        throw Failure(.argument, "state '\(pair.input)' names no input; the inputs are \(names(graph.inputs))")
      }
      guard let o = graph.outputs.firstIndex(where: { $0.name == pair.output }) else {
        throw Failure(.argument, "state '\(pair.output)' names no output; the outputs are \(names(graph.outputs))")
      }
      guard describePort(graph.inputs[i]) == describePort(graph.outputs[o]) else {
        throw Failure(
          .shape,
          """
          state '\(pair.input)' is \(describePort(graph.inputs[i])), but '\(pair.output)' is \
          \(describePort(graph.outputs[o])); expected the same
          """
        )
      }
      guard !graph.states.contains(where: { $0.input == i || $0.output == o }) else {
        throw Failure(.argument, "state '\(pair.input)' -> '\(pair.output)' is given twice")
      }
      take(StatePair(input: i, output: o), reason)
    }
  }

  private mutating func take(_ pair: StatePair, _ reason: RoleReason) {
    graph.states.append(pair)
    (graph.inputs[pair.input].role, graph.inputs[pair.input].reason) = (.state, reason)
    (graph.outputs[pair.output].role, graph.outputs[pair.output].reason) = (.state, reason)
  }

  private mutating func recognizeStates() {
    guard StatePairing.mayBeStates(graph.inputs.map { $0.name }) else { return }
    let found = StatePairing(inputs: tensors(graph.inputs), outputs: tensors(graph.outputs))
    for note in found.notes { graph.notes.append(GraphNote(note, isWarning: true)) }
    guard !found.pairs.isEmpty else { return }
    let read = readInputs()
    guard graph.inputs.indices.contains(where: { i in read[i] && !found.pairs.contains { $0.input == i } }) else {
      let pair = found.pairs[0]
      graph.notes.append(GraphNote("""
        input '\(graph.inputs[pair.input].name)' is no state: as the state of output \
        '\(graph.outputs[pair.output].name)' it would leave no observation; name the pairs if it is one
        """, isWarning: true))
      return
    }
    // a model of the world says state -> next_state too, but it has no action to give
    let hasAction = graph.outputs.indices.contains { o in
      !found.pairs.contains { $0.output == o } && ActionName(graph.outputs[o].name) != .never
    }
    for (k, pair) in found.pairs.enumerated() {
      let (input, output) = (graph.inputs[pair.input].name, graph.outputs[pair.output].name)
      if !hasAction && found.weak.contains(pair.input) {
        let reason = "as the state of output '\(output)' it would leave no action"
        graph.notes.append(
          GraphNote("input '\(input)' is no state: \(reason); name the pairs if it is one", isWarning: true))
        continue
      }
      take(pair, .name)
      if k < 64 {
        graph.notes.append(
          GraphNote("input '\(input)' is recurrent state, its next value is output '\(output)': by name"))
      }
    }
  }

  private func tensors(_ ports: [Port]) -> [StatePairing.Tensor] {
    ports.map { StatePairing.Tensor(name: $0.name, kind: describePort($0)) }
  }

  // MARK: observation

  /// Which inputs some output depends on.
  private func readInputs() -> [Bool] {
    // one input is what the policy sees, whatever it does with it
    if graph.inputs.count < 2 { return graph.inputs.map { _ in true } }
    var live = graph
    Fusion.removeDead(&live)
    var isRead = [Bool](repeating: false, count: graph.values.count)
    for o in graph.outputs { isRead[graph.root(o.value)] = true }
    for op in live.ops { for v in op.inputs where v >= 0 { isRead[graph.root(v)] = true } }
    return graph.inputs.map { isRead[graph.root($0.value)] }
  }

  private mutating func setObservation(_ hints: RoleHints) throws(Failure) {
    let read = readInputs()
    let name = options.observation ?? hints.observation
    let chosen: RoleReason = options.observation != nil ? .option : .metadata
    if let name {
      guard let i = graph.inputs.firstIndex(where: { $0.name == name }) else {
        throw Failure(.argument, "observation '\(name)' names no input; the inputs are \(names(graph.inputs))")
      }
      guard graph.inputs[i].role != .state else {
        throw Failure(
          .argument, "observation '\(name)' is recurrent state; choose another input, or other pairs of states")
      }
    }
    let candidates = graph.inputs.indices.filter { graph.inputs[$0].role != .state && read[$0] }
    for i in graph.inputs.indices where graph.inputs[i].role != .state {
      if let name {
        let isChosen = graph.inputs[i].name == name
        (graph.inputs[i].role, graph.inputs[i].reason) =
          isChosen ? (.observation, chosen) : (.auxiliary, read[i] ? .another : .unused)
      } else if read[i] {
        (graph.inputs[i].role, graph.inputs[i].reason) = (.observation, candidates.count == 1 ? .onlyCandidate : .none)
      } else {
        (graph.inputs[i].role, graph.inputs[i].reason) = (.auxiliary, .unused)
        graph.notes.append(GraphNote("input '\(graph.inputs[i].name)' is not needed: no output depends on it"))
      }
    }
  }

  // MARK: action

  private mutating func setAction(_ hints: RoleHints) throws(Failure) {
    if let name = options.action ?? hints.action {
      guard let o = graph.outputs.firstIndex(where: { $0.name == name }) else {
        // the metadata may name an output that was not chosen
        if options.action == nil, model.graph.outputs.contains(where: { $0.name == name }) { return }
        throw Failure(.argument, "action '\(name)' names no output; the outputs are \(names(graph.outputs))")
      }
      guard graph.outputs[o].role != .state else {
        throw Failure(.argument, "action '\(name)' is recurrent state; choose another output, or other pairs of states")
      }
      for i in graph.outputs.indices where graph.outputs[i].role != .state { graph.outputs[i].reason = .another }
      (graph.outputs[o].role, graph.outputs[o].reason) = (.action, options.action != nil ? .option : .metadata)
      return
    }
    var all: [ActionCandidate] = []
    let flow = RandomFlow(graph)
    for i in graph.outputs.indices where graph.outputs[i].role != .state {
      let name = ActionName(graph.outputs[i].name)
      graph.outputs[i].reason = name == .never ? .neverAction : .another
      if name != .never {
        all.append(ActionCandidate(output: i, name: name, isSampled: flow.isRandom(graph.outputs[i].value)))
      }
    }
    // what depends on no input, or is an input, moves nothing; unless there is nothing else
    let inputs = Set(graph.inputs.map { graph.root($0.value) })
    func isComputed(_ c: ActionCandidate) -> Bool {
      let v = graph.outputs[c.output].value
      return graph.values[v].constant == nil && !inputs.contains(graph.root(v))
    }
    if all.contains(where: isComputed) {
      for c in all where !isComputed(c) { graph.outputs[c.output].reason = .constant }
      all = all.filter(isComputed)
    }
    let (chosen, reason) = choose(all, flow)
    if let chosen {
      (graph.outputs[chosen].role, graph.outputs[chosen].reason) = (.action, reason)
    } else {
      for c in all { graph.outputs[c.output].reason = .undecided }
    }
  }

  private func choose(_ all: [ActionCandidate], _ flow: RandomFlow) -> (Int?, RoleReason) {
    let best = all.map { $0.name.rawValue }.max() ?? 0
    if best == ActionName.unknown.rawValue { return all.count == 1 ? (all[0].output, .onlyCandidate) : (nil, .none) }
    var clear = all.filter { $0.name.rawValue == best }
    if clear.contains(where: { !$0.isSampled }) { clear = clear.filter { !$0.isSampled } }
    guard clear.count == 1 else { return (nil, .none) }
    guard clear[0].isSampled else { return (clear[0].output, .name) }
    // of a sampled and a deterministic action the deterministic one, if it is the same but for the noise
    let sampled = graph.outputs[clear[0].output].value
    let calm = all.filter {
      $0.name.rawValue > ActionName.unknown.rawValue && !$0.isSampled
        && isAlike(graph.outputs[$0.output].value, sampled)
    }
    if calm.isEmpty { return (clear[0].output, .name) }
    let same = calm.filter { flow.isSame(graph.outputs[$0.output].value, as: sampled) }
    return calm.count == 1 && same.count == 1 ? (same[0].output, .deterministic) : (nil, .none)
  }

  private func isAlike(_ a: Int, _ b: Int) -> Bool { type(a) == type(b) && shape(a) == shape(b) }

  // MARK: texts

  /// Why `eff_session_step` is refused.
  private func refusal() -> String {
    let observations = graph.inputs.filter { $0.role == .observation }
    let how = "(action of eff_policy_options, Python and C++; --action; metadata efferent.action)"
    guard let action = graph.outputs.first(where: { $0.role == .action }) else {
      let open = graph.outputs.filter { $0.reason == .undecided }
      if open.isEmpty {
        return
          "no output can be the action: found \(list(graph.outputs)), none of which is named as one; name it \(how)"
      }
      return "the action is not decided: it may be \(list(open)); name it \(how)"
    }
    if observations.count != 1 {
      if observations.isEmpty { return "step needs one observation, the policy has none: use run" }
      return """
        step needs one observation, the policy reads \(list(observations)): use run with all of them; or bind some by \
        constants, or name one (observation of eff_policy_options, Python and C++; --observation), then the others \
        keep what was written to them
        """
    }
    if type(observations[0].value) != .f32 {
      return
        "step reads f32, and the observation '\(observations[0].name)' is \(type(observations[0].value).name): use run"
    }
    if type(action.value) != .f32 {
      return "step writes f32, and the action '\(action.name)' is \(type(action.value).name): use run"
    }
    return ""
  }

  /// A batch that the exporter left in the file looks like one large observation.
  private mutating func noteBatch() {
    let seen = graph.inputs.filter { $0.role == .observation }
    guard let action = graph.outputs.first(where: { $0.role == .action }), let first = seen.first else { return }
    let n = shape(first.value).first ?? 1
    guard n > 1, ([action] + seen).allSatisfy({ shape($0.value).count >= 2 && shape($0.value)[0] == n }) else { return }
    var text = ""
    for (i, p) in seen.enumerated() { text += (i > 0 ? ", " : "") + "\"\(p.name)[0]\": 1" }
    graph.notes.append(
      GraphNote(
        """
        one row is \(n) observations and \(n) actions; if that is the batch of the export, dims {\(text)} gives a \
        policy of one
        """
      ))
  }

  private func list(_ ports: [Port]) -> String {
    var text = ""
    for (i, p) in ports.prefix(12).enumerated() { text += (i > 0 ? ", " : "") + "'\(p.name)' (\(describePort(p)))" }
    return text.utf8.isEmpty ? "none" : ports.count > 12 ? text + ", ..." : text
  }

  func names(_ ports: [Port]) -> String {
    var text = ""
    for (i, p) in ports.enumerated() { text += (i > 0 ? ", " : "") + "'\(p.name)'" }
    return text.utf8.isEmpty ? "none" : text
  }

  func describePort(_ p: Port) -> String { type(p.value).name + " " + describe(shape(p.value)) }
}

/// An output that may be the action.
private struct ActionCandidate {
  var output: Int
  var name: ActionName
  var isSampled: Bool
}

/// What depends on random numbers.
private struct RandomFlow {
  private let graph: Graph
  private var isRandom: [Bool] = []
  /// The op that writes each root; -1 for none or several.
  private var writer: [Int] = []

  init(_ graph: Graph) {
    self.graph = graph
    guard graph.ops.contains(where: { $0.kernel == .random }) else { return }
    isRandom = [Bool](repeating: false, count: graph.values.count)
    writer = isRandom.map { _ in -1 }
    var writers = isRandom.map { _ in 0 }
    // whether the conditions of the branches around an op are drawn
    var open = [false]
    for (i, op) in graph.ops.enumerated() {
      let draws =
        op.kernel == .random || open[open.count - 1] || op.inputs.contains { $0 >= 0 && isRandom[graph.root($0)] }
      switch op.params {
      case .branch: open.append(draws)
      case .end: if open.count > 1 { open.removeLast() }
      default: break
      }
      for v in op.outputs where v >= 0 {
        let r = graph.root(v)
        writers[r] += 1
        writer[r] = writers[r] == 1 ? i : -1
        if draws { isRandom[r] = true }
      }
    }
  }

  func isRandom(_ v: Int) -> Bool { !isRandom.isEmpty && isRandom[graph.root(v)] }

  /// Whether `calm` is made as `sampled` is but for the noise: by the same ops behind the place where the noise is
  /// added.
  func isSame(_ calm: Int, as sampled: Int) -> Bool {
    var (a, b) = (sampled, calm)
    for _ in 0..<64 {
      let i = writer[graph.root(a)]
      guard i >= 0 else { return false }
      let op = graph.ops[i]
      let changing = op.inputs.filter { $0 >= 0 && graph.values[$0].constant == nil }
      // mean + std * noise
      if changing.count == 2, changing.count(where: { isRandom($0) }) == 1 { return true }
      guard op.kernel != .random, changing.count == 1 else { return false }
      let k = writer[graph.root(b)]
      guard k >= 0, graph.ops[k].kernel == op.kernel, function(graph.ops[k]) == function(op) else { return false }
      let other = graph.ops[k].inputs.filter { $0 >= 0 && graph.values[$0].constant == nil }
      guard other.count == 1 else { return false }
      (a, b) = (changing[0], other[0])
    }
    return false
  }

  private func function(_ op: GraphOp) -> Int32 {
    switch op.params {
    case .unary(let u): u.fn
    case .binary(let b): b.fn
    default: 0
    }
  }
}
