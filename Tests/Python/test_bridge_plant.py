"""Plant: every kind of environment, matched with the inputs and outputs of a policy."""
import subprocess
import sys

import bridging
import efferent
import gymnasium
import numpy as np
import pytest
from bridging import Walk, served
from efferent import _spaces, wire
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


def field(shape, dtype="f32", name="obs", role="observation"):
    return wire.Field(name, role, dtype, shape, 64)


def replay(name, recording, output="action", **options):
    """Actions of an in-process session over a recording, that is reset where the recording says so."""
    rows = recording.starts.shape[1]
    session = bridging.policy(name, **options).session(rows=rows)
    actions = []
    for t in range(len(recording.actions)):
        for row in np.flatnonzero(recording.starts[t]):
            session.reset(int(row))
        inputs = {k: v[t].astype(np.float32) for k, v in recording.observations.items()}
        actions.append(session.run(inputs)[output].reshape(recording.actions[t].shape))
    return np.stack(actions)


# ---- the loop ----


def test_a_single_environment_runs_its_episodes():
    seen = []
    with served("mlp", rate=50) as bridge, efferent.Plant(env := Walk(), bridge.endpoint) as plant:
        assert plant.client.welcome.rate == 50
        result = plant.run(episodes=3, seed=100, on_step=seen.append, on_episode=seen.append, record=True)
        again = plant.run(episodes=1, seed=100)
        assert bridge.stats["resets"] == 4
    assert (
        env.seeds == [100, 101, 102, 100]
        and result.lengths.tolist() == [5, 6, 7]
        and result.returns.tolist() == [5, 6, 7]
        and again.lengths.tolist() == [8]
    )
    assert result.mean_return == 6 and result.steps == 18 and result.latency.shape == (18,) and result.rate > 0
    assert 0 < result.latency_percentiles[0] <= result.latency_percentiles[1] <= result.latency_percentiles[2] < 10
    assert [e.index for e in seen if isinstance(e, efferent.plant.Episode)] == [0, 1, 2] and len(seen) == 21
    assert np.flatnonzero(result.recording.starts[:, 0]).tolist() == [0, 5, 11] and result.recording.counted.all()
    assert result.recording.actions.tobytes() == replay("mlp", result.recording).tobytes()
    # the environment saw them clipped to its bounds
    raw = np.clip(result.recording.actions.reshape(-1, 3), -0.2, 0.2)
    assert np.array_equal(np.stack(env.actions[:18]), raw) and (np.abs(raw) == np.float32(0.2)).any()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_rows_of_a_vector_are_reset_each_when_its_episode_ends(mode):
    envs = SyncVectorEnv([lambda n=n: Walk(3, 3, first=2 + 2 * n) for n in range(3)], autoreset_mode=mode)
    with served("counter", rows=3, options={"state": {"before": "after"}}) as bridge, efferent.Plant(
        envs, bridge.endpoint
    ) as plant:
        result = plant.run(episodes=7, seed=1, record=True)
        masked = bridge.stats["resets"]
    r = result.recording
    assert r.actions.tobytes() == replay("counter", r, state={"before": "after"}).tobytes()
    # each row gives its share, and every episode has its length
    assert [sum(e.row == i for e in result.episodes) for i in range(3)] == [3, 2, 2] and masked > 3
    for row in range(3):
        assert [e.length for e in result.episodes if e.row == row] == [
            2 + 2 * row + i for i in range(sum(e.row == row for e in result.episodes))
        ]
        assert [e.total for e in result.episodes if e.row == row] == [e.length for e in result.episodes if e.row == row]
        # between two starts lies one episode of counted steps
        starts = np.flatnonzero(r.starts[:, row])
        assert [int(r.counted[a:b, row].sum()) for a, b in zip(starts, starts[1:])] == [
            2 + 2 * row + i for i in range(len(starts) - 1)
        ]
    assert r.counted.all() == (mode != AutoresetMode.NEXT_STEP)


def test_make_vec_is_served_too():
    envs = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    with served("double", rows=2) as bridge, efferent.Plant(
        envs,
        bridge.endpoint,
        observe=lambda o: {"obs": o[:, None]},
        act=lambda a: (a[:, 0, 0] > a[:, 0, 1]).astype(np.int64),
    ) as plant:
        assert envs.single_observation_space.shape == space.shape
        result = plant.run(episodes=4, seed=3)
    assert len(result.episodes) == 4 and result.returns.min() > 1


def test_a_dict_is_matched_by_name_and_cast():
    space = spaces.Dict(
        {
            "vector": spaces.Box(-1, 1, (2, 3), np.float64),
            "image": spaces.Box(0, 255, (2, 6, 6), np.uint8),
            "mask": spaces.MultiBinary(5),
            "unused": spaces.Discrete(3),
        }
    )
    env = Walk(observation_space=space, action_space=spaces.Discrete(5))
    # MultiBinary is of integers, which do not become booleans without being asked
    with served("several") as bridge:
        with pytest.raises(
            efferent.ShapeError, match="input 'mask': the environment has int8, which does not become bool"
        ):
            efferent.Plant(env, bridge.endpoint)
        space["mask"].dtype = np.dtype(bool)
        with efferent.Plant(env, bridge.endpoint, constants={"mask": np.array([1, 1, 0, 1, 1], bool)}) as plant:
            result = plant.run(episodes=2, seed=1, record=True)
    assert len(result.episodes) == 2 and set(env.actions) <= {0, 1, 3, 4} and result.recording.actions.dtype == np.int64
    session = bridging.policy("several").session()
    for t, action in enumerate(result.recording.actions):
        assert np.array_equal(
            session.run({k: v[t] for k, v in result.recording.observations.items()})["action"].reshape(-1),
            action.reshape(-1),
        )


def test_a_callback_ends_the_run():
    with served("mlp") as bridge, efferent.Plant(Walk(), bridge.endpoint) as plant:
        assert len(plant.run(episodes=9, on_episode=lambda e: e.index < 1).episodes) == 2
        assert plant.run(episodes=9, on_step=lambda s: s.index < 6).steps == 7
        assert plant.run(episodes=1).lengths.tolist() == [8]
        with pytest.raises(efferent.ArgumentError, match="episodes is 0"):
            plant.run(0)


def test_an_environment_that_does_not_fit_is_refused_by_name():
    box = lambda *shape, dtype=np.float32: spaces.Box(-1, 1, shape, dtype)  # noqa: E731
    with served("mlp") as bridge:
        for env, error, text in [
            (
                Walk(seen=8),
                efferent.ShapeError,
                r"input 'obs': the environment has the observation Box.*, expected f32 \[1, 7\]",
            ),
            (
                Walk(done=4),
                efferent.ShapeError,
                r"output 'action': the policy gives f32 \[1, 3\], expected one action of Box",
            ),
            (
                Walk(observation_space=spaces.Dict({"a": box(3), "b": box(5)})),
                efferent.ShapeError,
                "input 'obs': .*'a', 'b' have 8 elements",
            ),
        ]:
            with pytest.raises(error, match=text):
                efferent.Plant(env, bridge.endpoint, connect_timeout=5.0)
        with pytest.raises(efferent.MismatchError, match="constant 'x': no such input, expected 'obs'"):
            efferent.Plant(Walk(), bridge.endpoint, constants={"x": 0})
        with pytest.raises(efferent.MismatchError, match="output 'y': found 0, expected one of 'action'"):
            efferent.Plant(Walk(), bridge.endpoint, output="y")
        with efferent.Plant(Walk(observation_space=spaces.Dict({"a": box(3), "b": box(4)})), bridge.endpoint) as plant:
            assert plant.run(episodes=1).lengths.tolist() == [5]
    with served("several") as bridge, pytest.raises(
        efferent.ShapeError, match="input 'image': no such observation, found 'vector'"
    ):
        efferent.Plant(Walk(observation_space=spaces.Dict({"vector": box(6)})), bridge.endpoint)


# ---- spaces ----


def test_observations_of_every_space_become_arrays():
    def observed(space, value, shape, dtype="f32"):
        return _spaces.observer(space, [field(shape, dtype)], {})(value)["obs"]

    assert observed(spaces.Discrete(4, start=1), np.array([3]), (1, 4)).tolist() == [[[0, 0, 1, 0]]]
    assert observed(spaces.Discrete(4), np.array([3]), (1,), "i64").tolist() == [[3]]
    assert observed(spaces.MultiDiscrete([2, 3]), np.array([[1, 2], [0, 0]]), (5,)).tolist() == [
        [0, 1, 0, 0, 1],
        [1, 0, 1, 0, 0],
    ]
    assert observed(spaces.MultiDiscrete([2, 3]), np.array([[1, 2]]), (2,)).tolist() == [[1, 2]]
    assert observed(spaces.MultiBinary([2, 2]), np.ones((1, 2, 2), np.int8), (4,)).shape == (1, 4)
    assert observed(spaces.Box(0, 255, (2, 3), np.uint8), np.ones((4, 2, 3), np.uint8), (1, 6), "u8").shape == (4, 1, 6)
    for space, shape, dtype in [
        (spaces.Box(-1, 1, (3,)), (3,), "i32"),
        (spaces.Discrete(4), (3,), "f32"),
        (spaces.Discrete(4), (4,), "i64"),
        (spaces.Text(3), (3,), "f32"),
    ]:
        with pytest.raises(efferent.ShapeError, match="input 'obs'"):
            observed(space, None, shape, dtype)


def test_actions_become_those_of_every_space():
    def acted(space, action, clip=True):
        action = np.asarray(action)
        return _spaces.actor(
            space, field(action.shape[1:], "f32" if action.dtype.kind == "f" else "i64", "action", "action"), clip
        )(action)

    floats = lambda *v: np.array([v], np.float32)  # noqa: E731
    assert acted(spaces.Box(-1, 2, (2,)), floats(-3, 3)).tolist() == [[-1, 2]]
    assert acted(spaces.Box(-1, 2, (2,)), floats(-3, 3), clip=False).tolist() == [[-3, 3]]
    assert acted(spaces.Box(0, 9, (2, 1), np.int32), floats(2.6, 3.2)).tolist() == [[[3], [3]]]
    assert acted(spaces.Discrete(3, start=5), floats(0, 2, 1)).tolist() == [6]
    assert acted(spaces.Discrete(3), np.array([[2]])).tolist() == [2]
    assert acted(spaces.MultiDiscrete([2, 3]), floats(1, 0, 0, 0, 1)).tolist() == [[0, 2]]
    assert acted(spaces.MultiDiscrete([2, 3]), np.array([[1, 2]])).tolist() == [[1, 2]]
    assert acted(spaces.MultiBinary(3), floats(-1, 0.5, 0)).tolist() == [[0, 1, 0]]
    with pytest.raises(efferent.NumericError, match="row 1 is not finite"):
        acted(spaces.Box(-1, 1, (1,)), np.array([[0], [np.nan]], np.float32))
    for space in (
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 2]),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Box(-1, 1, (2,)),
    ):
        with pytest.raises(efferent.ShapeError, match="output 'action'"):
            acted(space, floats(0, 1, 2))


# ---- imports ----


def test_a_simulator_needs_no_library():
    code = """
import sys, efferent
efferent.Plant, efferent.Client, efferent.BridgeTimeout
assert "efferent._library" not in sys.modules and "efferent.policy" not in sys.modules
print(sorted({m.split(".")[0] for m in sys.modules if hasattr(sys.modules[m], "__file__")} & {"numpy", "zmq", "msgpack", "gymnasium", "torch", "mujoco"}))
"""
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(bridging.PACKAGE), "EFFERENT_LIBRARY": "/none"},
    )
    assert out.stdout.strip() == "['gymnasium', 'msgpack', 'numpy']"  # zmq at the first endpoint of ZeroMQ
