import Base
import Graph
import Kernels
import Onnx
import Platform

public struct SessionOptions {
  public var maxRows = 1
  /// Memory of the caller, or nil to allocate.
  public var arena: (start: UnsafeMutableRawPointer, size: Int)? = nil
  public var memory = MemorySource.system
  public var seed: UInt64 = 0
  /// Row r draws from the stream of (seed, firstRow + r).
  public var firstRow: UInt64 = 0
  public var nonFinite = NonFinite.refuse

  public init() {}
}

/// The parts of a session in its one block. What a step touches stands together, in front of the rows.
private struct SessionParts {
  /// Indices of the ports that a step reads and writes, or -1.
  let observation, action: Int
  let flag: UnsafeMutablePointer<UInt8>
  let core: UnsafeMutablePointer<SessionCore>
  let bound: (UnsafeMutablePointer<BoundOps>, UnsafeMutablePointer<eff_op>)
  let ports: UnsafeMutablePointer<SessionPort>
  let states: UnsafeMutablePointer<SessionState>
  let random: UnsafeMutablePointer<eff_random_state>
  /// As in SessionCore.
  let kept, rehearsed, lastAction: UnsafeMutableRawPointer
  let body: UnsafeMutableRawPointer

  init(_ plan: Plan, rows: Int, _ cursor: inout ArenaCursor) throws(Failure) {
    (observation, action) = (SessionParts.only(plan.inputs, .observation), SessionParts.only(plan.outputs, .action))
    flag = try cursor.table(1, of: UInt8.self)
    core = try cursor.table(1, of: SessionCore.self)
    bound = try BoundOps.place(plan, &cursor)
    ports = try cursor.table(plan.inputs.count + plan.outputs.count, of: SessionPort.self)
    states = try cursor.table(plan.stateCount, of: SessionState.self)
    random = try cursor.table(plan.usesRandom ? rows : 0, of: eff_random_state.self)
    var keptSize = MemoryLayout<eff_random_state>.size
    for p in plan.outputs where p.state < 0 { keptSize += p.size }
    kept = try cursor.take(keptSize)
    rehearsed = try cursor.take(
      observation < 0 || action < 0 ? 0 : plan.inputs[observation].size + plan.outputs[action].size)
    lastAction = try cursor.take(action < 0 ? 0 : rows * plan.outputs[action].size)
    body = try cursor.take(rows * plan.arenaSize)
  }

  /// Index of the only f32 port with a role, or -1.
  private static func only(_ ports: [PlanPort], _ role: Role) -> Int {
    var found = -1
    for (i, p) in ports.enumerated() where p.role == role {
      if found >= 0 || p.type != .f32 { return -1 }
      found = i
    }
    return found
  }
}

/// A running policy: one block, and this handle of fixed size to it. Everything that a step needs is in `core`.
public final class Session {
  public let policy: Policy
  public let core: UnsafeMutablePointer<SessionCore>
  public var handle: SessionHandle { SessionHandle(core: core) }
  private let memory: SessionMemory
  /// nil: the block is the caller's.
  private let block: MemoryBlock?
  /// Where the ops of policies that are swapped in lie.
  private let source: MemorySource
  /// The policy whose weights were offered last; nil: none but `policy`.
  public private(set) var offered: Policy?
  /// What `explanation` gave last.
  var explained: CText? = nil

  /// Most rows of a session: what is more is a mistake that would fill the memory.
  public static let maximumRows = 1 << 20

  /// Bytes of a session of `rows` rows, all that it uses.
  @export(interface)
  public static func arenaSize(_ policy: Policy, rows: Int) throws(Failure) -> Int {
    guard rows >= 1, rows <= maximumRows else {
      throw Failure(.argument, "max_rows is \(rows), expected 1 to \(maximumRows)")
    }
    let (body, overflow) = policy.plan.arenaSize.multipliedReportingOverflow(by: rows)
    guard !overflow, body < 1 << 46 else {
      throw Failure(.memory, "an arena of \(rows) rows is too large; expected fewer max_rows")
    }
    var cursor = ArenaCursor(measuring: "a session")
    _ = try SessionParts(policy.plan, rows: rows, &cursor)
    return cursor.used
  }

  @export(interface)
  public init(_ policy: Policy, _ options: SessionOptions) throws(Failure) {
    let plan = policy.plan
    let rows = options.maxRows
    let size = try Session.arenaSize(policy, rows: rows)
    let start: UnsafeMutableRawPointer
    (start, block) = try MemoryBlock.arena(
      size, options.arena, options.memory, for: "arena", asked: "eff_session_arena_size")
    var cursor = ArenaCursor(start)
    let parts = try SessionParts(plan, rows: rows, &cursor)
    self.policy = policy
    source = options.memory
    memory = SessionMemory(flag: parts.flag, random: parts.random, body: parts.body, rows: rows)
    core = parts.core
    for c in plan.constants {
      for r in 0..<rows {
        eff_copy(
          parts.body + Int(c.place) * rows + r * Int(c.size), plan.weights.baseAddress! + Int(c.weights), Int(c.size))
      }
    }
    let inputCount = plan.inputs.count
    func fill(_ ports: [PlanPort], _ at: UnsafeMutablePointer<SessionPort>) {
      for (i, p) in ports.enumerated() {
        (at + i).initialize(to: SessionPort(memory: parts.body + p.place * rows, size: p.size, state: p.state))
      }
    }
    fill(plan.inputs, parts.ports)
    fill(plan.outputs, parts.ports + inputCount)
    for i in 0..<plan.stateCount {
      let buffers = (memory.stateBuffer(plan, i, 0), memory.stateBuffer(plan, i, 1))
      (parts.states + i).initialize(to: SessionState(buffers: buffers, size: plan.inputs[plan.stateInputs[i]].size))
    }
    core.initialize(to: SessionCore(
      maxRows: rows, tableWord: BoundOps.bind(policy, to: memory, parts.bound.0, parts.bound.1), parity: 0,
      mailbox: nil, offerer: nil, isRehearsing: false, inputs: parts.ports, inputCount: inputCount,
      outputs: parts.ports + inputCount, outputCount: plan.outputs.count, states: parts.states,
      stateCount: plan.stateCount, observation: parts.observation, action: parts.action, takesBothSides: parts.flag,
      random: plan.usesRandom ? parts.random : nil, seed: options.seed, firstRow: options.firstRow, kept: parts.kept,
      rehearsed: parts.rehearsed, lastAction: parts.lastAction, nonFinite: options.nonFinite,
      owner: Unmanaged.passUnretained(self)))
    _ = handle.reset(-1)
  }

  deinit {
    BoundOps.free(core.pointee.tables)
    BoundOps.free(Mailbox.tables(core.pointee.mailbox))
  }

  /// Offers the weights of `next` to the stepping thread, in the place of an offer that it has not adopted. With
  /// `resetsState` recurrent state is cleared at adoption. Throws `.mismatch` for another plan, `.state` where a
  /// learner publishes to this session.
  @export(interface)
  public func swap(to next: Policy, resetsState: Bool = false) throws(Failure) {
    if let difference = policy.plan.difference(next.plan) {
      throw Failure(.mismatch, "the new policy has another plan: \(difference)")
    }
    try claim()
    defer { unclaim() }
    let table = try bound(next)
    table.pointee.resetsState = resetsState
    BoundOps.free(Mailbox.tables(eff_atomic_exchange(&core.pointee.mailbox, UnsafeMutableRawPointer(table))))
    offered = next
  }

  /// Becomes the only one who writes offers. Throws `.state` where somebody is.
  func claim() throws(Failure) {
    guard eff_atomic_replace(&core.pointee.offerer, nil, UnsafeMutableRawPointer(core)) != 0 else {
      throw Failure(.state, "a learner publishes to this session, or another thread swaps its policy")
    }
  }

  func unclaim() { _ = eff_atomic_exchange(&core.pointee.offerer, nil) }

  var hasOffer: Bool { Mailbox.isOffer(eff_atomic_load(&core.pointee.mailbox)) }

  /// Ops of a policy with the same plan, on this session's memory; freed by whoever has them at the end.
  func bound(_ next: Policy) throws(Failure) -> UnsafeMutablePointer<BoundOps> {
    try BoundOps.make(next, for: memory, source)
  }

  /// Frees the weights that a step has replaced; a publisher takes those back itself.
  public func reclaim() {
    guard eff_atomic_replace(&core.pointee.offerer, nil, UnsafeMutableRawPointer(core)) != 0 else { return }
    defer { unclaim() }
    let content = eff_atomic_load(&core.pointee.mailbox)
    if Mailbox.isRetired(content), eff_atomic_replace(&core.pointee.mailbox, content, nil) != 0 {
      BoundOps.free(Mailbox.tables(content))
    }
  }
}
