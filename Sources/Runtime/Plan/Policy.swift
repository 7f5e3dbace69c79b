import Base
import Graph
import Kernels
import Onnx
import Platform

public struct PolicyOptions {
  public var build = BuildOptions()
  /// Storage of the layers; as the file's metadata says where this says nothing.
  public var weights = LayerWeights()
  public var memory = MemorySource.system
  /// Keeps a copy of the file, so that a learner can start from the policy.
  public var isLearnable = false

  public init() {}
}

/// What a trainer exported, ready to run. Immutable; shared by any number of sessions.
public final class Policy {
  public let plan: Plan
  /// Of the bytes that it was read from and of the options that change what it does; never 0. The same on every
  /// processor.
  public let hash: UInt64
  /// nil where the caller did not ask to keep it.
  public let source: PolicySource?
  public let opset: Int
  public let irVersion: Int
  public let producer: CText
  /// Operators of an ONNX file, each with how often it stands there.
  public let operators: CText
  public let nodeCount: Int
  public let unfusedCount: Int
  public let parameterCount: Int
  /// Metadata in file order.
  public let metadata: [(key: CText, value: CText)]
  public let inputNames: [CText]
  public let outputNames: [CText]
  public let opTexts: [CText]
  /// Why a step is refused and what to do about it; empty where it runs.
  public let refusal: CText
  /// What was decided at load, a line each.
  public let notes: [CText]

  init(
    _ model: OnnxModel, _ graph: Graph, _ plan: Plan, _ format: PolicyFormat = .onnx, _ source: PolicySource? = nil,
    hash: UInt64 = 1
  ) throws(Failure) {
    self.plan = plan
    self.hash = hash == 0 ? 1 : hash
    self.source = source
    if case .onnx = format { opset = try Builder.opset(model.opsets) } else { opset = 0 }
    irVersion = Int(model.irVersion)
    producer = CText(model.producer)
    if case .onnx = format { operators = CText(Policy.count(model.graph.nodes)) } else { operators = CText("") }
    nodeCount = graph.nodeCount
    unfusedCount = graph.unfusedCount
    var parameters = 0
    for t in model.graph.initializers where ElementType(rawValue: t.type)?.isFloat ?? false {
      var n = 1
      for d in t.dims { n = n.multipliedReportingOverflow(by: Int(d)).partialValue }
      parameters = parameters.addingReportingOverflow(n).partialValue
    }
    parameterCount = parameters
    metadata = model.metadata.map { (CText($0.key), CText($0.value)) }
    inputNames = plan.inputs.map { CText($0.name) }
    outputNames = plan.outputs.map { CText($0.name) }
    opTexts = plan.labels.map { CText($0) }
    refusal = CText(graph.refusal)
    notes = graph.notes.map { CText($0.text) }
  }

  private static func count(_ nodes: [OnnxNode]) -> String {
    var kinds: [(node: Int, count: Int)] = []
    for (i, n) in nodes.enumerated() {
      if let k = kinds.firstIndex(where: { nodes[$0.node].op == n.op && nodes[$0.node].domain == n.domain }) {
        kinds[k].count += 1
      } else {
        kinds.append((i, 1))
      }
    }
    var text = ""
    for k in kinds {
      let n = nodes[k.node]
      text += "\(text == "" ? "" : ", ")\(n.domain)\(n.domain == "" ? "" : ".")\(n.op) \(k.count)"
    }
    return text
  }

  /// The action is an index.
  public var isDiscrete: Bool {
    guard let action = plan.outputs.first(where: { $0.role == .action }) else { return false }
    return !action.type.isFloat
  }

  /// Loads an ONNX or safetensors file; external data, or the architecture of the tensors, may lie beside it.
  @export(interface)
  public static func load(path: String, _ options: PolicyOptions) throws(Failure) -> Policy {
    let name = "'\(path)'"
    let limit = options.build.memoryLimit
    let bytes = try Bytes.file(path, name: name, limit: limit)
    var options = options
    options.build.files = ExternalFiles(besides: path, limit: limit)
    do {
      if case .onnx = PolicyFormat(of: bytes) { return try load(bytes, options) }
      return try load(bytes, options, sidecar: sidecar(path, limit))
    } catch {
      throw error.within(name)
    }
  }

  /// `policy.json` beside `policy.safetensors`; nil where there is none.
  private static func sidecar(_ path: String, _ limit: Int) throws(Failure) -> Bytes? {
    var stem = Array(path.utf8)
    if let dot = stem.lastIndex(of: UInt8(ascii: ".")), !stem[dot...].contains(UInt8(ascii: "/")) {
      stem.removeSubrange(dot...)
    }
    let beside = String(decoding: stem, as: UTF8.self) + ".json"
    return realPath(beside) == nil ? nil : try Bytes.file(beside, name: "'\(beside)'", limit: limit)
  }

  /// Loads an ONNX or safetensors policy from memory, which is not kept. `sidecar` is the architecture of tensors that
  /// do not bring their own.
  @export(interface)
  public static func load(_ bytes: Bytes, _ options: PolicyOptions, sidecar: Bytes? = nil) throws(Failure) -> Policy {
    let isa = try Policy.isa()
    var options = options
    options.build.isa = isa
    let source = PolicySource(bytes: bytes, sidecar: sidecar, options: options)
    let (model, build) = try source.read()
    var graph = try Builder.build(model, build)
    for note in graph.notes { Log.write(note.isWarning ? .warning : .info, note.text) }
    Fusion.run(&graph, isa: isa)
    var weights = options.weights
    if weights.all == nil, weights.each.isEmpty, let entry = model.metadata.first(where: { $0.key == LayerWeights.key })
    {
      weights = try LayerWeights(metadata: entry.value)
    }
    let plan = try Planner.plan(
      graph, isa: isa, weights: weights, memory: options.memory, limit: options.build.memoryLimit)
    let hash = source.hash()
    // a learner reads the model again, at a time when its files may be gone
    if options.isLearnable { options.build.files?.readAll(of: model) }
    return try Policy(model, graph, plan, source.format, options.isLearnable ? source.owned() : nil, hash: hash)
  }

  /// Instruction set of the kernels: the best of this processor, or what EFFERENT_ISA says.
  public static func isa() throws(Failure) -> Int32 {
    guard let forced = "EFFERENT_ISA".withCString({ eff_environment($0) }) else { return eff_isa_best() }
    let level = eff_isa_parse(forced)
    guard level >= 0, eff_isa_supported(level) != 0 else {
      throw Failure(
        .unsupported,
        """
        EFFERENT_ISA is '\(String(cString: forced))', which this processor or library does not have; it has up to \
        '\(String(cString: eff_isa_name(eff_isa_best())))'
        """
      )
    }
    return level
  }
}

/// Text as C reads it: owned, terminated by a zero byte.
public final class CText {
  public let start: UnsafeMutablePointer<CChar>

  public init(_ text: String) {
    let bytes = Array(text.utf8)
    start = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
    for (i, b) in bytes.enumerated() { start[i] = CChar(bitPattern: b) }
    start[bytes.count] = 0
  }

  deinit { start.deallocate() }
}
