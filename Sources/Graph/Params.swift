import Kernels

/// A kernel with its parameters: one case per kernel, which is called as in `Kernel` and holds the struct that
/// kernels.h gives it. Indirect, so that passes move ops without moving hundreds of bytes.
public indirect enum Params {
  case unary(eff_unary)
  case binary(eff_binary)
  case `where`(eff_where)
  case cast(eff_cast)
  case copy(eff_strided)
  case fill(eff_fill)
  case gather(eff_gather)
  case gatherElements(eff_elements)
  case gatherND(eff_nd)
  case scatterElements(eff_elements)
  case scatterND(eff_nd)
  case oneHot(eff_one_hot)
  case reduce(eff_reduce)
  case arg(eff_arg)
  case softmax(eff_softmax)
  case cumulate(eff_cumulate)
  case topK(eff_topk)
  case dense(eff_dense)
  case matmul(eff_matmul)
  case conv(eff_conv)
  case convPacked(eff_conv)
  case convTranspose(eff_conv)
  case pool(eff_pool)
  case norm(eff_norm)
  case rnn(eff_rnn)
  case rnnPacked(eff_rnn)
  case resize(eff_resize)
  case random(eff_random)
  case quantize(eff_quantize)
  case dequantize(eff_quantize)
  case dynamicQuantize(eff_fill)
  case matmulInteger(eff_matmul)
  case attention(eff_attention)
  case gridSample(eff_grid_sample)
  case lrn(eff_lrn)
  case det(eff_det)
  case convInteger(eff_conv)
  case trees(eff_trees)
  /// Opens a block: the ops up to its `end` run for the rows whose condition, the only operand, is `wanted`.
  case branch(eff_branch)
  /// Closes the innermost open block.
  case end

  public var kernel: Kernel {
    switch self {
    case .unary: .unary
    case .binary: .binary
    case .where: .where
    case .cast: .cast
    case .copy: .copy
    case .fill: .fill
    case .gather: .gather
    case .gatherElements: .gatherElements
    case .gatherND: .gatherND
    case .scatterElements: .scatterElements
    case .scatterND: .scatterND
    case .oneHot: .oneHot
    case .reduce: .reduce
    case .arg: .arg
    case .softmax: .softmax
    case .cumulate: .cumulate
    case .topK: .topK
    case .dense: .dense
    case .matmul: .matmul
    case .conv: .conv
    case .convPacked: .convPacked
    case .convTranspose: .convTranspose
    case .pool: .pool
    case .norm: .norm
    case .rnn: .rnn
    case .rnnPacked: .rnnPacked
    case .resize: .resize
    case .random: .random
    case .quantize: .quantize
    case .dequantize: .dequantize
    case .dynamicQuantize: .dynamicQuantize
    case .matmulInteger: .matmulInteger
    case .attention: .attention
    case .gridSample: .gridSample
    case .lrn: .lrn
    case .det: .det
    case .convInteger: .convInteger
    case .trees: .trees
    case .branch: .branch
    case .end: .end
    }
  }

  /// The bytes of the struct, as the kernel reads them.
  public func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
    switch self {
    case .unary(let p): withUnsafeBytes(of: p, body)
    case .binary(let p): withUnsafeBytes(of: p, body)
    case .where(let p): withUnsafeBytes(of: p, body)
    case .cast(let p): withUnsafeBytes(of: p, body)
    case .copy(let p): withUnsafeBytes(of: p, body)
    case .fill(let p), .dynamicQuantize(let p): withUnsafeBytes(of: p, body)
    case .gather(let p): withUnsafeBytes(of: p, body)
    case .gatherElements(let p), .scatterElements(let p): withUnsafeBytes(of: p, body)
    case .gatherND(let p), .scatterND(let p): withUnsafeBytes(of: p, body)
    case .oneHot(let p): withUnsafeBytes(of: p, body)
    case .reduce(let p): withUnsafeBytes(of: p, body)
    case .arg(let p): withUnsafeBytes(of: p, body)
    case .softmax(let p): withUnsafeBytes(of: p, body)
    case .cumulate(let p): withUnsafeBytes(of: p, body)
    case .topK(let p): withUnsafeBytes(of: p, body)
    case .dense(let p): withUnsafeBytes(of: p, body)
    case .matmul(let p), .matmulInteger(let p): withUnsafeBytes(of: p, body)
    case .conv(let p), .convPacked(let p), .convTranspose(let p), .convInteger(let p): withUnsafeBytes(of: p, body)
    case .pool(let p): withUnsafeBytes(of: p, body)
    case .norm(let p): withUnsafeBytes(of: p, body)
    case .rnn(let p), .rnnPacked(let p): withUnsafeBytes(of: p, body)
    case .resize(let p): withUnsafeBytes(of: p, body)
    case .random(let p): withUnsafeBytes(of: p, body)
    case .quantize(let p), .dequantize(let p): withUnsafeBytes(of: p, body)
    case .attention(let p): withUnsafeBytes(of: p, body)
    case .gridSample(let p): withUnsafeBytes(of: p, body)
    case .lrn(let p): withUnsafeBytes(of: p, body)
    case .det(let p): withUnsafeBytes(of: p, body)
    case .trees(let p): withUnsafeBytes(of: p, body)
    case .branch(let p): withUnsafeBytes(of: p, body)
    case .end: body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }

  /// What an f32 kernel applies to its result; nil where none can be put in.
  public var activation: Activation? {
    get {
      switch self {
      case .dense(let p): Activation(fn: p.act, alpha: p.alpha, beta: p.beta)
      case .conv(let p), .convPacked(let p), .convTranspose(let p):
        Activation(fn: p.act, alpha: p.alpha, beta: p.beta)
      case .norm(let p): Activation(fn: p.act, alpha: p.alpha, beta: p.beta)
      default: nil
      }
    }
    set {
      guard let a = newValue else { return }
      switch self {
      case .dense(var p):
        (p.act, p.alpha, p.beta) = (a.fn, a.alpha, a.beta)
        self = .dense(p)
      case .conv(let p): self = .conv(p.with(a))
      case .convPacked(let p): self = .convPacked(p.with(a))
      case .convTranspose(let p): self = .convTranspose(p.with(a))
      case .norm(var p):
        (p.act, p.alpha, p.beta) = (a.fn, a.alpha, a.beta)
        self = .norm(p)
      default: return
      }
    }
  }
}

/// A function of `eff_unary` and its parameters.
public struct Activation {
  public var fn: Int32
  public var alpha: Double
  public var beta: Double

  public var isIdentity: Bool { fn == EFF_FN_IDENTITY }
}

extension eff_conv {
  fileprivate func with(_ a: Activation) -> eff_conv {
    var p = self
    (p.act, p.alpha, p.beta) = (a.fn, a.alpha, a.beta)
    return p
  }
}

/// Copies numbers into a C array member, which Swift sees as a tuple of Double.
public func store<T>(_ values: [Double], _ tuple: inout T) {
  withUnsafeMutableBytes(of: &tuple) { raw in
    let p = raw.assumingMemoryBound(to: Double.self)
    for (i, v) in values.enumerated() where i < p.count { p[i] = v }
  }
}

/// Copies numbers into a C array member, which Swift sees as a tuple of Int64.
public func store<T>(_ values: [Int], _ tuple: inout T) {
  withUnsafeMutableBytes(of: &tuple) { raw in
    let p = raw.assumingMemoryBound(to: Int64.self)
    for (i, v) in values.enumerated() where i < p.count { p[i] = Int64(v) }
  }
}

/// The first `count` numbers of a C array member.
public func load<T>(_ tuple: T, _ count: Int) -> [Int] {
  withUnsafeBytes(of: tuple) { raw in
    var out: [Int] = []
    for i in 0..<count { out.append(Int(raw.load(fromByteOffset: 8 * i, as: Int64.self))) }
    return out
  }
}
