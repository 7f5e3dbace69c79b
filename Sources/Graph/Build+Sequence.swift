import Base
import Kernels
import Onnx

// sequences of tensors whose length is known at load: lists of values, which no kernel sees
extension Builder {
  mutating func buildSequence(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .sequenceEmpty:
      n.pass("dtype")
      return [try newSequence([])]
    case .sequenceConstruct:
      var items: [Int] = []
      for i in 0..<n.inputs.count { items.append(try n.input(i)) }
      return [try newSequence(items)]
    case .sequenceLength: return [try integers([try sequence(n).count], [])]
    case .sequenceAt:
      let items = try sequence(n)
      let x = items[try position(n, 1, items.count, isEndAllowed: false)]
      return [try view(x, shape(x))]
    case .sequenceInsert:
      var items = try sequence(n)
      items.insert(
        try n.input(1), at: n.optional(2) == nil ? items.count : try position(n, 2, items.count, isEndAllowed: true))
      return [try newSequence(items)]
    case .sequenceErase:
      var items = try sequence(n)
      guard !items.isEmpty else { throw n.fail(.shape, "erases from an empty sequence") }
      items.remove(at: n.optional(1) == nil ? items.count - 1 : try position(n, 1, items.count, isEndAllowed: false))
      return [try newSequence(items)]
    case .splitToSequence: return [try newSequence(try buildSplitToSequence(n))]
    case .concatFromSequence: return [try buildConcatFromSequence(n)]
    case .identity:
      guard let items = sequences[try n.input(0)] else { return nil }
      return [try newSequence(items)]
    default: return nil
    }
  }

  /// A value that stands for a list; as a tensor it is empty.
  mutating func newSequence(_ items: [Int]) throws(Failure) -> Int {
    try account(items: items.count)
    graph.values.append(Value(name: "", type: .u8, shape: [0], root: graph.values.count))
    sequences[graph.values.count - 1] = items
    return graph.values.count - 1
  }

  private func sequence(_ n: Node) throws(Failure) -> [Int] {
    let v = try n.input(0)
    guard let items = sequences[v] else { throw n.fail(.shape, "input 0 is a tensor, expected a sequence") }
    return items
  }

  private func position(_ n: Node, _ input: Int, _ count: Int, isEndAllowed: Bool) throws(Failure) -> Int {
    guard let given = try integers(try n.input(input), n, "position").first else {
      throw n.fail(.shape, "has an empty position")
    }
    let at = wrap(given, count)
    guard at >= 0, at < (isEndAllowed ? count + 1 : count) else {
      throw n.fail(.shape, "position \(given) is outside a sequence of \(count)")
    }
    return at
  }

  private mutating func buildSplitToSequence(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let s = shape(x)
    let a = try axis(try n.int("axis", 0), rank: s.count, n)
    guard a < s.count else { throw n.fail(.shape, "cannot split a scalar") }
    var sizes: [Int] = []
    var keepsAxis = try n.bool("keepdims", true)
    if let v = n.optional(1) {
      keepsAxis = true  // ONNX: keepdims is for parts of one
      sizes = try integers(v, n, "split")
      if shape(v).isEmpty {
        guard let size = sizes.first, size > 0 else { throw n.fail(.shape, "splits into parts of \(sizes.first ?? 0)") }
        sizes = stride(from: 0, to: s[a], by: size).map { min(size, s[a] - $0) }
      }
    } else {
      sizes = [Int](repeating: 1, count: s[a])
    }
    var items: [Int] = []
    var at = 0
    for size in sizes {
      guard size >= 0, at + size <= s[a] else {
        throw n.fail(.shape, "split \(describe(sizes)) does not fit axis \(a) of \(describe(s))")
      }
      let part = try slice(x, axis: a, start: at, count: size, label: n.label)
      items.append(keepsAxis ? part : try view(part, Array(s[..<a] + s[(a + 1)...])))
      at += size
    }
    guard at == s[a] else { throw n.fail(.shape, "split \(describe(sizes)) does not add up to \(s[a])") }
    return items
  }

  private mutating func buildConcatFromSequence(_ n: Node) throws(Failure) -> Int {
    let items = try sequence(n)
    guard let first = items.first else { throw n.fail(.shape, "joins an empty sequence") }
    if try n.bool("new_axis", false) {
      return try stack(items, axis: try axis(try n.int("axis", 0), rank: shape(first).count + 1, n), n)
    }
    let a = try axis(try n.int("axis", 0), rank: shape(first).count, n)
    for v in items {
      var s = shape(v)
      guard s.count == shape(first).count, a < s.count, type(v) == type(first) else {
        throw n.fail(.shape, "joins \(describe(s)) and \(describe(shape(first)))")
      }
      s[a] = shape(first)[a]
      guard s == shape(first) else {
        throw n.fail(.shape, "joins \(describe(shape(v))) and \(describe(shape(first))) along axis \(a)")
      }
    }
    let y = try concat(items, axis: a, label: n.label)
    return y == first ? try view(y, shape(y)) : y
  }
}
