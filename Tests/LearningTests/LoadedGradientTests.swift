import Base
import Kernels
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// Whole updates of learners that start from a loaded policy, against central differences of the objective in double.
@Suite struct LoadedGradientTests {
  /// Two layers and heads; the action is `ending` of the mean.
  private func model(ending: [Node], logits: Bool = false) -> Model {
    let nodes = [
      Node("Sub", ["obs", "center"], ["a"]), Node("Gemm", ["a", "w1", "b1"], ["h1"], [.int("transB", 1)]),
      Node("Tanh", ["h1"], ["h"]),
      Node("Gemm", ["h", "w2", "b2"], ["mu"]), Node("Gemm", ["h", "w3", "b3"], ["pre"]),
      Node("Sigmoid", ["pre"], ["std"]), Node("Log", ["std"], ["log_std"]),
    ]
    return Model(
      inputs: [.init("obs", [1, 5])],
      outputs: [.init("action", dims: nil), .init("std", dims: nil), .init("log_std", dims: nil)],
      nodes: nodes + ending,
      initializers: [
        .filled("center", [5]), .filled("w1", [6, 5]), .filled("b1", [6]), .filled("w2", [6, 3]), .filled("b2", [3]),
        .filled("w3", [6, 3]), .filled("b3", [3]),
        .init("two", [2], []), .init("low", [-0.05], []), .init("high", [0.1], []),
      ], opset: 17)
  }

  private func policy(_ model: Model) throws -> Policy {
    let bytes = model.bytes
    let copy = try Bytes.zeroed(bytes.count)
    bytes.withUnsafeBytes { copy.mutable.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    var options = PolicyOptions()
    options.isLearnable = true
    return try Policy.load(copy, options)
  }

  private func options(_ s: PolicySettings, _ algorithm: Algorithm = .acContinuous) throws -> LearnerOptions {
    var o = LearnerOptions()
    o.settings.algorithm = algorithm
    o.settings.isDouble = true
    o.settings.entropy = 0.3
    o.settings.stepSize = 1e-25
    o.settings.hidden.sparsity = 0
    o.hiddenSizes = [7, 9]
    o.seed = 11
    try o.start(from: s)
    return o
  }

  /// Largest difference between the actor's trace after an update that follows the last act and central differences of
  /// the loss, which sees the learner after a forward pass.
  private func worst(_ owned: OwnedLearner, reward: Double, _ loss: (LearnerHandle, _ bonus: Double) -> Double)
    -> Double
  {
    let l = owned.learner
    let raw = Array(UnsafeBufferPointer(start: l.core.pointee.raw, count: 5))
    let normalized = Array(UnsafeBufferPointer(start: l.core.pointee.current, count: 5))
    var report = UpdateReport()
    #expect(l.update(Transition(observation: [0.1, 0.5, -0.3, 0.4, 0.8], reward: reward), &report) == .ok)
    #expect(report.tdError * reward > 0)
    let bonus = report.tdError > 0 ? 0.3 : -0.3
    func tensors(_ kind: TensorKind) -> [LearnerTensor] {
      l.tensors().filter { if case .parameter(.actor, kind, _) = $0.source { true } else { false } }
    }
    func now() -> Double {
      l.feedPolicy(raw: raw, normalized: normalized)
      l.forward(actor: 1)
      return loss(l, bonus)
    }
    var worst = 0.0
    for (weight, trace) in zip(tensors(.weight), tensors(.trace)) {
      var found: [Double] = []
      l.visit(trace) { found.append($1) }
      for k in 0..<weight.count {
        func shifted(_ d: Double) -> Double {
          l.visit(weight) { if $0 == k { $1 += d } }
          defer { l.visit(weight) { if $0 == k { $1 -= d } } }
          return now()
        }
        let expected = (shifted(1e-6) - shifted(-1e-6)) / 2e-6
        worst = max(worst, abs(found[k] - expected) / max(1, abs(expected)))
      }
    }
    #expect(!tensors(.weight).isEmpty)
    return worst
  }

  /// -(log pi(a) + bonus H) of a Gaussian whose samples leave through tanh or not, at the sample that was taken.
  private func gaussianLoss(_ sample: [Double], _ z: [Double], isSquashed: Bool) -> (LearnerHandle, Double) -> Double {
    { l, bonus in
      let head = l.gaussian
      var objective = 0.0
      for i in 0..<3 {
        let d = (sample[i] - head.mean(i)) / head.std(i)
        objective += -0.5 * d * d - eff_learn_log(head.std(i)) + bonus * eff_learn_log(head.std(i))
        // the Jacobian at the sample is a constant; in the entropy the sample moves with the policy
        let t = eff_learn_tanh(head.mean(i) + head.std(i) * z[i])
        if isSquashed { objective += bonus * eff_learn_log(1 - t * t) }
      }
      return -objective
    }
  }

  enum Ending: CaseIterable { case plain, clip, tanh, scaled }

  @Test(arguments: Ending.allCases, [1.0, -1.0])
  func aGaussiansTraceIsTheGradientOfItsObjective(_ ending: Ending, reward: Double) throws {
    let nodes: [Node] =
      switch ending {
      case .plain: [Node("Identity", ["mu"], ["action"])]
      case .clip: [Node("Clip", ["mu", "low", "high"], ["action"])]
      case .tanh: [Node("Tanh", ["mu"], ["action"])]
      case .scaled:
        [Node("Tanh", ["mu"], ["t"]), Node("Mul", ["two", "t"], ["s"]), Node("Sub", ["s", "high"], ["action"])]
      }
    let loaded = try policy(model(ending: nodes))
    let isSquashed = ending == .tanh || ending == .scaled
    for std in ["std", "log_std", nil] {
      for part in [LearnedPart.all, .last(1), .residual(bound: 0.3)] {
        var s = PolicySettings(loaded)
        s.std = std
        if std == nil { s.stdSource = .parameter }
        s.initialStd = 0.4
        s.part = part
        let owned = try OwnedLearner(options(s))
        let l = owned.learner
        var action = [0.0, 0.0, 0.0]
        #expect(l.act([0.3, -0.5, 0.9, 0.1, -0.7], into: &action) == .ok)
        let sample = Array(UnsafeBufferPointer(start: l.core.pointee.action, count: 3))
        let head = l.gaussian
        let z = (0..<3).map { (sample[$0] - head.mean($0)) / head.std($0) }
        for i in 0..<3 {
          let expected: Double =
            switch ending {
            case .plain: sample[i]
            case .clip: min(max(sample[i], Double(Float(-0.05))), Double(Float(0.1)))
            case .tanh: eff_learn_tanh(sample[i])
            case .scaled: 2 * eff_learn_tanh(sample[i]) - Double(Float(0.1))
            }
          #expect(abs(action[i] - expected) < 1e-12)
        }
        let error = worst(owned, reward: reward, gaussianLoss(sample, z, isSquashed: isSquashed))
        #expect(error < 5e-8, "\(ending) std \(std ?? "own") \(part)")
      }
    }
  }

  @Test(arguments: [1.0, -1.0])
  func aChoicesTraceIsTheGradientOfItsObjective(reward: Double) throws {
    let chosen = Node("ArgMax", ["p"], ["action"], [.int("axis", 1)])
    let loaded = try policy(model(ending: [Node("Softmax", ["mu"], ["p"]), chosen]))
    let owned = try OwnedLearner(options(PolicySettings(loaded), .acDiscrete))
    var action = [0.0]
    #expect(owned.learner.act([0.3, -0.5, 0.9, 0.1, -0.7], into: &action) == .ok)
    let choice = Int(action[0])
    let error = worst(owned, reward: reward) { l, bonus in
      var p = [0.0, 0.0, 0.0]
      l.softmax.probabilities(into: &p)
      return -(eff_learn_log(p[choice]) - bonus * p.reduce(0) { $0 + $1 * eff_learn_log($1) })
    }
    #expect(error < 5e-8)
  }
}
