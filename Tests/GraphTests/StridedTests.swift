import Testing

@testable import Graph

@Suite struct StridedTests {
  /// All offsets that an iteration visits, in order.
  private func visit(_ dims: [Int], _ strides: [Int]) -> [Int] {
    var out = [0]
    for (d, s) in zip(dims, strides) { out = out.flatMap { at in (0..<d).map { at + $0 * s } } }
    return out
  }

  @Test func broadcastingFollowsNumpy() {
    #expect(broadcast([2, 1, 3], [4, 1]) == [2, 4, 3])
    #expect(broadcast([], [5]) == [5])
    #expect(broadcast([0], [1]) == [0])
    #expect(broadcast([2], [3]) == nil)
    #expect(broadcast([0], [2]) == nil)
  }

  @Test func broadcastStridesRepeatWhatHasSizeOne() {
    #expect(broadcastStrides([3, 1], to: [2, 3, 4]) == [0, 1, 0])
    #expect(broadcastStrides([2, 3, 4], to: [2, 3, 4]) == [12, 4, 1])
    #expect(broadcastStrides([], to: [2, 2]) == [0, 0])
  }

  @Test func anIterationVisitsTheSameElementsInTheSameOrderWithFewerDimensions() {
    var seed: UInt64 = 1
    func random(_ n: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1
      return Int(seed >> 33) % n
    }
    for _ in 0..<2000 {
      let rank = random(6)
      let dims = (0..<rank).map { _ in random(4) }
      let dense = denseStrides(dims)
      let strides = [dense, dense.map { random(3) == 0 ? 0 : $0 }, dense.map { $0 * 2 }]
      let it = Iteration(dims, strides)
      #expect(it.dims.count <= max(rank, 1))
      for k in 0..<3 { #expect(visit(it.dims, it.strides[k]) == visit(dims, strides[k]), "\(dims) \(strides[k])") }
    }
    #expect(Iteration([2, 3, 4], [[12, 4, 1]]).dims == [24])
  }
}
