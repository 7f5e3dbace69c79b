// What the standard library inlines at every use, as calls: building a graph is full of these, and with them this
// module is a tenth smaller. The meaning is the standard library's. Being of this module, they are found before it.

/// Equality as generic code sees it, which is the standard library's own.
@inline(__always)
private func areEqual<T: Equatable>(_ a: T, _ b: T) -> Bool { a == b }

@inline(__always)
private func grow<C: RangeReplaceableCollection>(_ collection: inout C, _ element: C.Element) {
  collection.append(element)
}

extension String {
  @inline(never)
  static func == (a: String, b: String) -> Bool { areEqual(a, b) }

  @inline(never)
  static func != (a: String, b: String) -> Bool { !areEqual(a, b) }
}

/// What `case "text":` asks.
@inline(never)
func ~= (pattern: String, value: String) -> Bool { areEqual(pattern, value) }

extension Array {
  @inline(never)
  mutating func append(_ element: __owned Element) {
    grow(&self, element)
  }

  func map<T, E: Error>(_ transform: (Element) throws(E) -> T) throws(E) -> [T] {
    var result = [T]()
    for element in self { result.append(try transform(element)) }
    return result
  }

  func filter(_ isIncluded: (Element) -> Bool) -> [Element] {
    var result = [Element]()
    for element in self where isIncluded(element) { result.append(element) }
    return result
  }
}

extension Range where Bound == Int {
  func map<T, E: Error>(_ transform: (Int) throws(E) -> T) throws(E) -> [T] {
    var result = [T]()
    for element in self { result.append(try transform(element)) }
    return result
  }
}

extension Array where Element: Equatable {
  @inline(never)
  func contains(_ element: Element) -> Bool {
    for candidate in self where candidate == element { return true }
    return false
  }
}
