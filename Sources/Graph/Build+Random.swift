import Base
import Kernels
import Onnx

// sampling operators: they draw from the generator of the session
extension Builder {
  mutating func buildRandom(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .randomNormal, .randomUniform:
      return [try sample(n, try n.ints("shape") ?? [], try dtype(n, .f32))]
    case .randomNormalLike, .randomUniformLike:
      let x = try n.input(0)
      return [try sample(n, shape(x), try dtype(n, type(x)))]
    case .bernoulli:
      let x = try n.input(0)
      let p = try cast(x, to: .f32)
      return [try draw(n, shape(x), try dtype(n, type(x)), fn: 2, low: 0, high: 1, input: p, outer: 1, size: 1)]
    case .multinomial:
      let x = try n.input(0)
      let s = shape(x)
      guard s.count == 2, s[1] > 0 else { throw n.fail(.shape, "input is \(describe(s)), expected [batch, classes]") }
      let samples = try n.int("sample_size", 1)
      let to = try dtype(n, .i32)
      guard to == .i32 || to == .i64 else {
        throw n.fail(.unsupported, "draws classes as \(to.name), expected i32 or i64")
      }
      return [
        try draw(n, [s[0], samples], to, fn: 3, low: 0, high: 1, input: try cast(x, to: .f32), outer: s[0], size: s[1])
      ]
    default: return nil
    }
  }

  private func dtype(_ n: Node, _ fallback: ElementType) throws(Failure) -> ElementType {
    let code = Int32(try n.int("dtype", Int(fallback.rawValue)))
    guard let t = ElementType(rawValue: code) else {
      throw n.fail(.unsupported, "dtype \(ElementType.unsupportedName(code)) is not supported")
    }
    return t
  }

  private mutating func sample(_ n: Node, _ form: [Int], _ t: ElementType) throws(Failure) -> Int {
    guard t.isFloat else { throw n.fail(.unsupported, "draws \(t.name), expected a floating-point type") }
    if n.operator == .randomUniform || n.operator == .randomUniformLike {
      return try draw(
        n, form, t, fn: 0, low: try n.float("low", 0), high: try n.float("high", 1), input: -1, outer: 1, size: 1)
    }
    return try draw(
      n, form, t, fn: 1, low: try n.float("mean", 0), high: try n.float("scale", 1), input: -1, outer: 1, size: 1)
  }

  /// The generators of the rows are the first operand; the session binds them.
  private mutating func draw(
    _ n: Node, _ form: [Int], _ t: ElementType, fn: Int32, low: Double, high: Double, input: Int, outer: Int, size: Int
  ) throws(Failure) -> Int {
    if n.has("seed") {
      Log.write(.info, "\(n.label): attribute 'seed' is passed over; the seed of the session decides")
    }
    let y = try newValue(t, form, n.label)
    var p = eff_random()
    p.count = Int64(fn == 3 ? form[1] : count(y))
    (p.outer, p.n) = (Int64(outer), Int64(size))
    p.fn = fn
    p.out_type = t.rawValue
    (p.low, p.high) = (low, high)
    // the kernel is chosen by what it reads
    var op = GraphOp(.random(p), type: input >= 0 ? type(input) : t, inputs: [-1, input], outputs: [y], label: n.label)
    op.work = work([Int(p.outer), Int(p.count), Int(p.n)])
    graph.ops.append(op)
    return y
  }
}
