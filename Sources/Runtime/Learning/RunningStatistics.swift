import Kernels

/// Mean and variance of a stream (Welford), one entry per element.
///
/// With n samples: mean += (x - mean) / n; m2 += (x - old mean)(x - new mean); the variance is m2 / (n - 1), and 1
/// while n < 2.
struct RunningStatistics {
  /// [size]
  var mean: UnsafeMutablePointer<Double>
  /// [size]
  var m2: UnsafeMutablePointer<Double>
  var size: Int

  /// Takes in a sample `x` [size], the `count`-th one.
  @_noLocks func add(_ x: UnsafePointer<Double>, count: UInt64) {
    if count == 1 {
      for i in 0..<size {
        mean[i] = x[i]
        m2[i] = 0
      }
      return
    }
    let n = Double(count)
    for i in 0..<size {
      let d = x[i] - mean[i]
      mean[i] += d / n
      m2[i] += d * (x[i] - mean[i])
    }
  }

  @_noLocks func variance(_ i: Int, count: UInt64) -> Double { count < 2 ? 1 : m2[i] / Double(count - 1) }

  /// y = (x - mean) / sqrt(variance + epsilon)
  @_noLocks func normalize(
    _ x: UnsafePointer<Double>, count: UInt64, epsilon: Double, into y: UnsafeMutablePointer<Double>
  ) {
    for i in 0..<size { y[i] = (x[i] - mean[i]) / eff_learn_sqrt(variance(i, count: count) + epsilon) }
  }
}
