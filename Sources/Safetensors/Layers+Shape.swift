import Base
import Onnx

// joining, combining, reshaping and choosing
extension ArchitectureReader {
  mutating func concat(_ layer: Layer, _ inputs: [Signal]) throws(Failure) -> Signal {
    try layer.expectKeys(["axis"])
    guard let type = inputs.first?.type else { throw layer.fail("has no inputs") }
    let isUniform = inputs.allSatisfy { $0.type == type }
    var parts: [Signal] = []
    for x in inputs { parts.append(isUniform ? x : try real(x, layer)) }
    let first = parts[0]
    let axis = try axis(layer, first, absent: -1)
    var shape = first.shape
    shape[axis] = 0
    for p in parts {
      var rest = p.shape
      if axis < rest.count { rest[axis] = shape[axis] }
      guard rest == shape else {
        throw layer.fail(
          "its inputs \(describe(first.shape)) and \(describe(p.shape)) differ in more than axis \(axis)", .shape)
      }
      shape[axis] += p.shape[axis]
    }
    return Signal(
      name: try node("Concat", parts.map { $0.name }, [.int("axis", axis + 1)], layer), shape: shape, type: first.type)
  }

  /// Element by element; sizes of 1 serve all.
  mutating func combine(_ layer: Layer, _ inputs: [Signal]) throws(Failure) -> Signal {
    try layer.expectKeys([])
    guard inputs.count >= 2 else { throw layer.fail("has \(inputs.count) inputs, expected at least 2") }
    let op = layer.type == "add" ? "Add" : layer.type == "subtract" ? "Sub" : layer.type == "multiply" ? "Mul" : "Div"
    var y = try real(inputs[0], layer)
    for input in inputs.dropFirst() {
      let x = try real(input, layer)
      var shape = y.shape
      var fits = x.shape.count == shape.count
      if fits {
        for (i, d) in x.shape.enumerated() where d != shape[i] {
          if shape[i] == 1 { shape[i] = d } else if d != 1 { fits = false }
        }
      }
      guard fits else {
        throw layer.fail(
          "its inputs are \(describe(y.shape)) and \(describe(x.shape)), expected the same sizes", .shape)
      }
      _ = try TensorReader.count(shape, "layer '\(layer.name)'")
      y = Signal(name: try node(op, [y.name, x.name], layer), shape: shape)
    }
    return y
  }

  mutating func flatten(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys([])
    return try reshape(x, [x.shape.reduce(1, *)], layer)
  }

  mutating func reshaped(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["shape"])
    let shape = try layer.integers("shape", in: 1...TensorReader.maximumSize)
    guard shape.count < 8, try TensorReader.count(shape, "layer '\(layer.name)'") == x.shape.reduce(1, *) else {
      throw layer.fail(
        "shape is \(describe(shape)), which does not have the elements of its input \(describe(x.shape))", .shape)
    }
    return try reshape(x, shape, layer)
  }

  mutating func transpose(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["axes"])
    let rank = x.shape.count
    guard rank > 0 else { throw layer.fail("its input is a single number", .shape) }
    let axes = try layer.integers("axes", in: 0...rank - 1, count: rank)
    for a in 0..<rank where !axes.contains(a) {
      throw layer.fail("axes is \(describe(axes)), expected each axis of its input \(describe(x.shape)) once", .shape)
    }
    let y = try node("Transpose", [x.name], [.ints("perm", [0] + axes.map { $0 + 1 })], layer)
    return Signal(name: y, shape: axes.map { x.shape[$0] }, type: x.type)
  }

  /// Elements from begin to before end along an axis.
  mutating func slice(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["axis", "begin", "end"])
    let axis = try axis(layer, x, absent: -1)
    let n = x.shape[axis]
    let begin = try layer.integer("begin", in: 0...n - 1, absent: 0)
    let end = try layer.integer("end", in: begin + 1...max(n, begin + 1), absent: n)
    var shape = x.shape
    shape[axis] = end - begin
    let bounds = [try constant([begin], layer), try constant([end], layer), try constant([axis + 1], layer)]
    return Signal(name: try node("Slice", [x.name] + bounds, layer), shape: shape, type: x.type)
  }

  /// The mean or the largest along an axis, which "keep" leaves as 1.
  mutating func reduce(_ layer: Layer, _ input: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["axis", "keep"])
    let x = try real(input, layer)
    let (axis, isKept) = (try axis(layer, x, absent: -1), try layer.bool("keep", false))
    let op = layer.type == "mean" ? "ReduceMean" : "ReduceMax"
    let y = try node(op, [x.name, try constant([axis + 1], layer)], [.int("keepdims", isKept ? 1 : 0)], layer)
    return Signal(name: y, shape: without(axis, x.shape, isKept))
  }

  /// Index of the largest along an axis, the first of equals, as i64.
  mutating func argmax(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["axis", "keep"])
    let (axis, isKept) = (try axis(layer, x, absent: -1), try layer.bool("keep", false))
    let y = try node("ArgMax", [x.name], [.int("axis", axis + 1), .int("keepdims", isKept ? 1 : 0)], layer)
    return Signal(name: y, shape: without(axis, x.shape, isKept), type: .i64)
  }

  private func without(_ axis: Int, _ shape: [Int], _ isKept: Bool) -> [Int] {
    var out = shape
    if isKept { out[axis] = 1 } else { out.remove(at: axis) }
    return out
  }

  private func indices(_ x: Signal, _ layer: Layer) throws(Failure) {
    guard !x.type.isFloat, x.type != .bool else {
      throw layer.fail("its input is \(x.type.name), expected whole numbers: give the input the dtype i64", .shape)
    }
  }

  /// A vector of zeros with a one at the index; an index outside gives zeros.
  mutating func oneHot(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["classes"])
    try indices(x, layer)
    let classes = try layer.integer("classes", in: 1...TensorReader.maximumSize)
    let shape = x.shape + [classes]
    _ = try TensorReader.count(shape, "layer '\(layer.name)'")
    let y = try node("OneHot", [x.name, try constant([classes], layer), try constant([0, 1], [2], layer)], layer)
    return Signal(name: y, shape: shape)
  }

  /// The row of the weight, [entries, features], at each index.
  mutating func embedding(_ layer: Layer, _ x: Signal) throws(Failure) -> Signal {
    try layer.expectKeys(["weight"])
    try indices(x, layer)
    let w = try weight("weight", layer, rank: 2)
    let places = x.type == .i64 || x.type == .i32 ? x.name : try node("Cast", [x.name], [.int("to", 7)], layer)
    return Signal(name: try node("Gather", [w.name, places], layer), shape: x.shape + [w.shape[1]])
  }
}
