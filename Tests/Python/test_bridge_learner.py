"""A learner served over ZeroMQ learns what it would learn in the plant's process."""
import efferent
import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("zmq")
from efferent.lab import Rollout, make  # noqa: E402


def learner(env, algorithm=None):
    return efferent.Learner.for_env(env, algorithm, seed=4, hidden=[16], time_limit=200)


@pytest.mark.parametrize(
    "name, algorithm, endpoint",
    [
        ("Pendulum-v1", None, "tcp://127.0.0.1:*"),
        ("CartPole-v1", None, "ipc:///tmp/efferent-learner-{pid}"),
        ("CartPole-v1", "stream-sarsa", "tcp://[::1]:*"),
    ],
)
def test_learning_over_the_bridge_is_learning_here_bit_for_bit(name, algorithm, endpoint, tmp_path):
    env = make(name)
    here, there, endpoint = learner(env, algorithm), learner(env, algorithm), endpoint.format(pid=tmp_path.name)
    alone = Rollout(env, here, seed=1)
    alone.advance(900)
    with efferent.Bridge(there, endpoint) as bridge:
        bridge.start()
        with efferent.RemoteLearner(bridge.endpoint) as remote:
            joined = Rollout(env, remote, seed=1)
            joined.advance(900)
        bridge.stop()
    assert joined.episodes == alone.episodes and len(alone.episodes) > 1
    assert joined.telemetry.td_error == alone.telemetry.td_error and joined.td_error == alone.td_error
    for name in here.shapes:
        assert np.array_equal(here[name], there[name]), name


def test_uneven_steps_count_over_the_bridge_as_they_do_here():
    here, there = (efferent.Learner(2, 1, hidden=[32], seed=3, nominal_dt=0.02) for _ in range(2))
    even = efferent.Learner(2, 1, hidden=[32], seed=3, nominal_dt=0.02)
    random = np.random.default_rng(0)
    with efferent.Bridge(there) as bridge:
        bridge.start()
        with efferent.RemoteLearner(bridge.endpoint) as remote:
            seen = random.normal(size=2)
            for _ in range(200):
                actions = [learner.act(seen) for learner in (here, remote)]
                np.testing.assert_array_equal(*actions)
                even.act(seen)
                seen, dt = random.normal(size=2), int(random.integers(4000, 100_000)) * 1e-6
                reward = float(seen[0])
                for learner in (here, remote):
                    learner.update(seen, reward, dt=dt)
                even.update(seen, reward)
        bridge.stop()
    for name in here.shapes:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)
    assert not np.array_equal(here["critic.w.out.weight"], even["critic.w.out.weight"]), "dt matters"


def test_a_reset_in_an_episode_breaks_it_off_and_learning_goes_on():
    env = make("Pendulum-v1")
    served = learner(env)
    with efferent.Bridge(served) as bridge:
        bridge.start()
        with efferent.RemoteLearner(bridge.endpoint) as remote:
            Rollout(env, remote).advance(30)
            remote.client.reset()
            remote._fresh = True
            Rollout(env, remote).advance(30)
            assert remote.update(np.full(3, np.nan), 0.0).reason == 2
            assert np.isfinite(remote.act(np.zeros(3))).all()
            Rollout(env, remote).advance(30)
        bridge.stop()
    assert np.isfinite(served["actor.w.l1.weight"]).all()
    assert served["obsnorm.count"][0] > 90


def test_what_serves_no_learner_is_refused():
    import bridging

    with bridging.served("mlp") as bridge, pytest.raises(efferent.MismatchError, match="learner"):
        efferent.RemoteLearner(bridge.endpoint)
