import Base
import Testing

@testable import Graph

@Suite struct NameMapTests {
  /// Names of every length, many of which begin alike.
  private let names = (0..<4000).map { i in String(repeating: "ab/", count: i % 11) + "\(i)" } + ["", "é", "a", "aa"]

  @Test func everyNameHasTheNumberThatItGotLast() {
    var map = NameMap()
    for (i, name) in names.enumerated() {
      let isNew = map.set(name, i)
      #expect(isNew)
    }
    #expect(map.names == names)
    for (i, name) in names.enumerated() { #expect(map[name] == i) }
    for (i, name) in names.enumerated() where i % 3 == 0 {
      let isNew = map.set(name, -i)
      #expect(!isNew)
    }
    for (i, name) in names.enumerated() { #expect(map[name] == (i % 3 == 0 ? -i : i)) }
    #expect(map.names.count == names.count)
  }

  @Test func aNameThatGotNoneHasNone() {
    var map = NameMap()
    #expect(map[""] == nil && !map.contains("x"))
    map.reserve(1000)
    for name in names where name.utf8.count % 2 == 0 { map.set(name, 1) }
    for name in names { #expect(map.contains(name) == (name.utf8.count % 2 == 0), "\(name)") }
    for name in ["ab/ab", "4000", "0\0", "e\u{301}"] { #expect(map[name] == nil) }
  }

  @Test func aSetOfWordsHasItsWordsAndNoOthers() {
    let words: WordSet = ["h", "c", "hidden", "observation", "orientation", "abcdefghijklmnop", "abcdefgh", "abcdefghi"]
    for word in ["h", "c", "hidden", "observation", "orientation", "abcdefghijklmnop", "abcdefgh", "abcdefghi"] {
      #expect(words.contains(word), "\(word)")
    }
    for word in ["", "x", "hh", "hidde", "observations", "abcdefghijklmnopq", "abcdefg", "abcdefghij"] {
      #expect(!words.contains(word), "\(word)")
    }
    for word in ["h", "k", "past", "z", "state", "hidden"] { #expect(StateWords.all.contains(word), "\(word)") }
  }
}
