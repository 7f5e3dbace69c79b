import Base
@testable import Onnx
import TestSupport
import Testing


@Suite struct ReaderTests {
  private func read(_ bytes: [UInt8], limit: Int = 1 << 24) -> Result<OnnxModel, Failure> {
    bytes.withUnsafeBytes { raw in
      Result { () throws(Failure) in
        try OnnxReader.read(
          Bytes.borrowed(raw.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!, raw.count), memoryLimit: limit)
      }
    }
  }

  @Test func everyPrefixOfEverySampleIsReadOrRefusedWithAMessage() {
    for (name, model) in Model.samples {
      let bytes = model.bytes
      for n in 0..<bytes.count {
        if case .failure(let f) = read(Array(bytes[..<n])) {
          #expect(f.message.utf8.count > 20, "\(name) cut at \(n): \(f.message)")
        }
      }
    }
  }

  @Test func samplesAreReadAsTheyWereWritten() throws {
    let m = try read(Model.lstm().bytes).get()
    #expect(m.graph.nodes.map(\.op) == ["Unsqueeze", "LSTM", "Reshape"])
    #expect(m.graph.nodes[1].inputs == ["x", "w", "r", "b", "", "h_in", "c_in"])
    #expect(m.graph.initializers.map(\.name) == ["zero", "w", "r", "b", "form"])
    #expect(m.graph.initializers[1].dims == [1, 16, 3])
    #expect(m.graph.inputs.map(\.name) == ["obs", "h_in", "c_in"])
    #expect(m.producer == "efferent tests")
    #expect(m.opsets.map(\.version) == [17])
  }

  @Test func aFileOfEmptyNodesCannotTakeManyTimesItsSize() {
    // 2 bytes of file for each node
    let graph = [UInt8]([0x0A, 0]).repeated(200_000)
    guard case .failure(let f) = read(Proto { $0.blob(7, graph) }.bytes) else {
      Issue.record("no failure")
      return
    }
    #expect(f.reason == .memory)
  }
}

extension Array {
  fileprivate func repeated(_ n: Int) -> [Element] { (0..<n).flatMap { _ in self } }
}
