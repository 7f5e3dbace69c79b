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

/// Owns the arena and the bound ops of one running policy. Everything that a step needs is in `core`.
public final class Session {
  public let policy: Policy
  public let core: SessionHandle
  private let arena: UnsafeMutableRawPointer
  private let block: MemoryBlock?
  private let kept: MemoryBlock
  /// Where what a session keeps besides its arena comes from.
  private let tables: MemorySource
  private let ports: UnsafeMutablePointer<SessionPort>
  private let states: UnsafeMutablePointer<SessionState>
  /// What `explanation` gave last.
  var explained: CText? = nil

  /// Most rows of a session: what is more is a mistake that would fill the memory.
  public static let maximumRows = 1 << 20

  /// Bytes of arena for `rows` rows.
  @export(interface)
  public static func arenaSize(_ policy: Policy, rows: Int) throws(Failure) -> Int {
    guard rows >= 1, rows <= maximumRows else {
      throw Failure(.argument, "max_rows is \(rows), expected 1 to \(maximumRows)")
    }
    let (body, overflow) = policy.plan.arenaSize.multipliedReportingOverflow(by: rows)
    guard !overflow, body < 1 << 46 else { throw Failure(.memory, "an arena of \(rows) rows is too large; expected fewer max_rows") }
    return policy.plan.arenaHeader(rows) + body
  }

  @export(interface)
  public init(_ policy: Policy, _ options: SessionOptions) throws(Failure) {
    let plan = policy.plan
    let rows = options.maxRows
    let size = try Session.arenaSize(policy, rows: rows)
    if let given = options.arena {
      guard UInt(bitPattern: given.start) % 64 == 0 else { throw Failure(.argument, "the arena is not aligned to 64 bytes") }
      guard given.size >= size else { throw Failure(.argument, "the arena has \(given.size) bytes, expected at least \(size); ask eff_session_arena_size() with the same options") }
      arena = given.start
      block = nil
      eff_zero(given.start, size)
    } else {
      let own = try MemoryBlock(size, options.memory, for: "arena")
      arena = own.start
      block = own
    }
    self.policy = policy
    let body = arena + plan.arenaHeader(rows)
    for c in plan.constants {
      for r in 0..<rows { eff_copy(body + c.place * rows + r * c.size, plan.weights.start + c.weights, c.size) }
    }
    tables = MemorySource.tables(isLocked: options.memory.isLocked)
    let binding = try Binding(policy, arena: arena, rows: rows, tables)
    let outputSize = plan.outputs.reduce(0) { $0 + ($1.state < 0 ? $1.size : 0) }
    let (observation, action) = (Session.only(plan.inputs, .observation), Session.only(plan.outputs, .action))
    let keptSize = (MemoryLayout<eff_random_state>.size + outputSize + 63) / 64 * 64
    let rehearsedSize = observation < 0 || action < 0 ? 0 : plan.inputs[observation].size + plan.outputs[action].size
    let actionSize = action < 0 ? 0 : rows * plan.outputs[action].size
    kept = try MemoryBlock(keptSize + rehearsedSize + actionSize, tables, for: "session")

    let inputCount = plan.inputs.count
    ports = UnsafeMutablePointer<SessionPort>.allocate(capacity: max(1, inputCount + plan.outputs.count))
    for (i, p) in (plan.inputs + plan.outputs).enumerated() {
      (ports + i).initialize(to: SessionPort(memory: body + p.place * rows, size: p.size, state: p.state))
    }
    states = UnsafeMutablePointer<SessionState>.allocate(capacity: max(1, plan.stateCount))
    for i in 0..<plan.stateCount {
      let buffers = (Binding.stateBuffer(plan, i, body, rows, 0), Binding.stateBuffer(plan, i, body, rows, 1))
      (states + i).initialize(to: SessionState(buffers: buffers, size: plan.inputs[plan.stateInputs[i]].size))
    }
    core = SessionHandle.allocate(capacity: 1)
    core.initialize(to: SessionCore(
      maxRows: rows, tables: binding.table, parity: 0, mailbox: nil, offerer: nil, isRehearsing: false, inputs: ports, inputCount: inputCount,
      outputs: ports + inputCount, outputCount: plan.outputs.count, states: states, stateCount: plan.stateCount,
      observation: observation, action: action,
      takesBothSides: arena.bindMemory(to: UInt8.self, capacity: 1),
      random: plan.usesRandom ? (arena + Plan.arenaFlags).bindMemory(to: eff_random_state.self, capacity: rows) : nil, seed: options.seed, firstRow: options.firstRow,
      kept: kept.start, rehearsed: kept.start + keptSize, lastAction: kept.start + keptSize + rehearsedSize,
      nonFinite: options.nonFinite, owner: Unmanaged.passUnretained(self)))
    _ = Unmanaged.passRetained(binding)
    _ = sessionReset(core, -1)
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

  deinit {
    Session.free(core.pointee.tables)
    Session.free(Mailbox.tables(core.pointee.mailbox))
    core.deallocate()
    ports.deallocate()
    states.deallocate()
  }

  static func free(_ table: UnsafeMutablePointer<BoundOps>?) { table?.pointee.owner.release() }

  /// Offers the weights of `next` to the stepping thread, in the place of an offer that it has not adopted. With `resetsState` recurrent state is
  /// cleared at adoption. Throws `.mismatch` for another plan, `.state` where a learner publishes to this session.
  @export(interface)
  public func swap(to next: Policy, resetsState: Bool = false) throws(Failure) {
    if let difference = policy.plan.difference(next.plan) { throw Failure(.mismatch, "the new policy has another plan: \(difference)") }
    try claim()
    defer { unclaim() }
    let binding = try binding(of: next)
    binding.table.pointee.resetsState = resetsState
    let table = Unmanaged.passRetained(binding).takeUnretainedValue().table
    Session.free(Mailbox.tables(eff_atomic_exchange(&core.pointee.mailbox, UnsafeMutableRawPointer(table))))
  }

  /// Becomes the only one who writes offers. Throws `.state` where somebody is.
  func claim() throws(Failure) {
    guard eff_atomic_replace(&core.pointee.offerer, nil, UnsafeMutableRawPointer(core)) != 0 else {
      throw Failure(.state, "a learner publishes to this session, or another thread swaps its policy")
    }
  }

  func unclaim() { _ = eff_atomic_exchange(&core.pointee.offerer, nil) }

  var hasOffer: Bool { Mailbox.isOffer(eff_atomic_load(&core.pointee.mailbox)) }

  /// Ops of a policy with the same plan, on this session's arena.
  func binding(of next: Policy) throws(Failure) -> Binding { try Binding(next, arena: arena, rows: core.pointee.maxRows, tables) }

  /// Frees the weights that a step has replaced; a publisher takes those back itself.
  public func reclaim() {
    guard eff_atomic_replace(&core.pointee.offerer, nil, UnsafeMutableRawPointer(core)) != 0 else { return }
    defer { unclaim() }
    let content = eff_atomic_load(&core.pointee.mailbox)
    if Mailbox.isRetired(content), eff_atomic_replace(&core.pointee.mailbox, content, nil) != 0 { Session.free(Mailbox.tables(content)) }
  }
}

extension Plan {
  /// First difference that forbids running this plan's sessions with the weights of another; nil where there is none.
  func difference(_ other: Plan) -> String? {
    if isa != other.isa { return "it was packed for another instruction set" }
    if let d = Plan.difference(inputs, other.inputs, "input") ?? Plan.difference(outputs, other.outputs, "output") { return d }
    if ops.count != other.ops.count { return "it has \(other.ops.count) ops, expected \(ops.count)" }
    for i in 0..<ops.count {
      let a = ops[i]
      let b = other.ops[i]
      if a.code != b.code || a.count != b.count || labels[i] != other.labels[i] { return "op \(i) is '\(other.labels[i])', expected '\(labels[i])'" }
      for k in 0..<a.count where operands[a.first + k] != other.operands[b.first + k] { return "op \(i) ('\(labels[i])') uses other memory" }
    }
    for i in 0..<ops.count where !hasEqualParams(other, i) { return "op \(i) ('\(labels[i])') has other parameters" }
    if weights.size != other.weights.size { return "it has \(other.weights.size) bytes of weights, expected \(weights.size)" }
    if arenaSize != other.arenaSize { return "it needs another arena" }
    for (a, b) in zip(constants, other.constants) where a.place != b.place || a.size != b.size || memcmp(weights.start + a.weights, other.weights.start + b.weights, a.size) != 0 {
      return "an output that is a constant has another value"
    }
    return nil
  }

  private static func difference(_ a: [PlanPort], _ b: [PlanPort], _ what: String) -> String? {
    if a.count != b.count { return "it has \(b.count) \(what)s, expected \(a.count)" }
    for i in a.indices {
      if a[i].name != b[i].name { return "\(what) \(i) is '\(b[i].name)', expected '\(a[i].name)'" }
      if a[i].type != b[i].type || a[i].shape != b[i].shape {
        return "\(what) '\(a[i].name)' is \(b[i].type.name) \(describe(b[i].shape)), expected \(a[i].type.name) \(describe(a[i].shape))"
      }
      if a[i].state != b[i].state || a[i].role != b[i].role || a[i].place != b[i].place { return "\(what) '\(a[i].name)' has another role" }
    }
    return nil
  }

  /// Whether op `i` of both plans runs with the same numbers.
  private func hasEqualParams(_ other: Plan, _ i: Int) -> Bool {
    let end = i + 1 < ops.count ? ops[i + 1].params : params.size
    guard ops[i].params == other.ops[i].params, end <= other.params.size else { return false }
    return memcmp(params.start + ops[i].params, other.params.start + ops[i].params, end - ops[i].params) == 0
  }
}
