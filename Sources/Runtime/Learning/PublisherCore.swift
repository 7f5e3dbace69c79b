import Base
import Kernels
import Platform

/// A copy of the session's weights that the publisher may write while the session does not have it.
struct SpareWeights {
  var table: UnsafeMutablePointer<BoundOps>
  var weights: UnsafeMutablePointer<Float>
  var isFree = true
}

/// One number of the packed weights and the element of the learner's weights that it is.
struct WeightMove {
  var to: Int32
  var from: Int32
}

/// One number of the packed weights that is made of the learner's statistics.
struct StatisticMove {
  enum Form { case mean, negatedMean, deviation, inverseDeviation }
  var to: Int32
  var from: Int32
  var form: Form
}

/// What publishing touches: trivial, behind a pointer.
public struct PublisherCore {
  var learner: LearnerHandle
  var session: SessionHandle
  /// Three: of two the session may be in possession.
  var spares: UnsafeMutablePointer<SpareWeights>
  var weights: UnsafeMutableBufferPointer<WeightMove>
  var statistics: UnsafeMutableBufferPointer<StatisticMove>
  /// What the session ran before the first publication, once it has been replaced.
  var first: UnsafeMutablePointer<BoundOps>?
  public var owner: Unmanaged<Publisher>

  static var spareCount: Int { @_noLocks get { 3 } }
}

/// A publisher as the thread of its learner has it.
public struct PublisherHandle {
  public let core: UnsafeMutablePointer<PublisherCore>

  @_noLocks @inline(__always)
  public init(core: UnsafeMutablePointer<PublisherCore>) { self.core = core }
}

extension PublisherHandle {
  /// Offers the policy as it is now to the session, which takes it at its next step. An offer that it has not taken yet
  /// is replaced.
  /// - Complexity: one pass over the weights of the policy that acts.
  @export(interface)
  @_noLocks public func publish() -> Status {
    let content = eff_atomic_load(&core.pointee.session.core.pointee.mailbox)
    if Mailbox.isRetired(content), eff_atomic_replace(&core.pointee.session.core.pointee.mailbox, content, nil) != 0 {
      takeBack(content)
    }
    var free = 0
    while free < PublisherCore.spareCount && !core.pointee.spares[free].isFree { free += 1 }
    guard free < PublisherCore.spareCount else { return .state }
    write(to: core.pointee.spares[free].weights)
    core.pointee.spares[free].isFree = false
    core.pointee.spares[free].table.pointee.hash = core.pointee.learner.policyHash()
    let offer = UnsafeMutableRawPointer(core.pointee.spares[free].table)
    takeBack(eff_atomic_exchange(&core.pointee.session.core.pointee.mailbox, offer))
    return .ok
  }

  /// Makes a table that the session has put down, or not taken up, a spare one.
  @_noLocks private func takeBack(_ content: UnsafeMutableRawPointer?) {
    guard let table = Mailbox.tables(content) else { return }
    for i in 0..<PublisherCore.spareCount where core.pointee.spares[i].table == table {
      core.pointee.spares[i].isFree = true
      return
    }
    core.pointee.first = table
  }

  /// Writes the learner's weights and statistics as the session's ops read them.
  @_noLocks func write(to out: UnsafeMutablePointer<Float>) {
    let l = core.pointee.learner
    l.settle()
    let w = l.policyNet.w!
    let isDouble = l.core.pointee.settings.isDouble
    let single = w.assumingMemoryBound(to: Float.self)
    let double = w.assumingMemoryBound(to: Double.self)
    for i in 0..<core.pointee.weights.count {
      let m = core.pointee.weights[i]
      out[Int(m.to)] = isDouble ? Float(double[Int(m.from)]) : single[Int(m.from)]
    }
    for i in 0..<core.pointee.statistics.count {
      let m = core.pointee.statistics[i]
      let k = Int(m.from)
      switch m.form {
      case .mean: out[Int(m.to)] = Float(l.core.pointee.observations.mean[k])
      case .negatedMean: out[Int(m.to)] = -Float(l.core.pointee.observations.mean[k])
      case .deviation: out[Int(m.to)] = l.deviation(k)
      case .inverseDeviation: out[Int(m.to)] = 1 / l.deviation(k)
      }
    }
  }
}

extension LearnerHandle {
  /// Deviation of an observation, as the network is fed with it.
  @_noLocks func deviation(_ i: Int) -> Float {
    Float(
      eff_learn_sqrt(
        core.pointee.observations.variance(i, count: core.pointee.state.pointee.observationCount)
          + core.pointee.settings.observationEpsilon))
  }
}
