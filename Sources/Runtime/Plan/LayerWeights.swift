import Base
import Graph
import Kernels
import Onnx

/// Storage of the layers of a policy: one type for all, or one for each in order of execution.
public struct LayerWeights {
  /// For layers that `each` does not name; nil: f32.
  public var all: ElementType?
  /// nil entries are as `all`. Empty, or one entry per layer.
  public var each: [ElementType?]
  /// Where `each` comes from, for errors.
  public var source: String

  public init(all: ElementType? = nil, each: [ElementType?] = [], source: String = "layer_weights") {
    self.all = all
    self.each = each
    self.source = source
  }

  /// The types that weights can be stored in.
  public static var formats: [ElementType] { [.f32, .f16, .bf16, .i8] }

  static var key: String { "efferent.weights" }

  /// What a file's metadata asks for: `i8,i8,f32`.
  init(metadata text: String) throws(Failure) {
    self.init(source: "metadata '\(LayerWeights.key)'")
    for word in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let name = String(decoding: word, as: UTF8.self)
      guard let format = LayerWeights.formats.first(where: { $0.name == name }) else {
        throw Failure(.format, "\(source): '\(name)' is no storage of weights, expected f32, f16, bf16 or i8")
      }
      each.append(format)
    }
  }

  /// Sets the storage of every layer. - Complexity: linear in ops.
  func set(_ graph: inout Graph) throws(Failure) {
    var layer = 0
    for i in graph.ops.indices where graph.ops[i].layer != nil {
      let given = layer < each.count ? each[layer] : nil
      layer += 1
      let format = (given ?? all ?? .f32).rawValue
      switch graph.ops[i].params {
      case .dense(var d):
        d.weights = format
        graph.ops[i].params = .dense(d)
      case .rnnPacked(var r):
        r.weights = format
        graph.ops[i].params = .rnnPacked(r)
      // its weights are operands like any other, and stay as they are
      default: continue
      }
    }
    guard each.isEmpty || each.count == layer else {
      throw Failure(.mismatch, "\(source) is for \(each.count) layers, the policy has \(layer)")
    }
  }
}

extension GraphOp {
  /// Storage and number of weights, where this is a dense or recurrent layer.
  var layer: (weights: Int32, parameters: Int)? {
    switch params {
    case .dense(let d): return (d.weights, Int(d.k * d.n))
    case .rnn(let r), .rnnPacked(let r):
      let gates: Int64 = r.cell == EFF_RNN_LSTM ? 4 : r.cell == EFF_RNN_GRU ? 3 : 1
      return (r.weights, Int(Int64(r.dirs) * gates * r.hidden * (r.input + r.hidden)))
    default: return nil
    }
  }
}
