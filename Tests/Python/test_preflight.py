"""Pre-flight: every single change of a card is noticed by a recording or is listed here with the reason why it changes
nothing; what a recording that is not met stops; the command. The corpus of cards is changed in the same way where it is
there."""
import json
import re

import efferent
import numpy as np
import onnx
import pytest
from card_changes import changes
from efferent import preflight
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from suites import CARD_MANIFEST, CARDS

JOINTS = ["hip", "knee", "ankle"]
ROBOT = ["ankle", "spare", "hip", "knee"]  # the robot's order, with a joint that the policy does not know
GUARDS = [(), ("position",), ("velocity",), ("effort",), ("command",)]


def term(name, op, size, **more):
    return {"name": name, "op": op, "size": size, "scale": 1.0, "ages": [0], "fill": "first", **more}


def joint(default, kp, kd, lower, upper, velocity, effort):
    return {"default": default, "kp": kp, "kd": kd, "lower": lower, "upper": upper, "velocity_limit": velocity,
            "effort_limit": effort}


def card():
    """A card with everything that a number or an order can stand for."""
    stand = {"command": "velocity", "norm": "parts", "parts": [["lin_vel_x", "lin_vel_y"], ["ang_vel_z"]], "below": 0.1,
             "phases": [0.25, 0.3],
             "resume": "restart"}
    return {
        "efferent_card": 1, "policy_period": 0.02, "control_period": 0.01, "joint_order": JOINTS,
        "joints": {"hip": joint(0.1, 20.0, 0.5, -1.2, 0.9, 6.0, 12.0),
                   "knee": joint(-0.4, 30.0, 0.7, -1.5, 0.4, 7.0, 15.0),
                   "ankle": joint(0.3, 40.0, 0.9, -0.6, 1.1, 8.0, 18.0)},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}, "h_in": {"from": "memory:h"}},
                    "outputs": {"actions": {"to": "action"}, "h_out": {"to": "memory:h"}}}],
        "memory": {"h": {"shape": [1, 3], "dtype": "f32", "init": [0.1, 0.2, 0.3]}},
        "vectors": {"obs": {"layout": "term_major", "clip": [-20.0, 20.0], "terms": [
            term("gyro", "base_angular_velocity", 3, scale=0.25, ages=[2, 1, 0]),
            term("gravity", "projected_gravity", 3, scale=[1.0, 1.0, 1.0], offset=[0.0, 0.1, 0.2]),
            term("command", "command", 3, command="velocity", scale=[2.0, 2.5, 0.25], clip=[-0.5, 0.9]),
            term("position", "joint_position", 3, joints=JOINTS, minus_default=True,
                 clip=[[-3.0, 3.0], [-3.5, 3.5], [-4.0, 4.0]]),
            term("velocity", "joint_velocity", 3, joints=["ankle", "hip", "knee"], scale=0.05, scale_first=True,
                 clip=[-5.0, 5.0], zero=["knee"],
                 ages=[0, 2], fill="zero"),
            term("last", "last_action", 3, of="clipped", age=1),
            term("clock", "clock", 4, clock="gait", fn=["sin", "cos"]),
            term("turn", "command", 2, command="velocity", fields=["ang_vel_z", "lin_vel_x"],
                 zero_when={"command": "velocity", "norm": "l2", "below": 0.2}),
            term("fixed", "constant", 2, value=[0.5, -0.25]),
            term("scan", "signal", 2, signal="scan",
                 normalize={"mode": "mean_std", "mean": [0.1, 0.2], "std": [1.5, 2.0], "eps": 0.01})]}},
        "clocks": {"gait": {"period": 0.8, "phases": [0.0, 0.5], "init": 0.1, "advance": "before_use",
                            "advances_at_reset": 1, "wrap": "modulo",
                            "stand": stand}},
        "commands": {"velocity": {
            "signal": "command.velocity", "fields": ["lin_vel_x", "lin_vel_y", "ang_vel_z"],
            "units": ["m/s", "m/s", "rad/s"],
            "range": [[-0.6, 1.0], [-0.4, 0.4], [-1.0, 1.2]], "clamp": True, "slew": [30.0, 12.0, 40.0],
            "init": [0.1, 0.05, 0.2]}},
        "actions": [{
            "name": "legs", "type": "position", "model": "policy", "output": "actions", "index": [2, 0, 1],
            "joints": JOINTS, "clip_raw": [-4.0, 4.0],
            "scale": [0.5, 0.6, 0.7], "offset": "default", "clip": [[-1.4, 1.1], [-1.6, 0.5], [-0.8, 1.3]],
            "limits_velocity": [40.0, 45.0, 50.0],
            "post": [{"op": "torque_band", "limit": [45.0, 56.0, 67.0]},
                     {"op": "first_order", "alpha": 0.6, "init": "measured"}]}],
        "startup": {"kind": "ramp", "to": "given", "pose": [0.2, -0.5, 0.4], "seconds": 1.5,
                    "kp": [40.0, 50.0, 60.0], "kd": [1.5, 2.0, 2.5]},
        "safety": {"roll_limit": 0.6, "pitch_limit": 0.7, "data_age": 0.05, "slew": [30.0, 35.0, 32.0],
                   "fallback": [{"kind": "hold", "seconds": 0.06},
                                {"kind": "ramp", "seconds": 0.3, "kp": [20.0, 25.0, 30.0], "kd": [0.6, 0.8, 1.0]},
                                {"kind": "damping", "kd": [1.8, 2.0, 2.2]}]},
    }


def rare():
    """A second card, with what the first has not: two networks at two rates, a counter, a motion, increments, torque by
    PD, normalizers."""
    joints = {n: {"default": d, "kp": kp, "kd": kd}
              for n, d, kp, kd in (("a", 0.1, 20.0, 0.5), ("b", -0.4, 30.0, 0.7), ("c", 0.3, 40.0, 0.9),
                                   ("d", 0.0, 0.0, 1.1))}
    mean_std = {"mode": "mean_std", "mean": [0.1, 0.2], "std": [0.5, 0.7], "eps": 0.05, "eps_in_inverse": True}
    return {
        "efferent_card": 1, "policy_period": 0.02, "control_period": 0.005, "joint_order": ["a", "b", "c", "d"],
        "joints": joints, "target_init": "default",
        "models": [{"name": "encoder", "every": 2, "inputs": {"x": {"from": "vector:past"}},
                    "outputs": {"z": {"to": "vector:now"}}},
                   {"name": "policy", "inputs": {"obs": {"from": "vector:now"}, "step": {"from": "counter:step"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "counters": {"step": {"start": 2, "step": 3, "last": 40}},
        "vectors": {
            "past": {"layout": "time_major", "first_tick": "zeros", "terms": [
                term("euler", "base_euler_xyz", 3, ages=[3, 1, 0]),
                term("height", "base_height", 1, ages=[3, 1, 0], scale=2.0),
                term("effort", "joint_effort", 4, ages=[3, 1, 0], joints=["d", "a", "c", "b"])]},
            "now": {"layout": "term_major", "terms": [
                term("z", "model_output", 3, model="encoder", output="z", scale=[0.5, 0.6, 0.7]),
                term("target", "previous_target", 2, joints=["b", "a"], minus_default=True),
                term("apart", "signal_difference", 2, a="goal", b="hand"),
                term("reference", "reference_joint_position_velocity", 4, joints=["c", "a"]),
                term("anchor", "reference_anchor_position", 3),
                term("turn", "reference_anchor_orientation_6d", 6, layout="r00,r10,r20,r01,r11,r21"),
                term("wave", "clock", 2, clock="wave", fn=["cos", "sin"]), term("raw", "last_action", 4, of="raw")]}},
        "motion": {"kind": "file", "file": "given", "fps": 40.0, "bodies": ["foot", "torso"],
                   "anchor": {"robot": "torso", "body_index": 1},
                   "align": "yaw_and_position", "quaternion": "wxyz", "reference_age": 1, "end": "loop"},
        "commands": {"speed": {"signal": "command.speed", "fields": ["x"], "units": ["m/s"], "range": [[0.0, 2.0]],
                               "clamp": False}},
        "clocks": {"wave": {"frequency_from": {"command": "speed", "field": "x"}, "phases": [0.0], "init": 0.2,
                            "advance": "after_use", "wrap": "zero_above_one"}},
        "actions": [
            {"name": "steps", "type": "position_increment", "model": "policy", "output": "actions", "index": [1, 0],
             "joints": ["a", "b"], "scale": [0.04, 0.05],
             "offset": 0.01, "unnormalize": mean_std, "limits_position": [[-0.9, 1.1], [-1.4, 0.6]],
             "post": [{"op": "second_order_lowpass", "omega": 60.0, "sample_period": 0.005, "init": "given",
                       "value": [0.2, -0.3]}]},
            {"name": "torque", "type": "effort_pd", "model": "policy", "output": "actions", "index": [2],
             "joints": ["c"], "scale": 0.3, "offset": [0.25],
             "post": [{"op": "blend_from_default", "per_tick": 0.2},
                      {"op": "pd_torque", "kp": 15.0, "kd": 0.4, "limit": 6.0}]},
            {"name": "wheel", "type": "velocity", "model": "policy", "output": "actions", "index": [3], "joints": ["d"],
             "scale": 2.0, "offset": 0.0,
             "post": [{"op": "velocity_band", "limit": 5.0}]}],
        "safety": {"roll_limit": 0.5},
    }


def motion():
    """Frames of two bodies: a torso that turns and rises, a foot that does otherwise, and joints."""
    k = np.arange(9)
    turn = np.stack([np.cos(0.2 * k), 0 * k, 0 * k, np.sin(0.2 * k)], 1)
    lean = np.stack([np.cos(0.1 * k), np.sin(0.1 * k), 0 * k, 0 * k], 1)
    return {"joint_position": np.sin(k[:, None] * [0.5, 0.6, 0.7, 0.8]),
            "joint_velocity": np.cos(k[:, None] * [0.5, 0.6, 0.7, 0.8]),
            "body_position": np.stack([k[:, None] * [0.1, 0.0, 0.0], k[:, None] * [0.0, 0.05, 0.02]], 1),
            "body_orientation": np.stack([lean, turn], 1)}


def linear(path, inputs, outputs, seed):
    """A network of one random matrix, from all its inputs to all its outputs."""
    rng = np.random.default_rng(seed)
    w = (rng.normal(size=(sum(inputs.values()), sum(outputs.values()))) * 0.3).astype(np.float32)
    tensors = [[helper.make_tensor_value_info(n, T.FLOAT, [1, k]) for n, k in side.items()]
               for side in (inputs, outputs)]
    split = numpy_helper.from_array(np.array(list(outputs.values()), np.int64), "split")
    nodes = [helper.make_node("Concat", list(inputs), ["all"], axis=1), helper.make_node("MatMul", ["all", "w"], ["y"])]
    nodes.append(helper.make_node("Split", ["y", "split"], list(outputs), axis=1) if len(outputs) > 1
                 else helper.make_node("Identity", ["y"], list(outputs)))
    graph = helper.make_graph(nodes, "test", *tensors,
                              [numpy_helper.from_array(w, "w"), *([split] if len(outputs) > 1 else [])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return efferent.Policy(path, state={})


# path -> why the change does nothing, in the second card
INERT_RARE = {
    r"^joints\.d\.default$": "a wheel has no pose: no term shows its position, and its target is a velocity",
    r"^motion\.bodies<": "labels; the anchor is found by its index",
    r"^actions<": "each action writes joints of its own",
}

# path -> why the change does nothing
INERT = {
    r"memory\.h\.shape<": "the tensor has its own shape; the card's must have as many elements",
    r"terms\[8\]\.ages\[0\]": "a constant is the same at every age",
    r"stand\.parts(\[0\])?<": "a set of norms, each of a set of fields: no order",
}


def width(content):
    return sum(t["size"] * len(t["ages"]) for t in content["vectors"]["obs"]["terms"])


def network(path, content, gain=0.7):
    """h_out = tanh(w obs + h_in), actions = gain (w obs + h_in), with a w that tells every value from every other."""
    w = (np.random.default_rng(1).normal(size=(width(content), 3)) * 0.3).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["obs", "w"], ["x"]), helper.make_node("Add", ["x", "h_in"], ["s"]),
             helper.make_node("Tanh", ["s"], ["h_out"]), helper.make_node("Mul", ["s", "g"], ["actions"])]
    tensors = {n: helper.make_tensor_value_info(n, T.FLOAT, [1, k])
               for n, k in (("obs", len(w)), ("h_in", 3), ("h_out", 3), ("actions", 3))}
    graph = helper.make_graph(nodes, "test", [tensors["obs"], tensors["h_in"]], [tensors["actions"], tensors["h_out"]],
                              [numpy_helper.from_array(w, "w"), numpy_helper.from_array(np.float32([gain]), "g")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return efferent.Policy(network(tmp_path_factory.mktemp("net") / "policy.onnx", card()), state={})


def opened(content, policy, joints=ROBOT, **more):
    return efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": policy}, joints, **more)


def noticed(make, content, recordings):
    """Whether a change is refused at load or open, or a recording differs."""
    try:
        controller = make(content)
        return any(preflight.first_difference(controller, r) is not None for r in recordings)
    except efferent.Error:
        return True


def test_every_single_change_of_a_card_is_noticed_or_is_known_to_change_nothing(policy):
    recordings = [preflight.record(opened(card(), policy), guard=g) for g in GUARDS]
    for r in recordings:
        assert preflight.first_difference(opened(card(), policy), r) is None
    unnoticed = [path for path, changed in changes(card())
                 if not noticed(lambda c: opened(c, policy), changed, recordings)]
    assert [p for p in unnoticed if not any(re.search(rule, p) for rule in INERT)] == []
    assert [rule for rule in INERT
            if not any(re.search(rule, p) for p in unnoticed)] == [], "a reason that is no longer needed"


def test_every_single_change_of_a_card_with_rare_parts_is_noticed_or_is_known_to_change_nothing(tmp_path):
    policies = {"encoder": linear(tmp_path / "encoder.onnx", {"x": 24}, {"z": 3}, 2),
                "policy": linear(tmp_path / "policy.onnx", {"obs": 26, "step": 1}, {"actions": 4}, 3)}

    def make(content):
        return efferent.Controller(efferent.Card.from_json(json.dumps(content)), policies, ["d", "c", "b", "a", "e"],
                                   motion=motion())

    recordings = [preflight.record(make(rare()), guard=g) for g in ((), ("command",))]
    unnoticed = [path for path, changed in changes(rare()) if not noticed(make, changed, recordings)]
    assert [p for p in unnoticed if not any(re.search(rule, p) for rule in INERT_RARE)] == []
    assert [rule for rule in INERT_RARE
            if not any(re.search(rule, p) for p in unnoticed)] == [], "a reason that is no longer needed"


@pytest.mark.parametrize("change, words", [
    (lambda c: c["joints"]["knee"].update(kp=31.0), ["target 'kp' of joint 'knee'", "is 31", "has 30"]),
    (lambda c: c["joints"]["hip"].update(default=0.2), ["term 'position'", "joint 'hip'"]),
    (lambda c: c["vectors"]["obs"]["terms"][1].update(scale=-1.0, offset=None), ["term 'gravity'", "(x)"]),
    (lambda c: c["vectors"]["obs"]["terms"][0].update(scale=0.5), ["term 'gyro'", "age 2", "2 times the recording's"]),
    (lambda c: c["vectors"]["obs"]["terms"][0].update(scale=-0.25), ["term 'gyro'", "the other sign"]),
    (lambda c: c["vectors"]["obs"]["terms"][0].update(ages=[0, 1, 2]), ["term 'gyro'", "at tick"]),
    (lambda c: c["vectors"]["obs"]["terms"][7].update(fields=["lin_vel_x", "ang_vel_z"]),
     ["term 'turn'", "(lin_vel_x)", "another order: 1, 0"]),
    (lambda c: c.update(policy_period=0.03), ["policy_period is 0.03 s", "0.02 s"]),
    (lambda c: c.update(control_period=0.005), ["control_period is 0.005 s", "0.01 s"]),
    (lambda c: c["actions"][0].update(index=[0, 1, 2]), ["target 'position' of joint"]),
    (lambda c: c["safety"].update(roll_limit=0.5), ["is refused", "in the recording it is clean", "roll"]),
    (lambda c: c["commands"]["velocity"].update(units=["m/s", "m/s", "deg/s"]), ["command.velocity", "deg/s", "rad/s"]),
])
def test_a_wrong_card_is_told_by_its_first_wrong_term_joint_or_fact(policy, tmp_path, change, words):
    path = tmp_path / "robot.npz"
    preflight.record(opened(card(), policy)).save(path)
    content = card()
    change(content)
    with pytest.raises(efferent.MismatchError) as e:
        opened(content, policy, preflight=path)
    for word in ["robot.npz", *words]:
        assert word in str(e.value), str(e.value)


def test_a_mismatch_is_refused_unless_told_otherwise_and_the_controller_itself_is_not_ticked(policy, tmp_path):
    path = tmp_path / "robot.npz"
    preflight.record(opened(card(), policy)).save(path)
    with pytest.raises(efferent.FileError, match="robot.npz is there already"):
        preflight.record(opened(card(), policy)).save(path)
    c = opened(card(), policy, preflight=[path], slew_limit=0.001)  # what the robot adds is no mismatch
    assert c.report.ticks == 0 and c.report.refused == 0
    content = card()
    content["joints"]["knee"]["kd"] = 9.0
    with pytest.warns(efferent.PreflightWarning, match="'kd' of joint 'knee' at tick 0 is 9"):
        opened(content, policy, preflight=path, on_mismatch="warn")
    with pytest.raises(efferent.ArgumentError, match="on_mismatch.*'never'"):
        opened(card(), policy, on_mismatch="never")
    with pytest.raises(efferent.FileError, match="nowhere.npz"):
        opened(card(), policy, preflight=tmp_path / "nowhere.npz")
    (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:500])
    with pytest.raises(efferent.FormatError, match="torn.npz"):
        opened(card(), policy, preflight=tmp_path / "torn.npz")


def test_joints_of_a_recording_are_found_by_name(policy):
    recording = preflight.record(opened(card(), policy))
    assert preflight.first_difference(opened(card(), policy, ["hip", "knee", "extra", "ankle"]), recording) is None
    recording["joints"] = np.array(["ankle", "spare", "left_hip", "knee"])
    with pytest.raises(efferent.MismatchError,
                       match="joint 'hip' is not in the recording, which has ankle, spare, left_hip, knee"):
        preflight.first_difference(opened(card(), policy), recording)


def test_what_a_recording_does_not_hold_is_told_and_what_it_holds_too_much_is_a_difference(policy):
    recording = preflight.record(opened(card(), policy))
    del recording["out.kd"]
    recording["obs.policy.mask"] = recording["obs.policy.obs"]
    found = preflight.compare(opened(card(), policy), recording)
    assert found.unchecked == ["out.kd"]
    assert "obs.policy.mask, which this card's networks do not have" in found.first.what
    signals = {k: v for k, v in recording.items() if k.startswith("in.")}
    with pytest.raises(efferent.ArgumentError, match="nothing to compare"):
        preflight.compare(opened(card(), policy), signals)
    with pytest.raises(efferent.ArgumentError, match="not equally long"):
        preflight.compare(opened(card(), policy), {**recording, "in.scan": recording["in.scan"][:5]})


def test_another_network_is_noticed_by_its_output_and_named(policy, tmp_path):
    recording = preflight.record(opened(card(), policy))
    other = efferent.Policy(network(tmp_path / "other.onnx", card(), gain=0.8), state={})
    found = preflight.compare(opened(card(), other), recording)
    assert "output 'policy.actions' for joint" in found.first.what and "at tick 0" in found.first.what
    assert len(found.notes) == 1 and "network 'policy' is another file" in found.notes[0]


# ---- the corpus ----

CASES = {c["id"]: c for c in CARD_MANIFEST["cases"]}
CHANGED = ["playground_go1", "gym_g1_lstm", "gru_torque", "leapp_arm", "lerobot_arm"]


def items(content, path):
    """The object of the card that holds the last key of a path."""
    for key in re.findall(r"[^.\[\]]+", re.sub(r"<\w+>$", "", path))[:-1]:
        content = content[int(key) if isinstance(content, list) else key]
    return content


def terms(content):
    return [t for v in content["vectors"].values() for t in v["terms"]]


# path -> (whether it holds for this card, why the change does nothing)
REASONS = {
    r"^joint_order<": (lambda c, p: all(t.get("joints") for t in terms(c) if t["op"].startswith("joint_"))
                       and all(a["joints"] for a in c["actions"]),
                       "terms and actions name their joints; the order is for those that do not"),
    r"scale_first$": (lambda c, p: not items(c, p).get("clip") or set(np.ravel(items(c, p)["scale"])) == {1.0},
                      "no clip, or no scale"),
    r"^commands\.\w+\.fields<": (lambda c, p: not any(t.get("fields") for t in terms(c)),
                                 "labels of values in the signal's order, where no term picks some"),
    r"^commands\.\w+\.init(<|\[)": (lambda c, p: not items(c, p.split(".init")[0] + ".x").get("slew"),
                                    "where a slew begins, and there is none"),
    r"^joints\.\w+\.default$": (lambda c, p: all(a["type"] == "effort" for a in c["actions"])
                                and not any(t.get("minus_default") for t in terms(c)),
                                "no term and no position target has to do with the pose"),
    r"terms\[\d+\]\.normalize\.eps_in_inverse$": (lambda c, p: True, "a term is not normalized backwards"),
    r"\.eps$": (lambda c, p: items(c, p)["eps"] == 0 or items(c, p)["eps"] > 1, "never: it is noticed"),
    r"unnormalize\.eps$": (lambda c, p: not items(c, p)["eps_in_inverse"],
                           "an action is normalized backwards, where this card has no eps"),
    r"unnormalize\.eps_in_inverse$": (lambda c, p: items(c, p)["eps"] <= 1e-7, "an eps below what f32 tells apart"),
    r"clip(_raw)?(\[\d+\])*$": (lambda c, p: True, "a bound that nothing reached"),
    r"shape(<|\[)": (lambda c, p: True, "the tensor has its own shape; the card's must have as many elements"),
}


@pytest.mark.parametrize("name", CASES)
def test_recordings_of_others_are_met_and_a_changed_scale_is_not(name):
    """The corpus was computed by code that is not ours: as pre-flight it must be met, and no longer with another
    gain."""
    case = CASES[name]
    content = json.loads((CARDS / case["card"]).read_text())
    models = {n: efferent.Policy(CARDS / m, state={}) for n, m in case["models"].items()}
    folder = [str(CARDS / m) for m in case["models"].values()]
    units = {s: v.get("unit") for s, v in case["signals"].items()}

    def make(content):
        return efferent.Controller(efferent.Card.from_json(json.dumps(content)), dict(zip(models, folder)),
                                   case["robot_joints"], units=units)

    recording = {**preflight.Recording.load(CARDS / case["npz"]), "resets": case["resets"]}
    tolerance = (max(t[0] for t in case["tolerance"].values()), max(t[1] for t in case["tolerance"].values()))
    assert preflight.first_difference(make(content), recording, tolerance) is None
    action = content["actions"][0]
    scale = action.get("scale") or 1.0
    action["scale"] = [2 * s for s in scale] if isinstance(scale, list) else 2 * scale
    assert preflight.first_difference(make(content), recording, tolerance) is not None


@pytest.mark.parametrize("name", [n for n in CHANGED if n in CASES])
def test_every_single_change_of_a_card_of_the_corpus_is_noticed_or_has_its_reason(name):
    case = CASES[name]
    content = json.loads((CARDS / case["card"]).read_text())
    models = {n: efferent.Policy(CARDS / m, state={}) for n, m in case["models"].items()}

    def make(content):
        return efferent.Controller(efferent.Card.from_json(json.dumps(content)), models, case["robot_joints"])

    recordings = [preflight.record(make(content), guard=g) for g in GUARDS]
    every = list(changes(content))
    unnoticed = [path for path, changed in every if not noticed(make, changed, recordings)]
    assert [p for p in unnoticed
            if not any(re.search(rule, p) and holds(content, p) for rule, (holds, _) in REASONS.items())] == []
    bounds = [p for p in unnoticed if re.search(r"clip(_raw)?(\[\d+\])*$", p)]
    assert len(bounds) <= 0.05 * len(every), bounds
