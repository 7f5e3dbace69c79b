"""Policy cards: what the reader refuses and how it says so, that nothing is lost, ONNX metadata of every convention,
and the corpus of EFFERENT_CARDS or ../shared/cards, compared as its own check.py does."""
import json
import random
import re
import struct

import efferent
import onnx
import pytest
from efferent import Card, Error
from onnx import TensorProto as T
from onnx import helper
from suites import CARD_MANIFEST, CARDS, card_check, supplied


def quadruped():
    """A card that uses most of the vocabulary."""
    joints = [f"leg{i}_{k}" for i in range(2) for k in ("hip", "knee")]
    velocity = {"command": "velocity", "norm": "l2", "below": 0.1}
    return {
        "efferent_card": 1, "convention": "card", "robot": "two legs", "policy_period": 0.02, "control_period": 0.005,
        "joint_order": joints,
        "joints": {j: {"default": 0.1 * i, "kp": 20.0, "kd": 0.5, "lower": -1, "upper": 2.5}
                   for i, j in enumerate(joints)},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}, "h_in": {"from": "memory:h"}},
                    "outputs": {"actions": {"to": "action"}, "h_out": {"to": "memory:h"}}}],
        "vectors": {"obs": {"layout": "term_major", "clip": [-50, 50], "terms": [
            {"name": "gyro", "op": "base_angular_velocity", "size": 3, "scale": 0.25, "clip": [-4, 4],
             "ages": [2, 1, 0], "fill": "zero"},
            {"name": "command", "op": "command", "size": 2, "command": "velocity", "fields": ["lin_vel_x", "ang_vel_z"],
             "scale": [2, 0.25]},
            {"name": "joint_pos", "op": "joint_position", "size": 4, "joints": joints, "minus_default": True,
             "zero": [joints[1]]},
            {"name": "joint_vel", "op": "joint_velocity", "size": 4, "scale": 0.05, "scale_first": True,
             "offset": [0, 0, 0, 1]},
            {"name": "action", "op": "last_action", "size": 4, "of": "clipped"},
            {"name": "phase", "op": "clock", "size": 4, "clock": "gait", "fn": ["sin", "cos"],
             "zero_when": velocity}]}},
        "memory": {"h": {"shape": [1, 1, 8], "dtype": "f32", "init": 0}},
        "clocks": {"gait": {"period": 0.7, "phases": [0, 0.5], "advance": "before_use",
                            "stand": {**velocity, "phases": [0.5, 0.5], "resume": "restart"}}},
        "commands": {"velocity": {"signal": "command.velocity", "fields": ["lin_vel_x", "lin_vel_y", "ang_vel_z"],
                                  "units": ["m/s", "m/s", "rad/s"],
                                  "range": [[-1, 1], [-0.5, 0.5], None], "clamp": True, "slew": 2.0}},
        "actions": [{"name": "legs", "type": "position", "model": "policy", "output": "actions", "index": [0, 1, 2, 3],
                     "joints": joints,
                     "clip_raw": [-1, 1], "scale": [0.25, 0.5, 0.25, 0.5], "offset": "default",
                     "post": [{"op": "torque_band", "limit": 30}]}],
    }


def test_nothing_is_lost_and_null_stays_null():
    card = quadruped()
    card["joints"]["leg0_hip"]["kp"] = None
    card["note"] = {"who": "ä \" \\ \u0001 😀",
                    "deep": [[], {}, [None, True, -0.0, 1e-320, 1.7976931348623157e308, 123456789012345680]]}
    made = Card.from_json(json.dumps(card))
    assert json.loads(made.to_json()) == card and list(json.loads(made.to_json())) == list(card)
    assert Card.from_json(made.to_json()).to_json() == made.to_json() and made == Card.from_json(json.dumps(card))
    assert made.questions == ["joints.leg0_hip.kp"] and "kp" in made.answers["joints.leg0_hip.kp"]
    assert max(map(len, made.to_json().split("\n"))) <= 140


def doubles(count, seed):
    r = random.Random(seed)
    found = []
    while len(found) < count:
        bits = r.getrandbits(64)
        if r.random() < 0.3:  # beside powers of two, where the gaps below and above differ
            bits = (bits & 0x7FF0000000000000) + r.randrange(-2, 3) & (1 << 64) - 1
        value = struct.unpack("<d", struct.pack("<Q", bits))[0]
        if r.random() < 0.3:
            value = round(r.uniform(-100, 100), r.randrange(9))
        if value == value and abs(value) != float("inf"):
            found.append(value)
    return found


def test_numbers_are_rounded_as_python_rounds_and_written_as_short():
    texts = []
    for i, value in enumerate(doubles(20_000, 1)):
        texts.append([repr(value), f"{value:.20e}", f"{value:.16e}"][i % 3])
    halves = [value for value in doubles(3_000, 2) if abs(value) < 1e300]
    from decimal import Decimal, localcontext
    from math import inf, nextafter

    with localcontext() as exact:
        exact.prec = 1100
        for value in halves:
            middle = format((Decimal(value) + Decimal(nextafter(value, inf))) / 2, "e")
            mantissa, exponent = middle.split("e")
            texts += [middle, f"{mantissa}{'' if '.' in mantissa else '.0'}00000001e{exponent}"]
    written = Card.from_json('{"efferent_card": 1, "note": [' + ",".join(texts) + "]}").to_json()
    found = re.search(r'"note": \[(.*)\]', written, re.S).group(1).replace(" ", "").replace("\n", "").split(",")
    for text, back in zip(texts, found, strict=True):
        assert struct.pack("<d", float(back)) == struct.pack("<d", float(text)), text
        digits = [re.sub(r"e.*|[-.]", "", t).strip("0") for t in (back, repr(float(text)))]
        assert digits[0] == digits[1], text


def change(path, value):
    def apply(card):
        *parents, last = path
        at = card
        for key in parents:
            at = at[key]
        if value is DELETE:
            del at[last]
        else:
            at[last] = value
    return apply


DELETE = object()
TERMS = ("vectors", "obs", "terms")
ACTION = ("actions", 0)
JOINTS = ["leg0_hip", "leg0_knee", "leg1_hip", "leg1_knee"]

# what is changed, the new value, the status, and words of the refusal
WRONG = [
    (("efferent_card",), 2, "UNSUPPORTED", ["efferent_card", "2"]),
    (("efferent_card",), "1", "FORMAT", ["efferent_card"]),
    (("efferent_card",), DELETE, "FORMAT", ["efferent_card", "missing"]),
    (("polcy_period",), 0.02, "FORMAT", ["polcy_period", "did you mean 'policy_period'"]),
    (("policy_period",), 0, "FORMAT", ["policy_period", "more than 0"]),
    (("policy_period",), float("inf"), "FORMAT", ["policy_period", "inf"]),
    (("control_period",), 0.003, "MISMATCH", ["policy_period", "0.02", "control_period", "0.003"]),
    (("joint_order",), JOINTS[:3] + JOINTS[:1], "FORMAT", ["joint_order", "leg0_hip", "twice"]),
    (("joint_order", 3), "leg1_kne", "MISMATCH", ["joint_order", "leg1_kne", "did you mean 'leg1_knee'"]),
    (("joints", "leg0_hip", "kp"), "20", "FORMAT", ["joints.leg0_hip.kp", "expected a number"]),
    (("joints", "leg0_hip", "kp"), -1, "FORMAT", ["joints.leg0_hip.kp", "-1"]),
    (("joints", "leg0_hip", "kp"), float("nan"), "FORMAT", ["joints.leg0_hip.kp", "nan"]),
    (("joints", "leg0_hip", "lower"), 3, "FORMAT", ["joints.leg0_hip", "lower limit 3", "2.5"]),
    (("joints", "leg0_hip", "stiffness"), 3, "FORMAT", ["joints.leg0_hip.stiffness"]),
    (("joints", "leg9"), {}, "MISMATCH", ["joints.leg9", "joint_order"]),
    (("models", 0, "inputs", "obs", "from"), "vector:ob", "MISMATCH",
     ["models[0].inputs.obs.from", "'ob'", "did you mean 'obs'"]),
    (("models", 0, "inputs", "obs", "from"), "vectr:obs", "UNSUPPORTED", ["vectr:obs"]),
    (("models", 0, "inputs", "x"), {"from": "model:policy.actions"}, "MISMATCH", ["models[0].inputs.x.from", "policy"]),
    (("models", 0, "inputs", "x"), {"from": "command:speed"}, "MISMATCH", ["'speed'"]),
    (("models", 0, "inputs", "x"), {"from": "counter:k"}, "MISMATCH", ["'k'", "counter"]),
    (("models", 0, "outputs", "h_out", "to"), "memory:g", "MISMATCH", ["'g'", "memory"]),
    (("models", 0, "outputs", "h_out", "to"), "ignore", "MISMATCH", ["memory 'h'", "no output writes"]),
    (("models", 0, "outputs", "extra"), {"to": "target"}, "MISMATCH",
     ["models[0].outputs.extra.to", "actions", "'extra'"]),
    (("models", 0, "outputs", "h_out", "to"), "reference:joint_pos", "UNSUPPORTED", ["joint_pos"]),
    (("models",), [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}}, "outputs": {f"{k}": {"to": to}}}
                   for k, to in (("actions", "action"), ("other", "ignore"))], "FORMAT", ["models", "policy", "twice"]),
    (("memory", "h", "init"), [0, 1], "FORMAT", ["memory.h.init", "2", "8"]),
    (("memory", "h", "shape"), [1, 0], "FORMAT", ["memory.h.shape", "0"]),
    (("memory", "h", "dtype"), "f16", "UNSUPPORTED", ["memory.h.dtype", "f16"]),
    (("vectors", "obs", "layout"), "time-major", "UNSUPPORTED", ["vectors.obs.layout", "did you mean 'time_major'"]),
    (("vectors", "obs", "layout"), "time_major", "MISMATCH", ["time_major", "ages", "command"]),
    (("vectors", "obs", "clip"), [1, -1], "FORMAT", ["vectors.obs.clip", "lower bound 1"]),
    ((*TERMS, 3, "scal"), 0.5, "FORMAT", ["joint_vel", "vectors.obs.terms[3].scal", "did you mean 'scale'"]),
    ((*TERMS, 0, "op"), "base_ang_vel", "UNSUPPORTED", ["gyro", "base_ang_vel"]),
    ((*TERMS, 0, "size"), 4, "SHAPE", ["gyro", "size", "4", "3"]),
    ((*TERMS, 0, "scale"), [1, 2], "FORMAT", ["gyro", "scale", "2", "3"]),
    ((*TERMS, 0, "clip"), [4, -4], "FORMAT", ["gyro", "clip", "4"]),
    ((*TERMS, 0, "ages"), [0, -1], "FORMAT", ["gyro", "ages", "-1"]),
    ((*TERMS, 0, "ages"), [0, 0.5], "FORMAT", ["gyro", "ages[1]", "0.5"]),
    ((*TERMS, 0, "ages"), [1, 1], "FORMAT", ["gyro", "ages", "twice"]),
    ((*TERMS, 0, "ages"), [], "FORMAT", ["gyro", "ages", "empty"]),
    ((*TERMS, 0, "fill"), "frist", "UNSUPPORTED", ["gyro", "fill", "did you mean 'first'"]),
    ((*TERMS, 0, "command"), "velocity", "FORMAT", ["gyro", "command", "base_angular_velocity"]),
    ((*TERMS, 0, "minus_default"), True, "FORMAT", ["gyro", "minus_default"]),
    ((*TERMS, 1, "command"), "speed", "MISMATCH", ["speed"]),
    ((*TERMS, 1, "fields"), ["lin_vel_x", "yaw"], "MISMATCH", ["yaw"]),
    ((*TERMS, 1, "size"), 3, "SHAPE", ["command", "3", "2"]),
    ((*TERMS, 2, "joints"), JOINTS[:3] + ["leg1_kne"], "MISMATCH", ["joint_pos", "leg1_kne", "leg1_knee"]),
    ((*TERMS, 2, "joints"), JOINTS[:3], "SHAPE", ["joint_pos", "4", "3"]),
    ((*TERMS, 2, "zero"), ["wheel"], "MISMATCH", ["joint_pos", "wheel"]),
    ((*TERMS, 4, "size"), 3, "SHAPE", ["action", "3", "4"]),
    ((*TERMS, 4, "of"), "rawest", "UNSUPPORTED", ["action", "rawest"]),
    ((*TERMS, 5, "clock"), "walk", "MISMATCH", ["phase", "walk"]),
    ((*TERMS, 5, "fn"), ["tan"], "UNSUPPORTED", ["phase", "tan"]),
    ((*TERMS, 5, "zero_when", "below"), DELETE, "FORMAT", ["phase", "zero_when.below"]),
    (("clocks", "gait", "frequency"), 2, "FORMAT", ["clocks.gait", "2 of period, frequency"]),
    (("clocks", "gait", "period"), DELETE, "FORMAT", ["clocks.gait", "0 of period"]),
    (("clocks", "gait", "period"), -1, "FORMAT", ["clocks.gait.period", "-1"]),
    (("clocks", "gait", "stand", "phases"), [0.5], "FORMAT", ["clocks.gait.stand.phases", "1", "2"]),
    (("clocks", "gait", "stand", "command"), "speed", "MISMATCH", ["clocks.gait.stand", "speed"]),
    (("commands", "velocity", "range"), [[-1, 1]], "FORMAT", ["commands.velocity.range", "1", "3"]),
    (("commands", "velocity", "range", 1), [1, -1], "FORMAT", ["commands.velocity.range[1]", "1", "-1"]),
    (("commands", "velocity", "range"), None, "FORMAT", ["commands.velocity.clamp", "range"]),
    (("commands", "velocity", "slew"), 0, "FORMAT", ["commands.velocity.slew"]),
    (("commands", "velocity", "fields"), ["a", "a", "b"], "FORMAT", ["commands.velocity.fields", "twice"]),
    ((*ACTION, "type"), "torque", "UNSUPPORTED", ["legs", "torque"]),
    ((*ACTION, "index"), [0, 1, 2], "FORMAT", ["legs", "index", "3", "4"]),
    ((*ACTION, "index"), [0, 1, 2, 2], "FORMAT", ["legs", "index", "twice"]),
    ((*ACTION, "joints", 1), "leg0_hip", "FORMAT", ["legs", "joints", "leg0_hip", "twice"]),
    ((*ACTION, "scale"), [1, 2, 3], "FORMAT", ["legs", "scale", "3", "4"]),
    ((*ACTION, "offset"), "defaults", "FORMAT", ["legs", "offset", "defaults"]),
    ((*ACTION, "offset"), {"command": "velocity"}, "MISMATCH", ["legs", "3 fields", "4 joints"]),
    ((*ACTION, "output"), "action", "MISMATCH", ["actions"]),
    ((*ACTION, "model"), "body", "MISMATCH", ["body"]),
    ((*ACTION, "clip"), [[0, 1]] * 3, "FORMAT", ["legs", "clip", "3", "4"]),
    ((*ACTION, "post", 0, "limit"), [1, 2], "FORMAT", ["legs", "post[0].limit", "2", "4"]),
    ((*ACTION, "post", 0, "alpha"), 0.5, "FORMAT", ["legs", "post[0].alpha", "torque_band"]),
    ((*ACTION, "post"), [{"op": "second_order_lowpass", "omega": 100, "sample_period": 0.001}], "MISMATCH",
     ["sample_period", "0.001", "0.005"]),
    ((*ACTION, "post"), [{"op": "pd_torque"}], "FORMAT", ["legs", "pd_torque", "position"]),
    (("motion",), {"kind": "in_model", "bodies": ["a"], "anchor": {"robot": "a", "body_index": 1}}, "MISMATCH",
     ["body_index", "1"]),
    (("safety",), {"tilt": 1}, "FORMAT", ["safety.tilt"]),
    (("actions",), "all", "FORMAT", ["actions", "expected a list"]),
    (("vectors",), [], "FORMAT", ["vectors", "expected an object"]),
]


@pytest.mark.parametrize("path, value, status, words", WRONG,
                         ids=lambda v: ".".join(map(str, v)) if isinstance(v, tuple) else None)
def test_what_is_wrong_is_refused_by_path(path, value, status, words):
    card = json.loads(json.dumps(quadruped()))
    change(path, value)(card)
    with pytest.raises(Error) as caught:
        Card.from_json(json.dumps(card), name="two_legs.json")
    text = str(caught.value)
    assert caught.value.status == status, text
    assert text.startswith("two_legs.json: ") and [w for w in words if w not in text] == [], text


def test_two_actions_for_one_joint_are_refused():
    card = quadruped()
    card["actions"].append({**card["actions"][0], "name": "again"})
    with pytest.raises(efferent.MismatchError, match="'again'.*leg0_hip.*'legs'"):
        Card.from_json(json.dumps(card))


@pytest.mark.parametrize("text",
                         ["", "{", "[]", "null", '{"efferent_card": 1} x', '{"efferent_card": 1, "efferent_card": 1}',
                          "{" * 99, '{"efferent_card": 1e999}'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(efferent.FormatError):
        Card.from_json(text)


def test_a_patch_is_merged_as_rfc_7386_says(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(quadruped()))
    patch = {"robot": None, "joints": {"leg0_hip": {"kp": 33, "lower": None}},
             "startup": {"kind": "ramp", "seconds": 2}}
    made = json.loads(Card.load(path, {"patch": patch}).to_json())
    expected = quadruped()
    del expected["robot"], expected["joints"]["leg0_hip"]["lower"]
    expected["joints"]["leg0_hip"]["kp"], expected["startup"] = 33, {"kind": "ramp", "seconds": 2}
    assert made == expected
    with pytest.raises(efferent.FormatError, match="card.json.*joints.leg0_hip.kq"):
        Card.load([path], {"patch": {"joints": {"leg0_hip": {"kq": 1}}}})
    with pytest.raises(efferent.MismatchError, match="supplied.joint_units"):
        Card.load(path, {"joint_units": "rad"})
    with pytest.raises(efferent.FormatError, match="supplied.*did you mean 'patch'"):
        Card.load(path, {"pach": {}})


# ---- ONNX metadata ----


def network(path, metadata, inputs, outputs):
    """A network whose outputs are constants: an importer reads names, shapes and metadata."""
    nodes = [helper.make_node("ConstantOfShape", [f"shape.{name}"], [name]) for name in outputs]
    shapes = [helper.make_tensor(f"shape.{name}", T.INT64, [len(s)], s) for name, s in outputs.items()]
    def ports(given):
        return [helper.make_tensor_value_info(k, *(v if isinstance(v, tuple) else (T.FLOAT, v)))
                for k, v in given.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", ports(inputs), ports(outputs), shapes),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


CSV = {"joint_names": "b, a", "joint_stiffness": "1,2", "joint_damping": "3,4.5", "default_joint_pos": "-0.100,1e-1",
       "command_names": "twist",
       "observation_names": "projected_gravity,joint_vel,command,actions", "action_scale": "0.25,0.5"}


def test_comma_lists_become_a_card(tmp_path):
    path = network(tmp_path / "p.onnx", {**CSV, "observation_history_lengths": "2,1,0,1", "policy_dt": "0.02"},
                   {"obs": ["n", 13]}, {"actions": [1, 2]})
    made = Card.load(path)
    card = json.loads(made.to_json())
    assert card["joint_order"] == ["b", "a"] and card["joints"]["a"] == {"default": 0.1, "kp": 2, "kd": 4.5}
    assert [(t["op"], t["size"], t["ages"]) for t in card["vectors"]["obs"]["terms"]] == [
        ("projected_gravity", 3, [1, 0]), ("joint_velocity", 2, [0]), ("command", 3, [0]), ("last_action", 2, [0])]
    assert card["actions"][0]["scale"] == [0.25, 0.5] and card["policy_period"] == 0.02 and made.questions == []
    with pytest.raises(efferent.ShapeError, match="13.*12|12.*13"):
        Card.load(network(tmp_path / "q.onnx", {**CSV, "observation_history_lengths": "1,1,0,2"}, {"obs": [1, 13]},
                          {"actions": [1, 2]}))


def test_the_order_of_gains_is_what_the_user_says(tmp_path):
    path = network(tmp_path / "p.onnx", CSV, {"obs": [1, 10]}, {"actions": [1, 2]})
    made = json.loads(Card.load(path,
                                {"gain_order": ["a", "b"], "policy_period": 0.02, "control_period": 0.01}).to_json())
    assert [made["joints"]["a"][k] for k in ("default", "kp", "kd")] == [0.1, 1, 3] and made["control_period"] == 0.01
    made = json.loads(Card.load(path, {"gain_order": "motor", "joint_names": ["a", "x", "b"]}).to_json())
    assert made["joints"]["b"]["kp"] == 2
    with pytest.raises(efferent.MismatchError, match="gain_order.*'b'"):
        Card.load(path, {"gain_order": ["a", "c"]})


def test_limits_go_to_the_joints(tmp_path):
    path = network(tmp_path / "p.onnx", CSV, {"obs": [1, 10]}, {"actions": [1, 2]})
    made = json.loads(Card.load(path,
                                {"limits": {"a": {"lower": -1, "upper": 1, "velocity": 8, "effort": 30}}}).to_json())
    assert made["joints"]["a"] == {"default": 0.1, "kp": 2, "kd": 4.5, "lower": -1, "upper": 1, "velocity_limit": 8,
                                   "effort_limit": 30}
    with pytest.raises(efferent.MismatchError, match="limits.c"):
        Card.load(path, {"limits": {"c": {"lower": -1}}})


@pytest.mark.parametrize("key, value, kind, words", [
    ("joint_names", "a,a", efferent.FormatError, "joint_names.*'a'.*twice"),
    ("joint_names", "a,", efferent.FormatError, "joint_names.*2 of 2.*empty"),
    ("joint_stiffness", "1,2,3", efferent.FormatError, "joint_stiffness.*3.*2"),
    ("joint_damping", "1,0x10", efferent.FormatError, r"joint_damping\[1\].*0x10"),
    ("joint_damping", "1,nan", efferent.FormatError, r"joint_damping\[1\].*nan"),
    ("default_joint_pos", "1,1e999", efferent.FormatError, "default_joint_pos"),
    ("action_scale", "1,2,3", efferent.FormatError, "action_scale.*3.*2"),
    ("observation_names", "gravity,foot_contact", efferent.UnsupportedError, "foot_contact"),
    ("observation_names", "motion_anchor_pos_b,command,actions", efferent.MismatchError,
     "motion_anchor_pos_b.*time_step"),
    ("command_names", "twist,height", efferent.MismatchError, "command_of.command"),
    ("observation_history_lengths", "1,2", efferent.FormatError, "observation_history_lengths.*2.*4"),
    ("observation_scales", "1,1,1,1", efferent.UnsupportedError, "observation_scales"),
    ("policy_dt", "0", efferent.FormatError, "policy_dt"),
    ("lookahead_steps", "5", efferent.UnsupportedError, "lookahead_steps.*5"),
    ("action_joint_names", "a,c", efferent.MismatchError, "action_joint_names.*'c'"),
])
def test_comma_lists_that_are_wrong_are_refused_by_key(tmp_path, key, value, kind, words):
    path = network(tmp_path / "p.onnx", {**CSV, key: value}, {"obs": [1, 10]}, {"actions": [1, 2]})
    with pytest.raises(kind, match="p.onnx: .*" + words):
        Card.load(path)


TRACKING = {**CSV, "command_names": "motion", "observation_names": "command,motion_anchor_ori_b,joint_pos,actions",
            "anchor_body_name": "torso", "body_names": "foot,torso"}
TABLES = {"actions": [1, 2], "joint_pos": [1, 2], "joint_vel": [1, 2], "body_pos_w": [1, 2, 3],
          "body_quat_w": [1, 2, 4]}


def test_a_motion_in_the_network_is_followed(tmp_path):
    made = json.loads(Card.load(network(tmp_path / "p.onnx", TRACKING, {"obs": [1, 14], "time_step": [1, 1]},
                                        TABLES)).to_json())
    assert made["motion"] == {"kind": "in_model", "bodies": ["foot", "torso"],
                              "anchor": {"robot": "torso", "body_index": 1}, "align": "yaw",
                              "quaternion": "wxyz", "reference_age": 1}
    assert made["models"][0]["inputs"]["time_step"] == {"from": "counter:motion"} and made["models"][0]["outputs"][
        "body_quat_w"
    ] == {"to": "reference:body_orientation"}
    assert made["prime_models"] == {"observation": "zero", "advance": True, "keep_action": False}
    with pytest.raises(efferent.ShapeError, match="body_names.*2.*3"):
        Card.load(network(tmp_path / "q.onnx", TRACKING, {"obs": [1, 14], "time_step": [1, 1]},
                          {**TABLES, "body_pos_w": [1, 3, 3]}))


def test_recurrent_state_is_seen_by_its_names(tmp_path):
    made = Card.load(network(tmp_path / "p.onnx", {}, {"obs": [1, 5], "h_in": [1, 1, 8], "c_in": [1, 1, 8]},
                             {"actions": [1, 2], "h_out": [1, 1, 8], "c_out": [1, 1, 8]}))
    card = json.loads(made.to_json())
    assert card["memory"]["c"] == {"shape": [1, 1, 8], "dtype": "f32", "init": 0}
    assert card["models"][0]["inputs"] == {"obs": {"from": "vector:obs"}, "h_in": {"from": "memory:h"},
                                           "c_in": {"from": "memory:c"}}
    assert {"policy_period", "control_period", "joint_order", "vectors",
            "actions"} <= set(made.questions) and "models" not in made.questions
    assert "models" in Card.load(network(tmp_path / "q.onnx", {}, {"a": [1, 5], "b": [1, 5]}, {"y": [1, 2]})).questions


def test_holosoma_leaves_its_presets_to_the_user(tmp_path):
    metadata = {"dof_names": '["b", "a"]', "kp": "[10, 11.5]", "kd": "[1, 2]", "command_ranges": "null"}
    made = Card.load(network(tmp_path / "p.onnx", metadata, {"actor_obs": [1, 5]}, {"action": [1, 2]}))
    card = json.loads(made.to_json())
    assert card["joints"] == {"b": {"default": None, "kp": 10, "kd": 1},
                              "a": {"default": None, "kp": 11.5, "kd": 2}} and card["commands"] == {}
    assert {"policy_period", "joints.default", "vectors", "actions.scale"} <= set(made.questions)
    patch = {"joints": {"a": {"default": 0}}}
    assert "joints.b.default" in Card.load(tmp_path / "p.onnx", {"patch": patch}).questions
    with pytest.raises(efferent.FormatError, match=r"kd\[1\].*nan"):
        Card.load(network(tmp_path / "q.onnx", {**metadata, "kd": "[1, NaN]"}, {"actor_obs": [1, 5]},
                          {"action": [1, 2]}))


EXPLOY = {"exploy_version": '"0.3.1"', "update_rate": "100.0", "decimation": "2", "base_names": '{"robot": "base"}',
          "obj.robot.joints": '{"joint_names": ["b", "a"]}',
          "output.joint_targets.legs": '{"type": "joint_targets", "names": ["a", "b"], "stiffness": [5, 6], "damping": '
                                       '[1, 2]}'}
EXPLOY_INPUTS = {"ctx.step_count": (T.INT32, []), "obj.robot.joints.pos": [1, 2], "memory.actions.in": [1, 2],
                 "obj.robot.base.w_Q_b": [1, 4]}
EXPLOY_OUTPUTS = {"output.joint_targets.legs.pos": [1, 2], "memory.actions.out": [1, 2], "actions": [1, 2]}


def exploy(path, metadata={}, inputs={}, outputs={}, without=()):
    keep = {k: v for k, v in {**EXPLOY, **metadata}.items() if k not in without}
    return network(path, keep, {**EXPLOY_INPUTS, **inputs},
                   {k: v for k, v in {**EXPLOY_OUTPUTS, **outputs}.items() if k not in without})


def test_exploy_names_become_signals_commands_and_memory(tmp_path):
    inputs = {"obj.robot.bodies.foot.pos_b_rt_w_in_w": [1, 3], "obj.robot.hand.w_Q_b": [1, 4],
              "sensor.imu.head.ang_vel_b_rt_w_in_b": [1, 3],
              "sensor.ray_caster.grid.height": [1, 9], "cmd.se2_velocity.walk": [1, 3], "cmd.se3_pose.hand": [1, 7],
              "cmd.boolean.stand": (T.BOOL, [1, 1]),
              "cmd.float.height": [1, 1], "custom.wind": [1, 2]}
    metadata = {"cmd.float.height": '{"range": [0.3, 0.5]}',
                "sensor.ray_caster.grid": '{"pattern_type": "grid", "resolution": 0.1}',
                "cmd.se2_velocity.walk": '{"ranges": {"lin_vel_x": [-1, 2]}}'}
    made = Card.load(exploy(tmp_path / "p.onnx", metadata, inputs))
    card = json.loads(made.to_json())
    sources = {k: v["from"] for k, v in card["models"][0]["inputs"].items()}
    assert sources == {
        "ctx.step_count": "counter:step", "obj.robot.joints.pos": "signal:joint.position",
        "memory.actions.in": "memory:actions",
        "obj.robot.base.w_Q_b": "signal:base.orientation",
        "obj.robot.bodies.foot.pos_b_rt_w_in_w": "signal:body.foot.position",
        "obj.robot.hand.w_Q_b": "signal:body.hand.orientation",
        "sensor.imu.head.ang_vel_b_rt_w_in_b": "signal:imu.head.angular_velocity",
        "sensor.ray_caster.grid.height": "signal:ray_caster.grid.height", "cmd.se2_velocity.walk": "command:velocity",
        "cmd.se3_pose.hand": "command:hand",
        "cmd.boolean.stand": "command:stand", "cmd.float.height": "command:height", "custom.wind": "signal:custom.wind"}
    assert card["commands"]["velocity"]["range"] == [[-1, 2], None,
                                                     None] and card["commands"]["height"]["range"] == [[0.3, 0.5]]
    assert card["commands"]["hand"]["fields"] == ["x", "y", "z", "qw", "qx", "qy", "qz"]
    assert (
        card["joint_order"] == ["b", "a"]
        and card["joints"]["a"] == {"default": None, "kp": 5, "kd": 1}
        and card["policy_period"] == 0.01
    )
    assert (
        card["actions"][0]["joints"] == ["a", "b"]
        and card["counters"]["step"] == {"start": 0, "step": 1, "last": None}
        and card["inner_decimation"] == 2
    )
    assert card["scans"] == {"grid": {"pattern_type": "grid",
                                      "resolution": 0.1}} and made.questions == ["joints.default"]


@pytest.mark.parametrize("change, kind, words", [
    ({"without": ["exploy_version"]}, efferent.FormatError, "exploy_version"),
    ({"without": ["update_rate"]}, efferent.FormatError, "update_rate"),
    ({"metadata": {"exploy_version": "0.3"}}, efferent.FormatError, "exploy_version"),
    ({"metadata": {"exploy_version": '"new"'}}, efferent.FormatError, "exploy_version.*new"),
    ({"metadata": {"update_rate": "fast"}}, efferent.FormatError, "update_rate.*fast"),
    ({"without": ["obj.robot.joints"]}, efferent.FormatError, "obj.robot.joints"),
    ({"metadata": {"obj.robot.joints": '{"joint_names": ["a"]}'}}, efferent.ShapeError, "obj.robot.joints.*1.*2"),
    ({"metadata": {"obj.robot.joints": '{"joint_names": ["a", "a"]}'}}, efferent.FormatError,
     "obj.robot.joints.*'a'.*twice"),
    ({"metadata": {"output.joint_targets.legs": '{"names": ["a", "b"], "stiffness": [5], "damping": [1, 2]}'}},
     efferent.FormatError, "stiffness.*1.*2"),
    ({"inputs": {"obj.robot.joints.temperature": [1, 2]}}, efferent.UnsupportedError, "obj.robot.joints.temperature"),
    ({"inputs": {"speed": [1, 2]}}, efferent.UnsupportedError, "'speed'"),
    ({"outputs": {"output.se2_velocity.base": [1, 3]}}, efferent.UnsupportedError, "output.se2_velocity.base"),
    ({"without": ["memory.actions.out"]}, efferent.MismatchError, "memory.actions.in.*memory.actions.out"),
    ({"inputs": {"obj.robot.base.w_Q_b": [1, 3]}}, efferent.ShapeError, "w_Q_b.*3.*4"),
])
def test_exploy_files_that_are_wrong_are_refused_by_name(tmp_path, change, kind, words):
    with pytest.raises(kind, match="p.onnx: .*" + words):
        Card.load(exploy(tmp_path / "p.onnx", **change))


def test_files_that_are_no_card_are_refused(tmp_path):
    with pytest.raises(efferent.FileError):
        Card.load(tmp_path / "nowhere.json")
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(efferent.FormatError, match="a.json.*efferent_card"):
        Card.load(tmp_path / "a.json")
    with pytest.raises(efferent.ArgumentError):
        Card.load([])


# ---- the corpus ----

CASES = {c["id"]: c for c in CARD_MANIFEST["cases"]}
EARLY = [n for n in CARD_MANIFEST["negatives"] if n["stage"] in ("import", "load")]


def load(entry):
    return Card.load([CARDS / f for f in entry["files"]], supplied(entry))


@pytest.fixture(scope="module")
def check():
    return card_check()


@pytest.mark.parametrize("name", CASES)
def test_cards_of_the_corpus_are_read_without_loss(name):
    for key in ("card", "imported"):
        if path := CASES[name].get(key):
            text = (CARDS / path).read_text()
            assert json.loads(Card.from_json(text).to_json()) == json.loads(text)


@pytest.mark.parametrize("name", [c for c in CASES if "card" in CASES[c]["tests"]])
def test_files_of_the_corpus_become_the_expected_card(check, name):
    if any(not f.endswith(".onnx") for f in CASES[name]["files"]):
        pytest.importorskip("yaml")
    found = json.loads(load(CASES[name]).to_json())
    assert not check.diff(check.norm(found), check.norm(json.loads((CARDS / CASES[name]["card"]).read_text())))


@pytest.mark.parametrize("name",
                         [c for c in CASES if CASES[c]["convention"] in ("csv_metadata", "holosoma_json", "exploy")])
def test_what_a_network_of_the_corpus_does_not_say_is_asked(check, name):
    made = Card.load([CARDS / f for f in CASES[name]["files"]])
    assert set(CASES[name]["asks"]) <= set(made.questions)
    assert not check.diff(check.norm(json.loads(made.to_json())),
                          check.norm(json.loads((CARDS / CASES[name]["imported"]).read_text())))


@pytest.mark.parametrize("entry", EARLY, ids=[n["id"] for n in EARLY])
def test_negatives_of_the_corpus_are_refused_by_name(entry):
    case = {**CASES[entry["base_case"]], **{k: v for k, v in entry.items() if k != "id"}}
    if any(not f.endswith(".onnx") for f in case["files"]):
        pytest.importorskip("yaml")
    with pytest.raises(Error) as caught:
        Card.from_json((CARDS / entry["card"]).read_text()) if entry["convention"] == "card" else load(case)
    text = str(caught.value).lower()
    assert caught.value.status == entry["status"]
    assert [w for w in entry["must_name"] if w.lower() not in text] == []
    assert all(any(w.lower() in text for w in words) for words in entry["any_of"])
