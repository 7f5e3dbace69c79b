"""Random ensembles of decision trees as models of ai.onnx.ml, of every mode and generation."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
POST = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def grow(rng, features, depth, modes, leaf):
    """One random tree as nested tuples (feature, value, mode, missing, yes, no); leaf() makes a leaf."""
    if depth == 0 or rng.random() < 0.1:
        return leaf()
    mode = modes[rng.integers(len(modes))]
    # thresholds on a grid that the inputs hit, so that LEQ and LT, EQ and NEQ differ
    return (int(rng.integers(features)), float(rng.integers(-4, 5)) / 2, mode, int(rng.integers(2)),
            grow(rng, features, depth - 1, modes, leaf), grow(rng, features, depth - 1, modes, leaf))


def inputs(rng, batch, features, dtype, nans):
    x = (rng.integers(-5, 6, (batch, features)) / 2).astype(dtype)
    if nans and x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


def model(op, version, attributes, x, outputs, opset=17):
    """outputs: name -> (type, shape)"""
    node = helper.make_node(op, ["x"], list(outputs), "forest", domain="ai.onnx.ml",
                            **{k: v for k, v in attributes.items() if v is not None})
    ports = [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)]
    results = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()]
    graph = helper.make_graph([node], "g", ports, results)
    return helper.make_model(graph,
                             opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", version)],
                             ir_version=10)


def first_generation(trees, prefix, missing=True, as_tensor=None):
    """The parallel lists of TreeEnsembleRegressor and TreeEnsembleClassifier; a leaf is a list of (target, weight)."""
    lists = {k: []
             for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                       "missing_value_tracks_true")}
    weights = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}

    def add(tree, count, node):
        """Appends a node and those below it; returns its id and the next free one."""
        here, at = count, len(lists["nodeids"])
        is_leaf = isinstance(node, list)
        row = (0, 0.0, "LEAF", 0) if is_leaf else node[:4]
        for key, v in zip(("featureids", "values", "modes", "missing_value_tracks_true"), row):
            lists[key].append(v)
        lists["treeids"].append(tree), lists["nodeids"].append(here)
        lists["truenodeids"].append(0), lists["falsenodeids"].append(0)
        count += 1
        if is_leaf:
            for target, weight in node:
                for key, v in zip(weights, (tree, here, target, weight)):
                    weights[key].append(v)
        else:
            lists["truenodeids"][at], count = add(tree, count, node[4])
            lists["falsenodeids"][at], count = add(tree, count, node[5])
        return here, count

    for t, tree in enumerate(trees):
        add(t, 0, tree)
    if not missing:
        del lists["missing_value_tracks_true"]
    out = {f"nodes_{k}": v for k, v in lists.items()} | {f"{prefix}_{k}": v for k, v in weights.items()}
    if as_tensor is not None:
        for key in ("nodes_values", f"{prefix}_weights"):
            out[key + "_as_tensor"] = numpy_helper.from_array(np.array(out.pop(key), as_tensor), key)
    return out


def second_generation(trees, dtype, missing=True):
    """The lists of TreeEnsemble (version 5); a leaf is one (target, weight), the value of a BRANCH_MEMBER a list of
    numbers."""
    nodes, leaves, roots, members = [], [], [], []

    def add(node):
        if isinstance(node, list):
            leaves.append(node[0])
            return len(leaves) - 1, 1
        here = len(nodes)
        nodes.append(None)
        feature, value, mode, tracks, yes, no = node
        if mode == "BRANCH_MEMBER":
            members.extend([*value, np.nan])
            value = 0.0
        yes, yes_leaf = add(yes)
        no, no_leaf = add(no)
        nodes[here] = (feature, value, (MODES + ["BRANCH_MEMBER"]).index(mode), tracks, yes, yes_leaf, no, no_leaf)
        return here, 0

    for tree in trees:
        if isinstance(tree, list):  # a tree of one leaf: both branches lead to it
            tree = (0, 0.0, "BRANCH_LEQ", 0, tree, tree)
        roots.append(add(tree)[0])
    tensor = lambda v, t: numpy_helper.from_array(np.array(v, t))
    columns = list(zip(*nodes))
    out = dict(tree_roots=roots, nodes_featureids=columns[0], nodes_splits=tensor(columns[1], dtype),
               nodes_modes=tensor(columns[2], np.uint8),
               nodes_truenodeids=columns[4], nodes_trueleafs=columns[5], nodes_falsenodeids=columns[6],
               nodes_falseleafs=columns[7],
               leaf_targetids=[t for t, _ in leaves], leaf_weights=tensor([w for _, w in leaves], dtype))
    if missing:
        out["nodes_missing_value_tracks_true"] = columns[3]
    if members:
        out["membership_values"] = tensor(members, dtype)
    return out


# ---- random cases: (model, x) ----


def _modes(rng):
    return [["BRANCH_LEQ"], [MODES[rng.integers(6)]], MODES][rng.integers(3)]


def regressor(rng):
    dtype = [np.float32, np.float32, np.float64][rng.integers(3)]
    features, targets, count = int(rng.integers(1, 7)), int([1, 1, 2,
                                                             3][rng.integers(4)]), int([1, 3, 12][rng.integers(3)])
    # PROBIT is defined for shares alone; onnxruntime drops the base value of a target that no leaf names
    post = (["NONE"] * 3 + POST)[rng.integers(8)]
    based = post != "PROBIT" and rng.random() < 0.5
    weight = lambda: float(np.float32(rng.uniform(0.05, 0.95) if post == "PROBIT" else rng.normal()))
    leaf = lambda: [(t, weight()) for t in range(targets) if targets == 1 or t == 0 or based or post == "PROBIT"
                    or rng.random() < 0.7]
    trees = [grow(rng, features, int(rng.integers(1, 6)), _modes(rng), leaf) for _ in range(count)]
    version = int(rng.integers(1, 4)) if dtype != np.float64 else 3
    as_tensor = dtype if version == 3 and rng.random() < 0.5 and np.dtype(dtype).kind == "f" else None
    missing = bool(rng.random() < 0.6)
    base = [weight() for _ in range(targets)] if based else None
    attributes = first_generation(trees, "target", missing, as_tensor) | dict(
        n_targets=targets,
        aggregate_function=["AVERAGE", "MIN", "MAX", "SUM"][rng.integers(3 if post == "PROBIT" else 4)],
        post_transform=post)
    if base and as_tensor is not None:
        attributes["base_values_as_tensor"] = numpy_helper.from_array(np.array(base, as_tensor))
    else:
        attributes["base_values"] = base
    x = inputs(rng, int([1, 1, 4][rng.integers(3)]), features, dtype, True)
    return model("TreeEnsembleRegressor", version, attributes, x, {"y": (TensorProto.FLOAT, [len(x), targets])}), x


def classifier(rng):
    dtype = [np.float32, np.float32, np.float64, np.int64, np.int32][rng.integers(5)]
    features, classes, count = int(rng.integers(1, 7)), int([2, 2, 3,
                                                             5][rng.integers(4)]), int([1, 3, 12][rng.integers(3)])
    only = [None, 0, 1][rng.integers(3)] if classes == 2 else None
    positive = rng.random() < 0.5
    weight = lambda: float(np.float32(rng.random() / count if positive else rng.normal()))
    sparse = rng.random() < 0.3  # some leaves name some classes alone
    leaf = lambda: [(only, weight())] if only is not None else [(c, weight()) for c in range(classes) if c == 0
                                                                or not sparse or rng.random() < 0.6]
    trees = [grow(rng, features, int(rng.integers(1, 6)), _modes(rng), leaf) for _ in range(count)]
    # two classes: a base value belongs to the one score of weights of class 0; with weights of both, onnxruntime knows
    # the labels 0 and 1 alone
    bases = classes if classes > 2 else 1 if only == 0 else 0
    base = [weight() for _ in range(bases)] if bases and rng.random() < 0.4 else None
    labels = [0, 1] if classes == 2 and only is None else [int(v) for v in rng.permutation(20)[:classes]]
    attributes = first_generation(trees, "class", bool(rng.random() < 0.6)) | dict(
        classlabels_int64s=labels, post_transform=(["NONE"] * 2 + POST[:4])[rng.integers(6)], base_values=base)
    x = inputs(rng, int([1, 1, 4][rng.integers(3)]), features, dtype, True)
    outputs = {"label": (TensorProto.INT64, [len(x)]), "scores": (TensorProto.FLOAT, [len(x), classes])}
    return model("TreeEnsembleClassifier", int(rng.integers(1, 4)), attributes, x, outputs), x


def ensemble(rng):
    dtype = [np.float32, np.float64][rng.integers(2)]
    features, targets, count = int(rng.integers(1, 7)), int([1, 1, 2,
                                                             3][rng.integers(4)]), int([1, 3, 12][rng.integers(3)])
    modes, post = _modes(rng), int([0, 0, 0, 1, 2, 3, 4][rng.integers(7)])
    targets = 1 if post == 4 else targets
    weight = lambda: float(np.float32(rng.uniform(0.05, 0.95) if post == 4 else rng.normal()))
    trees = [grow(rng, features, int(rng.integers(1, 6)), modes, lambda: [(int(rng.integers(targets)), weight())])
             for _ in range(count)]
    if rng.random() < 0.4:
        def with_members(node):
            if isinstance(node, list):
                return node
            feature, value, mode, tracks, yes, no = node
            if rng.random() < 0.5:
                mode, value = "BRANCH_MEMBER", sorted({float(v) for v in rng.integers(0, 6, 3)})
            return (feature, value, mode, tracks, with_members(yes), with_members(no))
        trees = [with_members(t) for t in trees]
    attributes = second_generation(trees, dtype, bool(rng.random() < 0.6)) | dict(
        n_targets=targets, aggregate_function=int([0, 2, 3, 1][rng.integers(3 if post == 4 else 4)]),
        post_transform=post)
    x = inputs(rng, int([1, 1, 4][rng.integers(3)]), features, dtype, True)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model("TreeEnsemble", 5, attributes, x, {"y": (kind, [len(x), targets])}, 21), x
