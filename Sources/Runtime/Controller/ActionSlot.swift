import Platform

/// What an output of a network means for joints.
struct ActionSlot {
  enum Kind: UInt8 { case position, velocity, effort, increment }

  /// What its values are before `post`; and the kind of target that it writes.
  var kind = Kind.position
  var target = TargetKind.position
  var model: Int
  var output: Int
  var type: Int32
  var elementSize: Int
  /// Values of one step of the output, and steps played one per control tick (0: one is held).
  var width: Int
  var chunk: Int
  /// Joints, `[count]`: which element, and which joint of the card.
  var count: Int
  var index: UnsafeMutablePointer<Int32>
  var joints: UnsafeMutablePointer<Int32>
  var clipRaw = BoundTable()
  var unnormalize = AffineTable()
  var scale: UnsafeMutablePointer<Double>
  var offset: UnsafeMutablePointer<Double>
  /// Fields of a command instead of `offset`.
  var offsetIndex: UnsafeMutablePointer<Int32>?
  var addsState: UnsafeMutablePointer<Bool>?
  var clip = BoundTable()
  var limits = BoundTable()
  /// Largest change per control tick.
  var rate: UnsafeMutablePointer<Double>?
  var posts: UnsafeMutablePointer<PostSlot>
  var postCount: Int
  /// Place of the output's first value among all raw actions; -1: it is not remembered.
  var remembered: Int
  /// Whether last actions show what the clamps of `post` leave.
  var remembersApplied: Bool
  /// Gains that a network gives: output of the same model, or -1.
  var kpOutput = -1
  var kdOutput = -1

  // state, `[count]`
  /// The action of this step after clip_raw; clamps of `post` may change it.
  var action: UnsafeMutablePointer<Double>
  /// Measured positions at the time of the run, and the last targets then.
  var state: UnsafeMutablePointer<Double>
  var base: UnsafeMutablePointer<Double>
  var x: UnsafeMutablePointer<Double>

  @_noLocks
  mutating func reset() {
    eff_zero(action, count * 8)
    var i = 0
    while i < postCount {
      posts[i].reset()
      i += 1
    }
  }
}

// behind a pointer: a method of the struct would copy all of it for every call
extension UnsafeMutablePointer where Pointee == ActionSlot {
  /// Values of step `step` of the output. - Returns: place of the first that is not finite, or -1.
  @_noLocks @_optimize(speed)
  func take(_ c: ControllerHandle, step: Int) -> Int {
    guard let from = (c.core.pointee.models + pointee.model).pointee.session.output(pointee.output) else { return -1 }
    let (count, index, action) = (pointee.count, pointee.index, pointee.action)
    let base = step * pointee.width
    var i = 0
    var check = FiniteCheck()
    if pointee.type == 1 {
      let values = from.assumingMemoryBound(to: Float.self)
      while i < count {
        let value = Double(values[base + Int(index[i])])
        action[i] = value
        check.add(value)
        i += 1
      }
    } else {
      let (type, size) = (pointee.type, pointee.elementSize)
      while i < count {
        let value = loadElement(from + (base + Int(index[i])) * size, type)
        action[i] = value
        check.add(value)
        i += 1
      }
    }
    var bad = -1
    if !check.isFinite {
      bad = 0
      while bad < count && action[bad].isFinite { bad += 1 }
    }
    pointee.clipRaw.clamp(action, count)
    return bad
  }

  /// What the run of this tick means for the ticks until the next one.
  @_noLocks
  func begin(_ c: ControllerHandle) {
    let (count, joints) = (pointee.count, pointee.joints)
    if pointee.addsState != nil, let measured = c.core.pointee.position {
      var i = 0
      while i < count {
        pointee.state[i] = measured[Int(joints[i])]
        i += 1
      }
    }
    if pointee.kind == .increment {
      var i = 0
      while i < count {
        pointee.base[i] = c.core.pointee.lastTargets[Int(joints[i])]
        i += 1
      }
    }
  }

  /// From the action to the target of this tick, in `x` and in the controller's targets.
  @_noLocks @_optimize(speed)
  func write(_ c: ControllerHandle) {
    let (count, joints, x) = (pointee.count, pointee.joints, pointee.x)
    let (kind, last) = (pointee.kind, c.core.pointee.lastTargets)
    eff_copy(x, pointee.action, count * 8)
    if pointee.unnormalize.subtract != nil { pointee.unnormalize.backward(x, count) }
    let (scale, offset) = (pointee.scale, pointee.offset)
    var i = 0
    if let index = pointee.offsetIndex {
      while i < count {
        x[i] = x[i] * scale[i] + offset[Int(index[i])]
        i += 1
      }
    } else {
      while i < count {
        x[i] = x[i] * scale[i] + offset[i]
        i += 1
      }
    }
    if let adds = pointee.addsState {
      i = 0
      while i < count {
        if adds[i] { x[i] += pointee.state[i] }
        i += 1
      }
    }
    if kind == .increment {
      i = 0
      while i < count {
        x[i] += pointee.chunk > 0 ? last[Int(joints[i])] : pointee.base[i]
        i += 1
      }
    }
    pointee.clip.clamp(x, count)
    pointee.limits.clamp(x, count)
    if let rate = pointee.rate {
      i = 0
      while i < count {
        let from = last[Int(joints[i])]
        let change = x[i] - from
        x[i] = from + bounded(change, -rate[i], rate[i])
        i += 1
      }
    }
    if kind == .position || kind == .increment {
      i = 0
      while i < count {
        last[Int(joints[i])] = x[i]
        i += 1
      }
    }
    var p = 0
    while p < pointee.postCount {
      pointee.posts[p].apply(c, self)
      p += 1
    }
    let targets = c.core.pointee.targets[pointee.target].values
    i = 0
    while i < count {
      targets[Int(joints[i])] = x[i]
      i += 1
    }
    if pointee.kpOutput >= 0 { takeGains(c, pointee.kpOutput, TargetKind.kp) }
    if pointee.kdOutput >= 0 { takeGains(c, pointee.kdOutput, TargetKind.kd) }
  }

  @_noLocks
  private func takeGains(_ c: ControllerHandle, _ output: Int, _ kind: Int) {
    let m = c.core.pointee.models + pointee.model
    guard let from = m.pointee.session.output(output) else { return }
    let slot = m.pointee.outputs + output
    let values = c.core.pointee.targets[kind].values
    let count = pointee.count
    var i = 0
    while i < count {
      // as many gains as joints, or as the output that the action is taken from
      let e = slot.pointee.count == count ? i : Int(pointee.index[i])
      values[Int(pointee.joints[i])] = loadElement(from + e * slot.pointee.elementSize, slot.pointee.type)
      i += 1
    }
  }

  @_noLocks @inline(__always)
  func offsetValue(_ i: Int) -> Double {
    if let index = pointee.offsetIndex { return pointee.offset[Int(index[i])] }
    return pointee.offset[i]
  }

  /// The action that gives target `target` of joint `i`.
  @_noLocks @inline(__always)
  func inverse(_ i: Int, _ target: Double) -> Double {
    pointee.scale[i] == 0 ? 0 : (target - offsetValue(i)) / pointee.scale[i]
  }
}

/// What `post` needs of an action.
private struct ActionView {
  let slot: UnsafeMutablePointer<ActionSlot>
  let count: Int
  let joints: UnsafeMutablePointer<Int32>
  let index: UnsafeMutablePointer<Int32>
  let action: UnsafeMutablePointer<Double>
  let x: UnsafeMutablePointer<Double>
  let remembered: Int
  let remembersApplied: Bool

  @_noLocks @inline(__always)
  init(_ slot: UnsafeMutablePointer<ActionSlot>) {
    self.slot = slot
    (count, joints, index, action) = (slot.pointee.count, slot.pointee.joints, slot.pointee.index, slot.pointee.action)
    (x, remembered, remembersApplied) = (slot.pointee.x, slot.pointee.remembered, slot.pointee.remembersApplied)
  }

  @_noLocks @inline(__always)
  func inverse(_ i: Int, _ target: Double) -> Double { slot.inverse(i, target) }
}

/// One step between target and robot, at the control rate.
struct PostSlot {
  enum Operation: UInt8 { case torqueBand, velocityBand, firstOrder, secondOrder, torque, blend }

  var operation = Operation.torque
  var limit: UnsafeMutablePointer<Double>?
  var kp: UnsafeMutablePointer<Double>
  var kd: UnsafeMutablePointer<Double>
  var alpha = 0.0
  /// y = b0 x + b1 x1 + b2 x2 - a1 y1 - a2 y2.
  var b0 = 0.0, b1 = 0.0, b2 = 0.0, a1 = 0.0, a2 = 0.0
  /// Where a filter starts: values, or nil for the measured positions.
  var initial: UnsafeMutablePointer<Double>?
  var pose: UnsafeMutablePointer<Double>
  var perTick = 0.0

  // state: x1, x2, y1, y2, each `[count]`
  var history: UnsafeMutablePointer<Double>
  var isStarted = false
  var ticks = 0.0

  @_noLocks
  mutating func reset() { (isStarted, ticks) = (false, 0) }

  @_noLocks
  mutating func apply(_ c: ControllerHandle, _ slot: UnsafeMutablePointer<ActionSlot>) {
    let a = ActionView(slot)
    let x = a.x
    let count = a.count
    var i = 0
    switch operation {
    case .torqueBand:
      guard let limit, let q = c.core.pointee.position, let qd = c.core.pointee.velocity else { return }
      while i < count {
        let j = Int(a.joints[i])
        if kp[i] > 0 {
          let low = q[j] + (kd[i] * qd[j] - limit[i]) / kp[i]
          let high = q[j] + (kd[i] * qd[j] + limit[i]) / kp[i]
          x[i] = bounded(x[i], low, high)
        }
        // in place: the next control tick begins with what this one leaves
        a.action[i] = a.inverse(i, x[i])
        if a.remembered >= 0 && a.remembersApplied, let applied = c.core.pointee.lastActions.applied {
          applied[a.remembered + Int(a.index[i])] = a.action[i]
        }
        i += 1
      }
    case .velocityBand:
      guard let limit, let qd = c.core.pointee.velocity else { return }
      while i < count {
        let j = Int(a.joints[i])
        // remembered before this tick's clamp
        if a.remembered >= 0 && a.remembersApplied, let applied = c.core.pointee.lastActions.applied {
          applied[a.remembered + Int(a.index[i])] = a.action[i]
        }
        if kd[i] > 0 {
          let low = qd[j] - limit[i] / kd[i]
          let high = qd[j] + limit[i] / kd[i]
          x[i] = bounded(x[i], low, high)
        }
        a.action[i] = a.inverse(i, x[i])
        i += 1
      }
    case .firstOrder:
      start(c, a)
      let y = history
      while i < count {
        y[i] = alpha * x[i] + (1 - alpha) * y[i]
        x[i] = y[i]
        i += 1
      }
    case .secondOrder:
      start(c, a)
      let (x1, x2, y1, y2) = (history, history + count, history + 2 * count, history + 3 * count)
      while i < count {
        let y = b0 * x[i] + b1 * x1[i] + b2 * x2[i] - a1 * y1[i] - a2 * y2[i]
        (x2[i], x1[i]) = (x1[i], x[i])
        (y2[i], y1[i]) = (y1[i], y)
        x[i] = y
        i += 1
      }
    case .torque:
      guard let q = c.core.pointee.position else { return }
      while i < count {
        let j = Int(a.joints[i])
        var torque = kp[i] * (x[i] - q[j])
        if let qd = c.core.pointee.velocity { torque -= kd[i] * qd[j] }
        if let limit { torque = bounded(torque, -limit[i], limit[i]) }
        x[i] = torque
        i += 1
      }
    case .blend:
      ticks += 1
      let share = perTick * ticks
      if share >= 1 { return }
      while i < count {
        x[i] = pose[i] + share * (x[i] - pose[i])
        i += 1
      }
    }
  }

  @_noLocks
  private mutating func start(_ c: ControllerHandle, _ a: ActionView) {
    if isStarted { return }
    isStarted = true
    var i = 0
    while i < a.count {
      var value = 0.0
      if let initial {
        value = initial[i]
      } else if let q = c.core.pointee.position {
        value = q[Int(a.joints[i])]
      }
      history[i] = value
      history[a.count + i] = value
      history[2 * a.count + i] = value
      history[3 * a.count + i] = value
      i += 1
    }
  }
}

/// Actions that networks gave, per stage: the newest `[width]`, then older ones. Stages that no term shows are not
/// kept.
struct LastActions {
  var raw: UnsafeMutablePointer<Double>?
  var clipped: UnsafeMutablePointer<Double>?
  var applied: UnsafeMutablePointer<Double>?
  var width: Int
  var depth: Int

  @_noLocks
  func reset() {
    if let raw { eff_zero(raw, width * depth * 8) }
    if let clipped { eff_zero(clipped, width * depth * 8) }
    if let applied { eff_zero(applied, width * depth * 8) }
  }

  /// Ages all by one run.
  @_noLocks
  func shift() {
    if depth == 1 { return }
    if let raw { age(raw) }
    if let clipped { age(clipped) }
    if let applied { age(applied) }
  }

  @_noLocks
  private func age(_ stage: UnsafeMutablePointer<Double>) { eff_move(stage + width, stage, (depth - 1) * width * 8) }
}
