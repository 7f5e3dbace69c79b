#if Bridge
import Base
@testable import Bridge
import Platform
import Testing

// The vectors of Tests/Vectors that the codecs of Swift, C and Python share.

/// The words of the lines of one kind, without the kind.
private func vectors(_ kind: String) -> [[String]] {
  let folder = "\(#filePath)".split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" }
  var bytes = [UInt8](repeating: 0, count: 1 << 16)
  let count = Int(
    (folder + "/Vectors/bridge.txt").withCString { path in
      bytes.withUnsafeMutableBytes { eff_read_start(path, $0.baseAddress!, $0.count) }
    })
  #expect(count > 0 && count < bytes.count)
  let lines = String(decoding: bytes[..<max(count, 0)], as: UTF8.self).split(separator: "\n").map {
    $0.split(separator: " ").map(String.init)
  }
  let found = lines.filter { $0[0] == kind }.map { Array($0.dropFirst()) }
  #expect(!found.isEmpty, "\(kind)")
  return found
}

private func data(_ text: String) -> [UInt8] {
  if text == "-" { return [] }
  let digits = Array(text.utf8).map { $0 < 0x60 ? $0 - 0x30 : $0 - 0x57 }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

@Test func framesAreTheVectors() throws {
  for words in vectors("crc") {
    for hardware in [true, false] {
      #expect(data(words[0]).withUnsafeBytes { Crc32c(hardware: hardware).checksum($0) } == UInt32(words[1]))
    }
  }
  for words in vectors("frame") {
    let frame = data(words[13])
    let header = try #require(frame.withUnsafeBytes { FrameHeader($0) })
    #expect(
      header.type == UInt8(words[1]) && header.flags == UInt16(words[2]) && header.stepTime == UInt32(words[3]),
      "\(words[0])")
    #expect(
      header.episode == UInt32(words[4]) && header.session == UInt64(words[5]) && header.seq == UInt64(words[6]),
      "\(words[0])")
    #expect(
      header.refSeq == UInt64(words[7]) && header.monotonic == UInt64(words[8])
        && header.simulation == UInt64(words[9]), "\(words[0])")
    #expect(header.ttl == UInt32(words[10]) && Array(frame[64...]) == data(words[12]), "\(words[0])")
    var written = [UInt8](repeating: 0, count: 64)
    written.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
    #expect(written == Array(frame[..<64]), "\(words[0])")
    #expect(header.checksum == (words[11] == "1" ? frame.withUnsafeBytes { Crc32c().frame($0) } : 0), "\(words[0])")
    for cut in 0..<64 { #expect(frame[..<cut].withUnsafeBytes { FrameHeader($0) } == nil) }
  }
}

@Test func fixedBodiesAreTheVectors() throws {
  func hello(_ bytes: [UInt8]) throws(Failure) -> Hello {
    var made: Hello?
    var failure: Failure?
    bytes.withUnsafeBytes { raw in
      do { made = try Hello(fixed: raw) } catch let error as Failure { failure = error } catch {}
    }
    if let failure { throw failure }
    return made!
  }
  for words in vectors("hello") {
    let made = try hello(data(words[10]))
    let options = UInt16(words[3])!
    #expect(
      made.versions.oldest == Int(words[1]) && made.versions.newest == Int(words[2]) && made.rows == Int(words[4]),
      "\(words[0])")
    #expect(
      made.aux == (options & 1 != 0) && made.checksum == (options & 2 != 0 ? true : options & 4 != 0 ? false : nil),
      "\(words[0])")
    #expect(
      made.policy == UInt64(words[5]) && made.schema == UInt64(words[6]) && made.stepSize == Int(words[7])
        && made.actSize == Int(words[8]))
    #expect(made.boot == (data(words[9]).allSatisfy { $0 == 0 } ? [] : data(words[9])), "\(words[0])")
  }
  for words in vectors("hello_refused") { #expect(throws: Failure.self, "\(words[0])") { try hello(data(words[1])) } }

  let target = Fake().target
  let layout = try Layout(target, rows: 1, aux: true)
  let schema = vectors("schema")[0]
  #expect(
    layout.encoded == data(schema[0]) && layout.schema == UInt64(schema[1])
      && Fnv1a.of(data(schema[0])) == UInt64(schema[1]))
  for words in vectors("welcome") {
    let options = UInt16(words[3])!
    #expect(
      Int(words[7]) == layout.stepSize && Int(words[8]) == layout.actSize && UInt64(words[5]) == target.policyHash
        && Int(words[10]) == target.maxRows)
    let facts = WelcomeFacts(
      session: 1, idleTimeout: Int(words[9])!, library: Int(words[13])!, isSealed: options & 2 != 0,
      isClockShared: options & 8 != 0,
      received: UInt64(words[12])!)
    #expect(fixedWelcome(target, layout, Labels(rate: Double(words[11])!), facts) == data(words[14]), "\(words[0])")
  }
}

@Test func refusalsAreTheVectors() throws {
  let (busy, run) = (vectors("error")[0], vectors("error")[1])
  let rig = try Rig()
  let (first, second) = (Dealer(rig), Dealer(rig))
  #expect(first.connect(rig))
  // the same head; the text goes on with what was found
  let answer = try #require(second.ask(rig, second.frame(.hello, hello())))
  #expect(answer.body.starts(with: data(busy[5])))
  rig.fake.status = -8
  #expect(try #require(first.ask(rig, first.frame(.step, observation(1, 2, 3)))).body == data(run[5]))
}
#endif
