/// XXH64 (Yann Collet, xxHash, seed 0) of the pieces that were added, laid end to end: what `xxhsum -H64` prints. -
/// Complexity: O(bytes).
public struct XxHash64 {
  private var a, b, c, d: UInt64
  /// Bytes that wait for a stripe of 32 to be full, little-endian.
  private var w0: UInt64 = 0
  private var w1: UInt64 = 0
  private var w2: UInt64 = 0
  private var w3: UInt64 = 0
  private var waiting = 0
  private var total: UInt64 = 0

  private static var p1: UInt64 { @_noLocks get { 0x9E37_79B1_85EB_CA87 } }
  private static var p2: UInt64 { @_noLocks get { 0xC2B2_AE3D_27D4_EB4F } }
  private static var p3: UInt64 { @_noLocks get { 0x1656_67B1_9E37_79F9 } }
  private static var p4: UInt64 { @_noLocks get { 0x85EB_CA77_C2B2_AE63 } }
  private static var p5: UInt64 { @_noLocks get { 0x27D4_EB2F_1656_67C5 } }

  @_noLocks public init() {
    a = XxHash64.p1 &+ XxHash64.p2
    b = XxHash64.p2
    c = 0
    d = 0 &- XxHash64.p1
  }

  /// The hash of one piece.
  @_noLocks public static func of(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var hash = XxHash64()
    hash.add(start, count)
    return hash.value
  }

  @_noLocks public mutating func add(_ start: UnsafeRawPointer, _ count: Int) {
    var p = start
    let end = start + count
    while p < end && waiting != 0 {
      push(p.load(as: UInt8.self))
      p += 1
    }
    total &+= UInt64(p - start)
    let stripes = (end - p) / 32
    var i = 0
    while i < stripes {
      stripe(word(p), word(p + 8), word(p + 16), word(p + 24))
      p += 32
      i += 1
    }
    total &+= UInt64(32 &* stripes)
    while p < end {
      push(p.load(as: UInt8.self))
      total &+= 1
      p += 1
    }
  }

  /// Adds the 8 bytes of a number, lowest first.
  @_noLocks public mutating func add(_ number: UInt64) {
    var x = number
    var i = 0
    while i < 8 {
      push(UInt8(truncatingIfNeeded: x))
      x >>= 8
      i += 1
    }
    total &+= 8
  }

  /// Adds a text and its length, so that texts in a row are told from each other.
  public mutating func add(_ text: String) {
    add(UInt64(text.utf8.count))
    for byte in text.utf8 { push(byte) }
    total &+= UInt64(text.utf8.count)
  }

  @_noLocks @inline(__always)
  private func word(_ p: UnsafeRawPointer) -> UInt64 { UInt64(littleEndian: p.loadUnaligned(as: UInt64.self)) }

  @_noLocks private mutating func push(_ byte: UInt8) {
    let x = UInt64(byte) << UInt64((waiting & 7) * 8)
    switch waiting >> 3 {
    case 0: w0 |= x
    case 1: w1 |= x
    case 2: w2 |= x
    default: w3 |= x
    }
    waiting += 1
    if waiting < 32 { return }
    stripe(w0, w1, w2, w3)
    (w0, w1, w2, w3, waiting) = (0, 0, 0, 0, 0)
  }

  @_noLocks @inline(__always)
  private func rotated(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }

  @_noLocks @inline(__always)
  private func round(_ lane: UInt64, _ x: UInt64) -> UInt64 { rotated(lane &+ x &* XxHash64.p2, 31) &* XxHash64.p1 }

  @_noLocks @inline(__always)
  private mutating func stripe(_ x0: UInt64, _ x1: UInt64, _ x2: UInt64, _ x3: UInt64) {
    a = round(a, x0)
    b = round(b, x1)
    c = round(c, x2)
    d = round(d, x3)
  }

  public var value: UInt64 {
    @_noLocks get {
      var h = XxHash64.p5
      if total >= 32 {
        h = rotated(a, 1) &+ rotated(b, 7) &+ rotated(c, 12) &+ rotated(d, 18)
        h = merged(merged(merged(merged(h, a), b), c), d)
      }
      h = h &+ total
      var i = 0
      while i + 8 <= waiting {
        h = rotated(h ^ round(0, waitingWord(i >> 3)), 27) &* XxHash64.p1 &+ XxHash64.p4
        i += 8
      }
      let rest = waitingWord(i >> 3)
      if i + 4 <= waiting {
        h = rotated(h ^ (rest & 0xFFFF_FFFF) &* XxHash64.p1, 23) &* XxHash64.p2 &+ XxHash64.p3
        i += 4
      }
      while i < waiting {
        let byte = rest >> UInt64((i & 7) * 8) & 0xFF
        h = rotated(h ^ byte &* XxHash64.p5, 11) &* XxHash64.p1
        i += 1
      }
      h = (h ^ h >> 33) &* XxHash64.p2
      h = (h ^ h >> 29) &* XxHash64.p3
      return h ^ h >> 32
    }
  }

  @_noLocks private func merged(_ h: UInt64, _ lane: UInt64) -> UInt64 {
    (h ^ round(0, lane)) &* XxHash64.p1 &+ XxHash64.p4
  }

  @_noLocks private func waitingWord(_ i: Int) -> UInt64 {
    switch i {
    case 0: w0
    case 1: w1
    case 2: w2
    default: w3
    }
  }
}
