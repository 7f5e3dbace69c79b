#if Bridge
import Base
import Platform

@testable import Bridge

// libFuzzer target: a service without a transport handles the frames of three peers, and what must hold for every frame
// is checked.
//
// An input is a list of frames, each behind a byte of what is put right in it (so that deep states are reached) and its
// length of two bytes:
//     bits 0 and 1: the peer   2: the present secret   3: the checksum   4: the next seq   5: the present episode, of RESET the next   6: 1 s passes

private func demand(_ condition: Bool, _ what: StaticString) {
  if !condition { fatalError("\(what)") }
}

/// The target of the bridge's own tests, with its runs counted; `isRobot`: with units, which a plant must know.
private final class Counting {
  let fake = Fake(maxRows: 2)
  let isRobot: Bool
  var runs = 0

  init(isRobot: Bool) { self.isRobot = isRobot }

  private func known(_ tensors: [Target.Tensor]) -> [Target.Tensor] {
    guard isRobot else { return tensors }
    return tensors.map {
      Target.Tensor(
        name: $0.name, role: $0.role, dtype: $0.dtype, shape: $0.shape, size: $0.size, unit: "rad",
        elements: ["hip", "knee"])
    }
  }

  private var robot: Robot? {
    guard isRobot else { return nil }
    let step = Robot.FallbackStep(mode: "damp", seconds: 0.5, kp: [0, 0], kd: [1, 2])
    return Robot(
      joints: ["hip", "knee"], isMoved: [true, false], rate: 50, fallback: [step], blend: 0.2, pose: [0, 1], kp: [1, 2],
      kd: [1, 2], unitFits: { $0.utf8.elementsEqual($1.utf8) })
  }

  var target: Target {
    let inner = fake.target
    return Target(
      inputs: known(inner.inputs), outputs: known(inner.outputs), maxRows: 2, policyHash: 77, input: inner.input,
      output: inner.output,
      run: { step in
        self.runs += 1
        return inner.run(step)
      }, reset: inner.reset, robot: robot)
  }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let bytes, count > 0 else { return 0 }
  let counting = Counting(isRobot: bytes[0] & 16 != 0)
  var options = Service.Options()
  options.refusesNonFinite = bytes[0] & 1 != 0
  options.seals = bytes[0] & 2 != 0
  options.idleTimeout = bytes[0] & 4 != 0 ? 2000 : -1
  options.boot = bytes[0] & 8 != 0 ? [UInt8](0..<16) : []
  guard let service = try? Service(counting.target, options) else { return 0 }
  let identities = UnsafeMutableRawPointer.allocate(byteCount: 3 * Peer.limit, alignment: 64)
  defer { identities.deallocate() }
  var peers: [Peer] = []
  for i in 0..<3 {
    var peer = Peer(at: identities + i * Peer.limit)
    peer.identity.storeBytes(of: UInt8(i + 1), as: UInt8.self)
    peer.received(1)
    peers.append(peer)
  }
  var now: UInt64 = 10_000_000_000
  var at = 1
  while at + 3 <= count {
    let (op, size) = (bytes[at], min(Int(bytes[at + 1]) | Int(bytes[at + 2]) << 8, count - at - 3))
    // of exactly that size: what is read behind it is found
    let frame = UnsafeMutableRawPointer.allocate(byteCount: max(size, 1), alignment: 64)
    defer { frame.deallocate() }
    eff_copy(frame, bytes + at + 3, size)
    at += 3 + size
    now += op & 0x40 != 0 ? 1_000_000_000 : 1000
    repair(frame, size, op, service)
    check(service, counting, UnsafeRawBufferPointer(start: frame, count: size), peers[Int(op & 3) % 3], now)
  }
  return 0
}

private func repair(_ frame: UnsafeMutableRawPointer, _ size: Int, _ op: UInt8, _ service: Service) {
  guard size >= FrameHeader.size, var header = FrameHeader(UnsafeRawBufferPointer(start: frame, count: size)) else {
    return
  }
  if op & 4 != 0 { header.session = service.secret }
  if op & 0x10 != 0 { header.seq = service.lastSeq &+ 1 }
  if op & 0x20 != 0 { header.episode = service.episode &+ (header.type == FrameType.reset.rawValue ? 1 : 0) }
  header.write(to: frame)
  guard op & 8 != 0 else { return }
  header.checksum = service.crc.frame(UnsafeRawBufferPointer(start: frame, count: size))
  header.write(to: frame)
}

private func check(
  _ service: Service, _ counting: Counting, _ frame: UnsafeRawBufferPointer, _ peer: Peer, _ now: UInt64
) {
  let runs = counting.runs
  let before = (service.secret, service.episode, service.lastSeq, service.isConnected)
  let wasOwner = service.isConnected && peer.isSame(service.owner)
  let drops = service.stats.load(.drops)
  let header = FrameHeader(frame)
  _ = service.isFresh(header, now)
  if let seq = service.isSupersedable(header, from: peer) {
    demand(!service.supersedes(header, from: peer, seq), "a frame supersedes itself")
  }

  let outcome = service.handle(header, frame, size: frame.count, from: peer, arrived: now)
  let kind = outcome.event.kind
  demand(
    counting.runs - runs == (kind == .step ? 1 : 0) || (kind == .drop && outcome.event.reason == .run),
    "only a STEP runs, and once")
  demand(wasOwner || kind == .hello || kind == .drop, "only the connected plant steps, resets and leaves")
  demand(service.stats.load(.drops) == drops + (kind == .drop ? 1 : 0), "every refusal is counted, and nothing else")
  if kind == .drop || kind == .retry {
    demand(
      before == (service.secret, service.episode, service.lastSeq, service.isConnected),
      "what is refused or repeated changes nothing")
  }
  if kind == .drop { demand(outcome.event.reason != .ok, "a refusal has a reason") }
  demand((outcome.answer == nil) == (header == nil || kind == .bye), "every frame of the protocol but BYE is answered")
  guard let answer = outcome.answer, let header, let answered = FrameHeader(answer) else { return }
  let expected: FrameType =
    switch kind {
    case .hello: .welcome
    case .reset: .ack
    case .step: .act
    case .drop: .error
    default: FrameType(rawValue: answered.type)!
    }
  demand(answered.type == expected.rawValue && answered.refSeq == header.seq, "the answer is that of its frame")
  demand(answered.checksum == 0 || answered.checksum == service.crc.frame(answer), "the answer's checksum is right")
  demand(
    kind != .drop || answered.session == 0 || answered.session == header.session, "strangers are not told the secret")
}
#endif
