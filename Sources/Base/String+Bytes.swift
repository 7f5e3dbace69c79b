import Platform

// Names are bytes. What the standard library has for this goes by characters, and takes the tables of Unicode along.
extension String {
  /// Whether the bytes of `part` stand at `offset`.
  private func has(_ part: String, at offset: Int) -> Bool {
    var (text, part) = (self, part)
    return text.withUTF8 { text in
      part.withUTF8 { part in
        guard offset >= 0, offset <= text.count - part.count else { return false }
        guard let a = text.baseAddress, let b = part.baseAddress else { return true }
        return memcmp(a + offset, b, part.count) == 0
      }
    }
  }

  @inline(never)
  public func begins(with start: String) -> Bool { has(start, at: 0) }

  @inline(never)
  public func ends(with end: String) -> Bool { has(end, at: utf8.count - end.utf8.count) }

  /// Without so many bytes in front and at the end; empty where it has no more.
  @inline(never)
  public func without(first: Int, last: Int = 0) -> String {
    var text = self
    return text.withUTF8 { text in
      guard first + last < text.count else { return "" }
      return String(decoding: UnsafeBufferPointer(rebasing: text[first..<text.count - last]), as: UTF8.self)
    }
  }
}
