#if Bridge
import Base
import Bridge
import CEfferent
import Graph
import Handles
import Onnx
import Platform
import Runtime

/// What the handle of a bridge names.
private struct BridgePorts {
  let bridge: Unmanaged<Bridge>
  let served: Claim
  let endpoint: CText
}

/// What a handle names, or nil where it is NULL, dead or foreign.
private func ports(_ p: OpaquePointer?) -> UnsafeMutablePointer<BridgePorts>? {
  eff_handle_find(UInt(bitPattern: p), Int32(EFF_HANDLE_BRIDGE))?.assumingMemoryBound(to: BridgePorts.self)
}

private func bridge(_ p: OpaquePointer?) throws(Failure) -> Bridge {
  guard let h = ports(p) else { throw refusal(p, "bridge", "eff_bridge") }
  return h.pointee.bridge.takeUnretainedValue()
}

@c @implementation
public func eff_bridge_options_default(_ options: UnsafeMutablePointer<eff_bridge_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_bridge_options()
  defaults.struct_size = struct_size
  defaults.idle_timeout_ms = 2000
  defaults.high_water = 16
  defaults.max_peers = 32
  write(defaults, options, struct_size)
}

/// The caller's names of the `count` elements of the only tensor of a role.
private func names(
  _ given: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int, of tensors: [Target.Tensor], role: Target.Role,
  _ what: String
) throws(Failure) -> [String] {
  let list = try list(given, count, "\(what)_names", "\(what)_count")
  if list.isEmpty { return [] }
  var sizes: [Int] = []
  for tensor in tensors where tensor.role.rawValue == role.rawValue { sizes.append(tensor.shape.reduce(1, &*)) }
  guard sizes.count == 1, sizes[0] == count else {
    let expected = sizes.count == 1 ? "\(sizes[0])" : "0: the policy has \(sizes.count) such tensors"
    throw Failure(.argument, "\(what)_count is \(count), expected \(expected)")
  }
  var names: [String] = []
  for (i, name) in list.enumerated() {
    guard let name else { throw Failure(.argument, "\(what)_names[\(i)] is NULL") }
    names.append(text(name))
  }
  return names
}

private func scheduling(_ o: eff_bridge_options) throws(Failure) -> Scheduling {
  var out = Scheduling()
  guard let policy = Scheduling.Policy(rawValue: o.thread_policy) else {
    throw Failure(.argument, "thread_policy is \(o.thread_policy), expected 0, 1 or 2")
  }
  out.policy = policy
  let (lowest, highest): (Int32, Int32) = o.thread_policy == 0 ? (0, 0) : (1, 99)
  guard o.thread_priority >= lowest, o.thread_priority <= highest else {
    throw Failure(
      .argument,
      "thread_priority is \(o.thread_priority) with thread_policy \(o.thread_policy), expected \(lowest) to \(highest)")
  }
  out.priority = o.thread_priority
  for (i, cpu) in try list(o.thread_cpus, o.thread_cpu_count, "thread_cpus", "thread_cpu_count").enumerated() {
    guard cpu >= 0, cpu < EFF_CPU_LIMIT else {
      throw Failure(.argument, "thread_cpus[\(i)] is \(cpu), expected 0 to \(EFF_CPU_LIMIT - 1)")
    }
    out.cpus.append(cpu)
  }
  if let name = o.thread_name { out.name = text(name) }
  guard out.name.utf8.count <= Scheduling.nameLimit else {
    throw Failure(
      .argument, "thread_name '\(out.name)' has \(out.name.utf8.count) bytes, expected at most \(Scheduling.nameLimit)")
  }
  return out
}

/// The keys of options; nil where they have none.
private func keys(_ o: eff_bridge_options) throws(Failure) -> KeyOptions? {
  let allowed = try list(o.allowed_keys, o.allowed_key_count, "allowed_keys", "allowed_key_count")
  if o.key_file == nil && o.secret_key == nil && o.allow_file == nil && allowed.isEmpty { return nil }
  var out = KeyOptions()
  if let file = o.key_file { out.file = text(file) }
  if let key = o.secret_key { out.secret = text(key) }
  if let file = o.allow_file { out.allowFile = text(file) }
  for (i, key) in allowed.enumerated() {
    guard let key else { throw Failure(.argument, "allowed_keys[\(i)] is NULL") }
    out.allowed.append(text(key))
  }
  return out
}

private func read(_ given: UnsafePointer<eff_bridge_options>?, _ target: Target) throws(Failure) -> Bridge.Options {
  let o = try readOptions(given, eff_bridge_options(), "eff_bridge_options")
  var out = Bridge.Options()
  if let endpoint = o.endpoint { out.endpoint = text(endpoint) }
  out.allowRemote = o.allow_remote != 0
  if o.idle_timeout_ms != 0 { out.idleTimeout = Int(o.idle_timeout_ms) }
  guard o.high_water >= 0 else {
    throw Failure(.argument, "high_water is \(o.high_water), expected at least 1, or 0 for the default")
  }
  if o.high_water > 0 { out.highWater = o.high_water }
  guard o.max_peers >= 0, o.max_peers <= 1024 else {
    throw Failure(.argument, "max_peers is \(o.max_peers), expected 1 to 1024, or 0 for the default")
  }
  if o.max_peers > 0 { out.peers = Int(o.max_peers) }
  out.scheduling = try scheduling(o)
  guard o.rate >= 0, o.rate < .infinity else {
    throw Failure(.argument, "rate is negative or not finite, expected steps per second, or 0")
  }
  if let robot = target.robot {
    guard o.observation_count == 0, o.joint_count == 0, o.rate == 0 else {
      throw Failure(
        .argument, "observation_names, joint_names and rate are the controller's to tell, expected none in the options")
    }
    out.labels = Labels(joints: robot.joints, rate: robot.rate)
  } else {
    out.labels = Labels(
      observations: try names(
        o.observation_names, o.observation_count, of: target.inputs, role: .observation, "observation"),
      joints: try names(o.joint_names, o.joint_count, of: target.outputs, role: .action, "joint"), rate: o.rate)
  }
  out.context = o.context
  guard (0...2).contains(o.checksum) else { throw Failure(.argument, "checksum is \(o.checksum), expected 0, 1 or 2") }
  out.seals = o.checksum == 0 ? nil : o.checksum == 2
  guard (0...1).contains(o.non_finite) else {
    throw Failure(.argument, "non_finite is \(o.non_finite), expected 0 or 1")
  }
  out.refusesNonFinite = o.non_finite == 1
  out.keys = try keys(o)
  guard (-1...1000).contains(o.spin_us) else {
    throw Failure(.argument, "spin_us is \(o.spin_us), expected 1 to 1000, 0 for the default, or -1")
  }
  if o.spin_us != 0 { out.spin = UInt64(max(0, o.spin_us)) * 1000 }
  out.library = Int(eff_version())
  if let call = o.on_event {
    let user = o.user
    out.onEvent = { event in
      var told = cEvent(event, MemoryLayout<eff_bridge_event>.size)
      call(user, &told)
    }
  }
  return out
}

private func cEvent(_ event: Event, _ size: Int) -> eff_bridge_event {
  eff_bridge_event(
    struct_size: size, kind: event.kind.rawValue, reason: event.reason.rawValue, session: event.session,
    episode: event.episode, seq: event.seq,
    simulation_ns: event.simulation, rows: UInt64(event.rows), tick_ns: event.tick, run_ns: event.run)
}

private func tensors(_ ports: [PlanPort]) -> [Target.Tensor] {
  ports.map {
    Target.Tensor(
      name: $0.name, role: Target.Role(rawValue: $0.role.rawValue) ?? .aux, dtype: $0.type.rawValue, shape: $0.shape,
      size: $0.size)
  }
}

@c @implementation
public func eff_bridge_create(
  _ session: OpaquePointer?, _ options_or_null: UnsafePointer<eff_bridge_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let s = try liveSession(session)
    let plan = s.policy.plan
    // looked up at each call: where the session was destroyed too early, the plant is told so
    let target = Target(
      inputs: tensors(plan.inputs), outputs: tensors(plan.outputs), maxRows: s.core.pointee.maxRows,
      policyHash: CABI.session(session)?.hash() ?? 0,
      input: { i in CABI.session(session)?.input(i) },
      output: { i in UnsafeRawPointer(CABI.session(session)?.output(i)) },
      run: { step in CABI.session(session)?.callRun(step.rows).code ?? Status.argument.code },
      reset: { row in CABI.session(session)?.reset(Int64(row)).code ?? Status.argument.code })
    out.pointee = try serve(target, options_or_null, Claim(session, EFF_HANDLE_SESSION, "session"))
  }
}

@c @implementation
public func eff_bridge_create_learner(
  _ learner: OpaquePointer?, _ options_or_null: UnsafePointer<eff_bridge_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let target = LearnerPort(try liveLearner(learner), learner).target
    out.pointee = try serve(target, options_or_null, Claim(learner, EFF_HANDLE_LEARNER, "learner"))
  }
}

@c @implementation
public func eff_bridge_create_controller(
  _ controller: OpaquePointer?, _ options_or_null: UnsafePointer<eff_bridge_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    let port = ControllerPort(try liveController(controller), controller)
    let claim = Claim(controller, EFF_HANDLE_CONTROLLER, "controller")
    out.pointee = try serve(port.target, options_or_null, claim) { () throws(Failure) in try port.bind() }
  }
}

/// What a bridge has for itself: a session, learner or controller that two plants would step by turns without knowing.
private struct Claim {
  let handle: OpaquePointer?
  let kind: Int
  let name: StaticString

  init(_ handle: OpaquePointer?, _ kind: Int, _ name: StaticString) {
    self.handle = handle
    self.kind = kind
    self.name = name
  }

  func take() throws(Failure) {
    guard eff_handle_claim(UInt(bitPattern: handle), Int32(kind)) != 0 else {
      throw Failure(
        .state, "\(name): another bridge serves it, expected one that no bridge serves; destroy that bridge first")
    }
  }

  func give() { eff_handle_unclaim(UInt(bitPattern: handle), Int32(kind)) }
}

private func serve(
  _ target: Target, _ options_or_null: UnsafePointer<eff_bridge_options>?, _ served: Claim,
  prepare: () throws(Failure) -> Void = {}
) throws(Failure) -> OpaquePointer {
  let options = try read(options_or_null, target)
  try served.take()
  let bridge: Bridge
  do {
    bridge = try Bridge(target, options)
    try prepare()
  } catch {
    served.give()
    throw error
  }
  let h = UnsafeMutablePointer<BridgePorts>.allocate(capacity: 1)
  h.initialize(
    to: BridgePorts(bridge: Unmanaged.passRetained(bridge), served: served, endpoint: CText(bridge.endpoint)))
  return try handle(h, EFF_HANDLE_BRIDGE, orFree: { free(h) })
}

@c @implementation
public func eff_bridge_endpoint(_ bridge: OpaquePointer?) -> UnsafePointer<CChar>? {
  ports(bridge).map { UnsafePointer($0.pointee.endpoint.start) }
}

@c @implementation
public func eff_bridge_poll(
  _ bridge: OpaquePointer?, _ timeout_ms: Int32, _ event_or_null: UnsafeMutablePointer<eff_bridge_event>?
) -> eff_status {
  report { () throws(Failure) in
    let size = event_or_null?.pointee.struct_size ?? MemoryLayout<eff_bridge_event>.size
    guard size >= MemoryLayout<Int>.size, size <= 1 << 16 else {
      throw Failure(.argument, "event.struct_size is \(unsigned(size)); set it to sizeof(eff_bridge_event)")
    }
    let event = try CABI.bridge(bridge).poll(timeout: Int(timeout_ms))
    if let event_or_null { write(cEvent(event, size), event_or_null, size) }
  }
}

@c @implementation
public func eff_bridge_start(_ bridge: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in try CABI.bridge(bridge).start() }
}

@c @implementation
public func eff_bridge_stop(_ bridge: OpaquePointer?) -> eff_status {
  report { () throws(Failure) in try CABI.bridge(bridge).stop() }
}

@c @implementation
public func eff_bridge_read_stats(_ bridge: OpaquePointer?, _ out: UnsafeMutablePointer<eff_bridge_stats>?)
  -> eff_status
{
  report { () throws(Failure) in
    let bridge = try CABI.bridge(bridge)
    let (out, size) = try sized(out, "eff_bridge_stats")
    var stats = eff_bridge_stats()
    stats.struct_size = size
    (stats.session, stats.episode) = bridge.stats.identity
    withUnsafeMutableBytes(of: &stats) { raw in
      // the counters fill the struct after its size and ids
      let first = raw.count - 8 * Stats.count
      for i in 0..<Stats.count {
        raw.storeBytes(of: bridge.stats.load(i), toByteOffset: first + 8 * i, as: UInt64.self)
      }
    }
    write(stats, out, size)
  }
}

@c @implementation
public func eff_bridge_reason_name(_ reason: Int32) -> UnsafePointer<CChar>? {
  let name: StaticString = Reason(rawValue: reason)?.name ?? "unknown"
  return UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
}

@c @implementation
public func eff_bridge_crc32c(_ crc: UInt32, _ bytes: UnsafeRawPointer?, _ count: Int) -> UInt32 {
  guard let bytes, count > 0, count <= 1 << 30 else { return crc }
  return ~Crc32c().state(~crc, after: UnsafeRawBufferPointer(start: bytes, count: count))
}

@c @implementation
public func eff_bridge_make_keys(_ public_key: UnsafeMutablePointer<CChar>?, _ secret_key: UnsafeMutablePointer<CChar>?)
  -> eff_status
{
  report { () throws(Failure) in
    guard let public_key, let secret_key else {
      throw Failure(.argument, "\(public_key == nil ? "public_key" : "secret_key") is NULL")
    }
    let pair = try KeyPair.make()
    public_key.update(from: pair.publicKey, count: Int(EFF_BRIDGE_KEY_SIZE))
    secret_key.update(from: pair.secretKey, count: Int(EFF_BRIDGE_KEY_SIZE))
  }
}

@c @implementation
public func eff_bridge_destroy(_ bridge: OpaquePointer?) {
  guard let h = ports(bridge), h.pointee.bridge.takeUnretainedValue().close() else { return }
  if let object = released(bridge, EFF_HANDLE_BRIDGE) { free(object.assumingMemoryBound(to: BridgePorts.self)) }
}

private func free(_ h: UnsafeMutablePointer<BridgePorts>) {
  h.pointee.bridge.release()
  h.pointee.served.give()
  h.deinitialize(count: 1)
  h.deallocate()
}
#endif
