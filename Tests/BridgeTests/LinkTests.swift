#if Bridge
import Base
@testable import Bridge
import CZeroMQ
import Platform
import Testing

// What the link does where frames are lost, late, repeated or from somebody else.

@Test func aFrameThatComesAgainGetsTheSameAnswerAndRunsOnce() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  let hello = plant.frame(.hello, hello())
  let first = try #require(plant.ask(rig, hello))
  let second = try #require(plant.ask(rig, hello))
  #expect(second.event?.kind == .retry && second.header == first.header && second.body == first.body)
  plant.session = first.header.session
  plant.episode = 1
  let reset = plant.frame(.reset)
  let ack = try #require(plant.ask(rig, reset))
  #expect(try #require(plant.ask(rig, reset)).header == ack.header)
  let step = plant.frame(.step, observation(1, 2, 3))
  let act = try #require(plant.ask(rig, step))
  for _ in 0..<3 {
    let again = try #require(plant.ask(rig, step))
    #expect(again.event?.kind == .retry && again.header == act.header && again.body == act.body)
  }
  let stats = rig.bridge!.stats
  #expect(stats.load(.steps) == 1 && stats.load(.resets) == 1 && stats.load(.hellos) == 1 && stats.load(.retries) == 5)
  #expect(floats(plant.ask(rig, plant.frame(.step, observation(1, 2, 3)))!.body, 1) == [4])
}

@Test func aResetWhoseAnswerWasLostAndGivenUpMayComeUnderANewNumber() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  plant.episode = 1
  #expect(plant.ask(rig, plant.frame(.reset))?.header.type == FrameType.ack.rawValue)
  #expect(plant.ask(rig, plant.frame(.reset))?.header.type == FrameType.ack.rawValue)
  _ = plant.ask(rig, plant.frame(.step, observation(0, 0, 0)))
  #expect(plant.refusal(rig, plant.frame(.reset))?.reason == .episode)
}

@Test func stepsThatWereGivenUpDoNotRunHoweverLongTheyWaited() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  // the library stood still while the plant gave up four times
  for _ in 0..<5 { plant.send(plant.frame(.step, observation(1, 2, 3))) }
  #expect(rig.poll()?.kind == .step)
  let answer = try #require(plant.receive())
  #expect(answer.header.refSeq == plant.seq && floats(answer.body, 1) == [3])
  #expect(rig.poll(0)?.kind == Event.Kind.none)
  let stats = rig.bridge!.stats
  #expect(stats.load(.steps) == 1 && stats.load(Stats.Word.dropped.rawValue + Int(Reason.superseded.rawValue)) == 4)
}

@Test func aRefusedFrameTakesNoNumberAndChangesNothing() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  rig.fake.status = -8
  let step = plant.frame(.step, observation(1, 2, 3))
  #expect(plant.refusal(rig, step)?.reason == .run)
  rig.fake.status = 0
  #expect(plant.ask(rig, step)?.header.type == FrameType.act.rawValue)
}

@Test func strangersWhoKnockNeverCostTheOwnerAnAnswer() throws {
  let rig = try Rig(endpoint: "ipc://@efferent-knock-\(eff_now_ns())", highWater: 2)
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  let strangers = (0..<10).map { _ in Dealer(rig) }
  // the owner reads nothing meanwhile
  for _ in 0..<30 {
    for s in strangers {
      s.send(s.frame(.hello, [UInt8](repeating: 0xC1, count: 10_000)))
      _ = rig.poll()
      #expect(s.receive()?.header.type == FrameType.error.rawValue)
    }
  }
  #expect(plant.ask(rig, plant.frame(.step, observation(1, 2, 3)))?.header.type == FrameType.act.rawValue)
  #expect(rig.bridge!.stats.load(.unsent) == 0)
  #expect(rig.bridge!.stats.load(Stats.Word.dropped.rawValue + Int(Reason.busy.rawValue)) == 300)
}

@Test func busySaysWhenToComeBack() throws {
  let rig = try Rig()
  let (first, second) = (Dealer(rig), Dealer(rig))
  #expect(first.connect(rig))
  let answer = try #require(second.ask(rig, second.frame(.hello, hello())))
  #expect(answer.body[8] == 50 && answer.body[0] == 9)
}

@Test func aPlantThatIsReplacedIsTold() throws {
  let rig = try Rig(idle: 50)
  let (first, second) = (Dealer(rig), Dealer(rig))
  #expect(first.connect(rig))
  #expect(rig.poll()?.kind == .idle)
  #expect(second.connect(rig))
  let told = try #require(first.receive())
  #expect(told.header.type == FrameType.bye.rawValue && told.header.session == first.session)
}

@Test func anotherConnectionWithTheSameIdentityTakesNothingOver() throws {
  let rig = try Rig(endpoint: "tcp://127.0.0.1:*")
  let plant = Dealer(rig, identity: "robot")
  #expect(plant.connect(rig))
  let twin = Dealer(rig, identity: "robot")
  twin.send(twin.frame(.hello, hello()))
  #expect(rig.poll(100)?.kind == Event.Kind.none)
  #expect(plant.ask(rig, plant.frame(.step, observation(1, 2, 3)))?.header.type == FrameType.act.rawValue)
}

@Test func aFrameNeedsTheSecretOfItsSession() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  #expect(plant.session > UInt64(UInt32.max), "a secret of 64 bits is below 2^32 once in four billion runs")
  let stranger = Dealer(rig)
  // with the secret, but not the owner's connection
  stranger.session = plant.session
  #expect(stranger.refusal(rig, stranger.frame(.step, observation(1, 2, 3)))?.reason == .session)
  // the owner's connection without the secret
  #expect(plant.refusal(rig, plant.frame(.step, observation(1, 2, 3)) { $0.session = 1 })?.reason == .session)
}

@Test(arguments: [-3_600_000_000_000, 3_600_000_000_000] as [Int64])
func ttlHoldsWhateverThePlantsClockSays(ahead: Int64) throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  func shifted(_ header: inout FrameHeader) {
    header.monotonic = UInt64(bitPattern: Int64(bitPattern: header.monotonic) &+ ahead)
  }
  let welcome = try #require(plant.ask(rig, plant.frame(.hello, hello(), edit: shifted)))
  plant.session = welcome.header.session
  let body = observation(1, 2, 3)
  func step(_ age: UInt64) -> UInt8? {
    plant.ask(rig, plant.frame(.step, body) {
      shifted(&$0)
      $0.monotonic -= age
      $0.ttl = 20_000
    })?.header.type
  }
  #expect(step(0) == FrameType.act.rawValue)
  #expect(step(100_000_000) == FrameType.error.rawValue)
  #expect(step(0) == FrameType.act.rawValue)
}

@Test func requestSocketsAreAnsweredThroughTheirEmptyPart() throws {
  let rig = try Rig()
  let socket = zmq_socket(rig.context, ZMQ_REQ)!
  defer { zmq_close(socket) }
  set(socket, ZMQ_LINGER, 0)
  set(socket, ZMQ_RCVTIMEO, 1000)
  zmq_connect(socket, rig.bridge!.endpoint)
  let maker = Dealer(rig)
  func ask(_ bytes: [UInt8]) -> FrameHeader? {
    #expect(bytes.withUnsafeBytes { zmq_send(socket, $0.baseAddress, $0.count, 0) } == bytes.count)
    _ = rig.poll()
    var answer = [UInt8](repeating: 0, count: 4096)
    let count = Int(zmq_recv(socket, &answer, answer.count, 0))
    return count < FrameHeader.size ? nil : answer.withUnsafeBytes { FrameHeader($0) }
  }
  let welcome = try #require(ask(maker.frame(.hello, hello())))
  #expect(welcome.type == FrameType.welcome.rawValue)
  maker.session = welcome.session
  #expect(ask(maker.frame(.step, observation(1, 2, 3)))?.type == FrameType.act.rawValue)
}

@Test func aNewerPlantMayGoDownToThisVersion() throws {
  let rig = try Rig()
  let plant = Dealer(rig)
  let welcome = try #require(plant.ask(rig, plant.frame(.hello, hello(versions: (2, 7))) { $0.version = 7 }))
  #expect(welcome.header.type == FrameType.welcome.rawValue && welcome.header.version == 2)
}

@Test func theFixedHandshakeNeedsNoMessagePack() throws {
  let rig = try Rig(seals: nil)
  let plant = Dealer(rig)
  plant.isSealed = false
  var body = [UInt8](repeating: 0, count: 64)
  (body[0], body[1], body[2], body[4]) = (2, 2, 1, 1)
  func bare(_ header: inout FrameHeader) { header.flags = FrameFlags.fixed }
  func unsealed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for i in 60..<64 { bytes[i] = 0 }
    return bytes
  }
  let welcome = try #require(plant.ask(rig, unsealed(plant.frame(.hello, body, edit: bare))))
  #expect(
    welcome.header.type == FrameType.welcome.rawValue && welcome.header.flags == FrameFlags.fixed
      && welcome.body.count == 64)
  let layout = try Layout(rig.fake.target, rows: 1, aux: true)
  func word(_ at: Int) -> Int { (0..<4).reduce(0) { $0 | Int(welcome.body[at + $1]) << (8 * $1) } }
  #expect(word(24) == layout.stepSize && word(28) == layout.actSize && word(36) == 2 && welcome.body[2] == 4)
  plant.session = welcome.header.session
  #expect(plant.ask(rig, unsealed(plant.frame(.step, observation(1, 2, 3))))?.header.type == FrameType.act.rawValue)
  for (at, value) in [(2, 8), (2, 6), (48, 1), (4, 9), (24, 1), (16, 1)] as [(Int, UInt8)] {
    var wrong = body
    wrong[at] = value
    #expect(
      plant.ask(rig, plant.frame(.hello, wrong, edit: bare))?.header.type == FrameType.error.rawValue, "byte \(at)")
  }
}

@Test func observationsThatAreNotFiniteAreRefusedWhereAsked() throws {
  let rig = try Rig(refusesNonFinite: true)
  let plant = Dealer(rig)
  #expect(plant.connect(rig))
  for value in [Float.nan, .infinity, -.infinity] {
    #expect(plant.refusal(rig, plant.frame(.step, observation(0, value, 0)))?.reason == .numeric)
  }
  #expect(
    plant.ask(rig, plant.frame(.step, observation(0, .greatestFiniteMagnitude, -0.0)))?.header.type
      == FrameType.act.rawValue)
  #expect(rig.bridge!.stats.load(.steps) == 1)
}

@Test func onlyADeadSocketIsReplaced() throws {
  let folder = "/tmp/efferent-path-\(eff_now_ns())"
  func bridge(_ path: String) throws(Failure) -> Bridge {
    var options = Bridge.Options()
    options.endpoint = "ipc://" + path
    return try Bridge(Fake().target, options)
  }
  // a file with something in it
  let bytes = Array("policy".utf8)
  #expect(
    folder.withCString { path in bytes.withUnsafeBytes { eff_write_atomically(path, $0.baseAddress, $0.count) } } == 0)
  #expect(throws: Failure.self) { try bridge(folder) }
  #expect(folder.withCString { eff_socket_at($0) } == 2)
  _ = folder.withCString { eff_remove($0) }
  // one at a time, and its own again afterwards
  for _ in 0..<3 {
    let first = try bridge(folder)
    #expect(throws: Failure.self) { try bridge(folder) }
    #expect(first.close())
  }
  #expect((folder + ".lock").withCString { eff_socket_at($0) } == 0)
  for port in ["70000", "-1", "65536", "", "x", "1x"] {
    var options = Bridge.Options()
    options.endpoint = "tcp://127.0.0.1:" + port
    #expect(throws: Failure.self) { try Bridge(Fake().target, options) }
  }
}

@Test func anInprocAddressCanBeBoundAgainAtOnce() throws {
  let context = ownContext()
  for _ in 0..<20 {
    var options = Bridge.Options()
    options.endpoint = "inproc://again"
    options.context = context
    #expect(try Bridge(Fake().target, options).close())
  }
  zmq_ctx_term(context)
}
#endif
