import Base
import Onnx

// walking nodes: scopes, operators, functions
/// What is known of an operator after its first node.
struct KnownOperator {
  let op: String
  let domain: String
  let version: Int
  let schema: Schema
  let code: Operator
}

/// What names a function of a model.
struct FunctionKey: Hashable {
  let domain: String
  let name: String
  let overload: String

  init(domain: String, name: String, overload: String) {
    self.domain = domain
    self.name = name
    self.overload = overload
  }

  init(_ f: OnnxFunction) { self.init(domain: f.domain, name: f.name, overload: f.overload) }
}

extension Builder {
  func lookup(_ name: String) -> Int? {
    for i in scopes.indices.reversed() {
      if let v = scopes[i][name] { return v }
    }
    return nil
  }

  /// Builds the nodes of a graph (or subgraph) in the innermost scope.
  mutating func run(_ g: OnnxGraph) throws(Failure) {
    try run(g.nodes, g.order)
  }

  mutating func run(_ nodes: [OnnxNode], _ order: [Int]?) throws(Failure) {
    for i in order ?? Array(nodes.indices) { try build(nodes[i], i) }
  }

  /// Bounds the work that a small file can ask for by unrolling: nodes, and with a lower weight what is read for each.
  mutating func account(nodes: Int = 0, items: Int = 0) throws(Failure) {
    built += nodes
    spent += nodes + items / 16
    guard spent <= Self.maximumNodes else {
      throw Failure(
        .unsupported,
        """
        the model has more than \(Self.maximumNodes) nodes after unrolling its loops and functions; export a smaller \
        one
        """
      )
    }
  }

  private mutating func account(_ n: OnnxNode, _ inputs: [Int]) throws(Failure) {
    var items = n.inputs.count + n.outputs.count + n.attributes.count
    for i in n.attributes.indices {
      items += n.attributes[i].ints.count + n.attributes[i].floats.count + n.attributes[i].strings.count
    }
    var letters = n.name.utf8.count + way.utf8.count
    for name in n.inputs { letters += name.utf8.count }
    for name in n.outputs { letters += name.utf8.count }
    items += letters / 64
    // lists of integers may be read one by one
    for v in inputs where v >= 0 && graph.values[v].constant != nil && !type(v).isFloat { items += count(v) / 64 }
    try account(nodes: 1, items: items)
  }

  /// Whether a failure says already which node it is about, or is about no node.
  private static func namesPlace(_ f: Failure) -> Bool {
    f.message.utf8.starts(with: "node ".utf8) || f.message.utf8.starts(with: "the model ".utf8)
  }

  /// From here on messages name nodes as inside of this one, down to a depth that can still be read.
  mutating func enter(_ label: String) {
    if label.utf8.count <= 160 { way = label + ": " }
  }

  mutating func build(_ n: OnnxNode, _ index: Int) throws(Failure) {
    let label = NodeLabel(way: way, name: n.name, op: n.op, index: index)
    var inputs: [Int] = []
    inputs.reserveCapacity(n.inputs.count)
    for name in n.inputs {
      if name.utf8.isEmpty {
        inputs.append(-1)
      } else if let v = scopes[scopes.count - 1][name] ?? (scopes.count > 1 ? lookup(name) : nil) {
        inputs.append(v)
      } else if let failure = dynamic[name] {
        throw failure
      } else {
        throw Failure(.format, "\(label.text): input '\(name)' is no input, no initializer and no output of a node")
      }
    }
    try account(n, inputs)
    if !functions.isEmpty, let f = function(n) { return try expandFunction(f, n, inputs, label) }
    let isStandard = Self.isStandard(n.domain)
    let known = try known(n, label)
    let node = Node(onnx: n, known.code, inputs: inputs, opset: opset, place: label)
    var outputs: [Int]?
    do throws(Failure) {
      outputs = isStandard ? try buildStandard(node) : try buildContributed(node)
    } catch {
      throw Self.namesPlace(error) ? error : error.within(label.text)
    }
    guard let outputs else {
      if isStandard {
        throw Failure(
          .unsupported,
          """
          \(label.text): operator '\(n.op)' of ONNX opset \(opset) is not supported; simplify the model or export the \
          policy without it
          """
        )
      }
      throw Failure(
        .unsupported,
        """
        \(label.text): operator '\(n.op)' belongs to the custom domain '\(n.domain)', which is not part of ONNX; \
        export with standard operators only
        """
      )
    }
    try Self.checkRead(node, known.schema)
    try bind(n, outputs, label)
  }

  private mutating func bind(_ n: OnnxNode, _ outputs: [Int], _ label: NodeLabel) throws(Failure) {
    for (i, name) in n.outputs.enumerated() where !name.utf8.isEmpty {
      guard i < outputs.count, outputs[i] >= 0 else {
        if dynamic[name] != nil { continue }  // set aside by the builder; whoever needs it says why
        throw Failure(.unsupported, "\(label.text): output \(i) ('\(name)') is not supported")
      }
      if graph.values[outputs[i]].name.utf8.isEmpty || label.is(graph.values[outputs[i]].name) {
        graph.values[outputs[i]].name = name
      }
      scopes[scopes.count - 1].set(name, outputs[i])
    }
  }

  // MARK: functions of the model

  private func function(_ n: OnnxNode) -> OnnxFunction? {
    functions.isEmpty ? nil : functions[FunctionKey(domain: n.domain, name: n.op, overload: n.overload)]
  }

  private mutating func expandFunction(_ f: OnnxFunction, _ n: OnnxNode, _ inputs: [Int], _ label: NodeLabel)
    throws(Failure)
  {
    functionDepth += 1
    guard functionDepth <= 16 else {
      throw Failure(.format, "\(label.text): functions call each other more than 16 deep")
    }
    try account(items: n.attributes.count * (f.attributes.count + f.defaults.count))
    try Self.checkCall(n, f, label)
    let (outerScopes, outerOpsets, outerOpset, outerWay) = (scopes, opsets, opset, way)
    let outputs: [Int]
    do throws(Failure) {
      outputs = try expand(f, n, inputs, label)
    } catch {
      (scopes, opsets, opset, way) = (outerScopes, outerOpsets, outerOpset, outerWay)
      functionDepth -= 1
      throw error
    }
    (scopes, opsets, opset, way) = (outerScopes, outerOpsets, outerOpset, outerWay)
    functionDepth -= 1
    try bind(n, outputs, label)
  }

  /// Builds the nodes of a function in a scope of their own; gives its outputs.
  private mutating func expand(_ f: OnnxFunction, _ n: OnnxNode, _ inputs: [Int], _ label: NodeLabel) throws(Failure)
    -> [Int]
  {
    enter(label.text)
    try account(items: f.inputs.count + f.outputs.count + f.defaults.count)
    var scope = NameMap()
    for (i, name) in f.inputs.enumerated() { scope.set(name, i < inputs.count ? inputs[i] : -1) }
    scopes = [scope]
    if !f.opsets.isEmpty { (opsets, opset) = (f.opsets, try Builder.opset(f.opsets)) }
    var given: [String: OnnxAttribute] = [:]
    for a in f.defaults + n.attributes { given[a.name] = a }
    for i in f.order ?? Array(f.nodes.indices) { try build(try substitute(f.nodes[i], given), i) }
    var outputs: [Int] = []
    for name in f.outputs {
      guard let v = scopes[0][name] else {
        throw Failure(.format, "\(label.text): function '\(f.name)' does not produce its output '\(name)'")
      }
      outputs.append(v)
    }
    return outputs
  }

  /// A node of a function body with references to the caller's attributes resolved.
  private mutating func substitute(_ n: OnnxNode, _ given: [String: OnnxAttribute]) throws(Failure) -> OnnxNode {
    try account(items: 1 + n.attributes.count)
    var n = n
    var out: [OnnxAttribute] = []
    for var a in n.attributes {
      if a.reference.utf8.isEmpty {
        for i in a.graphs.indices {
          for k in a.graphs[i].nodes.indices { a.graphs[i].nodes[k] = try substitute(a.graphs[i].nodes[k], given) }
        }
        out.append(a)
        continue
      }
      if var v = given[a.reference] {
        v.name = a.name
        out.append(v)
      }
    }
    n.attributes = out
    return n
  }

  /// An operator of the default domain; nil where it is unknown.
  mutating func buildStandard(_ n: Node) throws(Failure) -> [Int]? {
    if let out = try buildList(n) { return out }
    if let out = try buildWindow(n) { return out }
    if let out = try buildSequence(n) { return out }
    for (i, v) in n.inputs.enumerated()
    where !sequences.isEmpty && v >= 0 && sequences[v] != nil && n.operator != .loop {
      throw n.fail(.unsupported, "input \(i) is a sequence, expected a tensor")
    }
    if let y = try shortcut(n) { return [y] }
    return try buildTensor(n)
  }

  /// Operators outside the standard that exporters are known to write.
  mutating func buildContributed(_ n: Node) throws(Failure) -> [Int]? {
    switch n.onnx.domain {
    case "com.microsoft": return try buildMicrosoft(n)
    case "ai.onnx.ml": return try buildMachineLearning(n)
    case "ai.onnx.preview" where n.operator == .flexAttention: return [try buildFlexAttention(n)]
    case "com.microsoft.nchwc", "com.ms.internal.nhwc":
      throw n.fail(.unsupported, """
        is of '\(n.onnx.domain)': onnxruntime wrote this file for one kind of processor; \
        write it at the optimization level ORT_ENABLE_EXTENDED, or load the model as it was before
        """)
    default: return nil
    }
  }
}
