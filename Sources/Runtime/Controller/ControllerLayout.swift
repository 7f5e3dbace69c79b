import Base
import Card
import Graph
import Platform

/// Turns a card, its networks and the robot's joints into the flat tables of a tick. Run twice: once to measure, once
/// to fill.
struct ControllerLayout {
  let card: Card
  let options: ControllerOptions
  var cursor: ArenaCursor
  /// One per model of the card; empty while measuring.
  private(set) var sessions: [Session] = []
  /// Policies in the order of the card's models.
  private(set) var policies: [Policy] = []
  private(set) var signals: [NeededSignal] = []
  /// Robot index of each joint of the card.
  private(set) var robotIndex: [Int] = []
  private(set) var controlPeriod = 0.0
  private(set) var policyPeriod = 0.0
  private(set) var ratio = 1

  var commands: UnsafeMutablePointer<CommandSlot>! = nil
  var clocks: UnsafeMutablePointer<ClockSlot>! = nil
  var lastTargets: UnsafeMutablePointer<Double>! = nil
  var lastActions: LastActions! = nil
  /// Remembered outputs: model, tensor, first place, width.
  var heads: [(model: Int, output: Int, start: Int, width: Int)] = []
  var references: [(part: Card.Reference, values: UnsafeMutablePointer<Double>, count: Int)] = []
  var tracks: [MotionTrack] = []
  var widestTerm = 1

  init(_ card: Card, _ options: ControllerOptions, sessions: [Session], _ cursor: ArenaCursor) throws(Failure) {
    (self.card, self.options, self.cursor) = (card, options, cursor)
    try checkJoints()
    try checkPeriods()
    try matchModels(sessions)
  }

  // MARK: names

  /// Index of a joint of the card.
  func joint(_ name: String, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    for (i, n) in card.jointOrder.enumerated() where n == name { return i }
    throw Failure(.mismatch, "\(what()): the joint '\(name)' is not in joint_order")
  }

  func joints(_ names: [String], _ what: @autoclosure () -> String) throws(Failure) -> [Int] {
    var out: [Int] = []
    for n in names.isEmpty ? card.jointOrder : names { out.append(try joint(n, what())) }
    return out
  }

  func properties(_ joint: Int) -> Card.Joint {
    let name = card.jointOrder[joint]
    for j in card.joints where j.name == name { return j }
    return Card.Joint(name: name)
  }

  func commandIndex(_ name: String, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    for (i, c) in card.commands.enumerated() where c.name == name { return i }
    throw Failure(.mismatch, "\(what()): there is no command '\(name)'")
  }

  func fieldIndex(_ command: Int, _ field: String, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    for (i, f) in card.commands[command].fields.enumerated() where f == field { return i }
    throw Failure(.mismatch, "\(what()): the command '\(card.commands[command].name)' has no field '\(field)'")
  }

  func fieldIndices(_ command: Int, _ fields: [String], _ what: @autoclosure () -> String) throws(Failure) -> [Int] {
    var out: [Int] = []
    if fields.isEmpty { return Array(0..<card.commands[command].fields.count) }
    for f in fields { out.append(try fieldIndex(command, f, what())) }
    return out
  }

  func modelIndex(_ name: String, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    for (i, m) in card.models.enumerated() where m.name == name { return i }
    throw Failure(.mismatch, "\(what()): there is no model '\(name)'")
  }

  func outputIndex(_ model: Int, _ tensor: String, _ what: @autoclosure () -> String) throws(Failure) -> Int {
    let outputs = policies[model].plan.outputs
    for (i, o) in outputs.enumerated() where o.name == tensor { return i }
    throw Failure(
      .shape,
      """
      \(what()): the network '\(card.models[model].name)' has no output '\(tensor)'; it has \
      \(list(outputs.map { $0.name }))
      """
    )
  }

  func list(_ names: [String]) -> String {
    var out = ""
    for (i, n) in names.enumerated() { out += (i == 0 ? "'" : ", '") + n + "'" }
    return out == "" ? "none" : out
  }

  // MARK: what a robot and its networks must have

  private mutating func checkJoints() throws(Failure) {
    let robot = options.joints
    guard robot.count <= 4096 else { throw Failure(.argument, "joints: \(robot.count) names, expected at most 4096") }
    guard !robot.isEmpty else {
      throw Failure(.argument, "joints: the names of the robot's joints are needed, in the order of its arrays")
    }
    for (i, n) in robot.enumerated() {
      for k in 0..<i where robot[k] == n {
        throw Failure(.mismatch, "the robot has the joint '\(n)' twice, at \(k) and at \(i); names must be unique")
      }
    }
    for n in card.jointOrder {
      var found = -1
      for (i, r) in robot.enumerated() where r == n { found = i }
      guard found >= 0 else {
        let near = robot.first { isNear($0, n) }
        throw Failure(
          .mismatch,
          "joint '\(n)': the robot has no joint of that name"
            + (near.map { "; it has '" + $0 + "', which is another name" } ?? "")
            + "; joints are matched by name, never by position")
      }
      robotIndex.append(found)
    }
  }

  /// Names that differ in case and punctuation alone.
  private func isNear(_ a: String, _ b: String) -> Bool {
    func plain(_ s: String) -> [UInt8] {
      Array(s.utf8).filter { $0 != 0x5F && $0 != 0x2D && $0 != 0x20 && $0 != 0x2E }.map {
        $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0
      }
    }
    return plain(a) == plain(b)
  }

  private mutating func checkPeriods() throws(Failure) {
    guard let policy = card.policyPeriod, policy > 0 else {
      throw Failure(.mismatch, "policy_period is unknown: it must be given")
    }
    let control = options.controlPeriod ?? card.controlPeriod ?? policy
    guard control.isFinite, control >= 1e-6 else {
      throw Failure(.argument, "control_period is \(decimal(control)) s, expected at least 1e-6")
    }
    let exact = policy / control
    let whole = exact.rounded()
    guard whole >= 1, whole <= 1e6, (exact - whole).magnitude <= 1e-6 * whole else {
      throw Failure(
        .mismatch,
        """
        control_period is \(decimal(control)) s: policy_period, \(decimal(policy)) s, is no multiple of it \
        (\(decimal(exact)))
        """
      )
    }
    (controlPeriod, policyPeriod, ratio) = (control, policy, Int(whole))
  }

  private mutating func matchModels(_ made: [Session]) throws(Failure) {
    let given = options.models
    guard !card.models.isEmpty else { throw Failure(.mismatch, "the card has no models") }
    for (i, g) in given.enumerated() {
      for k in 0..<i where given[k].name == g.name { throw Failure(.argument, "models: '\(g.name)' is given twice") }
      guard card.models.contains(where: { $0.name == g.name }) else {
        throw Failure(
          .mismatch, "models: the card has no model '\(g.name)'; it has \(list(card.models.map { $0.name }))")
      }
    }
    for m in card.models {
      var found = -1
      for (i, g) in given.enumerated() where g.name == m.name { found = i }
      guard found >= 0 else {
        throw Failure(.mismatch, "models: the network of the card's model '\(m.name)' was not given")
      }
      policies.append(given[found].policy)
      if !made.isEmpty { sessions.append(made[found]) }
    }
  }

  // MARK: signals

  /// The values of a raw signal, which becomes a needed one. Joint signals have one value per joint of the card.
  mutating func need(
    _ name: String, count: Int = 0, unit: String? = nil, isOptional: Bool = false, _ what: @autoclosure () -> String
  ) throws(Failure)
    -> (values: UnsafeMutablePointer<Double>, count: Int)
  {
    let isJoint = name.begins(with: "joint.")
    let natural = isJoint ? card.jointOrder.count : Unit.width(name)
    for (i, s) in signals.enumerated() where s.name == name {
      guard count == 0 || s.isJoint || s.count == count else {
        throw Failure(.shape, "\(what()): the signal '\(name)' has \(s.count) values here and \(count) there")
      }
      if let unit, unit != "", s.unit == "" {
        signals[i].unit = unit
      }
      return (s.values, s.count)
    }
    guard name != "" else { throw Failure(.mismatch, "\(what()): no signal is named") }
    let values = natural > 0 ? natural : count
    guard values > 0, natural == 0 || count == 0 || isJoint || count == natural else {
      throw Failure(.shape, "\(what()): the signal '\(name)' has \(natural) values, expected \(count)")
    }
    let expected = Unit.expected(name)
    let told = unit ?? ""
    if told != "", expected != "", !Unit.fits(told, expected) {
      throw Failure(.mismatch, "\(what()): the signal '\(name)' is in '\(told)', expected '\(expected)'")
    }
    let text = expected != "" ? expected : told
    signals.append(
      NeededSignal(
        name: name, unit: text, width: isJoint ? options.joints.count : values, isJoint: isJoint,
        isQuaternion: Unit.expected(name).begins(with: "quaternion"), isOptional: isOptional, text: CText(name),
        unitText: CText(text),
        values: try cursor.doubles(values), count: values))
    return (signals[signals.count - 1].values, values)
  }

  // MARK: small tables

  func number(_ n: Card.Numbers, _ i: Int, _ what: @autoclosure () -> String) throws(Failure) -> Double {
    guard let v = n.value(i) else { throw Failure(.shape, "\(what()): there is no number for element \(i)") }
    return v
  }

  mutating func table(_ n: Card.Numbers, _ count: Int, _ what: @autoclosure () -> String) throws(Failure)
    -> UnsafeMutablePointer<Double>
  {
    let p = try cursor.doubles(count)
    if case .each(let values) = n, values.count != count {
      throw Failure(.shape, "\(what()): \(values.count) numbers, expected \(count)")
    }
    for i in 0..<count { p[i] = try number(n, i, what()) }
    return p
  }

  mutating func table(_ b: Card.Bounds?, _ count: Int, _ what: @autoclosure () -> String) throws(Failure) -> BoundTable
  {
    var out = BoundTable()
    guard let b else { return out }
    if case .each(let values) = b, values.count != count {
      throw Failure(.shape, "\(what()): \(values.count) intervals, expected \(count)")
    }
    if case .all = b { out.isUniform = true }
    let kept = out.isUniform ? min(count, 1) : count
    let (lower, upper) = (try cursor.doubles(kept), try cursor.doubles(kept))
    for i in 0..<kept {
      guard let interval = b.interval(i) else {
        throw Failure(.shape, "\(what()): there is no interval for element \(i)")
      }
      (lower[i], upper[i]) = (interval.lower, interval.upper)
    }
    (out.lower, out.upper) = (lower, upper)
    return out
  }

  mutating func table(_ n: Card.Normalization?, _ count: Int, isInverse: Bool, _ what: @autoclosure () -> String)
    throws(Failure) -> AffineTable
  {
    var out = AffineTable()
    guard let n, n.mode != .identity else { return out }
    let isStandard = n.mode == .meanStd
    let (low, high) = isStandard ? (n.mean, n.std) : (n.minimum, n.maximum)
    guard low.count == count, high.count == count else {
      throw Failure(.shape, "\(what()): \(low.count) and \(high.count) statistics, expected \(count)")
    }
    let (subtract, divide) = (try cursor.doubles(count), try cursor.doubles(count))
    for i in 0..<count {
      subtract[i] = low[i]
      if isStandard {
        divide[i] = high[i] + (!isInverse || n.epsInInverse ? n.eps : 0)
      } else {
        let range = high[i] - low[i]
        // eps always, where it belongs to both ways (openpi); else only where there is no range (lerobot)
        divide[i] = n.epsInInverse || range == 0 ? range + n.eps : range
      }
      guard divide[i] != 0 || isInverse else {
        throw Failure(.mismatch, "\(what()): the spread of element \(i) is 0 and eps is 0")
      }
    }
    (out.subtract, out.divide) = (subtract, divide)
    if !isStandard { (out.multiply, out.add) = (2, -1) }
    return out
  }

  mutating func condition(_ c: Card.Condition, _ what: @autoclosure () -> String) throws(Failure) -> ConditionSlot {
    let index = try commandIndex(c.command, what())
    var parts: [[Int]] = []
    if c.norm == .parts {
      for p in c.parts { parts.append(try fieldIndices(index, p, what())) }
    } else {
      parts.append(try fieldIndices(index, c.fields, what()))
    }
    guard !parts.isEmpty else { throw Failure(.mismatch, "\(what()): the norm has no parts") }
    var ends: [Int] = []
    var all: [Int] = []
    for p in parts {
      all += p
      ends.append(all.count)
    }
    return ConditionSlot(
      values: commands[index].values, fields: try cursor.indices(all), ends: try cursor.indices(ends),
      parts: parts.count, below: c.below,
      isInclusive: c.inclusive)
  }

  /// The default pose of joints, all known.
  mutating func defaults(_ joints: [Int], _ what: @autoclosure () -> String) throws(Failure) -> UnsafeMutablePointer<
    Double
  > {
    let p = try cursor.doubles(joints.count)
    for (i, j) in joints.enumerated() {
      guard let v = properties(j).defaultPosition.value else {
        throw Failure(
          .mismatch,
          """
          \(what()): the default pose of joint '\(card.jointOrder[j])' is unknown: \
          joints.\(card.jointOrder[j]).default must be given
          """
        )
      }
      p[i] = v
    }
    return p
  }
}
