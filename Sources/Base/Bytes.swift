import Platform

/// Immutable bytes that are borrowed from a caller, mapped from a file or owned. Everything that points into them keeps a reference.
public final class Bytes {
  public let start: UnsafeRawPointer
  public let count: Int
  private enum Source { case borrowed, mapped, owned }
  private let source: Source

  private init(_ start: UnsafeRawPointer, _ count: Int, _ source: Source) {
    self.start = start
    self.count = count
    self.source = source
  }

  deinit {
    switch source {
    case .borrowed: break
    case .mapped: eff_unmap(UnsafeMutableRawPointer(mutating: start), count)
    case .owned: eff_free(UnsafeMutableRawPointer(mutating: start))
    }
  }

  /// Bytes of the caller, which must outlive this object.
  public static func borrowed(_ start: UnsafeRawPointer, _ count: Int) -> Bytes { Bytes(start, count, .borrowed) }

  /// Zeroed memory, aligned to 64 bytes.
  public static func zeroed(_ count: Int) throws(Failure) -> Bytes {
    guard count >= 0, let p = eff_alloc(count, 64) else { throw Failure(.memory, "cannot allocate \(count) bytes") }
    eff_zero(p, count)
    return Bytes(UnsafeRawPointer(p), count, .owned)
  }

  /// These bytes in memory of their own, which no caller frees and no file changes.
  public func owned() throws(Failure) -> Bytes {
    if case .owned = source { return self }
    return try Bytes.copy(start, count)
  }

  /// A copy, aligned to 64 bytes.
  public static func copy(_ start: UnsafeRawPointer, _ count: Int) throws(Failure) -> Bytes {
    guard let p = eff_alloc(count, 64) else { throw Failure(.memory, "cannot allocate \(count) bytes") }
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

  /// Maps a file for reading. `name` is what messages call it.
  @export(interface)
  public static func file(_ path: String, name: String) throws(Failure) -> Bytes {
    let fd = path.withCString { eff_open_read($0) }
    guard fd >= 0 else { throw Failure(.io, "\(name): cannot be opened: \(String(cString: eff_error_text(-fd)))") }
    defer { eff_close(fd) }
    let size = eff_file_size(fd)
    guard size >= 0 else { throw Failure(.io, "\(name): not a regular file: \(String(cString: eff_error_text(Int32(-size))))") }
    if size == 0 { return try zeroed(0) }
    guard let p = eff_map_read(fd, Int(size)) else { throw Failure(.io, "\(name): cannot be mapped (\(size) bytes)") }
    return Bytes(UnsafeRawPointer(p), Int(size), .mapped)
  }
}

/// Real path of what `path` names, or nil where there is nothing.
public func realPath(_ path: String) -> String? {
  guard let real = path.withCString({ eff_real_path($0) }) else { return nil }
  defer { eff_free(real) }
  return String(cString: real)
}
