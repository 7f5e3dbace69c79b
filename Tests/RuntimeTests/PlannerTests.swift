import Base
import Foundation
import Graph
import Kernels
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// The plans of samples and of the policies in examples/policies.
@Suite struct PlannerTests {
  static let policies: [String] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../examples/policies")
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".onnx") }.map { folder.appendingPathComponent($0).path }
  }()

  struct Planned {
    let name: String
    let plan: Plan
    /// Per op: how many of its operands it reads.
    let inputCounts: [Int]
  }

  private func plans() throws -> [Planned] {
    var out: [Planned] = []
    for (name, m) in Model.samples {
      out.append(try plan(name, Bytes.borrowed(UnsafeRawPointer(leaked(m.bytes)), m.bytes.count)))
    }
    for path in PlannerTests.policies { out.append(try plan(path, try Bytes.file(path, name: path))) }
    return out
  }

  private func leaked(_ bytes: [UInt8]) -> UnsafeMutablePointer<UInt8> {
    let p = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 64).assumingMemoryBound(to: UInt8.self)
    p.initialize(from: bytes, count: bytes.count)
    return p
  }

  /// The stages of Policy.load, with what each op reads kept.
  private func plan(_ name: String, _ bytes: Bytes) throws(Failure) -> Planned {
    var options = BuildOptions()
    options.isa = try Policy.isa()
    var graph = try Builder.build(try OnnxReader.read(bytes, memoryLimit: 1 << 30), options)
    Fusion.run(&graph, isa: options.isa)
    let plan = try Planner.plan(graph, isa: options.isa, weights: LayerWeights(), memory: .system)
    var counts = graph.ops.map { $0.inputCount + ($0.packing == nil ? 0 : 1) }
    while counts.count < plan.ops.count { counts.append(1) }  // copies into outputs
    return Planned(name: name, plan: plan, inputCounts: counts)
  }

  @Test func noOpWritesOverAnythingThatIsStillRead() throws {
    for planned in try plans() {
      let (name, plan) = (planned.name, planned.plan)
      // each write stamps its bytes; each read must find the stamp of the last op that wrote this very buffer
      var stamp = [Int](repeating: -1, count: plan.arenaSize / 64)
      var writer: [Range<Int>: Int] = [:]
      func cells(_ r: Range<Int>) -> Range<Int> { r.lowerBound / 64..<(r.upperBound + 63) / 64 }
      for p in plan.inputs where p.state < 0 {
        let r = p.place..<(p.place + max(p.size, 1))
        for c in cells(r) { stamp[c] = -2 }
        writer[r] = -2
      }
      for (i, op) in plan.ops.enumerated() {
        let all = (0..<Int(op.count)).map { plan.operand(op, $0) }
        let split = planned.inputCounts[i]
        for (k, o) in all.enumerated() where o.space == .arena && k < split {
          let r = o.place..<(o.place + max(o.stride, 1))
          guard let by = writer[r] else {
            Issue.record("\(name): op \(i) reads a buffer that nothing wrote")
            continue
          }
          for c in cells(r) {
            #expect(stamp[c] == by, "\(name): op \(i) reads memory that op \(stamp[c]) wrote over op \(by)")
          }
        }
        for (k, o) in all.enumerated() where o.space == .arena && k >= split {
          let r = o.place..<(o.place + max(o.stride, 1))
          #expect(r.upperBound <= plan.arenaSize)
          for c in cells(r) { stamp[c] = i }
          writer[r] = i
        }
      }
      for p in plan.outputs where p.state < 0 && !plan.constants.contains(where: { Int($0.place) == p.place }) {
        let r = p.place..<(p.place + max(p.size, 1))
        for c in cells(r) { #expect(stamp[c] == writer[r], "\(name): output '\(p.name)' was written over") }
      }
    }
  }

  @Test func portsHaveMemoryOfTheirOwn() throws {
    for planned in try plans() {
      let (name, plan) = (planned.name, planned.plan)
      var taken: [Range<Int>] = []
      for p in plan.inputs + plan.outputs.filter({ $0.state < 0 }) {
        let size = max(p.size, 1) + (p.state >= 0 ? (p.size + 63) / 64 * 64 : 0)
        let r = p.place..<(p.place + size)
        #expect(!taken.contains { $0.overlaps(r) }, "\(name): \(p.name)")
        taken.append(r)
      }
    }
  }

  @Test func theMemoryLimitBoundsWeightsAndArena() throws {
    var big = Model(inputs: [.init("x", [1, 4096])], outputs: [.init("y", [1, 4096])], nodes: [])
    big.initializers = [.init("w", type: 1, dims: [4096, 4096], raw: [UInt8](repeating: 0, count: 64 << 20))]
    big.nodes = [Node("MatMul", ["x", "w"], ["y"])]
    do {
      _ = try load(big, limit: 64 << 20)
      Issue.record("no failure")
    } catch {
      #expect(error.reason == .memory)
      #expect(error.message.contains("exceeds the memory limit of 67108864 bytes"), "\(error.message)")
    }
    var wide = Model(
      inputs: [.init("x", [1, 1 << 20])], outputs: (0..<20).map { .init("y\($0)", [1, 1 << 20]) }, nodes: [])
    wide.nodes = (0..<20).map { Node("Relu", [$0 == 0 ? "x" : "y\($0 - 1)"], ["y\($0)"]) }
    do {
      _ = try load(wide, limit: 64 << 20)
      Issue.record("no failure")
    } catch {
      #expect(error.message.contains("the arena needs "), "\(error.message)")
    }
    _ = try load(wide, limit: 128 << 20)
  }
}
