#if Bridge
import Base
import Platform

extension Service {
  /// Least nanoseconds between two looks at the connection of a silent owner, and the most looks: each leaves a PING in
  /// its queue.
  private static let probeInterval: UInt64 = 250_000_000
  private static let probeLimit = 8

  /// HELLO: a new bridge session, unless the plant does not fit or another one is there. A stranger's body is not
  /// looked at while there is.
  func greet(_ header: FrameHeader, _ frame: UnsafeRawBufferPointer, _ size: Int, from peer: Peer, _ arrived: UInt64)
    -> Outcome
  {
    let isOwner = peer.isSame(owner)
    if isConnected, !isOwner, !ownerIsGone(arrived) {
      let silence = (arrived &- heard) / 1_000_000
      return refuse(
        .busy, header, "another plant is connected; milliseconds of its silence", found: silence,
        expected: UInt64(max(options.idleTimeout, 0)),
        wait: Service.busyWait)
    }
    let limit = Service.helloLimit
    guard size <= limit else {
      return refuse(.malformed, header, "bytes of HELLO", found: UInt64(size), expected: UInt64(limit))
    }
    // a plant that has no checksum says so by 0
    if header.checksum != 0 {
      let checksum = crc.frame(frame)
      guard header.checksum == checksum else {
        return refuse(.checksum, header, "crc32c", found: UInt64(header.checksum), expected: UInt64(checksum))
      }
    }
    if isConnected, isOwner, let keptHello, header == keptHello { return welcomeAgain(header) }
    let known = FrameFlags.fixed
    guard header.flags & FrameFlags.mustUnderstand & ~known == 0 else {
      return refuse(
        .flags, header, "bits that must be understood", found: UInt64(header.flags), expected: UInt64(known))
    }
    let body = UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...])
    let isFixed = header.flags & FrameFlags.fixed != 0
    let hello: Hello
    let next: Layout
    do {
      hello = isFixed ? try Hello(fixed: body) : try Hello(body)
      try hello.checkRange(target)
      next = try Layout(target, rows: hello.rows, aux: hello.aux)
      try hello.check(against: target, next, options.labels)
    } catch {
      return refuse(error.reason == .format ? .malformed : .mismatch, header, error)
    }
    if let expired = expired(header, hello, arrived) { return expired }
    let status = target.reset(-1)
    guard status == 0 else { return refuse(.run, header, status: status) }
    let isReplaced = isConnected && !isOwner
    let farewell = isReplaced ? saidGoodbye() : nil
    begin(header, hello, next, peer, arrived)
    let answer = welcome(header, isFixed: isFixed, arrived)
    return Outcome(event: done(.hello, header, arrived), answer: answer, farewell: farewell)
  }

  /// A HELLO that waited for longer than its plant does. Its clock is not measured yet, so only a shared one can tell.
  private func expired(_ header: FrameHeader, _ hello: Hello, _ arrived: UInt64) -> Outcome? {
    guard header.ttl > 0, isShared(hello) else { return nil }
    let age = arrived > header.monotonic ? (arrived - header.monotonic) / 1000 : 0
    return age <= UInt64(header.ttl)
      ? nil : refuse(.expired, header, "microseconds of age", found: age, expected: UInt64(header.ttl))
  }

  private func isShared(_ hello: Hello) -> Bool { !options.boot.isEmpty && hello.boot == options.boot }

  private func begin(_ header: FrameHeader, _ hello: Hello, _ next: Layout, _ peer: Peer, _ arrived: UInt64) {
    adopt(next)
    hand(to: peer)
    secret = Service.newSecret(after: secret)
    number = number == .max ? 1 : number + 1
    (episode, hasStepped) = (0, false)
    (seq, lastSeq) = (0, header.seq)
    (heard, probes, isIdleReported) = (arrived, 0, false)
    isSealed = hello.checksum ?? options.seals
    clock.begin(isShared: isShared(hello))
    _ = clock.age(stamp: header.monotonic, arrived: arrived)
    (keptHeader, keptAnswer, keptHello) = (nil, nil, header)
    isConnected = true
    stats.set(.connected, 1)
    stats.add(.hellos)
    stats.identify(session: number, episode: 0)
  }

  /// Never 0, which HELLO has, and unguessable, so that a stranger's frame is never taken for the owner's.
  private static func newSecret(after old: UInt64) -> UInt64 {
    var made: UInt64 = 0
    while made == 0 || made == old {
      if eff_random_bytes(&made, MemoryLayout<UInt64>.size) != 0 { made = eff_now_ns() &* 0x9E37_79B9_7F4A_7C15 ^ old }
    }
    return made
  }

  /// Makes `next` the layout of the frames to come.
  private func adopt(_ next: Layout) {
    layout = next
    inputCopies = next.inputs.count
    outputCopies = next.outputs.count
    for (i, slot) in next.inputs.enumerated() {
      copies[i] = Copy(index: slot.index, offset: slot.offset, size: slot.size, dtype: slot.tensor.dtype)
    }
    for (i, slot) in next.outputs.enumerated() {
      copies[inputCopies + i] = Copy(index: slot.index, offset: slot.offset, size: slot.size, dtype: slot.tensor.dtype)
    }
  }

  /// WELCOME, which is kept for a plant that says the same HELLO again; nil where there is no memory for it.
  private func welcome(_ header: FrameHeader, isFixed: Bool, _ arrived: UInt64) -> UnsafeRawBufferPointer? {
    let facts = WelcomeFacts(
      session: secret, idleTimeout: options.idleTimeout, library: options.library, isSealed: isSealed,
      isClockShared: clock.isShared, received: arrived,
      fingerprint: fingerprint)
    let body =
      isFixed
      ? fixedWelcome(target, layout, options.labels, facts) : encodedWelcome(target, layout, options.labels, facts)
    let size = FrameHeader.size + body.count
    guard let frame = try? Bytes.zeroed(size) else { return nil }
    body.withUnsafeBytes { eff_copy(frame.mutable + FrameHeader.size, $0.baseAddress!, body.count) }
    var made = answerHeader(.welcome, header)
    made.flags = header.flags & FrameFlags.fixed
    complete(&made, frame.mutable, size: size, seals: header.checksum != 0)
    keptWelcome = frame
    return UnsafeRawBufferPointer(start: frame.start, count: size)
  }

  private func welcomeAgain(_ header: FrameHeader) -> Outcome {
    stats.add(.retries)
    var event = event(.retry)
    event.seq = header.seq
    return Outcome(event: event, answer: keptWelcome.map { UnsafeRawBufferPointer(start: $0.start, count: $0.count) })
  }

  /// Whether the plant that stepped may be replaced: silent for long, or its connection is gone. Its connection is
  /// tried rarely, so that strangers who knock do not fill its queue.
  private func ownerIsGone(_ now: UInt64) -> Bool {
    let silence = now &- heard
    if options.idleTimeout >= 0, now >= heard, silence >= UInt64(options.idleTimeout) * 1_000_000 { return true }
    guard silence >= Service.probeInterval / 5, probes == 0 || now &- probed >= Service.probeInterval,
      probes < Service.probeLimit
    else { return false }
    probed = now
    probes += 1
    return !isReachable(owner)
  }
}
#endif
