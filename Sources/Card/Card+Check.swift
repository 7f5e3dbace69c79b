import Base

extension Card {
  /// What several parts of the card must agree on. Parts that an importer left open are no faults here: `questions`
  /// lists them.
  func check() throws(Failure) {
    try checkPeriods()
    try checkJoints()
    try checkModels()
    for v in vectors { try check(v) }
    for c in clocks { try check(c) }
    for (i, a) in actions.enumerated() {
      do { try check(a, "actions[\(i)]") } catch { throw error.within("action '" + a.name + "'") }
    }
    try checkTargets()
    try checkOutputs()
    try checkMotion()
  }

  /// Names of one kind, and what to say of one that is not among them.
  private func know(_ name: String, _ known: [String], _ noun: StaticString, _ path: String) throws(Failure) {
    guard known.contains(name) else {
      throw Failure(.mismatch, "\(path): there is no \(noun) '\(name)'\(suggestion(name, known))")
    }
  }

  private func know(_ joints: [String], _ path: String) throws(Failure) {
    for (i, name) in joints.enumerated() { try know(name, jointOrder, "joint", "\(path)[\(i)]") }
  }

  /// Without any vector, `questions` asks for them.
  private func knowVector(_ name: String, _ path: String) throws(Failure) {
    if !vectors.isEmpty { try know(name, vectors.map { $0.name }, "vector", path) }
  }

  private func unique(_ names: [String], _ path: String, _ noun: StaticString) throws(Failure) {
    var seen: Set<String> = []
    for name in names {
      guard seen.insert(name).inserted else { throw Failure(.format, "\(path): the \(noun) '\(name)' is there twice") }
    }
  }

  private func checkPeriods() throws(Failure) {
    guard let policy = policyPeriod, let control = controlPeriod else { return }
    guard Card.ticks(policy, control) != nil else {
      throw Failure(.mismatch, "policy_period: \(policy) s is no whole multiple of control_period \(control) s")
    }
  }

  /// How often `control` fits into `policy`, where it does so without a rest.
  public static func ticks(_ policy: Double, _ control: Double) -> Int? {
    let ratio = policy / control
    guard ratio.isFinite, ratio < 1e9 else { return nil }
    let count = ratio.rounded()
    return count >= 1 && abs(ratio - count) <= 1e-6 * count ? Int(count) : nil
  }

  private func checkJoints() throws(Failure) {
    let names = joints.map { $0.name }
    for name in jointOrder { try know(name, names, "joint", "joint_order: '\(name)' has no entry in joints") }
    for name in names where !jointOrder.contains(name) {
      throw Failure(.mismatch, "joints.\(name): the joint is not in joint_order\(suggestion(name, jointOrder))")
    }
    for j in joints {
      guard let pose = j.defaultPosition.value else { continue }
      if let lower = j.lower.value, pose < lower {
        Log.write(.warning, "card: joints.\(j.name).default \(pose) is below the joint's limit \(lower)")
      }
      if let upper = j.upper.value, pose > upper {
        Log.write(.warning, "card: joints.\(j.name).default \(pose) is above the joint's limit \(upper)")
      }
    }
  }

  // MARK: models

  private func checkModels() throws(Failure) {
    try unique(models.map { $0.name }, "models", "model")
    var written: [String] = []
    var ran: [Model] = []
    for (i, m) in models.enumerated() {
      for input in m.inputs { try check(input, "models[\(i)].inputs.\(input.tensor).from", ran) }
      ran.append(m)
      for output in m.outputs {
        let path = "models[\(i)].outputs.\(output.tensor).to"
        switch output.destination {
        case .memory(let name):
          try know(name, memories.map { $0.name }, "memory", path)
          if written.contains("memory:" + name) {
            throw Failure(.mismatch, "\(path): the memory '\(name)' is written by another output already")
          }
          written.append("memory:" + name)
        case .reference(let part):
          if written.contains("reference:" + part.text) {
            throw Failure(.mismatch, "\(path): reference:\(part.text) comes from another output already")
          }
          written.append("reference:" + part.text)
        case .model(let name): try know(name, models[(i + 1)...].map { $0.name }, "later model", path)
        case .vector(let name): try knowVector(name, path)
        case .action, .target, .kp, .kd, .ignore: break
        }
      }
    }
    for (i, m) in models.enumerated() {
      for input in m.inputs {
        guard case .memory(let name) = input.source, !written.contains("memory:" + name) else { continue }
        throw Failure(
          .mismatch,
          """
          models[\(i)].inputs.\(input.tensor).from: no output writes the memory '\(name)'; a value that never changes \
          is a constant
          """
        )
      }
    }
  }

  /// What a network gives to the robot is taken by an action, once there are any.
  private func checkOutputs() throws(Failure) {
    if actions.isEmpty { return }
    for (i, m) in models.enumerated() {
      for output in m.outputs {
        let path = "models[\(i)].outputs.\(output.tensor).to"
        switch output.destination {
        case .action, .target:
          if actions.contains(where: { $0.model == m.name && $0.output == output.tensor }) { break }
          throw Failure(.mismatch, "\(path): no entry of actions says what '\(output.tensor)' of '\(m.name)' moves")
        case .kp, .kd:
          if actions.contains(where: {
            $0.model == m.name && ($0.kpFrom == output.tensor || $0.kdFrom == output.tensor)
          }) {
            break
          }
          throw Failure(.mismatch, "\(path): no action names '\(output.tensor)' in kp_from or kd_from")
        default: break
        }
      }
    }
  }

  private func check(_ input: Input, _ path: String, _ ran: [Model]) throws(Failure) {
    switch input.source {
    case .vector(let name): try knowVector(name, path)
    case .memory(let name): try know(name, memories.map { $0.name }, "memory", path)
    case .counter(let name): try know(name, counters.map { $0.name }, "counter", path)
    case .command(let name):
      let c = try command(name, path)
      for field in input.fields { try know(field, c.fields, "field", path) }
    case .model(let name, let output): try knowOutput(name, output, path, ran)
    case .signal: try know(input.joints, path)
    case .constant: break
    }
  }

  private func knowOutput(_ model: String, _ output: String, _ path: String, _ ran: [Model]) throws(Failure) {
    try know(model, ran.map { $0.name }, "model that runs before", path)
    for m in ran where m.name == model { try know(output, m.outputs.map { $0.tensor }, "output of the model", path) }
  }

  private func command(_ name: String, _ path: String) throws(Failure) -> Command {
    for c in commands where c.name == name { return c }
    try know(name, commands.map { $0.name }, "command", path)
    throw Failure(.mismatch, "\(path): there is no command '\(name)'")
  }

  private func check(_ condition: Condition, _ path: String) throws(Failure) {
    let c = try command(condition.command, path + ".command")
    for field in condition.fields { try know(field, c.fields, "field", path + ".fields") }
    for part in condition.parts { for field in part { try know(field, c.fields, "field", path + ".parts") } }
  }

  // MARK: vectors and clocks

  private func check(_ v: Vector) throws(Failure) {
    let path = "vectors." + v.name
    for (i, t) in v.terms.enumerated() {
      do { try check(t, path + ".terms[\(i)]", v) } catch { throw error.within("term '" + t.name + "'") }
    }
    guard v.layout == .timeMajor else { return }
    for (i, t) in v.terms.enumerated() where t.ages != v.terms[0].ages {
      throw Failure(
        .mismatch,
        """
        \(path).terms[\(i)].ages: '\(t.name)' has \(t.ages.count) ages other than the \(v.terms[0].ages.count) of \
        '\(v.terms[0].name)'; terms of a time_major vector have the same ages
        """
      )
    }
  }

  private func check(_ t: Term, _ path: String, _ v: Vector) throws(Failure) {
    try know(t.joints, path + ".joints")
    let joints = t.joints.isEmpty ? jointOrder : t.joints
    for name in t.zero { try know(name, joints, "joint of this term", path + ".zero") }
    if !t.command.isEmpty {
      let c = try command(t.command, path + ".command")
      for field in t.fields { try know(field, c.fields, "field", path + ".fields") }
    }
    if !t.clock.isEmpty { try know(t.clock, clocks.map { $0.name }, "clock", path + ".clock") }
    if let c = t.zeroWhen { try check(c, path + ".zero_when") }
    if !t.vector.isEmpty {
      try know(t.vector, vectors.map { $0.name }, "vector", path + ".vector")
      // vectors are built in the order of the card
      guard let other = vectors.firstIndex(where: { $0.name == t.vector }),
        let own = vectors.firstIndex(where: { $0.name == v.name }), other < own
      else {
        throw Failure(.mismatch, "\(path).vector: '\(t.vector)' is not before '\(v.name)' in vectors")
      }
      guard t.size == vectors[other].count else {
        throw Failure(
          .shape, "\(path).size: found \(t.size), but the vector '\(t.vector)' has \(vectors[other].count) values")
      }
    }
    switch t.operation {
    case .modelOutput: try knowOutput(t.model, t.output, path, models)
    case .lastAction: try checkLastAction(t, path)
    case .referenceJointPositionVelocity, .referenceAnchorPosition, .referenceAnchorOrientation6D:
      guard motion != nil else {
        throw Failure(.mismatch, "\(path).op: \(t.operation.text) needs a motion, the card has none")
      }
    case .clock where t.fill != .reset: break
    default: break
    }
  }

  /// last_action shows at least all elements that the actions take.
  private func checkLastAction(_ t: Term, _ path: String) throws(Failure) {
    if !t.model.isEmpty { try know(t.model, models.map { $0.name }, "model", path + ".model") }
    var used: Set<Int> = []
    var names: Set<String> = []
    for a in actions where t.model.isEmpty || a.model == t.model {
      names.insert(a.model + "." + a.output)
      for i in a.index { used.insert(i) }
    }
    guard t.joints.isEmpty, names.count == 1, t.size < used.count else { return }
    throw Failure(.shape, "\(path).size: found \(t.size), but the actions take \(used.count) elements of the output")
  }

  private func check(_ c: Clock) throws(Failure) {
    let path = "clocks." + c.name
    if let f = c.frequencyFrom {
      try know(
        f.field, try command(f.command, path + ".frequency_from.command").fields, "field",
        path + ".frequency_from.field")
    }
    if let r = c.frequencyRamp {
      let known = try command(r.command, path + ".frequency_ramp.command").fields
      for field in r.fields { try know(field, known, "field", path + ".frequency_ramp.fields") }
    }
    if !c.phasesCommand.isEmpty {
      let known = try command(c.phasesCommand, path + ".phases_command").fields
      for part in c.phasesFrom { for field in part { try know(field, known, "field", path + ".phases_from") } }
    }
    if let s = c.stand { try check(s.condition, path + ".stand") }
    if let z = c.zeroFrequencyAfter { try check(z, path + ".zero_frequency_after") }
  }

  // MARK: actions and motion

  private func check(_ a: Action, _ path: String) throws(Failure) {
    try know(a.joints, path + ".joints")
    if !models.isEmpty {
      try know(a.model, models.map { $0.name }, "model", path + ".model")
      for m in models where m.name == a.model {
        try know(a.output, m.outputs.map { $0.tensor }, "output of the model", path + ".output")
        for o in m.outputs where o.tensor == a.output && o.destination != .action && o.destination != .target {
          throw Failure(
            .mismatch, "\(path).output: '\(a.output)' goes elsewhere in models, expected to: action or target")
        }
        try checkGain(a.kpFrom, .kp, m, path + ".kp_from")
        try checkGain(a.kdFrom, .kd, m, path + ".kd_from")
      }
    }
    if case .command(let name, let fields) = a.offset {
      let c = try command(name, path + ".offset.command")
      for field in fields { try know(field, c.fields, "field", path + ".offset.fields") }
      guard !fields.isEmpty || c.fields.count == a.joints.count else {
        throw Failure(
          .mismatch, "\(path).offset: the command '\(name)' has \(c.fields.count) fields for \(a.joints.count) joints")
      }
    }
  }

  private func checkGain(_ tensor: String, _ destination: Output.Destination, _ m: Model, _ path: String)
    throws(Failure)
  {
    if tensor.isEmpty { return }
    try know(tensor, m.outputs.map { $0.tensor }, "output of the model", path)
    for o in m.outputs where o.tensor == tensor && o.destination != destination {
      throw Failure(.mismatch, "\(path): '\(tensor)' goes elsewhere in models, expected a gain")
    }
  }

  /// Two actions must not command the same quantity of one joint.
  private func checkTargets() throws(Failure) {
    var owners: [(joint: String, quantity: Int, action: String)] = []
    for (i, a) in actions.enumerated() {
      let quantity = switch a.kind {
      case .position, .positionIncrement: 0
      case .velocity: 1
      case .effort, .effortPD: 2
      }
      for (k, joint) in a.joints.enumerated() {
        for o in owners where o.quantity == quantity && o.joint == joint {
          throw Failure(
            .mismatch,
            "action '\(a.name)': actions[\(i)].joints[\(k)]: '\(joint)' is moved by the action '\(o.action)' already")
        }
      }
      for joint in a.joints { owners.append((joint, quantity, a.name)) }
    }
  }

  private func checkMotion() throws(Failure) {
    guard let motion else { return }
    for (i, name) in motion.joints.enumerated() { try know(name, jointOrder, "joint", "motion.joints[\(i)]") }
    for (i, v) in (motion.anchor?.via ?? []).enumerated() {
      try know(v.joint, jointOrder, "joint", "motion.anchor.via[\(i)].joint")
    }
  }
}

extension Card.Clock {
  /// Phases that the clock has, each with every function of a term.
  public var phaseCount: Int { phasesFrom.isEmpty ? phases.count : phasesFrom.count }
}
