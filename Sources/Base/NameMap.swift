import Platform

/// A number for each of some names. Names come from files: the hash depends on the process, so that no file can have
/// names that meet.
public struct NameMap {
  /// In the order in which they got numbers.
  public private(set) var names: [String] = []
  private var values: [Int] = []
  private var index = HashIndex()

  public init() {}

  public mutating func reserve(_ count: Int) {
    names.reserveCapacity(count)
    values.reserveCapacity(count)
    index.reserve(count)
  }

  /// The number of a name; nil where it has none.
  @export(interface)
  public subscript(name: String) -> Int? {
    let i = find(name, HashIndex.hash(name))
    return i < 0 ? nil : values[i]
  }

  @export(interface)
  public func contains(_ name: String) -> Bool { find(name, HashIndex.hash(name)) >= 0 }

  /// Gives a name a number; whether it had none.
  @export(interface) @discardableResult
  public mutating func set(_ name: String, _ value: Int) -> Bool {
    let hash = HashIndex.hash(name)
    let i = find(name, hash)
    if i >= 0 {
      values[i] = value
      return false
    }
    index.add(hash)
    names.append(name)
    values.append(value)
    return true
  }

  private func find(_ name: String, _ hash: UInt64) -> Int {
    index.find(hash) { names[$0] == name }
  }
}

/// Finds the positions of things in a list by a hash of what they are known by.
public struct HashIndex {
  /// Position + 1, or 0.
  private var slots: [UInt32] = []
  private var hashes: [UInt64] = []

  public init() {}

  public mutating func reserve(_ count: Int) {
    hashes.reserveCapacity(count)
    if 2 * count > slots.count { rebuild(count) }
  }

  /// The position of a thing with this hash that `isSame` says is the one; -1 where there is none.
  @inline(__always)
  public func find(_ hash: UInt64, _ isSame: (Int) -> Bool) -> Int {
    if slots.isEmpty { return -1 }
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while slots[slot] != 0 {
      let i = Int(slots[slot]) - 1
      if hashes[i] == hash && isSame(i) { return i }
      slot = (slot + 1) & mask
    }
    return -1
  }

  /// Adds the thing at the next position.
  @export(interface)
  public mutating func add(_ hash: UInt64) {
    if 2 * (hashes.count + 1) > slots.count { rebuild(hashes.count + 1) }
    hashes.append(hash)
    place(hashes.count - 1)
  }

  private mutating func place(_ i: Int) {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hashes[i]) & mask
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = UInt32(i + 1)
  }

  private mutating func rebuild(_ count: Int) {
    var size = 32
    while size < 4 * count { size *= 2 }
    slots = [UInt32](repeating: 0, count: size)
    for i in hashes.indices { place(i) }
  }

  // MARK: hashes

  private static let seed = UInt64(bitPattern: eff_wall_ns()) &* 0x9E37_79B9_7F4A_7C15

  private static func mixed(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  @export(interface)
  public static func hash(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { bytes in
      var h = seed ^ UInt64(bytes.count)
      guard let start = bytes.baseAddress else { return h }
      let raw = UnsafeRawPointer(start)
      var i = 0
      while i + 8 <= bytes.count {
        h = mixed(h ^ raw.loadUnaligned(fromByteOffset: i, as: UInt64.self), 0xA076_1D64_78BD_642F)
        i += 8
      }
      var rest: UInt64 = 0
      while i < bytes.count {
        rest = rest << 8 | UInt64(bytes[i])
        i += 1
      }
      return mixed(h ^ rest, 0xE703_7ED1_A0B4_28DB)
    }
  }

  @export(interface)
  public static func hash(_ address: UnsafeRawPointer) -> UInt64 {
    mixed(seed ^ UInt64(UInt(bitPattern: address)), 0xA076_1D64_78BD_642F)
  }
}
