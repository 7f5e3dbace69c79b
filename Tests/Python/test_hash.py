"""A policy's hash is that of its bytes and of the options that change what it does: the same on every instruction set,
another after a swap."""
import os
import struct
import subprocess
import sys
from pathlib import Path

import bridging
import efferent
import headers
import models
import numpy as np
import onnx
import pytest

PACKAGE = str(Path(efferent.__file__).resolve().parents[1])
P1, P2, P3, P4, P5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MASK = 2**64 - 1


def xxh64(data):
    """XXH64 with seed 0, as its specification has it."""
    def turn(x, n):
        return (x << n | x >> 64 - n) & MASK

    def round_(lane, x):
        return turn((lane + x * P2) & MASK, 31) * P1 & MASK

    at, lanes = 0, [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
    while len(data) - at >= 32:
        lanes = [round_(lane, x) for lane, x in zip(lanes, struct.unpack_from("<4Q", data, at))]
        at += 32
    h = P5
    if len(data) >= 32:
        h = sum(turn(x, n) for x, n in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = ((h ^ round_(0, lane)) * P1 + P4) & MASK
    h = (h + len(data)) & MASK
    while len(data) - at >= 8:
        h = (turn(h ^ round_(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & MASK
        at += 8
    if len(data) - at >= 4:
        h = (turn(h ^ struct.unpack_from("<I", data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = turn(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def test_the_twin_knows_the_published_values():
    assert (xxh64(b""), xxh64(b"abc")) == (0xEF46DB3751D8E999, 0x44BC2CF5AD770999)


@pytest.mark.parametrize("padding", range(0, 70, 3))
def test_it_is_the_hash_of_the_file(tmp_path, padding):
    made = models.mlp()
    made.doc_string = "x" * padding
    (tmp_path / "p.onnx").write_bytes(made.SerializeToString())
    want = xxh64(made.SerializeToString())
    assert efferent.Policy(tmp_path / "p.onnx").hash == efferent.Policy(made.SerializeToString()).hash == want


# options that change what the policy does, each with one value; and those that do not
MEANING = {
    "weights": dict(weights="bf16"), "layer_weights": dict(weights=["bf16", "f32", "f32"]), "no_state": dict(state=()),
    "action": dict(action="action"), "observation": dict(observation="obs"), "outputs": dict(outputs=["action"]),
    "dims": dict(dims={"batch": 1}), "constants": dict(constants={"obs": np.zeros((1, 7), np.float32)}),
    "states": dict(state={"obs": "action"}),
}
NEUTRAL = {"allocator", "memory_limit", "folder", "learnable", "locked"}
COUNTS = {"dim_count", "constant_count", "state_count", "layer_count", "output_count"}


def test_every_option_is_decided():
    """A field that is not in these lists has no decision yet: add it to PolicyOptions.addMeaning and MEANING, or to
    NEUTRAL."""
    fields = {name for name, _ in headers.fields(headers.source())["eff_policy_options"]} - {"struct_size"}
    undecided = fields - set(MEANING) - NEUTRAL - COUNTS
    assert not undecided


@pytest.mark.parametrize("name", MEANING)
def test_options_that_change_the_meaning_change_the_hash(name):
    data = models.mlp().SerializeToString()
    try:
        changed = efferent.Policy(data, **MEANING[name])
    except efferent.Error:
        pytest.skip(f"this model takes no {name}")
    assert changed.hash != efferent.Policy(data).hash
    assert changed.hash == efferent.Policy(data, **MEANING[name]).hash


def test_options_that_mean_nothing_do_not():
    data = models.mlp().SerializeToString()
    assert efferent.Policy(data, learnable=True, memory_limit=1 << 26).hash == efferent.Policy(data).hash


def test_external_data_belongs_to_it(tmp_path):
    def saved(factor):
        made = models.mlp()
        for w in made.graph.initializer:
            w.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w) * np.float32(factor), w.name))
        (tmp_path / "p.data").unlink(missing_ok=True)  # onnx would append to it
        onnx.save(made, tmp_path / "p.onnx", save_as_external_data=True, location="p.data", size_threshold=0)
        return efferent.Policy(tmp_path / "p.onnx"), (tmp_path / "p.onnx").read_bytes()

    (one, model), (two, same) = saved(1), saved(2)
    assert model == same and one.hash != two.hash
    assert one.hash == saved(1)[0].hash


SCRIPT = """
import sys; sys.path[:0] = {path!r}
import efferent, bridging, models
policy = bridging.policy("mlp", weights="i8")
with efferent.Bridge(policy.session()) as bridge:
    bridge.start()
    with efferent.Client(bridge.endpoint) as client:
        session = client.welcome.policy_hash
learner = efferent.Learner(4, 2, seed=3)
with efferent.Bridge(learner) as bridge:
    bridge.start()
    with efferent.Client(bridge.endpoint) as client:
        print(policy.hash, session, client.welcome.policy_hash)
"""


def test_it_is_the_same_on_every_instruction_set():
    found = {}
    for level in ("naive", "sse2", "avx2", "avx512"):
        child = subprocess.run([sys.executable, "-c", SCRIPT.format(path=[PACKAGE, str(Path(__file__).parent)])],
                               env=os.environ | {"EFFERENT_ISA": level}, capture_output=True, text=True, timeout=60)
        if "does not have" in child.stderr:
            continue
        assert child.returncode == 0, child.stderr
        found[level] = child.stdout.split()
    assert len(found) >= 2 and len({tuple(v) for v in found.values()}) == 1, found
    policy, session, learner = next(iter(found.values()))
    assert policy == session and learner != session


def greeted(bridge):
    with efferent.Client(bridge.endpoint) as client:
        return client.welcome.policy_hash


def test_a_plant_is_told_the_new_one_after_a_swap():
    made = models.mlp()
    for w in made.graph.initializer:
        w.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w) * np.float32(0.5), w.name))
    first, second = bridging.policy("mlp"), efferent.Policy(made.SerializeToString())
    session = first.session()
    with efferent.Bridge(session) as bridge:
        bridge.start()
        assert greeted(bridge) == first.hash
        session.swap(second)
        assert greeted(bridge) == second.hash != first.hash


def test_a_learner_is_another_policy_after_it_learned(tmp_path):
    learner = efferent.Learner(4, 2, seed=3)
    with efferent.Bridge(learner) as bridge:
        bridge.start()
        before = greeted(bridge)
        assert greeted(bridge) == before
        bridge.stop()
        learner.act(np.ones(4))
        learner.update(np.zeros(4), 1.0)
        learner.act(np.zeros(4))
        learner.update(np.ones(4), -1.0)
        bridge.start()
        assert greeted(bridge) != before
    twin = efferent.Learner(4, 2, seed=3)
    with efferent.Bridge(twin) as bridge:
        bridge.start()
        assert greeted(bridge) == before
    learner.export(tmp_path / "learned.onnx")
    assert learner.policy().hash == efferent.Policy(tmp_path / "learned.onnx").hash


def test_a_session_that_a_learner_publishes_to_is_the_policy_that_the_learner_is():
    learner = efferent.Learner(4, 2, seed=3)
    session = learner.policy().session()
    publisher = learner.publisher(session)
    seen = set()
    for k in range(2):
        learner.act(np.full(4, k))
        learner.update(np.ones(4), 1.0)
        publisher.publish()
        with efferent.Bridge(learner) as bridge:
            bridge.start()
            of_learner = greeted(bridge)
        with efferent.Bridge(session) as bridge:
            bridge.start()
            assert greeted(bridge) == of_learner
        seen.add(of_learner)
    assert len(seen) == 2
