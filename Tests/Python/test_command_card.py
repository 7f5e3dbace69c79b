"""The command card on a small card of our own."""
import json

import pytest
from efferent import _card_text, command
from typer.testing import CliRunner

JOINTS = ["hip", "knee"]
CARD = {
    "efferent_card": 1, "policy_period": 0.02, "control_period": 0.01, "joint_order": JOINTS,
    "joints": {"hip": {"default": 0.1, "kp": 20, "kd": 0.5, "lower": -1.0, "upper": 1.0},
               "knee": {"default": -0.5, "kp": 30, "kd": 0.75}},
    "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}}, "outputs": {"actions": {"to": "action"}}}],
    "vectors": {"obs": {"layout": "term_major", "terms": [
        {"name": "gyro", "op": "base_angular_velocity", "size": 3, "scale": 0.25, "ages": [1, 0], "fill": "first"},
        {"name": "pos", "op": "joint_position", "size": 2, "joints": JOINTS, "minus_default": True, "clip": [-2.0, 2.0],
         "scale": [1.0, 2.0]},
        {"name": "cmd", "op": "command", "size": 2, "command": "velocity", "fields": ["lin_vel_x", "ang_vel_z"]}]}},
    "commands": {"velocity": {"signal": "command.velocity", "fields": ["lin_vel_x", "lin_vel_y", "ang_vel_z"],
                              "units": ["m/s", "m/s", "rad/s"],
                              "range": None, "clamp": False}},
    "actions": [{"name": "legs", "type": "position", "model": "policy", "output": "actions", "index": [0, 1],
                 "joints": JOINTS, "scale": 0.25,
                 "offset": "default"}],
}


def run(*arguments, code=0):
    from efferent import _command_card  # noqa: F401  adds the command
    from efferent._command import app

    found = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return found.output


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "card.json"
    made.write_text(json.dumps(CARD))
    return made


def test_terms_have_their_slice_formula_and_unit():
    rows = {r.name: r for r in _card_text.rows(CARD)}
    assert [r.slice for r in rows.values()] == ["0:6", "6:8", "8:10"]
    assert (
        rows["gyro"].formula == "w x 0.25"
        and rows["gyro"].unit == "rad/s"
        and rows["gyro"].history == "2 frames, old to new, first: first"
    )
    assert rows["pos"].formula == "q - q0 clip -2 to 2 x [1, 2]" and rows["pos"].joints == "policy order"
    assert rows["cmd"].unit == "m/s, rad/s"
    assert _card_text.action(CARD["actions"][0]) == "position of 2 joints = a x 0.25 + q0"


def test_it_shows_writes_and_never_replaces_in_silence(path, tmp_path):
    output = run("card", path)
    for word in ("hip", "0.75", "q - q0", "6:8", "policy every 0.02 s, targets every 0.01 s", "nothing is open"):
        assert word in output
    made = tmp_path / "out.json"
    run("card", path, "-o", made)
    assert json.loads(made.read_text())["joints"]["knee"]["kp"] == 30
    assert "already" in run("card", path, "-o", made, code=1)
    run("card", path, "-o", made, "--force")
    assert json.loads(run("card", path, "--json"))["joint_order"] == JOINTS


def test_diff_names_every_place(path, tmp_path):
    other = json.loads(json.dumps(CARD))
    other["joints"]["hip"]["kp"] = 21
    other["vectors"]["obs"]["terms"][0]["scale"] = 0.2
    second = tmp_path / "other.json"
    second.write_text(json.dumps(other))
    assert "same" in run("card", "diff", path, path)
    output = run("card", "diff", path, second, code=1)
    assert "joints.hip.kp" in output and "vectors.obs.terms[0].scale" in output and "terms[1]" not in output


def test_a_wrong_card_is_one_line(path):
    path.write_text(json.dumps({**CARD, "joint_ordr": []}))
    output = run("card", path, code=1)
    assert "joint_ordr" in output and "Traceback" not in output
    assert "no such file" in run("card", "nothing.json", code=1)
