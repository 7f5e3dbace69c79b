import Base
import Onnx

/// Axes, sizes and positions of a file, brought into a range in which sums and products of two cannot overflow.
/// INT64_MAX as a slice end and the like keep their meaning: no tensor is that large. Every result fits Int32.
func clampIndex(_ v: Int64) -> Int { Int(min(max(v, -Int64(Int32.max)), Int64(Int32.max))) }

/// The same for a number that was computed; 0 where it is none.
func clampIndex(_ v: Double) -> Int { v.isNaN ? 0 : Int(min(max(v, -Double(Int32.max)), Double(Int32.max))) }

/// What is noted of a node while it is built.
final class NodeNotes {
  private var mask: UInt64 = 0
  /// How messages name it, once something did.
  fileprivate var label: String? = nil

  /// The attribute at this position was looked at. What is given and not looked at is refused.
  func insert(_ i: Int) { if i < 64 { mask |= 1 << UInt64(i) } }

  func contains(_ i: Int) -> Bool { i >= 64 || mask >> UInt64(i) & 1 == 1 }
}

/// How messages name a node: the nodes whose bodies lead to it, then its own name, or its position where it has none.
struct NodeLabel {
  /// "node #1 (Loop): ".
  let way: String
  let name: String
  let op: String
  let index: Int
  let notes = NodeNotes()

  /// The same for a node with other attributes.
  var withoutNotes: NodeLabel { NodeLabel(way: way, name: name, op: op, index: index) }

  /// Written once.
  var text: String {
    if let known = notes.label { return known }
    let hasName = !name.utf8.isEmpty
    var bytes: [UInt8] = []
    bytes.reserveCapacity(way.utf8.count + name.utf8.count + op.utf8.count + 24)
    func add(_ text: String) {
      var text = text
      text.withUTF8 { bytes += $0 }
    }
    add(way)
    add(hasName ? "node '" : "node #")
    add(hasName ? name : String(index))
    add(hasName ? "' (" : " (")
    add(op)
    add(")")
    let text = String(decoding: bytes, as: UTF8.self)
    notes.label = text
    return text
  }

  /// Whether a name is this text.
  func `is`(_ name: String) -> Bool { name.utf8.last == UInt8(ascii: ")") && name == text }
}

/// A node under construction: its inputs as values, its attributes with their defaults.
struct Node {
  let onnx: OnnxNode
  let `operator`: Operator
  /// Value per input, -1 where an optional one is absent.
  let inputs: [Int]
  let opset: Int
  let place: NodeLabel

  init(onnx: OnnxNode, _ op: Operator, inputs: [Int], opset: Int, place: NodeLabel) {
    (self.onnx, self.operator, self.inputs, self.opset, self.place) = (onnx, op, inputs, opset, place)
  }

  /// Which attributes a builder has looked at.
  var reads: NodeNotes { place.notes }

  var label: String { place.text }

  /// The same node over other inputs.
  func with(inputs: [Int]) -> Node {
    Node(onnx: onnx, self.operator, inputs: inputs, opset: opset, place: place)
  }

  /// Notes attributes that change nothing here as looked at.
  func passOver(_ names: [String]) {
    for name in names { _ = has(name) }
  }

  var op: String { onnx.op }
  var outputCount: Int { onnx.outputs.count }

  @inline(never)
  func fail(_ reason: Failure.Reason, _ message: Message) -> Failure { Failure(reason, "\(label): \(message.text)") }

  /// Required input.
  func input(_ i: Int) throws(Failure) -> Int {
    guard i < inputs.count, inputs[i] >= 0 else {
      throw fail(.format, "input \(i) is missing; found \(inputs.count) inputs")
    }
    return inputs[i]
  }

  func optional(_ i: Int) -> Int? { i < inputs.count && inputs[i] >= 0 ? inputs[i] : nil }

  /// Whether output `i` is wanted.
  func hasOutput(_ i: Int) -> Bool { i < onnx.outputs.count && !onnx.outputs[i].utf8.isEmpty }

  func attribute(_ name: String) -> OnnxAttribute? {
    find(name).map { onnx.attributes[$0] }
  }

  /// The position of an attribute, which counts as looked at.
  private func find(_ name: String) -> Int? {
    for i in onnx.attributes.indices where onnx.attributes[i].name == name {
      reads.insert(i)
      return i
    }
    return nil
  }

  func has(_ name: String) -> Bool { find(name) != nil }

  private func wrong(_ a: OnnxAttribute, _ expected: String) -> Failure {
    fail(.format, "attribute '\(a.name)' has the wrong type; expected \(expected)")
  }

  func int(_ name: String, _ fallback: Int) throws(Failure) -> Int {
    guard let a = attribute(name) else { return fallback }
    guard a.kind == .int else { throw wrong(a, "an integer") }
    return clampIndex(a.int)
  }

  /// A flag: 0 or 1. Other numbers mean different things to different runtimes.
  func bool(_ name: String, _ fallback: Bool) throws(Failure) -> Bool {
    let found = try int(name, fallback ? 1 : 0)
    guard found == 0 || found == 1 else { throw fail(.unsupported, "attribute '\(name)' is \(found), expected 0 or 1") }
    return found == 1
  }

  func float(_ name: String, _ fallback: Double) throws(Failure) -> Double {
    guard let a = attribute(name) else { return fallback }
    guard a.kind == .float else { throw wrong(a, "a number") }
    return Double(a.float)
  }

  func string(_ name: String, _ fallback: String) throws(Failure) -> String {
    guard let a = attribute(name) else { return fallback }
    guard a.kind == .string else { throw wrong(a, "a string") }
    return a.string
  }

  func ints(_ name: String) throws(Failure) -> [Int]? {
    guard let a = attribute(name) else { return nil }
    guard a.kind == .ints || (a.kind == .int) else { throw wrong(a, "a list of integers") }
    if a.kind == .int { return [clampIndex(a.int)] }
    var out: [Int] = []
    for v in a.ints { out.append(clampIndex(v)) }
    return out
  }

  func floats(_ name: String) throws(Failure) -> [Double]? {
    guard let a = attribute(name) else { return nil }
    guard a.kind == .floats else { throw wrong(a, "a list of numbers") }
    var out: [Double] = []
    for v in a.floats { out.append(Double(v)) }
    return out
  }

  func strings(_ name: String) throws(Failure) -> [String]? {
    guard let a = attribute(name) else { return nil }
    guard a.kind == .strings else { throw wrong(a, "a list of strings") }
    return a.strings
  }

  func graph(_ name: String) throws(Failure) -> OnnxGraph {
    guard let a = attribute(name), a.kind == .graph, let g = a.graphs.first else {
      throw fail(.format, "attribute '\(name)' (a graph) is missing")
    }
    return g
  }

  /// An attribute of which one value is built; any other is refused.
  func require(_ name: String, _ value: Int) throws(Failure) {
    let found = try int(name, value)
    guard found == value else {
      throw fail(.unsupported, "attribute '\(name)' is \(found); only \(value) is implemented for \(op)")
    }
  }

  func require(_ name: String, _ value: String) throws(Failure) {
    let found = try string(name, value)
    guard found == value else {
      throw fail(.unsupported, "attribute '\(name)' is '\(found)'; only '\(value)' is implemented for \(op)")
    }
  }

  /// A word out of a list.
  func choice(_ name: String, _ fallback: String, _ words: [String]) throws(Failure) -> String {
    let found = try string(name, fallback)
    for w in words where w == found { return found }
    var text = ""
    for w in words { text += (text.utf8.isEmpty ? "'" : ", '") + w + "'" }
    throw fail(.unsupported, "attribute '\(name)' is '\(found)', expected one of \(text)")
  }

  /// How messages name an element type of a file, one that is not run too.
  static func typeName(_ code: Int) -> String {
    let code = Int32(clamping: code)
    return ElementType(rawValue: code)?.name ?? ElementType.unsupportedName(code)
  }

  /// Looks at attributes that change nothing here.
  func pass(_ names: String...) { for name in names { _ = find(name) } }

  /// A list of exactly `count` integers, or the fallback repeated.
  func ints(_ name: String, count: Int, fallback: Int) throws(Failure) -> [Int] {
    guard let v = try ints(name) else { return [Int](repeating: fallback, count: count) }
    guard v.count == count else { throw fail(.shape, "attribute '\(name)' has \(v.count) entries, expected \(count)") }
    return v
  }
}
