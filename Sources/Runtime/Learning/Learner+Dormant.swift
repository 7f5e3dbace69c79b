import Base
import Kernels

/// Units of a hidden layer, next to each other in the input of the layer that follows.
struct HiddenUnits {
  /// Activations [units, each] of batch row 0.
  var base: UnsafeRawPointer
  var units: Int
  /// Numbers of one unit: 1, or the places of a channel.
  var each: Int
  /// Moving average of a unit's mean magnitude [units].
  var magnitude: UnsafeMutablePointer<Double>
}

/// The hidden layers of one network.
struct HiddenLayersCore {
  var layers: UnsafeMutablePointer<HiddenUnits>
  var count: Int
}

/// How many units of a network are dormant; part of the checkpoint.
struct DormantState {
  /// Activations taken into the averages.
  var samples: UInt64 = 0
  /// Of the network's hidden units.
  var share = 0.0
}

/// The pieces of a learner's arena for the hidden layers of one network.
struct HiddenPlace {
  private let sizes: [(units: Int, each: Int)]
  let core: HiddenLayersCore

  init(_ sizes: [(units: Int, each: Int)], _ cursor: inout ArenaCursor) throws(Failure) {
    self.sizes = sizes
    core = HiddenLayersCore(layers: try cursor.table(sizes.count, of: HiddenUnits.self), count: sizes.count)
  }

  /// The averages, which are saved with the learner's state; writes the layers where the arena has memory.
  func takeKept(_ cursor: inout ArenaCursor, base: (Int) -> UnsafeRawPointer) throws(Failure) {
    for (i, size) in sizes.enumerated() {
      let magnitude = try cursor.doubles(size.units)
      if cursor.isMeasuring { continue }
      (core.layers + i).initialize(
        to: HiddenUnits(base: base(i), units: size.units, each: size.each, magnitude: magnitude))
    }
  }
}

extension LearnerHandle {
  /// Updates between the activations that are looked at; those of the other network lie in the middle.
  private var dormantPeriod: UInt64 { @_noLocks get { 64 } }

  /// Counts dormant units from the activations of state s; after learning, before the state is left.
  @_noLocks func countDormant() {
    let state = core.pointee.state
    let phase = state.pointee.counters.updates % dormantPeriod
    if phase == 0 { count(core.pointee.hidden.critic, &state.pointee.dormantCritic) }
    if phase == dormantPeriod / 2 && state.pointee.isForwarded {
      count(core.pointee.hidden.actor, &state.pointee.dormantActor)
    }
  }

  /// A unit is dormant where its mean magnitude is at most 0.025 of the mean over its layer (arXiv 2302.12902,
  /// definition 3.1). The averages are over about a hundred samples.
  @_noLocks private func count(_ hidden: HiddenLayersCore, _ d: UnsafeMutablePointer<DormantState>) {
    d.pointee.samples &+= 1
    let rate = max(0.01, 1 / Double(d.pointee.samples))
    var units = 0
    var dormant = 0
    for i in 0..<hidden.count {
      let l = hidden.layers[i]
      let x = Numbers(base: UnsafeMutableRawPointer(mutating: l.base), isDouble: core.pointee.settings.isDouble)
      var sum = 0.0
      for u in 0..<l.units {
        var magnitude = 0.0
        for k in u * l.each..<(u + 1) * l.each { magnitude += x[k].magnitude }
        if magnitude <= 1e30 { l.magnitude[u] += rate * (magnitude / Double(l.each) - l.magnitude[u]) }
        sum += l.magnitude[u]
      }
      let limit = 0.025 * sum / Double(l.units)
      for u in 0..<l.units where l.magnitude[u] <= limit { dormant += 1 }
      units += l.units
    }
    d.pointee.share = Double(dormant) / Double(max(units, 1))
  }
}
