/// Element types, by their code in ONNX TensorProto.DataType. i4 and u4 are for constants alone; here each takes one
/// byte, which holds its value as i8 or u8.
public enum ElementType: Int32, Sendable {
  case f32 = 1, u8 = 2, i8 = 3, u16 = 4, i16 = 5, i32 = 6, i64 = 7, bool = 9, f16 = 10, f64 = 11, u32 = 12, u64 = 13,
    bf16 = 16, u4 = 21, i4 = 22

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .u8, .i8, .bool, .u4, .i4: 1
    case .u16, .i16, .f16, .bf16: 2
    case .f32, .i32, .u32: 4
    case .f64, .i64, .u64: 8
    }
  }

  public var name: String {
    switch self {
    case .f32: "f32"
    case .u8: "u8"
    case .i8: "i8"
    case .u16: "u16"
    case .i16: "i16"
    case .i32: "i32"
    case .i64: "i64"
    case .bool: "bool"
    case .f16: "f16"
    case .f64: "f64"
    case .u32: "u32"
    case .u64: "u64"
    case .bf16: "bf16"
    case .u4: "u4"
    case .i4: "i4"
    }
  }

  public var isFloat: Bool {
    switch self {
    case .f32, .f16, .f64, .bf16: true
    default: false
    }
  }

  /// Whether an element has four bits.
  public var isNibble: Bool { self == .i4 || self == .u4 }

  /// The type of the bytes that hold the elements: this type, but for i4 and u4.
  public var stored: ElementType {
    switch self {
    case .i4: .i8
    case .u4: .u8
    default: self
    }
  }

  /// What ONNX calls the codes that Efferent does not run.
  public static func unsupportedName(_ code: Int32) -> String {
    switch code {
    case 0: "UNDEFINED"
    case 8: "STRING"
    case 14: "COMPLEX64"
    case 15: "COMPLEX128"
    case 17...20, 24: "FLOAT8"
    case 23: "FLOAT4E2M1"
    case 21: "UINT4"
    case 22: "INT4"
    case 25: "UINT2"
    case 26: "INT2"
    default: "of code \(code)"
    }
  }
}

/// `[1, 48]`
public func describe(_ shape: [Int]) -> String {
  var s = "["
  for (i, d) in shape.enumerated() { s += (i > 0 ? ", " : "") + String(d) }
  return s + "]"
}
