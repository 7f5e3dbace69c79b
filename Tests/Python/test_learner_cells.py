"""Recurrent cells of loaded networks that learn: against real-time recurrent learning in numpy, sessions and
onnxruntime."""
import os
import signal
import subprocess
import sys
import textwrap

import efferent
import numpy as np
import onnx
import onnxruntime
import pytest
from cells import Cell, Influence, network, numbers, theta, weights
from efferent.learner import Learner
from onnx import TensorProto, helper, numpy_helper
from suites import POLICIES

KINDS = [("LSTM", 0), ("GRU", 0), ("GRU", 1)]
# nothing moves: what is compared are gradients
STILL = dict(dtype="f64", step_size=1e-25, kappa_value=1e-25, lambda_=0.0, no_reward_scaling=1)


def of_cell(learner, kind, what="critic"):
    """Trace or weights of the cell as one vector."""
    return np.concatenate([learner[f"{what}.{kind}.cell.{k}"].ravel() for k in "wrb"])


@pytest.mark.parametrize("isa", ["naive", "sse2", None])
@pytest.mark.parametrize("kind, linear", KINDS)
def test_the_gradient_is_that_of_snap_1(kind, linear, isa, monkeypatch):
    """Over an episode of 50 steps and a second one after its end, of every weight, in every instruction set."""
    if isa:
        monkeypatch.setenv("EFFERENT_ISA", isa)
    cell = Cell(kind, 3, 6, linear)
    learner = Learner(policy=network(cell), algorithm="stream-td", **STILL)
    at, found = theta(cell), Influence(cell, exact=False)
    head = numbers("head.w", 1, 6)[0].astype(float)
    rng, worst = np.random.default_rng(5), 0.0
    seen = rng.standard_normal(3)
    for step in range(1, 71):
        j = found.step(at, seen)
        assert abs(learner.act(seen)[0] - (head @ found.state[:6] + numbers("head.b", 1)[0])) < 1e-12
        ends, following = step == 50, rng.standard_normal(3)
        expected = -head @ j[:6]
        learner.update(following, rng.standard_normal(), truncated=ends)
        if ends:
            found.reset()
            seen = rng.standard_normal(3)
            continue
        worst = max(worst, np.abs(of_cell(learner, "e") - expected).max())
        seen = following
    assert worst < 1e-12


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("kind, linear", KINDS)
def test_snap_1_points_where_exact_learning_points(kind, linear, record_property):
    """The cosine with the exact gradient, which is that of back-propagation through time; on 20 small nets."""
    rng, cosines = np.random.default_rng(1), []
    cell = Cell(kind, 3, 5, linear)
    for _ in range(20):
        at = rng.standard_normal(sum(cell.sizes)) * 0.5
        head, kept, exact = rng.standard_normal(5), Influence(cell, False), Influence(cell, True)
        for _ in range(30):
            x = rng.standard_normal(3)
            a, b = kept.step(at, x), exact.step(at, x)
            cosines.append(cosine(head @ a[:5], head @ b[:5]))

    def unrolled(t, xs):
        state = np.zeros(cell.states * 5, complex)
        for x in xs:
            state = cell.step(t, x, state)
        return head @ state[:5].reshape(1, 5).T

    xs = rng.standard_normal((8, 3))
    exact.reset()
    for x in xs:
        j = exact.step(at, x)
    assert np.abs(head @ j[:5] - cell.jacobian(lambda t: unrolled(t, xs), at)[0]).max() < 1e-12
    record_property("cosine", f"mean {np.mean(cosines):.4f} least {np.min(cosines):.4f}")
    print(f"{kind} {linear}: cosine with exact learning: mean {np.mean(cosines):.4f}, least {np.min(cosines):.4f}")
    assert np.mean(cosines) > 0.94 and np.quantile(cosines, 0.05) > 0.8
