import Testing

@testable import Runtime

/// splitmix64: the same numbers in every run, so that a failure comes again.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var x = state
    x = (x ^ x >> 30) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ x >> 27) &* 0x94D0_49BB_1331_11EB
    return x ^ x >> 31
  }
}

@Suite struct ArenaLayoutTests {
  @Test func buffersThatLiveAtTheSameTimeNeverOverlap() {
    var generator = SeededGenerator(state: 1)
    for _ in 0..<200 {
      var layout = ArenaLayout()
      var live: [(offset: Int, size: Int)] = []
      for _ in 0..<500 {
        if live.isEmpty || Int.random(in: 0..<5, using: &generator) < 3 {
          let size = Int.random(in: 0...2000, using: &generator)
          let offset = Int.random(in: 0..<10, using: &generator) == 0 ? layout.reserve(size) : layout.take(size)
          #expect(offset % 64 == 0 && offset >= 0 && offset + size <= layout.size)
          for b in live { #expect(offset + max(size, 1) <= b.offset || b.offset + max(b.size, 1) <= offset) }
          live.append((offset, size))
        } else {
          let b = live.remove(at: Int.random(in: 0..<live.count, using: &generator))
          layout.give(b.offset, b.size)
        }
      }
    }
  }

  @Test func memoryThatWasGivenBackIsUsedAgain() {
    var layout = ArenaLayout()
    let blocks = (0..<100).map { _ in layout.take(1000) }
    let size = layout.size
    for b in blocks { layout.give(b, 1000) }
    #expect(layout.take(100 * 1024) == 0)
    #expect(layout.size == size)
  }

  @Test func aHundredThousandBuffersAreLaidOutInLinearTime() {
    var layout = ArenaLayout()
    let took = ContinuousClock().measure {
      let blocks = (0..<100_000).map { layout.take(64 + $0 % 977) }
      for i in stride(from: 0, to: blocks.count, by: 2) { layout.give(blocks[i], 64 + i % 977) }
      for i in 0..<50_000 { _ = layout.take(64 + i % 977) }
    }
    #expect(took < .seconds(30))
  }
}
