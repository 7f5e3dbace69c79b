import Base
import Onnx

extension Importer {
  var isExploy: Bool {
    if metadata("exploy_version") != nil || metadata("obs_term_names") != nil || metadata("base_names") != nil {
      return true
    }
    return inputs.contains { $0.name == "ctx.step_count" }
  }

  /// exploy: the whole pipeline is in the graph; names of tensors say what they are, metadata say the rest
  /// (CONTROLLER.md 7).
  func exploy() throws(Failure) -> Json {
    try supplied.refuse(allBut: "joint_order limits joint_units patch", "an exploy file")
    try checkVersion()
    guard let text = metadata("update_rate") else {
      throw Failure(.format, "update_rate: missing; expected the control rate in Hz (exports of the tutorial lack it)")
    }
    let rate = try number("update_rate", text)
    guard rate > 0, rate <= 1e6 else { throw Failure(.format, "update_rate: found \(rate), expected more than 0 Hz") }
    var e = Exploy(importer: self)
    try e.read()
    var card = start("exploy")
    card.set("policy_period", .number(1 / rate))
    card.set("control_period", .number(1 / rate))
    if let text = metadata("decimation") {
      let d = try number("decimation", text)
      guard d >= 1, d <= 1e6, d == d.rounded(.towardZero) else {
        throw Failure(.format, "decimation: found \(d), expected a whole number of control ticks")
      }
      card.set("inner_decimation", .number(d))
    }
    if let text = metadata("obs_term_names") {
      card.set("observation_names", try Fields.strings(try object("obs_term_names", text), "obs_term_names"))
    }
    card.set("joint_order", e.order)
    var joints = e.joints
    try applyLimits(&joints)
    card.set("joints", joints.value)
    var m = JsonObject()
    m.set("name", "policy")
    m.set("inputs", e.ins.value)
    m.set("outputs", e.outs.value)
    card.set("models", .array([m.value]))
    card.set("vectors", .object([]))
    card.set("memory", e.memory.value)
    card.set("counters", e.counters.value)
    card.set("commands", e.commands.value)
    card.set("actions", .array(e.actions))
    if !e.scans.members.isEmpty { card.set("scans", e.scans.value) }
    card.set("asks", ["joints.default"])
    return card.value
  }

  private func checkVersion() throws(Failure) {
    guard let text = metadata("exploy_version") else {
      throw Failure(.format, "exploy_version: missing; expected the version of the exporter as a JSON text")
    }
    guard case .string(let version) = try object("exploy_version", text) else {
      throw Failure(.format, "exploy_version: found '\(text)', expected a JSON text such as \"0.1.0\"")
    }
    let parts = splitDots(version)
    for part in parts.prefix(2) {
      guard !part.isEmpty, part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { throw unreadable(version) }
    }
    guard parts.count >= 2 else { throw unreadable(version) }
  }

  private func unreadable(_ version: String) -> Failure {
    Failure(.format, "exploy_version: found '\(version)', expected MAJOR.MINOR and more")
  }

  func splitDots(_ name: String) -> [String] {
    var out: [String] = []
    var part: [UInt8] = []
    for b in name.utf8 {
      if b == UInt8(ascii: ".") {
        out.append(String(decoding: part, as: UTF8.self))
        part.removeAll(keepingCapacity: true)
      } else {
        part.append(b)
      }
    }
    out.append(String(decoding: part, as: UTF8.self))
    return out
  }
}

/// The parts of an exploy card, filled tensor by tensor.
private struct Exploy {
  let importer: Importer
  var order: [String] = []
  var joints = JsonObject()
  var ins = JsonObject()
  var outs = JsonObject()
  var memory = JsonObject()
  var counters = JsonObject()
  var commands = JsonObject()
  var scans = JsonObject()
  var actions: [Json] = []
  /// Root body of every articulation.
  private var roots = JsonObject()

  init(importer: Importer) { self.importer = importer }

  mutating func read() throws(Failure) {
    if let text = importer.metadata("base_names") {
      let json = try importer.object("base_names", text)
      guard case .object(let members) = json else {
        throw Failure(.format, "base_names: found \(json.kind), expected an object of articulations")
      }
      for m in members { roots.set(m.key, try Fields.string(m.value, "base_names." + m.key)) }
    }
    let values = importer.inputs
    for value in values { ins.set(value.name, try input(value)) }
    // joints that are driven and never read come last
    for value in importer.model.graph.outputs { outs.set(value.name, try output(value)) }
    for value in values where value.name.begins(with: "memory.") {
      let name = value.name.without(first: 7, last: 3)
      guard importer.output("memory." + name + ".out") != nil else {
        throw Failure(.mismatch, "\(value.name): the network has no output memory.\(name).out that would feed it")
      }
    }
  }

  // MARK: inputs

  private mutating func input(_ value: OnnxValue) throws(Failure) -> Json {
    let parts = importer.splitDots(value.name)
    let last = parts[parts.count - 1]
    switch parts[0] {
    case "ctx" where value.name == "ctx.step_count":
      var c = JsonObject()
      // exploy itself starts at 1 and so commands targets made of zero memory for decimation - 1 ticks
      c.set("start", 0)
      c.set("step", 1)
      c.set("last", .null)
      counters.set("step", c.value)
      return importer.pair("from", "counter:step")
    case "memory" where parts.count >= 3 && last == "in":
      let name = value.name.without(first: 7, last: 3)
      memory.set(name, try importer.memory(value))
      return importer.pair("from", "memory:" + name)
    case "obj" where parts.count == 4 && parts[2] == "joints" && (last == "pos" || last == "vel"):
      return try jointInput(value, "obj." + parts[1] + ".joints", last == "pos" ? "joint.position" : "joint.velocity")
    case "obj" where parts.count == 4 || (parts.count == 5 && parts[2] == "bodies"):
      if let signal = body(parts[1], parts[parts.count - 2], last) {
        try expect(value, last == "w_Q_b" ? 4 : 3)
        return importer.pair("from", "signal:" + signal)
      }
    case "sensor" where parts.count == 4:
      if let signal = try sensor(value, parts[1], parts[2], last) { return importer.pair("from", "signal:" + signal) }
    case "cmd" where parts.count >= 3:
      if let name = try command(value, parts) { return importer.pair("from", "command:" + name) }
    case "custom" where parts.count >= 2: return importer.pair("from", "signal:" + value.name)
    default: break
    }
    throw Failure(.unsupported, "the input '\(value.name)' has no known kind; exploy itself would run it on zeros")
  }

  private func expect(_ value: OnnxValue, _ count: Int) throws(Failure) {
    if let width = importer.width(value), width != count {
      throw Failure(.shape, "\(value.name): the network takes \(width) values, expected \(count)")
    }
  }

  private mutating func jointInput(_ value: OnnxValue, _ key: String, _ signal: String) throws(Failure) -> Json {
    let names = try self.names(key, "joint_names")
    if let width = importer.width(value), width != names.count {
      throw Failure(
        .shape, "\(key): found \(names.count) joint_names, but the input '\(value.name)' has \(width) values")
    }
    for name in names { meet(name) }
    var o = JsonObject()
    o.set("from", "signal:" + signal)
    o.set("joints", names)
    return o.value
  }

  /// A joint of the card, whose gains an output may bring.
  private mutating func meet(_ name: String) {
    if order.contains(name) { return }
    order.append(name)
    var j = JsonObject()
    j.set("default", .null)
    joints.set(name, j.value)
  }

  private func names(_ key: String, _ member: String) throws(Failure) -> [String] {
    guard let text = importer.metadata(key) else {
      throw Failure(.format, "\(key): the metadata are missing; expected an object with \(member)")
    }
    guard let list = try importer.object(key, text)[member] else {
      throw Failure(.format, "\(key).\(member): missing; expected the names in the order of the tensor")
    }
    return try importer.strings(list, key + "." + member)
  }

  /// The signal of a body's pose or velocity.
  private func body(_ articulation: String, _ name: String, _ quantity: String) -> String? {
    let signal: String
    switch quantity {
    case "pos_b_rt_w_in_w": signal = "position"
    case "w_Q_b": signal = "orientation"
    case "lin_vel_b_rt_w_in_b": signal = "linear_velocity"
    case "ang_vel_b_rt_w_in_b": signal = "angular_velocity"
    default: return nil
    }
    let isBase: Bool
    if case .string(let root)? = roots[articulation] { isBase = root == name } else { isBase = false }
    return (isBase ? "base." : "body." + name + ".") + signal
  }

  private mutating func sensor(_ value: OnnxValue, _ kind: String, _ name: String, _ channel: String) throws(Failure)
    -> String?
  {
    switch kind {
    case "imu":
      switch channel {
      case "w_Q_b":
        try expect(value, 4)
        return "imu." + name + ".orientation"
      case "ang_vel_b_rt_w_in_b":
        try expect(value, 3)
        return "imu." + name + ".angular_velocity"
      case "lin_acc_b_rt_w_in_b":
        try expect(value, 3)
        return "imu." + name + ".linear_acceleration"
      default: return nil
      }
    case "ray_caster", "spherical_image", "pinhole_image":
      if let text = importer.metadata("sensor." + kind + "." + name) {
        scans.set(name, try importer.object("sensor." + kind + "." + name, text))
      }
      return kind + "." + name + "." + channel
    default: return nil
    }
  }

  private mutating func command(_ value: OnnxValue, _ parts: [String]) throws(Failure) -> String? {
    let kind = parts[1]
    let key = "cmd." + kind + "." + parts[2]
    guard parts.count == 3 else { return nil }
    var meta = Json.null
    if let text = importer.metadata(key) { meta = try importer.object(key, text) }
    // one base velocity is the velocity of every robot; a second one keeps its name
    var name = kind == "se2_velocity" && commands["velocity"] == nil ? "velocity" : parts[2]
    if commands[name] != nil { name = kind + "." + parts[2] }
    let made: Json
    switch kind {
    case "se2_velocity":
      try expect(value, 3)
      made =
        name == "velocity"
        ? importer.velocityCommand(range: try ranges(key, meta))
        : renamed(importer.velocityCommand(range: try ranges(key, meta)), name)
    case "se3_pose":
      try expect(value, 7)
      made = importer.command(name, fields: importer.poseFields)
    case "boolean":
      try expect(value, 1)
      made = importer.command(name, fields: ["value"], units: .array([.string("bool")]))
    case "float":
      try expect(value, 1)
      made = importer.command(name, fields: ["value"], range: try range(key, meta))
    case "joint_pos":
      let fields = try names(key, "joint_names")
      if let width = importer.width(value), width != fields.count {
        throw Failure(
          .shape, "\(key): found \(fields.count) joint_names, but the input '\(value.name)' has \(width) values")
      }
      made = importer.command(name, fields: fields)
    default: return nil
    }
    commands.set(name, made)
    return name
  }

  private func renamed(_ command: Json, _ name: String) -> Json {
    var o = JsonObject()
    o.set("signal", "command." + name)
    return command.merged(with: o.value)
  }

  private func range(_ key: String, _ meta: Json) throws(Failure) -> Json {
    guard let range = meta["range"] else { return .null }
    if case .null = range { return .null }
    return .array([try interval(range, key + ".range")])
  }

  private func ranges(_ key: String, _ meta: Json) throws(Failure) -> Json {
    guard let ranges = meta["ranges"] else { return .null }
    if case .null = ranges { return .null }
    let f = try Fields(ranges, key + ".ranges", keys: "lin_vel_x lin_vel_y ang_vel_z heading")
    var out: [Json] = []
    for field in importer.velocityFields {
      if let json = f[field] { out.append(try interval(json, f.place(field))) } else { out.append(.null) }
    }
    return .array(out)
  }

  private func interval(_ json: Json, _ path: String) throws(Failure) -> Json {
    let f = try Fields(.object([]), path, keys: "")
    let i = try f.interval(json, path)
    return .array([.number(i.lower), .number(i.upper)])
  }

  // MARK: outputs

  private mutating func output(_ value: OnnxValue) throws(Failure) -> Json {
    let parts = importer.splitDots(value.name)
    let last = parts[parts.count - 1]
    if value.name == "actions" || value.name == "obs" { return importer.pair("to", "ignore") }
    if parts[0] == "memory", parts.count >= 3, last == "out" {
      let name = value.name.without(first: 7, last: 4)
      // an input that nothing reads is pruned by the exporter; its output is then of no use
      return importer.pair("to", memory[name] == nil ? "ignore" : "memory:" + name)
    }
    if parts[0] == "output", parts.count == 4, parts[1] == "joint_targets" {
      let type =
        switch last {
        case "pos": "position"
        case "vel": "velocity"
        case "effort": "effort"
        default: ""
        }
      if !type.isEmpty {
        try target(value, "output.joint_targets." + parts[2], parts[2], type)
        return importer.pair("to", "target")
      }
    }
    throw Failure(
      .unsupported,
      """
      the output '\(value.name)' has no known kind; known are output.joint_targets.NAME.pos, .vel, .effort, \
      memory.NAME.out, actions, obs
      """
    )
  }

  private mutating func target(_ value: OnnxValue, _ key: String, _ group: String, _ type: String) throws(Failure) {
    let names = try self.names(key, "names")
    if let width = importer.width(value), width != names.count {
      throw Failure(.shape, "\(key): found \(names.count) names, but the output '\(value.name)' has \(width) values")
    }
    let meta = try importer.object(key, importer.metadata(key) ?? "")
    if let kind = meta["type"], kind != .string("joint_targets") {
      throw Failure(.unsupported, "\(key).type: found \(kind.kind), expected joint_targets")
    }
    for (gain, member) in [("kp", "stiffness"), ("kd", "damping")] {
      guard let list = meta[member] else {
        throw Failure(.format, "\(key).\(member): missing; expected a number per joint")
      }
      for (i, g) in try importer.doubles(list, key + "." + member, count: names.count).enumerated() {
        meet(names[i])
        let joint = joints[names[i]] ?? .object([])
        if let other = joint[gain], other != .number(g) {
          throw Failure(.mismatch, "\(key).\(member)[\(i)]: '\(names[i])' has another gain in another output")
        }
        var o = JsonObject()
        o.set(gain, .number(g))
        joints.set(names[i], joint.merged(with: o.value))
      }
    }
    var a = JsonObject()
    a.set("name", group + "." + type)
    a.set("type", type)
    a.set("model", "policy")
    a.set("output", value.name)
    a.set("index", .array((0..<names.count).map { .number(Double($0)) }))
    a.set("joints", names)
    a.set("clip_raw", .null)
    a.set("scale", 1)
    a.set("offset", 0)
    a.set("clip", .null)
    actions.append(a.value)
  }
}
