import Foundation
import Testing

@testable import Runtime

/// Files of golden traces: those of `EFFERENT_GOLDEN`, or of shared/golden/stream_x beside the project, and the two of
/// Tests/Golden.
let goldenFiles: [URL] = {
  let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  let root = tests.deletingLastPathComponent()
  let folders =
    ProcessInfo.processInfo.environment["EFFERENT_GOLDEN"].map { [URL(fileURLWithPath: $0)] }
    ?? ["../shared/golden/stream_x", "../../shared/golden/stream_x"].map { URL(fileURLWithPath: $0, relativeTo: root) }
  for folder in folders + [tests.appendingPathComponent("Golden")] {
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    let found = files.filter { $0.pathExtension == "safetensors" }.sorted { $0.path < $1.path }
    if !found.isEmpty { return found }
  }
  return []
}()

/// The equations, against numbers recorded from the authors' implementations.
@Suite struct GoldenTests {
  @Test(arguments: goldenFiles)
  func everyRecordedNumberIsReproduced(_ url: URL) throws {
    let trace = try GoldenTrace(url)
    trace.replay()
    #expect(trace.failures.isEmpty, "\(url.lastPathComponent): \(trace.failures.joined(separator: "\n"))")
    if ProcessInfo.processInfo.environment["EFFERENT_VERBOSE"] != nil {
      let worst = trace.worst.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      print(url.lastPathComponent, worst.joined(separator: ", "))
    }
  }

  @Test func thereAreTraces() { #expect(goldenFiles.count >= 2) }
}
