import Base
import Graph
import Kernels
import Onnx
import Platform

/// The sizes of one network, of which layers and offsets follow.
struct NetworkShape {
  var sizes: [Int]
  var isDouble: Bool

  var layers: Int { sizes.count - 1 }
  private func pad(_ n: Int) -> Int { isDouble ? (n + 7) & ~7 : (n + 15) & ~15 }

  /// The layers with their offsets; activations are taken from `cursor`, and the elements of w are returned.
  func place(_ layer: UnsafeMutablePointer<eff_learn_layer>?, _ hidden: HiddenLayers, _ cursor: inout ArenaCursor)
    throws(Failure) -> Int
  {
    let width = isDouble ? 8 : 4
    var count = 0
    for i in 0..<layers {
      let (n, m) = (sizes[i], sizes[i + 1])
      let isLast = i + 1 == layers
      var l = eff_learn_layer()
      l.in = Int64(n)
      l.out = Int64(m)
      l.by_input = m > n ? 1 : 0
      let rows = m > n ? n : m
      let lanes = pad(m > n ? m : n)
      l.rows = Int64(rows)
      l.lanes = Int64(lanes)
      l.weight = Int64(count)
      count += rows * lanes
      l.bias = Int64(count)
      count += pad(m)
      l.act = isLast ? Int32(EFF_FN_IDENTITY) : hidden.activation
      l.norm = isLast || !hidden.hasLayerNorm ? 0 : 1
      l.epsilon = hidden.layerNormEpsilon
      l.alpha = hidden.alpha
      l.x_stride = Int64(pad(n))
      l.y_stride = Int64(pad(m))
      l.x = try cursor.take(2 * pad(n) * width)
      l.y = try cursor.take(2 * pad(m) * width)
      l.d = try cursor.take(pad(m) * width)
      layer?[i] = l
    }
    return count
  }
}

extension LearnerOptions {
  /// Lays a learner out in `cursor`; writes it only where the cursor has memory, which must be zero.
  func place(_ cursor: inout ArenaCursor) throws(Failure) -> UnsafeMutablePointer<LearnerCore> {
    let s = settings
    let width = s.isDouble ? 8 : 4
    let hasMoments = s.optimizer.hasMoments
    let live = !cursor.isMeasuring
    let learner = try cursor.table(1, of: LearnerCore.self)

    func network(_ outputs: Int) throws(Failure) -> eff_learn_net {
      let shape = NetworkShape(sizes: [s.inputCount] + widths + [outputs], isDouble: s.isDouble)
      let layer = try cursor.table(shape.layers, of: eff_learn_layer.self)
      var net = eff_learn_net()
      net.count = Int64(try shape.place(live ? layer : nil, s.hidden, &cursor))
      net.layer = layer
      net.layers = Int64(shape.layers)
      return net
    }
    var loaded: LoadedPlace? = nil
    var actor = eff_learn_net()
    if let owner = self.actor {
      let place = try LoadedPlace(owner, &cursor)
      (loaded, actor) = (place, place.net(live))
    } else if s.algorithm.hasActor {
      actor = try network(s.actorOutputs)
    }
    var critic = try network(s.criticOutputs)
    var change = guards.changeLimit > 0 ? try ChangePlace(s, self.actor, &cursor) : nil
    let described = widths.map { (units: $0, each: 1) }
    let hiddenActor = try HiddenPlace(
      self.actor?.plan.hidden.map { ($0.units, $0.each) } ?? (s.algorithm.hasActor ? described : []), &cursor)
    let hiddenCritic = try HiddenPlace(described, &cursor)
    let next = try cursor.doubles(s.inputCount)
    let scratch = try cursor.doubles(max(s.observationCount, s.actorOutputs, s.criticOutputs))

    let state = try cursor.table(1, of: LearnerState.self)
    let start = cursor.used - MemoryLayout<LearnerState>.stride
    let raw = try cursor.doubles(s.observationCount)
    let current = try cursor.doubles(s.inputCount)
    let action = try cursor.doubles(max(1, s.actionCount))
    let filter = try cursor.doubles(s.observationCount)
    try loaded?.takeHidden(&cursor)
    try hiddenActor.takeKept(&cursor) { loaded?.units($0) ?? UnsafeRawPointer(actor.layer[$0 + 1].x) }
    try hiddenCritic.takeKept(&cursor) { UnsafeRawPointer(critic.layer[$0 + 1].x) }
    let returns = RunningStatistics(mean: try cursor.doubles(1), m2: try cursor.doubles(1), size: 1)
    let n = s.observationCount
    let observations = RunningStatistics(mean: try cursor.doubles(n), m2: try cursor.doubles(n), size: n)
    actor.w = try cursor.take(Int(actor.count) * width)
    critic.w = try cursor.take(Int(critic.count) * width)
    let snapshotSize = critic.w + Int(critic.count) * width - UnsafeMutableRawPointer(observations.mean)
    actor.e = try cursor.take(Int(actor.count) * width)
    critic.e = try cursor.take(Int(critic.count) * width)
    if hasMoments {
      actor.v = try cursor.take(Int(actor.count) * width)
      critic.v = try cursor.take(Int(critic.count) * width)
    }
    try change?.takeKept(guards.changeObservations, of: actor, &cursor)
    let stride = SnapshotHeader.bytes + ((snapshotSize + 63) & ~63)
    let snapshots = try cursor.take(guards.snapshots == 0 ? 0 : (guards.snapshots + 1) * stride)
    let stateSize = cursor.used - start
    guard live else { return learner }

    try loaded?.bind(&actor, isa: level)
    change?.bind(actor)
    state.initialize(to: LearnerState(seed: seed))
    learner.initialize(
      to: LearnerCore(
        settings: s, guards: guards,
        kernels: eff_learn_kernels_find(s.isDouble ? Int32(EFF_TYPE_F64) : Int32(EFF_TYPE_F32), isa),
        actor: actor, critic: critic, loaded: loaded?.core, actorOwner: self.actor.map { Unmanaged.passUnretained($0) },
        state: state, stateSize: stateSize, observations: observations, returns: returns,
        filter: filter, raw: raw, current: current, next: next, action: action, scratch: scratch,
        snapshots: snapshots, change: change?.core, hidden: (hiddenActor.core, hiddenCritic.core),
        snapshotSize: snapshotSize, snapshotStride: stride,
        layoutHash: layoutHash, sourceHash: self.actor?.settings.policy.hash ?? 0))
    return learner
  }

  /// Bytes of the arena of a learner with these options. Throws `.argument`.
  @export(interface)
  public func arenaSize() throws(Failure) -> Int {
    try validate()
    var cursor = ArenaCursor(measuring: "a learner")
    _ = try place(&cursor)
    return cursor.used
  }

  /// Makes a learner in the caller's arena, which must live as long, or in a block of its own from `source`. Ends with
  /// `LearnerHandle.free`. Throws `.argument` for an arena that is too small or not aligned, `.memory`.
  @export(interface)
  public func create(
    _ arena: (start: UnsafeMutableRawPointer, size: Int)?, _ source: MemorySource
  ) throws(Failure) -> LearnerHandle {
    let (start, block) = try MemoryBlock.arena(
      try arenaSize(), arena, source, for: "learner", asked: "eff_learner_arena_size")
    let learner = try create(in: start)
    learner.core.pointee.memory = block.map { Unmanaged.passRetained($0) }
    return learner
  }

  /// Makes a learner in `arena`, which has at least `arenaSize()` bytes aligned to 64.
  @export(interface)
  public func create(in arena: UnsafeMutableRawPointer) throws(Failure) -> LearnerHandle {
    let size = try arenaSize()
    eff_zero(arena, size)
    var cursor = ArenaCursor(arena)
    let learner = LearnerHandle(core: try place(&cursor))
    _ = learner.core.pointee.actorOwner?.retain()
    learner.begin()
    return learner
  }

  /// Tells checkpoints of other layouts apart (FNV-1a over what decides the layout).
  var layoutHash: UInt64 {
    let s = settings
    var hash = Fnv1a()
    hash.add(MemoryLayout<LearnerState>.stride)
    hash.add(s.actorOutputs * 8 + s.criticOutputs)
    hash.add(Int(s.optimizer.rule))
    hash.add(s.isDouble ? 1 : 0)
    hash.add(guards.snapshots)
    hash.add(guards.changeLimit > 0 ? guards.changeObservations : 0)
    hash.add(s.inputCount)
    hash.add(s.observationCount)
    hash.add(s.actionCount)
    for width in widths { hash.add(width) }
    hash.add(Int(s.hidden.activation))
    hash.add(s.hidden.hasLayerNorm ? 1 : 0)
    if let actor {
      hash.add(actor.plan.count)
      hash.add(actor.hiddenSize)
      for p in actor.plan.parameters {
        for byte in p.name.utf8 { hash.add(Int(byte)) }
        for d in p.shape { hash.add(d) }
      }
    }
    return hash.value
  }
}

extension LearnerHandle {
  /// Ends the learner and gives its memory back.
  public func free() {
    let (owner, memory) = (core.pointee.actorOwner, core.pointee.memory)
    owner?.release()
    memory?.release()
  }

  /// Initial weights.
  func begin() {
    if let owner = core.pointee.actorOwner {
      takeOver(owner.takeUnretainedValue())
    } else {
      initialize(core.pointee.actor)
    }
    initialize(core.pointee.critic)
    let s = core.pointee.settings
    core.pointee.state.pointee.decay = s.gamma * s.lambda
    mark()
  }

  /// Every matrix: uniform(-1/sqrt(in), 1/sqrt(in)), then ceil(sparsity in) distinct entries of each row (unit) are set
  /// to 0; biases 0.
  private func initialize(_ net: eff_learn_net) {
    let w = Numbers(base: net.w, isDouble: core.pointee.settings.isDouble)
    for i in 0..<Int(net.layers) {
      let l = net.layer[i]
      sparse(Int(l.out), Int(l.in)) { w[l.index($0, $1)] = $2 }
    }
  }

  /// Gives each of `outputs` rows of `inputs` weights to `write`.
  func sparse(_ outputs: Int, _ n: Int, _ write: (Int, Int, Double) -> Void) {
    let state = core.pointee.state
    let zeros = min(n, Int((core.pointee.settings.hidden.sparsity * Double(n)).rounded(.up)))
    let bound = 1 / Double(n).squareRoot()
    var order = [Int](repeating: 0, count: n)
    for o in 0..<outputs {
      for k in 0..<n {
        order[k] = k
        write(o, k, (2 * state.pointee.generator.uniform() - 1) * bound)
      }
      for k in 0..<zeros {
        order.swapAt(k, k + Int(state.pointee.generator.uniform() * Double(n - k)))
        write(o, order[k], 0)
      }
    }
  }
}

extension eff_learn_layer {
  /// Position of the weight from input `i` to output `o`.
  @_noLocks func index(_ o: Int, _ i: Int) -> Int {
    Int(weight) + (by_input != 0 ? i * Int(lanes) + o : o * Int(lanes) + i)
  }
}
