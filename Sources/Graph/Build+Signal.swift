import Base
import Kernels
import Onnx

// windows and transforms of signals; sizes are constants
extension Builder {
  mutating func buildSignal(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .hannWindow: return [try buildWindow(n, [0.5, -0.5])]
    case .hammingWindow: return [try buildWindow(n, [25.0 / 46, -21.0 / 46])]
    case .blackmanWindow: return [try buildWindow(n, [0.42, -0.5, 0.08])]
    case .dft: return [try buildDFT(n)]
    case .stft: return [try buildSTFT(n)]
    case .melWeightMatrix: return [try buildMel(n)]
    default: return nil
    }
  }

  static let pi = 3.14159265358979323846

  private func outputType(_ n: Node) throws(Failure) -> ElementType {
    let code = Int32(truncatingIfNeeded: try n.int("output_datatype", 1))
    guard let t = ElementType(rawValue: code) else {
      throw n.fail(.unsupported, "output_datatype \(ElementType.unsupportedName(code)) is not supported")
    }
    return t
  }

  /// A constant of doubles.
  private mutating func doubles(_ v: [Double], _ shape: [Int]) throws(Failure) -> Int { try doubles(shape) { v[$0] } }

  /// A constant of doubles, by position.
  private mutating func doubles(_ shape: [Int], _ value: (Int) -> Double) throws(Failure) -> Int {
    let count = try TensorReader.count(shape, "a constant")
    let bytes = try budget.zeroed(8 * max(count, 1), for: "a constant")
    for i in 0..<count { bytes.mutable.storeBytes(of: value(i), toByteOffset: 8 * i, as: Double.self) }
    return newConstant(TensorData(type: .f64, shape: shape, bytes: bytes))
  }

  /// sum of c[k] cos(2 pi k i / period).
  private mutating func buildWindow(_ n: Node, _ c: [Double]) throws(Failure) -> Int {
    guard let size = try integers(try n.input(0), n, "size").first, size >= 0, size < 1 << 24 else {
      throw n.fail(.shape, "has no positive size")
    }
    try budget.take(8 * size, for: n.label)
    let period = try n.bool("periodic", true) ? size : size - 1
    var sum = try filled(c[0], .f64, [size])
    for k in 1..<c.count {
      let angles = try doubles((0..<size).map { 2 * Self.pi * Double(k * $0) / Double(max(period, 1)) }, [size])
      let wave = try unary(angles, Int(EFF_FN_COS), label: n.label)
      sum = try binary(
        Int(EFF_FN2_ADD), sum, try binary(Int(EFF_FN2_MUL), wave, try scalar(c[k], .f64), label: n.label),
        label: n.label)
    }
    // whole numbers are cut from f32, as ONNX computes them
    let to = try outputType(n)
    return try cast(to.isFloat ? sum : try cast(sum, to: .f32), to: to)
  }

  /// The matrix [from * parts, to * 2] that takes a signal, real or complex, to its spectrum, parts interleaved.
  private mutating func fourier(
    _ type: ElementType, from: Int, parts: Int, to: Int, period: Int, isInverse: Bool, _ n: Node
  ) throws(Failure) -> Int {
    guard from > 0, to > 0, from * to < 1 << 24 else {
      throw n.fail(.unsupported, "transforms \(from) values to \(to), expected less than \(1 << 24) in their product")
    }
    try budget.take(32 * from * to, for: n.label)
    let angles = try doubles([from, 1, to, 1]) { 2 * Self.pi * Double($0 / to * ($0 % to) % period) / Double(period) }
    var cos = try unary(angles, Int(EFF_FN_COS), label: n.label)
    var sin = try unary(angles, Int(EFF_FN_SIN), label: n.label)
    if isInverse {
      let share = try scalar(1 / Double(period), .f64)
      cos = try binary(Int(EFF_FN2_MUL), cos, share, label: n.label)
      sin = try binary(Int(EFF_FN2_MUL), sin, share, label: n.label)
    }
    let minus = try unary(sin, Int(EFF_FN_NEG), label: n.label)
    // e^(-ia) = cos a - i sin a
    var m = try concat([cos, isInverse ? sin : minus], axis: 3, label: n.label)
    if parts == 2 {
      m = try concat(
        [m, try concat([isInverse ? minus : sin, cos], axis: 3, label: n.label)], axis: 1, label: n.label)
    }
    return try cast(try view(m, [from * parts, to * 2]), to: type)
  }

  /// x [..., n, parts] -> [..., to, 2]
  private mutating func transform(_ x: Int, period: Int, isOneSided: Bool, isInverse: Bool, _ n: Node) throws(Failure)
    -> Int
  {
    let s = shape(x)
    let (from, parts) = (s[s.count - 2], s[s.count - 1])
    guard parts == 1 || parts == 2, type(x).isFloat, !(isOneSided && isInverse) else {
      throw n.fail(
        .unsupported,
        """
        input is \(type(x).name) \(describe(s)), expected numbers with one or two parts in the last dimension, and no \
        onesided inverse
        """
      )
    }
    let to = isOneSided ? period / 2 + 1 : period
    let m = try fourier(type(x), from: from, parts: parts, to: to, period: period, isInverse: isInverse, n)
    let rows = s.dropLast(2).reduce(1, *)
    return try view(try matmul(try view(x, [rows, from * parts]), m, label: n.label), Array(s.dropLast(2)) + [to, 2])
  }

  private mutating func buildDFT(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let rank = shape(x).count
    var given = try n.int("axis", n.opset < 20 ? 1 : -2)
    if n.opset >= 20, let v = n.optional(2) { given = try integers(v, n, "axis").first ?? given }
    let a = try axis(given, rank: rank, n)
    guard rank >= 2, a < rank - 1 else {
      throw n.fail(.shape, "axis \(given) of \(describe(shape(x))) must come before the last")
    }
    var perm = Array(0..<rank)
    perm.swapAt(a, rank - 2)
    var y = try transpose(x, perm, label: n.label)
    var period = shape(y)[rank - 2]
    if let v = n.optional(1) {
      guard let wanted = try integers(v, n, "dft_length").first, wanted > 0, wanted < 1 << 24 else {
        throw n.fail(.shape, "dft_length must be positive")
      }
      if wanted < period { y = try slice(y, axis: rank - 2, start: 0, count: wanted, label: n.label) }
      period = wanted  // what is missing is zero, and adds nothing
    }
    y = try transform(
      y, period: period, isOneSided: try n.bool("onesided", false), isInverse: try n.bool("inverse", false), n)
    return try transpose(y, perm, label: n.label)
  }

  private mutating func buildSTFT(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    let s = shape(x)
    guard let step = try integers(try n.input(1), n, "frame_step").first, step > 0, s.count == 3 || s.count == 2 else {
      throw n.fail(.shape, "signal is \(describe(s)), expected [batch, length, parts] and a positive frame_step")
    }
    let parts = s.count == 3 ? s[2] : 1
    var size = n.optional(2).map { count($0) } ?? 0
    if let v = n.optional(3) { size = try integers(v, n, "frame_length").first ?? size }
    guard size > 0, size <= s[1] else { throw n.fail(.shape, "frames of \(size) do not fit a signal of \(s[1])") }
    let frames = (s[1] - size) / step + 1
    var y = try gatherStrided(
      x, dims: [s[0], frames, size, parts], strides: [s[1] * parts, step * parts, parts, 1], offset: 0, label: n.label)
    if let w = n.optional(2) {
      guard count(w) == size else { throw n.fail(.shape, "window is \(describe(shape(w))), expected [\(size)]") }
      y = try binary(Int(EFF_FN2_MUL), y, try view(try cast(w, to: type(x)), [size, 1]), label: n.label)
    }
    return try transform(y, period: size, isOneSided: try n.bool("onesided", true), isInverse: false, n)
  }

  /// Triangles over the spectrum bins, evenly spaced on the mel scale 2595 log10(1 + f / 700).
  private mutating func buildMel(_ n: Node) throws(Failure) -> Int {
    guard let bins = try integers(try n.input(0), n, "num_mel_bins").first,
      let length = try integers(try n.input(1), n, "dft_length").first,
      let rate = try integers(try n.input(2), n, "sample_rate").first, bins > 0, bins < 1 << 16, length > 0,
      length < 1 << 20, rate > 0
    else {
      throw n.fail(.shape, "num_mel_bins, dft_length and sample_rate must be positive")
    }
    let edges = try doubles(
      [
        1 + (try number(try n.input(3), n, "lower_edge_hertz")) / 700,
        1 + (try number(try n.input(4), n, "upper_edge_hertz")) / 700,
      ], [2])
    let logs = try numbers(try unary(edges, Int(EFF_FN_LOG), label: n.label), n, "edges")
    let step = (logs[1] - logs[0]) / Double(bins + 2)
    let points = try unary(
      try doubles((0..<bins + 2).map { logs[0] + Double($0) * step }, [bins + 2]), Int(EFF_FN_EXP), label: n.label)
    let place = try numbers(points, n, "edges").map {
      Int(max(0, min(1e9, (Double(length + 1) * 700 * ($0 - 1) / Double(rate)).rounded(.down))))
    }
    let spectrum = length / 2 + 1
    let bytes = try budget.zeroed(8 * spectrum * bins, for: n.label)
    let m = bytes.mutable.bindMemory(to: Double.self, capacity: spectrum * bins)
    for i in 0..<bins {
      let (low, center, high) = (place[i], place[i + 1], place[i + 2])
      if low == center {
        if center < spectrum { m[center * bins + i] = 1 }
      } else {
        for j in low..<max(low, min(center + 1, spectrum)) { m[j * bins + i] = Double(j - low) / Double(center - low) }
      }
      if high > center {
        for j in center..<max(center, min(high, spectrum)) {
          m[j * bins + i] = Double(high - j) / Double(high - center)
        }
      }
    }
    return try cast(newConstant(TensorData(type: .f64, shape: [spectrum, bins], bytes: bytes)), to: try outputType(n))
  }
}
