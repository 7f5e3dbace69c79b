#if Bridge
import Base
import Platform

extension Service {
  /// The header of an answer to the frame at hand.
  func answerHeader(_ type: FrameType, _ request: FrameHeader) -> FrameHeader {
    var header = FrameHeader(type)
    header.session = secret
    header.episode = episode
    header.refSeq = request.seq
    header.simulation = request.simulation
    return header
  }

  /// Completes a header and writes it in front of its frame.
  func complete(_ header: inout FrameHeader, _ frame: UnsafeMutableRawPointer, size: Int, seals: Bool) {
    seq += 1
    header.seq = seq
    completed = eff_now_ns()
    header.monotonic = completed
    header.write(to: frame)
    guard seals else { return }
    header.checksum = crc.frame(UnsafeRawBufferPointer(start: frame, count: size))
    header.write(to: frame)
  }

  /// The answer to the owner's frame: `frame`, whose first 64 bytes are filled in here.
  func answer(_ type: FrameType, _ request: FrameHeader, _ frame: UnsafeMutableRawPointer, size: Int)
    -> UnsafeRawBufferPointer
  {
    var header = answerHeader(type, request)
    complete(&header, frame, size: size, seals: isSealed)
    return UnsafeRawBufferPointer(start: frame, count: size)
  }

  /// A frame without a body to the owner.
  func notice(_ type: FrameType) -> UnsafeRawBufferPointer {
    var header = FrameHeader(type)
    header.session = secret
    header.episode = episode
    complete(&header, goodbye, size: FrameHeader.size, seals: isSealed)
    return UnsafeRawBufferPointer(start: goodbye, count: FrameHeader.size)
  }

  /// BYE to the owner, whose bridge session is over.
  func saidGoodbye() -> UnsafeRawBufferPointer { notice(.bye) }

  /// Counts the refusal and answers with ERR: `reason: what found, expected ...`. `wait`: milliseconds after which to
  /// ask again.
  func refuse(
    _ reason: Reason, _ request: FrameHeader, _ what: StaticString, found: UInt64, expected: UInt64, wait: UInt32 = 0
  ) -> Outcome {
    var text = ErrorText(at: refusal + FrameHeader.size + Service.errorHead)
    text.add(reason.name)
    text.add(": ")
    text.add(what)
    text.add(" ")
    text.add(found)
    text.add(", expected ")
    text.add(expected)
    return refuse(reason, request, status: 0, text, wait)
  }

  /// The same for a session that gave a negative status.
  func refuse(_ reason: Reason, _ request: FrameHeader, status: Int32) -> Outcome {
    var text = ErrorText(at: refusal + FrameHeader.size + Service.errorHead)
    text.add(reason.name)
    text.add(": the session gave status -")
    text.add(UInt64(status.magnitude))
    return refuse(reason, request, status: status, text, 0)
  }

  /// The same for a handshake that failed.
  func refuse(_ reason: Reason, _ request: FrameHeader, _ failure: Failure) -> Outcome {
    var text = ErrorText(at: refusal + FrameHeader.size + Service.errorHead)
    text.add(failure.message)
    return refuse(reason, request, status: failure.reason.rawValue, text, 0)
  }

  private func refuse(_ reason: Reason, _ request: FrameHeader, status: Int32, _ text: ErrorText, _ wait: UInt32)
    -> Outcome
  {
    stats.drop(reason)
    let head = refusal + FrameHeader.size
    head.storeBytes(of: UInt32(reason.rawValue).littleEndian, as: UInt32.self)
    head.storeBytes(of: status.littleEndian, toByteOffset: 4, as: Int32.self)
    head.storeBytes(of: wait.littleEndian, toByteOffset: 8, as: UInt32.self)
    head.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
    var header = FrameHeader(.error)
    header.refSeq = request.seq
    header.simulation = request.simulation
    header.episode = episode
    // strangers are not told the secret
    if request.session == secret { header.session = secret }
    // sealed as the request is: the sender may not know what was agreed
    let size = FrameHeader.size + Service.errorHead + text.count
    complete(&header, refusal, size: size, seals: request.checksum != 0)
    return Outcome(
      event: dropped(reason, seq: request.seq), answer: UnsafeRawBufferPointer(start: refusal, count: size))
  }

  /// The event of a frame that was refused.
  func dropped(_ reason: Reason, seq: UInt64) -> Event {
    var event = event(.drop)
    event.reason = reason
    event.seq = seq
    return event
  }
}
#endif
