import Kernels
import Platform

/// A distribution of returns: `count` values in ascending order with their probabilities.
struct ReturnDistribution {
  let values: UnsafeMutablePointer<Double>
  let probabilities: UnsafeMutablePointer<Double>
  let count: Int

  /// Sorts the values, whose probabilities are all alike.
  /// - Complexity: linear where they are nearly in order, as quantiles are; quadratic at worst, of at most 256.
  @_noLocks func sort() {
    for i in 1..<max(count, 1) {
      let x = values[i]
      var k = i
      while k > 0 && values[k - 1] > x {
        values[k] = values[k - 1]
        k -= 1
      }
      values[k] = x
    }
  }

  var mean: Double {
    @_noLocks get {
      var sum = 0.0
      for i in 0..<count { sum += probabilities[i] * values[i] }
      return sum
    }
  }

  /// Standard deviation.
  var spread: Double {
    @_noLocks get {
      let mean = self.mean
      var sum = 0.0
      for i in 0..<count { sum += probabilities[i] * (values[i] - mean) * (values[i] - mean) }
      return eff_learn_sqrt(sum)
    }
  }

  /// The least value that at least the share `level` of returns does not exceed (VaR).
  @_noLocks func quantile(_ level: Double) -> Double {
    var sum = 0.0
    for i in 0..<count {
      sum += probabilities[i]
      // what rounding takes from a sum of probabilities is no atom
      if sum >= level - 1e-12 { return values[i] }
    }
    return values[count - 1]
  }

  /// CVaR: b + E[min(Z - b, 0)] / level with b the quantile at `level` (Rockafellar and Uryasev 2000).
  @_noLocks func tailMean(_ level: Double) -> Double {
    let b = quantile(level)
    return b + shortfall(b) / level
  }

  /// E[min(Z - b, 0)]
  @_noLocks func shortfall(_ b: Double) -> Double {
    var sum = 0.0
    for i in 0..<count where values[i] < b { sum += probabilities[i] * (values[i] - b) }
    return sum
  }

  /// E[min(r + g Z - b, 0)]
  @_noLocks func shortfall(_ b: Double, reward r: Double, discount g: Double) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += probabilities[i] * min(r + g * values[i] - b, 0) }
    return sum
  }

  /// E[(r + g Z - m)^2]
  @_noLocks func square(around m: Double, reward r: Double, discount g: Double) -> Double {
    var sum = 0.0
    for i in 0..<count {
      let x = r + g * values[i] - m
      sum += probabilities[i] * x * x
    }
    return sum
  }
}
