import Kernels
import Platform

/// The integral of a reward rate over one step of a policy, from samples; the layout is that of eff_reward_sum.
public struct RewardSum {
  var gamma: Double
  var nominalStep: Double
  var rule: Int32
  /// Samples kept, whose intervals are not in the sum yet: at most 4.
  var count: Int32
  var times: (Double, Double, Double, Double)
  /// Rates, discounted.
  var values: (Double, Double, Double, Double)
  /// Beginning of the step, and the rate of the last sample as it was given.
  var start: Double
  var last: Double
  var sum: Double

  /// Whether samples are joined by parabolas.
  private var isSimpson: Bool { @_noLocks get { rule == 1 } }

  @_noLocks public init?(rule: Int32, gamma: Double, nominalStep: Double) {
    guard rule == 0 || rule == 1, gamma >= 0, gamma <= 1, nominalStep >= 0, nominalStep <= 1e9 else { return nil }
    (self.gamma, self.nominalStep, self.rule, count) = (gamma, nominalStep, rule, 0)
    (times, values) = ((0, 0, 0, 0), (0, 0, 0, 0))
    (start, last, sum) = (0, 0, 0)
  }

  /// false: the time is not after the last one.
  @_noLocks public mutating func add(_ rate: Double, at time: Double) -> Bool {
    guard time.isFinite, count == 0 || time > lastTime else { return false }
    if count == 0 { start = time }
    let isDiscounted = nominalStep > 0 && time > start
    let value = isDiscounted ? rate * eff_learn_pow(gamma, (time - start) / nominalStep) : rate
    last = rate
    if count == (isSimpson ? 4 : 2) {
      if isSimpson {
        // two intervals are left behind for the cubic that may be the last
        sum += parabola
        (times, values) = ((times.2, times.3, 0, 0), (values.2, values.3, 0, 0))
        count = 2
      } else {
        sum += trapezoid(times.0, values.0, times.1, values.1)
        (times.0, values.0) = (times.1, values.1)
        count = 1
      }
    }
    switch count {
    case 0: (times.0, values.0) = (time, value)
    case 1: (times.1, values.1) = (time, value)
    case 2: (times.2, values.2) = (time, value)
    default: (times.3, values.3) = (time, value)
    }
    count &+= 1
    return true
  }

  /// The step that ends with the last sample; nil: there are no two. The next one begins with it.
  @_noLocks public mutating func take() -> (reward: Double, duration: Double)? {
    guard count >= 2 else { return nil }
    let end = lastTime
    switch count {
    case 2: sum += trapezoid(times.0, values.0, times.1, values.1)
    case 3: sum += parabola
    default: sum += cubic
    }
    let found = (sum, end - start)
    (start, sum, count) = (end, 0, 1)
    (times.0, values.0) = (end, last)
    return found
  }

  private var lastTime: Double {
    @_noLocks get {
      switch count {
      case 1: times.0
      case 2: times.1
      case 3: times.2
      default: times.3
      }
    }
  }

  @_noLocks private func trapezoid(_ t: Double, _ x: Double, _ u: Double, _ y: Double) -> Double {
    (u - t) * 0.5 * (x + y)
  }

  /// Over the first two intervals: by the parabola through their samples, or where one of them would count negatively
  /// by trapezoids.
  private var parabola: Double {
    @_noLocks get {
      let (h, k) = (times.1 - times.0, times.2 - times.1)
      guard h <= 2 * k, k <= 2 * h else {
        return trapezoid(times.0, values.0, times.1, values.1) + trapezoid(times.1, values.1, times.2, values.2)
      }
      let w = h + k
      return w / 6 * ((2 - k / h) * values.0 + w * w / (h * k) * values.1 + (2 - h / k) * values.2)
    }
  }

  /// Over three intervals: by the cubic through their samples, or where one of them would count negatively by the
  /// parabola and a trapezoid.
  private var cubic: Double {
    @_noLocks get {
      let (a, b, end) = (times.1 - times.0, times.2 - times.0, times.3 - times.0)
      let first = weight(0, a, b, end, end)
      let second = weight(a, 0, b, end, end)
      let third = weight(b, 0, a, end, end)
      let fourth = weight(end, 0, a, b, end)
      guard first >= 0, second >= 0, third >= 0, fourth >= 0 else {
        return parabola + trapezoid(times.2, values.2, times.3, values.3)
      }
      return first * values.0 + second * values.1 + third * values.2 + fourth * values.3
    }
  }

  /// Integral from 0 to `end` of the polynomial that is 1 at x and 0 at p, q, r.
  @_noLocks private func weight(_ x: Double, _ p: Double, _ q: Double, _ r: Double, _ end: Double) -> Double {
    let (s1, s2, s3) = (p + q + r, p * q + p * r + q * r, p * q * r)
    let integral = end * (end * (end * (end / 4 - s1 / 3) + s2 / 2) - s3)
    return integral / ((x - p) * (x - q) * (x - r))
  }
}
