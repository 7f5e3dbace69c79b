import Base
import Kernels
import Onnx

// operators that say where elements are
extension Builder {
  mutating func buildShape(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .constant: return [try buildConstant(n)]
    case .constantOfShape:
      let dims = try integers(try n.input(0), n, "shape")
      guard let a = n.attribute("value"), let t = a.tensors.first else { return [try filled(0, .f32, dims)] }
      let one = newConstant(try tensors.read(t, n.label))
      guard count(one) == 1 else { throw n.fail(.shape, "attribute 'value' has \(count(one)) elements, expected 1") }
      _ = try newValue(type(one), dims, n.label)  // refuses absurd sizes
      return [try expand(view(one, []), to: dims)]
    case .shape:
      let s = shape(try n.input(0))
      let start = max(0, min(s.count, wrap(try n.int("start", 0), s.count)))
      let end = max(start, min(s.count, wrap(try n.int("end", s.count), s.count)))
      return [try integers(Array(s[start..<end]), [end - start])]
    case .size: return [try integers([count(try n.input(0))], [])]
    case .reshape: return [try buildReshape(n)]
    case .flatten:
      let x = try n.input(0)
      let s = shape(x)
      let axis = try n.int("axis", 1)
      guard axis >= -s.count && axis <= s.count else {
        throw n.fail(.shape, "axis \(axis) is outside a tensor of rank \(s.count)")
      }
      let at = axis < 0 ? axis + s.count : axis
      return [try view(x, [s[..<at].reduce(1, *), s[at...].reduce(1, *)])]
    case .squeeze: return [try buildSqueeze(n)]
    case .unsqueeze: return [try buildUnsqueeze(n)]
    case .transpose:
      let x = try n.input(0)
      let rank = shape(x).count
      let perm = try n.ints("perm") ?? Array((0..<rank).reversed())
      guard perm.sorted() == Array(0..<rank) else {
        throw n.fail(.shape, "perm \(describe(perm)) is not a permutation of \(rank) axes")
      }
      return [try transpose(x, perm, label: n.label)]
    case .expand:
      let x = try n.input(0)
      let want = try integers(try n.input(1), n, "shape")
      guard let out = broadcast(shape(x), want) else {
        throw n.fail(.shape, "\(describe(shape(x))) does not broadcast to \(describe(want))")
      }
      return [try view(try expand(x, to: out), out)]
    case .tile: return [try buildTile(n)]
    case .concat: return [try buildConcat(n)]
    case .split: return try buildSplit(n)
    case .slice: return [try buildSlice(n)]
    case .pad: return [try buildPad(n)]
    case .depthToSpace, .spaceToDepth: return [try buildDepth(n)]
    case .range: return [try buildRange(n)]
    case .eyeLike: return [try buildEye(n)]
    default: return nil
    }
  }

  func wrap(_ a: Int, _ n: Int) -> Int { a < 0 ? a + n : a }

  private mutating func buildConstant(_ n: Node) throws(Failure) -> Int {
    if let a = n.onnx.attributes.first(where: { $0.name.utf8.starts(with: "value".utf8) }) {
      n.pass(a.name)
      switch (a.name, a.kind) {
      case ("value", .tensor):
        guard let t = a.tensors.first else { break }
        return try newTensor(try tensors.read(t, n.label), n.onnx.outputs.first ?? "")
      case ("value_float", .float): return try floats([Double(a.float)], [])
      case ("value_floats", .floats): return try floats(a.floats.map { Double($0) }, [a.floats.count])
      case ("value_int", .int): return try longs([a.int], [])
      case ("value_ints", .ints): return try longs(a.ints, [a.ints.count])
      default: break
      }
    }
    throw n.fail(.unsupported, "holds no numeric value; expected one of value, value_float(s), value_int(s)")
  }

  private mutating func longs(_ v: [Int64], _ shape: [Int]) throws(Failure) -> Int {
    let bytes = try budget.zeroed(8 * max(v.count, 1), for: "a constant")
    for (i, x) in v.enumerated() { bytes.mutable.storeBytes(of: x, toByteOffset: 8 * i, as: Int64.self) }
    return newConstant(TensorData(type: .i64, shape: shape, bytes: bytes))
  }

  /// A constant of 32-bit floats.
  mutating func floats(_ v: [Double], _ shape: [Int]) throws(Failure) -> Int {
    let bytes = try budget.zeroed(4 * max(v.count, 1), for: "a constant")
    for (i, x) in v.enumerated() { bytes.mutable.storeBytes(of: Float(x), toByteOffset: 4 * i, as: Float.self) }
    return newConstant(TensorData(type: .f32, shape: shape, bytes: bytes))
  }

  private mutating func buildReshape(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let want = n.opset < 5 ? try n.ints("shape") ?? [] : try integers(try n.input(1), n, "shape")
    let allowsZero = try n.bool("allowzero", false)
    var out: [Int] = []
    var free = -1
    for (i, d) in want.enumerated() {
      if d == -1 {
        guard free < 0 else { throw n.fail(.shape, "shape \(describe(want)) has more than one -1") }
        free = i
        out.append(1)
      } else if d == 0 && !allowsZero {
        guard i < s.count else {
          throw n.fail(.shape, "shape \(describe(want)) keeps dimension \(i) of \(describe(s)), which does not exist")
        }
        out.append(s[i])
      } else {
        out.append(d)
      }
    }
    let known = try TensorReader.count(out, n.label)
    let total = count(x)
    if free >= 0 {
      guard known > 0, total % known == 0 else {
        throw n.fail(.shape, "\(describe(s)) with \(total) elements does not fit \(describe(want))")
      }
      out[free] = total / known
    } else if known != total {
      throw n.fail(.shape, "\(describe(s)) with \(total) elements does not fit \(describe(want))")
    }
    return try view(x, out)
  }

  /// Axes as input (opset 13 and up) or attribute; nil where there are none.
  mutating func axes(_ n: Node, input: Int) throws(Failure) -> [Int]? {
    if let a = try n.ints("axes") { return a }
    if let v = n.optional(input) { return try integers(v, n, "axes") }
    return nil
  }

  private mutating func buildSqueeze(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    var drop = [Bool](repeating: false, count: s.count)
    if let a = try axes(n, input: 1) {
      for v in a {
        let i = try axis(v, rank: s.count, n)
        guard i < s.count, s[i] == 1 else { throw n.fail(.shape, "axis \(v) of \(describe(s)) does not have size 1") }
        drop[i] = true
      }
    } else {
      for i in 0..<s.count { drop[i] = s[i] == 1 }
    }
    return try view(x, (0..<s.count).filter { !drop[$0] }.map { s[$0] })
  }

  private mutating func buildUnsqueeze(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    guard let a = try axes(n, input: 1) else { throw n.fail(.format, "has no axes") }
    let rank = shape(x).count + a.count
    guard rank <= 8 else { throw n.fail(.unsupported, "makes a tensor of rank \(rank), expected at most 8") }
    var isNew = [Bool](repeating: false, count: rank)
    for v in a {
      let i = try axis(v, rank: rank, n)
      guard !isNew[i] else { throw n.fail(.shape, "axes \(describe(a)) name an axis twice") }
      isNew[i] = true
    }
    var out: [Int] = []
    var k = 0
    for i in 0..<rank {
      if isNew[i] {
        out.append(1)
      } else {
        out.append(shape(x)[k])
        k += 1
      }
    }
    return try view(x, out)
  }

  private mutating func buildTile(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let repeats = try integers(try n.input(1), n, "repeats")
    guard repeats.count == s.count else {
      throw n.fail(.shape, "has \(repeats.count) repeats for a tensor of rank \(s.count)")
    }
    // [r0, d0, r1, d1, ...] with stride 0 for the repeats
    var out: [Int] = []
    for i in 0..<s.count {
      guard repeats[i] >= 0 else { throw n.fail(.shape, "repeats \(describe(repeats)) are negative") }
      out.append(try TensorReader.count([s[i], repeats[i]], n.label))
    }
    let y = try newValue(type(x), out, n.label)
    let xs = denseStrides(s)
    let ys = denseStrides(out)
    var dims: [Int] = []
    var from: [Int] = []
    var to: [Int] = []
    for i in 0..<s.count {
      dims += [repeats[i], s[i]]
      from += [0, xs[i]]
      to += [ys[i] * s[i], ys[i]]
    }
    guard Iteration(dims, [from, to]).dims.count <= 8 else {
      throw n.fail(.unsupported, "repeats \(describe(repeats)) over \(describe(s)) need more than 8 dimensions")
    }
    try emit(move(x, y, dims: dims, x: from, y: to, label: n.label))
    return y
  }

  private mutating func buildConcat(_ n: Node) throws(Failure) -> Int {
    var parts: [Int] = []
    for i in 0..<n.inputs.count { parts.append(try n.input(i)) }
    guard let first = parts.first else { throw n.fail(.format, "has no inputs") }
    let rank = shape(first).count
    let axis = try axis(try n.int("axis", n.opset < 4 ? 1 : 0), rank: rank, n)
    for p in parts {
      var s = shape(p)
      guard s.count == rank, rank > 0, type(p) == type(first) else {
        throw n.fail(
          .shape,
          "inputs \(type(first).name) \(describe(shape(first))) and \(type(p).name) \(describe(s)) cannot be joined")
      }
      s[axis] = shape(first)[axis]
      guard s == shape(first) else {
        throw n.fail(.shape, "inputs \(describe(shape(first))) and \(describe(shape(p))) differ outside axis \(axis)")
      }
    }
    return parts.count == 1 ? try view(first, shape(first)) : try concat(parts, axis: axis, label: n.label)
  }

  private mutating func buildSplit(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    let s = shape(x)
    let axis = try axis(try n.int("axis", 0), rank: s.count, n)
    guard axis < s.count else { throw n.fail(.shape, "cannot split a scalar") }
    var sizes: [Int]
    if let given = try n.ints("split") {
      sizes = given
    } else if let v = n.optional(1) {
      sizes = try integers(v, n, "split")
    } else {
      let parts = max(try n.int("num_outputs", n.outputCount), 1)
      let size = (s[axis] + parts - 1) / parts
      guard parts == n.outputCount else {
        throw n.fail(.shape, "num_outputs is \(parts), but the node has \(n.outputCount) outputs")
      }
      guard n.opset >= 18 ? (parts - 1) * size <= s[axis] : s[axis] % parts == 0 else {
        throw n.fail(
          .shape,
          """
          axis \(axis) of \(describe(s)) does not split into \(parts) \
          \(n.opset >= 18 ? "parts of \(size)" : "equal parts")
          """)
      }
      sizes = []
      for i in 0..<parts { sizes.append(max(0, min(size, s[axis] - i * size))) }
    }
    guard sizes.count <= n.outputCount else {
      throw n.fail(.shape, "splits into \(sizes.count) parts, but has \(n.outputCount) outputs")
    }
    var out: [Int] = []
    var at = 0
    for size in sizes {
      guard size >= 0, at + size <= s[axis] else {
        throw n.fail(.shape, "split \(describe(sizes)) does not fit axis \(axis) of \(describe(s))")
      }
      out.append(try slice(x, axis: axis, start: at, count: size, label: n.label))
      at += size
    }
    guard at == s[axis] else { throw n.fail(.shape, "split \(describe(sizes)) does not add up to \(s[axis])") }
    return out
  }

  private mutating func buildSlice(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let starts: [Int]
    let ends: [Int]
    var axesGiven: [Int]?
    var steps: [Int]?
    if n.opset < 10 {
      starts = try n.ints("starts") ?? []
      ends = try n.ints("ends") ?? []
      axesGiven = try n.ints("axes")
    } else {
      starts = try integers(try n.input(1), n, "starts")
      ends = try integers(try n.input(2), n, "ends")
      if let v = n.optional(3) { axesGiven = try integers(v, n, "axes") }
      if let v = n.optional(4) { steps = try integers(v, n, "steps") }
    }
    let axes = axesGiven ?? Array(0..<starts.count)
    guard ends.count == starts.count, axes.count == starts.count, (steps?.count ?? starts.count) == starts.count else {
      throw n.fail(.shape, "starts, ends, axes and steps have different lengths")
    }
    var dims = s
    var strides = denseStrides(s)
    var offset = 0
    var isSliced = [Bool](repeating: false, count: s.count)
    for (i, a) in axes.enumerated() {
      let d = try axis(a, rank: s.count, n)
      guard d < s.count else { throw n.fail(.shape, "cannot slice a scalar") }
      guard !isSliced[d] else { throw n.fail(.shape, "axes \(describe(axes)) name an axis twice") }
      isSliced[d] = true
      let step = steps?[i] ?? 1
      guard step != 0 else { throw n.fail(.shape, "has a step of 0") }
      let size = s[d]
      var start = wrap(starts[i], size)
      var end = wrap(ends[i], size)
      start = step > 0 ? max(0, min(size, start)) : max(0, min(size - 1, start))
      // backward, onnxruntime reads INT32_MAX and INT64_MAX as "to the end", which is the first element
      end = step > 0 ? max(0, min(size, end)) : ends[i] >= Int(Int32.max) ? -1 : max(-1, min(size, end))
      let n = size == 0 ? 0 : step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step
      dims[d] = max(0, n)
      offset += start * strides[d]
      strides[d] = dims[d] > 1 ? strides[d] * step : strides[d]
    }
    if dims.contains(0) { offset = 0 }
    let y = try gatherStrided(x, dims: dims, strides: strides, offset: offset, label: n.label)
    return y
  }

  private mutating func buildDepth(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    let b = try n.int("blocksize", 0)
    let isCRD = try n.choice("mode", "DCR", ["DCR", "CRD"]) == "CRD"
    guard s.count == 4, b > 0, b < 1 << 20 else {
      throw n.fail(.shape, "needs a tensor of rank 4 and a positive blocksize; found \(describe(s)) and \(b)")
    }
    if n.operator == .spaceToDepth {
      guard s[2] % b == 0, s[3] % b == 0 else {
        throw n.fail(.shape, "\(describe(s)) is not divisible by blocksize \(b)")
      }
      let channels = try TensorReader.count([s[1], b, b], n.label)
      let v = try view(x, [s[0], s[1], s[2] / b, b, s[3] / b, b])
      return try view(
        try transpose(v, isCRD ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4], label: n.label),
        [s[0], channels, s[2] / b, s[3] / b])
    }
    guard s[1] % (b * b) == 0 else { throw n.fail(.shape, "\(describe(s)) is not divisible by blocksize \(b)") }
    let c = s[1] / (b * b)
    let v = try view(x, isCRD ? [s[0], c, b, b, s[2], s[3]] : [s[0], b, b, c, s[2], s[3]])
    let t = try transpose(v, isCRD ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2], label: n.label)
    return try view(t, [s[0], c, s[2] * b, s[3] * b])
  }

  private mutating func buildRange(_ n: Node) throws(Failure) -> Int {
    let start = try number(try n.input(0), n, "start")
    let limit = try number(try n.input(1), n, "limit")
    let delta = try number(try n.input(2), n, "delta")
    n.pass("stash_type")  // sums are not accumulated here: each element is computed in f64
    let size = ((limit - start) / delta).rounded(.up)
    guard size.isFinite else { throw n.fail(.shape, "has no finite length") }
    let count = max(0, clampIndex(size))
    let bytes = try budget.zeroed(8 * max(count, 1), for: n.label)
    for i in 0..<count { bytes.mutable.storeBytes(of: start + Double(i) * delta, toByteOffset: 8 * i, as: Double.self) }
    return try cast(newConstant(TensorData(type: .f64, shape: [count], bytes: bytes)), to: type(try n.input(0)))
  }

  private mutating func buildEye(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard s.count == 2 else { throw n.fail(.shape, "needs a matrix; found \(describe(s))") }
    let k = try n.int("k", 0)
    let bytes = try budget.zeroed(max(count(x), 1), for: n.label)
    for i in 0..<s[0] where i + k >= 0 && i + k < s[1] {
      bytes.mutable.storeBytes(of: 1, toByteOffset: i * s[1] + i + k, as: UInt8.self)
    }
    let eye = newConstant(TensorData(type: .u8, shape: s, bytes: bytes))
    guard let to = ElementType(rawValue: Int32(try n.int("dtype", Int(type(x).rawValue)))) else {
      throw n.fail(.unsupported, "has an unsupported dtype")
    }
    return try cast(eye, to: to)
  }
}
