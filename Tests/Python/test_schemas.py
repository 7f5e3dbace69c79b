"""What an operator of an opset takes: everything else is refused by name. The schemas of the onnx package are the
oracle."""

import efferent
import model_forms
import numpy as np
import onnx
import pytest
import schemas
from onnx import TensorProto, helper

ort = pytest.importorskip("onnxruntime")

NEWEST = onnx.defs.onnx_opset_version()
NEWEST_ML = max(s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.domain == "ai.onnx.ml")
OPERATORS = {}
for s in onnx.defs.get_all_schemas_with_history():
    if s.domain in ("", "ai.onnx.ml"):
        OPERATORS.setdefault((s.domain, s.name), []).append(s)


def schema(domain, op, version):
    """The definition in force, or None."""
    return max(
        (s for s in OPERATORS[domain, op] if s.since_version <= version), key=lambda s: s.since_version, default=None
    )


def one_node(op, opset, inputs, outputs=1, domain="", shape=(2, 2), imports=(), **attributes):
    """A model of one node over f32 inputs of one shape."""
    names = [f"x{i}" for i in range(inputs)] if isinstance(inputs, int) else inputs
    outs = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, outs, name="tested", domain=domain, **attributes)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape) for x in names],
                              [helper.make_empty_tensor_value_info(y) for y in outs])
    opsets = (
        [helper.make_opsetid("", opset if not domain else NEWEST)]
        + ([helper.make_opsetid(domain, opset)] if domain else [])
        + list(imports)
    )
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def refusal(model):
    """The message with which a model is refused."""
    with pytest.raises(efferent.Error) as e:
        efferent.Policy(model.SerializeToString())
    return str(e.value)


def run(model, feeds, **options):
    return efferent.Policy(model.SerializeToString(), state={}, **options).session().run(feeds)


def test_table_is_what_the_schemas_say():
    assert (
        schemas.FILE.read_text() == schemas.text()
    ), "run Tests/Python/schemas.py with the onnx and onnxruntime of Tests/requirements.txt"


@pytest.mark.parametrize("domain, op", OPERATORS, ids=lambda v: v or "ai.onnx")
def test_unknown_attribute_is_refused_by_name(domain, op):
    """At every opset, of every operator. What is no operator at an opset is refused as such."""
    for version in range(1, (NEWEST_ML if domain else NEWEST) + 1):
        s = schema(domain, op, version)
        message = refusal(one_node(op, version, s.min_input if s else 1, domain=domain, efferent_unknown=1))
        assert "node 'tested'" in message and op in message
        if s is None and op not in schemas.EARLIER:
            assert "came with" in message, message
        elif s and s.deprecated and op != "GroupNormalization":
            assert "ended with" in message, message
        elif version < 7 and not domain and "is not implemented" in message:
            assert f"'{op}' of opset {version}" in message
        else:
            assert (
                "attribute 'efferent_unknown' is not defined" in message and f"{op} of opset {version}" in message
            ), message
            assert all(
                f"'{name}'" in message for name in (s.attributes if s else ()) if name != "consumed_inputs"
            ), message


@pytest.mark.parametrize("domain, op", OPERATORS, ids=lambda v: v or "ai.onnx")
def test_more_inputs_or_outputs_than_there_are_are_refused(domain, op):
    newest = NEWEST_ML if domain else NEWEST
    s = schema(domain, op, newest)
    if s.deprecated:
        return
    if s.max_input < 100:
        message = refusal(one_node(op, newest, s.max_input + 1, domain=domain))
        assert f"has {s.max_input + 1} inputs; {op} of opset {newest} has at most {s.max_input}" in message
    if s.max_output < 100:
        message = refusal(one_node(op, newest, s.min_input, s.max_output + 1, domain=domain))
        assert f"has {s.max_output + 1} outputs; {op} of opset {newest} has at most {s.max_output}" in message


@pytest.mark.parametrize(
    "domain, op",
    [k for k, v in OPERATORS.items() if any(a.required for a in v[-1].attributes.values())],
    ids=lambda v: v or "ai.onnx",
)
def test_required_attribute_that_is_missing_is_named(domain, op):
    version = NEWEST_ML if domain else NEWEST
    s = schema(domain, op, version)
    if s.deprecated or not any(a.required for a in s.attributes.values()):
        return
    message = refusal(one_node(op, version, s.min_input, domain=domain))
    assert any(f"attribute '{n}' is missing; {op}" in message for n, a in s.attributes.items() if a.required), message


def test_nothing_else_is_refused():
    """A node with everything that its schema allows and no more gets past the table: Conv, Gemm, LSTM say what they
    lack, not what they have."""
    assert run(one_node("LeakyRelu", 17, 1, alpha=0.5), {"x0": -np.ones((2, 2), np.float32)})["y0"][0, 0] == -0.5
    x = np.ones((2, 2), np.float32)
    assert (
        run(one_node("Gemm", 13, 3, alpha=1.0, beta=2.0, transA=0, transB=1), {"x0": x, "x1": x, "x2": x})["y0"] == 4
    ).all()


@pytest.mark.parametrize("op, opset, attributes, words", [
    ("LeakyRelu", 17, {"slope": 0.3}, "did you mean 'alpha'?; it has 'alpha'"),
    ("Softmax", 17, {"axes": 1}, "did you mean 'axis'?"),
    ("Conv", 17, {"padding": [1, 1]}, "attribute 'padding' is not defined for Conv of opset 17"),
    ("Conv", 17, {"dilation": [1, 1]}, "did you mean 'dilations'?"),
    ("ReduceSum", 17, {"axes": [1]}, "it ended with opset 12"),
    ("Attention", 24, {"left_window_size": 1}, "it came with opset 25"),
    ("Softmax", 12, {"dim": 1}, "it has 'axis'"),
    ("Relu", 17, {"alpha": 1.0}, "it has no attributes"),
])
def test_refusal_says_what_there_is(op, opset, attributes, words):
    s = schema("", op, opset)
    assert words in refusal(one_node(op, opset, s.min_input, shape=(1, 1, 2, 2), **attributes))


def test_names_of_tools_are_passed_over():
    """ONNX leaves names that begin with __ to tools."""
    assert run(one_node("Relu", 17, 1, __converted=1), {"x0": np.ones((2, 2), np.float32)})["y0"].sum() == 4


def test_attribute_given_twice_is_refused():
    model = one_node("LeakyRelu", 17, 1, alpha=0.5)
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.1))
    assert "attribute 'alpha' is given twice" in refusal(model)


def test_value_that_is_not_implemented_is_named():
    assert "attribute 'stash_type' is 10; only 1" in refusal(one_node("LayerNormalization", 17, 2, stash_type=10))
    assert "attribute 'spatial' is 0; only 1" in refusal(one_node("BatchNormalization", 7, 5, spatial=0))
    assert "attribute 'approximate' is 'sigmoid', expected one of 'none', 'tanh'" in refusal(
        one_node("Gelu", 20, 1, approximate="sigmoid")
    )
    assert "attribute 'p' is 3" in refusal(one_node("LpNormalization", 22, 1, p=3))


# ---- opsets ----

def test_opset_that_is_not_known_is_refused():
    for version in (NEWEST + 1, 30, 2**31 - 1):
        message = refusal(one_node("Add", version, 2))
        assert (
            f"ONNX opset {version}" in message and f"the newest known one is {NEWEST}" in message and "'Add'" in message
        )
    assert "version 99 of ai.onnx.ml" in refusal(one_node("Scaler", 99, 1, domain="ai.onnx.ml"))


def test_opset_that_nothing_uses_does_not_matter():
    """Nothing of the main opset is used: the nodes belong to a function of the model, which imports an opset that is
    known."""
    f = helper.make_function(
        "local", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model = one_node("Double", 1, 1, domain="local")
    model.functions.append(f)
    for o in model.opset_import:
        if o.domain == "":
            o.version = 99
    assert (run(model, {"x0": np.ones((2, 2), np.float32)})["y0"] == 2).all()


def test_no_opset_of_the_default_domain_is_refused():
    model = one_node("Relu", 17, 1)
    model.opset_import[0].domain = "elsewhere"
    assert "declares no opset for the domain of operator 'Relu'" in refusal(model)


@pytest.mark.parametrize("op, opset, words", [
    ("Gelu", 17, "operator 'Gelu' came with opset 20, the model declares opset 17"),
    ("Upsample", 13, "operator 'Upsample' ended with opset 9, the model declares opset 13"),
    ("LSTM", 6, "operator 'LSTM' of opset 6 is not implemented; expected its definition of opset 7 or later"),
])
def test_operator_of_another_opset_is_refused(op, opset, words):
    assert words in refusal(one_node(op, opset, 1))


LEGACY = [(op, opset) for op in ("Add", "Sub", "Mul", "Div") for opset in (1, 6)] + [("Pow", 6)]


@pytest.mark.parametrize("op, opset", LEGACY)
@pytest.mark.parametrize(
    "form, attributes",
    [
        ((2, 3, 4), {}),
        ((4,), {"broadcast": 1}),
        ((3, 4), {"broadcast": 1}),
        ((3,), {"broadcast": 1, "axis": 1}),
        ((2,), {"broadcast": 1, "axis": 0}),
        ((2, 3), {"broadcast": 1, "axis": 0}),
        ((1,), {"broadcast": 1}),
    ],
)
def test_broadcast_before_opset_7(op, opset, form, attributes):
    """The attributes broadcast and axis mean what Add 6 says: B lies along the axes from `axis` on, or along the last
    ones."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 2, (2, 3, 4)).astype(np.float32), rng.uniform(0.5, 2, form).astype(np.float32)
    axis = attributes.get("axis", 3 - b.ndim)
    wide = b if b.size == 1 else b.reshape(b.shape + (1,) * (3 - axis - b.ndim))
    expected = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}[op](a, wide)
    model = one_node(op, opset, 2, shape=(2, 3, 4), **attributes)
    del model.graph.input[1].type.tensor_type.shape.dim[:]
    for d in form:
        model.graph.input[1].type.tensor_type.shape.dim.add().dim_value = d
    np.testing.assert_allclose(run(model, {"x0": a, "x1": b})["y0"], expected, rtol=1e-6)


def test_broadcast_before_opset_7_is_never_guessed():
    model = one_node("Add", 6, 2, shape=(3, 3))
    del model.graph.input[1].type.tensor_type.shape.dim[0]
    assert "the attribute 'broadcast' is 1" in refusal(model)


# ---- functions of the model ----

def reference(name, outer):
    """A float attribute that stands for the attribute `outer` of the function."""
    return onnx.AttributeProto(name=name, ref_attr_name=outer, type=onnx.AttributeProto.FLOAT)


def test_attribute_that_a_function_does_not_name_is_refused():
    f = helper.make_function(
        "local",
        "Scaled",
        ["a"],
        ["b"],
        [helper.make_node("LeakyRelu", ["a"], ["b"])],
        [helper.make_opsetid("", 17)],
        ["alpha"],
    )
    f.node[0].attribute.append(reference("alpha", "alpha"))
    model = one_node("Scaled", 1, 1, domain="local", slope=0.5)
    model.functions.append(f)
    assert "attribute 'slope' is not defined for the model's function 'Scaled'; it has 'alpha'" in refusal(model)
    model.graph.node[0].attribute[0].name = "alpha"
    assert run(model, {"x0": -np.ones((2, 2), np.float32)})["y0"][0, 0] == -0.5


def test_attribute_that_stands_for_nothing_is_refused():
    model = one_node("LeakyRelu", 17, 1)
    model.graph.node[0].attribute.append(reference("alpha", "outer"))
    assert "stands for the attribute 'outer' of a function, but the node is in none" in refusal(model)


@pytest.mark.parametrize("form", model_forms.FORMS, ids=lambda f: f.__name__)
def test_unknown_attribute_in_any_place_is_refused(form):
    """In branches, bodies and functions as in the main graph."""
    model = form()

    def nodes(graph):
        for n in graph.node:
            yield n
            for a in n.attribute:
                if a.type == onnx.AttributeProto.GRAPH:
                    yield from nodes(a.g)

    built = list(nodes(model.graph)) + [n for f in model.functions for n in f.node]
    for n in built:
        n.attribute.append(helper.make_attribute("efferent_unknown", 1))
    try:
        efferent.Policy(model.SerializeToString(), state={})
    except efferent.Error as e:
        assert "efferent_unknown" in str(e)
    else:
        raise AssertionError("loads")
