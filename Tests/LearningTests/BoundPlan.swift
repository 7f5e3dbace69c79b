import Base
import Graph
import Kernels
import Onnx
@testable import Runtime
import TestSupport


/// A differentiable plan in memory of its own, in double: every f32 initializer whose name begins with "p" is a
/// parameter, and the only output is the head.
final class BoundPlan {
  let plan: DifferentiablePlan
  private let layout: PlanLayout
  private let base: UnsafeMutableRawPointer
  private let w: UnsafeMutablePointer<Double>
  private let graph: eff_learn_graph
  private let head: Int

  init(_ model: Model) throws {
    let bytes = model.bytes
    let copy = try Bytes.zeroed(bytes.count)
    bytes.withUnsafeBytes { copy.mutable.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let onnx = try OnnxReader.read(copy, memoryLimit: 1 << 30)
    var options = BuildOptions()
    options.isa = eff_isa_best()
    options.parameters = Set(model.initializers.map(\.name).filter { $0.hasPrefix("p") })
    var g = try Builder.build(onnx, options)
    Fusion.simplify(&g)
    let parameters = g.parameters.map {
      LearnedParameter(name: $0.name, value: $0.value, shape: $0.initial.shape, initial: .data($0.initial))
    }
    head = g.outputs[0].value
    plan = try DifferentiablePlan(g, head: head, parameters: parameters, isDouble: true)
    var kept = [Bool](repeating: false, count: g.values.count)
    for p in plan.parameters { kept[p.value] = true }
    layout = PlanLayout(plan, raw: g.inputs.map(\.value), normalized: -1, kept: kept)
    base = .allocate(byteCount: layout.size + 64, alignment: 64)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: layout.size)
    let block = UnsafeMutableRawPointer.allocate(byteCount: plan.count * 8 + 64, alignment: 64)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: plan.count * 8)
    w = block.assumingMemoryBound(to: Double.self)
    for p in plan.parameters { if case .data(let d) = p.initial { plan.copy(d, to: w + p.offset) } }
    let memory = PlanMemory(base: base, w: w, hidden: base, hiddenPlaces: [Int](repeating: -1, count: g.values.count))
    graph = try plan.bind(layout, memory, isa: eff_isa_best())
  }
  deinit {
    base.deallocate()
    UnsafeMutableRawPointer(w).deallocate()
  }

  private func place(_ v: Int) -> Int { layout.values[plan.graph.root(v)] + plan.graph.values[v].offset * 2 }
  var outputs: Int { plan.graph.values[head].count }
  /// The output, at the present parameters.
  func run(_ input: [Double] = []) -> [Double] {
    let x = (base + layout.raw).assumingMemoryBound(to: Double.self)
    for (i, value) in input.enumerated() { x[i] = value }
    eff_ops_run(graph.forward, graph.forward_count, 1)
    let y = (base + place(head)).assumingMemoryBound(to: Double.self)
    return (0..<outputs).map { y[$0] }
  }

  /// Largest relative difference between the gradient of sum(weights y) and central differences, over all parameters.
  func worst(_ input: [Double] = [], step h: Double = 1e-6) -> Double {
    let weights = (0..<outputs).map { Double(($0 * 37 + 11) % 23) / 11 - 0.9 }
    _ = run(input)
    // gradients must not depend on what was left in memory
    (base + layout.gradientStart).initializeMemory(
      as: UInt8.self, repeating: 0, count: layout.gradientEnd - layout.gradientStart)
    let root = plan.graph.root(head)
    let d = (base + layout.gradients[root]).assumingMemoryBound(to: Double.self)
    for i in 0..<plan.graph.values[root].count { d[i] = 0 }
    for (i, x) in weights.enumerated() { d[plan.graph.values[head].offset / 4 + i] = x }
    eff_ops_run(graph.backward, graph.backward_count, 1)
    let g = graph.g.assumingMemoryBound(to: Double.self)
    let found = (0..<plan.count).map { g[$0] }
    var worst = 0.0
    for p in plan.parameters {
      for i in p.offset..<p.offset + p.count {
        func loss(_ shift: Double) -> Double {
          let old = w[i]
          w[i] = old + shift
          defer { w[i] = old }
          return zip(weights, run(input)).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let expected = (loss(h) - loss(-h)) / (2 * h)
        let error = abs(found[i] - expected) / max(1, abs(expected))
        worst = error.isNaN ? .infinity : max(worst, error)
      }
    }
    return worst
  }
}
