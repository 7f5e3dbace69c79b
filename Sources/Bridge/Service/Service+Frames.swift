#if Bridge
import Base
import Platform

extension Service {
  /// Handles a frame of `size` bytes, of which `frame` holds at most `capacity`, and whose header was read. Order of
  /// the checks: size, owner, then what the frame says.
  /// `arrays`: where the arrays of a frame for which `readsInPlace` is true stand instead, counted from its start.
  func handle(
    _ header: FrameHeader?, _ frame: UnsafeRawBufferPointer, size: Int, from peer: Peer, arrived: UInt64,
    arrays: UnsafeRawPointer? = nil
  ) -> Outcome {
    guard let header else {
      // not a frame of this protocol, so there is nothing to answer
      stats.drop(.malformed)
      return Outcome(event: dropped(.malformed, seq: 0))
    }
    if header.type == FrameType.hello.rawValue { return greet(header, frame, size, from: peer, arrived) }
    let isOwner = isConnected && peer.isSame(owner)
    guard header.version == FrameHeader.version else {
      return refuse(.version, header, "protocol", found: UInt64(header.version), expected: UInt64(FrameHeader.version))
    }
    guard isOwner, header.session == secret else {
      return refuse(
        .session, header, isOwner ? "not the present one: seq" : "not the connected plant: seq", found: header.seq,
        expected: 0)
    }
    guard size <= capacity else {
      return refuse(.malformed, header, "frame of bytes", found: UInt64(size), expected: UInt64(capacity))
    }
    if isSealed {
      let checksum = crc.frame(frame)
      guard header.checksum == checksum else {
        return refuse(.checksum, header, "crc32c", found: UInt64(header.checksum), expected: UInt64(checksum))
      }
    }
    heard = arrived
    probes = 0
    isIdleReported = false
    guard header.flags & FrameFlags.mustUnderstand == 0 else {
      return refuse(.flags, header, "bits that must be understood", found: UInt64(header.flags), expected: 0)
    }
    if let again = repeated(header) { return again }
    switch FrameType(rawValue: header.type) {
    case .reset: return reset(header, frame, arrived)
    case .step: return step(header, frame, arrived, arrays)
    case .bye: return leave(header)
    default:
      return refuse(
        .malformed, header, "frame type", found: UInt64(header.type), expected: UInt64(FrameType.step.rawValue))
    }
  }

  /// Whether no more than the header of a frame is looked at before its arrays are copied, so that they need not stand
  /// in memory of the bridge:
  /// what the plant changes in them meanwhile is its own affair.
  func readsInPlace(_ header: FrameHeader?, _ size: Int) -> Bool {
    guard isConnected, !isSealed, !options.refusesNonFinite, size == layout.stepSize, let header else { return false }
    return header.type == FrameType.step.rawValue
  }

  /// Whether the frame has been under way for less time than a plant waits before it gives one up.
  func isFresh(_ header: FrameHeader?, _ arrived: UInt64) -> Bool {
    guard let header else { return true }
    return clock.peek(stamp: header.monotonic, arrived: arrived) < Service.fresh
  }

  /// Whether the frame is a STEP of the owner, which a newer one may have made void.
  func isSupersedable(_ header: FrameHeader?, from peer: Peer) -> UInt64? {
    guard isConnected, peer.isSame(owner), let header, header.session == secret else { return nil }
    return header.type == FrameType.step.rawValue ? header.seq : nil
  }

  /// Whether a frame that arrived behind a STEP with `seq` says that its plant gave that up: the plant waits for an
  /// answer or goes on.
  func supersedes(_ header: FrameHeader?, from peer: Peer, _ seq: UInt64) -> Bool {
    guard peer.isSame(owner), let header else { return false }
    return header.type == FrameType.hello.rawValue || header.session == secret && header.seq > seq
  }

  /// Whether a frame that arrived behind one of the owner is that frame once more.
  func isSame(_ header: FrameHeader?, from peer: Peer, as first: FrameHeader?) -> Bool {
    guard peer.isSame(owner), let header else { return false }
    return header == first
  }

  /// Counts a STEP that was given up.
  func supersede(_ seq: UInt64) -> Event {
    stats.drop(.superseded)
    return dropped(.superseded, seq: seq)
  }

  /// The kept answer, where the frame that was acted on last comes again.
  private func repeated(_ header: FrameHeader) -> Outcome? {
    guard let keptHeader, header == keptHeader, let keptAnswer else { return nil }
    stats.add(.retries)
    var event = event(.retry)
    event.seq = header.seq
    return Outcome(event: event, answer: keptAnswer)
  }

  /// RESET: a new episode. The body is empty for all rows, or has a byte for each, not 0 where the row is meant.
  private func reset(_ header: FrameHeader, _ frame: UnsafeRawBufferPointer, _ arrived: UInt64) -> Outcome {
    // a RESET whose answer was lost and that was given up: nothing ran since, so it may come again under its number
    let isAgain = header.episode == episode && episode > 0 && !hasStepped
    guard header.episode > episode || isAgain else {
      return refuse(.episode, header, "reset to", found: UInt64(header.episode), expected: UInt64(episode) + 1)
    }
    if let refusal = refuseSequence(header) { return refusal }
    let count = frame.count - FrameHeader.size
    guard count == 0 || count == layout.rows else {
      return refuse(.malformed, header, "bytes of row mask", found: UInt64(count), expected: UInt64(layout.rows))
    }
    var rows = 0
    if count == 0 {
      rows = layout.rows
      let status = target.reset(-1)
      guard status == 0 else { return refuse(.run, header, status: status) }
    }
    for row in 0..<count where frame[FrameHeader.size + row] != 0 {
      rows += 1
      let status = target.reset(row)
      guard status == 0 else { return refuse(.run, header, status: status) }
    }
    episode = header.episode
    hasStepped = false
    stats.add(.resets)
    stats.identify(session: number, episode: episode)
    let answer = answer(.ack, header, ack, size: FrameHeader.size)
    keep(header, answer)
    var event = done(.reset, header, arrived)
    event.rows = rows
    return Outcome(event: event, answer: answer)
  }

  /// STEP: the tick. Nothing is written before every check has passed.
  private func step(
    _ header: FrameHeader, _ frame: UnsafeRawBufferPointer, _ arrived: UInt64, _ arrays: UnsafeRawPointer?
  ) -> Outcome {
    guard header.episode == episode else {
      return refuse(.episode, header, "step of", found: UInt64(header.episode), expected: UInt64(episode))
    }
    if let refusal = refuseSequence(header) { return refusal }
    let age = clock.age(stamp: header.monotonic, arrived: arrived)
    guard header.ttl == 0 || age <= UInt64(header.ttl) * 1000 else {
      return refuse(.expired, header, "microseconds of age", found: age / 1000, expected: UInt64(header.ttl))
    }
    guard frame.count == layout.stepSize, let base = arrays ?? frame.baseAddress else {
      return refuse(.malformed, header, "bytes of STEP", found: UInt64(frame.count), expected: UInt64(layout.stepSize))
    }
    if options.refusesNonFinite, let place = nonFinite(base) {
      return refuse(.numeric, header, "input that is not finite: its index", found: UInt64(place), expected: 0)
    }
    for i in 0..<inputCopies {
      guard let memory = target.input(copies[i].index) else {
        return refuse(.run, header, status: Failure.Reason.state.rawValue)
      }
      eff_copy(memory, base + copies[i].offset, copies[i].size)
    }
    let began = eff_now_ns()
    let status = target.run(
      Target.Step(rows: layout.rows, age: age, duration: Double(header.stepTime) * 1e-6))
    let run = eff_now_ns() - began
    guard status == 0 else { return refuse(.run, header, status: status) }
    for i in inputCopies..<inputCopies + outputCopies {
      guard let memory = target.output(copies[i].index) else {
        return refuse(.run, header, status: Failure.Reason.state.rawValue)
      }
      eff_copy(act + copies[i].offset, memory, copies[i].size)
    }
    hasStepped = true
    // before the answer, so that a plant that has it finds it counted
    stats.add(.steps)
    stats.add(.rows, layout.rows)
    stats.record(.age, age)
    stats.record(.run, run)
    let answer = answer(.act, header, act, size: layout.actSize)
    keep(header, answer)
    var event = done(.step, header, arrived)
    stats.record(.tick, event.tick)
    event.rows = layout.rows
    event.run = run
    return Outcome(event: event, answer: answer)
  }

  /// The owner's connection ended without BYE: its place is free.
  func lose() -> Event {
    isConnected = false
    stats.set(.connected, 0)
    stats.add(.byes)
    var event = event(.bye)
    event.reason = .session
    return event
  }

  /// BYE: the end of the bridge session. Not answered.
  private func leave(_ header: FrameHeader) -> Outcome {
    isConnected = false
    stats.set(.connected, 0)
    stats.add(.byes)
    var event = event(.bye)
    event.seq = header.seq
    return Outcome(event: event)
  }

  /// Refuses a sequence number that is not above all that were acted on.
  private func refuseSequence(_ header: FrameHeader) -> Outcome? {
    header.seq > lastSeq ? nil : refuse(.sequence, header, "number", found: header.seq, expected: lastSeq &+ 1)
  }

  /// Remembers a frame that was acted on, and its answer.
  private func keep(_ header: FrameHeader, _ answer: UnsafeRawBufferPointer) {
    lastSeq = header.seq
    keptHeader = header
    keptAnswer = answer
  }

  func done(_ kind: Event.Kind, _ header: FrameHeader, _ arrived: UInt64) -> Event {
    var event = event(kind)
    event.seq = header.seq
    event.simulation = header.simulation
    event.tick = completed - arrived
    return event
  }

  /// Index of the first input of a STEP with a number that is not finite; nil where all are. - Complexity: O(bytes of
  /// floating-point inputs)
  private func nonFinite(_ frame: UnsafeRawPointer) -> Int? {
    for i in 0..<inputCopies where Service.hasNonFinite(frame + copies[i].offset, copies[i].size, copies[i].dtype) {
      return copies[i].index
    }
    return nil
  }

  private static func hasNonFinite(_ p: UnsafeRawPointer, _ size: Int, _ dtype: Int32) -> Bool {
    func any<T: FixedWidthInteger>(_ exponent: T) -> Bool {
      let width = MemoryLayout<T>.size
      for i in 0..<size / width where p.load(fromByteOffset: i * width, as: T.self) & exponent == exponent {
        return true
      }
      return false
    }
    switch dtype {
    case 1: return any(0x7F80_0000 as UInt32)
    case 11: return any(0x7FF0_0000_0000_0000 as UInt64)
    case 10: return any(0x7C00 as UInt16)
    case 16: return any(0x7F80 as UInt16)
    default: return false
    }
  }
}
#endif
