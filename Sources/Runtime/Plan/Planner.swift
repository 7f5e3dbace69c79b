import Base
import Graph
import Kernels
import Onnx
import Platform

/// Graph -> Plan: chooses kernels, packs weights, lays out the arena.
public struct Planner {
  private var graph: Graph
  private let isa: Int32
  private var layout = ArenaLayout()
  private var packer: Packer
  /// Where the memory of each root is.
  private var places: [Operand?]
  private var inputs: [PlanPort] = []
  private var outputs: [PlanPort] = []
  private var constantOutputs: [(place: Int, data: TensorData)] = []
  /// Index of the recurrent state of each input and output, or -1.
  private var stateOfInput: [Int]
  private var stateOfOutput: [Int]
  /// Bound in bytes on the weights, and on the arena of one row.
  private let limit: Int

  /// - Parameter page: where the file was read, which may have room for the plan.
  /// - Complexity: linear in values, ops and operands.
  @export(interface)
  public static func plan(
    _ graph: Graph, isa: Int32, weights: LayerWeights, memory: MemorySource, limit: Int = .max,
    facts: PolicyFacts = PolicyFacts(), page: HugePage? = nil
  ) throws(Failure) -> Plan {
    var p = Planner(graph, isa, limit)
    try weights.set(&p.graph)
    try p.placeInputs()
    try p.placeOutputs()
    try p.givePorts()
    return try p.finish(memory, facts, page)
  }

  private init(_ graph: Graph, _ isa: Int32, _ limit: Int) {
    self.graph = graph
    self.isa = isa
    self.limit = limit
    packer = Packer(isa: isa, limit: limit)
    places = [Operand?](repeating: nil, count: graph.values.count)
    stateOfInput = [Int](repeating: -1, count: graph.inputs.count)
    stateOfOutput = [Int](repeating: -1, count: graph.outputs.count)
    for (i, s) in graph.states.enumerated() { (stateOfInput[s.input], stateOfOutput[s.output]) = (i, i) }
  }

  /// Refuses an arena that outgrows the limit, as soon as it does.
  private func checkArena(_ what: String) throws(Failure) {
    guard layout.size <= limit else {
      throw Failure(
        .memory,
        "\(what): the arena needs \(layout.size) bytes so far, which exceeds the memory limit of \(limit) bytes")
    }
  }

  private mutating func placeInputs() throws(Failure) {
    for (i, port) in graph.inputs.enumerated() {
      let v = graph.values[port.value]
      let state = stateOfInput[i]
      // a recurrent state has two buffers, one after the other; which is read changes with every step
      let place = layout.reserve(v.byteCount)
      if state >= 0 { _ = layout.reserve(v.byteCount) }
      try checkArena("input '\(port.name)'")
      places[port.value] = Operand(
        space: state >= 0 ? .stateIn : .arena, place: state >= 0 ? state : place, view: 0, stride: v.byteCount)
      inputs.append(PlanPort(
          name: port.name, type: v.type, shape: v.shape, size: v.byteCount, place: place, state: state, role: port.role,
          reason: port.reason,
        pair: state >= 0 ? graph.states[state].output : -1))
    }
  }

  /// Every output has memory of its own: that of the op which makes it where possible, otherwise a copy.
  private mutating func placeOutputs() throws(Failure) {
    for (o, port) in graph.outputs.enumerated() {
      let v = graph.values[port.value]
      let state = stateOfOutput[o]
      let place = state >= 0 ? inputs[graph.states[state].input].place : layout.reserve(v.byteCount)
      try checkArena("output '\(port.name)'")
      let home = Operand(
        space: state >= 0 ? .stateOut : .arena, place: state >= 0 ? state : place, view: 0, stride: v.byteCount)
      outputs.append(PlanPort(
          name: port.name, type: v.type, shape: v.shape, size: v.byteCount, place: place, state: state, role: port.role,
          reason: port.reason,
        pair: state >= 0 ? graph.states[state].input : -1))
      if let c = v.constant, state < 0 {
        constantOutputs.append((place, c))
      } else if v.constant == nil && places[v.root] == nil && Fusion.isWhole(port.value, graph) {
        places[v.root] = home
      } else if v.count > 0 {
        let copy = graph.values.count
        graph.values.append(Value(name: port.name, type: v.type, shape: v.shape, root: copy))
        places.append(home)
        var s = eff_strided()
        s.rank = 1
        store([v.count], &s.dims)
        store([1], &s.x)
        store([1], &s.y)
        graph.ops.append(
          GraphOp(.copy(s), type: v.type, inputs: [port.value], outputs: [copy], label: "output '\(port.name)'"))
      }
    }
  }

  /// Operands and arena places of all ops, with memory reused as soon as its last reader has run.
  private mutating func givePorts() throws(Failure) {
    let lifetimes = Lifetimes(graph)
    var isTemporary = [Bool](repeating: false, count: graph.values.count)
    scratch = [Int](repeating: -1, count: graph.ops.count)
    for (i, op) in graph.ops.enumerated() {
      for r in lifetimes.begin[i] where places[r] == nil {
        places[r] = Operand(
          space: .arena, place: layout.take(graph.values[r].byteCount), view: 0, stride: graph.values[r].byteCount)
        isTemporary[r] = true
      }
      if op.scratch > 0 {
        let place = layout.take(op.scratch)
        scratch[i] = place
        layout.give(place, op.scratch)
      }
      try checkArena(op.label)
      for r in lifetimes.end[i] {
        guard isTemporary[r], let place = places[r] else { continue }
        layout.give(place.place, graph.values[r].byteCount)
        isTemporary[r] = false
      }
    }
  }
  /// Where the scratch memory of each op is, or -1.
  private var scratch: [Int] = []

  private mutating func operand(_ v: Int) throws(Failure) -> Operand {
    if v < 0 { return .absent }
    let value = graph.values[v]
    // nothing is read there, but an operand that is given has an address
    if value.count == 0 { return Operand(space: .arena, place: 0, view: 0, stride: 0) }
    if let c = value.constant {
      return Operand(space: .weights, place: try packer.place(c, graph.values[v].name), view: 0, stride: 0)
    }
    guard var place = places[value.root] else { return .absent }
    place.view = value.offset
    return place
  }

  private mutating func finish(_ memory: MemorySource, _ facts: PolicyFacts, _ page: HugePage?) throws(Failure)
    -> Plan
  {
    let out = PlanWriter()
    let blocks = Blocks(graph.ops)
    out.append(inputs, to: EFF_PLAN_INPUTS)
    out.append(outputs, to: EFF_PLAN_OUTPUTS)
    var count = 0
    var work = 0
    for (i, op) in graph.ops.enumerated() {
      if case .end = op.params { continue }
      guard eff_kernel_find(op.kernel.rawValue, op.type.rawValue, isa) != nil else {
        throw Failure(.unsupported, "\(op.label): not supported for elements of type \(op.type.name)")
      }
      let (operands, packed) = try operands(i, op, blocks)
      guard operands.count <= Int(EFF_OP_OPERANDS) else {
        throw Failure(.unsupported, "\(op.label): has too many operands")
      }
      if let layer = op.layer {
        out.append(
          eff_plan_layer(
            op: Int64(count), weights: Int64(packed > 0 ? layer.weights : ElementType.f32.rawValue),
            parameters: Int64(layer.parameters), bytes: Int64(packed)),
          to: EFF_PLAN_LAYERS)
      }
      let first = out.size(EFF_PLAN_OPERANDS) / MemoryLayout<eff_plan_operand>.stride
      for o in operands {
        out.append(
          eff_plan_operand(
            space: o.space.rawValue, place: Int64(o.place), view: Int64(o.view), stride: Int64(o.stride)),
          to: EFF_PLAN_OPERANDS)
      }
      out.align(EFF_PLAN_PARAMS)
      let params = blocks.params(i, op)
      let text = Describe(out: out).op(op, params, graph)
      out.append(
        eff_plan_op(
          code: op.kernel.rawValue, type: op.type.rawValue, first: Int32(first), count: Int32(operands.count),
          params: Int64(out.size(EFF_PLAN_PARAMS)), position: Int32(blocks.positions[i]), text: text),
        to: EFF_PLAN_OPS)
      params.withBytes {
        assert($0.count == op.kernel.parameterSize, "\(op.kernel.row.name) has \($0.count) bytes of parameters")
        out.append($0, to: EFF_PLAN_PARAMS)
      }
      let (sum, overflow) = work.addingReportingOverflow(op.work)
      work = overflow ? .max : sum
      count += 1
    }
    for c in constantOutputs {
      let place = try packer.place(c.data, "a constant output")
      out.append(
        eff_plan_constant(place: Int64(c.place), weights: Int64(place), size: Int64(c.data.byteCount)),
        to: EFF_PLAN_CONSTANTS)
    }
    for s in graph.states { out.append(Int64(s.input), to: EFF_PLAN_STATES) }
    out.describe(facts, graph)
    out.header.isa = isa
    (out.header.arena, out.header.peak, out.header.work) = (Int64(layout.size), Int64(layout.peak), Int64(work))
    out.header.main_count = Int32(blocks.mainCount)
    out.header.uses_random = graph.ops.contains { $0.kernel == .random } ? 1 : 0
    let block = try out.finish(packer, memory, page)
    return Plan(block.start, block)
  }

  /// Where the operands of an op are, in the order of its kernel, and the bytes of its packed weights.
  private mutating func operands(_ i: Int, _ op: GraphOp, _ blocks: Blocks) throws(Failure) -> (
    [Operand], packed: Int
  ) {
    let row = op.kernel.row
    var operands: [Operand] = []
    var packed = 0
    for (k, v) in op.inputs.enumerated() {
      let isGenerator = row.inputs[k] == .state
      let stride = MemoryLayout<eff_random_state>.stride
      operands.append(isGenerator ? Operand(space: .random, place: 0, view: 0, stride: stride) : try operand(v))
      // packed kernels take their weights right after x
      if k == 0, let packing = op.packing {
        let (place, size) = try packer.place(op, packing)
        operands.append(Operand(space: .weights, place: place, view: 0, stride: 0))
        packed = size
      }
    }
    if case .branch = op.params {
      operands.append(Operand(space: .table, place: blocks.positions[i + 1], view: 0, stride: 0))
      operands.append(Operand(space: .row, place: 0, view: 0, stride: 1))
      operands.append(Operand(space: .rehearsal, place: 0, view: 0, stride: 0))
    }
    for v in op.outputs { operands.append(try operand(v)) }
    if scratch[i] >= 0 { operands.append(Operand(space: .arena, place: scratch[i], view: 0, stride: op.scratch)) }
    return (operands, packed)
  }
}

/// Whether `name` has the lower-case `word` in it, in any case.
func contains(_ name: String, _ word: StaticString) -> Bool {
  let bytes = Array(name.utf8)
  let n = word.utf8CodeUnitCount
  guard bytes.count >= n else { return false }
  for i in 0...(bytes.count - n) {
    var isEqual = true
    for k in 0..<n where bytes[i + k] | 0x20 != word.utf8Start[k] | 0x20 { isEqual = false }
    if isEqual { return true }
  }
  return false
}
