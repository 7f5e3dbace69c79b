import Base
import CEfferent
import Handles
import Onnx
import Runtime

@c @implementation
public func eff_session_options_default(_ options: UnsafeMutablePointer<eff_session_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_session_options()
  defaults.struct_size = struct_size
  defaults.max_rows = 1
  write(defaults, options, struct_size)
}

private func read(_ given: UnsafePointer<eff_session_options>?) throws(Failure) -> SessionOptions {
  let o = try readOptions(given, eff_session_options(), "eff_session_options")
  var out = SessionOptions()
  out.maxRows = max(1, try count(o.max_rows, atMost: Session.maximumRows, "max_rows"))
  if let arena = o.arena { out.arena = (arena, try count(o.arena_size, atMost: .max, "arena_size")) }
  out.memory = try memory(o.allocator)
  out.memory.isLocked = o.locked != 0
  out.seed = o.seed
  out.firstRow = o.first_row
  guard let rule = NonFinite(rawValue: o.non_finite) else {
    throw Failure(
      .argument, "eff_session_options.non_finite is \(o.non_finite), expected EFF_NON_FINITE_REFUSE, _PASS or _CLEAR")
  }
  out.nonFinite = rule
  return out
}

@c @implementation
public func eff_session_arena_size(
  _ policy: OpaquePointer?, _ options_or_null: UnsafePointer<eff_session_options>?, _ out: UnsafeMutablePointer<Int>?
) -> eff_status {
  report { () throws(Failure) in
    guard let out else { throw Failure(.argument, "out is NULL") }
    out.pointee = try Session.arenaSize(try CABI.policy(policy), rows: try read(options_or_null).maxRows)
  }
}

@c @implementation
public func eff_session_create(
  _ policy: OpaquePointer?, _ options_or_null: UnsafePointer<eff_session_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let owned = Unmanaged.passRetained(try Session(try CABI.policy(policy), try read(options_or_null)))
    out.pointee = try handle(owned.takeUnretainedValue().core, EFF_HANDLE_SESSION, orFree: { owned.release() })
  }
}

@c @implementation @_noLocks
public func eff_session_step(
  _ session: OpaquePointer?, _ rows: Int, _ observation: UnsafePointer<Float>?, _ action: UnsafeMutablePointer<Float>?
) -> eff_status {
  guard let s = CABI.session(session), let observation, let action else { return Status.argument.code }
  return s.callStep(rows, observation, -1, action, -1).code
}

@c @implementation @_noLocks
public func eff_session_step_n(
  _ session: OpaquePointer?, _ rows: Int, _ observation: UnsafePointer<Float>?, _ observation_count: Int,
  _ action: UnsafeMutablePointer<Float>?, _ action_count: Int
) -> eff_status {
  guard let s = CABI.session(session), let observation, let action else { return Status.argument.code }
  // what C has as 2^63 and more arrives as a negative number, and fits no session
  return s.callStep(
    rows, observation, observation_count < 0 ? .max : observation_count, action, action_count < 0 ? .max : action_count
  ).code
}

@c @implementation
public func eff_session_explain(_ session: OpaquePointer?) -> UnsafePointer<CChar>? {
  guard let s = CABI.session(session) else { return nil }
  return UnsafePointer(s.core.pointee.owner.takeUnretainedValue().explanation())
}

@c @implementation @_noLocks
public func eff_session_input(_ session: OpaquePointer?, _ index: Int) -> UnsafeMutableRawPointer? {
  guard let s = CABI.session(session) else { return nil }
  return s.input(index)
}

@c @implementation @_noLocks
public func eff_session_run(_ session: OpaquePointer?, _ rows: Int) -> eff_status {
  guard let s = CABI.session(session) else { return Status.argument.code }
  return s.callRun(rows).code
}

@c @implementation @_noLocks
public func eff_session_output(_ session: OpaquePointer?, _ index: Int) -> UnsafeRawPointer? {
  guard let s = CABI.session(session) else { return nil }
  return UnsafeRawPointer(s.output(index))
}

@c @implementation @_noLocks
public func eff_session_reset(_ session: OpaquePointer?, _ row: Int64) -> eff_status {
  guard let s = CABI.session(session) else { return Status.argument.code }
  return s.callReset(row).code
}

@c @implementation @_noLocks
public func eff_session_prewarm(_ session: OpaquePointer?) -> eff_status {
  guard let s = CABI.session(session) else { return Status.argument.code }
  return s.callPrewarm().code
}

@c @implementation @_noLocks
public func eff_session_prewarm_weights(_ session: OpaquePointer?) -> eff_status {
  guard let s = CABI.session(session) else { return Status.argument.code }
  s.prewarmWeights()
  return Status.ok.code
}

@c @implementation
public func eff_session_swap(_ session: OpaquePointer?, _ next: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in
    try liveSession(session).swap(to: try CABI.policy(next, "next"))
  }
}

@c @implementation
public func eff_session_swap_options_default(
  _ options: UnsafeMutablePointer<eff_session_swap_options>?, _ struct_size: Int
) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_session_swap_options()
  defaults.struct_size = struct_size
  write(defaults, options, struct_size)
}

@c @implementation
public func eff_session_swap_with(
  _ session: OpaquePointer?, _ next: OpaquePointer?, _ options_or_null: UnsafePointer<eff_session_swap_options>?
) -> eff_status {
  report { () throws(Failure) in
    let o = try readOptions(options_or_null, eff_session_swap_options(), "eff_session_swap_options")
    try liveSession(session).swap(to: try CABI.policy(next, "next"), resetsState: o.reset_state != 0)
  }
}

@c @implementation
public func eff_session_reclaim(_ session: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in
    try liveSession(session).reclaim()
  }
}

@c @implementation
public func eff_session_destroy(_ session: OpaquePointer?) {
  released(session, EFF_HANDLE_SESSION)?.assumingMemoryBound(to: SessionCore.self).pointee.owner.release()
}
