#if Bridge
import Base
@testable import Bridge
import Testing


/// A HELLO body of Python's `msgpack.packb`-like shape.
func hello(
  versions: (Int, Int) = (2, 2), rows: Int = 1, aux: Bool = false, policy: UInt64 = 0,
  inputs: [(String, String, [Int])]? = nil,
  outputs: [(String, String, [Int])]? = nil, observations: [String]? = nil, joints: [String]? = nil
) -> [UInt8] {
  var writer = MessagePackWriter()
  writer.map(5 + [inputs == nil, outputs == nil, observations == nil, joints == nil].count { !$0 })
  writer.word("version")
  writer.array(2)
  writer.size(versions.0)
  writer.size(versions.1)
  writer.word("rows")
  writer.size(rows)
  writer.word("aux")
  writer.bool(aux)
  writer.word("policy")
  writer.unsigned(policy)
  writer.word("of a later version")
  writer.map(1)
  writer.word("x")
  writer.array(2)
  writer.double(1)
  writer.string("y")
  for (key, tensors) in [("inputs", inputs), ("outputs", outputs)] {
    guard let tensors else { continue }
    writer.string(key)
    writer.array(tensors.count)
    for (name, dtype, shape) in tensors {
      writer.map(3)
      writer.word("name")
      writer.string(name)
      writer.word("dtype")
      writer.string(dtype)
      writer.word("shape")
      writer.array(shape.count)
      for dimension in shape { writer.size(dimension) }
    }
  }
  for (key, names) in [("observations", observations), ("joints", joints)] {
    guard let names else { continue }
    writer.string(key)
    writer.array(names.count)
    for name in names { writer.string(name) }
  }
  return writer.bytes
}

private func message(_ body: UnsafeRawBufferPointer, _ labels: Labels) -> String {
  do {
    let hello = try Hello(body)
    let target = Fake().target
    try hello.checkRange(target)
    try hello.check(against: target, try Layout(target, rows: hello.rows, aux: hello.aux), labels)
    return "fits"
  } catch {
    return error.message
  }
}

private func message(_ body: [UInt8], _ labels: Labels = Labels()) -> String {
  body.withUnsafeBytes { message($0, labels) }
}

@Test func aPlantThatFitsIsLetIn() {
  #expect(message(hello()) == "fits")
  #expect(message(hello(versions: (1, 9), rows: 2, aux: true, policy: 77)) == "fits")
  let inputs = [("mask", "bool", [1, 2]), ("obs", "f32", [3])]
  #expect(message(hello(aux: true, inputs: inputs, outputs: [("value", "f32", []), ("action", "f32", [3])])) == "fits")
  #expect(message(hello(joints: ["a", "b", "c"]), Labels(joints: ["a", "b", "c"])) == "fits")
  #expect(message(hello(joints: ["a"])) == "fits")
}

@Test func aMismatchNamesTheFieldWhatWasFoundAndWhatWasExpected() {
  #expect(message(hello(versions: (3, 4))) == "version: plant speaks 3 to 4, expected 2")
  #expect(message(hello(rows: 3)) == "rows: plant has 3, expected 1 to 2")
  #expect(message(hello(rows: 0)) == "rows: plant has 0, expected 1 to 2")
  #expect(message(hello(policy: 5)) == "policy: plant expects 5, found 77")
  let mask = ("mask", "bool", [1, 2])
  #expect(message(hello(inputs: [mask, ("obs", "f32", [4])])) == "input 'obs': plant has [4], expected f32 [3]")
  #expect(message(hello(inputs: [mask, ("obs", "f64", [3])])) == "input 'obs': plant has f64, expected f32 [3]")
  #expect(message(hello(inputs: [mask])) == "input 'obs': not sent by the plant, expected f32 [3]")
  #expect(message(hello(inputs: [mask, ("h", "f32", [8])])) == "input 'h': unknown, expected 'obs', 'mask'")
  #expect(message(hello(outputs: [("value", "f32", [])])) == "output 'value': unknown, expected 'action'")
  let labels = Labels(observations: ["x", "y", "z"], joints: ["hip", "knee", "foot"])
  #expect(message(hello(joints: ["hip", "foot", "knee"]), labels) == "joints[1]: plant has 'foot', expected 'knee'")
  #expect(message(hello(observations: ["x", "y"]), labels) == "observations: plant has 2 names, expected 3")
}

@Test func aBrokenHelloNamesItsKey() {
  #expect(message([0x80]) == "HELLO 'version': missing, expected [oldest, newest]")
  #expect(message([0x81, 0xA4] + Array("rows".utf8) + [0xC0]) == "HELLO 'rows': byte 6: tag 192, expected an integer")
  #expect(
    message([0x81, 0xA4] + Array("rows".utf8) + [0xFF]) == "HELLO 'rows': found -1, expected an integer of at least 0")
  #expect(message(hello() + [0]) == "HELLO: 1 bytes after the map")
}

@Test func layoutsAreAlignedAndNamedByTheirSchema() throws {
  let target = Fake().target
  let one = try Layout(target, rows: 1, aux: false)
  let two = try Layout(target, rows: 2, aux: true)
  #expect(
    two.inputs.map(\.offset) == [64, 128] && two.inputs.map(\.size) == [24, 4] && two.inputs.map(\.index) == [0, 2])
  #expect(two.stepSize == 132 && two.actSize == 136 && one.actSize == 76)
  #expect(one.schema != two.schema && one.schema == Fnv1a.of(one.encoded))
  #expect(Fnv1a.of(Array("foobar".utf8)) == 0x8594_4171_F739_67E8)
}

@Test func aFrameThatWouldBeTooLargeIsRefused() {
  let huge = Target(
    inputs: [.init(name: "image", role: .observation, dtype: 2, shape: [1 << 20], size: 1 << 20)], outputs: [],
    maxRows: 1 << 20, policyHash: 0,
    input: { _ in nil }, output: { _ in nil }, run: { _ in 0 }, reset: { _ in 0 })
  #expect(throws: Failure.self) { try Layout(huge, rows: 1 << 20, aux: false) }
  #expect(throws: Failure.self) { try Layout(huge, rows: .max, aux: false) }
}

@Test func tenThousandMutationsOfHelloGiveAnErrorOrAHello() {
  var random = Random(2)
  let whole = hello(
    inputs: [("obs", "f32", [3]), ("mask", "bool", [1, 2])], outputs: [("action", "f32", [3])], joints: ["a", "b", "c"])
  var refused = 0
  for _ in 0..<10_000 where message(random.mutate(whole)) != "fits" { refused += 1 }
  for count in 0..<whole.count where message(Array(whole[..<count])) != "fits" { refused += 1 }
  #expect(refused > 5000 + whole.count)
}
#endif
