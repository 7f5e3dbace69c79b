import Base
import Onnx

/// Which nodes of a graph are built, and in which order: those that an output needs, each after the nodes that it
/// reads, otherwise as in the file.
struct Schedule {
  /// Names that the nodes read and none of them writes.
  private(set) var read = NameMap()
  /// Of a graph inside of a node: those that it reads from outside.
  private var free: [String] = []
  /// Nodes that no output needs.
  private(set) var dead: [Int] = []
  /// Initializers that nothing reads.
  private(set) var unread: [String] = []

  /// Sets the order of `g` and of the graphs inside its nodes, and removes the initializers that nothing reads.
  /// - Parameters:
  ///   - roots: names that are needed besides the outputs
  ///   - outputs: nil for those of the graph
  /// - Complexity: linear in nodes and names.
  init(_ g: inout OnnxGraph, outputs: [String]? = nil, roots: [String] = []) throws(Failure) {
    let given = Given(inputs: g.inputs, initializers: g.initializers)
    g.order = try schedule(&g.nodes, outputs ?? g.outputs.map { $0.name }, roots, given)
    for t in g.initializers where !read.contains(t.name) { unread.append(t.name) }
    if !unread.isEmpty { g.initializers.removeAll { !read.contains($0.name) } }
  }

  /// Of a graph inside of a node.
  private init(inner g: inout OnnxGraph) throws(Failure) {
    try self.init(&g)
    var own = NameMap()
    for t in g.initializers { own.set(t.name, 0) }
    for i in g.inputs { own.set(i.name, 0) }
    for name in read.names where !own.contains(name) { free.append(name) }
  }

  init(_ f: inout OnnxFunction) throws(Failure) {
    f.order = try schedule(&f.nodes, f.outputs, [], Given(names: f.inputs))
  }

  /// What has a name before any node is run.
  private struct Given {
    var inputs: [OnnxValue] = []
    var initializers: [OnnxTensor] = []
    var names: [String] = []

    func isAny(of writers: NameMap) -> Bool {
      inputs.contains { writers.contains($0.name) } || initializers.contains { writers.contains($0.name) }
        || names.contains { writers.contains($0) }
    }
  }

  /// Collects in `read` every name that is read and written by no node. nil: all nodes, as in the file.
  private mutating func schedule(
    _ nodes: inout [OnnxNode], _ wanted: [String], _ roots: [String], _ given: Given
  ) throws(Failure) -> [Int]? {
    var writers = NameMap()
    writers.reserve(nodes.count)
    read.reserve(2 * nodes.count)
    var isUnique = true
    for i in nodes.indices {
      for o in nodes[i].outputs where !o.utf8.isEmpty && !writers.set(o, i) { isUnique = false }
    }
    if given.isAny(of: writers) { isUnique = false }
    var captured = [Int: [String]]()
    for i in nodes.indices where nodes[i].attributes.contains(where: { !$0.graphs.isEmpty }) {
      captured[i] = try inner(&nodes[i])
    }
    func reads(_ i: Int) -> [String] {
      captured.isEmpty ? nodes[i].inputs : captured[i].map { nodes[i].inputs + $0 } ?? nodes[i].inputs
    }
    // a name that is written twice means what was written last: the order of the file is all there is
    guard isUnique else {
      for name in wanted + roots where !writers.contains(name) { read.set(name, 0) }
      for i in nodes.indices { for name in reads(i) where !writers.contains(name) { read.set(name, 0) } }
      return nil
    }
    // depth first from the outputs, to know what is needed
    var isNeeded = [Bool](repeating: false, count: nodes.count)
    var isSorted = true
    var open: [Int] = []
    /// `reader` reads `name`; the outputs are read after all nodes.
    func need(_ name: String, by reader: Int) {
      guard let w = writers[name] else {
        read.set(name, 0)
        return
      }
      if w >= reader { isSorted = false }
      if isNeeded[w] { return }
      isNeeded[w] = true
      open.append(w)
    }
    for name in wanted { need(name, by: nodes.count) }
    for name in roots { need(name, by: nodes.count) }
    while let i = open.popLast() { for name in reads(i) { need(name, by: i) } }
    dead = nodes.indices.filter { !isNeeded[$0] }
    if isSorted { return dead.isEmpty ? nil : nodes.indices.filter { isNeeded[$0] } }
    return try sorted(nodes, isNeeded) { i in reads(i).compactMap { writers[$0] } }
  }

  /// The needed nodes, each after those that it reads; in the order of the file where that leaves a choice.
  private func sorted(_ nodes: [OnnxNode], _ isNeeded: [Bool], _ before: (Int) -> [Int]) throws(Failure) -> [Int] {
    enum Mark { case fresh, open, done }
    var marks = [Mark](repeating: .fresh, count: nodes.count)
    var order: [Int] = []
    for first in nodes.indices where isNeeded[first] && marks[first] == .fresh {
      var path: [(node: Int, rest: [Int])] = [(first, before(first).reversed())]
      marks[first] = .open
      while let last = path.last {
        guard let next = last.rest.last else {
          marks[last.node] = .done
          order.append(last.node)
          path.removeLast()
          continue
        }
        path[path.count - 1].rest.removeLast()
        switch marks[next] {
        case .done: continue
        case .fresh:
          marks[next] = .open
          path.append((next, before(next).reversed()))
        case .open:
          let cycle = path.map { $0.node }.drop { $0 != next }
          var text = ""
          for i in cycle.prefix(8) { text += Schedule.label(nodes[i], i) + " -> " }
          throw Failure(
            .format,
            """
            the graph has a cycle, each node reads what the one before it makes: \
            \(text)\(Schedule.label(nodes[next], next))
            """
          )
        }
      }
    }
    return order
  }

  /// Orders the graphs inside a node; gives the names that they read from outside.
  private func inner(_ n: inout OnnxNode) throws(Failure) -> [String] {
    var names = NameMap()
    for a in n.attributes.indices {
      for g in n.attributes[a].graphs.indices {
        for name in try Schedule(inner: &n.attributes[a].graphs[g]).free { names.set(name, 0) }
      }
    }
    return names.names
  }

  static func label(_ n: OnnxNode, _ index: Int) -> String {
    "'" + (n.name.utf8.isEmpty ? "#\(index)" : n.name) + "' (" + n.op + ")"
  }
}
