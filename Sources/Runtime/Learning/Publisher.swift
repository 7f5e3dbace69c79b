import Base
import Graph
import Kernels
import Onnx
import Platform

/// Gives what a learner has learned to a session that another thread steps.
///
///     learner's weights -> spare packed weights -- offered --> session -- retired --> spare
///
/// Two exchanges with the session, and no lock. Each spare has one reference that goes along with it; the session drops those that it has at its end.
public final class Publisher {
  public let core: PublisherHandle
  private let session: Session
  private let spares: [Binding]

  /// Fails with `.mismatch` where the session runs another policy than the learner's, `.unsupported` where its weights are not those that are learned,
  /// but made of them, `.state` where something else swaps its weights.
  @export(interface)
  public init(_ learner: LearnerPointer, to session: Session) throws(Failure) {
    session.reclaim()
    guard !session.hasOffer else { throw Failure(.state, "a swap is waiting for the session's next step") }
    var policies: [Policy] = []
    for _ in 0..<PublisherCore.spareCount { policies.append(try learner.policy()) }
    if let difference = session.policy.plan.difference(policies[0].plan) { throw Failure(.mismatch, "the session runs another policy than the learner's: \(difference)") }
    let trace = try WeightTrace(learner)
    self.session = session
    var spares: [Binding] = []
    for policy in policies { spares.append(try session.binding(of: policy)) }
    self.spares = spares

    // from here on the session is given back by deinit, also where this throws
    try session.claim()
    core = PublisherHandle.allocate(capacity: 1)
    let memory = UnsafeMutablePointer<SpareWeights>.allocate(capacity: spares.count)
    for (i, b) in spares.enumerated() {
      _ = Unmanaged.passRetained(b)
      (memory + i).initialize(to: SpareWeights(table: b.table, weights: b.policy.plan.weights.start.assumingMemoryBound(to: Float.self)))
    }
    core.initialize(to: PublisherCore(
      learner: learner, session: session.core, spares: memory, weights: Publisher.kept(trace.weights),
      statistics: Publisher.kept(trace.statistics), first: nil, owner: Unmanaged.passUnretained(self)))
    guard !session.hasOffer else { throw Failure(.state, "a swap is waiting for the session's next step") }
    // the copies just loaded say what has to come out
    let size = policies[0].plan.weights.size
    for m in trace.weights { memory[0].weights[Int(m.to)] = .nan }
    for m in trace.statistics { memory[0].weights[Int(m.to)] = .nan }
    core.write(to: memory[0].weights)
    guard memcmp(memory[0].weights, memory[1].weights, size) == 0 else {
      throw Failure(.unsupported, "the session's weights are not those that are learned, but made of them; use eff_learner_policy() and eff_session_swap()")
    }
  }

  private static func kept<T>(_ list: [T]) -> UnsafeMutableBufferPointer<T> {
    let out = UnsafeMutableBufferPointer<T>.allocate(capacity: list.count)
    _ = out.initialize(from: list)
    return out
  }

  deinit {
    for i in 0..<spares.count where core.pointee.spares[i].isFree { Session.free(core.pointee.spares[i].table) }
    Session.free(core.pointee.first)
    core.pointee.spares.deallocate()
    core.pointee.weights.deallocate()
    core.pointee.statistics.deallocate()
    core.deallocate()
    session.unclaim()
  }
}
