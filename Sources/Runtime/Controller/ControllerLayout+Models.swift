import Base
import Card
import Graph
import Platform

extension ControllerLayout {
  /// The outputs that are remembered as last actions, one behind the other in the order of the card.
  mutating func buildLastActions() throws(Failure) {
    var width = 0
    for (m, model) in card.models.enumerated() {
      for o in model.outputs where o.destination == .action {
        let what = "model '" + model.name + "'"
        let index = try outputIndex(m, o.tensor, what)
        let count = try stepWidth(m, index, what)
        heads.append((m, index, width, count))
        width += count
      }
    }
    lastActions = LastActions(width: width, depth: 1)
    let terms = card.vectors.flatMap { $0.terms }.filter { $0.operation == .lastAction }
    for t in terms { lastActions.depth = max(lastActions.depth, min(max(t.age, 0), 10_000) + 1) }
    let size = width * lastActions.depth
    for t in terms {
      switch t.of {
      case .raw: if lastActions.raw == nil { lastActions.raw = try cursor.doubles(size) }
      case .clipped: if lastActions.clipped == nil { lastActions.clipped = try cursor.doubles(size) }
      case .applied: if lastActions.applied == nil { lastActions.applied = try cursor.doubles(size) }
      }
    }
  }

  /// Values of one step of an output: all, or one step of a chunk.
  func stepWidth(_ model: Int, _ output: Int, _ what: String) throws(Failure) -> Int {
    let port = policies[model].plan.outputs[output]
    let count = port.shape.reduce(1, *)
    var chunk = 0
    for a in card.actions where a.model == card.models[model].name && a.output == port.name {
      chunk = max(chunk, a.chunk)
    }
    if chunk == 0 { return count }
    // [..., steps, actions]: the network may give more steps than are played
    let width =
      port.shape.count > 1 && port.shape[port.shape.count - 2] >= chunk
      ? port.shape[port.shape.count - 1] : count / chunk
    guard width > 0, count % width == 0, count / width >= chunk else {
      throw Failure(.shape, "\(what): output '\(port.name)' has \(count) values, which are no \(chunk) equal steps")
    }
    return width
  }

  /// Every value of an output that moves the robot must be taken by an action: a joint too few in the card is no matter
  /// of taste.
  func checkActions() throws(Failure) {
    for (m, model) in card.models.enumerated() {
      for o in model.outputs where o.destination == .action || o.destination == .target {
        let what = "model '" + model.name + "', output '" + o.tensor + "'"
        let width = try stepWidth(m, try outputIndex(m, o.tensor, what), what)
        var taken = [Bool](repeating: false, count: width)
        var count = 0
        for a in card.actions where a.model == model.name && a.output == o.tensor {
          for i in a.index {
            guard i >= 0, i < width else {
              throw Failure(
                .shape,
                """
                \(what): the network gives \(width) actions, but action '\(a.name)' takes element \(i) for joint \
                \(a.index.count) of \(a.joints.count)
                """
              )
            }
            if !taken[i] { (taken[i], count) = (true, count + 1) }
          }
        }
        guard count == width || count == 0 && o.destination == .target else {
          throw Failure(.shape, "\(what): the network gives \(width) actions, the card's actions take \(count)")
        }
      }
    }
  }

  mutating func buildMemories() throws(Failure) -> UnsafeMutablePointer<MemorySlot> {
    let slots = try cursor.table(card.memories.count, of: MemorySlot.self)
    for (i, m) in card.memories.enumerated() {
      let what = "memory '" + m.name + "'"
      var count = 1
      for d in m.shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: max(d, 0))
        guard !overflow, product < 1 << 32 else { throw Failure(.memory, "\(what) is too large") }
        count = product
      }
      let type = element(m.element)
      let size = count * type.size
      let initial = try cursor.take(size)
      if case .each(let values) = m.initial, values.count != count {
        throw Failure(.shape, "\(what): init has \(values.count) values, expected \(count)")
      }
      for k in 0..<count { storeElement(initial + k * type.size, type.rawValue, m.initial.value(k) ?? 0) }
      (slots + i).initialize(to: MemorySlot(bytes: try cursor.take(size), initial: initial, size: size))
    }
    return slots
  }

  private func element(_ e: Card.Memory.Element) -> ElementType {
    switch e {
    case .f32: .f32
    case .f64: .f64
    case .i32: .i32
    case .i64: .i64
    case .bool: .bool
    }
  }

  mutating func buildCounters() throws(Failure) -> UnsafeMutablePointer<CounterSlot> {
    let slots = try cursor.table(card.counters.count, of: CounterSlot.self)
    for (i, c) in card.counters.enumerated() {
      let last = c.last.map { Double($0) } ?? (c.step < 0 ? -Double.infinity : Double.infinity)
      (slots + i).initialize(
        to: CounterSlot(start: Double(c.start), step: Double(c.step), last: last, value: Double(c.start)))
    }
    return slots
  }

  // MARK: networks

  mutating func buildModels() throws(Failure) -> UnsafeMutablePointer<ModelSlot> {
    let slots = try cursor.table(card.models.count, of: ModelSlot.self)
    for (m, model) in card.models.enumerated() {
      let plan = policies[m].plan
      let inputs = try cursor.table(plan.inputs.count, of: InputSlot.self)
      for i in model.inputs where !plan.inputs.contains(where: { $0.name == i.tensor }) {
        throw Failure(
          .shape,
          "model '\(model.name)': the network has no input '\(i.tensor)'; it has \(list(plan.inputs.map { $0.name }))")
      }
      for (p, port) in plan.inputs.enumerated() {
        let what = "model '" + model.name + "', input '" + port.name + "'"
        guard let input = model.inputs.first(where: { $0.tensor == port.name }) else {
          throw Failure(
            .shape,
            "\(what): the card does not say where it comes from; it names \(list(model.inputs.map { $0.tensor }))")
        }
        (inputs + p).initialize(to: try self.input(input, p, port, model: m, what))
      }
      let outputs = try cursor.table(plan.outputs.count, of: OutputSlot.self)
      for (p, port) in plan.outputs.enumerated() {
        let count = port.shape.reduce(1, *)
        guard isElementSupported(port.type.rawValue) else {
          throw Failure(
            .unsupported,
            "model '\(model.name)', output '\(port.name)' is \(port.type.name), which a controller does not read")
        }
        (outputs + p).initialize(to: OutputSlot(type: port.type.rawValue, elementSize: port.type.size, count: count))
      }
      for o in model.outputs {
        let what = "model '" + model.name + "', output '" + o.tensor + "'"
        let p = try outputIndex(m, o.tensor, "model '" + model.name + "'")
        let count = outputs[p].count
        switch o.destination {
        case .memory(let name):
          let k = try memoryIndex(name, what)
          try checkMemory(k, plan.outputs[p], what)
          outputs[p].memory = k
        case .reference(let part): outputs[p].reference = try reference(part, count, what)
        default: break
        }
      }
      guard model.every >= 1 else { throw Failure(.mismatch, "model '\(model.name)': every is \(model.every)") }
      // while measuring there is no session: an address that nothing follows
      let session = sessions.isEmpty ? SessionHandle(core: UnsafeMutablePointer(bitPattern: 64)!) : sessions[m].handle
      (slots + m).initialize(
        to: ModelSlot(
          session: session, inputs: inputs, inputCount: plan.inputs.count, outputs: outputs,
          outputCount: plan.outputs.count,
          every: UInt64(model.every)))
    }
    return slots
  }

  /// A learner in the place of a network that takes one observation and gives one action.
  mutating func buildLearner(_ core: UnsafeMutablePointer<ControllerCore>) throws(Failure) {
    guard let learner = options.learner else {
      if let name = options.learnerModel {
        throw Failure(.argument, "learner_model is '\(name)', but no learner is given")
      }
      return
    }
    var m = 0
    if let name = options.learnerModel {
      m = try modelIndex(name, "learner_model")
    } else if card.models.count > 1 {
      throw Failure(
        .argument,
        """
        the card has the models \(list(card.models.map { $0.name })): learner_model must say for which of them the \
        learner stands
        """
      )
    }
    let model = card.models[m]
    let what = "learner, model '" + model.name + "'"
    let plan = policies[m].plan
    guard card.primeModels == nil else {
      throw Failure(.unsupported, "\(what): prime_models runs networks on zeros, which no learner does")
    }
    guard learner.core.pointee.settings.algorithm != .td else {
      throw Failure(.unsupported, "\(what): stream-td predicts and does not act")
    }
    guard plan.inputs.count == 1, model.inputs.count == 1, plan.inputs[0].type == .f32 else {
      throw Failure(
        .unsupported,
        "\(what): the network has the inputs \(list(plan.inputs.map { $0.name })), expected one of f32, the observation"
      )
    }
    var output = -1
    for o in model.outputs where o.destination != .ignore {
      guard o.destination == .action, output < 0 else {
        throw Failure(
          .unsupported, "\(what): output '\(o.tensor)' is used, expected one that is an action and no other")
      }
      output = try outputIndex(m, o.tensor, what)
    }
    guard output >= 0, plan.outputs[output].type == .f32 else {
      throw Failure(.unsupported, "\(what): no output of f32 is an action")
    }
    for a in card.actions where a.model == model.name && a.chunk > 0 {
      throw Failure(.unsupported, "\(what): action '\(a.name)' plays chunks, a learner gives one action")
    }
    let sizes = learner.sizes
    let (x, y) = (plan.inputs[0].size / 4, plan.outputs[output].size / 4)
    guard sizes.observation == x, sizes.action == y else {
      throw Failure(
        .shape,
        """
        \(what): the learner takes \(sizes.observation) values and gives \(sizes.action), the network takes \(x) and \
        gives \(y)
        """
      )
    }
    let slot = try cursor.table(1, of: LearnerSlot.self)
    slot.initialize(
      to: LearnerSlot(
        learner: learner, model: m, input: 0, output: output, observationCount: x, actionCount: y,
        observation: try cursor.doubles(x),
        action: try cursor.doubles(y), done: try cursor.doubles(y)))
    core.pointee.learner = slot
    core.pointee.models[m].learner = slot
  }

  private func memoryIndex(_ name: String, _ what: String) throws(Failure) -> Int {
    for (i, m) in card.memories.enumerated() where m.name == name { return i }
    throw Failure(.mismatch, "\(what): there is no memory '\(name)'")
  }

  private func checkMemory(_ index: Int, _ port: PlanPort, _ what: String) throws(Failure) {
    let m = card.memories[index]
    let (count, expected) = (m.shape.reduce(1, *), port.shape.reduce(1, *))
    guard count == expected else {
      throw Failure(.shape, "\(what): the memory '\(m.name)' has \(count) values, the network has \(expected)")
    }
    guard element(m.element) == port.type else {
      throw Failure(.shape, "\(what): the memory '\(m.name)' is \(m.element.text), the network has \(port.type.name)")
    }
  }

  private mutating func input(_ input: Card.Input, _ p: Int, _ port: PlanPort, model: Int, _ what: String)
    throws(Failure) -> InputSlot
  {
    let count = port.shape.reduce(1, *)
    guard isElementSupported(port.type.rawValue) else {
      throw Failure(.unsupported, "\(what) is \(port.type.name), which a controller does not write")
    }
    var s = InputSlot(port: p, type: port.type.rawValue, elementSize: port.type.size, count: count)
    func expect(_ found: Int, _ source: String) throws(Failure) {
      guard found == count else {
        throw Failure(
          .shape, "\(what): \(source) has \(found) values, the network takes \(count) \(describe(port.shape))")
      }
    }
    switch input.source {
    case .vector(let name):
      var found = -1
      for (i, v) in card.vectors.enumerated() where v.name == name { found = i }
      guard found >= 0 else { throw Failure(.mismatch, "\(what): there is no vector '\(name)'") }
      try expect(card.vectors[found].count, "the vector '" + name + "'")
      (s.source, s.place) = (.vector, found)
    case .memory(let name):
      let k = try memoryIndex(name, what)
      try checkMemory(k, port, what)
      (s.source, s.place) = (.memory, k)
    case .counter(let name):
      var found = -1
      for (i, c) in card.counters.enumerated() where c.name == name { found = i }
      guard found >= 0 else { throw Failure(.mismatch, "\(what): there is no counter '\(name)'") }
      try expect(1, "the counter '" + name + "'")
      (s.source, s.place) = (.counter, found)
    case .command(let name):
      let c = try commandIndex(name, what)
      let fields = try fieldIndices(c, input.fields, what)
      try expect(fields.count, "the command '" + name + "'")
      (s.values, s.index) = (commands[c].values, try cursor.indices(fields))
    case .signal(let name):
      if name.begins(with: "joint.") {
        let list = try joints(input.joints, what)
        try expect(list.count, "the signal '" + name + "'")
        (s.values, s.index) = (try need(name, what).values, try cursor.indices(list))
      } else {
        let signal = try need(name, count: count, what)
        try expect(signal.count, "the signal '" + name + "'")
        s.values = signal.values
        if input.quaternion == .xyzw {
          guard count == 4 else {
            throw Failure(.shape, "\(what): a quaternion has 4 values, the network takes \(count)")
          }
          s.index = try cursor.indices([1, 2, 3, 0])
        }
      }
    case .model(let name, let output):
      let m = try modelIndex(name, what)
      guard m < model else {
        throw Failure(.mismatch, "\(what): it comes from the model '\(name)', which does not run before")
      }
      let o = try outputIndex(m, output, what)
      try expect(policies[m].plan.outputs[o].shape.reduce(1, *), "'" + name + "." + output + "'")
      (s.source, s.place, s.output) = (.output, m, o)
    case .constant(let numbers): s.values = try table(numbers, count, what)
    }
    if port.state >= 0 { s.mirror = try cursor.take(count * port.type.size) }
    return s
  }

  /// A shape as messages show it.
  private func describe(_ shape: [Int]) -> String {
    var out = "["
    for (i, d) in shape.enumerated() { out += (i == 0 ? "" : ", ") + String(d) }
    return out + "]"
  }

  // MARK: motion

  mutating func buildMotion() throws(Failure) -> MotionSlot {
    var s = MotionSlot(turn: .identity())
    guard let motion = card.motion else {
      for v in card.vectors {
        for t in v.terms where t.operation == .referenceAnchorPosition || t.operation == .referenceAnchorOrientation6D
          || t.operation == .referenceJointPositionVelocity
        {
          throw Failure(.mismatch, "vector '\(v.name)', term '\(t.name)': the card has no motion")
        }
      }
      return s
    }
    s.isVectorFirst = motion.quaternion == .xyzw
    s.align = motion.align == .none ? .none : (motion.align == .yaw ? .yaw : .yawAndPosition)
    s.age = Double(motion.referenceAge)
    s.loops = motion.end == .loop
    if motion.kind == .inModel {
      guard motion.referenceAge == 1 else {
        throw Failure(
          .unsupported,
          "motion: reference_age is \(motion.referenceAge); a motion in the network is known one run later: 1")
      }
    } else {
      try takeTracks(motion, &s)
    }
    let operations = card.vectors.flatMap { $0.terms.map { $0.operation } }
    let hasPosition = operations.contains(.referenceAnchorPosition)
    guard hasPosition || operations.contains(.referenceAnchorOrientation6D) else { return s }
    guard let anchor = motion.anchor else {
      throw Failure(.mismatch, "motion: anchor is unknown: which body of the robot is compared must be given")
    }
    let body = "body." + anchor.robot
    if anchor.via.isEmpty {
      s.orientation = try need(body + ".orientation", "motion anchor").values
    } else {
      s.orientation = try need("base.orientation", "motion anchor").values
      s.joints = try need("joint.position", "motion anchor").values
      var list: [Int] = []
      for v in anchor.via { list.append(try joint(v.joint, "motion anchor via")) }
      (s.via, s.axes, s.viaCount) = (
        try cursor.indices(list), try cursor.indices(anchor.via.map { Int($0.axis.rawValue) }), list.count
      )
    }
    if hasPosition { s.position = try need(body + ".position", "motion anchor").values }
    for r in references {
      switch r.part {
      case .bodyPosition, .anchorPosition: s.bodyPosition = try bodyPart(r, 3, anchor)
      case .bodyOrientation, .anchorOrientation: s.bodyOrientation = try bodyPart(r, 4, anchor)
      default: break
      }
    }
    guard s.bodyOrientation != nil else {
      throw Failure(.mismatch, "motion: nothing gives the reference orientation of the anchor")
    }
    guard s.bodyPosition != nil || !hasPosition else {
      throw Failure(.mismatch, "motion: nothing gives the reference position of the anchor")
    }
    return s
  }

  /// The anchor's values in a part that has one body or all.
  private func bodyPart(
    _ r: (part: Card.Reference, values: UnsafeMutablePointer<Double>, count: Int), _ width: Int,
    _ anchor: Card.Motion.Anchor
  )
    throws(Failure) -> UnsafeMutablePointer<Double>
  {
    let isAnchorAlone = r.part == .anchorPosition || r.part == .anchorOrientation
    let body = isAnchorAlone ? 0 : anchor.bodyIndex
    guard body >= 0, width * (body + 1) <= r.count else {
      throw Failure(.mismatch, "motion: anchor.body_index is \(body), but \(r.part.text) has \(r.count / width) bodies")
    }
    return r.values + width * body
  }

  private mutating func takeTracks(_ motion: Card.Motion, _ s: inout MotionSlot) throws(Failure) {
    guard let rate = motion.framesPerSecond, rate > 0 else {
      throw Failure(.mismatch, "motion: fps is unknown: it must be given")
    }
    s.framesPerSecond = rate
    guard !options.motion.isEmpty else {
      throw Failure(.mismatch, "motion: the frames of '\(motion.file)' were not given")
    }
    s.frames = options.motion[0].frames
    for t in options.motion {
      guard t.frames == s.frames, t.frames > 0, t.width > 0 else {
        throw Failure(
          .shape,
          "motion: '\(t.part)' has \(t.frames) frames of \(t.width), '\(options.motion[0].part)' has \(s.frames)")
      }
      guard let part = Card.Reference(t.part) else { throw Failure(.argument, "motion: there is no part '\(t.part)'") }
      let frames = try cursor.doubles(t.frames * t.width)
      for i in 0..<t.frames * t.width {
        guard t.values[i].isFinite else {
          throw Failure(.numeric, "motion: '\(t.part)', frame \(i / t.width), is not finite")
        }
        frames[i] = t.values[i]
      }
      tracks.append(MotionTrack(frames: frames, width: t.width, values: try reference(part, t.width, "motion")))
    }
    let table = try cursor.table(tracks.count, of: MotionTrack.self)
    for (i, t) in tracks.enumerated() { (table + i).initialize(to: t) }
    (s.tracks, s.trackCount) = (table, tracks.count)
  }
}
