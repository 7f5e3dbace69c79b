import Kernels

/// The nesting of branches in a list of ops, and where each op stands in a table: first the ops that always run, then
/// body after body, so that the ops of one body, without those of branches inside of it, follow each other.
public struct Blocks {
  /// Block of each op; a branch and its end belong to the block around them. Block 0 always runs.
  public private(set) var of: [Int] = []
  /// The block around each block; -1 for block 0.
  public private(set) var parents = [-1]
  /// First op of each block, counting its branch, and last, counting its end.
  public private(set) var ranges: [(first: Int, last: Int)] = [(0, 0)]
  /// Ops of each block without those of inner blocks.
  public private(set) var counts = [0]
  /// Place of each op in the table; an end has none of its own.
  public private(set) var positions: [Int] = []
  /// Block that each branch opens; -1 for other ops.
  private(set) var opened: [Int] = []

  public var mainCount: Int { counts[0] }

  /// - Complexity: linear in ops.
  public init(_ ops: [GraphOp]) {
    guard ops.contains(where: { $0.kernel == .branch || $0.kernel == .end }) else {
      // one block of all ops
      of = [Int](repeating: 0, count: ops.count)
      opened = [Int](repeating: -1, count: ops.count)
      positions = Array(0..<ops.count)
      counts[0] = ops.count
      ranges[0].last = max(ops.count - 1, 0)
      return
    }
    of.reserveCapacity(ops.count)
    opened.reserveCapacity(ops.count)
    positions.reserveCapacity(ops.count)
    var block = 0
    for i in ops.indices {
      var opens = -1
      switch ops[i].params {
      case .branch:
        counts[block] += 1
        of.append(block)
        opens = parents.count
        parents.append(block)
        counts.append(0)
        ranges.append((i, i))
        block = opens
      case .end:
        ranges[block].last = i
        block = max(parents[block], 0)
        of.append(block)
      default:
        counts[block] += 1
        of.append(block)
      }
      opened.append(opens)
    }
    ranges[0].last = max(ops.count - 1, 0)
    var next: [Int] = []
    var start = 0
    for n in counts {
      next.append(start)
      start += n
    }
    for i in ops.indices {
      positions.append(next[of[i]])
      if case .end = ops[i].params { continue }
      next[of[i]] += 1
    }
  }

  /// Parameters of op `i`; a branch counts its body.
  public func params(_ i: Int, _ op: GraphOp) -> Params {
    guard case .branch(var p) = op.params, opened[i] >= 0 else { return op.params }
    p.count = Int64(counts[opened[i]])
    return .branch(p)
  }

  /// The block directly inside of `home` that holds block `b`, or `b` where it is `home`.
  func child(_ b: Int, of home: Int) -> Int {
    var b = b
    while b != home && parents[b] != home && b > 0 { b = parents[b] }
    return b
  }

  /// The innermost block that holds both.
  func common(_ a: Int, _ b: Int) -> Int {
    // blocks are numbered from the outside in
    var (a, b) = (a, b)
    while a != b { if a > b { a = parents[a] } else { b = parents[b] } }
    return a
  }
}

/// From which op to which the memory of each root is in use.
///
/// With several rows a branch runs whole for some of them, then for others: what lies outside of it and is touched
/// inside is in use from its first op to its last.
public struct Lifetimes {
  /// Roots whose use begins before op i, in the order in which ops name them, and whose use ends with it.
  public private(set) var begin: [[Int]]
  public private(set) var end: [[Int]]

  /// - Complexity: linear in operands, times the nesting of branches.
  public init(_ g: Graph) {
    begin = [[Int]](repeating: [], count: g.ops.count)
    end = begin
    let blocks = Blocks(g.ops)
    var home = [Int](repeating: -1, count: g.values.count)
    var isWritten = [Bool](repeating: false, count: g.values.count)
    for i in g.ops.indices {
      for v in g.ops[i].operands where v >= 0 {
        let r = g.root(v)
        home[r] = home[r] < 0 ? blocks.of[i] : blocks.common(home[r], blocks.of[i])
      }
      for v in g.ops[i].outputs where v >= 0 { isWritten[g.root(v)] = true }
    }
    var first = [Int](repeating: -1, count: g.values.count)
    var last = first
    for i in g.ops.indices {
      for v in g.ops[i].operands where v >= 0 {
        let r = g.root(v)
        // a condition is read again for every row
        var range = blocks.opened[i] >= 0 ? blocks.ranges[blocks.opened[i]] : (first: i, last: i)
        if blocks.of[i] != home[r] { range = blocks.ranges[blocks.child(blocks.of[i], of: home[r])] }
        if first[r] < 0 {
          first[r] = range.first
          if isWritten[r] { begin[range.first].append(r) }
        }
        last[r] = max(last[r], range.last)
      }
    }
    for r in g.values.indices where last[r] >= 0 { end[last[r]].append(r) }
  }
}
