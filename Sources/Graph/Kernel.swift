import Kernels

/// The kernels of kernels.h. A raw value is the code of the header, and a test holds the two together.
public enum Kernel: Int32, CaseIterable {
  /// No kernel: closes the innermost open block.
  case end = 0
  case unary = 1
  case binary = 2
  case `where` = 3
  case cast = 4
  case copy = 5
  case fill = 6
  case gather = 7
  case gatherElements = 8
  case gatherND = 9
  case scatterElements = 10
  case scatterND = 11
  case oneHot = 12
  case reduce = 13
  case arg = 14
  case softmax = 15
  case cumulate = 16
  case topK = 17
  case dense = 18
  case matmul = 19
  case conv = 20
  case convPacked = 21
  case convTranspose = 22
  case pool = 23
  case norm = 24
  case rnn = 25
  case rnnPacked = 26
  case resize = 27
  case random = 28
  case quantize = 29
  case dequantize = 30
  case dynamicQuantize = 31
  case matmulInteger = 32
  case attention = 33
  case gridSample = 34
  case lrn = 35
  case det = 36
  case convInteger = 37
  case trees = 38
  case branch = 60

  /// What a kernel is called, takes and gives; the table of all of them. Packed weights are no operand here: the
  /// planner puts them behind the first input of an op that has some.
  public var row: KernelRow { Kernel.rows[Int(rawValue)] }

  /// By code.
  private static let rows: [KernelRow] = (0...Kernel.branch.rawValue).map { (Kernel(rawValue: $0) ?? .end).written }

  private var written: KernelRow {
    switch self {
    case .end: KernelRow("end", .init(), .init())
    case .unary: KernelRow("unary", .init(.x), .init(.y), slopes: .init(.x))
    case .binary: KernelRow("binary", .init(.a, .b), .init(.y), slopes: .init(.a, .b))
    case .where: KernelRow("where", .init(.condition, .a, .b), .init(.y), slopes: .init(.a, .b))
    case .cast: KernelRow("cast", .init(.x), .init(.y), slopes: .init())
    case .copy: KernelRow("copy", .init(.x), .init(.y), slopes: .init(.x))
    case .fill: KernelRow("fill", .init(.scalar), .init(.y))
    case .gather: KernelRow("gather", .init(.x, .indices), .init(.y), slopes: .init(.x))
    case .gatherElements: KernelRow("gather_elements", .init(.x, .indices), .init(.y), slopes: .init(.x))
    case .gatherND: KernelRow("gather_nd", .init(.x, .indices), .init(.y))
    case .scatterElements:
      KernelRow("scatter_elements", .init(.indices, .updates), .init(.y), empty: .unchanged)
    case .scatterND: KernelRow("scatter_nd", .init(.indices, .updates), .init(.y), empty: .unchanged)
    case .oneHot: KernelRow("one_hot", .init(.indices, .values), .init(.y))
    case .reduce: KernelRow("reduce", .init(.x), .init(.y), slopes: .init(.x), empty: .neutral)
    case .arg: KernelRow("arg", .init(.x), .init(.y), slopes: .init())
    case .softmax: KernelRow("softmax", .init(.x), .init(.y), slopes: .init(.x))
    case .cumulate: KernelRow("cumulate", .init(.x), .init(.y))
    case .topK: KernelRow("top_k", .init(.x), .init(.values, .indices))
    case .dense: KernelRow("dense", .init(.x), .init(.y))
    case .matmul:
      KernelRow(
        "matmul", .init(.a, .b, .bias, required: 2), .init(.y), slopes: .init(.a, .b, .bias), empty: .zeroProduct)
    case .conv:
      KernelRow("conv", .init(.x, .w, .bias, required: 2), .init(.y), slopes: .init(.x, .w, .bias), empty: .bias)
    case .convPacked: KernelRow("conv", .init(.x), .init(.y))
    case .convTranspose:
      KernelRow(
        "conv_transpose", .init(.x, .w, .bias, required: 2), .init(.y), slopes: .init(.x, .w, .bias), empty: .bias)
    case .pool: KernelRow("pool", .init(.x), .init(.y, .indices, required: 1), slopes: .init(.x))
    case .norm:
      KernelRow(
        "norm", .init(.x, .scale, .bias, required: 1), .init(.y, .mean, .invStd, required: 1),
        slopes: .init(.x, .scale, .bias))
    case .rnn:
      KernelRow(
        "rnn", .init(.x, .w, .r, .b, .lengths, .h0, .c0, .p, required: 3), .init(.y, .yH, .yC, required: 0),
        slopes: .init(), empty: .state)
    case .rnnPacked:
      KernelRow(
        "rnn", .init(.x, .h0, .c0, required: 1), .init(.y, .yH, .yC, required: 0), slopes: .init(), empty: .state)
    case .resize: KernelRow("resize", .init(.x), .init(.y))
    case .random: KernelRow("random", .init(.state, .input, required: 1), .init(.y))
    case .quantize: KernelRow("quantize", .init(.x, .scale, .zero, required: 2), .init(.y))
    case .dequantize: KernelRow("dequantize", .init(.x, .scale, .zero, required: 2), .init(.y))
    case .dynamicQuantize: KernelRow("dynamic_quantize", .init(.x), .init(.y, .scale, .zero), empty: .unitScale)
    case .matmulInteger:
      KernelRow("matmul_integer", .init(.a, .b, .aZero, .bZero, required: 2), .init(.y), empty: .filled(0))
    case .attention: KernelRow("attention", .init(.q, .k, .v, .mask, required: 3), .init(.y), empty: .equalScores)
    case .gridSample: KernelRow("grid_sample", .init(.x, .grid), .init(.y))
    case .lrn: KernelRow("lrn", .init(.x), .init(.y))
    case .det: KernelRow("det", .init(.x), .init(.y), empty: .filled(1))
    case .convInteger:
      KernelRow("conv_integer", .init(.x, .w, .xZero, .wZero, required: 2), .init(.y), empty: .filled(0))
    case .trees:
      KernelRow("trees", .init(.x, .nodes, .roots, .leaves, .targets, .weights), .init(.y, .has))
    case .branch: KernelRow("branch", .init(.condition), .init())
    }
  }

  /// Bytes of the kernel's parameters, a struct of kernels.h.
  public var parameterSize: Int {
    switch self {
    case .end: 0
    case .unary: MemoryLayout<eff_unary>.size
    case .binary: MemoryLayout<eff_binary>.size
    case .where: MemoryLayout<eff_where>.size
    case .cast: MemoryLayout<eff_cast>.size
    case .copy: MemoryLayout<eff_strided>.size
    case .fill, .dynamicQuantize: MemoryLayout<eff_fill>.size
    case .gather: MemoryLayout<eff_gather>.size
    case .gatherElements, .scatterElements: MemoryLayout<eff_elements>.size
    case .gatherND, .scatterND: MemoryLayout<eff_nd>.size
    case .oneHot: MemoryLayout<eff_one_hot>.size
    case .reduce: MemoryLayout<eff_reduce>.size
    case .arg: MemoryLayout<eff_arg>.size
    case .softmax: MemoryLayout<eff_softmax>.size
    case .cumulate: MemoryLayout<eff_cumulate>.size
    case .topK: MemoryLayout<eff_topk>.size
    case .dense: MemoryLayout<eff_dense>.size
    case .matmul, .matmulInteger: MemoryLayout<eff_matmul>.size
    case .conv, .convPacked, .convTranspose, .convInteger: MemoryLayout<eff_conv>.size
    case .pool: MemoryLayout<eff_pool>.size
    case .norm: MemoryLayout<eff_norm>.size
    case .rnn, .rnnPacked: MemoryLayout<eff_rnn>.size
    case .resize: MemoryLayout<eff_resize>.size
    case .random: MemoryLayout<eff_random>.size
    case .quantize, .dequantize: MemoryLayout<eff_quantize>.size
    case .attention: MemoryLayout<eff_attention>.size
    case .gridSample: MemoryLayout<eff_grid_sample>.size
    case .lrn: MemoryLayout<eff_lrn>.size
    case .det: MemoryLayout<eff_det>.size
    case .trees: MemoryLayout<eff_trees>.size
    case .branch: MemoryLayout<eff_branch>.size
    }
  }

  /// A product or convolution in which each number of the result is a sum over weights.
  public var isLayer: Bool { self == .matmul || self == .conv || self == .convTranspose }
}

/// One row of the table of kernels.
public struct KernelRow: Sendable {
  /// As `eff_policy_op` shows it.
  public let name: String
  public let inputs: OperandList
  public let outputs: OperandList
  /// Inputs that a gradient passes to; none where the result is flat wherever it has a slope; nil where there is no
  /// derivative.
  public let slopes: OperandList?
  public let empty: EmptyRule

  fileprivate init(
    _ name: String, _ inputs: OperandList, _ outputs: OperandList, slopes: OperandList? = nil,
    empty: EmptyRule = .undefined
  ) {
    (self.name, self.inputs, self.outputs, self.slopes, self.empty) = (name, inputs, outputs, slopes, empty)
  }
}

/// What a kernel gives that has an input without elements and an output with some.
public enum EmptyRule: Sendable {
  /// The op is refused.
  case undefined
  /// The same number everywhere.
  case filled(Double)
  /// The neutral element of the reduction.
  case neutral
  /// A sum of no products is that of one product of zeros.
  case zeroProduct
  /// No channels, or padding alone: the bias everywhere.
  case bias
  /// Nothing to scatter: y keeps the data.
  case unchanged
  /// No time or no input: the state stays, or moves by itself.
  case state
  /// All scores are 0.
  case equalScores
  /// Scale 1 and zero point 0.
  case unitScale
}

/// What the operands of kernels are called, as in kernels.h.
public enum OperandName: UInt8, Sendable {
  case none = 0
  case x, y, a, b, w, r, p, q, k, v
  case bias, scale, zero, aZero, bZero, xZero, wZero, mean, invStd
  case condition, scalar, indices, updates, values, mask, grid, state, input
  case lengths, h0, c0, yH, yC
  case nodes, roots, leaves, targets, weights, has
}

/// Operands in the order in which a kernel takes them, at most eight. The first `required` are always given; of the
/// others any may be absent.
public struct OperandList: Equatable, Sendable {
  /// A name per byte, the first one lowest.
  private let names: UInt64
  public let required: Int

  public init(
    _ n0: OperandName = .none, _ n1: OperandName = .none, _ n2: OperandName = .none, _ n3: OperandName = .none,
    _ n4: OperandName = .none, _ n5: OperandName = .none, _ n6: OperandName = .none, _ n7: OperandName = .none,
    required: Int? = nil
  ) {
    let low =
      UInt64(n0.rawValue) | UInt64(n1.rawValue) << 8 | UInt64(n2.rawValue) << 16 | UInt64(n3.rawValue) << 24
    let high =
      UInt64(n4.rawValue) | UInt64(n5.rawValue) << 8 | UInt64(n6.rawValue) << 16 | UInt64(n7.rawValue) << 24
    names = low | high << 32
    self.required = required ?? (71 - names.leadingZeroBitCount) / 8
  }

  public var count: Int { (71 - names.leadingZeroBitCount) / 8 }

  /// The name of operand `i`; `.none` behind the last one.
  public subscript(i: Int) -> OperandName {
    OperandName(rawValue: UInt8(truncatingIfNeeded: names >> UInt64(8 * i))) ?? .none
  }

  /// Where an operand stands; nil where it is not in the list.
  public func position(_ name: OperandName) -> Int? {
    for i in 0..<count where self[i] == name { return i }
    return nil
  }
}
