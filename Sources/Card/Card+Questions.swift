import Base

extension Card {
  /// What nobody has told yet, as paths into the card or names of answers for `supplied`: first what the importer asked
  /// for and the card still lacks, then what is null. A controller refuses a card whose questions matter to it.
  public var questions: [String] {
    var out: [String] = []
    func ask(_ path: String) { if !out.contains(path) { out.append(path) } }
    for path in asks where !isAnswered(path) { ask(path) }
    if policyPeriod == nil { ask("policy_period") }
    if controlPeriod == nil { ask("control_period") }
    if jointOrder.isEmpty { ask("joint_order") }
    askSettings("default", { $0.defaultPosition }, ask)
    // gains that the network gives are no question
    askSettings(
      "kp", { j in actions.contains { !$0.kpFrom.isEmpty && $0.joints.contains(j.name) } ? .absent : j.kp }, ask)
    askSettings(
      "kd", { j in actions.contains { !$0.kdFrom.isEmpty && $0.joints.contains(j.name) } ? .absent : j.kd }, ask)
    askSettings("lower", { $0.lower }, ask)
    askSettings("upper", { $0.upper }, ask)
    askSettings("velocity_limit", { $0.velocityLimit }, ask)
    askSettings("effort_limit", { $0.effortLimit }, ask)
    if models.isEmpty { ask("models") }
    let readsVector = models.contains { $0.inputs.contains { if case .vector = $0.source { true } else { false } } }
    if readsVector, vectors.isEmpty { ask("vectors") }
    if actions.isEmpty { ask("actions") }
    return out
  }

  /// One question where no joint has the number, one per joint where some have.
  private func askSettings(_ key: String, _ setting: (Joint) -> Setting, _ ask: (String) -> Void) {
    let unknown = joints.filter { setting($0) == .unknown }
    if unknown.isEmpty { return }
    if unknown.count == joints.count { return ask("joints." + key) }
    for j in unknown { ask("joints." + j.name + "." + key) }
  }

  /// Whether the card has a value at a path such as "joints.default" or "actions.scale"; a path that is none stays a
  /// question.
  private func isAnswered(_ path: String) -> Bool {
    var parts: [String] = []
    var part: [UInt8] = []
    for b in path.utf8 {
      if b == UInt8(ascii: ".") {
        parts.append(String(decoding: part, as: UTF8.self))
        part = []
      } else {
        part.append(b)
      }
    }
    parts.append(String(decoding: part, as: UTF8.self))
    return isAnswered(json, parts[...])
  }

  private func isAnswered(_ json: Json, _ path: ArraySlice<String>) -> Bool {
    guard let key = path.first else {
      switch json {
      case .null: return false
      case .array(let items): return !items.isEmpty
      case .object(let members): return !members.isEmpty
      default: return true
      }
    }
    if let value = json[key] { return isAnswered(value, path.dropFirst()) }
    // lists and objects of names: every member must have it
    switch json {
    case .array(let items): return !items.isEmpty && items.allSatisfy { isAnswered($0, path) }
    case .object(let members):
      return path.count == 1 && !members.isEmpty
        && members.allSatisfy { m in m.value[key].map { isAnswered($0, path.dropFirst()) } ?? false }
    default: return false
    }
  }

  /// How to answer one of `questions`, for a person.
  public static func answer(to question: String) -> String {
    for (path, text) in answers
    where question == path || (path.ends(with: "*") && question.begins(with: path.without(first: 0, last: 1))) {
      return text
    }
    // "joints.NAME.kp" is answered like "joints.kp"
    if question.begins(with: "joints.") {
      for (path, text) in answers where path.begins(with: "joints.") && question.ends(with: path.without(first: 6)) {
        return text
      }
    }
    return "give the value at this path in supplied.patch"
  }

  private static var answers: [(String, String)] {
    [
      ("policy_period", "seconds between two runs of the network: supplied.patch.policy_period"),
      (
        "control_period",
        "seconds between two ticks of the controller, at most policy_period: supplied.patch.control_period"
      ),
      ("joint_order", "the joints in the policy's order: supplied.joint_order"),
      ("joint_names", "the robot's motor table, a name per motor index: supplied.joint_names"),
      ("gain_order", "whose order the gains have: supplied.gain_order, 'policy', 'motor' or a list of names"),
      ("joints.default", "the default pose in rad: supplied.patch.joints.NAME.default"),
      ("joints.kp", "stiffness of the drives in N m/rad: supplied.patch.joints.NAME.kp"),
      ("joints.kd", "damping of the drives in N m s/rad: supplied.patch.joints.NAME.kd"),
      (
        "joints.limits",
        "limits of the robot's joints: supplied.limits.NAME, an object of lower, upper (rad) and velocity (rad/s)"
      ),
      ("vectors", "how each observation is built, term by term: supplied.patch.vectors"),
      ("clocks", "the phase clocks: supplied.patch.clocks"),
      ("models", "which vector, memory or signal feeds each input, and where each output goes: supplied.patch.models"),
      ("actions", "what each output moves, with scale and offset: supplied.patch.actions"),
      ("actions.scale", "what one unit of action is, in rad: the list supplied.patch.actions with scale"),
      ("motion", "the tracked motion: supplied.motion"),
      ("chunk_steps", "how many steps of a chunk are played before the network runs again: supplied.chunk_steps"),
      ("joint_units", "the unit of the joints' values: supplied.joint_units"),
      ("command_of:*", "which command this term shows: supplied.command_of, an object of term name and command name"),
    ]
  }
}
