"""Importers of policy cards from YAML and JSON sidecars: the reader, and each convention on files written here. The
corpus of EFFERENT_CARDS or ../shared/cards is run by test_cards.py."""
import copy
import json

import pytest

import efferent
from efferent import _sidecars
from efferent._sidecars import item

yaml = pytest.importorskip("yaml")


def write(folder, name, text):
    path = folder / name
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    return path


def refused(files, kind, *words, supplied=None):
    with pytest.raises(kind) as caught:
        _sidecars.import_files(files, supplied)
    for word in words:
        assert word in str(caught.value), f"'{word}' is not in: {caught.value}"


# ---- the reader ----

def test_numbers_are_json_numbers_and_python_tags_run_nothing(tmp_path):
    path = write(tmp_path, "a.yaml", """
a: 1e-3
b: 1:30
c: 010
d: 2024-01-01
e: !!python/tuple [1, 2.5]
f: !!python/object/apply:builtins.slice [null, 3, null]
g: !!python/object/apply:os.system ["echo run > /dev/null; exit 1"]
h: &x [0.1, -0.1]
i: *x
""")
    v = item.read(path).value
    assert (v["a"], v["b"], v["c"], v["d"], v["e"]) == (0.001, "1:30", 10, "2024-01-01", [1, 2.5])
    assert v["f"].of(5) == [0, 1, 2] and v["g"] == ["echo run > /dev/null; exit 1"] and v["i"] == [0.1, -0.1]


@pytest.mark.parametrize("text, word", [
    ("a: 1\na: 2\n", "'a' is there twice"), ("a: [1, 2\n", "not YAML"), ("--- 1\n--- 2\n", "2 YAML documents"),
    ("a: &x [*x]\n", "recursive"), ("[" * 100 + "]" * 100, "nested"), ("? [1]\n: 2\n", "not YAML"),
])
def test_damaged_yaml_is_refused_by_name(tmp_path, text, word):
    path = write(tmp_path, "a.yaml", text)
    with pytest.raises(efferent.FormatError) as caught:
        item.read(path)
    assert word in str(caught.value) and "a.yaml" in str(caught.value)


def test_a_key_of_json_stands_once(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1, "a": 2}')
    with pytest.raises(efferent.FormatError, match="'a' is there twice"):
        item.read(path)


def test_a_file_of_no_convention_is_left_to_others(tmp_path):
    assert _sidecars.import_files([write(tmp_path, "a.yaml", {"hello": 1})]) is None


# ---- unitree deploy.yaml ----

DEPLOY = {
    "joint_ids_map": [2, 0, 1], "step_dt": 0.02, "stiffness": [10, 11, 12], "damping": [1.0, 1.1, 1.2],
    "default_joint_pos": [0.1, 0.2, 0.3],
    "commands": {"base_velocity": {"ranges": {"lin_vel_x": [-1, 1], "lin_vel_y": [-0.5, 0.5], "ang_vel_z": [-2, 2],
                                              "heading": None}}},
    "actions": {"JointPositionAction": {"clip": None, "joint_names": [".*"], "scale": [0.25, 0.25, 0.5],
                                        "offset": [0.1, 0.2, 0.3], "joint_ids": None}},
    "observations": {
        "base_ang_vel": {"params": {}, "clip": None, "scale": [0.2, 0.2, 0.2], "history_length": 2},
        "velocity_commands": {"params": {"command_name": "base_velocity"}, "clip": None, "scale": None,
                              "history_length": 1},
        "joint_pos_rel": {"params": {"asset_cfg": {"joint_ids": [2, 0]}}, "clip": [-1, 1], "scale": None,
                          "history_length": 1},
        "gait_phase": {"params": {"period": 0.8}, "clip": None, "scale": None, "history_length": 1},
    },
}
MOTORS = {"joint_names": ["hip", "knee", "ankle"]}


def deploy(tmp_path, change=None):
    made = copy.deepcopy(DEPLOY)
    if change:
        change(made)
    return [write(tmp_path, "deploy.yaml", made)]


def test_gains_are_in_motor_order_and_the_rest_in_policy_order(tmp_path):
    card = _sidecars.import_files(deploy(tmp_path), MOTORS)
    assert card["joint_order"] == ["ankle", "hip", "knee"]
    assert card["joints"]["ankle"] == {"default": 0.1, "kp": 12, "kd": 1.2}
    terms = card["vectors"]["obs"]["terms"]
    assert terms[0]["ages"] == [1, 0] and terms[2]["joints"] == ["knee", "ankle"] and terms[2]["clip"] == [-1, 1]
    assert card["commands"]["velocity"]["clamp"] and card["commands"]["velocity"]["range"][2] == [-2, 2]
    assert card["actions"][0]["offset"] == "default" and card["actions"][0]["scale"] == [0.25, 0.25, 0.5]


def test_gains_whose_order_the_file_cannot_say_are_asked_for(tmp_path):
    def change(made):
        made["joint_ids_map"] = [0, 4, 2]

    table = {"joint_names": ["a", "b", "c", "d", "e"]}
    refused(deploy(tmp_path, change), efferent.MismatchError, "gain_order", supplied=table)
    card = _sidecars.import_files(deploy(tmp_path, change), {**table, "gain_order": "policy"})
    assert card["joints"]["e"]["kp"] == 11
    refused(deploy(tmp_path, change), efferent.MismatchError, "stiffness", "motor 4",
            supplied={**table, "gain_order": "motor"})
    card = _sidecars.import_files(deploy(tmp_path, change), {**table, "gain_order": ["e", "c", "a"]})
    assert [card["joints"][n]["kp"] for n in ("a", "e", "c")] == [12, 10, 11]


@pytest.mark.parametrize("change, kind, words", [
    (lambda m: m["joint_ids_map"].__setitem__(0, 0), efferent.MismatchError, ["joint_ids_map", "0", "twice"]),
    (lambda m: m["joint_ids_map"].__setitem__(0, 3), efferent.MismatchError, ["joint_ids_map", "3"]),
    (lambda m: m["default_joint_pos"].pop(), efferent.FormatError, ["default_joint_pos", "2", "3"]),
    (lambda m: m["stiffness"].append(3), efferent.FormatError, ["stiffness", "4", "3"]),
    (lambda m: m.update(step_dt=0), efferent.FormatError, ["step_dt"]),
    (lambda m: m["observations"]["base_ang_vel"].update(scale=[1, 2]), efferent.FormatError,
     ["base_ang_vel", "scale", "2", "3"]),
    (lambda m: m["observations"]["base_ang_vel"].update(clip=[2, -2]), efferent.FormatError, ["base_ang_vel", "clip"]),
    (lambda m: m["observations"]["base_ang_vel"].update(history_length=2**62), efferent.FormatError,
     ["base_ang_vel", "history_length", "at most 1048576"]),
    (lambda m: m["observations"].update(foot_height={"params": {}}), efferent.UnsupportedError, ["foot_height"]),
    (lambda m: m["actions"].update(JointEffortAction={}), efferent.UnsupportedError, ["JointEffortAction"]),
    (lambda m: m["observations"]["joint_pos_rel"]["params"]["asset_cfg"].update(joint_ids=[3]), efferent.MismatchError,
     ["joint_ids", "3"]),
])
def test_what_is_wrong_in_deploy_yaml_is_named(tmp_path, change, kind, words):
    refused(deploy(tmp_path, change), kind, "deploy.yaml", *words, supplied=MOTORS)


def test_an_answer_without_meaning_is_refused(tmp_path):
    refused(deploy(tmp_path), efferent.ArgumentError, "joint_name", "joint_names", supplied={"joint_name": []})


def test_a_patch_is_merged_as_rfc_7386_says(tmp_path):
    card = _sidecars.import_files(deploy(tmp_path),
                                  {**MOTORS,
                                   "patch": {"control_period": 0.01, "joints": {"hip": {"kp": None, "lower": -1.0}}}})
    assert card["control_period"] == 0.01 and card["joints"]["hip"] == {"default": 0.2, "kd": 1.0, "lower": -1.0}


# ---- patterns ----

ENV = {
    "sim": {"dt": 0.005}, "decimation": 4,
    "scene": {"robot": {"init_state": {"joint_pos": {".*_hip": 0.1, ".*_knee": -0.5}}, "actuators": {
        "legs": {"class_type": "x:DCMotor", "joint_names_expr": [".*_hip", ".*_knee"],
                 "stiffness": {".*_hip": 20.0, ".*_knee": 30.0}, "damping": 1.0}}}},
    "observations": {"policy": {
        "concatenate_terms": True, "history_length": None, "flatten_history_dim": True,
        "pos": {"func": "m:joint_pos_rel",
                "params": {"asset_cfg": {"joint_names": ["r_.*", "l_.*"], "preserve_order": True}}, "scale": 2.0},
        "cmd": {"func": "m:generated_commands", "params": {"command_name": "base_velocity"}, "history_length": 3},
        "act": {"func": "m:last_action", "params": {}}}},
    "actions": {"pos": {"class_type": "m:JointPositionAction", "joint_names": [".*"], "scale": {".*_knee": 0.5},
                        "use_default_offset": True}},
}
LEGS = {"joint_order": ["l_hip", "r_hip", "l_knee", "r_knee"]}


def env(tmp_path, change=None):
    made = copy.deepcopy(ENV)
    if change:
        change(made)
    return [write(tmp_path, "env.yaml", made)]


def test_patterns_match_whole_names(tmp_path):
    card = _sidecars.import_files(env(tmp_path), LEGS)
    assert [card["joints"][n]["kp"] for n in LEGS["joint_order"]] == [20.0, 20.0, 30.0, 30.0]
    terms = card["vectors"]["obs"]["terms"]
    assert terms[0]["joints"] == ["r_hip", "r_knee", "l_hip",
                                  "l_knee"] and terms[1]["ages"] == [2, 1, 0] and terms[2]["size"] == 4
    # joints that no pattern of the scale matches keep 1, as in Isaac Lab
    assert card["actions"][0]["scale"] == [1.0, 1.0, 0.5, 0.5]


def test_a_history_length_of_the_group_overrides_those_of_its_terms(tmp_path):
    card = _sidecars.import_files(env(tmp_path, lambda m: m["observations"]["policy"].update(history_length=2)), LEGS)
    assert {tuple(t["ages"]) for t in card["vectors"]["obs"]["terms"]} == {(1, 0)}


@pytest.mark.parametrize("change, kind, words", [
    (lambda m: m["scene"]["robot"]["init_state"]["joint_pos"].update({"l_.*": 0.0}), efferent.MismatchError,
     ["l_hip", "two patterns"]),
    (lambda m: m["scene"]["robot"]["init_state"]["joint_pos"].pop(".*_knee"), efferent.MismatchError, ["l_knee"]),
    (lambda m: m["scene"]["robot"]["actuators"]["legs"].update(joint_names_expr=[".*_hip"]), efferent.MismatchError,
     [".*_knee", "matches no joint"]),
    (lambda m: m["scene"]["robot"]["actuators"]["legs"].update(joint_names_expr=["("]), efferent.FormatError,
     ["regular expression"]),
    (lambda m: m["observations"]["policy"]["pos"].update(modifiers=[1]), efferent.UnsupportedError,
     ["modifiers", "pos"]),
    (lambda m: m["observations"]["policy"]["pos"].update(func="m:my_own"), efferent.UnsupportedError, ["my_own"]),
    (lambda m: m["observations"]["policy"]["cmd"].update(flatten_history_dim=False), efferent.UnsupportedError,
     ["flatten_history_dim", "cmd"]),
    (lambda m: m["observations"]["policy"].update(concatenate_terms=False), efferent.UnsupportedError,
     ["concatenate_terms"]),
    (lambda m: m["observations"].update(policy=1.5), efferent.FormatError, ["observations.policy", "is 1.5"]),
    (lambda m: m["observations"]["policy"]["cmd"]["params"].update(command_name="goal"), efferent.MismatchError,
     ["command_of", "goal"]),
])
def test_what_is_wrong_in_env_yaml_is_named(tmp_path, change, kind, words):
    refused(env(tmp_path, change), kind, "env.yaml", *words, supplied=LEGS)


# ---- statistics ----

def test_quantiles_of_openpi_are_asked_for(tmp_path):
    path = tmp_path / "norm_stats.json"
    entry = {"mean": [0.1, 0.2], "std": [1.0, 2.0], "q01": [-1.0, -2.0], "q99": [1.0, 2.0]}
    path.write_text(json.dumps({"norm_stats": {"state": entry, "actions": entry}}))
    answers = {"joint_names": ["a", "b"], "control_period": 0.05, "chunk_steps": 4, "delta_mask": [True, False]}
    refused([path], efferent.MismatchError, "use_quantiles", supplied=answers)
    card = _sidecars.import_files([path], {**answers, "use_quantiles": True})
    assert card["policy_period"] == 0.2 and card["actions"][0]["add_state"] == [True, False]
    assert (
        card["actions"][0]["unnormalize"]["q99"] == [1.0, 2.0]
        and card["vectors"]["state"]["terms"][0]["normalize"]["mode"] == "quantiles"
    )


def test_lerobot_arms_in_other_units_are_refused(tmp_path):
    step = {"registry_name": "unnormalizer_processor", "config": {
        "features": {"action": {"type": "ACTION", "shape": [2]}}, "norm_map": {"ACTION": "IDENTITY"}}}
    path = tmp_path / "policy_postprocessor.json"
    path.write_text(json.dumps({"name": "policy_postprocessor", "steps": [step]}))
    answers = {"joint_names": ["a", "b"], "control_period": 0.1, "chunk_steps": 2}
    refused([path], efferent.MismatchError, "joint_units", supplied=answers)
    refused([path], efferent.MismatchError, "joint_units", "deg", supplied={**answers, "joint_units": "deg"})
    card = _sidecars.import_files([path], {**answers, "joint_units": "rad"})
    assert card["actions"][0]["chunk"] == 2 and "unnormalize" not in card["actions"][0]


def test_an_action_of_isaac_lab_without_a_shape_is_refused(tmp_path):
    made = {
        "articulations": {"robot": {
            "joint_names": ["a"], "default_joint_pos": [0.0], "default_joint_stiffness": [1.0],
            "default_joint_damping": [1.0], "default_joint_pos_limits": [[-1.0, 1.0]]}},
        "observations": {"policy": [{
            "name": "joint_pos_rel", "full_path": "isaaclab.envs.mdp.observations.joint_pos_rel", "shape": [1]}]},
        "actions": [{
            "name": "a", "full_path": "isaaclab.envs.mdp.actions.joint_actions.JointPositionAction",
            "joint_names": ["a"], "shape": []}],
        "scene": {"dt": 0.02, "physics_dt": 0.005, "decimation": 4},
    }
    refused([write(tmp_path, "IO_descriptors.yaml", made)], efferent.ShapeError, "actions[0].shape", "[]", "1 joints")
