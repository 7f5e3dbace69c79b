import Base
import Graph
import Onnx
@testable import Runtime
import TestSupport


/// A policy from a model of the tests.
func load(_ m: Model, limit: Int = 256 << 20, _ change: (inout PolicyOptions) -> Void = { _ in }) throws(Failure)
  -> Policy
{
  var options = PolicyOptions()
  options.build.memoryLimit = limit
  change(&options)
  return try load(m.bytes, options)
}

func load(_ bytes: [UInt8], _ options: PolicyOptions = PolicyOptions()) throws(Failure) -> Policy {
  let copy = try Bytes.zeroed(max(bytes.count, 1))
  for (i, b) in bytes.enumerated() { copy.mutable.storeBytes(of: b, toByteOffset: i, as: UInt8.self) }
  return try Policy.load(Bytes.borrowed(copy.start, bytes.count), options)
}

/// The stages of Policy.load for one instruction set.
func load(_ m: Model, isa: Int32) throws(Failure) -> Policy {
  let bytes = m.bytes
  let copy = try Bytes.zeroed(bytes.count)
  bytes.withUnsafeBytes { copy.mutable.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
  var options = BuildOptions()
  options.isa = isa
  let model = try OnnxReader.read(copy, memoryLimit: 1 << 30)
  var graph = try Builder.build(model, options)
  Fusion.run(&graph, isa: isa)
  return Policy(try Planner.plan(graph, isa: isa, weights: LayerWeights(), memory: .system))
}

func session(_ policy: Policy, rows: Int = 1) throws(Failure) -> Session {
  var options = SessionOptions()
  options.maxRows = rows
  return try Session(policy, options)
}

/// One step of some rows.
func step(_ s: Session, _ observation: [Float]) -> [Float] {
  let core = s.core
  let rows = observation.count * 4 / core.pointee.inputs[core.pointee.observation].size
  var action = [Float](repeating: .nan, count: rows * core.pointee.outputs[core.pointee.action].size / 4)
  let status = s.handle.step(rows, observation, &action)
  precondition(status.isOK, "step gives \(status.code)")
  return action
}
