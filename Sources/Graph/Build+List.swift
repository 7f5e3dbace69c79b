import Base
import Kernels
import Onnx

/// A tensor with one entry, along one axis, for each true element of a mask that is computed while running: what
/// x[mask] and mask.nonzero() give. Its length is not known at load, so it is kept as a tensor with an entry for every
/// element of the mask, of which those count where the mask is true, in order. Operators that treat entries alike run
/// on all of them; sums leave out the others; and what is written back through the same mask is a choice between two
/// tensors (Where).
struct MaskedList {
  /// Value with as many entries along `axis` as the mask has elements.
  var full: Int
  /// Bools.
  var mask: Int
  var axis: Int
}

// x[mask], x[mask] = c, mask.nonzero() and what is computed in between
extension Builder {
  /// Nodes that make lists, and those that read one; nil for all others.
  mutating func buildList(_ n: Node) throws(Failure) -> [Int]? {
    if let out = try buildListSource(n) { return [out] }
    guard !lists.isEmpty, let k = n.inputs.firstIndex(where: { lists[$0] != nil }), let first = lists[n.inputs[k]]
    else { return nil }
    for v in n.inputs {
      guard let other = lists[v], !isSameMask(other.mask, first.mask) else { continue }
      throw n.fail(
        .unsupported,
        """
        reads lists of two masks ('\(graph.values[first.mask].name)' and '\(graph.values[other.mask].name)'), whose \
        lengths are computed while running; export torch.where(mask, a, b) instead, or bind the input that it depends \
        on to a constant
        """
      ).dynamic
    }
    if let out = try buildOnList(n) { return out }
    throw n.fail(
      .unsupported,
      """
      input \(k) ('\(graph.values[n.inputs[k]].name)') has one entry for each true element of \
      '\(graph.values[first.mask].name)', and how many there are is computed while running; shapes must be known at \
      load: export torch.where(mask, a, b) instead, or bind the input that it depends on to a constant
      """
    ).dynamic
  }

  /// Refuses a list where a tensor must have a shape.
  func requireTensor(_ v: Int, _ what: String) throws(Failure) {
    guard v >= 0 else { return }
    if fragments[v] != nil {
      throw Failure(
        .unsupported,
        """
        \(what) is a part of a tensor whose length is computed while running; shapes must be known at load: slice a \
        fixed number of elements (start, start + n), or bind the input that it depends on to a constant
        """
      ).dynamic
    }
    guard let list = lists[v] else { return }
    throw Failure(
      .unsupported,
      """
      \(what) has one entry for each true element of '\(graph.values[list.mask].name)', and how many there are is \
      computed while running; shapes must be known at load: export torch.where(mask, a, b) instead, or bind the input \
      that it depends on to a constant
      """
    ).dynamic
  }

  func isSameMask(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (graph.values[a], graph.values[b])
    return a == b
      || (x.constant == nil && y.constant == nil && x.root == y.root && x.offset == y.offset && x.count == y.count)
  }

  mutating func newList(_ full: Int, _ mask: Int, axis: Int) -> Int {
    let x = graph.values[full]
    graph.values.append(Value(name: "", type: x.type, shape: x.shape, root: graph.values.count))
    lists[graph.values.count - 1] = MaskedList(full: full, mask: mask, axis: axis)
    return graph.values.count - 1
  }

  // MARK: where lists come from

  private mutating func buildListSource(_ n: Node) throws(Failure) -> Int? {
    switch n.operator {
    case .nonZero:
      let x = try n.input(0)
      guard !isConstant(x), lists[x] == nil, !shape(x).isEmpty, count(x) > 0 else { return nil }
      let mask = type(x) == .bool ? try view(x, shape(x)) : try cast(x, to: .bool)
      name(mask, as: x)
      return newList(try coordinates(of: mask), mask, axis: 1)
    case .compress:
      let c = try n.input(1)
      guard !isConstant(c), lists[c] == nil, let x = n.optional(0), lists[x] == nil, type(c) == .bool,
        shape(c).count == 1
      else { return nil }
      var full = x
      var a = 0
      if n.has("axis") {
        a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
      } else {
        full = try view(x, [count(x)])
      }
      guard a < shape(full).count, count(c) <= shape(full)[a] else {
        throw n.fail(.shape, "condition has \(count(c)) entries for axis \(a) of \(describe(shape(full)))")
      }
      return newList(try slice(full, axis: a, start: 0, count: count(c), label: n.label), c, axis: a)
    case .slice:
      // the first entries of x, as many as the mask has true elements: entry k belongs to the k-th of these
      guard n.opset >= 10, let x = n.optional(0), let starts = n.optional(1), let ends = n.optional(2), lists[x] == nil,
        count(starts) == 1, count(ends) == 1
      else { return nil }
      guard isConstant(starts), !isConstant(ends), let mask = counted(ends, 0), try integers(starts, n, "starts") == [0]
      else { return nil }
      if let steps = n.optional(4) {
        guard isConstant(steps), try integers(steps, n, "steps") == [1] else { return nil }
      }
      var a = 0
      if let v = n.optional(3) { a = try axis(try integers(v, n, "axes").first ?? 0, rank: shape(x).count, n) }
      guard a < shape(x).count, shape(x)[a] > 0 else { return nil }
      return newList(try gather(x, try ranks(mask, n), axis: a, n), mask, axis: a)
    case .range:
      guard let start = n.optional(0), let limit = n.optional(1), let delta = n.optional(2), !isConstant(limit),
        let mask = counted(limit, 0)
      else { return nil }
      guard isConstant(start), isConstant(delta), try number(start, n, "start") == 0, try number(delta, n, "delta") == 1
      else { return nil }
      return newList(try cast(try ranks(mask, n), to: type(limit)), mask, axis: 0)
    case .expand:
      guard let x = n.optional(0), let s = n.optional(1), !isConstant(s), let (dims, mask, a) = listShape(s) else {
        return nil
      }
      let list = lists[x]
      if let list {
        guard isSameMask(list.mask, mask), shape(list.full).count - list.axis == dims.count - a else { return nil }
      }
      let full = list?.full ?? x
      let position = shape(full).count - (dims.count - a)
      guard list != nil || position < 0 || shape(full)[position] == 1, let out = broadcast(shape(full), dims) else {
        throw n.fail(.shape, "\(describe(shape(x))) does not broadcast to a list of '\(graph.values[mask].name)'")
      }
      return newList(try expand(full, to: out), mask, axis: out.count - (dims.count - a))
    case .constantOfShape:
      guard let s = n.optional(0), !isConstant(s), let (dims, mask, a) = listShape(s) else { return nil }
      let whole = n.with(inputs: [try integers(dims, [dims.count])])
      guard let full = try buildStandard(whole) else { return nil }
      return newList(full[0], mask, axis: a)
    default: return nil
    }
  }

  private mutating func name(_ v: Int, as x: Int) {
    if graph.values[v].name.utf8.isEmpty { graph.values[v].name = graph.values[x].name }
  }

  /// The constant [rank, elements]: where each element of the mask is.
  private mutating func coordinates(of mask: Int) throws(Failure) -> Int {
    let s = shape(mask)
    let strides = denseStrides(s)
    var out: [Int] = []
    try budget.take(16 * s.count * count(mask), for: "the positions of a mask")
    for d in s.indices { for i in 0..<count(mask) { out.append(i / strides[d] % s[d]) } }
    return try integers(out, [s.count, count(mask)])
  }

  /// How many true elements come before each element of the mask, i64 [elements].
  private mutating func ranks(_ mask: Int, _ n: Node) throws(Failure) -> Int {
    let ones = try cast(try view(mask, [count(mask)]), to: .i64)
    let y = try newValue(.i64, [count(mask)])
    var p = eff_cumulate()
    (p.outer, p.n, p.inner, p.exclusive) = (1, Int64(count(mask)), 1, 1)
    try emit(GraphOp(.cumulate(p), type: .i64, inputs: [ones], outputs: [y], label: n.label))
    return y
  }

  // MARK: how many there are

  /// How many true elements a mask has, i64 []; the same value each time it is asked.
  mutating func length(_ mask: Int, _ n: Node) throws(Failure) -> Int {
    for (v, m) in lengths where isSameMask(m, mask) { return v }
    let ones = try cast(try view(mask, [count(mask)]), to: .i64)
    let y = try reduce(ones, Int(EFF_REDUCE_SUM), axes: [0], keepDims: false, label: n.label)
    lengths[y] = mask
    return y
  }

  /// The mask whose length element `i` of `v` is.
  func counted(_ v: Int, _ i: Int) -> Int? {
    let sum = affine(v, i)
    guard sum.constant == 0, sum.terms.count == 1, sum.terms[0].factor == 1 else { return nil }
    let root = sum.terms[0].root
    for (length, mask) in lengths
    where sum.terms[0].element == 0 && (graph.root(length) == root || twin(graph.root(length)) == root) { return mask }
    return nil
  }

  /// A shape computed while running of which one dimension is the length of a list: with all elements of the mask in
  /// its place.
  func listShape(_ v: Int) -> (dims: [Int], mask: Int, axis: Int)? {
    guard shape(v).count == 1, count(v) <= 8 else { return nil }
    var dims: [Int] = []
    var found: (mask: Int, axis: Int)?
    for i in 0..<count(v) {
      if let mask = counted(v, i) {
        guard found == nil else { return nil }
        found = (mask, i)
        dims.append(count(mask))
      } else {
        let d = affine(v, i)
        guard d.terms.isEmpty else { return nil }
        dims.append(clampIndex(Int64(d.constant)))
      }
    }
    guard let found else { return nil }
    return (dims, found.mask, found.axis)
  }
}
