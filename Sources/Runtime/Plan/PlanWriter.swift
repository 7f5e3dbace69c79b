import Base
import Graph
import Kernels
import Onnx
import Platform

/// What a plan says of the file that it was made of.
public struct PolicyFacts {
  public var hash: UInt64 = 1
  public var opset = 0
  public var irVersion = 0
  public var parameterCount = 0
  public var producer = ""
  /// Operators of an ONNX file, each with how often it stands there.
  public var operators = ""
  /// In file order.
  public var metadata: [(key: String, value: String)] = []

  public init() {}

  init(_ model: OnnxModel, _ source: PolicySource) throws(Failure) {
    hash = max(source.hash(), 1)
    if case .onnx = source.format {
      opset = try Builder.opset(model.opsets)
      operators = PolicyFacts.count(model.graph.nodes)
    }
    irVersion = Int(model.irVersion)
    for t in model.graph.initializers where ElementType(rawValue: t.type)?.isFloat ?? false {
      var n = 1
      for d in t.dims { n = n.multipliedReportingOverflow(by: Int(d)).partialValue }
      parameterCount = parameterCount.addingReportingOverflow(n).partialValue
    }
    producer = model.producer
    metadata = model.metadata.map { ($0.key, $0.value) }
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
}

/// Collects the parts of a plan and puts them into one block.
struct PlanWriter {
  var header = eff_plan_header()
  private var parts = [[UInt8]](repeating: [], count: Int(EFF_PLAN_WEIGHTS))

  /// Bytes of a part so far.
  func size(_ part: Int) -> Int { parts[part].count }

  mutating func append(_ bytes: UnsafeRawBufferPointer, to part: Int) { parts[part].append(contentsOf: bytes) }

  mutating func append<T: BitwiseCopyable>(_ value: T, to part: Int) {
    withUnsafeBytes(of: value) { append($0, to: part) }
  }

  /// Where a part gets `text`, with a zero byte behind it.
  mutating func place(_ text: String, in part: Int) -> Int {
    let start = parts[part].count
    parts[part].append(contentsOf: text.utf8)
    parts[part].append(0)
    return start
  }

  /// Fills up a part to a multiple of 16 bytes.
  mutating func align(_ part: Int) {
    while parts[part].count % 16 != 0 { parts[part].append(0) }
  }

  mutating func append(_ ports: [PlanPort], to part: Int) {
    for p in ports {
      let dims = size(Int(EFF_PLAN_DIMS)) / 8
      for d in p.shape { append(Int64(d), to: Int(EFF_PLAN_DIMS)) }
      append(
        eff_plan_port(
          size: Int64(p.size), place: Int64(p.place), name: Int32(place(p.name, in: Int(EFF_PLAN_NAMES))),
          type: p.type.rawValue, rank: Int32(p.shape.count), dims: Int32(dims), state: Int32(p.state),
          role: p.role.rawValue, pair: Int32(p.pair), reserved: 0),
        to: part)
      append(Int64(p.reason.rawValue), to: Int(EFF_PLAN_REASONS))
    }
  }

  /// What people read: of the file, and what was decided at load.
  mutating func describe(_ facts: PolicyFacts, _ graph: Graph) {
    let text = Int(EFF_PLAN_TEXT)
    header.hash = facts.hash
    (header.opset, header.ir_version) = (Int64(facts.opset), Int64(facts.irVersion))
    (header.node_count, header.unfused_count) = (Int64(graph.nodeCount), Int64(graph.unfusedCount))
    header.parameter_count = Int64(facts.parameterCount)
    header.producer = Int64(place(facts.producer, in: text))
    header.operators = Int64(place(facts.operators, in: text))
    header.refusal = Int64(place(graph.refusal, in: text))
    for note in graph.notes { append(Int64(place(note.text, in: text)), to: Int(EFF_PLAN_NOTES)) }
    for entry in facts.metadata {
      for word in [entry.key, entry.value] { append(Int64(place(word, in: text)), to: Int(EFF_PLAN_METADATA)) }
    }
  }

  /// One block with everything in it. - Complexity: linear in bytes.
  mutating func finish(_ weights: Packer, _ memory: MemorySource) throws(Failure) -> MemoryBlock {
    let table = MemoryLayout<eff_plan_header>.size
    var places: [eff_plan_part] = []
    var end = table + Int(EFF_PLAN_PARTS) * MemoryLayout<eff_plan_part>.size
    for size in parts.map({ $0.count }) + [weights.size] {
      let start = (end + 63) / 64 * 64
      places.append(eff_plan_part(start: Int64(start), size: Int64(size)))
      end = start + size
    }
    header.magic = UInt64(EFF_PLAN_MAGIC)
    header.version = Int32(EFF_PLAN_VERSION)
    header.size = Int64(end)
    let block = try MemoryBlock(end, memory, for: "weights")
    block.start.storeBytes(of: header, as: eff_plan_header.self)
    for (i, place) in places.enumerated() {
      block.start.storeBytes(
        of: place, toByteOffset: table + i * MemoryLayout<eff_plan_part>.size, as: eff_plan_part.self)
      guard i < parts.count else { continue }
      parts[i].withUnsafeBytes { if let p = $0.baseAddress { eff_copy(block.start + Int(place.start), p, $0.count) } }
    }
    try weights.fill(block.start + Int(places[Int(EFF_PLAN_WEIGHTS)].start))
    return block
  }
}
