"""Tree ensembles of ai.onnx.ml give what onnxruntime gives, and malformed ones are refused at load."""
import efferent
import forests
import numpy as np
import onnx
import pytest
import suites

ort = pytest.importorskip("onnxruntime")
from efferent.onnx_backend import prepare  # noqa: E402

OPTIONS = ort.SessionOptions()
OPTIONS.log_severity_level, OPTIONS.intra_op_num_threads = 4, 1


def attribute(model, name):
    return next((a for a in model.graph.node[0].attribute if a.name == name), None)


def expected(model, x):
    """onnxruntime's outputs; None where it has no such kernel. It takes 1 of post_transform of TreeEnsemble for
    LOGISTIC and 2 for SOFTMAX, the standard says the opposite, so these two are exchanged for it."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    post = attribute(model, "post_transform")
    if model.graph.node[0].op_type == "TreeEnsemble" and post.i in (1, 2):
        post.i = 3 - post.i
    try:
        session = ort.InferenceSession(model.SerializeToString(), OPTIONS, providers=["CPUExecutionProvider"])
    except Exception as e:
        assert "NOT_IMPLEMENTED" in str(e), e
        return None
    return session.run(None, {"x": x})


@pytest.mark.parametrize("kind", [forests.regressor, forests.classifier, forests.ensemble], ids=lambda f: f.__name__)
def test_agrees_with_onnxruntime(kind):
    ran = 0
    for seed in range(60):
        model, x = kind(np.random.default_rng(seed))
        if (outputs := expected(model, x)) is None:
            continue
        ran += 1
        post = attribute(model, "post_transform")
        post = post.s.decode() if post.s else ["NONE", *forests.POST[1:]][post.i]
        # the same additions in the same order: equal. PROBIT is an approximation that loses digits around 0.5
        bound = {"NONE": 0, "PROBIT": 5e-3}.get(post, 1e-5)
        where = f"{kind.__name__}, seed {seed}, {x.dtype}{list(x.shape)}: "
        for name, a, b in zip([o.name for o in model.graph.output], prepare(model).run({"x": x}), outputs, strict=True):
            suites.compare(name, a, b, bound, bound, where)
    assert ran >= 40


def test_post_transforms_of_the_second_generation_are_the_standard_s():
    trees = [(0, 0.5, "BRANCH_LEQ", 0, [(0, 1.0)], [(1, -2.0)]), (0, -0.5, "BRANCH_LT", 0, [(2, 0.5)], [(1, 3.0)])]
    x = np.array([[0.0], [1.0]], np.float32)
    sums = np.array([[1, 3, 0], [0, 1, 0]])
    for post, right in enumerate([sums, np.exp(sums) / np.exp(sums).sum(1, keepdims=True), 1 / (1 + np.exp(-sums))]):
        attributes = forests.second_generation(trees,
                                               np.float32) | dict(n_targets=3, aggregate_function=1,
                                                                  post_transform=post)
        model = forests.model("TreeEnsemble", 5, attributes, x, {"y": (1, [2, 3])}, 21)
        suites.compare("y", prepare(model).run({"x": x})[0], right.astype(np.float32), 1e-6, 1e-6, f"post {post}: ")


def test_rows_are_independent():
    model, x = forests.regressor(np.random.default_rng(1))
    assert x.dtype == np.float32
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    features = x.shape[1]
    many = np.random.default_rng(1).normal(0, 1, (5, features)).astype(np.float32)
    session = efferent.Policy(model.SerializeToString()).session(rows=5)
    together = session.step(many)
    alone = np.concatenate([np.atleast_2d(session.step(many[i:i + 1])) for i in range(5)])
    np.testing.assert_array_equal(together, alone)


def tree(**changes):
    """A tree of five nodes, with some of its lists changed."""
    nodes = (0, 0.5, "BRANCH_LEQ", 0, [(0, 1.0)], (1, 0.5, "BRANCH_LEQ", 0, [(0, 2.0)], [(0, 3.0)]))
    attributes = forests.first_generation([nodes], "target") | dict(n_targets=1) | changes
    x = np.zeros((1, 2), np.float32)
    return forests.model("TreeEnsembleRegressor", 3, attributes, x, {"y": (1, [1, 1])})


MALFORMED = {
    "a cycle": (dict(nodes_falsenodeids=[2, 0, 0, 0, 0]), "lead back to node 0; expected a tree"),
    "a node that branches to itself": (dict(nodes_truenodeids=[0, 0, 3, 0, 0]), "lead back to node 0"),
    "a missing child": (dict(nodes_truenodeids=[9, 0, 3, 0, 0]), "branches to node 9, which is not there"),
    "a negative child": (dict(nodes_truenodeids=[-1, 0, 3, 0, 0]), "branches to node -1"),
    "a feature that is not there": (dict(nodes_featureids=[2, 0, 1, 0, 0]), "asks for feature 2, but the input has 2"),
    "a negative feature": (dict(nodes_featureids=[-1, 0, 1, 0, 0]), "asks for feature -1"),
    "a huge feature": (dict(nodes_featureids=[2**40, 0, 1, 0, 0]), "asks for feature"),
    "a node twice": (dict(nodes_nodeids=[0, 1, 2, 3, 3]), "node 3 of tree 0 is there twice"),
    "a weight of no node": (dict(target_nodeids=[1, 3, 7]), "a weight belongs to node 7"),
    "a target out of range": (dict(target_ids=[0, 0, 1]), "a weight belongs to target 1 of 1"),
    "a short list": (dict(nodes_featureids=[0, 0, 1, 0]), "'nodes_featureids' has 4 entries, expected 5"),
    "an unknown mode": (dict(nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_MAYBE", "LEAF", "LEAF"]),
                        "mode 'BRANCH_MAYBE'"),
    "an unreachable node": (dict(nodes_falsenodeids=[1, 0, 4, 0, 0]), "no tree reaches node 1"),
    "scattered trees": (dict(nodes_treeids=[0, 0, 1, 0, 0]), "tree"),
    "an unknown aggregate": (dict(aggregate_function="MEDIAN"), "aggregate_function 'MEDIAN' is not known"),
    "an unknown attribute": (dict(nodes_colors=[1, 2, 3, 4, 5]), "attribute 'nodes_colors' is not defined"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_trees_are_refused_by_name(what):
    changes, message = MALFORMED[what]
    with pytest.raises(efferent.Error, match=message) as e:
        efferent.Policy(tree(**changes).SerializeToString())
    assert "forest" in str(e.value)


def test_the_tree_that_they_are_made_of_is_sound():
    made = tree()
    x = np.array([[0.7, 0.2]], np.float32)
    np.testing.assert_array_equal(prepare(made).run({"x": x})[0], expected(made, x)[0])


def named_classifier():
    """Labels are strings; scores are numbers, and a map of both."""
    tree = (0, 0.5, "BRANCH_LEQ", 0, [(0, 0.3), (1, 0.2), (2, 0.5)], [(0, 0.6), (1, 0.1), (2, 0.3)])
    attributes = forests.first_generation([tree], "class") | dict(classlabels_strings=["go", "stop", "turn"])
    made = forests.model("TreeEnsembleClassifier", 3, attributes, np.zeros((1, 2), np.float32),
                         {"label": (8, [1]), "scores": (1, [1, 3])})
    made.graph.node.append(onnx.helper.make_node("ZipMap", ["scores"], ["map"], domain="ai.onnx.ml",
                                                 classlabels_strings=["go", "stop", "turn"]))
    key = onnx.helper.make_map_type_proto(8, onnx.helper.make_tensor_type_proto(1, None))
    made.graph.output.append(onnx.helper.make_value_info("map", onnx.helper.make_sequence_type_proto(key)))
    return made


def test_scores_run_where_labels_are_strings_and_maps():
    made = named_classifier()
    x = np.array([[0.7, 0]], np.float32)
    policy = efferent.Policy(made.SerializeToString())
    assert [o.name for o in policy.outputs] == ["scores"]
    np.testing.assert_array_equal(policy.session().run({"x": x})["scores"], expected(made, x)[1])


@pytest.mark.parametrize(("name", "message"), [("label", "labels are strings"), ("map", "gives a sequence of maps")])
def test_strings_and_maps_that_are_asked_for_are_refused_by_name(name, message):
    with pytest.raises(efferent.UnsupportedError, match=message):
        efferent.Policy(named_classifier().SerializeToString(), outputs=[name])
