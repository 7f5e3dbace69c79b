#if Bridge
import Base
import Glibc
import Platform

@testable import Bridge

// libFuzzer target: what a plant of this machine writes into its stream and into the memory that it shares, against a
// second reading of the same bytes. The first byte says which of the two the rest is.

private func demand(_ condition: Bool, _ what: StaticString) {
  if !condition { fatalError("\(what)") }
}

/// Bytes of an input from the front on; zeros behind its end.
private struct Input {
  let bytes: UnsafeBufferPointer<UInt8>
  var at = 0

  var isAtEnd: Bool { at >= bytes.count }

  mutating func byte() -> UInt8 {
    defer { at += 1 }
    return at < bytes.count ? bytes[at] : 0
  }

  mutating func word() -> UInt32 {
    var value: UInt32 = 0
    for i in 0..<4 { value |= UInt32(byte()) << (8 * i) }
    return value
  }

  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(at + count, bytes.count)
    defer { at = end }
    return at < end ? Array(bytes[at..<end]) : []
  }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let bytes, count > 2 else { return 0 }
  var input = Input(bytes: UnsafeBufferPointer(start: bytes, count: count))
  if input.byte() & 1 == 0 { readStream(&input) } else { readRing(&input) }
  return 0
}

// MARK: the stream

/// The frames of a stream, read from all of its bytes: each a length of four bytes, then that many; 0 is none.
private struct Expected {
  var stream: [UInt8] = []
  var at = 0
  let limit: Int

  enum Next { case nothing, tooLong, frame(at: Int, size: Int) }

  mutating func next() -> Next {
    while stream.count - at >= 4 {
      let size = (0..<4).reduce(0) { $0 | Int(stream[at + $1]) << (8 * $1) }
      if size == 0 {
        at += 4
        continue
      }
      if size > limit { return .tooLong }
      guard stream.count - at - 4 >= size else { return .nothing }
      defer { at += 4 + size }
      return .frame(at: at + 4, size: size)
    }
    return .nothing
  }
}

private func readStream(_ input: inout Input) {
  var ends: (Int32, Int32) = (-1, -1)
  let made = withUnsafeMutablePointer(to: &ends) {
    $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, $0) }
  }
  demand(made == 0, "socketpair")
  defer { close(ends.1) }
  // longer than a header, as those of every bridge are
  let room = FrameHeader.size + 4 * (Int(input.byte()) + 1), larger = 2 * room
  guard let connection = Connection(ends.0, id: 1, since: 0, room: room) else { return }
  var expected = Expected(limit: 2 * larger)
  var (isOpen, pieces) = (true, 0)
  // each piece is some system calls
  while isOpen, !input.isAtEnd, pieces < 128 {
    pieces += 1
    let op = input.byte()
    let piece = input.take(Int(input.byte()) * (op & 2 == 0 ? 1 : 4))
    if op & 4 != 0 { _ = connection.grow(to: larger) }
    if !piece.isEmpty {
      demand(send(ends.1, piece, piece.count, Int32(MSG_DONTWAIT)) == piece.count, "a piece is sent")
      expected.stream += piece
    }
    if op & 8 != 0 {
      shutdown(ends.1, Int32(SHUT_WR))
      isOpen = false
    }
    connection.isReadable = true
    reading: while true {
      switch (connection.next(limit: expected.limit), expected.next()) {
      case (.nothing, .nothing):
        if isOpen { break reading }
        // poll says that there is more: the end
        demand(!connection.isReadable, "the end is not seen")
        connection.isReadable = true
      case (.ended, .nothing):
        demand(!isOpen, "a connection ends by itself")
        break reading
      case (.tooLong, .tooLong):
        return
      case (.frame(let size), .frame(let at, let wanted)):
        demand(size == wanted, "a frame has another size")
        let kept = size <= connection.room ? size : FrameHeader.size
        for i in 0..<kept {
          demand(connection.frame.load(fromByteOffset: i, as: UInt8.self) == expected.stream[at + i], "another byte")
        }
        connection.consume(size)
      default: demand(false, "the two readings differ")
      }
    }
  }
}

// MARK: the ring

private func readRing(_ input: inout Input) {
  let slots = 4, page = 4096
  guard let ring = Ring(requestSize: 256, answerSize: 128) else { return }
  let size = page + slots * 2 * page
  guard let memory = eff_shared_map(ring.descriptor, size) else { return }
  defer { eff_unmap_shared(memory, size) }
  let plant = (memory + 64).assumingMemoryBound(to: UInt32.self)
  let library = (memory + 128).assumingMemoryBound(to: UInt32.self)
  // each slot tells which one it is
  for i in 0..<slots { (memory + page + i * page).storeBytes(of: UInt8(i + 1), as: UInt8.self) }
  var (taken, posted): (UInt32, UInt32) = (0, 0)
  while !input.isAtEnd {
    let op = input.byte()
    switch op & 7 {
    case 0: plant[Int(input.byte() % 16)] = input.word()
    case 1:
      let at = 4 + 2 * Int(plant[0] % 4)
      (plant[at], plant[at + 1]) = (UInt32(input.byte() % 4), UInt32(input.byte()) * 16)
      plant[0] &+= 1
    case 2: plant[1] = posted
    case 3:
      let frame = input.take(Int(input.byte()) + 1)
      let waiting = posted &- plant[1]
      let code = frame.withUnsafeBytes { ring.post($0) }
      if frame.isEmpty || waiting > 4 {
        demand(code == EPROTO || frame.isEmpty, "an answer goes to a plant that wrote nonsense")
      } else {
        demand(code == (waiting == 4 ? EAGAIN : 0), "an answer has a place where fewer than four wait")
      }
      guard code == 0 else { break }
      let at = 4 + 2 * Int(posted % 4)
      posted &+= 1
      demand(library[0] == posted && library[at] < 4 && library[at + 1] == UInt32(frame.count), "an answer is told")
      let answer = memory + page + slots * page + Int(library[at]) * page
      for i in 0..<frame.count {
        demand(answer.load(fromByteOffset: i, as: UInt8.self) == frame[i], "an answer has another byte")
      }
    case 4: demand(ring.sleep(true) == (plant[0] == taken) && library[2] == 1, "sleep looks for a frame")
    case 5: demand(ring.sleep(false) && library[2] == 0, "awake")
    case 6: demand(ring.isPlantAsleep == (plant[2] != 0), "whether the plant sleeps")
    default:
      demand(ring.hasRequest == (plant[0] != taken), "whether there is a frame")
      let (waiting, at) = (plant[0] &- taken, 4 + 2 * Int(taken % 4))
      let (slot, length) = (plant[at], plant[at + 1])
      switch ring.next() {
      case .none: demand(waiting == 0, "a frame is not seen")
      case .broken: demand(waiting > 4 || slot >= 4 || length > UInt32(page), "a frame is refused")
      case .frame(let start, let size):
        demand(waiting > 0 && waiting <= 4 && slot < 4 && size == Int(length) && size <= page, "a frame is checked")
        demand(start.load(as: UInt8.self) == UInt8(slot + 1), "a frame of another slot")
        ring.take()
        taken &+= 1
        demand(library[1] == taken, "what was taken is told")
      }
    }
  }
}
#endif
