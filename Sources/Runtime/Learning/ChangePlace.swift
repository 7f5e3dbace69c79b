import Base
import Graph
import Kernels
import Platform

/// The pieces of a learner's arena that the change budget takes.
struct ChangePlace {
  private let settings: LearnerSettings
  private let ops: UnsafeMutablePointer<eff_op>
  private let opCount: Int
  private let hidden: UnsafeMutableRawPointer
  private let hiddenSize: Int
  let core: UnsafeMutablePointer<ChangeCore>
  private var shipped: UnsafeMutableRawPointer
  private var ring: UnsafeMutableRawPointer
  private var statistics: RunningStatistics

  init(_ s: LearnerSettings, _ actor: Network?, _ cursor: inout ArenaCursor) throws(Failure) {
    settings = s
    core = try cursor.table(1, of: ChangeCore.self)
    opCount = actor?.plan.graph.ops.count ?? 0
    ops = try cursor.table(opCount, of: eff_op.self)
    hiddenSize = actor?.hiddenSize ?? 0
    hidden = try cursor.take(hiddenSize)
    (shipped, ring) = (hidden, hidden)
    let none = try cursor.doubles(0)
    statistics = RunningStatistics(mean: none, m2: none, size: 0)
  }

  /// What is saved with the learner's state.
  mutating func takeKept(_ observations: Int, weights count: Int, _ cursor: inout ArenaCursor) throws(Failure) {
    let n = settings.observationCount
    statistics = RunningStatistics(mean: try cursor.doubles(n), m2: try cursor.doubles(n), size: n)
    shipped = try cursor.take(count * (settings.isDouble ? 8 : 4))
    ring = try cursor.take(observations * KeptObservation.size(settings, hidden: hiddenSize))
  }

  /// The shipped actor runs the ops of `actor` on weights of its own, branches included.
  func bind(_ actor: eff_learn_net) {
    let size = Int(actor.count) * (settings.isDouble ? 8 : 4)
    let table = UnsafeMutableRawPointer(mutating: actor.forward!)
    for i in 0..<opCount {
      ops[i] = actor.forward[i]
      withUnsafeMutableBytes(of: &ops[i].p) { raw in
        let p = raw.bindMemory(to: UnsafeMutableRawPointer?.self)
        for k in p.indices {
          guard let at = p[k] else { continue }
          if at >= actor.w, at < actor.w + size { p[k] = shipped + (at - actor.w) }
          if at >= table, at < table + opCount * MemoryLayout<eff_op>.stride {
            p[k] = UnsafeMutableRawPointer(ops) + (at - table)
          }
        }
      }
    }
    var net = actor
    net.w = shipped
    net.forward = UnsafePointer(ops)
    core.initialize(
      to: ChangeCore(
        shipped: net, observations: statistics, ring: ring, stride: KeptObservation.size(settings, hidden: hiddenSize),
        hidden: hidden))
  }
}
