import Kernels
import Testing

@testable import Runtime

/// The vector kernels against their naive twins, through whole learners on the same stream.
@Suite struct TwinTests {
  private func run(_ options: LearnerOptions, isa: Int32, steps: Int) throws -> (weights: [Double], traces: [Double]) {
    var o = options
    o.isa = isa
    let owned = try OwnedLearner(o)
    let l = owned.learner
    var stream = Generator(seed: 3)
    let n = o.settings.observationCount
    var action = [Double](repeating: 0, count: max(1, o.settings.actionCount))
    var observation = (0..<n).map { _ in stream.uniform() - 0.5 }
    for t in 1...steps {
      #expect(l.act(observation, into: &action) == .ok)
      // actions from the stream, so that rounding cannot branch
      let index = [Double(Int(stream.uniform() * Double(max(1, o.settings.actionCount))))]
      let given =
        o.settings.algorithm == .acContinuous ? (0..<o.settings.actionCount).map { _ in stream.normal() } : index
      observation = (0..<n).map { _ in stream.uniform() - 0.5 }
      var report = UpdateReport()
      given.withUnsafeBufferPointer { a in
        let end = t % 17 == 0
        let transition = Transition(
          observation: observation, reward: stream.normal(), isTerminated: end, action: a.baseAddress)
        #expect(l.update(transition, &report) == .ok)
      }
    }
    var weights: [Double] = []
    var traces: [Double] = []
    for net in o.settings.algorithm.hasActor ? [NetworkKind.actor, .critic] : [.critic] {
      for i in 0..<l.layerCount(net) {
        l.visit(net, layer: i, .weight) { weights.append($1) }
        l.visit(net, layer: i, .trace) { traces.append($1) }
      }
    }
    return (weights, traces)
  }

  private func distance(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } }

  @Test(arguments: [Optimizer.obgd, .adaptiveObGD, .intentional], [true, false])
  func everyLevelLearnsTheSame(_ optimizer: Optimizer, isDouble: Bool) throws {
    for (algorithm, sizes) in [
      (Algorithm.acContinuous, [19, 33]), (.acDiscrete, [64, 16]), (.td, [5]), (.td, [40, 8, 24]), (.q, [1, 3]),
    ] {
      for activation in activations {
        var o = smallOptions(algorithm, optimizer, isDouble: isDouble)
        o.hiddenSizes = sizes
        o.settings.hidden.activation = activation
        o.settings.hidden.hasLayerNorm = activation != Int32(EFF_FN_TANH)
        let naive = try run(o, isa: Int32(EFF_ISA_NAIVE), steps: 40)
        for isa in [Int32(EFF_ISA_SSE2), -1] {
          let vector = try run(o, isa: isa, steps: 40)
          // second moments turn the rounding of a near-zero trace into a visible step
          let scale = (isDouble ? 2e-9 : 1) * (optimizer == .obgd ? 1 : 100)
          #expect(
            distance(naive.weights, vector.weights) < 1e-4 * scale,
            "\(algorithm) \(sizes) activation \(activation) level \(isa)")
          #expect(
            distance(naive.traces, vector.traces) < 1e-2 * scale,
            "\(algorithm) \(sizes) activation \(activation) level \(isa)")
        }
      }
    }
  }
}
