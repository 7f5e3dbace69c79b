import Base

/// An ONNX file as it was written, before any meaning is given to it. Field names are those of onnx.proto3.
public struct OnnxModel {
  public var irVersion: Int64 = 0
  public var producer = ""
  public var opsets: [OnnxOpset] = []
  public var graph = OnnxGraph()
  public var metadata: [OnnxEntry] = []
  public var functions: [OnnxFunction] = []
  /// The bytes that tensors point into.
  public let bytes: Bytes

  public init(bytes: Bytes) { self.bytes = bytes }
}

public struct OnnxOpset {
  public var domain = ""
  public var version: Int64 = 0

  public init() {}
}

public struct OnnxEntry {
  public var key = ""
  public var value = ""

  public init() {}

  public init(key: String, value: String) { (self.key, self.value) = (key, value) }
}

public struct OnnxGraph {
  public var name = ""
  public var nodes: [OnnxNode] = []
  public var initializers: [OnnxTensor] = []
  public var inputs: [OnnxValue] = []
  public var outputs: [OnnxValue] = []
  /// Positions of the nodes in the order in which they are built; nil: all, as they are.
  public var order: [Int]? = nil
}

public struct OnnxFunction {
  public var name = ""
  public var domain = ""
  public var overload = ""
  public var inputs: [String] = []
  public var outputs: [String] = []
  public var attributes: [String] = []
  public var defaults: [OnnxAttribute] = []
  public var nodes: [OnnxNode] = []
  public var opsets: [OnnxOpset] = []
  /// As that of a graph.
  public var order: [Int]? = nil
}

public struct OnnxNode {
  public var name = ""
  public var op = ""
  public var domain = ""
  public var overload = ""
  public var inputs: [String] = []
  public var outputs: [String] = []
  public var attributes: [OnnxAttribute] = []

  public init() {}
}

public struct OnnxAttribute {
  public enum Kind: Int {
    case undefined = 0, float, int, string, tensor, graph, floats, ints, strings, tensors, graphs, other
  }
  public var name = ""
  public var kind = Kind.undefined
  public var float: Float = 0
  public var int: Int64 = 0
  public var string = ""
  public var floats: [Float] = []
  public var ints: [Int64] = []
  public var strings: [String] = []
  public var tensors: [OnnxTensor] = []
  public var graphs: [OnnxGraph] = []
  /// Inside a function: the name of the caller's attribute that this one stands for.
  public var reference = ""

  public init() {}
}

public struct OnnxTensor {
  public var name = ""
  public var type: Int32 = 0
  public var dims: [Int64] = []
  /// Where the elements are.
  public var raw: Range<Int>? = nil
  public var floats: [Float] = []
  public var ints: [Int64] = []
  public var doubles: [Double] = []
  public var stringCount = 0
  public var isExternal = false
  public var external: [OnnxEntry] = []

  public init() {}
}

/// A graph input or output. `dims` is nil where the file states no shape.
public struct OnnxValue {
  public enum Dim {
    case size(Int64)
    case symbol(String)
    case unknown
  }
  public var name = ""
  public var type: Int32 = 0
  /// False for sequences, maps, optionals and sparse tensors.
  public var isTensor = true
  public var dims: [Dim]? = nil

  public init() {}
}
