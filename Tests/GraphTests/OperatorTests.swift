import Base
@testable import Graph
import Onnx
import Testing

/// Operators by name.
@Suite struct OperatorTests {
  static let names = "\(Operator.names)".split(separator: " ").map(String.init)

  @Test func eachNameIsThatOfItsCase() {
    #expect(Self.names.count == Operator.allCases.count - 1)
    for (op, name) in zip(Operator.allCases.dropFirst(), Self.names) {
      #expect("\(op)".lowercased() == name.lowercased())
      #expect(Operator(name) == op)
    }
  }

  @Test func otherNamesAreUnknown() {
    for name in ["", " ", "Con", "Convo", "Abs Acos", "abs", "ZipMa", "ZipMapp", "é"] {
      #expect(Operator(name) == .unknown, "'\(name)'")
    }
  }

  /// What no schema has could never be reached; one is onnxruntime's own in the default domain.
  @Test func eachOperatorIsDefinedInSomeDomain() {
    let unknown = Self.names.filter { name in
      ["", "com.microsoft", "ai.onnx.ml", "ai.onnx.preview"].allSatisfy {
        Schema.find(domain: $0, op: name, version: Schema.newestOpset).row == .unknown
      }
    }
    #expect(unknown == ["SimplifiedLayerNormalization"])
  }
}
