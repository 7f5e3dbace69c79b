import Base
import CEfferent
import Onnx
import Runtime

/// The publisher behind a C pointer, or nil where it is NULL, dead or foreign.
@_noLocks @inline(__always)
private func publisher(_ p: OpaquePointer?) -> PublisherHandle? {
  guard let p else { return nil }
  let h = unsafeBitCast(p, to: PublisherHandle.self)
  return h.isAlive ? h : nil
}

@c @implementation
public func eff_publisher_create(_ learner: OpaquePointer?, _ session: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    guard let l = CABI.learner(learner) else { throw Failure(.argument, "learner is NULL or not a live eff_learner") }
    guard let s = CABI.session(session) else { throw Failure(.argument, "session is NULL or not a live eff_session") }
    let made = try Publisher(l, to: s.pointee.owner.takeUnretainedValue())
    out.pointee = OpaquePointer(Unmanaged.passRetained(made).takeUnretainedValue().core)
  }
}

@c @implementation @_noLocks
public func eff_publisher_publish(_ publisher: OpaquePointer?) -> eff_status {
  guard let p = CABI.publisher(publisher) else { return -1 }
  return p.publish().code
}

@c @implementation
public func eff_publisher_destroy(_ publisher: OpaquePointer?) {
  guard let p = CABI.publisher(publisher) else { return }
  p.pointee.owner.release()
}
