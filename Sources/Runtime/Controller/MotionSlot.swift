import Platform

/// The tracked motion: its reference of this tick, and how it is laid over the robot.
struct MotionSlot {
  enum Align: UInt8 { case none, yaw, yawAndPosition }

  /// References as they came: joints `[n]`, bodies `[B, 3]` and `[B, 4]`.
  var bodyPosition: UnsafeMutablePointer<Double>?
  var bodyOrientation: UnsafeMutablePointer<Double>?
  /// The anchor among the bodies.
  var body = 0
  var isVectorFirst = false
  var align = Align.none
  /// The robot's anchor: its orientation (or the base's, turned by joints), and its position.
  var orientation: UnsafeMutablePointer<Double>?
  var position: UnsafeMutablePointer<Double>?
  var via: UnsafeMutablePointer<Int32>?
  var axes: UnsafeMutablePointer<Int32>?
  var viaCount = 0
  var joints: UnsafeMutablePointer<Double>?
  /// Motion kept in memory: frames of each part, `[frames, width]`.
  var tracks: UnsafeMutablePointer<MotionTrack>?
  var trackCount = 0
  var frames = 0
  var framesPerSecond = 0.0
  /// Runs by which the reference is older than this run's.
  var age = 0.0
  var loops = false

  // state
  var isAligned = false
  var turn: Rotation
  var shift: (x: Double, y: Double, z: Double) = (0, 0, 0)

  /// Takes the frame of `time` (s since the reset) from memory; before the first frame the first, after the last the
  /// last.
  @_noLocks
  func take(time: Double, period: Double) {
    guard let tracks, frames > 0 else { return }
    // a hair above, so that a frame is not missed by the last bit of time * fps
    var frame = eff_floor((time - age * period) * framesPerSecond + 1e-6)
    if loops { frame -= eff_floor(frame / Double(frames)) * Double(frames) }
    frame = frame < 0 ? 0 : (frame > Double(frames - 1) ? Double(frames - 1) : frame)
    var t = 0
    while t < trackCount {
      let track = tracks[t]
      eff_copy(track.values, track.frames + Int(frame) * track.width, track.width * 8)
      t += 1
    }
  }

  @_noLocks
  private func robot() -> Rotation {
    guard let orientation else { return .identity() }
    var r = Rotation(orientation)
    guard let via, let axes, let joints else { return r }
    var i = 0
    while i < viaCount {
      r = r.times(Rotation(axis: UInt8(truncatingIfNeeded: axes[i]), angle: joints[Int(via[i])]))
      i += 1
    }
    return r
  }

  @_noLocks
  private func reference() -> Rotation {
    guard let bodyOrientation else { return .identity() }
    let q = bodyOrientation + 4 * body
    let (w, x, y, z) = isVectorFirst ? (q[3], q[0], q[1], q[2]) : (q[0], q[1], q[2], q[3])
    let norm = eff_sqrt(w * w + x * x + y * y + z * z)
    return norm > 0 ? Rotation(w / norm, x / norm, y / norm, z / norm) : .identity()
  }

  /// Lays the reference over the robot, once after a reset.
  @_noLocks
  private mutating func alignOnce() {
    if isAligned { return }
    isAligned = true
    (turn, shift) = (.identity(), (0, 0, 0))
    if align == .none { return }
    turn = robot().heading().times(reference().heading().transposed())
    if align == .yawAndPosition, let position, let bodyPosition {
      let p = bodyPosition + 3 * body
      let t = turn.turn(p[0], p[1], p[2])
      shift = (position[0] - t.x, position[1] - t.y, position[2] - t.z)
    }
  }

  /// R_a^T A R_ref.
  @_noLocks
  mutating func anchorOrientation() -> Rotation {
    alignOnce()
    return robot().transposed().times(turn).times(reference())
  }

  /// R_a^T (A p_ref + t - p_a).
  @_noLocks
  mutating func anchorPosition(_ x: UnsafeMutablePointer<Double>) {
    alignOnce()
    guard let position, let bodyPosition else { return }
    let p = bodyPosition + 3 * body
    let t = turn.turn(p[0], p[1], p[2])
    let d = robot().transposed().turn(
      t.x + shift.x - position[0], t.y + shift.y - position[1], t.z + shift.z - position[2])
    (x[0], x[1], x[2]) = (d.x, d.y, d.z)
  }
}

/// One part of a motion that is kept in memory.
struct MotionTrack {
  var frames: UnsafeMutablePointer<Double>
  var width: Int
  /// Where the frame of this tick goes.
  var values: UnsafeMutablePointer<Double>
}
