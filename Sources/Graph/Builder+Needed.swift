import Base
import Onnx

// what is asked of a policy: its outputs, and of the rest what they need
extension Builder {
  /// Chooses the outputs, and leaves out what none of them needs.
  mutating func prune() throws(Failure) {
    let all = model.graph.outputs.map { $0.name }
    guard !all.isEmpty else { throw Failure(.format, "the graph has no outputs") }
    wanted = all
    if let chosen = options.outputs ?? hints.outputs {
      for (i, name) in chosen.enumerated() {
        guard all.contains(name) else {
          throw Failure(
            .argument, "outputs names '\(name)', but the model has the outputs \(names(model.graph.outputs))")
        }
        guard !chosen[..<i].contains(name) else { throw Failure(.argument, "outputs names '\(name)' twice") }
      }
      guard !chosen.isEmpty else {
        throw Failure(.argument, "outputs names none of \(names(model.graph.outputs)); expected at least one")
      }
      wanted = chosen + stateOutputs(besides: chosen)
    }
    let schedule = try Schedule(&model.graph, outputs: wanted, roots: options.kept)
    read = schedule.read
    unread = Set(schedule.unread)
    deadCount = schedule.dead.count
    var parts = schedule.dead.map { "node " + Schedule.label(model.graph.nodes[$0], $0) }
    for name in schedule.unread { parts.append("initializer '\(name)'") }
    guard !parts.isEmpty else { return }
    var text = ""
    for (i, p) in parts.prefix(12).enumerated() { text += (i > 0 ? ", " : "") + p }
    if parts.count > 12 { text += " and \(parts.count - 12) more" }
    graph.notes.append(GraphNote("left out, since no output needs it: " + text))
  }

  /// Outputs that hold recurrent state: the session needs them whatever was chosen.
  private func stateOutputs(besides chosen: [String]) -> [String] {
    var names: [String] = []
    if let told = options.states ?? hints.states {
      names = told.map { $0.output }
    } else {
      // shapes are not known yet; what does not fit is an output like others
      func tensors(_ values: [OnnxValue]) -> [StatePairing.Tensor] {
        values.map { StatePairing.Tensor(name: $0.name, kind: "") }
      }
      let outputs = tensors(model.graph.outputs)
      names = StatePairing(inputs: tensors(model.graph.inputs), outputs: outputs).pairs.map { outputs[$0.output].name }
    }
    let all = model.graph.outputs.map { $0.name }
    return names.filter { all.contains($0) && !chosen.contains($0) }
  }

  /// Builds the nodes of the model. What is known while running alone is set aside, with all that depends on it.
  mutating func runNeeded() throws(Failure) {
    let nodes = model.graph.nodes
    for i in model.graph.order ?? Array(nodes.indices) {
      if !dynamic.isEmpty, let name = nodes[i].inputs.first(where: { dynamic[$0] != nil }) {
        for o in nodes[i].outputs { dynamic[o] = dynamic[name] }
        continue
      }
      let (ops, depth, outer, counted) = (graph.ops.count, scopes.count, way, lengths)
      do throws(Failure) {
        try build(nodes[i], i)
      } catch {
        guard error.isDynamic else { throw error.reason == .unsupported ? naming(spared(i), error) : error }
        graph.ops.removeLast(graph.ops.count - ops)
        scopes.removeLast(scopes.count - depth)
        (way, lengths) = (outer, counted)
        for o in nodes[i].outputs where !o.utf8.isEmpty { dynamic[o] = error }
      }
    }
  }

  /// Wanted outputs that do not depend on node `i`.
  private func spared(_ i: Int) -> [String] {
    let nodes = model.graph.nodes
    var touched = Set(nodes[i].outputs)
    for k in model.graph.order ?? Array(nodes.indices) where k != i {
      let hasBody = nodes[k].attributes.contains { !$0.graphs.isEmpty }
      if hasBody || nodes[k].inputs.contains(where: { touched.contains($0) }) { touched.formUnion(nodes[k].outputs) }
    }
    return wanted.filter { !touched.contains($0) }
  }

  private func naming(_ outputs: [String], _ f: Failure) -> Failure {
    guard !outputs.isEmpty, options.outputs == nil else { return f }
    var text = ""
    for (i, name) in outputs.prefix(8).enumerated() { text += (i > 0 ? ", " : "") + "'" + name + "'" }
    return Failure(
      f.reason, f.message + "; without it there are the outputs " + text + ": choose among them with outputs")
  }

  mutating func declareOutputs() throws(Failure) {
    var refused: Failure?
    for name in wanted {
      var reason = dynamic[name]
      if let v = scopes[0][name], v >= 0, sequences[v] != nil {
        reason = Failure(.unsupported, "output '\(name)' is a sequence, expected tensors only")
      }
      if reason == nil {
        do throws(Failure) { try requireTensor(scopes[0][name] ?? -1, "output '\(name)'") } catch { reason = error }
      }
      if let failure = reason {
        // what was asked for, is named as an action or as state is needed
        let isAsked = options.outputs != nil || hints.outputs != nil || isNamed(name)
        guard !isAsked, ActionName(name).rawValue <= ActionName.unknown.rawValue else { throw failure }
        refused = refused ?? failure
        graph.notes.append(GraphNote("output '\(name)' is left out: " + failure.message, isWarning: true))
        continue
      }
      guard let v = scopes[0][name], v >= 0 else {
        throw Failure(.format, "output '\(name)' is produced by no node; the model may be cut short")
      }
      guard !type(v).isNibble else {
        throw Failure(
          .unsupported,
          "output '\(name)': element type \(ElementType.unsupportedName(type(v).rawValue)) is not supported")
      }
      graph.outputs.append(Port(name: name, value: v))
    }
    if let refused, !graph.outputs.contains(where: { ActionName($0.name) != .never }) { throw refused }
  }

  /// Whether the caller or the metadata names this output for something.
  private func isNamed(_ name: String) -> Bool {
    if options.action == name || hints.action == name { return true }
    for pair in options.states ?? hints.states ?? [] where pair.output == name { return true }
    return StateMeaning(NameWords.split(name), .none).isState
  }
}
