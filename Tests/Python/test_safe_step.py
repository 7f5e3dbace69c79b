"""What a step refuses, and that it says so: lengths, numbers that are not finite, two callers at once."""
import threading

import efferent
import models
import numpy as np
import onnx
import pytest
from efferent._library import lib
from onnx import TensorProto, helper, numpy_helper

NAN, INF = float("nan"), float("inf")


def saved(folder, name, nodes, initializers, inputs, outputs):
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [tensor(n, TensorProto.FLOAT, s) for n, s in inputs],
        [tensor(n, TensorProto.FLOAT, s) for n, s in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    return efferent.Policy(folder / f"{name}.onnx")


@pytest.fixture
def inverse(tmp_path):
    """action = 1 / obs: not finite where an observation is 0."""
    return saved(
        tmp_path,
        "inverse",
        [helper.make_node("Reciprocal", ["obs"], ["action"])],
        {},
        [("obs", [1, 3])],
        [("action", [1, 3])],
    )


@pytest.fixture
def counter(tmp_path):
    """h_out = h_in + obs, action = 1 / h_out: what a step did to the state is seen in the next."""
    nodes = [helper.make_node("Add", ["h_in", "obs"], ["h_out"]), helper.make_node("Reciprocal", ["h_out"], ["action"])]
    return saved(
        tmp_path, "counter", nodes, {}, [("obs", [1, 2]), ("h_in", [1, 2])], [("action", [1, 2]), ("h_out", [1, 2])]
    )


def step_n(session, rows, observation, observation_count, action, action_count):
    return lib.eff_session_step_n(
        session._handle.value, rows, observation.ctypes.data, observation_count, action.ctypes.data, action_count
    )


def name(status):
    return lib.eff_status_name(status).decode()


def test_lengths_are_checked_and_explained(inverse):
    s = inverse.session(rows=2)
    x, y = np.ones(6, np.float32), np.full(6, 7, np.float32)
    assert step_n(s, 2, x, 6, y, 6) == 0 and np.array_equal(y, np.ones(6))
    y[:] = 7
    for rows, n_in, n_out, status, words in [
        (2, 5, 6, "EFF_E_SHAPE", "observation_count is 5, expected 6"),
        (2, 6, 3, "EFF_E_SHAPE", "action_count is 3, expected 6"),
        (1, 6, 3, "EFF_E_SHAPE", "observation_count is 6, expected 3"),
        (2, 0, 6, "EFF_E_SHAPE", "observation_count is 0, expected 6"),
        (2, 2**64 - 1, 6, "EFF_E_SHAPE", "expected 6"),
        (2, 2**63 + 6, 6, "EFF_E_SHAPE", "expected 6"),
        (3, 9, 9, "EFF_E_ARGUMENT", "rows is 3, expected 1 to 2"),
        (2**64 - 1, 6, 6, "EFF_E_ARGUMENT", "rows is 18446744073709551615, expected 1 to 2"),
    ]:
        assert name(step_n(s, rows, x, n_in, y, n_out)) == status
        assert words in s.explain()
    assert np.array_equal(y, np.full(6, 7))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_observation_that_is_not_finite_is_refused_by_name(counter, bad):
    s, twin = counter.session(), counter.session()
    for t in (s, twin):
        last = t.step(np.array([[1, 2]], np.float32))
    with pytest.raises(
        efferent.NumericError,
        match=f"observation 'obs', row 0, element 1 is {'NaN' if bad != bad else 'infinite' if bad > 0 else 'minus infinite'}",
    ):
        s.step(np.array([[1, bad]], np.float32))
    y = np.zeros(2, np.float32)
    assert name(step_n(s, 1, np.array([bad, 0], np.float32), 2, y, 2)) == "EFF_E_NUMERIC"
    assert np.array_equal(y, last[0])  # the last action
    x = np.array([[3, 4]], np.float32)
    assert np.array_equal(s.step(x), twin.step(x))  # the state did not see them


def test_an_action_that_is_not_finite_is_refused_and_the_state_is_as_before(counter):
    s, twin = counter.session(rows=2), counter.session(rows=2)
    x = np.array([[1, 2], [3, 4]], np.float32)
    last = s.step(x)
    twin.step(x)
    y = np.zeros((2, 2), np.float32)
    assert name(step_n(s, 2, np.array([[0, 0], [0, -4]], np.float32), 4, y, 4)) == "EFF_E_NUMERIC"
    assert "action 'action', row 1, element 1 is infinite" in s.explain()
    assert np.array_equal(y, last)
    assert np.array_equal(s.step(x), twin.step(x))


def test_before_the_first_action_the_last_one_is_zero(inverse):
    y = np.full(3, 7, np.float32)
    assert name(step_n(inverse.session(), 1, np.zeros(3, np.float32), 3, y, 3)) == "EFF_E_NUMERIC"
    assert np.array_equal(y, np.zeros(3))


def test_pass_and_clear(inverse):
    x = np.array([[NAN, INF, 0]], np.float32)
    assert np.array_equal(inverse.session(non_finite="pass").step(x), [[NAN, 0, INF]], equal_nan=True)
    s = inverse.session(non_finite="clear")
    assert np.array_equal(s.step(x), [[0, 0, 0]])
    assert s.explain() == "2 numbers of observations and 3 of actions were not finite and became 0"
    assert inverse.session(non_finite="clear").explain() == ""
    with pytest.raises(efferent.ArgumentError, match="non_finite is 'maybe'"):
        inverse.session(non_finite="maybe")


def test_run_passes_infinities(inverse):
    assert np.array_equal(
        inverse.session().run({"obs": np.array([[INF, NAN, 2]], np.float32)})["action"], [[0, NAN, 0.5]], equal_nan=True
    )


def test_rows_are_as_large_as_numbers_get(inverse):
    x = np.array([[3.4028235e38, -3.4028235e38, 1e-38]], np.float32)
    assert np.isfinite(inverse.session().step(x)).all()


def test_two_callers_at_once_are_told(tmp_path):
    rng = np.random.default_rng(0)
    nodes, weights = [], {}
    for i in range(6):
        weights[f"w{i}"] = rng.standard_normal((1024, 1024)).astype(np.float32) / 32
        nodes.append(
            helper.make_node("MatMul", [f"x{i}" if i else "obs", f"w{i}"], [f"x{i + 1}" if i < 5 else "action"])
        )
    policy = saved(tmp_path, "slow", nodes, weights, [("obs", [1, 1024])], [("action", [1, 1024])])
    session, alone = policy.session(), policy.session()
    x = np.ones((1, 1024), np.float32)
    want = alone.step(x)
    start, told, served = threading.Barrier(2), [], []

    def caller():
        start.wait()
        for _ in range(400):
            try:
                served.append(session.step(x))
            except efferent.StateError as e:
                told.append(str(e))

    threads = [threading.Thread(target=caller) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert told and served
    assert all("one caller at a time" in text for text in told)
    # and afterwards the session serves as if nothing had happened
    assert np.array_equal(session.step(x), want)


def locked_kib():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmLck")).split()[1])


def test_what_is_locked_counts_as_locked_as_long_as_it_lives():
    import gc

    model = models.mlp(sizes=(7, 512, 512, 3)).SerializeToString()
    before = locked_kib()
    policy = efferent.Policy(model, locked=True)
    with_policy = locked_kib()
    assert with_policy - before >= 1000
    session = policy.session(locked=True)
    assert locked_kib() > with_policy
    expected = efferent.Policy(model).session().step(np.ones(7))
    assert np.array_equal(session.step(np.ones(7)), expected)
    del session
    policy.close()
    gc.collect()
    assert locked_kib() - before < 1000
