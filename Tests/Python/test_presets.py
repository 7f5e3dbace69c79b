"""Presets: layouts of stacks as data. Where the corpus of cards is there, a preset in the place of a layout written by
hand gives the same card."""
import json
from pathlib import Path

import efferent
import pytest
from efferent import Card, _presets
from suites import CARD_MANIFEST, CARDS, card_check, supplied

CASES = {c["id"]: c for c in CARD_MANIFEST["cases"]}
# case -> preset, and the keys of the case's patch that stay the user's
BY_PRESET = {
    "gym_g1_lstm": ("unitree_rl_gym", ()), "bhl_biped_50hz": ("berkeley_humanoid_lite", ()),
    "limx_pf_tron1": ("limx_tron1", ()),
    "booster_gym_t1_random": ("booster_gym_t1", ("actions",)), "agibot_x1_walk_leg": ("agibot_x1", ("actions",)),
    "spot_env_json": ("spot_rl", ("actions",)), "holosoma_g1": ("holosoma_g1", ("joints",)),
}


@pytest.mark.parametrize("name", [n for n in BY_PRESET if n in CASES])
def test_a_preset_gives_the_card_that_was_written_by_hand(name):
    pytest.importorskip("yaml")
    case, (preset, kept) = CASES[name], BY_PRESET[name]
    answers = supplied(case)
    patch = {k: v for k, v in answers.pop("patch").items() if k in kept}
    made = Card.load([CARDS / f for f in case["files"]], {**answers, "preset": preset, "patch": patch})
    check = card_check()
    assert check.diff(check.norm(json.loads(made.to_json())),
                      check.norm(json.loads((CARDS / case["card"]).read_text()))) == []
    assert made.questions == []


GYM = {"kps": [20, 30], "kds": [1, 2], "default_angles": [0.1, -0.2], "action_scale": 0.25, "control_dt": 0.02,
       "ang_vel_scale": 0.5, "dof_pos_scale": 1.5,
       "dof_vel_scale": 0.05, "cmd_scale": [2.0, 2.0, 0.25]}


def test_a_preset_takes_its_numbers_from_the_file_and_its_joints_from_the_card(tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "g.yaml"
    path.write_text(json.dumps(GYM))
    with pytest.raises(efferent.MismatchError, match="preset.*unitree_rl_gym"):
        Card.load(path, {"joint_names": ["a", "b"]})
    made = json.loads(Card.load(path, {"joint_names": ["a", "b"], "preset": "unitree_rl_gym"}).to_json())
    terms = {t["name"]: t for t in made["vectors"]["obs"]["terms"]}
    assert terms["base_ang_vel"]["scale"] == 0.5 and terms["command"]["scale"] == [2.0, 2.0, 0.25]
    assert (
        terms["joint_pos"]["joints"] == ["a", "b"]
        and terms["joint_pos"]["size"] == 2
        and terms["joint_pos"]["scale"] == 1.5
    )
    assert terms["last_action"]["size"] == 2 and terms["phase"]["size"] == 2
    # the user's patch comes after the preset
    patched = Card.load(path,
                        {"joint_names": ["a", "b"], "preset": "unitree_rl_gym",
                         "patch": {"clocks": {"gait": {"period": 0.7}}}})
    assert json.loads(patched.to_json())["clocks"]["gait"]["period"] == 0.7


@pytest.mark.parametrize("preset, change, kind, words", [
    ("unitree_gym", {}, efferent.ArgumentError, "preset 'unitree_gym' is not known, expected one of .*unitree_rl_gym"),
    ("../cards", {}, efferent.ArgumentError, "is not known"),
    (7, {}, efferent.ArgumentError, "preset 7 is not known"),
    ("spot_rl", {}, efferent.MismatchError, "'spot_rl' is for spot_env_json, the files are unitree_rl_gym_yaml"),
    ("unitree_rl_gym", {"cmd_scale": None}, efferent.MismatchError,
     "g.yaml: preset 'unitree_rl_gym' needs 'cmd_scale'"),
    ("unitree_rl_gym", {"ang_vel_scale": "fast"}, efferent.FormatError, "ang_vel_scale.*fast"),
    ("unitree_rl_gym", {"cmd_scale": [1, 2]}, efferent.FormatError, "scale.*2.*3|3.*2"),
])
def test_what_does_not_fit_a_preset_is_refused_by_name(tmp_path, preset, change, kind, words):
    pytest.importorskip("yaml")
    (tmp_path / "g.yaml").write_text(json.dumps({**GYM, **change}))
    with pytest.raises(kind, match=words):
        Card.load(tmp_path / "g.yaml", {"joint_names": ["a", "b"], "preset": preset})


def test_presets_are_data_with_a_source_and_are_listed():
    from typer.testing import CliRunner

    from efferent import _command_card  # noqa: F401  adds the command
    from efferent._command import app

    for name, title in _presets.names().items():
        data = json.loads((_presets.FOLDER / f"{name}.json").read_text())
        assert data["efferent_preset"] == 1 and data["source"] and data["conventions"] and title
        assert set(data["card"]) <= {"vectors", "clocks", "commands", "models", "actions", "policy_period",
                                     "control_period"}
    done = CliRunner().invoke(app, ["card", "--presets"])
    assert done.exit_code == 0 and all(name in done.output for name in _presets.names())
    # what is installed has them too
    project = (Path(__file__).resolve().parents[2] / "bindings/python/pyproject.toml").read_text()
    assert "presets/*.json" in project
