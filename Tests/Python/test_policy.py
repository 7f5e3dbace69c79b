"""Policies from Python: what they say of themselves, options, types of weights; errors."""
import ctypes
import os

import efferent
import models
import numpy as np
import onnx
import pytest
from onnx import helper
from oracles import close, expected, policy_of


def test_a_policy_describes_itself(folder):
    p = efferent.Policy(folder / "mlp.onnx")
    assert [(t.name, t.shape, t.dtype, t.role) for t in p.inputs] == [("obs", (1, 7), np.float32, "observation")]
    assert [(t.name, t.shape, t.dtype, t.role) for t in p.outputs] == [("action", (1, 3), np.float32, "action")]
    assert p.metadata == {"joint_names": "hip,knee,ankle", "note": "größe ∞"}
    assert (
        p.info.opset == 17
        and p.info.parameter_count == 7 * 33 + 33 + 33 * 16 + 16 + 16 * 3 + 3
        and p.info.state_count == 0
    )
    assert (
        p.info.node_count == 5
        and p.info.op_count == len(p.ops) > 0
        and p.info.isa
        and p.info.producer == "efferent tests"
    )
    assert p.inputs["obs"] is p.inputs[0] and "mlp.onnx" in repr(p)


def test_roles_tell_state_and_other_outputs_apart(folder):
    p = efferent.Policy(folder / "lstm.onnx")
    assert [t.role for t in p.inputs] == ["observation", "state",
                                          "state"] and [t.role for t in p.outputs] == ["action", "state", "state"]
    assert p.state == {"h_in": "h_out", "c_in": "c_out"} and p.info.state_count == 2
    assert [t.role for t in efferent.Policy(folder / "several.onnx").outputs].count("action") == 1
    assert [t.role for t in efferent.Policy(folder / "constant_output.onnx").outputs] == ["action", "aux"]


def test_loads_from_bytes_a_path_and_with_external_data(folder):
    x = np.linspace(-1, 1, 7, dtype=np.float32)
    want = efferent.Policy(folder / "mlp.onnx").session().step(x)
    for source in (str(folder / "mlp.onnx"), (folder / "mlp.onnx").read_bytes(),
                   bytearray((folder / "mlp.onnx").read_bytes()), folder / "external.onnx"):
        assert np.array_equal(efferent.Policy(source).session().step(x), want)
    data = (folder / "external.onnx").read_bytes()
    assert np.array_equal(efferent.Policy(data, folder=folder).session().step(x), want)
    with pytest.raises(efferent.Error):
        efferent.Policy(data)  # a buffer has no folder of its own


def test_symbolic_dimensions_are_bound(folder):
    made = models.mlp(batch="batch")
    assert policy_of(made).inputs[0].shape == (1, 7)
    p = policy_of(made, dims={"batch": 4})
    assert p.inputs[0].shape == (4, 7) and p.outputs[0].shape == (4, 3)
    x = models.normal(1, 4, 7, scale=1)
    close(p.session().step(x), expected(made, {"obs": x})["action"])
    close(p.session(rows=2).step(np.stack([x, x]))[1], expected(made, {"obs": x})["action"])


def test_an_input_is_bound_to_a_constant():
    made = models.sum_over()
    x = models.normal(1, 1, 4, 3)
    for axis in (1, 2):
        p = policy_of(made, constants={"axes": np.array([axis], np.int64)})
        assert [t.name for t in p.inputs] == ["obs"]
        close(p.session().step(x), x.sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("weights,bound", [("f32", 2e-5), ("f16", 5e-3), ("bf16", 5e-2), ("i8", 1e-1)])
def test_weights_are_stored_as_asked(weights, bound):
    made = models.mlp(sizes=(48, 256, 128, 12))
    p = policy_of(made, weights=weights)
    x = models.normal(1, 1, 48, scale=1)
    assert np.abs(p.session().step(x) - expected(made, {"obs": x})["action"]).max() <= bound
    if weights != "f32":
        assert p.info.weight_bytes < 0.75 * policy_of(made).info.weight_bytes


def unrolled(steps, names, activation="Tanh"):
    """A layer of 64 that runs `steps` times, by the weights and biases of `names`, [(weight, bias), ...] in turn."""
    random, at, nodes = np.random.default_rng(1), "obs", []
    for i in range(steps):
        w, b = names[i % len(names)]
        nodes += [helper.make_node("Gemm", [at, w, b], [f"y{i}"]),
                  helper.make_node(activation if i == 1 else "Tanh", [f"y{i}"], [f"h{i}"])]
        at = f"h{i}"
    nodes.append(helper.make_node("Identity", [at], ["actions"]))
    arrays = {w: random.normal(0, 0.15, (64, 64)) for w, _ in names} | {b: random.normal(size=64) for _, b in names}
    ports = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 64]) for n in ("obs", "actions")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:],
                              [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("names, activation, copies", [
    ([("w", "b")], "Tanh", 1),
    ([("w", "b"), ("w", "c")], "Tanh", 2),
    ([("w", "b"), ("v", "b")], "Tanh", 2),
    ([("w", "b")], "Relu", 2),
])
@pytest.mark.parametrize("weights", ["f32", "bf16", "i8"])
def test_layers_that_do_the_same_share_their_weights(names, activation, copies, weights):
    once, all_ = (policy_of(unrolled(n, names, activation), weights=weights) for n in (1, 6))
    assert once.info.weight_bytes * copies == all_.info.weight_bytes
    assert [layer.bytes for layer in all_.layers] == [once.layers[0].bytes] * 6
    made = unrolled(6, names, activation)
    x = np.random.default_rng(2).normal(size=(1, 64)).astype(np.float32)
    found, wanted = all_.session().step(x), expected(made, {"obs": x})["actions"]
    assert np.abs(found - wanted).max() < {"f32": 2e-5, "bf16": 5e-2, "i8": 0.1}[weights]


def test_policies_and_sessions_close(folder):
    with efferent.Policy(folder / "mlp.onnx") as p:
        s = p.session()
    assert s.step(np.zeros(7)).shape == (3,)  # the session keeps the policy alive
    with pytest.raises(efferent.StateError, match="policy is closed"):
        p.session()
    view = s.input("obs")
    with s:
        pass
    with pytest.raises(efferent.StateError, match="session is closed"):
        s.step(np.zeros(7))
    view[...] = 1  # its memory outlives the session
    s.close()


# ---- errors ----


def test_every_status_has_its_class():
    from efferent._library import check
    from efferent.errors import CLASSES

    for code, kind in CLASSES.items():
        with pytest.raises(kind) as caught:
            check(code)
        assert caught.value.code == code and caught.value.name == kind.name and isinstance(caught.value, efferent.Error)
        assert efferent._library.lib.eff_status_name(code).decode() == kind.name
    with pytest.raises(efferent.Error) as caught:
        check(-4711)
    assert caught.value.status == "UNKNOWN" and caught.value.code == -4711


def test_errors_name_the_file_and_the_reason(folder):
    with pytest.raises(efferent.FileError, match="no/such.onnx") as caught:
        efferent.Policy("no/such.onnx")
    assert caught.value.status == "IO" and "no/such.onnx" in caught.value.message and isinstance(caught.value, OSError)
    with pytest.raises(efferent.FormatError) as caught:
        efferent.Policy(b"certainly not a model")
    assert caught.value.status == "FORMAT" and caught.value.message
    with pytest.raises(efferent.FormatError):
        efferent.Policy((folder / "mlp.onnx").read_bytes()[:-100])
    with pytest.raises(efferent.MemoryError_):
        efferent.Policy(folder / "mlp.onnx", memory_limit=100)
    with pytest.raises(efferent.ArgumentError, match="expected one of f32"):
        efferent.Policy(folder / "mlp.onnx", weights="f8")
    with pytest.raises(efferent.Error):
        efferent.Policy("")


def test_wrong_names_shapes_and_types_are_told(folder):
    p = efferent.Policy(folder / "several.onnx")
    s = p.session(rows=2)
    good = {"image": np.zeros((2, 2, 6, 6), np.uint8), "mask": np.ones((2, 5), bool), "vector": np.zeros((2, 6))}
    s.run(good)
    cases = [
        ({**good, "picture": 1}, efferent.ArgumentError,
         "'picture' does not exist, expected one of image, mask, vector"),
        ({k: v for k, v in good.items() if k != "mask"}, efferent.ArgumentError, "'mask' is missing"),
        ({**good, "vector": np.zeros((2, 7))}, efferent.ShapeError, r"'vector' is \[2, 7\], expected \[1, 6\]"),
        ({**good, "vector": np.zeros((3, 6))}, efferent.ShapeError, "'vector' has 3 rows, expected 1 to 2"),
        ({**good, "vector": np.zeros((1, 6))}, efferent.ShapeError, "'vector' has 1 rows, expected 2"),
        ({**good, "image": np.zeros((2, 2, 6, 6))}, efferent.ShapeError, "'image' is float64, expected uint8"),
        ({**good, "image": np.full((2, 2, 6, 6), 300)}, efferent.ShapeError, "'image' is int64, expected uint8"),
        ({**good, "mask": np.ones((2, 5))}, efferent.ShapeError, "'mask' is float64, expected bool"),
    ]
    for inputs, kind, message in cases:
        with pytest.raises(kind, match=message):
            s.run(inputs)
    with pytest.raises(efferent.ArgumentError, match="'nothing' does not exist"):
        s.input("nothing")
    with pytest.raises(efferent.ArgumentError, match="'image' does not exist"):
        s.output("image")
    for row in (2, -3):
        with pytest.raises(efferent.ArgumentError, match="row is"):
            s.reset(row)
    with pytest.raises(efferent.ArgumentError, match="rows is 0"):
        p.session(rows=0)


def test_the_log_reaches_python(folder):
    from efferent import _library, _table

    lines = []
    function = _table.LOG_FUNCTION(lambda user, level, text: lines.append((level, text.decode())))
    _library.lib.eff_set_log(function, None, 0)
    efferent.Policy(folder / "mlp.onnx")
    _library.lib.eff_set_log(ctypes.cast(None, _table.LOG_FUNCTION), None, 0)
    assert all(isinstance(t, str) and 0 <= level <= 3 for level, t in lines)


def test_thousands_of_sessions_leave_no_memory(folder):
    p = efferent.Policy(folder / "lstm.onnx")

    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def churn(count):
        for _ in range(count):
            p.session(rows=2).step(np.zeros((2, 5)))
            efferent.Policy(folder / "mlp.onnx")
            with pytest.raises(efferent.Error):
                efferent.Policy(b"junk")

    churn(200)
    before = resident()
    churn(1500)
    assert resident() - before < 4 << 20


# ---- other processes ----


def _stepped(policy, x):
    return policy.session().step(x)


def test_policies_are_pickled_by_path_and_hash(folder, tmp_path):
    import multiprocessing
    import pickle
    import shutil

    path = tmp_path / "policy.onnx"
    shutil.copy(folder / "mlp.onnx", path)
    p = efferent.Policy(path, weights="bf16", dims={"obs[1]": 7})
    data = pickle.dumps(p)
    assert len(data) < 2000
    again = pickle.loads(data)
    assert again.hash == p.hash and again.path == str(path)
    x = np.ones(7, np.float32)
    assert np.array_equal(_stepped(again, x), _stepped(p, x))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(pool.apply(_stepped, (p, x)), _stepped(p, x))
    changed = onnx.load(path)
    changed.doc_string = "another"
    onnx.save(changed, path)
    with pytest.raises(efferent.MismatchError, match="policy.onnx.*hash.*was changed"):
        pickle.loads(data)
    with pytest.raises(efferent.StateError, match="not loaded from a path"):
        pickle.dumps(efferent.Policy((folder / "mlp.onnx").read_bytes()))


@pytest.mark.skipif("debug" in os.environ.get("EFFERENT_LIBRARY", ""), reason="the ordinary build compares as Unicode")
def test_names_are_told_apart_by_their_bytes():
    """Two spellings that Unicode calls equivalent are two tensors, as they are in ONNX."""
    whole, parts = "\u00e9", "e\u0301"
    port = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Sub", [whole, parts], ["\ud55c"]), onnx.helper.make_node("Neg", ["\ud55c"], ["y"])],
        "g", [port(whole), port(parts)], [port("y"), port("\ud55c")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    session = policy_of(model).session()
    session.input(whole)[...], session.input(parts)[...] = 5, 3
    session.run()
    assert (session.output("y") == -2).all() and (session.output("\ud55c") == 2).all()
    assert [t.name for t in policy_of(model).inputs] == [whole, parts]
