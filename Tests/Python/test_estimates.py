"""Estimates over few runs are those of rliable: compared with it where it is installed, and with values that it
gave."""

import numpy as np
import pytest
from efferent.lab import estimates

RUNS, TASKS, OTHER_RUNS = 5, 3, 4
THRESHOLDS = np.linspace(-1, 2, 7)


def scores():
    """Scores of two algorithms, `[5, 3]` and `[4, 3]`, with ties."""
    rng = np.random.default_rng(7)
    return rng.normal(0.5, 1, (RUNS, TASKS)).round(1), rng.normal(0.0, 1, (OTHER_RUNS, TASKS)).round(1)


def kept(a, b):
    """Everything that is compared with rliable, from 200 draws of seed 3."""
    profile, low, high = estimates.profile_interval(a, THRESHOLDS, samples=200, seed=3)
    return {"iqm": estimates.interval(a, samples=200, seed=3),
            "improvement": estimates.improvement_interval(a, b, samples=200, seed=3),
            "profile": tuple(profile), "profile low": tuple(low), "profile high": tuple(high)}


def test_estimates_are_those_of_rliable(monkeypatch):
    library = pytest.importorskip("rliable.library")
    metrics = pytest.importorskip("rliable.metrics")
    a, b = scores()
    rng = np.random.default_rng(3)
    first, second = rng.integers(RUNS, size=(200, *a.shape)), rng.integers(OTHER_RUNS, size=(200, *b.shape))

    def draw(*arrays):
        """What rliable asks numpy's global generator for comes from the draws of `estimates` instead."""
        queue = [indices for pair in zip(*arrays) for indices in pair]
        monkeypatch.setattr(np.random, "choice", lambda n, shape, replace: queue.pop(0))

    def flat(points, intervals):
        return [*np.ravel(points["x"]), *np.ravel(intervals["x"])]

    draw(first)
    iqm = flat(*library.get_interval_estimates({"x": a}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=200))
    draw(first, second)
    better = flat(*library.get_interval_estimates(
        {"x": [a, b]}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), reps=200))
    draw(first)
    profile = flat(*library.create_performance_profile({"x": a}, THRESHOLDS, reps=200))
    found = kept(a, b)
    for name, expected in (("iqm", iqm), ("improvement", better)):
        assert found[name] == pytest.approx(expected, abs=1e-12), name
    assert [*found["profile"], *found["profile low"], *found["profile high"]] == pytest.approx(profile, abs=1e-12)


def test_estimates_are_what_rliable_gave():
    # of rliable 1.2.0 by the test above; the draws are numpy's of seed 3
    expected = {
        "iqm": (0.3444444444444445, 0.011111111111111108, 0.6333333333333333),
        "improvement": (0.7916666666666666, 0.6, 0.95),
        "profile": (1, 14 / 15, 0.6, 0.4, 1 / 15, 1 / 15, 0),
        "profile low": (1, 0.8, 0.4, 2 / 15, 0, 0, 0),
        "profile high": (1, 1, 0.8016666666666671, 0.6, 0.2, 0.2, 0),
    }
    found = kept(*scores())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-12), name


def test_the_probability_of_improvement_counts_ties_half_and_tasks_alike():
    a = np.array([[1.0, 5.0], [2.0, 5.0]])
    b = np.array([[2.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    # task 1: 1 beats two of three, 2 beats two and ties one; task 2: both beat one of three
    assert estimates.probability_of_improvement(a, b) == pytest.approx(((2 + 2.5) / 6 + 2 / 6) / 2)
    assert estimates.probability_of_improvement(a, a) == 0.5
    with pytest.raises(ValueError, match="of 2 and of 1 tasks"):
        estimates.improvement_interval(a, b[:, :1])


def test_the_interquartile_mean_cuts_a_quarter_rounded_down():
    assert estimates.iqm([100, 1, 2, 3]) == 2.5
    assert estimates.iqm([5, 1, 3]) == 3          # nothing is cut off three values
    assert estimates.iqm([0, 1, 2, 3, 4, 5, 60]) == 3
    scores = np.random.default_rng(0).normal(size=(10, 4))
    stats = pytest.importorskip("scipy.stats")  # rliable takes its definition from there
    assert estimates.iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    assert estimates.iqm(scores, axis=1) == pytest.approx(stats.trim_mean(scores, 0.25, axis=1))


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng, hits = np.random.default_rng(1), 0
    for i in range(300):
        estimate, low, high = estimates.interval(rng.normal(size=30), estimates.mean, samples=400, seed=i)
        assert low <= estimate <= high
        hits += low <= 0 <= high
    # percentile intervals of 30 runs are a little narrow
    assert 0.88 <= hits / 300 <= 0.98


def test_the_bootstrap_draws_runs_of_each_task_on_their_own():
    scores = np.array([[0.0, 10.0]] * 5)
    assert estimates.interval(scores, estimates.mean) == (5, 5, 5)
    assert estimates.interval([3.0]) == (3, 3, 3)
    with pytest.raises(ValueError, match="shape"):
        estimates.interval([])
