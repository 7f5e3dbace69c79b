import Base
import Graph
import Kernels
import Onnx
import Platform

extension LearnerOptions {
  /// Lays a learner out in `cursor`; writes it only where the cursor has memory, which must be zero.
  func place(_ cursor: inout ArenaCursor) throws(Failure) -> UnsafeMutablePointer<LearnerCore> {
    let s = settings
    let width = s.isDouble ? 8 : 4
    let hasMoments = s.optimizer.hasMoments
    let live = !cursor.isMeasuring
    let learner = try cursor.table(1, of: LearnerCore.self)

    var actor: NetworkPlace? = nil
    var loaded: LoadedPlace? = nil
    if let owner = self.actor {
      actor = try NetworkPlace(owner.network, &cursor)
      loaded = try LoadedPlace(owner.network, owner.heads, count: owner.actionCount, isValue: false, &cursor)
    } else if s.algorithm.hasActor {
      let network = try Network.described(s, widths, outputs: s.actorOutputs, rows: 1)
      actor = try NetworkPlace(network, &cursor)
      if network.hiddenSize > 0 {
        loaded = try LoadedPlace(network, nil, count: s.actorOutputs, isValue: false, &cursor)
      }
    }
    var critic: NetworkPlace
    var loadedCritic: LoadedPlace? = nil
    if let owner = self.critic {
      critic = try NetworkPlace(owner.network, &cursor)
      loadedCritic = try LoadedPlace(owner.network, owner.heads, count: owner.actionCount, isValue: true, &cursor)
    } else {
      // v(s) and v(s') at once, unless s' has another recurrent state
      let rows = s.recurrentUnits > 0 ? 1 : 2
      let network = try Network.described(s, widths, outputs: s.criticOutputs, rows: rows)
      critic = try NetworkPlace(network, &cursor)
      if network.hiddenSize > 0 {
        loadedCritic = try LoadedPlace(network, nil, count: s.criticOutputs, isValue: true, &cursor)
      }
    }
    let (actorCount, criticCount) = (actor?.count ?? 0, critic.count)
    var change = watch.changeLimit > 0 ? try ChangePlace(s, actor?.network, &cursor) : nil
    var rewards: RewardPlace? = nil
    if let options = self.rewards { rewards = try RewardPlace(options, s, &cursor) }
    let hiddenActor = try HiddenPlace(actor?.network.plan.hidden.map { ($0.units, $0.each) } ?? [], &cursor)
    let hiddenCritic = try HiddenPlace(critic.network.plan.hidden.map { ($0.units, $0.each) }, &cursor)
    var head: (place: UnsafeMutablePointer<CriticHead>, scratch: UnsafeMutablePointer<Double>)? = nil
    if !s.critic.kind.isMean {
      head = (
        try cursor.table(1, of: CriticHead.self), try cursor.doubles(CriticHead.scratch(s.critic.size))
      )
    }
    let next = try cursor.doubles(s.inputCount)
    let scratch = try cursor.doubles(max(s.observationCount, s.actorOutputs, s.criticOutputs))

    let state = try cursor.table(1, of: LearnerState.self)
    let start = cursor.used - MemoryLayout<LearnerState>.stride
    let raw = try cursor.doubles(s.observationCount)
    let current = try cursor.doubles(s.inputCount)
    let action = try cursor.doubles(max(1, s.actionCount))
    let filter = try cursor.doubles(s.observationCount)
    try actor?.takeHidden(&cursor)
    if loadedCritic != nil { try critic.takeHidden(&cursor) }
    if let actor { try hiddenActor.takeKept(&cursor) { actor.units($0) } }
    try hiddenCritic.takeKept(&cursor) { critic.units($0) }
    let returns = RunningStatistics(mean: try cursor.doubles(1), m2: try cursor.doubles(1), size: 1)
    let n = s.observationCount
    let observations = RunningStatistics(mean: try cursor.doubles(n), m2: try cursor.doubles(n), size: n)
    let w = (actor: try cursor.take(actorCount * width), critic: try cursor.take(criticCount * width))
    let snapshotSize = w.critic + criticCount * width - UnsafeMutableRawPointer(observations.mean)
    let e = (actor: try cursor.take(actorCount * width), critic: try cursor.take(criticCount * width))
    var v: (actor: UnsafeMutableRawPointer?, critic: UnsafeMutableRawPointer?) = (nil, nil)
    if hasMoments { v = (try cursor.take(actorCount * width), try cursor.take(criticCount * width)) }
    try change?.takeKept(watch.changeObservations, weights: actorCount, &cursor)
    let stride = SnapshotHeader.bytes + ((snapshotSize + 63) & ~63)
    let snapshots = try cursor.take(watch.snapshots == 0 ? 0 : (watch.snapshots + 1) * stride)
    try rewards?.takeKept(&cursor)
    let headState = head == nil ? nil : try cursor.table(1, of: CriticState.self)
    let stateSize = cursor.used - start
    guard live else { return learner }

    let kernels = PlanKernels(
      table: eff_learn_kernels_find(s.isDouble ? Int32(EFF_TYPE_F64) : Int32(EFF_TYPE_F32), isa),
      rule: s.optimizer.rule, isa: level)
    let actorNet = try actor?.bind(w: w.actor, e: e.actor, v: v.actor, kernels) ?? eff_learn_net()
    let criticNet = try critic.bind(w: w.critic, e: e.critic, v: v.critic, kernels)
    if let actor { loaded?.bind(actor, w: w.actor) }
    loadedCritic?.bind(critic, w: w.critic)
    change?.bind(actorNet)
    try rewards?.bind(kernels)
    state.initialize(to: LearnerState(seed: seed))
    if let head, let headState {
      headState.initialize(to: CriticState())
      head.place.initialize(to: CriticHead(s, critic.network, scratch: head.scratch, state: headState))
    }
    let networks = LearnerNetworks(
      actor: actor?.network.plan.parameters ?? [], critic: critic.network.plan.parameters, loaded: acting,
      rewards: rewards?.owner)
    learner.initialize(
      to: LearnerCore(
        settings: s, watch: watch, kernels: kernels.table, actor: actorNet, critic: criticNet, head: head?.place,
        loaded: loaded?.core ?? (s.algorithm.hasActor ? nil : loadedCritic?.core), loadedCritic: loadedCritic?.core,
        networks: Unmanaged.passRetained(networks), state: state, stateSize: stateSize, observations: observations,
        returns: returns, filter: filter, raw: raw, current: current, next: next, action: action, scratch: scratch,
        snapshots: snapshots, change: change?.core, rewards: rewards?.core,
        hidden: (hiddenActor.core, hiddenCritic.core),
        snapshotSize: snapshotSize, snapshotStride: stride,
        layoutHash: layoutHash, sourceHash: acting?.settings.policy.hash ?? 0))
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
    learner.begin()
    learner.beginBonus(seed: seed)
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
    hash.add(watch.snapshots)
    hash.add(watch.changeLimit > 0 ? watch.changeObservations : 0)
    hash.add(s.inputCount)
    hash.add(s.observationCount)
    hash.add(s.actionCount)
    for width in widths { hash.add(width) }
    if !s.critic.kind.isMean {
      hash.add(s.critic.kind.code * 2 + (s.critic.hasStock ? 1 : 0))
      for x in [s.critic.low, s.critic.high] { hash.add(Int(bitPattern: UInt(x.bitPattern))) }
    }
    if s.recurrentUnits > 0 { hash.add(s.recurrentUnits) }
    hash.add(Int(s.hidden.activation))
    hash.add(s.hidden.hasLayerNorm ? 1 : 0)
    if let rewards {
      hash.add(MemoryLayout<RewardState>.stride)
      if rewards.bonus.weight > 0 { for width in rewards.bonusWidths + [rewards.bonus.features] { hash.add(width) } }
    }
    if let actor { LearnerOptions.add(actor.network, to: &hash) }
    if let critic {
      hash.add(1)
      LearnerOptions.add(critic.network, to: &hash)
    }
    return hash.value
  }

  private static func add(_ network: Network, to hash: inout Fnv1a) {
    hash.add(network.plan.count)
    hash.add(network.hiddenSize)
    if network.influenceSize > 0 { hash.add(network.influenceSize) }
    for p in network.plan.parameters {
      // where it lies, and whether it is turned there
      hash.add(p.offset)
      hash.add(p.matrix == nil ? 0 : p.matrix!.isByInput == p.matrix!.isTransposed ? 1 : 2)
      for byte in p.name.utf8 { hash.add(Int(byte)) }
      for d in p.shape { hash.add(d) }
    }
  }
}

extension LearnerHandle {
  /// Ends the learner and gives its memory back.
  public func free() {
    let (networks, memory) = (core.pointee.networks, core.pointee.memory)
    networks.release()
    memory?.release()
  }

  /// What is known of the parameters.
  var networks: LearnerNetworks { core.pointee.networks.takeUnretainedValue() }

  /// Initial weights.
  func begin() {
    let s = core.pointee.settings
    if core.pointee.hasActor { initialize(core.pointee.actor, networks.actor) }
    if let loaded = networks.loaded { takeOver(loaded) }
    initialize(core.pointee.critic, networks.critic)
    core.pointee.state.pointee.decay = s.gamma * s.lambda
    mark()
  }

  /// Every matrix of a described network: uniform(-1/sqrt(in), 1/sqrt(in)), then ceil(sparsity in) distinct entries of
  /// each row (unit) are set to 0; biases 0. Behind the first layer one entry at least is left: no gradient passes two
  /// layers of zeros. Of a loaded one: the numbers of the file.
  private func initialize(_ net: eff_learn_net, _ parameters: [LearnedParameter]) {
    let w = Numbers(base: net.w, isDouble: core.pointee.settings.isDouble)
    var isFirst = true
    for p in parameters {
      switch p.initial {
      case .data(let data): for k in 0..<p.count { w[p.place(k)] = Double(data.float(k)) }
      case .number(let x): for k in 0..<p.count { w[p.place(k)] = x }
      case .fresh(let n):
        let left = isFirst || core.pointee.settings.isReference ? 0 : 1
        sparse(p.count / n, n, leaving: left) { w[p.place($0 * n + $1)] = $2 }
        isFirst = false
      case .uniform(let bound):
        let state = core.pointee.state
        for k in 0..<p.count { w[p.place(k)] = (2 * state.pointee.generator.uniform() - 1) * bound }
      case .poles:
        let n = p.count / 2
        for k in 0..<p.count {
          let u = core.pointee.state.pointee.generator.uniform()
          let radius = eff_learn_sqrt(0.25 + u * (0.995 * 0.995 - 0.25))
          w[p.place(k)] = eff_learn_log(k < n ? -eff_learn_log(radius) : max(u, 1e-6) * .pi / 2)
        }
      }
    }
  }

  /// Gives each of `outputs` rows of `n` weights to `write`; `left` of them at least are not 0.
  private func sparse(_ outputs: Int, _ n: Int, leaving left: Int, _ write: (Int, Int, Double) -> Void) {
    let state = core.pointee.state
    let zeros = min(n - left, Int((core.pointee.settings.hidden.sparsity * Double(n)).rounded(.up)))
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
