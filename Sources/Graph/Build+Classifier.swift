import Base
import Kernels
import Onnx

// scores and labels of ai.onnx.ml, with the special cases of two classes that onnxruntime has
extension Builder {
  /// A constant vector.
  mutating func constants(_ values: [Double], _ type: ElementType) throws(Failure) -> Int {
    try budget.take(values.count * 8, for: "a constant")
    let bytes = try Bytes.zeroed(max(values.count, 1) * 8)
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
    let sum = try reduce(try select(isScore, share, try scalar(0, type(x)), label: n.label), Int(EFF_REDUCE_SUM), axes: [last], keepDims: true,
                         label: n.label)
    let rest = try binary(Int(EFF_FN2_MUL), x, try unary(try unary(top, Int(EFF_FN_NEG), label: n.label), Int(EFF_FN_EXP), label: n.label), label: n.label)
    return try binary(Int(EFF_FN2_DIV), try select(isScore, share, rest, label: n.label), sum, label: n.label)
  }

  /// sqrt(2) erfinv(2 x - 1), in the approximation of onnxruntime.
  private mutating func probit(_ x: Int, _ n: Node) throws(Failure) -> Int {
    let a = 0.147
    let v = try op(Int(EFF_FN2_SUB), try op(Int(EFF_FN2_MUL), x, 2, n), 1, n)
    let square = try unary(try unary(v, Int(EFF_FN_SQUARE), label: n.label), Int(EFF_FN_NEG), label: n.label)
    let log = try unary(try op(Int(EFF_FN2_ADD), square, 1, n), Int(EFF_FN_LOG), label: n.label)
    let m = try op(Int(EFF_FN2_ADD), try op(Int(EFF_FN2_MUL), log, 0.5, n), 2 / (3.14159 * a), n)
    let inner = try binary(Int(EFF_FN2_SUB), try unary(m, Int(EFF_FN_SQUARE), label: n.label), try op(Int(EFF_FN2_MUL), log, 1 / a, n), label: n.label)
    let root = try binary(Int(EFF_FN2_SUB), try unary(inner, Int(EFF_FN_SQRT), label: n.label), m, label: n.label)
    let size = try op(Int(EFF_FN2_MUL), try unary(root, Int(EFF_FN_SQRT), label: n.label), 1.41421356, n)
    return try select(try op(Int(EFF_FN2_LESS), v, 0, n), try unary(size, Int(EFF_FN_NEG), label: n.label), size, label: n.label)
  }
}
