extension Card {
  /// An observation: terms with their histories, laid out one behind the other.
  public struct Vector: Equatable, Sendable {
    /// Term-major: all ages of a term, then the next term. Time-major: all terms of an age, then the next age.
    public enum Layout: UInt8, CardWord {
      case termMajor, timeMajor
      public static var words: StaticString { "term_major time_major" }
      public static var noun: StaticString { "layout" }
    }
    public var name: String
    public var layout = Layout.termMajor
    /// Bound of every value of the whole frame, before it enters the history; nil: none.
    public var clip: Bounds?
    /// Whether the run right after a reset sees zeros; the frame of that tick does not enter the history.
    public var firstTickZeros = false
    public var terms: [Term] = []

    public init(name: String) { self.name = name }

    /// Number of values. Every term gives `size` per age. Saturates.
    public var count: Int { terms.reduce(0) { $0.addingReportingOverflow($1.count).overflow ? .max : $0 + $1.count } }
  }

  /// One value of an observation and what happens to it: value, normalize, offset, clip and scale, history.
  public struct Term: Equatable, Sendable {
    public enum Operation: UInt8, CardWord {
      case baseLinearVelocity, baseAngularVelocity, projectedGravity, baseEulerXyz, baseHeight
      case jointPosition, jointVelocity, jointEffort
      case lastAction, previousTarget
      case command, clock, constant
      case signal, signalDifference, relativeOrientation, heightScan
      case referenceJointPositionVelocity, referenceAnchorPosition, referenceAnchorOrientation6D
      case modelOutput, vector
      public static var words: StaticString {
        """
        base_linear_velocity base_angular_velocity projected_gravity base_euler_xyz base_height \
        joint_position joint_velocity joint_effort last_action previous_target command clock constant \
        signal signal_difference relative_orientation height_scan reference_joint_position_velocity \
        reference_anchor_position reference_anchor_orientation_6d model_output vector
        """
      }
      public static var noun: StaticString { "op" }
    }
    /// What fills a history at reset: zeros, the value of the first tick, or the value at the reset itself (they differ
    /// for clocks only).
    public enum Fill: UInt8, CardWord {
      case zero, first, reset
      public static var words: StaticString { "zero first reset" }
      public static var noun: StaticString { "fill" }
    }
    public var name: String
    public var operation: Operation
    /// Values of one frame.
    public var size = 0
    public var scale = Numbers.all(1)
    public var offset: Numbers?
    public var clip: Bounds?
    /// Clip after the scale instead of before it.
    public var scaleFirst = false
    public var normalize: Normalization?
    /// Frames in the order of the vector; 0 is the newest, 1 the frame of the policy tick before.
    public var ages = [0]
    public var fill = Fill.first
    /// Joints in the order of the values (joint terms); empty: `jointOrder`.
    public var joints: [String] = []
    /// Subtract the default pose (joint_position, previous_target).
    public var minusDefault = false
    /// Joints of `joints` whose value is forced to 0.
    public var zero: [String] = []
    /// All values are 0 while a command is small.
    public var zeroWhen: Condition?
    /// Which action last_action shows.
    public var of = ActionStage.raw
    /// Policy ticks by which last_action is older than the newest: 0 shows the action of the tick before.
    public var age = 0
    /// Name in `commands`, and its fields in the order of the values; empty: all.
    public var command = ""
    public var fields: [String] = []
    /// Name in `clocks`, and which functions of its phases: all phases of the first function, then all of the second.
    public var clock = ""
    public var functions: [ClockFunction] = []
    /// The values of a constant.
    public var value: Numbers?
    /// The raw signal (signal, height_scan), and the one that is subtracted (signal_difference) or that it is turned
    /// into (relative_orientation).
    public var signal = ""
    public var relativeTo = ""
    /// Entries (row, column) of a rotation matrix in the order of the values, for the two orientation terms.
    public var layout: [MatrixEntry] = []
    /// A model that runs before, and its output (model_output); `model` also names whose action last_action shows, ""
    /// for the only one.
    public var model = ""
    public var output = ""
    /// Name in `vectors` (vector).
    public var vector = ""

    public init(name: String, operation: Operation) { (self.name, self.operation) = (name, operation) }

    /// Number of values over all ages. Saturates.
    public var count: Int { size.multipliedReportingOverflow(by: ages.count).overflow ? .max : size * ages.count }
  }

  public struct MatrixEntry: Equatable, Sendable {
    public var row, column: Int
    public init(_ row: Int, _ column: Int) { (self.row, self.column) = (row, column) }
  }

  /// Raw output of the network; after `clip_raw`; after the clamps of `post`, expressed as an action.
  public enum ActionStage: UInt8, CardWord {
    case raw, clipped, applied
    public static var words: StaticString { "raw clipped applied" }
    public static var noun: StaticString { "action stage" }
  }

  public enum ClockFunction: UInt8, CardWord {
    case sin, cos
    public static var words: StaticString { "sin cos" }
    public static var noun: StaticString { "clock function" }
  }

  /// A statistic of the training data.
  public struct Normalization: Equatable, Sendable {
    /// meanStd: (x - mean) / (std + eps), back x * std + mean, with eps also on the way back where `epsInInverse`.
    /// minMax, quantiles: to [-1, 1] between min and max (q01 and q99), and back. identity: nothing.
    public enum Mode: UInt8, CardWord {
      case meanStd, minMax, quantiles, identity
      public static var words: StaticString { "mean_std min_max quantiles identity" }
      public static var noun: StaticString { "normalization mode" }
    }
    public var mode = Mode.meanStd
    public var eps = 0.0
    public var epsInInverse = false
    /// `[size]` each; which pair is there depends on the mode.
    public var mean: [Double] = []
    public var std: [Double] = []
    public var minimum: [Double] = []
    public var maximum: [Double] = []

    public init() {}
  }

  /// Whether a command is small.
  public struct Condition: Equatable, Sendable {
    /// l2: the norm of all fields (or of `fields`) is below `below`. parts: the norm of every part is.
    public enum Norm: UInt8, CardWord {
      case l2, parts
      public static var words: StaticString { "l2 parts" }
      public static var noun: StaticString { "norm" }
    }
    public var command = ""
    public var norm = Norm.l2
    public var fields: [String] = []
    /// Fields of each part.
    public var parts: [[String]] = []
    public var below = 0.0
    /// `<=` instead of `<`.
    public var inclusive = false

    public init() {}
  }

  /// A periodic phase, in cycles.
  public struct Clock: Equatable, Sendable {
    /// phase: advanced by the policy tick. time: the time since reset divided by the period.
    public enum Kind: UInt8, CardWord {
      case phase, time
      public static var words: StaticString { "phase time" }
      public static var noun: StaticString { "kind of clock" }
    }
    public enum Advance: UInt8, CardWord {
      case beforeUse, afterUse, none
      public static var words: StaticString { "before_use after_use none" }
      public static var noun: StaticString { "advance" }
    }
    /// modulo: the fraction stays. zeroAboveOne: above 1 the phase begins at 0.
    public enum Wrap: UInt8, CardWord {
      case modulo, zeroAboveOne
      public static var words: StaticString { "modulo zero_above_one" }
      public static var noun: StaticString { "wrap" }
    }
    public var name: String
    public var kind = Kind.phase
    /// Exactly one of these four: s, Hz, Hz from a field of a command, Hz from the norm of a command.
    public var period: Double?
    public var frequency: Double?
    public var frequencyFrom: CommandField?
    public var frequencyRamp: FrequencyRamp?
    /// Offset of every output phase, in cycles; outputs are functions of phase + offset.
    public var phases: [Double] = [0]
    /// Offsets from fields of `phasesCommand` instead: one list per phase, the fields are added.
    public var phasesFrom: [[String]] = []
    public var phasesCommand = ""
    /// Phase at reset, in cycles.
    public var initial = 0.0
    public var advance = Advance.beforeUse
    /// Steps made by the reset itself.
    public var advancesAtReset = 0
    /// Whether the first tick after a reset advances at all.
    public var advanceOnFirstTick = true
    public var wrap = Wrap.modulo
    public var stand: Stand?
    /// The frequency is 0 from the tick after one whose command was small.
    public var zeroFrequencyAfter: Condition?
    /// What terms show is the value of the last advance, not one computed anew from this tick's command.
    public var latchOutput = false
    /// What terms show before the first advance; nil: the function of the initial phase.
    public var outputBeforeFirstAdvance: Double?

    public init(name: String) { self.name = name }
  }

  public struct CommandField: Equatable, Sendable {
    public var command, field: String
    public init(command: String, field: String) { (self.command, self.field) = (command, field) }
  }

  /// frequency = base + gain * min(norm, limit) / limit, where the norm is that of a command; only `base` below
  /// `below`.
  public struct FrequencyRamp: Equatable, Sendable {
    public var command = ""
    public var fields: [String] = []
    public var base = 0.0
    public var gain = 0.0
    public var limit = 1.0
    public var below = 0.0

    public init() {}
  }

  /// What a clock shows while a command is small.
  public struct Stand: Equatable, Sendable {
    public enum Resume: UInt8, CardWord {
      case `continue`, restart
      public static var words: StaticString { "continue restart" }
      public static var noun: StaticString { "resume" }
    }
    public var condition = Condition()
    /// Phases shown, in cycles, one per phase of the clock.
    public var phases: [Double] = []
    /// continue: the clock runs on unseen. restart: it begins at its initial phase.
    public var resume = Resume.continue

    public init() {}
  }
}
