import Base
import Kernels
import Onnx
import Platform

/// A policy's ops with the addresses of one arena filled in.
final class Binding {
  let policy: Policy
  let table: UnsafeMutablePointer<BoundOps>
  private let ops: MemoryBlock

  /// `arena` holds `rows` rows; the table comes from `memory`.
  init(_ policy: Policy, arena: UnsafeMutableRawPointer, rows: Int, _ memory: MemorySource) throws(Failure) {
    let plan = policy.plan
    let directions = plan.stateCount > 0 ? 2 : 1
    let stride = MemoryLayout<eff_op>.stride
    let block = try MemoryBlock(max(1, plan.ops.count * directions * stride), memory, for: "session")
    let first = block.start.bindMemory(to: eff_op.self, capacity: max(1, plan.ops.count * directions))
    for direction in 0..<directions {
      let table = first + direction * plan.ops.count
      for op in plan.ops {
        var bound = eff_op()
        bound.run = op.kernel
        bound.params = UnsafeRawPointer(plan.params.start + op.params)
        withUnsafeMutableBytes(of: &bound.p) { p in
          withUnsafeMutableBytes(of: &bound.stride) { s in
            let pointers = p.bindMemory(to: UnsafeMutableRawPointer?.self)
            let strides = s.bindMemory(to: Int64.self)
            for k in 0..<op.count {
              let o = plan.operands[op.first + k]
              pointers[k] = o.space == .table ? UnsafeMutableRawPointer(table + o.place) : Binding.address(o, plan, arena, rows, direction)
              strides[k] = Int64(o.stride)
            }
          }
        }
        table[op.position] = bound
      }
    }
    self.policy = policy
    ops = block
    table = UnsafeMutablePointer<BoundOps>.allocate(capacity: 1)
    table.initialize(to: BoundOps(
      ops: (first, first + (directions - 1) * plan.ops.count), count: plan.mainCount,
      weights: UnsafeRawPointer(plan.weights.start), weightBytes: plan.weights.size, owner: Unmanaged.passUnretained(self), hash: policy.hash))
  }

  deinit { table.deallocate() }

  private static func address(_ o: Operand, _ plan: Plan, _ arena: UnsafeMutableRawPointer, _ rows: Int, _ direction: Int) -> UnsafeMutableRawPointer? {
    let body = arena + plan.arenaHeader(rows)
    switch o.space {
    case .none, .row, .table: return nil
    case .rehearsal: return arena
    case .weights: return plan.weights.start + o.place + o.view
    case .random: return arena + Plan.arenaFlags
    case .arena: return body + o.place * rows + o.view
    case .stateIn: return stateBuffer(plan, o.place, body, rows, direction) + o.view
    case .stateOut: return stateBuffer(plan, o.place, body, rows, 1 - direction) + o.view
    }
  }

  /// One of the two buffers of recurrent state `index`.
  static func stateBuffer(_ plan: Plan, _ index: Int, _ body: UnsafeMutableRawPointer, _ rows: Int, _ which: Int) -> UnsafeMutableRawPointer {
    let port = plan.inputs[plan.stateInputs[index]]
    let slot = (max(port.size, 1) + 63) / 64 * 64
    return body + (port.place + which * slot) * rows
  }
}
