#if Bridge
import Base
import Platform

/// Where plants connect: an address that only this machine can reach, checked before anything is bound.
struct Endpoint {
  enum Transport { case tcp, ipc, inproc, unix, shm }

  let text: String
  let transport: Transport
  /// The socket file of an ipc, unix or shm address; nil for other transports and abstract names.
  let path: String?
  /// Where a unix or shm address listens: its path, or an abstract name that begins with @.
  var name = ""
  /// Whether plants connect without ZeroMQ.
  var isLocal: Bool { transport == .unix || transport == .shm }

  init(_ text: String, allowRemote: Bool, hasContext: Bool, hasKeys: Bool) throws(Failure) {
    self.text = text
    let bytes = Array(text.utf8)
    guard !hasKeys || Endpoint.rest(of: bytes, after: "tcp://") != nil else {
      throw Failure(
        .argument, "endpoint '\(text)': keys are for tcp, found another transport; expected tcp://, or no keys")
    }
    if let name = Endpoint.rest(of: bytes, after: "inproc://"), !name.isEmpty {
      guard hasContext else {
        throw Failure(
          .argument,
          "endpoint '\(text)': inproc needs the ZeroMQ context that the plant uses, found none in options.context")
      }
      (transport, path) = (.inproc, nil)
      return
    }
    if let rest = Endpoint.rest(of: bytes, after: "ipc://"), !rest.isEmpty {
      (transport, path) = (.ipc, rest.first == UInt8(ascii: "@") ? nil : String(decoding: rest, as: UTF8.self))
      return
    }
    if let (transport, rest) = Endpoint.local(bytes) {
      guard !hasContext else {
        throw Failure(
          .argument,
          "endpoint '\(text)': unix and shm do without ZeroMQ, found a context in options.context, expected NULL")
      }
      guard rest.count > (rest.first == UInt8(ascii: "@") ? 1 : 0), rest.count <= Int(EFF_LOCAL_PATH_LIMIT) else {
        throw Failure(
          .argument, "endpoint '\(text)': a path of \(rest.count) bytes, expected 1 to \(EFF_LOCAL_PATH_LIMIT)")
      }
      self.transport = transport
      name = String(decoding: rest, as: UTF8.self)
      path = rest.first == UInt8(ascii: "@") ? nil : name
      return
    }
    guard let address = Endpoint.rest(of: bytes, after: "tcp://"), !address.isEmpty else {
      throw Failure(.argument, "endpoint '\(text)': expected tcp://, ipc://, unix:, shm: or inproc:// and an address")
    }
    (transport, path) = (.tcp, nil)
    try Endpoint.checkPort(address, text)
    if Endpoint.isLoopback(address) { return }
    if allowRemote && hasKeys { return }
    if allowRemote {
      throw Failure(
        .argument,
        """
        endpoint '\(text)': other machines get in with keys alone, found none; expected a key and an allow-list \
        (efferent keys), or 127.0.0.1 or [::1]
        """
      )
    }
    throw Failure(
      .argument,
      """
      endpoint '\(text)': not a loopback address, expected 127.0.0.1 or [::1] in \
      numbers\(hasKeys ? ", or allow_remote" : "")
      """)
  }

  /// Transport and path of `unix:PATH` or `shm:PATH`; two slashes may stand in front of the path, as in other
  /// addresses.
  private static func local(_ bytes: [UInt8]) -> (Transport, ArraySlice<UInt8>)? {
    var found: (transport: Transport, path: ArraySlice<UInt8>)? = nil
    if let rest = rest(of: bytes, after: "unix:") { found = (.unix, rest) }
    if let rest = rest(of: bytes, after: "shm:") { found = (.shm, rest) }
    guard let found else { return nil }
    let slash = UInt8(ascii: "/")
    let path = found.path
    let hasSlashes = path.count >= 2 && path[path.startIndex] == slash && path[path.startIndex + 1] == slash
    return (found.transport, hasSlashes ? path.dropFirst(2) : path)
  }

  /// Takes a socket's path for this process: a lock beside the socket says whose it is, and only a socket that nobody
  /// serves is replaced. Returns the lock, or -1 where there is no path.
  func take() throws(Failure) -> Int32 {
    guard let path else { return -1 }
    let lock = (path + ".lock").withCString { eff_lock_path($0) }
    if lock == -EAGAIN { throw Failure(.io, "endpoint '\(text)': somebody listens there already") }
    guard lock >= 0 else {
      throw Failure(.io, "endpoint '\(text)': '\(path).lock' cannot be made: \(String(cString: eff_error_text(-lock)))")
    }
    let found = path.withCString { eff_socket_at($0) }
    var problem: String? = nil
    if found == 2 { problem = "'\(path)' is there and is no socket: it is not replaced" }
    // a server that takes no lock
    if found == 1, path.withCString({ eff_unix_listens($0) }) != 0 { problem = "somebody listens there already" }
    if let problem {
      give(lock)
      throw Failure(.io, "endpoint '\(text)': \(problem)")
    }
    return lock
  }

  func give(_ lock: Int32) { if let path { Endpoint.give(lock, path) } }

  /// Gives a path back.
  static func give(_ lock: Int32, _ path: String) {
    guard lock >= 0 else { return }
    _ = (path + ".lock").withCString { eff_remove($0) }
    eff_close(lock)
  }

  /// A port is 1 to 65535, or one that is free.
  private static func checkPort(_ address: ArraySlice<UInt8>, _ text: String) throws(Failure) {
    guard let colon = address.lastIndex(of: UInt8(ascii: ":")) else {
      throw Failure(.argument, "endpoint '\(text)': has no port, expected 1 to 65535, or * for any that is free")
    }
    let digits = address[(colon + 1)...]
    if digits.elementsEqual("*".utf8) || digits.elementsEqual("0".utf8) { return }
    var port = 0
    for digit in digits {
      guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9"), port <= 65_535 else {
        port = -1
        break
      }
      port = port * 10 + Int(digit - UInt8(ascii: "0"))
    }
    guard !digits.isEmpty, port >= 1, port <= 65_535 else {
      throw Failure(
        .argument,
        """
        endpoint '\(text)': port '\(String(decoding: digits, as: UTF8.self))', expected 1 to 65535, or * for any that \
        is free
        """
      )
    }
  }

  /// Whether `host:port` is numeric and on the loopback interface: 127.0.0.0/8 or [::1].
  private static func isLoopback(_ address: ArraySlice<UInt8>) -> Bool {
    guard let colon = address.lastIndex(of: UInt8(ascii: ":")), colon + 1 < address.endIndex else { return false }
    let host = address[..<colon]
    if host.elementsEqual("[::1]".utf8) { return true }
    var parts = 0
    for part in host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard !part.isEmpty, part.count <= 3 else { return false }
      var value = 0
      for digit in part {
        guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return false }
        value = value * 10 + Int(digit - UInt8(ascii: "0"))
      }
      guard value <= 255, parts > 0 || value == 127 else { return false }
      parts += 1
    }
    return parts == 4
  }

  /// What connections to the address that was bound look like.
  func connections(at bound: String) -> Gate.Address {
    var address = Gate.Address()
    let bytes = Array(text.utf8)
    if transport == .ipc, let rest = Endpoint.rest(of: bytes, after: "ipc://") {
      address.path = String(decoding: rest, as: UTF8.self)
    } else {
      for byte in bound.utf8 {
        let digit = Int32(byte) - 48
        address.port = (0...9).contains(digit) && address.port <= 65_535 ? address.port * 10 + digit : 0
      }
    }
    return address
  }

  private static func rest(of bytes: [UInt8], after prefix: StaticString) -> ArraySlice<UInt8>? {
    let count = prefix.utf8CodeUnitCount
    guard bytes.count >= count, !bytes.contains(0) else { return nil }
    for i in 0..<count where bytes[i] != prefix.utf8Start[i] { return nil }
    return bytes[count...]
  }
}
#endif
