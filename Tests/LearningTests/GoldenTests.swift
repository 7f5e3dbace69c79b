import Foundation
import Testing

@testable import Runtime

/// Files of golden traces: `EFFERENT_GOLDEN`, or shared/golden/stream_x beside the project. Empty where there is none.
let goldenFiles: [URL] = {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let candidates =
    ProcessInfo.processInfo.environment["EFFERENT_GOLDEN"].map { [URL(fileURLWithPath: $0)] }
    ?? ["../shared/golden/stream_x", "../../shared/golden/stream_x"].map { URL(fileURLWithPath: $0, relativeTo: root) }
  for folder in candidates {
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    let found = files.filter { $0.pathExtension == "safetensors" }.sorted { $0.path < $1.path }
    if !found.isEmpty { return found }
  }
  return []
}()

/// The equations, against numbers recorded from the authors' implementations.
@Suite struct GoldenTests {
  @Test(.enabled(if: !goldenFiles.isEmpty), arguments: goldenFiles)
  func everyRecordedNumberIsReproduced(_ url: URL) throws {
    let trace = try GoldenTrace(url)
    trace.replay()
    #expect(trace.failures.isEmpty, "\(url.lastPathComponent): \(trace.failures.joined(separator: "\n"))")
    if ProcessInfo.processInfo.environment["EFFERENT_VERBOSE"] != nil {
      let worst = trace.worst.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      print(url.lastPathComponent, worst.joined(separator: ", "))
    }
  }
}
