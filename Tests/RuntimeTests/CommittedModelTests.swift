import Base
import Foundation
import Testing

@testable import Runtime

/// The policies of Tests/Models, with what onnxruntime gives for them: they need nothing that is not in the checkout.
@Suite struct CommittedModelTests {
  /// One of Tests/Models: its policy, and sequences of observations and actions.
  struct Recorded {
    let policy: Policy
    let observations: [[[Float]]]
    let actions: [[[Float]]]

    init(_ name: String) throws {
      let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      let folder = tests.appendingPathComponent("Models")
      policy = try Policy.load(path: folder.appendingPathComponent(name + ".onnx").path, PolicyOptions())
      let text = try Bytes.file(folder.appendingPathComponent(name + ".json").path, name: name)
      let json = try JsonReader.read(text.start, 0..<text.count, what: name, budget: MemoryBudget(limit: 1 << 24))
      func numbers(_ key: String) throws -> [[[Float]]] {
        try items(json[key]).map { try items($0).map { try items($0).map { try Recorded.number($0) } } }
      }
      (observations, actions) = (try numbers("observations"), try numbers("actions"))
    }

    private static func number(_ value: Json) throws -> Float {
      guard case .number(let x) = value else { throw Failure(.format, "expected a number") }
      return Float(x)
    }
  }

  @Test(arguments: ["mlp", "gru", "convolution"])
  func stepsGiveWhatOnnxruntimeGives(_ name: String) throws {
    let recorded = try Recorded(name)
    let s = try session(recorded.policy)
    #expect(!recorded.actions.isEmpty)
    var worst: Float = 0
    for (observations, actions) in zip(recorded.observations, recorded.actions) {
      #expect(s.handle.reset(-1).isOK)
      for (observation, expected) in zip(observations, actions) {
        for (found, wanted) in zip(step(s, observation), expected) { worst = max(worst, (found - wanted).magnitude) }
      }
    }
    #expect(worst < 2e-6, "\(name): off by \(worst)")
  }

  @Test func stateMatters() throws {
    let recorded = try Recorded("gru")
    let s = try session(recorded.policy)
    let sequence = recorded.observations[0]
    _ = step(s, sequence[0])
    let carried = step(s, sequence[1])
    #expect(s.handle.reset(-1).isOK)
    #expect(carried != step(s, sequence[1]))
  }
}

private func items(_ value: Json?) throws -> [Json] {
  guard case .array(let list)? = value else { throw Failure(.format, "expected a list") }
  return list
}
