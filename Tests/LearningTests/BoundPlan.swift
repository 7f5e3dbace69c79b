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
  private let e: UnsafeMutablePointer<Double>
  private let pass = UnsafeMutablePointer<eff_learn_pass>.allocate(capacity: 1)
  private let net: eff_learn_net
  private let kernels: PlanKernels

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
    plan = try DifferentiablePlan(
      g, head: g.outputs[0].value, parameters: parameters, raw: g.inputs.map(\.value), isDouble: true)
    var kept = [Bool](repeating: false, count: g.values.count)
    for p in plan.parameters { kept[p.value] = true }
    layout = PlanLayout(plan, normalized: -1, kept: kept)
    func zeroed(_ size: Int) -> UnsafeMutableRawPointer {
      let block = UnsafeMutableRawPointer.allocate(byteCount: size + 64, alignment: 64)
      block.initializeMemory(as: UInt8.self, repeating: 0, count: size + 64)
      return block
    }
    base = zeroed(layout.size)
    w = zeroed(plan.count * 8).assumingMemoryBound(to: Double.self)
    e = zeroed(plan.count * 8).assumingMemoryBound(to: Double.self)
    for p in plan.parameters {
      if case .data(let d) = p.initial { for k in 0..<p.count { w[p.place(k)] = Double(d.float(k)) } }
    }
    pass.initialize(to: eff_learn_pass())
    kernels = PlanKernels(
      table: eff_learn_kernels_find(Int32(EFF_TYPE_F64), -1), rule: Int32(EFF_LEARN_OBGD), isa: eff_isa_best())
    let memory = PlanMemory(
      base: base, w: w, e: e, v: nil, hidden: base, hiddenPlaces: [Int](repeating: -1, count: g.values.count),
      influence: base, pass: pass)
    net = try plan.bind(layout, memory, kernels)
  }
  deinit {
    base.deallocate()
    UnsafeMutableRawPointer(w).deallocate()
    UnsafeMutableRawPointer(e).deallocate()
    pass.deallocate()
  }

  /// Ops that keep the traces of their weights.
  var layers: Int { plan.layers.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }
  var outputs: Int { plan.graph.values[plan.head].count }
  /// The output, at the present parameters.
  func run(_ input: [Double] = []) -> [Double] {
    let x = (base + layout.raw).assumingMemoryBound(to: Double.self)
    for (i, value) in input.enumerated() { x[i] = value }
    eff_learn_forward(kernels.table, [net], 1, 0)
    return (0..<outputs).map { net.output.assumingMemoryBound(to: Double.self)[$0] }
  }

  /// Largest relative difference between the gradient of sum(weights y) and central differences, over all parameters.
  func worst(_ input: [Double] = [], step h: Double = 1e-6) -> Double {
    let weights = (0..<outputs).map { Double(($0 * 37 + 11) % 23) / 11 - 0.9 }
    _ = run(input)
    let d = net.d.assumingMemoryBound(to: Double.self)
    let root = plan.graph.root(plan.head)
    let whole = (base + layout.gradients[root]).assumingMemoryBound(to: Double.self)
    for i in 0..<plan.graph.values[root].count { whole[i] = 0 }
    for (i, x) in weights.enumerated() { d[i] = x }
    // a trace that forgets what was is the gradient
    var rule = eff_learn_rule()
    rule.correction = 1
    _ = eff_learn_backward(kernels.table, kernels.rule, [net], &rule)
    let found = (0..<plan.count).map { e[$0] }
    var worst = 0.0
    for p in plan.parameters {
      for i in (0..<p.count).map(p.place) {
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
