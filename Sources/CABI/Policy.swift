import Base
import CEfferent
import Graph
import Handles
import Kernels
import Onnx
import Platform
import Runtime

@c @implementation
public func eff_policy_options_default(_ options: UnsafeMutablePointer<eff_policy_options>?, _ struct_size: Int) {
  guard let options, struct_size >= MemoryLayout<Int>.size else { return }
  var defaults = eff_policy_options()
  defaults.struct_size = struct_size
  write(defaults, options, struct_size)
}

/// The Swift form of the caller's options.
private func read(_ given: UnsafePointer<eff_policy_options>?) throws(Failure) -> PolicyOptions {
  let o = try readOptions(given, eff_policy_options(), "eff_policy_options")
  var out = PolicyOptions()
  out.weights.all = try storage(o.weights, "weights")
  for (i, code) in try list(o.layer_weights, o.layer_count, "layer_weights", "layer_count").enumerated() {
    out.weights.each.append(try storage(code, "layer_weights[\(i)]"))
  }
  out.isLearnable = o.learnable != 0
  out.memory = try memory(o.allocator)
  out.memory.isLocked = o.locked != 0
  if o.memory_limit != 0 { out.build.memoryLimit = Int(min(unsigned(o.memory_limit), 1 << 40)) }
  if let folder = o.folder { out.build.files = ExternalFiles(folders: [text(folder)], limit: out.build.memoryLimit) }
  for (i, d) in try list(o.dims, o.dim_count, "dims", "dim_count").enumerated() {
    guard let name = d.name else { throw Failure(.argument, "dims[\(i)] has no name") }
    guard d.size >= 1, d.size < 1 << 31 else {
      throw Failure(.argument, "dims['\(text(name))'] is \(d.size), expected at least 1")
    }
    out.build.dims[text(name)] = Int(d.size)
  }
  for (i, c) in try list(o.constants, o.constant_count, "constants", "constant_count").enumerated() {
    guard let name = c.input else { throw Failure(.argument, "constants[\(i)] has no name") }
    out.build.constants[text(name)] = try constant(c, "constant '\(text(name))'", limit: out.build.memoryLimit)
  }
  out.build.action = o.action.map { text($0) }
  out.build.observation = o.observation.map { text($0) }
  for (i, name) in try list(o.outputs, o.output_count, "outputs", "output_count").enumerated() {
    guard let name else { throw Failure(.argument, "outputs[\(i)] is NULL") }
    if i == 0 { out.build.outputs = [] }
    out.build.outputs?.append(text(name))
  }
  if o.no_state != 0 { out.build.states = [] }
  var pairs: [(input: String, output: String)] = []
  for (i, s) in try list(o.states, o.state_count, "states", "state_count").enumerated() {
    guard let input = s.input, let output = s.output else { throw Failure(.argument, "states[\(i)] lacks a name") }
    pairs.append((text(input), text(output)))
  }
  if !pairs.isEmpty { out.build.states = pairs }
  return out
}

/// A storage of weights; nil for 0.
private func storage(_ code: Int32, _ what: String) throws(Failure) -> ElementType? {
  if code == 0 { return nil }
  guard let format = LayerWeights.formats.first(where: { $0.rawValue == code }) else {
    throw Failure(.argument, "\(what) is \(code), expected EFF_F32, EFF_F16, EFF_BF16 or EFF_I8")
  }
  return format
}

private func constant(_ c: eff_constant_binding, _ what: String, limit: Int) throws(Failure) -> TensorData {
  guard let type = ElementType(rawValue: c.dtype) else {
    throw Failure(.argument, "\(what): dtype \(c.dtype) is not known")
  }
  guard c.rank >= 0, c.rank <= 8 else { throw Failure(.argument, "\(what): rank is \(c.rank), expected 0 to 8") }
  var shape: [Int] = []
  withUnsafeBytes(of: c.shape) { raw in
    for i in 0..<Int(c.rank) { shape.append(Int(raw.load(fromByteOffset: 8 * i, as: Int64.self))) }
  }
  let size = try TensorReader.count(shape, what) * type.size
  guard size == 0 || c.data != nil else { throw Failure(.argument, "\(what): data is NULL") }
  guard size <= limit else {
    throw Failure(.memory, "\(what): \(size) bytes exceed the memory limit of \(limit) bytes")
  }
  let bytes = try Bytes.zeroed(max(size, 8))
  if size > 0, let data = c.data { eff_copy(bytes.mutable, data, size) }
  return TensorData(type: type, shape: shape, bytes: bytes)
}

/// A handle that owns a policy.
func handle(_ policy: Policy) throws(Failure) -> OpaquePointer {
  let owned = Unmanaged.passRetained(policy)
  return try handle(owned.toOpaque(), EFF_HANDLE_POLICY, orFree: { owned.release() })
}

@c @implementation
public func eff_policy_load_file(
  _ path: UnsafePointer<CChar>?, _ options_or_null: UnsafePointer<eff_policy_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    guard let path else { throw Failure(.argument, "path is NULL") }
    out.pointee = try handle(try Policy.load(path: text(path), try read(options_or_null)))
  }
}

@c @implementation
public func eff_policy_load_memory(
  _ bytes: UnsafeRawPointer?, _ size: Int, _ options_or_null: UnsafePointer<eff_policy_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> eff_status {
  report { () throws(Failure) in
    let out = try cleared(out)
    guard let bytes else { throw Failure(.argument, "bytes is NULL") }
    try count(size, atMost: .max, "size")
    out.pointee = try handle(try Policy.load(Bytes.borrowed(bytes, size), try read(options_or_null)))
  }
}

@c @implementation
public func eff_policy_input_count(_ policy: OpaquePointer?) -> Int {
  livePolicy(policy)?.plan.inputs.count ?? 0
}

@c @implementation
public func eff_policy_output_count(_ policy: OpaquePointer?) -> Int {
  livePolicy(policy)?.plan.outputs.count ?? 0
}

private func describe(
  _ plan: Plan, _ part: Int, _ index: Int, _ out: UnsafeMutablePointer<eff_tensor_spec>?, _ what: String
) throws(Failure) {
  let ports = part == EFF_PLAN_INPUTS ? plan.inputs : plan.outputs
  let (out, size) = try sized(out, "eff_tensor_spec")
  guard index >= 0, index < ports.count else {
    throw Failure(.argument, "\(what) \(unsigned(index)) does not exist; the policy has \(ports.count)")
  }
  let p = ports[index]
  var spec = eff_tensor_spec()
  spec.struct_size = size
  spec.name = plan.name(part, index)
  (spec.role, spec.dtype, spec.rank, spec.pair) = (
    p.role.rawValue, p.type.rawValue, Int32(p.shape.count), Int32(p.pair)
  )
  store(p.shape, &spec.shape)
  spec.count = p.shape.reduce(1, *)
  spec.size = p.size
  spec.reason = UnsafeRawPointer(p.reason.text.utf8Start).assumingMemoryBound(to: CChar.self)
  write(spec, out, size)
}

@c @implementation
public func eff_policy_input(_ policy: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<eff_tensor_spec>?)
  -> eff_status
{
  report { () throws(Failure) in
    let p = try CABI.policy(policy)
    try describe(p.plan, EFF_PLAN_INPUTS, index, out, "input")
  }
}

@c @implementation
public func eff_policy_output(_ policy: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<eff_tensor_spec>?)
  -> eff_status
{
  report { () throws(Failure) in
    let p = try CABI.policy(policy)
    try describe(p.plan, EFF_PLAN_OUTPUTS, index, out, "output")
  }
}

private func find(_ policy: OpaquePointer?, _ part: Int, _ name: UnsafePointer<CChar>?) -> Int64 {
  guard let name, let plan = livePolicy(policy)?.plan else { return -1 }
  let count = part == EFF_PLAN_INPUTS ? plan.inputs.count : plan.outputs.count
  for i in 0..<count where strcmp(plan.name(part, i), name) == 0 { return Int64(i) }
  return -1
}

@c @implementation
public func eff_policy_find_input(_ policy: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> Int64 {
  find(policy, EFF_PLAN_INPUTS, name)
}

@c @implementation
public func eff_policy_find_output(_ policy: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> Int64 {
  find(policy, EFF_PLAN_OUTPUTS, name)
}

@c @implementation
public func eff_policy_metadata(_ policy: OpaquePointer?, _ key: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
  guard let p = livePolicy(policy), let key else { return nil }
  var i = 0
  while let entry = p.metadata(i) {
    if strcmp(entry.key, key) == 0 { return entry.value }
    i += 1
  }
  return nil
}

@c @implementation
public func eff_policy_metadata_key(_ policy: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  livePolicy(policy)?.metadata(index)?.key
}

@c @implementation
public func eff_policy_describe(_ policy: OpaquePointer?, _ out: UnsafeMutablePointer<eff_policy_info>?) -> eff_status {
  report { () throws(Failure) in
    let p = try CABI.policy(policy)
    let (out, size) = try sized(out, "eff_policy_info")
    var info = eff_policy_info()
    info.struct_size = size
    let plan = p.plan.header
    (info.opset, info.ir_version) = (plan.opset, plan.ir_version)
    (info.parameter_count, info.weight_bytes) = (Int(plan.parameter_count), p.plan.weights.count)
    info.arena_bytes = try Session.arenaSize(p, rows: 1)
    (info.node_count, info.op_count, info.state_count) = (
      Int(plan.node_count), p.plan.ops.count, p.plan.stateCount
    )
    info.multiply_adds = plan.work
    info.isa = eff_isa_name(plan.isa)
    info.producer = p.producer
    info.layer_count = p.plan.layers.count
    info.unfused_op_count = Int(plan.unfused_count)
    for i in p.plan.stateInputs { info.state_bytes += 2 * p.plan.inputs[i].size }
    info.peak_bytes = Int(plan.peak)
    info.hash = plan.hash
    info.step_refusal = p.refusal
    info.operators = p.operators
    write(info, out, size)
  }
}

@c @implementation
public func eff_policy_layer(_ policy: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<eff_layer>?)
  -> eff_status
{
  report { () throws(Failure) in
    let layers = try CABI.policy(policy).plan.layers
    let (out, size) = try sized(out, "eff_layer")
    guard index >= 0, index < layers.count else {
      throw Failure(.argument, "layer \(unsigned(index)) does not exist; the policy has \(layers.count)")
    }
    let l = layers[index]
    write(
      eff_layer(
        struct_size: size, weights: Int32(l.weights), op: Int32(l.op), parameter_count: Int(l.parameters),
        bytes: Int(l.bytes)),
      out, size)
  }
}

@c @implementation
public func eff_policy_op(_ policy: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  guard let plan = livePolicy(policy)?.plan, index >= 0, index < plan.ops.count else { return nil }
  return plan.text(plan.ops[index])
}

@c @implementation
public func eff_policy_note(_ policy: OpaquePointer?, _ index: Int) -> UnsafePointer<CChar>? {
  livePolicy(policy)?.note(index)
}

@c @implementation
public func eff_policy_retain(_ policy: OpaquePointer?) -> OpaquePointer? {
  eff_handle_retain(UInt(bitPattern: policy), Int32(EFF_HANDLE_POLICY)) != 0 ? policy : nil
}

@c @implementation
public func eff_policy_release(_ policy: OpaquePointer?) {
  if let object = released(policy, EFF_HANDLE_POLICY) { Unmanaged<Policy>.fromOpaque(object).release() }
}
