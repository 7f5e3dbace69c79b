import Base
import Kernels
import Onnx

// operators that choose, reorder or reinterpret elements
extension Builder {
  mutating func buildSelection(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .reverseSequence: return [try buildReverseSequence(n)]
    case .compress: return [try buildCompress(n)]
    case .nonZero: return [try buildNonZero(n)]
    case .centerCropPad: return [try buildCenterCropPad(n)]
    case .bitCast: return [try buildBitCast(n)]
    case .det: return [try buildDet(n)]
    case .negativeLogLikelihoodLoss: return [try buildLoss(n, try n.input(0))]
    case .softmaxCrossEntropyLoss:
      let x = try n.input(0)
      guard shape(x).count >= 2 else {
        throw n.fail(.shape, "scores are \(describe(shape(x))), expected [batch, classes, ...]")
      }
      let logs = try logSoftmax(x, axis: 1, label: n.label)
      return [try buildLoss(n, logs), logs]
    default: return nil
    }
  }

  /// The first `sequence_lens` steps of each batch entry, backward: a gather by positions computed from the lengths.
  private mutating func buildReverseSequence(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let lengths = try n.input(1)
    let s = shape(x)
    let axes = [try n.int("batch_axis", 1), try n.int("time_axis", 0)]
    let batchFirst = axes == [0, 1]
    guard s.count >= 2, batchFirst || axes == [1, 0] else {
      throw n.fail(.shape, "batch_axis and time_axis must be 0 and 1, in some order, of \(describe(s))")
    }
    let (batch, time) = batchFirst ? (s[0], s[1]) : (s[1], s[0])
    guard count(lengths) == batch else {
      throw n.fail(.shape, "sequence_lens is \(describe(shape(lengths))), expected [\(batch)]")
    }
    let steps = try positions(time, [1, time])
    let ends = try view(try cast(lengths, to: .i64), [batch, 1])
    let mirrored = try binary(
      Int(EFF_FN2_SUB), try binary(Int(EFF_FN2_SUB), ends, try scalar(1, .i64), label: n.label), steps, label: n.label)
    let isInside = try binary(Int(EFF_FN2_LESS), steps, ends, label: n.label)
    let places = try view(try select(isInside, mirrored, steps, label: n.label), [batch, time, 1])
    let swapped = [1, 0] + Array(2..<s.count)
    let source = batchFirst ? x : try transpose(x, swapped, label: n.label)
    let y = try gatherTuples(source, places, batch: 1, n)
    return batchFirst ? y : try transpose(y, swapped, label: n.label)
  }

  private mutating func buildCompress(_ n: Node) throws(Failure) -> Int {
    var x = try n.input(0)
    let chosen = try integers(try n.input(1), n, "condition")
    var a = 0
    if n.has("axis") {
      a = try axis(try n.int("axis", 0), rank: shape(x).count, n)
    } else {
      x = try view(x, [count(x)])
    }
    guard a < shape(x).count, chosen.count <= shape(x)[a] else {
      throw n.fail(.shape, "condition has \(chosen.count) entries for axis \(a) of \(describe(shape(x)))")
    }
    let places = chosen.indices.filter { chosen[$0] != 0 }
    return try gather(x, try integers(places, [places.count]), axis: a, n)
  }

  /// The positions of what is not zero; their number must be known at load.
  private mutating func buildNonZero(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let values = try numbers(x, n, "input")
    let s = shape(x)
    let strides = denseStrides(s)
    let places = values.indices.filter { values[$0] != 0 }
    var out: [Int] = []
    for d in s.indices { for i in places { out.append(i / strides[d] % s[d]) } }
    return try integers(out, [s.count, places.count])
  }

  private mutating func buildCenterCropPad(_ n: Node) throws(Failure) -> Int {
    var y = try n.input(0)
    let rank = shape(y).count
    let sizes = try integers(try n.input(1), n, "shape")
    let axes = try n.ints("axes") ?? Array(0..<rank)
    guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 0 }) else {
      throw n.fail(.shape, "shape \(describe(sizes)) does not fit \(axes.count) axes")
    }
    var begin = [Int](repeating: 0, count: rank)
    var end = begin
    for (i, v) in axes.enumerated() {
      let a = try axis(v, rank: rank, n)
      let size = shape(y)[a]
      if sizes[i] < size {
        y = try slice(y, axis: a, start: (size - sizes[i]) / 2, count: sizes[i], label: n.label)
      } else {
        begin[a] = (sizes[i] - size) / 2
        end[a] = sizes[i] - size - begin[a]
      }
    }
    guard begin.contains(where: { $0 > 0 }) || end.contains(where: { $0 > 0 }) else {
      return y == n.inputs[0] ? try view(y, shape(y)) : y
    }
    return try padConstant(y, begin, end, try scalar(0, type(y)), n)
  }

  private mutating func buildBitCast(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let code = Int32(truncatingIfNeeded: try n.int("to", 0))
    guard let to = ElementType(rawValue: code) else {
      throw n.fail(.unsupported, "casts to element type \(ElementType.unsupportedName(code)), which is not supported")
    }
    guard to.size == type(x).size else {
      throw n.fail(.shape, "casts \(type(x).name) to \(to.name), expected a type of \(type(x).size) bytes")
    }
    return try view(x, shape(x), type: to)
  }

  private mutating func buildDet(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count >= 2, s[s.count - 1] == s[s.count - 2] else {
      throw n.fail(.shape, "input is \(describe(s)), expected square matrices")
    }
    let y = try newValue(type(x), Array(s.dropLast(2)), n.label)
    let size = s[s.count - 1]
    var op = GraphOp(
      .det(eff_det(count: Int64(count(y)), n: Int64(size))), type: type(x), inputs: [x], outputs: [y], label: n.label)
    op.scratch = max(size * size, 1) * 8
    try emit(op)
    return y
  }

  // MARK: losses

  private mutating func logSoftmax(_ x: Int, axis: Int, label: String) throws(Failure) -> Int {
    var p = eff_softmax()
    (p.outer, p.n, p.inner) = split(shape(x), axis)
    p.fn = Int32(EFF_SOFTMAX_LOG)
    let y = try newValue(type(x), shape(x), label)
    try emit(GraphOp(.softmax(p), type: type(x), inputs: [x], outputs: [y], label: label))
    return y
  }

  /// -weight[target] logs[target], reduced; targets equal to ignore_index weigh nothing.
  private mutating func buildLoss(_ n: Node, _ logs: Int) throws(Failure) -> Int {
    let target = try cast(try n.input(1), to: .i64)
    let (s, t, type) = (shape(logs), shape(target), type(logs))
    guard s.count >= 2, [s[0]] + Array(s[2...]) == t else {
      throw n.fail(
        .shape, "targets are \(describe(t)), expected the shape of the scores \(describe(s)) without its second axis")
    }
    let ignored = n.has("ignore_index") ? try scalar(Double(try n.int("ignore_index", 0)), .i64) : nil
    var weight = try filled(1, type, t)
    if let w = n.optional(2) {
      guard shape(w) == [s[1]] else { throw n.fail(.shape, "weight is \(describe(shape(w))), expected [\(s[1])]") }
      weight = try gather(w, target, axis: 0, n)
    }
    if let ignored {
      let isIgnored = try binary(Int(EFF_FN2_EQUAL), target, ignored, label: n.label)
      weight = try select(isIgnored, try scalar(0, type), weight, label: n.label)
    }
    let index = try view(target, [t[0], 1] + Array(t.dropFirst()))
    let picked = try view(try gatherElements(logs, index, axis: 1, n), t)
    let loss = try unary(try binary(Int(EFF_FN2_MUL), picked, weight, label: n.label), Int(EFF_FN_NEG), label: n.label)
    let reduction = try n.choice("reduction", "mean", ["none", "sum", "mean"])
    if reduction == "none" { return loss }
    let axes = Array(0..<t.count)
    let sum = try reduce(loss, Int(EFF_REDUCE_SUM), axes: axes, keepDims: false, label: n.label)
    if reduction == "sum" { return sum }
    return try binary(
      Int(EFF_FN2_DIV), sum, try reduce(weight, Int(EFF_REDUCE_SUM), axes: axes, keepDims: false, label: n.label),
      label: n.label)
  }
}
