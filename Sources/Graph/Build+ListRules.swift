import Base
import Kernels
import Onnx

// operators that read a list of the true elements of a mask
extension Builder {
  /// nil where the operator cannot be run on all entries.
  mutating func buildOnList(_ n: Node) throws(Failure) -> [Int]? {
    guard let at = n.inputs.firstIndex(where: { lists[$0] != nil }), let list = lists[n.inputs[at]] else { return nil }
    let (mask, a) = (list.mask, list.axis)
    let s = shape(list.full)
    switch n.operator {
    case .shape:
      let start = max(0, min(s.count, wrap(try n.int("start", 0), s.count)))
      let end = max(start, min(s.count, wrap(try n.int("end", s.count), s.count)))
      var dims: [Int] = []
      for d in start..<end { dims.append(try view(d == a ? try length(mask, n) : try integers([s[d]], []), [1])) }
      return dims.isEmpty ? [try integers([], [0])] : [try concat(dims, axis: 0, label: n.label)]
    case .size:
      let others = s.indices.filter { $0 != a }.reduce(1) { $0 * s[$1] }
      return [try binary(Int(EFF_FN2_MUL), try length(mask, n), try integers([others], []), label: n.label)]
    case .transpose:
      let perm = try n.ints("perm") ?? Array((0..<s.count).reversed())
      guard let axis = perm.firstIndex(of: a) else { return nil }
      return try plain(n, mask, axis: axis)
    case .unsqueeze:
      guard let new = try axes(n, input: 1) else { return nil }
      let rank = s.count + new.count
      var left = Array(0..<rank)
      for v in new { left.removeAll { $0 == (v < 0 ? v + rank : v) } }
      return a < left.count ? try plain(n, mask, axis: left[a]) : nil
    case .squeeze:
      guard let old = try axes(n, input: 1) else { return nil }
      let gone = old.map { $0 < 0 ? $0 + s.count : $0 }
      return gone.contains(a) ? nil : try plain(n, mask, axis: a - gone.filter { $0 < a }.count)
    case .reshape: return try reshapeList(n, list)
    case .flatten:
      let axis = try n.int("axis", 1)
      return a == 0 && (axis == 1 || axis == 1 - s.count) ? try plain(n, mask, axis: 0) : nil
    case .gather: return try gatherList(n, list)
    case .gatherND:
      guard at == 1, try n.int("batch_dims", 0) == 0, a < s.count - 1, s.count == 2, let x = n.optional(0) else {
        return nil
      }
      let depth = s[1]
      if depth == shape(mask).count, isGrid(list), Array(shape(x).prefix(depth)) == shape(mask) {
        return [newList(try view(x, [count(mask)] + shape(x)[depth...]), mask, axis: 0)]
      }
      return try plain(n, mask, axis: 0)
    case .scatterND: return try scatterList(n)
    case .slice:
      guard at == 0, n.opset >= 10, let starts = n.optional(1), let ends = n.optional(2), isConstant(starts),
        isConstant(ends)
      else { return nil }
      let (from, to) = (try integers(starts, n, "starts"), try integers(ends, n, "ends"))
      let given = try n.optional(3).map { v throws(Failure) in try integers(v, n, "axes") } ?? Array(0..<from.count)
      let steps =
        try n.optional(4).map { v throws(Failure) in try integers(v, n, "steps") }
        ?? [Int](repeating: 1, count: from.count)
      guard given.count == from.count, to.count == from.count, steps.count == from.count else { return nil }
      // of the list itself only the whole
      for (i, v) in given.enumerated() where wrap(v, s.count) == a {
        guard from[i] == 0, to[i] >= Int(Int32.max), steps[i] == 1 else { return nil }
      }
      return try plain(n, mask, axis: a)
    case .split, .softmax, .logSoftmax, .hardmax, .layerNormalization:
      let fallback = n.operator == .split ? 0 : n.opset < 13 && n.operator != .layerNormalization ? 1 : -1
      let axis = wrap(try n.int("axis", fallback), s.count)
      let isApart = n.operator == .split || (n.opset >= 13 && n.operator != .layerNormalization) ? axis != a : axis > a
      return at == 0 && isApart && n.inputs.dropFirst().allSatisfy({ lists[$0] == nil })
        ? try plain(n, mask, axis: a) : nil
    case .concat:
      let axis = wrap(try n.int("axis", 0), s.count)
      guard axis != a,
        n.inputs.allSatisfy({ v in lists[v].map { $0.axis == a && shape($0.full).count == s.count } ?? false })
      else { return nil }
      return try plain(n, mask, axis: a)
    case .matMul, .gemm:
      guard at == 0, a == 0 || (n.operator == .matMul && a < s.count - 1), s.count >= 2,
        n.inputs.dropFirst().allSatisfy({ lists[$0] == nil })
      else { return nil }
      if n.operator == .gemm {
        guard try n.int("transA", 0) == 0 else { return nil }
        if let c = n.optional(2) { guard shape(c).count < 2 || shape(c)[0] == 1 else { return nil } }
        return try plain(n, mask, axis: 0)
      }
      guard let w = n.optional(1), shape(w).count == 2 || a == s.count - 2 else { return nil }
      return try plain(n, mask, axis: a + max(0, shape(w).count - s.count))
    default: break
    }
    if reduction(n.operator) != nil { return try reduceList(n, list) }
    if Self.isElementwise(n.operator) { return try elementwiseList(n, list) }
    return nil
  }

  /// The node on all entries; its outputs are lists along `axis`.
  private mutating func plain(_ n: Node, _ mask: Int, axis: Int) throws(Failure) -> [Int]? {
    guard let out = try buildStandard(n.with(inputs: n.inputs.map { lists[$0]?.full ?? $0 })) else { return nil }
    return out.map { newList($0, mask, axis: axis) }
  }

  private static func isElementwise(_ op: Operator) -> Bool {
    switch op {
    case .identity, .dropout, .cast, .castLike, .relu, .tanh, .sigmoid, .softplus, .softsign, .mish, .hardSwish,
      .hardSigmoid, .elu, .leakyRelu, .selu, .celu, .thresholdedRelu, .swish, .gelu, .pRelu, .clip, .exp, .log, .sqrt,
      .reciprocal, .neg, .abs, .sign, .floor, .ceil, .round, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh,
      .asinh, .acosh, .atanh, .erf, .not, .bitwiseNot, .isNaN, .isInf, .shrink, .add, .sub, .mul, .div, .pow, .mod,
      .max, .min, .sum, .mean, .and, .or, .xor, .bitwiseAnd, .bitwiseOr, .bitwiseXor, .bitShift, .equal, .less,
      .lessOrEqual, .greater, .greaterOrEqual, .where:
      true
    default: false
    }
  }

  /// Shapes align from the right: the axis of the list must meet the same axis, or 1.
  private mutating func elementwiseList(_ n: Node, _ list: MaskedList) throws(Failure) -> [Int]? {
    let fromRight = shape(list.full).count - list.axis
    for v in n.inputs where v >= 0 {
      if let other = lists[v] {
        guard shape(other.full).count - other.axis == fromRight else { return nil }
      } else if shape(v).count >= fromRight, shape(v)[shape(v).count - fromRight] != 1 {
        return nil
      }
    }
    guard let out = try buildStandard(n.with(inputs: n.inputs.map { lists[$0]?.full ?? $0 })) else { return nil }
    return out.map { newList($0, list.mask, axis: shape($0).count - fromRight) }
  }

  private mutating func reshapeList(_ n: Node, _ list: MaskedList) throws(Failure) -> [Int]? {
    guard n.opset >= 5, n.inputs.count > 1, let x = n.optional(0), lists[x] != nil, let v = n.optional(1),
      lists[v] == nil
    else { return nil }
    let (s, a, mask) = (shape(list.full), list.axis, list.mask)
    var dims: [Int]
    var axis = -1
    if isConstant(v) {
      dims = try integers(v, n, "shape")
      for (i, d) in dims.enumerated() where d == 0 {
        guard i < s.count else { return nil }
        dims[i] = s[i]
        if i == a { axis = i }
      }
      guard let free = dims.firstIndex(of: -1) else { return nil }
      // -1 is the list, or what is left beside it
      if axis < 0 {
        axis = free
        dims[free] = count(mask)
      } else {
        let known = dims.reduce(1) { $1 == -1 ? $0 : $0 * $1 }
        guard known > 0, s.reduce(1, *) % known == 0 else { return nil }
        dims[free] = s.reduce(1, *) / known
      }
    } else {
      guard let found = listShape(v), isSameMask(found.mask, mask) else { return nil }
      (dims, axis) = (found.dims, found.axis)
    }
    guard dims[..<axis].reduce(1, *) == s[..<a].reduce(1, *),
      dims[(axis + 1)...].reduce(1, *) == s[(a + 1)...].reduce(1, *)
    else { return nil }
    return [newList(try view(list.full, dims), mask, axis: axis)]
  }

  private mutating func gatherList(_ n: Node, _ list: MaskedList) throws(Failure) -> [Int]? {
    let (x, i) = (try n.input(0), try n.input(1))
    if lists[x] == nil {
      let a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
      return try plain(n, list.mask, axis: a + list.axis)
    }
    guard lists[i] == nil else { return nil }
    let s = shape(list.full)
    let a = try axis(try n.int("axis", 0), rank: s.count, n)
    guard a != list.axis else { return nil }
    return try plain(n, list.mask, axis: a < list.axis ? list.axis - 1 + shape(i).count : list.axis)
  }

  /// Whether the entries are the positions of the mask's elements, [elements, rank].
  private func isGrid(_ list: MaskedList) -> Bool {
    let (s, m) = (shape(list.full), shape(list.mask))
    guard list.axis == 0, s == [count(list.mask), m.count], let c = constant(list.full), c.type == .i64 else {
      return false
    }
    let strides = denseStrides(m)
    for i in 0..<s[0] {
      for d in m.indices
      where c.start.loadUnaligned(fromByteOffset: 8 * (i * m.count + d), as: Int64.self) != Int64(i / strides[d] % m[d])
      { return false }
    }
    return true
  }

  /// x[mask] = updates: a choice between both.
  private mutating func scatterList(_ n: Node) throws(Failure) -> [Int]? {
    let (x, u) = (try n.input(0), try n.input(2))
    guard lists[x] == nil, let places = lists[try n.input(1)], isGrid(places) else { return nil }
    let m = shape(places.mask)
    guard Array(shape(x).prefix(m.count)) == m else {
      throw n.fail(
        .shape,
        "the mask '\(graph.values[places.mask].name)' is \(describe(m)), which does not lead \(describe(shape(x)))")
    }
    let rest = Array(shape(x)[m.count...])
    guard let updates = lists[u], updates.axis == 0, shape(updates.full) == [count(places.mask)] + rest else {
      return nil
    }
    guard type(updates.full) == type(x) else {
      throw n.fail(.shape, "updates have type \(type(updates.full).name), expected \(type(x).name)")
    }
    var y = try view(updates.full, shape(x))
    switch try n.string("reduction", "none") {
    case "none": break
    case "add": y = try binary(Int(EFF_FN2_ADD), x, y, label: n.label)
    case "mul": y = try binary(Int(EFF_FN2_MUL), x, y, label: n.label)
    case "min": y = try binary(Int(EFF_FN2_MIN), x, y, label: n.label)
    case "max": y = try binary(Int(EFF_FN2_MAX), x, y, label: n.label)
    default: return nil
    }
    let chosen = try view(places.mask, m + [Int](repeating: 1, count: rest.count))
    return [try select(chosen, y, x, label: n.label)]
  }

  /// Over other axes as any tensor; over the list, entries that are not in it give the number that changes nothing.
  private mutating func reduceList(_ n: Node, _ list: MaskedList) throws(Failure) -> [Int]? {
    let s = shape(list.full)
    let type = type(list.full)
    guard n.inputs.dropFirst().allSatisfy({ lists[$0] == nil }) else { return nil }
    let given = try axes(n, input: 1)
    let isAll = given == nil || given?.isEmpty == true
    if isAll, try n.bool("noop_with_empty_axes", false) { return nil }
    let reduced = isAll ? Array(0..<s.count) : (given ?? []).map { $0 < 0 ? $0 + s.count : $0 }
    guard reduced.contains(list.axis) else {
      let before = reduced.filter { $0 < list.axis }.count
      return try plain(n, list.mask, axis: try n.bool("keepdims", true) ? list.axis : list.axis - before)
    }
    let neutral: Double
    switch n.operator {
    case .reduceSum, .reduceMean, .reduceL1, .reduceL2, .reduceSumSquare, .reduceLogSum: neutral = 0
    case .reduceProd: neutral = 1
    case .reduceMax, .reduceLogSumExp: neutral = -.infinity
    case .reduceMin: neutral = .infinity
    default: return nil
    }
    var dims = [Int](repeating: 1, count: s.count)
    dims[list.axis] = count(list.mask)
    let chosen = try view(list.mask, dims)
    let kept = try select(chosen, list.full, try scalar(neutral, type), label: n.label)
    guard let out = try buildStandard(n.with(inputs: [kept] + n.inputs.dropFirst())) else { return nil }
    guard n.operator == .reduceMean else { return out }
    // the mean was taken over all elements of the mask
    let all = try cast(try integers([count(list.mask)], []), to: type)
    let weight = try binary(Int(EFF_FN2_DIV), all, try cast(try length(list.mask, n), to: type), label: n.label)
    return [try binary(Int(EFF_FN2_MUL), out[0], weight, label: n.label)]
  }
}
