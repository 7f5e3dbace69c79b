import Base
import Kernels
import Onnx

/// What the caller fixes at load.
public struct BuildOptions {
  public var dims: [String: Int] = [:]
  public var constants: [String: TensorData] = [:]
  /// nil: as the metadata says, or recognized by name and shape; otherwise exactly these pairs of names.
  public var states: [(input: String, output: String)]? = nil
  /// Where tensors that the file does not hold are found; nil refuses them.
  public var files: ExternalFiles? = nil
  /// Names of the action and of the observation; nil: as the metadata says, or decided by name.
  public var action: String? = nil
  public var observation: String? = nil
  /// Names of the outputs that are wanted, in order; nil: as the metadata says, or all.
  public var outputs: [String]? = nil
  /// Tensors inside the graph that are kept although no output needs them.
  public var kept: [String] = []
  public var memoryLimit = 4 << 30
  /// Constants of the main graph that become values of their own, which nothing folds.
  public var parameters: Set<String> = []
  /// Instruction set that folding runs on.
  public var isa: Int32 = 0

  public init() {}
}

/// OnnxModel -> Graph. Walks the nodes in order; each becomes kernel calls over static shapes, or constants where all
/// its inputs are.
public struct Builder {
  var graph = Graph()
  /// The model with its nodes in order of execution, without what no output needs.
  var model: OnnxModel
  let hints: RoleHints
  /// Names of the outputs, in the order asked for.
  var wanted: [String] = []
  /// Names that nodes read, of the main graph.
  var read = NameMap()
  /// Initializers that nothing reads.
  var unread: Set<String> = []
  /// Nodes of the main graph that no output needs.
  var deadCount = 0
  /// Names that are known while running alone, and why.
  var dynamic: [String: Failure] = [:]
  let options: BuildOptions
  let budget: MemoryBudget
  var tensors: TensorReader
  /// Names visible at this point, innermost scope last.
  var scopes = [NameMap()]
  /// The opsets in force, changed while a function of the model is expanded.
  var opsets: [OnnxOpset]
  /// That of the default domain; 0 where the model imports none.
  var opset: Int
  /// Nodes built so far, loops unrolled: bounded.
  var built = 0
  /// Work done by building, in nodes: bounded.
  var spent = 0
  var functionDepth = 0
  /// Labels of the nodes whose bodies are being built, outermost first: "node #1 (Loop): ".
  var way = ""
  /// The items of each value that is a sequence.
  var sequences: [Int: [Int]] = [:]
  /// Tensors whose length is computed while running, by the value that stands for them, which no kernel sees.
  var lists: [Int: MaskedList] = [:]
  var fragments: [Int: Fragment] = [:]
  /// Numbers of true elements, and the mask of each.
  var lengths: [Int: Int] = [:]
  let search = SearchBudget()
  /// The first of the model.
  var operators: [KnownOperator] = []
  /// Symbols that lead the shape of some input, and so stand for the batch.
  var batchSymbols: Set<String> = []
  /// Work done by folding, in elements and multiply-adds: bounded.
  var folded = 0

  /// Functions of the model by domain, name and overload.
  private(set) var functions: [FunctionKey: OnnxFunction] = [:]

  static let maximumNodes = 100_000
  static let maximumFolding = 1 << 30

  /// Builds the graph of a model.
  /// - Complexity: linear in nodes, attributes and elements of folded constants.
  @export(interface)
  public static func build(_ model: OnnxModel, _ options: BuildOptions) throws(Failure) -> Graph {
    var b = try Builder(model, options)
    try b.prune()
    try b.declareInputs()
    try b.runNeeded()
    try b.declareOutputs()
    try b.settleEmpty()
    b.graph.nodeCount = b.built + b.deadCount
    b.graph.unfusedCount = b.graph.ops.count
    try b.decideRoles()
    return b.graph
  }

  init(_ model: OnnxModel, _ options: BuildOptions) throws(Failure) {
    self.model = model
    self.options = options
    hints = try RoleHints(model, options)
    budget = MemoryBudget(limit: options.memoryLimit)
    graph.budget = budget
    for (name, data) in options.constants { try budget.take(data.byteCount, for: "the constant for input '\(name)'") }
    tensors = TensorReader(model: model.bytes, files: options.files, budget: budget)
    opsets = model.opsets
    opset = try Builder.opset(model.opsets)
    for var f in model.functions where functions[FunctionKey(f)] == nil {
      _ = try Schedule(&f)
      functions[FunctionKey(f)] = f
    }
  }

  /// The declared opset of the default domain; 0 where there is none. Whether its definitions are known is asked node
  /// by node.
  @export(interface)
  public static func opset(_ list: [OnnxOpset]) throws(Failure) -> Int {
    for o in list where isStandard(o.domain) {
      guard o.version >= 1, o.version <= Int64(Int32.max) else {
        throw Failure(.format, "the model declares ONNX opset \(o.version); expected 1 to \(Schema.newestOpset)")
      }
      return Int(o.version)
    }
    return list.isEmpty ? 1 : 0  // ir_version 1 and 2 write no opset
  }

  // MARK: values

  mutating func newValue(_ type: ElementType, _ shape: [Int], _ name: String = "") throws(Failure) -> Int {
    let count = try TensorReader.count(shape, "tensor '\(name)'")
    guard count <= (1 << 40) / type.size, count * type.size <= options.memoryLimit else {
      throw Failure(
        .memory,
        "tensor '\(name)' \(describe(shape)) of \(type.name) exceeds the memory limit of \(options.memoryLimit) bytes")
    }
    graph.values.append(Value(name: name, type: type, shape: shape, root: graph.values.count))
    return graph.values.count - 1
  }

  mutating func newConstant(_ data: TensorData, _ name: String = "") -> Int {
    graph.values.append(Value(name: name, type: data.type, shape: data.shape, constant: data, root: graph.values.count))
    return graph.values.count - 1
  }

  /// A constant, or a value of its own where the caller wants to change it.
  mutating func newTensor(_ data: TensorData, _ name: String) throws(Failure) -> Int {
    guard scopes.count == 1, functionDepth == 0, options.parameters.contains(name) else {
      return newConstant(data, name)
    }
    let v = try newValue(data.type, data.shape, name)
    graph.parameters.append(Parameter(name: name, value: v, initial: data))
    return v
  }

  func type(_ v: Int) -> ElementType { graph.values[v].type }
  func shape(_ v: Int) -> [Int] { graph.values[v].shape }
  func count(_ v: Int) -> Int { graph.values[v].count }
  func constant(_ v: Int) -> TensorData? { graph.values[v].constant }
  func isConstant(_ v: Int) -> Bool { v < 0 || graph.values[v].constant != nil }

  /// A view of `x` under another shape, `offset` bytes in; constants stay constant. It never leaves `x`.
  mutating func view(_ x: Int, _ shape: [Int], offset: Int = 0, type: ElementType? = nil) throws(Failure) -> Int {
    var v = graph.values[x]
    let type = type ?? v.type
    let size = try TensorReader.count(shape, "tensor '\(v.name)'") * type.size
    guard offset >= 0, offset <= v.byteCount, size <= v.byteCount - offset else {
      throw Failure(
        .shape, "tensor '\(v.name)': \(describe(shape)) at byte \(offset) is not inside \(describe(v.shape))")
    }
    let data = v.constant.map { TensorData(type: type, shape: shape, bytes: $0.bytes, offset: $0.offset + offset) }
    v = Value(name: v.name, type: type, shape: shape, constant: data, root: v.root, offset: v.offset + offset)
    if data != nil {
      v.root = graph.values.count
      v.offset = 0
    }
    graph.values.append(v)
    return graph.values.count - 1
  }

  mutating func scalar(_ value: Double, _ type: ElementType) throws(Failure) -> Int {
    try filled(value, type, [])
  }

  /// A constant with the same number everywhere.
  mutating func filled(_ value: Double, _ type: ElementType, _ shape: [Int]) throws(Failure) -> Int {
    let bytes = try budget.zeroed(8, for: "a constant")
    bytes.mutable.storeBytes(of: value, as: Double.self)
    let source = newConstant(TensorData(type: .f64, shape: [], bytes: bytes))
    let cast = try cast(source, to: type)
    return shape.isEmpty ? cast : try expand(cast, to: shape)
  }

  /// A constant of 64-bit integers.
  mutating func integers(_ values: [Int], _ shape: [Int]) throws(Failure) -> Int {
    let bytes = try budget.zeroed(max(values.count, 1) * 8, for: "a constant")
    for (i, v) in values.enumerated() { bytes.mutable.storeBytes(of: Int64(v), toByteOffset: 8 * i, as: Int64.self) }
    return newConstant(TensorData(type: .i64, shape: shape, bytes: bytes))
  }

  /// The constant 0, 1, ... count - 1.
  mutating func positions(_ count: Int, _ shape: [Int]) throws(Failure) -> Int {
    let bytes = try budget.zeroed(max(count, 1) * 8, for: "a constant")
    for i in 0..<count { bytes.mutable.storeBytes(of: Int64(i), toByteOffset: 8 * i, as: Int64.self) }
    return newConstant(TensorData(type: .i64, shape: shape, bytes: bytes))
  }

  /// Integers that must be known at load, such as a shape or axes.
  func integers(_ v: Int, _ node: Node, _ what: String) throws(Failure) -> [Int] {
    guard let c = constant(v) else {
      throw node.fail(
        .unsupported,
        """
        its \(what) ('\(graph.values[v].name)') is computed while running; shapes must be known at load: bind the \
        input that it depends on to a constant
        """
      ).dynamic
    }
    var out: [Int] = []
    for i in 0..<c.count {
      switch c.type {
      case .i64: out.append(clampIndex(c.start.load(fromByteOffset: 8 * i, as: Int64.self)))
      case .i32: out.append(Int(c.start.load(fromByteOffset: 4 * i, as: Int32.self)))
      case .u8: out.append(Int(c.start.load(fromByteOffset: i, as: UInt8.self)))
      case .bool: out.append(c.start.load(fromByteOffset: i, as: UInt8.self) != 0 ? 1 : 0)
      default: throw node.fail(.shape, "its \(what) has type \(c.type.name), expected i64")
      }
    }
    return out
  }

  /// One number that must be known at load.
  mutating func number(_ v: Int, _ node: Node, _ what: String) throws(Failure) -> Double {
    guard constant(v) != nil else {
      throw node.fail(
        .unsupported,
        """
        its \(what) ('\(graph.values[v].name)') is computed while running, but is needed at load; bind the input that \
        it depends on to a constant
        """
      ).dynamic
    }
    let wide = try cast(v, to: .f64)
    guard let c = constant(wide), c.count == 1 else {
      throw node.fail(.shape, "its \(what) has \(count(v)) elements, expected 1")
    }
    return c.start.load(as: Double.self)
  }

  /// All numbers of a constant, as doubles.
  mutating func numbers(_ v: Int, _ node: Node, _ what: String) throws(Failure) -> [Double] {
    guard constant(v) != nil else {
      throw node.fail(
        .unsupported,
        """
        its \(what) ('\(graph.values[v].name)') is computed while running, but is needed at load; bind the input that \
        it depends on to a constant
        """
      ).dynamic
    }
    let wide = try cast(v, to: .f64)
    var out: [Double] = []
    if let c = constant(wide) {
      for i in 0..<c.count { out.append(c.start.load(fromByteOffset: 8 * i, as: Double.self)) }
    }
    return out
  }

  /// `axis` counted from the front.
  func axis(_ a: Int, rank: Int, _ node: Node) throws(Failure) -> Int {
    guard a >= -rank && a < max(rank, 1) else {
      throw node.fail(.shape, "axis \(a) is outside a tensor of rank \(rank)")
    }
    return a < 0 ? a + rank : a
  }

  // MARK: ops

  /// Adds a kernel call that writes all of its outputs. With constant inputs it runs now and its outputs become
  /// constants.
  mutating func emit(_ op: GraphOp) throws(Failure) {
    let first = graph.ops.count
    var isKnown = op.kernel != .random
    for v in op.inputs where v >= 0 && graph.values[v].constant == nil { isKnown = false }
    graph.ops.append(op)
    if isKnown { try Folding.run(&self, from: first, op.outputs.filter { $0 >= 0 }) }
  }

  /// Runs the calls from `first` on at load, if they depend on constants only.
  mutating func foldIfConstant(from first: Int, _ outputs: [Int]) throws(Failure) {
    var local: Set<Int> = []
    for i in first..<graph.ops.count {
      if graph.ops[i].kernel == .random { return }
      for v in graph.ops[i].inputs
      where v >= 0 && graph.values[v].constant == nil && !local.contains(graph.values[v].root) { return }
      if i + 1 < graph.ops.count { for v in graph.ops[i].outputs where v >= 0 { local.insert(graph.values[v].root) } }
    }
    try Folding.run(&self, from: first, outputs)
  }
}
