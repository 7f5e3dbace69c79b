import Base
import CEfferent
import Onnx
import Platform
import Runtime

/// What an eff_policy points to. Counted by hand, since C holds the references.
struct PolicyHandle {
  static let magic: UInt64 = 0x6566_665f_706f_6c69  // "eff_poli"
  var magic: UInt64
  var references: Int64
  var policy: Unmanaged<Policy>
}

typealias PolicyPointer = UnsafeMutablePointer<PolicyHandle>

/// The handle behind a C pointer, or nil where it is NULL, dead or foreign.
func handle(_ p: OpaquePointer?) -> PolicyPointer? {
  guard let p else { return nil }
  let h = PolicyPointer(p)
  return h.pointee.magic == PolicyHandle.magic ? h : nil
}

func policy(_ p: OpaquePointer?) throws(Failure) -> Policy {
  guard let h = handle(p) else { throw Failure(.argument, "policy is NULL or not a live eff_policy") }
  return h.pointee.policy.takeUnretainedValue()
}

/// The session behind a C pointer, or nil where it is NULL, dead or foreign.
@_noLocks @inline(__always)
func session(_ p: OpaquePointer?) -> SessionHandle? {
  guard let p else { return nil }
  let s = unsafeBitCast(p, to: SessionHandle.self)
  return sessionIsLive(s) ? s : nil
}

/// Reads an options struct of which the caller knows the first `size` bytes.
func readOptions<T>(_ given: UnsafePointer<T>?, _ defaults: T, _ name: String) throws(Failure) -> T {
  guard let given else { return defaults }
  let size = UnsafeRawPointer(given).load(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else {
    throw Failure(.argument, "\(name).struct_size is \(size); fill the struct with \(name)_default()")
  }
  var out = defaults
  withUnsafeMutableBytes(of: &out) { eff_copy($0.baseAddress!, given, min(size, $0.count)) }
  return out
}

/// A struct that the caller wants filled, and how much of it the caller knows.
func sized<T>(_ out: UnsafeMutablePointer<T>?, _ type: StaticString) throws(Failure) -> (UnsafeMutablePointer<T>, Int) {
  guard let out else { throw Failure(.argument, "out is NULL") }
  let size = UnsafeRawPointer(out).load(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else { throw Failure(.argument, "out.struct_size is \(size); set it to sizeof(\(type))") }
  return (out, size)
}

/// Writes a struct of which the caller knows the first `size` bytes.
func write<T>(_ value: T, _ out: UnsafeMutableRawPointer, _ size: Int) {
  withUnsafeBytes(of: value) { eff_copy(out, $0.baseAddress!, min(size, $0.count)) }
}

func memory(_ allocator: UnsafePointer<eff_allocator>?) throws(Failure) -> MemorySource {
  guard let a = allocator?.pointee else { return .system }
  guard let allocate = a.alloc, let release = a.free else { throw Failure(.argument, "allocator has no alloc or no free function") }
  return MemorySource(allocate: allocate, release: release, user: a.user)
}
