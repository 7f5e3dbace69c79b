import Kernels
import Testing

@testable import Runtime

/// A learner with its arena, freed together.
final class OwnedLearner {
  let learner: LearnerHandle
  private let memory: UnsafeMutableRawPointer

  init(_ options: LearnerOptions) throws {
    memory = .allocate(byteCount: try options.arenaSize(), alignment: 64)
    learner = try options.create(in: memory)
  }
  deinit { memory.deallocate() }
}

/// Options for a small learner of any kind; odd sizes, dense weights.
func smallOptions(_ algorithm: Algorithm, _ optimizer: Optimizer = .obgd, isDouble: Bool = true) -> LearnerOptions {
  var o = LearnerOptions()
  o.settings.algorithm = algorithm
  o.settings.optimizer = optimizer
  o.settings.isDouble = isDouble
  o.settings.observationCount = 7
  o.settings.actionCount = algorithm == .td ? 0 : 3
  o.settings.hidden.sparsity = 0
  o.settings.entropy = 0.3
  o.hiddenSizes = [19, 33]
  o.seed = 7
  return o
}

let activations: [Int32] = [EFF_FN_LEAKY_RELU, EFF_FN_RELU, EFF_FN_TANH, EFF_FN_ELU, EFF_FN_SWISH, EFF_FN_IDENTITY].map
{ Int32($0) }

/// The backward pass against central differences of the forward pass, in double.
@Suite struct GradientTests {
  /// Largest difference between the trace after one update, which is the gradient, and central differences of `loss`.
  private func worst(_ owned: OwnedLearner, _ net: NetworkKind, _ loss: () -> Double) -> Double {
    let l = owned.learner
    var found: [[Double]] = []
    for i in 0..<l.layerCount(net) {
      found.append([])
      l.visit(net, layer: i, .trace) { found[i].append($1) }
    }
    var worst = 0.0
    let h = 1e-6
    for i in 0..<l.layerCount(net) {
      for k in 0..<found[i].count {
        func shifted(_ d: Double) -> Double {
          l.visit(net, layer: i, .weight) { if $0 == k { $1 += d } }
          let x = loss()
          l.visit(net, layer: i, .weight) { if $0 == k { $1 -= d } }
          return x
        }
        let expected = (shifted(h) - shifted(-h)) / (2 * h)
        worst = max(worst, abs(found[i][k] - expected) / max(1, abs(expected)))
      }
    }
    return worst
  }

  /// Makes one update whose step is too small to matter, and returns the TD error. The state s is left in `previous`.
  private func oneUpdate(_ owned: OwnedLearner, reward: Double) -> (delta: Double, state: [Double]) {
    let l = owned.learner
    var action = [0.0, 0.0, 0.0]
    _ = l.act([0.3, -0.5, 0.9, 0.1, -0.7, 0.4, 0.2], into: &action)
    let state = Array(UnsafeBufferPointer(start: l.core.pointee.current, count: 7))
    var report = UpdateReport()
    _ = l.update(Transition(observation: [0.1, 0.5, -0.3, 0.4, 0.8, -0.4, 0.6], reward: reward), &report)
    return (report.tdError, state)
  }

  private func quiet(_ options: LearnerOptions) throws -> OwnedLearner {
    var o = options
    o.settings.stepSize = 1e-25
    o.settings.normalizesObservations = false
    o.settings.epsilonStart = 0
    o.settings.epsilonEnd = 0
    return try OwnedLearner(o)
  }

  @Test(arguments: activations, [true, false])
  func theCriticsTraceIsTheGradientOfItsValue(_ activation: Int32, hasLayerNorm: Bool) throws {
    for algorithm in [Algorithm.td, .q] {
      var o = smallOptions(algorithm)
      o.settings.hidden.activation = activation
      o.settings.hidden.hasLayerNorm = hasLayerNorm
      let owned = try quiet(o)
      let l = owned.learner
      let (_, state) = oneUpdate(owned, reward: 1)
      let slot = algorithm == .q ? Int(l.core.pointee.state.pointee.choice) : 0
      let error = worst(owned, .critic) {
        l.feed(l.core.pointee.critic, state, row: 0)
        l.forward(critic: 1)
        return -l.core.pointee.critic.output(row: 0, isDouble: true)[slot]
      }
      #expect(error < 2e-8, "\(algorithm) activation \(activation) LayerNorm \(hasLayerNorm)")
    }
  }

  @Test(arguments: [1.0, -1.0], [0.0, 0.2])
  func theGaussianActorsTraceIsTheGradientOfItsObjective(reward: Double, floor: Double) throws {
    var o = smallOptions(.acContinuous)
    o.settings.stdFloor = floor
    let owned = try quiet(o)
    let l = owned.learner
    let (delta, state) = oneUpdate(owned, reward: reward)
    #expect(delta * reward > 0)
    let action = Array(UnsafeBufferPointer(start: l.core.pointee.action, count: 3))
    let error = worst(owned, .actor) {
      l.feed(l.core.pointee.actor, state, row: 0)
      l.forward(actor: 1)
      let head = l.gaussian
      var objective = 0.0
      for i in 0..<3 {
        let d = (action[i] - head.mean(i)) / head.std(i)
        let logStd = eff_learn_log(head.std(i))
        objective += -0.5 * d * d - logStd + 0.3 * (delta > 0 ? 1 : -1) * logStd
      }
      return -objective
    }
    #expect(error < 2e-8)
  }

  @Test(arguments: [1.0, -1.0])
  func theSoftmaxActorsTraceIsTheGradientOfItsObjective(reward: Double) throws {
    let owned = try quiet(smallOptions(.acDiscrete))
    let l = owned.learner
    let (delta, state) = oneUpdate(owned, reward: reward)
    let choice = Int(l.core.pointee.state.pointee.choice)
    let error = worst(owned, .actor) {
      l.feed(l.core.pointee.actor, state, row: 0)
      l.forward(actor: 1)
      var p = [0.0, 0.0, 0.0]
      l.softmax.probabilities(into: &p)
      let entropy = -p.reduce(0) { $0 + $1 * eff_learn_log($1) }
      return -(eff_learn_log(p[choice]) + 0.3 * (delta > 0 ? 1 : -1) * entropy)
    }
    #expect(error < 2e-8)
  }
}
