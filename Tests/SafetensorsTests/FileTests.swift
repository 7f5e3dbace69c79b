import Base
import Onnx
@testable import Safetensors
import Testing


@Suite struct SafetensorsFileTests {
  private func read(_ file: File) -> Result<SafetensorsFile, Failure> {
    Result { () throws(Failure) in try SafetensorsFile.read(copied(file.bytes), budget: MemoryBudget(limit: 1 << 20)) }
  }

  private func text(_ header: String, bytes: Int = 8) -> String {
    switch read(File(header: header, data: [UInt8](repeating: 0, count: bytes))) {
    case .success: "it is read"
    case .failure(let f): f.message
    }
  }

  private func tensor(_ name: String, _ dtype: String, _ shape: String, _ begin: String, _ end: String) -> String {
    "\"\(name)\": {\"dtype\": \"\(dtype)\", \"shape\": \(shape), \"data_offsets\": [\(begin), \(end)]}"
  }

  @Test func tensorsAndMetadataAreReadAsTheyWereWritten() throws {
    let header =
      "{\"__metadata__\": {\"k\": \"v\\u00e9\\ud83e\\udd16\\n\"}, \(tensor("b", "F16", "[2]", "4", "8")), \(tensor("a", "F32", "[]", "0", "4"))}"
    let file = try read(File(header: header, data: [UInt8](repeating: 0, count: 8))).get()
    let data = 8 + header.utf8.count
    #expect(file.metadata.map { [$0.key, $0.value] } == [["k", "vé🤖\n"]])
    #expect(file.tensors["a"]?.range == data..<data + 4)
    #expect(file.tensors["b"]?.range == data + 4..<data + 8)
    #expect(file.tensors["b"]?.shape == [2])
    #expect(file.tensors["b"]?.dtype == "F16")
  }

  @Test func offsetsThatOverlapLeaveHolesOrEndElsewhereAreRefused() {
    let f = { tensor($0, "F32", "[1]", $1, $2) }
    #expect(text("{\(f("a", "0", "4")), \(f("b", "2", "6"))}").contains("tensor 'b' overlaps the tensor before it"))
    #expect(text("{\(f("a", "0", "4")), \(f("b", "0", "4"))}").contains("overlaps the tensor before it"))
    #expect(text("{\(f("a", "4", "8"))}").contains("tensor 'a' leaves a hole before it"))
    #expect(text("{\(f("a", "0", "4"))}").contains("but the file has"))
    #expect(text("{}", bytes: 8).contains("but the file has"))
    for (begin, end) in [
      ("8", "12"), ("4", "0"), ("-4", "0"), ("0", "1e300"), ("0", "4.5"), ("18446744073709551615", "4"),
    ] {
      #expect(
        text("{\(f("a", begin, end))}").contains(
          "tensor 'a': its data_offsets are not two numbers in order from 0 to 8"), "\(begin) to \(end)")
    }
  }

  @Test func lengthsMustGoWithTypeAndShape() {
    #expect(
      text("{\(tensor("a", "F32", "[3]", "0", "8"))}") == "tensor 'a': has 8 bytes of data, expected 12 for F32 [3]")
    #expect(
      text("{\(tensor("a", "I8", "[4294967296, 4294967296]", "0", "8"))}").contains(
        "tensor 'a': shape [4294967296, 4294967296] has too many elements"))
    #expect(text("{\(tensor("a", "I8", "[-8, -1]", "0", "8"))}").contains("negative size"))
    #expect(text("{\(tensor("a", "I8", "[8.5]", "0", "8"))}").contains("its shape holds a number"))
    #expect(text("{\(tensor("a", "I8", "[2,2,2,1,1,1,1,1,1]", "0", "8"))}").contains("rank 9"))
    // a type that is not run is no error until a layer wants it
    #expect(text("{\(tensor("a", "F8_E4M3", "[8]", "0", "8"))}") == "it is read")
  }

  @Test func headersThatAreNotJsonAreRefusedWithThePlace() {
    for (header, problem) in [
      ("{", "expected a key"), ("{\"a\"}", "expected ':'"), ("{\"a\": 1,}", "expected a key"),
      ("{} x", "text after the end"), ("{\"a\": tru}", "expected 'true'"),
      ("{\"a\": 01}", "begins with 0"), ("{\"a\": 1.}", "no digits after the point"),
      ("{\"a\": 1e}", "no digits in the exponent"), ("{\"a\": -}", "expected a value"),
      ("{\"a\": NaN}", "expected a value"), ("{\"a\": 1e999}", "beyond the range"),
      ("{\"a\": \"\\ud800\"}", "half of a surrogate"), ("{\"a\": \"\\u12g4\"}", "hexadecimal"),
      ("{\"a\": \"\\x\"}", "an escape"), ("{\"a\": \"\n\"}", "a control character"), ("{\"a\": \"", "does not end"),
      ("{\"a\": 1, \"a\": 2}", "the key 'a' is there twice"),
    ] {
      let found = text(header)
      #expect(
        found.hasPrefix("the safetensors header is not JSON at byte ") && found.contains(problem), "\(header): \(found)"
      )
    }
    #expect(text("{\"a\": " + String(repeating: "[", count: 100_000)).contains("nested more than 32 deep"))
    #expect(text("{\"a\": 3}").contains("tensor 'a' in the safetensors header has no dtype, shape or data_offsets"))
    #expect(text("{\"__metadata__\": {\"a\": 3}}").contains("__metadata__ 'a'"))
  }

  @Test func numbersAreReadToThreePartsIn1e15() throws {
    for (text, value) in [
      ("0", 0), ("-0.5", -0.5), ("1e-8", 1e-8), ("123456789012345678901234567890", 1.2345678901234568e29),
      ("1.25e-300", 1.25e-300), ("1.7e308", 1.7e308),
      ("0.1", 0.1), ("9007199254740991", 9007199254740991), ("2.5E+3", 2500), ("1e-400", 0),
    ] as [(String, Double)] {
      let bytes = copied(Array(text.utf8))
      guard
        case .number(let found) = try JsonReader.read(
          bytes.start, 0..<text.utf8.count, what: "it", budget: MemoryBudget(limit: 1000))
      else {
        Issue.record("\(text) is no number")
        continue
      }
      #expect(abs(found - value) <= abs(value) * 3e-15, "\(text) is read as \(found)")
    }
  }

  @Test func readingIsBoundedByTheMemoryLimitAndBySizesInTheFile() {
    let many = "{\"a\": [" + String(repeating: "0,", count: 100_000) + "0]}"
    #expect(text(many).contains("exceeds the memory limit"))
    for length in [UInt64.max, 1 << 63, 1 << 33, 9, 3] {
      let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array("{}".utf8)
      guard case .failure(let f) = load(bytes) else {
        Issue.record("a header of \(length) bytes is read")
        continue
      }
      #expect(f.message.count > 20)
      if length < 100 {
        #expect(
          f.message.contains(
            "truncated or damaged: the safetensors header takes \(length) bytes, but only 2 follow byte 8"))
      }
    }
  }
}
