import Base
import Kernels
import Onnx

/// One tensor of a graph. Every shape is static.
public struct Value {
  public var name: String
  public let type: ElementType
  public let shape: [Int]
  /// The elements, where they are known at load.
  public var constant: TensorData? = nil
  /// The value whose memory this one uses: itself, or another that it is a view of, `offset` bytes in.
  public var root: Int
  public var offset = 0

  public init(name: String, type: ElementType, shape: [Int], constant: TensorData? = nil, root: Int, offset: Int = 0) {
    self.name = name
    self.type = type
    self.shape = shape
    self.constant = constant
    self.root = root
    self.offset = offset
  }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * type.size }
}

/// One kernel call over values.
public struct GraphOp {
  public var kernel: Int32
  /// Element type by which the kernel is chosen.
  public var type: ElementType
  public var params: Params
  /// Value per operand of the kernel, -1 where an optional one is absent; inputs, then outputs.
  public var operands: [Int]
  public var inputCount: Int
  /// Constants that the planner packs for the kernel, which then takes one packed operand in their place.
  public var packing: Packing? = nil
  /// Bytes per row of scratch memory, passed as one operand after the outputs.
  public var scratch = 0
  /// Multiply-add operations per row.
  public var work = 0
  /// Node that this op comes from, for messages.
  public var label: String

  public init(kernel: Int, type: ElementType, params: Params, inputs: [Int], outputs: [Int], label: String) {
    self.kernel = Int32(kernel)
    self.type = type
    self.params = params
    operands = inputs + outputs
    inputCount = inputs.count
    self.label = label
  }

  public var inputs: ArraySlice<Int> { operands[..<inputCount] }
  public var outputs: ArraySlice<Int> { operands[inputCount...] }
}

/// Weights before packing. Strides in elements; `scale` and `biasScale` multiply while packing.
public struct Packing {
  public var weights: TensorData
  public var recurrent: TensorData? = nil
  public var bias: TensorData? = nil
  /// Dense: weight of input i and output o is at `i * inputStride + o * outputStride`.
  public var inputStride = 0
  public var outputStride = 0
  /// 0 where one bias serves all outputs.
  public var biasStride = 1
  public var scale = 1.0
  public var biasScale = 1.0
}

/// A tensor that crosses the border of the graph.
public struct Port {
  public var name: String
  public var value: Int
  public var role = Role.auxiliary
  public var reason = RoleReason.none

  public init(name: String, value: Int) {
    self.name = name
    self.value = value
  }
}

/// A constant of the model that is kept apart from the others, so that it can change.
public struct Parameter {
  public var name: String
  public var value: Int
  public var initial: TensorData
}

/// A recurrent state: what `output` holds after a step is what `input` holds at the next.
public struct StatePair {
  public var input: Int
  public var output: Int

  public init(input: Int, output: Int) {
    self.input = input
    self.output = output
  }
}

/// A line for the log and for `inspect`.
public struct GraphNote {
  public var text: String
  public var isWarning: Bool

  public init(_ text: String, isWarning: Bool = false) { (self.text, self.isWarning) = (text, isWarning) }
}

/// A policy as kernel calls over static shapes, in order of execution.
public struct Graph {
  public var values: [Value] = []
  public var ops: [GraphOp] = []
  public var inputs: [Port] = []
  public var outputs: [Port] = []
  /// By position in `inputs` and `outputs`.
  public var states: [StatePair] = []
  /// Why `eff_session_step` is refused and what to do about it; empty where it runs.
  public var refusal = ""
  /// What was decided about this file that it does not say itself, a line each.
  public var notes: [GraphNote] = []
  /// Values that `BuildOptions.parameters` named.
  public var parameters: [Parameter] = []
  /// Bounds what constants that rewrites make may take.
  public var budget = MemoryBudget(limit: .max)
  public var nodeCount = 0
  /// Ops before fusion.
  public var unfusedCount = 0

  /// The value that owns the memory of `v`.
  public func root(_ v: Int) -> Int { values[v].root }
}

/// Parameters of a kernel: one case per struct of kernels.h. Indirect, so that passes move ops without moving hundreds
/// of bytes.
public indirect enum Params {
  case unary(eff_unary)
  case binary(eff_binary)
  case select(eff_where)
  case cast(eff_cast)
  case strided(eff_strided)
  case fill(eff_fill)
  case gather(eff_gather)
  case elements(eff_elements)
  case tuples(eff_nd)
  case oneHot(eff_one_hot)
  case reduce(eff_reduce)
  case arg(eff_arg)
  case softmax(eff_softmax)
  case cumulate(eff_cumulate)
  case topK(eff_topk)
  case dense(eff_dense)
  case matmul(eff_matmul)
  case conv(eff_conv)
  case pool(eff_pool)
  case norm(eff_norm)
  case rnn(eff_rnn)
  case resize(eff_resize)
  case random(eff_random)
  case quantize(eff_quantize)
  case attention(eff_attention)
  case gridSample(eff_grid_sample)
  case lrn(eff_lrn)
  case det(eff_det)
  /// Opens a block: the ops up to its `end` run for the rows whose condition, the only operand, is `wanted`.
  case branch(eff_branch)
  /// Closes the innermost open block.
  case end
  case trees(eff_trees)

  /// The bytes of the struct, as the kernel reads them.
  public func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
    switch self {
    case .unary(let p): withUnsafeBytes(of: p, body)
    case .binary(let p): withUnsafeBytes(of: p, body)
    case .select(let p): withUnsafeBytes(of: p, body)
    case .cast(let p): withUnsafeBytes(of: p, body)
    case .strided(let p): withUnsafeBytes(of: p, body)
    case .fill(let p): withUnsafeBytes(of: p, body)
    case .gather(let p): withUnsafeBytes(of: p, body)
    case .elements(let p): withUnsafeBytes(of: p, body)
    case .tuples(let p): withUnsafeBytes(of: p, body)
    case .oneHot(let p): withUnsafeBytes(of: p, body)
    case .reduce(let p): withUnsafeBytes(of: p, body)
    case .arg(let p): withUnsafeBytes(of: p, body)
    case .softmax(let p): withUnsafeBytes(of: p, body)
    case .cumulate(let p): withUnsafeBytes(of: p, body)
    case .topK(let p): withUnsafeBytes(of: p, body)
    case .dense(let p): withUnsafeBytes(of: p, body)
    case .matmul(let p): withUnsafeBytes(of: p, body)
    case .conv(let p): withUnsafeBytes(of: p, body)
    case .pool(let p): withUnsafeBytes(of: p, body)
    case .norm(let p): withUnsafeBytes(of: p, body)
    case .rnn(let p): withUnsafeBytes(of: p, body)
    case .resize(let p): withUnsafeBytes(of: p, body)
    case .random(let p): withUnsafeBytes(of: p, body)
    case .quantize(let p): withUnsafeBytes(of: p, body)
    case .attention(let p): withUnsafeBytes(of: p, body)
    case .gridSample(let p): withUnsafeBytes(of: p, body)
    case .lrn(let p): withUnsafeBytes(of: p, body)
    case .det(let p): withUnsafeBytes(of: p, body)
    case .branch(let p): withUnsafeBytes(of: p, body)
    case .end: body(UnsafeRawBufferPointer(start: nil, count: 0))
    case .trees(let p): withUnsafeBytes(of: p, body)
    }
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
