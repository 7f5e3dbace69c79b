import Kernels

/// The arrays of a learner that can be read and written by name.
public enum TensorKind: Sendable {
  case weight, trace, moment
}

/// One of a learner's networks.
public enum NetworkKind: Sendable {
  case actor, critic

  var isActor: Bool {
    switch self {
    case .actor: true
    case .critic: false
    }
  }
}

extension LearnerHandle {
  public func layerCount(_ kind: NetworkKind) -> Int { Int(net(kind).layers) }

  /// Outputs and inputs of layer `i`, that is the shape of its matrix.
  public func layerShape(_ kind: NetworkKind, _ i: Int) -> (outputs: Int, inputs: Int) {
    let l = net(kind).layer[i]
    return (Int(l.out), Int(l.in))
  }

  /// Visits every parameter of layer `i` in the order matrix [outputs, inputs] row by row, then bias [outputs]. `body`
  /// may change it.
  public func visit(_ kind: NetworkKind, layer i: Int, _ tensor: TensorKind, _ body: (Int, inout Double) -> Void) {
    settle()
    let n = net(kind)
    guard let base = n.base(tensor) else { return }
    let numbers = Numbers(base: base, isDouble: core.pointee.settings.isDouble)
    let l = n.layer[i]
    var k = 0
    func visit(_ at: Int) {
      var x = numbers[at]
      body(k, &x)
      numbers[at] = x
      k += 1
    }
    for o in 0..<Int(l.out) {
      for j in 0..<Int(l.in) { visit(l.index(o, j)) }
    }
    for o in 0..<Int(l.out) { visit(Int(l.bias) + o) }
    core.pointee.state.pointee.isForwarded = false
  }

  /// Visits `count` elements of a loaded actor.
  func visit(_ tensor: TensorKind, from offset: Int, count: Int, _ body: (Int, inout Double) -> Void) {
    settle()
    guard let base = core.pointee.actor.base(tensor) else { return }
    let numbers = Numbers(base: base, isDouble: core.pointee.settings.isDouble)
    for i in 0..<count {
      var x = numbers[offset + i]
      body(i, &x)
      numbers[offset + i] = x
    }
    core.pointee.state.pointee.isForwarded = false
  }

  private func net(_ kind: NetworkKind) -> eff_learn_net {
    switch kind {
    case .actor: core.pointee.actor
    case .critic: core.pointee.critic
    }
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
