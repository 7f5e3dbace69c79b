#if Bridge
import Base
@testable import Bridge
import Platform
import Testing


private func checksum(_ bytes: [UInt8], hardware: Bool) -> UInt32 {
  bytes.withUnsafeBytes { Crc32c(hardware: hardware).checksum($0) }
}

/// RFC 3720 B.4, and the check value of the CRC catalogue.
@Test(arguments: [true, false]) func crc32cGivesThePublishedValues(hardware: Bool) {
  #expect(checksum(Array("123456789".utf8), hardware: hardware) == 0xE306_9283)
  #expect(checksum(Array(repeating: 0, count: 32), hardware: hardware) == 0x8A91_36AA)
  #expect(checksum(Array(repeating: 0xFF, count: 32), hardware: hardware) == 0x62A8_AB43)
  #expect(checksum(Array(0..<32), hardware: hardware) == 0x46DD_794E)
  #expect(checksum((0..<32).reversed(), hardware: hardware) == 0x113F_DB5C)
  #expect(checksum([], hardware: hardware) == 0)
}

@Test func crc32cInHardwareIsThatOfThePortableLoop() {
  var random = Random(1)
  for count in 0..<200 {
    let bytes = (0..<count).map { _ in UInt8(random.next(256)) }
    #expect(checksum(bytes, hardware: true) == checksum(bytes, hardware: false))
  }
}

@Test func headersRoundTripThroughTheBytesOfTheProtocol() throws {
  var header = FrameHeader(.step)
  header.flags = 0x0102
  header.stepTime = 0x0304_0506
  header.episode = 0x0708_090A
  header.session = 0x0B0C_0D0E_0F10_1112
  header.seq = 0x1314_1516_1718_191A
  header.refSeq = 0x1B1C_1D1E_1F20_2122
  header.monotonic = 0x2324_2526_2728_292A
  header.simulation = 0x2B2C_2D2E_2F30_3132
  header.ttl = 0x3334_3536
  header.checksum = 0x3738_393A
  var bytes = [UInt8](repeating: 0, count: 65)
  // an odd address: frames need no alignment
  bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress! + 1) }
  #expect(bytes[1...8].elementsEqual([0x45, 0x46, 0x46, 0x42, 2, 5, 0x02, 0x01]))
  #expect(bytes[9...12].elementsEqual([6, 5, 4, 3]))
  #expect(bytes[61...64].elementsEqual([0x3A, 0x39, 0x38, 0x37]))
  let read = bytes.withUnsafeBytes { FrameHeader(UnsafeRawBufferPointer(rebasing: $0[1...])) }
  #expect(read == header)
  for count in 0..<64 {
    #expect(bytes.withUnsafeBytes { FrameHeader(UnsafeRawBufferPointer(rebasing: $0[1..<1 + count])) } == nil)
  }
}

@Test func messagePackReadsWhatItWrites() throws {
  var writer = MessagePackWriter()
  let numbers: [UInt64] = [0, 127, 128, 255, 256, 65535, 65536, 0xFFFF_FFFF, 0x1_0000_0000, .max]
  let texts = [0, 31, 32, 255, 256, 65535, 65536].map { String(repeating: "a", count: $0) }
  writer.map(20)
  for number in numbers { writer.unsigned(number) }
  writer.array(16)
  writer.array(15)
  for text in texts { writer.string(text) }
  writer.bool(true)
  writer.double(0.5)
  writer.word("end")
  let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: writer.bytes.count, alignment: 1)
  defer { bytes.deallocate() }
  bytes.copyBytes(from: writer.bytes)
  var reader = MessagePackReader(UnsafeRawBufferPointer(bytes))
  let pairs = try reader.map()
  #expect(pairs == 20)
  for number in numbers {
    let read: UInt64 = try reader.unsigned()
    #expect(read == number)
  }
  let long = try reader.array()
  let short = try reader.array()
  #expect(long == 16 && short == 15)
  for text in texts {
    let read = try reader.text()
    #expect(read == text)
  }
  let yes = try reader.bool()
  #expect(yes)
  try reader.skip()
  let end = try reader.string()
  #expect(matches(end, "end") && reader.isAtEnd)
}

private func skips(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var reader = MessagePackReader(bytes)
  do {
    try reader.skip()
    return true
  } catch {
    return false
  }
}

@Test func messagePackThatClaimsMoreThanThereIsFails() {
  let claims: [[UInt8]] = [
    [0xDF, 0xFF, 0xFF, 0xFF, 0xFF], [0xDD, 0xFF, 0xFF, 0xFF, 0xFF], [0xDB, 0xFF, 0xFF, 0xFF, 0xFF, 0x61],
    [0xC9, 0xFF, 0xFF, 0xFF, 0xFF], [0xCF, 1, 2],
    [0xC1], Array(repeating: 0x91, count: 40) + [0], [],
  ]
  for bytes in claims { #expect(bytes.withUnsafeBytes { !skips($0) }) }
}
#endif
