import Kernels

/// The arrays of a learner that can be read and written by name.
public enum TensorKind: Sendable {
  case weight, trace, moment
}

/// One of a learner's networks.
public enum NetworkKind: Sendable {
  case actor, critic
  /// Of the bonus.
  case predictor, target
}

/// One array of a learner, by the name under which it can be read and written:
/// `<actor|critic>.<w|e|v>.<l1, l2, ..|out>.<weight|bias>`, and the statistics `obsnorm.mean` and so on.
/// The actor's Gaussian head is one layer: means first, then the numbers that softplus makes standard deviations.
/// With a bonus: `predictor.<w|e|v>...`, `target.w...`, `bonus.mean` and so on.
/// Of a loaded policy: `actor.<w|e|v>.<name in the file>`, of a long name its end; more than two dimensions are joined
/// into two.
public struct LearnerTensor {
  enum Source {
    case parameter(NetworkKind, TensorKind, Int)
    case observationMean, observationM2, observationCount, rewardMean, rewardM2, rewardCount, returnTrace, filterMean,
      filterCount
    case errorMean, errorM2, errorCount, errorTrace
  }
  let source: Source
  /// UTF-8 without a terminator.
  public fileprivate(set) var name: [UInt8]
  /// One or two dimensions.
  public let shape: [Int]

  public var count: Int { shape.reduce(1, *) }
}

extension LearnerHandle {
  /// Every array, in a fixed order.
  @export(interface)
  public func tensors() -> [LearnerTensor] {
    var all: [LearnerTensor] = []
    func add(_ source: LearnerTensor.Source, _ shape: [Int], _ parts: StaticString...) {
      var name: [UInt8] = []
      for part in parts {
        if !name.isEmpty { name.append(0x2e) }
        part.withUTF8Buffer { name += $0 }
      }
      all.append(LearnerTensor(source: source, name: name, shape: shape))
    }
    let kinds: [(TensorKind, StaticString)] =
      [(.weight, "w"), (.trace, "e")] + (core.pointee.settings.optimizer.hasMoments ? [(.moment, "v")] : [])
    var nets: [(NetworkKind, StaticString, [LearnedParameter], [(TensorKind, StaticString)])] = [
      (.actor, "actor", networks.actor, kinds), (.critic, "critic", networks.critic, kinds),
    ]
    let hasBonus = core.pointee.rewards?.pointee.bonus != nil
    if hasBonus, let rewards = networks.rewards {
      nets.append((.predictor, "predictor", rewards.predictor, [(.weight, "w"), (.trace, "e"), (.moment, "v")]))
      nets.append((.target, "target", rewards.target, [(.weight, "w")]))
    }
    for (net, netName, parameters, kinds) in nets {
      for (kind, kindName) in kinds {
        for (i, p) in parameters.enumerated() {
          let rows = p.shape.first ?? 1
          let shape = p.shape.count > 1 && rows > 0 ? [rows, p.count / rows] : [p.count]
          add(.parameter(net, kind, i), shape, netName, kindName)
          all[all.count - 1].name += [0x2e] + Array(p.name.utf8).suffix(54)
        }
      }
    }
    let n = core.pointee.settings.observationCount
    add(.observationMean, [n], "obsnorm", "mean")
    add(.observationM2, [n], "obsnorm", "m2")
    add(.observationCount, [1], "obsnorm", "count")
    add(.rewardMean, [1], "rewscale", "mean")
    add(.rewardM2, [1], "rewscale", "m2")
    add(.rewardCount, [1], "rewscale", "count")
    add(.returnTrace, [1], "rewscale", "return_trace")
    add(.filterMean, [n], "obsema", "mean")
    add(.filterCount, [1], "obsema", "count")
    if hasBonus {
      add(.errorMean, [1], "bonus", "mean")
      add(.errorM2, [1], "bonus", "m2")
      add(.errorCount, [1], "bonus", "count")
      add(.errorTrace, [1], "bonus", "return_trace")
    }
    return all
  }

  /// Visits the elements of `tensor` in row-major order. `body` may change them.
  @export(interface)
  public func visit(_ tensor: LearnerTensor, _ body: (Int, inout Double) -> Void) {
    let state = core.pointee.state
    func numbers(_ p: UnsafeMutablePointer<Double>) { for i in 0..<tensor.count { body(i, &p[i]) } }
    func count(_ p: UnsafeMutablePointer<UInt64>) {
      var x = Double(p.pointee)
      body(0, &x)
      p.pointee = x >= 0 && x < 0x1p63 ? UInt64(x) : 0
    }
    switch tensor.source {
    case .parameter(let net, let kind, let i): visit(net, kind, parameter: i, body)
    case .observationMean: numbers(core.pointee.observations.mean)
    case .observationM2: numbers(core.pointee.observations.m2)
    case .rewardMean: numbers(core.pointee.returns.mean)
    case .rewardM2: numbers(core.pointee.returns.m2)
    case .filterMean: numbers(core.pointee.filter)
    case .returnTrace: body(0, &state.pointee.returnTrace)
    case .observationCount: count(&state.pointee.observationCount)
    case .rewardCount: count(&state.pointee.rewardCount)
    case .filterCount: count(&state.pointee.filterCount)
    case .errorMean, .errorM2, .errorCount, .errorTrace:
      guard let rewards = core.pointee.rewards, let errors = rewards.pointee.bonus?.errors else { return }
      let own = rewards.pointee.state
      switch tensor.source {
      case .errorMean: numbers(errors.mean)
      case .errorM2: numbers(errors.m2)
      case .errorCount: count(&own.pointee.errorCount)
      default: body(0, &own.pointee.errorTrace)
      }
    }
  }
}

extension LearnerHandle {
  /// Visits the elements of parameter `i` in the order of its array. `body` may change them.
  func visit(_ kind: NetworkKind, _ tensor: TensorKind, parameter i: Int, _ body: (Int, inout Double) -> Void) {
    settle()
    let bonus = core.pointee.rewards?.pointee.bonus
    let (found, parameters): (eff_learn_net?, [LearnedParameter]?) =
      switch kind {
      case .actor: (core.pointee.actor, networks.actor)
      case .critic: (core.pointee.critic, networks.critic)
      case .predictor: (bonus?.predictor, networks.rewards?.predictor)
      case .target: (bonus?.target, networks.rewards?.target)
      }
    guard let net = found, let p = parameters?[i], let base = net.base(tensor) else { return }
    let numbers = Numbers(base: base, isDouble: core.pointee.settings.isDouble)
    for k in 0..<p.count {
      var x = numbers[p.place(k)]
      body(k, &x)
      numbers[p.place(k)] = x
    }
    core.pointee.state.pointee.isForwarded = false
  }
}

extension eff_learn_net {
  func base(_ tensor: TensorKind) -> UnsafeMutableRawPointer? {
    switch tensor {
    case .weight: w
    case .trace: e
    case .moment: v
    }
  }
}
