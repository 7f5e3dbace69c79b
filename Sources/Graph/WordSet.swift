/// A word of at most 16 letters as two numbers, to be compared with others without hashing.
struct WordKey: Equatable {
  private let low: UInt64
  private let high: UInt64

  /// Equal to no word.
  static let none = WordKey(low: .max, high: .max)

  private init(low: UInt64, high: UInt64) { (self.low, self.high) = (low, high) }

  /// `none` where it is longer.
  init(_ letters: UnsafeBufferPointer<UInt8>) {
    guard letters.count <= 16 else {
      self = .none
      return
    }
    var (low, high): (UInt64, UInt64) = (0, 0)
    for i in letters.indices {
      let letter = UInt64(letters[i]) << UInt64(8 * (i & 7))
      if i < 8 { low |= letter } else { high |= letter }
    }
    (self.low, self.high) = (low, high)
  }

  @inline(never)
  init(_ word: String) {
    var word = word
    self = word.withUTF8 { WordKey($0) }
  }

  init(_ word: StaticString) { self.init(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)) }

  /// Of one letter.
  var isLetter: Bool { low < 256 }

  /// A bit of 64 that few words share.
  var bit: UInt64 { 1 << (((low ^ (high &* 7)) &* 0x9E37_79B9_7F4A_7C15) >> 58) }
}

/// A few known words. Most words that are asked for are none of them, which one bit tells.
struct WordSet: ExpressibleByArrayLiteral {
  private var keys: [WordKey] = []
  private var bits: UInt64 = 0

  init(arrayLiteral words: StaticString...) {
    for word in words {
      let key = WordKey(word)
      keys.append(key)
      bits |= key.bit
    }
  }

  @inline(never)
  func contains(_ key: WordKey) -> Bool {
    if bits & key.bit == 0 { return false }
    for k in keys where k == key { return true }
    return false
  }

  func contains(_ word: String) -> Bool { contains(WordKey(word)) }
}
