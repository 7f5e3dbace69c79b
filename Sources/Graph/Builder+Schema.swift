import Base
import Onnx

// nodes against what ONNX says of their operators: what is not known is refused by name, nothing is passed over
extension Builder {
  static func isStandard(_ domain: String) -> Bool { domain.utf8.isEmpty || domain == "ai.onnx" }

  /// The version in force of a domain that is not the standard one.
  private func version(_ domain: String) -> Int {
    for o in opsets where o.domain == domain { return clampIndex(o.version) }
    return 1
  }

  /// What the operator of a node takes, with the node's attributes and the numbers of its inputs and outputs held
  /// against it.
  mutating func known(_ n: OnnxNode, _ label: NodeLabel) throws(Failure) -> KnownOperator {
    // of a standard operator nothing is asked: a builder is large, and a call that only reads it copies it
    let version = Self.isStandard(n.domain) ? opset : version(n.domain)
    if !Self.isStandard(n.domain) || version < 1 || version > Schema.newestOpset {
      try checkVersion(n, version, label)
    }
    let known = found(n, version)
    let schema = known.schema
    switch schema.row {
    case .known: break
    case .unknown: return known
    case .absent:
      throw Failure(
        .unsupported,
        """
        \(label.text): operator '\(n.op)' came with opset \(schema.since), the model declares opset \(version); \
        export it with opset_version=\(schema.since) or more
        """
      )
    case .old:
      throw Failure(
        .unsupported,
        """
        \(label.text): operator '\(n.op)' of opset \(version) is not implemented; expected its definition of opset \
        \(schema.since) or later: export the model again, or convert it with onnx.version_converter
        """
      )
    case .ended:
      throw Failure(
        .unsupported,
        "\(label.text): operator '\(n.op)' ended with opset \(schema.since - 1), the model declares opset \(version)")
    }
    try Self.checkCount(n.inputs, schema.inputs, "inputs", n, version, label)
    try Self.checkCount(n.outputs, schema.outputs, "outputs", n, version, label)
    try Self.checkAttributes(n, schema, version, label)
    return known
  }

  private mutating func found(_ n: OnnxNode, _ version: Int) -> KnownOperator {
    for known in operators where known.op == n.op && known.version == version && known.domain == n.domain {
      return known
    }
    let schema = Schema.find(domain: n.domain, op: n.op, version: version)
    let known = KnownOperator(op: n.op, domain: n.domain, version: version, schema: schema, code: Operator(n.op))
    if operators.count < 16 { operators.append(known) }
    return known
  }

  private func checkVersion(_ n: OnnxNode, _ version: Int, _ label: NodeLabel) throws(Failure) {
    let isStandard = Self.isStandard(n.domain)
    guard isStandard || n.domain == "ai.onnx.ml" else { return }
    guard version > 0 else {
      throw Failure(.format, "\(label.text): the model declares no opset for the domain of operator '\(n.op)'")
    }
    let newest = isStandard ? Schema.newestOpset : Schema.newestML
    guard version <= newest else {
      let name = isStandard ? "ONNX opset" : "version"
      throw Failure(
        .unsupported,
        """
        \(label.text): operator '\(n.op)' is that of \(name) \(version)\(isStandard ? "" : " of ai.onnx.ml"), whose \
        definitions are not known here; the newest known one is \(newest): export the model with it, or update Efferent
        """)
    }
  }

  private static func checkCount(
    _ names: [String], _ most: Int?, _ what: StaticString, _ n: OnnxNode, _ version: Int, _ label: NodeLabel
  ) throws(Failure) {
    guard let most else { return }
    var count = names.count
    while count > 0 && names[count - 1].utf8.isEmpty { count -= 1 }
    guard count <= most else {
      throw Failure(.format, "\(label.text): has \(count) \(what); \(n.op) of opset \(version) has at most \(most)")
    }
  }

  private static func checkAttributes(_ n: OnnxNode, _ schema: Schema, _ version: Int, _ label: NodeLabel)
    throws(Failure)
  {
    for i in n.attributes.indices {
      let name = n.attributes[i].name
      if isInternal(name) {
        Log.write(.debug, "\(label.text): attribute '\(name)' is passed over: names that begin with __ belong to tools")
        continue
      }
      guard schema.attribute(name) != nil else { throw undefined(n.attributes[i], n, schema, version, label) }
      guard n.attributes[i].reference.utf8.isEmpty else {
        throw Failure(
          .format,
          """
          \(label.text): attribute '\(name)' stands for the attribute '\(n.attributes[i].reference)' of a function, \
          but the node is in none
          """
        )
      }
      for k in 0..<i where n.attributes[k].name == name {
        throw Failure(.format, "\(label.text): attribute '\(name)' is given twice")
      }
    }
    var missing: String? = nil
    schema.forEachAttribute { a in
      if a.isRequired, !n.attributes.contains(where: { $0.name.utf8.elementsEqual(a.name) }) {
        missing = String(decoding: a.name, as: UTF8.self)
      }
      return missing == nil
    }
    if let missing {
      throw Failure(.format, "\(label.text): attribute '\(missing)' is missing; \(n.op) of opset \(version) needs it")
    }
  }

  /// ONNX leaves names that begin with two underscores to tools, and so do its checker and onnxruntime.
  private static func isInternal(_ name: String) -> Bool {
    var name = name.utf8.makeIterator()
    return name.next() == UInt8(ascii: "_") && name.next() == UInt8(ascii: "_")
  }

  @inline(never)
  private static func undefined(_ a: OnnxAttribute, _ n: OnnxNode, _ schema: Schema, _ version: Int, _ label: NodeLabel)
    -> Failure
  {
    var text = "\(label.text): attribute '\(a.name)' is not defined for \(n.op) of opset \(version)"
    if let (first, last) = schema.range(ofAttribute: a.name) {
      if first > version {
        text += "; it came with opset \(first)"
      } else if let last {
        text += "; it ended with opset \(last)"
      }
    } else if let near = schema.near(a.name) {
      text += "; did you mean '\(near)'?"
    }
    let names = schema.names
    return Failure(.unsupported, text + (names.utf8.isEmpty ? "; it has no attributes" : "; it has \(names)"))
  }

  /// Every attribute that a node gives was looked at while it was built: one that was not has no implementation here.
  static func checkRead(_ node: Node, _ schema: Schema) throws(Failure) {
    for i in node.onnx.attributes.indices where !node.reads.contains(i) && !isInternal(node.onnx.attributes[i].name) {
      let a = node.onnx.attributes[i]
      if a.kind == .graph || schema.attribute(a.name)?.isAdvice == true { continue }
      throw node.fail(.unsupported, "attribute '\(a.name)' \(value(a))is not implemented for \(node.op)")
    }
  }

  private static func value(_ a: OnnxAttribute) -> String {
    switch a.kind {
    case .int: "(\(a.int)) "
    case .string: "('\(a.string)') "
    default: ""
    }
  }

  /// A call of a function of the model gives no attribute that the function does not name.
  static func checkCall(_ n: OnnxNode, _ f: OnnxFunction, _ label: NodeLabel) throws(Failure) {
    for a in n.attributes
    where !isInternal(a.name) && !f.attributes.contains(a.name) && !f.defaults.contains(where: { $0.name == a.name }) {
      let names = f.attributes + f.defaults.map { $0.name }
      var text = ""
      for name in names { text += (text.utf8.isEmpty ? "'" : ", '") + name + "'" }
      throw Failure(
        .unsupported,
        """
        \(label.text): attribute '\(a.name)' is not defined for the model's function '\(f.name)'; \
        \(text.utf8.isEmpty ? "it has no attributes" : "it has \(text)")
        """)
    }
    guard n.inputs.count <= f.inputs.count else {
      throw Failure(
        .format, "\(label.text): has \(n.inputs.count) inputs; the model's function '\(f.name)' has \(f.inputs.count)")
    }
    guard n.outputs.count <= f.outputs.count else {
      throw Failure(
        .format,
        "\(label.text): has \(n.outputs.count) outputs; the model's function '\(f.name)' has \(f.outputs.count)")
    }
  }
}
