import Foundation
import Runtime

extension Safetensors {
  /// The learner that a golden file describes.
  func learnerOptions() -> LearnerOptions {
    var o = LearnerOptions()
    var s = LearnerSettings()
    let algorithm = text("algorithm")!
    let isIntentional = algorithm.hasPrefix("intentional")
    s.isDouble = text("dtype") == "f64"
    s.isReference = true
    s.algorithm =
      algorithm.hasSuffix("td")
      ? .td
      : algorithm.hasSuffix("_q")
        ? .q : algorithm.hasSuffix("sarsa") ? .sarsa : algorithm.hasSuffix("continuous") ? .acContinuous : .acDiscrete
    s.optimizer = isIntentional ? .intentional : text("optimizer") == "AdaptiveObGD" ? .adaptiveObGD : .obgd
    s.observationCount = Int(number("n_obs_raw")!)
    s.actionCount = Int(number("n_actions") ?? 0)
    func take(_ key: String, _ path: WritableKeyPath<LearnerSettings, Double>) {
      if let x = number(key) { s[keyPath: path] = x }
    }
    take("gamma", \.gamma)
    take("lambda_", \.lambda)
    take("lr", \.stepSize)
    take("kappa_value", \.kappaValue)
    take("kappa_policy", \.kappaPolicy)
    take("entropy_coeff", \.entropy)
    take("eta_policy", \.etaPolicy)
    take("eta_value", \.etaValue)
    take("beta2", \.beta2)
    take("clip_mult", \.clipMultiple)
    take("beta_clip", \.betaClip)
    take("beta_norm", \.betaNorm)
    take("obs_norm_eps", \.observationEpsilon)
    take("reward_eps", \.rewardEpsilon)
    take("obs_ema_beta", \.filterBeta)
    if let g = group("adaptive") {
      s.beta2 = g["beta2"] as! Double
      s.momentEpsilon = g["eps"] as! Double
    }
    if let g = group("epsilon") {
      func n(_ k: String) -> Double { (g[k] as! NSNumber).doubleValue }
      s.epsilonStart = n("epsilon_start")
      s.epsilonEnd = n("epsilon_target")
      s.epsilonSteps = n("exploration_fraction") * n("total_steps")
    }
    if Int(number("n_in")!) > s.observationCount { s.timeLimit = number("time_limit")! }
    if let x = number("leaky_slope") { s.hidden.alpha = x }
    if let x = number("layernorm_eps") { s.hidden.layerNormEpsilon = x }
    o.settings = s
    for i in 1... {
      guard let shape = shape("init.critic.w.l\(i).weight") else { break }
      o.hiddenSizes.append(shape[0])
    }
    return o
  }
}
