#if Bridge
import Base
@testable import Bridge
import Platform
import Testing

// Unix sockets and shared memory, from the bytes of their plants up: all on the test's own thread.

/// A bridge that the test polls, without ZeroMQ.
private final class LocalRig {
  let fake: Fake
  private(set) var bridge: Bridge?
  let path: String

  init(_ scheme: String, idle: Int = 60_000, seals: Bool? = nil) throws(Failure) {
    fake = Fake()
    path = "@efferent-local-\(eff_now_ns())"
    var options = Bridge.Options()
    options.endpoint = scheme + ":" + path
    options.idleTimeout = idle
    options.seals = seals
    options.spin = 0
    bridge = try Bridge(fake.target, options)
  }

  func poll(_ timeout: Int = 1000) -> Event? { try? bridge!.poll(timeout: timeout) }

  func close() { bridge = nil }
}

/// A plant that sends whatever bytes it is given.
private final class LocalPlant {
  let descriptor: Int32
  var session: UInt64 = 0
  var seq: UInt64 = 0
  /// The memory that came with WELCOME.
  private(set) var memory: UnsafeMutableRawPointer?
  private(set) var size = 0

  init(_ rig: LocalRig) { descriptor = rig.path.withCString { eff_local_connect($0) } }

  deinit {
    if let memory { eff_unmap_shared(memory, size) }
    eff_close(descriptor)
  }

  func frame(_ type: FrameType, _ body: [UInt8] = [], edit: (inout FrameHeader) -> Void = { _ in }) -> [UInt8] {
    seq += 1
    var header = FrameHeader(type)
    header.session = session
    header.seq = seq
    header.monotonic = eff_now_ns()
    edit(&header)
    var bytes = [UInt8](repeating: 0, count: FrameHeader.size) + body
    bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
    return bytes
  }

  /// Sends bytes as they are.
  func send(_ bytes: [UInt8]) {
    // as what is left of a prefix of four bytes and a frame
    let missing = max(4 - bytes.count, 0)
    let sent = bytes.withUnsafeBytes {
      eff_local_send(descriptor, $0.baseAddress! - missing, $0.baseAddress! + 4, max(bytes.count - 4, 0), missing, -1)
    }
    #expect(sent == bytes.count)
  }

  func tell(_ frame: [UInt8]) { send(length(frame.count) + frame) }

  func length(_ count: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } }

  /// What is there to be read; a descriptor that comes along is mapped.
  func receive() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    var passed: Int32 = -1
    let count = bytes.withUnsafeMutableBytes {
      eff_local_receive_passed(descriptor, $0.baseAddress!, $0.count, &passed)
    }
    if passed >= 0 {
      size = Int(eff_file_size(passed))
      memory = eff_shared_map(passed, size)
      eff_close(passed)
    }
    return count <= 0 ? [] : Array(bytes[..<Int(count)])
  }

  /// The header of the answer to a frame, handled by the bridge.
  func ask(_ rig: LocalRig, _ frame: [UInt8]) -> FrameHeader? {
    tell(frame)
    _ = rig.poll()
    let answer = Array(receive().dropFirst(4))
    return answer.withUnsafeBytes { FrameHeader($0) }
  }

  func connect(_ rig: LocalRig) -> Bool {
    guard let welcome = ask(rig, frame(.hello, hello())), welcome.type == FrameType.welcome.rawValue else {
      return false
    }
    session = welcome.session
    return true
  }

  /// Words of the shared memory that the plant writes, and those that the library does.
  var words: UnsafeMutablePointer<UInt32> { (memory! + 64).assumingMemoryBound(to: UInt32.self) }
  var libraryWords: UnsafeMutablePointer<UInt32> { (memory! + 128).assumingMemoryBound(to: UInt32.self) }

  func post(_ frame: [UInt8], slot: UInt32 = 0) {
    let requestSize = Int(memory!.load(fromByteOffset: 16, as: UInt64.self))
    frame.withUnsafeBytes { eff_copy(memory! + 4096 + Int(slot) * requestSize, $0.baseAddress!, $0.count) }
    let at = 4 + 2 * Int(words[0] % 4)
    (words[at], words[at + 1]) = (slot, UInt32(frame.count))
    words[0] &+= 1
  }
}

@Test func aPlantStepsThroughAUnixSocketWhateverTheCutsOfItsBytes() throws {
  let rig = try LocalRig("unix")
  let plant = LocalPlant(rig)
  #expect(plant.connect(rig))
  for cut in [1, 3, 4, 5, 63, 67, 68, 100, 133] {
    let step = plant.frame(.step, observation(1, 2, 3))
    let bytes = plant.length(step.count) + step
    plant.send(Array(bytes[..<cut]))
    #expect(rig.poll(0)?.kind == Event.Kind.none)
    plant.send(Array(bytes[cut...]))
    #expect(rig.poll()?.kind == .step)
    let answer = Array(plant.receive().dropFirst(4))
    #expect(answer.withUnsafeBytes { FrameHeader($0) }?.refSeq == plant.seq)
  }
  // several at once, with lengths of nothing between them: the newest runs
  var bytes: [UInt8] = []
  for _ in 0..<5 {
    let step = plant.frame(.step, observation(1, 2, 3)) { $0.monotonic -= 10_000_000 }
    bytes += plant.length(step.count) + step + [0, 0, 0, 0]
  }
  plant.send(bytes)
  #expect(rig.poll()?.kind == .step)
  #expect(rig.bridge!.stats.load(.steps) == 10)
  #expect(rig.bridge!.stats.load(Stats.Word.dropped.rawValue + Int(Reason.superseded.rawValue)) == 4)
}

@Test func aStepIsReadWhereItStandsAndItsHeaderOnce() throws {
  let rig = try LocalRig("shm")
  let plant = LocalPlant(rig)
  #expect(plant.connect(rig) && plant.memory != nil)
  for n in 1...6 {
    plant.post(plant.frame(.step, observation(1, 2, 3)))
    #expect(rig.poll()?.kind == .step)
    #expect(plant.libraryWords[0] == UInt32(n) && plant.libraryWords[1] == UInt32(n))
    let requestSize = Int(plant.memory!.load(fromByteOffset: 16, as: UInt64.self))
    let answer = plant.memory! + 4096 + 4 * requestSize
    #expect(answer.load(fromByteOffset: 32, as: UInt64.self) == plant.seq)
    #expect(answer.load(fromByteOffset: 64, as: Float.self) == 2 + Float(n))
    plant.words[1] = UInt32(n)
  }
}

@Test func aFrameOfTheOwnerThatComesTwiceBeforeItIsSeenRunsOnce() throws {
  let rig = try LocalRig("unix")
  let plant = LocalPlant(rig)
  #expect(plant.connect(rig))
  let first = plant.frame(.step, observation(1, 2, 3)) { $0.monotonic -= 10_000_000 }
  let second = plant.frame(.step, observation(1, 2, 3)) { $0.monotonic -= 5_000_000 }
  // it asked again, then gave up: neither copy of the first runs
  for frame in [first, first, second, second] { plant.tell(frame) }
  #expect(rig.poll()?.kind == .step)
  #expect(rig.poll(0)?.kind == Event.Kind.none)
  let stats = rig.bridge!.stats
  #expect(stats.load(.steps) == 1 && stats.load(.retries) == 2)
  #expect(stats.load(Stats.Word.dropped.rawValue + Int(Reason.superseded.rawValue)) == 1)
}

@Test(arguments: ["unix", "shm"]) func noBytesAndNoWordsOfAPlantHarmTheBridge(scheme: String) throws {
  let rig = try LocalRig(scheme, idle: -1)
  var random = Random(7)
  for _ in 0..<40 {
    let plant = LocalPlant(rig)
    guard plant.connect(rig) else { continue }
    for _ in 0..<60 {
      let valid = random.next(2) == 0 ? plant.frame(.step, observation(1, 2, 3)) : plant.frame(.hello, hello())
      let bytes = random.next(3) == 0 ? valid : random.mutate(valid)
      if plant.memory != nil, random.next(3) > 0 {
        plant.post(Array(bytes.prefix(4096)), slot: UInt32(random.next(4)))
        for _ in 0..<random.next(3) {
          plant.words[random.next(12)] =
            [0, 1, 4, 64, 4096, 0x8000_0000, .max, UInt32(random.next(1 << 20))][random.next(8)]
        }
      } else {
        let count = random.next(4) == 0 ? random.next(1 << 20) : bytes.count
        let whole = plant.length(count) + bytes
        _ = whole.withUnsafeBytes {
          eff_local_send(plant.descriptor, $0.baseAddress!, $0.baseAddress! + 4, $0.count - 4, 0, -1)
        }
      }
      for _ in 0..<3 { _ = rig.poll(0) }
      _ = plant.receive()
    }
  }
  for _ in 0..<200 { _ = rig.poll(0) }
  let plant = LocalPlant(rig)
  #expect(plant.connect(rig))
  #expect(plant.ask(rig, plant.frame(.step, observation(1, 2, 3)))?.type == FrameType.act.rawValue)
}

@Test func theEndOfAConnectionIsTheEndOfItsPlant() throws {
  let rig = try LocalRig("unix", idle: -1)
  var plant: LocalPlant? = LocalPlant(rig)
  #expect(plant!.connect(rig))
  plant = nil
  let event = rig.poll()
  #expect(event?.kind == .bye && event?.reason == .session)
  #expect(rig.bridge!.stats.load(.connected) == 0 && rig.bridge!.stats.load(.byes) == 1)
  // its place is free at once, and the HELLO that comes behind an end waits for that end
  var first: LocalPlant? = LocalPlant(rig)
  #expect(first!.connect(rig))
  let second = LocalPlant(rig)
  first!.tell(first!.frame(.bye))
  first = nil
  second.tell(second.frame(.hello, hello()))
  #expect(rig.poll()?.kind == .bye)
  #expect(rig.poll()?.kind == .hello)
}
#endif
