import Base
import Kernels
import Onnx

// what can be said at load of numbers that are computed while running
extension Builder {
  /// The op that alone writes the memory of `v`; nil for inputs, constants, and what several ops write.
  func writer(_ v: Int) -> GraphOp? {
    guard v >= 0, constant(v) == nil, search.take(graph.ops.count) else { return nil }
    let root = graph.root(v)
    var found: GraphOp?
    for op in graph.ops.reversed() where op.outputs.contains(where: { $0 >= 0 && graph.root($0) == root }) {
      if found != nil { return nil }
      found = op
    }
    return found
  }

  /// Bounds on all elements of `v`; infinite where nothing is known.
  /// - Complexity: linear in ops for each level, of which there are few.
  func range(_ v: Int, depth: Int = 0) -> (low: Double, high: Double) {
    let type = type(v)
    var all = (low: -Double.infinity, high: Double.infinity)
    if type == .bool { all = (0, 1) }
    if type == .u8 { all = (0, 255) }
    if type == .i8 { all = (-128, 127) }
    if type == .u16 { all = (0, 65535) }
    if type == .i16 { all = (-32768, 32767) }
    if let c = constant(v) {
      guard let numbers = wholeNumbers(c), let low = numbers.min(), let high = numbers.max() else { return all }
      return (low, high)
    }
    guard depth < 16, let op = writer(v) else { return all }
    func of(_ name: OperandName) -> (low: Double, high: Double) { range(op[name], depth: depth + 1) }
    var known = (low: -Double.infinity, high: Double.infinity)
    switch op.params {
    case .unary(let p) where p.fn == EFF_FN_CLIP: known = (max(p.alpha, of(.x).low), min(p.beta, of(.x).high))
    case .unary(let p) where p.fn == EFF_FN_RELU: known = (max(0, of(.x).low), max(0, of(.x).high))
    case .unary(let p) where p.fn == EFF_FN_FLOOR: known = (of(.x).low.rounded(.down), of(.x).high)
    case .unary(let p) where p.fn == EFF_FN_CEIL || p.fn == EFF_FN_ROUND:
      known = (of(.x).low.rounded(.down), of(.x).high.rounded(.up))
    case .unary(let p) where p.fn == EFF_FN_SIGMOID: known = (0, 1)
    case .unary(let p) where p.fn == EFF_FN_TANH: known = (-1, 1)
    case .binary(let p):
      let (a, b) = (of(.a), of(.b))
      switch Int(p.fn) {
      case Int(EFF_FN2_MIN): known = (min(a.low, b.low), min(a.high, b.high))
      case Int(EFF_FN2_MAX): known = (max(a.low, b.low), max(a.high, b.high))
      case Int(EFF_FN2_ADD): known = (a.low + b.low, a.high + b.high)
      case Int(EFF_FN2_SUB): known = (a.low - b.high, a.high - b.low)
      case Int(EFF_FN2_MUL) where a.low >= 0 && b.low >= 0 && a.high.isFinite && b.high.isFinite:
        known = (a.low * b.low, a.high * b.high)
      case Int(EFF_FN2_MOD) where b.low > 0: known = (0, type.isFloat ? b.high : b.high - 1)
      case Int(EFF_FN2_DIV) where b.low >= 1 && a.low >= 0: known = (0, a.high / b.low)
      default: break
      }
    case .where: known = (min(of(.a).low, of(.b).low), max(of(.a).high, of(.b).high))
    case .cast(let p):
      // integers that do not fit wrap: only what fits keeps its bounds
      let x = of(.x)
      if x.low >= all.low, x.high <= all.high, p.to != ElementType.bool.rawValue {
        known = (x.low.rounded(.towardZero), x.high.rounded(.towardZero))
      }
    case .copy, .gather: known = of(.x)
    case .arg(let p): known = (0, Double(p.n - 1))
    case .reduce(let p) where p.fn == EFF_REDUCE_MAX || p.fn == EFF_REDUCE_MIN || p.fn == EFF_REDUCE_MEAN:
      known = of(.x)
    case .reduce(let p) where p.fn == EFF_REDUCE_SUM && of(.x).low >= 0 && of(.x).high.isFinite:
      known = (0, of(.x).high * Double(count(op[.x])))
    default: break
    }
    return (max(all.low, known.low), min(all.high, known.high))
  }

  private func wholeNumbers(_ c: TensorData) -> [Double]? {
    guard c.count > 0, c.count <= 4096 else { return nil }
    var out: [Double] = []
    for i in 0..<c.count {
      switch c.type {
      case .i64: out.append(Double(c.start.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self)))
      case .i32: out.append(Double(c.start.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self)))
      case .f32: out.append(Double(c.start.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)))
      case .f64: out.append(c.start.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
      case .u8, .bool: out.append(Double(c.start.load(fromByteOffset: i, as: UInt8.self)))
      default: return nil
      }
    }
    return out
  }
}
