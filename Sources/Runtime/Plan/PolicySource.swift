import Base
import Graph
import Onnx
import Safetensors

/// How a policy is written in its file.
enum PolicyFormat {
  case onnx, safetensors

  init(of bytes: Bytes) { self = SafetensorsFile.recognizes(bytes) ? .safetensors : .onnx }
}

/// What a policy was loaded from.
public struct PolicySource {
  public let bytes: Bytes
  /// Architecture of tensors that do not bring their own.
  public let sidecar: Bytes?
  public let options: PolicyOptions

  var format: PolicyFormat { PolicyFormat(of: bytes) }

  /// The file as it was written, and what the graph is built with: the options, and the recurrent state that the file
  /// declares where they name none.
  func read() throws(Failure) -> (model: OnnxModel, build: BuildOptions) {
    var build = options.build
    switch format {
    case .onnx: return (try OnnxReader.read(bytes, memoryLimit: build.memoryLimit), build)
    case .safetensors:
      let file = try ArchitectureReader.read(bytes, sidecar: sidecar, memoryLimit: build.memoryLimit)
      build.states = build.states ?? file.states
      return (file.model, build)
    }
  }

  /// The same in memory of its own. External data stays with `options.build.files`.
  func owned() throws(Failure) -> PolicySource {
    PolicySource(bytes: try bytes.owned(), sidecar: try sidecar?.owned(), options: options)
  }

  /// XXH64 of all bytes that were read and of the options that change what the policy does. Of a file that stands alone
  /// and was loaded with default options it is the hash of the file.
  func hash() -> UInt64 {
    var hash = bytes.hash ?? XxHash64()
    if bytes.hash == nil { hash.add(bytes.start, bytes.count) }
    if let sidecar {
      hash.add("sidecar")
      hash.add(sidecar.start, sidecar.count)
    }
    for file in options.build.files?.found ?? [] {
      hash.add("external")
      hash.add(file.location)
      hash.add(UInt64(file.bytes.count))
      hash.add(file.bytes.start, file.bytes.count)
    }
    options.addMeaning(to: &hash)
    return hash.value
  }
}

extension PolicyOptions {
  /// Adds what changes the numbers that a policy gives: not where memory comes from, nor what is kept. Adds nothing for
  /// the defaults.
  /// A new option is to be added here, or to the list of those that mean nothing in Tests/Python/test_hash.py.
  func addMeaning(to hash: inout XxHash64) {
    if let all = weights.all {
      hash.add("weights")
      hash.add(UInt64(all.rawValue))
    }
    if !weights.each.isEmpty {
      hash.add("layers")
      for type in weights.each { hash.add(UInt64(type?.rawValue ?? 0)) }
    }
    for name in build.dims.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      hash.add("dim")
      hash.add(name)
      hash.add(UInt64(build.dims[name] ?? 0))
    }
    for name in build.constants.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      guard let value = build.constants[name] else { continue }
      hash.add("constant")
      hash.add(name)
      hash.add(UInt64(value.type.rawValue))
      hash.add(UInt64(value.shape.count))
      for size in value.shape { hash.add(UInt64(size)) }
      hash.add(value.start, value.byteCount)
    }
    if let action = build.action {
      hash.add("action")
      hash.add(action)
    }
    if let observation = build.observation {
      hash.add("observation")
      hash.add(observation)
    }
    if let outputs = build.outputs {
      hash.add("outputs")
      for name in outputs { hash.add(name) }
    }
    if let states = build.states {
      hash.add("states")
      for pair in states {
        hash.add(pair.input)
        hash.add(pair.output)
      }
    }
  }
}
