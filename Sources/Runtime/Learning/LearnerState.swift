/// What an optimizer remembers of one network besides traces and moments.
struct OptimizerState {
  /// Updates made.
  var count: UInt64 = 0
  /// The part of the last update that is still to be made by the next forward pass: w -= due * e. ObGD only; 0: none.
  var due = 0.0
  /// Intentional: running mean of the gradient's power.
  var sigma = 0.0
  /// Intentional: running mean square of the TD error (starts at 1).
  var clipSquare = 1.0
  /// Intentional, actor: running mean magnitude of the TD error in use.
  var magnitude = 0.0
  /// Intentional, actor: running mean of the trace's energy Z, where `betaEnergy` is above 0.
  var energy = 0.0

  @_noLocks init() {}
}

/// Bools in one word. Beside a Bool of its own lies padding, and padding holds what memory happened to hold: with this,
/// equal states are equal bytes, and a checkpoint tells nothing of the process that wrote it.
struct Flags {
  private var bits: UInt64 = 0

  @_noLocks init() {}

  mutating func list(_ list: inout FieldList, _ name: String) { list.add(name + ".bits", &bits) }

  subscript(_ bit: UInt64) -> Bool {
    @_noLocks get { bits >> bit & 1 != 0 }
    @_noLocks set { bits = newValue ? bits | 1 << bit : bits & ~(1 << bit) }
  }
}

/// Everything about a learner that changes, except arrays. Trivial, without pointers and without padding, so that a
/// checkpoint is a copy of bytes.
struct LearnerState {
  var generator: Generator
  private var flags = Flags()
  /// The current state is known; otherwise the next observation begins an episode.
  var isInEpisode: Bool {
    @_noLocks get { flags[0] }
    @_noLocks set { flags[0] = newValue }
  }
  /// Index of the chosen action (q, sarsa, acDiscrete), as last acted.
  var choice: Int32 = 0
  var freeze = Freeze()
  /// SARSA: the next action is chosen already.
  var isCommitted: Bool {
    @_noLocks get { flags[1] }
    @_noLocks set { flags[1] = newValue }
  }
  /// The policy network's activations belong to the current state and weights.
  var isForwarded: Bool {
    @_noLocks get { flags[2] }
    @_noLocks set { flags[2] = newValue }
  }

  /// Samples in the observation and reward statistics.
  var observationCount: UInt64 = 0
  var rewardCount: UInt64 = 0
  var filterCount: UInt64 = 0
  var returnTrace = 0.0
  var time = -0.5
  /// Action selections made by epsilon-greedy.
  var selections: UInt64 = 0
  /// Decay of the traces at the next update: gamma lambda of the transition that leads to the current state.
  var decay = 0.0

  var actor = OptimizerState()
  var critic = OptimizerState()
  var counters = LearnerCounters()
  var watch = ReturnWatch()
  var error = ErrorWatch()
  var change = ChangeState()
  var dormantActor = DormantState()
  var dormantCritic = DormantState()

  init(seed: UInt64) { generator = Generator(seed: seed) }

  /// The fields that are no structs.
  mutating func list(_ list: inout FieldList) {
    flags.list(&list, "flags")
    list.add("choice", &choice)
    list.add("freeze.bits", &freeze.bits)
    list.add("observationCount", &observationCount)
    list.add("rewardCount", &rewardCount)
    list.add("filterCount", &filterCount)
    list.add("returnTrace", &returnTrace)
    list.add("time", &time)
    list.add("selections", &selections)
    list.add("decay", &decay)
  }
}

/// What is kept from learning. Raw bits as in the C header.
public struct Freeze: Sendable {
  public var bits: Int32 = 0
  @_noLocks public init(bits: Int32 = 0) { self.bits = bits }
  public var actor: Bool { @_noLocks get { bits & 1 != 0 } }
  public var critic: Bool { @_noLocks get { bits & 2 != 0 } }
  public var normalizers: Bool { @_noLocks get { bits & 4 != 0 } }
  /// Whether the network that acts stays as it is.
  @_noLocks func policy(hasActor: Bool) -> Bool { hasActor ? actor : critic }
}

/// Counts since creation.
public struct LearnerCounters {
  public var updates: UInt64 = 0
  public var episodes: UInt64 = 0
  /// Updates that changed nothing because an observation, a reward or an action was not finite.
  public var badInputs: UInt64 = 0
  /// Updates that changed no weight because a TD error, gradient or trace was not finite.
  public var badUpdates: UInt64 = 0
  public var snapshots: UInt64 = 0
  public var rollbacks: UInt64 = 0
  /// L1 distance that the actor's and the critic's weights have moved, summed over updates since creation or `mark`.
  public var actorDrift = 0.0
  public var criticDrift = 0.0
}
