import Base
@testable import Onnx
import TestSupport
import Testing


@Suite struct WireReaderTests {
  /// Runs `body` on a reader of `bytes`; gives its failure.
  private func failure(_ bytes: [UInt8], limit: Int = 1 << 20, _ body: (inout WireReader) throws(Failure) -> Void)
    -> Failure?
  {
    bytes.withUnsafeBytes { raw -> Failure? in
      var r = WireReader(
        raw.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, from: 0, to: raw.count, budget: MemoryBudget(limit: limit))
      do throws(Failure) {
        try body(&r)
        return nil
      } catch {
        return error
      }
    }
  }

  @Test func numbersOfAllLengthsAreReadAsTheyWereWritten() {
    for v in [0, 1, 127, 128, 300, UInt64(Int64.max), UInt64(bitPattern: Int64.min), .max] {
      var p = Proto()
      p.varint(v)
      var found: UInt64? = nil
      #expect(failure(p.bytes) { r throws(Failure) in found = try r.varint() } == nil)
      #expect(found == v)
    }
  }

  @Test func aNumberThatIsCutOrTooLongIsRefusedWithItsPlace() {
    #expect(
      failure([0x80, 0x80]) { r throws(Failure) in _ = try r.varint() }?.message
        == "truncated or damaged at byte 2: a number runs past the end of its message at byte 2; copy or download the file again"
    )
    let eleven = [UInt8](repeating: 0x80, count: 10) + [1]
    #expect(
      failure(eleven) { r throws(Failure) in _ = try r.varint() }?.message
        == "damaged at byte 10: a number of more than 10 bytes")
  }

  @Test func aLengthBeyondTheMessageIsRefusedAlsoAtTheLargestValue() {
    for length in [3, 1 << 20, UInt64(Int64.max), .max] {
      var p = Proto()
      p.varint(length)
      let found = failure(p.bytes + [1, 2]) { r throws(Failure) in _ = try r.range() }
      #expect(found?.reason == .format)
      #expect(found?.message.contains("a field of \(length) bytes runs past the end") == true)
    }
  }

  @Test func aRepeatedNumberIsReadPackedAndUnpacked() {
    let packed = Proto { $0.blob(8, [1, 0x80, 1, 5]) }
    let plain = Proto {
      $0.int(8, 1)
      $0.int(8, 128)
      $0.int(8, 5)
    }
    for bytes in [packed.bytes, plain.bytes] {
      var found: [UInt64] = []
      _ = failure(bytes) { r throws(Failure) in
        while let f = try r.next() { try r.varints(f) { found.append($0) } }
      }
      #expect(found == [1, 128, 5])
    }
  }

  @Test func fieldNumberZeroAndUnknownWireTypesAreRefused() {
    #expect(failure([0x00]) { r throws(Failure) in _ = try r.next() }?.reason == .format)
    #expect(
      failure([0x0B]) { r throws(Failure) in try r.skip(try r.next()!) }?.message
        == "not an ONNX model: wire type 3 at byte 1")
  }

  @Test func nestingIsBounded() {
    var p = Proto()
    for _ in 0..<100 { p = Proto { $0.message(1, p) } }
    func descend(_ r: inout WireReader) throws(Failure) {
      guard try r.next() != nil else { return }
      var inner = try r.message()
      try descend(&inner)
    }
    #expect(failure(p.bytes, descend)?.message.hasPrefix("messages nested more than 48 deep at byte ") == true)
  }

  @Test func emptyMessagesAreChargedAgainstTheMemoryLimit() {
    let many = Proto { p in for _ in 0..<100 { p.message(1, Proto()) } }
    let found = failure(many.bytes, limit: 50 * 256) { r throws(Failure) in
      while let f = try r.next(), f.wire == 2 { _ = try r.message() }
    }
    #expect(found?.reason == .memory)
    #expect(
      found?.message
        == "reading the file, at byte 101: needs 256 bytes more, which exceeds the memory limit of 12800 bytes")
  }
}
