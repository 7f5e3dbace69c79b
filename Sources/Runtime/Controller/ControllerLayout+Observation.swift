import Base
import Card
import Platform

extension ControllerLayout {
  mutating func buildCommands() throws(Failure) {
    commands = try cursor.table(card.commands.count, of: CommandSlot.self)
    for (i, c) in card.commands.enumerated() {
      let what = "command '" + c.name + "'"
      let n = c.fields.count
      var unit = ""
      for k in 0..<n { unit += (k == 0 ? "" : ", ") + (k < c.units.count ? c.units[k] ?? "" : "") }
      if !c.units.contains(where: { $0 != nil }) { unit = "" }
      // a command that nothing reads needs no signal
      let signal = isRead(c.name) ? try need(c.signal, count: n, unit: unit, what) : (try cursor.doubles(n), n)
      guard signal.1 == n else {
        throw Failure(.shape, "\(what): the signal '\(c.signal)' has \(signal.1) values, the command has \(n) fields")
      }
      let initial = c.initial == nil ? try cursor.doubles(n) : try table(c.initial!, n, what + " init")
      var slot = CommandSlot(signal: signal.0, values: try cursor.doubles(n), count: n, initial: initial)
      if !c.range.isEmpty && (c.clamp || options.clamps & GuardFlag.command != 0) {
        var bounds = BoundTable()
        let (lower, upper) = (try cursor.doubles(n), try cursor.doubles(n))
        for k in 0..<n {
          let interval = k < c.range.count ? c.range[k] : nil
          (lower[k], upper[k]) = (interval?.lower ?? -Double.infinity, interval?.upper ?? Double.infinity)
        }
        (bounds.lower, bounds.upper) = (lower, upper)
        if c.clamp { slot.bounds = bounds } else { slot.guardBounds = bounds }
      }
      if let slew = c.slew {
        let p = try table(slew, n, what + " slew")
        for k in 0..<n { p[k] *= policyPeriod }
        slot.slew = p
      }
      (commands + i).initialize(to: slot)
    }
  }

  /// Whether a term, a clock, a network or an action reads a command.
  private func isRead(_ command: String) -> Bool {
    for v in card.vectors {
      for t in v.terms where t.command == command || t.zeroWhen?.command == command { return true }
    }
    for k in card.clocks {
      if k.frequencyFrom?.command == command || k.frequencyRamp?.command == command || k.phasesCommand == command {
        return true
      }
      if k.stand?.condition.command == command || k.zeroFrequencyAfter?.command == command { return true }
    }
    for m in card.models {
      for i in m.inputs where i.source == .command(command) { return true }
    }
    for a in card.actions {
      if case .command(let name, _) = a.offset, name == command { return true }
    }
    return false
  }

  mutating func buildClocks() throws(Failure) {
    clocks = try cursor.table(card.clocks.count, of: ClockSlot.self)
    for (i, k) in card.clocks.enumerated() {
      let what = "clock '" + k.name + "'"
      let isFromFields = !k.phasesFrom.isEmpty
      let count = isFromFields ? k.phasesFrom.count : k.phases.count
      guard count > 0 else { throw Failure(.mismatch, "\(what): it has no phases") }
      var slot = ClockSlot(
        step: policyPeriod, offsets: try cursor.doubles(isFromFields ? [Double](repeating: 0, count: count) : k.phases),
        count: count,
        standPhases: try cursor.doubles(count), shown: try cursor.doubles(count))
      if let p = k.period {
        (slot.rate, slot.number) = (.period, p)
      } else if let f = k.frequency {
        (slot.rate, slot.number) = (.frequency, f)
      } else if let f = k.frequencyFrom {
        let c = try commandIndex(f.command, what)
        (slot.rate, slot.field) = (.field, commands[c].values + (try fieldIndex(c, f.field, what)))
      } else if let r = k.frequencyRamp {
        var c = Card.Condition()
        (c.command, c.fields, c.below) = (r.command, r.fields, r.below)
        slot.rate = .ramp
        slot.norm = try condition(c, what)
        (slot.number, slot.gain, slot.limit) = (r.base, r.gain, r.limit)
      } else {
        throw Failure(.mismatch, "\(what): neither period nor frequency is known")
      }
      guard slot.rate != .period || slot.number > 0 else {
        throw Failure(.mismatch, "\(what): the period is \(decimal(slot.number)) s")
      }
      if isFromFields {
        let c = try commandIndex(k.phasesCommand, what)
        var fields: [Int] = []
        var ends: [Int] = []
        for list in k.phasesFrom {
          for f in list { fields.append(try fieldIndex(c, f, what)) }
          ends.append(fields.count)
        }
        (slot.offsetFields, slot.offsetEnds, slot.offsetValues) = (
          try cursor.indices(fields), try cursor.indices(ends), commands[c].values
        )
      }
      slot.isTime = k.kind == .time
      slot.advance =
        k.kind == .time ? .none : (k.advance == .beforeUse ? .beforeUse : (k.advance == .afterUse ? .afterUse : .none))
      slot.startsAboveOne = k.wrap == .zeroAboveOne
      slot.advancesAtReset = Int32(truncatingIfNeeded: min(max(k.advancesAtReset, 0), 1_000_000))
      slot.skipsFirst = !k.advanceOnFirstTick
      slot.isLatched = k.latchOutput
      if let before = k.outputBeforeFirstAdvance { (slot.before, slot.hasBefore) = (before, true) }
      slot.initial = k.initial
      if let s = k.stand {
        slot.stand = try condition(s.condition, what + " stand")
        guard s.phases.count == count else {
          throw Failure(.shape, "\(what): stand has \(s.phases.count) phases, expected \(count)")
        }
        for p in 0..<count { slot.standPhases[p] = s.phases[p] }
        slot.restarts = s.resume == .restart
      }
      if let z = k.zeroFrequencyAfter { slot.zeroAfter = try condition(z, what + " zero_frequency_after") }
      (clocks + i).initialize(to: slot)
    }
    // the clock of the ticks stands in where the caller binds no time
    if card.clocks.contains(where: { $0.kind == .time }) { _ = try need("time", isOptional: true, "clock") }
  }

  // MARK: vectors

  mutating func buildVectors() throws(Failure) -> UnsafeMutablePointer<VectorSlot> {
    let vectors = try cursor.table(card.vectors.count, of: VectorSlot.self)
    for (i, v) in card.vectors.enumerated() {
      let what = "vector '" + v.name + "'"
      guard !v.terms.isEmpty else { throw Failure(.mismatch, "\(what): it has no terms") }
      var frame = 0
      for t in v.terms {
        guard t.size > 0, t.size < 1 << 24, frame < 1 << 24 else {
          throw Failure(.shape, "\(what), term '\(t.name)': size is \(t.size)")
        }
        frame += t.size
      }
      guard v.count < 1 << 28 else { throw Failure(.memory, "\(what): it has too many values") }
      let isTimeMajor = v.layout == .timeMajor
      var blocks: [BlockSlot] = []
      let terms = try cursor.table(v.terms.count, of: TermSlot.self)
      var (start, column) = (0, 0)
      for (k, t) in v.terms.enumerated() {
        var slot = try term(t, "\(what), term '" + t.name + "'", vector: i)
        slot.column = isTimeMajor ? column : 0
        (terms + k).initialize(to: slot)
        widestTerm = max(widestTerm, t.size)
        if isTimeMajor {
          guard t.ages == v.terms[0].ages else {
            throw Failure(
              .mismatch,
              "\(what): it is time_major, and the ages of term '\(t.name)' differ from those of '\(v.terms[0].name)'")
          }
        } else {
          blocks.append(
            try block(
              terms + k, 1, width: t.size, ages: t.ages, start: start, frameStart: column,
              what + ", term '" + t.name + "'"))
          start += t.count
        }
        column += t.size
      }
      if isTimeMajor {
        blocks.append(
          try block(terms, v.terms.count, width: frame, ages: v.terms[0].ages, start: 0, frameStart: 0, what))
      }
      let slots = try cursor.table(blocks.count, of: BlockSlot.self)
      for (b, slot) in blocks.enumerated() { (slots + b).initialize(to: slot) }
      let count = v.count
      var slot = VectorSlot(blocks: slots, blockCount: blocks.count, values: try cursor.floats(count), count: count)
      slot.clip = try table(v.clip, frame, what + " clip")
      slot.startsWithZeros = v.firstTickZeros
      (vectors + i).initialize(to: slot)
    }
    return vectors
  }

  private mutating func block(
    _ terms: UnsafeMutablePointer<TermSlot>, _ count: Int, width: Int, ages: [Int], start: Int, frameStart: Int,
    _ what: String
  ) throws(Failure) -> BlockSlot {
    guard let oldest = ages.max(), let newest = ages.min(), newest >= 0, oldest < 100_000 else {
      throw Failure(.mismatch, "\(what): ages must be 0 to 99999")
    }
    var spans: [Int] = []
    var i = 0
    while i < ages.count {
      var k = i + 1
      while k < ages.count && ages[k] == ages[k - 1] - 1 { k += 1 }
      spans += [ages[i], k - i]
      i = k
    }
    let depth = oldest + 1
    let (size, overflow) = (2 * depth).multipliedReportingOverflow(by: width)
    guard !overflow, size < 1 << 30 else {
      throw Failure(.memory, "\(what): \(depth) frames of \(width) values are too many")
    }
    return BlockSlot(
      terms: terms, termCount: count, width: width, depth: depth, ring: try cursor.floats(size),
      spans: try cursor.indices(spans),
      spanCount: spans.count / 2, start: start, frameStart: frameStart)
  }

  private mutating func term(_ t: Card.Term, _ what: String, vector: Int) throws(Failure) -> TermSlot {
    var s = TermSlot(count: t.size)
    try value(t, what, vector: vector, &s)
    s.normalize = try table(t.normalize, t.size, isInverse: false, what + " normalize")
    if let offset = t.offset { s.offset = try table(offset, t.size, what + " offset") }
    if let z = t.zeroWhen { s.zeroWhen = try condition(z, what + " zero_when") }
    if t.scale != .all(1) { s.scale = try table(t.scale, t.size, what + " scale") }
    s.clip = try table(t.clip, t.size, what + " clip")
    s.scalesFirst = t.scaleFirst
    s.fill = t.fill == .zero ? 0 : (t.fill == .first ? 1 : 2)
    return s
  }

  private func expect(_ t: Card.Term, _ count: Int, _ what: String) throws(Failure) {
    guard t.size == count else {
      throw Failure(.shape, "\(what): size is \(t.size), but \(t.operation.text) gives \(count) values")
    }
  }

  private mutating func value(_ t: Card.Term, _ what: String, vector: Int, _ s: inout TermSlot) throws(Failure) {
    switch t.operation {
    case .baseLinearVelocity:
      try expect(t, 3, what)
      s.values = try need("base.linear_velocity", what).values
    case .baseAngularVelocity:
      try expect(t, 3, what)
      s.values = try need("base.angular_velocity", what).values
    case .projectedGravity:
      try expect(t, 3, what)
      s.source = .gravity
      s.values = try need("base.orientation", what).values
    case .baseEulerXyz:
      try expect(t, 3, what)
      s.source = .euler
      s.values = try need("base.orientation", what).values
    case .baseHeight:
      try expect(t, 1, what)
      s.values = try need("base.position", what).values + 2
    case .jointPosition, .jointVelocity, .jointEffort, .previousTarget:
      let list = try joints(t.joints, what)
      try expect(t, list.count, what)
      switch t.operation {
      case .jointPosition: s.values = try need("joint.position", what).values
      case .jointVelocity: s.values = try need("joint.velocity", what).values
      case .jointEffort: s.values = try need("joint.effort", what).values
      default: s.values = lastTargets
      }
      s.index = try cursor.indices(list)
      if t.minusDefault { s.minus = try defaults(list, what) }
      if !t.zero.isEmpty {
        var flags = [Bool](repeating: false, count: list.count)
        for z in t.zero {
          let j = try joint(z, what + " zero")
          var isThere = false
          for (i, l) in list.enumerated() where l == j { (flags[i], isThere) = (true, true) }
          guard isThere else { throw Failure(.mismatch, "\(what): zero names '\(z)', which is not among its joints") }
        }
        s.zero = try cursor.flags(flags)
      }
    case .lastAction:
      guard t.age >= 0, t.age < lastActions.depth else { throw Failure(.mismatch, "\(what): age is \(t.age)") }
      var (start, width) = (0, lastActions.width)
      if t.model != "" {
        let m = try modelIndex(t.model, what)
        let own = heads.filter { $0.model == m }
        (start, width) = (own.first?.start ?? 0, own.reduce(0) { $0 + $1.width })
      }
      try expect(t, width, what)
      let stage = t.of == .raw ? lastActions.raw : (t.of == .clipped ? lastActions.clipped : lastActions.applied)
      s.values = stage.map { $0 + t.age * lastActions.width + start }
    case .command:
      let c = try commandIndex(t.command, what)
      let list = try fieldIndices(c, t.fields, what)
      try expect(t, list.count, what)
      (s.values, s.index) = (commands[c].values, try cursor.indices(list))
    case .clock:
      var found = -1
      for (i, k) in card.clocks.enumerated() where k.name == t.clock { found = i }
      guard found >= 0 else { throw Failure(.mismatch, "\(what): there is no clock '\(t.clock)'") }
      try expect(t, t.functions.count * clocks[found].count, what)
      (s.source, s.clock, s.functionCount) = (.clock, clocks + found, t.functions.count)
      s.functions = try cursor.indices(t.functions.map { $0 == .sin ? 0 : 1 })
    case .constant:
      guard let v = t.value else { throw Failure(.mismatch, "\(what): a constant without a value") }
      s.values = try table(v, t.size, what + " value")
    case .signal:
      s.values = try need(t.signal, count: t.size, what).values
      if t.signal.begins(with: "joint.") {
        let list = try joints(t.joints, what)
        try expect(t, list.count, what)
        s.index = try cursor.indices(list)
      } else {
        try expect(t, try need(t.signal, count: t.size, what).count, what)
      }
    case .heightScan:
      s.values = try need(t.signal == "" ? "height_scan" : t.signal, count: t.size, unit: "m", what).values
    case .signalDifference:
      s.source = .difference
      s.values = try need(t.signal, count: t.size, what).values
      s.other = try need(t.relativeTo, count: t.size, what).values
    case .relativeOrientation:
      s.source = .relativeOrientation
      s.values = try need(t.signal, count: 4, what).values
      s.other = try need(t.relativeTo, count: 4, what).values
      s.entries = try entries(t, what)
    case .referenceJointPositionVelocity:
      let list = try joints(t.joints, what)
      try expect(t, 2 * list.count, what)
      let order = card.motion.map { $0.joints.isEmpty ? card.jointOrder : $0.joints } ?? card.jointOrder
      var index: [Int] = []
      for j in list {
        guard let place = order.firstIndex(of: card.jointOrder[j]) else {
          throw Failure(.mismatch, "\(what): the motion has no joint '\(card.jointOrder[j])'")
        }
        index.append(place)
      }
      // one table of both, so that a term is one gather
      let both = try pair(.jointPosition, .jointVelocity, order.count, what)
      s.values = both
      s.index = try cursor.indices(index + index.map { $0 + order.count })
    case .referenceAnchorPosition:
      try expect(t, 3, what)
      s.source = .anchorPosition
    case .referenceAnchorOrientation6D:
      s.source = .anchorOrientation
      s.entries = try entries(t, what)
    case .modelOutput:
      let m = try modelIndex(t.model, what)
      let o = try outputIndex(m, t.output, what)
      let count = policies[m].plan.outputs[o].shape.reduce(1, *)
      try expect(t, count, what)
      (s.source, s.model, s.output) = (.modelOutput, m, o)
    case .vector:
      var found = -1
      for (i, v) in card.vectors.enumerated() where v.name == t.vector { found = i }
      guard found >= 0 else { throw Failure(.mismatch, "\(what): there is no vector '\(t.vector)'") }
      guard found < vector else {
        throw Failure(.mismatch, "\(what): the vector '\(t.vector)' must come before this one")
      }
      try expect(t, card.vectors[found].count, what)
      (s.source, s.vector) = (.vector, found)
    }
  }

  private mutating func entries(_ t: Card.Term, _ what: String) throws(Failure) -> UnsafeMutablePointer<Int32> {
    guard t.layout.count == t.size else {
      throw Failure(.shape, "\(what): layout has \(t.layout.count) entries, size is \(t.size)")
    }
    var out: [Int] = []
    for e in t.layout {
      guard e.row >= 0, e.row < 3, e.column >= 0, e.column < 3 else {
        throw Failure(.mismatch, "\(what): layout names an entry outside a 3 x 3 matrix")
      }
      out.append(3 * e.row + e.column)
    }
    return try cursor.indices(out)
  }

  /// The values of two parts of the motion, one behind the other.
  private mutating func pair(_ a: Card.Reference, _ b: Card.Reference, _ count: Int, _ what: String) throws(Failure)
    -> UnsafeMutablePointer<Double>
  {
    for r in references where r.part == a { return r.values }
    let both = try cursor.doubles(2 * count)
    references.append((a, both, count))
    references.append((b, both + count, count))
    return both
  }

  /// The values of a part of the motion.
  mutating func reference(_ part: Card.Reference, _ count: Int, _ what: String) throws(Failure) -> UnsafeMutablePointer<
    Double
  > {
    for r in references where r.part == part {
      guard r.count == count else {
        throw Failure(.shape, "\(what): \(part.text) has \(count) values, expected \(r.count)")
      }
      return r.values
    }
    let values = try cursor.doubles(count)
    references.append((part, values, count))
    return values
  }
}
