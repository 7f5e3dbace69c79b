import Base
import CEfferent
import Handles
import Platform
import Runtime

/// The controller behind a handle, or nil where it is NULL, dead or foreign.
@_noLocks @inline(__always)
func controller(_ p: OpaquePointer?) -> ControllerHandle? {
  guard let found = eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_CONTROLLER)) else { return nil }
  return ControllerHandle(core: found.assumingMemoryBound(to: ControllerCore.self))
}

func liveController(_ p: OpaquePointer?) throws(Failure) -> Controller {
  guard let owner = controller(p)?.core.pointee.owner else { throw refusal(p, "controller", "eff_controller") }
  return owner.takeUnretainedValue()
}

@c @implementation
public func eff_controller_options_default(_ options: UnsafeMutablePointer<eff_controller_options>?, _ struct_size: Int)
{
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_controller_options()
  defaults.struct_size = struct_size
  defaults.blend_seconds = 0.2
  write(defaults, options, struct_size)
}

private func read(_ given: UnsafePointer<eff_controller_options>?) throws(Failure) -> ControllerOptions {
  guard given != nil else { throw Failure(.argument, "options is NULL") }
  let o = try readOptions(given, eff_controller_options(), "eff_controller_options")
  var out = ControllerOptions()
  for (i, j) in try list(o.joints, o.joint_count, "joints", "joint_count").enumerated() {
    guard let j else { throw Failure(.argument, "joints[\(i)] is NULL") }
    out.joints.append(text(j))
  }
  for (i, m) in try list(o.models, o.model_count, "models", "model_count").enumerated() {
    guard let name = m.name else { throw Failure(.argument, "models[\(i)] has no name") }
    out.models.append((text(name), try CABI.policy(m.policy, "models.policy")))
  }
  if o.control_period != 0 { out.controlPeriod = o.control_period }
  out.staleLimit = try number(o.stale_limit, "stale_limit")
  out.rollLimit = try number(o.roll_limit, "roll_limit")
  out.pitchLimit = try number(o.pitch_limit, "pitch_limit")
  out.slewLimit = try number(o.slew_limit, "slew_limit")
  out.deadline = try number(o.deadline, "deadline")
  guard o.blend_seconds.isFinite else { throw Failure(.argument, "blend_seconds is not finite") }
  out.blendSeconds = o.blend_seconds
  out.rampSeconds = try number(o.ramp_seconds, "ramp_seconds")
  guard o.guard & ~15 == 0 else { throw Failure(.argument, "guard is \(o.guard), expected EFF_GUARD_... flags") }
  out.clamps = o.guard
  for s in try list(o.fallback, o.fallback_count, "fallback", "fallback_count") {
    guard s.kp.isFinite, s.kd.isFinite else { throw Failure(.argument, "fallback: a gain is not finite") }
    out.fallback.append(
      FallbackStep(mode: s.mode, seconds: try number(s.seconds, "fallback.seconds"), kp: s.kp, kd: s.kd))
  }
  for t in try list(o.motion, o.motion_count, "motion", "motion_count") {
    guard let part = t.part, let values = t.values else { throw Failure(.argument, "motion: part or values is NULL") }
    try count(t.frames, atMost: 1 << 32, "motion.frames")
    try count(t.width, atMost: 1 << 20, "motion.width")
    out.motion.append((text(part), values, t.frames, t.width))
  }
  for (i, p) in try list(o.recordings, o.recording_count, "recordings", "recording_count").enumerated() {
    guard let p else { throw Failure(.argument, "recordings[\(i)] is NULL") }
    out.recordings.append(text(p))
  }
  guard let onMismatch = OnMismatch(rawValue: o.on_mismatch) else {
    throw Failure(.argument, "on_mismatch is \(o.on_mismatch), expected EFF_PREFLIGHT_REFUSE, WARN or SKIP")
  }
  out.onMismatch = onMismatch
  if let l = o.learner { out.learner = try liveLearner(l) }
  out.learnerModel = o.learner_model.map { text($0) }
  out.seed = o.seed
  if let arena = o.arena { out.arena = (arena, try count(o.arena_size, atMost: .max, "arena_size")) }
  out.memory = try memory(o.allocator)
  out.memory.isLocked = o.locked != 0
  return out
}

private func number(_ x: Double, _ name: StaticString) throws(Failure) -> Double {
  guard x.isFinite, x >= 0 else { throw Failure(.argument, "\(name) must be finite and not below 0") }
  return x
}

@c @implementation
public func eff_controller_arena_size(
  _ card: OpaquePointer?, _ options: UnsafePointer<eff_controller_options>?, _ out: UnsafeMutablePointer<Int>?
) -> eff_status {
  report { () throws(Failure) in
    guard let out else { throw Failure(.argument, "out is NULL") }
    out.pointee = try Controller.arenaSize(try CABI.card(card), try read(options))
  }
}

@c @implementation
public func eff_controller_create(
  _ card: OpaquePointer?, _ options: UnsafePointer<eff_controller_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let made = try Controller(try CABI.card(card), try read(options))
    made.core.pointee.learnerHandle = UInt(
      bitPattern: try readOptions(options, eff_controller_options(), "eff_controller_options").learner)
    // sessions are known by handles too, so that the caller can swap and prewarm them
    for s in made.sessions {
      let kept = Unmanaged.passRetained(s)
      made.sessionHandles.append(
        try handle(s.core, EFF_HANDLE_SESSION) {
          kept.release()
          releaseSessions(made)
        })
    }
    let owned = Unmanaged.passRetained(made)
    out.pointee = try handle(made.core, EFF_HANDLE_CONTROLLER) {
      releaseSessions(made)
      owned.release()
    }
  }
}

private func releaseSessions(_ c: Controller) {
  for h in c.sessionHandles {
    if let object = released(h, EFF_HANDLE_SESSION) {
      object.assumingMemoryBound(to: SessionCore.self).pointee.owner.release()
    }
  }
}

@c @implementation
public func eff_controller_signal(
  _ controller: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<eff_signal_spec>?
) -> eff_status {
  report { () throws(Failure) in
    let c = try liveController(controller)
    let (out, size) = try sized(out, "eff_signal_spec")
    guard index >= 0, index < c.signals.count else {
      throw Failure(.argument, "signal \(unsigned(index)) does not exist; the card needs \(c.signals.count)")
    }
    let s = c.signals[index]
    var spec = eff_signal_spec()
    spec.struct_size = size
    (spec.name, spec.unit, spec.count) = (s.nameText, s.unitCText, s.width)
    (spec.is_joint, spec.is_bound, spec.is_optional) = (
      s.isJoint ? 1 : 0, c.isBound(index) ? 1 : 0, s.isOptional ? 1 : 0
    )
    write(spec, out, size)
  }
}

@c @implementation
public func eff_controller_find_signal(_ controller: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> Int64 {
  guard let owner = CABI.controller(controller)?.core.pointee.owner, let name else { return -1 }
  return Int64(owner.takeUnretainedValue().find(text(name)))
}

@c @implementation
public func eff_controller_commands(_ controller: OpaquePointer?, _ what: Int32) -> Int32 {
  guard let owner = CABI.controller(controller)?.core.pointee.owner else { return 0 }
  return owner.takeUnretainedValue().commands(Int(what)) ? 1 : 0
}

@c @implementation
public func eff_controller_bind(_ controller: OpaquePointer?, _ binding: UnsafePointer<eff_signal_binding>?)
  -> eff_status
{
  report { () throws(Failure) in
    let c = try liveController(controller)
    guard binding != nil else { throw Failure(.argument, "binding is NULL") }
    let b = try readOptions(binding, eff_signal_binding(), "eff_signal_binding")
    guard let name = b.name, let data = b.data else { throw Failure(.argument, "binding: name or data is NULL") }
    guard b.stale_limit.isFinite else { throw Failure(.argument, "binding: stale_limit is not finite") }
    var s = SignalBinding(
      name: text(name), data: data, count: try count(b.count, atMost: 1 << 24, "binding.count"), type: b.dtype)
    s.stride = b.stride
    s.offsets = b.offsets
    s.unit = b.unit.map { text($0) }
    s.layout = b.layout.map { text($0) }
    s.staleLimit = b.stale_limit
    try c.bind(s)
  }
}

@c @implementation
public func eff_controller_bind_target(_ controller: OpaquePointer?, _ binding: UnsafePointer<eff_target_binding>?)
  -> eff_status
{
  report { () throws(Failure) in
    let c = try liveController(controller)
    guard binding != nil else { throw Failure(.argument, "binding is NULL") }
    let b = try readOptions(binding, eff_target_binding(), "eff_target_binding")
    guard let data = b.data else { throw Failure(.argument, "binding: data is NULL") }
    let n = try count(b.count, atMost: 1 << 24, "binding.count")
    try c.bindTarget(Int(b.what), data: data, stride: b.stride, offsets: b.offsets, type: b.dtype, count: n)
  }
}

@c @implementation
public func eff_controller_start(_ controller: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in try liveController(controller).start() }
}

/// The C form of a report; only what the caller knows is written.
@_noLocks
private func store(_ c: ControllerHandle, _ out: UnsafeMutablePointer<eff_controller_report>) {
  let r = c.core.pointee.report
  var full = eff_controller_report()
  full.struct_size = out.pointee.struct_size
  (full.status, full.mode, full.fault, full.signal, full.joint) = (r.status, r.mode, r.fault, r.signal, r.joint)
  (full.model, full.action, full.ran, full.value, full.limit) = (r.model, r.action, r.ran, r.value, r.limit)
  (full.ticks, full.runs, full.late, full.refused, full.clamped) = (r.ticks, r.runs, r.late, r.refused, r.clamped)
  (full.age_ns, full.period_ns) = (r.age, r.period)
  let size = full.struct_size
  if size < 8 || size > 1 << 16 { return }
  eff_copy(
    out, &full, size < MemoryLayout<eff_controller_report>.size ? size : MemoryLayout<eff_controller_report>.size)
}

/// A tick of a controller whose learner may have been destroyed.
@_noLocks
func tick(_ c: ControllerHandle, _ now: Int64) -> Status {
  let handle = c.core.pointee.learnerHandle
  if handle != 0 && eff_handle_find(handle, Int32(EFF_HANDLE_LEARNER)) == nil { c.loseLearner() }
  return c.tick(now)
}

@c @implementation @_noLocks
public func eff_controller_tick(
  _ controller: OpaquePointer?, _ now_ns: Int64, _ report_or_null: UnsafeMutablePointer<eff_controller_report>?
)
  -> eff_status
{
  guard let c = CABI.controller(controller) else { return Status.argument.code }
  let status = tick(c, now_ns)
  if let report_or_null { store(c, report_or_null) }
  return status.code
}

@c @implementation @_noLocks
public func eff_controller_reset(_ controller: OpaquePointer?) -> eff_status {
  guard let c = CABI.controller(controller) else { return Status.argument.code }
  c.reset()
  return Status.ok.code
}

@c @implementation @_noLocks
public func eff_controller_mode(_ controller: OpaquePointer?, _ mode: Int32) -> eff_status {
  guard let c = CABI.controller(controller) else { return Status.argument.code }
  return c.setMode(mode).code
}

@c @implementation @_noLocks
public func eff_controller_stamp(_ controller: OpaquePointer?, _ signal: Int64, _ ns: Int64) -> eff_status {
  guard let c = CABI.controller(controller) else { return Status.argument.code }
  return c.stamp(signal, ns).code
}

@c @implementation @_noLocks
public func eff_controller_reward(_ controller: OpaquePointer?, _ transition: UnsafePointer<eff_transition>?)
  -> eff_status
{
  guard let c = CABI.controller(controller), let transition else { return Status.argument.code }
  let t = transition.pointee
  guard t.struct_size >= MemoryLayout<eff_transition>.size, t.observation == nil, t.next_action == nil else {
    return Status.argument.code
  }
  return c.reward(
    t.reward, isTerminated: t.terminated != 0, isTruncated: t.truncated != 0, action: t.action, duration: t.dt
  ).code
}

@c @implementation @_noLocks
public func eff_controller_learned(_ controller: OpaquePointer?, _ out: UnsafeMutablePointer<eff_update>?) -> eff_status
{
  guard let c = CABI.controller(controller), let out, out.pointee.struct_size >= MemoryLayout<Int>.size else {
    return Status.argument.code
  }
  guard let slot = c.learner, slot.pointee.updates > 0,
    let l = learner(OpaquePointer(bitPattern: c.core.pointee.learnerHandle))
  else { return Status.state.code }
  publish(slot.pointee.report, l, out)
  return slot.pointee.status.code
}

@c @implementation @_noLocks
public func eff_controller_last(_ controller: OpaquePointer?, _ out: UnsafeMutablePointer<eff_controller_report>?)
  -> eff_status
{
  guard let c = CABI.controller(controller), let out else { return Status.argument.code }
  store(c, out)
  return Status.ok.code
}

@c @implementation @_noLocks
public func eff_controller_clamps(_ controller: OpaquePointer?, _ joint: Int) -> Int64 {
  guard let c = CABI.controller(controller) else { return -1 }
  return c.clamps(joint)
}

@c @implementation
public func eff_controller_explain(
  _ controller: OpaquePointer?, _ report: UnsafePointer<eff_controller_report>?, _ text: UnsafeMutablePointer<CChar>?,
  _ size: Int
) -> eff_status {
  CABI.report { () throws(Failure) in
    let c = try liveController(controller)
    guard report != nil, let text, size > 0 else { throw Failure(.argument, "report or text is NULL, or size is 0") }
    let given = try readOptions(report, eff_controller_report(), "eff_controller_report")
    var r = ControllerReport()
    (r.fault, r.signal, r.joint, r.model, r.action) = (
      given.fault, given.signal, given.joint, given.model, given.action
    )
    (r.value, r.limit) = (given.value, given.limit)
    var at = 0
    for byte in c.explain(r).utf8 where at + 1 < size {
      text[at] = CChar(bitPattern: byte)
      at += 1
    }
    text[at] = 0
  }
}

@c @implementation @_noLocks
public func eff_controller_vector(
  _ controller: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ count: UnsafeMutablePointer<Int>?
)
  -> UnsafePointer<Float>?
{
  guard let c = CABI.controller(controller), let name, let count else { return nil }
  return c.vector(name, count)
}

@c @implementation @_noLocks
public func eff_controller_input(_ controller: OpaquePointer?, _ model: Int, _ input: Int) -> UnsafeRawPointer? {
  guard let c = CABI.controller(controller) else { return nil }
  return c.input(model, input)
}

@c @implementation @_noLocks
public func eff_controller_output(_ controller: OpaquePointer?, _ model: Int, _ output: Int) -> UnsafeRawPointer? {
  guard let c = CABI.controller(controller) else { return nil }
  return c.output(model, output)
}

@c @implementation
public func eff_controller_session(_ controller: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> OpaquePointer? {
  guard let owner = CABI.controller(controller)?.core.pointee.owner, let name else { return nil }
  let c = owner.takeUnretainedValue()
  let i = c.modelIndex(text(name))
  return i < 0 || i >= c.sessionHandles.count ? nil : c.sessionHandles[i]
}

@c @implementation
public func eff_controller_destroy(_ controller: OpaquePointer?) {
  guard let core = released(controller, EFF_HANDLE_CONTROLLER)?.assumingMemoryBound(to: ControllerCore.self) else {
    return
  }
  guard let owner = core.pointee.owner else { return }
  releaseSessions(owner.takeUnretainedValue())
  owner.release()
}
