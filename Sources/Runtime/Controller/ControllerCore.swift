import Platform

/// What a tick touches: trivial, behind a pointer, with no reference counting.
public struct ControllerCore {
  public var owner: Unmanaged<Controller>?
  public var isStarted = false

  var signals: UnsafeMutablePointer<SignalSlot>
  var signalCount: Int
  var commands: UnsafeMutablePointer<CommandSlot>
  var commandCount: Int
  var clocks: UnsafeMutablePointer<ClockSlot>
  var clockCount: Int
  var vectors: UnsafeMutablePointer<VectorSlot>
  var vectorCount: Int
  var memories: UnsafeMutablePointer<MemorySlot>
  var memoryCount: Int
  var counters: UnsafeMutablePointer<CounterSlot>
  var counterCount: Int
  var models: UnsafeMutablePointer<ModelSlot>
  var modelCount: Int
  var actions: UnsafeMutablePointer<ActionSlot>
  var actionCount: Int
  var lastActions: LastActions
  var motion: MotionSlot
  var targets: UnsafeMutablePointer<TargetSlot>
  /// Acts in the place of a network.
  var learner: UnsafeMutablePointer<LearnerSlot>?
  /// What C knows it by, or 0.
  public var learnerHandle: UInt = 0
  /// Joints of the card, and the robot's index of each.
  var jointCount: Int
  var robotIndex: UnsafeMutablePointer<Int32>
  var robotJoints: Int
  /// Measured positions and velocities `[jointCount]`, where the card needs them.
  var position: UnsafeMutablePointer<Double>?
  var velocity: UnsafeMutablePointer<Double>?
  /// Position targets before `post`, `[jointCount]`; and where they start: 0 measured, 1 `targetInit`.
  var lastTargets: UnsafeMutablePointer<Double>
  var targetInit: UnsafeMutablePointer<Double>?
  /// Room for one term.
  var scratch: UnsafeMutablePointer<Double>
  /// The signal "time", where it is bound; else the clock of the ticks.
  var timeSignal: Int

  /// Control ticks between two runs.
  var ratio: UInt64
  /// ns.
  var controlPeriod: Int64
  var policyPeriod: Double
  var primes = false
  var primeAdvances = false
  var primeKeepsAction = false
  var protection: GuardSlot
  var fallback: FallbackSlot

  // state of an episode
  /// A reset waits for the next tick.
  var isFresh = true
  var isFirstRun = true
  var isPriming = false
  /// A run was refused: the next clean tick makes it.
  var owesRun = false
  /// Control ticks and runs since the reset.
  var tick: UInt64 = 0
  var policyTick: UInt64 = 0
  /// Counts builds of observations; never 0 while one is built.
  var run: UInt64 = 0
  /// Control ticks since the last run.
  var step = 0

  // state since create
  var hasTicked = false
  var lastNow: Int64 = 0
  /// A reset waits, with which the clock may begin anew.
  var mayRestartClock = false
  public var report = ControllerReport()
  var clamps: UnsafeMutablePointer<UInt64>

  /// Whether the policy runs at this tick.
  var isDue: Bool { @_noLocks @inline(__always) get { owesRun || ratio == 1 || tick % ratio == 0 } }
}

/// The fields of eff_controller_report.
public struct ControllerReport {
  public var status: Int32 = 0
  public var mode: Int32 = 0
  public var fault: Int32 = 0
  public var signal: Int32 = -1
  public var joint: Int32 = -1
  public var model: Int32 = -1
  public var action: Int32 = -1
  public var ran: Int32 = 0
  public var value = 0.0
  public var limit = 0.0
  public var ticks: UInt64 = 0
  public var runs: UInt64 = 0
  public var late: UInt64 = 0
  public var refused: UInt64 = 0
  public var clamped: UInt64 = 0
  public var age: Int64 = 0
  public var period: Int64 = 0

  @_noLocks public init() {}
}

/// Targets of one kind.
struct TargetSlot {
  /// Values come from networks at every tick; else from the card, and are finite.
  var isComputed: Bool
  var data: UnsafeMutableRawPointer?
  var stride = 0
  var offsets: UnsafeMutablePointer<Int>
  var hasOffsets = false
  var type: Int32 = 1
  /// `[joints of the card]`.
  var values: UnsafeMutablePointer<Double>
  var isCommanded: UnsafeMutablePointer<Bool>
  var isUsed = false

  /// Joints that are commanded, and bytes from `data` to the target of each, `[count]`.
  var joints: UnsafeMutablePointer<Int32>
  var places: UnsafeMutablePointer<Int>
  var count = 0

  /// Fills `joints` and `places`, once all is bound. `robot` is the robot's index of every joint of the card.
  mutating func place(_ robot: UnsafeMutablePointer<Int32>, _ all: Int) {
    count = 0
    for j in 0..<all where isCommanded[j] {
      let e = Int(robot[j])
      joints[count] = Int32(truncatingIfNeeded: j)
      places[count] = hasOffsets ? offsets[e] : e * stride
      count += 1
    }
  }
}

extension UnsafeMutablePointer where Pointee == TargetSlot {
  /// Writes what is finite. `isFinite`: all of it was found to be.
  @_noLocks @_optimize(speed)
  func write(isFinite: Bool) {
    guard let data = pointee.data, pointee.isUsed else { return }
    let (count, joints, places, values) = (pointee.count, pointee.joints, pointee.places, pointee.values)
    var k = 0
    if pointee.type == 11 {
      while k < count {
        let x = values[Int(joints[k])]
        if isFinite || x.isFinite { (data + places[k]).storeBytes(of: x, as: Double.self) }
        k += 1
      }
    } else {
      while k < count {
        let x = values[Int(joints[k])]
        if isFinite || x.isFinite { (data + places[k]).storeBytes(of: Float(x), as: Float.self) }
        k += 1
      }
    }
  }

  /// The first commanded joint of the card whose target is not finite, or -1.
  @_noLocks @_optimize(speed)
  func firstNotFinite() -> Int {
    let (count, joints, values) = (pointee.count, pointee.joints, pointee.values)
    var check = FiniteCheck()
    var k = 0
    while k < count {
      check.add(values[Int(joints[k])])
      k += 1
    }
    if check.isFinite { return -1 }
    k = 0
    while k < count {
      if !values[Int(joints[k])].isFinite { return Int(joints[k]) }
      k += 1
    }
    return -1
  }
}
