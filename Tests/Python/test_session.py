"""Policy and session from Python: shapes and rows, recurrent state, types, views, errors."""
import ctypes
import gc
import os
import threading

import efferent
import models
import numpy as np
import onnx
import onnxruntime
import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    models.write(made)
    return made


def policy_of(made, **options):
    return efferent.Policy(made.SerializeToString(), **options)


def expected(made, inputs):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def close(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype, f"{a.shape} {a.dtype}, expected {b.shape} {b.dtype}"
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5)


# ---- policy ----


def test_a_policy_describes_itself(folder):
    p = efferent.Policy(folder / "mlp.onnx")
    assert [(t.name, t.shape, t.dtype, t.role) for t in p.inputs] == [("obs", (1, 7), np.float32, "observation")]
    assert [(t.name, t.shape, t.dtype, t.role) for t in p.outputs] == [("action", (1, 3), np.float32, "action")]
    assert p.metadata == {"joint_names": "hip,knee,ankle", "note": "größe ∞"}
    assert p.info.opset == 17 and p.info.parameter_count == 7 * 33 + 33 + 33 * 16 + 16 + 16 * 3 + 3 and p.info.state_count == 0
    assert p.info.node_count == 5 and p.info.op_count == len(p.ops) > 0 and p.info.isa and p.info.producer == "efferent tests"
    assert p.inputs["obs"] is p.inputs[0] and "mlp.onnx" in repr(p)


def test_roles_tell_state_and_other_outputs_apart(folder):
    p = efferent.Policy(folder / "lstm.onnx")
    assert [t.role for t in p.inputs] == ["observation", "state", "state"] and [t.role for t in p.outputs] == ["action", "state", "state"]
    assert p.state == {"h_in": "h_out", "c_in": "c_out"} and p.info.state_count == 2
    assert [t.role for t in efferent.Policy(folder / "several.onnx").outputs].count("action") == 1
    assert [t.role for t in efferent.Policy(folder / "constant_output.onnx").outputs] == ["action", "aux"]


def test_loads_from_bytes_a_path_and_with_external_data(folder):
    x = np.linspace(-1, 1, 7, dtype=np.float32)
    want = efferent.Policy(folder / "mlp.onnx").session().step(x)
    for source in (str(folder / "mlp.onnx"), (folder / "mlp.onnx").read_bytes(), bytearray((folder / "mlp.onnx").read_bytes()), folder / "external.onnx"):
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


# ---- rows ----


def test_results_come_in_the_form_of_the_observation(folder):
    p = efferent.Policy(folder / "mlp.onnx")
    x = models.normal(3, 5, 7, scale=1)
    want = np.concatenate([expected(models.mlp(), {"obs": r[None]})["action"] for r in x])
    one, many = p.session(), p.session(rows=5)
    close(one.step(x[0]), want[0])
    close(one.step(x[:1]), want[:1])
    close(one.step(x[:1, None]), want[:1, None])
    close(many.step(x), want)
    close(many.step(x[:, None]), want[:, None])
    close(many.step(x[:3]), want[:3])
    close(many.step(x[0]), want[0])
    close(many.run({"obs": x[:, None]})["action"], want[:, None])
    close(many.run({"obs": x})["action"], want)
    close(one.run({"obs": x[:1]})["action"], want[:1])


def test_observations_are_cast_where_nothing_is_lost(folder):
    s = efferent.Policy(folder / "mlp.onnx").session()
    x = np.arange(7)
    want = s.step(x.astype(np.float32))
    for given in (x, list(range(7)), x.astype(np.float64), x.astype(np.float16), np.repeat(x, 2)[::2], x.astype(">f4")):
        assert np.array_equal(s.step(given), want)
    with pytest.raises(efferent.ShapeError, match="'obs' is complex128, expected float32"):
        s.step(x * 1j)


def test_several_inputs_and_outputs(folder):
    made = models.several()
    p = efferent.Policy(folder / "several.onnx")
    rng = np.random.default_rng(1)
    inputs = {"image": rng.integers(0, 256, (3, 2, 6, 6), np.uint8), "mask": rng.random((3, 5)) < 0.7, "vector": models.normal(1, 3, 6)}
    inputs["mask"][:, 0] = True
    want = expected(made, inputs)
    got = p.session(rows=3).run(inputs)
    assert list(got) == [t.name for t in p.outputs]
    for name in want:
        close(got[name], want[name])
    one = p.session().run({k: v[1:2] for k, v in inputs.items()})
    close(one["logits"], want["logits"][1:2])
    with pytest.raises(efferent.StateError, match="use run"):
        p.session().step(np.zeros(6))


@pytest.mark.parametrize("kind", models.TYPES)
def test_every_element_type_goes_in_and_out(folder, kind):
    p = efferent.Policy(folder / "every_type.onnx")
    dtype = p.inputs[f"in_{kind}"].dtype
    assert dtype == (np.uint16 if kind == "bf16" else onnx.helper.tensor_dtype_to_np_dtype(models.TYPES[kind]))
    values = {t.name: (np.arange(6).reshape(2, 3) % 2).astype(t.dtype) for t in p.inputs}
    values[f"in_{kind}"] = np.array([[1, 0, 1], [1, 1, 0]], dtype) if kind == "bool" else (np.arange(6).reshape(2, 3) * 21).astype(dtype)
    got = p.session().run(values)
    for name, y in got.items():
        x = values["in_" + name.removeprefix("out_")]
        assert y.dtype == x.dtype and np.array_equal(y, x.reshape(3, 2))


def test_a_policy_in_double_steps(folder):
    x = np.linspace(-1, 1, 4)[None]
    got = efferent.Policy(folder / "double.onnx").session().step(x)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected(models.double(), {"obs": x})["action"], rtol=1e-12)


def test_constant_outputs_are_there(folder):
    s = efferent.Policy(folder / "constant_output.onnx").session(rows=3)
    got = s.run({"obs": np.zeros((3, 4))})
    assert np.array_equal(got["version_number"], [3.0] * 3)  # short, as the observation came
    assert np.array_equal(s.output("version_number"), [[3.0]] * 3)


# ---- recurrent state ----


def roll(made, observations, h=None, c=None):
    h = np.zeros((1, 1, 8), np.float32) if h is None else h
    c = np.zeros((1, 1, 8), np.float32) if c is None else c
    actions = []
    for x in observations:
        out = expected(made, {"obs": x, "h_in": h, "c_in": c})
        h, c = out["h_out"], out["c_out"]
        actions.append(out["action"])
    return np.array(actions), h, c


def test_the_session_carries_recurrent_state(folder):
    made = models.lstm()
    xs = models.normal(1, 12, 1, 5, scale=1)
    want, h, c = roll(made, xs)
    s = efferent.Policy(folder / "lstm.onnx").session()
    for x, y in zip(xs, want):
        close(s.step(x), y)
    close(np.array(s.output("h_out")), h)
    s.reset()
    for x, y in zip(xs, want):
        close(s.run({"obs": x})["action"], y)
    close(s.run({"obs": xs[0], "h_in": np.zeros((1, 1, 8)), "c_in": np.zeros((1, 1, 8))})["action"], want[0])  # given: it overrides
    close(s.run({"obs": xs[1]})["action"], want[1])  # and is carried from there


def test_state_may_be_given_for_one_step_or_through_the_view(folder):
    made = models.lstm()
    xs = models.normal(2, 4, 1, 5, scale=1)
    h, c = models.normal(3, 1, 1, 8), models.normal(4, 1, 1, 8)
    want, _, _ = roll(made, xs, h, c)
    s = efferent.Policy(folder / "lstm.onnx").session()
    s.step(xs[3])
    close(s.run({"obs": xs[0], "h_in": h, "c_in": c})["action"], want[0])
    close(s.step(xs[1]), want[1])
    s.input("h_in")[...] = h
    s.input("c_in")[...] = c
    close(s.step(xs[0]), want[0])


def test_rows_are_independent_and_reset_alone(folder):
    made = models.lstm()
    xs = models.normal(5, 6, 3, 5, scale=1)
    s = efferent.Policy(folder / "lstm.onnx").session(rows=3)
    got = [s.step(x) for x in xs[:3]]
    s.reset(1)
    got += [s.step(x) for x in xs[3:]]
    for r in (0, 2):
        close(np.array(got)[:, r, None], roll(made, xs[:, r, None])[0])
    close(np.array(got)[:3, 1, None], roll(made, xs[:3, 1, None])[0])
    close(np.array(got)[3:, 1, None], roll(made, xs[3:, 1, None])[0])


def test_state_of_rows_that_do_not_step_is_kept(folder):
    made = models.lstm()
    xs = models.normal(6, 4, 2, 5, scale=1)
    s = efferent.Policy(folder / "lstm.onnx").session(rows=2)
    s.step(xs[0])
    s.step(xs[1][:1])  # row 0 alone, twice
    s.step(xs[2][:1])
    both = s.step(xs[3])
    close(both[:1], roll(made, xs[:, 0, None])[0][-1])
    close(both[1:], roll(made, xs[[0, 3]][:, 1, None])[0][-1])


def test_state_pairs_can_be_named_or_refused(folder):
    x = np.ones((1, 3), np.float32)
    plain = efferent.Policy(folder / "counter.onnx")
    assert plain.state == {}
    with pytest.raises(efferent.ArgumentError, match="'before' is missing"):
        plain.session().run({"x": x})
    s = efferent.Policy(folder / "counter.onnx", state={"before": "after"}).session()
    assert [float(s.step(x)[0, 0]) for _ in range(3)] == [2.0, 4.0, 6.0]
    assert efferent.Policy(folder / "lstm.onnx", state={}).state == {}
    with pytest.raises(efferent.Error, match="nothing"):
        efferent.Policy(folder / "counter.onnx", state={"before": "nothing"})


# ---- views ----


def test_views_are_the_memory_of_the_session(folder):
    p = efferent.Policy(folder / "mlp.onnx")
    x = models.normal(7, 4, 7, scale=1)
    s, many = p.session(), p.session(rows=4)
    want = many.step(x)
    view = s.input("obs")
    assert view.shape == (1, 7) and view.ctypes.data % 64 == 0 and s.input("obs").ctypes.data == view.ctypes.data
    view[...] = x[0]
    s.run()
    close(np.array(s.output("action")), want[:1])
    assert s.output("action").base is not None and not s.output("action").flags.writeable
    many.input("obs")[...] = x[:, None]
    many.run()
    close(np.array(many.output("action"))[:, 0], want)


def test_views_outlive_their_session(folder):
    s = efferent.Policy(folder / "mlp.onnx").session()
    s.step(np.ones(7))
    view = s.output("action")
    before = np.array(view)
    del s
    gc.collect()
    np.zeros(1 << 20)
    assert np.array_equal(view, before)


def test_swap_takes_the_weights_of_another_policy(folder):
    made = models.mlp()
    for w in made.graph.initializer:
        w.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w) * np.float32(0.5), w.name))
    x = models.normal(8, 1, 7, scale=1)
    s = efferent.Policy(folder / "mlp.onnx").session()
    before = s.step(x)
    s.swap(policy_of(made))
    after = s.step(x)
    s.reclaim()
    close(after, expected(made, {"obs": x})["action"])
    assert not np.allclose(before, after)
    with pytest.raises(efferent.MismatchError):
        s.swap(efferent.Policy(folder / "lstm.onnx"))


def test_sessions_of_one_policy_run_in_threads(folder):
    p = efferent.Policy(folder / "lstm.onnx")
    xs = models.normal(9, 50, 1, 5, scale=1)
    want = [p.session().step(xs[0])] and (lambda s: [s.step(x) for x in xs])(p.session())
    wrong = []

    def work():
        s = p.session()
        for _ in range(20):
            s.reset()
            if not np.array_equal([s.step(x) for x in xs], want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


# ---- errors ----


def test_every_status_has_its_class():
    from efferent._library import check
    from efferent.errors import CLASSES

    for code, kind in CLASSES.items():
        with pytest.raises(kind) as caught:
            check(code)
        assert caught.value.code == code and caught.value.status == kind.status and isinstance(caught.value, efferent.Error)
        assert efferent._library.lib.eff_status_name(code).decode() == kind.status
    with pytest.raises(efferent.Error) as caught:
        check(-4711)
    assert caught.value.status == "EFF_E_UNKNOWN" and caught.value.code == -4711


def test_errors_name_the_file_and_the_reason(folder):
    with pytest.raises(efferent.FileError, match="no/such.onnx") as caught:
        efferent.Policy("no/such.onnx")
    assert caught.value.status == "EFF_E_IO" and "no/such.onnx" in caught.value.message and isinstance(caught.value, OSError)
    with pytest.raises(efferent.FormatError) as caught:
        efferent.Policy(b"certainly not a model")
    assert caught.value.status == "EFF_E_FORMAT" and caught.value.message
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
        ({**good, "picture": 1}, efferent.ArgumentError, "'picture' does not exist, expected one of image, mask, vector"),
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
