import Base
import Kernels
import Onnx

/// A part of a tensor along one axis whose length is known only while running: x[:t] or x[t:].
struct Fragment {
  var source: Int
  var axis: Int
  /// Where it begins and ends; nil: at the first, behind the last element.
  var start: Affine?
  var end: Affine?
  /// The running bound itself, one integer.
  var bound: Int
}

// slices and ranges whose place is computed while running, and whose length is known at load
extension Builder {
  mutating func buildWindow(_ n: Node) throws(Failure) -> [Int]? {
    if n.operator == .concat { return try joinFragments(n).map { [$0] } }
    if !fragments.isEmpty && n.inputs.contains(where: { fragments[$0] != nil }) {
      throw n.fail(
        .unsupported,
        """
        reads a part of a tensor whose length is computed while running; shapes must be known at load: slice a fixed \
        number of elements (start, start + n), or bind the input that it depends on to a constant
        """
      ).dynamic
    }
    if n.operator == .slice { return try slideWindow(n).map { [$0] } }
    if n.operator == .range { return try slideRange(n).map { [$0] } }
    return nil
  }

  /// Slice with a start that is computed while running. A window that begins before the first element begins at the
  /// first; places behind the last element give the last.
  private mutating func slideWindow(_ n: Node) throws(Failure) -> Int? {
    guard n.opset >= 10, let x = n.optional(0), let starts = n.optional(1), let ends = n.optional(2), lists[x] == nil
    else { return nil }
    if isConstant(starts) && isConstant(ends) { return nil }
    guard shape(starts).count == 1, shape(ends) == shape(starts), n.optional(3).map({ isConstant($0) }) ?? true,
      n.optional(4).map({ isConstant($0) }) ?? true
    else { return nil }
    let k = count(starts)
    let axes = try n.optional(3).map { v throws(Failure) in try integers(v, n, "axes") } ?? Array(0..<k)
    let steps =
      try n.optional(4).map { v throws(Failure) in try integers(v, n, "steps") } ?? [Int](repeating: 1, count: k)
    guard axes.count == k, steps.count == k else {
      throw n.fail(.shape, "starts, ends, axes and steps have different lengths")
    }
    var y = x
    for i in 0..<k {
      let d = try axis(axes[i], rank: shape(x).count, n)
      guard d < shape(x).count else { throw n.fail(.shape, "cannot slice a scalar") }
      let size = shape(x)[d]
      let (start, end) = (affine(starts, i), limited(affine(ends, i), size))
      if start.terms.isEmpty && end.terms.isEmpty {
        y = try fixedSlice(y, d, start.constant, end.constant, steps[i], n)
        continue
      }
      let length = end.adding(start, times: -1)
      guard steps[i] >= 1, let length, length.terms.isEmpty else {
        if k == 1, steps[i] == 1, let piece = try fragment(x, d, starts, ends, start, end) { return piece }
        throw n.fail(
          .unsupported,
          """
          slices axis \(d) of \(describe(shape(x))) from '\(graph.values[starts].name)' to \
          '\(graph.values[ends].name)', whose distance is computed while running; shapes must be known at load: slice \
          a fixed number of elements (end = start + n, step > 0), or bind the inputs that both depend on to constants
          """
        ).dynamic
      }
      let n0 = max(0, (length.constant + steps[i] - 1) / steps[i])
      guard (n0 - 1) * steps[i] < size else {
        throw n.fail(
          .unsupported,
          "slices \(length.constant) elements of axis \(d) of \(describe(shape(x))); expected at most \(size)")
      }
      let first = try cast(try slice(starts, axis: 0, start: i, count: 1, label: n.label), to: .i64)
      y = try gather(y, try places(first, n0, steps[i], size, n), axis: d, n)
    }
    return y == x ? try view(x, shape(x)) : y
  }

  /// start, start + step, ... within [0, size), where a negative start counts from the end.
  private mutating func places(_ start: Int, _ length: Int, _ step: Int, _ size: Int, _ n: Node) throws(Failure) -> Int
  {
    var first = start
    let bounds = range(start)
    if bounds.low < 0 {
      let isBehind = try binary(Int(EFF_FN2_LESS), first, try integers([0], [1]), label: n.label)
      let wrapped = try binary(Int(EFF_FN2_ADD), first, try integers([size], [1]), label: n.label)
      first = try binary(
        Int(EFF_FN2_MAX), try select(isBehind, wrapped, first, label: n.label), try integers([0], [1]), label: n.label)
    }
    if length > 1 {
      first = try binary(
        Int(EFF_FN2_ADD), first, try integers((0..<length).map { $0 * step }, [length]), label: n.label)
    }
    if length == 0 { return try integers([], [0]) }
    if bounds.high + Double((length - 1) * step) > Double(size - 1) || bounds.low < 0 {
      first = try binary(Int(EFF_FN2_MIN), first, try integers([size - 1], [1]), label: n.label)
    }
    return first
  }

  private mutating func fixedSlice(_ x: Int, _ d: Int, _ from: Int, _ to: Int, _ step: Int, _ n: Node) throws(Failure)
    -> Int
  {
    let size = shape(x)[d]
    guard step > 0 else {
      throw n.fail(
        .unsupported,
        "slices axis \(d) backward beside an axis whose start is computed while running; use two Slice nodes")
    }
    let start = max(0, min(size, wrap(from, size)))
    let end = max(0, min(size, wrap(to, size)))
    let length = max(0, (end - start + step - 1) / step)
    return try slice(x, axis: d, start: start, count: length, step: step, label: n.label)
  }

  /// An end without an outer Min with what Slice limits it to anyway.
  private func limited(_ end: Affine, _ size: Int) -> Affine {
    var end = end
    for _ in 0..<4 {
      guard end.constant == 0, end.terms.count == 1, end.terms[0].factor == 1 else { return end }
      let t = end.terms[0]
      guard graph.values.indices.contains(t.root), let op = writer(t.root), case .binary(let p) = op.params,
        p.fn == EFF_FN2_MIN
      else { return end }
      let (a, b) = (op[.a], op[.b])
      func isWide(_ v: Int) -> Bool { constant(v) != nil && count(v) == 1 && affine(v, 0).constant >= size }
      if isWide(b), count(a) > t.element {
        end = affine(a, t.element)
      } else if isWide(a), count(b) > t.element {
        end = affine(b, t.element)
      } else {
        return end
      }
    }
    return end
  }

  /// Range with a start that is computed while running and a length that is known.
  private mutating func slideRange(_ n: Node) throws(Failure) -> Int? {
    guard let start = n.optional(0), let limit = n.optional(1), let delta = n.optional(2),
      !(isConstant(start) && isConstant(limit)), isConstant(delta)
    else { return nil }
    guard type(start) == .i64 || type(start) == .i32, type(start) == type(limit), count(start) == 1, count(limit) == 1
    else { return nil }
    let step = affine(delta, 0).constant
    guard step != 0, let length = affine(limit, 0).adding(affine(start, 0), times: -1), length.terms.isEmpty else {
      throw n.fail(
        .unsupported,
        """
        its length (from '\(graph.values[start].name)' to '\(graph.values[limit].name)') is computed while running; \
        shapes must be known at load: let it end at its start plus a constant, or bind the inputs that both depend on \
        to constants
        """
      ).dynamic
    }
    let size = max(0, step > 0 ? (length.constant + step - 1) / step : (-length.constant - step - 1) / -step)
    let steps = try cast(try integers((0..<size).map { $0 * step }, [size]), to: type(start))
    return try binary(Int(EFF_FN2_ADD), try view(start, [1]), steps, label: n.label)
  }

  // MARK: x[:t], u, x[t + n:] joined

  private mutating func fragment(_ x: Int, _ axis: Int, _ starts: Int, _ ends: Int, _ start: Affine, _ end: Affine)
    throws(Failure) -> Int?
  {
    let size = shape(x)[axis]
    guard type(starts) == .i64 || type(starts) == .i32 else { return nil }
    var piece: Fragment
    if start == Affine(), !end.terms.isEmpty {
      piece = Fragment(source: x, axis: axis, start: nil, end: end, bound: ends)
    } else if end.terms.isEmpty, end.constant >= size, !start.terms.isEmpty {
      piece = Fragment(source: x, axis: axis, start: start, end: nil, bound: starts)
    } else {
      return nil
    }
    piece.bound = try cast(try view(piece.bound, [1]), to: .i64)
    graph.values.append(Value(name: "", type: type(x), shape: shape(x), root: graph.values.count))
    fragments[graph.values.count - 1] = piece
    return graph.values.count - 1
  }

  /// x[:t] ++ u ++ x[t + n:], where u has n entries: x with u written at t. A place before the first or too near the
  /// last element is moved inside.
  private mutating func joinFragments(_ n: Node) throws(Failure) -> Int? {
    guard n.inputs.contains(where: { fragments[$0] != nil }) else { return nil }
    let failure = n.fail(
      .unsupported,
      """
      joins parts of tensors whose lengths are computed while running and do not add up to the whole; expected x[:t], \
      then n entries, then x[t + n:]
      """
    ).dynamic
    guard n.inputs.count >= 2, let head = fragments[n.inputs[0]], let tail = fragments[n.inputs[n.inputs.count - 1]]
    else { throw failure }
    let parts = Array(n.inputs[1..<(n.inputs.count - 1)])
    guard let from = head.end, let to = tail.start, head.source == tail.source || isSameMask(head.source, tail.source),
      head.axis == tail.axis
    else { throw failure }
    let x = head.source
    let a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
    guard a == head.axis else { throw failure }
    var length = 0
    for v in parts {
      guard fragments[v] == nil, lists[v] == nil, shape(v).count == shape(x).count, type(v) == type(x) else {
        throw failure
      }
      var s = shape(v)
      length += s[a]
      s[a] = shape(x)[a]
      guard s == shape(x) else {
        throw n.fail(.shape, "inputs \(describe(shape(x))) and \(describe(shape(v))) differ outside axis \(a)")
      }
    }
    guard let gap = to.adding(from, times: -1), gap == Affine(constant: length), length <= shape(x)[a] else {
      throw failure
    }
    if length == 0 { return try view(x, shape(x)) }
    let u = parts.count == 1 ? parts[0] : try concat(parts, axis: a, label: n.label)
    let size = shape(x)[a]
    var at = head.bound
    let isBehind = try binary(Int(EFF_FN2_LESS), at, try integers([0], [1]), label: n.label)
    at = try select(
      isBehind, try binary(Int(EFF_FN2_ADD), at, try integers([size], [1]), label: n.label), at, label: n.label)
    at = try binary(
      Int(EFF_FN2_MIN), try binary(Int(EFF_FN2_MAX), at, try integers([0], [1]), label: n.label),
      try integers([size - length], [1]), label: n.label)
    let places = try binary(Int(EFF_FN2_SUB), try positions(size, [size]), at, label: n.label)
    let isInside = try binary(
      Int(EFF_FN2_AND), try binary(Int(EFF_FN2_GREATER_EQUAL), places, try integers([0], [1]), label: n.label),
      try binary(Int(EFF_FN2_LESS), places, try integers([length], [1]), label: n.label), label: n.label)
    let limited = try binary(
      Int(EFF_FN2_MIN), try binary(Int(EFF_FN2_MAX), places, try integers([0], [1]), label: n.label),
      try integers([length - 1], [1]), label: n.label)
    var form = [Int](repeating: 1, count: shape(x).count)
    form[a] = size
    return try select(try view(isInside, form), try gather(u, limited, axis: a, n), x, label: n.label)
  }
}
