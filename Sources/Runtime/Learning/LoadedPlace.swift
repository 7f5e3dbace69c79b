import Base
import Graph
import Kernels
import Onnx
import Platform

/// The pieces of a learner's arena that a loaded policy takes.
struct LoadedPlace {
  private let actor: LoadedActor
  private let base: UnsafeMutableRawPointer
  private let layer: UnsafeMutablePointer<eff_learn_layer>
  private let copies: UnsafeMutablePointer<HiddenCopy>
  private let numbers: UnsafeMutablePointer<Double>
  private var hidden: UnsafeMutableRawPointer
  let core: UnsafeMutablePointer<ActorCore>

  init(_ actor: LoadedActor, _ cursor: inout ArenaCursor) throws(Failure) {
    self.actor = actor
    base = try cursor.take(actor.layout.size)
    layer = try cursor.table(1, of: eff_learn_layer.self)
    copies = try cursor.table(actor.hiddenOutputs.count, of: HiddenCopy.self)
    core = try cursor.table(1, of: ActorCore.self)
    numbers = try cursor.doubles(4 * actor.actionCount)
    hidden = base
  }

  /// Recurrent state, which is saved with the learner's.
  mutating func takeHidden(_ cursor: inout ArenaCursor) throws(Failure) { hidden = try cursor.take(actor.hiddenSize) }

  /// The network as the learner sees it: one layer that names outputs and their gradient.
  func net(_ isLive: Bool) -> eff_learn_net {
    var net = eff_learn_net()
    net.count = Int64(actor.plan.count)
    net.layers = 1
    net.layer = layer
    guard isLive else { return net }
    var l = eff_learn_layer()
    let head = actor.plan.graph.root(actor.plan.head)
    l.in = Int64(actor.observationCount)
    l.out = Int64(actor.outputs)
    l.x = base + actor.layout.raw
    l.y = base + actor.layout.values[head]
    l.d = base + actor.layout.gradients[head]
    layer.initialize(to: l)
    return net
  }

  /// Connects the ops with the weights of `net`.
  func bind(_ net: inout eff_learn_net, isa: Int32) throws(Failure) {
    let memory = PlanMemory(base: base, w: net.w, hidden: hidden, hiddenPlaces: actor.hiddenPlaces)
    let graph = try actor.plan.bind(actor.layout, memory, isa: isa)
    for (i, h) in actor.hiddenOutputs.enumerated() {
      copies[i] = HiddenCopy(
        to: hidden + h.place, from: actor.plan.address(h.value, actor.layout, memory), size: h.size)
    }
    core.initialize(
      to: ActorCore(
        graph: graph, hidden: hidden, hiddenSize: actor.hiddenSize, copies: copies,
        copyCount: actor.hiddenOutputs.count, map: map()))
    net.graph = UnsafePointer(UnsafeMutableRawPointer(core).assumingMemoryBound(to: eff_learn_graph.self))
  }

  /// Where hidden layer `i` of the plan lies.
  func units(_ i: Int) -> UnsafeRawPointer {
    let memory = PlanMemory(base: base, w: base, hidden: hidden, hiddenPlaces: actor.hiddenPlaces)
    return UnsafeRawPointer(actor.plan.address(actor.plan.hidden[i].value, actor.layout, memory))
  }

  private func map() -> ActionMap? {
    let h = actor.heads
    let n = actor.actionCount
    guard h.scale.count == n else { return nil }
    for i in 0..<n {
      (numbers[i], numbers[n + i], numbers[2 * n + i], numbers[3 * n + i]) = (
        h.scale[i], h.offset[i], h.low[i], h.high[i]
      )
    }
    return ActionMap(
      isSquashed: h.isSquashed, scale: numbers, offset: numbers + n, low: numbers + 2 * n, high: numbers + 3 * n)
  }
}

extension LearnerHandle {
  /// Weights, and where they are imported statistics, of a loaded policy.
  func takeOver(_ actor: LoadedActor) {
    let s = core.pointee.settings
    let w = Numbers(base: core.pointee.actor.w, isDouble: s.isDouble)
    for p in actor.plan.parameters {
      switch p.initial {
      case .data(let data): actor.plan.copy(data, to: core.pointee.actor.w + p.offset * (s.isDouble ? 8 : 4))
      case .number(let x): for i in 0..<p.count { w[p.offset + i] = x }
      case .fresh(let n): sparse(p.count / n, n) { w[p.offset + $0 * n + $1] = $2 }
      }
    }
    guard case .counted(let count) = actor.settings.normalizer, !actor.mean.isEmpty else { return }
    core.pointee.state.pointee.observationCount = max(count, 2)
    for i in 0..<s.observationCount {
      core.pointee.observations.mean[i] = actor.mean[i]
      let variance = max(actor.deviation[i] * actor.deviation[i] - s.observationEpsilon, 0)
      core.pointee.observations.m2[i] = variance * Double(max(count, 2) - 1)
    }
  }
}
