import Base
import Onnx
import Runtime
@testable import Safetensors
import Testing


@Suite struct ArchitectureTests {
  private static let tensors = [
    ("a.weight", [3, 2]), ("a.bias", [3]), ("b.weight", [1, 3]), ("m.weight_ih_l0", [16, 2]),
    ("m.weight_hh_l0", [16, 4]), ("k.weight", [4, 2, 3]),
  ]

  private func file(_ layers: String, inputs: String = "{\"name\": \"obs\", \"shape\": [2]}", more: String = "") -> File
  {
    File(
      "{\"efferent\": 1, \"inputs\": [\(inputs)], \"layers\": [\(layers)]\(more)}", Self.tensors,
      metadata: ", \"robot\": \"x\"")
  }

  private func text(_ layers: String, inputs: String = "{\"name\": \"obs\", \"shape\": [2]}", more: String = "")
    -> String
  {
    message(file(layers, inputs: inputs, more: more))
  }

  @Test func aPolicyStepsAndKeepsItsMetadataAndRoles() throws {
    let two = "{\"type\": \"dense\", \"name\": \"a\", \"activation\": \"relu\"}, {\"type\": \"dense\", \"name\": \"b\"}"
    let policy = try load(file(two, more: ", \"metadata\": {\"k\": \"v\"}, \"producer\": \"p\"")).get()
    #expect((0..<3).map { policy.metadata($0).map { String(cString: $0.key) } } == ["robot", "k", nil])
    #expect(policy.opset == 0)
    #expect(policy.parameterCount == 12)
    #expect(policy.plan.inputs.map(\.name) == ["obs"] && policy.plan.inputs[0].shape == [1, 2])
    #expect(policy.plan.outputs.map(\.name) == ["action"] && policy.plan.outputs[0].role == .action)
    // a = relu([[0, .25], [.5, .75], [1, 1.25]] [1, 2] + [0, .25, .5]), b = [0, .25, .5] a
    let session = try Session(policy, SessionOptions())
    var action: Float = .nan
    #expect(session.handle.step(1, [1, 2], &action) == .ok)
    #expect(action == 0.25 * 2.25 + 0.5 * 4)
  }

  @Test func recurrentStateIsDeclaredAndNotGuessed() throws {
    // an input that looks like state stays an observation
    let inputs = "{\"name\": \"obs\", \"shape\": [2]}, {\"name\": \"h_in\", \"shape\": [2]}"
    let policy = try load(
      file(
        "{\"type\": \"lstm\", \"name\": \"m\"}", inputs: inputs,
        more: ", \"outputs\": [{\"name\": \"action\"}, {\"name\": \"h_out\", \"from\": \"h_in\"}]")
    ).get()
    #expect(policy.plan.inputs.map(\.role) == [.observation, .observation, .state, .state])
    #expect(policy.plan.outputs.map(\.name) == ["action", "h_out", "m.h_out", "m.c_out"])
    var options = PolicyOptions()
    options.build.states = []
    let plain = try Policy.load(copied(file("{\"type\": \"lstm\", \"name\": \"m\"}").bytes), options)
    #expect(plain.plan.inputs.map(\.role) == [.observation, .observation, .observation])
  }

  @Test func everyPrefixOfAFileIsRefused() {
    let bytes = file("{\"type\": \"dense\", \"name\": \"a\"}").bytes
    for n in 0..<bytes.count {
      guard case .failure(let f) = load(Array(bytes[..<n])) else {
        Issue.record("the first \(n) of \(bytes.count) bytes load")
        continue
      }
      #expect(f.message.count > 20)
    }
  }

  @Test func layersThatDoNotFitAreNamedWithWhatWasFoundAndExpected() {
    #expect(
      text("{\"type\": \"dense\", \"name\": \"b\"}")
        == "layer 'b' (dense): its input is [2], but the weight [1, 3] takes 3 values")
    #expect(text("{\"type\": \"dense\", \"name\": \"k\"}") == "layer 'k' (dense): weight is [4, 2, 3], expected rank 2")
    #expect(
      text("{\"type\": \"dense\", \"name\": \"x\"}")
        == "layer 'x' (dense): needs a tensor: 'x.weight' is not in the file, and weight names no other")
    #expect(
      text("{\"type\": \"dense\", \"name\": \"a\", \"bias\": \"b.weight\"}")
        == "layer 'a' (dense): bias is [1, 3], expected [3]")
    #expect(text("{\"type\": \"dense\", \"name\": \"a\", \"actvation\": \"elu\"}")
      == "layer 'a' (dense): key 'actvation' is not known; it has weight, bias, weight_scale, transposed, activation")
    #expect(
      text("{\"type\": \"dense\", \"name\": \"a\", \"activation\": \"elou\"}")
        == "layer 'a' (dense): activation 'elou' is not known")
    #expect(
      text("{\"type\": \"danse\"}") == "layer '#0' (danse): its type is neither a layer nor a function that is known")
    #expect(
      text("{\"type\": \"conv\", \"name\": \"k\"}").hasPrefix(
        "layer 'k' (conv): its input is [2], which does not go with the weight [4, 2, 3]"))
    #expect(
      text("{\"type\": \"normalizer\", \"mean\": [1, 2, 3]}")
        == "layer '#0' (normalizer): mean is [3], expected one that fits its input [2]")
    #expect(
      text("{\"type\": \"normalizer\", \"mean\": 0, \"var\": 1, \"std\": 1}")
        == "layer '#0' (normalizer): has both var and std, expected one of them")
    #expect(text("{\"type\": \"squash\", \"low\": -1}") == "layer '#0' (squash): has only one of low and high")
    #expect(
      text("{\"type\": \"gru\", \"name\": \"m\"}")
        == "layer 'm' (gru): tensor 'm.weight_hh_l0' is [16, 4], expected [3 * hidden, hidden]")
    #expect(text("{\"type\": \"tanh\", \"from\": \"later\"}, {\"type\": \"relu\", \"name\": \"later\"}")
      == "layer '#0' (tanh): from names 'later', which is no input and no layer before this one")
    #expect(
      text("{\"type\": \"tanh\", \"name\": \"obs\"}")
        == "layer 'obs' (tanh): there is another layer or input of that name")
    #expect(
      text("{\"type\": \"slice\", \"begin\": 2}")
        == "layer '#0' (slice): begin is 2, expected a whole number from 0 to 1")
    #expect(
      text("{\"type\": \"reshape\", \"shape\": [3]}")
        == "layer '#0' (reshape): shape is [3], which does not have the elements of its input [2]")
    #expect(
      text("{\"type\": \"one_hot\", \"classes\": 3}")
        == "layer '#0' (one_hot): its input is f32, expected whole numbers: give the input the dtype i64")
    #expect(text("{\"type\": \"concat\", \"from\": [\"obs\", 3]}").contains("from holds a number"))
  }

  @Test func theWholeIsCheckedToo() {
    #expect(message(File()).hasPrefix("this safetensors file holds tensors alone"))
    #expect(message(File("[]")).hasPrefix("the architecture is a list of 0"))
    #expect(message(File("{}")).hasPrefix("the architecture states no version"))
    #expect(message(File("{\"efferent\": 2}")) == "the architecture is of version 2, expected 1; update Efferent")
    #expect(message(File("{\"efferent\": 1, \"layer\": 2}")).hasPrefix("the architecture has the key 'layer'"))
    #expect(text("", inputs: "").hasPrefix("the architecture has no list of inputs"))
    #expect(
      text("", inputs: "{\"name\": \"a.bias\", \"shape\": [2]}")
        == "input 'a.bias': a tensor has the same name; give it another")
    #expect(
      text("", inputs: "{\"name\": \"o\", \"shape\": [2147483647, 2147483647]}").contains("has too many elements"))
    #expect(text("", inputs: "{\"name\": \"o\", \"shape\": [1000000, 1000]}").contains("exceeds the memory limit"))
    #expect(text("", more: ", \"outputs\": [{\"name\": \"x\"}, {\"name\": \"x\"}]") == "output 'x' is there twice")
    let layers = (0..<10_001).map { _ in "{\"type\": \"tanh\"}" }.joined(separator: ",")
    #expect(text(layers) == "the architecture has 10001 layers, expected at most 10000")
  }

  @Test func typesOfTensorsThatAreNotRunAreNamedWhereTheyAreUsed() {
    let header = """
      {"__metadata__": {"efferent.architecture": "{\\"efferent\\":1,\\"inputs\\":[{\\"name\\":\\"o\\",\\"shape\\":[2]}],\\"layers\\":[{\\"type\\":\\"dense\\",\\"name\\":\\"a\\"}]}"},
      "a.weight": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}
      """
    #expect(
      message(File(header: header, data: [0, 0, 0, 0]))
        == "layer 'a' (dense): tensor 'a.weight' has the dtype F8_E4M3, expected F64, F32, F16, BF16 or an integer type"
    )
  }
}
