#if Bridge
import Base

/// What a plant says of itself, and what it counts on. All but `version` may be left out.
struct Hello {
  /// An input or output as the plant knows it.
  struct Tensor {
    var name = ""
    /// Empty where the plant does not say.
    var dtype = ""
    /// Shape of one row; nil where the plant does not say.
    var shape: [Int]?
  }

  /// Most elements of a shape.
  static let rankLimit = 8

  /// Oldest and newest protocol version that the plant speaks.
  var versions = (oldest: 0, newest: 0)
  var rows = 1
  /// Whether ACT carries the aux outputs too.
  var aux = false
  /// What the plant will send and wants to get; nil where it takes what there is.
  var inputs, outputs: [Tensor]?
  /// Its names for the elements of observation and action.
  var observations, joints: [String]?
  /// The policy that it was made for; 0 for any.
  var policy: UInt64 = 0

  /// Reads the body of a HELLO frame. Unknown keys are skipped, so that newer plants can say more.
  init(_ body: UnsafeRawBufferPointer) throws(Failure) {
    var reader = MessagePackReader(body)
    let pairs = try reader.map()
    for _ in 0..<pairs {
      let key = try reader.string()
      do {
        try read(key, from: &reader)
      } catch {
        throw error.within("HELLO '\(String(decoding: key, as: UTF8.self))'")
      }
    }
    guard reader.isAtEnd else { throw Failure(.format, "HELLO: \(body.count - reader.position) bytes after the map") }
    guard versions.newest > 0 else { throw Failure(.format, "HELLO 'version': missing, expected [oldest, newest]") }
  }

  private mutating func read(_ key: UnsafeRawBufferPointer, from reader: inout MessagePackReader) throws(Failure) {
    if matches(key, "version") {
      let count = try reader.array()
      guard count == 2 else { throw Failure(.format, "\(count) elements, expected [oldest, newest]") }
      versions.oldest = try reader.unsigned(atMost: 255)
      versions.newest = try reader.unsigned(atMost: 255)
    } else if matches(key, "rows") {
      rows = try reader.unsigned(atMost: Int(Int32.max))
    } else if matches(key, "aux") {
      aux = try reader.bool()
    } else if matches(key, "policy") {
      policy = try reader.unsigned()
    } else if matches(key, "inputs") {
      inputs = try Hello.tensors(from: &reader)
    } else if matches(key, "outputs") {
      outputs = try Hello.tensors(from: &reader)
    } else if matches(key, "observations") {
      observations = try Hello.names(from: &reader)
    } else if matches(key, "joints") {
      joints = try Hello.names(from: &reader)
    } else {
      try reader.skip()
    }
  }

  private static func names(from reader: inout MessagePackReader) throws(Failure) -> [String] {
    var names: [String] = []
    let count = try reader.array()
    for _ in 0..<count { names.append(try reader.text()) }
    return names
  }

  private static func tensors(from reader: inout MessagePackReader) throws(Failure) -> [Tensor] {
    var tensors: [Tensor] = []
    let count = try reader.array()
    for _ in 0..<count {
      var tensor = Tensor()
      let pairs = try reader.map()
      for _ in 0..<pairs {
        let key = try reader.string()
        if matches(key, "name") {
          tensor.name = try reader.text()
        } else if matches(key, "dtype") {
          tensor.dtype = try reader.text()
        } else if matches(key, "shape") {
          let rank = try reader.array()
          guard rank <= rankLimit else { throw Failure(.format, "shape of rank \(rank), expected at most \(rankLimit)") }
          var shape: [Int] = []
          for _ in 0..<rank { shape.append(try reader.unsigned(atMost: Int(Int32.max))) }
          tensor.shape = shape
        } else {
          try reader.skip()
        }
      }
      tensors.append(tensor)
    }
    return tensors
  }
}
#endif
