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
final class PlanWriter {
  var header = eff_plan_header()
  private let parts: UnsafeMutablePointer<Part>
  /// The first room of all parts.
  private let slab: UnsafeMutableRawPointer?
  /// There was none for a part, which has lost something: told at the end.
  private var lacksMemory = false

  private struct Part {
    var start: UnsafeMutableRawPointer?
    var count = 0
    var room: Int
    var isOwned = false
  }

  /// What a part of a small policy takes.
  private static let firstRoom = 1024

  init() {
    let count = Int(EFF_PLAN_WEIGHTS)
    parts = .allocate(capacity: count)
    slab = eff_alloc(count * Self.firstRoom, 16)
    for i in 0..<count {
      let room = slab == nil ? 0 : Self.firstRoom
      (parts + i).initialize(to: Part(start: slab.map { $0 + i * Self.firstRoom }, room: room))
    }
  }

  deinit {
    for i in 0..<Int(EFF_PLAN_WEIGHTS) where parts[i].isOwned { eff_free(parts[i].start) }
    parts.deallocate()
    eff_free(slab)
  }

  /// Bytes of a part so far.
  func size(_ part: Int) -> Int { parts[part].count }

  /// Room for more bytes of a part; nil where there is no memory.
  private func room(_ size: Int, _ part: Int) -> UnsafeMutableRawPointer? {
    let p = parts + part
    if size > p.pointee.room - p.pointee.count { grow(p, size) }
    guard let start = p.pointee.start else { return nil }
    p.pointee.count += size
    return start + (p.pointee.count - size)
  }

  @inline(never)
  private func grow(_ p: UnsafeMutablePointer<Part>, _ size: Int) {
    let old = p.pointee
    let room = max(2 * old.room, old.count + size)
    guard let start = eff_alloc(room, 16) else {
      lacksMemory = true
      if old.isOwned { eff_free(old.start) }
      p.pointee = Part(start: nil, room: 0)
      return
    }
    if let from = old.start { eff_copy(start, from, old.count) }
    if old.isOwned { eff_free(old.start) }
    p.pointee = Part(start: start, count: old.count, room: room, isOwned: true)
  }

  func append(_ bytes: UnsafeRawBufferPointer, to part: Int) {
    guard let from = bytes.baseAddress, bytes.count > 0, let to = room(bytes.count, part) else { return }
    eff_copy(to, from, bytes.count)
  }

  func append<T: BitwiseCopyable>(_ value: T, to part: Int) {
    room(MemoryLayout<T>.size, part)?.storeBytes(of: value, as: T.self)
  }

  func append(_ text: String, to part: Int) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0), to: part) }
  }

  func append(decimal n: Int, to part: Int) {
    var (rest, digits, count) = (n.magnitude, UInt64(0), 0)
    // most numbers are sizes of layers
    guard n >= 0, n < 100_000_000 else { return append(String(n), to: part) }
    repeat {
      digits = digits << 8 | UInt64(48 + rest % 10)
      rest /= 10
      count += 1
    } while rest > 0
    withUnsafeBytes(of: digits.littleEndian) { append(UnsafeRawBufferPointer(rebasing: $0[..<count]), to: part) }
  }

  /// Where a part gets `text`, with a zero byte behind it.
  func place(_ text: String, in part: Int) -> Int32 {
    let start = Int32(truncatingIfNeeded: size(part))
    append(text, to: part)
    append(UInt8(0), to: part)
    return start
  }

  /// Fills up a part to a multiple of 16 bytes.
  func align(_ part: Int) {
    let count = -parts[part].count & 15
    if count > 0, let to = room(count, part) { eff_zero(to, count) }
  }

  func append(_ ports: [PlanPort], to part: Int) {
    for p in ports {
      let dims = size(EFF_PLAN_DIMS) / 8
      for d in p.shape { append(Int64(d), to: EFF_PLAN_DIMS) }
      append(
        eff_plan_port(
          size: Int64(p.size), place: Int64(p.place), name: place(p.name, in: EFF_PLAN_NAMES),
          type: p.type.rawValue, rank: Int32(p.shape.count), dims: Int32(dims), state: Int32(p.state),
          role: p.role.rawValue, pair: Int32(p.pair), reserved: 0),
        to: part)
      append(Int64(p.reason.rawValue), to: EFF_PLAN_REASONS)
    }
  }

  /// What people read: of the file, and what was decided at load.
  func describe(_ facts: PolicyFacts, _ graph: Graph) {
    let text = EFF_PLAN_TEXT
    header.hash = facts.hash
    (header.opset, header.ir_version) = (Int64(facts.opset), Int64(facts.irVersion))
    (header.node_count, header.unfused_count) = (Int64(graph.nodeCount), Int64(graph.unfusedCount))
    header.parameter_count = Int64(facts.parameterCount)
    header.producer = Int64(place(facts.producer, in: text))
    header.operators = Int64(place(facts.operators, in: text))
    header.refusal = Int64(place(graph.refusal, in: text))
    for note in graph.notes { append(Int64(place(note.text, in: text)), to: EFF_PLAN_NOTES) }
    for entry in facts.metadata {
      for word in [entry.key, entry.value] { append(Int64(place(word, in: text)), to: EFF_PLAN_METADATA) }
    }
  }

  /// One block with everything in it, in `page` if that has room. - Complexity: linear in bytes.
  func finish(_ weights: Packer, _ memory: MemorySource, _ page: HugePage?) throws(Failure) -> MemoryBlock {
    for part in [EFF_PLAN_NAMES, EFF_PLAN_TEXT] where size(part) > Int32.max {
      throw Failure(.memory, "the plan's texts have \(size(part)) bytes, expected at most \(Int32.max)")
    }
    var places: [eff_plan_part] = []
    places.reserveCapacity(EFF_PLAN_PARTS)
    var end = Plan.outlineSize
    for i in 0..<EFF_PLAN_PARTS {
      let start = (end + 63) & ~63
      let size = i < EFF_PLAN_WEIGHTS ? size(i) : weights.size
      places.append(eff_plan_part(start: Int64(start), size: Int64(size)))
      end = start + size
    }
    guard !lacksMemory else { throw Failure.noMemory(end, for: "the plan") }
    (header.magic, header.version, header.size) = (UInt64(EFF_PLAN_MAGIC), Int32(EFF_PLAN_VERSION), Int64(end))
    // every byte up to `end` is written: the block may hold what a policy before it left
    let block = try MemoryBlock(unwritten: end, memory, for: "weights", shared: page)
    block.start.storeBytes(of: header, as: eff_plan_header.self)
    var written = Plan.outlineSize
    for (i, place) in places.enumerated() {
      block.start.storeBytes(of: place, toByteOffset: Plan.placeOfPart(i), as: eff_plan_part.self)
      eff_zero(block.start + written, Int(place.start) - written)
      written = Int(place.start + place.size)
      guard i < EFF_PLAN_WEIGHTS, let from = parts[i].start else { continue }
      eff_copy(block.start + Int(place.start), from, Int(place.size))
    }
    try weights.fill(block.start + Int(places[EFF_PLAN_WEIGHTS].start))
    return block
  }
}
