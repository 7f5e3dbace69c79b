import Base
import Kernels
import Platform

/// A session as the thread that steps it has it: [RT] calls, not checked for a second caller (SessionCalls).
public struct SessionHandle {
  public let core: UnsafeMutablePointer<SessionCore>

  @_noLocks @inline(__always)
  public init(core: UnsafeMutablePointer<SessionCore>) { self.core = core }

  /// Runs `rows` rows. - Complexity: one pass over the plan.
  @_noLocks @inline(__always)
  public func run(_ rows: Int) -> Status {
    if rows < 1 || rows > core.pointee.maxRows { return .argument }
    if Mailbox.isOffer(eff_atomic_load(&core.pointee.mailbox)) { adopt() }
    let parity = core.pointee.parity
    let bound = core.pointee.tables
    eff_ops_run(parity == 0 ? bound.pointee.ops.0 : bound.pointee.ops.1, Int64(bound.pointee.count), Int64(rows))
    if core.pointee.stateCount > 0 {
      if rows < core.pointee.maxRows { keepIdleRows(rows) }
      core.pointee.parity = 1 - parity
    }
    return .ok
  }

  /// Rows that did not take part keep their recurrent state.
  @_noLocks @inline(never)
  private func keepIdleRows(_ rows: Int) {
    var i = 0
    while i < core.pointee.stateCount {
      let state = core.pointee.states + i
      let size = state.pointee.size
      let from = state.pointee.buffer(core.pointee.parity)
      let to = state.pointee.buffer(1 - core.pointee.parity)
      eff_copy(to + rows * size, from + rows * size, (core.pointee.maxRows - rows) * size)
      i += 1
    }
  }

  /// Takes the newest tables that another thread offered, and leaves the present ones in their place.
  @_noLocks @inline(never)
  private func adopt() {
    if core.pointee.isRehearsing { return }
    guard let next = Mailbox.tables(eff_atomic_exchange(&core.pointee.mailbox, Mailbox.retired(core.pointee.tables)))
    else { return }
    _ = eff_atomic_exchange(&core.pointee.tableWord, next)
    if next.pointee.resetsState {
      next.pointee.resetsState = false
      _ = reset(-1)
    }
  }

  /// Adopts what is on offer and tells which policy runs next. For the stepping thread.
  @_noLocks
  public func hash() -> UInt64 {
    if Mailbox.isOffer(eff_atomic_load(&core.pointee.mailbox)) { adopt() }
    return core.pointee.tables.pointee.hash
  }

  @_noLocks
  private func memory(_ port: UnsafePointer<SessionPort>) -> UnsafeMutableRawPointer? {
    port.pointee.state < 0
      ? port.pointee.memory : (core.pointee.states + port.pointee.state).pointee.buffer(core.pointee.parity)
  }

  /// Memory of an input: fixed, or for a recurrent state the buffer that the next run reads.
  @_noLocks
  public func input(_ index: Int) -> UnsafeMutableRawPointer? {
    index < 0 || index >= core.pointee.inputCount ? nil : memory(core.pointee.inputs + index)
  }

  /// Memory of an output: fixed, or for a recurrent state the buffer that the last run wrote, which the next run reads.
  @_noLocks
  public func output(_ index: Int) -> UnsafeMutableRawPointer? {
    index < 0 || index >= core.pointee.outputCount ? nil : memory(core.pointee.outputs + index)
  }

  /// Zeroes the recurrent state of one row, or of all with -1, and begins its random numbers anew.
  @_noLocks
  public func reset(_ row: Int64) -> Status {
    if row < -1 || row >= Int64(core.pointee.maxRows) { return .argument }
    var i = 0
    while i < core.pointee.stateCount {
      let state = core.pointee.states + i
      let size = state.pointee.size
      let from = row < 0 ? 0 : Int(row) * size
      let count = row < 0 ? core.pointee.maxRows * size : size
      eff_zero(state.pointee.buffer(core.pointee.parity) + from, count)
      i += 1
    }
    guard let random = core.pointee.random else { return .ok }
    var r = row < 0 ? 0 : Int(row)
    let end = row < 0 ? core.pointee.maxRows : r + 1
    while r < end {
      eff_random_seed(random + r, core.pointee.seed, core.pointee.firstRow &+ UInt64(r))
      r += 1
    }
    return .ok
  }

  /// Runs one row of the next run and takes back what it wrote, so that the next finds its weights, code, addresses and
  /// branches known.
  /// Of recurrent state it writes the buffer that the next run writes anyway. Twice, since what the first pass reads
  /// displaces some of what it has read already, as long as others' lines fill the cache. The first pass takes both
  /// sides of every branch. - Complexity: two rows over the plan.
  @_noLocks
  public func prewarm() -> Status {
    if Mailbox.isOffer(eff_atomic_load(&core.pointee.mailbox)) { adopt() }
    core.pointee.isRehearsing = true
    keepOutputs(isBack: false)
    core.pointee.takesBothSides.pointee = 1
    rehearse()
    core.pointee.takesBothSides.pointee = 0
    rehearse()
    keepOutputs(isBack: true)
    core.pointee.isRehearsing = false
    return .ok
  }

  /// Reads the weights in use. For the thread that swaps: nobody else frees what a step has replaced.
  @_noLocks
  public func prewarmWeights() {
    let bound = eff_atomic_load(&core.pointee.tableWord)!.assumingMemoryBound(to: BoundOps.self)
    eff_touch(bound.pointee.weights, bound.pointee.weightBytes)
  }

  /// A step from its first instruction on, with the observation that the session holds, where the policy can be
  /// stepped; else a run.
  @_noLocks
  private func rehearse() {
    let parity = core.pointee.parity
    if core.pointee.observation >= 0 && core.pointee.action >= 0 {
      let input = core.pointee.inputs + core.pointee.observation
      eff_copy(core.pointee.rehearsed, input.pointee.memory, input.pointee.size)
      let observation = core.pointee.rehearsed.assumingMemoryBound(to: Float.self)
      // whatever the session holds is run, and nothing of it is noted
      let rule = core.pointee.nonFinite
      core.pointee.nonFinite = .pass
      _ = step(1, observation, (core.pointee.rehearsed + input.pointee.size).assumingMemoryBound(to: Float.self))
      core.pointee.nonFinite = rule
    } else {
      _ = run(1)
    }
    core.pointee.parity = parity
  }

  /// Copies the generator of the first row and the first row of all outputs away, or back.
  @_noLocks
  private func keepOutputs(isBack: Bool) {
    var at = core.pointee.kept
    let size = MemoryLayout<eff_random_state>.size
    if let random = core.pointee.random {
      let first = UnsafeMutableRawPointer(random)
      eff_copy(isBack ? first : at, isBack ? at : first, size)
    }
    at += size
    var i = 0
    while i < core.pointee.outputCount {
      let port = core.pointee.outputs + i
      if port.pointee.state < 0 {
        eff_copy(isBack ? port.pointee.memory : at, isBack ? at : port.pointee.memory, port.pointee.size)
        at += port.pointee.size
      }
      i += 1
    }
  }

  /// One observation in, one action out, with the lengths that the caller knows (-1: none) and the session's rule for
  /// what is not finite.
  @_noLocks @inline(__always)
  public func step(
    _ rows: Int, _ observation: UnsafePointer<Float>, _ action: UnsafeMutablePointer<Float>, observationCount: Int = -1,
    actionCount: Int = -1
  ) -> Status {
    if core.pointee.observation < 0 || core.pointee.action < 0 {
      core.pointee.fault.kind = .undecided
      return .state
    }
    if rows < 1 || rows > core.pointee.maxRows {
      core.pointee.fault.note(.rows, found: rows, expected: core.pointee.maxRows)
      return .argument
    }
    let input = core.pointee.inputs + core.pointee.observation
    let output = core.pointee.outputs + core.pointee.action
    let (wide, narrow) = (rows * input.pointee.size, rows * output.pointee.size)
    if observationCount >= 0 && observationCount != wide / 4 {
      core.pointee.fault.note(.observationCount, found: observationCount, expected: wide / 4)
      return .shape
    }
    if actionCount >= 0 && actionCount != narrow / 4 {
      core.pointee.fault.note(.actionCount, found: actionCount, expected: narrow / 4)
      return .shape
    }
    let rule = core.pointee.nonFinite
    let memory = input.pointee.memory.assumingMemoryBound(to: Float.self)
    eff_copy(memory, observation, wide)
    if case .refuse = rule {
      let bad = Int(eff_first_not_finite(memory, Int64(wide / 4)))
      if bad >= 0 {
        core.pointee.fault.note(.observation, at: bad, of: memory, perRow: input.pointee.size / 4)
        eff_copy(action, core.pointee.lastAction, narrow)
        return .numeric
      }
    } else if case .clear = rule {
      core.pointee.fault.clearedInputs += Int(eff_clear_not_finite(memory, Int64(wide / 4)))
    }
    _ = run(rows)
    let result = output.pointee.memory.assumingMemoryBound(to: Float.self)
    if case .refuse = rule {
      let bad = Int(eff_first_not_finite(result, Int64(narrow / 4)))
      if bad >= 0 {
        core.pointee.fault.note(.action, at: bad, of: result, perRow: output.pointee.size / 4)
        // the buffers that the run read hold the state from before
        if core.pointee.stateCount > 0 { core.pointee.parity = 1 - core.pointee.parity }
        eff_copy(action, core.pointee.lastAction, narrow)
        return .numeric
      }
      eff_copy(core.pointee.lastAction, result, narrow)
    } else if case .clear = rule {
      core.pointee.fault.clearedOutputs += Int(eff_clear_not_finite(result, Int64(narrow / 4)))
    }
    eff_copy(action, result, narrow)
    return .ok
  }
}
