import Base
import Graph
import Kernels
import Onnx
import Platform

/// A network as a learner runs it: what is computed, where it lies in one block, and the recurrent state beside it.
struct Network {
  let plan: DifferentiablePlan
  let layout: PlanLayout
  /// Recurrent state in bytes, by value of the input, and what the next state is copied from.
  let hiddenSize: Int
  let hiddenPlaces: [Int]
  let hiddenOutputs: [(place: Int, value: Int, size: Int)]
  /// Influence of the cells' weights on the recurrent state, in bytes.
  var influenceSize: Int { plan.influenceCount * (plan.isDouble ? 8 : 4) }

  /// - Parameter normalized: value of the normalized observation, or -1
  init(_ plan: DifferentiablePlan, rows: Int = 1, normalized: Int) {
    self.plan = plan
    let g = plan.graph
    func bytes(_ v: Int) -> Int { g.values[v].count * plan.width(g.values[v].type) }
    var places = [Int](repeating: -1, count: g.values.count)
    var size = 0
    for (i, port) in g.inputs.enumerated() where g.states.contains(where: { $0.input == i }) {
      places[port.value] = size
      size += (bytes(port.value) + 63) & ~63
    }
    (hiddenSize, hiddenPlaces) = (size, places)
    hiddenOutputs = g.states.map { pair in
      let output = g.outputs[pair.output].value
      return (places[g.inputs[pair.input].value], output, bytes(output))
    }
    var kept = places.map { $0 >= 0 }
    for p in plan.parameters { kept[p.value] = true }
    layout = PlanLayout(plan, rows: rows, normalized: normalized, kept: kept)
  }

  /// Dense layers from the normalized observation, and recurrent trace units over it, to `outputs` numbers.
  /// - Parameter rows: states that go through it at once
  static func described(_ s: LearnerSettings, _ widths: [Int], outputs: Int, rows: Int) throws(Failure) -> Network {
    var draft = NetworkDraft(Graph())
    let input = draft.normalizedInput(s.inputCount)
    let x = s.recurrentUnits > 0 ? draft.recurrent(input, units: s.recurrentUnits) : input
    let head = draft.layers(x, widths, outputs: outputs, s.hidden)
    draft.graph.outputs.insert(Port(name: "head", value: head), at: 0)
    let plan = try DifferentiablePlan(
      draft.graph, head: head, parameters: draft.parameters, raw: [], isDouble: s.isDouble, fusesCurves: true)
    return Network(plan, rows: rows, normalized: input)
  }

  /// Numbers of the head.
  var outputs: Int { plan.graph.values[plan.head].count }
}

/// What a learner knows of its networks' parameters besides their numbers.
final class LearnerNetworks {
  /// Empty where there is no actor.
  let actor: [LearnedParameter]
  let critic: [LearnedParameter]
  /// Of the network that acts.
  let loaded: LoadedNetwork?
  /// nil without a pipeline of rewards.
  let rewards: RewardOwner?

  init(actor: [LearnedParameter], critic: [LearnedParameter], loaded: LoadedNetwork?, rewards: RewardOwner? = nil) {
    (self.actor, self.critic, self.loaded, self.rewards) = (actor, critic, loaded, rewards)
  }

  /// Of the network that acts.
  var policy: [LearnedParameter] { actor.isEmpty ? critic : actor }
}

/// The pieces of a learner's arena that one network takes.
struct NetworkPlace {
  let network: Network
  private let base: UnsafeMutableRawPointer
  private let pass: UnsafeMutablePointer<eff_learn_pass>
  private(set) var hidden: UnsafeMutableRawPointer
  private(set) var influence: UnsafeMutableRawPointer

  init(_ network: Network, _ cursor: inout ArenaCursor) throws(Failure) {
    self.network = network
    base = try cursor.take(network.layout.size)
    pass = try cursor.table(1, of: eff_learn_pass.self)
    (hidden, influence) = (base, base)
  }

  /// Elements of w.
  var count: Int { network.plan.count }

  /// Recurrent state and what the weights have done to it, which are saved with the learner's.
  mutating func takeHidden(_ cursor: inout ArenaCursor) throws(Failure) {
    hidden = try cursor.take(network.hiddenSize)
    influence = try cursor.take(network.influenceSize)
  }

  /// Connects the ops with weights, traces and, where there are any, moments.
  func bind(
    w: UnsafeMutableRawPointer, e: UnsafeMutableRawPointer, v: UnsafeMutableRawPointer?, _ kernels: PlanKernels
  ) throws(Failure) -> eff_learn_net {
    try network.plan.bind(network.layout, memory(w, e, v), kernels)
  }

  /// Where value `v` lies, of parameters at `w`.
  func address(_ v: Int, w: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    network.plan.address(v, network.layout, memory(w, w, nil))
  }

  /// Where hidden layer `i` of the plan lies.
  func units(_ i: Int) -> UnsafeRawPointer { UnsafeRawPointer(address(network.plan.hidden[i].value, w: base)) }

  private func memory(
    _ w: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ v: UnsafeMutableRawPointer?
  ) -> PlanMemory {
    PlanMemory(base: base, w: w, e: e, v: v, hidden: hidden, hiddenPlaces: network.hiddenPlaces,
      influence: influence, pass: pass)
  }
}
