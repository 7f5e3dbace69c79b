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

/// What a trainer exported, ready to run: a view of its plan. Immutable; shared by any number of sessions.
public final class Policy {
  public let plan: Plan
  /// nil where the caller did not ask to keep it.
  public let source: PolicySource?

  init(_ plan: Plan, _ source: PolicySource? = nil) { (self.plan, self.source) = (plan, source) }

  /// Of the bytes that it was read from and of the options that change what it does; never 0. The same on every
  /// processor.
  public var hash: UInt64 { plan.header.hash }
  /// Of the default domain; 0 where the file is no ONNX.
  public var opset: Int { Int(plan.header.opset) }
  /// Elements of floating-point weights.
  public var parameterCount: Int { Int(plan.header.parameter_count) }
  public var producer: UnsafePointer<CChar> { plan.text(EFF_PLAN_TEXT, Int(plan.header.producer)) }
  /// Operators of an ONNX file, each with how often it stands there.
  public var operators: UnsafePointer<CChar> { plan.text(EFF_PLAN_TEXT, Int(plan.header.operators)) }
  /// Why a step is refused and what to do about it; empty where it runs.
  public var refusal: UnsafePointer<CChar> { plan.text(EFF_PLAN_TEXT, Int(plan.header.refusal)) }

  /// What was decided at load, a line each; nil behind the last one.
  public func note(_ i: Int) -> UnsafePointer<CChar>? {
    plan.entry(EFF_PLAN_NOTES, i).map { plan.text(EFF_PLAN_TEXT, $0) }
  }

  /// Metadata in file order; nil behind the last entry.
  public func metadata(_ i: Int) -> (key: UnsafePointer<CChar>, value: UnsafePointer<CChar>)? {
    guard i >= 0, i < plan.bytes(EFF_PLAN_METADATA).count / 16, let key = plan.entry(EFF_PLAN_METADATA, 2 * i),
      let value = plan.entry(EFF_PLAN_METADATA, 2 * i + 1)
    else { return nil }
    return (plan.text(EFF_PLAN_TEXT, key), plan.text(EFF_PLAN_TEXT, value))
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
    // locked weights, and those of the caller's memory, lie elsewhere
    let isBesidePlan = options.memory.allocate == nil && !options.memory.isLocked
    let bytes = try Bytes.file(path, name: name, limit: limit, isBesidePlan: isBesidePlan, isHashed: true)
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
    Fusion.run(&graph, isa: isa, keepsWeights: options.isLearnable)
    var weights = options.weights
    if weights.all == nil, weights.each.isEmpty, let entry = model.metadata.first(where: { $0.key == LayerWeights.key })
    {
      weights = try LayerWeights(metadata: entry.value)
    }
    let plan = try Planner.plan(
      graph, isa: isa, weights: weights, memory: options.memory, limit: options.build.memoryLimit,
      facts: try PolicyFacts(model, source), page: bytes.page)
    // a learner reads the model again, at a time when its files may be gone
    if options.isLearnable { options.build.files?.readAll(of: model) }
    return Policy(plan, options.isLearnable ? try source.owned() : nil)
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
