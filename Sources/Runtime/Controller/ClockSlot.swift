import Platform

/// A periodic phase, in cycles.
struct ClockSlot {
  /// Where the frequency comes from.
  enum Rate: UInt8 { case period, frequency, field, ramp }
  enum Advance: UInt8 { case beforeUse, afterUse, none }

  var rate = Rate.period
  /// s or Hz.
  var number = 1.0
  /// A command's field that is the frequency.
  var field: UnsafeMutablePointer<Double>?
  /// frequency = number + gain * min(norm, limit) / limit, where the norm of a command is at least `below`.
  var norm: ConditionSlot?
  var gain = 0.0
  var limit = 1.0
  /// Time between two policy ticks, s.
  var step: Double
  /// Phase = time / period instead of steps.
  var isTime = false
  var advance = Advance.beforeUse
  var startsAboveOne = false
  var advancesAtReset: Int32 = 0
  var skipsFirst = false
  var isLatched = false
  /// Shown before the first advance.
  var before = 0.0
  var hasBefore = false
  var initial = 0.0
  /// Offsets of the shown phases, `[count]`.
  var offsets: UnsafeMutablePointer<Double>
  var count: Int
  /// Offsets that are sums of a command's fields instead: fields of all phases, and where each ends.
  var offsetFields: UnsafeMutablePointer<Int32>?
  var offsetEnds: UnsafeMutablePointer<Int32>?
  var offsetValues: UnsafeMutablePointer<Double>?
  var stand: ConditionSlot?
  var standPhases: UnsafeMutablePointer<Double>
  var restarts = false
  var zeroAfter: ConditionSlot?

  // state
  var phase = 0.0
  var isStanding = false
  var hasAdvanced = false
  var wasSmall = false
  /// Whether this tick's advance is left out, since the clock has just restarted.
  var isHeld = false
  /// Phases that terms show, `[count]`.
  var shown: UnsafeMutablePointer<Double>

  @_noLocks
  mutating func reset() {
    phase = initial
    (isStanding, hasAdvanced, wasSmall, isHeld) = (false, false, false, false)
    latch()
  }

  @_noLocks
  private func frequency() -> Double {
    switch rate {
    case .period: return 1 / number
    case .frequency: return number
    case .field:
      if let field { return field.pointee }
      return number
    case .ramp:
      guard let norm else { return number }
      let size = norm.norm()
      if size < norm.below { return number }
      return number + gain * (size < limit ? size : limit) / limit
    }
  }

  /// One step of a policy tick.
  @_noLocks @inline(never)
  mutating func makeStep() {
    if isTime { return }
    phase += rate == .period ? step / number : step * frequency()
    if startsAboveOne {
      if phase > 1 { phase = 0 }
    } else {
      phase -= eff_floor(phase)
    }
    hasAdvanced = true
  }

  /// Before terms are computed: stand still or restart, advance where the clock does so before use, and what terms
  /// show.
  @_noLocks @inline(never)
  mutating func begin(time: Double, isFirst: Bool) {
    isHeld = false
    if let stand, restarts {
      if stand.isSmall() {
        isStanding = true
      } else if isStanding {
        isStanding = false
        phase = initial
        isHeld = true
      }
    }
    if advance == .beforeUse { advanceOnce(isFirst: isFirst) }
    if !isLatched { show(time: time) }
  }

  /// After the networks have run.
  @_noLocks @inline(never)
  mutating func end(time: Double, isFirst: Bool) {
    if advance == .afterUse { advanceOnce(isFirst: isFirst) }
    if let zeroAfter { wasSmall = zeroAfter.isSmall() }
  }

  @_noLocks
  private mutating func advanceOnce(isFirst: Bool) {
    if isFirst && skipsFirst { return }
    if isStanding || (isHeld && advance == .beforeUse) { return }
    makeStep()
    if isLatched { latch() }
  }

  @_noLocks
  private func latch() {
    var i = 0
    while i < count {
      shown[i] = phase + offset(i)
      i += 1
    }
  }

  @_noLocks
  private func offset(_ i: Int) -> Double {
    guard let offsetFields, let offsetEnds, let offsetValues else { return offsets[i] }
    var sum = 0.0
    var k = i == 0 ? 0 : Int(offsetEnds[i - 1])
    while k < Int(offsetEnds[i]) {
      sum += offsetValues[Int(offsetFields[k])]
      k += 1
    }
    return sum
  }

  @_noLocks @inline(never)
  mutating func show(time: Double) {
    if let stand, stand.isSmall() {
      eff_copy(shown, standPhases, count * 8)
      return
    }
    if isTime {
      let cycles = rate == .period ? time / number : time * (wasSmall && zeroAfter != nil ? 0 : frequency())
      phase = cycles - eff_floor(cycles)
    }
    latch()
  }
}
