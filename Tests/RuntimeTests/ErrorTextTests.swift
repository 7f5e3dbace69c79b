import Base
@testable import CABI
import CEfferent
import Onnx
@testable import Runtime
import TestSupport
import Testing


/// What people read when a load or a session goes wrong: what, where, and what to do.
@Suite struct ErrorTextTests {
  private func text(_ m: Model, _ change: (inout PolicyOptions) -> Void = { _ in }) -> String {
    do throws(Failure) {
      _ = try load(m, change)
      return "no failure"
    } catch {
      return error.message
    }
  }

  private func text(_ bytes: [UInt8]) -> String {
    do throws(Failure) {
      _ = try load(bytes)
      return "no failure"
    } catch {
      return error.message
    }
  }

  private func one(
    _ n: Node, inputs: [Model.Port] = [.init("x", [1, 4])], _ initializers: [Model.Tensor] = [], opset: Int64 = 17
  ) -> Model {
    Model(inputs: inputs, outputs: [.init("y", [1])], nodes: [n], initializers: initializers, opset: opset)
  }

  // MARK: not a model

  @Test func filesOfOtherKindsAreRecognized() {
    #expect(text([]) == "the file is empty (0 bytes); expected an ONNX model")
    #expect(
      text(Array("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a".utf8))
        == "this is a git-lfs pointer, not the model itself; fetch the model with 'git lfs pull'")
    #expect(text(Array("PK\u{03}\u{04}....archive/data.pkl".utf8)) == """
      this is a zip archive (a TorchScript file, a torch checkpoint or a Stable-Baselines3 zip), not ONNX; export it with torch.onnx.export, or use 'efferent convert'
      """)
    #expect(text([0x80, 0x04, 0x95, 1, 2]) == """
      this is a Python pickle, not ONNX; it will not be unpickled: export the policy with torch.onnx.export, or use 'efferent convert'
      """)
    for page in ["<!DOCTYPE html><html>", "<html><body>Not found", "\n\n<!doctype html>"] {
      #expect(
        text(Array(page.utf8))
          == "this is an HTML page, not an ONNX model; the download gave a web page (a login, or a 'file not found'): fetch the raw file"
      )
    }
    #expect(text([0x89] + Array("HDF\r\n".utf8)) == "this is an HDF5 file (Keras), not ONNX; convert it with tf2onnx")
    #expect(
      text([0x1C, 0, 0, 0] + Array("TFL3".utf8))
        == "this is a TensorFlow Lite file, not ONNX; convert it with tf2onnx --tflite")
    #expect(text(Array("{\"layers\": []}".utf8)) == """
      this is a text file, not an ONNX model; the architecture of safetensors is read with them: give the .safetensors file beside it
      """)
  }

  @Test func aTruncatedFileIsNamedAsOne() {
    let bytes = Model.mlp().bytes
    #expect(text(Array(bytes[..<(bytes.count / 2)])) == """
      truncated or damaged at byte 25: a field of \(Model.mlp().graph.bytes.count) bytes runs past the end of its message at byte \(bytes.count / 2); copy or download the file again
      """)
    #expect(
      text(Array(bytes[..<18]))
        == "this is not an ONNX model, or it is cut short: it holds no graph (18 bytes); copy or download the file again"
    )
  }

  // MARK: outside what is run

  @Test func operatorsThatAreNotRunAreNamedWithTheirDomain() {
    #expect(text(one(Node("StringNormalizer", ["x"], ["y"], name: "tokens"))) == """
      node 'tokens' (StringNormalizer): operator 'StringNormalizer' of ONNX opset 17 is not supported; simplify the model or export the policy without it
      """)
    #expect(text(one(Node("StringSplit", ["x"], ["y"], name: "tokens"))) == """
      node 'tokens' (StringSplit): operator 'StringSplit' came with opset 20, the model declares opset 17; export it with opset_version=20 or more
      """)
    #expect(text(one(Node("Thing", ["x", "x"], ["y"], domain: "com.example"))) == """
      node #0 (Thing): operator 'Thing' belongs to the custom domain 'com.example', which is not part of ONNX; export with standard operators only
      """)
    #expect(text(one(Node("Relu", ["x"], ["y"]), opset: 99)) == """
      node #0 (Relu): operator 'Relu' is that of ONNX opset 99, whose definitions are not known here; the newest known one is 28: export the model with it, or update Efferent
      """)
  }

  @Test func shapesThatAreNotKnownAtLoadAreExplained() {
    #expect(text(one(Node("NonZero", ["x"], ["y"]))) == """
      output 'y' has one entry for each true element of 'x', and how many there are is computed while running; shapes must be known at load: export torch.where(mask, a, b) instead, or bind the input that it depends on to a constant
      """)
    #expect(text(one(Node("Reshape", ["x", "s"], ["y"]), inputs: [.init("x", [1, 4]), .init("s", [2], type: 7)])) == """
      node #0 (Reshape): its shape ('s') is computed while running; shapes must be known at load: bind the input that it depends on to a constant
      """)
    #expect(
      text(one(Node("Relu", ["x"], ["y"]), inputs: [.init("x", dims: [.symbol("batch"), .symbol("frames")])])) == """
      input 'x': dimension 1 is symbolic ('frames') and not bound; give its size in dims, such as {"frames": 16} or {"x[1]": 16}
      """)
    #expect(text(one(Node("Relu", ["x"], ["y"]), inputs: [.init("x", dims: [.size(1), .unknown])])) == """
      input 'x': dimension 1 has no size; bind it in dims as {"x[1]": 16}
      """)
    #expect(text(one(Node("Relu", ["x"], ["y"]), inputs: [.init("x", dims: nil)])) == """
      input 'x' states no shape; export the model with one, or give the size of each axis in dims, such as {"x[0]": 1, "x[1]": 16}
      """)
  }

  @Test func typesAndRanksThatAreNotRunAreNamed() {
    #expect(
      text(one(Node("Relu", ["x"], ["y"]), inputs: [.init("x", [1], type: 8)]))
        == "input 'x': element type STRING is not supported")
    #expect(
      text(one(Node("Relu", ["x"], ["y"]), inputs: [.init("x", [Int64](repeating: 1, count: 9))]))
        == "input 'x' has rank 9, expected at most 8")
    var sparse = Model.mlp()
    sparse.extraGraph.message(15, Proto())
    #expect(
      text(sparse) == "graph 'test' has a sparse initializer; expected dense initializers: convert it before export")
  }

  @Test func trainingModeIsRefused() {
    let yes = Model.Tensor("t", type: 9, dims: [], raw: [1])
    #expect(text(one(Node("Dropout", ["x", "r", "t"], ["y"]), [.init("r", [0.5], []), yes])) == """
      node #0 (Dropout): is in training mode; export the policy in evaluation mode, after model.eval()
      """)
  }

  // MARK: a model that does not fit together

  @Test func nodesThatDoNotFitSayWhatWasFoundAndExpected() {
    #expect(
      text(one(Node("Gemm", ["x"], ["y"], name: "actor.0")))
        == "node 'actor.0' (Gemm): input 1 is missing; found 1 inputs")
    #expect(
      text(one(Node("Gemm", ["x", "w"], ["y"], name: "actor.0"), [.filled("w", [3, 2])]))
        == "node 'actor.0' (Gemm): input B is [3, 2], expected [4, 2]")
    #expect(
      text(one(Node("Relu", ["z"], ["y"])))
        == "node #0 (Relu): input 'z' is no input, no initializer and no output of a node")
    #expect(text(one(Node("Relu", ["x"], ["z"]))) == "output 'y' is produced by no node; the model may be cut short")
    #expect(
      text(one(Node("Add", ["x", "w"], ["y"]), [.filled("w", [3])]))
        == "node #0 (Add): shapes [1, 4] and [3] do not broadcast")
  }

  @Test func aNodeInsideABodyIsNamedWithTheWayToIt() {
    #expect(text(.control(trips: 2, op: "StringNormalizer")) == """
      node #1 (Loop): node #0 (StringNormalizer): operator 'StringNormalizer' of ONNX opset 17 is not supported; simplify the model or export the policy without it
      """)
    var m = Model(
      inputs: [.init("x", [1])], outputs: [.init("y", [1])],
      nodes: [Node("f", ["x"], ["y"], name: "head", domain: "local")])
    m.domains = ["local"]
    m.functions = [.init("f", domain: "local", inputs: ["a"], outputs: ["b"], nodes: [Node("Relu", ["c"], ["b"])])]
    #expect(text(m) == "node 'head' (f): node #0 (Relu): input 'c' is no input, no initializer and no output of a node")
  }

  // MARK: options

  @Test func namesInOptionsThatDoNotExistAreRefusedWithThoseThatDo() {
    #expect(
      text(.lstm()) { $0.build.constants["axes"] = TensorData(type: .i64, shape: [], bytes: try! Bytes.zeroed(8)) }
        == """
      constant 'axes' names no input of the model; it has 'obs', 'h_in', 'c_in'
      """)
    #expect(text(.mlp()) { $0.build.dims["frames"] = 2 } == """
      dims names 'frames', but no input has a dimension of that name; it has 'batch'; by position: {"obs[0]": 1}
      """)
    #expect(
      text(.lstm()) { $0.build.states = [(input: "hidden", output: "h_out")] }
        == "state 'hidden' names no input; the inputs are 'obs', 'h_in', 'c_in'")
    #expect(
      text(.lstm()) { $0.build.states = [(input: "h_in", output: "hn")] }
        == "state 'hn' names no output; the outputs are 'action', 'h_out', 'c_out'")
    #expect(text(.lstm()) { $0.build.states = [(input: "h_in", output: "action")] } == """
      state 'h_in' is f32 [1, 1, 4], but 'action' is f32 [1, 4]; expected the same
      """)
  }

  // MARK: through the C ABI

  private var lastError: String { String(cString: eff_last_error()) }

  @Test func filesAndOptionsOfTheCInterfaceAreExplained() {
    var policy: OpaquePointer? = nil
    #expect(eff_policy_load_file("/no/such.onnx", nil, &policy) == eff_status(EFF_E_IO))
    #expect(lastError == "'/no/such.onnx': cannot be opened: No such file or directory")
    var options = eff_policy_options()
    eff_policy_options_default(&options, MemoryLayout<eff_policy_options>.size)
    options.weights = 7
    let bytes = Model.mlp().bytes
    #expect(eff_policy_load_memory(bytes, bytes.count, &options, &policy) == eff_status(EFF_E_ARGUMENT))
    #expect(lastError == "weights is 7, expected EFF_F32, EFF_F16, EFF_BF16 or EFF_I8")
    options.struct_size = 0
    #expect(eff_policy_load_memory(bytes, bytes.count, &options, &policy) == eff_status(EFF_E_ARGUMENT))
    #expect(lastError == "eff_policy_options.struct_size is 0; fill the struct with eff_policy_options_default()")
  }

  @Test func arenasAndRowsOfTheCInterfaceAreExplained() throws {
    let bytes = Model.mlp().bytes
    var policy: OpaquePointer? = nil
    #expect(eff_policy_load_memory(bytes, bytes.count, nil, &policy) == 0)
    defer { eff_policy_release(policy) }
    var options = eff_session_options()
    eff_session_options_default(&options, MemoryLayout<eff_session_options>.size)
    var need = 0
    #expect(eff_session_arena_size(policy, &options, &need) == 0)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: need + 64, alignment: 64)
    defer { memory.deallocate() }
    var session: OpaquePointer? = nil
    (options.arena, options.arena_size) = (memory, need - 1)
    #expect(eff_session_create(policy, &options, &session) == eff_status(EFF_E_ARGUMENT))
    #expect(
      lastError
        == "the arena has \(need - 1) bytes, expected at least \(need); ask eff_session_arena_size() with the same options"
    )
    (options.arena, options.arena_size) = (memory + 4, need)
    #expect(eff_session_create(policy, &options, &session) == eff_status(EFF_E_ARGUMENT))
    #expect(lastError == "the arena is not aligned to 64 bytes")
    (options.arena, options.max_rows) = (nil, 1 << 50)
    #expect(eff_session_create(policy, &options, &session) == eff_status(EFF_E_ARGUMENT))
    #expect(lastError == "max_rows is 1125899906842624, expected at most 1048576")
    #expect(eff_session_create(nil, nil, &session) == eff_status(EFF_E_ARGUMENT))
    #expect(lastError == "policy is NULL, expected a live eff_policy")
  }
}
