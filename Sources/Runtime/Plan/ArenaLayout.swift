/// Assigns arena offsets to buffers that live from one op to another. Offsets are multiples of 64.
/// - Complexity: O(buffers * free blocks), with at most `maximumBlocks` free blocks kept.
struct ArenaLayout {
  private(set) var size = 0
  /// Most bytes that were taken at the same time.
  private(set) var peak = 0
  private var live = 0
  private var free: [(offset: Int, size: Int)] = []
  private static let maximumBlocks = 128

  /// Bytes that something of `bytes` takes: no two begin at one place.
  static func room(_ bytes: Int) -> Int { (max(bytes, 1) + 63) / 64 * 64 }

  /// Memory that is never given back.
  mutating func reserve(_ bytes: Int) -> Int {
    let offset = size
    size += ArenaLayout.room(bytes)
    return offset
  }

  /// The smallest free block that fits, or new memory.
  mutating func take(_ bytes: Int) -> Int {
    let want = ArenaLayout.room(bytes)
    live += want
    peak = max(peak, live)
    var best = -1
    for (i, b) in free.enumerated() where b.size >= want && (best < 0 || b.size < free[best].size) { best = i }
    guard best >= 0 else { return reserve(bytes) }
    let offset = free[best].offset
    if free[best].size == want {
      free.remove(at: best)
    } else {
      free[best] = (offset + want, free[best].size - want)
    }
    return offset
  }

  /// Gives a block back, joined with free neighbours.
  mutating func give(_ offset: Int, _ bytes: Int) {
    live -= ArenaLayout.room(bytes)
    var start = offset
    var end = offset + ArenaLayout.room(bytes)
    var i = 0
    while i < free.count {
      let b = free[i]
      if b.offset + b.size == start {
        start = b.offset
        free.remove(at: i)
      } else if b.offset == end {
        end = b.offset + b.size
        free.remove(at: i)
      } else {
        i += 1
      }
    }
    free.append((start, end - start))
    if free.count > Self.maximumBlocks {
      var smallest = 0
      for (i, b) in free.enumerated() where b.size < free[smallest].size { smallest = i }
      free.remove(at: smallest)
    }
  }
}
