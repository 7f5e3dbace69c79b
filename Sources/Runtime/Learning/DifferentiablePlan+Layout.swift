import Base
import Graph
import Kernels
import Onnx
import Platform

/// Where everything of a differentiable plan lies in one block of memory; offsets in bytes.
struct PlanLayout {
  private(set) var size = 0
  var forward = 0
  var backward = 0
  var params: [Int] = []
  /// Parameters of the branches of the backward pass.
  private(set) var branches: [Int] = []
  /// By value; constants and what ops write.
  var values: [Int]
  /// By memory root, and -1 where there is none.
  var gradients: [Int]
  /// Of values between, then of the parameters.
  var gradientStart = 0
  var gradientEnd = 0
  var g = 0
  var scratch = 0
  var raw = 0
  var normalized = 0

  mutating func take(_ bytes: Int) -> Int {
    let at = (size + 63) & ~63
    size = at + bytes
    return at
  }

  /// - Parameters:
  ///   - raw: values that together are the observation, next to each other
  ///   - kept: memory roots that lie elsewhere (parameters, recurrent state)
  init(_ p: DifferentiablePlan, raw inputs: [Int], normalized input: Int, kept: [Bool]) {
    let g = p.graph
    values = [Int](repeating: -1, count: g.values.count)
    gradients = values
    func bytes(_ v: Int) -> Int { g.values[v].count * p.width(g.values[v].type) }
    forward = take(g.ops.count * MemoryLayout<eff_op>.stride)
    backward = take(p.backwardOps.count * MemoryLayout<eff_op>.stride)
    for op in g.ops {
      var length = 0
      op.params.withBytes { length = $0.count }
      params.append(take(length))
    }
    for entry in p.backwardOps {
      if case .branch = entry.op.params { branches.append(take(MemoryLayout<eff_branch>.size)) }
    }
    raw = take(inputs.reduce(0) { $0 + bytes($1) })
    var at = raw
    for v in inputs {
      values[v] = at
      at += bytes(v)
    }
    if input >= 0 {
      normalized = take(bytes(input))
      values[input] = normalized
    }
    for op in g.ops {
      for v in op.operands where v >= 0 {
        let r = g.values[v].constant != nil ? v : g.root(v)
        if values[r] < 0 && !kept[r] { values[r] = take(bytes(r)) }
      }
      scratch = max(scratch, op.scratch * (p.isDouble ? 2 : 1))
    }
    scratch = take(scratch)
    // the head's gradient is an input of the backward pass: it lies before what is cleared
    let head = g.root(p.head)
    gradients[head] = take(bytes(head))
    gradientStart = take(0)
    for v in g.values.indices where p.hasGradient[v] && v == g.root(v) && v != head && !kept[v] {
      gradients[v] = take(bytes(v))
    }
    self.g = take(p.count * (p.isDouble ? 8 : 4))
    gradientEnd = size
  }
}

/// The addresses that a plan is bound to.
struct PlanMemory {
  let base: UnsafeMutableRawPointer
  /// Parameters.
  let w: UnsafeMutableRawPointer
  /// Recurrent state, and by memory root the place in it, or -1.
  let hidden: UnsafeMutableRawPointer
  let hiddenPlaces: [Int]
}

extension DifferentiablePlan {
  /// Writes ops, parameters of kernels and constants, and returns what the learner's kernels need.
  func bind(_ layout: PlanLayout, _ memory: PlanMemory, isa: Int32) throws(Failure) -> eff_learn_graph {
    func gradient(_ v: Int) -> UnsafeMutableRawPointer? {
      guard v >= 0, graph.values[v].constant == nil, hasGradient[graph.root(v)] else { return nil }
      let root = graph.root(v)
      if places[root] >= 0 { return memory.base + layout.g + places[root] + view(v) }
      return layout.gradients[root] < 0 ? nil : memory.base + layout.gradients[root] + view(v)
    }
    func address(_ v: Int) -> UnsafeMutableRawPointer? { v < 0 ? nil : self.address(v, layout, memory) }
    fillConstants(layout, memory.base)
    let forward = (memory.base + layout.forward).bindMemory(to: eff_op.self, capacity: max(1, graph.ops.count))
    let backward = (memory.base + layout.backward).bindMemory(to: eff_op.self, capacity: max(1, backwardOps.count))
    let blocks = Blocks(graph.ops)
    for (i, op) in graph.ops.enumerated() {
      if case .end = op.params { continue }
      blocks.params(i, op).withBytes {
        if let p = $0.baseAddress { eff_copy(memory.base + layout.params[i], p, $0.count) }
      }
      guard let kernel = eff_learn_kernel_find(op.kernel.rawValue, op.type.rawValue, isa) else {
        throw Failure(.unsupported, "\(op.label): not supported for elements of type \(op.type.name)")
      }
      var operands = op.operands.map(address)
      if op.scratch > 0 { operands.append(memory.base + layout.scratch) }
      if case .branch = op.params { operands.append(UnsafeMutableRawPointer(forward + blocks.positions[i + 1])) }
      forward[blocks.positions[i]] = DifferentiablePlan.call(kernel, memory.base + layout.params[i], operands)
    }
    let ops = backwardOps.map { $0.op }
    let backwardBlocks = Blocks(ops)
    var branches = layout.branches[...]
    for (k, op) in ops.enumerated() {
      if case .end = op.params { continue }
      if case .branch = op.params, let place = branches.popFirst(),
        let kernel = eff_learn_kernel_find(op.kernel.rawValue, op.type.rawValue, isa)
      {
        backwardBlocks.params(k, op).withBytes {
          if let p = $0.baseAddress { eff_copy(memory.base + place, p, $0.count) }
        }
        let body = UnsafeMutableRawPointer(backward + backwardBlocks.positions[k + 1])
        backward[backwardBlocks.positions[k]] = DifferentiablePlan.call(
          kernel, memory.base + place, [address(op[.condition]), body])
        continue
      }
      let n = Int(eff_derivative_operands(op.kernel.rawValue))
      guard n > 0, let kernel = eff_derivative_find(op.kernel.rawValue, op.type.rawValue, isa) else {
        throw Failure(.unsupported, "\(op.label): has no derivative for elements of type \(op.type.name)")
      }
      // optional outputs that nobody wants are left away
      let operands = (0..<n).map { $0 < op.operands.count ? op.operands[$0] : -1 }
      let slopes = op.slopes() ?? []
      let gradients = (0..<n).map { $0 >= op.inputCount || slopes.contains($0) ? gradient(operands[$0]) : nil }
      backward[backwardBlocks.positions[k]] = DifferentiablePlan.call(
        kernel, memory.base + layout.params[backwardOps[k].index], operands.map(address) + gradients)
    }
    return eff_learn_graph(
      forward: forward, backward: backward, forward_count: Int64(blocks.mainCount),
      backward_count: Int64(backwardBlocks.mainCount),
      gradients: memory.base + layout.gradientStart, gradient_size: layout.gradientEnd - layout.gradientStart,
      g: memory.base + layout.g,
      raw: memory.base + layout.raw, normalized: layout.normalized > 0 ? memory.base + layout.normalized : nil)
  }

  /// Bytes from the start of a value's memory root to it.
  private func view(_ v: Int) -> Int {
    graph.values[v].offset / graph.values[v].type.size * width(graph.values[v].type)
  }

  /// Where value `v` lies.
  func address(_ v: Int, _ layout: PlanLayout, _ memory: PlanMemory) -> UnsafeMutableRawPointer {
    let root = graph.root(v)
    if graph.values[v].constant != nil { return memory.base + layout.values[v] }
    if places[root] >= 0 { return memory.w + places[root] + view(v) }
    if memory.hiddenPlaces[root] >= 0 { return memory.hidden + memory.hiddenPlaces[root] + view(v) }
    return memory.base + layout.values[root] + view(v)
  }

  private static func call(
    _ kernel: @escaping eff_kernel, _ params: UnsafeMutableRawPointer, _ operands: [UnsafeMutableRawPointer?]
  ) -> eff_op {
    var op = eff_op()
    op.run = kernel
    op.params = UnsafeRawPointer(params)
    withUnsafeMutableBytes(of: &op.p) { raw in
      let p = raw.bindMemory(to: UnsafeMutableRawPointer?.self)
      for (i, operand) in operands.enumerated() where i < p.count { p[i] = operand }
    }
    return op
  }

  private func fillConstants(_ layout: PlanLayout, _ base: UnsafeMutableRawPointer) {
    for v in graph.values.indices where layout.values[v] >= 0 {
      guard let c = graph.values[v].constant else { continue }
      copy(c, to: base + layout.values[v])
    }
  }

  /// The elements of a constant in the plan's precision.
  func copy(_ c: TensorData, to: UnsafeMutableRawPointer) {
    guard isDouble, c.type == .f32 else { return eff_copy(to, c.start, c.byteCount) }
    let wide = to.assumingMemoryBound(to: Double.self)
    for i in 0..<c.count { wide[i] = Double(c.float(i)) }
  }
}
