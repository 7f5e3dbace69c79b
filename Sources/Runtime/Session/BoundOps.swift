import Base
import Kernels
import Onnx
import Platform

/// Memory that the ops of a session read and write besides weights.
struct SessionMemory {
  /// Set while a rehearsal takes both sides of branches.
  var flag: UnsafeMutablePointer<UInt8>
  /// A generator per row.
  var random: UnsafeMutablePointer<eff_random_state>
  /// Tensors of the plan, `rows` rows each.
  var body: UnsafeMutableRawPointer
  var rows: Int

  /// Where an operand lies for the runs of one direction between the buffers of recurrent state; nil: not in memory.
  func address(_ o: Operand, _ plan: Plan, _ direction: Int) -> UnsafeMutableRawPointer? {
    switch o.space {
    case .none, .row, .table: return nil
    case .rehearsal: return UnsafeMutableRawPointer(flag)
    case .weights: return plan.weights.baseAddress! + o.place + o.view
    case .random: return UnsafeMutableRawPointer(random)
    case .arena: return body + o.place * rows + o.view
    case .stateIn: return stateBuffer(plan, o.place, direction) + o.view
    case .stateOut: return stateBuffer(plan, o.place, 1 - direction) + o.view
    }
  }

  /// One of the two buffers of recurrent state `index`.
  func stateBuffer(_ plan: Plan, _ index: Int, _ which: Int) -> UnsafeMutableRawPointer {
    let port = plan.inputs[plan.stateInputs[index]]
    return body + (port.place + which * ArenaLayout.room(port.size)) * rows
  }
}

/// Ops of one policy bound to one session's memory. Stands at the start of the memory that holds the ops.
struct BoundOps {
  var ops: (UnsafeMutablePointer<eff_op>, UnsafeMutablePointer<eff_op>)
  var count: Int
  var weights: UnsafeRawPointer
  var weightBytes: Int
  /// Of the policy whose weights these are.
  var hash: UInt64
  /// Recurrent state is cleared where these are adopted.
  var resetsState = false
  /// References that end with `free`: to the policy, and to the block that this stands in where that is not the
  /// session's.
  var policy: Unmanaged<Policy>
  var block: Unmanaged<MemoryBlock>?

  private static func directions(_ plan: Plan) -> Int { plan.stateCount > 0 ? 2 : 1 }

  /// Takes what `bind` fills.
  static func place(_ plan: Plan, _ cursor: inout ArenaCursor) throws(Failure) -> (
    UnsafeMutablePointer<BoundOps>, UnsafeMutablePointer<eff_op>
  ) {
    (try cursor.table(1, of: BoundOps.self), try cursor.table(plan.ops.count * directions(plan), of: eff_op.self))
  }

  /// The ops of `policy` in memory that `place` took.
  static func bind(
    _ policy: Policy, to memory: SessionMemory, _ table: UnsafeMutablePointer<BoundOps>,
    _ first: UnsafeMutablePointer<eff_op>,
    in block: MemoryBlock? = nil
  ) -> UnsafeMutablePointer<BoundOps> {
    let plan = policy.plan
    for direction in 0..<directions(plan) {
      let ops = first + direction * plan.ops.count
      for op in plan.ops {
        var bound = eff_op()
        bound.run = eff_kernel_find(op.code, op.type, plan.isa)
        bound.params = plan.params(op)
        withUnsafeMutableBytes(of: &bound.p) { p in
          withUnsafeMutableBytes(of: &bound.stride) { s in
            let pointers = p.bindMemory(to: UnsafeMutableRawPointer?.self)
            let strides = s.bindMemory(to: Int64.self)
            for k in 0..<Int(op.count) {
              let o = plan.operand(op, k)
              pointers[k] =
                o.space == .table ? UnsafeMutableRawPointer(ops + o.place) : memory.address(o, plan, direction)
              strides[k] = Int64(o.stride)
            }
          }
        }
        (ops + Int(op.position)).initialize(to: bound)
      }
    }
    table.initialize(to: BoundOps(
      ops: (first, first + (directions(plan) - 1) * plan.ops.count), count: plan.mainCount,
      weights: UnsafeRawPointer(plan.weights.baseAddress!), weightBytes: plan.weights.count, hash: policy.hash,
      policy: Unmanaged.passRetained(policy), block: block.map { Unmanaged.passRetained($0) }))
    return table
  }

  /// The same in a block of its own from `source`.
  static func make(_ policy: Policy, for memory: SessionMemory, _ source: MemorySource) throws(Failure)
    -> UnsafeMutablePointer<BoundOps>
  {
    var measure = ArenaCursor(measuring: "a table of ops")
    _ = try place(policy.plan, &measure)
    let block = try MemoryBlock(measure.used, source, for: "ops")
    var cursor = ArenaCursor(block.start)
    let (table, first) = try place(policy.plan, &cursor)
    return bind(policy, to: memory, table, first, in: block)
  }

  /// For whoever has the table.
  static func free(_ table: UnsafeMutablePointer<BoundOps>?) {
    guard let table else { return }
    let (policy, block) = (table.pointee.policy, table.pointee.block)
    policy.release()
    block?.release()
  }
}
