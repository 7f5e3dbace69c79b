import Base
import Foundation
@testable import Graph
import Kernels
import Testing

/// The table of kernels against kernels.h, which is written by hand as well: neither is derived from the other.
@Suite struct KernelTests {
  /// One line of the header: `EFF_K_CONV = 20,  // x, w, bias? -> y   eff_conv`.
  struct Line {
    let name: String
    let code: Int32
    /// Names of operands, "?" behind optional ones; "packed" is left away.
    var inputs: [String] = []
    var outputs: [String] = []
    var structure = ""
  }

  static let lines: [Line] = {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../Sources/Kernels/include/kernels.h")
    let text = (try? String(contentsOf: path, encoding: .utf8)) ?? ""
    var out: [Line] = []
    var above = ""
    for line in text.split(separator: "\n").map(String.init) {
      defer { above = line }
      guard let m = line.firstMatch(of: #/^  EFF_K_(\w+) = (\d+),\s*(?://(.*))?$/#), m.1 != "COUNT",
        let code = Int32(m.2)
      else { continue }
      let comment = (m.3.map { String($0) } ?? above).replacing(#/\([^)]*\)|\[[^\]]*\]|//#, with: "")
      let sides = comment.components(separatedBy: "eff_")[0].components(separatedBy: "->")
      func names(_ i: Int) -> [String] {
        guard i < sides.count else { return [] }
        return sides[i].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0 != "packed" }
      }
      var found = Line(name: String(m.1), code: code, inputs: names(0), outputs: names(1))
      found.structure = comment.firstMatch(of: #/eff_\w+/#).map { String($0.0) } ?? ""
      out.append(found)
    }
    return out
  }()

  private func plain(_ name: String) -> String { name.lowercased().filter { $0 != "_" && $0 != "?" } }

  @Test func theTableHasTheKernelsOfTheHeader() throws {
    #expect(Self.lines.count >= 39)
    for line in Self.lines {
      let kernel = try #require(Kernel(rawValue: line.code), "EFF_K_\(line.name) is missing")
      #expect("\(kernel)".lowercased() == plain(line.name))
    }
    for kernel in Kernel.allCases where kernel != .end {
      #expect(Self.lines.contains { $0.code == kernel.rawValue }, "\(kernel) is not in the header")
    }
  }

  /// The other two operands of a branch are the planner's.
  @Test func operandsAreThoseOfTheHeader() throws {
    for line in Self.lines where line.code != EFF_K_BRANCH {
      let row = try #require(Kernel(rawValue: line.code)).row
      for (list, names) in [(row.inputs, line.inputs), (row.outputs, line.outputs)] {
        #expect((0..<list.count).map { "\(list[$0])".lowercased() } == names.map(plain), "EFF_K_\(line.name)")
        #expect(names.map { $0.hasSuffix("?") } == names.indices.map { $0 >= list.required }, "EFF_K_\(line.name)")
      }
    }
  }

  @Test func everyKernelThatRunsIsInTheTable() {
    let types: [ElementType] = [.f32, .f64, .i64, .i32, .u8, .i8, .bool]
    let known = (0..<Int32(EFF_K_COUNT)).filter { code in
      types.contains { eff_kernel_find(code, $0.rawValue, Int32(EFF_ISA_NAIVE)) != nil }
    }
    #expect(known.count > 30)
    for code in known { #expect(Kernel(rawValue: code) != nil, "kernel \(code)") }
  }

  @Test func parametersAreThoseOfTheirKernel() throws {
    let all: [Params] = [
      .unary(.init()), .binary(.init()), .where(.init()), .cast(.init()), .copy(.init()), .fill(.init()),
      .gather(.init()), .gatherElements(.init()), .gatherND(.init()), .scatterElements(.init()), .scatterND(.init()),
      .oneHot(.init()), .reduce(.init()), .arg(.init()), .softmax(.init()), .cumulate(.init()), .topK(.init()),
      .dense(.init()), .matmul(.init()), .conv(.init()), .convPacked(.init()), .convTranspose(.init()), .pool(.init()),
      .norm(.init()), .rnn(.init()), .rnnPacked(.init()), .resize(.init()), .random(.init()), .quantize(.init()),
      .dequantize(.init()), .dynamicQuantize(.init()), .matmulInteger(.init()), .attention(.init()),
      .gridSample(.init()), .lrn(.init()), .det(.init()), .convInteger(.init()), .trees(.init()), .branch(.init()),
    ]
    #expect(Set(all.map { $0.kernel }).count == Kernel.allCases.count - 1)
    for params in all {
      let payload = try #require(Mirror(reflecting: params).children.first)
      #expect(payload.label == "\(params.kernel)")
      let line = try #require(Self.lines.first { $0.code == params.kernel.rawValue })
      #expect(String(describing: type(of: payload.value)) == line.structure)
    }
    #expect(Params.end.kernel == .end)
  }

  @Test func whatPassesAGradientHasADerivative() {
    for kernel in Kernel.allCases {
      let count = eff_derivative_operands(kernel.rawValue)
      guard let slopes = kernel.row.slopes, slopes.count > 0 else {
        // a cast to integers is flat
        #expect(count == 0 || kernel == .cast, "\(kernel) has a derivative that nothing uses")
        continue
      }
      #expect(count > 0 && eff_derivative_find(kernel.rawValue, ElementType.f32.rawValue, 0) != nil, "\(kernel)")
      for i in 0..<slopes.count { #expect(kernel.row.inputs.position(slopes[i]) != nil, "\(kernel): \(slopes[i])") }
    }
  }

  @Test func operandsAreFoundByName() {
    let p = eff_norm()
    var op = GraphOp(.norm(p), type: .f32, inputs: [7, -1, 9], outputs: [11], label: "")
    #expect(op[.x] == 7 && op[.scale] == -1 && op[.bias] == 9 && op[.y] == 11 && op[.mean] == -1)
    op[.scale] = 8
    op[.y] = 12
    #expect(op.operands == [7, 8, 9, 12])
  }

  @Test func gradientsDependOnTheFunction() {
    func slopes(_ fn: Int) -> [Int]? {
      var p = eff_binary()
      p.fn = Int32(fn)
      return GraphOp(.binary(p), type: .f32, inputs: [0, 1], outputs: [2], label: "").slopes()
    }
    for fn in [EFF_FN2_ADD, EFF_FN2_POW, EFF_FN2_FMOD, EFF_FN2_MAX, EFF_FN2_PRELU] { #expect(slopes(Int(fn)) == [0, 1]) }
    for fn in [EFF_FN2_MOD, EFF_FN2_AND, EFF_FN2_SHIFT_RIGHT] { #expect(slopes(Int(fn)) == nil) }
    for fn in [EFF_FN2_EQUAL, EFF_FN2_GREATER_EQUAL] { #expect(slopes(Int(fn)) == []) }
    let where_ = GraphOp(.where(eff_where()), type: .f32, inputs: [0, 1, 2], outputs: [3], label: "")
    #expect(where_.slopes() == [1, 2])
    var soft = eff_softmax()
    #expect(GraphOp(.softmax(soft), type: .f32, inputs: [0], outputs: [1], label: "").slopes() == [0])
    soft.fn = Int32(EFF_SOFTMAX_HARD)
    #expect(GraphOp(.softmax(soft), type: .f32, inputs: [0], outputs: [1], label: "").slopes() == nil)
  }
}
