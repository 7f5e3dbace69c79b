"""Probes: a robot of our own whose signals, actuators, pose or sides are wrong is found out by name, and the right one
is not. Needs the package mujoco."""
import json

import efferent
import numpy as np
import onnx
import pytest
from efferent.probe import limits, probe
from onnx import TensorProto as T
from onnx import helper, numpy_helper

mujoco = pytest.importorskip("mujoco")

# the roll axes are mirror images: the same positive turn spreads both legs
ROBOT = """<mujoco><worldbody><geom type="plane" size="5 5 0.1"/><body name="torso" pos="0 0 1"><freejoint/>
<geom type="box" size="0.1 0.1 0.1" mass="2"/><site name="imu"/><site name="turned" euler="0 0 180"/>
<body pos="0 0.1 0"><joint name="left_roll" type="hinge" axis="1 0 0" range="-60 60"/><geom type="capsule" size="0.03" fromto="0 0 0 0 0 -0.4"/></body>
<body pos="0 -0.1 0"><joint name="right_roll" type="hinge" axis="-1 0 0" range="-60 60"/><geom type="capsule" size="0.03" fromto="0 0 0 0 0 -0.4"/></body>
</body></worldbody><actuator><position joint="left_roll" kp="30"/><motor joint="right_roll" gear="1"/></actuator>
<sensor><gyro name="gyro" site="imu"/><gyro name="turned_gyro" site="turned"/><velocimeter name="speed" site="imu"/>
<framelinvel name="world_speed" objtype="site" objname="imu"/><framequat name="attitude" objtype="body" objname="torso"/></sensor></mujoco>"""
NAMES = ["left_roll", "right_roll"]


def card(**more):
    def term(op, size, **keys):
        return {"name": op, "op": op, "size": size, "ages": [0], "fill": "first", **keys}

    gains = {"kp": 30.0, "kd": 1.0, "lower": -1.0471975512, "upper": 1.0471975512}
    return {
        "efferent_card": 1, "policy_period": 0.02, "control_period": 0.02, "joint_order": NAMES,
        "joints": {"left_roll": {"default": 0.2, **gains}, "right_roll": {"default": 0.2, **gains}},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "vectors": {"obs": {"layout": "term_major", "terms": [
            term("base_linear_velocity", 3), term("base_angular_velocity", 3, scale=0.25, ages=[1, 0]),
            term("projected_gravity", 3), term("base_euler_xyz", 3),
            term("joint_position", 2, joints=NAMES[::-1], minus_default=True),
            term("joint_velocity", 2, scale=[0.1, 0.2])]}},
        "actions": [{"name": "legs", "type": "position", "model": "policy", "output": "actions", "index": [0, 1],
                     "joints": NAMES, "scale": 1.0,
                     "offset": "default"}],
        **more,
    }


def loop(tmp_path, content, xml=ROBOT, **more):
    graph = helper.make_graph([helper.make_node("MatMul", ["obs", "w"], ["actions"])], "still",
                              [helper.make_tensor_value_info("obs", T.FLOAT, [1, 19])],
                              [helper.make_tensor_value_info("actions", T.FLOAT, [1, 2])],
                              [numpy_helper.from_array(np.zeros((19, 2), np.float32), "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              tmp_path / "policy.onnx")
    c = efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": tmp_path / "policy.onnx"}, NAMES)
    return efferent.MujocoLoop(mujoco.MjModel.from_xml_string(xml), c, **more)


def wrong(made):
    return {p.name: p.wrong for p in made if p.wrong}


def test_a_right_robot_reacts_as_it_should(tmp_path):
    made = probe(loop(tmp_path, card(),
                      sensors={"base.linear_velocity": "speed", "base.angular_velocity": "gyro",
                               "base.orientation": "attitude"}))
    assert wrong(made) == {}
    by = {p.name: p for p in made}
    assert by["left_roll moved by +0.1 rad"].found == pytest.approx({"joint_position (joint 'left_roll')": 0.1},
                                                                    rel=1e-4)
    assert by["right_roll turning at +0.5 rad/s"].found == pytest.approx(
        {"joint_velocity (joint 'right_roll')": 0.1}, rel=1e-4
    )
    tilt = by["base rolled about x by +0.2 rad"]
    assert tilt.found == pytest.approx({"projected_gravity (y)": -np.sin(0.2),
                                        "projected_gravity (z)": 1 - np.cos(0.2),
                                        "base_euler_xyz (x)": 0.2}, rel=1e-3)
    assert by["base turned about z by +0.2 rad"].found == pytest.approx({"base_euler_xyz (z)": 0.2}, rel=1e-3)
    assert tilt.expected == pytest.approx(tilt.found, rel=1e-3)
    assert by["base turning about y at +0.5 rad/s"].found["base_angular_velocity (y)"] == pytest.approx(0.125, rel=1e-3)
    assert len(made) == 2 * 2 + 3 + 6 + 2


@pytest.mark.parametrize("sensors, name, words", [
    ({"base.angular_velocity": "turned_gyro"}, "base turning about x at +0.5 rad/s",
     "base_angular_velocity (x) reacts with -0.125, should with +0.125: the other sign"),
    ({"base.linear_velocity": "world_speed"}, "base turned about z by +1.5 rad, moving along its x at +0.5 m/s",
     "base_linear_velocity (y) reacts with +0.499, should not"),
    ({"base.angular_velocity": "speed"}, "base turning about z at +0.5 rad/s",
     "base_angular_velocity (z) does not react, should with +0.125"),
])
def test_a_signal_in_another_frame_or_of_another_kind_is_told(tmp_path, sensors, name, words):
    made = wrong(probe(loop(tmp_path, card(), sensors=sensors)))
    assert words in made[name]
    assert not any("roll moved" in n for n in made)


def test_an_actuator_that_pulls_the_other_way_and_one_that_is_not_there_are_told(tmp_path):
    made = wrong(probe(loop(tmp_path, card(), ROBOT.replace('gear="1"', 'gear="-1"'))))
    assert (
        list(made) == ["position target of right_roll raised by +0.1"]
        and "the other sign" in made["position target of right_roll raised by +0.1"]
    )
    made = wrong(probe(loop(tmp_path, card(), ROBOT.replace('<position joint="left_roll" kp="30"/>', ""))))
    assert made == {"position target of left_roll raised by +0.1": "the model has no actuator for left_roll"}


def test_poses_limits_and_sides_that_contradict_each_other_are_told(tmp_path):
    assert limits(loop(tmp_path, card())) == []
    content = card()
    content["joints"]["left_roll"] |= {"default": 1.2, "kp": 31.0, "upper": 1.5}
    found = limits(loop(tmp_path, content))
    assert "joint 'left_roll': upper is 1.5 rad in the card, 1.047 rad in the model" in found
    assert "joint 'left_roll': its default pose 1.2 rad is outside of the limits of the model" in found
    assert "not mirrored: kp of 'right_roll' is 30, that of 'left_roll' asks for 31" in found
    assert "not mirrored: default of 'right_roll' is 0.2, that of 'left_roll' asks for 1.2" in found
    # with equal axes the mirror image of a roll has the other sign
    same = ROBOT.replace('axis="-1 0 0"', 'axis="1 0 0"')
    assert limits(loop(tmp_path, card(),
                       same)) == ["not mirrored: default of 'right_roll' is 0.2, that of 'left_roll' asks for -0.2"]


def test_the_command_lists_what_reacts_and_ends_with_1_where_something_is_wrong(tmp_path):
    from typer.testing import CliRunner

    from efferent import _command_preflight  # noqa: F401  adds the command
    from efferent._command import app

    loop(tmp_path, card())
    (tmp_path / "card.json").write_text(json.dumps(card()))
    (tmp_path / "robot.xml").write_text(ROBOT)
    given = ["preflight", tmp_path / "card.json", "--model", f"policy={tmp_path / 'policy.onnx'}", "--mjcf",
             tmp_path / "robot.xml", "--probe"]
    done = CliRunner().invoke(app, [str(a) for a in given], env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "15 probes, 0 wrong" in done.output, done.output
    assert "joint_position (joint 'left_roll') +0.1" in done.output
    done = CliRunner().invoke(app, [str(a) for a in [*given, "--sensor", "base.angular_velocity=turned_gyro"]],
                              env={"COLUMNS": "200"})
    assert done.exit_code == 1 and "15 probes, 2 wrong" in done.output and "the other sign" in done.output, done.output
