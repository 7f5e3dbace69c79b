#if Bridge
import Platform

/// The memory that the bridge shares with the connected plant, four frames in each direction: the table of its bytes is
/// in PROTOCOL.md.
///
/// Each side writes one line of words and reads the other's. What the plant wrote is read once, checked, and never used
/// to address memory unchecked; how many frames were taken and sent is remembered here.
final class Ring {
  enum Request {
    case none
    /// A frame of `size` bytes, which stands in the slot until `take`.
    case frame(UnsafeRawPointer, size: Int)
    /// The plant wrote what no plant writes.
    case broken
  }

  private static let magic: UInt32 = 0x5346_4645
  private static let version: UInt32 = 1
  private static let slots: UInt32 = 4
  private static let page = 4096
  // bytes from the start: the lines that the plant and the library write
  private static let plantLine = 64
  private static let libraryLine = 128
  // words of a line: frames posted, frames taken, whether the writer sleeps; from `firstFrame` on slot and size of each
  // frame
  private static let posted = 0
  private static let taken = 1
  private static let asleep = 2
  private static let firstFrame = 4

  /// What is passed to the plant.
  let descriptor: Int32
  private let memory: UnsafeMutableRawPointer
  private let size, requestSize, answerSize: Int
  private let plant, library: UnsafeMutablePointer<UInt32>
  private var requestsTaken: UInt32 = 0
  private var answersPosted: UInt32 = 0
  private var answerSlot: UInt32 = 0

  /// Memory for frames of up to that many bytes; nil where there is none.
  init?(requestSize: Int, answerSize: Int) {
    let pages = { (size: Int) in (size + Ring.page - 1) / Ring.page * Ring.page }
    (self.requestSize, self.answerSize) = (pages(requestSize), pages(answerSize))
    size = Ring.page + Int(Ring.slots) * (self.requestSize + self.answerSize)
    descriptor = eff_shared_create(size)
    guard descriptor >= 0 else { return nil }
    guard let memory = eff_shared_map(descriptor, size) else {
      eff_close(descriptor)
      return nil
    }
    self.memory = memory
    plant = (memory + Ring.plantLine).assumingMemoryBound(to: UInt32.self)
    library = (memory + Ring.libraryLine).assumingMemoryBound(to: UInt32.self)
    let words = memory.assumingMemoryBound(to: UInt32.self)
    (words[0], words[1], words[2]) = (Ring.magic.littleEndian, Ring.version.littleEndian, Ring.slots.littleEndian)
    memory.storeBytes(of: UInt64(self.requestSize).littleEndian, toByteOffset: 16, as: UInt64.self)
    memory.storeBytes(of: UInt64(self.answerSize).littleEndian, toByteOffset: 24, as: UInt64.self)
    memory.storeBytes(of: UInt64(size).littleEndian, toByteOffset: 32, as: UInt64.self)
    // the first slots are what a plant that waits for its answers uses: there by the first tick
    eff_zero(request(0), self.requestSize)
    eff_zero(answer(0), self.answerSize)
  }

  deinit {
    eff_unmap_shared(memory, size)
    eff_close(descriptor)
  }

  private func request(_ slot: UInt32) -> UnsafeMutableRawPointer { memory + Ring.page + Int(slot) * requestSize }

  private func answer(_ slot: UInt32) -> UnsafeMutableRawPointer {
    memory + Ring.page + Int(Ring.slots) * requestSize + Int(slot) * answerSize
  }

  var hasRequest: Bool { eff_word_load(plant + Ring.posted) != requestsTaken }

  /// The frame that the plant posted next.
  func next() -> Request {
    let waiting = eff_word_load(plant + Ring.posted) &- requestsTaken
    if waiting == 0 { return .none }
    let at = Ring.firstFrame + 2 * Int(requestsTaken % Ring.slots)
    let slot = eff_word_load(plant + at)
    let size = Int(eff_word_load(plant + at + 1))
    guard waiting <= Ring.slots, slot < Ring.slots, size <= requestSize else { return .broken }
    return .frame(UnsafeRawPointer(request(slot)), size: size)
  }

  /// The frame of `next` was read: the plant may use its slot again.
  func take() {
    requestsTaken &+= 1
    eff_word_store(library + Ring.taken, requestsTaken)
  }

  /// Copies an answer to the plant. 0, or EAGAIN where the plant takes none, EPROTO where it wrote what no plant
  /// writes.
  func post(_ frame: UnsafeRawBufferPointer) -> Int32 {
    let waiting = answersPosted &- eff_word_load(plant + Ring.taken)
    guard waiting <= Ring.slots, frame.count <= answerSize, let bytes = frame.baseAddress else { return EPROTO }
    if waiting == Ring.slots { return EAGAIN }
    // the slots in use follow each other up to the last one
    answerSlot = waiting == 0 ? 0 : (answerSlot + 1) % Ring.slots
    eff_copy(answer(answerSlot), bytes, frame.count)
    let at = Ring.firstFrame + 2 * Int(answersPosted % Ring.slots)
    eff_word_store(library + at, answerSlot)
    eff_word_store(library + at + 1, UInt32(frame.count))
    answersPosted &+= 1
    eff_word_store(library + Ring.posted, answersPosted)
    return 0
  }

  /// Whether the plant wants to be woken by its socket.
  var isPlantAsleep: Bool {
    eff_fence()
    return eff_word_load(plant + Ring.asleep) != 0
  }

  /// Asks the plant to wake the bridge by its socket, or not to. False where a frame came before the plant could know.
  func sleep(_ asleep: Bool) -> Bool {
    eff_word_store(library + Ring.asleep, asleep ? 1 : 0)
    guard asleep else { return true }
    eff_fence()
    return !hasRequest
  }
}
#endif
