import Base
import Platform

/// The elements of a tensor: dense, C order, somewhere in `bytes`. Aligned to their size, but for matrices of f32 that
/// are read where a file has them.
public struct TensorData {
  public let type: ElementType
  public let shape: [Int]
  public let bytes: Bytes
  public let offset: Int

  public init(type: ElementType, shape: [Int], bytes: Bytes, offset: Int = 0) {
    self.type = type
    self.shape = shape
    self.bytes = bytes
    self.offset = offset
  }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * type.size }
  public var start: UnsafeRawPointer { bytes.start + offset }

  /// Element `i` of an f32 tensor.
  @inline(__always)
  public func float(_ i: Int) -> Float { start.loadUnaligned(fromByteOffset: 4 * i, as: Float.self) }

  /// Whether any kernel can read the elements where they are.
  public var isAligned: Bool { UInt(bitPattern: start) % UInt(type.size) == 0 }

  /// The same elements at an address that any kernel can read.
  public func aligned() throws(Failure) -> TensorData {
    if isAligned { return self }
    return TensorData(type: type, shape: shape, bytes: try Bytes.copy(start, byteCount))
  }

  /// The same elements under another shape of equal count.
  public func reshaped(_ shape: [Int]) -> TensorData {
    TensorData(type: type, shape: shape, bytes: bytes, offset: offset)
  }
}

/// Finds the elements of the tensors of one model: inline, in typed fields or in external files.
public struct TensorReader {
  let model: Bytes
  /// nil refuses external data.
  let files: ExternalFiles?
  let budget: MemoryBudget

  public init(model: Bytes, files: ExternalFiles?, budget: MemoryBudget) {
    self.model = model
    self.files = files
    self.budget = budget
  }

  /// Most elements of any tensor, and along any axis of it: keeps products of sizes, strides and steps far from
  /// overflow.
  public static let maximumCount = 1 << 40
  public static let maximumSize = Int(Int32.max)

  /// Bytes from which a copy of a matrix, only to align it, takes a time that a person could notice.
  static let packedFrom = 16 << 10

  /// Product of sizes, refusing negative and absurd ones.
  public static func count(_ shape: [Int], _ what: @autoclosure () -> String) throws(Failure) -> Int {
    var n = 1
    guard shape.count <= 8 else { throw Failure(.unsupported, "\(what()): rank \(shape.count), expected at most 8") }
    for d in shape {
      guard d >= 0 else { throw Failure(.shape, "\(what()): negative size in shape \(describe(shape))") }
      let (p, overflow) = n.multipliedReportingOverflow(by: max(d, 1))
      guard !overflow, p <= maximumCount, d <= maximumSize else {
        throw Failure(.shape, "\(what()): shape \(describe(shape)) has too many elements")
      }
      n = p
    }
    for d in shape where d == 0 { return 0 }
    return n
  }

  /// Product of sizes that are not negative; -1 where it is absurd.
  public static func product(_ sizes: Int...) -> Int {
    var n = 1
    for s in sizes {
      let (p, overflow) = n.multipliedReportingOverflow(by: s)
      if overflow || p > maximumCount { return -1 }
      n = p
    }
    return n
  }

  /// The elements of `t`, in place where they are aligned.
  @export(interface)
  public mutating func read(_ t: OnnxTensor, _ what: @autoclosure () -> String) throws(Failure) -> TensorData {
    guard let type = ElementType(rawValue: t.type) else {
      throw Failure(.unsupported, "\(what()): element type \(ElementType.unsupportedName(t.type)) is not supported")
    }
    var shape: [Int] = []
    for d in t.dims { shape.append(Int(d)) }
    let count = try Self.count(shape, what())
    if type.isNibble { return try nibbles(t, type, shape, count, what()) }
    let size = count * type.size
    if t.isExternal { return try external(t, type, shape, size, what()) }
    if let raw = t.raw {
      guard raw.count == size else { throw mismatch(what(), raw.count, size, type, shape) }
      return try place(type, shape, model, raw.lowerBound, size, what)
    }
    return try typed(t, type, shape, count, what())
  }

  /// Elements of four bits, two to a byte, the first in the low half: one byte for each.
  private mutating func nibbles(_ t: OnnxTensor, _ type: ElementType, _ shape: [Int], _ count: Int, _ what: String)
    throws(Failure) -> TensorData
  {
    let size = (count + 1) / 2
    var packed: UnsafeRawPointer? = nil
    var file: TensorData? = nil
    if t.isExternal {
      file = try external(t, .u8, [size], size, what)
      packed = file?.start
    } else if let raw = t.raw {
      guard raw.count == size else { throw mismatch(what, raw.count, size, type, shape) }
      packed = model.start + raw.lowerBound
    } else if t.ints.count != size {
      throw Failure(
        .format, "\(what): has \(t.ints.count) pairs of elements, expected \(size) for \(type.name) \(describe(shape))")
    }
    let bytes = try budget.zeroed(max(count, 1), for: what)
    for i in 0..<count {
      let pair = packed?.load(fromByteOffset: i / 2, as: UInt8.self) ?? UInt8(truncatingIfNeeded: t.ints[i / 2])
      let bits = i % 2 == 0 ? pair & 15 : pair >> 4
      bytes.mutable.storeBytes(of: type == .i4 && bits > 7 ? bits | 0xf0 : bits, toByteOffset: i, as: UInt8.self)
    }
    _ = file
    return TensorData(type: type, shape: shape, bytes: bytes)
  }

  private func mismatch(_ what: String, _ found: Int, _ expected: Int, _ type: ElementType, _ shape: [Int]) -> Failure {
    Failure(.format, "\(what): has \(found) bytes of data, expected \(expected) for \(type.name) \(describe(shape))")
  }

  private func place(
    _ type: ElementType, _ shape: [Int], _ bytes: Bytes, _ offset: Int, _ size: Int, _ what: () -> String
  ) throws(Failure) -> TensorData {
    let inPlace = TensorData(type: type, shape: shape, bytes: bytes, offset: offset)
    // a matrix is packed from where it is
    if type == .f32 && shape.count >= 2 && size >= Self.packedFrom { return inPlace }
    if UInt(bitPattern: inPlace.start) % UInt(type.size) != 0 { try budget.take(size, for: what()) }
    return try inPlace.aligned()
  }

  private func typed(_ t: OnnxTensor, _ type: ElementType, _ shape: [Int], _ count: Int, _ what: String) throws(Failure)
    -> TensorData
  {
    let found: Int
    switch type {
    case .f32: found = t.floats.count
    case .f64: found = t.doubles.count
    default: found = t.ints.count
    }
    guard found == count else {
      throw Failure(.format, "\(what): has \(found) elements, expected \(count) for \(type.name) \(describe(shape))")
    }
    let bytes = try budget.zeroed(count * type.size, for: what)
    let p = bytes.mutable
    for i in 0..<count {
      switch type {
      case .f32: p.storeBytes(of: t.floats[i], toByteOffset: 4 * i, as: Float.self)
      case .f64: p.storeBytes(of: t.doubles[i], toByteOffset: 8 * i, as: Double.self)
      default:
        let v = t.ints[i]
        switch type.size {
        case 1:
          p.storeBytes(
            of: UInt8(truncatingIfNeeded: type == .bool ? (v != 0 ? 1 : 0) : v), toByteOffset: i, as: UInt8.self)
        case 2: p.storeBytes(of: UInt16(truncatingIfNeeded: v), toByteOffset: 2 * i, as: UInt16.self)
        case 4: p.storeBytes(of: UInt32(truncatingIfNeeded: v), toByteOffset: 4 * i, as: UInt32.self)
        default: p.storeBytes(of: v, toByteOffset: 8 * i, as: Int64.self)
        }
      }
    }
    return TensorData(type: type, shape: shape, bytes: bytes)
  }

  private mutating func external(_ t: OnnxTensor, _ type: ElementType, _ shape: [Int], _ size: Int, _ what: String)
    throws(Failure) -> TensorData
  {
    var location = ""
    var offset = 0
    var length: Int? = nil
    for e in t.external {
      if e.key == "location" { location = e.value }
      if e.key == "offset" { offset = try number(e.value, "offset", what) }
      if e.key == "length" { length = try number(e.value, "length", what) }
    }
    if let length, length != size { throw mismatch(what, length, size, type, shape) }
    guard let files else {
      throw Failure(
        .io,
        """
        \(what): its data is in the external file '\(location)', but the model was loaded from memory; give the \
        folder in the options or load the file by its path
        """
      )
    }
    let file = try files.open(location, what)
    guard offset <= file.count, size <= file.count - offset else {
      throw Failure(
        .format, "\(what): external data '\(location)' has \(file.count) bytes, expected \(size) at offset \(offset)")
    }
    return try place(type, shape, file, offset, size) { what }
  }

  private func number(_ text: String, _ key: String, _ what: String) throws(Failure) -> Int {
    guard let v = Int(text), v >= 0 else {
      throw Failure(.format, "\(what): external data \(key) is '\(text)', expected a number")
    }
    return v
  }
}
