"""Critics that give the distribution of returns, risk measures and the stock."""
import json
import os
from pathlib import Path

import efferent
import numpy as np
import pytest
from efferent.errors import ArgumentError

import suites

GOLDEN = np.load(Path(__file__).parents[1] / "Golden/distribution.npz")
PLAN = json.loads(str(GOLDEN["cases"]))
TOLERANCE = {"f64": {"w": 1e-12, "e": 1e-12, "number": 1e-12}, "f32": {"w": 1e-5, "e": 1e-4, "number": 2e-4}}


def parts(learner, prefix, values):
    """The arrays of a network, which lie one after another in `values`."""
    for name in ("l1.weight", "l1.bias", "l2.weight", "l2.bias", "out.weight", "out.bias"):
        shape = learner.shapes[f"{prefix}.{name}"]
        part, values = values[: np.prod(shape)].reshape(shape), values[np.prod(shape):]
        yield f"{prefix}.{name}", part
    assert values.size == 0


def replay(name, dtype, **changed):
    """Replays a trace through a learner and compares all that was recorded."""
    given = {key.split("/")[1]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"{name}.{dtype}/")}
    options = {"gamma": PLAN["gamma"], "lambda_": PLAN["lambda_"], **PLAN["cases"][name], **changed}
    algorithm = options.pop("algorithm")
    trace = {key[6:]: value for key, value in given.items() if key.startswith("trace.")}
    actions = {"stream-td": 0, "stream-ac": 2}.get(algorithm, 3)
    learner = efferent.Learner(trace["next"].shape[1], actions, algorithm, PLAN["hidden"], dtype=dtype,
                               critic_size=PLAN["size"], **options)
    limits = TOLERANCE[dtype]
    for key, values in given.items():
        if key.startswith("init."):
            for name_of, part in parts(learner, key[5:], values):
                learner[name_of] = part
    for t in range(len(trace["reward"])):
        learner.act(trace["observation"][t])
        action = None if algorithm == "stream-td" else trace["action"][t]
        following = trace["next_action"][t] if algorithm == "stream-sarsa" else None
        told = learner.update(trace["next"][t], trace["reward"][t], trace["terminated"][t], trace["truncated"][t],
                              action=action, next_action=following)
        assert learner.reason == "learned"
        for key in ("td_error", "value", "next_value", "value_spread", "value_cvar", "risk_error", "stock"):
            expected = trace[key][t]
            assert getattr(told, key) == pytest.approx(expected, rel=limits["number"], abs=limits["number"]), (key, t)
        assert told.critic.step_size == pytest.approx(trace["step_critic"][t], rel=limits["number"]), t
        assert told.critic.td_error == pytest.approx(trace["used_critic"][t], abs=limits["number"]), t
        for key, values in given.items():
            if key.startswith(f"step{t + 1:02}."):
                for name_of, part in parts(learner, key[7:], values):
                    error = np.abs(learner[name_of] - part).max()
                    assert error <= limits[key.split(".")[2]], (name_of, t, error)


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", PLAN["cases"])
def test_every_number_of_the_transcription_is_reproduced(name, dtype):
    replay(name, dtype)


@pytest.mark.parametrize("name, changed", [
    ("q_quantile", {"quantile_huber": 0.11}), ("q_quantile", {"lambda_": 0.79}),
    ("q_quantile_pinball_cvar", {"risk_level": 0.45}), ("q_quantile_pinball_cvar", {"risk": "none"}),
    ("q_quantile_pinball_cvar", {"quantile_huber": 1e-6}), ("q_categorical_stock", {"support_low": -3.01}),
    ("sarsa_quantile_spread", {"risk_weight": 0.51}), ("ac_quantile_stock", {"risk_warmup": 41}),
    ("ac_quantile_cvar_intentional", {"risk": "spread"}), ("ac_categorical_spread_intentional", {"risk": "none"}),
    ("td_two_hot", {"critic_kind": "categorical"}), ("td_hl_gauss", {"hl_gauss_sigma": 0.76}),
    ("td_categorical", {"critic_kind": "two-hot"}),
])
def test_a_trace_notices_another_rule(name, changed):
    with pytest.raises(AssertionError):
        replay(name, "f64", **changed)


@pytest.mark.parametrize("options, word", [
    (dict(critic_kind="median"), "critic_kind"), (dict(critic_kind="quantile", critic_size=1), "critic_size"),
    (dict(critic_kind="quantile", critic_size=257), "critic_size"), (dict(risk="cvar"), "risk"),
    (dict(critic_kind="hl-gauss", risk="spread"), "risk"), (dict(critic_kind="quantile", risk="worst"), "risk"),
    (dict(critic_kind="quantile", risk="cvar", algorithm="stream-td", actions=0), "risk"),
    (dict(critic_kind="quantile", risk_level=0.0), "risk_level"),
    (dict(critic_kind="quantile", risk_weight=-1.0), "risk_weight"),
    (dict(critic_kind="quantile", stock=1), "stock"),
    (dict(critic_kind="quantile", quantile_huber=-1.0), "quantile_huber"),
    (dict(critic_kind="quantile", risk="cvar", stock=1, gamma=0.0), "gamma"),
    (dict(critic_kind="quantile", risk="cvar", stock=1, stock_exploration=2.0), "stock_exploration"),
    (dict(critic_kind="categorical", support_low=1.0, support_high=1.0), "support_low"),
    (dict(critic_kind="categorical", no_reward_scaling=1), "support_high"),
    (dict(critic_kind="hl-gauss", hl_gauss_sigma=0.0), "hl_gauss_sigma"),
])
def test_a_wrong_option_is_named(options, word):
    with pytest.raises(ArgumentError, match=word):
        efferent.Learner(**{"observations": 4, "actions": 2, **options})


def walk(learner, steps, seed=0):
    rng = np.random.default_rng(seed)
    observation, done = rng.normal(size=learner.observations), []
    for t in range(steps):
        done.append(learner.act(observation))
        observation = rng.normal(size=learner.observations)
        learner.update(observation, rng.normal(), terminated=t % 13 == 12, truncated=t % 29 == 28)
    return done


@pytest.mark.parametrize("critic, extra", [
    ("quantile", dict(risk="cvar", stock=1, risk_warmup=50)), ("categorical", dict(risk="spread")), ("hl-gauss", {})])
@pytest.mark.parametrize("algorithm", ["stream-q", "stream-ac"])
def test_a_checkpoint_continues_bit_for_bit(algorithm, critic, extra):
    first, second = (efferent.Learner(5, 3, algorithm, [16], critic_kind=critic, critic_size=7, seed=s, **extra)
                     for s in (1, 2))
    walk(first, 60)
    second.restore_bytes(bytes(first))
    assert np.array_equal(walk(first, 60, 3), walk(second, 60, 3))
    assert bytes(first) == bytes(second)
    other = efferent.Learner(5, 3, algorithm, [16], critic_kind="two-hot", critic_size=7)
    with pytest.raises(efferent.MismatchError):
        other.restore_bytes(bytes(first))


@pytest.mark.parametrize("algorithm", ["stream-q", "stream-ac-discrete"])
def test_looking_changes_nothing(algorithm):
    first, second = (efferent.Learner(5, 3, algorithm, [16], critic_kind="quantile", risk="cvar", stock=1, seed=1)
                     for _ in range(2))
    walk(first, 50), walk(second, 50)
    first.infer(np.ones(5)), first.returns(np.ones(5))
    assert np.array_equal(walk(first, 50, 4), walk(second, 50, 4)) and bytes(first) == bytes(second)


CHAIN = dict(no_reward_scaling=1, no_observation_norm=1, gamma=1.0, sparsity=0.5)


@pytest.mark.parametrize("lambda_", [0.0, 0.8])
@pytest.mark.parametrize("critic", ["quantile", "categorical"])
def test_the_distribution_of_a_chain_is_found(critic, lambda_):
    """Two states, no reward, then -1 (a quarter) or 1. In the third, 0.5 for certain."""
    learner = efferent.Learner(3, 0, "stream-td", [16], critic_kind=critic, critic_size=20, quantile_huber=0.05,
                               support_low=-1.5, support_high=1.5, lambda_=lambda_, risk_level=0.2, **CHAIN)
    states, rng = np.eye(3), np.random.default_rng(0)
    for _ in range(4000):
        if rng.random() < 0.3:
            learner.act(states[2])
            learner.update(states[2], 0.5, terminated=True)
            continue
        learner.act(states[0])
        learner.update(states[1], 0.0)
        learner.act(states[1])
        told = learner.update(states[1], -1.0 if rng.random() < 0.25 else 1.0, terminated=True)
        cvar, spread = told.value_cvar, told.value_spread
    assert cvar < -0.6 and spread > 0.5
    for state in states[:2]:
        values, probabilities = learner.returns(state)
        assert probabilities.sum() == pytest.approx(1) and (np.diff(values) >= 0).all()
        assert probabilities[values < 0].sum() == pytest.approx(0.25, abs=0.15)
        assert np.average(values, weights=probabilities) == pytest.approx(0.5, abs=0.3)
    values, probabilities = learner.returns(states[2])
    mean = np.average(values, weights=probabilities)
    assert mean == pytest.approx(0.5, abs=0.1)
    assert np.sqrt(np.average((values - mean) ** 2, weights=probabilities)) < 0.3
    assert learner.infer(states[2])[0] == pytest.approx(mean)


def test_what_gives_no_distribution_says_so():
    for options in ({}, {"critic_kind": "two-hot"}):
        with pytest.raises(efferent.Error, match="no distribution"):
            efferent.Learner(3, 2, **options).returns(np.zeros(3))
    with pytest.raises(efferent.Error):
        efferent.Learner(3, 2, "stream-q", critic_kind="quantile").returns(np.zeros(3), choice=2)


def test_targets_beyond_the_support_are_counted():
    learner = efferent.Learner(3, 0, "stream-td", critic_kind="two-hot", support_low=-1.0, support_high=1.0,
                               no_reward_scaling=1)
    for t in range(10):
        learner.act(np.zeros(3))
        told = learner.update(np.zeros(3), 5.0 if t % 2 else 0.1, terminated=True)
    assert told.clipped_targets == 5


def test_the_mean_of_quantiles_is_exported_and_risk_refused(tmp_path):
    learner = efferent.Learner(4, 3, "stream-q", [16], critic_kind="quantile", critic_size=5, seed=1)
    for t in range(40):
        learner.act(np.ones(4) * t)
        learner.update(np.ones(4) * (t + 1), float(t % 3), terminated=t % 7 == 6)
    session = efferent.Session(learner.policy())
    for x in np.random.default_rng(0).normal(size=(20, 4)) * 20:
        assert int(session.step(x.astype(np.float32))[0]) == learner.infer(x)
    for options in (dict(critic_kind="quantile", risk="cvar"), dict(critic_kind="categorical"),
                    dict(critic_kind="quantile", risk="cvar", stock=1)):
        with pytest.raises(efferent.UnsupportedError, match="cannot be exported"):
            efferent.Learner(4, 3, "stream-q", **options).policy()


@pytest.fixture(scope="module")
def cliff():
    return suites.module(suites.ROOT / "examples/learning/cliff.py")


def test_mean_and_cvar_of_the_cliff_want_different_ways(cliff):
    """Exact, from the probabilities; the walk itself agrees."""
    edge, around = cliff.worth(cliff.COLUMNS - 2, cliff.COLUMNS - 1), cliff.worth(0, cliff.COLUMNS + 1)
    assert edge[0] > around[0] + 0.9 and edge[1] < around[1] - 2
    env, returns = cliff.Cliff(0), []
    for _ in range(4000):
        env.reset()
        total, done = 0.0, False
        while not done:
            _, reward, terminated, truncated = env.step(0)
            total, done = total + reward, terminated or truncated
        returns.append(total)
    worst = sorted(returns)[: int(len(returns) * cliff.LEVEL)]
    assert np.mean(returns) == pytest.approx(edge[0], abs=0.15) and np.mean(worst) == pytest.approx(edge[1], abs=0.15)


@pytest.mark.parametrize("name, expected", [("mean", "edge"), ("cvar", "around")])
def test_on_a_cliff_the_mean_takes_the_edge_and_cvar_the_way_around(cliff, name, expected):
    steps = int(os.environ.get("EFFERENT_CLIFF_STEPS", 60000))
    assert [cliff.way(cliff.train(seed, steps, **cliff.LEARNERS[name])) for seed in range(2)] == [expected] * 2
