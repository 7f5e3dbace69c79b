/// A word of the card's vocabulary. The raw value is the place of the word in `words`.
public protocol CardWord: RawRepresentable, Equatable, Sendable where RawValue == UInt8 {
  /// The words in the order of the cases, with one blank between them.
  static var words: StaticString { get }
  /// What messages call the kind of word, such as "op".
  static var noun: StaticString { get }
}

extension CardWord {
  /// The word as the card writes it.
  public var text: String { splitWords(Self.words)[Int(rawValue)] }

  /// The case of a word, nil where the vocabulary has none.
  public init?(_ word: String) {
    for (i, w) in splitWords(Self.words).enumerated() where w == word {
      self.init(rawValue: UInt8(i))
      return
    }
    return nil
  }
}

/// The words of a text with one blank between them.
func splitWords(_ text: StaticString) -> [String] {
  var out: [String] = []
  var word: [UInt8] = []
  for i in 0..<text.utf8CodeUnitCount {
    let byte = text.utf8Start[i]
    if byte != UInt8(ascii: " ") { word.append(byte) }
    if byte == UInt8(ascii: " ") || i == text.utf8CodeUnitCount - 1 {
      out.append(String(decoding: word, as: UTF8.self))
      word.removeAll(keepingCapacity: true)
    }
  }
  return out
}
