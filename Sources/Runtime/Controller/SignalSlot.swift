import Platform

/// A raw signal: where it is read, and its values of this tick.
struct SignalSlot {
  var data: UnsafeRawPointer?
  /// Bytes from element to element, or of each element where `offsets` is there.
  var stride = 0
  var offsets: UnsafeMutablePointer<Int>
  var hasOffsets = false
  /// Bytes from `data` to every value, `[count]`.
  var places: UnsafeMutablePointer<Int>
  var type: Int32 = 1
  /// `[count]`, in the card's units; joints in the card's order, quaternions w, x, y, z.
  var values: UnsafeMutablePointer<Double>
  var count: Int
  /// Elements that a binding has: joints of the robot, or `count`.
  var width: Int
  /// Joints: the robot's index of every value; nil: in order.
  var elements: UnsafeMutablePointer<Int32>?
  var isQuaternion = false
  /// Asked for by a person or a planner, not measured.
  var isCommand = false
  /// The binding's quaternion is x, y, z, w.
  var isVectorFirst = false
  /// ns; 0: any age.
  var limit: Int64 = 0
  var stamp: Int64 = 0
  var isStamped = false

  /// Element of the binding that value `i` comes from.
  @_noLocks @inline(__always)
  func element(_ i: Int) -> Int {
    if let elements { return Int(elements[i]) }
    return isVectorFirst ? (i + 3) & 3 : i
  }

  /// Fills `places`, once all is bound.
  func place() { for i in 0..<count { places[i] = hasOffsets ? offsets[element(i)] : element(i) * stride } }

  @_noLocks
  func norm() -> Double {
    eff_sqrt(values[0] * values[0] + values[1] * values[1] + values[2] * values[2] + values[3] * values[3])
  }
}

extension UnsafeMutablePointer where Pointee == SignalSlot {
  /// Reads all values. The index of the first that is not finite, or -1.
  @_noLocks @_optimize(speed)
  func read() -> Int {
    guard let data = pointee.data else { return -1 }
    let (count, places, values) = (pointee.count, pointee.places, pointee.values)
    var i = 0
    var check = FiniteCheck()
    switch pointee.type {
    case 11:
      while i < count {
        let x = (data + places[i]).loadUnaligned(as: Double.self)
        values[i] = x
        check.add(x)
        i += 1
      }
    case 1:
      while i < count {
        let x = Double((data + places[i]).loadUnaligned(as: Float.self))
        values[i] = x
        check.add(x)
        i += 1
      }
    default:
      let type = pointee.type
      while i < count {
        let x = loadElement(data + places[i], type)
        values[i] = x
        check.add(x)
        i += 1
      }
    }
    if check.isFinite { return -1 }
    i = 0
    while i < count && values[i].isFinite { i += 1 }
    return i < count ? i : -1
  }
}

/// A command after clamp and slew.
struct CommandSlot {
  var signal: UnsafeMutablePointer<Double>
  var values: UnsafeMutablePointer<Double>
  var count: Int
  /// What the card clamps, and what the guard clamps besides.
  var bounds = BoundTable()
  var guardBounds = BoundTable()
  /// Largest change at a policy tick, and where it starts.
  var slew: UnsafeMutablePointer<Double>?
  var initial: UnsafeMutablePointer<Double>

  @_noLocks
  func reset() { eff_copy(values, initial, count * 8) }

  /// Values of this tick. - Returns: how many the guard has clamped.
  @_noLocks
  func update(isDue: Bool) -> UInt64 {
    var clamped: UInt64 = 0
    var i = 0
    while i < count {
      var x = signal[i]
      if let lower = bounds.lower, let upper = bounds.upper {
        x = bounded(x, lower[i], upper[i])
      }
      if let lower = guardBounds.lower, let upper = guardBounds.upper {
        let inside = bounded(x, lower[i], upper[i])
        if inside != x { clamped += 1 }
        x = inside
      }
      if let slew {
        // slewed once per policy tick, as the networks were trained
        if isDue {
          let change = x - values[i]
          values[i] += change < -slew[i] ? -slew[i] : (change > slew[i] ? slew[i] : change)
        }
      } else {
        values[i] = x
      }
      i += 1
    }
    return clamped
  }
}

/// Whether the norms of parts of a command are all small.
struct ConditionSlot {
  var values: UnsafeMutablePointer<Double>
  /// Fields of all parts, and where each part ends.
  var fields: UnsafeMutablePointer<Int32>
  var ends: UnsafeMutablePointer<Int32>
  var parts: Int
  var below: Double
  var isInclusive: Bool

  @_noLocks
  func isSmall() -> Bool {
    var part = 0
    var i = 0
    while part < parts {
      let end = Int(ends[part])
      var sum = 0.0
      while i < end {
        let x = values[Int(fields[i])]
        sum += x * x
        i += 1
      }
      let norm = eff_sqrt(sum)
      if !(isInclusive ? norm <= below : norm < below) { return false }
      part += 1
    }
    return true
  }

  /// Norm of the first part.
  @_noLocks
  func norm() -> Double {
    var sum = 0.0
    var i = 0
    while i < Int(ends[0]) {
      let x = values[Int(fields[i])]
      sum += x * x
      i += 1
    }
    return eff_sqrt(sum)
  }
}
