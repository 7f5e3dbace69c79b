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
  /// Throws `.mismatch`, naming the field, what the plant has and what the policy has.
  func check(against target: Target, _ labels: Labels) throws(Failure) {
    let version = Int(FrameHeader.version)
    guard versions.oldest <= version, version <= versions.newest else {
      throw Failure(.mismatch, "version: plant speaks \(versions.oldest) to \(versions.newest), expected \(version)")
    }
    guard rows >= 1, rows <= target.maxRows else {
      throw Failure(.mismatch, "rows: plant has \(rows), expected 1 to \(target.maxRows)")
    }
    guard policy == 0 || policy == target.policyHash else {
      throw Failure(.mismatch, "policy: plant expects \(policy), found \(target.policyHash)")
    }
    if let inputs {
      try Hello.check(inputs, against: target.inputs, "input") { $0 == .observation }
      for tensor in target.inputs where tensor.role == .observation && !inputs.contains(where: { sameBytes($0.name, tensor.name) }) {
        throw Failure(.mismatch, "input '\(tensor.name)': not sent by the plant, expected \(describe(tensor))")
      }
    }
    if let outputs {
      let aux = aux
      try Hello.check(outputs, against: target.outputs, "output") { $0 == .action || aux && $0 == .aux }
    }
    if let observations { try Hello.check(observations, against: labels.observations, "observations") }
    if let joints { try Hello.check(joints, against: labels.joints, "joints") }
  }

  private static func check(
    _ found: [Tensor], against expected: [Target.Tensor], _ what: StaticString, where offered: (Target.Role) -> Bool
  ) throws(Failure) {
    for tensor in found {
      guard let match = expected.first(where: { offered($0.role) && sameBytes($0.name, tensor.name) }) else {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': unknown, expected \(list(expected.filter { offered($0.role) }.map { $0.name }))")
      }
      if !tensor.dtype.isEmpty, !sameBytes(tensor.dtype, "\(typeName(match.dtype))") {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': plant has \(tensor.dtype), expected \(describe(match))")
      }
      if let shape = tensor.shape, shape != match.shape {
        throw Failure(.mismatch, "\(what) '\(tensor.name)': plant has \(list(shape)), expected \(describe(match))")
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

/// The body of a WELCOME frame.
func welcome(_ target: Target, _ layout: Layout, _ labels: Labels, session: UInt32, idleTimeout: Int, library: Int) -> [UInt8] {
  var writer = MessagePackWriter()
  writer.map(11)
  writer.word("version")
  writer.array(2)
  writer.size(Int(FrameHeader.version))
  writer.size(Int(FrameHeader.version))
  writer.word("library")
  writer.size(library)
  writer.word("session")
  writer.unsigned(UInt64(session))
  writer.word("schema")
  writer.unsigned(layout.schema)
  writer.word("policy")
  writer.unsigned(target.policyHash)
  writer.word("max_rows")
  writer.size(target.maxRows)
  writer.word("rate")
  writer.double(labels.rate)
  writer.word("idle_timeout_ms")
  writer.size(max(idleTimeout, 0))
  writer.word("observations")
  names(labels.observations, to: &writer)
  writer.word("joints")
  names(labels.joints, to: &writer)
  writer.word("layout")
  writer.append(layout.encoded)
  return writer.bytes
}

private func names(_ names: [String], to writer: inout MessagePackWriter) {
  writer.array(names.count)
  for name in names { writer.string(name) }
}
#endif
