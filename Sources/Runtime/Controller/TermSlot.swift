import Platform

/// One value of an observation and what happens to it.
struct TermSlot {
  /// How the value is found.
  enum Source: UInt8 {
    /// Numbers that lie in memory: signals, commands, constants, last actions, targets, references.
    case values
    case gravity, euler
    case difference, relativeOrientation
    case clock
    case modelOutput
    case vector
    case anchorPosition, anchorOrientation
  }

  var source = Source.values
  var count: Int
  /// Where the values lie; `index` picks some of them.
  var values: UnsafeMutablePointer<Double>?
  var other: UnsafeMutablePointer<Double>?
  var index: UnsafeMutablePointer<Int32>?
  /// Subtracted as part of the value: the default pose.
  var minus: UnsafeMutablePointer<Double>?
  /// Values that are 0 whatever was measured.
  var zero: UnsafeMutablePointer<Bool>?
  var normalize = AffineTable()
  var offset: UnsafeMutablePointer<Double>?
  var zeroWhen: ConditionSlot?
  var scale: UnsafeMutablePointer<Double>?
  var clip = BoundTable()
  var scalesFirst = false
  /// Entries row * 3 + column of a rotation matrix.
  var entries: UnsafeMutablePointer<Int32>?
  var clock: UnsafeMutablePointer<ClockSlot>?
  /// Per function: 0 sine, 1 cosine.
  var functions: UnsafeMutablePointer<Int32>?
  var functionCount = 0
  /// Model and output, or a vector.
  var model = 0
  var output = 0
  var vector = 0
  /// Column of the frame that this term writes.
  var column = 0
  /// What fills the history: 0 zeros, 1 the first value, 2 the value at the reset.
  var fill: UInt8 = 1
  var isFilled = false
}

// behind a pointer: a method of the struct would copy all of it for every call
extension UnsafeMutablePointer where Pointee == TermSlot {
  /// The value, before anything happens to it. `x` has `count` elements.
  @_noLocks @_optimize(speed)
  func value(_ c: ControllerHandle, _ x: UnsafeMutablePointer<Double>) {
    let count = pointee.count
    switch pointee.source {
    case .values:
      guard let values = pointee.values else { return }
      if let index = pointee.index {
        var i = 0
        while i < count {
          x[i] = values[Int(index[i])]
          i += 1
        }
      } else {
        eff_copy(x, values, count * 8)
      }
    case .gravity:
      guard let values = pointee.values else { return }
      let r = Rotation(values)
      (x[0], x[1], x[2]) = (-r.m.6, -r.m.7, -r.m.8)
    default: rareValue(c, x)
    }
    if let minus = pointee.minus {
      var i = 0
      while i < count {
        x[i] -= minus[i]
        i += 1
      }
    }
    if let zero = pointee.zero {
      var i = 0
      while i < count {
        if zero[i] { x[i] = 0 }
        i += 1
      }
    }
  }

  @_noLocks @inline(never)
  private func rareValue(_ c: ControllerHandle, _ x: UnsafeMutablePointer<Double>) {
    let count = pointee.count
    switch pointee.source {
    case .values, .gravity: return
    case .euler:
      guard let values = pointee.values else { return }
      let e = Rotation(values).euler()
      (x[0], x[1], x[2]) = (e.roll, e.pitch, e.yaw)
    case .difference:
      guard let values = pointee.values, let other = pointee.other else { return }
      var i = 0
      while i < count {
        x[i] = values[i] - other[i]
        i += 1
      }
    case .relativeOrientation:
      guard let values = pointee.values, let other = pointee.other else { return }
      pick(Rotation(values).times(Rotation(other).transposed()), x)
    case .clock: clockValue(x)
    case .modelOutput:
      let m = c.core.pointee.models + pointee.model
      guard m.pointee.hasRun, let p = m.pointee.session.output(pointee.output) else {
        eff_zero(x, count * 8)
        return
      }
      let type = (m.pointee.outputs + pointee.output).pointee.type
      let size = (m.pointee.outputs + pointee.output).pointee.elementSize
      var i = 0
      while i < count {
        x[i] = loadElement(p + i * size, type)
        i += 1
      }
    case .vector:
      let v = c.core.pointee.vectors + pointee.vector
      v.pointee.build(c)
      var i = 0
      while i < count {
        x[i] = Double(v.pointee.values[i])
        i += 1
      }
    case .anchorPosition: c.core.pointee.motion.anchorPosition(x)
    case .anchorOrientation: pick(c.core.pointee.motion.anchorOrientation(), x)
    }
  }

  @_noLocks
  private func pick(_ r: Rotation, _ x: UnsafeMutablePointer<Double>) {
    guard let entries = pointee.entries else { return }
    let count = pointee.count
    var i = 0
    while i < count {
      x[i] = r.entry(Int(entries[i]) / 3, Int(entries[i]) % 3)
      i += 1
    }
  }

  /// All phases of the first function, then all of the second.
  @_noLocks
  private func clockValue(_ x: UnsafeMutablePointer<Double>) {
    guard let clock = pointee.clock, let functions = pointee.functions else { return }
    let phases = clock.pointee.count
    var at = 0
    var f = 0
    while f < pointee.functionCount {
      var i = 0
      while i < phases {
        if clock.pointee.hasBefore && !clock.pointee.hasAdvanced {
          x[at] = clock.pointee.before
        } else {
          let angle = 2 * Double.pi * clock.pointee.shown[i]
          x[at] = functions[f] == 0 ? eff_sin(angle) : eff_cos(angle)
        }
        at += 1
        i += 1
      }
      f += 1
    }
  }

  /// Value, normalize, offset, clip and scale.
  @_noLocks @_optimize(speed)
  func compute(_ c: ControllerHandle, _ x: UnsafeMutablePointer<Double>) {
    let count = pointee.count
    value(c, x)
    if pointee.normalize.subtract != nil { pointee.normalize.forward(x, count) }
    if let offset = pointee.offset {
      var i = 0
      while i < count {
        x[i] += offset[i]
        i += 1
      }
    }
    if let zeroWhen = pointee.zeroWhen, zeroWhen.isSmall() { eff_zero(x, count * 8) }
    if !pointee.scalesFirst { pointee.clip.clamp(x, count) }
    if let scale = pointee.scale {
      var i = 0
      while i < count {
        x[i] *= scale[i]
        i += 1
      }
    }
    if pointee.scalesFirst { pointee.clip.clamp(x, count) }
  }
}

/// Terms with a common history: a term of a term-major vector, or all terms of a time-major one. Rows are frames; every
/// frame is written twice, `depth` rows apart, so that the frames of any span of ages lie one behind the other.
struct BlockSlot {
  var terms: UnsafeMutablePointer<TermSlot>
  var termCount: Int
  /// Values of a frame, and frames kept.
  var width: Int
  var depth: Int
  var ring: UnsafeMutablePointer<Float>
  var head = 0
  /// Spans of ages that lie one behind the other: the oldest, and how many.
  var spans: UnsafeMutablePointer<Int32>
  var spanCount: Int
  /// Where the first value goes in the vector, and which place it has in the vector's frame.
  var start: Int
  var frameStart: Int

  @_noLocks
  mutating func reset() {
    eff_zero(ring, 2 * depth * width * 4)
    head = 0
    var t = 0
    while t < termCount {
      (terms + t).pointee.isFilled = false
      t += 1
    }
  }

  /// Computes the terms that are filled at the reset itself, and fills their histories.
  @_noLocks
  func fillAtReset(_ c: ControllerHandle, _ clip: BoundTable) {
    var t = 0
    while t < termCount {
      if (terms + t).pointee.fill == 2 {
        compute(c, t, clip)
        fill(c, t)
      }
      t += 1
    }
  }

  @_noLocks @inline(__always)
  private func compute(_ c: ControllerHandle, _ t: Int, _ clip: BoundTable) {
    let x = c.core.pointee.scratch
    (terms + t).compute(c, x)
    clip.clamp(x, (terms + t).pointee.count, from: frameStart + (terms + t).pointee.column)
  }

  @_noLocks
  private func fill(_ c: ControllerHandle, _ t: Int) {
    let x = c.core.pointee.scratch
    var row = 0
    while row < 2 * depth {
      let to = ring + row * width + (terms + t).pointee.column
      var i = 0
      while i < (terms + t).pointee.count {
        to[i] = Float(x[i])
        i += 1
      }
      row += 1
    }
    (terms + t).pointee.isFilled = true
  }

  /// Pushes this tick's frame.
  @_noLocks @_optimize(speed)
  mutating func push(_ c: ControllerHandle, _ clip: BoundTable) {
    head = head + 1 < depth ? head + 1 : 0
    let row = ring + head * width
    var t = 0
    while t < termCount {
      compute(c, t, clip)
      if (terms + t).pointee.fill == 1 && !(terms + t).pointee.isFilled {
        fill(c, t)
      } else {
        let x = c.core.pointee.scratch
        let to = row + (terms + t).pointee.column
        let count = (terms + t).pointee.count
        var i = 0
        while i < count {
          to[i] = Float(x[i])
          i += 1
        }
      }
      t += 1
    }
    eff_copy(ring + (head + depth) * width, row, width * 4)
  }

  /// Lays the frames out. Age a is row head + depth - a.
  @_noLocks
  func lay(_ to: UnsafeMutablePointer<Float>) {
    var at = to + start
    var s = 0
    while s < spanCount {
      let oldest = Int(spans[2 * s])
      let frames = Int(spans[2 * s + 1])
      eff_copy(at, ring + (head + depth - oldest) * width, frames * width * 4)
      at += frames * width
      s += 1
    }
  }
}

struct VectorSlot {
  var blocks: UnsafeMutablePointer<BlockSlot>
  var blockCount: Int
  /// `[count]`, as the last run saw it.
  var values: UnsafeMutablePointer<Float>
  var count: Int
  /// Bounds of the whole frame.
  var clip = BoundTable()
  var startsWithZeros = false
  /// The run that built it.
  var run: UInt64 = 0
  var name: UnsafePointer<CChar>?

  @_noLocks
  mutating func reset() {
    eff_zero(values, count * 4)
    var b = 0
    while b < blockCount {
      blocks[b].reset()
      b += 1
    }
  }

  @_noLocks
  func fillAtReset(_ c: ControllerHandle) {
    var b = 0
    while b < blockCount {
      blocks[b].fillAtReset(c, clip)
      b += 1
    }
  }

  /// Computes this run's observation, once. The first run after a reset may see zeros, and then the frame is not
  /// remembered either.
  @_noLocks
  mutating func build(_ c: ControllerHandle) {
    if run == c.core.pointee.run { return }
    run = c.core.pointee.run
    if c.core.pointee.isPriming || (startsWithZeros && c.core.pointee.isFirstRun) {
      eff_zero(values, count * 4)
      return
    }
    var b = 0
    while b < blockCount {
      blocks[b].push(c, clip)
      blocks[b].lay(values)
      b += 1
    }
  }
}
