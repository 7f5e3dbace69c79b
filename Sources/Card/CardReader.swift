import Base

/// Reads a card from JSON. Every key is known or refused; what can be checked inside one object is checked here, what
/// several objects must agree on in `Card.check`.
struct CardReader {
  var card = Card()
  /// Joints of terms and actions that name none.
  var jointCount: Int { card.jointOrder.count }

  static let keys: StaticString = """
    efferent_card convention robot source note policy_period control_period drive_period inner_decimation \
    observation_names joint_order joints models vectors memory counters clocks commands actions motion prime_models \
    target_init startup safety scans asks recordings
    """

  static func read(_ json: Json) throws(Failure) -> Card {
    guard case .object = json else {
      throw Failure(.format, "found \(json.kind), expected a card: an object with the key efferent_card")
    }
    guard let version = json["efferent_card"] else {
      throw Failure(.format, "efferent_card: missing; expected a card: an object with the key efferent_card")
    }
    // first of all: the keys of a later version are not ours to judge
    let number = try Fields.integer(version, "efferent_card")
    guard number == Card.version else {
      throw Failure(.unsupported, "efferent_card: found version \(number), this library reads \(Card.version)")
    }
    var reader = CardReader()
    try reader.top(try Fields(json, "", keys: keys))
    reader.card.json = json
    try reader.card.check()
    return reader.card
  }

  private mutating func top(_ f: Fields) throws(Failure) {
    card.convention = try f.string("convention")
    card.robot = try f.string("robot")
    card.source = f["source"]
    card.note = f["note"]
    card.policyPeriod = try f.positive("policy_period", "s")
    card.controlPeriod = try f.positive("control_period", "s")
    card.drivePeriod = try f.positive("drive_period", "s")
    card.innerDecimation = try f.integer("inner_decimation", 1...1_000_000)
    card.observationNames = try f.strings("observation_names")
    card.jointOrder = try f.uniqueStrings("joint_order")
    card.asks = try f.strings("asks")
    card.recordings = try f.uniqueStrings("recordings")
    card.targetInit = try f.word("target_init", Card.Start.self)
    for m in try f.named("joints") { card.joints.append(try joint(m)) }
    for m in try f.named("memory") { card.memories.append(try memory(m)) }
    for m in try f.named("counters") { card.counters.append(try counter(m)) }
    for m in try f.named("commands") { card.commands.append(try command(m)) }
    for m in try f.named("clocks") { card.clocks.append(try clock(m)) }
    for (i, item) in (try f.array("models") ?? []).enumerated() { card.models.append(try model(item, "models[\(i)]")) }
    for m in try f.named("vectors") { card.vectors.append(try vector(m)) }
    for (i, item) in (try f.array("actions") ?? []).enumerated() { card.actions.append(try action(item, i)) }
    if let json = f["motion"] { card.motion = try motion(json) }
    if let json = f["prime_models"] { card.primeModels = try primeModels(json) }
    if let json = f["startup"] { card.startup = try startup(json) }
    if let json = f["safety"] { card.safety = try safety(json) }
    for m in try f.named("scans") { card.scans.append(Card.Scan(name: m.key, pattern: m.value)) }
  }

  // MARK: joints and what ticks carry

  private func joint(_ m: JsonMember) throws(Failure) -> Card.Joint {
    let f = try Fields(m.value, "joints." + m.key, keys: "default kp kd lower upper velocity_limit effort_limit")
    var j = Card.Joint(name: m.key)
    j.defaultPosition = try f.setting("default")
    (j.kp, j.kd) = (try f.setting("kp"), try f.setting("kd"))
    (j.lower, j.upper) = (try f.setting("lower"), try f.setting("upper"))
    (j.velocityLimit, j.effortLimit) = (try f.setting("velocity_limit"), try f.setting("effort_limit"))
    if let kp = j.kp.value, kp < 0 { throw f.fail("kp", "found \(kp), expected at least 0 N m/rad") }
    if let kd = j.kd.value, kd < 0 { throw f.fail("kd", "found \(kd), expected at least 0 N m s/rad") }
    if let lower = j.lower.value, let upper = j.upper.value, lower > upper {
      throw f.fail("lower", "the lower limit \(lower) is above the upper limit \(upper)")
    }
    if let v = j.velocityLimit.value, v <= 0 {
      throw f.fail("velocity_limit", "found \(v), expected more than 0 rad/s")
    }
    if let e = j.effortLimit.value, e < 0 { throw f.fail("effort_limit", "found \(e), expected at least 0 N m") }
    return j
  }

  private func memory(_ m: JsonMember) throws(Failure) -> Card.Memory {
    let f = try Fields(m.value, "memory." + m.key, keys: "shape dtype init")
    var out = Card.Memory(name: m.key)
    var count = 1
    for (i, d) in (try f.array("shape") ?? []).enumerated() {
      let size = try Fields.integer(d, "\(f.place("shape"))[\(i)]")
      guard size >= 1, size <= 1 << 26, i < 8 else {
        throw f.fail("shape", "found \(size) at dimension \(i), expected at least 1 in at most 8 dimensions")
      }
      out.shape.append(size)
      count *= size
      guard count <= 1 << 26 else { throw f.fail("shape", "more than \(1 << 26) elements") }
    }
    guard f["shape"] != nil else { throw f.fail("shape", "missing; expected the shape of the tensor") }
    out.element = try f.word("dtype", Card.Memory.Element.self) ?? .f32
    out.initial = try f.numbers("init", count: count, of: "elements") ?? .all(0)
    return out
  }

  private func counter(_ m: JsonMember) throws(Failure) -> Card.Counter {
    let f = try Fields(m.value, "counters." + m.key, keys: "start step last")
    var out = Card.Counter(name: m.key)
    let range = -(1 << 40)...(1 << 40)
    out.start = try f.integer("start", range) ?? 0
    out.step = try f.integer("step", range) ?? 1
    out.last = try f.integer("last", range)
    if let last = out.last, out.step < 0 ? last > out.start : last < out.start {
      throw f.fail(
        "last", "found \(last), which a counter that starts at \(out.start) and steps by \(out.step) never reaches")
    }
    return out
  }

  private func command(_ m: JsonMember) throws(Failure) -> Card.Command {
    let f = try Fields(m.value, "commands." + m.key, keys: "signal fields units range clamp slew init")
    var out = Card.Command(name: m.key)
    out.signal = try f.required("signal", "the name of the raw signal, such as command.velocity")
    out.fields = try f.uniqueStrings("fields")
    guard !out.fields.isEmpty else { throw f.fail("fields", "missing; expected a name per value") }
    if let items = try f.array("units") {
      try f.check("units", items.count, out.fields.count, "units", "fields")
      for (i, u) in items.enumerated() {
        if case .null = u {
          out.units.append(nil)
        } else {
          out.units.append(try Fields.string(u, "\(f.place("units"))[\(i)]"))
        }
      }
    }
    if let items = try f.array("range") {
      try f.check("range", items.count, out.fields.count, "ranges", "fields")
      for (i, r) in items.enumerated() {
        if case .null = r {
          out.range.append(nil)
        } else {
          out.range.append(try f.interval(r, "\(f.place("range"))[\(i)]"))
        }
      }
    }
    out.clamp = try f.bool("clamp") ?? false
    if out.clamp, out.range.allSatisfy({ $0 == nil }) {
      throw f.fail("clamp", "found true, but there is no range to clamp to")
    }
    out.slew = try f.numbers("slew", count: out.fields.count, of: "fields")
    try f.positive(out.slew, "slew")
    out.initial = try f.numbers("init", count: out.fields.count, of: "fields")
    return out
  }

  // MARK: models

  private func model(_ json: Json, _ path: String) throws(Failure) -> Card.Model {
    let f = try Fields(json, path, keys: "name inputs outputs every")
    var out = Card.Model(name: try f.required("name", "the name of the model"))
    out.every = try f.integer("every", 1...1_000_000) ?? 1
    for m in try f.named("inputs") { out.inputs.append(try input(m, f.place("inputs"))) }
    for m in try f.named("outputs") { out.outputs.append(try output(m, f.place("outputs"))) }
    guard !out.inputs.isEmpty else {
      throw f.fail("inputs", "missing; expected where each input of the network comes from")
    }
    guard !out.outputs.isEmpty else {
      throw f.fail("outputs", "missing; expected where each output of the network goes")
    }
    return out
  }

  /// "vector:obs" as "vector" and "obs".
  private func split(_ text: String) -> (kind: String, name: String) {
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return (text, "") }
    return (String(decoding: bytes[..<colon], as: UTF8.self), String(decoding: bytes[(colon + 1)...], as: UTF8.self))
  }

  private func input(_ m: JsonMember, _ path: String) throws(Failure) -> Card.Input {
    let f = try Fields(m.value, path + "." + m.key, keys: "from joints quaternion fields value")
    let text = try f.required("from", "a source such as vector:obs")
    let (kind, name) = split(text)
    if kind != "constant", name.isEmpty {
      throw f.fail("from", "'\(text)' names nothing; expected a source such as vector:obs")
    }
    let source: Card.Input.Source
    switch kind {
    case "vector": source = .vector(name)
    case "memory": source = .memory(name)
    case "counter": source = .counter(name)
    case "command": source = .command(name)
    case "signal": source = .signal(name)
    case "model":
      let bytes = Array(name.utf8)
      guard let dot = bytes.firstIndex(of: UInt8(ascii: ".")), dot > 0, dot < bytes.count - 1 else {
        throw f.fail("from", "'\(text)' names no output; expected model:NAME.OUTPUT")
      }
      source = .model(
        String(decoding: bytes[..<dot], as: UTF8.self), output: String(decoding: bytes[(dot + 1)...], as: UTF8.self))
    case "constant":
      guard let value = try f.numbers("value") else {
        throw f.fail("value", "missing; expected the number or the list of a constant")
      }
      source = .constant(value)
    default:
      throw f.fail(
        "from", "unknown source '\(text)'; known are vector:, memory:, counter:, command:, signal:, model:, constant",
        .unsupported)
    }
    var out = Card.Input(tensor: m.key, source: source)
    out.joints = try f.uniqueStrings("joints")
    out.quaternion = try f.word("quaternion", Card.Quaternion.self) ?? .wxyz
    out.fields = try f.uniqueStrings("fields")
    if kind != "signal" {
      if f["joints"] != nil { throw f.fail("joints", "only a signal of joints has them, this is '\(text)'") }
    }
    if kind != "signal", kind != "command", f["quaternion"] != nil {
      throw f.fail("quaternion", "only a signal has it, this is '\(text)'")
    }
    if kind != "command", f["fields"] != nil { throw f.fail("fields", "only a command has them, this is '\(text)'") }
    if kind != "constant", f["value"] != nil { throw f.fail("value", "only a constant has it, this is '\(text)'") }
    return out
  }

  private func output(_ m: JsonMember, _ path: String) throws(Failure) -> Card.Output {
    let f = try Fields(m.value, path + "." + m.key, keys: "to")
    let text = try f.required("to", "a destination such as action")
    let (kind, name) = split(text)
    let destination: Card.Output.Destination
    switch (kind, name.isEmpty) {
    case ("action", true): destination = .action
    case ("target", true): destination = .target
    case ("kp", true): destination = .kp
    case ("kd", true): destination = .kd
    case ("ignore", true): destination = .ignore
    case ("memory", false): destination = .memory(name)
    case ("model", false): destination = .model(name)
    case ("vector", false): destination = .vector(name)
    case ("reference", false):
      guard let part = Card.Reference(name) else {
        throw f.unknownWord("to", name, Card.Reference.words, Card.Reference.noun)
      }
      destination = .reference(part)
    default:
      throw f.fail(
        "to",
        "unknown destination '\(text)'; known are action, target, memory:, reference:, kp, kd, model:, vector:, ignore",
        .unsupported)
    }
    return Card.Output(tensor: m.key, destination: destination)
  }

  private func primeModels(_ json: Json) throws(Failure) -> Card.PrimeModels {
    let f = try Fields(json, "prime_models", keys: "observation advance keep_action")
    if let s = try f.string("observation"), s != "zero" {
      throw f.fail("observation", "found '\(s)', expected zero", .unsupported)
    }
    var out = Card.PrimeModels()
    out.advance = try f.bool("advance") ?? false
    out.keepAction = try f.bool("keep_action") ?? false
    return out
  }
}

extension Fields {
  /// Refuses what is not above 0.
  func positive(_ numbers: Card.Numbers?, _ key: String) throws(Failure) {
    let list: [Double]
    switch numbers {
    case .all(let v)?: list = [v]
    case .each(let l)?: list = l
    case nil: list = []
    }
    for v in list where v <= 0 { throw fail(key, "found \(v), expected more than 0") }
  }
}
