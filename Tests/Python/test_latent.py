"""A frozen generative policy is steered by its noise: what is learned, what stays, and what is refused."""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import efferent

FOLDER = Path(__file__).parents[2] / "examples/latent"
sys.path.insert(0, str(FOLDER))
POLICY = FOLDER / "reach_flow.onnx"


def made(inputs, nodes, path=None):
    """A policy of inputs {name: width} and `nodes`, whose action is [1, 2]."""
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w]) for n, w in inputs.items()]
    graph = helper.make_graph(nodes, "g", ports,
                              [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [1, 2])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def added(*names):
    """Nodes that add inputs of two numbers."""
    return [helper.make_node("Sum", list(names), ["actions"])]


def rollout(learner, env, steps):
    """Which of the episodes of so many steps reached the goal."""
    observation, found = env.reset(), []
    for _ in range(steps):
        observation, reward, ended, broken = env.step(learner.act(observation))
        learner.update(observation, reward, ended, broken)
        if ended or broken:
            found.append(reward == 1)
            observation = env.reset()
    return found


def test_one_way_is_shut():
    from reach import Reach

    learner = efferent.LatentLearner(POLICY, seed=100)
    frozen = efferent.LatentLearner(POLICY, seed=101)
    frozen.learner.freeze("actor", "critic")
    before = np.mean(rollout(frozen, Reach(True, 100), 8_000))
    assert 0.3 < before < 0.65, "the policy by itself takes either way"
    assert np.mean(rollout(learner, Reach(True, 100), 15_000)[-100:]) > 0.85
    # the policy is what it was: by onnxruntime, from the file
    seen = np.float32([[0.1, -0.5, 0.2, 0.3]])
    action = learner.infer(seen)
    noise = np.array(learner.session.input("noise"))
    expected = onnxruntime.InferenceSession(str(POLICY)).run(None, {"obs": seen, "noise": noise})[0]
    np.testing.assert_allclose(action, expected, atol=1e-5)


def test_noise_is_standard_normal_at_first():
    learner = efferent.LatentLearner(made({"obs": 3, "noise": 2}, added("noise", "noise")), seed=5)
    random = np.random.default_rng(5)
    noise = np.array([learner.act(random.normal(size=3))[0] / 2 for _ in range(4000)])
    assert np.abs(noise.mean(0)).max() < 0.1 and np.abs(noise.std(0) - 1).max() < 0.1
    assert np.abs(noise).max() <= 3


def test_action_is_that_of_the_policy():
    learner = efferent.LatentLearner(POLICY, seed=2)
    session = onnxruntime.InferenceSession(str(POLICY))
    random = np.random.default_rng(2)
    for choose in (learner.act, learner.infer):
        seen = random.normal(size=(1, 4)).astype(np.float32)
        action = choose(seen)
        noise = np.array(learner.session.input("noise"))
        np.testing.assert_allclose(action, session.run(None, {"obs": seen, "noise": noise})[0], atol=1e-5)


def test_goes_on_bit_for_bit(tmp_path):
    from reach import Reach

    first = efferent.LatentLearner(POLICY, seed=3)
    rollout(first, Reach(True, 3), 500)
    first.save(tmp_path / "noise")
    second = efferent.LatentLearner(POLICY, seed=4)
    second.restore(tmp_path / "noise")
    seen = np.float32([0.1, -0.5, 0.2, 0.3])
    np.testing.assert_array_equal(first.infer(seen), second.infer(seen))
    assert bytes(first.learner) == bytes(second.learner)


def test_several_observations():
    learner = efferent.LatentLearner(made({"a": 2, "eps": 2, "b": 2}, added("a", "b", "eps")), sees=["b"])
    assert learner.latent == "eps" and learner.learner.observations == 2
    action = learner.infer({"a": [1, 2], "b": [[10, 20]]})
    np.testing.assert_allclose(action - learner.session.input("eps"), [[11, 22]], rtol=1e-6)
    with pytest.raises(efferent.ArgumentError, match="a, b"):
        learner.act([1, 2])
    with pytest.raises(efferent.ArgumentError, match="observation has a, expected a, b"):
        learner.act({"a": [1, 2]})
    with pytest.raises(efferent.ShapeError, match="b has 3 numbers, expected 2"):
        learner.act({"a": [1, 2], "b": [1, 2, 3]})


def test_state_begins_anew_with_an_episode():
    nodes = [helper.make_node("Sum", ["obs", "noise", "h_in"], ["actions"]),
             helper.make_node("Add", ["obs", "h_in"], ["h_out"])]
    graph = onnx.load_from_string(made({"obs": 2, "noise": 2, "h_in": 2}, nodes))
    graph.graph.output.append(helper.make_tensor_value_info("h_out", TensorProto.FLOAT, [1, 2]))
    learner = efferent.LatentLearner(graph.SerializeToString())

    def state():
        return (learner.act([1, 2]) - learner.session.input("noise"))[0]

    np.testing.assert_allclose(state(), [1, 2], rtol=1e-5)
    learner.update([1, 2], 0.0)
    np.testing.assert_allclose(state(), [2, 4], rtol=1e-5)
    learner.update([1, 2], 0.0, terminated=True)
    np.testing.assert_allclose(state(), [1, 2], rtol=1e-5)


@pytest.mark.parametrize("inputs, options, message", [
    ({"obs": 2, "other": 2}, {}, "0 of the inputs obs, other are noise by their names, expected 1"),
    ({"noise": 2, "z": 2}, {}, "2 of the inputs noise, z are noise"),
    ({"obs": 2, "noise": 2}, {"latent": "x"}, "latent 'x' does not exist, expected one of obs, noise"),
    ({"obs": 2, "noise": 2}, {"sees": ["noise"]}, "sees: 'noise' is not one of obs"),
    ({"noise": 2, "obs": 2}, {"sees": []}, "would see nothing"),
    ({"obs": 2, "noise": 2}, {"limit": 0}, "limit is 0, expected more than 0"),
])
def test_refusals(inputs, options, message):
    with pytest.raises(efferent.ArgumentError, match=message):
        efferent.LatentLearner(made(inputs, added(*inputs)), **options)
