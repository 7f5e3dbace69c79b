import Kernels

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
