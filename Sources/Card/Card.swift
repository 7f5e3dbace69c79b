import Base

/// What a policy needs to know about its robot: joints by name, how observations are built, what an action means, at
/// which rates.
///
/// Values are in SI units: rad, rad/s, N m, N m/rad, N m s/rad, m, s; orientations are quaternions w, x, y, z that turn
/// body into world.
/// Everything that a tick needs is here and nothing has been guessed: what a file did not say is nil or `.unknown`, and
/// listed by `questions`.
/// Lists that JSON writes as objects (joints, vectors, memories, ...) keep the order of the file; their names are
/// unique.
public struct Card: Equatable, Sendable {
  /// The version of the format that this library reads: the value of "efferent_card".
  public static let version = 1

  /// Which importer made it, such as "csv_metadata"; nil for a card written by hand.
  public internal(set) var convention: String?
  /// Free name of the robot, and where the card came from.
  public internal(set) var robot: String?
  public internal(set) var source: Json?
  public internal(set) var note: Json?
  /// Time between two runs of the networks, and between two ticks of the controller, in s; nil: unknown. The first is a
  /// multiple of the second.
  public internal(set) var policyPeriod: Double?
  public internal(set) var controlPeriod: Double?
  /// Period of the drive loop behind the targets, in s. Informative.
  public internal(set) var drivePeriod: Double?
  /// Control ticks between two runs of the pipeline inside the network (exploy's `decimation`). Informative: the
  /// network counts by itself.
  public internal(set) var innerDecimation: Int?
  /// Names that the exporter gave to the terms inside the network. Informative.
  public internal(set) var observationNames: [String] = []

  /// Every joint that the policy reads or moves, in the policy's order.
  public internal(set) var jointOrder: [String] = []
  /// One per name of `jointOrder`, in the order of the file.
  public internal(set) var joints: [Joint] = []
  /// Networks in the order in which one policy tick runs them.
  public internal(set) var models: [Model] = []
  public internal(set) var vectors: [Vector] = []
  public internal(set) var memories: [Memory] = []
  public internal(set) var counters: [Counter] = []
  public internal(set) var clocks: [Clock] = []
  public internal(set) var commands: [Command] = []
  public internal(set) var actions: [Action] = []
  public internal(set) var motion: Motion?
  /// Networks that run once on zeros at reset (tracking); nil: none do.
  public internal(set) var primeModels: PrimeModels?
  /// Where the last target stands at reset, for actions that build on it; nil: at the measured position.
  public internal(set) var targetInit: Start?
  public internal(set) var startup: Startup?
  public internal(set) var safety: Safety?
  /// Range and camera sensors: name and what the file says about the pattern. Informative.
  public internal(set) var scans: [Scan] = []
  /// Paths of recordings that a controller must meet before it starts. Those of a card in a file are looked for from
  /// its folder.
  public internal(set) var recordings: [String] = []
  /// What the importer could not find in its files, as paths. `questions` adds what is null in the card.
  public internal(set) var asks: [String] = []

  /// The text that it was read from, as JSON: every number, null and key of it.
  public internal(set) var json = Json.null

  init() {}

  /// Reads a card. What can be told without the networks and the robot is checked; a failure names the key's path, what
  /// was found and what was expected.
  @export(interface)
  public static func read(_ json: Json) throws(Failure) -> Card { try CardReader.read(json) }

  /// The same from the text of a file. `name` is what messages call it.
  @export(interface)
  public static func read(_ bytes: Bytes, name: String) throws(Failure) -> Card {
    let json = try JsonReader.read(
      bytes.start, 0..<bytes.count, what: name, budget: MemoryBudget(limit: memoryLimit), acceptsNonFinite: true)
    do { return try CardReader.read(json) } catch { throw error.within(name) }
  }

  /// Bound in bytes on what reading a card may allocate, about.
  static let memoryLimit = 1 << 28
}

extension Card {
  /// A number that a card may leave open. Absent: not used. Unknown (`null`): needed and not told, to be asked for.
  public enum Setting: Equatable, Sendable {
    case absent, unknown
    case known(Double)

    public var value: Double? { if case .known(let v) = self { v } else { nil } }
  }

  /// One number for all elements, or one per element.
  public enum Numbers: Equatable, Sendable {
    case all(Double)
    case each([Double])

    /// The number of element `index`; nil outside a list.
    public func value(_ index: Int) -> Double? {
      switch self {
      case .all(let v): v
      case .each(let list): index >= 0 && index < list.count ? list[index] : nil
      }
    }
  }

  /// lower <= upper, both finite.
  public struct Interval: Equatable, Sendable {
    public var lower, upper: Double
    public init(_ lower: Double, _ upper: Double) { (self.lower, self.upper) = (lower, upper) }
  }

  /// One interval for all elements, or one per element.
  public enum Bounds: Equatable, Sendable {
    case all(Interval)
    case each([Interval])

    /// The interval of element `index`; nil outside a list.
    public func interval(_ index: Int) -> Interval? {
      switch self {
      case .all(let i): i
      case .each(let list): index >= 0 && index < list.count ? list[index] : nil
      }
    }
  }

  public struct Joint: Equatable, Sendable {
    public var name: String
    /// Default pose, rad: what `minus_default` subtracts and an action's offset "default" adds.
    public var defaultPosition = Setting.absent
    /// Stiffness N m/rad and damping N m s/rad of the drive loop.
    public var kp = Setting.absent
    public var kd = Setting.absent
    /// Limits of the robot: position rad, velocity rad/s, effort N m.
    public var lower = Setting.absent
    public var upper = Setting.absent
    public var velocityLimit = Setting.absent
    public var effortLimit = Setting.absent

    public init(name: String) { self.name = name }
  }

  // MARK: networks

  public struct Model: Equatable, Sendable {
    public var name: String
    public var inputs: [Input] = []
    public var outputs: [Output] = []
    /// Runs at every `every`-th policy tick, from the first on.
    public var every = 1

    public init(name: String) { self.name = name }
  }

  /// Where an input tensor of a network comes from.
  public struct Input: Equatable, Sendable {
    public enum Source: Equatable, Sendable {
      case vector(String)
      case memory(String)
      case counter(String)
      case command(String)
      /// A raw signal such as "joint.position" or "base.orientation".
      case signal(String)
      /// An output of a model that ran before in this tick.
      case model(String, output: String)
      case constant(Numbers)
    }
    public var tensor: String
    public var source: Source
    /// Joints of a joint signal, in the order of the tensor; empty: `jointOrder`.
    public var joints: [String] = []
    /// Order of a quaternion in the tensor.
    public var quaternion = Quaternion.wxyz
    /// Fields of a command, in the order of the tensor; empty: all.
    public var fields: [String] = []

    public init(tensor: String, source: Source) { (self.tensor, self.source) = (tensor, source) }
  }

  /// Where an output tensor of a network goes.
  public struct Output: Equatable, Sendable {
    public enum Destination: Equatable, Sendable {
      /// Raw actions, taken apart by the `actions` that name this tensor.
      case action
      /// Finished targets, likewise; they are no action that `last_action` remembers.
      case target
      case memory(String)
      /// A part of the tracked motion at the frame that the counter asked for.
      case reference(Reference)
      /// Gains of the joints of the action that names this tensor in `kp_from` or `kd_from`.
      case kp, kd
      case ignore
      /// Read by a model that runs later in this tick, or by a `model_output` term of a vector.
      case model(String)
      case vector(String)
    }
    public var tensor: String
    public var destination: Destination

    public init(tensor: String, destination: Destination) { (self.tensor, self.destination) = (tensor, destination) }
  }

  public enum Quaternion: UInt8, CardWord {
    case wxyz, xyzw
    public static var words: StaticString { "wxyz xyzw" }
    public static var noun: StaticString { "order of a quaternion" }
  }

  /// Parts of a tracked motion. Joints `[n]` rad, rad/s; bodies `[B, 3]` m, m/s, rad/s and `[B, 4]`; the anchor alone
  /// `[3]` and `[4]`.
  public enum Reference: UInt8, CardWord {
    case jointPosition, jointVelocity, bodyPosition, bodyOrientation, bodyLinearVelocity, bodyAngularVelocity,
      anchorPosition, anchorOrientation
    public static var words: StaticString {
      """
      joint_position joint_velocity body_position body_orientation body_linear_velocity body_angular_velocity \
      anchor_position anchor_orientation
      """
    }
    public static var noun: StaticString { "part of a motion" }
  }

  // MARK: what ticks carry

  /// A tensor that an output writes and the same tick's or a later tick's input reads.
  public struct Memory: Equatable, Sendable {
    public enum Element: UInt8, CardWord {
      case f32, f64, i32, i64, bool
      public static var words: StaticString { "f32 f64 i32 i64 bool" }
      public static var noun: StaticString { "dtype" }
    }
    public var name: String
    public var shape: [Int] = []
    public var element = Element.f32
    /// Values at reset: one, or one per element in row-major order.
    public var initial = Numbers.all(0)

    public init(name: String) { self.name = name }
  }

  /// A number that is `start` at the first run after a reset and grows by `step` with every run, up to `last` where
  /// there is one.
  public struct Counter: Equatable, Sendable {
    public var name: String
    public var start = 0
    public var step = 1
    public var last: Int?

    public init(name: String) { self.name = name }
  }

  /// What a person or a planner asks for, `fields.count` values.
  public struct Command: Equatable, Sendable {
    public var name: String
    /// The raw signal that brings it, such as "command.velocity".
    public var signal = ""
    public var fields: [String] = []
    /// Unit per field, nil where none was told; empty: none at all.
    public var units: [String?] = []
    /// Range per field, nil where none was told; empty: none at all.
    public var range: [Interval?] = []
    /// Whether the range is applied before anything else sees the command.
    public var clamp = false
    /// Largest change per second and field; nil: none.
    public var slew: Numbers?
    /// Values at reset, where a slew starts; nil: 0.
    public var initial: Numbers?

    public init(name: String) { self.name = name }
  }

  public struct PrimeModels: Equatable, Sendable {
    /// Whether counters step by this run.
    public var advance = false
    /// Whether the action of this run is what `last_action` shows at the first tick.
    public var keepAction = false

    public init() {}
  }

  /// Where something begins at reset.
  public enum Start: UInt8, CardWord {
    case measured, defaultPose, zero, given
    public static var words: StaticString { "measured default zero given" }
    public static var noun: StaticString { "start" }
  }

  public struct Scan: Equatable, Sendable {
    public var name: String
    public var pattern: Json

    public init(name: String, pattern: Json) { (self.name, self.pattern) = (name, pattern) }
  }
}
