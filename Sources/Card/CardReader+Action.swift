import Base

extension CardReader {
  func action(_ json: Json, _ index: Int) throws(Failure) -> Card.Action {
    var name = ""
    if case .string(let s)? = json["name"] { name = s }
    do {
      return try action(json, "actions[\(index)]")
    } catch {
      throw name.isEmpty ? error : error.within("action '" + name + "'")
    }
  }

  private func action(_ json: Json, _ path: String) throws(Failure) -> Card.Action {
    let f = try Fields(
      json, path,
      keys: """
        name type model output index joints clip_raw scale offset clip limits_position limits_velocity chunk \
        unnormalize add_state kp_from kd_from post last_of
        """)
    guard let kind = try f.word("type", Card.Action.Kind.self) else {
      throw f.fail("type", "missing; expected \(joined(splitWords(Card.Action.Kind.words)))")
    }
    var a = Card.Action(name: try f.string("name") ?? kind.text, kind: kind)
    a.model = try f.string("model") ?? (card.models.count == 1 ? card.models[0].name : "")
    guard !a.model.isEmpty else { throw f.fail("model", "missing; expected the model whose output it is") }
    a.output = try f.required("output", "the tensor of the model")
    a.joints = try f.uniqueStrings("joints")
    if a.joints.isEmpty { a.joints = card.jointOrder }
    let n = a.joints.count
    let joints = "joints"
    a.index = try self.index(f, n)
    a.clipRaw = try f.bounds("clip_raw", count: n, of: joints)
    if let u = f["unnormalize"] { a.unnormalize = try normalization(u, f.place("unnormalize"), count: n, of: joints) }
    a.scale = try f.numbers("scale", count: n, of: joints) ?? .all(1)
    a.offset = try offset(f, n)
    a.clip = try f.bounds("clip", count: n, of: joints)
    if let bounds = try f.bounds("limits_position", count: n, of: joints) {
      for i in 0..<n { if let interval = bounds.interval(i) { a.limitsPosition.append(interval) } }
    }
    if let limits = try f.numbers("limits_velocity", count: n, of: joints) {
      try f.positive(limits, "limits_velocity")
      for i in 0..<n { if let limit = limits.value(i) { a.limitsVelocity.append(limit) } }
    }
    a.chunk = try f.integer("chunk", 1...100_000) ?? 0
    if let items = try f.array("add_state") {
      try f.check("add_state", items.count, n, "entries", joints)
      for (i, item) in items.enumerated() {
        guard case .bool(let b) = item else {
          throw f.fail("add_state", "found \(item.kind) at \(i), expected true or false")
        }
        a.addState.append(b)
      }
    }
    a.kpFrom = try f.string("kp_from") ?? ""
    a.kdFrom = try f.string("kd_from") ?? ""
    a.lastOf = try f.word("last_of", Card.ActionStage.self)
    for (i, item) in (try f.array("post") ?? []).enumerated() {
      a.post.append(try post(item, "\(f.place("post"))[\(i)]", a))
    }
    let isTorque = a.post.contains { $0.operation == .pdTorque }
    if (kind == .effortPD) != isTorque {
      throw f.fail(
        "post", "an action of type effort_pd has one pd_torque in post, other types have none; this one is \(kind.text)"
      )
    }
    return a
  }

  private func index(_ f: Fields, _ count: Int) throws(Failure) -> [Int] {
    guard let items = try f.array("index") else { return Array(0..<count) }
    try f.check("index", items.count, count, "elements", "joints")
    var out: [Int] = []
    var seen: Set<Int> = []
    for (i, item) in items.enumerated() {
      let element = try Fields.integer(item, "\(f.place("index"))[\(i)]")
      guard element >= 0, element < 1 << 24 else {
        throw f.fail("index", "found \(element) at \(i), expected 0 or more")
      }
      guard seen.insert(element).inserted else { throw f.fail("index", "the element \(element) is there twice") }
      out.append(element)
    }
    return out
  }

  private func offset(_ f: Fields, _ count: Int) throws(Failure) -> Card.Action.Offset {
    switch f["offset"] {
    case .string(let s)?:
      guard s == "default" else { throw f.fail("offset", "found '\(s)', expected default, numbers or a command") }
      return .defaultPose
    case .object?:
      let g = try Fields(f["offset"] ?? .null, f.place("offset"), keys: "command fields")
      let fields = try g.uniqueStrings("fields")
      if !fields.isEmpty { try g.check("fields", fields.count, count, "fields", "joints") }
      return .command(try g.required("command", "the name of a command"), fields: fields)
    default: return .numbers(try f.numbers("offset", count: count, of: "joints") ?? .all(0))
    }
  }

  private func post(_ json: Json, _ path: String, _ a: Card.Action) throws(Failure) -> Card.Post {
    let f = try Fields(json, path, keys: "op limit kp kd alpha omega sample_period init value per_tick")
    guard let op = try f.word("op", Card.Post.Operation.self) else {
      throw f.fail("op", "missing; expected \(joined(splitWords(Card.Post.Operation.words)))")
    }
    var p = Card.Post(op)
    let (n, joints) = (a.joints.count, "joints")
    func only(_ keys: StaticString) throws(Failure) {
      let known = splitWords(keys)
      for key in splitWords("limit kp kd alpha omega sample_period init value per_tick")
      where f[key] != nil && !known.contains(key) {
        throw f.fail(key, "the op \(op.text) has no use for this key")
      }
    }
    func need(_ key: String) throws(Failure) {
      guard f[key] != nil else { throw f.fail(key, "missing; the op \(op.text) needs it") }
    }
    p.limit = try f.numbers("limit", count: n, of: joints)
    if case .all(let v)? = p.limit, v < 0 { throw f.fail("limit", "found \(v), expected at least 0") }
    if case .each(let list)? = p.limit {
      for v in list where v < 0 { throw f.fail("limit", "found \(v), expected at least 0") }
    }
    (p.kp, p.kd) = (try f.numbers("kp", count: n, of: joints), try f.numbers("kd", count: n, of: joints))
    p.alpha = try f.positive("alpha", "and at most 1")
    if let alpha = p.alpha, alpha > 1 { throw f.fail("alpha", "found \(alpha), expected more than 0 and at most 1") }
    p.omega = try f.positive("omega", "rad/s")
    p.samplePeriod = try f.positive("sample_period", "s")
    p.initial = try f.word("init", Card.Start.self) ?? .measured
    p.value = try f.numbers("value", count: n, of: joints)
    p.perTick = try f.positive("per_tick", "and at most 1")
    if let step = p.perTick, step > 1 { throw f.fail("per_tick", "found \(step), expected more than 0 and at most 1") }
    switch op {
    case .torqueBand, .velocityBand:
      try only("limit kp kd")
      try need("limit")
    case .firstOrder:
      try only("alpha init value")
      try need("alpha")
    case .secondOrderLowpass:
      try only("omega sample_period init value")
      try need("omega")
      try need("sample_period")
    case .pdTorque: try only("limit kp kd")
    case .blendFromDefault:
      try only("per_tick")
      try need("per_tick")
    }
    if (p.initial == .given) != (p.value != nil) {
      throw f.fail("value", "a filter that starts at given values has them, others do not")
    }
    if let period = p.samplePeriod, let control = card.controlPeriod, abs(period - control) > 1e-6 * control {
      throw f.fail(
        "sample_period", "found \(period) s, but the filter runs at every control_period of \(control) s", .mismatch)
    }
    return p
  }

  // MARK: motion, startup, safety

  func motion(_ json: Json) throws(Failure) -> Card.Motion {
    let f = try Fields(
      json, "motion", keys: "kind bodies file keys fps joints anchor align quaternion reference_age end")
    var out = Card.Motion()
    out.kind = try f.word("kind", Card.Motion.Kind.self) ?? (f["file"] != nil ? .file : .inModel)
    out.bodies = try f.uniqueStrings("bodies")
    out.file = try f.string("file") ?? ""
    if out.kind == .file, out.file.isEmpty { throw f.fail("file", "missing; a motion of kind file needs its name") }
    if out.kind == .inModel, !out.file.isEmpty { throw f.fail("file", "a motion in the model has no file") }
    for m in try f.named("keys") {
      guard let part = Card.Reference(m.key) else {
        throw f.unknownWord("keys", m.key, Card.Reference.words, Card.Reference.noun)
      }
      out.keys.append(Card.Motion.Key(part: part, key: try Fields.string(m.value, "motion.keys." + m.key)))
    }
    out.framesPerSecond = try f.positive("fps", "Hz")
    out.joints = try f.uniqueStrings("joints")
    if let json = f["anchor"] { out.anchor = try anchor(json, out.bodies) }
    out.align = try f.word("align", Card.Motion.Align.self) ?? .none
    out.quaternion = try f.word("quaternion", Card.Quaternion.self) ?? .wxyz
    out.referenceAge = try f.integer("reference_age", 0...1000) ?? 0
    out.end = try f.word("end", Card.Motion.End.self) ?? .hold
    return out
  }

  private func anchor(_ json: Json, _ bodies: [String]) throws(Failure) -> Card.Motion.Anchor {
    let f = try Fields(json, "motion.anchor", keys: "robot body_index via")
    var out = Card.Motion.Anchor()
    out.robot = try f.required("robot", "the body of the robot")
    out.bodyIndex = try f.integer("body_index", 0...100_000) ?? 0
    if !bodies.isEmpty {
      guard out.bodyIndex < bodies.count else {
        throw f.fail("body_index", "found \(out.bodyIndex), but the motion has \(bodies.count) bodies", .mismatch)
      }
      if f["body_index"] == nil {
        throw f.fail("body_index", "missing; expected the place of the anchor among \(joined(bodies))")
      }
    }
    for (i, item) in (try f.array("via") ?? []).enumerated() {
      let g = try Fields(item, "\(f.place("via"))[\(i)]", keys: "joint axis")
      guard let axis = try g.word("axis", Card.Motion.Via.Axis.self) else {
        throw g.fail("axis", "missing; expected x, y or z")
      }
      out.via.append(Card.Motion.Via(joint: try g.required("joint", "the name of a joint"), axis: axis))
    }
    return out
  }

  func startup(_ json: Json) throws(Failure) -> Card.Startup {
    let f = try Fields(json, "startup", keys: "kind to pose seconds from from_ kp kd order gain_order")
    var out = Card.Startup()
    out.kind = try f.word("kind", Card.Startup.Kind.self) ?? .ramp
    out.pose = try f.list("pose") ?? []
    out.to = try f.word("to", Card.Start.self) ?? (out.pose.isEmpty ? .defaultPose : .given)
    out.seconds = try f.number("seconds")
    if let s = out.seconds, s < 0 { throw f.fail("seconds", "found \(s), expected at least 0 s") }
    if let from = try f.aliased("from from_") { out.from = try f.word(from.key, Card.Start.self) ?? .measured }
    (out.kp, out.kd) = (try f.numbers("kp"), try f.numbers("kd"))
    for key in ["order", "gain_order"] {
      guard let s = try f.string(key) else { continue }
      guard s == "policy" || s == "motor" || s == "robot" else {
        throw f.fail(key, "found '\(s)', expected policy, motor or robot", .unsupported)
      }
      if key == "order" { out.order = s } else { out.gainOrder = s }
    }
    if (out.order ?? "policy") == "policy", !out.pose.isEmpty {
      try f.check("pose", out.pose.count, card.jointOrder.count, "positions", "joints")
    }
    if (out.gainOrder ?? out.order ?? "policy") == "policy" {
      if case .each(let list)? = out.kp { try f.check("kp", list.count, card.jointOrder.count, "gains", "joints") }
      if case .each(let list)? = out.kd { try f.check("kd", list.count, card.jointOrder.count, "gains", "joints") }
    }
    return out
  }

  func safety(_ json: Json) throws(Failure) -> Card.Safety {
    let f = try Fields(json, "safety", keys: "roll_limit pitch_limit data_age slew fallback")
    var out = Card.Safety()
    out.rollLimit = try f.positive("roll_limit", "rad")
    out.pitchLimit = try f.positive("pitch_limit", "rad")
    out.dataAge = try f.positive("data_age", "s")
    out.slew = try f.numbers("slew", count: card.jointOrder.count, of: "joints")
    try f.positive(out.slew, "slew")
    let items = try f.array("fallback") ?? []
    for (i, item) in items.enumerated() {
      let g = try Fields(item, "safety.fallback[\(i)]", keys: "kind seconds kp kd")
      guard let kind = try g.word("kind", Card.Safety.Step.Kind.self) else {
        throw g.fail("kind", "missing; expected hold, ramp, damping or zero")
      }
      var step = Card.Safety.Step(kind)
      step.seconds = try g.positive("seconds", "s")
      if step.seconds == nil, i < items.count - 1 { throw g.fail("seconds", "missing; only the last step has no end") }
      (step.kp, step.kd) = (
        try g.numbers("kp", count: card.jointOrder.count, of: "joints"),
        try g.numbers("kd", count: card.jointOrder.count, of: "joints")
      )
      out.fallback.append(step)
    }
    return out
  }
}
