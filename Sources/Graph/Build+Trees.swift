import Base
import Kernels
import Onnx

// TreeEnsembleRegressor, TreeEnsembleClassifier and TreeEnsemble of ai.onnx.ml
extension Builder {
  /// What tree `tree` calls node `node`.
  private struct NodeId: Hashable {
    let tree: Int
    let node: Int
  }

  /// Numbers of a list of floats, or of the tensor that stands for it.
  mutating func realList(_ n: Node, _ name: String) throws(Failure) -> [Double] {
    if let list = try n.floats(name) {
      guard !n.has(name + "_as_tensor") else { throw n.fail(.format, "has both '\(name)' and '\(name)_as_tensor'") }
      return list
    }
    return try tensorList(n, name + "_as_tensor") ?? []
  }

  private mutating func tensorList(_ n: Node, _ name: String) throws(Failure) -> [Double]? {
    guard let a = n.attribute(name) else { return nil }
    guard a.kind == .tensor, let t = a.tensors.first else {
      throw n.fail(.format, "attribute '\(name)' has the wrong type; expected a tensor")
    }
    let data = try tensors.read(t, "attribute '\(name)' of \(n.label)")
    return try numbers(newConstant(data, n.label), n, "attribute '\(name)'")
  }

  private func list(_ n: Node, _ name: String, _ count: Int) throws(Failure) -> [Int] {
    let v = try n.ints(name) ?? []
    guard v.count == count else {
      throw n.fail(.format, "attribute '\(name)' has \(v.count) entries, expected \(count)")
    }
    return v
  }

  /// Trees of the first generation: every node of every tree in parallel lists, and weights that name their leaf.
  mutating func legacyForest(_ n: Node, _ prefix: String, targets: Int) throws(Failure) -> Forest {
    n.passOver(["nodes_hitrates", "nodes_hitrates_as_tensor"])  // how often each node was reached in training
    let trees = try n.ints("nodes_treeids") ?? []
    let count = trees.count
    let ids = try list(n, "nodes_nodeids", count)
    let features = try list(n, "nodes_featureids", count)
    let yes = try list(n, "nodes_truenodeids", count)
    let no = try list(n, "nodes_falsenodeids", count)
    let missing = n.has("nodes_missing_value_tracks_true") ? try list(n, "nodes_missing_value_tracks_true", count) : []
    let modes = try n.strings("nodes_modes") ?? []
    let values = try realList(n, "nodes_values")
    guard count > 0, modes.count == count, values.count == count else {
      throw n.fail(
        .format,
        "has \(count) nodes, \(modes.count) modes and \(values.count) values; expected one of each for every node")
    }
    var forest = Forest()
    // position of each node: in `nodes`, or the complement of one in `leaves`
    var places: [NodeId: Int] = [:]
    var interior: [Int] = []
    var leafNodes: [Int] = []
    for i in 0..<count {
      let isLeaf = modes[i] == "LEAF"
      let place = isLeaf ? ~leafNodes.count : interior.count
      guard places.updateValue(place, forKey: NodeId(tree: trees[i], node: ids[i])) == nil else {
        throw n.fail(.format, "node \(ids[i]) of tree \(trees[i]) is there twice")
      }
      if isLeaf { leafNodes.append(i) } else { interior.append(i) }
    }
    var seen: Set<Int> = []
    for i in 0..<count where i == 0 || trees[i] != trees[i - 1] {
      guard seen.insert(trees[i]).inserted else {
        throw n.fail(.format, "the nodes of tree \(trees[i]) are not together")
      }
      forest.roots.append(places[NodeId(tree: trees[i], node: ids[i])] ?? 0)
    }
    for i in interior {
      guard let mode = Forest.modes.firstIndex(of: modes[i]) else {
        throw n.fail(.unsupported, "mode '\(modes[i])' of node \(ids[i]) of tree \(trees[i]) is not known")
      }
      func child(_ id: Int) throws(Failure) -> Int {
        guard let place = places[NodeId(tree: trees[i], node: id)] else {
          throw n.fail(.format, "node \(ids[i]) of tree \(trees[i]) branches to node \(id), which is not there")
        }
        return place
      }
      let tracks = i < missing.count && missing[i] == 1 ? Int(EFF_TREE_MISSING) : 0
      forest.nodes.append(
        Forest.Branch(
          feature: features[i], value: values[i], mode: mode + tracks, yes: try child(yes[i]), no: try child(no[i])))
    }
    let weights = try realList(n, prefix + "_weights")
    let weightIds = try list(n, prefix + "_ids", weights.count)
    let weightNodes = try list(n, prefix + "_nodeids", weights.count)
    let weightTrees = try list(n, prefix + "_treeids", weights.count)
    forest.leaves = [[(target: Int, weight: Double)]](repeating: [], count: leafNodes.count)
    for i in 0..<weights.count {
      guard let place = places[NodeId(tree: weightTrees[i], node: weightNodes[i])] else {
        throw n.fail(
          .format, "a weight belongs to node \(weightNodes[i]) of tree \(weightTrees[i]), which is not there")
      }
      guard weightIds[i] >= 0, weightIds[i] < targets else {
        throw n.fail(.format, "a weight belongs to \(prefix) \(weightIds[i]) of \(targets)")
      }
      // old converters write weights of interior nodes, which nothing reads
      if place < 0 { forest.leaves[~place].append((weightIds[i], weights[i])) }
    }
    return forest
  }

  /// The kernel call: sums (or least, largest) by target, in the type of x, and which targets a leaf has named.
  mutating func evaluate(
    _ forest: Forest, _ x: Int, targets: Int, aggregate: Int, _ n: Node
  ) throws(Failure) -> (scores: Int, has: Int) {
    let s = shape(x)
    guard s.count == 2 else { throw n.fail(.shape, "input is \(describe(s)), expected [batch, features]") }
    guard targets > 0, targets < 1 << 24, s[1] < 1 << 26 else {
      throw n.fail(.unsupported, "has \(targets) outputs and \(s[1]) features")
    }
    if let flaw = forest.flaw(features: s[1]) { throw n.fail(.format, flaw) }
    var p = eff_trees()
    (p.batch, p.features, p.trees, p.targets) = (Int64(s[0]), Int64(s[1]), Int64(forest.roots.count), Int64(targets))
    p.aggregate = Int32(aggregate)
    p.only_leq = forest.nodes.allSatisfy { $0.mode == Int(EFF_TREE_LEQ) } ? 1 : 0
    var inputs = [x]
    for table in try forest.tables(type(x), budget, n.label) { inputs.append(newConstant(table, n.label)) }
    let scores = try newValue(type(x), [s[0], targets], n.label)
    let has = try newValue(.bool, [s[0], targets], n.label)
    var op = GraphOp(.trees(p), type: type(x), inputs: inputs, outputs: [scores, has], label: n.label)
    op.work = work([s[0], forest.roots.count, 8])
    try emit(op)
    return (scores, has)
  }

  /// x in the type in which thresholds are compared: f64 for f64, else f32.
  mutating func features(_ n: Node) throws(Failure) -> Int {
    let x = try n.input(0)
    return try cast(x, to: type(x) == .f64 ? .f64 : .f32)
  }

  /// Sum or mean, least or largest, plus the base values.
  private mutating func aggregated(
    _ forest: Forest, _ x: Int, _ name: String, targets: Int, base: [Double], _ n: Node
  ) throws(Failure) -> Int {
    let fn: Int32
    switch name {
    case "SUM", "AVERAGE": fn = Int32(EFF_TREES_SUM)
    case "MIN": fn = Int32(EFF_TREES_MIN)
    case "MAX": fn = Int32(EFF_TREES_MAX)
    default: throw n.fail(.unsupported, "aggregate_function '\(name)' is not known")
    }
    var y = try evaluate(forest, x, targets: targets, aggregate: Int(fn), n).scores
    if name == "AVERAGE" {
      y = try binary(Int(EFF_FN2_DIV), y, try scalar(Double(forest.roots.count), type(y)), label: n.label)
    }
    guard !base.isEmpty else { return y }
    guard base.count == targets else { throw n.fail(.shape, "has \(base.count) base values, expected \(targets)") }
    return try binary(Int(EFF_FN2_ADD), y, try constants(base, type(y)), label: n.label)
  }

  mutating func buildTreeRegressor(_ n: Node) throws(Failure) -> [Int] {
    let targets = try n.int("n_targets", 1)
    guard targets > 0, targets < 1 << 24 else { throw n.fail(.format, "n_targets is \(targets)") }
    let forest = try legacyForest(n, "target", targets: targets)
    let y = try aggregated(forest, try features(n), try n.string("aggregate_function", "SUM"), targets: targets,
                           base: try realList(n, "base_values"), n)
    return [try cast(try transformed(y, try n.string("post_transform", "NONE"), n), to: .f32)]
  }

  mutating func buildTreeEnsemble(_ n: Node) throws(Failure) -> [Int] {
    let x = try n.input(0)
    guard type(x).isFloat else { throw n.fail(.shape, "input has type \(type(x).name), expected f16, f32 or f64") }
    let targets = try n.int("n_targets", 1)
    let forest = try secondForest(n, targets: targets)
    let names = ["AVERAGE", "SUM", "MIN", "MAX"]
    let code = try n.int("aggregate_function", 1)
    guard names.indices.contains(code) else { throw n.fail(.unsupported, "aggregate_function \(code) is not known") }
    let y = try aggregated(forest, try features(n), names[code], targets: targets, base: [], n)
    let transforms = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
    let post = try n.int("post_transform", 0)
    guard transforms.indices.contains(post) else { throw n.fail(.unsupported, "post_transform \(post) is not known") }
    return [try cast(try transformed(y, transforms[post], n), to: type(x))]
  }

  /// Trees of the second generation: interior nodes and leaves in lists of their own.
  private mutating func secondForest(_ n: Node, targets: Int) throws(Failure) -> Forest {
    n.passOver(["nodes_hitrates"])
    let features = try n.ints("nodes_featureids") ?? []
    let count = features.count
    let yes = (try list(n, "nodes_truenodeids", count), try list(n, "nodes_trueleafs", count))
    let no = (try list(n, "nodes_falsenodeids", count), try list(n, "nodes_falseleafs", count))
    let missing = n.has("nodes_missing_value_tracks_true") ? try list(n, "nodes_missing_value_tracks_true", count) : []
    let modes = try tensorList(n, "nodes_modes") ?? []
    let splits = try tensorList(n, "nodes_splits") ?? []
    let weights = try tensorList(n, "leaf_weights") ?? []
    let leafTargets = try list(n, "leaf_targetids", weights.count)
    guard count > 0, modes.count == count, splits.count == count, !weights.isEmpty else {
      throw n.fail(
        .format,
        "has \(count) nodes, \(modes.count) modes and \(splits.count) splits; expected one of each for every node")
    }
    var forest = Forest()
    for (i, t) in leafTargets.enumerated() {
      guard t >= 0, t < targets else { throw n.fail(.format, "leaf \(i) belongs to target \(t) of \(targets)") }
      forest.leaves.append([(t, weights[i])])
    }
    var members = Members(values: try tensorList(n, "membership_values") ?? [])
    var chains: [(node: Int, rest: [Double])] = []
    for i in 0..<count {
      func child(_ id: Int, _ isLeaf: Int) throws(Failure) -> Int {
        guard id >= 0, id < (isLeaf != 0 ? weights.count : count) else {
          throw n.fail(.format, "node \(i) branches to \(id), which is not there")
        }
        return isLeaf != 0 ? ~id : id
      }
      var mode = clampIndex(modes[i])
      var value = splits[i]
      if mode == 6 {
        // membership is one comparison after the other: the first here, the rest behind all nodes
        guard let set = members.next(), let first = set.first else {
          throw n.fail(.format, "node \(i) has no membership_values")
        }
        (mode, value) = (Int(EFF_TREE_EQ), first)
        if set.count > 1 { chains.append((i, Array(set.dropFirst()))) }
      }
      guard mode >= 0, mode <= Int(EFF_TREE_NEQ) else {
        throw n.fail(.unsupported, "mode \(mode) of node \(i) is not known")
      }
      let tracks = i < missing.count && missing[i] == 1 ? Int(EFF_TREE_MISSING) : 0
      forest.nodes.append(Forest.Branch(feature: features[i], value: value, mode: mode + tracks,
                                        yes: try child(yes.0[i], yes.1[i]), no: try child(no.0[i], no.1[i])))
    }
    for chain in chains {
      var last = chain.node
      for value in chain.rest {
        var link = forest.nodes[last]
        link.value = value
        forest.nodes[last].no = forest.nodes.count
        last = forest.nodes.count
        forest.nodes.append(link)
      }
    }
    for r in try n.ints("tree_roots") ?? [] {
      guard r >= 0, r < count else { throw n.fail(.format, "a tree begins at node \(r) of \(count)") }
      forest.roots.append(r)
    }
    return forest
  }

  /// The sets of membership_values, one after the other, a NaN behind each.
  private struct Members {
    let values: [Double]
    var at = 0

    init(values: [Double]) { self.values = values }

    mutating func next() -> [Double]? {
      guard at < values.count else { return nil }
      var set: [Double] = []
      while at < values.count, !values[at].isNaN {
        set.append(values[at])
        at += 1
      }
      at += 1
      return set
    }
  }
}
