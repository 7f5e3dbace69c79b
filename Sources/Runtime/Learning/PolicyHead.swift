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

/// Softmax over preferences; log-probabilities are of probabilities clamped to [eps, 1 - eps], as in the reference.
struct SoftmaxHead {
  let outputs: Numbers
  let count: Int

  @_noLocks init(outputs: Numbers, count: Int) {
    self.outputs = outputs
    self.count = count
  }

  /// Probabilities into `p` [count].
  @_noLocks func probabilities(into p: UnsafeMutablePointer<Double>) {
    var high = outputs[0]
    for i in 1..<max(count, 1) { high = max(high, outputs[i]) }
    var sum = 0.0
    for i in 0..<count {
      p[i] = eff_learn_exp(outputs[i] - high)
      sum += p[i]
    }
    for i in 0..<count { p[i] /= sum }
  }

  /// log sum exp of the preferences.
  @_noLocks private func logarithmicSum() -> Double {
    var high = outputs[0]
    for i in 1..<max(count, 1) { high = max(high, outputs[i]) }
    var sum = 0.0
    for i in 0..<count { sum += eff_learn_exp(outputs[i] - high) }
    return high + eff_learn_log(sum)
  }

  /// KL(self || other) = sum p (log p - log p0), where p0 are the other's probabilities, in nats.
  @_noLocks func divergence(from other: SoftmaxHead) -> Double {
    let a = logarithmicSum()
    let b = other.logarithmicSum()
    var sum = 0.0
    for i in 0..<count {
      let log = outputs[i] - a
      sum += eff_learn_exp(log) * (log - (other.outputs[i] - b))
    }
    return sum
  }

  /// The choice at `u` in [0, 1) of the cumulative distribution of `p` [count].
  @_noLocks func choose(_ p: UnsafePointer<Double>, at u: Double) -> Int {
    var sum = 0.0
    for i in 0..<count {
      sum += p[i]
      if u < sum { return i }
    }
    return count - 1
  }

  /// Gradient of -(log p_a + bonus H), H = -sum p log p, for the preferences, into `g` [count]; `p` is used as scratch.
  @_noLocks func gradient(choice: Int, bonus: Double, scratch p: UnsafeMutablePointer<Double>, into g: Numbers) {
    probabilities(into: p)
    let eps = outputs.isDouble ? Double.ulpOfOne : Double(Float.ulpOfOne)
    var mean = 0.0
    for pass in 0..<2 {
      for i in 0..<count {
        let c = min(max(p[i], eps), 1 - eps)
        let free = c == p[i] ? 1.0 : 0.0
        let slope = bonus * (eff_learn_log(c) + free) - (i == choice ? free / c : 0)
        if pass == 0 { mean += p[i] * slope } else { g[i] = p[i] * (slope - mean) }
      }
    }
  }
}

/// First index of the largest of `x` [count].
@_noLocks func greedy(_ x: Numbers, _ count: Int) -> Int {
  var best = 0
  for i in 1..<max(count, 1) where x[i] > x[best] { best = i }
  return best
}
