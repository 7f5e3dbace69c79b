"""The stall test on a wheeled balancer of our own, which falls when its data stop for long and does not when they stop
briefly. Needs the package mujoco."""
import json

import efferent
import numpy as np
import onnx
import pytest
from efferent import stall
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from typer.testing import CliRunner

mujoco = pytest.importorskip("mujoco")

# a torso on one axle with two wheels, on a slope: the axle's torque holds it upright
BALANCER = """<mujoco><option timestep="0.002" gravity="0.4 0 -9.8"/><worldbody><geom type="plane" size="20 20 0.1" friction="2"/>
<body name="torso" pos="0 0 0.1"><freejoint/><geom type="box" pos="0 0 0.25" size="0.05 0.1 0.2" mass="2"/>
<body name="axle"><joint name="wheels" type="hinge" axis="0 1 0" damping="0.01"/>
<geom type="cylinder" euler="90 0 0" pos="0 0.2 0" size="0.1 0.02" mass="0.3"/>
<geom type="cylinder" euler="90 0 0" pos="0 -0.2 0" size="0.1 0.02" mass="0.3"/></body></body></worldbody>
<actuator><motor joint="wheels"/></actuator></mujoco>"""


def card():
    def term(op, size, **more):
        return {"name": op, "op": op, "size": size, "ages": [0], "fill": "first", **more}

    return {
        "efferent_card": 1, "policy_period": 0.01, "control_period": 0.01, "joint_order": ["wheels"],
        "joints": {"wheels": {"default": 0.0, "kp": 0.0, "kd": 0.3}},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "vectors": {"obs": {"layout": "term_major", "terms": [
            term("projected_gravity", 3), term("base_angular_velocity", 3),
            term("joint_velocity", 1, joints=["wheels"])]}},
        "actions": [{"name": "torque", "type": "effort", "model": "policy", "output": "actions", "index": [0],
                     "joints": ["wheels"], "scale": 1.0,
                     "offset": 0.0}],
    }


@pytest.fixture
def robot(tmp_path):
    # torque from pitch (gravity's x), its rate and the wheels' speed
    w = np.array([[40.0], [0], [0], [0], [6.0], [0], [0.12]], np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["obs", "w"], ["actions"])], "balance",
                              [helper.make_tensor_value_info("obs", T.FLOAT, [1, 7])],
                              [helper.make_tensor_value_info("actions", T.FLOAT, [1, 1])],
                              [numpy_helper.from_array(w, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              tmp_path / "policy.onnx")
    (tmp_path / "card.json").write_text(json.dumps(card()))
    (tmp_path / "robot.xml").write_text(BALANCER)
    return tmp_path


def controller(robot):
    return efferent.Controller(efferent.Card.load(robot / "card.json"), {"policy": robot / "policy.onnx"}, ["wheels"])


def test_short_stalls_are_survived_long_ones_are_not_and_the_ladder_that_saves_most_is_recommended(robot):
    ladders = {"damp": [("damp", 0.0)], "zero": [("zero", 0.0)]}
    found = stall.stall_test(mujoco.MjModel.from_xml_string(BALANCER), controller(robot), ladders=ladders,
                             stalls=(0.05, 0.4, 3.0), phases=(0.0, 0.1),
                             warm=1.0, after=1.5)
    assert len(found.trials) == 12
    for name in ladders:
        assert found.survived(name, 0.05) == (2, 2), found.trials
        assert found.survived(name, 3.0) == (0, 2), found.trials
        fallen = [t for t in found.trials if t.ladder == name and t.stall == 3.0]
        assert all(0.05 < t.fell < 3.0 and t.tilt > 1.0 for t in fallen)
    assert found.longest("damp") < 3.0
    best = max(sum(t.is_survived for t in found.trials if t.ladder == n) for n in ladders)
    assert sum(t.is_survived for t in found.trials if t.ladder == found.recommended) == best
    assert found.safety("damp") == [{"kind": "damping"}]
    # what is recommended is a card
    efferent.Card.from_json(json.dumps({**card(), "safety": {"fallback": found.safety()}}))


def test_a_walk_that_falls_by_itself_is_not_measured(robot):
    wrong = card()
    wrong["actions"][0]["scale"] = -1.0
    c = efferent.Controller(efferent.Card.from_json(json.dumps(wrong)), {"policy": robot / "policy.onnx"}, ["wheels"])
    physics = mujoco.MjModel.from_xml_string(BALANCER.replace('pos="0 0 0.1"><free',
                                                              'pos="0 0 0.1" euler="0 2 0"><free'))
    with pytest.raises(efferent.ArgumentError, match="before any stall"):
        stall.stall_test(physics, c, stalls=(0.1,), phases=(0.0,))


def test_the_command_prints_the_table_and_writes_the_ladder(robot):
    from efferent import _command_stall  # noqa: F401  adds the command
    from efferent._command import app

    def run(*more, code=0):
        given = ["stall-test", robot / "card.json", "--model", f"policy={robot / 'policy.onnx'}", "--mjcf",
                 robot / "robot.xml", *more]
        found = CliRunner().invoke(app, [str(a) for a in given], env={"COLUMNS": "160"})
        assert found.exit_code == code, found.output
        assert "Traceback" not in found.output
        return " ".join(found.output.split())

    few = ["--stall", "50", "--stall", "3000", "--trials", "1", "--ladder", "hold:0.05,damp"]
    output = run(*few, "-o", robot / "ladder.json")
    assert "hold:0.05,damp 1 of 1 0 of 1, fell at" in output
    assert "recommended: hold:0.05,damp (every stall up to 50 ms was survived)" in output
    assert json.loads((robot / "ladder.json").read_text()) == {
        "safety": {"fallback": [{"kind": "hold", "seconds": 0.05}, {"kind": "damping"}]}
    }
    assert "already" in run(*few, "-o", robot / "ladder.json", code=1)
    assert "'soon' is no time" in run("--ladder", "hold:soon", code=1)
    assert "mode is 'sleep'" in run("--ladder", "sleep", code=1)
