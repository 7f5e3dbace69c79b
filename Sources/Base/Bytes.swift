import Platform

/// Immutable bytes that are borrowed from a caller or owned. Everything that points into them keeps a reference.
public final class Bytes {
  public let start: UnsafeRawPointer
  public let count: Int
  private enum Source {
    case borrowed, mapped, owned
    case page(HugePage)
  }
  private let source: Source
  /// XXH64 of all of them, where it was taken while they were read.
  public private(set) var hash: XxHash64? = nil
  /// The page that they are in, which may have room for more.
  public var page: HugePage? { if case .page(let page) = source { page } else { nil } }

  private init(_ start: UnsafeRawPointer, _ count: Int, _ source: Source) {
    self.start = start
    self.count = count
    self.source = source
  }

  deinit {
    switch source {
    case .borrowed, .page: break
    case .mapped: eff_unmap(UnsafeMutableRawPointer(mutating: start), HugePage.whole(count))
    case .owned: eff_free(UnsafeMutableRawPointer(mutating: start))
    }
  }

  /// Bytes of the caller, which must outlive this object.
  public static func borrowed(_ start: UnsafeRawPointer, _ count: Int) -> Bytes { Bytes(start, count, .borrowed) }

  /// Zeroed memory, aligned to 64 bytes.
  public static func zeroed(_ count: Int) throws(Failure) -> Bytes {
    guard count >= 0, let p = eff_alloc(count, 64) else { throw Failure.noMemory(count, for: "a tensor") }
    eff_zero(p, count)
    return Bytes(UnsafeRawPointer(p), count, .owned)
  }

  /// These bytes in memory of their own, which no caller frees and no file changes.
  public func owned() throws(Failure) -> Bytes {
    if case .borrowed = source { return try Bytes.copy(start, count) }
    return self
  }

  /// A copy, aligned to 64 bytes.
  public static func copy(_ start: UnsafeRawPointer, _ count: Int) throws(Failure) -> Bytes {
    guard let p = eff_alloc(count, 64) else { throw Failure.noMemory(count, for: "a copy") }
    eff_copy(p, start, count)
    return Bytes(UnsafeRawPointer(p), count, .owned)
  }

  /// The UTF-8 of a text.
  public static func text(_ text: String) throws(Failure) -> Bytes {
    let bytes = Array(text.utf8)
    let out = try zeroed(bytes.count)
    bytes.withUnsafeBytes { raw in if let start = raw.baseAddress { eff_copy(out.mutable, start, raw.count) } }
    return out
  }

  /// For filling memory made by `zeroed` before it is shared.
  public var mutable: UnsafeMutableRawPointer { UnsafeMutableRawPointer(mutating: start) }

  /// The content of a file, in memory of its own: what happens to the file afterwards changes nothing. `name` is what
  /// messages call it. With `isBesidePlan` it may lie in a huge page, where what is made of it fits beside; with
  /// `isHashed` its hash is taken piece by piece, while each is near.
  /// Throws `.io` where it is written to meanwhile, `.memory` where it has more than `limit` bytes or there is no
  /// memory for it.
  @export(interface)
  public static func file(
    _ path: String, name: String, limit: Int = 1 << 40, isBesidePlan: Bool = false, isHashed: Bool = false
  ) throws(Failure) -> Bytes {
    let fd = path.withCString { eff_open_read($0) }
    guard fd >= 0 else { throw Failure(.io, "\(name): cannot be opened: \(String(cString: eff_error_text(-fd)))") }
    defer { eff_close(fd) }
    let before = try settled(fd, name)
    let size = Int(before.size)
    guard size <= limit else {
      throw Failure(.memory, "\(name): has \(size) bytes, which exceeds the memory limit of \(limit) bytes")
    }
    var place = isBesidePlan ? inPage(size) : nil
    if place == nil { place = try large(size, name) }
    guard let bytes = place else { throw Failure.noMemory(size, for: name) }
    var count = 0
    var hash = XxHash64()
    while count < size {
      let n = Int(eff_read(fd, bytes.mutable + count, isHashed ? min(size - count, 128 << 10) : size - count))
      if n < 0 { throw Failure(.io, "\(name): cannot be read: \(String(cString: eff_error_text(Int32(-n))))") }
      if n == 0 { break }
      if isHashed { hash.add(bytes.start + count, n) }
      count += n
    }
    var after = eff_file_state()
    guard eff_file_look(fd, &after) == 0, count == size, eff_file_is_same(before, after) != 0 else {
      throw Failure(.io, "\(name): was changed while it was read; write the new one beside it and rename it")
    }
    if isHashed { bytes.hash = hash }
    return bytes
  }

  /// What a file is once its last change is older than the clock of file times is coarse: a change from now on will
  /// show in its times.
  private static func settled(_ fd: Int32, _ name: String) throws(Failure) -> eff_file_state {
    let coarse: Int64 = 10_000_000
    var state = eff_file_state()
    for _ in 0..<50 {
      let code = eff_file_look(fd, &state)
      guard code == 0 else {
        throw Failure(.io, "\(name): not a regular file: \(String(cString: eff_error_text(-code)))")
      }
      let age = eff_wall_ns() - state.changed_ns
      if age < 0 || age >= coarse { return state }
      eff_sleep_ns(coarse - age)
    }
    throw Failure(.io, "\(name): is being written; write it beside and rename it")
  }

  /// Memory for a file in a huge page: small ones would take longer to get.
  private static func inPage(_ count: Int) -> Bytes? {
    guard count >= 128 << 10, count <= HugePage.size,
      let page = HugePage.make(), let place = page.takeBack(count)
    else { return nil }
    return Bytes(UnsafeRawPointer(place), count, .page(page))
  }

  /// Memory for a file. That of large ones is a mapping of its own, with huge pages where there are some, which is
  /// filled in less time.
  private static func large(_ count: Int, _ name: String) throws(Failure) -> Bytes {
    if count >= HugePage.size, let p = eff_map_zeroed(HugePage.whole(count), HugePage.size) {
      return Bytes(UnsafeRawPointer(p), count, .mapped)
    }
    guard let p = eff_alloc(count, 64) else { throw Failure.noMemory(count, for: "\(name): its \(count) bytes") }
    return Bytes(UnsafeRawPointer(p), count, .owned)
  }
}

/// Real path of what `path` names, or nil where there is nothing.
public func realPath(_ path: String) -> String? {
  guard let real = path.withCString({ eff_real_path($0) }) else { return nil }
  defer { eff_free(real) }
  return String(cString: real)
}
