import Base
import Kernels

/// One field of what a checkpoint holds.
struct CheckpointField {
  let name: String
  let type: StaticString
  /// Bytes from the beginning of the learner's state, and bytes of the field.
  let offset: Int
  let size: Int
}

/// Collects the fields of a state that lies in memory: each by name, type and place.
struct FieldList {
  let base: UnsafeRawPointer
  private(set) var fields: [CheckpointField] = []
  /// Of the struct whose fields are added.
  var prefix = ""

  init(base: UnsafeRawPointer) { self.base = base }

  mutating func add(_ name: String, _ p: UnsafePointer<UInt64>) { add(name, "u64", UnsafeRawPointer(p), 8) }
  mutating func add(_ name: String, _ p: UnsafePointer<Double>) { add(name, "f64", UnsafeRawPointer(p), 8) }
  mutating func add(_ name: String, _ p: UnsafePointer<Int32>) { add(name, "i32", UnsafeRawPointer(p), 4) }
  mutating func add(_ name: String, _ p: UnsafePointer<Int>) {
    add(name, "int", UnsafeRawPointer(p), MemoryLayout<Int>.size)
  }

  /// An array, of which the size follows from the options.
  mutating func add(_ name: String, _ type: StaticString, _ p: UnsafeRawPointer, _ size: Int = 0) {
    fields.append(CheckpointField(name: prefix + name, type: type, offset: p - base, size: size))
  }
}

/// Hash of names, types and places: two learners with the same one read each other's bytes alike.
func layoutHash(_ fields: [CheckpointField]) -> UInt64 {
  var hash = XxHash64()
  for f in fields {
    hash.add(f.name)
    hash.add(f.type.description)
    hash.add(UInt64(f.offset))
    hash.add(UInt64(f.size))
  }
  return hash.value
}

extension UnsafeMutablePointer where Pointee == LearnerState {
  /// Every stored property, down to numbers. A test compares this list with what reflection finds.
  func fields() -> [CheckpointField] {
    var list = FieldList(base: UnsafeRawPointer(self))
    pointee.generator.list(&list, "generator.")
    pointee.list(&list)
    for (name, p) in [("actor.", optimizer(&pointee.actor)), ("critic.", optimizer(&pointee.critic))] {
      list.prefix = name
      list.add("count", &p.pointee.count)
      list.add("due", &p.pointee.due)
      list.add("sigma", &p.pointee.sigma)
      list.add("clipSquare", &p.pointee.clipSquare)
      list.add("magnitude", &p.pointee.magnitude)
      list.add("energy", &p.pointee.energy)
    }
    list.prefix = "counters."
    list.add("updates", &pointee.counters.updates)
    list.add("episodes", &pointee.counters.episodes)
    list.add("badInputs", &pointee.counters.badInputs)
    list.add("badUpdates", &pointee.counters.badUpdates)
    list.add("snapshots", &pointee.counters.snapshots)
    list.add("rollbacks", &pointee.counters.rollbacks)
    list.add("actorDrift", &pointee.counters.actorDrift)
    list.add("criticDrift", &pointee.counters.criticDrift)
    list.prefix = "watch."
    pointee.watch.list(&list)
    list.prefix = "error."
    list.add("count", &pointee.error.count)
    list.add("recent", &pointee.error.recent)
    list.add("usual", &pointee.error.usual)
    list.prefix = "change."
    list.add("waited", &pointee.change.waited)
    list.add("turns", &pointee.change.turns)
    list.add("kept", &pointee.change.kept)
    list.add("oldest", &pointee.change.oldest)
    list.add("next", &pointee.change.next)
    list.add("observationCount", &pointee.change.observationCount)
    list.add("mean", &pointee.change.mean)
    list.prefix = "dormantActor."
    list.add("samples", &pointee.dormantActor.samples)
    list.add("share", &pointee.dormantActor.share)
    list.prefix = "dormantCritic."
    list.add("samples", &pointee.dormantCritic.samples)
    list.add("share", &pointee.dormantCritic.share)
    return list.fields
  }
}

private func optimizer(_ p: UnsafeMutablePointer<OptimizerState>) -> UnsafeMutablePointer<OptimizerState> { p }

extension LearnerHandle {
  /// Hash of all that a checkpoint holds: the state's fields, the arrays behind it and the heads of snapshots, by name,
  /// type and place, and what the options say of their sizes.
  func fieldHash() -> UInt64 {
    let state = core.pointee.state
    var list = FieldList(base: UnsafeRawPointer(state))
    let number: StaticString = core.pointee.settings.isDouble ? "f64" : "f32"
    list.add("raw", "f64", core.pointee.raw)
    list.add("current", "f64", core.pointee.current)
    list.add("action", "f64", core.pointee.action)
    list.add("filter", "f64", core.pointee.filter)
    list.add("returns.mean", "f64", core.pointee.returns.mean)
    list.add("returns.m2", "f64", core.pointee.returns.m2)
    list.add("observations.mean", "f64", core.pointee.observations.mean)
    list.add("observations.m2", "f64", core.pointee.observations.m2)
    if core.pointee.hasActor {
      list.add("actor.w", number, core.pointee.actor.w)
      list.add("actor.e", number, core.pointee.actor.e)
      if core.pointee.settings.optimizer.hasMoments { list.add("actor.v", number, core.pointee.actor.v) }
    }
    list.add("critic.w", number, core.pointee.critic.w)
    list.add("critic.e", number, core.pointee.critic.e)
    if core.pointee.settings.optimizer.hasMoments { list.add("critic.v", number, core.pointee.critic.v) }
    if let state = core.pointee.head?.pointee.state {
      list.prefix = "distribution."
      state.pointee.list(&list)
      list.prefix = ""
    }
    list.add("snapshots", "snapshot", core.pointee.snapshots, core.pointee.snapshotStride)
    listRewards(&list, number)
    var head = SnapshotHeader(score: 0, observationCount: 0, place: 0, before: 0)
    var hash = XxHash64()
    hash.add(core.pointee.layoutHash)
    hash.add(Runtime.layoutHash(state.fields()))
    hash.add(Runtime.layoutHash(list.fields))
    hash.add(Runtime.layoutHash(head.fields()))
    return hash.value
  }
}
