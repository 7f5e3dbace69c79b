#if Bridge

/// What the bridge serves: something with named inputs and outputs in memory of its own, that runs rows. CABI makes one
/// of a session.
public struct Target {
  /// What a tensor is for, equal to the `EFF_ROLE_...` codes of the C header.
  public enum Role: Int32, Sendable {
    case observation = 0, action = 1, state = 2, aux = 3

    var name: StaticString {
      switch self {
      case .observation: "observation"
      case .action: "action"
      case .state: "state"
      case .aux: "aux"
      }
    }
  }

  /// One input or output.
  public struct Tensor: Sendable {
    public let name: String
    public let role: Role
    /// ONNX `TensorProto.DataType`.
    public let dtype: Int32
    /// Shape of one row.
    public let shape: [Int]
    /// Bytes of one row.
    public let size: Int

    public init(name: String, role: Role, dtype: Int32, shape: [Int], size: Int) {
      self.name = name
      self.role = role
      self.dtype = dtype
      self.shape = shape
      self.size = size
    }

    /// Elements of one row.
    var count: Int { shape.reduce(1, &*) }
  }

  public let inputs: [Tensor]
  public let outputs: [Tensor]
  public let maxRows: Int
  /// Tells one policy from another; that of the policy that runs next. Called on the thread that polls.
  public let hash: () -> UInt64
  var policyHash: UInt64 { hash() }
  /// Memory of input `index`, `[maxRows, count]`.
  public let input: (_ index: Int) -> UnsafeMutableRawPointer?
  /// Memory of output `index`, `[maxRows, count]`, valid until the next run.
  public let output: (_ index: Int) -> UnsafeRawPointer?
  /// Runs that many rows; 0 or a negative status.
  public let run: (_ rows: Int) -> Int32
  /// Clears the recurrent state of one row, or of all with -1; 0 or a negative status.
  public let reset: (_ row: Int) -> Int32

  public init(
    inputs: [Tensor], outputs: [Tensor], maxRows: Int, policyHash: @escaping @autoclosure () -> UInt64,
    input: @escaping (Int) -> UnsafeMutableRawPointer?, output: @escaping (Int) -> UnsafeRawPointer?,
    run: @escaping (Int) -> Int32, reset: @escaping (Int) -> Int32
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.maxRows = maxRows
    hash = policyHash
    self.input = input
    self.output = output
    self.run = run
    self.reset = reset
  }
}

/// The name of an ONNX element type in the handshake, as in the C header but for the prefix.
func typeName(_ dtype: Int32) -> StaticString {
  switch dtype {
  case 1: "f32"
  case 2: "u8"
  case 3: "i8"
  case 4: "u16"
  case 5: "i16"
  case 6: "i32"
  case 7: "i64"
  case 9: "bool"
  case 10: "f16"
  case 11: "f64"
  case 12: "u32"
  case 13: "u64"
  case 16: "bf16"
  default: "unknown"
  }
}
#endif
