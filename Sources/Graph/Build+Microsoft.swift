import Base
import Kernels
import Onnx

// domain com.microsoft: what onnxruntime's graph optimizer writes in place of float operators
extension Builder {
  /// An operator of com.microsoft version 1; nil where it is unknown.
  mutating func buildMicrosoft(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .gelu:
      return [try unary(try n.input(0), Int(EFF_FN_GELU), label: n.label)]
    case .biasGelu:
      return [try unary(try biased(try n.input(0), try n.input(1), n), Int(EFF_FN_GELU), label: n.label)]
    case .fastGelu:
      return [try unary(try biased(try n.input(0), n.optional(1), n), Int(EFF_FN_GELU_TANH), label: n.label)]
    case .quickGelu:
      let alpha = try n.float("alpha", 1.702)
      return [try unary(try n.input(0), Int(EFF_FN_SWISH), alpha: alpha, label: n.label)]
    case .fusedMatMul, .transposeMatMul: return [try buildFusedMatMul(n)]
    case .fusedGemm: return [try buildFusedGemm(n)]
    case .fusedConv: return [try buildFusedConv(n)]
    case .skipLayerNormalization: return try buildSkipNorm(n, rms: false)
    case .skipSimplifiedLayerNormalization: return try buildSkipNorm(n, rms: true)
    case .embedLayerNormalization: return try buildEmbedNorm(n)
    default: break
    }
    if let out = try buildMicrosoftAttention(n) { return out }
    if let out = try buildMicrosoftQuantized(n) { return out }
    if let out = try buildMicrosoftPacked(n) { return out }
    return nil
  }

  /// x + bias, where there is one.
  mutating func biased(_ x: Int, _ bias: Int?, _ n: Node) throws(Failure) -> Int {
    guard let bias else { return x }
    guard broadcast(shape(x), shape(bias)) == shape(x) else {
      throw n.fail(
        .shape, "bias is \(describe(shape(bias))), expected a shape that broadcasts to \(describe(shape(x)))")
    }
    return try binary(Int(EFF_FN2_ADD), x, bias, label: n.label)
  }

  // MARK: products

  /// Y = alpha A' B', where each factor may have its last two dimensions swapped, and its first dimension moved behind
  /// the batch.
  private mutating func buildFusedMatMul(_ n: Node) throws(Failure) -> Int {
    func factor(_ b: inout Builder, _ i: Int, _ swap: String, _ move: String) throws(Failure) -> Int {
      let v = try n.input(i)
      let rank = b.shape(v).count
      var order = Array(0..<rank)
      if try n.bool(move, false), rank > 2 { order = Array(1..<(rank - 1)) + [0, rank - 1] }
      if try n.bool(swap, false), rank > 1 { order.swapAt(rank - 2, rank - 1) }
      return try b.transpose(v, order, label: n.label)
    }
    let a = try factor(&self, 0, "transA", "transBatchA")
    let b = try factor(&self, 1, "transB", "transBatchB")
    let y = try buildMatMul(n.with(inputs: [a, b]))
    let alpha = try n.float("alpha", 1)
    return alpha == 1 ? y : try binary(Int(EFF_FN2_MUL), y, try scalar(alpha, type(y)), label: n.label)
  }

  private mutating func buildFusedGemm(_ n: Node) throws(Failure) -> Int {
    var params: [Double] = []
    if n.has("activation_alpha") { params.append(try n.float("activation_alpha", 0)) }
    if n.has("activation_beta") {
      guard !params.isEmpty else { throw n.fail(.format, "has activation_beta without activation_alpha") }
      params.append(try n.float("activation_beta", 0))
    }
    return try activated(try buildGemm(n), params, n)
  }

  /// Y = activation(convolution of X with W + B + Z)
  private mutating func buildFusedConv(_ n: Node) throws(Failure) -> Int {
    var y = try buildConv(n)
    if let z = n.optional(3) {
      guard shape(z) == shape(y) else {
        throw n.fail(.shape, "input Z is \(describe(shape(z))), expected \(describe(shape(y)))")
      }
      y = try binary(Int(EFF_FN2_ADD), y, z, label: n.label)
    }
    return try activated(y, try n.floats("activation_params") ?? [], n)
  }

  /// The activation that a fused operator names, with its parameters or their defaults.
  private mutating func activated(_ x: Int, _ params: [Double], _ n: Node) throws(Failure) -> Int {
    let name = try n.string("activation", "")
    let fn: (code: Int32, defaults: [Double])
    switch name {
    case "": return x
    case "Relu": fn = (Int32(EFF_FN_RELU), [])
    case "Tanh": fn = (Int32(EFF_FN_TANH), [])
    case "Sigmoid": fn = (Int32(EFF_FN_SIGMOID), [])
    case "Softplus": fn = (Int32(EFF_FN_SOFTPLUS), [])
    case "Softsign": fn = (Int32(EFF_FN_SOFTSIGN), [])
    case "LeakyRelu": fn = (Int32(EFF_FN_LEAKY_RELU), [0.01])
    case "Elu": fn = (Int32(EFF_FN_ELU), [1])
    case "Celu": fn = (Int32(EFF_FN_CELU), [1])
    case "ThresholdedRelu": fn = (Int32(EFF_FN_THRESHOLDED_RELU), [1])
    case "HardSigmoid": fn = (Int32(EFF_FN_HARD_SIGMOID), [0.2, 0.5])
    case "HardSwish": fn = (Int32(EFF_FN_HARD_SWISH), [])
    case "Clip": fn = (Int32(EFF_FN_CLIP), [-.infinity, .infinity])
    default: throw n.fail(.unsupported, "activation '\(name)' is not known")
    }
    guard params.count <= fn.defaults.count else {
      throw n.fail(.format, "activation '\(name)' has \(params.count) parameters, expected \(fn.defaults.count)")
    }
    let p = params + fn.defaults.dropFirst(params.count)
    return try unary(x, Int(fn.code), alpha: p.first ?? 0, beta: p.count > 1 ? p[1] : 0, label: n.label)
  }

  // MARK: normalizations

  /// gamma (x - mean) / sqrt(var + epsilon) + beta over the last dimension; rms: without mean and beta.
  private mutating func lastNorm(_ x: Int, gamma: Int, beta: Int?, epsilon: Double, rms: Bool, _ n: Node)
    throws(Failure) -> Int
  {
    let s = shape(x)
    let size = s.last ?? 1
    func whole(_ v: Int, _ what: String) throws(Failure) -> Int {
      guard shape(v) == [size], type(v) == type(x) else {
        throw n.fail(.shape, "\(what) is \(type(v).name) \(describe(shape(v))), expected \(type(x).name) [\(size)]")
      }
      return v
    }
    let shift = try beta.map { v throws(Failure) in try whole(v, "beta") } ?? -1
    return try norm(
      x, try whole(gamma, "gamma"), shift, outer: s.dropLast().reduce(1, *), n: size, affine: Int32(EFF_NORM_ELEMENT),
                    channels: 1, inner: 1, epsilon: epsilon, rms: rms, n)
  }

  /// Normalization of a sum; the sum itself is output 3.
  private mutating func buildSkipNorm(_ n: Node, rms: Bool) throws(Failure) -> [Int] {
    let x = try n.input(0)
    var sum = try biased(x, try n.input(1), n)
    sum = try biased(sum, n.optional(rms ? 3 : 4), n)
    let y = try lastNorm(
      sum, gamma: try n.input(2), beta: rms ? nil : n.optional(3), epsilon: try n.float("epsilon", 1e-12), rms: rms, n)
    return [y, -1, -1, sum]
  }

  /// Sum of the embeddings of words, positions and segments, normalized; output 1 counts the ones of the mask, output 2
  /// is the sum.
  private mutating func buildEmbedNorm(_ n: Node) throws(Failure) -> [Int] {
    n.passOver(["mask_index_type"])  // output 1 says the same by being there
    return try embedNorm(
      words: try n.input(2), places: try n.input(3), segments: n.optional(4), gamma: try n.input(5),
      beta: try n.input(6),
                         mask: n.optional(7), ids: n.optional(8), n)
  }

  /// The same with its tables as values of their own.
  mutating func embedNorm(
    words: Int, places: Int, segments: Int?, gamma: Int, beta: Int, mask: Int?, ids: Int?, _ n: Node
  ) throws(Failure) -> [Int] {
    let input = try n.input(0)
    guard shape(input).count == 2 else {
      throw n.fail(.shape, "input_ids is \(describe(shape(input))), expected [batch, length]")
    }
    let (batch, length) = (shape(input)[0], shape(input)[1])
    for (table, what) in [(words, "word"), (places, "position"), (segments ?? words, "segment")]
    where shape(table).count != 2 {
      throw n.fail(.shape, "\(what)_embedding is \(describe(shape(table))), expected [count, hidden]")
    }
    var sum = try gather(words, input, axis: 0, n)
    var place: Int
    if let ids {
      place = try gather(places, ids, axis: 0, n)
    } else {
      guard shape(places)[0] >= length else {
        throw n.fail(.shape, "position_embedding has \(shape(places)[0]) rows, expected \(length)")
      }
      place = try slice(places, axis: 0, start: 0, count: length, label: n.label)
    }
    sum = try biased(sum, place, n)
    if let segments {
      sum = try biased(sum, try gather(segments, try n.input(1), axis: 0, n), n)
    }
    let y = try lastNorm(sum, gamma: gamma, beta: beta, epsilon: try n.float("epsilon", 1e-12), rms: false, n)
    var lengths = -1
    if n.hasOutput(1) {
      if let mask {
        guard shape(mask) == [batch, length], type(mask) == .i32 else {
          throw n.fail(
            .shape, "mask is \(type(mask).name) \(describe(shape(mask))), expected i32 \(describe([batch, length]))")
        }
        let isOne = try binary(Int(EFF_FN2_EQUAL), mask, try scalar(1, .i32), label: n.label)
        lengths = try reduce(try cast(isOne, to: .i32), Int(EFF_REDUCE_SUM), axes: [1], keepDims: false, label: n.label)
      } else {
        lengths = try filled(0, .i32, [batch])
      }
    }
    return [y, lengths, sum]
  }
}
