#if Bridge
import Base

/// What the caller of the bridge says about the robot; empty where unknown.
public struct Labels {
  /// Names of the elements of the observation input and of the action output.
  public var observations, joints: [String]
  /// Steps per second that the policy was trained for; 0 where unknown.
  public var rate: Double

  public init(observations: [String] = [], joints: [String] = [], rate: Double = 0) {
    self.observations = observations
    self.joints = joints
    self.rate = rate
  }
}

extension Hello {
  /// Throws `.mismatch` where the protocol or the rows are outside what there is: then there is no layout to compare.
  func checkRange(_ target: Target) throws(Failure) {
    let version = Int(FrameHeader.version)
    guard versions.oldest <= version, version <= versions.newest else {
      throw Failure(.mismatch, "version: plant speaks \(versions.oldest) to \(versions.newest), expected \(version)")
    }
    guard rows >= 1, rows <= target.maxRows else {
      throw Failure(.mismatch, "rows: plant has \(rows), expected 1 to \(target.maxRows)")
    }
  }

  /// Throws `.mismatch`, naming the field, what the plant has and what the policy has.
  func check(against target: Target, _ layout: Layout, _ labels: Labels) throws(Failure) {
    guard policy == 0 || policy == target.policyHash else {
      throw Failure(.mismatch, "policy: plant expects \(policy), found \(target.policyHash)")
    }
    if let inputs {
      try Hello.check(inputs, against: target.inputs, "input", target.robot) { $0 == .observation }
      for tensor in target.inputs
      where tensor.role == .observation && !inputs.contains(where: { sameBytes($0.name, tensor.name) }) {
        throw Failure(.mismatch, "input '\(tensor.name)': not sent by the plant, expected \(describe(tensor))")
      }
    }
    if let outputs {
      let aux = aux
      try Hello.check(outputs, against: target.outputs, "output", target.robot) { $0 == .action || aux && $0 == .aux }
    }
    guard schema == 0 || schema == layout.schema else {
      throw Failure(.mismatch, "schema: plant expects \(schema), found \(layout.schema)")
    }
    guard stepSize == 0 || stepSize == layout.stepSize else {
      throw Failure(.mismatch, "step_size: plant expects \(stepSize), found \(layout.stepSize)")
    }
    guard actSize == 0 || actSize == layout.actSize else {
      throw Failure(.mismatch, "act_size: plant expects \(actSize), found \(layout.actSize)")
    }
    if let observations { try Hello.check(observations, against: labels.observations, "observations") }
    if let joints { try Hello.check(joints, against: labels.joints, "joints") }
    if target.robot != nil { try checkKnowsRobot(target, labels) }
  }

  /// A plant whose robot is moved shows that it has the order of the joints and the units right: by the schema, which
  /// holds them all, or by telling them.
  private func checkKnowsRobot(_ target: Target, _ labels: Labels) throws(Failure) {
    if schema != 0 { return }
    if joints == nil {
      throw Failure(.mismatch, "joints: not told by the plant, expected \(list(labels.joints)), or the schema")
    }
    var untold = ""
    for tensor in target.inputs where tensor.role == .observation && !tensor.unit.isEmpty {
      if let told = inputs?.first(where: { sameBytes($0.name, tensor.name) }), told.unit != nil { continue }
      untold += (untold.isEmpty ? "'" : ", '") + tensor.name + "' in '" + tensor.unit + "'"
    }
    guard untold.isEmpty else {
      throw Failure(.mismatch, "inputs: units are not told by the plant, expected \(untold), or the schema")
    }
  }

  private static func check(
    _ found: [Tensor], against expected: [Target.Tensor], _ what: StaticString, _ robot: Robot?,
    where offered: (Target.Role) -> Bool
  ) throws(Failure) {
    for tensor in found {
      guard let match = expected.first(where: { offered($0.role) && sameBytes($0.name, tensor.name) }) else {
        // signals that a robot has and its card does not need
        if robot != nil, tensor.unit != nil { continue }
        throw Failure(
          .mismatch,
          "\(what) '\(tensor.name)': unknown, expected \(list(expected.filter { offered($0.role) }.map { $0.name }))")
      }
      if !tensor.dtype.isEmpty, !sameBytes(tensor.dtype, "\(typeName(match.dtype))") {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': plant has \(tensor.dtype), expected \(describe(match))")
      }
      if let shape = tensor.shape, shape != match.shape {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': plant has \(list(shape)), expected \(describe(match))")
      }
      if let unit = tensor.unit, !match.unit.isEmpty,
        !(robot?.unitFits(unit, match.unit) ?? sameBytes(unit, match.unit))
      {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': plant has it in '\(unit)', expected '\(match.unit)'")
      }
    }
  }

  /// Compares names by position. Labels that the caller did not give are not compared.
  private static func check(_ found: [String], against expected: [String], _ what: StaticString) throws(Failure) {
    if expected.isEmpty { return }
    for i in 0..<min(found.count, expected.count) where !sameBytes(found[i], expected[i]) {
      throw Failure(.mismatch, "\(what)[\(i)]: plant has '\(found[i])', expected '\(expected[i])'")
    }
    guard found.count == expected.count else {
      throw Failure(.mismatch, "\(what): plant has \(found.count) names, expected \(expected.count)")
    }
  }
}

/// Compares names by their bytes, so that no Unicode tables are needed.
private func sameBytes(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

private func describe(_ tensor: Target.Tensor) -> String { "\(typeName(tensor.dtype)) \(list(tensor.shape))" }

private func list(_ shape: [Int]) -> String {
  var text = "["
  for (i, dimension) in shape.enumerated() { text += i == 0 ? "\(dimension)" : ", \(dimension)" }
  return text + "]"
}

private func list(_ names: [String]) -> String {
  var text = ""
  for (i, name) in names.enumerated() { text += i == 0 ? "'\(name)'" : ", '\(name)'" }
  return text.isEmpty ? "none" : text
}
#endif
