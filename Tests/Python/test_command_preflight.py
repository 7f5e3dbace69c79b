"""The command preflight and what walk does with its recordings, on a pendulum of our own. Need the package mujoco."""
import json

import pytest
from test_controller import network
from test_walk import PENDULUM, pendulum_card
from typer.testing import CliRunner

pytest.importorskip("mujoco")


@pytest.fixture
def robot(tmp_path):
    """Arguments of a card, its network and its model."""
    network(tmp_path / "policy.onnx", 4, actions=2)
    (tmp_path / "card.json").write_text(json.dumps(pendulum_card()))
    (tmp_path / "robot.xml").write_text(PENDULUM)
    return [tmp_path / "card.json", "--model", f"policy={tmp_path / 'policy.onnx'}"]


def run(*arguments, code=0):
    from efferent import _command_preflight, _command_walk  # noqa: F401  they add the commands
    from efferent._command import app

    found = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    assert "Traceback" not in found.output
    return " ".join(found.output.split())


def test_a_recording_from_the_simulator_is_met_by_its_card_and_stops_another(robot, tmp_path):
    path, mjcf = tmp_path / "robot.npz", ["--mjcf", tmp_path / "robot.xml"]
    assert "robot.npz: " in run("preflight", *robot, *mjcf, "--record", path, "--seconds", 1)
    assert "already" in run("preflight", *robot, *mjcf, "--record", path, code=1)
    run("preflight", *robot, *mjcf, "--record", path, "--seconds", 1, "--force")
    # without the model: joints come from the recording, in the robot's order
    output = run("preflight", *robot, path)
    assert "robot.npz: as recorded" in output and "policy.obs position" in output
    card = pendulum_card()
    card["joints"]["a"]["default"] = 0.25
    (tmp_path / "card.json").write_text(json.dumps(card))
    output = run("preflight", *robot, path, code=1)
    assert (
        "vector 'obs', term 'position', value 0 (joint 'a')" in output and "all values differ by a constant" in output
    )
    walk = ["walk", *robot, *mjcf, "--seconds", 0.5, "--preflight", path]
    assert "term 'position', value 0 (joint 'a')" in run(*walk, code=1)
    output = run(*walk, "--on-mismatch", "warn")
    assert "warning: preflight:" in output and "no fall" in output


def test_what_cannot_be_done_is_said_in_one_line(robot, tmp_path):
    assert "nothing to do" in run("preflight", *robot, code=1)
    assert "no card among the files" in run("preflight", tmp_path / "a.npz", code=1)
    assert "--probe needs --mjcf" in run("preflight", *robot, "--probe", code=1)
    assert "no such file" in run("preflight", *robot, tmp_path / "a.npz", code=1)
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 not a zip")
    assert "a.npz: not a recording" in run("preflight", *robot, tmp_path / "a.npz", code=1)
