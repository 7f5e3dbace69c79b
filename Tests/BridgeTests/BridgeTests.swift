#if Bridge
import Base
@testable import Bridge
import CZeroMQ
import Platform
import Testing


@Test func aPlantConnectsResetsStepsAndLeaves() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig, aux: true))
  plant.episode = 1
  let reset = try #require(plant.ask(rig, plant.frame(.reset)))
  #expect(reset.header.type == FrameType.ack.rawValue && reset.header.refSeq == 2 && reset.header.episode == 1)
  for n in 1...3 {
    let step = try #require(plant.ask(rig, plant.frame(.step, observation(1, 2, 3))))
    #expect(
      step.header.type == FrameType.act.rawValue && step.header.refSeq == plant.seq
        && step.header.simulation == 1000 * plant.seq)
    #expect(step.header.session == plant.session && step.header.episode == 1)
    #expect(floats(step.body, 3) == [2 + Float(n), 4 + Float(n), 6 + Float(n)])
    #expect(floats(Array(step.body[64...]), 1) == [1])
  }
  plant.send(plant.frame(.bye))
  #expect(rig.poll()?.kind == .bye)
  #expect(rig.events == [.hello, .reset, .step, .step, .step, .bye])
  let stats = rig.bridge!.stats
  #expect(
    stats.load(.steps) == 3 && stats.load(.rows) == 3 && stats.load(.resets) == 1 && stats.load(.drops) == 0
      && stats.load(.connected) == 0)
  #expect(stats.load(Stats.Word.tick.rawValue) == 3 && stats.load(Stats.Word.run.rawValue + 1) > 0)
  #expect((0..<32).map { stats.load(Stats.Word.tick.rawValue + 4 + $0) }.reduce(0, +) == 3)
}

@Test func aRowMaskClearsThoseRowsAlone() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig, rows: 2))
  rig.fake.resets = []
  plant.episode = 1
  let masked = try #require(plant.ask(rig, plant.frame(.reset, [0, 1])))
  #expect(masked.header.type == FrameType.ack.rawValue && masked.event?.rows == 1 && rig.fake.resets == [1])
  plant.episode = 2
  #expect(plant.refusal(rig, plant.frame(.reset, [1]))?.text == "malformed: bytes of row mask 1, expected 2")
}

@Test func everyFrameThatIsNotToBeActedOnIsRefusedWithItsReason() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  let body = observation(1, 2, 3)
  #expect(plant.refusal(rig, plant.frame(.step, body))?.reason == .session)
  #expect(plant.connect(rig))
  plant.episode = 1
  _ = plant.ask(rig, plant.frame(.reset))
  let first = plant.frame(.step, body)
  #expect(plant.ask(rig, first)?.header.type == FrameType.act.rawValue)

  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.seq = 4 })?.text == "sequence: number 4, expected 5")
  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.episode = 0 })?.text == "episode: step of 0, expected 1")
  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.episode = 2 })?.reason == .episode)
  #expect(plant.refusal(rig, plant.frame(.reset))?.text == "episode: reset to 1, expected 2")
  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.flags = 0x0200 })?.reason == .flags)
  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.session &+= 1 })?.reason == .session)
  #expect(plant.refusal(rig, plant.frame(.step, body) { $0.version = 1 })?.text == "version: protocol 1, expected 2")
  #expect(
    plant.refusal(rig, plant.frame(.step, Array(body.dropLast())))?.text == "malformed: bytes of STEP 129, expected 130"
  )
  #expect(plant.refusal(rig, plant.frame(.act, body))?.reason == .malformed)
  #expect(plant.refusal(rig, plant.frame(.hello, [0xC1]))?.reason == .malformed)
  #expect(plant.refusal(rig, plant.frame(.hello, hello(rows: 9)))?.text == "rows: plant has 9, expected 1 to 2")
  let late = plant.refusal(rig, plant.frame(.step, body) { ($0.monotonic, $0.ttl) = ($0.monotonic - 5_000_000, 2000) })
  #expect(late?.reason == .expired)
  var broken = plant.frame(.step, body)
  broken[70] ^= 1
  #expect(plant.refusal(rig, broken)?.reason == .checksum)
  plant.send(plant.frame(.step, [UInt8](repeating: 0, count: 1 << 19)))
  #expect(rig.poll()?.reason == .malformed)
  #expect(plant.receive()?.header.type == FrameType.error.rawValue)
  rig.fake.status = -8
  #expect(plant.refusal(rig, plant.frame(.step, body))?.text == "run: the session gave status -8")
  rig.fake.status = 0

  // the episode goes on as if none of them had come
  #expect(plant.ask(rig, plant.frame(.step, body) { $0.ttl = 10_000_000 })?.header.type == FrameType.act.rawValue)
  let stats = rig.bridge!.stats
  let dropped = (0..<16).map { stats.load(Stats.Word.dropped.rawValue + $0) }
  #expect(dropped == [0, 4, 1, 1, 2, 0, 3, 1, 1, 0, 1, 1, 0, 1, 0, 0] && stats.load(.drops) == dropped.reduce(0, +))
}

@Test func aSecondPlantIsBusyUntilTheFirstLeavesOrIsSilent() throws {
  let rig = try Rig(idle: 100)
  let (first, second) = (Dealer(rig), Dealer(rig))
  #expect(first.connect(rig))
  #expect(second.refusal(rig, second.frame(.hello, hello()))?.reason == .busy)
  first.send(first.frame(.bye))
  #expect(rig.poll()?.kind == .bye)
  #expect(second.connect(rig))
  #expect(first.refusal(rig, first.frame(.hello, hello()))?.reason == .busy)
  #expect(rig.poll()?.kind == .idle)
  #expect(rig.poll(20)?.kind == Event.Kind.none)
  #expect(first.connect(rig))
  #expect(second.receive()?.header.type == FrameType.bye.rawValue)
  #expect(second.refusal(rig, second.frame(.step, observation(0, 0, 0)))?.reason == .session)
}

@Test(arguments: ["inproc://gone", "ipc://@efferent-gone-\(eff_now_ns())", "tcp://127.0.0.1:*"])
func aPlantWhoseConnectionIsGoneIsReplacedAtOnce(endpoint: String) throws {
  let rig = try Rig(endpoint: endpoint, idle: -1)
  var first: Dealer? = Dealer(rig)
  #expect(first!.connect(rig))
  let second = Dealer(rig)
  #expect(!second.connect(rig))
  first = nil
  let limit = eff_now_ns() + 2_000_000_000
  while !second.connect(rig) && eff_now_ns() < limit {}
  #expect(eff_now_ns() < limit)
}

@Test func aReconnectIsANewSessionWithItsStateCleared() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  let (session, body) = (plant.session, observation(0, 0, 0))
  _ = plant.ask(rig, plant.frame(.step, body))
  #expect(floats(plant.ask(rig, plant.frame(.step, body))!.body, 1) == [2])
  let old = plant.frame(.step, body) { $0.seq += 10 }
  #expect(plant.connect(rig))
  #expect(plant.session != session)
  #expect(plant.refusal(rig, old)?.reason == .session)
  #expect(floats(plant.ask(rig, plant.frame(.step, body))!.body, 1) == [1])
}

@Test func twentyThousandMutationsOfAStepNeverTrapTheBridge() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  plant.isSealed = false  // a refusal is sealed as its frame claims to be
  var random = Random(3)
  var answered = 0
  for i in 0..<20_000 {
    var bytes = random.mutate(plant.frame(.step, observation(1, 2, 3)))
    // half of them with the right checksum, so that they get past it
    if i % 2 == 0, let header = bytes.withUnsafeBytes({ FrameHeader($0) }) {
      bytes = plant.sealed(header, Array(bytes[FrameHeader.size...]))
    }
    plant.send(bytes)
    #expect(rig.poll(0) != nil)
    while plant.receive(0) != nil { answered += 1 }
    if i % 100 == 99 { plant.connect(rig) }
  }
  #expect(answered > 10_000)
  #expect(plant.connect(rig))
}

@Test func itsOwnThreadServesAndStopsAtOnce() throws {
  let rig = try Rig(endpoint: "ipc:///tmp/efferent-test-\(eff_now_ns())")
  let bridge = rig.bridge!
  let plant = Dealer(rig)
  for _ in 0..<20 {
    try bridge.start()
    #expect(throws: Failure.self) { try bridge.start() }
    #expect(throws: Failure.self) { try bridge.poll(timeout: 0) }
    plant.send(plant.frame(.hello, hello()))
    #expect(plant.receive()?.header.type == FrameType.welcome.rawValue)
    let began = eff_now_ns()
    try bridge.stop()
    #expect(eff_now_ns() - began < 500_000_000)
    try bridge.stop()
  }
  #expect(bridge.stats.load(.hellos) == 20)
}

@Test func aFullQueueThatThePlantHasReadTakesTheNextAnswer() throws {
  let rig = try Rig(endpoint: "ipc://@efferent-full-\(eff_now_ns())", highWater: 1)
  let plant = Dealer(rig)
  try rig.bridge!.start()
  plant.send(plant.frame(.hello, hello()))
  let welcome = try #require(plant.receive())
  plant.session = welcome.header.session
  for _ in 0..<5000 {
    plant.send(plant.frame(.step, observation(1, 2, 3)))
    guard plant.receive()?.header.type == FrameType.act.rawValue else { break }
  }
  try rig.bridge!.stop()
  #expect(rig.bridge!.stats.load(.unsent) == 0 && rig.bridge!.stats.load(.steps) == 5000)
}

@Test func aClosedBridgeGivesItsEndpointBackThoughItsThreadRan() throws {
  var options = Bridge.Options()
  options.endpoint = "ipc://@efferent-again-\(eff_now_ns())"
  for _ in 0..<3 {
    let bridge = try Bridge(Fake().target, options)
    try bridge.start()
    #expect(bridge.close())
  }
}

@Test func aBridgeThatIsClosedSaysByeAndNeverWaits() throws {
  for endpoint in ["tcp://127.0.0.1:*", "ipc:///tmp/efferent-test-\(eff_now_ns())"] {
    let rig = try Rig(endpoint: endpoint)
    let plant = Dealer(rig)
    #expect(plant.connect(rig))
    let began = eff_now_ns()
    rig.close()
    #expect(eff_now_ns() - began < 500_000_000)
    #expect(plant.receive()?.header.type == FrameType.bye.rawValue)
  }
}

@Test func onlyEndpointsOfThisMachineAreBound() throws {
  let rig = try Rig(endpoint: "ipc:///tmp/efferent-test-\(eff_now_ns())")
  func refusal(_ endpoint: String, remote: Bool = false, context: UnsafeMutableRawPointer? = nil) -> Failure.Reason? {
    var options = Bridge.Options()
    options.endpoint = endpoint
    options.allowRemote = remote
    options.context = context
    do {
      _ = try Bridge(Fake().target, options)
      return nil
    } catch {
      return error.reason
    }
  }
  for endpoint in ["tcp://127.0.0.1:*", "tcp://127.1.2.3:*", "tcp://[::1]:*", "ipc://@efferent-test-\(eff_now_ns())"] {
    #expect(refusal(endpoint) == nil)
  }
  for endpoint in [
    "tcp://0.0.0.0:*", "tcp://*:5555", "tcp://192.168.1.1:5555", "tcp://localhost:5555",
    "tcp://127.0.0.1.example.com:1", "tcp://1270.0.0.1:1", "tcp://127.0.0.1",
    "tcp://[::]:5555", "tcp://eth0:1", "udp://127.0.0.1:1", "inproc://", "ipc://", "127.0.0.1:1", "",
    "inproc://no-context",
  ] { #expect(refusal(endpoint) == .argument, "\(endpoint)") }
  // with keys alone (test_bridge_keys.py)
  #expect(refusal("tcp://0.0.0.0:*", remote: true) == .argument)
  #expect(refusal("inproc://with-context", context: rig.context) == nil)
  #expect(refusal(rig.bridge!.endpoint) == .io)
  #expect(refusal("ipc:///no-such-folder/x") == .io)
  #expect(refusal("pgm://127.0.0.1:1") == .argument)
}
#endif
