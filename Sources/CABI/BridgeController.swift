#if Bridge
import Base
import Bridge
import CEfferent
import Card
import Handles
import Platform
import Runtime

/// A controller as a bridge serves it: a step carries raw signals, and brings targets. All joints come in the robot's
/// order, all numbers in the card's units.
///
///     in: every needed signal f64 [width]; now_ns i64 [1], stamp_ns i64 [1]: on the plant's clock
///         with a learner: reward f64 [1], terminated bool [1], truncated bool [1]
///     out: every commanded kind of target f64 [joints]
///     aux: report i32 [8], limits f64 [2], counts u64 [5], times_ns i64 [2]: the fields of eff_controller_report
///
/// A refused tick is answered like any other: its targets are the fallback's, and its report says why.
final class ControllerPort {
  /// One array of a frame, in memory of this port.
  private struct Slot {
    let tensor: Target.Tensor
    let memory: UnsafeMutableRawPointer
  }

  /// Looked up at each call: where the controller was destroyed too early, the plant is told so.
  private let controller: OpaquePointer?
  private let robot: Robot
  private let isLearning: Bool
  private var cardHash = Fnv1a()
  private let block: UnsafeMutableRawPointer
  private var inputs: [Slot] = []
  private var outputs: [Slot] = []
  /// Kinds of targets of the first outputs.
  private var kinds: [Int] = []
  /// The input of each needed signal; -1 for one that stays unbound.
  private var places: [Int32] = []
  private let clock: UnsafeMutablePointer<Int64>
  private let outcome: UnsafeMutablePointer<Double>
  private let flags: UnsafeMutablePointer<UInt8>
  private let report: UnsafeMutablePointer<Int32>
  private let limits: UnsafeMutablePointer<Double>
  private let counts: UnsafeMutablePointer<UInt64>
  private let times: UnsafeMutablePointer<Int64>
  private var isBound = false
  /// The next step begins an episode: its reward and flags say nothing.
  private var isFirst = true

  private static let targetUnits = ["rad", "rad/s", "N m", "N m/rad", "N m s/rad"]
  private static let reportWords = ["status", "mode", "fault", "signal", "joint", "model", "action", "ran"]
  private static let countWords = ["ticks", "runs", "late", "refused", "clamped"]

  init(_ c: Controller, _ handle: OpaquePointer?) {
    controller = handle
    isLearning = ControllerHandle(core: c.core).learner != nil
    for byte in JsonWriter.text(c.card.json).utf8 { cardHash.add(byte) }
    robot = Robot(
      joints: c.joints, isMoved: c.isMoved, rate: 1 / c.period,
      fallback: c.ladder.map {
        Robot.FallbackStep(mode: ControllerMode.names[Int($0.mode)], seconds: $0.seconds, kp: $0.kp, kd: $0.kd)
      },
      blend: c.blend, pose: c.pose, kp: c.stiffness, kd: c.damping, unitFits: Controller.unitFits)
    let needed = c.signals.filter { !$0.isOptional }
    var place: Int32 = -1
    places = c.signals.map {
      if !$0.isOptional { place += 1 }
      return $0.isOptional ? -1 : place
    }
    let joints = c.joints.count
    let names = Controller.targetNames
    kinds = names.indices.filter { c.commands($0) }
    // words of 8 bytes: signals and targets; outcome, limits, clock, counts, times, report and flags, which stand there
    // for every controller
    let words = needed.reduce(0) { $0 + $1.width } + kinds.count * joints + 1 + 2 + 2 + 5 + 2 + 8 / 2 + 1
    let size = words * 8
    block = .allocate(byteCount: size, alignment: 8)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    var at = block
    func take<T>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
      defer { at += count * MemoryLayout<T>.stride }
      return at.assumingMemoryBound(to: type)
    }
    func slot<T>(
      _ memory: UnsafeMutablePointer<T>, _ name: String, _ role: Target.Role, _ dtype: Int32, _ count: Int,
      _ unit: String = "", _ elements: [String] = []
    ) -> Slot {
      let tensor = Target.Tensor(
        name: name, role: role, dtype: dtype, shape: [count], size: count * MemoryLayout<T>.size, unit: unit,
        elements: elements)
      return Slot(tensor: tensor, memory: UnsafeMutableRawPointer(memory))
    }
    for s in needed {
      inputs.append(
        slot(take(Double.self, s.width), s.name, .observation, 11, s.width, s.unit, s.isJoint ? c.joints : []))
    }
    for k in kinds {
      let memory = take(Double.self, joints)
      // what is not commanded stays so
      memory.update(repeating: .nan, count: joints)
      outputs.append(
        slot(memory, names[k], .action, 11, joints, ControllerPort.targetUnits[k], c.joints))
    }
    outcome = take(Double.self, 1)
    limits = take(Double.self, 2)
    clock = take(Int64.self, 2)
    counts = take(UInt64.self, 5)
    times = take(Int64.self, 2)
    report = take(Int32.self, 8)
    flags = take(UInt8.self, 2)
    inputs.append(slot(clock, "now_ns", .observation, 7, 1))
    inputs.append(slot(clock + 1, "stamp_ns", .observation, 7, 1))
    if isLearning {
      inputs.append(slot(outcome, "reward", .observation, 11, 1))
      inputs.append(slot(flags, "terminated", .observation, 9, 1))
      inputs.append(slot(flags + 1, "truncated", .observation, 9, 1))
    }
    outputs.append(slot(report, "report", .aux, 6, 8, "", ControllerPort.reportWords))
    outputs.append(slot(limits, "limits", .aux, 11, 2, "", ["value", "limit"]))
    outputs.append(slot(counts, "counts", .aux, 13, 5, "", ControllerPort.countWords))
    outputs.append(slot(times, "times_ns", .aux, 7, 2, "", ["age", "period"]))
  }

  deinit {
    // the memory goes: the controller must not touch it
    if isBound, let c = try? liveController(controller) { c.unbind() }
    block.deallocate()
  }

  /// Binds the controller to this memory and starts it; where it has started before, its recordings were met.
  func bind() throws(Failure) {
    let c = try liveController(controller)
    let hadStarted = c.core.pointee.isStarted
    c.unbind()
    do {
      for (signal, place) in zip(c.signals, places) where place >= 0 {
        var binding = SignalBinding(
          name: signal.name, data: UnsafeRawPointer(inputs[Int(place)].memory), count: signal.width, type: 11)
        if !signal.unit.isEmpty { binding.unit = signal.unit }
        try c.bind(binding)
      }
      for (i, k) in kinds.enumerated() {
        try c.bindTarget(
          k, data: outputs[i].memory, stride: 0, offsets: nil, type: 11, count: outputs[i].tensor.shape[0])
      }
      try c.start(checksRecordings: !hadStarted)
    } catch {
      c.unbind()
      throw error
    }
    isBound = true
  }

  var target: Target {
    Target(
      inputs: inputs.map { $0.tensor }, outputs: outputs.map { $0.tensor }, maxRows: 1, policyHash: self.hash(),
      input: { self.inputs[$0].memory }, output: { UnsafeRawPointer(self.outputs[$0].memory) },
      run: { self.run($0) }, reset: { _ in self.reset() }, robot: robot)
  }

  /// Of the card and of the networks that run next.
  private func hash() -> UInt64 {
    var hash = cardHash
    if let owner = CABI.controller(controller)?.core.pointee.owner {
      for session in owner.takeUnretainedValue().sessions {
        hash.add(Int(truncatingIfNeeded: SessionHandle(core: session.core).hash()))
      }
    }
    return hash.value
  }

  /// One tick. Signals are as old as the plant says and as their way has taken.
  private func run(_ step: Target.Step) -> Int32 {
    guard let c = CABI.controller(controller) else { return Status.argument.code }
    if !c.core.pointee.isStarted { return Status.state.code }
    _ = c.stamp(-1, clock[1] &- Int64(clamping: step.age))
    if isLearning && !isFirst {
      // a reward that is not finite is the learner's to deal with
      _ = c.reward(outcome.pointee, isTerminated: flags[0] != 0, isTruncated: flags[1] != 0, action: nil, duration: 0)
    }
    isFirst = false
    _ = tick(c, clock[0])
    let r = c.core.pointee.report
    // the plant counts the arrays that it sends
    let isPlace = r.fault != EFF_FAULT_TARGET && r.signal >= 0 && Int(r.signal) < places.count
    (report[0], report[1], report[2]) = (r.status, r.mode, r.fault)
    report[3] = isPlace ? places[Int(r.signal)] : r.signal
    (report[4], report[5], report[6], report[7]) = (r.joint, r.model, r.action, r.ran)
    (limits[0], limits[1]) = (r.value, r.limit)
    (counts[0], counts[1], counts[2], counts[3], counts[4]) = (r.ticks, r.runs, r.late, r.refused, r.clamped)
    (times[0], times[1]) = (r.age, r.period)
    return Status.ok.code
  }

  private func reset() -> Int32 {
    guard let c = CABI.controller(controller) else { return Status.argument.code }
    c.reset()
    isFirst = true
    return Status.ok.code
  }
}
#endif
