#if Bridge
import Base
@testable import Bridge
import CZeroMQ
import Platform
import Testing


/// A context of the libzmq that bridges use.
func ownContext() -> UnsafeMutableRawPointer {
  #expect(eff_zmq_open(0, nil, 0) == 0)
  return zmq_ctx_new()!
}

/// A bridge on inproc or ipc that the test polls, and raw clients of it: all on the test's own thread.
final class Rig {
  let context = ownContext()
  let fake: Fake
  private(set) var bridge: Bridge?
  var events: [Event.Kind] = []

  init(
    maxRows: Int = 2, endpoint: String = "inproc://rig", idle: Int = 60_000, highWater: Int32 = 16, seals: Bool? = true,
    refusesNonFinite: Bool = false
  )
    throws(Failure)
  {
    fake = Fake(maxRows: maxRows)
    var options = Bridge.Options()
    options.endpoint = endpoint
    options.context = context
    options.idleTimeout = idle
    options.highWater = highWater
    options.labels = Labels(joints: ["a", "b", "c"], rate: 50)
    options.seals = seals
    options.refusesNonFinite = refusesNonFinite
    options.library = 100
    options.onEvent = { [unowned self] in events.append($0.kind) }
    bridge = try Bridge(fake.target, options)
  }

  func poll(_ timeout: Int = 1000) -> Event? { try? bridge!.poll(timeout: timeout) }

  func close() { bridge = nil }

  deinit {
    bridge = nil
    zmq_ctx_term(context)
  }
}

/// A DEALER that sends whatever bytes it is given.
final class Dealer {
  private let socket: UnsafeMutableRawPointer
  var session: UInt64 = 0
  var isSealed = true
  var seq: UInt64 = 0
  var episode: UInt32 = 0

  init(_ rig: Rig, identity: String? = nil) {
    socket = zmq_socket(rig.context, ZMQ_DEALER)!
    set(socket, ZMQ_LINGER, 0)
    set(socket, ZMQ_RCVTIMEO, 1000)
    set(socket, ZMQ_SNDTIMEO, 1000)
    if let identity { _ = identity.withCString { zmq_setsockopt(socket, ZMQ_ROUTING_ID, $0, identity.utf8.count) } }
    zmq_connect(socket, rig.bridge!.endpoint)
  }

  deinit { zmq_close(socket) }

  func send(_ bytes: [UInt8]) {
    #expect(bytes.withUnsafeBytes { zmq_send(socket, $0.baseAddress, $0.count, 0) } == bytes.count)
  }

  /// The bytes of a whole frame with the next sequence number; `edit` changes the header before the checksum.
  func frame(_ type: FrameType, _ body: [UInt8] = [], edit: (inout FrameHeader) -> Void = { _ in }) -> [UInt8] {
    seq += 1
    var header = FrameHeader(type)
    header.session = session
    header.episode = episode
    header.seq = seq
    header.monotonic = eff_now_ns()
    header.simulation = 1000 * seq
    edit(&header)
    return sealed(header, body)
  }

  /// Header and body with the right checksum.
  func sealed(_ header: FrameHeader, _ body: [UInt8]) -> [UInt8] {
    var header = header
    var bytes = [UInt8](repeating: 0, count: FrameHeader.size) + body
    bytes.withUnsafeMutableBytes {
      header.write(to: $0.baseAddress!)
      header.checksum = Crc32c().frame(UnsafeRawBufferPointer($0))
      header.write(to: $0.baseAddress!)
    }
    return bytes
  }

  /// The next frame, its checksum verified, but for PING; nil where none comes in time.
  func receive(_ timeout: Int32 = 1000) -> (header: FrameHeader, body: [UInt8])? {
    set(socket, ZMQ_RCVTIMEO, timeout)
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = Int(zmq_recv(socket, &bytes, bytes.count, 0))
    guard count >= FrameHeader.size else { return nil }
    bytes.removeSubrange(count...)
    let (header, checksum) = bytes.withUnsafeBytes { (FrameHeader($0), Crc32c().frame($0)) }
    #expect(header?.checksum == checksum || header?.checksum == 0 && !isSealed)
    if header?.type == FrameType.ping.rawValue { return receive(timeout) }
    return header.map { ($0, Array(bytes[FrameHeader.size...])) }
  }

  /// Sends, lets the bridge handle it, and returns the answer.
  func ask(_ rig: Rig, _ bytes: [UInt8]) -> (event: Event?, header: FrameHeader, body: [UInt8])? {
    send(bytes)
    let event = rig.poll()
    return receive().map { (event, $0.header, $0.body) }
  }

  /// HELLO; true where WELCOME came, whose session and schema the next frames carry.
  @discardableResult
  func connect(_ rig: Rig, rows: Int = 1, aux: Bool = false) -> Bool {
    guard let answer = ask(rig, frame(.hello, hello(rows: rows, aux: aux))) else { return false }
    guard answer.header.type == FrameType.welcome.rawValue else { return false }
    session = answer.header.session
    episode = 0
    return true
  }

  /// The text of the ERR that answers `bytes`, and the reason of the event; nil where something else came.
  func refusal(_ rig: Rig, _ bytes: [UInt8]) -> (reason: Reason, text: String)? {
    guard let answer = ask(rig, bytes), answer.header.type == FrameType.error.rawValue, let event = answer.event else {
      return nil
    }
    #expect(event.kind == .drop && Int32(answer.body[0]) == event.reason.rawValue && answer.header.refSeq == event.seq)
    return (event.reason, String(decoding: answer.body[Service.errorHead...], as: UTF8.self))
  }
}

/// Sets an integer option of a socket.
func set(_ socket: UnsafeMutableRawPointer, _ option: Int32, _ value: Int32) {
  var value = value
  zmq_setsockopt(socket, option, &value, MemoryLayout<Int32>.size)
}

/// The body of a STEP for one row.
func observation(_ x: Float, _ y: Float, _ z: Float) -> [UInt8] {
  var body = [UInt8](repeating: 0, count: 66)
  for (i, value) in [x, y, z].enumerated() {
    for b in 0..<4 { body[4 * i + b] = UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(8 * b)) }
  }
  body[64] = 1
  return body
}

/// The floats at the start of a body.
func floats(_ body: [UInt8], _ count: Int) -> [Float] {
  body.withUnsafeBytes { raw in (0..<count).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
}
#endif
