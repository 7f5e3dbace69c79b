import Base
import Platform

extension ControllerHandle {
  /// One control period: signals, guard, observation and networks where they are due, targets, guard. What was refused
  /// stands in the report.
  /// - Complexity: bounded by the card: its terms, the plans of its networks, its joints.
  @_noLocks
  public func tick(_ now: Int64) -> Status {
    if !core.pointee.isStarted { return .state }
    core.pointee.report.ticks &+= 1
    (core.pointee.report.fault, core.pointee.report.signal, core.pointee.report.joint) = (0, -1, -1)
    (core.pointee.report.model, core.pointee.report.action, core.pointee.report.ran) = (-1, -1, 0)
    (core.pointee.report.value, core.pointee.report.limit) = (0, 0)
    core.pointee.report.mode = ControllerMode.run

    let fault = advance(now)
    let status = Fault.status(fault)
    core.pointee.report.fault = fault
    core.pointee.report.status = status.code
    if fault != 0 {
      core.pointee.report.refused &+= 1
      if core.pointee.fallback.mode == ControllerMode.run {
        leavePolicy(now, isRefusal: true)
        writeLadder(now)
      } else {
        writeChosenMode(now)
      }
    }
    return status
  }

  /// A tick, up to the targets that are sent. - Returns: a fault or 0.
  @_noLocks
  private func advance(_ now: Int64) -> Int32 {
    // the caller's clock
    var fault: Int32 = 0
    if core.pointee.mayRestartClock {
      core.pointee.mayRestartClock = false
      if core.pointee.hasTicked && now < core.pointee.lastNow { restartClock(now) }
    }
    if core.pointee.hasTicked {
      let (period, overflow) = now.subtractingReportingOverflow(core.pointee.lastNow)
      core.pointee.report.period = period
      if overflow || period < 0 {
        name(-1, -1, Double(period) * 1e-9, 0)
        fault = Fault.clock
      } else {
        if period > core.pointee.controlPeriod &+ core.pointee.controlPeriod / 2 { core.pointee.report.late &+= 1 }
        if core.pointee.protection.deadline > 0 && period > core.pointee.protection.deadline {
          name(-1, -1, Double(period) * 1e-9, Double(core.pointee.protection.deadline) * 1e-9)
          fault = Fault.deadline
        }
      }
    }
    if fault != Fault.clock { (core.pointee.hasTicked, core.pointee.lastNow) = (true, now) }

    let signalFault = guardBefore(now)
    if fault == 0 { fault = signalFault }
    let isDue = core.pointee.isFresh || core.pointee.isDue
    if fault != 0 {
      // the phase of the policy stays; what it missed, it does at the next clean tick
      if isDue { core.pointee.owesRun = true }
      core.pointee.tick &+= 1
      return fault
    }
    if core.pointee.fallback.mode != ControllerMode.run {
      leavePolicy(now, isRefusal: false)
      writeChosenMode(now)
      return 0
    }
    enterPolicy(now)
    if core.pointee.fallback.needsReset {
      core.pointee.fallback.needsReset = false
      core.pointee.isFresh = true
    }
    let clock = core.pointee.timeSignal
    let time = clock >= 0 ? core.pointee.signals[clock].values[0] : Double(now) * 1e-9
    if core.pointee.isFresh { begin() }
    var i = 0
    let isRun = core.pointee.isDue
    while i < core.pointee.commandCount {
      core.pointee.report.clamped &+= core.pointee.commands[i].update(isDue: isRun)
      i += 1
    }
    if isRun {
      fault = runPolicy(time)
      if fault != 0 {
        // what a network has computed from good signals is not finite: its memory is not to be trusted either
        core.pointee.fallback.needsReset = true
        return fault
      }
    } else {
      core.pointee.step += 1
      takeChunks()
    }
    if core.pointee.fallback.hasOtherGains {
      core.pointee.fallback.hasOtherGains = false
      eff_copy(core.pointee.targets[TargetKind.kp].values, core.pointee.fallback.kp, core.pointee.jointCount * 8)
      eff_copy(core.pointee.targets[TargetKind.kd].values, core.pointee.fallback.kd, core.pointee.jointCount * 8)
    }
    i = 0
    while i < core.pointee.actionCount {
      (core.pointee.actions + i).write(self)
      i += 1
    }
    core.pointee.tick &+= 1
    if core.pointee.fallback.isBlending { blend(now) }
    fault = guardAfter()
    if fault != 0 {
      core.pointee.fallback.needsReset = true
      return fault
    }
    core.pointee.fallback.isLimp = false
    send(isFinite: true)
    return 0
  }

  /// The caller's clock begins anew, as a simulator's does: what was measured on the old one begins now.
  @_noLocks
  private func restartClock(_ now: Int64) {
    core.pointee.hasTicked = false
    core.pointee.report.period = 0
    var i = 0
    while i < core.pointee.signalCount {
      // a stamp of the old clock would be young for ever
      let signal = core.pointee.signals + i
      if signal.pointee.isStamped && signal.pointee.stamp > now { signal.pointee.stamp = now }
      i += 1
    }
    (core.pointee.fallback.since, core.pointee.fallback.stepSince, core.pointee.fallback.blendSince) = (now, now, now)
    if let l = core.pointee.learner { l.pointee.since = now }
  }

  /// The first tick of an episode.
  @_noLocks
  private func begin() {
    core.pointee.isFresh = false
    (core.pointee.isFirstRun, core.pointee.owesRun) = (true, false)
    (core.pointee.tick, core.pointee.policyTick, core.pointee.step) = (0, 0, 0)
    var i = 0
    while i < core.pointee.commandCount {
      core.pointee.commands[i].reset()
      i += 1
    }
    i = 0
    while i < core.pointee.clockCount {
      core.pointee.clocks[i].reset()
      i += 1
    }
    i = 0
    while i < core.pointee.vectorCount {
      core.pointee.vectors[i].reset()
      i += 1
    }
    i = 0
    while i < core.pointee.memoryCount {
      core.pointee.memories[i].reset()
      i += 1
    }
    i = 0
    while i < core.pointee.counterCount {
      core.pointee.counters[i].value = core.pointee.counters[i].start
      i += 1
    }
    i = 0
    while i < core.pointee.modelCount {
      core.pointee.models[i].hasRun = false
      _ = core.pointee.models[i].session.reset(-1)
      i += 1
    }
    if let l = core.pointee.learner { l.begin(core.pointee.lastNow) }
    i = 0
    while i < core.pointee.actionCount {
      core.pointee.actions[i].reset()
      i += 1
    }
    core.pointee.lastActions.reset()
    core.pointee.motion.isAligned = false
    if let start = core.pointee.targetInit {
      eff_copy(core.pointee.lastTargets, start, core.pointee.jointCount * 8)
    } else if let q = core.pointee.position {
      eff_copy(core.pointee.lastTargets, q, core.pointee.jointCount * 8)
    }
    // position targets of joints that no action has written yet
    if !core.pointee.fallback.hasTargets, let q = core.pointee.position {
      eff_copy(core.pointee.targets[TargetKind.position].values, q, core.pointee.jointCount * 8)
    }
  }

  /// A policy tick. - Returns: a fault or 0.
  @_noLocks
  private func runPolicy(_ time: Double) -> Int32 {
    let isFirst = core.pointee.isFirstRun
    (core.pointee.owesRun, core.pointee.step) = (false, 0)
    let period = core.pointee.policyPeriod
    if core.pointee.motion.frames > 0 {
      core.pointee.motion.take(time: Double(core.pointee.policyTick) * period, period: period)
    }
    if isFirst { prepare(time) }
    var i = 0
    while i < core.pointee.clockCount {
      core.pointee.clocks[i].begin(time: time, isFirst: isFirst)
      i += 1
    }
    execute()
    i = 0
    while i < core.pointee.clockCount {
      core.pointee.clocks[i].end(time: time, isFirst: isFirst)
      i += 1
    }
    let fault = takeActions()
    deliver(advancesCounters: true)
    core.pointee.isFirstRun = false
    core.pointee.policyTick &+= 1
    core.pointee.report.ran = 1
    core.pointee.report.runs &+= 1
    return fault
  }

  /// What a reset does before its first observation: steps of clocks, histories that are filled at the reset, networks
  /// that run once on zeros.
  @_noLocks
  private func prepare(_ time: Double) {
    core.pointee.run &+= 1
    var i = 0
    while i < core.pointee.clockCount {
      var k: Int32 = 0
      while k < core.pointee.clocks[i].advancesAtReset {
        core.pointee.clocks[i].makeStep()
        k += 1
      }
      core.pointee.clocks[i].show(time: time)
      i += 1
    }
    i = 0
    while i < core.pointee.vectorCount {
      core.pointee.vectors[i].fillAtReset(self)
      i += 1
    }
    if !core.pointee.primes { return }
    core.pointee.isPriming = true
    execute()
    core.pointee.isPriming = false
    if core.pointee.primeKeepsAction { _ = takeActions() }
    deliver(advancesCounters: core.pointee.primeAdvances)
  }

  @_noLocks
  private func execute() {
    core.pointee.run &+= 1
    var i = 0
    while i < core.pointee.modelCount {
      let model = core.pointee.models + i
      if model.pointee.isDue(core.pointee.policyTick) { model.pointee.execute(self) }
      i += 1
    }
  }

  @_noLocks
  private func deliver(advancesCounters: Bool) {
    var i = 0
    while i < core.pointee.modelCount {
      let model = core.pointee.models + i
      if model.pointee.isDue(core.pointee.policyTick) { model.pointee.deliver(self) }
      i += 1
    }
    if !advancesCounters { return }
    i = 0
    while i < core.pointee.counterCount {
      core.pointee.counters[i].advance()
      i += 1
    }
  }

  /// Takes the outputs apart and remembers them. - Returns: a fault or 0.
  @_noLocks
  private func takeActions() -> Int32 {
    let last = core.pointee.lastActions
    last.shift()
    var fault: Int32 = 0
    var i = 0
    while i < core.pointee.actionCount {
      let a = core.pointee.actions + i
      let bad = a.take(self, step: 0)
      if bad >= 0 && fault == 0 {
        fault = Fault.action
        name(-1, Int(core.pointee.robotIndex[Int(a.pointee.joints[bad])]), a.pointee.action[bad], 0)
        core.pointee.report.model = Int32(truncatingIfNeeded: a.pointee.model)
        core.pointee.report.action = Int32(truncatingIfNeeded: i)
      }
      if a.pointee.remembered >= 0 { remember(a, last) }
      a.begin(self)
      i += 1
    }
    return fault
  }

  /// The newest action, as last_action terms show it.
  @_noLocks @_optimize(speed)
  private func remember(_ a: UnsafeMutablePointer<ActionSlot>, _ last: LastActions) {
    guard let from = (core.pointee.models + a.pointee.model).pointee.session.output(a.pointee.output) else { return }
    let (count, index, action, at) = (a.pointee.count, a.pointee.index, a.pointee.action, a.pointee.remembered)
    let (size, type) = (a.pointee.elementSize, a.pointee.type)
    if let raw = last.raw {
      var k = 0
      while k < count {
        let e = Int(index[k])
        let place = from + e * size
        raw[at + e] = type == 1 ? Double(place.loadUnaligned(as: Float.self)) : loadElement(place, type)
        k += 1
      }
    }
    if let clipped = last.clipped { keep(action, index, count, clipped + at) }
    if let applied = last.applied { keep(action, index, count, applied + at) }
  }

  @_noLocks
  private func keep(
    _ action: UnsafeMutablePointer<Double>, _ index: UnsafeMutablePointer<Int32>, _ count: Int,
    _ stage: UnsafeMutablePointer<Double>
  ) {
    var k = 0
    while k < count {
      stage[Int(index[k])] = action[k]
      k += 1
    }
  }

  /// The next step of outputs that play several.
  @_noLocks
  private func takeChunks() {
    var i = 0
    while i < core.pointee.actionCount {
      let a = core.pointee.actions + i
      if a.pointee.chunk > 1 {
        _ = a.take(self, step: core.pointee.step < a.pointee.chunk ? core.pointee.step : a.pointee.chunk - 1)
      }
      i += 1
    }
  }
}
