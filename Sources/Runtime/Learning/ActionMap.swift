import Kernels

/// From what a Gaussian was sampled as, u, to what leaves the learner: clip(scale f(u) + offset), where f is tanh or
/// nothing.
/// Log-probabilities are those of u: the Jacobian of tanh does not depend on the policy's parameters.
struct ActionMap {
  var isSquashed = false
  /// [actionCount] each.
  var scale: UnsafeMutablePointer<Double>
  var offset: UnsafeMutablePointer<Double>
  var low: UnsafeMutablePointer<Double>
  var high: UnsafeMutablePointer<Double>

  @_noLocks func emit(_ i: Int, _ u: Double) -> Double {
    let x = scale[i] * (isSquashed ? eff_learn_tanh(u) : u) + offset[i]
    return min(max(x, low[i]), high[i])
  }

  /// u of an action that somebody else chose. Where tanh cannot be undone, what is nearest.
  @_noLocks func invert(_ i: Int, _ action: Double) -> Double {
    let x = (action - offset[i]) / scale[i]
    guard isSquashed else { return x }
    let y = min(max(x, -0.999999), 0.999999)
    return 0.5 * eff_learn_log((1 + y) / (1 - y))
  }
}
