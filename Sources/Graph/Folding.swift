import Base
import Kernels
import Onnx
import Platform

/// Runs kernel calls while loading, to turn constant subgraphs into constants.
enum Folding {
  /// Runs the calls of `builder` from `first` on, removes them and makes `outputs` constants.
  static func run(_ builder: inout Builder, from first: Int, _ outputs: [Int]) throws(Failure) {
    var ops = Array(builder.graph.ops[first...])
    for op in ops { try builder.accountFolding(op) }
    builder.graph.ops.removeSubrange(first...)
    // values without elements are kept; only the ops change
    let written = ops
    ops = try builder.settled(ops)
    var memory: [Int: Bytes] = [:]
    for op in written {
      for v in op.outputs where v >= 0 {
        let root = builder.graph.values[v].root
        if memory[root] == nil { memory[root] = try builder.allocate(root, op.label) }
      }
    }
    for op in ops { try run(op, builder, memory) }
    for v in outputs {
      let value = builder.graph.values[v]
      guard let bytes = memory[value.root] else { continue }
      builder.graph.values[v].constant = TensorData(
        type: value.type, shape: value.shape, bytes: bytes, offset: value.offset)
    }
  }

  private static func run(_ op: GraphOp, _ builder: Builder, _ memory: [Int: Bytes]) throws(Failure) {
    guard let kernel = eff_kernel_find(op.kernel.rawValue, op.type.rawValue, builder.options.isa) else {
      throw Failure(.unsupported, "\(op.label): not supported for elements of type \(op.type.name)")
    }
    var call = eff_op()
    call.run = kernel
    var constants: [TensorData?] = []
    var copied = 0
    defer { builder.budget.give(copied) }
    for v in op.operands {
      let c = v < 0 ? nil : builder.graph.values[v].constant
      if let c, !c.isAligned {
        try builder.budget.take(c.byteCount, for: op.label)
        copied += c.byteCount
      }
      constants.append(try c?.aligned())
    }
    withUnsafeMutableBytes(of: &call.p) { raw in
      let p = raw.bindMemory(to: UnsafeMutableRawPointer?.self)
      for (i, v) in op.operands.enumerated() where v >= 0 {
        let value = builder.graph.values[v]
        if let c = constants[i] {
          p[i] = UnsafeMutableRawPointer(mutating: c.start)
        } else if let bytes = memory[value.root] {
          p[i] = bytes.mutable + value.offset
        }
      }
    }
    let scratch = op.scratch > 0 ? try builder.budget.zeroed(op.scratch, for: op.label) : nil
    defer { builder.budget.give(op.scratch) }
    if let scratch {
      withUnsafeMutableBytes(of: &call.p) {
        $0.bindMemory(to: UnsafeMutableRawPointer?.self)[op.operands.count] = scratch.mutable
      }
    }
    op.params.withBytes { bytes in
      call.params = bytes.baseAddress
      kernel(&call, 1)
    }
    _ = (scratch, constants)
  }
}

extension Builder {
  /// Bounds the time that folding may take, before it is spent.
  fileprivate mutating func accountFolding(_ op: GraphOp) throws(Failure) {
    var steps = op.work
    for v in op.operands where v >= 0 {
      steps = steps.addingReportingOverflow(count(v)).overflow ? .max : steps + count(v)
    }
    let (sum, overflow) = folded.addingReportingOverflow(steps)
    guard !overflow, sum <= Self.maximumFolding else {
      throw Failure(
        .unsupported,
        """
        \(op.label): computing its constants at load takes more than \(Self.maximumFolding) operations; export the \
        model with its constants folded
        """
      )
    }
    folded = sum
  }

  fileprivate mutating func allocate(_ root: Int, _ label: String) throws(Failure) -> Bytes {
    try budget.zeroed(graph.values[root].byteCount, for: label)
  }
}
