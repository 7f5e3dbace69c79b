import Base
import Kernels

/// One kernel call over values.
public struct GraphOp {
  /// The kernel, by its case, and its parameters.
  public var params: Params
  /// Element type by which the kernel is chosen.
  public var type: ElementType
  /// Value per operand of the kernel, -1 where an optional one is absent; inputs, then outputs. Passes that treat all
  /// kernels alike walk over them; whoever knows the kernel names the operand.
  public private(set) var operands: [Int]
  public private(set) var inputCount: Int
  /// Constants that the planner packs for the kernel, which then takes one packed operand in their place.
  public var packing: Packing? = nil
  /// Bytes per row of scratch memory, passed as one operand after the outputs.
  public var scratch = 0
  /// Multiply-add operations per row.
  public var work = 0
  /// Node that this op comes from, for messages.
  public var label: String

  /// - Parameters:
  ///   - inputs: one for each of the kernel's row, -1 where it is absent
  ///   - outputs: the same; absent ones at the end may be left away
  @inline(never)
  public init(_ params: Params, type: ElementType, inputs: [Int], outputs: [Int], label: String) {
    self.params = params
    self.type = type
    operands = inputs + outputs
    inputCount = inputs.count
    self.label = label
    assert(inputs.count == kernel.row.inputs.count, "\(kernel.row.name) has \(inputs.count) inputs")
    assert(outputs.count <= kernel.row.outputs.count, "\(kernel.row.name) has \(outputs.count) outputs")
    assert(outputs.count >= kernel.row.outputs.required, "\(kernel.row.name) has \(outputs.count) outputs")
  }

  public var kernel: Kernel { params.kernel }
  public var inputs: ArraySlice<Int> { operands[..<inputCount] }
  public var outputs: ArraySlice<Int> { operands[inputCount...] }

  /// The value of an operand that the kernel's row names; -1 where it is absent.
  public subscript(name: OperandName) -> Int {
    get {
      let k = position(name)
      return k < operands.count ? operands[k] : -1
    }
    set { operands[position(name)] = newValue }
  }

  private func position(_ name: OperandName) -> Int { GraphOp.position(name, kernel, inputCount) }

  fileprivate static func position(_ name: OperandName, _ kernel: Kernel, _ inputCount: Int) -> Int {
    let row = kernel.row
    if let k = row.inputs.position(name) { return k }
    if let k = row.outputs.position(name) { return inputCount + k }
    preconditionFailure("the kernel has no operand of this name")
  }

  /// Writes to `new` where it wrote to the memory root `old`; whether it did.
  mutating func redirect(_ old: Int, to new: Int, _ values: [Value]) -> Bool {
    var isFound = false
    for k in inputCount..<operands.count where operands[k] >= 0 && values[operands[k]].root == old {
      operands[k] = new
      isFound = true
    }
    return isFound
  }

  /// Positions of the inputs that a gradient passes to; nil where there is no derivative.
  @export(interface)
  public func slopes() -> [Int]? {
    let row = kernel.row
    guard var names = row.slopes else { return nil }
    switch params {
    case .binary(let p) where p.fn >= EFF_FN2_EQUAL: names = OperandList()
    case .binary(let p) where p.fn > EFF_FN2_PRELU || p.fn == EFF_FN2_MOD: return nil
    case .cast(let p) where ElementType(rawValue: p.to)?.isFloat ?? false: return nil
    case .softmax(let p) where p.fn == EFF_SOFTMAX_HARD: return nil
    default: break
    }
    return (0..<row.inputs.count).filter { names.position(row.inputs[$0]) != nil }
  }
}

extension [GraphOp] {
  /// Operand `name` of op `i`, read and written in place: an op is large to copy.
  subscript(i: Int, name: OperandName) -> Int {
    @inline(never) get {
      let k = GraphOp.position(name, self[i].params.kernel, self[i].inputCount)
      return k < self[i].operands.count ? self[i].operands[k] : -1
    }
    @inline(never) set { self[i][name] = newValue }
  }
}
