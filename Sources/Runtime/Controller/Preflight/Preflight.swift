import Base
import Card
import Platform

/// A recording run through a twin of a controller: what is not as recorded.
public struct Preflight {
  /// The first thing that differs; `what` says it in words.
  public struct Difference {
    public var tick: Int
    public var name: String
    public var what: String
    public var found: Double
    public var expected: Double
  }

  /// How far one term, action or target is from its recording at worst.
  public struct Row {
    public var name: String
    /// Within the tolerance at every tick.
    public var isSame: Bool
    public var difference: Double
    public var tick: Int
    public var found: Double
    public var expected: Double
  }

  public struct Options {
    public var absolute = 1e-4
    public var relative = 1e-4
    /// Stops at the first difference. Rows are then those up to there, and nothing is said of what would explain all
    /// values.
    public var stopsAtFirst = false

    public init() {}
  }

  public internal(set) var first: Difference?
  public internal(set) var rows: [Row] = []
  /// Observations, actions and targets that the recording does not hold.
  public internal(set) var unchecked: [String] = []
  public internal(set) var notes: [String] = []

  public mutating func addNote(_ text: String) { notes.append(text) }
}

extension Controller {
  /// A fresh controller of the same card, networks and joints without what this robot adds: limits, ladders, clamps.
  func twin(clamps: Int32) throws(Failure) -> Controller {
    var o = ControllerOptions()
    o.joints = joints
    for (i, m) in card.models.enumerated() { o.models.append((m.name, sessions[i].offered ?? sessions[i].policy)) }
    o.controlPeriod = givenPeriod
    o.seed = seed
    o.clamps = clamps
    o.motion = motion
    return try Controller(card, o)
  }

  /// Runs a recording through a twin and compares. This controller is not ticked, and may be meanwhile.
  @export(interface)
  public func preflight(_ recording: Recording, _ options: Preflight.Options = .init()) throws(Failure) -> Preflight {
    let ticks = try recording.check()
    var run = try PreflightRun(try twin(clamps: recording.clamps), recording, options)
    return try run.run(ticks)
  }

  /// What every recording that the card or the options name must show. Throws `.mismatch` by the first wrong term, or
  /// writes it to the log.
  func checkRecordings() throws(Failure) {
    if onMismatch == .skip { return }
    for path in recordings {
      var others: [String] = []
      let found = try preflight(try Recording.load(path: path, others: &others))
      guard let first = found.first else { continue }
      let failure = Failure(.mismatch, "preflight: \(path): \(first.what)")
      if onMismatch == .refuse { throw failure }
      Log.write(.warning, failure.message)
    }
  }
}

/// What a recording that is not met does at start; the codes of the C header.
public enum OnMismatch: Int32 {
  case refuse = 0, warn, skip
}

/// One run of a recording.
struct PreflightRun {
  /// A tensor or a kind of target of the twin: where its values are, and the rows that they belong to.
  private final class Channel {
    let key: String
    let width: Int
    let array: RecordedArray?
    var parts: [Part] = []
    /// Whether it was made at all, and how often.
    var isMade = false

    init(_ key: String, _ width: Int, _ array: RecordedArray?) {
      (self.key, self.width, self.array) = (key, width, array)
    }
  }

  /// Elements of a channel that belong to one term, or all of them.
  private final class Part {
    var row: Preflight.Row?
    let name: String
    let elements: [Int]
    var trace = PreflightTrace()

    init(_ name: String, _ elements: [Int]) { (self.name, self.elements) = (name, elements) }
  }

  private struct Tensor {
    var channel: Int
    var model: Int
    var index: Int
    var isInput: Bool
    var type: Int32
    var elementSize: Int
  }

  let twin: Controller
  let recording: Recording
  let options: Preflight.Options
  private let words: PreflightWords
  private var report = Preflight()
  private var channels: [Channel] = []
  private var tensors: [Tensor] = []
  /// Place of each of the twin's joints in the recording, or -1; nil: the same order.
  private var order: [Int]?
  private var firstPart: Part?
  private let signals: [(array: RecordedArray, to: UnsafeMutablePointer<Double>, width: Int, isJoint: Bool)]
  private let memory: [Bytes]
  private let targets: [UnsafeMutablePointer<Double>?]

  init(_ twin: Controller, _ recording: Recording, _ options: Preflight.Options) throws(Failure) {
    (self.twin, self.recording, self.options) = (twin, recording, options)
    words = PreflightWords(card: twin.card, joints: twin.joints)
    if !recording.joints.isEmpty, recording.joints != twin.joints {
      for j in twin.card.jointOrder where !recording.joints.contains(j) {
        let names = recording.joints.dropFirst().reduce(recording.joints[0]) { $0 + ", " + $1 }
        throw Failure(.mismatch, "preflight: joint '\(j)' is not in the recording, which has \(names)")
      }
      order = twin.joints.map { recording.joints.firstIndex(of: $0) ?? -1 }
    }
    var bound: [(array: RecordedArray, to: UnsafeMutablePointer<Double>, width: Int, isJoint: Bool)] = []
    var kept: [Bytes] = []
    for s in twin.signals {
      guard let array = recording["in." + s.name] else {
        if s.isOptional { continue }
        throw Failure(.mismatch, "preflight: signal '\(s.name)' is missing in the recording")
      }
      let width = s.isJoint && order != nil ? recording.joints.count : s.width
      guard array.width == width else {
        throw Failure(.shape, "preflight: signal '\(s.name)' has \(array.width) values, expected \(width)")
      }
      let values = try Bytes.zeroed(s.width * 8)
      let to = values.mutable.assumingMemoryBound(to: Double.self)
      kept.append(values)
      var b = SignalBinding(name: s.name, data: UnsafeRawPointer(to), count: s.width, type: 11)
      b.unit = s.unit == "" ? nil : s.unit
      try twin.bind(b)
      bound.append((array, to, s.width, s.isJoint))
    }
    var written: [UnsafeMutablePointer<Double>?] = []
    for what in 0..<TargetKind.count {
      guard twin.commands(what) else {
        written.append(nil)
        continue
      }
      let values = try Bytes.zeroed(twin.joints.count * 8)
      let to = values.mutable.assumingMemoryBound(to: Double.self)
      for j in 0..<twin.joints.count { to[j] = .nan }
      kept.append(values)
      try twin.bindTarget(what, data: values.mutable, stride: 0, offsets: nil, type: 11, count: twin.joints.count)
      written.append(to)
    }
    (signals, memory, targets) = (bound, kept, written)
    try twin.checkBindings()
    twin.begin()
    try layOut()
  }

  /// Channels of all tensors and targets, in the order in which a tick compares them.
  private mutating func layOut() throws(Failure) {
    for isInput in [true, false] {
      for (m, model) in twin.card.models.enumerated() {
        let plan = twin.sessions[m].policy.plan
        for (i, port) in (isInput ? plan.inputs : plan.outputs).enumerated() where port.size > 0 {
          let type = port.type.rawValue
          guard isElementSupported(type), port.type.size > 0 else { continue }
          let key = (isInput ? "obs." : "act.") + model.name + "." + port.name
          tensors.append(
            Tensor(
              channel: channels.count, model: m, index: i, isInput: isInput, type: type, elementSize: port.type.size))
          try add(key, port.size / port.type.size)
        }
      }
    }
    for what in 0..<TargetKind.count where targets[what] != nil {
      try add("out." + TargetKind.names[what], twin.joints.count)
    }
  }

  private mutating func add(_ key: String, _ width: Int) throws(Failure) {
    let channel = Channel(key, width, recording[key])
    channel.parts = words.parts(key, width).map { Part($0.name, $0.elements) }
    channels.append(channel)
  }

  private mutating func differs(
    _ tick: Int, _ name: String, _ what: Message, _ found: Double = .nan, _ expected: Double = .nan
  ) {
    if report.first == nil {
      report.first = Preflight.Difference(tick: tick, name: name, what: what.text, found: found, expected: expected)
    }
  }

  mutating func run(_ ticks: Int) throws(Failure) -> Preflight {
    compareFacts()
    let (core, handle) = (twin.core, twin.handle)
    let (time, stamp, mode) = (recording["time"], recording["stamp"], recording["mode"])
    let (status, ran, resets) = (recording["status"], recording["ran"], recording["resets"])
    let period = core.pointee.controlPeriod
    var runs = 0
    handle.reset()
    for tick in 0..<ticks {
      if report.first != nil && options.stopsAtFirst { break }
      if let resets, (0..<resets.rows * resets.width).contains(where: { resets.values[$0] == Double(tick) }) {
        handle.reset()
      }
      take(tick)
      let now =
        time.map { nanoseconds($0.values[tick]) } ?? Int64(tick).multipliedReportingOverflow(by: period).partialValue
      _ = handle.stamp(-1, stamp.map { nanoseconds($0.values[tick]) } ?? now)
      if let mode {
        guard let code = Int32(exactly: mode.values[tick]), handle.setMode(code).isOK else {
          throw Failure(
            .argument,
            "preflight: tick \(tick): mode is \(decimal(mode.values[tick])), expected EFF_MODE_RUN to EFF_MODE_ZERO")
        }
      }
      let found = handle.tick(now)
      compareStatus(tick, found.code, status.map { $0.values[tick] } ?? 0)
      let isRun = core.pointee.report.ran != 0 && found.isOK
      if let ran {
        let expected = ran.values[tick] != 0 && (status.map { $0.values[tick] } ?? 0) == 0
        if expected != isRun {
          let period = twin.card.policyPeriod.map { decimal($0) } ?? "unknown"
          differs(
            tick, "policy_period",
            """
            the networks \(isRun ? "ran" : "did not run") at tick \(tick), in the recording they \
            did\(isRun ? " not" : ""): policy_period is \(period) s
            """)
        }
      }
      if isRun {
        for t in tensors { compare(tick, runs, t) }
        runs += 1
      }
      var c = tensors.count
      for values in targets {
        guard let values else { continue }
        compareTargets(tick, channels[c], values)
        c += 1
      }
    }
    compareAbsent(runs)
    for c in channels {
      if c.isMade && c.array == nil { report.unchecked.append(c.key) }
      for p in c.parts { if let row = p.row { report.rows.append(row) } }
    }
    if let hint = firstPart?.trace.hint, hint != "" { report.first?.what += "; " + hint }
    return report
  }

  /// The raw signals of a tick, in the twin's order.
  private func take(_ tick: Int) {
    for s in signals {
      let from = s.array.values + tick * s.array.width
      if let order, s.isJoint {
        for j in 0..<s.width { s.to[j] = order[j] >= 0 ? from[order[j]] : 0 }
      } else {
        for i in 0..<s.width { s.to[i] = from[i] }
      }
    }
  }

  private mutating func compareFacts() {
    let control = twin.givenPeriod ?? twin.card.controlPeriod ?? twin.card.policyPeriod ?? 0
    let periods = [
      ("control_period", recording.controlPeriod, control),
      ("policy_period", recording.policyPeriod, twin.card.policyPeriod ?? 0),
    ]
    for (name, expected, found) in periods {
      guard let expected, (expected - found).magnitude > 1e-9 else { continue }
      differs(0, name, "\(name) is \(decimal(found)) s, the recording has \(decimal(expected)) s", found, expected)
    }
    for s in twin.signals {
      guard let unit = recording.value(recording.units, s.name), unit != s.unit else { continue }
      differs(0, s.name, "signal '\(s.name)' is in '\(s.unit)', in the recording in '\(unit)'")
    }
    for (i, m) in twin.card.models.enumerated() {
      let found = PreflightWords.hexadecimal(twin.sessions[i].policy.hash)
      guard let expected = recording.value(recording.policies, m.name), expected != found else { continue }
      report.notes.append(
        "network '" + m.name + "' is another file (" + found + ") than the recording's (" + expected + ")")
    }
  }

  private mutating func compareStatus(_ tick: Int, _ found: Int32, _ expected: Double) {
    if Double(found) == expected { return }
    let text = found == 0 ? "" : ": " + twin.explain(twin.core.pointee.report)
    if found == 0 || expected == 0 {
      differs(
        tick, "guard",
        """
        tick \(tick) is \(found == 0 ? "clean" : "refused"), in the recording it is \
        \(expected == 0 ? "clean" : "refused")\(text)
        """,
        Double(found), expected)
    } else {
      differs(
        tick, "guard",
        "tick \(tick) is refused with \(Int(found)), in the recording it is refused with \(decimal(expected))\(text)",
        Double(found),
        expected)
    }
  }

  private mutating func compare(_ tick: Int, _ run: Int, _ t: Tensor) {
    let memory = t.isInput ? twin.handle.input(t.model, t.index) : twin.handle.output(t.model, t.index)
    guard let memory else { return }
    let channel = channels[t.channel]
    channel.isMade = true
    guard let array = channel.array, run < array.rows else { return }
    compare(
      tick, channel, array.width, { loadElement(memory + $0 * t.elementSize, t.type) },
      { array.values[run * array.width + $0] })
  }

  private mutating func compareTargets(_ tick: Int, _ channel: Channel, _ values: UnsafeMutablePointer<Double>) {
    channel.isMade = true
    guard let array = channel.array else { return }
    let row = array.values + tick * array.width
    if let order {
      guard array.width == recording.joints.count else {
        differs(
          tick, channel.key,
          "\(channel.key) has \(array.width) values in the recording, which has \(recording.joints.count) joints",
          Double(channel.width), Double(array.width))
        return
      }
      compare(tick, channel, channel.width, { values[$0] }, { order[$0] >= 0 ? row[order[$0]] : .nan })
    } else {
      compare(tick, channel, array.width, { values[$0] }, { row[$0] })
    }
  }

  private mutating func compare(
    _ tick: Int, _ channel: Channel, _ width: Int, _ found: (Int) -> Double, _ expected: (Int) -> Double
  ) {
    guard width == channel.width else {
      differs(
        tick, channel.key, "\(channel.key) has \(channel.width) values, the recording has \(width)",
        Double(channel.width), Double(width))
      return
    }
    for part in channel.parts {
      var (worst, worstAt, firstBad) = (-1.0, 0, -1)
      for e in part.elements {
        let (x, y) = (found(e), expected(e))
        let distance =
          x.isNaN && y.isNaN ? 0 : (x == y ? 0 : ((x - y).magnitude.isNaN ? Double.infinity : (x - y).magnitude))
        if distance > worst { (worst, worstAt) = (distance, e) }
        if firstBad < 0 && !(distance <= options.absolute + options.relative * (y.isNaN ? 0 : y.magnitude)) {
          firstBad = e
        }
      }
      let isBad = firstBad >= 0
      if part.row == nil || worst > part.row!.difference || (isBad && part.row!.isSame) {
        let isSame = !isBad && (part.row?.isSame ?? true)
        part.row = Preflight.Row(
          name: part.name, isSame: isSame, difference: worst, tick: tick, found: found(worstAt),
          expected: expected(worstAt))
      }
      if !options.stopsAtFirst { part.trace.keep(part.elements, found, expected) }
      if isBad && report.first == nil {
        let (x, y) = (found(firstBad), expected(firstBad))
        differs(
          tick, part.name,
          "\(words.element(channel.key, firstBad)) at tick \(tick) is \(decimal(x)), the recording has \(decimal(y))",
          x, y)
        firstPart = part
      }
    }
  }

  /// What the recording holds too much or too little of.
  private mutating func compareAbsent(_ runs: Int) {
    for a in recording.arrays {
      let kind = String(decoding: Array(a.name.utf8).prefix(4), as: UTF8.self)
      let channel = channels.first { $0.key == a.name }
      if kind == "out.", channel == nil {
        guard (0..<a.rows * a.width).contains(where: { !a.values[$0].isNaN }) else { continue }
        differs(0, a.name, "the recording has \(a.name), which this card does not command")
      } else if kind == "obs." || kind == "act." {
        if runs > 0, channel?.isMade != true {
          differs(0, a.name, "the recording has \(a.name), which this card's networks do not have")
        } else if report.first == nil || !options.stopsAtFirst, a.rows != runs {
          differs(
            0, a.name, "the networks ran \(runs) times, the recording has \(a.rows) runs in \(a.name)", Double(runs),
            Double(a.rows))
        }
      }
    }
  }
}
