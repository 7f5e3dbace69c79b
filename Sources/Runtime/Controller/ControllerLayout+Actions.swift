import Base
import Card
import Platform

extension ControllerLayout {
  mutating func buildActions() throws(Failure) -> UnsafeMutablePointer<ActionSlot> {
    let slots = try cursor.table(card.actions.count, of: ActionSlot.self)
    for (i, a) in card.actions.enumerated() { (slots + i).initialize(to: try action(a)) }
    return slots
  }

  private mutating func action(_ a: Card.Action) throws(Failure) -> ActionSlot {
    let what = "action '" + a.name + "'"
    let n = a.joints.count
    let list = try joints(a.joints, what)
    guard n > 0, a.index.count == n else {
      throw Failure(.shape, "\(what): index has \(a.index.count) elements for \(n) joints")
    }
    let m = try modelIndex(a.model, what)
    let o = try outputIndex(m, a.output, what)
    let port = policies[m].plan.outputs[o]
    let chunk = max(a.chunk, 0)
    let width = try stepWidth(m, o, what)
    for e in a.index {
      guard e >= 0, e < width else {
        throw Failure(.shape, "\(what): it takes element \(e) of output '\(a.output)', which has \(width)")
      }
    }
    let posts = try cursor.table(a.post.count, of: PostSlot.self)
    var s = ActionSlot(
      model: m, output: o, type: port.type.rawValue, elementSize: port.type.size, width: width, chunk: chunk, count: n,
      index: try cursor.indices(a.index), joints: try cursor.indices(list),
      scale: try table(a.scale, n, what + " scale"),
      offset: try cursor.doubles(n), posts: posts, postCount: a.post.count, remembered: -1,
      remembersApplied: a.lastOf == nil || a.lastOf == .applied,
      action: try cursor.doubles(n), state: try cursor.doubles(n), base: try cursor.doubles(n), x: try cursor.doubles(n)
    )
    for h in heads where h.model == m && h.output == o { s.remembered = h.start }
    switch a.kind {
    case .position: (s.kind, s.target) = (.position, TargetKind.position)
    case .positionIncrement: (s.kind, s.target) = (.increment, TargetKind.position)
    case .velocity: (s.kind, s.target) = (.velocity, TargetKind.velocity)
    case .effort: (s.kind, s.target) = (.effort, TargetKind.effort)
    case .effortPD: (s.kind, s.target) = (.position, TargetKind.effort)
    }
    guard a.kind != .effortPD || a.post.contains(where: { $0.operation == .pdTorque }) else {
      throw Failure(.mismatch, "\(what): effort_pd needs pd_torque in post")
    }
    s.clipRaw = try table(a.clipRaw, n, what + " clip_raw")
    s.unnormalize = try table(a.unnormalize, n, isInverse: true, what + " unnormalize")
    s.clip = try table(a.clip, n, what + " clip")
    switch a.offset {
    case .defaultPose: s.offset = try defaults(list, what)
    case .numbers(let numbers): s.offset = try table(numbers, n, what + " offset")
    case .command(let name, let fields):
      let c = try commandIndex(name, what)
      let indices = try fieldIndices(c, fields, what)
      guard indices.count == n else {
        throw Failure(.shape, "\(what): the command '\(name)' has \(indices.count) fields for \(n) joints")
      }
      (s.offset, s.offsetIndex) = (commands[c].values, try cursor.indices(indices))
    }
    if !a.limitsPosition.isEmpty {
      s.limits = try table(Card.Bounds.each(a.limitsPosition), n, what + " limits_position")
    }
    if !a.limitsVelocity.isEmpty {
      let rate = try table(Card.Numbers.each(a.limitsVelocity), n, what + " limits_velocity")
      for i in 0..<n { rate[i] *= controlPeriod }
      s.rate = rate
    }
    if !a.addState.isEmpty {
      guard a.addState.count == n else {
        throw Failure(.shape, "\(what): add_state has \(a.addState.count) entries for \(n) joints")
      }
      s.addsState = try cursor.flags(a.addState)
      _ = try need("joint.position", what)
    }
    if s.rate != nil || s.kind == .increment {
      if card.targetInit == nil || card.targetInit == .measured { _ = try need("joint.position", what) }
    }
    if a.kpFrom != "" { s.kpOutput = try gains(m, a.kpFrom, n, width, what) }
    if a.kdFrom != "" { s.kdOutput = try gains(m, a.kdFrom, n, width, what) }
    try checkGains(a, list, what)
    for (i, p) in a.post.enumerated() { (posts + i).initialize(to: try post(p, a, list, what)) }
    return s
  }

  private func gains(_ model: Int, _ tensor: String, _ joints: Int, _ width: Int, _ what: String) throws(Failure) -> Int
  {
    let o = try outputIndex(model, tensor, what)
    let count = policies[model].plan.outputs[o].shape.reduce(1, *)
    guard count == joints || count == width else {
      throw Failure(.shape, "\(what): output '\(tensor)' gives \(count) gains for \(joints) joints")
    }
    return o
  }

  /// A gain that is null is unknown, and zero is no answer; a gain that is absent is the drive's own.
  private func checkGains(_ a: Card.Action, _ list: [Int], _ what: String) throws(Failure) {
    if a.kind == .effort || a.kind == .effortPD { return }
    for j in list {
      let p = properties(j)
      let kp = p.kp == .unknown && a.kpFrom == ""
      let kd = p.kd == .unknown && a.kdFrom == ""
      guard kp || kd else { continue }
      let names = kp && kd ? "kp and kd are" : (kp ? "kp is" : "kd is")
      throw Failure(
        .mismatch,
        "joint '\(p.name)' (\(what)): \(names) unknown (null in the card) and must be given: joints.\(p.name)."
          + (kp ? "kp" : "kd"))
    }
  }

  private mutating func post(_ p: Card.Post, _ a: Card.Action, _ list: [Int], _ what: String) throws(Failure)
    -> PostSlot
  {
    let n = list.count
    let what = what + ", post " + p.operation.text
    var s = PostSlot(
      kp: try cursor.doubles(n), kd: try cursor.doubles(n), pose: try cursor.doubles(n),
      history: try cursor.doubles(4 * n))
    let isBand = p.operation == .torqueBand || p.operation == .velocityBand
    if isBand || p.operation == .pdTorque {
      if let limit = p.limit { s.limit = try table(limit, n, what + " limit") }
      guard s.limit != nil || !isBand else { throw Failure(.mismatch, "\(what): limit is unknown") }
      for (i, j) in list.enumerated() {
        let own = properties(j)
        s.kd[i] = try gain(p.kd, i, own.kd, "\(what): kd of joint '\(own.name)'")
        if p.operation == .velocityBand { continue }
        s.kp[i] = try gain(p.kp, i, own.kp, "\(what): kp of joint '\(own.name)'")
      }
      if p.operation != .velocityBand { _ = try need("joint.position", what) }
      var needsVelocity = false
      for i in 0..<n where s.kd[i] != 0 { needsVelocity = true }
      if needsVelocity || isBand { _ = try need("joint.velocity", what) }
    }
    switch p.operation {
    case .torqueBand: s.operation = .torqueBand
    case .velocityBand: s.operation = .velocityBand
    case .pdTorque: s.operation = .torque
    case .firstOrder:
      guard let alpha = p.alpha, alpha > 0, alpha <= 1 else {
        throw Failure(.mismatch, "\(what): alpha must be above 0 and at most 1")
      }
      (s.operation, s.alpha) = (.firstOrder, alpha)
      s.initial = try start(p, list, what)
    case .secondOrderLowpass:
      guard let omega = p.omega, omega > 0 else { throw Failure(.mismatch, "\(what): omega is unknown") }
      let period = p.samplePeriod ?? controlPeriod
      guard (period - controlPeriod).magnitude <= 1e-6 * controlPeriod else {
        throw Failure(
          .mismatch,
          "\(what): sample_period is \(decimal(period)) s, but the control period is \(decimal(controlPeriod)) s")
      }
      // Butterworth by the bilinear transform
      let k = 2 / period
      let root2 = eff_sqrt(2)
      let norm = k * k + root2 * omega * k + omega * omega
      s.operation = .secondOrder
      (s.b0, s.b1, s.b2) = (omega * omega / norm, 2 * omega * omega / norm, omega * omega / norm)
      (s.a1, s.a2) = ((2 * omega * omega - 2 * k * k) / norm, (k * k - root2 * omega * k + omega * omega) / norm)
      s.initial = try start(p, list, what)
    case .blendFromDefault:
      guard let share = p.perTick, share > 0 else { throw Failure(.mismatch, "\(what): per_tick must be above 0") }
      (s.operation, s.perTick) = (.blend, share)
      s.pose = try defaults(list, what)
    }
    return s
  }

  /// A gain of the post itself, else of the joint.
  private func gain(_ own: Card.Numbers?, _ i: Int, _ joint: Card.Setting, _ what: String) throws(Failure) -> Double {
    if let own { return try number(own, i, what) }
    guard let v = joint.value else { throw Failure(.mismatch, "\(what) is unknown") }
    return v
  }

  /// Where a filter starts; nil: at the measured positions.
  private mutating func start(_ p: Card.Post, _ list: [Int], _ what: String) throws(Failure) -> UnsafeMutablePointer<
    Double
  >? {
    switch p.initial {
    case .measured:
      _ = try need("joint.position", what)
      return nil
    case .zero: return try cursor.doubles(list.count)
    case .defaultPose: return try defaults(list, what)
    case .given:
      guard let v = p.value else { throw Failure(.mismatch, "\(what): init is given, but there is no value") }
      return try table(v, list.count, what + " value")
    }
  }

  // MARK: targets, guard, fallback

  mutating func buildTargets() throws(Failure) -> UnsafeMutablePointer<TargetSlot> {
    let slots = try cursor.table(TargetKind.count, of: TargetSlot.self)
    let n = card.jointOrder.count
    for k in 0..<TargetKind.count {
      (slots + k).initialize(
        to: TargetSlot(
          isComputed: k < TargetKind.kp, offsets: try cursor.table(options.joints.count, of: Int.self),
          values: try cursor.doubles(n), isCommanded: try cursor.table(n, of: Bool.self),
          joints: try cursor.table(n, of: Int32.self), places: try cursor.table(n, of: Int.self)))
    }
    for a in card.actions {
      for j in try joints(a.joints, "action '" + a.name + "'") {
        let kind =
          a.kind == .velocity
          ? TargetKind.velocity : (a.kind == .effort || a.kind == .effortPD ? TargetKind.effort : TargetKind.position)
        slots[kind].isCommanded[j] = true
        let p = properties(j)
        if a.kpFrom != "" { slots[TargetKind.kp].isComputed = true }
        if a.kdFrom != "" { slots[TargetKind.kd].isComputed = true }
        if p.kp.value != nil || a.kpFrom != "" { slots[TargetKind.kp].isCommanded[j] = true }
        if p.kd.value != nil || a.kdFrom != "" { slots[TargetKind.kd].isCommanded[j] = true }
      }
    }
    for k in 0..<TargetKind.count {
      for j in 0..<n where slots[k].isCommanded[j] { slots[k].isUsed = true }
    }
    return slots
  }

  /// Limits are infinite for what is not commanded or not to be clamped.
  mutating func buildGuard(_ targets: UnsafeMutablePointer<TargetSlot>) throws(Failure) -> GuardSlot {
    let n = card.jointOrder.count
    var g = GuardSlot(
      lower: try cursor.doubles(n), upper: try cursor.doubles(n), slew: try cursor.doubles(n),
      band: try cursor.doubles(n), damps: try cursor.doubles(n), velocity: try cursor.doubles(n),
      effort: try cursor.doubles(n), before: try cursor.doubles(n), sent: try cursor.doubles(n))
    g.clamps = options.clamps
    let own = card.safety
    g.rollLimit = options.rollLimit > 0 ? options.rollLimit : own?.rollLimit ?? 0
    g.pitchLimit = options.pitchLimit > 0 ? options.pitchLimit : own?.pitchLimit ?? 0
    if g.rollLimit > 0 { g.rollCosine = eff_cos(min(g.rollLimit, Double.pi)) }
    if g.pitchLimit > 0 { g.pitchSine = g.pitchLimit < Double.pi / 2 ? eff_sin(g.pitchLimit) : 2 }
    if g.rollLimit > 0 || g.pitchLimit > 0 {
      _ = try need("base.orientation", "the limits of roll and pitch")
      for (i, s) in signals.enumerated() where s.name == "base.orientation" { g.attitude = i }
    }
    g.deadline = options.deadline > 0 ? nanoseconds(options.deadline) : 0
    for j in 0..<n {
      let p = properties(j)
      func isCommanded(_ kind: Int) -> Bool { targets[kind].isCommanded[j] }
      let isMoved = isCommanded(TargetKind.position)
      let velocity = p.velocityLimit.value ?? Double.infinity
      let effort = p.effortLimit.value ?? Double.infinity
      g.lower[j] = isMoved ? p.lower.value ?? -Double.infinity : -Double.infinity
      g.upper[j] = isMoved ? p.upper.value ?? Double.infinity : Double.infinity
      g.band[j] = isMoved && isCommanded(TargetKind.kp) ? effort : Double.infinity
      g.damps[j] = isCommanded(TargetKind.kd) ? 1 : 0
      g.velocity[j] = isCommanded(TargetKind.velocity) ? velocity : Double.infinity
      g.effort[j] = isCommanded(TargetKind.effort) ? effort : Double.infinity
      var slew = Double.infinity
      if options.slewLimit > 0 {
        slew = options.slewLimit
      } else if let s = own?.slew {
        slew = try number(s, j, "safety slew")
      }
      if options.clamps & GuardFlag.velocity != 0 { slew = min(slew, velocity) }
      g.slew[j] = isMoved ? slew * controlPeriod : Double.infinity
      if slew.isFinite { g.hasSlew = true }
      g.sent[j] = Double.nan
    }
    if options.clamps & GuardFlag.effort != 0 {
      _ = try need("joint.position", "the guard's limit of effort")
      _ = try need("joint.velocity", "the guard's limit of effort")
    }
    return g
  }

  /// Numbers of a card onto the policy's joints: by their own order, or by the robot's names. What has the order of
  /// motors, of which a card knows no names, is left out, and said.
  private func laid(_ numbers: Card.Numbers?, _ order: String?, _ key: String, instead: String) -> Card.Numbers? {
    guard case .each(let list)? = numbers, let order, order != "policy" else { return numbers }
    if order == "robot", list.count == options.joints.count { return .each(robotIndex.map { list[$0] }) }
    let found =
      order == "robot"
      ? "\(list.count) numbers for a robot of \(options.joints.count) joints"
      : "the order of motors, which names no joints"
    if cursor.isMeasuring { Log.write(.warning, "\(key) has \(found): \(instead) is used") }
    return nil
  }

  /// A table of gains, NaN where there are none.
  private mutating func gains(_ numbers: Card.Numbers?) throws(Failure) -> UnsafeMutablePointer<Double> {
    let table = try cursor.doubles(card.jointOrder.count)
    for j in card.jointOrder.indices { table[j] = numbers?.value(j) ?? Double.nan }
    return table
  }

  private mutating func startGains(_ startup: Card.Startup?) throws(Failure) -> (
    kp: UnsafeMutablePointer<Double>, kd: UnsafeMutablePointer<Double>
  ) {
    let order = startup?.gainOrder ?? startup?.order
    let kp = laid(startup?.kp, order, "startup.kp", instead: "the stiffness of each joint")
    let kd = laid(startup?.kd, order, "startup.kd", instead: "the damping of each joint")
    return (try gains(kp), try gains(kd))
  }

  mutating func buildFallback() throws(Failure) -> FallbackSlot {
    let n = card.jointOrder.count
    var steps = options.fallback
    if steps.isEmpty, let own = card.safety?.fallback {
      for s in own {
        let mode: Int32
        switch s.kind {
        case .hold: mode = ControllerMode.hold
        case .ramp: mode = ControllerMode.ramp
        case .damping: mode = ControllerMode.damp
        case .zero: mode = ControllerMode.zero
        }
        steps.append(FallbackStep(mode: mode, seconds: s.seconds ?? 0, kp: s.kp, kd: s.kd))
      }
    }
    if steps.isEmpty {
      steps = [
        FallbackStep(mode: ControllerMode.hold, seconds: 0.05), FallbackStep(mode: ControllerMode.damp, seconds: 0),
      ]
    }
    for (i, s) in steps.enumerated() {
      guard s.mode > ControllerMode.run, s.mode <= ControllerMode.zero else {
        throw Failure(.argument, "fallback[\(i)].mode is \(s.mode), expected EFF_MODE_HOLD, RAMP, DAMP or ZERO")
      }
      guard s.duration >= 0 else { throw Failure(.argument, "fallback[\(i)].seconds is below 0") }
    }
    let ladder = try cursor.table(steps.count, of: FallbackSlot.Step.self)
    for (i, s) in steps.enumerated() {
      (ladder + i).initialize(
        to: FallbackSlot.Step(mode: s.mode, duration: s.duration, kp: try gains(s.kp), kd: try gains(s.kd)))
    }
    let startup = card.startup
    let start = try startGains(startup)
    let rampSeconds = options.rampSeconds > 0 ? options.rampSeconds : startup?.seconds ?? 2
    let f = FallbackSlot(
      ladder: ladder, count: steps.count, pose: try cursor.doubles(n), kp: try cursor.doubles(n),
      kd: try cursor.doubles(n),
      startKp: start.kp, startKd: start.kd, rampDuration: nanoseconds(rampSeconds),
      blendDuration: options.blendSeconds > 0 ? nanoseconds(options.blendSeconds) : 0,
      from: try cursor.doubles(n))
    let pose =
      startup.map {
        $0.pose.isEmpty ? nil : laid(.each($0.pose), $0.order, "startup.pose", instead: "the default pose")
      } ?? nil
    for j in 0..<n {
      let p = properties(j)
      f.pose[j] = pose?.value(j) ?? p.defaultPosition.value ?? Double.nan
      f.kp[j] = p.kp.value ?? Double.nan
      f.kd[j] = p.kd.value ?? Double.nan
      f.from[j] = Double.nan
    }
    return f
  }

  // MARK: everything

  mutating func build() throws(Failure) -> UnsafeMutablePointer<ControllerCore> {
    let n = card.jointOrder.count
    let core = try cursor.table(1, of: ControllerCore.self)
    lastTargets = try cursor.doubles(n)
    try buildLastActions()
    try checkActions()
    try buildCommands()
    try buildClocks()
    let vectors = try buildVectors()
    let memories = try buildMemories()
    let counters = try buildCounters()
    let models = try buildModels()
    if !cursor.isMeasuring { shareMemory(vectors, models) }
    let motion = try buildMotion()
    let actions = try buildActions()
    let targets = try buildTargets()
    let protection = try buildGuard(targets)
    let fallback = try buildFallback()
    var start: UnsafeMutablePointer<Double>? = nil
    switch card.targetInit {
    case .defaultPose: start = try defaults(Array(0..<n), "target_init")
    case .zero: start = try cursor.doubles(n)
    default:
      if card.vectors.contains(where: { $0.terms.contains(where: { $0.operation == .previousTarget }) }) {
        _ = try need("joint.position", "target_init")
      }
    }
    let robot = try cursor.indices(robotIndex)
    let slots = try cursor.table(signals.count, of: SignalSlot.self)
    let limit = options.staleLimit > 0 ? options.staleLimit : card.safety?.dataAge ?? 0
    for (i, s) in signals.enumerated() {
      var slot = SignalSlot(
        offsets: try cursor.table(s.width, of: Int.self), places: try cursor.table(s.count, of: Int.self),
        values: s.values, count: s.count, width: s.width)
      if s.isJoint { slot.elements = robot }
      slot.isQuaternion = s.isQuaternion
      slot.isCommand = card.commands.contains(where: { $0.signal == s.name })
      slot.limit = limit > 0 && !s.isOptional ? nanoseconds(limit) : 0
      (slots + i).initialize(to: slot)
    }
    core.initialize(
      to: ControllerCore(
        owner: nil, signals: slots, signalCount: signals.count, commands: commands,
        commandCount: card.commands.count, clocks: clocks, clockCount: card.clocks.count, vectors: vectors,
        vectorCount: card.vectors.count,
        memories: memories, memoryCount: card.memories.count, counters: counters, counterCount: card.counters.count,
        models: models,
        modelCount: card.models.count, actions: actions, actionCount: card.actions.count, lastActions: lastActions,
        motion: motion, targets: targets,
        jointCount: n, robotIndex: robot, robotJoints: options.joints.count, position: values("joint.position"),
        velocity: values("joint.velocity"),
        lastTargets: lastTargets, targetInit: start, scratch: try cursor.doubles(widestTerm), timeSignal: -1,
        ratio: UInt64(ratio),
        controlPeriod: nanoseconds(controlPeriod), policyPeriod: policyPeriod, protection: protection,
        fallback: fallback,
        clamps: try cursor.table(n, of: UInt64.self)))
    if let p = card.primeModels {
      (core.pointee.primes, core.pointee.primeAdvances, core.pointee.primeKeepsAction) = (true, p.advance, p.keepAction)
    }
    try buildLearner(core)
    return core
  }

  /// Vectors are laid out where the first network that always runs reads them: no copy, and half the memory of a tick.
  private func shareMemory(_ vectors: UnsafeMutablePointer<VectorSlot>, _ models: UnsafeMutablePointer<ModelSlot>) {
    var isShared = [Bool](repeating: false, count: card.vectors.count)
    for m in 0..<card.models.count where models[m].every == 1 {
      for i in 0..<models[m].inputCount {
        let slot = models[m].inputs[i]
        guard slot.source == .vector, slot.type == 1, slot.mirror == nil, !isShared[slot.place],
          let memory = models[m].session.input(slot.port)
        else { continue }
        isShared[slot.place] = true
        vectors[slot.place].values = memory.assumingMemoryBound(to: Float.self)
      }
    }
  }

  private func values(_ signal: String) -> UnsafeMutablePointer<Double>? {
    for s in signals where s.name == signal { return s.values }
    return nil
  }
}
