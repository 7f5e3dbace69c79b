import Kernels

/// One array of a learner, by the name under which it can be read and written:
/// `<actor|critic>.<w|e|v>.<l1, l2, ..|out>.<weight|bias>`, and the statistics `obsnorm.mean` and so on.
/// The actor's Gaussian head is one layer: means first, then the numbers that softplus makes standard deviations.
/// Of a loaded policy: `actor.<w|e|v>.<name in the file>`, of a long name its end; more than two dimensions are joined
/// into two.
public struct LearnerTensor {
  enum Source {
    case matrix(NetworkKind, TensorKind, Int), bias(NetworkKind, TensorKind, Int)
    /// Of a loaded policy, by offset.
    case parameter(TensorKind, Int)
    case observationMean, observationM2, observationCount, rewardMean, rewardM2, rewardCount, returnTrace, filterMean,
      filterCount
  }
  let source: Source
  /// UTF-8 without a terminator.
  public let name: [UInt8]
  /// One or two dimensions.
  public let shape: [Int]

  public var count: Int { shape.reduce(1, *) }
}

extension LearnerHandle {
  /// Every array, in a fixed order.
  @export(interface)
  public func tensors() -> [LearnerTensor] {
    var all: [LearnerTensor] = []
    func add(_ source: LearnerTensor.Source, _ shape: [Int], _ parts: StaticString..., number: Int = 0) {
      var name: [UInt8] = []
      for part in parts {
        if !name.isEmpty { name.append(0x2e) }
        part.withUTF8Buffer { name += $0 }
        // "l" stands for the layer of this number
        if part.utf8CodeUnitCount == 1 && part.utf8Start[0] == 0x6c {
          if number >= 10 { name.append(0x30 + UInt8(number / 10)) }
          name.append(0x30 + UInt8(number % 10))
        }
      }
      all.append(LearnerTensor(source: source, name: name, shape: shape))
    }
    let kinds: [(TensorKind, StaticString)] =
      [(.weight, "w"), (.trace, "e")] + (core.pointee.settings.optimizer.hasMoments ? [(.moment, "v")] : [])
    let nets: [(NetworkKind, StaticString)] =
      (core.pointee.settings.algorithm.hasActor ? [(.actor, "actor")] : []) + [(.critic, "critic")]
    for (net, netName) in nets {
      for (kind, kindName) in kinds {
        if net.isActor, let owner = core.pointee.actorOwner {
          for p in owner.takeUnretainedValue().plan.parameters {
            let rows = p.shape.first ?? 1
            let shape = p.shape.count > 1 && rows > 0 ? [rows, p.count / rows] : [p.count]
            add(.parameter(kind, p.offset), shape, netName, kindName)
            let bytes = Array(p.name.utf8)
            all[all.count - 1] = LearnerTensor(
              source: .parameter(kind, p.offset), name: all[all.count - 1].name + [0x2e] + bytes.suffix(54),
              shape: shape)
          }
          continue
        }
        let n = layerCount(net)
        for i in 0..<n {
          let (rows, columns) = layerShape(net, i)
          let layer: StaticString = i + 1 < n ? "l" : "out"
          add(.matrix(net, kind, i), [rows, columns], netName, kindName, layer, "weight", number: i + 1)
          add(.bias(net, kind, i), [rows], netName, kindName, layer, "bias", number: i + 1)
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
    case .matrix(let net, let kind, let layer):
      visit(net, layer: layer, kind) { if $0 < tensor.count { body($0, &$1) } }
    case .bias(let net, let kind, let layer):
      let shape = layerShape(net, layer)
      let skipped = shape.outputs * shape.inputs
      visit(net, layer: layer, kind) { if $0 >= skipped { body($0 - skipped, &$1) } }
    case .parameter(let kind, let offset): visit(kind, from: offset, count: tensor.count, body)
    case .observationMean: numbers(core.pointee.observations.mean)
    case .observationM2: numbers(core.pointee.observations.m2)
    case .rewardMean: numbers(core.pointee.returns.mean)
    case .rewardM2: numbers(core.pointee.returns.m2)
    case .filterMean: numbers(core.pointee.filter)
    case .returnTrace: body(0, &state.pointee.returnTrace)
    case .observationCount: count(&state.pointee.observationCount)
    case .rewardCount: count(&state.pointee.rewardCount)
    case .filterCount: count(&state.pointee.filterCount)
    }
  }
}
