import Base
import Graph
import Kernels
import Onnx
import Platform

/// Gives what a learner has learned to a session that another thread steps.
///
///     learner's weights -> spare packed weights -- offered --> session -- retired --> spare
///
/// Two exchanges with the session, and no lock. A spare belongs to whoever has it: the session frees those that it has
/// at its end.
public final class Publisher {
  public let core: UnsafeMutablePointer<PublisherCore>
  public var handle: PublisherHandle { PublisherHandle(core: core) }
  private let session: Session

  // a designated initializer stands in the table of its class, which keeps it in programs that never call it
  /// Fails with `.mismatch` where the session runs another policy than the learner's, `.unsupported` where its weights
  /// are not those that are learned, but made of them, `.state` where something else swaps its weights.
  @export(interface)
  public convenience init(_ learner: LearnerHandle, to session: Session) throws(Failure) {
    try self.init(from: learner, to: session)
  }

  @export(interface)
  private init(from learner: LearnerHandle, to session: Session) throws(Failure) {
    session.reclaim()
    guard !session.hasOffer else { throw Failure(.state, "a swap is waiting for the session's next step") }
    var policies: [Policy] = []
    for _ in 0..<PublisherCore.spareCount { policies.append(try learner.policy()) }
    if let difference = session.policy.plan.difference(policies[0].plan) {
      throw Failure(.mismatch, "the session runs another policy than the learner's: \(difference)")
    }
    let trace = try WeightTrace(learner)
    self.session = session
    let spares = try Publisher.spares(policies, session)

    // from here on the session is given back by deinit, also where this throws
    core = UnsafeMutablePointer<PublisherCore>.allocate(capacity: 1)
    let memory = UnsafeMutablePointer<SpareWeights>.allocate(capacity: spares.count)
    for (i, table) in spares.enumerated() {
      (memory + i).initialize(
        to: SpareWeights(
          table: table, weights: policies[i].plan.weights.baseAddress!.assumingMemoryBound(to: Float.self)))
    }
    core.initialize(to: PublisherCore(
      learner: learner, session: session.handle, spares: memory, weights: Publisher.kept(trace.weights),
      statistics: Publisher.kept(trace.statistics), first: nil, owner: Unmanaged.passUnretained(self)))
    guard !session.hasOffer else { throw Failure(.state, "a swap is waiting for the session's next step") }
    // the copies just loaded say what has to come out
    let size = policies[0].plan.weights.count
    for m in trace.weights { memory[0].weights[Int(m.to)] = .nan }
    for m in trace.statistics { memory[0].weights[Int(m.to)] = .nan }
    handle.write(to: memory[0].weights)
    guard memcmp(memory[0].weights, memory[1].weights, size) == 0 else {
      throw Failure(
        .unsupported,
        """
        the session's weights are not those that are learned, but made of them; use eff_learner_policy() and \
        eff_session_swap()
        """
      )
    }
  }

  /// Ops of the policies for a session that is claimed then; where either fails nothing is left.
  private static func spares(_ policies: [Policy], _ session: Session) throws(Failure) -> [UnsafeMutablePointer<
    BoundOps
  >] {
    var spares: [UnsafeMutablePointer<BoundOps>] = []
    do {
      for policy in policies { spares.append(try session.bound(policy)) }
      try session.claim()
    } catch {
      for table in spares { BoundOps.free(table) }
      throw error
    }
    return spares
  }

  private static func kept<T>(_ list: [T]) -> UnsafeMutableBufferPointer<T> {
    let out = UnsafeMutableBufferPointer<T>.allocate(capacity: list.count)
    _ = out.initialize(from: list)
    return out
  }

  deinit {
    for i in 0..<PublisherCore.spareCount where core.pointee.spares[i].isFree {
      BoundOps.free(core.pointee.spares[i].table)
    }
    BoundOps.free(core.pointee.first)
    core.pointee.spares.deallocate()
    core.pointee.weights.deallocate()
    core.pointee.statistics.deallocate()
    core.deallocate()
    session.unclaim()
  }
}
