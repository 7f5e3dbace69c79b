#if Bridge
import Base
import CZeroMQ
import Platform

/// Checks the address of an endpoint before anything is bound: its transport, and that only this machine can reach it.
func checkEndpoint(_ options: Bridge.Options) throws(Failure) {
  let endpoint = options.endpoint
  let bytes = Array(endpoint.utf8)
  if let name = rest(of: bytes, after: "inproc://"), !name.isEmpty {
    if options.context != nil { return }
    throw Failure(.argument, "endpoint '\(endpoint)': inproc needs the ZeroMQ context that the plant uses, found none in options.context")
  }
  if let path = rest(of: bytes, after: "ipc://"), !path.isEmpty {
    // zmq would take the path of a live endpoint away from its owner
    if path.first != UInt8(ascii: "@"), path.withCString({ eff_unix_listens($0) }) != 0 {
      throw Failure(.io, "endpoint '\(endpoint)': somebody listens there already")
    }
    return
  }
  guard let address = rest(of: bytes, after: "tcp://"), !address.isEmpty else {
    throw Failure(.argument, "endpoint '\(endpoint)': expected tcp://, ipc:// or inproc:// and an address")
  }
  if isLoopback(address) { return }
  if options.allowRemote {
    throw Failure(.unsupported, "endpoint '\(endpoint)': remote plants need encryption and an allow-list, which this version lacks; expected 127.0.0.1 or [::1]")
  }
  throw Failure(.argument, "endpoint '\(endpoint)': not a loopback address, expected 127.0.0.1 or [::1] in numbers")
}

/// Whether `host:port` is numeric and on the loopback interface: 127.0.0.0/8 or [::1].
private func isLoopback(_ address: ArraySlice<UInt8>) -> Bool {
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

private func rest(of bytes: [UInt8], after prefix: StaticString) -> ArraySlice<UInt8>? {
  let count = prefix.utf8CodeUnitCount
  guard bytes.count >= count, !bytes.contains(0) else { return nil }
  for i in 0..<count where bytes[i] != prefix.utf8Start[i] { return nil }
  return bytes[count...]
}

extension ArraySlice<UInt8> {
  fileprivate func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
    var text: [CChar] = []
    for byte in self { text.append(CChar(bitPattern: byte)) }
    text.append(0)
    return text.withUnsafeBufferPointer { body($0.baseAddress!) }
  }
}

/// Binds a ROUTER that queues little, never lingers and reports plants that are gone. Returns it and the address that was bound.
func openSocket(
  _ context: UnsafeMutableRawPointer?, _ options: Bridge.Options, frameLimit: Int
) throws(Failure) -> (UnsafeMutableRawPointer, String) {
  guard let context, let socket = zmq_socket(context, ZMQ_ROUTER) else { throw zeroMQFailure("no ZeroMQ socket") }
  var size = Int64(frameLimit)
  zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size, MemoryLayout<Int64>.size)
  set(socket, ZMQ_LINGER, 0)
  set(socket, ZMQ_SNDHWM, options.highWater)
  set(socket, ZMQ_RCVHWM, options.highWater)
  set(socket, ZMQ_ROUTER_MANDATORY, 1)
  set(socket, ZMQ_ROUTER_HANDOVER, 1)
  set(socket, ZMQ_IPV6, options.endpoint.utf8.contains(UInt8(ascii: "[")) ? 1 : 0)
  guard options.endpoint.withCString({ zmq_bind(socket, $0) }) == 0 else {
    let failure = zeroMQFailure("endpoint '\(options.endpoint)'")
    zmq_close(socket)
    throw failure
  }
  var text: [CChar] = Array(repeating: 0, count: 1024)
  var count = text.count
  guard zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, &text, &count) == 0 else {
    let failure = zeroMQFailure("address of '\(options.endpoint)'")
    zmq_close(socket)
    throw failure
  }
  return (socket, text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
}

/// Sets an integer option; the ones used here cannot fail on an open socket.
func set(_ socket: UnsafeMutableRawPointer, _ option: Int32, _ value: Int32) {
  var value = value
  zmq_setsockopt(socket, option, &value, MemoryLayout<Int32>.size)
}

/// What ZeroMQ said last on this thread.
func zeroMQFailure(_ what: String) -> Failure {
  let text = zmq_strerror(zmq_errno()).map { String(cString: $0) } ?? "unknown error"
  return Failure(.io, "\(what): \(text)")
}
#endif
