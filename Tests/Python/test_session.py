"""Sessions from Python: shapes and rows, types, views, swap, threads."""
import ctypes
import gc
import subprocess
import sys
import threading

import efferent
import models
import numpy as np
import onnx
import pytest
from oracles import close, expected, policy_of


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


def test_an_action_is_written_where_it_is_wanted(folder):
    s = efferent.Policy(folder / "mlp.onnx").session(rows=2)
    x = models.normal(3, 2, 7, scale=1)
    for given in (x[0], x[:1], x[:1, None], x, x[0].astype(np.float64), x[0].tolist()):
        want = s.step(given)
        out = np.full_like(want, 7)
        assert s.step(given, out=out) is out
        assert np.array_equal(out, want)
    strided = np.zeros((3, 2), np.float32)[:, 0]
    assert np.array_equal(s.step(x[0], out=strided), s.step(x[0]))
    for wrong, words in ((np.zeros(4, np.float32), r"float32\[4\], expected float32\[3\]"),
                         (np.zeros(3), "float64.*expected float32"), ([0, 0, 0], "out is list")):
        with pytest.raises(efferent.ShapeError, match=words):
            s.step(x[0], out=wrong)


def test_actions_are_no_views_of_what_the_next_step_writes(folder):
    s = efferent.Policy(folder / "mlp.onnx").session()
    x = models.normal(3, 2, 7, scale=1)
    first = s.step(x[0])
    kept = first.copy()
    first_run = s.run({"obs": x[:1]})["action"]
    s.step(x[1])
    s.run({"obs": x[1:]})
    assert np.array_equal(first, kept) and np.array_equal(first_run[0], kept)
    s.close()
    for call in (lambda: s.step(x[0]), lambda: s.run({"obs": x[:1]}), lambda: s.run(), lambda: s.output("action")):
        with pytest.raises(efferent.StateError, match="closed"):
            call()



def test_several_inputs_and_outputs(folder):
    made = models.several()
    p = efferent.Policy(folder / "several.onnx")
    rng = np.random.default_rng(1)
    inputs = {"image": rng.integers(0, 256, (3, 2, 6, 6), np.uint8), "mask": rng.random((3, 5)) < 0.7,
              "vector": models.normal(1, 3, 6)}
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
    values[f"in_{kind}"] = np.array([[1, 0, 1], [1, 1, 0]],
                                    dtype) if kind == "bool" else (np.arange(6).reshape(2, 3) * 21).astype(dtype)
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


def test_an_arena_outlives_its_session(folder):
    """Whatever order the parts of an object are freed in: an arena of this size is unmapped when it is freed."""
    code = ("import sys, efferent; policy = efferent.Policy(sys.argv[1])\n"
            "for _ in range(3):\n"
            "    session = policy.session(rows=50000); del session\n"
            "print('ended')")
    done = subprocess.run([sys.executable, "-c", code, str(folder / "mlp.onnx")], capture_output=True, text=True)
    assert done.stdout == "ended\n" and done.returncode == 0, done


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


def halved(name, factor):
    made = models.MODELS[name]()
    for w in made.graph.initializer:
        array = onnx.numpy_helper.to_array(w)
        w.CopyFrom(onnx.numpy_helper.from_array((array * np.array(factor, array.dtype)), w.name))
    return policy_of(made)


def test_the_newest_offer_replaces_one_that_waits():
    policies = [halved("mlp", f) for f in (1, 0.5, 0.25, 0.75)]
    x = models.normal(8, 1, 7, scale=1)
    s = policies[0].session()
    s.step(x)
    for k in range(20):  # nobody reclaims, nobody steps in between
        s.swap(policies[k % 4])
    assert np.array_equal(s.step(x), policies[3].session().step(x))
    for k in range(5):
        for other in policies:
            s.swap(other)
        s.swap(policies[k % 4])
        assert np.array_equal(s.step(x), policies[k % 4].session().step(x))
        if k % 2:
            s.reclaim()


def test_a_second_thread_prewarms_the_weights_while_it_swaps_and_another_steps():
    one, other = halved("lstm", 1), halved("lstm", 0.5)
    x = models.normal(9, 1, 1, 5, scale=1)[0]
    expected = {p.session().step(x).tobytes() for p in (one, other)}
    s, done = one.session(), threading.Event()

    def second():
        i = 0
        while not done.is_set():
            s.swap((one, other)[i % 2], reset_state=True)
            s.prewarm_weights()
            s.reclaim()
            i += 1

    thread = threading.Thread(target=second)
    thread.start()
    try:
        for _ in range(3000):
            s.reset()
            assert s.step(x).tobytes() in expected
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("through", ["step", "prewarm"])
def test_a_swap_keeps_or_resets_the_recurrent_state(through):
    one, other = halved("lstm", 1), halved("lstm", 0.5)
    xs = models.normal(9, 4, 1, 5, scale=1)

    def after(swap):
        s = one.session()
        for x in xs[:3]:
            s.step(x)
        swap(s)
        if through == "prewarm":
            s.prewarm()
        return s.step(xs[3])

    fresh = other.session().step(xs[3])
    assert np.array_equal(after(lambda s: s.swap(other, reset_state=True)), fresh)
    assert not np.allclose(after(lambda s: s.swap(other)), fresh)
    # of a replaced offer nothing is left, its reset neither
    assert np.array_equal(after(lambda s: (s.swap(other, reset_state=True), s.swap(other))),
                          after(lambda s: s.swap(other)))
    assert np.array_equal(after(lambda s: (s.swap(other), s.swap(other, reset_state=True))), fresh)


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
