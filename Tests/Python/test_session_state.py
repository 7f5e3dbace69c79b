"""Recurrent state from Python: carried, given, reset, per row, named."""
import efferent
import models
import numpy as np
import pytest
from oracles import close, expected


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
    # given: it overrides
    close(s.run({"obs": xs[0], "h_in": np.zeros((1, 1, 8)), "c_in": np.zeros((1, 1, 8))})["action"], want[0])
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
