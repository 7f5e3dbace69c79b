import Base
@testable import Onnx
import Platform
import TestSupport
import Testing


@Suite struct TensorDataTests {
  private func read(_ t: OnnxTensor, _ bytes: [UInt8] = [], limit: Int = 1 << 20, folder: String? = nil) -> Result<
    TensorData, Failure
  > {
    bytes.withUnsafeBytes { raw in
      let model = Bytes.borrowed(raw.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!, raw.count)
      var reader = TensorReader(
        model: model, files: folder.map { ExternalFiles(folders: [$0], limit: 1 << 20) },
        budget: MemoryBudget(limit: limit))
      return Result { () throws(Failure) in try reader.read(t, "initializer 'w'") }
    }
  }

  private func message(_ r: Result<TensorData, Failure>) -> String {
    if case .failure(let f) = r { return f.message }
    return "no failure"
  }

  @Test func sizesThatOverflowAreRefusedAlsoWhereAnotherIsZero() {
    for dims: [Int] in [[1 << 40, 1 << 40], [.max], [0, .max, .max], [0, 1 << 31, 1 << 31], [1 << 31]] {
      #expect(throws: Failure.self) { try TensorReader.count(dims, "t") }
    }
    #expect(throws: Failure.self) { try TensorReader.count([-1], "t") }
    #expect(throws: Failure.self) { try TensorReader.count([Int](repeating: 1, count: 9), "t") }
    #expect(try! TensorReader.count([], "t") == 1)
    #expect(try! TensorReader.count([3, 0, 5], "t") == 0)
  }

  @Test func dataOfAnotherLengthThanTheShapeSaysIsRefused() {
    var t = OnnxTensor()
    (t.type, t.dims, t.raw) = (1, [2, 3], 0..<20)
    #expect(
      message(read(t, [UInt8](repeating: 0, count: 20)))
        == "initializer 'w': has 20 bytes of data, expected 24 for f32 [2, 3]")
    (t.raw, t.floats) = (nil, [1, 2])
    #expect(message(read(t)) == "initializer 'w': has 2 elements, expected 6 for f32 [2, 3]")
  }

  @Test func typesThatAreNotRunAreNamed() {
    var t = OnnxTensor()
    (t.type, t.dims, t.raw) = (8, [], 0..<0)
    #expect(message(read(t)) == "initializer 'w': element type STRING is not supported")
    t.type = 23
    #expect(message(read(t)) == "initializer 'w': element type FLOAT4E2M1 is not supported")
  }

  @Test func unalignedDataIsCopiedWithinTheMemoryLimitAndKeepsItsValues() throws {
    var t = OnnxTensor()
    (t.type, t.dims, t.raw) = (7, [2], 1..<17)
    var bytes = [UInt8](repeating: 0, count: 17)
    (bytes[1], bytes[9]) = (5, 7)
    let data = try read(t, bytes).get()
    #expect(UInt(bitPattern: data.start) % 8 == 0)
    #expect([0, 8].map { data.start.load(fromByteOffset: $0, as: Int64.self) } == [5, 7])
    #expect(
      message(read(t, bytes, limit: 15))
        == "initializer 'w': needs 16 bytes more, which exceeds the memory limit of 15 bytes")
  }

  @Test func typedFieldsGiveEveryElementType() throws {
    for (type, size) in [(2, 1), (3, 1), (4, 2), (5, 2), (6, 4), (7, 8), (9, 1), (10, 2), (12, 4), (13, 8)] {
      var t = OnnxTensor()
      (t.type, t.dims, t.ints) = (Int32(type), [2], [1, 0])
      let data = try read(t).get()
      #expect(data.byteCount == 2 * size)
      #expect(data.start.load(as: UInt8.self) == 1)
      #expect(data.start.load(fromByteOffset: size, as: UInt8.self) == 0)
    }
  }

  // MARK: external data

  /// A folder with `inside/model.bin` (16 bytes), `secret.bin` beside it, and links that lead out.
  private func folder() throws -> String {
    var name = Array("/tmp/efferent-external-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&name))
    let top = String(cString: made)
    let inside = top + "/inside"
    mkdir(inside, 0o700)
    mkdir(inside + "/sub", 0o700)
    for path in [inside + "/model.bin", inside + "/sub/model.bin", top + "/secret.bin"] {
      let f = try #require(fopen(path, "w"))
      fwrite([UInt8](1...16), 1, 16, f)
      fclose(f)
    }
    symlink(top + "/secret.bin", inside + "/link.bin")
    symlink("..", inside + "/up")
    symlink("model.bin", inside + "/same.bin")
    return inside
  }

  private func external(_ location: String, offset: String = "0", length: String? = nil) -> OnnxTensor {
    var t = OnnxTensor()
    (t.type, t.dims, t.isExternal) = (1, [2], true)
    t.external = [OnnxEntry(key: "location", value: location), OnnxEntry(key: "offset", value: offset)]
    if let length { t.external.append(OnnxEntry(key: "length", value: length)) }
    return t
  }

  @Test func externalDataIsReadInsideTheFolderOnly() throws {
    let inside = try folder()
    for good in ["model.bin", "./model.bin", "sub/model.bin", "same.bin"] {
      _ = try read(external(good), folder: inside).get()
    }
    for bad in [
      "../secret.bin", "sub/../../secret.bin", "/etc/passwd", inside + "/model.bin", "link.bin", "up/secret.bin", "",
      "..", "sub/../model.bin",
    ] {
      let text = message(read(external(bad), folder: inside))
      #expect(text.hasPrefix("initializer 'w': external data '\(bad)' is outside the model's folder"), "\(text)")
    }
  }

  @Test func theFolderMayBeTheRootOrALink() throws {
    let inside = try folder()
    let location = String(inside.dropFirst()) + "/model.bin"
    _ = try read(external(location), folder: "/").get()
    symlink(inside, inside + "-link")
    defer { unlink(inside + "-link") }
    _ = try read(external("model.bin"), folder: inside + "-link").get()
    #expect(message(read(external("link.bin"), folder: inside + "-link")).contains("outside the model's folder"))
  }

  @Test func missingFilesAndFoldersOfExternalDataAreExplained() throws {
    let inside = try folder()
    #expect(message(read(external("gone.bin"), folder: inside)) == """
      initializer 'w': its external data file 'gone.bin' is missing beside the model in '\(inside)'; copy it there, or save the model with its weights inline
      """)
    #expect(message(read(external("model.bin"))) == """
      initializer 'w': its data is in the external file 'model.bin', but the model was loaded from memory; give the folder in the options or load the file by its path
      """)
    #expect(message(read(external("sub"), folder: inside)).contains("not a regular file"))
  }

  @Test func externalOffsetsBeyondTheFileAreRefused() throws {
    let inside = try folder()
    for offset in ["9", "16", "17", String(Int.max)] {
      #expect(
        message(read(external("model.bin", offset: offset), folder: inside))
          == "initializer 'w': external data 'model.bin' has 16 bytes, expected 8 at offset \(offset)")
    }
    for bad in ["-1", "x", "99999999999999999999"] {
      #expect(
        message(read(external("model.bin", offset: bad), folder: inside))
          == "initializer 'w': external data offset is '\(bad)', expected a number")
    }
    #expect(
      message(read(external("model.bin", length: "12"), folder: inside))
        == "initializer 'w': has 12 bytes of data, expected 8 for f32 [2]")
  }
}
