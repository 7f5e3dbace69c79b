extension Card {
  /// What an output of a network means for joints. In this order: index, clip_raw (raw and clipped are remembered),
  /// unnormalize, scale, offset, clip, limits_position, limits_velocity (against the last target), post, guard.
  public struct Action: Equatable, Sendable {
    public enum Kind: UInt8, CardWord {
      /// Targets rad, rad/s, N m; an increment (rad) to the last target; position targets turned into N m by `post` at
      /// the control rate.
      case position, velocity, effort, positionIncrement, effortPD
      public static var words: StaticString { "position velocity effort position_increment effort_pd" }
      public static var noun: StaticString { "type of action" }
    }
    public enum Offset: Equatable, Sendable {
      /// The default pose of the joints.
      case defaultPose
      case numbers(Numbers)
      /// Fields of a command, one per joint; no fields: all.
      case command(String, fields: [String])
    }
    public var name: String
    public var kind: Kind
    public var model = ""
    public var output = ""
    /// Elements of the output, `[joints.count]`.
    public var index: [Int] = []
    public var joints: [String] = []
    /// Bound of the network's own values.
    public var clipRaw: Bounds?
    public var unnormalize: Normalization?
    public var scale = Numbers.all(1)
    public var offset = Offset.numbers(.all(0))
    /// Bound of scale * a + offset.
    public var clip: Bounds?
    /// Bounds of the target, rad, and of its change, rad/s, per joint; empty: none.
    public var limitsPosition: [Interval] = []
    public var limitsVelocity: [Double] = []
    /// Steps of one output that are played, one per control tick, before the network runs again; 0: the output is no
    /// chunk.
    public var chunk = 0
    /// Joints to whose value the measured position at the time of the run is added; empty: none.
    public var addState: [Bool] = []
    /// Outputs that give the gains; "": those of the card.
    public var kpFrom = ""
    public var kdFrom = ""
    /// At every control tick, in order.
    public var post: [Post] = []
    /// Which action last_action terms show, where the term does not say it; nil: raw.
    public var lastOf: ActionStage?

    public init(name: String, kind: Kind) { (self.name, self.kind) = (name, kind) }
  }

  /// One step between target and robot at the control rate.
  public struct Post: Equatable, Sendable {
    public enum Operation: UInt8, CardWord {
      /// The target is kept where kp (target - q) - kd qd stays within `limit` N m.
      case torqueBand
      /// The target velocity is kept where kd (target - qd) stays within `limit` N m.
      case velocityBand
      /// y += alpha (x - y), from `initial`.
      case firstOrder
      /// Butterworth of `omega` rad/s at `samplePeriod` s, from `initial`.
      case secondOrderLowpass
      /// kp (target - q) - kd qd, within `limit` N m.
      case pdTorque
      /// target = default + min(1, k perTick) (target - default), where k counts policy ticks since the reset, 1 at the
      /// first.
      case blendFromDefault
      public static var words: StaticString {
        "torque_band velocity_band first_order second_order_lowpass pd_torque blend_from_default"
      }
      public static var noun: StaticString { "post op" }
    }
    public var operation: Operation
    /// N m; nil: none.
    public var limit: Numbers?
    /// pd_torque: gains per joint of the action; nil: those of the joints.
    public var kp: Numbers?
    public var kd: Numbers?
    public var alpha: Double?
    public var omega: Double?
    public var samplePeriod: Double?
    /// Where a filter starts at reset.
    public var initial = Start.measured
    /// The values of `initial` given.
    public var value: Numbers?
    public var perTick: Double?

    public init(_ operation: Operation) { self.operation = operation }
  }

  /// A motion that the policy follows.
  public struct Motion: Equatable, Sendable {
    public enum Kind: UInt8, CardWord {
      case inModel, file
      public static var words: StaticString { "in_model file" }
      public static var noun: StaticString { "kind of motion" }
    }
    public enum Align: UInt8, CardWord {
      case none, yaw, yawAndPosition
      public static var words: StaticString { "none yaw yaw_and_position" }
      public static var noun: StaticString { "alignment" }
    }
    public enum End: UInt8, CardWord {
      case hold, stop, loop
      public static var words: StaticString { "hold stop loop" }
      public static var noun: StaticString { "end of a motion" }
    }
    /// A joint between base and anchor body: the anchor's orientation is the base's, turned about `axis` of each in
    /// order.
    public struct Via: Equatable, Sendable {
      public enum Axis: UInt8, CardWord {
        case x, y, z
        public static var words: StaticString { "x y z" }
        public static var noun: StaticString { "axis" }
      }
      public var joint: String
      public var axis: Axis
      public init(joint: String, axis: Axis) { (self.joint, self.axis) = (joint, axis) }
    }
    public struct Key: Equatable, Sendable {
      public var part: Reference
      public var key: String
      public init(part: Reference, key: String) { (self.part, self.key) = (part, key) }
    }
    public struct Anchor: Equatable, Sendable {
      /// Body of the robot whose pose the caller binds ("body.NAME.position", "body.NAME.orientation").
      public var robot = ""
      /// The same body in the motion: index into `bodies`.
      public var bodyIndex = 0
      /// Joints that lead from the base to it, so that the base's orientation is enough; empty: the body's own pose is
      /// bound.
      public var via: [Via] = []
      public init() {}
    }
    public var kind = Kind.inModel
    /// Names of the bodies of the motion, in its order.
    public var bodies: [String] = []
    /// npz or csv, beside the card; what each part is called there; frames per second.
    public var file = ""
    public var keys: [Key] = []
    public var framesPerSecond: Double?
    /// Joints in the order of the motion; empty: `jointOrder`.
    public var joints: [String] = []
    public var anchor: Anchor?
    public var align = Align.none
    public var quaternion = Quaternion.wxyz
    /// Runs by which the reference that a term shows is older than this tick's: 1 where it comes from the run before.
    public var referenceAge = 0
    public var end = End.hold

    public init() {}
  }

  /// How the robot gets to where the policy may begin.
  public struct Startup: Equatable, Sendable {
    public enum Kind: UInt8, CardWord {
      case ramp, pose, none
      public static var words: StaticString { "ramp pose none" }
      public static var noun: StaticString { "kind of startup" }
    }
    public var kind = Kind.ramp
    /// The goal: "default", or a pose in rad in the order that `order` names.
    public var to = Start.defaultPose
    public var pose: [Double] = []
    public var seconds: Double?
    public var from = Start.measured
    /// Gains while it lasts; nil: those of the joints.
    public var kp: Numbers?
    public var kd: Numbers?
    /// Whose order pose and gains have: "policy", "motor" or "robot".
    public var order: String?
    public var gainOrder: String?

    public init() {}
  }

  /// Limits that the controller's guard takes from the card; its options may tighten them.
  public struct Safety: Equatable, Sendable {
    public struct Step: Equatable, Sendable {
      public enum Kind: UInt8, CardWord {
        case hold, ramp, damping, zero
        public static var words: StaticString { "hold ramp damping zero" }
        public static var noun: StaticString { "step of a fallback ladder" }
      }
      public var kind: Kind
      /// How long before the next step, s; nil: the last one.
      public var seconds: Double?
      public var kp: Numbers?
      public var kd: Numbers?
      public init(_ kind: Kind) { self.kind = kind }
    }
    /// rad; nil: no limit.
    public var rollLimit: Double?
    public var pitchLimit: Double?
    /// Oldest data that a tick accepts, s.
    public var dataAge: Double?
    /// Largest change of a target, rad/s.
    public var slew: Numbers?
    public var fallback: [Step] = []

    public init() {}
  }
}
