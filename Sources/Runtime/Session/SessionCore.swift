import Kernels
import Platform

/// What a step touches: trivial, behind a pointer, with no reference counting.
public struct SessionCore {
  public var maxRows: Int
  /// Ops with resolved addresses; with recurrent state one table for each of the two directions between its buffers.
  var tables: UnsafeMutablePointer<BoundOps>
  /// Which table runs next: 0 or 1.
  var parity: Int
  /// One word between the stepping thread and the one that swaps: nothing, tables on offer, or tables that were replaced (`Mailbox`).
  var mailbox: UnsafeMutableRawPointer?
  /// Who may write offers at present: a publisher, or a call of swap or reclaim; nil: nobody.
  var offerer: UnsafeMutableRawPointer?
  /// Nothing is adopted: what a rehearsal writes is taken back.
  var isRehearsing: Bool
  public var inputs: UnsafeMutablePointer<SessionPort>
  public var inputCount: Int
  public var outputs: UnsafeMutablePointer<SessionPort>
  public var outputCount: Int
  var states: UnsafeMutablePointer<SessionState>
  var stateCount: Int
  /// The observation and action of `eff_session_step`, or -1 where the policy has not exactly one of each in f32.
  public var observation: Int
  public var action: Int
  /// In the arena: 1 makes branches run for all rows.
  var takesBothSides: UnsafeMutablePointer<UInt8>
  /// A generator per row, at the start of the arena; nil where the policy draws nothing. Row r draws from the stream of (seed, firstRow + r).
  var random: UnsafeMutablePointer<eff_random_state>?
  var seed: UInt64
  var firstRow: UInt64
  /// Room for a copy of the first generator and of one row of every output.
  var kept: UnsafeMutableRawPointer
  /// Room for the observation and the action of a rehearsed step.
  var rehearsed: UnsafeMutableRawPointer
  /// The action of the last step that gave one; zeros before the first.
  var lastAction: UnsafeMutableRawPointer
  var nonFinite: NonFinite
  /// The frame of the call that is at work; nil: none is.
  var caller: UnsafeMutableRawPointer? = nil
  var fault = SessionFault()
  public var owner: Unmanaged<Session>
}

/// Ops of one policy bound to one arena.
struct BoundOps {
  var ops: (UnsafeMutablePointer<eff_op>, UnsafeMutablePointer<eff_op>)
  var count: Int
  var weights: UnsafeRawPointer
  var weightBytes: Int
  var owner: Unmanaged<Binding>
  /// Of the policy whose weights these are.
  var hash: UInt64
  /// Recurrent state is cleared where these are adopted.
  var resetsState = false
}

/// What the mailbox of a session holds. Tables are aligned, so the lowest bit of their address says which of the two they are.
///
///     swap: exchanges for an offer, frees what was there     step: exchanges an offer for the tables it ran     reclaim: removes what was replaced
///
/// Only the stepping thread takes an offer, and only the thread that swaps takes what was replaced, so whoever exchanges owns what comes out.
enum Mailbox {
  @_noLocks @inline(__always)
  static func isOffer(_ content: UnsafeMutableRawPointer?) -> Bool { content != nil && UInt(bitPattern: content) & 1 == 0 }

  @_noLocks @inline(__always)
  static func isRetired(_ content: UnsafeMutableRawPointer?) -> Bool { UInt(bitPattern: content) & 1 != 0 }

  @_noLocks @inline(__always)
  static func retired(_ tables: UnsafeMutablePointer<BoundOps>) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(tables) + 1 }

  /// The tables in the mailbox, whichever they are.
  @_noLocks @inline(__always)
  static func tables(_ content: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<BoundOps>? {
    UnsafeMutablePointer(bitPattern: UInt(bitPattern: content) & ~1)
  }
}

/// Memory of an input or output; `state` is the index of a recurrent state or -1.
public struct SessionPort {
  public var memory: UnsafeMutableRawPointer
  /// Bytes of one row.
  public var size: Int
  public var state: Int
}

/// The two buffers of a recurrent state; the run with parity p reads buffer p and writes buffer 1 - p.
struct SessionState {
  var buffers: (UnsafeMutableRawPointer, UnsafeMutableRawPointer)
  var size: Int

  @_noLocks @inline(__always)
  func buffer(_ parity: Int) -> UnsafeMutableRawPointer { parity == 0 ? buffers.0 : buffers.1 }
}

public typealias SessionHandle = UnsafeMutablePointer<SessionCore>

// the functions below return codes of the C header: 0 EFF_OK, -1 EFF_E_ARGUMENT, -2 EFF_E_STATE

/// Runs `rows` rows. - Complexity: one pass over the plan.
@_noLocks @inline(__always)
public func sessionRun(_ s: SessionHandle, _ rows: Int) -> Int32 {
  if rows < 1 || rows > s.pointee.maxRows { return -1 }
  if Mailbox.isOffer(eff_atomic_load(&s.pointee.mailbox)) { adopt(s) }
  let parity = s.pointee.parity
  let bound = s.pointee.tables
  eff_ops_run(parity == 0 ? bound.pointee.ops.0 : bound.pointee.ops.1, Int64(bound.pointee.count), Int64(rows))
  if s.pointee.stateCount > 0 {
    if rows < s.pointee.maxRows { keepIdleRows(s, rows) }
    s.pointee.parity = 1 - parity
  }
  return 0
}

/// Rows that did not take part keep their recurrent state.
@_noLocks @inline(never)
private func keepIdleRows(_ s: SessionHandle, _ rows: Int) {
  var i = 0
  while i < s.pointee.stateCount {
    let state = s.pointee.states + i
    let size = state.pointee.size
    let from = state.pointee.buffer(s.pointee.parity)
    let to = state.pointee.buffer(1 - s.pointee.parity)
    eff_copy(to + rows * size, from + rows * size, (s.pointee.maxRows - rows) * size)
    i += 1
  }
}

/// Takes the newest tables that another thread offered, and leaves the present ones in their place.
@_noLocks @inline(never)
private func adopt(_ s: SessionHandle) {
  if s.pointee.isRehearsing { return }
  guard let next = Mailbox.tables(eff_atomic_exchange(&s.pointee.mailbox, Mailbox.retired(s.pointee.tables))) else { return }
  s.pointee.tables = next
  if next.pointee.resetsState {
    next.pointee.resetsState = false
    _ = sessionReset(s, -1)
  }
}

/// Adopts what is on offer and tells which policy runs next. For the stepping thread.
@_noLocks
public func sessionHash(_ s: SessionHandle) -> UInt64 {
  if Mailbox.isOffer(eff_atomic_load(&s.pointee.mailbox)) { adopt(s) }
  return s.pointee.tables.pointee.hash
}

@_noLocks
private func portMemory(_ s: SessionHandle, _ port: UnsafePointer<SessionPort>) -> UnsafeMutableRawPointer? {
  port.pointee.state < 0 ? port.pointee.memory : (s.pointee.states + port.pointee.state).pointee.buffer(s.pointee.parity)
}

/// Memory of an input: fixed, or for a recurrent state the buffer that the next run reads.
@_noLocks
public func sessionInput(_ s: SessionHandle, _ index: Int) -> UnsafeMutableRawPointer? {
  index < 0 || index >= s.pointee.inputCount ? nil : portMemory(s, s.pointee.inputs + index)
}

/// Memory of an output: fixed, or for a recurrent state the buffer that the last run wrote, which the next run reads.
@_noLocks
public func sessionOutput(_ s: SessionHandle, _ index: Int) -> UnsafeMutableRawPointer? {
  index < 0 || index >= s.pointee.outputCount ? nil : portMemory(s, s.pointee.outputs + index)
}

/// Zeroes the recurrent state of one row, or of all with -1, and begins its random numbers anew.
@_noLocks
public func sessionReset(_ s: SessionHandle, _ row: Int64) -> Int32 {
  if row < -1 || row >= Int64(s.pointee.maxRows) { return -1 }
  var i = 0
  while i < s.pointee.stateCount {
    let state = s.pointee.states + i
    let size = state.pointee.size
    let from = row < 0 ? 0 : Int(row) * size
    let count = row < 0 ? s.pointee.maxRows * size : size
    eff_zero(state.pointee.buffer(s.pointee.parity) + from, count)
    i += 1
  }
  guard let random = s.pointee.random else { return 0 }
  var r = row < 0 ? 0 : Int(row)
  let end = row < 0 ? s.pointee.maxRows : r + 1
  while r < end {
    eff_random_seed(random + r, s.pointee.seed, s.pointee.firstRow &+ UInt64(r))
    r += 1
  }
  return 0
}

/// Runs one row of the next run and takes back what it wrote, so that the next finds its weights, code, addresses and branches known.
/// Of recurrent state it writes the buffer that the next run writes anyway. Twice, since what the first pass reads displaces some of
/// what it has read already, as long as others' lines fill the cache. The first pass takes both sides of every branch. - Complexity: two rows over the plan.
@_noLocks
public func sessionPrewarm(_ s: SessionHandle) -> Int32 {
  if Mailbox.isOffer(eff_atomic_load(&s.pointee.mailbox)) { adopt(s) }
  s.pointee.isRehearsing = true
  keepOutputs(s, isBack: false)
  s.pointee.takesBothSides.pointee = 1
  rehearse(s)
  s.pointee.takesBothSides.pointee = 0
  rehearse(s)
  keepOutputs(s, isBack: true)
  s.pointee.isRehearsing = false
  return 0
}

/// A step from its first instruction on, with the observation that the session holds, where the policy can be stepped; else a run.
@_noLocks
private func rehearse(_ s: SessionHandle) {
  let parity = s.pointee.parity
  if s.pointee.observation >= 0 && s.pointee.action >= 0 {
    let input = s.pointee.inputs + s.pointee.observation
    eff_copy(s.pointee.rehearsed, input.pointee.memory, input.pointee.size)
    let observation = s.pointee.rehearsed.assumingMemoryBound(to: Float.self)
    // whatever the session holds is run, and nothing of it is noted
    let rule = s.pointee.nonFinite
    s.pointee.nonFinite = .pass
    _ = sessionStep(s, 1, observation, (s.pointee.rehearsed + input.pointee.size).assumingMemoryBound(to: Float.self))
    s.pointee.nonFinite = rule
  } else {
    _ = sessionRun(s, 1)
  }
  s.pointee.parity = parity
}

/// Copies the generator of the first row and the first row of all outputs away, or back.
@_noLocks
private func keepOutputs(_ s: SessionHandle, isBack: Bool) {
  var at = s.pointee.kept
  let size = MemoryLayout<eff_random_state>.size
  if let random = s.pointee.random {
    let first = UnsafeMutableRawPointer(random)
    eff_copy(isBack ? first : at, isBack ? at : first, size)
  }
  at += size
  var i = 0
  while i < s.pointee.outputCount {
    let port = s.pointee.outputs + i
    if port.pointee.state < 0 {
      eff_copy(isBack ? port.pointee.memory : at, isBack ? at : port.pointee.memory, port.pointee.size)
      at += port.pointee.size
    }
    i += 1
  }
}
