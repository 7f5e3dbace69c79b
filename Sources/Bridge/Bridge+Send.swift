#if Bridge
import Base
import CZeroMQ
import Platform

extension Bridge {
  /// Answers the frame at hand with `frame`, whose first 64 bytes are filled in here. False where the plant is gone or does not read.
  func answer(_ type: FrameType, _ asked: FrameHeader, _ frame: UnsafeMutableRawPointer, size: Int) -> Bool {
    var header = FrameHeader(type)
    header.session = session
    header.episode = episode
    header.schema = layout.schema
    header.refSeq = asked.seq
    header.simulation = asked.simulation
    let sent = send(&header, frame, size: size, to: sender, senderCount) == 0
    if !sent { stats.add(.unsent) }
    return sent
  }

  func sendWelcome(_ asked: FrameHeader) -> Bool {
    let body = welcome(target, layout, options.labels, session: session, idleTimeout: options.idleTimeout, library: options.library)
    var frame = [UInt8](repeating: 0, count: FrameHeader.size) + body
    let size = frame.count
    return frame.withUnsafeMutableBytes { answer(.welcome, asked, $0.baseAddress!, size: size) }
  }

  /// Whether the connection of the owner is gone: a PING, which asks nothing of it, cannot be sent.
  func ownerIsUnreachable() -> Bool {
    var header = FrameHeader(.ping)
    header.session = session
    return send(&header, refusal, size: FrameHeader.size, to: owner, ownerCount) == EHOSTUNREACH
  }

  /// Says BYE to the plant, if there is one, and gives ZeroMQ a moment to pass it on when the socket closes.
  func sendBye() {
    guard connected else { return }
    var header = FrameHeader(.bye)
    header.session = session
    header.episode = episode
    header.schema = layout.schema
    if send(&header, refusal, size: FrameHeader.size, to: owner, ownerCount) == 0 { set(socket, ZMQ_LINGER, 50) }
  }

  /// Counts the refusal and answers with ERR: `reason: what found, expected ...`.
  func refuse(_ reason: Reason, _ asked: FrameHeader, _ what: StaticString, found: UInt64, expected: UInt64) -> Event {
    var text = ErrorText(at: refusal + FrameHeader.size + Bridge.errorHead)
    text.add(reason.name)
    text.add(": ")
    text.add(what)
    text.add(" ")
    text.add(found)
    text.add(", expected ")
    text.add(expected)
    return refuse(reason, asked, status: 0, text)
  }

  /// The same for a session that gave a negative status.
  func refuse(_ reason: Reason, _ asked: FrameHeader, status: Int32) -> Event {
    var text = ErrorText(at: refusal + FrameHeader.size + Bridge.errorHead)
    text.add(reason.name)
    text.add(": the session gave status -")
    text.add(UInt64(status.magnitude))
    return refuse(reason, asked, status: status, text)
  }

  /// The same for a handshake that failed.
  func refuse(_ reason: Reason, _ asked: FrameHeader, _ failure: Failure) -> Event {
    var text = ErrorText(at: refusal + FrameHeader.size + Bridge.errorHead)
    text.add(failure.message)
    return refuse(reason, asked, status: failure.reason.rawValue, text)
  }

  private func refuse(_ reason: Reason, _ asked: FrameHeader, status: Int32, _ text: ErrorText) -> Event {
    stats.drop(reason)
    refusal.storeBytes(of: UInt32(reason.rawValue).littleEndian, toByteOffset: FrameHeader.size, as: UInt32.self)
    refusal.storeBytes(of: status.littleEndian, toByteOffset: FrameHeader.size + 4, as: Int32.self)
    _ = answer(.error, asked, refusal, size: FrameHeader.size + Bridge.errorHead + text.count)
    return dropped(reason, seq: asked.seq)
  }

  /// The event of a frame that was refused.
  func dropped(_ reason: Reason, seq: UInt64) -> Event {
    var event = event(.drop)
    event.reason = reason
    event.seq = seq
    return event
  }

  /// Completes the header and hands the frame to ZeroMQ, which never waits. 0 or an errno.
  private func send(
    _ header: inout FrameHeader, _ frame: UnsafeMutableRawPointer, size: Int, to identity: UnsafeMutableRawPointer, _ identityCount: Int
  ) -> Int32 {
    seq += 1
    header.seq = seq
    header.monotonic = eff_now_ns()
    header.write(to: frame)
    header.checksum = crc.frame(UnsafeRawBufferPointer(start: frame, count: size))
    header.write(to: frame)
    var code = put(identity, identityCount, ZMQ_DONTWAIT | ZMQ_SNDMORE)
    if code == 0 { code = put(frame, size, ZMQ_DONTWAIT) }
    if code == 0 { stats.add(.bytesOut, size) }
    return code
  }

  private func put(_ bytes: UnsafeMutableRawPointer, _ count: Int, _ flags: Int32) -> Int32 {
    var looked = false
    while true {
      if zmq_send(socket, bytes, count, flags) >= 0 { return 0 }
      let code = zmq_errno()
      if code == EAGAIN && !looked {
        // the queue looks full until ZeroMQ learns from its mailbox what the plant has read, and it looks there rarely while frames keep coming
        looked = true
        var events: Int32 = 0
        var size = MemoryLayout<Int32>.size
        zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size)
      } else if code != EINTR {
        return code
      }
    }
  }
}
#endif
