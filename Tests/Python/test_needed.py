"""A policy is what is asked of it: chosen outputs, nothing that they do not need, nodes in any order, dimensions by
position, a batch of the export."""
import json

import efferent
import numpy as np
import pytest
from models import model, normal
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from oracles import close, expected, policy_of
from test_package import command

N = helper.make_node
F = T.FLOAT


def raw(nodes, inputs, outputs, weights=(), opset=17, **metadata):
    """A model that the checker would refuse."""
    graph = helper.make_graph(nodes, "test", [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(*o) for o in outputs],
                              [numpy_helper.from_array(v, k) for k, v in dict(weights).items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(made, metadata)
    return made


OBS = [("obs", F, [1, 4])]
RELU = N("Relu", ["obs"], ["z"])
Z = ("z", F, [1, 4])
X = np.array([[1, -2, 3, -4]], np.float32)


def steps(p, want):
    close(p.session().step(X), want)


# what no output needs, of every kind that the loader refuses where it is needed
DEAD = {
    "data-dependent": ([N("NonZero", ["obs"], ["dead"])], {}),
    "custom domain": ([N("Thing", ["obs"], ["dead"], domain="com.example")], {}),
    "unknown operator": ([N("NoSuchOperator", ["obs"], ["dead"])], {}),
    "strings": ([N("StringConcat", ["names", "names"], ["dead"])], {"names": np.array(["a", "b"], object)}),
    "unused strings": ([], {"names": np.array(["a", "b"], object)}),
    "chain": ([N("NonZero", ["obs"], ["a"]), N("Transpose", ["a"], ["b"]), N("Identity", ["b"], ["dead"])], {}),
    "wrong shapes": ([N("MatMul", ["obs", "w"], ["dead"])], {"w": np.zeros((7, 2), np.float32)}),
    "reads nothing that exists": ([N("Relu", ["nowhere"], ["dead"])], {}),
    "cycle": ([N("Add", ["q", "obs"], ["p"]), N("Neg", ["p"], ["q"])], {}),
}


@pytest.mark.parametrize("kind", DEAD)
@pytest.mark.parametrize("first", [True, False])
def test_dead_parts_are_left_out_and_named_in_one_line(kind, first, log):
    nodes, weights = DEAD[kind]
    p = policy_of(raw(nodes + [RELU] if first else [RELU] + nodes, OBS, [Z], weights))
    steps(p, np.maximum(X, 0))
    lines = [t for level, t in log if "no output needs" in t]
    assert len(lines) == 1 and lines[0] in p.notes
    for n in nodes:
        assert n.op_type in lines[0]
    assert ("'names'" in lines[0]) == ("names" in weights)


@pytest.mark.parametrize("kind", [k for k in DEAD if k != "unused strings"])
def test_the_same_parts_are_refused_where_they_are_needed(kind):
    nodes, weights = DEAD[kind]
    last = nodes[-1].output[0]
    with pytest.raises(efferent.Error) as caught:
        policy_of(raw(nodes, OBS, [(last, F, None)], weights))
    words = [n.op_type for n in nodes] + [f"'{name}'" for name in weights]
    if nodes[0].op_type == "NonZero":
        words = ["computed while running"]
    assert any(word in str(caught.value) for word in words)


def test_dead_parts_of_branches_and_functions_are_left_out():
    then = helper.make_graph([N("NonZero", ["obs"], ["d"]), N("Relu", ["obs"], ["t"])], "then", [],
                             [helper.make_tensor_value_info("t", F, None)])
    other = helper.make_graph([N("Neg", ["obs"], ["e"])], "else", [], [helper.make_tensor_value_info("e", F, None)])
    made = raw([N("If", ["yes"], ["z"], then_branch=then, else_branch=other)], OBS, [Z], {"yes": np.array(True)})
    steps(policy_of(made), np.maximum(X, 0))
    function = helper.make_function("f", "Act", ["a"], ["b"],
                                    [N("NonZero", ["a"], ["d"]), N("Neg", ["c"], ["b"]), N("Relu", ["a"], ["c"])],
                                    [helper.make_opsetid("", 17)])
    made = raw([N("Act", ["obs"], ["z"], domain="f")], OBS, [Z])
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("f", 1))
    steps(policy_of(made), -np.maximum(X, 0))


# ---- side outputs with a shape that depends on data ----


def test_a_dynamic_side_output_is_left_out_and_told_or_refused_where_it_is_asked_for(log):
    made = model([RELU, N("NonZero", ["obs"], ["idx"])], OBS, [Z, ("idx", T.INT64, [2, None])])
    p = policy_of(made)
    assert p.outputs.names == ["z"] and p.action.name == "z"
    steps(p, np.maximum(X, 0))
    assert [t for level, t in log if level == 2 and "output 'idx' is left out" in t and "computed while running" in t]
    for options in ({"outputs": ["z", "idx"]}, {"outputs": ["idx"]}, {"action": "idx"}):
        with pytest.raises(efferent.UnsupportedError, match="computed while running"):
            policy_of(made, **options)
    assert policy_of(made, outputs=["z"]).outputs.names == ["z"]


@pytest.mark.parametrize("names", [["action", "z"], ["idx"], ["idx", "value"], ["h_out", "z"]])
def test_a_dynamic_output_that_is_needed_is_refused(names):
    nodes = [N("NonZero", ["obs"], [names[0]])] + [N("Relu", ["obs"], [n]) for n in names[1:]]
    with pytest.raises(efferent.UnsupportedError, match="computed while running"):
        policy_of(raw(nodes, OBS, [(names[0], T.INT64, [2, None])] + [(n, F, [1, 4]) for n in names[1:]]))


def test_what_depends_on_a_dynamic_tensor_is_left_out_with_it():
    nodes = [N("NonZero", ["obs"], ["i"]), N("Cast", ["i"], ["f"], to=F), N("Softmax", ["f"], ["p"], axis=1),
             N("ReduceSum", ["p"], ["sum"], keepdims=1), RELU]
    p = policy_of(raw(nodes, OBS, [Z, ("sum", F, [1, 1])]))
    assert p.outputs.names == ["z"]
    steps(p, np.maximum(X, 0))


# ---- chosen outputs ----


def three(**metadata):
    return model([N("Relu", ["obs"], ["mu"]), N("Neg", ["obs"], ["value"]), N("Tanh", ["priv"], ["latent"])],
                 [*OBS, ("priv", F, [1, 9])],
                 [("mu", F, [1, 4]), ("value", F, [1, 4]), ("latent", F, [1, 9])], **metadata)


@pytest.mark.parametrize("chosen", [["mu"], ["value", "mu"], ["latent", "mu"], ["mu", "value", "latent"]])
def test_outputs_are_chosen_in_order(chosen):
    for p in (policy_of(three(), outputs=chosen), policy_of(three(**{"efferent.outputs": json.dumps(chosen)}))):
        assert p.outputs.names == chosen and p.action.name == "mu"
        found = p.session().run({t.name: normal(1, *t.shape) for t in p.inputs if t.role == "observation"})
        assert list(found) == chosen
        if "latent" not in chosen:
            assert p.inputs["priv"].role == "aux" and p.inputs["priv"].reason == "nothing reads it"
            steps(p, np.maximum(X, 0))
    # the caller comes first
    assert policy_of(three(**{"efferent.outputs": '["value"]'}), outputs=["mu"]).outputs.names == ["mu"]


def test_recurrent_state_is_carried_whatever_outputs_are_chosen():
    nodes = [N("Add", ["obs", "h_in"], ["h_out"]), N("Neg", ["h_out"], ["action"]), N("Tanh", ["h_out"], ["value"])]
    made = model(nodes, [*OBS, ("h_in", F, [1, 4])], [(n, F, [1, 4]) for n in ("value", "action", "h_out")])
    p = policy_of(made, outputs=["action"])
    assert p.outputs.names == ["action", "h_out"] and p.state == {"h_in": "h_out"}
    s = p.session()
    assert [float(s.step(np.ones(4))[0]) for _ in range(3)] == [-1, -2, -3]
    p = policy_of(made, outputs=["action"], state={})
    assert p.outputs.names == ["action"] and [t.role for t in p.inputs] == ["observation"] * 2


def test_what_cannot_run_names_the_outputs_that_do_without_it():
    made = raw([N("Relu", ["obs"], ["action"]), N("Thing", ["obs"], ["t"], domain="com.example"),
                N("Neg", ["t"], ["value"])], OBS,
               [("action", F, [1, 4]), ("value", F, [1, 4])])
    with pytest.raises(efferent.UnsupportedError,
                       match="com.example.*'action': choose among them with outputs") as caught:
        policy_of(made)
    assert "'value'" not in str(caught.value)
    steps(policy_of(made, outputs=["action"]), np.maximum(X, 0))


def test_a_sequence_that_nobody_needs_is_left_out(log):
    made = raw([RELU, N("SequenceConstruct", ["obs", "z"], ["list"])], OBS, [Z])
    made.graph.output.append(
        helper.make_value_info("list", helper.make_sequence_type_proto(helper.make_tensor_type_proto(F, [1, 4])))
    )
    p = policy_of(made)
    assert p.outputs.names == ["z"] and [t for level, t in log if level == 2 and "'list' is left out" in t]
    with pytest.raises(efferent.UnsupportedError, match="sequence"):
        policy_of(made, outputs=["list"])


def test_outputs_that_do_not_exist_are_refused_with_those_that_do():
    for options in ({"outputs": ["nothing"]}, {"outputs": ["mu", "obs"]}):
        with pytest.raises(efferent.ArgumentError,
                           match="outputs names '(nothing|obs)', but the model has the outputs 'mu', 'value', "
                                 "'latent'"):
            policy_of(three(), **options)
    with pytest.raises(efferent.ArgumentError, match="twice"):
        policy_of(three(), outputs=["mu", "mu"])
    with pytest.raises(efferent.ArgumentError, match="expected a list of names"):
        policy_of(three(), outputs=[])
    with pytest.raises(efferent.Error, match="efferent.outputs"):
        policy_of(three(**{"efferent.outputs": "mu"}))


def test_the_command_line_chooses_outputs(tmp_path):
    file = tmp_path / "three.onnx"
    file.write_bytes(three().SerializeToString())
    facts = json.loads(command("inspect", file, "--json", "--output", "value", "--output", "mu").stdout)
    assert [t["name"] for t in facts["outputs"]] == ["value", "mu"] and facts["step_refusal"] == ""
    assert command("check", file, "--output", "mu", "--samples", "8").returncode == 0


def test_constants_of_the_metadata_bind_inputs():
    made = model([N("ReduceSum", ["obs", "axes"], ["action"], keepdims=1)],
                 [("obs", F, [1, 4, 3]), ("axes", T.INT64, [1])], [("action", F, [1, "a", "b"])],
                 **{"efferent.constants": '{"axes": [2]}'})
    x = normal(1, 1, 4, 3)
    close(policy_of(made).session().step(x), x.sum(axis=2, keepdims=True))
    close(policy_of(made, constants={"axes": np.array([1])}).session().step(x), x.sum(axis=1, keepdims=True))
    for text in ('{"axes": [[1], 2]}', '{"axes": "one"}', '[1]', '{"nothing": 1}'):
        made.metadata_props[0].value = text
        with pytest.raises(efferent.Error, match="efferent.constants|constant 'nothing' names no input"):
            policy_of(made)


# ---- unused inputs ----


@pytest.mark.parametrize("unused",
                         [("priv", F, [1, 9]), ("priv", F, ["batch", "n"]), ("priv", F, [1, None]), ("priv", F, None),
                          ("priv", T.STRING, [1]),
                                    ("priv", T.COMPLEX64, [1]), ("priv", T.INT64, [1])])
def test_an_unused_input_does_not_stop_a_step(unused):
    for inputs in ([unused, *OBS], [*OBS, unused]):
        p = policy_of(raw([RELU], inputs, [Z]))
        steps(p, np.maximum(X, 0))
        assert [t.name for t in p.inputs if t.role == "observation"] == ["obs"] and any("'priv'" in n for n in p.notes)
        close(p.session().run({"obs": X})["z"], np.maximum(X, 0))


def test_an_input_that_only_dead_or_folded_parts_read_is_unused():
    nodes = [RELU, N("Mul", ["priv", "zero"], ["dead"]), N("Shape", ["priv"], ["s"]), N("Cast", ["s"], ["f"], to=F),
             N("ReduceSum", ["f"], ["k"], keepdims=0),
             N("Mul", ["z0", "k"], ["z"])]
    nodes[0] = N("Relu", ["obs"], ["z0"])
    p = policy_of(raw(nodes, [("priv", F, [1, 2]), *OBS], [Z], {"zero": np.float32(0)}))
    assert [t.role for t in p.inputs] == ["aux", "observation"]
    steps(p, np.maximum(X, 0) * 3)


# ---- order ----


def layers(count=6):
    nodes, weights, x = [], {}, "obs"
    for i in range(count):
        weights[f"w{i}"] = normal(i, 4, 4)
        y = "action" if i == count - 1 else f"y{i}"
        nodes += [N("MatMul", [x, f"w{i}"], [f"m{i}"], name=f"dense.{i}"), N("Tanh", [f"m{i}"], [y], name=f"act.{i}")]
        x = y
    return nodes, weights


@pytest.mark.parametrize("seed", range(8))
def test_nodes_in_any_order_are_sorted(seed):
    nodes, weights = layers()
    want = expected(raw(nodes, OBS, [("action", F, [1, 4])], weights), {"obs": X})["action"]
    order = np.random.default_rng(seed).permutation(len(nodes)) if seed else range(len(nodes) - 1, -1, -1)
    steps(policy_of(raw([nodes[i] for i in order], OBS, [("action", F, [1, 4])], weights)), want)


def test_nodes_that_are_sorted_stay_as_they_are():
    nodes, weights = layers()
    a, b = (policy_of(raw(n, OBS, [("action", F, [1, 4])], weights)) for n in (nodes, nodes[::-1]))
    assert a.ops == b.ops and not a.notes


def test_bodies_are_sorted_and_see_the_names_around_them():
    then = helper.make_graph([N("Add", ["t0", "late"], ["t"]), N("Relu", ["obs"], ["t0"])], "then", [],
                             [helper.make_tensor_value_info("t", F, None)])
    other = helper.make_graph([N("Neg", ["obs"], ["e"])], "else", [], [helper.make_tensor_value_info("e", F, None)])
    branch = N("If", ["yes"], ["z"], then_branch=then, else_branch=other)
    made = raw([branch, N("Mul", ["obs", "two"], ["late"])], OBS, [Z], {"yes": np.array(True), "two": np.float32(2)})
    steps(policy_of(made), np.maximum(X, 0) + 2 * X)


def test_a_cycle_is_refused_by_the_names_of_its_nodes():
    nodes = [N("Add", ["obs", "c"], ["a"], name="first"), N("Neg", ["a"], ["b"], name="second"),
             N("Tanh", ["b"], ["c"], name="third"), N("Relu", ["c"], ["z"], name="last")]
    with pytest.raises(efferent.FormatError, match="cycle") as caught:
        policy_of(raw(nodes, OBS, [Z]))
    for name in ("'first' (Add)", "'second' (Neg)", "'third' (Tanh)"):
        assert name in str(caught.value)
    assert "'last'" not in str(caught.value)
    with pytest.raises(efferent.FormatError, match="cycle.*'self' .Add."):
        policy_of(raw([N("Add", ["obs", "z"], ["z"], name="self")], OBS, [Z]))
    with pytest.raises(efferent.FormatError, match="'nowhere' is no input"):
        policy_of(raw([N("Add", ["obs", "nowhere"], ["z"])], OBS, [Z]))


def test_half_precision_with_casts_at_the_end_as_converters_write_it():
    nodes = [N("MatMul", ["c", "W"], ["h"]), N("Cast", ["h"], ["action"], to=F),
             N("Cast", ["obs"], ["c"], to=T.FLOAT16)]
    made = raw(nodes, OBS, [("action", F, [1, 3])], {"W": normal(1, 4, 3).astype(np.float16)})
    found = policy_of(made).session().step(X)
    assert np.abs(found - X @ normal(1, 4, 3)).max() < 2e-2


# ---- dimensions ----


@pytest.mark.parametrize("shape", [[None, None], [1, None], ["batch", "width"], ["batch", None], None])
def test_dimensions_are_bound_by_position(shape):
    made = raw([RELU], [("obs", F, shape)], [("z", F, None)])
    with pytest.raises(efferent.Error, match=r'"obs\[(0|1)\]"'):
        policy_of(made)
    p = policy_of(made, dims={"obs[0]": 1, "obs[1]": 4})
    assert p.inputs[0].shape == (1, 4)
    steps(p, np.maximum(X, 0))
    with pytest.raises(efferent.ArgumentError, match="no input has a dimension of that name"):
        policy_of(made, dims={"obs[0]": 1, "obs[1]": 4, "seq": 3})


def baked(rows=64):
    return model([N("Gemm", ["obs", "w"], ["action"], transB=1)], [("obs", F, [rows, 4])], [("action", F, [rows, 2])],
                 {"w": normal(1, 2, 4)})


def test_a_batch_of_the_export_becomes_one_row_where_that_is_asked_for():
    p = policy_of(baked())
    assert any('"obs[0]": 1' in n and "64" in n for n in p.notes)
    with pytest.raises(efferent.ShapeError, match=r"dims=\{'obs\[0\]': 1\}"):
        p.session().step(X[0])
    one = policy_of(baked(), dims={"obs[0]": 1})
    assert one.inputs[0].shape == (1, 4) and one.outputs[0].shape == (1, 2) and not one.notes
    close(one.session().step(X), X @ normal(1, 2, 4).T)
    x = normal(2, 5, 4)
    close(one.session(rows=5).step(x), x @ normal(1, 2, 4).T)


def test_thousands_of_unsorted_nodes_load_in_linear_time():
    import time

    nodes = [N("Neg", [f"x{i}" if i else "obs"], [f"x{i + 1}"])
             for i in range(4000)] + [N("Identity", ["x4000"], ["z"])]

    def seconds(order):
        data = raw(order, OBS, [Z]).SerializeToString()
        began = time.perf_counter()
        steps(efferent.Policy(data), X)
        return time.perf_counter() - began

    forward = min(seconds(nodes) for _ in range(3))
    assert min(seconds(nodes[::-1]) for _ in range(3)) < 4 * forward + 0.5


def test_an_input_that_only_a_condition_reads_is_needed():
    then = helper.make_graph([N("Relu", ["obs"], ["t"])], "then", [], [helper.make_tensor_value_info("t", F, [1, 4])])
    other = helper.make_graph([N("Neg", ["obs"], ["e"])], "else", [], [helper.make_tensor_value_info("e", F, [1, 4])])
    p = policy_of(raw([N("If", ["mode"], ["z"], then_branch=then, else_branch=other)], [*OBS, ("mode", T.BOOL, [])],
                      [Z]))
    assert [t.role for t in p.inputs] == ["observation"] * 2
    close(p.session().run({"obs": X, "mode": np.array(False)})["z"], -X)
