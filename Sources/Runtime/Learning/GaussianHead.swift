import Kernels

/// Independent Gaussians: outputs are the means and what the standard deviations are made of.
///
/// softplus: std = floor + softplus(pre), identity above 20, at most the ceiling. Of a loaded policy: std = pre or
/// exp(pre), between the two.
struct GaussianHead {
  let outputs: Numbers
  let count: Int
  let floor: Double
  let ceiling: Double
  let form: StdForm
  /// Actions are tanh of what is sampled here.
  let isSquashed: Bool

  @_noLocks init(
    outputs: Numbers, count: Int, floor: Double, ceiling: Double, form: StdForm = .softplus, isSquashed: Bool = false
  ) {
    self.outputs = outputs
    self.count = count
    self.floor = floor
    self.ceiling = ceiling
    self.form = form
    self.isSquashed = isSquashed
  }

  @_noLocks func mean(_ i: Int) -> Double { outputs[i] }
  @_noLocks func std(_ i: Int) -> Double {
    let x = outputs[count + i]
    guard form.isSoftplus else {
      // a policy that gives no deviation at all still has a density
      return min(max(form.isLogarithm ? eff_learn_exp(min(x, 50)) : x, max(floor, 1e-6)), ceiling)
    }
    let soft = x > 20 ? x : eff_learn_log1p(eff_learn_exp(x))
    return min(floor + soft, ceiling)
  }

  /// How the standard deviation changes with what it is made of, without the limits: a std held by one passes its
  /// gradient on, so that it can come back.
  @_noLocks private func slope(_ i: Int) -> Double {
    let x = outputs[count + i]
    if form.isSoftplus { return x > 20 ? 1 : 1 / (1 + eff_learn_exp(-x)) }
    return form.isLogarithm ? eff_learn_exp(min(x, 50)) : 1
  }

  /// Gradient of -(log pi(a) + bonus H) for the outputs, into `g` [2 count]:
  /// for the mean -(a - mu) / std^2; for std 1/std - (a - mu)^2 / std^3 - bonus / std, through what std is made of.
  /// Of a squashed action the density has a Jacobian that depends on the sample u alone, so log pi has the same
  /// gradient; its entropy has the term E log(1 - tanh(u)^2) besides, of which this takes the sample at hand, u = mu +
  /// std z.
  @_noLocks func gradient(action: UnsafePointer<Double>, bonus: Double, into g: Numbers) {
    for i in 0..<count {
      let s = std(i)
      let d = action[i] - mean(i)
      let squash = isSquashed ? 2 * bonus * eff_learn_tanh(action[i]) : 0
      g[i] = -d / (s * s) + squash
      g[count + i] = ((1 - d * d / (s * s) - bonus) / s + squash * d / s) * slope(i)
    }
  }
}

extension GaussianHead {
  /// KL(self || other) = sum log(s0 / s) + (s^2 + (m - m0)^2) / (2 s0^2) - 1/2, where m0, s0 are the other's, in nats.
  /// It measures a shift of the mean by the deviation of the other. A tanh behind both does not change it, a clip can
  /// only lessen it.
  @_noLocks func divergence(from other: GaussianHead) -> Double {
    var sum = 0.0
    for i in 0..<count {
      let s = std(i)
      let s0 = other.std(i)
      let d = mean(i) - other.mean(i)
      sum += eff_learn_log(s0 / s) + (s * s + d * d) / (2 * s0 * s0) - 0.5
    }
    return sum
  }
}
