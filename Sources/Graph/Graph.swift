import Base
import Onnx

/// One tensor of a graph. Every shape is static.
public struct Value {
  public var name: String
  public let type: ElementType
  public let shape: [Int]
  /// The elements, where they are known at load.
  public var constant: TensorData? = nil
  /// The value whose memory this one uses: itself, or another that it is a view of, `offset` bytes in.
  public var root: Int
  public var offset = 0

  public init(name: String, type: ElementType, shape: [Int], constant: TensorData? = nil, root: Int, offset: Int = 0) {
    self.name = name
    self.type = type
    self.shape = shape
    self.constant = constant
    self.root = root
    self.offset = offset
  }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * type.size }
}

/// Weights before packing. Strides in elements; `scale` and `biasScale` multiply while packing.
public struct Packing {
  public var weights: TensorData
  public var recurrent: TensorData? = nil
  public var bias: TensorData? = nil
  /// Dense: weight of input i and output o is at `i * inputStride + o * outputStride`.
  public var inputStride = 0
  public var outputStride = 0
  /// 0 where one bias serves all outputs.
  public var biasStride = 1
  public var scale = 1.0
  public var biasScale = 1.0
}

/// A tensor that crosses the border of the graph.
public struct Port {
  public var name: String
  public var value: Int
  public var role = Role.auxiliary
  public var reason = RoleReason.none

  public init(name: String, value: Int) {
    self.name = name
    self.value = value
  }
}

/// A constant of the model that is kept apart from the others, so that it can change.
public struct Parameter {
  public var name: String
  public var value: Int
  public var initial: TensorData
}

/// A recurrent state: what `output` holds after a step is what `input` holds at the next.
public struct StatePair {
  public var input: Int
  public var output: Int

  public init(input: Int, output: Int) {
    self.input = input
    self.output = output
  }
}

/// A line for the log and for `inspect`.
public struct GraphNote {
  public var text: String
  public var isWarning: Bool

  public init(_ text: String, isWarning: Bool = false) { (self.text, self.isWarning) = (text, isWarning) }
}

/// A policy as kernel calls over static shapes, in order of execution.
public struct Graph {
  public var values: [Value] = []
  public var ops: [GraphOp] = []
  public var inputs: [Port] = []
  public var outputs: [Port] = []
  /// By position in `inputs` and `outputs`.
  public var states: [StatePair] = []
  /// Why `eff_session_step` is refused and what to do about it; empty where it runs.
  public var refusal = ""
  /// What was decided about this file that it does not say itself, a line each.
  public var notes: [GraphNote] = []
  /// Values that `BuildOptions.parameters` named.
  public var parameters: [Parameter] = []
  /// Bounds what constants that rewrites make may take.
  public var budget = MemoryBudget(limit: .max)
  public var nodeCount = 0
  /// Ops before fusion.
  public var unfusedCount = 0

  public init() {}

  /// The value that owns the memory of `v`.
  public func root(_ v: Int) -> Int { values[v].root }
}
