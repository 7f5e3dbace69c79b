#if Bridge

/// How old a frame is, whatever the plant's clock says.
///
/// On one machine both clocks are CLOCK_MONOTONIC and are compared directly; the plant shows that it is by the
/// machine's boot id. Otherwise the smallest difference between arrival and stamp over the last seconds is taken for
/// the offset: what a frame took longer than the fastest one is its age, too small by the way of the fastest.
struct PlantClock {
  /// A clock drifts by up to 100 ppm: 1 ms in 10 s.
  private static let window: UInt64 = 10_000_000_000
  /// A stamp further ahead than this is of another clock.
  private static let tolerance: Int64 = 1_000_000

  private(set) var isShared = false
  private var floor = Int64.max
  private var nextFloor = Int64.max
  private var windowEnd: UInt64 = 0

  /// A new plant. `isShared`: it says that its clock is this machine's.
  mutating func begin(isShared: Bool) {
    self = PlantClock()
    self.isShared = isShared
  }

  /// Nanoseconds from stamp to arrival.
  mutating func age(stamp: UInt64, arrived: UInt64) -> UInt64 {
    let difference = Int64(bitPattern: arrived &- stamp)
    if isShared && difference < -PlantClock.tolerance { isShared = false }
    note(difference, arrived)
    return UInt64(max(0, isShared ? difference : difference &- floor))
  }

  /// The same without learning from it.
  func peek(stamp: UInt64, arrived: UInt64) -> UInt64 {
    let difference = Int64(bitPattern: arrived &- stamp)
    return UInt64(max(0, isShared ? difference : difference &- min(floor, difference)))
  }

  private mutating func note(_ difference: Int64, _ arrived: UInt64) {
    if arrived >= windowEnd {
      // the floor of two windows: the one that ended and the one that begins
      floor = min(nextFloor, difference)
      nextFloor = difference
      windowEnd = arrived &+ PlantClock.window
    }
    floor = min(floor, difference)
    nextFloor = min(nextFloor, difference)
  }
}
#endif
