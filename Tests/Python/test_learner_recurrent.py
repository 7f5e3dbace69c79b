"""Described networks with recurrent trace units: exact real-time recurrent learning against complex steps and
back-propagation through time, and tasks that need a memory."""
import efferent
import numpy as np
import onnxruntime
import pytest
from cells import Diagonal, Influence
from efferent.learner import Learner
from test_learner_cells import STILL, conditioning, stream

ALGORITHMS = [("stream-td", 0), ("stream-q", 3), ("stream-sarsa", 3), ("stream-ac", 2), ("stream-ac-discrete", 3)]


@pytest.mark.parametrize("isa", ["naive", "sse2", None])
def test_the_gradient_is_exact(isa, monkeypatch):
    """Over 50 steps: that of real-time recurrent learning, which is that of back-propagation through time."""
    if isa:
        monkeypatch.setenv("EFFERENT_ISA", isa)
    options = STILL | dict(no_observation_norm=1, sparsity=0.0, no_layer_norm=1, activation="identity", seed=4)
    learner = Learner(3, 0, "stream-td", hidden=[5], recurrent_units=4, **options)
    unit = Diagonal(3, 4)
    at = np.concatenate([learner[f"critic.w.recurrent.{k}"].ravel() for k in ("weight", "poles")])
    found, rng = Influence(unit, exact=True), np.random.default_rng(3)
    head = (learner["critic.w.out.weight"] @ learner["critic.w.l1.weight"])[0, :8]
    seen, given, worst = rng.standard_normal(3), [], 0.0
    for _ in range(50):
        j = found.step(at, seen)
        given.append(seen)
        features = np.concatenate([found.state, seen])
        value = learner["critic.w.out.weight"] @ learner["critic.w.l1.weight"] @ features
        assert abs(learner.act(seen)[0] - value[0]) < 1e-12  # biases are 0
        seen = rng.standard_normal(3)
        learner.update(seen, rng.standard_normal())
        trace = np.concatenate([learner[f"critic.e.recurrent.{k}"].ravel() for k in ("weight", "poles")])
        worst = max(worst, np.abs(trace + head @ j).max())

    def unrolled(t):
        state = np.zeros(8, complex)
        for x in given:
            state = unit.step(t, x, state)
        return np.array([head @ state])

    assert worst < 1e-12
    assert np.abs(trace + unit.jacobian(unrolled, at)[0]).max() < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_a_prediction_that_needs_a_memory_is_learned(seed):
    """A cue, nine steps that look all alike, and a reward that is the cue. What sees only the present step says the
    same whatever the cue was, which is off by 1 in the mean square at best."""
    options = dict(gamma=0.95, lambda_=0.9, seed=seed, no_observation_norm=1, no_reward_scaling=1)
    remembers = conditioning(Learner(2, 0, "stream-td", hidden=[16], recurrent_units=8, **options), seed, 10, 3000)
    forgets = conditioning(Learner(2, 0, "stream-td", hidden=[16], **options), seed, 10, 3000)
    assert remembers[-300:].mean() < 0.1 and forgets[-300:].mean() > 0.9


def maze(learner, seed, length, episodes):
    """A T-maze: what is seen at the start says where to turn at the end. Which episodes were won."""
    rng, won = np.random.default_rng(seed), []
    for _ in range(episodes):
        cue = rng.integers(2)
        seen = np.array([2 * cue - 1.0, 0.0, 0.0])
        for step in range(length):
            learner.act(seen)
            seen = np.array([0.0, step < length - 1, step == length - 1], float)
            learner.update(seen, 0.0)
        won.append(learner.act(seen) == cue)
        learner.update(np.zeros(3), 1.0 if won[-1] else -1.0, terminated=True)
    return np.array(won)


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_that_needs_a_memory_is_learned(seed):
    """Without one, half of the episodes are won whatever is learned."""
    options = dict(hidden=[16], optimizer="intentional", no_observation_norm=1, gamma=0.95, lambda_=0.9,
                   epsilon_steps=5000, seed=seed)
    remembers, forgets = (maze(Learner(3, 2, "stream-q", recurrent_units=n, **options), seed, 8, 2500) for n in (8, 0))
    assert remembers[-500:].mean() > 0.95 and forgets[-500:].mean() < 0.65


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("algorithm, actions", ALGORITHMS)
def test_a_checkpoint_continues_bit_for_bit(algorithm, actions, dtype):
    first, second = (Learner(5, actions, algorithm, hidden=[9], recurrent_units=6, seed=s, dtype=dtype, snapshots=2)
                     for s in (1, 2))
    stream(first, 70)
    second.restore_bytes(bytes(first))
    assert np.array_equal(stream(first, 60, seed=9), stream(second, 60, seed=9)) and bytes(first) == bytes(second)
    with pytest.raises(efferent.MismatchError):
        Learner(5, actions, algorithm, hidden=[9], recurrent_units=5, dtype=dtype, snapshots=2).restore_bytes(
            bytes(first))


@pytest.mark.parametrize("algorithm, actions", ALGORITHMS)
def test_what_was_learned_leaves_as_a_file_with_its_state_as_ports(algorithm, actions, tmp_path):
    learner = Learner(5, actions, algorithm, hidden=[9], recurrent_units=6, seed=3)
    before = learner[f"{'actor' if 'ac' in algorithm else 'critic'}.w.recurrent.poles"]
    stream(learner, 23 * 10)  # an episode has just ended
    assert not np.array_equal(before, learner[f"{'actor' if 'ac' in algorithm else 'critic'}.w.recurrent.poles"])
    learner.export(tmp_path / "learned.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "learned.onnx", providers=["CPUExecutionProvider"])
    own, names = learner.policy().session(), [o.name for o in session.get_outputs()]
    assert efferent.Policy(tmp_path / "learned.onnx").state == {"h_in": "h_out", "c_in": "c_out"}
    feed = {"h_in": np.zeros((1, 6), np.float32), "c_in": np.zeros((1, 6), np.float32)}
    learner.freeze("actor", "critic", "normalizers")
    x = np.random.default_rng(4).standard_normal((25, 5)).astype(np.float32)
    for k in range(24):
        out = dict(zip(names, session.run(None, feed | {"obs": x[k : k + 1]})))
        feed = {n: out[n.replace("in", "out")] for n in feed}
        learner.act(x[k])
        assert np.abs(np.ravel(own.step(x[k])) - out[names[0]].ravel()).max() < 1e-5
        assert np.abs(np.ravel(learner.infer(x[k])) - out[names[0]].ravel()).max() < 1e-5
        learner.update(x[k + 1], 0.0)


def test_an_episode_begins_without_a_memory():
    learner = Learner(2, 0, "stream-td", hidden=[4], recurrent_units=3, no_observation_norm=1)
    learner.freeze("critic", "normalizers")
    first = [learner.act([1.0, 0.0])[0]]
    learner.update([0.5, 1.0], 0.0)
    first.append(learner.act([0.5, 1.0])[0])
    learner.update([0.0, 0.0], 0.0, terminated=True)
    assert learner.act([1.0, 0.0])[0] == first[0]
    learner.update([0.5, 1.0], 0.0)
    assert learner.act([0.5, 1.0])[0] == first[1]


def test_too_many_units_are_refused():
    with pytest.raises(efferent.ArgumentError, match="recurrent_units"):
        Learner(3, 1, recurrent_units=1 << 20)
