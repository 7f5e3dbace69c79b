import Kernels
import Platform

/// Random network distillation (arXiv 1810.12894): two networks on the normalized observation, of which one stays and
/// the other learns to predict it.
struct BonusCore {
  var target: eff_learn_net
  var predictor: eff_learn_net
  /// Of the error's discounted sum; size 1.
  var errors: RunningStatistics
  var settings: BonusSettings
}

extension LearnerHandle {
  /// The bonus for s', before the predictor learns from it.
  ///
  /// error = mean (p(x) - t(x))^2 with x = clip(s'); bonus = weight error / sqrt(variance of sum gamma^k error +
  /// 1e-8). The predictor descends the error: v = beta2 v + (1 - beta2) g^2; w -= step g / sqrt(v / (1 - beta2^n) +
  /// 1e-8).
  /// - Complexity: three passes over the weights of the predictor, one over those of the target.
  @_noLocks func bonus(_ rewards: UnsafeMutablePointer<RewardCore>, elapsed: Double) -> Double {
    guard let b = rewards.pointee.bonus else { return 0 }
    let s = core.pointee.settings
    let state = rewards.pointee.state
    let limit = s.normalizesObservations ? b.settings.limit : .infinity
    feed(b.target, limit: limit)
    feed(b.predictor, limit: limit)
    var (target, predictor) = (b.target, b.predictor)
    eff_learn_forward(core.pointee.kernels, &target, 1, 0)
    eff_learn_forward(core.pointee.kernels, &predictor, 1, 0)
    let wanted = target.output(row: 0, isDouble: s.isDouble)
    let found = predictor.output(row: 0, isDouble: s.isDouble)
    let n = b.settings.features
    var error = 0.0
    for i in 0..<n { error += (found[i] - wanted[i]) * (found[i] - wanted[i]) }
    error /= Double(n)
    guard error.isFinite else { return .nan }
    if !core.pointee.state.pointee.freeze.normalizers {
      state.pointee.errorCount &+= 1
      let g = predictor.gradient(isDouble: s.isDouble)
      for i in 0..<n { g[i] = 2 * (found[i] - wanted[i]) / Double(n) }
      // the rule of adaptive ObGD without a trace is Adam without momentum
      let rule = Int32(EFF_LEARN_ADAPTIVE)
      var adam = eff_learn_rule()
      (adam.decay, adam.delta, adam.beta, adam.epsilon) = (0, 1, 0.999, 1e-8)
      adam.correction = 1 - eff_learn_pow(adam.beta, Double(state.pointee.errorCount))
      let sums = eff_learn_backward(core.pointee.kernels, rule, &predictor, &adam)
      if sums.l1 <= 1e30 {
        eff_learn_apply(core.pointee.kernels, rule, &predictor, &adam, b.settings.stepSize)
      } else {
        let size = Int(predictor.count) * (s.isDouble ? 8 : 4)
        eff_zero(predictor.e, size)
        eff_zero(predictor.v, size)
      }
      let decay = elapsed == 1 ? b.settings.gamma : eff_learn_pow(b.settings.gamma, elapsed)
      state.pointee.errorTrace = decay * state.pointee.errorTrace + error
      var sum = state.pointee.errorTrace
      b.errors.add(&sum, count: state.pointee.errorCount)
    }
    let variance = b.errors.variance(0, count: state.pointee.errorCount)
    return b.settings.weight * error / eff_learn_sqrt(variance + 1e-8)
  }

  /// Puts s' into a network of the bonus.
  @_noLocks private func feed(_ net: eff_learn_net, limit: Double) {
    guard let to = net.normalized else { return }
    let input = Numbers(base: to, isDouble: core.pointee.settings.isDouble)
    let x = core.pointee.next
    for i in 0..<core.pointee.settings.observationCount { input[i] = min(max(x[i], -limit), limit) }
  }
}
