import Base

extension CardReader {
  func vector(_ m: JsonMember) throws(Failure) -> Card.Vector {
    let f = try Fields(m.value, "vectors." + m.key, keys: "layout clip first_tick terms")
    var out = Card.Vector(name: m.key)
    out.layout = try f.word("layout", Card.Vector.Layout.self) ?? .termMajor
    if let s = try f.string("first_tick") {
      guard s == "zeros" else { throw f.fail("first_tick", "found '\(s)', expected zeros", .unsupported) }
      out.firstTickZeros = true
    }
    let items = try f.array("terms") ?? []
    guard !items.isEmpty else { throw f.fail("terms", "missing; expected the terms of the vector in their order") }
    for (i, item) in items.enumerated() {
      let path = "\(f.place("terms"))[\(i)]"
      var name = ""
      if case .string(let s)? = item["name"] { name = s }
      do {
        out.terms.append(try term(item, path))
      } catch {
        throw name.isEmpty ? error : error.within("term '" + name + "'")
      }
    }
    out.clip = try f.bounds("clip", count: out.terms.reduce(0) { $0 + $1.size }, of: "values of a frame")
    return out
  }

  private func term(_ json: Json, _ path: String) throws(Failure) -> Card.Term {
    let f = try Fields(
      json, path,
      keys: """
        name op size scale clip scale_first offset normalize ages fill joints minus_default zero zero_when of age \
        command fields clock fn value signal signals relative_to minus a b layout model output vector
        """)
    guard let op = try f.word("op", Card.Term.Operation.self) else {
      throw f.fail("op", "missing; expected what the term shows")
    }
    var t = Card.Term(name: try f.string("name") ?? op.text, operation: op)
    try forbid(f, op)
    t.joints = try f.uniqueStrings("joints")
    t.zero = try f.uniqueStrings("zero")
    t.minusDefault = try f.bool("minus_default") ?? false
    if t.minusDefault, op != .jointPosition, op != .previousTarget {
      throw f.fail("minus_default", "only joint_position and previous_target have a default pose")
    }
    t.of = try f.word("of", Card.ActionStage.self) ?? .raw
    t.age = try f.integer("age", 0...100_000) ?? 0
    t.command = try f.string("command") ?? ""
    t.fields = try f.uniqueStrings("fields")
    t.clock = try f.string("clock") ?? ""
    for name in try f.uniqueStrings("fn") {
      guard let fn = Card.ClockFunction(name) else {
        throw f.unknownWord("fn", name, Card.ClockFunction.words, Card.ClockFunction.noun)
      }
      t.functions.append(fn)
    }
    t.value = try f.numbers("value")
    try signals(f, &t)
    t.layout = try matrix(f)
    t.model = try f.string("model") ?? ""
    t.output = try f.string("output") ?? ""
    t.vector = try f.string("vector") ?? ""
    try require(f, t)
    t.size = try size(f, t)
    let values = "values"
    t.scale = try f.numbers("scale", count: t.size, of: values) ?? .all(1)
    t.offset = try f.numbers("offset", count: t.size, of: values)
    t.clip = try f.bounds("clip", count: t.size, of: values)
    t.scaleFirst = try f.bool("scale_first") ?? false
    if let n = f["normalize"] { t.normalize = try normalization(n, f.place("normalize"), count: t.size, of: values) }
    if let c = f["zero_when"] {
      t.zeroWhen = try condition(try Fields(c, f.place("zero_when"), keys: "command norm fields parts below inclusive"))
    }
    t.fill = try f.word("fill", Card.Term.Fill.self) ?? .first
    if f["ages"] != nil { t.ages = try ages(f) }
    guard !t.count.multipliedReportingOverflow(by: 8).overflow, t.count <= 1 << 26 else {
      throw f.fail("ages", "\(t.ages.count) frames of \(t.size) values are too many")
    }
    return t
  }

  /// Keys that mean something to some ops only are refused at the others.
  private func forbid(_ f: Fields, _ op: Card.Term.Operation) throws(Failure) {
    func only(_ key: String, _ isKnown: Bool) throws(Failure) {
      // an empty list or a false says nothing
      if isKnown { return }
      switch f[key] {
      case nil, .bool(false)?: return
      case .array(let items)? where items.isEmpty: return
      default: throw f.fail(key, "the op \(op.text) has no use for this key")
      }
    }
    let isJoint = op == .jointPosition || op == .jointVelocity || op == .jointEffort || op == .previousTarget
    try only(
      "joints",
      isJoint || op == .lastAction || op == .referenceJointPositionVelocity || op == .signal || op == .signalDifference)
    try only("zero", isJoint)
    try only("of", op == .lastAction)
    try only("age", op == .lastAction)
    try only("command", op == .command)
    try only("fields", op == .command)
    try only("clock", op == .clock)
    try only("fn", op == .clock)
    try only("value", op == .constant)
    let isSignal = op == .signal || op == .signalDifference || op == .relativeOrientation || op == .heightScan
    try only("signal", isSignal)
    let isPair = op == .signalDifference || op == .relativeOrientation
    try only("signals", isPair)
    try only("relative_to", isPair)
    for key in ["minus", "a", "b"] { try only(key, isPair) }
    try only("layout", op == .relativeOrientation || op == .referenceAnchorOrientation6D)
    try only("model", op == .modelOutput || op == .lastAction)
    try only("output", op == .modelOutput || op == .lastAction)
    try only("vector", op == .vector)
  }

  /// Keys without which an op says nothing.
  private func require(_ f: Fields, _ t: Card.Term) throws(Failure) {
    func need(_ key: String, _ isThere: Bool) throws(Failure) {
      guard isThere else { throw f.fail(key, "missing; the op \(t.operation.text) needs it") }
    }
    switch t.operation {
    case .command: try need("command", !t.command.isEmpty)
    case .clock:
      try need("clock", !t.clock.isEmpty)
      try need("fn", !t.functions.isEmpty)
    case .constant: try need("value", t.value != nil)
    case .signal, .heightScan: try need("signal", !t.signal.isEmpty)
    case .signalDifference, .relativeOrientation:
      try need("signal", !t.signal.isEmpty)
      try need("relative_to", !t.relativeTo.isEmpty)
    case .modelOutput:
      try need("model", !t.model.isEmpty)
      try need("output", !t.output.isEmpty)
    case .vector: try need("vector", !t.vector.isEmpty)
    default: break
    }
  }

  private func signals(_ f: Fields, _ t: inout Card.Term) throws(Failure) {
    let pair = try f.strings("signals")
    if !pair.isEmpty {
      guard pair.count == 2, f["signal"] == nil else {
        throw f.fail("signals", "found \(pair.count) names, expected two and no key signal beside them")
      }
      (t.signal, t.relativeTo) = (pair[0], pair[1])
      return
    }
    // a - b, or the orientation of a seen from b
    if let first = try f.aliased("signal a") { t.signal = try Fields.string(first.value, f.place(first.key)) }
    if let other = try f.aliased("relative_to minus b") {
      t.relativeTo = try Fields.string(other.value, f.place(other.key))
    }
  }

  /// "r00,r01,r10" as places in a rotation matrix.
  private func matrix(_ f: Fields) throws(Failure) -> [Card.MatrixEntry] {
    guard let text = try f.string("layout") else { return [] }
    var out: [Card.MatrixEntry] = []
    let bytes = Array(text.utf8)
    var i = 0
    while i < bytes.count {
      while i < bytes.count, bytes[i] == UInt8(ascii: " ") { i += 1 }
      guard i + 3 <= bytes.count, bytes[i] == UInt8(ascii: "r"), bytes[i + 1] >= 0x30, bytes[i + 1] <= 0x32,
        bytes[i + 2] >= 0x30, bytes[i + 2] <= 0x32,
        i + 3 == bytes.count || bytes[i + 3] == UInt8(ascii: ",")
      else {
        throw f.fail("layout", "found '\(text)', expected entries of a rotation matrix such as r00,r01,r10,r11,r20,r21")
      }
      out.append(Card.MatrixEntry(Int(bytes[i + 1]) - 0x30, Int(bytes[i + 2]) - 0x30))
      i += 4
    }
    return out
  }

  /// Values of one frame: as the card says, which must be what the op gives, where that is known here.
  private func size(_ f: Fields, _ t: Card.Term) throws(Failure) -> Int {
    let given = try f.integer("size", 1...1 << 24)
    let joints = t.joints.isEmpty ? jointCount : t.joints.count
    var expected: (count: Int, what: String)?
    switch t.operation {
    case .baseLinearVelocity, .baseAngularVelocity, .projectedGravity, .baseEulerXyz, .referenceAnchorPosition:
      expected = (3, "axes")
    case .baseHeight: expected = (1, "height")
    case .jointPosition, .jointVelocity, .jointEffort, .previousTarget: expected = (joints, "joints")
    case .referenceJointPositionVelocity: expected = (2 * joints, "positions and velocities of joints")
    case .referenceAnchorOrientation6D, .relativeOrientation:
      expected = (t.layout.isEmpty ? 6 : t.layout.count, "entries of a matrix")
    case .command:
      if let c = card.commands.first(where: { $0.name == t.command }) {
        expected = (t.fields.isEmpty ? c.fields.count : t.fields.count, "fields")
      }
    case .clock:
      if let c = card.clocks.first(where: { $0.name == t.clock }) {
        expected = (c.phaseCount * t.functions.count, "functions of phases")
      }
    case .constant:
      if case .each(let list)? = t.value { expected = (list.count, "numbers") }
    case .lastAction where !t.joints.isEmpty: expected = (t.joints.count, "joints")
    case .signalDifference, .lastAction, .signal, .heightScan, .modelOutput, .vector: break
    }
    guard let size = given ?? expected?.count else {
      throw f.fail("size", "missing; expected the number of values of one frame")
    }
    if let expected, size != expected.count {
      throw f.fail("size", "found \(size), but there are \(expected.count) \(expected.what)", .shape)
    }
    return size
  }

  private func ages(_ f: Fields) throws(Failure) -> [Int] {
    var out: [Int] = []
    for (i, item) in (try f.array("ages") ?? []).enumerated() {
      let age = try Fields.integer(item, "\(f.place("ages"))[\(i)]")
      guard age >= 0, age <= 100_000 else {
        throw f.fail("ages", "found \(age), expected 0 (the newest frame) or more")
      }
      guard !out.contains(age) else { throw f.fail("ages", "the age \(age) is there twice") }
      out.append(age)
    }
    guard !out.isEmpty else { throw f.fail("ages", "the list is empty; expected [0] for no history") }
    return out
  }

  func normalization(_ json: Json, _ path: String, count: Int, of what: String) throws(Failure) -> Card.Normalization {
    let f = try Fields(json, path, keys: "mode eps eps_in_inverse mean std min max q01 q99 q10 q90")
    var out = Card.Normalization()
    guard let mode = try f.word("mode", Card.Normalization.Mode.self) else {
      throw f.fail("mode", "missing; expected mean_std, min_max, quantiles or identity")
    }
    out.mode = mode
    out.eps = try f.number("eps") ?? 0
    guard out.eps >= 0 else { throw f.fail("eps", "found \(out.eps), expected at least 0") }
    out.epsInInverse = try f.bool("eps_in_inverse") ?? false
    func values(_ keys: StaticString) throws(Failure) -> [Double] {
      guard let found = try f.aliased(keys) else {
        throw f.fail(splitWords(keys)[0], "missing; the mode \(mode.text) needs it")
      }
      let list = try f.list(found.key) ?? []
      try f.check(found.key, list.count, count, "numbers", what)
      return list
    }
    switch mode {
    case .meanStd:
      (out.mean, out.std) = (try values("mean"), try values("std"))
      for (i, s) in out.std.enumerated() where s < 0 || s + out.eps == 0 {
        throw f.fail("std", "found \(s) at \(i), expected more than 0")
      }
    case .minMax: (out.minimum, out.maximum) = (try values("min"), try values("max"))
    case .quantiles: (out.minimum, out.maximum) = (try values("q01 q10 min"), try values("q99 q90 max"))
    case .identity: break
    }
    for (i, low) in out.minimum.enumerated() where low > out.maximum[i] {
      throw Failure(.format, "\(path): the lower value \(low) at \(i) is above the upper value \(out.maximum[i])")
    }
    return out
  }

  // MARK: clocks

  func condition(_ f: Fields) throws(Failure) -> Card.Condition {
    var out = Card.Condition()
    out.command = try f.required("command", "the name of a command")
    out.norm = try f.word("norm", Card.Condition.Norm.self) ?? .l2
    out.fields = try f.uniqueStrings("fields")
    out.parts = try f.stringLists("parts")
    if out.norm == .parts, out.parts.isEmpty {
      throw f.fail("parts", "missing; the norm of parts needs the fields of each part")
    }
    if out.norm == .l2, !out.parts.isEmpty { throw f.fail("parts", "the norm is l2, which has no parts") }
    guard let below = try f.number("below") else {
      throw f.fail("below", "missing; expected the norm below which a command is small")
    }
    guard below >= 0 else { throw f.fail("below", "found \(below), expected at least 0") }
    out.below = below
    out.inclusive = try f.bool("inclusive") ?? false
    return out
  }

  func clock(_ m: JsonMember) throws(Failure) -> Card.Clock {
    let f = try Fields(
      m.value, "clocks." + m.key,
      keys: """
        kind period frequency frequency_from frequency_ramp phases phases_from phases_command init advance \
        advances_at_reset advance_on_first_tick wrap stand zero_frequency_after latch_output output_before_first_advance
        """)
    var c = Card.Clock(name: m.key)
    c.kind = try f.word("kind", Card.Clock.Kind.self) ?? .phase
    c.period = try f.positive("period", "s")
    c.frequency = try f.number("frequency")
    if let hz = c.frequency, hz < 0 { throw f.fail("frequency", "found \(hz), expected at least 0 Hz") }
    if let json = f["frequency_from"] {
      let g = try Fields(json, f.place("frequency_from"), keys: "command field")
      c.frequencyFrom = Card.CommandField(
        command: try g.required("command", "the name of a command"),
        field: try g.required("field", "the field that is the frequency in Hz"))
    }
    if let json = f["frequency_ramp"] { c.frequencyRamp = try ramp(json, f.place("frequency_ramp")) }
    let count =
      (c.period == nil ? 0 : 1) + (c.frequency == nil ? 0 : 1) + (c.frequencyFrom == nil ? 0 : 1)
      + (c.frequencyRamp == nil ? 0 : 1)
    guard count == 1 else {
      throw Failure(
        .format, "\(f.path): \(count) of period, frequency, frequency_from and frequency_ramp are there, expected one")
    }
    if f["phases"] != nil {
      c.phases = try f.list("phases") ?? []
      guard !c.phases.isEmpty else {
        throw f.fail("phases", "the list is empty; expected an offset per output, in cycles")
      }
    }
    c.phasesFrom = try f.stringLists("phases_from")
    c.phasesCommand = try f.string("phases_command") ?? ""
    if c.phasesFrom.isEmpty != c.phasesCommand.isEmpty {
      throw f.fail("phases_from", "phases_from and phases_command belong together, one is missing")
    }
    if !c.phasesFrom.isEmpty, f["phases"] != nil { throw f.fail("phases_from", "the offsets are in phases as well") }
    c.initial = try f.number("init") ?? 0
    c.advance = try f.word("advance", Card.Clock.Advance.self) ?? (c.kind == .time ? .none : .beforeUse)
    if c.kind == .time, c.advance != .none {
      throw f.fail("advance", "a clock of kind time runs by itself, expected none")
    }
    c.advancesAtReset = try f.integer("advances_at_reset", 0...1000) ?? 0
    c.advanceOnFirstTick = try f.bool("advance_on_first_tick") ?? true
    c.wrap = try f.word("wrap", Card.Clock.Wrap.self) ?? .modulo
    if let json = f["zero_frequency_after"] {
      c.zeroFrequencyAfter = try condition(
        try Fields(json, f.place("zero_frequency_after"), keys: "command norm fields parts below inclusive"))
    }
    c.latchOutput = try f.bool("latch_output") ?? false
    c.outputBeforeFirstAdvance = try f.number("output_before_first_advance")
    if let json = f["stand"] {
      let g = try Fields(json, f.place("stand"), keys: "command norm fields parts below inclusive phases resume")
      var stand = Card.Stand()
      stand.condition = try condition(g)
      guard let phases = try g.list("phases") else {
        throw g.fail("phases", "missing; expected the phases that are shown, in cycles")
      }
      try g.check("phases", phases.count, c.phaseCount, "phases", "outputs of the clock")
      stand.phases = phases
      stand.resume = try g.word("resume", Card.Stand.Resume.self) ?? .continue
      c.stand = stand
    }
    return c
  }

  private func ramp(_ json: Json, _ path: String) throws(Failure) -> Card.FrequencyRamp {
    let f = try Fields(json, path, keys: "command norm fields base gain from to limit max below")
    var out = Card.FrequencyRamp()
    out.command = try f.required("command", "the name of a command")
    if let norm = try f.string("norm"), norm != "l2" {
      throw f.fail("norm", "found '\(norm)', expected l2", .unsupported)
    }
    out.fields = try f.uniqueStrings("fields")
    let base = try f.aliased("base from")
    guard let base, let end = try f.aliased("gain to"), let limit = try f.aliased("limit max") else {
      throw Failure(
        .format,
        "\(path): base, gain or limit is missing; expected frequency = base + gain * min(norm, limit) / limit in Hz")
    }
    out.base = try Fields.number(base.value, f.place(base.key))
    // "to" is the frequency at the limit, "gain" what is added there
    out.gain = try Fields.number(end.value, f.place(end.key)) - (end.key == "to" ? out.base : 0)
    out.limit = try f.positive(limit.key, "in the command's unit") ?? 1
    out.below = try f.number("below") ?? 0
    return out
  }
}
