import Base
import Foundation
import Onnx
@testable import Runtime
import Testing


/// Drives a learner with a reproducible world in which the reward prefers small actions.
struct World {
  var generator: Generator
  var observation: [Double]
  var steps = 0

  init(seed: UInt64, size: Int) {
    generator = Generator(seed: seed)
    observation = (0..<size).map { Double($0) }
  }

  /// One act and one update; returns the action and the report.
  mutating func step(_ l: LearnerHandle) -> ([Double], UpdateReport) {
    var action = [Double](repeating: 0, count: 3)
    _ = l.act(observation, into: &action)
    for i in 0..<observation.count { observation[i] = 0.9 * observation[i] + generator.normal() + 0.1 * action[0] }
    steps += 1
    var report = UpdateReport()
    let ends = steps % 23 == 0
    _ = l.update(
      Transition(
        observation: observation, reward: -action[0] * action[0], isTerminated: ends && steps % 2 == 0,
        isTruncated: ends), &report)
    if ends { for i in 0..<observation.count { observation[i] = generator.normal() } }
    return (action, report)
  }
}

@Suite struct CheckpointTests {
  private static let kinds: [(Algorithm, Optimizer)] = [
    (.acContinuous, .obgd), (.acContinuous, .intentional), (.acDiscrete, .adaptiveObGD), (.q, .obgd), (.sarsa, .obgd),
    (.td, .intentional),
  ]

  private func options(_ kind: (Algorithm, Optimizer)) -> LearnerOptions {
    var o = smallOptions(kind.0, kind.1, isDouble: false)
    o.watch.snapshots = 2
    o.watch.snapshotPeriod = 20
    o.settings.timeLimit = 23
    o.watch.errorRise = 1.5
    (o.settings.errorCap, o.settings.betaEnergy) = (3, 0.99)
    if kind.0.hasActor { (o.watch.changeLimit, o.watch.changePeriod, o.watch.changeObservations) = (0.05, 3, 4) }
    return o
  }

  private func bytes(_ l: LearnerHandle) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: l.checkpointSize)
    l.save(to: &out)
    return out
  }

  /// Padding would put what memory happened to hold into a checkpoint.
  @Test func nothingOfTheStateIsPadding() {
    func used(_ x: Any) -> Int {
      func size<T>(_: T) -> Int { MemoryLayout<T>.size }
      let parts = Mirror(reflecting: x).children
      return parts.isEmpty ? size(x) : parts.reduce(0) { $0 + used($1.value) }
    }
    #expect(used(LearnerState(seed: 1)) == MemoryLayout<LearnerState>.size)
    #expect(used(RewardState()) == MemoryLayout<RewardState>.size)
    let header = SnapshotHeader(score: 0, observationCount: 0, place: 0, before: 0)
    #expect(used(header) == MemoryLayout<SnapshotHeader>.size)
    #expect(MemoryLayout<SnapshotHeader>.size <= SnapshotHeader.bytes)
  }

  /// The stored numbers of a value by name, type and size, in order, as reflection finds them.
  private func reflected(_ x: Any, _ name: String = "") -> [String] {
    let parts = Mirror(reflecting: x).children
    if parts.isEmpty {
      switch x {
      case is UInt64: return [name + " u64"]
      case is Double: return [name + " f64"]
      case is Int32: return [name + " i32"]
      case is Int: return [name + " int"]
      default: return [name + " \(type(of: x))"]
      }
    }
    return parts.flatMap { part in
      let label = part.label!.first == "." ? String(part.label!.dropFirst()) : part.label!
      return reflected(part.value, name.isEmpty ? label : name + "." + label)
    }
  }

  /// A checkpoint of a learner whose fields have other names, types or places is refused: the hash in its header is of
  /// every field.
  @Test func everyFieldOfTheStateIsInTheHash() throws {
    var state = LearnerState(seed: 1)
    let fields = withUnsafeMutablePointer(to: &state) { $0.fields() }
    let inMemory = fields.sorted { $0.offset < $1.offset }
    #expect(inMemory.map { "\($0.name) \($0.type)" } == reflected(state))
    var end = 0
    for f in inMemory {
      #expect(f.offset == end, "\(f.name)")
      end += f.size
    }
    #expect(end == MemoryLayout<LearnerState>.size)
    var head = SnapshotHeader(score: 0, observationCount: 0, place: 0, before: 0)
    #expect(head.fields().sorted { $0.offset < $1.offset }.map { "\($0.name) \($0.type)" } == reflected(head))
    var rewards = RewardState()
    let own = withUnsafeMutablePointer(to: &rewards) { p in
      var list = FieldList(base: UnsafeRawPointer(p))
      p.pointee.list(&list)
      return list.fields
    }
    #expect(own.sorted { $0.offset < $1.offset }.map { "\($0.name) \($0.type)" } == reflected(rewards))

    let hash = layoutHash(fields)
    let (a, b) = (fields[5], fields[6])
    var swapped = fields
    swapped[5] = CheckpointField(name: a.name, type: a.type, offset: b.offset, size: a.size)
    swapped[6] = CheckpointField(name: b.name, type: b.type, offset: a.offset, size: b.size)
    #expect(layoutHash(swapped) != hash)
    var renamed = fields
    renamed[5] = CheckpointField(name: "other", type: a.type, offset: a.offset, size: a.size)
    #expect(layoutHash(renamed) != hash)
    var retyped = fields
    retyped[5] = CheckpointField(name: a.name, type: "i64", offset: a.offset, size: a.size)
    #expect(layoutHash(retyped) != hash)
  }

  @Test func aCheckpointOfAnotherVersionSaysWhatToDo() throws {
    let owned = try OwnedLearner(options((.acContinuous, .obgd)))
    for (version, text) in [
      (3, "version 3, which does not say its fields, expected 4: restore it with the version"),
      (5, "version 5, expected 4"),
    ] {
      var old = bytes(owned.learner)
      old.withUnsafeMutableBytes { $0.storeBytes(of: UInt64(version), toByteOffset: 8, as: UInt64.self) }
      do throws(Failure) {
        try owned.learner.restore(from: old, size: old.count)
        Issue.record("version \(version) was restored")
      } catch {
        #expect(error.reason == .unsupported && error.message.contains(text), "\(error.message)")
      }
    }
  }

  /// A checkpoint that somebody wrote with care, checksum and all, indexes no memory but the learner's.
  @Test func indicesAreBroughtIntoRange() throws {
    var o = options((.acContinuous, .obgd))
    o.watch.changeLimit = .infinity
    o.watch.changePeriod = 1
    let l = try OwnedLearner(o)
    var world = World(seed: 5, size: 7)
    for _ in 0..<30 { _ = world.step(l.learner) }
    for index in [\LearnerState.change.kept, \.change.oldest, \.change.next] {
      for value in [1 << 40, -(1 << 40)] {
        var forged = bytes(l.learner)
        let at = CheckpointHeader.bytes + MemoryLayout<LearnerState>.offset(of: index)!
        forged.withUnsafeMutableBytes { raw in
          raw.storeBytes(of: value, toByteOffset: at, as: Int.self)
          let sum = CheckpointHeader.checksum(
            raw.baseAddress! + CheckpointHeader.bytes, raw.count - CheckpointHeader.bytes)
          raw.storeBytes(of: sum, toByteOffset: MemoryLayout<CheckpointHeader>.offset(of: \.checksum)!, as: UInt64.self)
        }
        try l.learner.restore(from: forged, size: forged.count)
        for _ in 0..<30 { _ = world.step(l.learner) }
        #expect(bytes(l.learner).count == forged.count)
      }
    }
  }

  /// Interrupted at any point, between act and update or after it, the restored learner does what the first one does.
  @Test func aRestoredLearnerContinuesBitForBit() throws {
    for kind in Self.kinds {
      let o = options(kind)
      for stop in [0, 1, 22, 23, 24, 100] {
        let first = try OwnedLearner(o)
        var world = World(seed: 5, size: 7)
        for _ in 0..<stop { _ = world.step(first.learner) }
        // a checkpoint between act and update
        var ignored = [0.0, 0.0, 0.0]
        if stop % 2 == 0 { _ = first.learner.act(world.observation, into: &ignored) }
        var other = o
        other.seed = 999
        let second = try OwnedLearner(other)
        try second.learner.restore(from: bytes(first.learner), size: first.learner.checkpointSize)
        if stop % 2 == 0 {
          var report = UpdateReport()
          let t = Transition(observation: [1, 2, 3, 4, 5, 6, 7], reward: 1)
          _ = first.learner.update(t, &report)
          _ = second.learner.update(t, &report)
        }
        var twin = world
        for _ in 0..<120 {
          let (a, _) = world.step(first.learner)
          let (b, _) = twin.step(second.learner)
          #expect(a == b)
        }
        #expect(bytes(first.learner) == bytes(second.learner), "\(kind) stopped at \(stop)")
      }
    }
  }

  @Test func damageIsRefusedAndChangesNothing() throws {
    let owned = try OwnedLearner(options((.acContinuous, .obgd)))
    var world = World(seed: 5, size: 7)
    for _ in 0..<50 { _ = world.step(owned.learner) }
    let good = bytes(owned.learner)
    var stream = Generator(seed: 1)
    for _ in 0..<400 {
      var bad = good
      bad[Int(stream.uniform() * Double(bad.count))] ^= UInt8(1 + Int(stream.uniform() * 255))
      #expect(throws: Failure.self) { try owned.learner.restore(from: bad, size: bad.count) }
    }
    for size in [0, 8, 39, 40, good.count - 1, good.count + 1] {
      let cut = good + [0]
      #expect(throws: Failure.self) { try owned.learner.restore(from: cut, size: size) }
    }
    #expect(bytes(owned.learner) == good)
  }

  @Test func aCheckpointOfAnotherShapeIsRefused() throws {
    let owned = try OwnedLearner(options((.acContinuous, .obgd)))
    let good = bytes(owned.learner)
    let changes: [(inout LearnerOptions) -> Void] = [
      { $0.hiddenSizes = [33, 19] }, { $0.settings.optimizer = .intentional }, { $0.settings.isDouble = true },
      { $0.settings.actionCount = 2 },
      { $0.watch.snapshots = 1 }, { $0.watch.changeLimit = 0 }, { $0.watch.changeObservations = 5 },
      { $0.settings.timeLimit = 0 }, { $0.settings.hidden.activation = 1 },
    ]
    for change in changes {
      var o = options((.acContinuous, .obgd))
      change(&o)
      let other = try OwnedLearner(o)
      #expect(throws: Failure.self) { try other.learner.restore(from: good, size: good.count) }
    }
  }

  @Test func aFileIsReplacedAsAWhole() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "efferent-\(UInt64.random(in: 0..<UInt64.max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("learner.bin").path
    let first = try OwnedLearner(options((.q, .obgd)))
    try first.learner.save(path: path)
    var world = World(seed: 5, size: 7)
    for _ in 0..<50 { _ = world.step(first.learner) }
    try first.learner.save(path: path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["learner.bin"])
    let second = try OwnedLearner(options((.q, .obgd)))
    try second.learner.restore(path: path)
    #expect(bytes(first.learner) == bytes(second.learner))
    #expect(throws: Failure.self) { try second.learner.restore(path: path + ".absent") }
    #expect(throws: Failure.self) { try second.learner.save(path: folder.path + "/absent/x") }
  }
}
