import Platform

// Values of one element of memory whose type is known at run time by its ONNX code.

/// The value of an element; NaN for a type that is no number.
@_noLocks @inline(__always)
func loadElement(_ p: UnsafeRawPointer, _ type: Int32) -> Double {
  switch type {
  case 1: Double(p.loadUnaligned(as: Float.self))
  case 11: p.loadUnaligned(as: Double.self)
  case 6: Double(p.loadUnaligned(as: Int32.self))
  case 7: Double(p.loadUnaligned(as: Int64.self))
  case 2, 9: Double(p.loadUnaligned(as: UInt8.self))
  case 3: Double(p.loadUnaligned(as: Int8.self))
  default: Double.nan
  }
}

/// Writes a value, rounded toward zero and saturated where the type is an integer.
@_noLocks @inline(__always)
func storeElement(_ p: UnsafeMutableRawPointer, _ type: Int32, _ x: Double) {
  switch type {
  case 1: p.storeBytes(of: Float(x), as: Float.self)
  case 11: p.storeBytes(of: x, as: Double.self)
  case 6: p.storeBytes(of: Int32(truncatingIfNeeded: whole(x)), as: Int32.self)
  case 7: p.storeBytes(of: whole(x), as: Int64.self)
  case 2, 3: p.storeBytes(of: UInt8(truncatingIfNeeded: whole(x)), as: UInt8.self)
  case 9: p.storeBytes(of: x != 0 ? 1 : 0, as: UInt8.self)
  default: break
  }
}

@_noLocks @inline(__always)
private func whole(_ x: Double) -> Int64 { x > -9e18 && x < 9e18 ? Int64(x) : 0 }

/// Whether all of some numbers are finite. Of integers, so that no addition waits for the one before.
struct FiniteCheck {
  private var bits: UInt64 = 0

  @_noLocks @inline(__always)
  init() {}

  /// An exponent of all ones, and no other, carries into the sign.
  @_noLocks @inline(__always)
  mutating func add(_ x: Double) { bits |= (x.bitPattern & ~(1 << 63)) &+ 1 << 52 }

  var isFinite: Bool { @_noLocks @inline(__always) get { bits >> 63 == 0 } }
}

/// Whether a controller reads and writes tensors of a type.
func isElementSupported(_ type: Int32) -> Bool { [1, 11, 6, 7, 2, 9, 3].contains(type) }

/// `x` within an interval; NaN stays. In this form the processor's minimum and maximum do it.
@_noLocks @inline(__always)
func bounded(_ x: Double, _ lower: Double, _ upper: Double) -> Double {
  let below = upper < x ? upper : x
  return below < lower ? lower : below
}

/// An interval of every element, or none.
struct BoundTable {
  var lower: UnsafeMutablePointer<Double>?
  var upper: UnsafeMutablePointer<Double>?
  /// One interval stands for all elements.
  var isUniform = false

  init() {}

  /// `x` holds the elements from `first` on.
  @_noLocks @inline(__always)
  func clamp(_ x: UnsafeMutablePointer<Double>, _ count: Int, from first: Int = 0) {
    guard let lower, let upper else { return }
    if isUniform { clampAll(x, lower[0], upper[0], count) } else { clampEach(x, lower + first, upper + first, count) }
  }
}

// one copy of their code: after a network has run, code is fetched anew as data is

@_noLocks @inline(never) @_optimize(speed)
func clampEach(
  _ x: UnsafeMutablePointer<Double>, _ lower: UnsafePointer<Double>, _ upper: UnsafePointer<Double>, _ count: Int
) {
  var i = 0
  while i < count {
    x[i] = bounded(x[i], lower[i], upper[i])
    i += 1
  }
}

@_noLocks @inline(never) @_optimize(speed)
func clampAll(_ x: UnsafeMutablePointer<Double>, _ lower: Double, _ upper: Double, _ count: Int) {
  var i = 0
  while i < count {
    x[i] = bounded(x[i], lower, upper)
    i += 1
  }
}

/// (x - subtract) / divide * multiply + add, per element.
struct AffineTable {
  var subtract: UnsafeMutablePointer<Double>?
  var divide: UnsafeMutablePointer<Double>?
  var multiply = 1.0
  var add = 0.0

  init() {}

  @_noLocks
  func forward(_ x: UnsafeMutablePointer<Double>, _ count: Int) {
    guard let subtract, let divide else { return }
    var i = 0
    while i < count {
      x[i] = (x[i] - subtract[i]) / divide[i] * multiply + add
      i += 1
    }
  }

  @_noLocks
  func backward(_ x: UnsafeMutablePointer<Double>, _ count: Int) {
    guard let subtract, let divide else { return }
    var i = 0
    while i < count {
      x[i] = (x[i] - add) / multiply * divide[i] + subtract[i]
      i += 1
    }
  }
}

/// Rotation matrix of a quaternion w, x, y, z: nine values, row by row.
struct Rotation {
  var m: (Double, Double, Double, Double, Double, Double, Double, Double, Double)

  @_noLocks
  init(_ q: UnsafePointer<Double>) { self.init(q[0], q[1], q[2], q[3]) }

  @_noLocks
  init(_ w: Double, _ x: Double, _ y: Double, _ z: Double) {
    m = (
      1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
      2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
      2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    )
  }

  /// A turn by `angle` about axis 0 (x), 1 (y) or 2 (z).
  @_noLocks
  init(axis: UInt8, angle: Double) {
    let (s, c) = (eff_sin(angle / 2), eff_cos(angle / 2))
    self.init(c, axis == 0 ? s : 0, axis == 1 ? s : 0, axis == 2 ? s : 0)
  }

  @_noLocks
  static func identity() -> Rotation { Rotation(1, 0, 0, 0) }

  @_noLocks @inline(__always)
  func entry(_ row: Int, _ column: Int) -> Double {
    switch row * 3 + column {
    case 0: m.0
    case 1: m.1
    case 2: m.2
    case 3: m.3
    case 4: m.4
    case 5: m.5
    case 6: m.6
    case 7: m.7
    default: m.8
    }
  }

  @_noLocks
  func transposed() -> Rotation {
    var t = self
    t.m = (m.0, m.3, m.6, m.1, m.4, m.7, m.2, m.5, m.8)
    return t
  }

  @_noLocks
  func times(_ b: Rotation) -> Rotation {
    var r = self
    r.m = (
      m.0 * b.m.0 + m.1 * b.m.3 + m.2 * b.m.6, m.0 * b.m.1 + m.1 * b.m.4 + m.2 * b.m.7,
      m.0 * b.m.2 + m.1 * b.m.5 + m.2 * b.m.8,
      m.3 * b.m.0 + m.4 * b.m.3 + m.5 * b.m.6, m.3 * b.m.1 + m.4 * b.m.4 + m.5 * b.m.7,
      m.3 * b.m.2 + m.4 * b.m.5 + m.5 * b.m.8,
      m.6 * b.m.0 + m.7 * b.m.3 + m.8 * b.m.6, m.6 * b.m.1 + m.7 * b.m.4 + m.8 * b.m.7,
      m.6 * b.m.2 + m.7 * b.m.5 + m.8 * b.m.8
    )
    return r
  }

  @_noLocks
  func turn(_ x: Double, _ y: Double, _ z: Double) -> (x: Double, y: Double, z: Double) {
    (m.0 * x + m.1 * y + m.2 * z, m.3 * x + m.4 * y + m.5 * z, m.6 * x + m.7 * y + m.8 * z)
  }

  /// Roll, pitch and yaw, rad: R = Rz(yaw) Ry(pitch) Rx(roll).
  @_noLocks
  func euler() -> (roll: Double, pitch: Double, yaw: Double) {
    let s = -m.6
    return (eff_atan2(m.7, m.8), eff_asin(s < -1 ? -1 : (s > 1 ? 1 : s)), eff_atan2(m.3, m.0))
  }

  /// The turn about z alone.
  @_noLocks
  func heading() -> Rotation { Rotation(axis: 2, angle: eff_atan2(m.3, m.0)) }
}
