import Base
import Onnx

/// The header of a safetensors file: 8 bytes of its length, JSON, then the elements, without holes and without
/// overlaps.
public struct SafetensorsFile {
  public struct Tensor {
    public let name: String
    /// As the file writes it, such as "BF16".
    public let dtype: String
    public let shape: [Int]
    /// Where the elements are, in bytes of the file.
    public let range: Range<Int>
  }

  public private(set) var tensors: [String: Tensor] = [:]
  /// `__metadata__`, in file order.
  public private(set) var metadata: [OnnxEntry] = []
  let bytes: Bytes

  /// Whether bytes begin as a safetensors file does: a length of less than 4 GiB, then `{`.
  public static func recognizes(_ bytes: Bytes) -> Bool {
    guard bytes.count > 8, bytes.start.load(fromByteOffset: 8, as: UInt8.self) == UInt8(ascii: "{") else {
      return false
    }
    return length(bytes) >> 32 == 0
  }

  private static func length(_ bytes: Bytes) -> UInt64 {
    UInt64(littleEndian: bytes.start.loadUnaligned(as: UInt64.self))
  }

  /// Reads and checks the header. `bytes` must stay unchanged while the file is used.
  /// - Complexity: O(bytes of the header), times the logarithm of the number of tensors.
  public static func read(_ bytes: Bytes, budget: MemoryBudget) throws(Failure) -> SafetensorsFile {
    let size = length(bytes)
    guard size <= UInt64(bytes.count - 8) else {
      throw Failure(
        .format,
        """
        truncated or damaged: the safetensors header takes \(size) bytes, but only \(bytes.count - 8) follow byte 8; \
        copy or download the file again
        """
      )
    }
    let data = 8 + Int(size)
    guard
      case .object(let members) = try JsonReader.read(
        bytes.start, 8..<data, what: "the safetensors header", budget: budget)
    else {
      throw Failure(.format, "the safetensors header at byte 8 is not an object")
    }
    var file = SafetensorsFile(bytes: bytes)
    var list: [Tensor] = []
    for m in members {
      if m.key == "__metadata__" {
        file.metadata = try entries(m.value)
      } else {
        let t = try tensor(m.key, m.value, from: data, to: bytes.count)
        list.append(t)
        file.tensors[m.key] = t
      }
    }
    try checkLayout(&list, from: data, to: bytes.count)
    return file
  }

  private static func entries(_ value: Json) throws(Failure) -> [OnnxEntry] {
    guard case .object(let members) = value else {
      throw Failure(.format, "__metadata__ in the safetensors header is \(value.kind), expected an object at byte 8")
    }
    var out: [OnnxEntry] = []
    for m in members {
      guard case .string(let text) = m.value else {
        throw Failure(.format, "__metadata__ '\(m.key)' in the safetensors header is \(m.value.kind), expected a text")
      }
      out.append(OnnxEntry(key: m.key, value: text))
    }
    return out
  }

  private static func tensor(_ name: String, _ value: Json, from: Int, to: Int) throws(Failure) -> Tensor {
    let what = "tensor '\(name)'"
    guard case .string(let dtype)? = value["dtype"], case .array(let dims)? = value["shape"],
      case .array(let offsets)? = value["data_offsets"]
    else {
      throw Failure(.format, "\(what) in the safetensors header has no dtype, shape or data_offsets")
    }
    var shape: [Int] = []
    for d in dims {
      guard let n = d.integer else {
        throw Failure(.format, "\(what): its shape holds \(d.kind), expected whole numbers")
      }
      shape.append(n)
    }
    guard offsets.count == 2, let begin = offsets[0].integer, let end = offsets[1].integer, begin >= 0, begin <= end,
      end <= to - from
    else {
      throw Failure(
        .format,
        """
        \(what): its data_offsets are not two numbers in order from 0 to \(to - from), which is what the file holds; \
        it is truncated or damaged: copy or download it again
        """
      )
    }
    let count = try TensorReader.count(shape, what)
    if let type = ElementType(safetensors: dtype) {
      guard count * type.size == end - begin else {
        throw Failure(
          .format,
          "\(what): has \(end - begin) bytes of data, expected \(count * type.size) for \(dtype) \(describe(shape))")
      }
    }
    return Tensor(name: name, dtype: dtype, shape: shape, range: from + begin..<from + end)
  }

  /// Tensors lie one after the other and fill the file, as the format demands: nothing is hidden, nothing is shared.
  private static func checkLayout(_ list: inout [Tensor], from: Int, to: Int) throws(Failure) {
    list.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = from
    for t in list {
      guard t.range.lowerBound == end else {
        let problem = t.range.lowerBound < end ? "overlaps the tensor before it" : "leaves a hole before it"
        throw Failure(.format, "tensor '\(t.name)' \(problem): begins at byte \(t.range.lowerBound), expected \(end)")
      }
      end = t.range.upperBound
    }
    guard end == to else { throw Failure(.format, "the tensors end at byte \(end), but the file has \(to) bytes") }
  }
}

extension ElementType {
  /// The type of a safetensors dtype; nil for those that Efferent does not run.
  init?(safetensors name: String) {
    switch name {
    case "F32": self = .f32
    case "F64": self = .f64
    case "F16": self = .f16
    case "BF16": self = .bf16
    case "I64": self = .i64
    case "I32": self = .i32
    case "I16": self = .i16
    case "I8": self = .i8
    case "U64": self = .u64
    case "U32": self = .u32
    case "U16": self = .u16
    case "U8": self = .u8
    case "BOOL": self = .bool
    default: return nil
    }
  }
}
