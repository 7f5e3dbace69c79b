import Base
import CEfferent
import Handles
import Onnx
import Platform
import Runtime

/// Why a handle is refused: what it is, and what was expected.
func refusal(_ p: OpaquePointer?, _ name: StaticString, _ type: StaticString) -> Failure {
  guard p != nil else { return Failure(.argument, "\(name) is NULL, expected a live \(type)") }
  let other: StaticString? =
    switch Int(eff_handle_kind(UInt(bitPattern: p))) {
    case EFF_HANDLE_POLICY: "eff_policy"
    case EFF_HANDLE_SESSION: "eff_session"
    case EFF_HANDLE_LEARNER: "eff_learner"
    case EFF_HANDLE_PUBLISHER: "eff_publisher"
    case EFF_HANDLE_BRIDGE: "eff_bridge"
    case EFF_HANDLE_CARD: "eff_card"
    case EFF_HANDLE_CONTROLLER: "eff_controller"
    default: nil
    }
  if let other { return Failure(.argument, "\(name) is an \(other), expected a live \(type)") }
  return Failure(.argument, "\(name) was destroyed, or is no handle of this library; expected a live \(type)")
}

/// A handle for an object that was just made. Throws `.memory` after `free` where there is none.
func handle(_ object: UnsafeMutableRawPointer, _ kind: Int, orFree free: () -> Void) throws(Failure) -> OpaquePointer {
  guard let handle = OpaquePointer(bitPattern: eff_handle_create(object, Int32(kind))) else {
    free()
    throw Failure(.memory, "no handle is left: too many objects are alive, or memory is used up")
  }
  return handle
}

/// Kills a handle for good; its object, to be freed, or nil where the handle was dead already or has more references.
func released(_ p: OpaquePointer?, _ kind: Int) -> UnsafeMutableRawPointer? {
  eff_handle_release(UInt(bitPattern: p), Int32(kind))
}

/// The policy behind a handle, or nil where it is NULL, dead or foreign.
func livePolicy(_ p: OpaquePointer?) -> Policy? {
  guard let object = eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_POLICY)) else { return nil }
  return Unmanaged<Policy>.fromOpaque(object).takeUnretainedValue()
}

func policy(_ p: OpaquePointer?, _ name: StaticString = "policy") throws(Failure) -> Policy {
  guard let found = livePolicy(p) else { throw refusal(p, name, "eff_policy") }
  return found
}

/// The session behind a handle, or nil where it is NULL, dead or foreign.
@_noLocks @inline(__always)
func session(_ p: OpaquePointer?) -> SessionHandle? {
  guard let found = eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_SESSION)) else { return nil }
  return SessionHandle(core: found.assumingMemoryBound(to: SessionCore.self))
}

func liveSession(_ p: OpaquePointer?) throws(Failure) -> Session {
  guard let s = session(p) else { throw refusal(p, "session", "eff_session") }
  return s.core.pointee.owner.takeUnretainedValue()
}

/// The learner behind a handle, or nil where it is NULL, dead or foreign.
@_noLocks @inline(__always)
func learner(_ p: OpaquePointer?) -> LearnerHandle? {
  guard let found = eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_LEARNER)) else { return nil }
  return LearnerHandle(core: found.assumingMemoryBound(to: LearnerCore.self))
}

func liveLearner(_ p: OpaquePointer?) throws(Failure) -> LearnerHandle {
  guard let l = learner(p) else { throw refusal(p, "learner", "eff_learner") }
  return l
}

/// A count or size of the caller, at most `limit`. What C has as 2^63 and more arrives here as a negative number.
@discardableResult
func count(_ n: Int, atMost limit: Int, _ name: String) throws(Failure) -> Int {
  guard n >= 0, n <= limit else { throw Failure(.argument, "\(name) is \(unsigned(n)), expected at most \(limit)") }
  return n
}

/// A size_t as C has it.
func unsigned(_ n: Int) -> UInt64 { UInt64(UInt(bitPattern: n)) }

/// A list of the caller: a pointer and its count, which is 0 or belongs to a pointer.
func list<T>(_ start: UnsafePointer<T>?, _ n: Int, _ name: String, _ countName: String) throws(Failure)
  -> UnsafeBufferPointer<T>
{
  try count(n, atMost: listLimit, countName)
  guard n == 0 || start != nil else { throw Failure(.argument, "\(name) is NULL, but \(countName) is \(n)") }
  return UnsafeBufferPointer(start: n == 0 ? nil : start, count: n)
}

/// Most items of a list in any options.
let listLimit = 65536

/// Reads an options struct of which the caller knows the first `size` bytes.
func readOptions<T>(_ given: UnsafePointer<T>?, _ defaults: T, _ name: String) throws(Failure) -> T {
  guard let given else { return defaults }
  let size = UnsafeRawPointer(given).loadUnaligned(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else {
    throw Failure(.argument, "\(name).struct_size is \(unsigned(size)); fill the struct with \(name)_default()")
  }
  var out = defaults
  withUnsafeMutableBytes(of: &out) { eff_copy($0.baseAddress!, given, min(size, $0.count)) }
  return out
}

/// A struct that the caller wants filled, and how much of it the caller knows.
func sized<T>(_ out: UnsafeMutablePointer<T>?, _ type: StaticString) throws(Failure) -> (UnsafeMutablePointer<T>, Int) {
  guard let out else { throw Failure(.argument, "out is NULL") }
  let size = UnsafeRawPointer(out).loadUnaligned(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else {
    throw Failure(.argument, "out.struct_size is \(unsigned(size)); set it to sizeof(\(type))")
  }
  return (out, size)
}

/// Writes a struct of which the caller knows the first `size` bytes.
func write<T>(_ value: T, _ out: UnsafeMutableRawPointer, _ size: Int) {
  withUnsafeBytes(of: value) { eff_copy(out, $0.baseAddress!, min(size, $0.count)) }
}

func memory(_ allocator: UnsafePointer<eff_allocator>?) throws(Failure) -> MemorySource {
  guard let a = allocator?.pointee else { return .system }
  guard let allocate = a.alloc, let release = a.free else {
    throw Failure(.argument, "allocator has no alloc or no free function")
  }
  return MemorySource(allocate: allocate, release: release, user: a.user)
}
