import Base
import Graph
import Kernels
import Onnx
import Platform

/// The pieces of a learner's arena that a loaded or recurrent policy or critic takes besides its network.
struct LoadedPlace {
  private let network: Network
  /// nil of a described network.
  private let heads: PolicyHeads?
  private let count: Int
  private let copies: UnsafeMutablePointer<HiddenCopy>
  private let numbers: UnsafeMutablePointer<Double>
  private var ahead: UnsafeMutablePointer<Double>
  private var kept: UnsafeMutableRawPointer
  let core: UnsafeMutablePointer<LoadedCore>

  /// - Parameters:
  ///   - count: numbers of the head, without standard deviations of a loaded one
  ///   - isValue: an estimate of returns
  init(_ network: Network, _ heads: PolicyHeads?, count: Int, isValue: Bool, _ cursor: inout ArenaCursor)
    throws(Failure)
  {
    (self.network, self.heads, self.count) = (network, heads, count)
    copies = try cursor.table(network.hiddenOutputs.count, of: HiddenCopy.self)
    core = try cursor.table(1, of: LoadedCore.self)
    numbers = try cursor.doubles(4 * count)
    (ahead, kept) = (numbers, UnsafeMutableRawPointer(numbers))
    if isValue {
      ahead = try cursor.doubles(count)
      kept = try cursor.take(network.hiddenSize)
    }
  }

  /// - Parameter w: weights of the network
  func bind(_ place: NetworkPlace, w: UnsafeMutableRawPointer) {
    let outputs = network.hiddenOutputs
    for (i, h) in outputs.enumerated() {
      copies[i] = HiddenCopy(
        to: place.hidden + h.place, from: UnsafeRawPointer(place.address(h.value, w: w)), size: h.size)
    }
    core.initialize(
      to: LoadedCore(
        hidden: place.hidden, hiddenSize: network.hiddenSize, influence: place.influence,
        influenceSize: network.influenceSize, copies: copies, copyCount: outputs.count,
        map: map(), ahead: ahead, kept: kept))
  }

  private func map() -> ActionMap? {
    guard let h = heads, h.scale.count == count else { return nil }
    let n = count
    for i in 0..<n {
      (numbers[i], numbers[n + i], numbers[2 * n + i], numbers[3 * n + i]) = (
        h.scale[i], h.offset[i], h.low[i], h.high[i]
      )
    }
    return ActionMap(
      isSquashed: h.isSquashed, scale: numbers, offset: numbers + n, low: numbers + 2 * n, high: numbers + 3 * n)
  }
}

extension LearnerHandle {
  /// The statistics of a loaded policy, where they are imported.
  func takeOver(_ actor: LoadedNetwork) {
    let s = core.pointee.settings
    guard case .counted(let count) = actor.settings.normalizer, !actor.mean.isEmpty else { return }
    core.pointee.state.pointee.observationCount = max(count, 2)
    for i in 0..<s.observationCount {
      core.pointee.observations.mean[i] = actor.mean[i]
      let variance = max(actor.deviation[i] * actor.deviation[i] - s.observationEpsilon, 0)
      core.pointee.observations.m2[i] = variance * Double(max(count, 2) - 1)
    }
  }
}
