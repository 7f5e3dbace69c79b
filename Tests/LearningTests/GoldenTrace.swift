import Foundation
import Testing

@testable import Runtime

/// Replays one golden file through a learner made of the file's own metadata, and compares everything that was
/// recorded.
final class GoldenTrace {
  let file: Safetensors
  let learner: LearnerHandle
  let options: LearnerOptions
  private var tape: [Double] = []
  private var arena: UnsafeMutableRawPointer
  private var tapeMemory: UnsafeMutablePointer<Double>
  private(set) var worst: [String: Double] = [:]
  private(set) var failures: [String] = []

  let isDouble: Bool
  let isZeroInit: Bool
  let isIntentional: Bool

  init(_ url: URL, isa: Int32 = -1) throws {
    file = try Safetensors(url)
    isDouble = file.text("dtype") == "f64"
    isIntentional = file.text("algorithm")!.hasPrefix("intentional")
    var o = file.learnerOptions()
    o.isa = isa
    let s = o.settings
    isZeroInit = file("init.critic.w.l1.weight")!.allSatisfy { $0 == 0 }
    options = o
    let size = try o.arenaSize()
    arena = .allocate(byteCount: size, alignment: 64)
    learner = try o.create(in: arena)
    if let noise = file("in.noise") ?? file("in.u_sample") {
      tape = noise
    } else if let u = file("in.u_explore"), let random = file("in.random_action") {
      for (u, r) in zip(u, random) { tape += r >= 0 ? [u, (r + 0.5) / Double(s.actionCount)] : [u] }
    }
    tapeMemory = .allocate(capacity: tape.count + 1)
    tapeMemory.update(from: tape, count: tape.count)
    if !tape.isEmpty { learner.core.pointee.tape = UnsafePointer(tapeMemory) }
    for net in nets {
      for (layer, name) in layers(net) { write(net, layer, name) }
    }
  }

  deinit {
    arena.deallocate()
    tapeMemory.deallocate()
  }

  private var nets: [NetworkKind] { options.settings.algorithm.hasActor ? [.actor, .critic] : [.critic] }
  private func title(_ net: NetworkKind) -> String { net == .actor ? "actor" : "critic" }

  /// Layers and the file's names for them; a Gaussian head is stored as two.
  private func layers(_ net: NetworkKind) -> [(Int, [String])] {
    let n = learner.layerCount(net)
    let isGaussian = net == .actor && options.settings.algorithm == .acContinuous
    return (0..<n).map { ($0, $0 + 1 < n ? ["l\($0 + 1)"] : isGaussian ? ["mu", "std"] : ["out"]) }
  }

  private func stored(_ prefix: String, _ names: [String]) -> [Double]? {
    var all: [Double] = []
    for part in ["weight", "bias"] {
      for name in names {
        guard let x = file("\(prefix).\(name).\(part)") else { return nil }
        all += x
      }
    }
    return all
  }

  private func write(_ net: NetworkKind, _ layer: Int, _ names: [String]) {
    let values = stored("init.\(title(net)).w", names)!
    learner.visit(net, layer: layer, .weight) { $1 = values[$0] }
  }

  private func check(_ what: String, _ found: Double, _ expected: Double, _ tolerance: Double, step: Int) {
    let error = abs(found - expected)
    worst[what] = max(worst[what] ?? 0, error.isNaN ? .infinity : error)
    if !(error <= tolerance) && failures.count < 20 {
      failures.append("step \(step) \(what): found \(found), expected \(expected), tolerance \(tolerance)")
    }
  }

  /// Tolerance of one kind of number, as the README of the golden traces gives it.
  private func tolerance(_ kind: String) -> Double {
    if isDouble { return isZeroInit ? 1e-11 : 1e-12 }
    switch kind {
    case "w": return isZeroInit ? 1e-4 : isIntentional ? 1e-5 : 1e-6
    case "e", "v": return isZeroInit ? 1e-2 : 1e-4
    case "relative": return isZeroInit ? 1e-3 : isIntentional ? 5e-5 : 5e-6
    default: return isZeroInit ? 1e-4 : isIntentional ? 5e-5 : 5e-6
    }
  }

  func replay() {
    let s = options.settings
    let n = s.observationCount
    let steps = Int(file.number("T")!)
    let checkpoints = Set((file.metadata["checkpoints"] as! [NSNumber]).map(\.intValue))
    let resets = file("in.obs_reset_raw")!
    let nexts = file("in.obs_next_raw")!
    let rewards = file("in.reward_raw")!
    let terminated = file("in.terminated")!
    let truncated = file("in.truncated")!
    let actions = file("in.action")
    let width = s.algorithm == .acContinuous ? s.actionCount : 1
    let isFed = s.algorithm == .acContinuous
    var observation = Array(resets[0..<n])
    var reset = 0
    var action = [Double](repeating: 0, count: width)
    for t in 0..<steps {
      let begins = !learner.core.pointee.state.pointee.isInEpisode
      #expect(learner.act(observation, into: &action) == .ok)
      if begins { compare("out.s_reset", learner.core.pointee.current, row: reset, step: t + 1) }
      compare("out.s", learner.core.pointee.current, row: t, step: t + 1)
      if let actions {
        let wanted = Array(actions[(t * width)..<((t + 1) * width)])
        if file("in.noise") != nil || !isFed {
          for i in 0..<width {
            check("action", action[i], wanted[i], isFed ? (isDouble ? 1e-12 : tolerance("delta")) : 0, step: t + 1)
          }
        }
        action = wanted
      }
      if isFed { compareHead(t) }
      observation = Array(nexts[(t * n)..<((t + 1) * n)])
      var report = UpdateReport()
      action.withUnsafeBufferPointer { a in
        let transition = Transition(
          observation: observation, reward: rewards[t], isTerminated: terminated[t] != 0,
          isTruncated: truncated[t] != 0,
          action: s.algorithm == .td ? nil : a.baseAddress)
        #expect(learner.update(transition, &report) == .ok)
      }
      compare(report, t)
      if checkpoints.contains(t + 1) { compareState(t + 1) }
      if terminated[t] != 0 || truncated[t] != 0 {
        reset += 1
        if (reset + 1) * n <= resets.count { observation = Array(resets[(reset * n)..<((reset + 1) * n)]) }
      }
    }
  }

  private func compare(_ name: String, _ found: UnsafePointer<Double>, row: Int, step: Int, relative: Bool = false) {
    guard let all = file(name), let shape = file.shape(name) else { return }
    let width = shape.count > 1 ? shape[1] : 1
    guard (row + 1) * width <= all.count else { return }
    for i in 0..<width { check(name, found[i], all[row * width + i], 1e-12, step: step) }
  }

  private func compareHead(_ t: Int) {
    let head = learner.gaussian
    let n = options.settings.actionCount
    guard let mu = file("out.mu"), let std = file("out.std") else { return }
    for i in 0..<n {
      check("mu", head.mean(i), mu[t * n + i], tolerance("delta"), step: t + 1)
      check("std", head.std(i), std[t * n + i], tolerance("delta"), step: t + 1)
    }
  }

  private func compare(_ r: UpdateReport, _ t: Int) {
    func one(_ name: String, _ found: Double, relative: Bool = false) {
      guard let all = file(name) else { return }
      let scale = relative ? max(1, abs(all[t])) : 1
      check(name, found / scale, all[t] / scale, tolerance(relative ? "relative" : "delta"), step: t + 1)
    }
    compare("out.s_next", learner.core.pointee.current, row: t, step: t + 1)
    one("out.delta", r.tdError)
    one("out.r_scaled", r.reward)
    one("out.v_s", r.value)
    one("out.v_next", r.nextValue)
    for (net, n, o) in [
      ("actor", r.actor, learner.core.pointee.state.pointee.actor),
      ("critic", r.critic, learner.core.pointee.state.pointee.critic),
    ] {
      one("out.\(net).z_l1", n.traceNorm, relative: true)
      one("out.\(net).M", n.bound, relative: true)
      one("out.\(net).step_size", n.stepSize, relative: true)
      one("out.\(net).delta_used", n.deltaUsed, relative: true)
      one("out.\(net).sigma", o.sigma, relative: true)
      one("out.\(net).clip_ema_sq", o.clipSquare, relative: true)
      one("out.\(net).delta_abs_ema", o.magnitude, relative: true)
    }
    check("trace reset", r.isTraceReset ? 1 : 0, file("out.trace_reset")![t], 0, step: t + 1)
    if let next = file("in.action_next") {
      check("next action", learner.core.pointee.action[0], next[t], 0, step: t + 1)
    }
  }

  private func compareState(_ step: Int) {
    let prefix = "step" + String(repeating: "0", count: 4 - "\(step)".count) + "\(step)"
    for net in nets {
      for (kind, key) in [(TensorKind.weight, "w"), (.trace, "e"), (.moment, "v")] {
        for (layer, names) in layers(net) {
          guard let expected = stored("\(prefix).\(title(net)).\(key)", names) else { continue }
          var seen = 0
          learner.visit(net, layer: layer, kind) { i, x in
            check("\(key)", x, expected[i], tolerance(key), step: step)
            seen += 1
          }
          #expect(seen == expected.count)
        }
      }
    }
    let state = learner.core.pointee.state.pointee
    func array(_ name: String, _ found: UnsafePointer<Double>) { compare("\(prefix).\(name)", found, at: step) }
    array("obsnorm.mean", learner.core.pointee.observations.mean)
    array("obsnorm.m2", learner.core.pointee.observations.m2)
    array("rewscale.mean", learner.core.pointee.returns.mean)
    array("rewscale.m2", learner.core.pointee.returns.m2)
    array("rewscale.return_trace", [state.returnTrace])
    array("obsnorm.count", [Double(state.observationCount)])
    array("rewscale.count", [Double(state.rewardCount)])
    array("obsema.mean", learner.core.pointee.filter)
    array("obsema.count", [Double(state.filterCount)])
  }

  private func compare(_ name: String, _ found: UnsafePointer<Double>, at step: Int) {
    guard let expected = file(name) else { return }
    for i in 0..<expected.count {
      let scale = max(1, abs(expected[i]))
      check("normalizer", found[i] / scale, expected[i] / scale, 1e-12, step: step)
    }
  }
}
