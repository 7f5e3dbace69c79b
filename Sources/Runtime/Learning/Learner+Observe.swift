import Kernels
import Platform

extension LearnerHandle {
  /// Whether all of x [count] is finite and small enough for its square to enter statistics.
  @_noLocks func isUsable(_ x: UnsafePointer<Double>, _ count: Int) -> Bool {
    var isUsable = true
    for i in 0..<count { isUsable = isUsable && x[i].magnitude <= 1e100 }
    return isUsable
  }

  /// Makes the network's input of a raw observation: filter, statistics (update first, then use), normalization, time.
  ///
  /// - Parameters:
  ///   - x: raw observation [observationCount], finite
  ///   - counts: whether the sample enters filter and statistics
  ///   - y: [inputCount]
  @_noLocks func observe(_ x: UnsafePointer<Double>, counts: Bool, into y: UnsafeMutablePointer<Double>) {
    let s = core.pointee.state
    let n = core.pointee.settings.observationCount
    if counts && core.pointee.settings.filterBeta > 0 {
      // ema = beta ema + (1 - beta) x
      let beta = core.pointee.settings.filterBeta
      let filter = core.pointee.filter
      s.pointee.filterCount &+= 1
      for i in 0..<n { filter[i] = beta * filter[i] + (1 - beta) * x[i] }
    }
    let sample = filtered(x)
    if core.pointee.settings.normalizesObservations {
      if counts && !s.pointee.freeze.normalizers {
        s.pointee.observationCount &+= 1
        core.pointee.observations.add(sample, count: s.pointee.observationCount)
      }
      core.pointee.observations.normalize(
        sample, count: s.pointee.observationCount, epsilon: core.pointee.settings.observationEpsilon, into: y)
    } else {
      for i in 0..<n { y[i] = sample[i] }
    }
    if core.pointee.settings.timeLimit > 0 { y[n] = s.pointee.time }
    writeStock(stock, into: y)
  }

  /// The raw observation x, or where there is a filter its moving average, corrected for its start at 0.
  /// [observationCount], until the next call.
  @_noLocks func filtered(_ x: UnsafePointer<Double>) -> UnsafePointer<Double> {
    let beta = core.pointee.settings.filterBeta
    let count = core.pointee.state.pointee.filterCount
    guard beta > 0, count > 0 else { return x }
    let scratch = core.pointee.scratch
    let correction = 1 - eff_learn_pow(beta, Double(count))
    for i in 0..<core.pointee.settings.observationCount { scratch[i] = core.pointee.filter[i] / correction }
    return UnsafePointer(scratch)
  }

  /// Advances the time input to that of the observation that follows a step. The reference emits first and advances
  /// afterwards.
  @_noLocks func observeNext(_ x: UnsafePointer<Double>, into y: UnsafeMutablePointer<Double>) {
    let s = core.pointee.state
    let tick = core.pointee.settings.timeLimit > 0 ? 1 / core.pointee.settings.timeLimit : 0
    if !core.pointee.settings.isReference { s.pointee.time += tick }
    observe(x, counts: true, into: y)
    if core.pointee.settings.isReference { s.pointee.time += tick }
  }

  /// Begins an episode with the raw observation `x`.
  @_noLocks func start(_ x: UnsafePointer<Double>) {
    let s = core.pointee.state
    let n = core.pointee.settings.observationCount
    s.pointee.time = -0.5
    observe(x, counts: true, into: core.pointee.current)
    eff_copy(core.pointee.raw, x, n * 8)
    clearHidden()
    startStock()
    s.pointee.isInEpisode = true
    s.pointee.isForwarded = false
  }

  /// r' = r / sqrt(variance of the discounted return + epsilon). The reference lets the return trace of a finished
  /// episode's last step run on into the next episode; here it is cleared.
  @_noLocks func scale(reward r: Double, discount: Double, ends: Bool) -> Double {
    let s = core.pointee.state
    guard core.pointee.settings.scalesRewards else { return r }
    if !s.pointee.freeze.normalizers {
      let isReference = core.pointee.settings.isReference
      let carry = isReference && ends ? 0 : s.pointee.returnTrace
      s.pointee.returnTrace = discount * carry + r
      s.pointee.rewardCount &+= 1
      var g = s.pointee.returnTrace
      core.pointee.returns.add(&g, count: s.pointee.rewardCount)
      if ends && !isReference { s.pointee.returnTrace = 0 }
    }
    let variance = core.pointee.returns.variance(0, count: s.pointee.rewardCount)
    return r / eff_learn_sqrt(variance + core.pointee.settings.rewardEpsilon)
  }
}
