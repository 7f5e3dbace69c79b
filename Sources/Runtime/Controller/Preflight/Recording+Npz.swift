import Base
import Card

// The file of a recording: an npz, which is a zip of npy arrays that are stored as they are.

extension Recording {
  /// Bound in bytes on a file and on what is read from it.
  private static let limit = 1 << 30

  /// Reads an npz as `efferent preflight --record` and `numpy.savez` write it. Arrays that mean nothing here are named
  /// in `others`.
  @export(interface)
  public static func load(path: String, others: inout [String]) throws(Failure) -> Recording {
    try read(try Bytes.file(path, name: path, limit: limit), name: path, others: &others)
  }

  /// The same from bytes in memory.
  @export(interface)
  public static func read(_ bytes: Bytes, name: String, others: inout [String]) throws(Failure) -> Recording {
    do { return try read(bytes, &others) } catch { throw error.within(name) }
  }

  private static func read(_ bytes: Bytes, _ others: inout [String]) throws(Failure) -> Recording {
    let file = ZipReader(bytes)
    var out = Recording()
    var total = 0
    for entry in try file.entries() {
      let raw = try file.content(entry)
      let array = try NpyArray(raw.start, raw.count, entry.name)
      let name = array.name
      let isSeries = ["in.", "obs.", "act.", "out."].contains { Array(name.utf8).starts(with: Array($0.utf8)) }
      switch name {
      case "joints": out.joints = try array.texts()
      case "units", "policies":
        var pairs: [(name: String, value: String)] = []
        for text in try array.texts() {
          guard let pair = Recording.pair(text) else {
            throw Failure(.format, "array '\(name)': found '\(text)', expected NAME=VALUE")
          }
          pairs.append(pair)
        }
        if name == "units" { out.units = pairs } else { out.policies = pairs }
      case "guard":
        for word in try array.texts() {
          guard let flag = ["position", "velocity", "effort", "command"].firstIndex(of: word) else {
            throw Failure(
              .format, "array 'guard': '\(word)' is not known, expected position, velocity, effort or command")
          }
          out.clamps |= 1 << Int32(flag)
        }
      case "mode" where array.isText:
        let words = try array.texts()
        let values = try Bytes.zeroed(max(1, words.count) * 8)
        for (i, word) in words.enumerated() {
          guard let mode = ControllerMode.names.firstIndex(of: word) else {
            throw Failure(.format, "array 'mode': '\(word)' is not known, expected run, hold, ramp, damp or zero")
          }
          values.mutable.storeBytes(of: Double(mode), toByteOffset: i * 8, as: Double.self)
        }
        out.keep(name, values, words.count, 1)
      case "control_period": out.controlPeriod = try array.number()
      case "policy_period": out.policyPeriod = try array.number()
      case "card": break
      case "time", "stamp", "mode", "status", "ran", "resets":
        let (values, rows, width) = try array.numbers(&total, limit)
        out.keep(name, values, rows, width)
      default:
        guard isSeries else {
          others.append(name)
          continue
        }
        let (values, rows, width) = try array.numbers(&total, limit)
        out.keep(name, values, rows, width)
      }
    }
    return out
  }

  private mutating func keep(_ name: String, _ values: Bytes, _ rows: Int, _ width: Int) {
    memory.append(values)
    arrays.append(
      RecordedArray(name: name, values: values.start.assumingMemoryBound(to: Double.self), rows: rows, width: width))
  }
}

/// The entries of a zip whose members are stored.
struct ZipReader {
  struct Entry {
    var name: String
    var local: Int
    var size: Int
    var sum: UInt32
  }
  private let bytes: Bytes

  init(_ bytes: Bytes) { self.bytes = bytes }

  /// A little-endian number; nil outside of the file.
  private func word(_ at: Int, _ size: Int) -> Int? {
    guard at >= 0, at <= bytes.count, size <= bytes.count - at else { return nil }
    var value = 0
    for i in 0..<size { value |= Int(bytes.start.load(fromByteOffset: at + i, as: UInt8.self)) << (8 * i) }
    return value
  }

  private func text(_ at: Int, _ size: Int) -> String? {
    guard at >= 0, at <= bytes.count, size <= bytes.count - at else { return nil }
    return String(decoding: UnsafeRawBufferPointer(start: bytes.start + at, count: size), as: UTF8.self)
  }

  private func torn(_ what: StaticString) -> Failure { Failure(.format, "not a recording (npz): \(what)") }

  func entries() throws(Failure) -> [Entry] {
    // the directory's end is the last thing in the file, before a comment
    var end = bytes.count - 22
    let lowest = max(0, end - 65535)
    while end >= lowest, word(end, 4) != 0x0605_4B50 { end -= 1 }
    guard end >= lowest, let count = word(end + 10, 2), var at = word(end + 16, 4) else {
      throw torn("it has no directory of a zip")
    }
    var out: [Entry] = []
    for _ in 0..<count {
      guard word(at, 4) == 0x0201_4B50, let method = word(at + 10, 2), let sum = word(at + 16, 4),
        let packed = word(at + 20, 4),
        let size = word(at + 24, 4), let nameSize = word(at + 28, 2), let extra = word(at + 30, 2),
        let comment = word(at + 32, 2),
        let local = word(at + 42, 4), let name = text(at + 46, nameSize)
      else { throw torn("its directory is torn") }
      guard method == 0 else {
        throw Failure(
          .format,
          """
          array '\(name)' is compressed (method \(method)), expected it stored, as numpy.savez and efferent preflight \
          --record do
          """
        )
      }
      guard packed == size else { throw torn("a stored array has two sizes") }
      out.append(Entry(name: name, local: local, size: size, sum: UInt32(truncatingIfNeeded: sum)))
      at += 46 + nameSize + extra + comment
    }
    return out
  }

  func content(_ e: Entry) throws(Failure) -> (start: UnsafeRawPointer, count: Int) {
    guard word(e.local, 4) == 0x0403_4B50, let name = word(e.local + 26, 2), let extra = word(e.local + 28, 2) else {
      throw torn("the header of an array is torn")
    }
    let at = e.local + 30 + name + extra
    guard at <= bytes.count, e.size <= bytes.count - at else { throw torn("an array lies outside of the file") }
    guard checksum(bytes.start + at, e.size) == e.sum else {
      throw Failure(.format, "array '\(e.name)': its checksum is wrong")
    }
    return (bytes.start + at, e.size)
  }

  /// CRC-32 as zip has it.
  private func checksum(_ start: UnsafeRawPointer, _ count: Int) -> UInt32 {
    var table = [UInt32](repeating: 0, count: 256)
    for i in 0..<256 {
      var c = UInt32(i)
      for _ in 0..<8 { c = c & 1 != 0 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 }
      table[i] = c
    }
    var sum: UInt32 = 0xFFFF_FFFF
    for i in 0..<count {
      sum = table[Int((sum ^ UInt32(start.load(fromByteOffset: i, as: UInt8.self))) & 255)] ^ (sum >> 8)
    }
    return ~sum
  }
}

/// One npy array: little-endian numbers or texts in C order.
struct NpyArray {
  let name: String
  private let data: UnsafeRawPointer
  private let kind: UInt8
  private let itemSize: Int
  private let shape: [Int]
  private let count: Int
  private let isFortran: Bool

  var isText: Bool { kind == UInt8(ascii: "U") }

  init(_ start: UnsafeRawPointer, _ size: Int, _ entry: String) throws(Failure) {
    let file = Array(entry.utf8)
    let name =
      file.count > 4 && file.suffix(4).elementsEqual(Array(".npy".utf8))
      ? String(decoding: file.dropLast(4), as: UTF8.self) : entry
    func byte(_ i: Int) -> UInt8 { start.load(fromByteOffset: i, as: UInt8.self) }
    let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
    guard size >= 12, (0..<6).allSatisfy({ byte($0) == magic[$0] }) else {
      throw Failure(.format, "array '\(name)' is no npy array")
    }
    let wide = byte(6) >= 2
    let headerSize =
      wide
      ? Int(byte(8)) | Int(byte(9)) << 8 | Int(byte(10)) << 16 | Int(byte(11)) << 24 : Int(byte(8)) | Int(byte(9)) << 8
    let first = (wide ? 12 : 10) + headerSize
    guard headerSize <= 65536, first <= size else { throw Failure(.format, "array '\(name)': its header is torn") }
    let header = (0..<headerSize).map { byte((wide ? 12 : 10) + $0) }
    guard let type = NpyArray.quoted(header, "'descr':"), let shape = NpyArray.sizes(header), type.count >= 3,
      let itemSize = Int(String(decoding: type[2...], as: UTF8.self)), itemSize > 0, itemSize <= 4096
    else {
      throw Failure(
        .format, "array '\(name)': its header is not read: '\(String(decoding: header.prefix(80), as: UTF8.self))'")
    }
    let isText = type[1] == UInt8(ascii: "U")
    let isKnown =
      switch type[1] {
      case UInt8(ascii: "f"): itemSize == 4 || itemSize == 8
      case UInt8(ascii: "i"), UInt8(ascii: "u"): [1, 2, 4, 8].contains(itemSize)
      case UInt8(ascii: "b"): itemSize == 1
      default: isText
      }
    guard isKnown, type[0] != UInt8(ascii: ">") else {
      throw Failure(
        .format,
        "array '\(name)' has dtype '\(String(decoding: type, as: UTF8.self))', expected little-endian numbers or texts")
    }
    var count = 1
    for s in shape {
      let (n, overflow) = count.multipliedReportingOverflow(by: s)
      guard !overflow, n <= 1 << 40 else { throw Failure(.format, "array '\(name)' is too large") }
      count = n
    }
    let bytes = count * itemSize * (isText ? 4 : 1)
    guard bytes <= size - first else {
      throw Failure(.format, "array '\(name)' has \(size - first) bytes, expected \(bytes)")
    }
    (self.name, data, kind, self.shape, self.count) = (name, start + first, type[1], shape, count)
    self.itemSize = isText ? 4 * itemSize : itemSize
    isFortran = NpyArray.find(header, "'fortran_order': True") != nil && shape.count > 1
  }

  /// Place after the first appearance of a text.
  private static func find(_ bytes: [UInt8], _ text: StaticString) -> Int? {
    let wanted = Array(text.description.utf8)
    guard bytes.count >= wanted.count else { return nil }
    for i in 0...(bytes.count - wanted.count) where bytes[i..<(i + wanted.count)].elementsEqual(wanted) {
      return i + wanted.count
    }
    return nil
  }

  private static func quoted(_ header: [UInt8], _ key: StaticString) -> [UInt8]? {
    guard let from = find(header, key) else { return nil }
    let rest = header[from...].drop { $0 == 0x20 }
    guard rest.first == 0x27, let end = rest.dropFirst().firstIndex(of: 0x27) else { return nil }
    return Array(rest.dropFirst()[..<end])
  }

  private static func sizes(_ header: [UInt8]) -> [Int]? {
    guard let from = find(header, "'shape': (") else { return nil }
    var out: [Int] = []
    var number = -1
    for c in header[from...] {
      switch c {
      case 0x30...0x39:
        number = (number < 0 ? 0 : number) * 10 + Int(c - 0x30)
        if number > 1 << 40 { return nil }
      case 0x2C, 0x29:
        if number >= 0 { out.append(number) }
        number = -1
        if c == 0x29 { return out.count <= 8 ? out : nil }
      case 0x20: continue
      default: return nil
      }
    }
    return nil
  }

  private func number(_ i: Int) -> Double {
    let p = data + i * itemSize
    switch (kind, itemSize) {
    case (UInt8(ascii: "f"), 4): return Double(p.loadUnaligned(as: Float.self))
    case (UInt8(ascii: "f"), _): return p.loadUnaligned(as: Double.self)
    case (UInt8(ascii: "i"), 1): return Double(p.loadUnaligned(as: Int8.self))
    case (UInt8(ascii: "i"), 2): return Double(p.loadUnaligned(as: Int16.self))
    case (UInt8(ascii: "i"), 4): return Double(p.loadUnaligned(as: Int32.self))
    case (UInt8(ascii: "i"), _): return Double(p.loadUnaligned(as: Int64.self))
    case (_, 2): return Double(p.loadUnaligned(as: UInt16.self))
    case (_, 4): return Double(p.loadUnaligned(as: UInt32.self))
    case (_, 8): return Double(p.loadUnaligned(as: UInt64.self))
    default: return Double(p.loadUnaligned(as: UInt8.self))
    }
  }

  func number() throws(Failure) -> Double {
    guard count == 1, !isText else {
      throw Failure(.format, "array '\(name)' has \(count) values, expected one number")
    }
    return number(0)
  }

  /// `[rows, width]`; `total` counts bytes against a limit.
  func numbers(_ total: inout Int, _ limit: Int) throws(Failure) -> (values: Bytes, rows: Int, width: Int) {
    guard !isText else { throw Failure(.format, "array '\(name)' has texts, expected numbers") }
    guard !isFortran else { throw Failure(.format, "array '\(name)' is in Fortran order, expected C order") }
    total += count * 8
    guard count <= limit / 8, total <= limit else { throw Failure(.memory, "its arrays have more than \(limit) bytes") }
    let out = try Bytes.zeroed(max(1, count) * 8)
    for i in 0..<count { out.mutable.storeBytes(of: number(i), toByteOffset: i * 8, as: Double.self) }
    let rows = shape.first ?? 1
    return (out, rows, rows > 0 ? count / rows : 0)
  }

  /// Texts of any shape, one after the other; an array without elements of another type is no text.
  func texts() throws(Failure) -> [String] {
    guard count > 0 else { return [] }
    guard isText, count <= 1 << 20 else { throw Failure(.format, "array '\(name)' has no texts") }
    var out: [String] = []
    for i in 0..<count {
      var text = String.UnicodeScalarView()
      for k in 0..<(itemSize / 4) {
        let code = data.loadUnaligned(fromByteOffset: i * itemSize + k * 4, as: UInt32.self)
        if code == 0 { break }
        guard let scalar = Unicode.Scalar(code) else {
          throw Failure(.format, "array '\(name)': text \(i) has no letter \(code)")
        }
        text.append(scalar)
      }
      out.append(String(text))
    }
    return out
  }
}
