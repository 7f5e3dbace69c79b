import Base
import Graph
import Kernels
import Platform

/// A plan as bytes that outlive the process: its image is the block, with a checksum in the header.
extension Plan {
  /// Writes the image: `header.size` bytes at a multiple of 64.
  func write(to image: UnsafeMutableRawPointer) {
    var header = header
    eff_copy(image, start, Int(header.size))
    header.checksum = Plan.checksum(image, Int(header.size))
    image.storeBytes(of: header, as: eff_plan_header.self)
  }

  /// A view of an image, which stays where it is and as it is for as long as the plan.
  ///
  /// Throws `.format` where the bytes are no plan or a damaged one, `.unsupported` where this processor or library
  /// cannot run it. Whatever leads from one part of it to another is looked at; what the parameters make a kernel do to
  /// its operands is not. A plan is a program: the checksum finds damage, and nothing here finds malice.
  convenience init(image: UnsafeMutableRawPointer, _ size: Int) throws(Failure) {
    try PlanCheck(image, size).contents()
    self.init(image, nil)
  }

  /// Of what follows it in the header, and of everything behind.
  static func checksum(_ image: UnsafeRawPointer, _ size: Int) -> UInt64 { XxHash64.of(image + 16, size - 16) }
}

/// Looks at what somebody else wrote.
private struct PlanCheck {
  let start: UnsafeMutableRawPointer
  let header: eff_plan_header

  /// The outline: whether these are the bytes of a plan, all of them, for this library and this processor.
  init(_ start: UnsafeMutableRawPointer, _ size: Int) throws(Failure) {
    let least = Plan.outlineSize
    guard size >= least else { throw Failure(.format, "the plan has \(size) bytes, expected at least \(least)") }
    guard UInt(bitPattern: start) % 64 == 0 else {
      throw Failure(.argument, "the plan does not begin at a multiple of 64 bytes")
    }
    self.start = start
    header = start.load(as: eff_plan_header.self)
    guard header.magic == EFF_PLAN_MAGIC else {
      throw Failure(.format, "the bytes are no plan: they begin with \(header.magic), expected \(EFF_PLAN_MAGIC)")
    }
    guard header.version == EFF_PLAN_VERSION else {
      throw Failure(
        .unsupported,
        "the plan has version \(header.version), expected \(EFF_PLAN_VERSION): plan the policy again with this library")
    }
    guard header.size >= least, header.size <= size else {
      throw Failure(.format, "the plan has \(size) bytes, expected \(header.size), as its header says")
    }
    let sum = Plan.checksum(start, Int(header.size))
    guard header.checksum == sum else {
      throw Failure(.format, "the plan is damaged: its checksum is \(sum), expected \(header.checksum)")
    }
    guard eff_isa_supported(header.isa) != 0 else {
      let name = eff_isa_name(header.isa).map { String(cString: $0) } ?? "\(header.isa)"
      throw Failure(
        .unsupported,
        """
        the plan is packed for instruction set '\(name)', which this processor or library does not have; it has up to \
        '\(String(cString: eff_isa_name(eff_isa_best())))'
        """)
    }
    var end = least
    for i in 0..<EFF_PLAN_PARTS {
      let part = Plan.place(start, i)
      guard part.start >= end, part.start % 64 == 0, part.size >= 0, part.start <= header.size,
        part.size <= header.size - part.start
      else {
        throw Failure(
          .format,
          """
          the plan is damaged: part \(i) has \(part.size) bytes from \(part.start) on, expected a multiple of 64 from \
          \(end) on, and an end at \(header.size) at most
          """)
      }
      end = Int(part.start + part.size)
    }
  }

  private func refusal(_ words: String) -> Failure { Failure(.format, "the plan is damaged: \(words)") }

  /// Refuses a number outside of `first...last`.
  private func need<N: BinaryInteger>(
    _ value: N, _ first: Int, _ last: Int, _ entry: StaticString, _ i: Int, _ field: StaticString
  ) throws(Failure) {
    if value >= first && value <= last { return }
    let expected = last < first ? "none" : first == last ? "\(first)" : "\(first) to \(last)"
    throw refusal("\(entry) \(i) has \(field) \(Int64(value)), expected \(expected)")
  }

  private func table<T>(_ part: Int, of type: T.Type) throws(Failure) -> UnsafeBufferPointer<T> {
    let bytes = Plan.part(start, part)
    guard bytes.count % MemoryLayout<T>.stride == 0 else {
      throw refusal("part \(part) has \(bytes.count) bytes, expected a multiple of \(MemoryLayout<T>.stride)")
    }
    return UnsafeBufferPointer(bytes.bindMemory(to: type))
  }

  /// Bytes of a part of texts, every one of which ends within it.
  private func texts(_ part: Int) throws(Failure) -> Int {
    let bytes = Plan.part(start, part)
    if let last = bytes.last, last != 0 { throw refusal("part \(part) ends with \(last), expected 0") }
    return bytes.count
  }

  func contents() throws(Failure) {
    let inputs = try table(EFF_PLAN_INPUTS, of: eff_plan_port.self)
    let outputs = try table(EFF_PLAN_OUTPUTS, of: eff_plan_port.self)
    let states = try table(EFF_PLAN_STATES, of: Int64.self)
    let ops = try table(EFF_PLAN_OPS, of: eff_plan_op.self)
    let text = try texts(EFF_PLAN_TEXT)
    let arena = Int(header.arena)
    guard header.hash != 0 else { throw refusal("it has no policy hash") }
    try need(header.arena, 0, ArenaCursor.largest, "header", 0, "arena")
    try need(header.main_count, 0, ops.count, "header", 0, "main_count")
    try need(header.uses_random, 0, 1, "header", 0, "uses_random")
    for place in [header.producer, header.operators, header.refusal] {
      try need(place, 0, text - 1, "header", 0, "text")
    }
    for (i, s) in states.enumerated() {
      try need(s, 0, inputs.count - 1, "state", i, "input")
      try need(inputs[Int(s)].state, i, i, "input", Int(s), "state")
    }
    let sizes = states.map { inputs[Int($0)].size }
    try ports(inputs, outputs.count, sizes, "input")
    try ports(outputs, inputs.count, sizes, "output")
    let reasons = try table(EFF_PLAN_REASONS, of: Int64.self)
    let both = inputs.count + outputs.count
    try need(reasons.count, both, both, "part", EFF_PLAN_REASONS, "count")
    for (i, r) in reasons.enumerated() { try need(r, 0, Int(RoleReason.none.rawValue), "port", i, "reason") }
    let weights = Plan.part(start, EFF_PLAN_WEIGHTS).count
    for (i, c) in try table(EFF_PLAN_CONSTANTS, of: eff_plan_constant.self).enumerated() {
      try need(c.size, 0, min(arena, weights), "constant", i, "size")
      try need(c.place, 0, arena - Int(c.size), "constant", i, "place")
      try need(c.weights, 0, weights - Int(c.size), "constant", i, "weights")
    }
    for (i, l) in try table(EFF_PLAN_LAYERS, of: eff_plan_layer.self).enumerated() {
      try need(l.op, 0, ops.count - 1, "layer", i, "op")
      try need(l.weights, 0, Int(Int32.max), "layer", i, "storage")
    }
    for part in [EFF_PLAN_NOTES, EFF_PLAN_METADATA] {
      for (i, t) in try table(part, of: Int64.self).enumerated() { try need(t, 0, text - 1, "text", i, "place") }
    }
    try program(ops, sizes, weights)
  }

  private func ports(
    _ ports: UnsafeBufferPointer<eff_plan_port>, _ others: Int, _ states: [Int64], _ what: StaticString
  ) throws(Failure) {
    let names = try texts(EFF_PLAN_NAMES)
    let dims = try table(EFF_PLAN_DIMS, of: Int64.self)
    for (i, p) in ports.enumerated() {
      try need(p.name, 0, names - 1, what, i, "name")
      guard let type = ElementType(rawValue: p.type) else { throw refusal("\(what) \(i) has element type \(p.type)") }
      try need(p.rank, 0, dims.count, what, i, "rank")
      try need(p.dims, 0, dims.count - Int(p.rank), what, i, "dims")
      var (size, overflow) = (Int64(type.size), false)
      for d in dims[Int(p.dims)..<Int(p.dims + p.rank)] where !overflow {
        try need(d, 0, .max, what, i, "dim")
        (size, overflow) = size.multipliedReportingOverflow(by: d)
      }
      try need(p.size, overflow ? 1 : Int(size), overflow ? 0 : Int(size), what, i, "size")
      try need(p.state, -1, states.count - 1, what, i, "state")
      if p.state >= 0 { try need(p.size, Int(states[Int(p.state)]), Int(states[Int(p.state)]), what, i, "size") }
      try need(p.size, 0, Int(header.arena), what, i, "size")
      let buffers = p.state < 0 ? Int(p.size) : 2 * ArenaLayout.room(Int(p.size))
      try need(p.place, 0, Int(header.arena) - buffers, what, i, "place")
      try need(p.role, 0, Int(Role.auxiliary.rawValue), what, i, "role")
      try need(p.pair, -1, others - 1, what, i, "pair")
    }
  }

  private func program(_ ops: UnsafeBufferPointer<eff_plan_op>, _ states: [Int64], _ weights: Int) throws(Failure) {
    let names = try texts(EFF_PLAN_NAMES)
    let operands = try table(EFF_PLAN_OPERANDS, of: eff_plan_operand.self)
    let params = Plan.part(start, EFF_PLAN_PARAMS)
    var isTaken = [Bool](repeating: false, count: ops.count)
    for (i, op) in ops.enumerated() {
      guard let kernel = Kernel(rawValue: op.code), eff_kernel_find(op.code, op.type, header.isa) != nil else {
        throw Failure(
          .unsupported,
          "op \(i) of the plan: needs kernel \(op.code) for elements of type \(op.type), which this library lacks")
      }
      try need(op.text, 0, names - 1, "op", i, "text")
      try need(op.position, 0, ops.count - 1, "op", i, "position")
      if isTaken[Int(op.position)] { throw refusal("op \(i) has position \(op.position), as another has") }
      isTaken[Int(op.position)] = true
      try need(op.params, 0, params.count - kernel.parameterSize, "op", i, "params")
      try need(op.params % 16, 0, 0, "op", i, "params, modulo 16,")
      let row = kernel.row
      let least = row.inputs.count + row.outputs.required
      try need(op.count, least, min(EFF_OP_OPERANDS, operands.count), "op", i, "operands")
      try need(op.first, 0, operands.count - Int(op.count), "op", i, "first operand")
      for k in Int(op.first)..<Int(op.first + op.count) {
        try operand(operands[k], k, op, states, ops.count, weights)
      }
      if kernel == .branch {
        // as its kernel has them: condition, body, row, rehearsal
        let body = operands[Int(op.first) + 1]
        guard op.count == 4, body.space == EFF_SPACE_TABLE else { throw refusal("op \(i) has no body") }
        let count = params.load(fromByteOffset: Int(op.params), as: eff_branch.self).count
        try need(count, 0, ops.count - Int(body.place), "op", i, "ops in its body:")
      }
    }
  }

  private func operand(
    _ o: eff_plan_operand, _ k: Int, _ op: eff_plan_op, _ states: [Int64], _ ops: Int, _ weights: Int
  ) throws(Failure) {
    func need<N: BinaryInteger>(_ value: N, _ first: Int, _ last: Int, _ field: StaticString) throws(Failure) {
      try self.need(value, first, last, "operand", k, field)
    }
    guard let space = Operand.Space(rawValue: o.space) else { throw refusal("operand \(k) has space \(o.space)") }
    switch space {
    case .none, .rehearsal: break
    case .weights:
      try need(o.place, 0, weights, "place")
      try need(o.view, 0, weights - Int(o.place), "view")
      try need(o.stride, 0, 0, "stride")
    case .arena:
      try need(o.place, 0, Int(header.arena), "place")
      try need(o.stride, 0, Int(header.arena - o.place), "stride")
      try need(o.view, 0, Int(o.stride), "view")
    case .stateIn, .stateOut:
      try need(o.place, 0, states.count - 1, "state")
      try need(o.stride, Int(states[Int(o.place)]), Int(states[Int(o.place)]), "stride")
      try need(o.view, 0, Int(o.stride), "view")
    case .random:
      try need(header.uses_random, 1, 1, "generators, where uses_random is")
      try need(o.stride, MemoryLayout<eff_random_state>.stride, MemoryLayout<eff_random_state>.stride, "stride")
    // behind the ops that always run and behind the branch, so that no body is around itself
    case .table: try need(o.place, max(Int(header.main_count), Int(op.position) + 1), ops, "place")
    case .row: try need(o.stride, 1, 1, "stride")
    }
  }
}
