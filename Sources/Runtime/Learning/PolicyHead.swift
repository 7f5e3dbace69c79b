import Kernels

/// Independent Gaussians: outputs are the means and, before softplus, the standard deviations.
///
/// std = floor + softplus(pre), identity above 20, at most the ceiling.
struct GaussianHead {
  let outputs: Numbers
  let count: Int
  let floor: Double
  let ceiling: Double

  @_noLocks init(outputs: Numbers, count: Int, floor: Double, ceiling: Double) {
    self.outputs = outputs
    self.count = count
    self.floor = floor
    self.ceiling = ceiling
  }

  @_noLocks func mean(_ i: Int) -> Double { outputs[i] }
  @_noLocks func std(_ i: Int) -> Double {
    let x = outputs[count + i]
    let soft = x > 20 ? x : eff_learn_log1p(eff_learn_exp(x))
    return min(floor + soft, ceiling)
  }

  /// Gradient of -(log pi(a) + bonus H) for the outputs, into `g` [2 count]:
  /// for the mean -(a - mu) / std^2; for std 1/std - (a - mu)^2 / std^3 - bonus / std, through softplus.
  /// A std held by the ceiling passes its gradient on, so that it can come back.
  @_noLocks func gradient(action: UnsafePointer<Double>, bonus: Double, into g: Numbers) {
    for i in 0..<count {
      let s = std(i)
      let d = action[i] - mean(i)
      let x = outputs[count + i]
      g[i] = -d / (s * s)
      let slope = x > 20 ? 1 : 1 / (1 + eff_learn_exp(-x))
      g[count + i] = (1 - d * d / (s * s) - bonus) / s * slope
    }
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
