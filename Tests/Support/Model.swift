/// An ONNX file in the making: enough of the schema to write the models of the tests.
public struct Model {
  public var opset: Int64 = 17
  public var nodes: [Node] = []
  public var initializers: [Tensor] = []
  public var inputs: [Port] = []
  public var outputs: [Port] = []
  public var metadata: [(String, String)] = []
  public var functions: [Function] = []
  public var domains: [String] = []
  /// Fields to append to the graph as they are.
  public var extraGraph = Proto()

  public init() {}

  public init(inputs: [Port], outputs: [Port], nodes: [Node], initializers: [Tensor] = [], opset: Int64 = 17) {
    self.inputs = inputs
    self.outputs = outputs
    self.nodes = nodes
    self.initializers = initializers
    self.opset = opset
  }

  public struct Port {
    public enum Dim {
      case size(Int64)
      case symbol(String)
      case unknown
    }
    public var name: String
    public var type: Int64
    public var dims: [Dim]?

    public init(_ name: String, _ dims: [Int64], type: Int64 = 1) {
      self.init(name, dims: dims.map { .size($0) }, type: type)
    }

    public init(_ name: String, dims: [Dim]?, type: Int64 = 1) {
      self.name = name
      self.type = type
      self.dims = dims
    }

    var proto: Proto {
      Proto { port in
        port.text(1, name)
        port.message(2, Proto { $0.message(1, Proto { tensor in
          tensor.int(1, type)
          guard let dims else { return }
          tensor.message(2, Proto { shape in
            for d in dims {
              shape.message(1, Proto { dim in
                switch d {
                case .size(let n): dim.int(1, n)
                case .symbol(let s): dim.text(2, s)
                case .unknown: break
                }
              })
            }
          })
        }) })
      }
    }
  }

  public struct Tensor {
    public var name: String
    public var type: Int64
    public var dims: [Int64]
    public var raw: [UInt8]
    /// Entries of external_data; not empty makes the tensor external.
    public var external: [(String, String)] = []

    public init(_ name: String, type: Int64, dims: [Int64], raw: [UInt8]) {
      self.name = name
      self.type = type
      self.dims = dims
      self.raw = raw
    }

    public init(_ name: String, _ values: [Float], _ dims: [Int64]? = nil) {
      self.init(
        name, type: 1, dims: dims ?? [Int64(values.count)],
        raw: values.flatMap { v in withUnsafeBytes(of: v) { Array($0) } })
    }

    public init(_ name: String, ints values: [Int64], _ dims: [Int64]? = nil) {
      self.init(
        name, type: 7, dims: dims ?? [Int64(values.count)],
        raw: values.flatMap { v in withUnsafeBytes(of: v) { Array($0) } })
    }

    /// Elements that follow from their position, between -0.5 and 0.5.
    public static func filled(_ name: String, _ dims: [Int64]) -> Tensor {
      let count = Int(dims.reduce(1, *))
      return Tensor(name, (0..<count).map { i in Float((i * 7919 + 13) % 101) / 101 - 0.5 }, dims)
    }

    var proto: Proto {
      Proto { t in
        for d in dims { t.int(1, d) }
        t.int(2, type)
        t.text(8, name)
        if external.isEmpty {
          t.blob(9, raw)
        } else {
          for (key, value) in external {
            t.message(13, Proto { e in
              e.text(1, key)
              e.text(2, value)
            })
          }
          t.int(14, 1)
        }
      }
    }
  }

  public struct Function {
    public var name: String
    public var domain: String
    public var inputs: [String]
    public var outputs: [String]
    public var nodes: [Node]

    public init(_ name: String, domain: String, inputs: [String], outputs: [String], nodes: [Node]) {
      self.name = name
      self.domain = domain
      self.inputs = inputs
      self.outputs = outputs
      self.nodes = nodes
    }

    var proto: Proto {
      Proto { f in
        f.text(1, name)
        for i in inputs { f.text(4, i) }
        for o in outputs { f.text(5, o) }
        for n in nodes { f.message(7, n.proto) }
        f.text(10, domain)
      }
    }
  }

  public var graph: Proto {
    Proto { g in
      for n in nodes { g.message(1, n.proto) }
      g.text(2, "test")
      for t in initializers { g.message(5, t.proto) }
      for i in inputs { g.message(11, i.proto) }
      for o in outputs { g.message(12, o.proto) }
      g.bytes += extraGraph.bytes
    }
  }

  public var bytes: [UInt8] {
    Proto { m in
      m.int(1, 8)
      m.text(2, "efferent tests")
      m.message(8, Proto { $0.int(2, opset) })
      for d in domains {
        m.message(8, Proto { o in
          o.text(1, d)
          o.int(2, 1)
        })
      }
      for f in functions { m.message(25, f.proto) }
      m.message(7, graph)
      for (key, value) in metadata {
        m.message(14, Proto { e in
          e.text(1, key)
          e.text(2, value)
        })
      }
    }.bytes
  }
}

/// A node: `Node("Gemm", ["x", "w"], ["y"], [.int("transB", 1)])`.
public struct Node {
  public enum Attribute {
    case int(String, Int64)
    case float(String, Float)
    case text(String, String)
    case ints(String, [Int64])
    case tensor(String, Model.Tensor)
    case graph(String, Proto)

    var proto: Proto {
      Proto { a in
        switch self {
        case .int(let name, let v):
          a.text(1, name)
          a.int(3, v)
          a.int(20, 2)
        case .float(let name, let v):
          a.text(1, name)
          a.float(2, v)
          a.int(20, 1)
        case .text(let name, let v):
          a.text(1, name)
          a.text(4, v)
          a.int(20, 3)
        case .ints(let name, let v):
          a.text(1, name)
          for n in v { a.int(8, n) }
          a.int(20, 7)
        case .tensor(let name, let t):
          a.text(1, name)
          a.message(5, t.proto)
          a.int(20, 4)
        case .graph(let name, let g):
          a.text(1, name)
          a.message(6, g)
          a.int(20, 5)
        }
      }
    }
  }

  public var op: String
  public var inputs: [String]
  public var outputs: [String]
  public var attributes: [Attribute]
  public var name: String
  public var domain: String

  public init(
    _ op: String, _ inputs: [String], _ outputs: [String], _ attributes: [Attribute] = [], name: String = "",
    domain: String = ""
  ) {
    self.op = op
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.name = name
    self.domain = domain
  }

  var proto: Proto {
    Proto { n in
      for i in inputs { n.text(1, i) }
      for o in outputs { n.text(2, o) }
      if !name.isEmpty { n.text(3, name) }
      n.text(4, op)
      for a in attributes { n.message(5, a.proto) }
      if !domain.isEmpty { n.text(7, domain) }
    }
  }
}
