import Base
import Onnx

extension Importer {
  /// holosoma: JSON in metadata. It says joints, gains and command ranges; pose, scales, layout and period are in its
  /// Python presets.
  func holosoma() throws(Failure) -> Json {
    try supplied.refuse(
      allBut: "joint_names joint_order limits motion joint_units policy_period control_period patch", "a holosoma file")
    func entry(_ key: String) throws(Failure) -> Json {
      guard let text = metadata(key) else {
        throw Failure(.format, "\(key): missing; expected JSON as holosoma writes it")
      }
      return try object(key, text)
    }
    let joints = try strings(try entry("dof_names"), "dof_names")
    let kp = try doubles(try entry("kp"), "kp", count: joints.count)
    let kd = try doubles(try entry("kd"), "kd", count: joints.count)
    for key in ["joint_names", "joint_order"] {
      let table = try supplied.fields.uniqueStrings(key)
      for name in joints where !table.isEmpty && !table.contains(name) {
        throw Failure(
          .mismatch,
          "supplied.\(key): the joint '\(name)' of the file's dof_names is not there\(suggestion(name, table))")
      }
    }
    if let unit = try supplied.fields.string("joint_units"), unit != "rad" {
      throw Failure(.unsupported, "supplied.joint_units: found '\(unit)', joints of this kind of file are in rad")
    }
    if let action = actionOutput, let width = width(action), width != joints.count {
      throw Failure(
        .shape, "dof_names: found \(joints.count) names, but the network's output '\(action.name)' has \(width) values")
    }
    var card = start("holosoma_json")
    try supplied.applyPeriods(&card)
    card.set("joint_order", joints)
    var table = JsonObject()
    for (i, name) in joints.enumerated() {
      var j = JsonObject()
      j.set("default", .null)
      j.set("kp", .number(kp[i]))
      j.set("kd", .number(kd[i]))
      table.set(name, j.value)
    }
    try applyLimits(&table)
    card.set("joints", table.value)
    card.set("models", .array([]))
    card.set("vectors", .object([]))
    var commands = JsonObject()
    if let text = metadata("command_ranges") {
      let json = try object("command_ranges", text)
      if case .null = json {} else { commands.set("velocity", velocityCommand(range: try ranges(json))) }
    }
    card.set("commands", commands.value)
    card.set("motion", supplied.fields["motion"] ?? .null)
    card.set("actions", .array([]))
    card.set("asks", ["policy_period", "joints.default", "vectors", "actions.scale"])
    return card.value
  }

  private func ranges(_ json: Json) throws(Failure) -> Json {
    let f = try Fields(json, "command_ranges", keys: "lin_vel_x lin_vel_y ang_vel_yaw ang_vel_z heading")
    var out: [Json] = []
    for key in ["lin_vel_x", "lin_vel_y", "ang_vel_yaw"] {
      let name = key == "ang_vel_yaw" && f[key] == nil ? "ang_vel_z" : key
      guard let range = f[name] else {
        out.append(.null)
        continue
      }
      let i = try f.interval(range, f.place(name))
      out.append(.array([.number(i.lower), .number(i.upper)]))
    }
    return .array(out)
  }
}
