import Base
import Graph
import Kernels
import Onnx

/// Where an operand of a plan is. Arena offsets are those of a session with one row; a session with n rows multiplies
/// them by n.
public struct Operand: Equatable, Sendable {
  public enum Space: Int32, Sendable { case none = 0, weights, arena, stateIn, stateOut, random, table, row, rehearsal }
  public var space: Space
  /// Offset of the root in its space (arena: per row), index of the recurrent state, or position in the table of ops.
  public var place: Int
  /// Bytes from the start of the root to the operand.
  public var view: Int
  /// Bytes per row of the root; 0 where all rows share it.
  public var stride: Int

  static let absent = Operand(space: .none, place: 0, view: 0, stride: 0)
}

/// One kernel call of a plan; operands are `operands[first ..< first + count]`.
public struct PlanOp {
  public var kernel: eff_kernel
  public var code: Int32
  public var params: Int
  public var first: Int
  public var count: Int
  /// Place in the table of a session: the ops that always run come first, then the bodies of branches.
  public var position: Int
}

/// A tensor at the border of a plan.
public struct PlanPort {
  public var name: String
  public var type: ElementType
  public var shape: [Int]
  /// Bytes of one row.
  public var size: Int
  /// Arena offset per row; for recurrent state, of the first of its two buffers.
  public var place: Int
  /// Index of the recurrent state, or -1.
  public var state: Int
  public var role: Role
  public var reason: RoleReason
  /// Index of the paired output (input), or -1.
  public var pair: Int
}

/// A value that a session writes once, when it is created.
public struct PlanConstant {
  public var place: Int
  public var weights: Int
  public var size: Int
}

/// Everything a session needs to run: ops in order, their parameters, the packed weights and the layout of the arena.
/// Immutable.
public final class Plan {
  /// In order of execution; the ops of a branch follow it.
  public internal(set) var ops: [PlanOp] = []
  /// Ops that always run.
  public internal(set) var mainCount = 0
  public internal(set) var operands: [Operand] = []
  public internal(set) var labels: [String] = []
  public internal(set) var layers: [PlanLayer] = []
  public internal(set) var inputs: [PlanPort] = []
  public internal(set) var outputs: [PlanPort] = []
  public internal(set) var constants: [PlanConstant] = []
  /// Position among `inputs` of each recurrent state.
  public internal(set) var stateInputs: [Int] = []
  /// Arena bytes per row.
  public internal(set) var arenaSize = 0
  public internal(set) var work = 0
  public internal(set) var usesRandom = false
  public internal(set) var isa: Int32 = 0
  /// Bytes of packed weights and constants.
  public internal(set) var weightBytes = 0
  /// Most bytes of intermediate tensors that live at the same time, of one row.
  public internal(set) var peakBytes = 0
  /// Kernel parameters, one struct after another at 16-byte alignment.
  public let params: MemoryBlock
  /// Packed weights and constants in the order in which the ops read them.
  public let weights: MemoryBlock

  public var stateCount: Int { stateInputs.count }

  init(params: MemoryBlock, weights: MemoryBlock) {
    self.params = params
    self.weights = weights
  }

}
