"""MujocoLoop and the command walk: closed loops with policies that somebody else trained, where ../shared/policies (or
EFFERENT_POLICIES) is there, and with a pendulum of our own where it is not. Need the package mujoco."""
import json

import efferent
import numpy as np
import pytest
from suites import CARDS, HAS_CARDS, POLICIES
from test_controller import network

mujoco = pytest.importorskip("mujoco")

PENDULUM = """<mujoco><option timestep="0.002" gravity="0 0 0"/><worldbody>
<body><joint name="b" type="hinge" axis="0 1 0" damping="1"/><geom type="capsule" size="0.05" fromto="0 0 0 0.5 0 0" mass="1"/>
<body pos="0.5 0 0"><joint name="a" type="hinge" axis="0 1 0" damping="1"/><geom type="capsule" size="0.05" fromto="0 0 0 0.5 0 0" mass="1"/></body></body>
</worldbody><actuator><motor joint="a"/><position joint="b" kp="50"/></actuator></mujoco>"""


def pendulum_card():
    joints = ["a", "b"]
    return {
        "efferent_card": 1, "policy_period": 0.02, "control_period": 0.01, "joint_order": joints,
        "joints": {j: {"default": d, "kp": 50.0, "kd": 1.0} for j, d in (("a", 0.2), ("b", -0.3))},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "vectors": {"obs": {"layout": "term_major", "terms": [
            {"name": "command", "op": "command", "command": "pose", "size": 2, "ages": [0], "fill": "first"},
            {"name": "position", "op": "joint_position", "size": 2, "joints": joints, "minus_default": True,
             "ages": [0], "fill": "first"}]}},
        "commands": {"pose": {"signal": "command.pose", "fields": ["a", "b"], "clamp": False}},
        "actions": [{"name": "p", "type": "position", "model": "policy", "output": "actions", "index": [0, 1],
                     "joints": joints, "scale": 1.0,
                     "offset": "default"}],
    }


def test_motors_get_torque_and_position_actuators_get_targets_by_the_joints_names(tmp_path):
    path = network(tmp_path / "policy.onnx", 4, actions=2)
    c = efferent.Controller(efferent.Card.from_json(json.dumps(pendulum_card())), {"policy": path}, ["b", "a"])
    loop = efferent.MujocoLoop(mujoco.MjModel.from_xml_string(PENDULUM), c)
    assert loop.substeps == 5
    loop.commands["command.pose"][:] = [0.4, -0.5]
    for _ in range(600):
        loop.step()
    # b (first in the robot) to -0.3 - 0.5, a to 0.2 + 0.4
    np.testing.assert_allclose(loop.data.qpos, [-0.8, 0.6], atol=1e-2)
    loop.reset()
    np.testing.assert_allclose(loop.data.qpos, 0)


def test_a_position_actuator_lets_go_where_the_targets_have_no_stiffness(tmp_path):
    path = network(tmp_path / "policy.onnx", 4, actions=2)
    c = efferent.Controller(efferent.Card.from_json(json.dumps(pendulum_card())), {"policy": path}, ["b", "a"])
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    loop = efferent.MujocoLoop(model, c)
    gains = model.actuator_gainprm.copy(), model.actuator_biasprm.copy()

    def pushed(mode):
        loop.reset()
        c.mode(mode)
        loop.step()
        loop.data.qpos[0] += 0.3
        at = loop.data.qpos[0]
        for _ in range(300):
            loop.step()
        return abs(loop.data.qpos[0] - at)

    assert pushed("hold") > 0.25
    assert pushed("damp") < 0.01
    np.testing.assert_array_equal(model.actuator_gainprm, gains[0])
    np.testing.assert_array_equal(model.actuator_biasprm, gains[1])


def test_a_loop_refuses_joints_and_periods_that_the_model_does_not_have(tmp_path):
    path = network(tmp_path / "policy.onnx", 4, actions=2)
    card = efferent.Card.from_json(json.dumps(pendulum_card()))
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    with pytest.raises(efferent.MismatchError, match="'c'"):
        efferent.MujocoLoop(model, efferent.Controller(card, {"policy": path}, ["b", "a", "c"]))
    with pytest.raises(efferent.MismatchError, match="0.005.*0.002"):
        efferent.MujocoLoop(model, efferent.Controller(card, {"policy": path}, ["b", "a"], control_period=0.005))


def walk(card, mjcf, models, command, keyframe=None, sensors=None, seconds=10.0):
    """Velocities (forward, left, turn) after 2 s, and whether it fell."""
    model = mujoco.MjModel.from_xml_path(str(POLICIES / "mjcf" / mjcf))
    joints = [model.joint(j).name for j in range(1, model.njnt)]
    c = efferent.Controller(efferent.Card.load(CARDS / f"cases/{card}/card.json"),
                            {n: POLICIES / m for n, m in models.items()}, joints)
    loop = efferent.MujocoLoop(model, c, keyframe=keyframe, sensors=sensors)
    loop.commands["command.velocity"][:] = command
    found = []
    for _ in range(round(seconds / c.control_period)):
        loop.step()
        if loop.tilt > 1.0:
            return np.array(found[100:]), True
        found.append([*loop.velocity[:2], loop.data.qvel[5]])
    assert c.report.refused == 0 and c.report.clamped == 0
    return np.array(found[100:]), False


needs_policies = pytest.mark.skipif(POLICIES is None or not (POLICIES / "mjcf/go1.xml").exists() or not HAS_CARDS,
                                    reason=f"no policies at {POLICIES} or no cards at {CARDS}: set EFFERENT_POLICIES "
                                           f"and EFFERENT_CARDS")


@needs_policies
@pytest.mark.parametrize("vx, expected", [(1.0, 1.02), (-0.5, -0.47)])
def test_go1_walks_from_its_card_alone(vx, expected):
    sensors = {"base.linear_velocity": "local_linvel", "base.angular_velocity": "gyro"}
    v, fell = walk("playground_go1", "go1.xml", {"policy": "mjplayground_go1.onnx"}, [vx, 0, 0], "home", sensors)
    assert not fell
    assert v[:, 0].mean() == pytest.approx(expected, abs=0.03)
    assert np.sqrt(((v[:, 0] - vx) ** 2).mean()) < 0.06


@needs_policies
def test_the_recurrent_g1_walks_from_its_card_alone():
    v, fell = walk("gym_g1_lstm", "unitree_g1_12dof.xml", {"policy": "unitree_rl_gym_g1_lstm.onnx"}, [0.5, 0, 0])
    assert not fell
    assert v[:, 0].mean() == pytest.approx(0.476, abs=0.01)


def test_the_command_walk_tells_how_well_the_command_is_followed(tmp_path, capsys):
    from typer.testing import CliRunner

    from efferent import _command_walk  # noqa: F401  adds the command
    from efferent._command import app

    network(tmp_path / "policy.onnx", 4, actions=2)
    (tmp_path / "card.json").write_text(json.dumps(pendulum_card()))
    (tmp_path / "robot.xml").write_text(PENDULUM)
    run = ["walk", str(tmp_path / "card.json"), "--mjcf", str(tmp_path / "robot.xml"), "--model",
           f"policy={tmp_path / 'policy.onnx'}"]
    done = CliRunner().invoke(app,
                              [*run, "--seconds", "1", "--command", "command.pose=0.1,0.2", "--picture",
                               str(tmp_path / "walk.png")])
    assert done.exit_code == 0, done.output
    assert (
        "100 ticks of 0.01 s, 50 runs" in done.output
        and "no fall" in done.output
        and (tmp_path / "walk.png").stat().st_size > 10000
    )
    assert CliRunner().invoke(app, [*run, "--command", "command.pose=0.1"]).exit_code != 0
    assert CliRunner().invoke(app, [*run, "--command", "velocity=1"]).exit_code != 0


def test_a_walk_over_a_bridge_is_the_walk_of_one_process(tmp_path):
    """`efferent serve --card` in another process, `efferent walk --endpoint` here."""
    import os
    import subprocess
    import sys
    import time

    from typer.testing import CliRunner

    from efferent import _command_walk  # noqa: F401  adds the command
    from efferent._command import app

    pytest.importorskip("zmq")
    files = [str(tmp_path / "card.json"), str(tmp_path / "policy.onnx")]
    network(files[1], 4, actions=2)
    (tmp_path / "card.json").write_text(json.dumps(pendulum_card()))
    (tmp_path / "robot.xml").write_text(PENDULUM)
    at = f"unix:{tmp_path}/link"
    serve = [sys.executable, "-m", "efferent", "serve", files[1], "--card", files[0]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def refused(*more):
        done = subprocess.run([*serve, *more], env=env, capture_output=True, text=True, timeout=60)
        return done.returncode == 1 and done.stderr

    assert "--rate with --card" in refused("--rate", "50")
    assert "joint 'b'" in refused("--joints", "a,c")
    server = subprocess.Popen([*serve, "--joints", "b,a", "--endpoint", at, "--once"], env=env, stdout=subprocess.PIPE,
                              text=True)
    try:
        assert "serving" in server.stdout.readline()
        walk = ["walk", *files, "--mjcf", str(tmp_path / "robot.xml"), "--seconds", "1", "--command",
                "command.pose=0.1,0.2"]
        here, there = (CliRunner().invoke(app, [*walk, *more]) for more in ([], ["--endpoint", at]))
        assert here.exit_code == there.exit_code == 0, there.output
        assert here.output == there.output and "100 ticks of 0.01 s, 50 runs" in here.output
        deadline = time.monotonic() + 30
        while server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.returncode == 0 and "100 steps" in server.stdout.read()
    finally:
        server.kill()
        server.wait()


def test_a_walk_can_be_watched_and_ends_with_its_window(tmp_path, monkeypatch):
    import sys
    import types

    from typer.testing import CliRunner

    from efferent import _command_walk  # noqa: F401  adds the command
    from efferent._command import app

    seen = []

    class Window:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            seen.append("closed")

        def sync(self):
            seen.append("sync")

        def is_running(self):
            return len(seen) < 20

    made = types.ModuleType("mujoco.viewer")
    made.launch_passive = lambda model, data: Window()
    monkeypatch.setitem(sys.modules, "mujoco.viewer", made)
    monkeypatch.setattr(mujoco, "viewer", made, raising=False)
    network(tmp_path / "policy.onnx", 4, actions=2)
    (tmp_path / "card.json").write_text(json.dumps(pendulum_card()))
    (tmp_path / "robot.xml").write_text(PENDULUM)
    run = ["walk", str(tmp_path / "card.json"), "--mjcf", str(tmp_path / "robot.xml"), "--model",
           f"policy={tmp_path / 'policy.onnx'}", "--viewer"]
    done = CliRunner().invoke(app, run)
    assert done.exit_code == 0 and "20 ticks of 0.01 s" in done.output, done.output
    assert seen == ["sync"] * 20 + ["closed"]
    made.launch_passive = lambda model, data: 1 / 0
    done = CliRunner().invoke(app, run)
    assert done.exit_code == 1 and "viewer does not open here" in done.output
