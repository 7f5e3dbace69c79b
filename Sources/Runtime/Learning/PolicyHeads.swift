import Base
import Graph
import Kernels
import Onnx

/// The tensors of a policy's graph that a head is made of, and what the policy does to the mean before it leaves.
struct PolicyHeads {
  var mean = -1
  var std = -1
  var stdForm = StdForm.direct
  var isSquashed = false
  var scale: [Double] = []
  var offset: [Double] = []
  var low: [Double] = []
  var high: [Double] = []

  /// Finds mean and std (or logits) in `g`, whose outputs are those of the file.
  init(_ g: Graph, _ s: PolicySettings, _ head: LoadedHead) throws(Failure) {
    if let name = s.features {
      mean = try PolicyHeads.find(name, "features", g)
      try PolicyHeads.require(mean, "features", g)
      return
    }
    switch head {
    case .value:
      mean = try PolicyHeads.findValue(g, s)
    case .gaussian, .choice, .values:
      if let name = s.mean {
        mean = try PolicyHeads.find(name, "mean", g)
      } else if let action = s.policy.plan.outputs.firstIndex(where: { $0.role == .action }) {
        mean = g.outputs[action].value
      } else {
        throw Failure(.state, g.refusal + "; or name the learner's 'mean'")
      }
    }
    switch head {
    case .gaussian:
      peelAction(g)
      try findStd(g, s)
    case .choice: peelChoice(g)
    case .values:
      peelIndex(g)
      try requireValues(g, isNamed: s.mean != nil)
    case .value: break
    }
    try PolicyHeads.require(mean, head.noun, g)
  }

  /// The value of a state: the tensor that the caller names, the one output of one number, or of several the one that
  /// is called so.
  private static func findValue(_ g: Graph, _ s: PolicySettings) throws(Failure) -> Int {
    if let name = s.value ?? s.mean ?? s.policy.valueName.map({ String(cString: $0) }) {
      let v = try find(name, "value", g)
      guard g.values[v].count == 1 else {
        throw Failure(
          .shape,
          """
          learner option 'value' names '\(name)', which is \(describe(g.values[v].shape)), expected one number; a \
          tensor of features is named by 'features'
          """
        )
      }
      return v
    }
    let single = g.outputs.filter { g.values[$0.value].count == 1 && g.values[$0.value].type == .f32 }
    let called = single.filter { contains($0.name, "value") || contains($0.name, "critic") }
    guard let found = single.count == 1 ? single[0] : called.count == 1 ? called[0] : nil else {
      throw Failure(
        .state,
        """
        which tensor of the critic is the value is not clear: \(single.count) outputs are one number (\
        \(list(single)) of \(list(g.outputs))); name the learner's 'value'
        """
      )
    }
    return found.value
  }

  private static func list(_ ports: [Port]) -> String {
    var text = ""
    for p in ports { text += (text.utf8.isEmpty ? "'" : ", '") + p.name + "'" }
    return text.utf8.isEmpty ? "none" : text
  }

  private static func find(_ name: String, _ what: String, _ g: Graph) throws(Failure) -> Int {
    for o in g.outputs where o.name == name { return o.value }
    for i in g.values.indices.reversed() where g.values[i].name == name { return i }
    throw Failure(.argument, "learner option '\(what)' names '\(name)', but the policy has no tensor of that name")
  }

  private static func require(_ v: Int, _ what: String, _ g: Graph) throws(Failure) {
    guard g.values[v].type == .f32, g.values[v].count > 0 else {
      throw Failure(
        .unsupported,
        """
        the \(what) of the policy ('\(g.values[v].name)') is \(g.values[v].type.name) \(describe(g.values[v].shape)), \
        expected f32 numbers; name another tensor
        """
      )
    }
  }

  private mutating func findStd(_ g: Graph, _ s: PolicySettings) throws(Failure) {
    guard case .automatic = s.stdSource else { return }
    let n = g.values[mean].count
    var name = s.std
    if name == nil {
      for (i, o) in g.outputs.enumerated()
      where s.policy.plan.outputs[i].role == .auxiliary && g.values[o.value].type == .f32 {
        let count = g.values[o.value].count
        if contains(o.name, "std") && (count == n || count == 1) { name = o.name }
      }
    }
    guard let name else { return }
    std = try PolicyHeads.find(name, "std", g)
    stdForm = contains(name, "log") ? .logarithm : .direct
    try PolicyHeads.require(std, "std", g)
    let count = g.values[std].count
    guard count == n || count == 1 else {
      throw Failure(.shape, "the std of the policy ('\(name)') has \(count) elements, expected \(n)")
    }
  }

  /// The op that alone writes all of `v`.
  private static func writer(_ v: Int, _ g: Graph) -> GraphOp? {
    guard g.values[v].constant == nil, Fusion.isWhole(v, g) else { return nil }
    var found: GraphOp?
    for op in g.ops where op.outputs.contains(where: { $0 >= 0 && g.root($0) == g.root(v) }) {
      if found != nil { return nil }
      found = op
    }
    return found
  }

  /// Undoes clip and tanh at the end of the policy, so that the Gaussian lies around what comes before them.
  private mutating func peelAction(_ g: Graph) {
    let n = g.values[mean].count
    scale = [Double](repeating: 1, count: n)
    offset = [Double](repeating: 0, count: n)
    low = [Double](repeating: -.infinity, count: n)
    high = [Double](repeating: .infinity, count: n)
    while let op = PolicyHeads.writer(mean, g), let x = op.inputs.first, x >= 0, g.values[x].type == .f32 {
      if case .unary(let u) = op.params, u.fn == EFF_FN_CLIP {
        bound(low: [Double](repeating: u.alpha, count: n), high: [Double](repeating: u.beta, count: n))
        mean = op[.x]
      } else if case .binary(let p) = op.params, p.fn == EFF_FN2_MIN || p.fn == EFF_FN2_MAX,
        let (x, c, _) = PolicyHeads.split(op, n, g)
      {
        let none = [Double](repeating: p.fn == EFF_FN2_MIN ? -.infinity : .infinity, count: n)
        bound(low: p.fn == EFF_FN2_MIN ? none : c, high: p.fn == EFF_FN2_MIN ? c : none)
        mean = x
      } else {
        break
      }
    }
    peelTanh(g, n)
  }

  private mutating func bound(low l: [Double], high h: [Double]) {
    for i in low.indices { (low[i], high[i]) = (max(low[i], l[i]), min(high[i], h[i])) }
  }

  /// scale tanh(x) + offset, in whatever order the exporter wrote it; nothing is undone where there is no tanh.
  private mutating func peelTanh(_ g: Graph, _ n: Int) {
    var v = mean
    var a = scale
    var b = offset
    while let op = PolicyHeads.writer(v, g) {
      if case .unary(let u) = op.params, u.fn == EFF_FN_TANH {
        (mean, scale, offset, isSquashed) = (op[.x], a, b, true)
        return
      }
      guard case .binary(let p) = op.params, let (x, c, isLeft) = PolicyHeads.split(op, n, g) else { return }
      for i in 0..<n {
        switch Int(p.fn) {
        case EFF_FN2_ADD: b[i] += a[i] * c[i]
        case EFF_FN2_SUB where !isLeft: b[i] -= a[i] * c[i]
        case EFF_FN2_MUL: a[i] *= c[i]
        case EFF_FN2_DIV where !isLeft: a[i] /= c[i]
        default: return
        }
      }
      v = x
    }
  }

  /// The changing operand of a binary op of n elements and the numbers of its constant one, which may be the left one.
  private static func split(_ op: GraphOp, _ n: Int, _ g: Graph) -> (x: Int, c: [Double], isLeft: Bool)? {
    let isLeft = g.values[op[.a]].constant != nil
    let x = op[isLeft ? .b : .a]
    guard let c = g.values[op[isLeft ? .a : .b]].constant, c.type == .f32, g.values[x].constant == nil,
      g.values[x].count == n
    else { return nil }
    guard c.count == n || c.count == 1 else { return nil }
    return (x, (0..<n).map { Double(c.float(c.count == 1 ? 0 : $0)) }, isLeft)
  }

  /// From the index of the best choice back to the values that it is the best of.
  private mutating func peelIndex(_ g: Graph) {
    while let op = PolicyHeads.writer(mean, g) {
      switch op.params {
      case .arg, .cast: mean = op[.x]
      default: return
      }
    }
  }

  /// One value of each choice: no probabilities, no more axes than one, and not squashed or clipped as a continuous
  /// action is, unless the caller names them.
  private func requireValues(_ g: Graph, isNamed: Bool) throws(Failure) {
    let v = g.values[mean]
    var asAction = self
    asAction.peelAction(g)
    guard isNamed || asAction.mean == mean else {
      throw Failure(
        .argument,
        """
        '\(v.name)' of the policy ends with tanh or a clip, as a continuous action does, which learns with an \
        actor-critic; if it is the value of each choice, name it as 'mean'
        """
      )
    }
    if let op = PolicyHeads.writer(mean, g), case .softmax = op.params {
      throw Failure(
        .unsupported,
        """
        the values of the policy ('\(v.name)') are probabilities, expected the value of each choice; name another \
        tensor as 'mean', or learn with EFF_LEARNER_AC_DISCRETE (Python: "stream-ac-discrete")
        """
      )
    }
    guard v.shape.dropLast().allSatisfy({ $0 == 1 }) else {
      throw Failure(
        .shape,
        """
        the values of the policy ('\(v.name)') are \(describe(v.shape)), expected [1, choices]: of a network that \
        gives distributions name the tensor of expected values as 'mean'
        """
      )
    }
  }

  /// From the index of a choice, or probabilities, back to logits.
  private mutating func peelChoice(_ g: Graph) {
    while let op = PolicyHeads.writer(mean, g) {
      switch op.params {
      case .arg, .cast, .softmax: mean = op[.x]
      default: return
      }
    }
  }
}
