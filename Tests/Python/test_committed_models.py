"""The policies of Tests/Models against what onnxruntime gave when they were made, and against onnxruntime as it is."""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import efferent

MODELS = Path(__file__).resolve().parents[1] / "Models"
sys.path.insert(0, str(MODELS))
import make_models as make  # noqa: E402


def recorded(name):
    """Sequences of observations and actions [sequences, steps, count]."""
    values = json.loads((MODELS / f"{name}.json").read_text())
    return values, np.array(values["observations"], np.float32), np.array(values["actions"], np.float32)


@pytest.mark.parametrize("name", make.MODELS)
def test_steps_give_what_onnxruntime_gave(name):
    values, observations, actions = recorded(name)
    policy = efferent.Policy(MODELS / values["model"])
    assert dict(policy.state) == values["states"]
    session = policy.session()
    shape = policy.inputs[0].shape
    for sequence, expected in zip(observations, actions):
        session.reset()
        found = [session.step(x.reshape(shape)).ravel().copy() for x in sequence]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", make.MODELS)
def test_script_makes_the_committed_model(name):
    assert make.MODELS[name]() == onnx.load(MODELS / f"{name}.onnx")


@pytest.mark.parametrize("name", make.MODELS)
def test_onnxruntime_gives_the_committed_actions(name):
    _, observations, actions = recorded(name)
    np.testing.assert_array_equal(make.observations(name, observations.shape[-1]), observations)
    found = make.run(onnx.load(MODELS / f"{name}.onnx"), observations)
    np.testing.assert_allclose(found, actions, rtol=1e-6, atol=1e-6)
