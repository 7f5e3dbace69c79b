#if Bridge
import Base

/// What WELCOME says of a bridge session beside its layout.
struct WelcomeFacts {
  /// The secret that all further frames carry.
  let session: UInt64
  /// Milliseconds; negative: never.
  let idleTimeout: Int
  let library: Int
  /// Whether frames carry a checksum.
  let isSealed: Bool
  /// Whether the plant's clock is compared directly; else its offset is measured.
  let isClockShared: Bool
  /// When HELLO arrived, on the bridge's clock.
  let received: UInt64
  /// Of the bridge's key; nil where nothing is encrypted.
  var fingerprint: String?
}

/// The body of a WELCOME frame, in MessagePack.
func encodedWelcome(_ target: Target, _ layout: Layout, _ labels: Labels, _ facts: WelcomeFacts) -> [UInt8] {
  var writer = MessagePackWriter()
  writer.map(14 + (facts.fingerprint == nil ? 0 : 1) + (target.robot == nil ? 0 : 1))
  writer.word("version")
  writer.array(2)
  writer.size(Int(FrameHeader.version))
  writer.size(Int(FrameHeader.version))
  writer.word("library")
  writer.size(facts.library)
  writer.word("session")
  writer.unsigned(facts.session)
  writer.word("schema")
  writer.unsigned(layout.schema)
  writer.word("policy")
  writer.unsigned(target.policyHash)
  writer.word("max_rows")
  writer.size(target.maxRows)
  writer.word("rate")
  writer.double(labels.rate)
  writer.word("idle_timeout_ms")
  writer.size(max(facts.idleTimeout, 0))
  writer.word("checksum")
  writer.word(facts.isSealed ? "crc32c" : "none")
  writer.word("clock")
  writer.word(facts.isClockShared ? "shared" : "measured")
  writer.word("received_ns")
  writer.unsigned(facts.received)
  writer.word("observations")
  writer.names(labels.observations)
  writer.word("joints")
  writer.names(labels.joints)
  if let fingerprint = facts.fingerprint {
    writer.word("fingerprint")
    writer.string(fingerprint)
  }
  if let robot = target.robot {
    writer.word("robot")
    describe(robot, to: &writer)
  }
  writer.word("layout")
  writer.append(layout.encoded)
  return writer.bytes
}

/// The fixed body of 64 bytes, for plants that know the layout; PROTOCOL.md has its table.
func fixedWelcome(_ target: Target, _ layout: Layout, _ labels: Labels, _ facts: WelcomeFacts) -> [UInt8] {
  var body = [UInt8](repeating: 0, count: Hello.fixedSize)
  body.withUnsafeMutableBytes { raw in
    let p = raw.baseAddress!
    p.storeBytes(of: FrameHeader.version, as: UInt8.self)
    p.storeBytes(of: FrameHeader.version, toByteOffset: 1, as: UInt8.self)
    let options: UInt16 = (facts.isSealed ? 2 : 4) | (facts.isClockShared ? 8 : 0)
    p.storeBytes(of: options.littleEndian, toByteOffset: 2, as: UInt16.self)
    p.storeBytes(of: UInt32(layout.rows).littleEndian, toByteOffset: 4, as: UInt32.self)
    p.storeBytes(of: target.policyHash.littleEndian, toByteOffset: 8, as: UInt64.self)
    p.storeBytes(of: layout.schema.littleEndian, toByteOffset: 16, as: UInt64.self)
    p.storeBytes(of: UInt32(layout.stepSize).littleEndian, toByteOffset: 24, as: UInt32.self)
    p.storeBytes(of: UInt32(layout.actSize).littleEndian, toByteOffset: 28, as: UInt32.self)
    p.storeBytes(of: UInt32(max(facts.idleTimeout, 0)).littleEndian, toByteOffset: 32, as: UInt32.self)
    p.storeBytes(of: UInt32(clamping: target.maxRows).littleEndian, toByteOffset: 36, as: UInt32.self)
    p.storeBytes(of: labels.rate.bitPattern.littleEndian, toByteOffset: 40, as: UInt64.self)
    p.storeBytes(of: facts.received.littleEndian, toByteOffset: 48, as: UInt64.self)
    p.storeBytes(of: UInt32(facts.library).littleEndian, toByteOffset: 56, as: UInt32.self)
  }
  return body
}

private func describe(_ robot: Robot, to writer: inout MessagePackWriter) {
  writer.map(6)
  writer.word("moved")
  writer.array(robot.isMoved.count)
  for isMoved in robot.isMoved { writer.bool(isMoved) }
  writer.word("blend")
  writer.double(robot.blend)
  writer.word("pose")
  writer.doubles(robot.pose)
  writer.word("kp")
  writer.doubles(robot.kp)
  writer.word("kd")
  writer.doubles(robot.kd)
  writer.word("fallback")
  writer.array(robot.fallback.count)
  for step in robot.fallback {
    writer.map(4)
    writer.word("mode")
    writer.string(step.mode)
    writer.word("seconds")
    writer.double(step.seconds)
    writer.word("kp")
    writer.doubles(step.kp)
    writer.word("kd")
    writer.doubles(step.kd)
  }
}
#endif
