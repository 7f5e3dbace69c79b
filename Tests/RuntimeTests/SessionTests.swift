import Base
import Kernels
import Onnx
import Platform
@testable import Runtime
import TestSupport
import Testing


@Suite struct SessionTests {
  private func observation(_ row: Int, _ t: Int, _ count: Int = 3) -> [Float] {
    (0..<count).map { Float((row * 31 + t * 17 + $0 * 7) % 13) / 13 - 0.5 }
  }

  @Test func rowsAreIndependentRobots() throws {
    for (model, count) in [(Model.lstm(), 3), (Model.mlp(), 7)] {
      let policy = try load(model)
      let together = try session(policy, rows: 5)
      let alone = try (0..<5).map { _ in try session(policy) }
      for t in 0..<20 {
        let action = step(together, (0..<5).flatMap { observation($0, t, count) })
        let each = (0..<5).flatMap { step(alone[$0], observation($0, t, count)) }
        for (a, b) in zip(action, each) { #expect(abs(a - b) <= 1e-6) }
      }
    }
  }

  @Test func idleRowsKeepTheirState() throws {
    let policy = try load(.lstm())
    let busy = try session(policy, rows: 4)
    let idle = try session(policy, rows: 4)
    let first = (0..<4).flatMap { observation($0, 0) }
    #expect(step(busy, first) == step(idle, first))
    // an odd and an even number of steps: both directions between the buffers
    for t in 1..<4 {
      _ = step(idle, (0..<2).flatMap { observation($0, t) })
      let state = try #require(idle.handle.input(1)).assumingMemoryBound(to: Float.self)
      let kept = try #require(busy.handle.input(1)).assumingMemoryBound(to: Float.self)
      #expect((8..<16).map { state[$0] } == (8..<16).map { kept[$0] })
      #expect((0..<8).map { state[$0] } != (0..<8).map { kept[$0] })
    }
  }

  @Test func resetClearsOneRowOrAll() throws {
    let policy = try load(.lstm())
    let s = try session(policy, rows: 3)
    let fresh = try session(policy, rows: 3)
    let x = (0..<3).flatMap { observation($0, 1) }
    let start = step(fresh, x)
    for _ in 0..<5 { _ = step(s, x) }
    #expect(s.handle.reset(1) == .ok)
    let after = step(s, x)
    #expect(Array(after[4..<8]) == Array(start[4..<8]))
    #expect(Array(after[..<4]) != Array(start[..<4]) && Array(after[8...]) != Array(start[8...]))
    #expect(s.handle.reset(-1) == .ok)
    #expect(step(s, x) == start)
    #expect(s.handle.reset(3) == .argument && s.handle.reset(-2) == .argument)
  }

  @Test func prewarmingTakesBackWhatItWrote() throws {
    let s = try session(try load(.lstm()))
    for t in 0..<3 { _ = step(s, observation(0, t)) }
    // the rehearsal sees the state after this step, and so gives another action than it
    func outputs() -> [Float] {
      (0..<s.core.pointee.outputCount).flatMap { i in
        let values = s.handle.output(i)!.assumingMemoryBound(to: Float.self)
        return (0..<s.core.pointee.outputs[i].size / 4).map { values[$0] }
      }
    }
    let before = outputs()
    #expect(s.handle.prewarm().isOK)
    #expect(outputs() == before)
  }

  @Test func rowsOutsideTheirRangeAreRefused() throws {
    let s = try session(try load(.mlp()), rows: 2)
    var action = [Float](repeating: 0, count: 9)
    for rows in [0, 3, -1, .max, .min] {
      #expect(s.handle.step(rows, [Float](repeating: 0, count: 21), &action) == .argument)
    }
    for index in [-1, 1, .max] { #expect(s.handle.input(index) == nil && s.handle.output(index) == nil) }
  }

  @Test func aSwapIsAdoptedAtTheNextStepAndKeepsTheState() throws {
    var other = Model.lstm()
    other.initializers[3] = .init("b", (0..<32).map { Float($0 % 5) / 10 }, [1, 32])
    let (first, second) = (try load(.lstm()), try load(other))
    let swapped = try session(first)
    let manual = try session(second)
    let x = observation(0, 0)
    _ = step(swapped, x)
    let before = try session(first)
    #expect(step(before, x) == step(try session(first), x))
    // the same state in a session of the second policy
    for i in 1...2 { eff_copy(manual.handle.input(i), swapped.handle.input(i), 16) }
    try swapped.swap(to: second)
    #expect(step(swapped, x) == step(manual, x))
    swapped.reclaim()
    try swapped.swap(to: first)
    #expect(step(swapped, x) != step(manual, x))
  }

  @Test func aSwapToAnotherPlanIsRefusedWithTheDifference() throws {
    let s = try session(try load(.mlp()))
    func refusal(_ m: Model) -> String {
      do throws(Failure) {
        try s.swap(to: try load(m))
        return "no failure"
      } catch {
        return error.reason == .mismatch ? error.message : "\(error)"
      }
    }
    #expect(refusal(.mlp(seed: 2)) == "no failure")
    #expect(refusal(.lstm()).hasPrefix("the new policy has another plan: "))
    var elu = Model.mlp()
    elu.nodes[1].op = "Elu"
    #expect(
      refusal(elu) == "the new policy has another plan: op 0 is 'dense [7 -> 16] elu', expected 'dense [7 -> 16] tanh'")
    var wide = Model.mlp()
    wide.outputs[0].name = "other"
    wide.nodes[4].outputs = ["other"]
    #expect(refusal(wide) == "the new policy has another plan: output 0 is 'other', expected 'action'")
    var leaky = Model.mlp()
    leaky.nodes[3] = Node("LeakyRelu", ["g1"], ["t1"], [.float("alpha", 0.1)])
    var leakier = leaky
    leakier.nodes[3].attributes = [.float("alpha", 0.2)]
    let t = try session(try load(leaky))
    do throws(Failure) {
      try t.swap(to: try load(leakier))
      Issue.record("no failure")
    } catch {
      #expect(
        error.message == "the new policy has another plan: op 1 ('dense [16 -> 16] leaky_relu') has other parameters")
    }
  }

  /// The same ops with the same sizes, but each reads what the other policy's does not.
  @Test func aSwapToOpsOverOtherMemoryIsRefused() throws {
    func difference(_ a: String, _ b: String) -> Model {
      Model(
        inputs: [.init("obs", [1, 3])], outputs: [.init("action", [1, 3])],
        nodes: [Node("Tanh", ["obs"], ["t"]), Node("Exp", ["obs"], ["e"]), Node("Sub", [a, b], ["action"])])
    }
    let s = try session(try load(difference("t", "e")))
    do throws(Failure) {
      try s.swap(to: try load(difference("e", "t")))
      Issue.record("no failure")
    } catch {
      #expect(error.message.hasSuffix("uses other memory"), "\(error.message)")
    }
  }

  @Test func theNewestOfferReplacesOneThatWaits() throws {
    let policy = try load(.mlp())
    let s = try session(policy)
    let x = [Float](repeating: 0, count: 7)
    let before = step(s, x)
    for _ in 0..<5 { try s.swap(to: policy) }
    #expect(step(s, x) == before)
    try s.swap(to: policy)
    s.reclaim()
    #expect(step(s, x) == before)
  }

  /// A caller that comes in after the look of the one before and ahead of its note is not seen by either when it
  /// enters. An op that notes another caller while it runs is what such a one does, at the same moment in every run.
  @Test func aCallerThatSlippedInIsToldWhenTheFirstOneLeaves() throws {
    let s = try session(try load(.mlp()))
    let other = UnsafeMutableRawPointer(bitPattern: 64)
    let op = s.core.pointee.tables.pointee.ops.0
    op.pointee.params = UnsafeRawPointer(s.core)
    op.pointee.run = { op, _ in
      let core = UnsafeMutableRawPointer(mutating: op!.pointee.params)!.assumingMemoryBound(to: SessionCore.self)
      core.pointee.caller = UnsafeMutableRawPointer(bitPattern: 64)
    }
    #expect(s.handle.callRun(1) == .state)
    #expect(s.explain().contains("one caller at a time"), "\(s.explain())")
    // the other one is still at work
    #expect(s.core.pointee.caller == other)
    #expect(s.handle.callReset(-1) == .state)
    s.core.pointee.caller = nil
    #expect(s.handle.callReset(-1) == .ok)
  }

  @Test func allInstructionSetsAgree() throws {
    let levels = (0..<16).map { Int32($0) }.filter { eff_isa_supported($0) != 0 }
    #expect(levels.count >= 2)
    for (model, count) in [(Model.mlp(), 7), (Model.lstm(), 3), (Model.conv(), 128), (Model.quantized(), 4)] {
      var first: [Float]? = nil
      for level in levels {
        let s = try session(try load(model, isa: level))
        var action: [Float] = []
        for t in 0..<5 { action = step(s, observation(0, t, count)) }
        for (a, b) in zip(action, first ?? action) {
          #expect(abs(a - b) <= 2e-6 * (1 + abs(b)), "\(String(cString: eff_isa_name(level)))")
        }
        first = first ?? action
      }
    }
  }
}
