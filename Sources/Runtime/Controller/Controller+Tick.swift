import Platform

/// One control period: signals, guard, observation and networks where they are due, targets, guard. - Returns: a status
/// of the C header.
/// - Complexity: bounded by the card: its terms, the plans of its networks, its joints.
@_noLocks
public func controllerTick(_ c: ControllerHandle, _ now: Int64) -> Int32 {
  if !c.pointee.isStarted { return -2 }
  c.pointee.report.ticks &+= 1
  (c.pointee.report.fault, c.pointee.report.signal, c.pointee.report.joint) = (0, -1, -1)
  (c.pointee.report.model, c.pointee.report.action, c.pointee.report.ran) = (-1, -1, 0)
  (c.pointee.report.value, c.pointee.report.limit) = (0, 0)
  c.pointee.report.mode = ControllerMode.run

  let fault = c.advance(now)
  let status = Fault.status(fault)
  c.pointee.report.fault = fault
  c.pointee.report.status = status
  if fault != 0 {
    c.pointee.report.refused &+= 1
    if c.pointee.fallback.mode == ControllerMode.run {
      c.leavePolicy(now, isRefusal: true)
      c.writeLadder(now)
    } else {
      c.writeChosenMode(now)
    }
  }
  return status
}

/// The next tick begins a new episode.
@_noLocks
public func controllerReset(_ c: ControllerHandle) {
  c.pointee.isFresh = true
  c.pointee.mayRestartClock = true
}

/// Changes who moves the robot. - Returns: a status of the C header.
@_noLocks
public func controllerMode(_ c: ControllerHandle, _ mode: Int32) -> Int32 {
  if mode < ControllerMode.run || mode > ControllerMode.zero { return -1 }
  c.pointee.fallback.mode = mode
  return 0
}

/// When a signal was sampled; -1: all signals. - Returns: a status of the C header.
@_noLocks
public func controllerStamp(_ c: ControllerHandle, _ signal: Int64, _ ns: Int64) -> Int32 {
  if signal < -1 || signal >= Int64(c.pointee.signalCount) { return -1 }
  var s = signal < 0 ? 0 : Int(signal)
  let end = signal < 0 ? c.pointee.signalCount : s + 1
  while s < end {
    c.pointee.signals[s].stamp = ns
    c.pointee.signals[s].isStamped = true
    s += 1
  }
  return 0
}

extension UnsafeMutablePointer where Pointee == ControllerCore {
  /// A tick, up to the targets that are sent. - Returns: a fault or 0.
  @_noLocks
  fileprivate func advance(_ now: Int64) -> Int32 {
    // the caller's clock
    var fault: Int32 = 0
    if pointee.mayRestartClock {
      pointee.mayRestartClock = false
      if pointee.hasTicked && now < pointee.lastNow { restartClock(now) }
    }
    if pointee.hasTicked {
      let (period, overflow) = now.subtractingReportingOverflow(pointee.lastNow)
      pointee.report.period = period
      if overflow || period < 0 {
        name(-1, -1, Double(period) * 1e-9, 0)
        fault = Fault.clock
      } else {
        if period > pointee.controlPeriod &+ pointee.controlPeriod / 2 { pointee.report.late &+= 1 }
        if pointee.protection.deadline > 0 && period > pointee.protection.deadline {
          name(-1, -1, Double(period) * 1e-9, Double(pointee.protection.deadline) * 1e-9)
          fault = Fault.deadline
        }
      }
    }
    if fault != Fault.clock { (pointee.hasTicked, pointee.lastNow) = (true, now) }

    let signalFault = guardBefore(now)
    if fault == 0 { fault = signalFault }
    let isDue = pointee.isFresh || pointee.owesRun || pointee.tick % pointee.ratio == 0
    if fault != 0 {
      // the phase of the policy stays; what it missed, it does at the next clean tick
      if isDue { pointee.owesRun = true }
      pointee.tick &+= 1
      return fault
    }
    if pointee.fallback.mode != ControllerMode.run {
      leavePolicy(now, isRefusal: false)
      writeChosenMode(now)
      return 0
    }
    enterPolicy(now)
    if pointee.fallback.needsReset {
      pointee.fallback.needsReset = false
      pointee.isFresh = true
    }
    let time = pointee.timeSignal >= 0 ? pointee.signals[pointee.timeSignal].values[0] : Double(now) * 1e-9
    if pointee.isFresh { begin() }
    var i = 0
    let isRun = pointee.owesRun || pointee.tick % pointee.ratio == 0
    while i < pointee.commandCount {
      pointee.report.clamped &+= pointee.commands[i].update(isDue: isRun)
      i += 1
    }
    if isRun {
      fault = runPolicy(time)
      if fault != 0 {
        // what a network has computed from good signals is not finite: its memory is not to be trusted either
        pointee.fallback.needsReset = true
        return fault
      }
    } else {
      pointee.step += 1
      takeChunks()
    }
    // a fallback may have sent other gains
    eff_copy(pointee.targets[TargetKind.kp].values, pointee.fallback.kp, pointee.jointCount * 8)
    eff_copy(pointee.targets[TargetKind.kd].values, pointee.fallback.kd, pointee.jointCount * 8)
    i = 0
    while i < pointee.actionCount {
      (pointee.actions + i).write(self)
      i += 1
    }
    pointee.tick &+= 1
    if pointee.fallback.isBlending { blend(now) }
    fault = guardAfter()
    if fault != 0 {
      pointee.fallback.needsReset = true
      return fault
    }
    pointee.fallback.isLimp = false
    send()
    return 0
  }

  /// The caller's clock begins anew, as a simulator's does: what was measured on the old one begins now.
  @_noLocks
  private func restartClock(_ now: Int64) {
    pointee.hasTicked = false
    pointee.report.period = 0
    var i = 0
    while i < pointee.signalCount {
      // a stamp of the old clock would be young for ever
      if pointee.signals[i].isStamped && pointee.signals[i].stamp > now { pointee.signals[i].stamp = now }
      i += 1
    }
    (pointee.fallback.since, pointee.fallback.stepSince, pointee.fallback.blendSince) = (now, now, now)
    if let l = pointee.learner { l.pointee.since = now }
  }

  /// The first tick of an episode.
  @_noLocks
  private func begin() {
    pointee.isFresh = false
    (pointee.isFirstRun, pointee.owesRun) = (true, false)
    (pointee.tick, pointee.policyTick, pointee.step) = (0, 0, 0)
    var i = 0
    while i < pointee.commandCount {
      pointee.commands[i].reset()
      i += 1
    }
    i = 0
    while i < pointee.clockCount {
      pointee.clocks[i].reset()
      i += 1
    }
    i = 0
    while i < pointee.vectorCount {
      pointee.vectors[i].reset()
      i += 1
    }
    i = 0
    while i < pointee.memoryCount {
      pointee.memories[i].reset()
      i += 1
    }
    i = 0
    while i < pointee.counterCount {
      pointee.counters[i].value = pointee.counters[i].start
      i += 1
    }
    i = 0
    while i < pointee.modelCount {
      pointee.models[i].hasRun = false
      _ = pointee.models[i].session.reset(-1)
      i += 1
    }
    if let l = pointee.learner { l.begin(pointee.lastNow) }
    i = 0
    while i < pointee.actionCount {
      pointee.actions[i].reset()
      i += 1
    }
    pointee.lastActions.reset()
    pointee.motion.isAligned = false
    if let start = pointee.targetInit {
      eff_copy(pointee.lastTargets, start, pointee.jointCount * 8)
    } else if let q = pointee.position {
      eff_copy(pointee.lastTargets, q, pointee.jointCount * 8)
    }
    // position targets of joints that no action has written yet
    if !pointee.fallback.hasTargets, let q = pointee.position {
      eff_copy(pointee.targets[TargetKind.position].values, q, pointee.jointCount * 8)
    }
  }

  /// A policy tick. - Returns: a fault or 0.
  @_noLocks
  private func runPolicy(_ time: Double) -> Int32 {
    let isFirst = pointee.isFirstRun
    (pointee.owesRun, pointee.step) = (false, 0)
    pointee.motion.take(time: Double(pointee.policyTick) * pointee.policyPeriod, period: pointee.policyPeriod)
    if isFirst { prepare(time) }
    var i = 0
    while i < pointee.clockCount {
      pointee.clocks[i].begin(time: time, isFirst: isFirst)
      i += 1
    }
    execute()
    i = 0
    while i < pointee.clockCount {
      pointee.clocks[i].end(time: time, isFirst: isFirst)
      i += 1
    }
    let fault = takeActions()
    deliver(advancesCounters: true)
    pointee.isFirstRun = false
    pointee.policyTick &+= 1
    pointee.report.ran = 1
    pointee.report.runs &+= 1
    return fault
  }

  /// What a reset does before its first observation: steps of clocks, histories that are filled at the reset, networks
  /// that run once on zeros.
  @_noLocks
  private func prepare(_ time: Double) {
    pointee.run &+= 1
    var i = 0
    while i < pointee.clockCount {
      var k: Int32 = 0
      while k < pointee.clocks[i].advancesAtReset {
        pointee.clocks[i].makeStep()
        k += 1
      }
      pointee.clocks[i].show(time: time)
      i += 1
    }
    i = 0
    while i < pointee.vectorCount {
      pointee.vectors[i].fillAtReset(self)
      i += 1
    }
    if !pointee.primes { return }
    pointee.isPriming = true
    execute()
    pointee.isPriming = false
    if pointee.primeKeepsAction { _ = takeActions() }
    deliver(advancesCounters: pointee.primeAdvances)
  }

  @_noLocks
  private func execute() {
    pointee.run &+= 1
    var i = 0
    while i < pointee.modelCount {
      if pointee.policyTick % (pointee.models + i).pointee.every == 0 { (pointee.models + i).pointee.execute(self) }
      i += 1
    }
  }

  @_noLocks
  private func deliver(advancesCounters: Bool) {
    var i = 0
    while i < pointee.modelCount {
      if pointee.policyTick % (pointee.models + i).pointee.every == 0 { (pointee.models + i).pointee.deliver(self) }
      i += 1
    }
    if !advancesCounters { return }
    i = 0
    while i < pointee.counterCount {
      pointee.counters[i].advance()
      i += 1
    }
  }

  /// Takes the outputs apart and remembers them. - Returns: a fault or 0.
  @_noLocks
  private func takeActions() -> Int32 {
    let last = pointee.lastActions
    last.shift()
    var fault: Int32 = 0
    var i = 0
    while i < pointee.actionCount {
      let a = pointee.actions + i
      let bad = a.take(self, step: 0)
      if bad >= 0 && fault == 0 {
        fault = Fault.action
        name(-1, Int(pointee.robotIndex[Int(a.pointee.joints[bad])]), a.pointee.action[bad], 0)
        pointee.report.model = Int32(truncatingIfNeeded: a.pointee.model)
        pointee.report.action = Int32(truncatingIfNeeded: i)
      }
      if a.pointee.remembered >= 0 { remember(a, last) }
      a.begin(self)
      i += 1
    }
    return fault
  }

  /// The newest action, as last_action terms show it.
  @_noLocks
  private func remember(_ a: UnsafeMutablePointer<ActionSlot>, _ last: LastActions) {
    guard let from = (pointee.models + a.pointee.model).pointee.session.output(a.pointee.output) else { return }
    let (count, index, action) = (a.pointee.count, a.pointee.index, a.pointee.action)
    let (size, type) = (a.pointee.elementSize, a.pointee.type)
    let (raw, clipped, applied) = (
      last.raw + a.pointee.remembered, last.clipped + a.pointee.remembered, last.applied + a.pointee.remembered
    )
    var k = 0
    while k < count {
      let e = Int(index[k])
      raw[e] = type == 1 ? Double((from + e * 4).loadUnaligned(as: Float.self)) : loadElement(from + e * size, type)
      clipped[e] = action[k]
      applied[e] = action[k]
      k += 1
    }
  }

  /// The next step of outputs that play several.
  @_noLocks
  private func takeChunks() {
    var i = 0
    while i < pointee.actionCount {
      let a = pointee.actions + i
      if a.pointee.chunk > 1 {
        _ = a.take(self, step: pointee.step < a.pointee.chunk ? pointee.step : a.pointee.chunk - 1)
      }
      i += 1
    }
  }
}
