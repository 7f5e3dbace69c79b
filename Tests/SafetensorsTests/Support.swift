import Base
import Onnx
import Runtime
import Safetensors

/// A safetensors file in the making.
struct File {
  var header: String
  var data: [UInt8]

  /// f32 tensors that count 0, 0.25, 0.5, ..., one after the other, and an architecture.
  init(_ architecture: String? = nil, _ tensors: [(String, [Int])] = [], metadata: String = "") {
    var entries: [String] = []
    data = []
    header = ""
    for (name, shape) in tensors {
      let begin = data.count
      for i in 0..<shape.reduce(1, *) { withUnsafeBytes(of: (Float(i) / 4).bitPattern.littleEndian) { data += $0 } }
      entries.append(
        "\"\(name)\": {\"dtype\": \"F32\", \"shape\": \(shape), \"data_offsets\": [\(begin), \(data.count)]}")
    }
    if let architecture {
      let escaped = architecture.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing(
        "\n", with: "\\n")
      entries.insert("\"__metadata__\": {\"efferent.architecture\": \"\(escaped)\"\(metadata)}", at: 0)
    }
    header = "{" + entries.joined(separator: ", ") + "}"
  }

  init(header: String, data: [UInt8] = []) {
    self.header = header
    self.data = data
  }

  var bytes: [UInt8] {
    let text = Array(header.utf8)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text + data
  }
}

/// Bytes that a test may keep.
func copied(_ bytes: [UInt8]) -> Bytes {
  do throws(Failure) {
    let copy = try Bytes.zeroed(max(bytes.count, 1))
    for (i, b) in bytes.enumerated() { copy.mutable.storeBytes(of: b, toByteOffset: i, as: UInt8.self) }
    return bytes.isEmpty ? Bytes.borrowed(copy.start, 0) : copy
  } catch {
    fatalError("cannot allocate \(bytes.count) bytes")
  }
}

func load(_ file: File, limit: Int = 64 << 20) -> Result<Policy, Failure> { load(file.bytes, limit: limit) }

func load(_ bytes: [UInt8], limit: Int = 64 << 20) -> Result<Policy, Failure> {
  var options = PolicyOptions()
  options.build.memoryLimit = limit
  return Result { () throws(Failure) in try Policy.load(copied(bytes), options) }
}

/// The message of a load that must fail.
func message(_ file: File, limit: Int = 64 << 20) -> String {
  switch load(file, limit: limit) {
  case .success: "it loads"
  case .failure(let f): f.message
  }
}
