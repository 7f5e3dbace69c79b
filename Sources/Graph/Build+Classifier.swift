import Base
import Kernels
import Onnx

// scores and labels of ai.onnx.ml, with the special cases of two classes that onnxruntime has
extension Builder {
  /// A constant vector.
  mutating func constants(_ values: [Double], _ type: ElementType) throws(Failure) -> Int {
    let bytes = try budget.zeroed(max(values.count, 1) * 8, for: "a constant")
    for (i, v) in values.enumerated() { bytes.mutable.storeBytes(of: v, toByteOffset: 8 * i, as: Double.self) }
    return try cast(newConstant(TensorData(type: .f64, shape: [values.count], bytes: bytes)), to: type)
  }

  private mutating func op(_ fn: Int, _ a: Int, _ b: Double, _ n: Node) throws(Failure) -> Int {
    try binary(fn, a, try scalar(b, type(a)), label: n.label)
  }

  /// The post_transform of scores [batch, targets]; one score alone has PROBIT only.
  mutating func transformed(_ x: Int, _ name: String, _ n: Node) throws(Failure) -> Int {
    let isOne = shape(x).last == 1
    switch name {
    case "NONE": return x
    case "PROBIT": return try probit(x, n)
    case "LOGISTIC": return isOne ? x : try unary(x, Int(EFF_FN_SIGMOID), label: n.label)
    case "SOFTMAX": return isOne ? x : try softmax(x, label: n.label)
    case "SOFTMAX_ZERO": return isOne ? x : try softmaxZero(x, n)
    default: throw n.fail(.unsupported, "post_transform '\(name)' is not known")
    }
  }

  /// Softmax in which a score of 0 has no share.
  private mutating func softmaxZero(_ x: Int, _ n: Node) throws(Failure) -> Int {
    let last = shape(x).count - 1
    let top = try reduce(x, Int(EFF_REDUCE_MAX), axes: [last], keepDims: true, label: n.label)
    let share = try unary(try binary(Int(EFF_FN2_SUB), x, top, label: n.label), Int(EFF_FN_EXP), label: n.label)
    let isScore = try op(Int(EFF_FN2_GREATER), try unary(x, Int(EFF_FN_ABS), label: n.label), 0.0000001, n)
    let sum = try reduce(
      try select(isScore, share, try scalar(0, type(x)), label: n.label), Int(EFF_REDUCE_SUM), axes: [last],
      keepDims: true,
                         label: n.label)
    let rest = try binary(
      Int(EFF_FN2_MUL), x, try unary(try unary(top, Int(EFF_FN_NEG), label: n.label), Int(EFF_FN_EXP), label: n.label),
      label: n.label)
    return try binary(Int(EFF_FN2_DIV), try select(isScore, share, rest, label: n.label), sum, label: n.label)
  }

  /// sqrt(2) erfinv(2 x - 1), in the approximation of onnxruntime.
  private mutating func probit(_ x: Int, _ n: Node) throws(Failure) -> Int {
    let a = 0.147
    let v = try op(Int(EFF_FN2_SUB), try op(Int(EFF_FN2_MUL), x, 2, n), 1, n)
    let square = try unary(try unary(v, Int(EFF_FN_SQUARE), label: n.label), Int(EFF_FN_NEG), label: n.label)
    let log = try unary(try op(Int(EFF_FN2_ADD), square, 1, n), Int(EFF_FN_LOG), label: n.label)
    let m = try op(Int(EFF_FN2_ADD), try op(Int(EFF_FN2_MUL), log, 0.5, n), 2 / (3.14159 * a), n)
    let inner = try binary(
      Int(EFF_FN2_SUB), try unary(m, Int(EFF_FN_SQUARE), label: n.label), try op(Int(EFF_FN2_MUL), log, 1 / a, n),
      label: n.label)
    let root = try binary(Int(EFF_FN2_SUB), try unary(inner, Int(EFF_FN_SQRT), label: n.label), m, label: n.label)
    let size = try op(Int(EFF_FN2_MUL), try unary(root, Int(EFF_FN_SQRT), label: n.label), 1.41421356, n)
    return try select(
      try op(Int(EFF_FN2_LESS), v, 0, n), try unary(size, Int(EFF_FN_NEG), label: n.label), size, label: n.label)
  }

  // MARK: labels

  /// Labels of a classifier. Where they are strings, the output of labels is set aside and the classes are numbered:
  /// the scores can be had.
  private mutating func labels(_ n: Node, ints: String, strings: String) throws(Failure) -> [Int] {
    guard let names = try n.strings(strings), !names.isEmpty else { return try n.ints(ints) ?? [] }
    if n.hasOutput(0) {
      dynamic[n.onnx.outputs[0]] = n.fail(
        .unsupported, "its labels are strings ('\(strings)'), which are not supported; choose the scores")
    }
    return Array(0..<names.count)
  }

  /// Label by class number i64 [batch].
  private mutating func label(_ classes: Int, _ labels: [Int], _ n: Node) throws(Failure) -> Int {
    if n.hasOutput(0), dynamic[n.onnx.outputs[0]] != nil { return -1 }
    return try gather(try integers(labels, [labels.count]), classes, axis: 0, n)
  }

  /// The number of the largest score of each row, the first of several.
  private mutating func largest(_ scores: Int, _ n: Node) throws(Failure) -> Int {
    let s = shape(scores)
    var p = eff_arg()
    (p.outer, p.n, p.inner, p.is_max) = (Int64(s[0]), Int64(s[1]), 1, 1)
    let y = try newValue(.i64, [s[0]], n.label)
    try emit(GraphOp(.arg(p), type: type(scores), inputs: [scores], outputs: [y], label: n.label))
    return y
  }

  /// 1 where the only score of a row [batch, 1] is above `level`, else 0: i64 [batch].
  private mutating func isAbove(_ score: Int, _ level: Double, _ n: Node) throws(Failure) -> Int {
    let above = try cast(try op(Int(EFF_FN2_GREATER), score, level, n), to: .i64)
    return try view(above, [shape(score)[0]])
  }

  /// Two scores out of one [batch, 1]: of both signs, or shares of 1.
  private mutating func secondScore(_ s: Int, _ post: String, isShare: Bool, _ n: Node) throws(Failure) -> Int {
    guard post != "PROBIT" else {
      throw n.fail(.unsupported, "post_transform 'PROBIT' of one score for two classes is not defined")
    }
    var other = try unary(s, Int(EFF_FN_NEG), label: n.label)
    if isShare && post != "LOGISTIC" { other = try op(Int(EFF_FN2_ADD), other, 1, n) }
    let both = try concat([other, s], axis: 1, label: n.label)
    return post == "LOGISTIC" ? try unary(both, Int(EFF_FN_SIGMOID), label: n.label) : both
  }

  mutating func buildTreeClassifier(_ n: Node) throws(Failure) -> [Int] {
    let names = try labels(n, ints: "classlabels_int64s", strings: "classlabels_strings")
    guard names.count >= 2 else { throw n.fail(.format, "has \(names.count) labels, expected at least 2") }
    let forest = try legacyForest(n, "class", targets: names.count)
    let base = try realList(n, "base_values")
    let post = try n.string("post_transform", "NONE")
    let (sums, has) = try evaluate(forest, try features(n), targets: names.count, aggregate: Int(EFF_TREES_SUM), n)
    if names.count == 2 { return try twoClasses(forest, sums, has, base, names, post, n) }
    guard base.isEmpty || base.count == names.count else {
      throw n.fail(.shape, "has \(base.count) base values, expected \(names.count)")
    }
    var scores = sums
    var ranked = sums
    if base.isEmpty {
      // a class that no leaf names is never the label
      ranked = try select(has, sums, try scalar(-.infinity, type(sums)), label: n.label)
    } else {
      scores = try binary(Int(EFF_FN2_ADD), sums, try constants(base, type(sums)), label: n.label)
      ranked = scores
    }
    let y = try cast(try transformed(scores, post, n), to: .f32)
    return [try label(try largest(ranked, n), names, n), y]
  }

  /// Two classes: most often one score for both, from weights of one class alone.
  private mutating func twoClasses(
    _ forest: Forest, _ sums: Int, _ has: Int, _ base: [Double], _ names: [Int], _ post: String, _ n: Node
  ) throws(Failure) -> [Int] {
    var named = [false, false]
    var isPositive = true
    for leaf in forest.leaves {
      for w in leaf {
        named[w.target] = true
        if w.weight < 0 { isPositive = false }
      }
    }
    let level = isPositive ? 0.5 : 0
    if named[0] && !named[1] {
      var s = try slice(sums, axis: 1, start: 0, count: 1, label: n.label)
      guard base.count <= 1 else { throw n.fail(.unsupported, "has 2 base values for one score; expected 1") }
      if let b = base.first { s = try op(Int(EFF_FN2_ADD), s, b, n) }
      let y = try cast(try secondScore(s, post, isShare: isPositive, n), to: .f32)
      return [try label(try isAbove(s, level, n), names, n), y]
    }
    guard base.isEmpty else {
      throw n.fail(.unsupported, "has base values and weights of class 1; expected weights of class 0 alone")
    }
    let second = try slice(sums, axis: 1, start: 1, count: 1, label: n.label)
    let two = try cast(try transformed(sums, post, n), to: .f32)
    if !named[0] { return [try label(try isAbove(second, level, n), names, n), two] }
    // weights of both classes: onnxruntime answers 1 where the second score is positive, whatever the labels are
    guard names == [0, 1] else {
      throw n.fail(
        .unsupported,
        "has weights of both classes and labels \(describe(names)); expected [0, 1], or weights of class 0 alone")
    }
    if forest.leaves.allSatisfy({ leaf in leaf.contains { $0.target == 1 } }) {
      return [try isAbove(second, 0, n), two]
    }
    let first = try slice(sums, axis: 1, start: 0, count: 1, label: n.label)
    let hasSecond = try slice(has, axis: 1, start: 1, count: 1, label: n.label)
    let one = try cast(try secondScore(first, post, isShare: false, n), to: .f32)
    let decisive = try select(hasSecond, second, first, label: n.label)
    return [try isAbove(decisive, 0, n), try select(hasSecond, two, one, label: n.label)]
  }

  // MARK: linear models

  /// x coefficients' + intercepts, f32 [batch, targets].
  private mutating func linear(_ n: Node, targets: Int?) throws(Failure) -> Int {
    let source = try n.input(0)
    let s = shape(source)
    let x = try view(try cast(source, to: .f32), s.count == 1 ? [1] + s : s)
    let w = try n.floats("coefficients") ?? []
    guard shape(x).count == 2, shape(x)[1] > 0, w.count % shape(x)[1] == 0, !w.isEmpty else {
      throw n.fail(
        .shape, "has \(w.count) coefficients for input \(describe(s)), expected a row of them for each output")
    }
    let rows = w.count / shape(x)[1]
    if let targets, targets != rows {
      throw n.fail(.shape, "has \(w.count) coefficients, expected \(targets * shape(x)[1])")
    }
    let weights = try transpose(try view(try constants(w, .f32), [rows, shape(x)[1]]), [1, 0], label: n.label)
    let y = try matmul(x, weights, label: n.label)
    let intercepts = try n.floats("intercepts") ?? []
    guard !intercepts.isEmpty else { return y }
    guard intercepts.count == rows else { throw n.fail(.shape, "has \(intercepts.count) intercepts, expected \(rows)") }
    return try binary(Int(EFF_FN2_ADD), y, try constants(intercepts, .f32), label: n.label)
  }

  mutating func buildLinearRegressor(_ n: Node) throws(Failure) -> [Int] {
    return [try transformed(try linear(n, targets: try n.int("targets", 1)), try n.string("post_transform", "NONE"), n)]
  }

  mutating func buildLinearClassifier(_ n: Node) throws(Failure) -> [Int] {
    n.passOver(["multi_class"])  // onnxruntime has one meaning for both
    let names = try labels(n, ints: "classlabels_ints", strings: "classlabels_strings")
    let scores = try linear(n, targets: nil)
    let post = try n.string("post_transform", "NONE")
    if shape(scores)[1] == 1 {
      guard names.count == 2 else { throw n.fail(.shape, "has one score and \(names.count) labels, expected 2") }
      return [try label(try isAbove(scores, 0, n), names, n), try secondScore(scores, post, isShare: true, n)]
    }
    guard names.count == shape(scores)[1] else {
      throw n.fail(.shape, "has \(shape(scores)[1]) scores and \(names.count) labels")
    }
    return [try label(try largest(scores, n), names, n), try transformed(scores, post, n)]
  }
}
