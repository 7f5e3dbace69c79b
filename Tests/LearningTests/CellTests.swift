import Base
import Kernels
@testable import Runtime
import TestSupport
import Testing

/// Learners with recurrent cells: the vector kernels against their naive twins, and what a plan makes of the cells of a
/// graph. The gradients are compared with real-time recurrent learning in Tests/Python/test_learner_cells.py.
@Suite struct CellTests {
  /// Two cells of `units` over one packed state, as torch exports them, and a value.
  private func model(_ kind: String, isLinear: Bool, attributes: [Node.Attribute] = []) -> Model {
    let (n, gates): (Int64, Int64) = (5, kind == "LSTM" ? 4 : 3)
    let states = kind == "LSTM" ? ["h", "c"] : ["h"]
    var nodes = [Node("Unsqueeze", ["obs", "zero"], ["x0"])]
    var own = attributes + [Node.Attribute.int("hidden_size", n)]
    if kind == "GRU" { own.append(.int("linear_before_reset", isLinear ? 1 : 0)) }
    for k in 0..<2 {
      for s in states { nodes.append(Node("Slice", [s + "_in", ["zero", "one"][k], ["one", "two"][k]], ["\(s)\(k)"])) }
      nodes.append(
        Node(
          kind, ["x\(k)", "w\(k)", "r\(k)", "b\(k)", ""] + states.map { "\($0)\(k)" },
          ["y\(k)"] + states.map { "\($0)_out\(k)" }, own))
      nodes.append(Node("Squeeze", ["y\(k)", "one"], ["x\(k + 1)"]))
    }
    for s in states { nodes.append(Node("Concat", [s + "_out0", s + "_out1"], [s + "_out"], [.int("axis", 0)])) }
    nodes += [Node("Squeeze", ["x2", "zero"], ["hidden"]), Node("Gemm", ["hidden", "head"], ["value"])]
    var tensors: [Model.Tensor] = [.filled("head", [n, 1])]
    for (k, inputs) in [7, n].enumerated() {
      tensors += [
        .filled("w\(k)", [1, gates * n, inputs]), .filled("r\(k)", [1, gates * n, n]),
        .filled("b\(k)", [1, 2 * gates * n]),
      ]
    }
    for (i, name) in ["zero", "one", "two"].enumerated() { tensors.append(.init(name, ints: [Int64(i)])) }
    return Model(
      inputs: [.init("obs", [1, 7])] + states.map { .init($0 + "_in", [2, 1, n]) },
      outputs: [.init("value", dims: nil)] + states.map { .init($0 + "_out", [2, 1, n]) }, nodes: nodes,
      initializers: tensors, opset: 17)
  }

  private func options(_ model: Model?, isDouble: Bool) throws -> LearnerOptions {
    var o = smallOptions(.td, isDouble: isDouble)
    o.settings.scalesRewards = false
    guard let model else {
      o.settings.recurrentUnits = 6
      return o
    }
    let bytes = model.bytes
    let copy = try Bytes.zeroed(bytes.count)
    bytes.withUnsafeBytes { copy.mutable.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    var given = PolicyOptions()
    given.isLearnable = true
    var s = PolicySettings(try Policy.load(copy, given))
    s.value = "value"
    s.learnsCells = true
    try o.start(from: s)
    return o
  }

  private func learned(_ options: LearnerOptions, isa: Int32) throws -> [Double] {
    var o = options
    o.isa = isa
    let owned = try OwnedLearner(o)
    var stream = Generator(seed: 3)
    func draw() -> [Double] { (0..<7).map { _ in stream.uniform() - 0.5 } }
    var (observation, action) = (draw(), [0.0])
    for t in 1...60 {
      #expect(owned.learner.act(observation, into: &action) == .ok)
      observation = draw()
      var report = UpdateReport()
      let transition = Transition(observation: observation, reward: stream.normal(), isTerminated: t % 17 == 0)
      #expect(owned.learner.update(transition, &report) == .ok)
    }
    var all: [Double] = []
    for tensor in owned.learner.tensors() {
      if case .parameter(.critic, _, _) = tensor.source { owned.learner.visit(tensor) { all.append($1) } }
    }
    return all
  }

  @Test(arguments: ["LSTM", "GRU", "linear GRU", "units"], [true, false])
  func everyLevelLearnsTheSame(_ kind: String, isDouble: Bool) throws {
    let model = kind == "units" ? nil : model(String(kind.suffix(4).drop { $0 == " " }), isLinear: kind.count > 4)
    var o = try options(model, isDouble: isDouble)
    o.isa = -1
    let naive = try learned(o, isa: Int32(EFF_ISA_NAIVE))
    #expect(naive.count > 300)
    for isa in [Int32(EFF_ISA_SSE2), -1] {
      let vector = try learned(o, isa: isa)
      let worst = zip(naive, vector).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(worst < (isDouble ? 1e-11 : 1e-3), "\(kind) level \(isa)")
    }
  }

  @Test func bothCellsOfAStackLearn() throws {
    let plan = try options(model("LSTM", isLinear: false), isDouble: true).critic!.network.plan
    #expect(plan.cells.reduce(0) { $0 + ($1 == nil ? 0 : 1) } == 2)
    #expect(plan.parameters.map(\.name) == ["head", "w0", "r0", "b0", "w1", "r1", "b1"])  // as in the file
    #expect(plan.influenceCount == 2 * (20 * (7 + 5) + 40 + 20 * (5 + 5) + 40))
    #expect(plan.layersAfter == [0, 2, 2, 2, 1, 1, 1])
  }

  @Test func aCellThatIsCutOffByAClipDoesNotLearn() throws {
    let made = try options(model("LSTM", isLinear: false, attributes: [.float("clip", 3)]), isDouble: true)
    let plan = made.critic!.network.plan
    #expect(plan.parameters.map(\.name) == ["head"] && plan.influenceCount == 0)
    #expect(made.notes.filter { $0.contains("clip") && $0.contains("do not learn") }.count == 2)
  }
}
