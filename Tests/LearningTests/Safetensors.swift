import Foundation

/// A safetensors file, every tensor as Double.
final class Safetensors {
  private let data: [UInt8]
  private let start: Int
  private let header: [String: Any]
  let metadata: [String: Any]
  private var decoded: [String: [Double]] = [:]

  init(_ url: URL) throws {
    data = [UInt8](try Data(contentsOf: url))
    let size = data[0..<8].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    start = 8 + size
    header = try JSONSerialization.jsonObject(with: Data(data[8..<start])) as! [String: Any]
    let text = (header["__metadata__"] as! [String: String])["golden"]!
    metadata = try JSONSerialization.jsonObject(with: Data(text.utf8)) as! [String: Any]
  }

  var names: [String] { header.keys.filter { $0 != "__metadata__" } }

  func shape(_ name: String) -> [Int]? { (header[name] as? [String: Any])?["shape"] as? [Int] }

  /// Row-major values, or nil where there is no such tensor.
  func callAsFunction(_ name: String) -> [Double]? {
    if let known = decoded[name] { return known }
    guard let entry = header[name] as? [String: Any], let span = entry["data_offsets"] as? [Int] else { return nil }
    let bytes = data[(start + span[0])..<(start + span[1])]
    let values: [Double] = bytes.withUnsafeBytes { p in
      func all<T>(_ type: T.Type, _ convert: (T) -> Double) -> [Double] {
        (0..<(p.count / MemoryLayout<T>.size)).map {
          convert(p.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self))
        }
      }
      switch entry["dtype"] as! String {
      case "F64": return all(Double.self) { $0 }
      case "F32": return all(Float.self) { Double($0) }
      case "I64": return all(Int64.self) { Double($0) }
      default: return all(UInt8.self) { Double($0) }
      }
    }
    decoded[name] = values
    return values
  }

  func number(_ key: String) -> Double? { (metadata[key] as? NSNumber)?.doubleValue }
  func text(_ key: String) -> String? { metadata[key] as? String }
  func group(_ key: String) -> [String: Any]? { metadata[key] as? [String: Any] }
}
