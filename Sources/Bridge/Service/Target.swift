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
    /// What its numbers are measured in; "" where any will do.
    public let unit: String
    /// Names of its elements, in their order; empty where unknown.
    public let elements: [String]

    public init(
      name: String, role: Role, dtype: Int32, shape: [Int], size: Int, unit: String = "", elements: [String] = []
    ) {
      self.name = name
      self.role = role
      self.dtype = dtype
      self.shape = shape
      self.size = size
      self.unit = unit
      self.elements = elements
    }

    /// Elements of one row.
    var count: Int { shape.reduce(1, &*) }
  }

  /// One STEP.
  public struct Step {
    public let rows: Int
    /// Nanoseconds that its frame was on its way.
    public let age: UInt64
    /// Seconds of plant time since the step before; 0: unknown.
    public let duration: Double
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
  /// Runs the rows of a step; 0 or a negative status.
  public let run: (_ step: Step) -> Int32
  /// Clears the recurrent state of one row, or of all with -1; 0 or a negative status.
  public let reset: (_ row: Int) -> Int32
  /// The robot that is moved; nil where that is the plant's affair.
  public let robot: Robot?

  public init(
    inputs: [Tensor], outputs: [Tensor], maxRows: Int, policyHash: @escaping @autoclosure () -> UInt64,
    input: @escaping (Int) -> UnsafeMutableRawPointer?, output: @escaping (Int) -> UnsafeRawPointer?,
    run: @escaping (Step) -> Int32, reset: @escaping (Int) -> Int32, robot: Robot? = nil
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.maxRows = maxRows
    hash = policyHash
    self.input = input
    self.output = output
    self.run = run
    self.reset = reset
    self.robot = robot
  }
}

/// A robot that a target moves: what its plant must know, and what the plant does by itself where the link is dead.
public struct Robot {
  /// One step of the ladder; gains of all joints while it lasts.
  public struct FallbackStep {
    public let mode: String
    public let seconds: Double
    public let kp, kd: [Double]

    public init(mode: String, seconds: Double, kp: [Double], kd: [Double]) {
      (self.mode, self.seconds, self.kp, self.kd) = (mode, seconds, kp, kd)
    }
  }

  /// Joints in the order of every array of joints.
  public let joints: [String]
  /// Whether the target moves each of them.
  public let isMoved: [Bool]
  /// Steps per second.
  public let rate: Double
  public let fallback: [FallbackStep]
  /// Seconds from the fallback back to what is served.
  public let blend: Double
  /// Where a ramp ends, and the gains of the joints; NaN where there is none.
  public let pose, kp, kd: [Double]
  /// Whether a unit that a plant tells is one of a tensor's.
  public let unitFits: (_ told: String, _ own: String) -> Bool

  public init(
    joints: [String], isMoved: [Bool], rate: Double, fallback: [FallbackStep], blend: Double, pose: [Double],
    kp: [Double], kd: [Double], unitFits: @escaping (String, String) -> Bool
  ) {
    (self.joints, self.isMoved, self.rate, self.fallback, self.blend) = (joints, isMoved, rate, fallback, blend)
    (self.pose, self.kp, self.kd) = (pose, kp, kd)
    self.unitFits = unitFits
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
