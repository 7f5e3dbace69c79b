import Base
import Graph
import Kernels
import Onnx

/// Where an operand of a plan is, as `eff_plan_operand` says.
public struct Operand: Equatable, Sendable {
  public enum Space: Int64, Sendable { case none = 0, weights, arena, stateIn, stateOut, random, table, row, rehearsal }
  public var space: Space
  public var place: Int
  public var view: Int
  public var stride: Int

  static let absent = Operand(space: .none, place: 0, view: 0, stride: 0)
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

/// Everything a session needs to run: ops in order, their parameters, the packed weights and the layout of the arena.
/// A view of one block without addresses (plan.h), which is immutable.
public final class Plan {
  public let start: UnsafeRawPointer
  /// nil: the block is somebody else's, who keeps it as long as the plan.
  private let block: MemoryBlock?
  public let ops: UnsafeBufferPointer<eff_plan_op>
  public let inputs: [PlanPort]
  public let outputs: [PlanPort]
  /// Position among `inputs` of each recurrent state.
  public let stateInputs: [Int]
  public let constants: UnsafeBufferPointer<eff_plan_constant>
  public let layers: UnsafeBufferPointer<eff_plan_layer>
  /// Packed weights and constants in the order in which the ops read them. Only a publisher writes, into its own.
  public let weights: UnsafeMutableRawBufferPointer
  private let operands: UnsafeBufferPointer<eff_plan_operand>
  private let params: UnsafeRawBufferPointer

  public var header: eff_plan_header { start.load(as: eff_plan_header.self) }
  public var stateCount: Int { stateInputs.count }
  /// Arena bytes per row.
  public var arenaSize: Int { Int(header.arena) }
  public var isa: Int32 { header.isa }
  public var mainCount: Int { Int(header.main_count) }
  public var usesRandom: Bool { header.uses_random != 0 }

  /// The plan in a block that a planner of this process wrote at `start`, or that was looked at (Plan+Image).
  init(_ start: UnsafeMutableRawPointer, _ block: MemoryBlock?) {
    func part(_ i: Int) -> UnsafeMutableRawBufferPointer { Plan.part(start, i) }
    func table<T>(_ i: Int, of type: T.Type) -> UnsafeBufferPointer<T> {
      UnsafeBufferPointer(part(i).bindMemory(to: type))
    }
    self.start = UnsafeRawPointer(start)
    self.block = block
    ops = table(EFF_PLAN_OPS, of: eff_plan_op.self)
    operands = table(EFF_PLAN_OPERANDS, of: eff_plan_operand.self)
    constants = table(EFF_PLAN_CONSTANTS, of: eff_plan_constant.self)
    layers = table(EFF_PLAN_LAYERS, of: eff_plan_layer.self)
    params = UnsafeRawBufferPointer(part(EFF_PLAN_PARAMS))
    weights = part(EFF_PLAN_WEIGHTS)
    stateInputs = table(EFF_PLAN_STATES, of: Int64.self).map { Int($0) }
    let names = UnsafeRawPointer(part(EFF_PLAN_NAMES).baseAddress!)
    let dims = table(EFF_PLAN_DIMS, of: Int64.self)
    let reasons = table(EFF_PLAN_REASONS, of: Int64.self)
    func ports(_ i: Int, reasons first: Int) -> [PlanPort] {
      table(i, of: eff_plan_port.self).enumerated().map { k, p in
        PlanPort(
          name: String(cString: (names + Int(p.name)).assumingMemoryBound(to: CChar.self)),
          type: ElementType(rawValue: p.type) ?? .f32, shape: (0..<Int(p.rank)).map { Int(dims[Int(p.dims) + $0]) },
          size: Int(p.size), place: Int(p.place), state: Int(p.state), role: Role(rawValue: p.role) ?? .auxiliary,
          reason: RoleReason(rawValue: Int32(reasons[first + k])) ?? .none, pair: Int(p.pair))
      }
    }
    inputs = ports(EFF_PLAN_INPUTS, reasons: 0)
    outputs = ports(EFF_PLAN_OUTPUTS, reasons: inputs.count)
  }

  /// Bytes in front of the parts: the header and the place of each part.
  static var outlineSize: Int { placeOfPart(EFF_PLAN_PARTS) }

  static func placeOfPart(_ i: Int) -> Int {
    MemoryLayout<eff_plan_header>.size + i * MemoryLayout<eff_plan_part>.size
  }

  static func place(_ start: UnsafeRawPointer, _ i: Int) -> eff_plan_part {
    start.load(fromByteOffset: placeOfPart(i), as: eff_plan_part.self)
  }

  static func part(_ start: UnsafeMutableRawPointer, _ i: Int) -> UnsafeMutableRawBufferPointer {
    let p = place(start, i)
    return UnsafeMutableRawBufferPointer(start: start + Int(p.start), count: Int(p.size))
  }

  /// Bytes of a part.
  func bytes(_ i: Int) -> UnsafeRawBufferPointer {
    let p = Plan.place(start, i)
    return UnsafeRawBufferPointer(start: start + Int(p.start), count: Int(p.size))
  }

  /// Entry `i` of a part of 64-bit numbers; nil behind the last one.
  func entry(_ part: Int, _ i: Int) -> Int? {
    let all = bytes(part)
    return i >= 0 && i < all.count / 8 ? Int(all.load(fromByteOffset: 8 * i, as: Int64.self)) : nil
  }

  /// A text of a part, ended by a zero byte.
  func text(_ part: Int, _ at: Int) -> UnsafePointer<CChar> {
    (bytes(part).baseAddress! + at).assumingMemoryBound(to: CChar.self)
  }

  /// The name of port `i` of a part.
  public func name(_ part: Int, _ i: Int) -> UnsafePointer<CChar> {
    let port = bytes(part).load(fromByteOffset: i * MemoryLayout<eff_plan_port>.stride, as: eff_plan_port.self)
    return text(EFF_PLAN_NAMES, Int(port.name))
  }

  /// Operand `k` of an op.
  public func operand(_ op: eff_plan_op, _ k: Int) -> Operand {
    let o = operands[Int(op.first) + k]
    return Operand(
      space: Operand.Space(rawValue: o.space) ?? .none, place: Int(o.place), view: Int(o.view), stride: Int(o.stride))
  }

  /// Parameters of an op, as its kernel reads them.
  func params(_ op: eff_plan_op) -> UnsafeRawPointer? { params.baseAddress.map { $0 + Int(op.params) } }
}
