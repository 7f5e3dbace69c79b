import Base
import CEfferent
import Handles
import Onnx
import Runtime

/// What the handle of a publisher names. Learner and session are looked up at each publication: the publisher may
/// outlive both.
private struct PublisherPorts {
  let handle: PublisherHandle
  let learner: OpaquePointer?
  let session: OpaquePointer?
}

@c @implementation
public func eff_publisher_create(
  _ learner: OpaquePointer?, _ session: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let publisher = Unmanaged.passRetained(try Publisher(try liveLearner(learner), to: try liveSession(session)))
    let ports = UnsafeMutablePointer<PublisherPorts>.allocate(capacity: 1)
    let handle = publisher.takeUnretainedValue().handle
    ports.initialize(to: PublisherPorts(handle: handle, learner: learner, session: session))
    out.pointee = try CABI.handle(ports, EFF_HANDLE_PUBLISHER, orFree: { free(ports) })
  }
}

@c @implementation @_noLocks
public func eff_publisher_publish(_ publisher: OpaquePointer?) -> eff_status {
  guard let object = eff_handle_find(UInt(bitPattern: publisher), Int32(EFF_HANDLE_PUBLISHER)) else {
    return Status.argument.code
  }
  let ports = object.assumingMemoryBound(to: PublisherPorts.self)
  if CABI.learner(ports.pointee.learner) == nil || CABI.session(ports.pointee.session) == nil {
    return Status.state.code
  }
  return ports.pointee.handle.publish().code
}

@c @implementation
public func eff_publisher_destroy(_ publisher: OpaquePointer?) {
  guard let ports = released(publisher, EFF_HANDLE_PUBLISHER)?.assumingMemoryBound(to: PublisherPorts.self) else {
    return
  }
  free(ports)
}

private func free(_ ports: UnsafeMutablePointer<PublisherPorts>) {
  ports.pointee.handle.core.pointee.owner.release()
  ports.deallocate()
}
