import Base
import Graph
import Kernels
import Onnx

/// A graph with the order in which its derivatives are taken: from one value, the head, back to the parameters.
///
/// Recurrent cells whose weights are parameters pass on the gradient of the present step; others pass on none, nor do
/// functions that are flat wherever they have a slope (sign, rounding, comparison).
struct DifferentiablePlan {
  private(set) var graph: Graph
  private(set) var parameters: [LearnedParameter]
  /// What the gradient is given of.
  let head: Int
  /// Networks in double precision: every f32 of the graph is f64.
  let isDouble: Bool
  /// Ops to differentiate, in the order of execution.
  private(set) var backward: [Int] = []
  /// The same in the order in which derivatives are taken, inside of the branches that the ops are in; `index` is a
  /// place in the graph.
  private(set) var backwardOps: [(index: Int, op: GraphOp)] = []
  /// By value: its memory root has a gradient.
  private(set) var hasGradient: [Bool]
  /// By op: a recurrent cell with weights that learn.
  private(set) var cells: [LearnedCell?] = []
  /// Of all recurrent cells, what is to be said, by op.
  private(set) var cellNotes: [String] = []
  /// Elements that their weights' influence on the recurrent state takes.
  private(set) var influenceCount = 0
  /// By parameter: layers of the graph that follow it.
  private(set) var layersAfter: [Int] = []
  /// What layers with parameters read that other parameters have a part in, from the inputs to the outputs: a channel
  /// of a convolution's input is a unit of several numbers.
  private(set) var hidden: [(value: Int, units: Int, each: Int)] = []

  /// Observations of the file, which lie next to each other.
  let raw: [Int]
  /// By op: a layer, whose product the op was.
  private(set) var layers: [LearnedLayer?]
  /// Elements of w, every parameter padded to 64 bytes; and those of layers, which come first.
  private(set) var count = 0
  private(set) var loose = 0
  /// By value: bytes to a parameter's place in w, or -1.
  private(set) var places: [Int] = []
  /// By memory root: a layer writes the whole gradient before anything else adds to it.
  private(set) var isOverwritten: [Bool] = []

  /// - Parameters:
  ///   - raw: values that together are the observation, next to each other in memory
  ///   - fusesCurves: as in LayerSearch
  init(
    _ graph: Graph, head: Int, parameters: [LearnedParameter], raw: [Int], isDouble: Bool, fusesCurves: Bool = false
  ) throws(Failure) {
    let search = LayerSearch(
      graph, parameters, head: head, raw: raw, isDouble: isDouble, fusesCurves: fusesCurves)
    self.graph = search.graph
    layers = search.layers
    self.head = head
    self.parameters = parameters
    self.raw = raw
    self.isDouble = isDouble
    hasGradient = []
    try differentiate()
    countLayers()
    try widen()
    backwardOps = reversed()
    findFirstGradients()
    place()
    placeInfluence()
  }

  /// Influences lie in the order of the cells.
  private mutating func placeInfluence() {
    for i in graph.ops.indices {
      guard var cell = cells[i] else { continue }
      let op = graph.ops[i]
      func count(_ v: Int) -> Int { v >= 0 && hasGradient[graph.root(v)] ? graph.values[v].count : 0 }
      cell.size = cell.scale.w * count(op[.w]) + cell.scale.rest * (count(op[.r]) + count(op[.b]))
      cell.place = influenceCount
      influenceCount += padded(cell.size, isDouble: isDouble)
      cells[i] = cell
    }
  }

  /// Parameters of layers lie in the order of the parameters, then all others.
  private mutating func place() {
    var isLayered = [Bool](repeating: false, count: parameters.count)
    for layer in layers {
      guard let layer else { continue }
      parameters[layer.weight].matrix = layer.matrix
      isLayered[layer.weight] = true
      if layer.bias >= 0 { isLayered[layer.bias] = true }
    }
    places = [Int](repeating: -1, count: graph.values.count)
    for pass in [true, false] {
      for i in parameters.indices where isLayered[i] == pass {
        parameters[i].offset = count
        places[parameters[i].value] = count * (isDouble ? 8 : 4)
        count += parameters[i].size(isDouble: isDouble)
      }
      if pass { loose = count }
    }
  }

  /// A layer overwrites the gradient of its input where it is the first to give it one, and adds to it elsewhere.
  private mutating func findFirstGradients() {
    isOverwritten = [Bool](repeating: false, count: graph.values.count)
    var isGiven = isOverwritten
    isGiven[graph.root(head)] = true
    for (index, op) in backwardOps {
      for v in op.inputs where v >= 0 && hasGradient[graph.root(v)] {
        let r = graph.root(v)
        if let layer = layers[index], layer.x == v, !isGiven[r] {
          layers[index]?.adds = false
          isOverwritten[r] = true
        }
        isGiven[r] = true
      }
    }
  }

  /// Whether the gradient of the head reaches parameter `i`.
  func isReached(_ i: Int) -> Bool { hasGradient[graph.root(parameters[i].value)] }

  private mutating func differentiate() throws(Failure) {
    let g = graph
    // what depends on a parameter
    var depends = [Bool](repeating: false, count: g.values.count)
    for p in parameters { depends[g.root(p.value)] = true }
    func isActive(_ v: Int) -> Bool {
      v >= 0 && g.values[v].constant == nil && depends[g.root(v)] && g.values[v].type == .f32
    }
    for op in g.ops where op.inputs.contains(where: isActive) {
      for v in op.outputs where v >= 0 && g.values[v].type == .f32 { depends[g.root(v)] = true }
    }
    findCells(isActive)
    // of that, what the head depends on
    var isWanted = [Bool](repeating: false, count: g.values.count)
    isWanted[g.root(head)] = isActive(head)
    for (i, op) in g.ops.enumerated().reversed() where op.outputs.contains(where: { $0 >= 0 && isWanted[g.root($0)] }) {
      guard op.inputs.contains(where: isActive) else { continue }
      guard let slopes = slopes(i), op.kernel == .rnn
        || !op.outputs.dropFirst().contains(where: { $0 >= 0 && isWanted[g.root($0)] })
      else {
        throw Failure(
          .unsupported, "\(op.label): has no derivative; learn the last layers, a residual, or freeze what is before it"
        )
      }
      var isNeeded = false
      for k in slopes where isActive(op.operands[k]) {
        isWanted[g.root(op.operands[k])] = true
        isNeeded = true
      }
      if isNeeded { backward.append(i) }
    }
    backward.reverse()
    hasGradient = isWanted
    try checkWriters()
  }

  /// Positions of the inputs of op `i` that a gradient passes to; nil where it has no derivative.
  func slopes(_ i: Int) -> [Int]? {
    let op = graph.ops[i]
    if cells[i] == nil { return op.slopes() }
    return [OperandName.x, .w, .r, .b].compactMap { op.kernel.row.inputs.position($0) }.filter { op.operands[$0] >= 0 }
  }

  /// Cells with weights that depend on a parameter.
  private mutating func findCells(_ isActive: (Int) -> Bool) {
    cells = [LearnedCell?](repeating: nil, count: graph.ops.count)
    let search = CellSearch(graph)
    for (i, op) in graph.ops.enumerated() {
      guard case .rnn(let p) = op.params else { continue }
      if let obstacle = search.obstacle(i) {
        cellNotes.append("\(op.label): the recurrent cell and what is before it do not learn, as \(obstacle)")
      } else if !isActive(op[.w]) && !isActive(op[.r]) && !isActive(op[.b]) {
        cellNotes.append("\(op.label): the recurrent cell and what is before it do not learn")
      } else {
        cells[i] = LearnedCell(rnn: p, mask: search.mask(i))
        cellNotes.append(
          "\(op.label): the recurrent cell learns by SnAp-1, what is before it from the present step alone")
      }
    }
  }

  /// What begins a block ends it backward, and the other way round. Blocks without derivatives are left away.
  private func reversed() -> [(index: Int, op: GraphOp)] {
    var isTaken = [Bool](repeating: false, count: graph.ops.count)
    for i in backward { isTaken[i] = true }
    var out: [(index: Int, op: GraphOp)] = []
    var open: [Int] = []
    for (i, op) in graph.ops.enumerated().reversed() {
      switch op.params {
      case .end:
        open.append(out.count)
        out.append((i, op))
      case .branch:
        guard let at = open.popLast() else { continue }
        if out.count == at + 1 {
          out.removeLast()
        } else {
          let end = out[at]
          out[at] = (i, op)
          out.append(end)
        }
      default: if isTaken[i] { out.append((i, op)) }
      }
    }
    return out
  }

  /// Refuses values that several ops write one after another, as loops do whose trips are computed while running: each
  /// would pass on the gradient of what only the last one wrote. The two branches of an If exclude each other.
  private func checkWriters() throws(Failure) {
    let blocks = Blocks(graph.ops)
    var writers = [[Int]](repeating: [], count: graph.values.count)
    for i in backward {
      for v in graph.ops[i].outputs
      where v >= 0 && hasGradient[graph.root(v)] && writers[graph.root(v)].last != blocks.of[i] {
        writers[graph.root(v)].append(blocks.of[i])
      }
    }
    func condition(_ block: Int) -> (value: Int, isWanted: Bool)? {
      guard block > 0, case .branch(let p) = graph.ops[blocks.ranges[block].first].params else { return nil }
      return (graph.ops[blocks.ranges[block].first][.condition], p.wanted != 0)
    }
    for i in backward {
      for v in graph.ops[i].outputs where v >= 0 {
        let w = writers[graph.root(v)]
        if w.count < 2 { continue }
        if w.count == 2, let a = condition(w[0]), let b = condition(w[1]), a.value == b.value, a.isWanted != b.isWanted
        {
          continue
        }
        throw Failure(
          .unsupported,
          """
          \(graph.ops[i].label): has no derivative, as its number of trips is computed while running; learn the last \
          layers, a residual, or freeze what is before it
          """
        )
      }
    }
  }

  /// Layers (products, convolutions and cells with parameters) between each parameter and the head.
  private mutating func countLayers() {
    var after = [Int](repeating: -1, count: graph.values.count)
    var isWeight = [Bool](repeating: false, count: graph.values.count)
    for p in parameters { isWeight[graph.root(p.value)] = true }
    for op in graph.ops
    where op.inputs.allSatisfy({ $0 < 0 || graph.values[$0].constant != nil || isWeight[graph.root($0)] }) {
      for v in op.outputs where v >= 0 { isWeight[graph.root(v)] = true }
    }
    after[graph.root(head)] = 0
    for i in backward.reversed() {
      let op = graph.ops[i]
      var here = -1
      for y in op.outputs where y >= 0 { here = max(here, after[graph.root(y)]) }
      let isLayer = op.kernel.isLayer || cells[i] != nil
      let holdsWeights = op.inputs.contains { $0 >= 0 && isWeight[graph.root($0)] }
      for v in op.inputs where v >= 0 {
        let step = isLayer && holdsWeights && !isWeight[graph.root(v)] ? 1 : 0
        if step == 1 { addHidden(v, op) }
        after[graph.root(v)] = max(after[graph.root(v)], here + step)
      }
    }
    hidden.reverse()
    layersAfter = parameters.map { after[graph.root($0.value)] }
  }

  private mutating func addHidden(_ v: Int, _ op: GraphOp) {
    let value = graph.values[v]
    guard hasGradient[graph.root(v)], value.count > 0,
      !hidden.contains(where: { graph.root($0.value) == graph.root(v) })
    else { return }
    let channels = op.kernel != .matmul && op.kernel != .rnn && value.shape.count > 1 ? value.shape[1] : value.count
    hidden.append((v, channels, value.count / max(channels, 1)))
  }

  func width(_ type: ElementType) -> Int { isDouble && type == .f32 ? 8 : type.size }
  private func wide(_ type: ElementType) -> ElementType { isDouble && type == .f32 ? .f64 : type }

  /// Ops by the element types that they run with.
  private mutating func widen() throws(Failure) {
    for i in graph.ops.indices {
      let op = graph.ops[i]
      if op.kernel == .random {
        throw Failure(
          .unsupported,
          """
          \(op.label): draws random numbers inside the policy; name as mean and std the tensors that the numbers are \
          made of
          """
        )
      }
      graph.ops[i].type = wide(op.type)
      if case .cast(var p) = op.params, isDouble {
        if p.from == ElementType.f32.rawValue { p.from = ElementType.f64.rawValue }
        if p.to == ElementType.f32.rawValue { p.to = ElementType.f64.rawValue }
        graph.ops[i].params = .cast(p)
      }
      for v in op.operands where v >= 0 && isDouble && graph.values[v].type != graph.values[graph.root(v)].type {
        throw Failure(.unsupported, "\(op.label): reads its input as another type; choose dtype f32")
      }
    }
  }
}
