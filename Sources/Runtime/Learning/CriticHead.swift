import Base
import Kernels
import Platform

/// What the critic's distribution adds to a checkpoint.
struct CriticState {
  /// The stock: what the episode's return has beyond its threshold, in present units: c' = (c + r') / gamma.
  var stock = 0.0
  /// The threshold that the last episode began with.
  var threshold = 0.0
  /// Updates whose target lay beyond the support.
  var clipped: UInt64 = 0

  static let bytes = 24

  mutating func list(_ list: inout FieldList) {
    list.add("stock", &stock)
    list.add("threshold", &threshold)
    list.add("clipped", &clipped)
  }
}

/// The head of a critic that gives a distribution. `size` outputs y belong to a state (or to a choice in it).
///
/// The trace is that of one linear function of them, u y, with the same u at all times:
///
///     e = gamma lambda e + d(-u y)/dw,   u = 1/size (quantile),  (z - mean z) / sum |z - mean z| (others)
///
/// It moves all outputs as a higher return would. Each output k has an error d_k (see `errors`). The layers below the
/// head take the errors' part along u, as one number; the head, which is linear in its inputs x, takes them all, since
/// the trace of output k is the sum of (gamma lambda)^n x for every k, and so can be read from row 0:
///
///     w (below) -= step D e,       D = sum d / size (quantile),  u d / u u (others)
///     W_k (head) -= step d_k e_0 / u_0
///
/// Distributional errors have no exact backward view (they depend on the path: arXiv 2207.07570). Where E[d_k | s] is 0
/// for all k, nothing moves on average, whatever lambda is: fixed points are those of one-step updates.
struct CriticHead {
  let settings: CriticSettings
  let place: eff_learn_head
  /// Of the state and its successor, and one more to work with.
  let here: ReturnDistribution
  let next: ReturnDistribution
  let other: ReturnDistribution
  /// Errors d, and the steps that they become [size].
  let errors: UnsafeMutablePointer<Double>
  let steps: UnsafeMutablePointer<Double>
  /// u [size].
  let direction: UnsafeMutablePointer<Double>
  /// Part of the checkpoint.
  let state: UnsafeMutablePointer<CriticState>
  /// The first atom and the distance to the next.
  let first: Double
  let width: Double

  var size: Int { @_noLocks get { settings.size } }

  /// Doubles to work with, for `size` outputs.
  static func scratch(_ size: Int) -> Int { 9 * size }

  init(
    _ s: LearnerSettings, _ network: Network, scratch: UnsafeMutablePointer<Double>,
    state: UnsafeMutablePointer<CriticState>
  ) {
    (settings, self.state) = (s.critic, state)
    let n = settings.size
    let groups = s.criticOutputs / n
    func distribution(_ i: Int) -> ReturnDistribution {
      ReturnDistribution(values: scratch + 2 * i * n, probabilities: scratch + (2 * i + 1) * n, count: n)
    }
    (here, next, other) = (distribution(0), distribution(1), distribution(2))
    (errors, steps, direction) = (scratch + 6 * n, scratch + 7 * n, scratch + 8 * n)
    let isAutomatic = settings.low == 0 && settings.high == 0
    let (low, high) = isAutomatic ? (-10, 10) : (settings.low, settings.high)
    switch settings.kind {
    case .hlGauss:
      width = (high - low) / Double(n)
      first = low + width / 2
    default:
      width = (high - low) / Double(n - 1)
      first = low
    }
    var place = eff_learn_head()
    let parameters = network.plan.parameters
    if parameters.count >= 2, let matrix = parameters[parameters.count - 2].matrix {
      (place.weight, place.bias) = (
        Int64(parameters[parameters.count - 2].offset), Int64(parameters[parameters.count - 1].offset)
      )
      (place.inputs, place.atoms, place.groups) = (Int64(matrix.inputs), Int64(n), Int64(groups))
      (place.out_stride, place.in_stride) =
        matrix.isByInput ? (1, Int64(matrix.lanes)) : (Int64(matrix.lanes), 1)
    }
    self.place = place
    var sum = 0.0
    for k in 0..<n {
      direction[k] = settings.kind.isQuantile ? 1 : Double(2 * k - (n - 1))
      sum += abs(direction[k])
    }
    for k in 0..<n { direction[k] /= sum }
  }

  // MARK: what the outputs say

  /// The distribution that outputs `y` [size] say.
  @_noLocks func read(_ y: Numbers, into d: ReturnDistribution) {
    let n = size
    if settings.kind.isQuantile {
      for k in 0..<n {
        d.values[k] = y[k]
        d.probabilities[k] = 1 / Double(n)
      }
      return d.sort()
    }
    SoftmaxHead(outputs: y, count: n).probabilities(into: d.probabilities)
    for k in 0..<n { d.values[k] = first + Double(k) * width }
  }

  /// The mean of the distribution that outputs `y` say; not finite where they are not.
  @_noLocks func mean(_ y: Numbers) -> Double {
    read(y, into: other)
    return other.mean
  }

  // MARK: errors

  /// Errors d of outputs `y`, of which `here` has been read, for the target r + g Z', Z' as in `next`.
  ///
  /// - quantile k at the level t_k = (k + 1/2) / size: d_k = sum_j p_j |t_k - [x_j < 0]| clip(x_j, -huber, huber), with
  ///   x_j = r + g Z'_j - y_k; plain pinball: t_k - sum_j p_j [x_j < 0] (arXiv 1710.10044, equations 9 and 10)
  /// - others: d = m - softmax(y), minus the gradient of the cross-entropy, with m the target's projection: of all of
  ///   r + g Z' onto the atoms (C51, arXiv 1707.06887), or of its mean alone (arXiv 2403.03950)
  @_noLocks func findErrors(_ y: Numbers, reward r: Double, discount g: Double) {
    if settings.kind.isQuantile { return findQuantileErrors(y, r, g) }
    for k in 0..<size { errors[k] = -here.probabilities[k] }
    switch settings.kind {
    case .categorical:
      for j in 0..<size { spread(r + g * next.values[j], mass: next.probabilities[j]) }
    case .hlGauss: smear(r + g * next.mean)
    default: spread(r + g * next.mean, mass: 1)
    }
    let target = r + g * next.mean
    if target < first || target > first + Double(size - 1) * width { state.pointee.clipped &+= 1 }
  }

  @_noLocks private func findQuantileErrors(_ y: Numbers, _ r: Double, _ g: Double) {
    let n = size
    let bound = settings.huber
    for k in 0..<n {
      let level = (Double(k) + 0.5) / Double(n)
      let estimate = y[k]
      var sum = 0.0
      for j in 0..<n {
        let x = r + g * next.values[j] - estimate
        let side = x < 0 ? level - 1 : level
        sum += next.probabilities[j] * (bound > 0 ? abs(side) * min(max(x, -bound), bound) : side)
      }
      errors[k] = sum
    }
  }

  /// Adds `mass` at x to the two atoms beside it.
  @_noLocks private func spread(_ x: Double, mass: Double) {
    let place = min(max((x - first) / width, 0), Double(size - 1))
    guard place.isFinite else { return }
    let below = Int(place)
    let share = place - Double(below)
    errors[below] += mass * (1 - share)
    if below + 1 < size { errors[below + 1] += mass * share }
  }

  /// Adds the probabilities of the bins under a Gaussian around x, cut off at the ends of the support.
  @_noLocks private func smear(_ x: Double) {
    let scale = settings.smoothing * width * eff_learn_sqrt(2)
    let low = first - width / 2
    let center = min(max(x, low), low + Double(size) * width)
    func below(_ edge: Int) -> Double { eff_learn_erf((low + Double(edge) * width - center) / scale) }
    let start = below(0)
    let total = below(size) - start
    guard total.isFinite else { return }
    var last = start
    for k in 0..<size {
      let edge = below(k + 1)
      errors[k] += (edge - last) / total
      last = edge
    }
  }

  /// D, the errors' part along u as the layers below the head see it.
  var common: Double {
    @_noLocks get {
      var along = 0.0
      var square = 0.0
      for k in 0..<size {
        along += direction[k] * errors[k]
        square += direction[k] * direction[k]
      }
      return settings.kind.isQuantile ? along : along / square
    }
  }

  /// The largest |d_k|; not finite where one of them is not.
  var largest: Double {
    @_noLocks get {
      var largest = 0.0
      for k in 0..<size { largest = errors[k].magnitude > largest || errors[k].isNaN ? errors[k].magnitude : largest }
      return largest
    }
  }

  /// Gradient of -u y for the outputs of group `slot`; 0 for the others.
  @_noLocks func writeGradient(slot: Int, into g: Numbers) {
    for i in 0..<Int(place.groups) * size {
      g[i] = i >= slot * size && i < (slot + 1) * size ? -direction[i - slot * size] : 0
    }
  }
}
