/// Where the words of a text begin, found by what they are.
struct NameTable {
  private let text: StaticString
  private let separator: UInt8
  /// Start of each entry.
  private var starts: [UInt32] = []
  /// By hash of the name: entry + 1, or 0.
  private var slots: [UInt16]
  private let mask: Int

  /// Entries end with `separator`; the name of one ends there or with the first space.
  /// - Complexity: linear in the text.
  init(_ text: StaticString, separator: UInt8) {
    (self.text, self.separator) = (text, separator)
    var rest = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    while let start = rest.baseAddress, !rest.isEmpty {
      starts.append(UInt32(start - text.utf8Start))
      _ = cut(&rest, separator)
    }
    var size = 64
    while size < 2 * starts.count { size *= 2 }
    (slots, mask) = ([UInt16](repeating: 0, count: size), size - 1)
    for i in starts.indices {
      var slot = NameTable.hash(name(i)) & mask
      while slots[slot] != 0 { slot = (slot + 1) & mask }
      slots[slot] = UInt16(i + 1)
    }
  }

  /// The entry with this name, or -1.
  @inline(never)
  func position(of name: UnsafeBufferPointer<UInt8>) -> Int {
    var slot = NameTable.hash(name) & mask
    while slots[slot] != 0 {
      let i = Int(slots[slot]) - 1
      if isSame(self.name(i), name) { return i }
      slot = (slot + 1) & mask
    }
    return -1
  }

  /// Entry `i` from its name on.
  func entry(_ i: Int) -> UnsafeBufferPointer<UInt8> {
    let start = Int(starts[i])
    var end = text.utf8CodeUnitCount
    if i + 1 < starts.count { end = Int(starts[i + 1]) - 1 } else if text.utf8Start[end - 1] == separator { end -= 1 }
    return UnsafeBufferPointer(start: text.utf8Start + start, count: end - start)
  }

  private func name(_ i: Int) -> UnsafeBufferPointer<UInt8> {
    var rest = entry(i)
    return cut(&rest, UInt8(ascii: " "))
  }

  /// FNV-1a.
  private static func hash(_ name: UnsafeBufferPointer<UInt8>) -> Int {
    var h: UInt32 = 0x811C_9DC5
    for b in name { h = (h ^ UInt32(b)) &* 0x0100_0193 }
    return Int(h ^ h >> 15)
  }
}
