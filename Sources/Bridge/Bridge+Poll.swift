#if Bridge
import Base
import CZeroMQ
import Platform

extension Bridge {
  /// Waits up to `timeout` milliseconds (negative: without limit) for one frame and handles it. `.none` where nothing arrived or a signal
  /// interrupted. Throws `.state` while the bridge's own thread polls, `.io` where the socket failed.
  public func poll(timeout: Int) throws(Failure) -> Event {
    guard !thread.isRunning else { throw Failure(.state, "the bridge's own thread polls; stop it first") }
    return try wait(timeout, wake: -1)
  }

  /// `poll`, ended by a byte in the pipe `wake` too.
  func wait(_ timeout: Int, wake: Int32) throws(Failure) -> Event {
    let deadline = timeout < 0 ? UInt64.max : eff_now_ns() + UInt64(timeout) * 1_000_000
    while true {
      if let event = try receive() { return told(event) }
      let now = eff_now_ns()
      let idle = idleDeadline
      if now >= idle {
        idleTold = true
        stats.add(.idles)
        return told(event(.idle))
      }
      if now >= deadline { return Event() }
      let until = min(deadline, idle)
      let milliseconds = until == .max ? -1 : Int(min((until - now + 999_999) / 1_000_000, UInt64(Int32.max)))
      var items = (
        zmq_pollitem_t(socket: socket, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
        zmq_pollitem_t(socket: nil, fd: wake, events: Int16(ZMQ_POLLIN), revents: 0)
      )
      let ready = withUnsafeMutablePointer(to: &items) {
        $0.withMemoryRebound(to: zmq_pollitem_t.self, capacity: 2) { zmq_poll($0, wake < 0 ? 1 : 2, milliseconds) }
      }
      if ready < 0 {
        if zmq_errno() == EINTR { return Event() }
        throw zeroMQFailure("endpoint '\(endpoint)'")
      }
      if items.1.revents != 0 { return Event() }
    }
  }

  /// When the silence of the plant is to be reported; never, where there is none or it was.
  private var idleDeadline: UInt64 {
    connected && !idleTold && options.idleTimeout >= 0 ? heard + UInt64(options.idleTimeout) * 1_000_000 : .max
  }

  private func told(_ event: Event) -> Event {
    if let onEvent = options.onEvent { onEvent(event) }
    return event
  }

  /// An event of the present bridge session.
  func event(_ kind: Event.Kind) -> Event {
    var event = Event()
    event.kind = kind
    event.session = stats.load(.hellos) > 0 ? session : 0
    event.episode = episode
    return event
  }

  /// Takes one message, if there is one: the identity of the plant, then a frame.
  private func receive() throws(Failure) -> Event? {
    let count = zmq_recv(socket, sender, Bridge.identityLimit, ZMQ_DONTWAIT)
    guard count >= 0 else {
      let code = zmq_errno()
      if code == EAGAIN || code == EINTR { return nil }
      throw zeroMQFailure("endpoint '\(endpoint)'")
    }
    let arrived = eff_now_ns()
    senderCount = min(Int(count), Bridge.identityLimit)
    var size = -1
    var parts = 0
    while hasMore {
      let count = zmq_recv(socket, received, capacity, ZMQ_DONTWAIT)
      guard count >= 0 else { break }
      size = Int(count)
      parts += 1
    }
    if size > 0 { stats.add(.bytesIn, size) }
    guard parts == 1 else {
      // not a frame of this protocol, so there is nothing to answer
      stats.drop(.malformed)
      return dropped(.malformed, seq: 0)
    }
    return handle(size, arrived)
  }

  private var hasMore: Bool {
    var more: Int32 = 0
    var size = MemoryLayout<Int32>.size
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0
  }
}
#endif
