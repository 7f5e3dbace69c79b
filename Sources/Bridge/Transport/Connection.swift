#if Bridge
import Platform

/// A connection of a plant through a Unix socket: frames behind their length of four bytes. A length of 0 is no frame;
/// it wakes who sleeps.
final class Connection {
  enum Arrived {
    case nothing
    /// A frame of `size` bytes, which stands at `frame` until `consume`: all of it, or its first bytes where it is
    /// longer than `room`.
    case frame(size: Int)
    case ended
    /// A frame above the limit comes.
    case tooLong
  }

  let descriptor: Int32
  let id, since: UInt64
  /// Whether the socket may have more than was read.
  var isReadable = true
  /// The memory that it shares with the bridge; nil: none.
  var ring: Ring?

  /// 60 bytes that nothing uses, four of the length, then the frame.
  private var memory: UnsafeMutableRawPointer
  /// Bytes of a frame that are kept.
  private(set) var room: Int
  /// Bytes from the length on that have arrived, and those of a frame longer than `room` that were passed over.
  private var filled = 0
  private var skipped = 0

  /// A frame of which the socket took a part, behind its length.
  private var rest: UnsafeMutableRawPointer?
  private var restRoom = 0
  private var restSize = 0
  private var restSent = 0

  private static let prefix = 4

  /// nil where there is no memory.
  init?(_ descriptor: Int32, id: UInt64, since: UInt64, room: Int) {
    guard let memory = eff_alloc(Layout.alignment + room, Layout.alignment) else { return nil }
    self.descriptor = descriptor
    self.id = id
    self.since = since
    self.memory = memory
    self.room = room
  }

  deinit {
    // the other end sees it though a child of this process may have the descriptor too
    eff_hang_up(descriptor)
    eff_close(descriptor)
    eff_free(memory)
    if let rest { eff_free(rest) }
  }

  var frame: UnsafeRawPointer { UnsafeRawPointer(memory + Layout.alignment) }

  private var start: UnsafeMutableRawPointer { memory + Layout.alignment - Connection.prefix }

  private var length: Int { Int(UInt32(littleEndian: start.load(as: UInt32.self))) }

  /// Keeps frames of up to `room` bytes from now on; false where there is no memory, or a longer one has lost bytes
  /// already.
  func grow(to room: Int) -> Bool {
    if room <= self.room { return true }
    guard skipped == 0, let larger = eff_alloc(Layout.alignment + room, Layout.alignment) else { return false }
    eff_copy(larger + Layout.alignment - Connection.prefix, start, filled)
    eff_free(memory)
    memory = larger
    self.room = room
    return true
  }

  /// The next frame, if it is here. `limit`: longest that does not end the connection.
  func next(limit: Int) -> Arrived {
    while true {
      if filled >= Connection.prefix {
        let size = length
        if size == 0 {
          shift(Connection.prefix)
          continue
        }
        if size > limit { return .tooLong }
        if filled - Connection.prefix + skipped >= size { return .frame(size: size) }
        if size > room, filled == Connection.prefix + room {
          // nobody looks behind the header of a frame that is too long
          skipped += room - FrameHeader.size
          filled = Connection.prefix + FrameHeader.size
        }
      }
      guard isReadable else { return .nothing }
      var space = Connection.prefix + room - filled
      if filled >= Connection.prefix, length > room {
        space = min(space, length + Connection.prefix - filled - skipped)
      }
      let count = Int(eff_local_receive(descriptor, start + filled, space))
      if count == -Int(EAGAIN) || count == -Int(EWOULDBLOCK) {
        isReadable = false
        return .nothing
      }
      if count <= 0 { return .ended }
      if count < space { isReadable = false }
      filled += count
    }
  }

  /// The frame of `size` bytes was read.
  func consume(_ size: Int) {
    if size > room {
      (filled, skipped) = (0, 0)
    } else {
      shift(Connection.prefix + size)
    }
  }

  private func shift(_ count: Int) {
    filled -= count
    if filled > 0 { eff_move(start, start + count, filled) }
  }

  var hasRest: Bool { restSent < restSize }

  /// Sends a frame and never waits; `passing`: a descriptor that goes with it, -1: none. 0, EAGAIN where the plant does
  /// not read, EHOSTUNREACH where it is gone.
  func send(_ frame: UnsafeRawBufferPointer, passing: Int32 = -1) -> Int32 {
    guard flush() else { return EHOSTUNREACH }
    if hasRest { return EAGAIN }
    var length = UInt32(frame.count).littleEndian
    let whole = Connection.prefix + frame.count
    let sent = Int(eff_local_send(descriptor, &length, frame.baseAddress, frame.count, 0, passing))
    if sent == whole { return 0 }
    if sent == -Int(EAGAIN) || sent == -Int(EWOULDBLOCK) { return EAGAIN }
    guard sent > 0, keep(length, frame, whole, sent) else {
      // what is left of the stream makes no sense without the rest of this frame
      eff_hang_up(descriptor)
      return EHOSTUNREACH
    }
    return 0
  }

  private func keep(_ length: UInt32, _ frame: UnsafeRawBufferPointer, _ whole: Int, _ sent: Int) -> Bool {
    if restRoom < whole {
      if let rest { eff_free(rest) }
      rest = eff_alloc(whole, Layout.alignment)
      restRoom = rest == nil ? 0 : whole
    }
    guard let rest else { return false }
    rest.storeBytes(of: length, as: UInt32.self)
    if let bytes = frame.baseAddress { eff_copy(rest + Connection.prefix, bytes, frame.count) }
    (restSize, restSent) = (whole, sent)
    return true
  }

  /// Sends what was left of a frame; false where the plant is gone.
  func flush() -> Bool {
    while hasRest, let rest {
      let sent = Int(
        eff_local_send(descriptor, rest, rest + Connection.prefix, restSize - Connection.prefix, restSent, -1))
      if sent == -Int(EAGAIN) || sent == -Int(EWOULDBLOCK) { return true }
      if sent <= 0 { return false }
      restSent += sent
    }
    return true
  }

  /// Wakes a plant that sleeps. Where its socket is full it wakes by what it has to read.
  func wake() { _ = send(UnsafeRawBufferPointer(start: nil, count: 0)) }
}
#endif
