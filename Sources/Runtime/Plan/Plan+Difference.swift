import Base
import Graph
import Kernels
import Platform

extension Plan {
  /// First difference that forbids running this plan's sessions with the weights of another; nil where there is none.
  func difference(_ other: Plan) -> String? {
    if isa != other.isa { return "it was packed for another instruction set" }
    let parts = 0...EFF_PLAN_NAMES
    if parts.allSatisfy({ isEqual(other, $0) }), arenaSize == other.arenaSize, weights.count == other.weights.count {
      return hasEqualConstants(other) ? nil : "an output that is a constant has another value"
    }
    if let d = Plan.difference(inputs, other.inputs, "input") ?? Plan.difference(outputs, other.outputs, "output") {
      return d
    }
    if ops.count != other.ops.count { return "it has \(other.ops.count) ops, expected \(ops.count)" }
    for (i, (a, b)) in zip(ops, other.ops).enumerated() {
      if a.code != b.code || a.count != b.count || strcmp(text(a), other.text(b)) != 0 {
        return "op \(i) is '\(String(cString: other.text(b)))', expected '\(String(cString: text(a)))'"
      }
      if keepsWeights(a) != other.keepsWeights(b) {
        return "op \(i) ('\(String(cString: text(a)))') is laid out for learning in one alone; load both as learnable"
      }
      for k in 0..<Int(a.count) where operand(a, k) != other.operand(b, k) {
        return "op \(i) ('\(String(cString: text(a)))') uses other memory"
      }
    }
    if !isEqual(other, EFF_PLAN_PARAMS) {
      let i = ops.indices.first { !hasEqualParams(other, $0) } ?? 0
      return "op \(i) ('\(String(cString: text(ops[i])))') has other parameters"
    }
    if weights.count != other.weights.count {
      return "it has \(other.weights.count) bytes of weights, expected \(weights.count)"
    }
    return arenaSize != other.arenaSize ? "it needs another arena" : "it is laid out in another way"
  }

  /// A convolution with its weights as they are, where another method is faster.
  private func keepsWeights(_ op: eff_plan_op) -> Bool {
    guard case .convPacked? = Kernel(rawValue: op.code), let p = params(op) else { return false }
    return p.assumingMemoryBound(to: eff_conv.self).pointee.keeps_weights != 0
  }

  /// What an op does, for people.
  public func text(_ op: eff_plan_op) -> UnsafePointer<CChar> { text(EFF_PLAN_NAMES, Int(op.text)) }

  private func isEqual(_ other: Plan, _ part: Int) -> Bool {
    let (a, b) = (bytes(part), other.bytes(part))
    return a.count == b.count && (a.count == 0 || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0)
  }

  /// The places of constants are part of the program.
  private func hasEqualConstants(_ other: Plan) -> Bool {
    constants.allSatisfy { c in
      memcmp(weights.baseAddress! + Int(c.weights), other.weights.baseAddress! + Int(c.weights), Int(c.size)) == 0
    }
  }

  /// Whether op `i` of both plans runs with the same numbers.
  private func hasEqualParams(_ other: Plan, _ i: Int) -> Bool {
    func range(_ p: Plan) -> (Int, Int) {
      (Int(p.ops[i].params), i + 1 < p.ops.count ? Int(p.ops[i + 1].params) : p.bytes(EFF_PLAN_PARAMS).count)
    }
    let (mine, theirs) = (range(self), range(other))
    guard mine == theirs, let a = params(ops[i]), let b = other.params(other.ops[i]) else { return false }
    return memcmp(a, b, mine.1 - mine.0) == 0
  }

  private static func difference(_ a: [PlanPort], _ b: [PlanPort], _ what: String) -> String? {
    if a.count != b.count { return "it has \(b.count) \(what)s, expected \(a.count)" }
    for i in a.indices {
      if a[i].name != b[i].name { return "\(what) \(i) is '\(b[i].name)', expected '\(a[i].name)'" }
      if a[i].type != b[i].type || a[i].shape != b[i].shape {
        return
          """
          \(what) '\(a[i].name)' is \(b[i].type.name) \(describe(b[i].shape)), expected \(a[i].type.name) \
          \(describe(a[i].shape))
          """
      }
      if a[i].state != b[i].state || a[i].role != b[i].role || a[i].place != b[i].place {
        return "\(what) '\(a[i].name)' has another role"
      }
    }
    return nil
  }
}
