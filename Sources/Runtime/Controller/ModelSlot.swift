import Platform

/// Where an input of a network comes from.
struct InputSlot {
  enum Source: UInt8 { case vector, memory, numbers, counter, output }

  var source = Source.numbers
  /// Index of the tensor in the policy.
  var port: Int
  var type: Int32
  var elementSize: Int
  var count: Int
  /// Vector, memory, counter, or model.
  var place = 0
  var output = 0
  /// Signals, commands and constants.
  var values: UnsafeMutablePointer<Double>?
  var index: UnsafeMutablePointer<Int32>?
  /// A copy of what the last run read, where the session's own memory does not keep it.
  var mirror: UnsafeMutableRawPointer?
}

extension UnsafeMutablePointer where Pointee == InputSlot {
  @_noLocks
  func fill(_ c: ControllerHandle, _ session: SessionHandle) {
    if pointee.source == .vector { (c.core.pointee.vectors + pointee.place).pointee.build(c) }
    guard let to = session.input(pointee.port) else { return }
    if c.core.pointee.isPriming && pointee.source != .counter && pointee.source != .memory {
      eff_zero(to, pointee.count * pointee.elementSize)
    } else {
      switch pointee.source {
      case .vector:
        let from = (c.core.pointee.vectors + pointee.place).pointee.values
        if pointee.type == 1 {
          // a vector lies where its first network reads it
          if to != UnsafeMutableRawPointer(from) { eff_copy(to, from, pointee.count * 4) }
        } else {
          var i = 0
          while i < pointee.count {
            storeElement(to + i * pointee.elementSize, pointee.type, Double(from[i]))
            i += 1
          }
        }
      case .memory:
        eff_copy(to, (c.core.pointee.memories + pointee.place).pointee.bytes, pointee.count * pointee.elementSize)
      case .counter: storeElement(to, pointee.type, (c.core.pointee.counters + pointee.place).pointee.value)
      case .output:
        let m = c.core.pointee.models + pointee.place
        if let from = m.pointee.session.output(pointee.output) {
          let from0 = m.pointee.outputs + pointee.output
          var i = 0
          while i < pointee.count {
            storeElement(
              to + i * pointee.elementSize, pointee.type,
              loadElement(from + i * from0.pointee.elementSize, from0.pointee.type))
            i += 1
          }
        }
      case .numbers:
        guard let values = pointee.values else { return }
        let index = pointee.index
        var i = 0
        while i < pointee.count {
          storeElement(to + i * pointee.elementSize, pointee.type, values[index == nil ? i : Int(index![i])])
          i += 1
        }
      }
    }
    if let mirror = pointee.mirror { eff_copy(mirror, to, pointee.count * pointee.elementSize) }
  }
}

/// Where an output of a network goes besides the actions that take it apart.
struct OutputSlot {
  var type: Int32
  var elementSize: Int
  var count: Int
  /// Index of a memory, or -1.
  var memory = -1
  /// A part of the motion, or nil.
  var reference: UnsafeMutablePointer<Double>?
}

struct ModelSlot {
  var session: SessionHandle
  var inputs: UnsafeMutablePointer<InputSlot>
  var inputCount: Int
  var outputs: UnsafeMutablePointer<OutputSlot>
  var outputCount: Int
  /// Runs at every `every`-th policy tick.
  var every: UInt64
  /// Acts in its place.
  var learner: UnsafeMutablePointer<LearnerSlot>?
  var hasRun = false

  /// Whether it runs at a policy tick.
  @_noLocks @inline(__always)
  func isDue(_ policyTick: UInt64) -> Bool { every == 1 || policyTick % every == 0 }

  @_noLocks
  mutating func execute(_ c: ControllerHandle) {
    var i = 0
    while i < inputCount {
      (inputs + i).fill(c, session)
      i += 1
    }
    if let learner {
      learner.run(session, c.core.pointee.lastNow)
    } else {
      _ = session.run(1)
    }
    hasRun = true
  }

  /// Hands outputs to memories and to the motion.
  @_noLocks
  func deliver(_ c: ControllerHandle) {
    var o = 0
    while o < outputCount {
      let out = outputs + o
      if out.pointee.memory < 0 && out.pointee.reference == nil {
        // nothing reads it
      } else if let from = session.output(o) {
        if out.pointee.memory >= 0 {
          let to = c.core.pointee.memories + out.pointee.memory
          eff_copy(to.pointee.bytes, from, out.pointee.count * out.pointee.elementSize)
        }
        if let reference = out.pointee.reference {
          var i = 0
          while i < out.pointee.count {
            reference[i] = loadElement(from + i * out.pointee.elementSize, out.pointee.type)
            i += 1
          }
        }
      }
      o += 1
    }
  }
}

/// A tensor that one run hands to the next.
struct MemorySlot {
  var bytes: UnsafeMutableRawPointer
  var initial: UnsafeMutableRawPointer
  var size: Int

  @_noLocks
  func reset() { eff_copy(bytes, initial, size) }
}

struct CounterSlot {
  var start: Double
  var step: Double
  /// Bound of the value in the direction of `step`.
  var last: Double
  var value: Double

  @_noLocks
  mutating func advance() {
    value += step
    if step < 0 ? value < last : value > last { value = last }
  }
}
