import Base
import Kernels
import Onnx

/// Decision trees before they become a flat table: interior nodes and leaves as a file lists them.
struct Forest {
  /// An interior node. `yes` and `no`: position in `nodes`, or the complement of one in `leaves`.
  struct Branch {
    var feature: Int
    var value: Double
    var mode: Int
    var yes: Int
    var no: Int
  }

  var nodes: [Branch] = []
  /// Weights of each leaf.
  var leaves: [[(target: Int, weight: Double)]] = []
  /// By tree: as `yes` and `no`.
  var roots: [Int] = []

  /// The codes of BRANCH_LEQ and its kin.
  static let modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]

  /// Why these trees cannot run, or nil: a walk must end, and reach every node from a root.
  /// - Complexity: linear in the number of nodes.
  func flaw(features: Int) -> Message? {
    for (i, n) in nodes.enumerated() {
      guard n.feature >= 0, n.feature < features else {
        return "node \(i) asks for feature \(n.feature), but the input has \(features)"
      }
    }
    // 0: not reached, 1: on the path from the root, 2: known to end
    var state = [UInt8](repeating: 0, count: nodes.count)
    var path: [(node: Int, isSecond: Bool)] = []
    for root in roots where root >= 0 && state[root] == 0 {
      path.append((root, false))
      state[root] = 1
      while let top = path.last {
        let child = top.isSecond ? nodes[top.node].no : nodes[top.node].yes
        if child >= 0, state[child] == 1 {
          return "the branches of node \(top.node) lead back to node \(child); expected a tree"
        }
        if child >= 0, state[child] == 0 {
          path.append((child, false))
          state[child] = 1
        } else if top.isSecond {
          path.removeLast()
          state[top.node] = 2
        } else {
          path[path.count - 1].isSecond = true
        }
      }
    }
    for (i, s) in state.enumerated() where s == 0 { return "no tree reaches node \(i)" }
    return nil
  }

  /// Interior nodes in the order in which a walk meets them, and where each of them went.
  private func ordered() -> (order: [Int], place: [Int]) {
    var order: [Int] = []
    var place = [Int](repeating: -1, count: nodes.count)
    for root in roots {
      var open = [root]
      while let n = open.popLast() {
        guard n >= 0, place[n] < 0 else { continue }
        place[n] = order.count
        order.append(n)
        open.append(nodes[n].yes)
        open.append(nodes[n].no)
      }
    }
    return (order, place)
  }

  /// The tables that the kernel reads: nodes, roots, leaves, targets and weights, in memory of `budget`.
  func tables(_ type: ElementType, _ budget: MemoryBudget, _ what: String) throws(Failure) -> [TensorData] {
    let (order, place) = ordered()
    func encoded(_ n: Int) -> Int32 { Int32(truncatingIfNeeded: n < 0 ? n : place[n]) }
    // no table is empty: trees of one leaf have no nodes, and kernels are given addresses of something
    func table(_ type: ElementType, _ entries: Int) throws(Failure) -> TensorData {
      let count = max(entries, 1)
      return TensorData(type: type, shape: [count], bytes: try budget.zeroed(count * type.size, for: what))
    }
    let isDouble = type == .f64
    let words = isDouble ? 3 : 2
    let flat = try table(.i64, order.count * words)
    for (i, n) in order.enumerated() {
      let node = nodes[n]
      let code = Int32(truncatingIfNeeded: node.feature * 16 + node.mode)
      let p = flat.bytes.mutable
      if isDouble {
        let e = eff_tree_node_f64(
          value: node.value, feature_mode: code, yes: encoded(node.yes), no: encoded(node.no), reserved: 0)
        p.storeBytes(of: e, toByteOffset: 24 * i, as: eff_tree_node_f64.self)
      } else {
        let e = eff_tree_node_f32(
          value: Float(node.value), feature_mode: code, yes: encoded(node.yes), no: encoded(node.no))
        p.storeBytes(of: e, toByteOffset: 16 * i, as: eff_tree_node_f32.self)
      }
    }
    let starts = try table(.i32, roots.count)
    for (i, r) in roots.enumerated() {
      starts.bytes.mutable.storeBytes(of: encoded(r), toByteOffset: 4 * i, as: Int32.self)
    }
    var total = 0
    let ends = try table(.i32, leaves.count * 2)
    for (i, leaf) in leaves.enumerated() {
      ends.bytes.mutable.storeBytes(of: Int32(truncatingIfNeeded: total), toByteOffset: 8 * i, as: Int32.self)
      ends.bytes.mutable.storeBytes(of: Int32(truncatingIfNeeded: leaf.count), toByteOffset: 8 * i + 4, as: Int32.self)
      total += leaf.count
    }
    let targets = try table(.i32, total)
    let weights = try table(type, total)
    var at = 0
    for leaf in leaves {
      for w in leaf {
        targets.bytes.mutable.storeBytes(of: Int32(truncatingIfNeeded: w.target), toByteOffset: 4 * at, as: Int32.self)
        if isDouble { weights.bytes.mutable.storeBytes(of: w.weight, toByteOffset: 8 * at, as: Double.self) }
        else { weights.bytes.mutable.storeBytes(of: Float(w.weight), toByteOffset: 4 * at, as: Float.self) }
        at += 1
      }
    }
    return [flat, starts, ends, targets, weights]
  }
}
