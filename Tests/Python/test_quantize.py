"""Storage of layers: chosen by hand, by a file's metadata, and by the error measured over recorded observations."""
import json
from pathlib import Path

import efferent
import models
import numpy as np
import onnxruntime
import pytest
from efferent.quantize import KEY, Quantizer, Recording, actions, with_metadata
from test_package import command

HALF_CHEETAH = Path(__file__).resolve().parents[2] / "examples/policies/half_cheetah.onnx"


def storage(policy):
    return [layer.weights for layer in policy.layers]


def reference(path, observations):
    """What onnxruntime answers to each observation."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.array([session.run(None, {name: o.reshape(1, -1)})[0][0] for o in observations])


def test_layers_are_stored_one_by_one():
    made = models.mlp(sizes=(48, 256, 128, 12)).SerializeToString()
    f32 = efferent.Policy(made)
    assert storage(f32) == ["f32"] * 3 and [layer.parameters for layer in f32.layers] == [48 * 256, 256 * 128, 128 * 12]
    mixed = efferent.Policy(made, weights="bf16", layer_weights=["i8", None, "f32"])
    assert storage(mixed) == ["i8", "bf16", "f32"]
    assert mixed.layers[0].op.endswith("i8") and mixed.layers[2].bytes == f32.layers[2].bytes
    assert mixed.layers[0].bytes < 0.4 * f32.layers[0].bytes and mixed.layers[1].bytes < 0.6 * f32.layers[1].bytes
    x = models.normal(1, 48, scale=1)
    far = np.abs(mixed.session().step(x) - f32.session().step(x)).max()
    assert 0 < far < 0.2


def test_metadata_says_how_layers_are_stored():
    made = models.mlp().SerializeToString()
    chosen = with_metadata(with_metadata(made, KEY, "f16,f16,f16"), KEY, "i8,bf16,f32")
    assert storage(efferent.Policy(chosen)) == ["i8", "bf16", "f32"]
    assert storage(efferent.Policy(chosen, weights="f32")) == ["f32"] * 3  # asked for, it wins
    assert efferent.Policy(chosen).metadata == {**efferent.Policy(made).metadata, KEY: "i8,bf16,f32"}


def test_storage_that_does_not_fit_is_refused():
    made = models.mlp().SerializeToString()
    with pytest.raises(efferent.MismatchError, match="layer_weights is for 2 layers, the policy has 3"):
        efferent.Policy(made, layer_weights=["i8", "i8"])
    with pytest.raises(efferent.MismatchError, match="metadata 'efferent.weights' is for 1 layers, the policy has 3"):
        efferent.Policy(with_metadata(made, KEY, "i8"))
    with pytest.raises(efferent.FormatError, match="'int8' is no storage of weights"):
        efferent.Policy(with_metadata(made, KEY, "int8,i8,i8"))
    with pytest.raises(efferent.ArgumentError, match=r"layer_weights\[1\] is 'f8'"):
        efferent.Policy(made, layer_weights=["i8", "f8", "i8"])


@pytest.mark.parametrize("bound", [0.3, 3e-2, 1e-5])
def test_the_choice_keeps_its_bound(bound):
    made = models.mlp(sizes=(48, 256, 128, 12)).SerializeToString()
    seen = np.random.default_rng(3).normal(size=(200, 48)).astype(np.float32)
    quantizer = Quantizer(lambda **options: efferent.Policy(made, **options),
                          Recording({"obs": seen}, np.arange(200) == 0))
    choice = quantizer.choose(bound)
    assert choice.error <= bound
    session, exact = (
        efferent.Policy(made, layer_weights=choice.weights).session(),
        efferent.Policy(made, weights="f32").session(),
    )
    assert max(np.abs(session.step(x) - exact.step(x)).max() for x in seen) == pytest.approx(choice.error)
    assert (choice.bytes < quantizer.exact_bytes) == (bound > 1e-5)
    # nothing could be stored in fewer bits alone
    for i, w in enumerate(choice.weights):
        for lower in ("i8", "bf16", "f16")[: ("i8", "bf16", "f16", "f32").index(w)]:
            assert quantizer.measure(choice.weights[:i] + [lower] + choice.weights[i + 1:]).error > bound


def test_recurrent_state_is_cleared_where_an_episode_begins():
    policy = efferent.Policy(models.lstm().SerializeToString(), weights="i8")
    seen = np.repeat(models.normal(1, 1, *policy.inputs["obs"].shape, scale=1), 6, axis=0)
    found = actions(policy, Recording({"obs": seen}, np.arange(6) == 3))
    assert np.array_equal(found[:3], found[3:]) and not np.array_equal(found[0], found[1])


def test_a_policy_is_recorded_and_quantized(tmp_path):
    pytest.importorskip("gymnasium")
    pytest.importorskip("mujoco")
    recorded, written = tmp_path / "seen.npz", tmp_path / "quantized.onnx"
    done = command("record", HALF_CHEETAH, "--steps", "300", "--seed", "7", "-o", recorded)
    assert done.returncode == 0, done.stderr
    done = command("quantize", HALF_CHEETAH, "--observations", recorded, "--max-action-error", "5e-3", "-o", written,
                   "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["error"] <= 5e-3 and told["bytes"] < 0.4 * told["bytes_f32"]
    policy = efferent.Policy(written)
    assert storage(policy) == told["weights"]
    # against the exact policy in onnxruntime, which also reads the written file
    seen = np.load(recorded)["obs"]
    exact = reference(HALF_CHEETAH, seen)
    session = policy.session()
    assert np.abs(np.array([session.step(x)[0] for x in seen]) - exact).max() <= 5e-3 + 1e-5
    assert np.array_equal(reference(written, seen[:10]), exact[:10])


def test_quantize_explains_what_it_cannot_use(tmp_path):
    nothing = tmp_path / "nothing.npz"
    np.savez(nothing, pressure=np.zeros((3, 2)), force=np.zeros((3, 2)))
    done = command("quantize", HALF_CHEETAH, "--observations", nothing)
    assert done.returncode == 1 and "expected an array for the input obs f32[1, 17]" in done.stderr.replace(
        "\n", " "
    ), done.stderr
    (tmp_path / "mlp.onnx").write_bytes(models.mlp().SerializeToString())
    done = command("record", tmp_path / "mlp.onnx", "-o", tmp_path / "x.npz")
    assert done.returncode == 1 and "--env" in done.stderr, done.stderr
