import Base
import Graph
import Kernels
import Onnx
@testable import Runtime
import TestSupport
import Testing

/// A plan is one block without addresses: plan.h.
@Suite struct PlanBlockTests {
  /// The block of a policy at another address, in memory that nobody but the test owns.
  private func copy(_ plan: Plan) throws -> (start: UnsafeMutableRawPointer, size: Int) {
    let size = Int(plan.header.size)
    let start = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    start.copyMemory(from: plan.start, byteCount: size)
    return (start, size)
  }

  private func isa() throws -> Int32 { try Policy.isa() }

  @Test func theSameFileGivesTheSameBytes() throws {
    for (name, m) in Model.samples {
      let (a, b) = (try load(m, isa: isa()).plan, try load(m, isa: isa()).plan)
      let size = Int(a.header.size)
      try #require(size == Int(b.header.size), "\(name)")
      func byte(_ p: Plan, _ i: Int) -> UInt8 { p.start.load(fromByteOffset: i, as: UInt8.self) }
      let differs = (0..<size).first { byte(a, $0) != byte(b, $0) }
      #expect(differs == nil, "\(name): byte \(differs ?? 0) of \(size)")
      #expect(a.difference(b) == nil, "\(name)")
    }
  }

  @Test func aBlockAtAnotherAddressRunsAlike() throws {
    var ran = 0
    for (name, m) in Model.samples {
      let policy = try load(m, isa: isa())
      let (start, size) = try copy(policy.plan)
      defer { start.deallocate() }
      let moved = Policy(try Plan(start, size, nil))
      #expect(policy.plan.difference(moved.plan) == nil, "\(name)")
      #expect(String(cString: policy.refusal) == String(cString: moved.refusal))
      #expect(moved.plan.inputs.map { $0.name } == policy.plan.inputs.map { $0.name })
      guard String(cString: policy.refusal).isEmpty else { continue }
      let (one, other) = (try session(policy), try session(moved))
      guard one.core.pointee.observation >= 0, one.core.pointee.action >= 0 else { continue }
      let x = (0..<one.core.pointee.inputs[one.core.pointee.observation].size / 4).map { Float($0 % 7) / 7 }
      for _ in 0..<3 { #expect(step(one, x).map { $0.bitPattern } == step(other, x).map { $0.bitPattern }, "\(name)") }
      ran += 1
    }
    #expect(ran > 3)
  }

  @Test func aDamagedOutlineIsRefused() throws {
    let plan = try load(Model.samples[0].1, isa: isa()).plan
    func refused(_ words: String, size less: Int = 0, _ damage: (UnsafeMutableRawPointer) -> Void) throws {
      let (start, size) = try copy(plan)
      defer { start.deallocate() }
      damage(start)
      do {
        _ = try Plan(start, size - less, nil)
        Issue.record("\(words): accepted")
      } catch {
        #expect(error.message.contains(words), "\(error.message)")
      }
    }
    let table = MemoryLayout<eff_plan_header>.size
    try refused("no plan") { $0.storeBytes(of: 0, as: UInt64.self) }
    try refused("has version 2, expected 1") { $0.storeBytes(of: 2, toByteOffset: 8, as: Int32.self) }
    try refused("instruction set") { $0.storeBytes(of: 99, toByteOffset: 12, as: Int32.self) }
    try refused("expected", size: 1) { _ in }
    try refused("expected at least", size: Int(plan.header.size) - 64) { _ in }
    for i in 0..<Int(EFF_PLAN_PARTS) {
      let at = table + 16 * i
      let behind = plan.header.size + 64
      try refused("part \(i) of the plan") { $0.storeBytes(of: behind, toByteOffset: at, as: Int64.self) }
      try refused("part \(i) of the plan") { $0.storeBytes(of: -64, toByteOffset: at, as: Int64.self) }
      try refused("part \(i) of the plan") { $0.storeBytes(of: .max, toByteOffset: at + 8, as: Int64.self) }
    }
  }

  /// Every difference of programs has words, and what people read makes none.
  @Test func programsThatDifferAreTold() throws {
    let plan = try load(Model.samples[0].1, isa: isa()).plan
    func found(_ part: Int, _ offset: Int, _ byte: UInt8) throws -> String? {
      let (start, size) = try copy(plan)
      defer { start.deallocate() }
      let at = plan.bytes(part).baseAddress! - plan.start + offset
      start.storeBytes(of: start.load(fromByteOffset: at, as: UInt8.self) ^ byte, toByteOffset: at, as: UInt8.self)
      return plan.difference(try Plan(start, size, nil))
    }
    #expect(try found(Int(EFF_PLAN_OPERANDS), 8, 64)?.contains("uses other memory") == true)
    #expect(try found(Int(EFF_PLAN_PARAMS), 0, 1)?.contains("has other parameters") == true)
    #expect(try found(Int(EFF_PLAN_OPS), 24, 1)?.contains("laid out") == true)
    #expect(try found(Int(EFF_PLAN_INPUTS), 36, 2)?.contains("another role") == true)
    #expect(try found(Int(EFF_PLAN_REASONS), 0, 1) == nil)
    #expect(try found(Int(EFF_PLAN_TEXT), 0, 1) == nil)
    #expect(try found(Int(EFF_PLAN_WEIGHTS), 0, 1) == nil)
  }
}
