import Base
import Onnx
import Platform

extension Importer {
  /// Comma lists in text: whole_body_tracking and motion_tracking_controller (BeyondMimic), mjlab and unitree_rl_mjlab,
  /// Humanoid-Control.
  /// Everything is in the order of joint_names; observation terms are named only.
  func csv() throws(Failure) -> Json {
    try supplied.refuse(
      allBut:
        "joint_names joint_order gain_order command_of limits motion joint_units policy_period control_period patch",
      "a file with joint_names")
    try refuseUnknownScales()
    guard let text = metadata("joint_names") else {
      throw Failure(
        .format, "joint_names: missing; expected the joints in the policy's order, with commas between them")
    }
    let joints = try names("joint_names", text)
    try checkTable(joints)
    var card = start("csv_metadata")
    if let dt = metadata("policy_dt") {
      let period = try number("policy_dt", dt)
      guard period > 0 else { throw Failure(.format, "policy_dt: found \(period), expected more than 0 s") }
      // nothing of these cards happens between two runs, so one period is enough
      card.set("policy_period", .number(period))
      card.set("control_period", .number(period))
    }
    try supplied.applyPeriods(&card)
    card.set("joint_order", joints)
    card.set("joints", try csvJoints(joints))
    let moved =
      try metadata("action_joint_names").map { (text) throws(Failure) in try names("action_joint_names", text) }
      ?? joints
    for name in moved where !joints.contains(name) {
      throw Failure(.mismatch, "action_joint_names: '\(name)' is not in joint_names\(suggestion(name, joints))")
    }
    if let text = metadata("lookahead_steps") {
      let steps = try number("lookahead_steps", text)
      guard steps == 0 || steps == 1 else {
        throw Failure(.unsupported, "lookahead_steps: found \(steps), this library follows one frame of a motion")
      }
    }
    let isTracking = input("time_step") != nil
    var commands = JsonObject()
    let vector = supplied.brings("vectors") ? nil : try csvVector(joints, moved, isTracking: isTracking, &commands)
    let (models, memory) = try csvModels(isTracking: isTracking)
    card.set("models", models)
    var vectors = JsonObject()
    if let vector { vectors.set("obs", vector) }
    card.set("vectors", vectors.value)
    card.set("memory", memory)
    card.set("commands", commands.value)
    card.set("motion", try csvMotion(isTracking: isTracking))
    card.set("actions", .array([try csvAction(moved)]))
    if isTracking {
      var counter = JsonObject()
      counter.set("start", 0)
      counter.set("step", 1)
      counter.set("last", .null)
      var counters = JsonObject()
      counters.set("motion", counter.value)
      card.set("counters", counters.value)
      var prime = JsonObject()
      prime.set("observation", "zero")
      prime.set("advance", .bool(true))
      prime.set("keep_action", .bool(false))
      card.set("prime_models", prime.value)
    }
    return card.value
  }

  /// A key that would change numbers and that nobody has told us about is not passed over.
  private func refuseUnknownScales() throws(Failure) {
    let known = splitWords(
      """
      joint_names joint_stiffness joint_damping default_joint_pos command_names observation_names \
      observation_history_lengths action_scale anchor_body_name body_names action_joint_names policy_dt \
      lookahead_steps run_path task_type dataset_repo_id
      """)
    for e in model.metadata
    where !known.contains(e.key)
      && (e.key.begins(with: "observation_") || e.key.begins(with: "action_") || e.key.begins(with: "joint_"))
    {
      for part in splitWords("scale offset clip normal mean std order delay filter") where contains(e.key, part) {
        throw Failure(
          .unsupported,
          "\(e.key): this key is not known\(suggestion(e.key, known)); it looks like one that changes numbers")
      }
    }
  }

  private func contains(_ text: String, _ part: String) -> Bool {
    let (a, b) = (Array(text.utf8), Array(part.utf8))
    guard a.count >= b.count else { return false }
    for i in 0...(a.count - b.count) where Array(a[i..<i + b.count]) == b { return true }
    return false
  }

  /// A table of names that the user gives though the file has names must at least hold them.
  private func checkTable(_ joints: [String]) throws(Failure) {
    for key in ["joint_names", "joint_order"] {
      let table = try supplied.fields.uniqueStrings(key)
      if table.isEmpty { continue }
      for name in joints where !table.contains(name) {
        throw Failure(
          .mismatch,
          "supplied.\(key): the joint '\(name)' of the file's joint_names is not there\(suggestion(name, table))")
      }
    }
    if let unit = try supplied.fields.string("joint_units"), unit != "rad" {
      throw Failure(.unsupported, "supplied.joint_units: found '\(unit)', joints of this kind of file are in rad")
    }
  }

  private func csvJoints(_ joints: [String]) throws(Failure) -> Json {
    // gains may have the order of the motors (mjlab of October 2025), which the user knows
    let order = try gainOrder(joints)
    let kp = try numbers("joint_stiffness", joints: order)
    let kd = try numbers("joint_damping", joints: order)
    let pose = try numbers("default_joint_pos", joints: joints)
    var out = JsonObject()
    for (i, name) in joints.enumerated() {
      var j = JsonObject()
      j.set("default", pose.map { .number($0[i]) } ?? .null)
      let gain = order.firstIndex(of: name) ?? i
      j.set("kp", kp.map { .number($0[gain]) } ?? .null)
      j.set("kd", kd.map { .number($0[gain]) } ?? .null)
      out.set(name, j.value)
    }
    try applyLimits(&out)
    return out.value
  }

  /// The joints in whose order gains are listed.
  private func gainOrder(_ joints: [String]) throws(Failure) -> [String] {
    let given: [String]
    switch supplied.fields["gain_order"] {
    case nil: return joints
    case .string(let s)? where s == "policy": return joints
    case .string(let s)? where s == "motor":
      let table = try supplied.fields.uniqueStrings("joint_names")
      guard !table.isEmpty else {
        throw Failure(.mismatch, "supplied.gain_order: 'motor' needs the motor table supplied.joint_names")
      }
      given = table.filter { joints.contains($0) }
    case .array?: given = try supplied.fields.uniqueStrings("gain_order")
    case let other?:
      throw Failure(.format, "supplied.gain_order: found \(other.kind), expected 'policy', 'motor' or a list of joints")
    }
    for name in joints where !given.contains(name) {
      throw Failure(.mismatch, "supplied.gain_order: the joint '\(name)' is missing\(suggestion(name, given))")
    }
    guard given.count == joints.count else {
      throw Failure(.mismatch, "supplied.gain_order: found \(given.count) joints, the file has \(joints.count)")
    }
    return given
  }

  // MARK: observation

  private func csvVector(_ joints: [String], _ moved: [String], isTracking: Bool, _ commands: inout JsonObject)
    throws(Failure) -> Json
  {
    guard let text = metadata("observation_names") else {
      throw Failure(.format, "observation_names: missing; expected the terms of the observation in their order")
    }
    let terms = splitCommas(text)
    var lengths: [Int] = []
    if let text = metadata("observation_history_lengths") {
      for (i, d) in try numbers("observation_history_lengths", text).enumerated() {
        guard d >= 0, d <= 10_000, d == d.rounded(.towardZero) else {
          throw Failure(.format, "observation_history_lengths[\(i)]: found \(d), expected a number of frames")
        }
        lengths.append(Int(d))
      }
      guard lengths.count == terms.count else {
        throw Failure(
          .format,
          """
          observation_history_lengths: found \(lengths.count) numbers, expected \(terms.count), one per term of \
          observation_names
          """
        )
      }
    }
    var items: [Json] = []
    var count = 0
    for (i, name) in terms.enumerated() {
      guard !name.isEmpty else { throw Failure(.format, "observation_names: name \(i + 1) of \(terms.count) is empty") }
      var (t, size) = try csvTerm(name, joints, moved, isTracking: isTracking, &commands)
      // IsaacLab: 0 is no history; frames from old to new, filled with the first value
      let frames = lengths.isEmpty ? 1 : max(lengths[i], 1)
      t.set("ages", .array((0..<frames).map { .number(Double(frames - 1 - $0)) }))
      t.set("fill", "first")
      items.append(t.value)
      count += size * frames
    }
    if let observation = observation(isTracking: isTracking), let width = width(observation), width != count {
      throw Failure(
        .shape,
        """
        observation_names: the terms give \(count) values, but the network's input '\(observation.name)' takes \
        \(width)
        """
      )
    }
    var v = JsonObject()
    v.set("layout", "term_major")
    v.set("clip", .null)
    v.set("terms", .array(items))
    return v.value
  }

  private func csvTerm(
    _ name: String, _ joints: [String], _ moved: [String], isTracking: Bool, _ commands: inout JsonObject
  ) throws(Failure) -> (JsonObject, Int) {
    var t = JsonObject()
    t.set("name", name)
    func isOne(_ names: StaticString) -> Bool { splitWords(names).contains(name) }
    func made(_ op: StaticString, _ size: Int) -> (JsonObject, Int) {
      t.set("op", op.description)
      t.set("size", size)
      t.set("scale", 1)
      t.set("clip", .null)
      return (t, size)
    }
    let n = joints.count
    if isOne("base_lin_vel lin_vel linvel base_linear_velocity") { return made("base_linear_velocity", 3) }
    if isOne("base_ang_vel ang_vel gyro omega base_angular_velocity") { return made("base_angular_velocity", 3) }
    if isOne("projected_gravity gravity gravity_vec gravity_orientation") { return made("projected_gravity", 3) }
    if isOne("joint_pos joint_pos_rel dof_pos joint_position joint_positions") {
      t.set("joints", joints)
      t.set("minus_default", .bool(true))
      return made("joint_position", n)
    }
    if isOne("joint_vel joint_vel_rel dof_vel joint_velocity joint_velocities") {
      t.set("joints", joints)
      return made("joint_velocity", n)
    }
    if isOne("actions action last_action last_actions prev_action prev_actions previous_actions") {
      t.set("of", "raw")
      return made("last_action", moved.count)
    }
    if isOne("motion_anchor_pos_b motion_ref_pos_b") {
      try needMotion(name, isTracking)
      return made("reference_anchor_position", 3)
    }
    if isOne("motion_anchor_ori_b motion_ref_ori_b") {
      try needMotion(name, isTracking)
      t.set("layout", "r00,r01,r10,r11,r20,r21")
      return made("reference_anchor_orientation_6d", 6)
    }
    if isOne(
      "command commands motion_command velocity_commands velocity_command base_velocity generated_commands twist")
    {
      let target = try commandOf(name, isTracking: isTracking)
      if target == "motion" {
        try needMotion(name, isTracking)
        t.set("joints", joints)
        return made("reference_joint_position_velocity", 2 * n)
      }
      commands.set(target, target == "pose" ? command(target, fields: poseFields) : velocityCommand(range: .null))
      t.set("command", target)
      return made("command", target == "pose" ? 7 : 3)
    }
    throw Failure(
      .unsupported,
      """
      observation_names: the term '\(name)' is not known; give the whole vector in supplied.patch.vectors, or export \
      without it
      """
    )
  }

  private func needMotion(_ term: String, _ isTracking: Bool) throws(Failure) {
    guard isTracking else {
      throw Failure(
        .mismatch, "observation_names: the term '\(term)' follows a motion, but the network has no input time_step")
    }
  }

  /// Which command a term shows: "motion", "velocity" or "pose".
  private func commandOf(_ term: String, isTracking: Bool) throws(Failure) -> String {
    for m in try supplied.fields.named("command_of") where m.key == term {
      let target = try Fields.string(m.value, "supplied.command_of." + term)
      guard target == "motion" || target == "velocity" || target == "pose" else {
        throw Failure(.unsupported, "supplied.command_of.\(term): found '\(target)', expected motion, velocity or pose")
      }
      return target
    }
    let all = try metadata("command_names").map { (text) throws(Failure) in try names("command_names", text) } ?? []
    if term == "velocity_commands" || term == "velocity_command" || term == "base_velocity" || term == "twist" {
      return "velocity"
    }
    if term == "motion_command" { return "motion" }
    guard all.count <= 1 else {
      throw Failure(
        .mismatch,
        """
        observation_names: which of the commands \(joined(all)) does the term '\(term)' show? answer in \
        supplied.command_of.\(term)
        """
      )
    }
    switch all.first {
    case "motion"?: return "motion"
    case "twist"?, "base_velocity"?, "velocity"?, "base_twist"?: return "velocity"
    case nil: return isTracking ? "motion" : "velocity"
    case let other?:
      throw Failure(
        .mismatch,
        """
        command_names: the command '\(other)' is not known, what does the term '\(term)' show? answer in \
        supplied.command_of.\(term)
        """
      )
    }
  }

  /// The one input that the observation goes to.
  private func observation(isTracking: Bool) -> OnnxValue? {
    let states = recurrent().map { $0.input.name }
    let left = inputs.filter { $0.name != "time_step" && !states.contains($0.name) }
    return left.count == 1 ? left[0] : nil
  }

  // MARK: network

  private func csvModels(isTracking: Bool) throws(Failure) -> (models: Json, memory: Json) {
    guard let observation = observation(isTracking: isTracking) else {
      throw Failure(
        .unsupported,
        """
        the network's inputs are \(joined(inputs.map { $0.name })), expected one observation beside time_step and \
        recurrent state
        """
      )
    }
    var ins = JsonObject()
    var outs = JsonObject()
    var memory = JsonObject()
    ins.set(observation.name, pair("from", "vector:obs"))
    if isTracking { ins.set("time_step", pair("from", "counter:motion")) }
    let states = recurrent()
    for s in states {
      ins.set(s.input.name, pair("from", "memory:" + s.name))
      memory.set(s.name, try self.memory(s.input))
    }
    for o in model.graph.outputs {
      if let s = states.first(where: { $0.output.name == o.name }) {
        outs.set(o.name, pair("to", "memory:" + s.name))
        continue
      }
      let to =
        switch o.name {
        case "joint_pos" where isTracking: "reference:joint_position"
        case "joint_vel" where isTracking: "reference:joint_velocity"
        case "body_pos_w" where isTracking: "reference:body_position"
        case "body_quat_w" where isTracking: "reference:body_orientation"
        case actionOutput?.name: "action"
        default: "ignore"
        }
      outs.set(o.name, pair("to", to))
    }
    var m = JsonObject()
    m.set("name", "policy")
    m.set("inputs", ins.value)
    m.set("outputs", outs.value)
    return (.array([m.value]), memory.value)
  }

  /// The output that moves joints: by its name, or because it is the only one.
  var actionOutput: OnnxValue? {
    let states = recurrent().map { $0.output.name }
    let left = model.graph.outputs.filter { !states.contains($0.name) }
    return left.first { $0.name == "actions" } ?? left.first { $0.name == "action" }
      ?? (left.count == 1 ? left[0] : nil)
  }

  private func csvAction(_ joints: [String]) throws(Failure) -> Json {
    guard let out = actionOutput else {
      throw Failure(
        .mismatch,
        "the network's outputs are \(joined(model.graph.outputs.map { $0.name })), expected one called actions")
    }
    if let width = width(out), width != joints.count {
      throw Failure(
        .shape, "the network's output '\(out.name)' has \(width) values, but \(joints.count) joints are named")
    }
    var a = JsonObject()
    a.set("name", "joint_position")
    a.set("type", "position")
    a.set("model", "policy")
    a.set("output", out.name)
    a.set("index", .array((0..<joints.count).map { .number(Double($0)) }))
    a.set("joints", joints)
    a.set("clip_raw", .null)
    guard let text = metadata("action_scale") else {
      throw Failure(.format, "action_scale: missing; expected one number or one per joint")
    }
    let scale = try numbers("action_scale", text)
    guard scale.count == 1 || scale.count == joints.count else {
      throw Failure(.format, "action_scale: found \(scale.count) numbers, expected 1 or \(joints.count), one per joint")
    }
    if scale.count == 1 { a.set("scale", .number(scale[0])) } else { a.set("scale", scale) }
    a.set("offset", "default")
    a.set("clip", .null)
    return a.value
  }

  private func csvMotion(isTracking: Bool) throws(Failure) -> Json {
    guard isTracking else {
      if supplied.fields["motion"] != nil {
        throw Failure(.mismatch, "supplied.motion: the network has no input time_step, it follows no motion of its own")
      }
      return .null
    }
    guard let text = metadata("anchor_body_name"), let list = metadata("body_names") else {
      throw Failure(
        .format,
        """
        \(metadata("anchor_body_name") == nil ? "anchor_body_name" : "body_names"): missing; a network that follows a \
        motion names its bodies
        """)
    }
    let (anchor, bodies) = (splitCommas(text)[0], try names("body_names", list))
    guard let place = bodies.firstIndex(of: anchor) else {
      throw Failure(.mismatch, "anchor_body_name: '\(anchor)' is not among body_names \(joined(bodies))")
    }
    if let out = output("body_pos_w"), let shape = shape(out), shape.count >= 2, shape[shape.count - 2] != bodies.count
    {
      throw Failure(
        .shape,
        """
        body_names: found \(bodies.count) names, but the network's output body_pos_w has \(shape[shape.count - 2]) \
        bodies
        """
      )
    }
    var m = JsonObject()
    m.set("kind", "in_model")
    m.set("bodies", bodies)
    var a = JsonObject()
    a.set("robot", anchor)
    a.set("body_index", place)
    m.set("anchor", a.value)
    // without the anchor's position the policy sees orientations only
    let terms = splitCommas(metadata("observation_names") ?? "")
    let hasPosition = terms.contains("motion_anchor_pos_b") || terms.contains("motion_ref_pos_b")
    m.set("align", hasPosition ? "yaw_and_position" : "yaw")
    m.set("quaternion", "wxyz")
    m.set("reference_age", 1)
    if let more = supplied.fields["motion"] { return m.value.merged(with: more) }
    return m.value
  }
}

/// A decimal number and nothing else; nil for "nan", "inf", "0x10", "" and what a double does not reach.
func decimal(_ text: String) -> Double? {
  var hasDigit = false
  for b in text.utf8 {
    switch b {
    case 0x30...0x39: hasDigit = true
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): break
    default: return nil
    }
  }
  guard hasDigit else { return nil }
  var value = 0.0
  let isWhole = text.withCString { eff_is_double($0, &value) }
  return isWhole != 0 && value.isFinite ? value : nil
}
