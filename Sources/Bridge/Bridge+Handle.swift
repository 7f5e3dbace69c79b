#if Bridge
import Base
import Platform

extension Bridge {
  /// Handles a frame of `size` bytes, of which at most `capacity` are in `received`.
  func handle(_ size: Int, _ arrived: UInt64) -> Event {
    let frame = UnsafeRawBufferPointer(start: received, count: min(size, capacity))
    guard let header = FrameHeader(frame) else {
      // not a frame of this protocol, so there is nothing to answer
      stats.drop(.malformed)
      return dropped(.malformed, seq: 0)
    }
    guard header.version == FrameHeader.version else {
      return refuse(.version, header, "protocol", found: UInt64(header.version), expected: UInt64(FrameHeader.version))
    }
    guard size <= capacity else { return refuse(.malformed, header, "frame of bytes", found: UInt64(size), expected: UInt64(capacity)) }
    let checksum = crc.frame(frame)
    guard header.checksum == checksum else {
      return refuse(.checksum, header, "crc32c", found: UInt64(header.checksum), expected: UInt64(checksum))
    }
    if header.type == FrameType.hello.rawValue { return greet(header, UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...]), arrived) }

    guard connected, isOwner, header.session == session else {
      return refuse(.session, header, "id", found: UInt64(header.session), expected: UInt64(connected ? session : 0))
    }
    heard = arrived
    idleTold = false
    guard header.schema == layout.schema else { return refuse(.schema, header, "hash", found: header.schema, expected: layout.schema) }
    switch FrameType(rawValue: header.type) {
    case .reset: return reset(header, size, arrived)
    case .step: return step(header, size, arrived)
    case .bye: return leave(header)
    default: return refuse(.malformed, header, "frame type", found: UInt64(header.type), expected: UInt64(FrameType.step.rawValue))
    }
  }

  /// HELLO: a new bridge session, unless the plant does not fit or another one is there.
  private func greet(_ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ arrived: UInt64) -> Event {
    let next: Layout
    do {
      let hello = try Hello(body)
      try hello.check(against: target, options.labels)
      next = try Layout(target, rows: hello.rows, aux: hello.aux)
    } catch {
      return refuse(error.reason == .format ? .malformed : .mismatch, header, error)
    }
    if connected, !isOwner, !ownerIsGone(arrived) {
      let silence = (arrived - heard) / 1_000_000
      return refuse(.busy, header, "another plant is connected; milliseconds of its silence", found: silence, expected: UInt64(max(options.idleTimeout, 0)))
    }
    let status = target.reset(-1)
    guard status == 0 else { return refuse(.run, header, status: status) }
    adopt(next)
    eff_copy(owner, sender, senderCount)
    ownerCount = senderCount
    session = session == .max ? 1 : session + 1
    episode = 0
    seq = 0
    lastSeq = header.seq
    heard = arrived
    idleTold = false
    connected = sendWelcome(header)
    stats.set(.connected, connected ? 1 : 0)
    guard connected else {
      stats.drop(.session)
      return dropped(.session, seq: header.seq)
    }
    stats.add(.hellos)
    stats.identify(session: session, episode: 0)
    return done(.hello, header, arrived)
  }

  /// RESET: a new episode. The body is empty for all rows, or has a byte for each, not 0 where the row is meant.
  private func reset(_ header: FrameHeader, _ size: Int, _ arrived: UInt64) -> Event {
    guard header.episode > episode else {
      return refuse(.episode, header, "reset to", found: UInt64(header.episode), expected: UInt64(episode) + 1)
    }
    if let refusal = refuseSequence(header) { return refusal }
    let count = size - FrameHeader.size
    guard count == 0 || count == layout.rows else {
      return refuse(.malformed, header, "bytes of row mask", found: UInt64(count), expected: UInt64(layout.rows))
    }
    var rows = 0
    if count == 0 {
      rows = layout.rows
      let status = target.reset(-1)
      guard status == 0 else { return refuse(.run, header, status: status) }
    }
    for row in 0..<count where received.load(fromByteOffset: FrameHeader.size + row, as: UInt8.self) != 0 {
      rows += 1
      let status = target.reset(row)
      guard status == 0 else { return refuse(.run, header, status: status) }
    }
    episode = header.episode
    stats.add(.resets)
    stats.identify(session: session, episode: episode)
    _ = answer(.ack, header, act, size: FrameHeader.size)
    var event = done(.reset, header, arrived)
    event.rows = rows
    return event
  }

  /// STEP: the tick.
  private func step(_ header: FrameHeader, _ size: Int, _ arrived: UInt64) -> Event {
    guard header.episode == episode else { return refuse(.episode, header, "step of", found: UInt64(header.episode), expected: UInt64(episode)) }
    if let refusal = refuseSequence(header) { return refusal }
    let age = arrived > header.monotonic ? arrived - header.monotonic : 0
    guard header.ttl == 0 || age <= UInt64(header.ttl) * 1000 else {
      return refuse(.expired, header, "microseconds of age", found: age / 1000, expected: UInt64(header.ttl))
    }
    guard size == layout.stepSize else { return refuse(.malformed, header, "bytes of STEP", found: UInt64(size), expected: UInt64(layout.stepSize)) }

    for i in 0..<inputCopies {
      guard let memory = target.input(copies[i].index) else { return refuse(.run, header, status: Failure.Reason.state.rawValue) }
      eff_copy(memory, received + copies[i].offset, copies[i].size)
    }
    let began = eff_now_ns()
    let status = target.run(layout.rows)
    let run = eff_now_ns() - began
    guard status == 0 else { return refuse(.run, header, status: status) }
    for i in inputCopies..<inputCopies + outputCopies {
      guard let memory = target.output(copies[i].index) else { return refuse(.run, header, status: Failure.Reason.state.rawValue) }
      eff_copy(act + copies[i].offset, memory, copies[i].size)
    }
    // before the answer, so that a plant that has it finds it counted
    stats.add(.steps)
    stats.add(.rows, layout.rows)
    stats.record(.age, age)
    stats.record(.run, run)
    _ = answer(.act, header, act, size: layout.actSize)

    var event = done(.step, header, arrived)
    stats.record(.tick, event.tick)
    event.rows = layout.rows
    event.run = run
    return event
  }

  /// BYE: the end of the bridge session. Not answered.
  private func leave(_ header: FrameHeader) -> Event {
    connected = false
    stats.set(.connected, 0)
    stats.add(.byes)
    var event = event(.bye)
    event.seq = header.seq
    return event
  }

  /// Takes the frame's sequence number, or refuses one that is not above all before.
  private func refuseSequence(_ header: FrameHeader) -> Event? {
    guard header.seq > lastSeq else { return refuse(.sequence, header, "number", found: header.seq, expected: lastSeq &+ 1) }
    lastSeq = header.seq
    return nil
  }

  private func done(_ kind: Event.Kind, _ header: FrameHeader, _ arrived: UInt64) -> Event {
    var event = event(kind)
    event.seq = header.seq
    event.simulation = header.simulation
    event.tick = eff_now_ns() - arrived
    return event
  }

  /// Makes `next` the layout of the frames to come.
  private func adopt(_ next: Layout) {
    layout = next
    inputCopies = next.inputs.count
    outputCopies = next.outputs.count
    for (i, slot) in next.inputs.enumerated() { copies[i] = Copy(index: slot.index, offset: slot.offset, size: slot.size) }
    for (i, slot) in next.outputs.enumerated() { copies[inputCopies + i] = Copy(index: slot.index, offset: slot.offset, size: slot.size) }
  }

  /// Whether the frame at hand is from the plant that steps.
  private var isOwner: Bool {
    guard senderCount == ownerCount else { return false }
    for i in 0..<senderCount where sender.load(fromByteOffset: i, as: UInt8.self) != owner.load(fromByteOffset: i, as: UInt8.self) { return false }
    return true
  }

  /// Whether the plant that stepped may be replaced: silent for long, or its connection is gone.
  private func ownerIsGone(_ now: UInt64) -> Bool {
    if options.idleTimeout >= 0, now >= heard, now - heard >= UInt64(options.idleTimeout) * 1_000_000 { return true }
    return ownerIsUnreachable()
  }
}
#endif
