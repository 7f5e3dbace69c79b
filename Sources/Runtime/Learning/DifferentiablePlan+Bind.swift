import Base
import Graph
import Kernels
import Onnx
import Platform

/// The addresses that a plan is bound to.
struct PlanMemory {
  let base: UnsafeMutableRawPointer
  /// Parameters; their traces, and moments where the optimizer keeps them.
  let w: UnsafeMutableRawPointer
  let e: UnsafeMutableRawPointer
  let v: UnsafeMutableRawPointer?
  /// Recurrent state, and by memory root the place in it, or -1.
  let hidden: UnsafeMutableRawPointer
  let hiddenPlaces: [Int]
  /// Influence of the cells' weights on it.
  let influence: UnsafeMutableRawPointer
  let pass: UnsafeMutablePointer<eff_learn_pass>
}

/// The kernels that a plan is bound to.
struct PlanKernels {
  let table: UnsafePointer<eff_learn_kernels>
  /// How traces become steps.
  let rule: Int32
  /// Instruction set of all other kernels.
  let isa: Int32
}

extension DifferentiablePlan {
  /// Writes ops, parameters of kernels and constants, and returns what the learner's kernels need.
  func bind(_ layout: PlanLayout, _ memory: PlanMemory, _ kernels: PlanKernels) throws(Failure) -> eff_learn_net {
    func address(_ v: Int) -> UnsafeMutableRawPointer? { v < 0 ? nil : self.address(v, layout, memory) }
    fillConstants(layout, memory.base)
    let forward = (memory.base + layout.forward).bindMemory(to: eff_op.self, capacity: max(1, graph.ops.count))
    let backward = (memory.base + layout.backward).bindMemory(to: eff_op.self, capacity: max(1, backwardOps.count))
    let advance = (memory.base + layout.cells).bindMemory(to: eff_op.self, capacity: 1)
    var cellCount = 0
    let blocks = Blocks(graph.ops)
    for (i, op) in graph.ops.enumerated() {
      if case .end = op.params { continue }
      if let cell = cells[i] {
        (memory.base + layout.params[i]).bindMemory(to: eff_learn_cell.self, capacity: 1)
          .initialize(to: parameters(of: cell, op, layout, memory))
        forward[blocks.positions[i]] = call(cell, i, Int32(EFF_CELL_FORWARD), layout, memory, kernels)
        (advance + cellCount).initialize(to: call(cell, i, Int32(EFF_CELL_ADVANCE), layout, memory, kernels))
        cellCount += 1
        continue
      }
      if let layer = layers[i] {
        (memory.base + layout.params[i]).bindMemory(to: eff_learn_layer.self, capacity: 1)
          .initialize(to: parameters(of: layer, layout))
        forward[blocks.positions[i]] = DifferentiablePlan.call(
          kernels.table.pointee.forward, memory.base + layout.params[i], operands(of: layer, i, layout, memory))
        continue
      }
      blocks.params(i, op).withBytes {
        if let p = $0.baseAddress { eff_copy(memory.base + layout.params[i], p, $0.count) }
      }
      guard let kernel = eff_learn_kernel_find(op.kernel.rawValue, op.type.rawValue, kernels.isa) else {
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
      let at = backwardOps[k].index
      if let layer = layers[at] {
        backward[backwardBlocks.positions[k]] = DifferentiablePlan.call(
          eff_learn_layer_backward(kernels.table, kernels.rule), memory.base + layout.params[at],
          operands(of: layer, at, layout, memory))
        continue
      }
      if let cell = cells[at] {
        backward[backwardBlocks.positions[k]] = call(
          cell, at, Int32(EFF_CELL_BACKWARD), layout, memory, kernels)
        continue
      }
      if case .branch = op.params, let place = branches.popFirst(),
        let kernel = eff_learn_kernel_find(op.kernel.rawValue, op.type.rawValue, kernels.isa)
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
      guard n > 0, let kernel = eff_derivative_find(op.kernel.rawValue, op.type.rawValue, kernels.isa) else {
        throw Failure(.unsupported, "\(op.label): has no derivative for elements of type \(op.type.name)")
      }
      // optional outputs that nobody wants are left away
      let operands = (0..<n).map { $0 < op.operands.count ? op.operands[$0] : -1 }
      let slopes = slopes(at) ?? []
      let gradients = (0..<n).map {
        $0 >= op.inputCount || slopes.contains($0) ? gradient(operands[$0], layout, memory.base) : nil
      }
      backward[backwardBlocks.positions[k]] = DifferentiablePlan.call(
        kernel, memory.base + layout.params[at], operands.map(address) + gradients)
    }
    var net = eff_learn_net()
    (net.forward, net.forward_count) = (UnsafePointer(forward), Int64(blocks.mainCount))
    (net.backward, net.backward_count) = (UnsafePointer(backward), Int64(backwardBlocks.mainCount))
    (net.count, net.loose) = (Int64(count), Int64(loose))
    (net.w, net.e, net.v) = (memory.w, memory.e, memory.v)
    (net.gradients, net.gradient_size) = (
      memory.base + layout.gradientStart, layout.gradientEnd - layout.gradientStart
    )
    net.g = memory.base + layout.g
    net.raw = raw.isEmpty ? nil : memory.base + layout.raw
    if let input = graph.inputs.last(where: { layout.values[$0.value] == layout.normalized })?.value,
      layout.normalized > 0
    {
      net.normalized = memory.base + layout.normalized
      net.input_stride = Int64(layout.stride(input, self))
    }
    (net.output, net.d) = (address(head), gradient(head, layout, memory.base))
    net.output_stride = Int64(layout.stride(head, self))
    net.pass = memory.pass
    (net.cells, net.cell_count) = (UnsafePointer(advance), Int64(cellCount))
    return net
  }

  private func parameters(
    of cell: LearnedCell, _ op: GraphOp, _ layout: PlanLayout, _ memory: PlanMemory
  ) -> eff_learn_cell {
    func slope(_ name: OperandName) -> UnsafeMutableRawPointer? { gradient(op[name], layout, memory.base) }
    var c = eff_learn_cell()
    (c.cell, c.linear_before_reset) = (cell.rnn.cell, cell.rnn.linear_before_reset)
    (c.input, c.hidden) = (cell.rnn.input, cell.rnn.hidden)
    (c.dx, c.dw, c.dr, c.db) = (slope(.x), slope(.w), slope(.r), slope(.b))
    (c.dy, c.dyh, c.dyc) = (UnsafeRawPointer(slope(.y)), UnsafeRawPointer(slope(.yH)), UnsafeRawPointer(slope(.yC)))
    c.mask = cell.mask < 0 ? nil : UnsafeRawPointer(address(cell.mask, layout, memory))
    return c
  }

  /// One of the kernels of a cell, with operands in the order of EFF_CELL_X and so on.
  private func call(
    _ cell: LearnedCell, _ i: Int, _ pass: Int32, _ layout: PlanLayout, _ memory: PlanMemory, _ kernels: PlanKernels
  ) -> eff_op {
    let op = graph.ops[i]
    let names: [OperandName] = [.x, .w, .r, .b, .h0, .c0, .y, .yH, .yC]
    return DifferentiablePlan.call(
      eff_learn_cell_find(isDouble ? Int32(EFF_TYPE_F64) : Int32(EFF_TYPE_F32), kernels.isa, pass),
      memory.base + layout.params[i],
      names.map { op[$0] < 0 ? nil : address(op[$0], layout, memory) }
        + [memory.base + layout.gates[i], memory.influence + cell.place * (isDouble ? 8 : 4)])
  }

  private func parameters(of layer: LearnedLayer, _ layout: PlanLayout) -> eff_learn_layer {
    var l = eff_learn_layer()
    let m = layer.matrix
    (l.in, l.out, l.rows, l.lanes) = (Int64(m.inputs), Int64(m.outputs), Int64(m.rows), Int64(m.lanes))
    (l.by_input, l.adds) = (m.isByInput ? 1 : 0, layer.adds ? 1 : 0)
    (l.act, l.alpha) = (layer.activation, layer.alpha)
    (l.norm, l.epsilon) = (layer.norm == nil ? 0 : 1, layer.norm ?? 0)
    l.x_stride = Int64(layout.stride(layer.x, self))
    l.y_stride = Int64(layout.stride(layer.linear, self))
    l.h_stride = Int64(layout.stride(layer.output, self))
    return l
  }

  /// In the order of EFF_LAYER_X and so on.
  private func operands(of layer: LearnedLayer, _ i: Int, _ layout: PlanLayout, _ memory: PlanMemory)
    -> [UnsafeMutableRawPointer?]
  {
    let w = places[parameters[layer.weight].value]
    let b = layer.bias < 0 ? -1 : places[parameters[layer.bias].value]
    let bias = graph.ops[i][.bias]
    return [
      address(layer.x, layout, memory), memory.w + w,
      bias < 0 ? memory.base + layout.zeros[i] : address(bias, layout, memory),
      address(layer.linear, layout, memory),
      layer.output == layer.linear ? nil : address(layer.output, layout, memory),
      memory.e + w, b < 0 ? nil : memory.e + b,
      memory.v.map { $0 + w }, b < 0 ? nil : memory.v.map { $0 + b },
      gradient(layer.output, layout, memory.base), gradient(layer.x, layout, memory.base),
      UnsafeMutableRawPointer(memory.pass),
    ]
  }

  /// Where the gradient of `v` lies; nil where it has none, or it belongs to a layer, which keeps none.
  private func gradient(_ v: Int, _ layout: PlanLayout, _ base: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    guard v >= 0, graph.values[v].constant == nil, hasGradient[graph.root(v)] else { return nil }
    let root = graph.root(v)
    if places[root] >= 0 { return base + layout.g + places[root] - loose * (isDouble ? 8 : 4) + view(v) }
    return layout.gradients[root] < 0 ? nil : base + layout.gradients[root] + view(v)
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
