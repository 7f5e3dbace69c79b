"""The examples of learning: a deployed policy goes on learning, also behind a bridge."""
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")
pytest.importorskip("zmq")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/learning"))
import adapt  # noqa: E402
import evaluate  # noqa: E402
import naive_switch  # noqa: E402
import plants  # noqa: E402
import runs  # noqa: E402
from efferent.lab import make, train  # noqa: E402

EARLY = adapt.SETTING | {"critic_warmup_steps": 300}


def test_adapting_over_the_bridge_gives_what_it_gives_in_process():
    here, there = (adapt.adapt("late", 3, 1200, 1, bridge, EARLY) for bridge in (False, True))
    assert here["updates"]["learned"] > 1000
    assert {**there, "seconds": 0} == {**here, "seconds": 0}
    # nothing has changed while only the critic learns, and something afterwards
    assert here["learned"][0] == here["frozen"] and here["learned"][-1] != here["frozen"]


def test_the_example_writes_estimates_and_a_picture_and_goes_on_from_finished_runs(tmp_path, monkeypatch, capsys):
    command = "adapt.py --bridge --plants weak unchanged --seeds 2 --steps 100 --episodes 1"
    monkeypatch.setattr(sys, "argv",
                        [*command.split(), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")])
    adapt.main()
    first = json.loads((tmp_path / "out/results.json").read_text())
    assert list(first["cases"]) == ["weak",
                                    "unchanged"] and [r["seed"] for r in first["cases"]["weak"]["runs"]] == [1, 2]
    weak, whole = (first["cases"][name]["frozen"]["iqm"] for name in ("weak", "unchanged"))
    assert weak < 0.6 * whole
    assert (tmp_path / "out/adapt.png").stat().st_size > 10_000
    adapt.main()
    assert json.loads((tmp_path / "out/results.json").read_text()) == first


@pytest.mark.parametrize("frozen, learned, better",
                         [([1, 2, 3], [4, 5, 6], "adapted"), ([4, 5, 6], [1, 2, 3], "frozen"),
                          ([1, 2, 3], [2, 3, 4], "neither")])
def test_a_policy_is_better_where_the_intervals_do_not_overlap(frozen, learned, better):
    runs = [{"frozen": [a], "learned": [[0.0], [b]]} for a, b in zip(frozen, learned)]
    assert adapt.summary(runs)["better"] == better


def evaluated(monkeypatch, capsys, folder, *more):
    """What evaluate.py prints, and the facts that it writes."""
    command = ("evaluate.py --tasks MountainCar-v0 InvertedPendulum-v5 --seeds 0,2 --steps 600 --rules stream-x "
               f"intentional,eta_policy=0.02 --work {folder}/work --out {folder}/out")
    monkeypatch.setattr(sys, "argv", [*command.split(), *more])
    evaluate.main()
    return capsys.readouterr().out, json.loads((folder / "out/results.json").read_text())


def test_rules_are_compared_on_tasks_and_what_is_finished_is_not_run_again(tmp_path, monkeypatch, capsys):
    text, first = evaluated(monkeypatch, capsys, tmp_path)
    assert "[10/10]" in text and "| InvertedPendulum-v5 (2 seeds) |" in text
    task, other = "InvertedPendulum-v5", "intentional,eta_policy=0.02"
    base, varied = first["tasks"][task]["stream-x"], first["tasks"][task][other]
    runs = [train(evaluate.rule_settings("stream-x", task, 600), seed) for seed in (0, 2)]
    assert base["seeds"] == [0, 2] and base["scores"] == [evaluate.score(run, 600) for run in runs]
    # the first rule is the measure: its mean is 1, random actions are 0
    found, low = first["all"], first["random"][task]
    assert found["stream-x"]["of_each_task"] == {task: 1} and found["stream-x"]["improvement"][0] == 0.5
    gain = (np.mean(varied["scores"]) - low) / (np.mean(base["scores"]) - low)
    assert found[other]["of_each_task"] == {task: pytest.approx(gain)}
    # after 600 steps no car is on the mountain: what is not learned is no measure
    assert first["unmeasured"] == ["MountainCar-v0"] and "is no better than random: MountainCar-v0" in text
    for name in ("report.md", "curves.csv", "curves.png", "profiles.png"):
        assert (tmp_path / "out" / name).stat().st_size > 500, name
    # one run is gone: it alone is made again, to the same numbers. Of others there is a report without another step
    (tmp_path / "work/InvertedPendulum-v5-600-stream-x/seed-2.json").rename(tmp_path / "kept.json")
    text, part = evaluated(monkeypatch, capsys, tmp_path, "--report")
    assert part["tasks"][task]["stream-x"]["scores"] == base["scores"][:1] and "[1/" not in text
    text, again = evaluated(monkeypatch, capsys, tmp_path)
    assert f"[1/1] {task} stream-x seed 2" in text and again["tasks"][task]["stream-x"]["scores"] == base["scores"]


@pytest.mark.parametrize("means, fell", [
    ([0, 10, 50, 100, 100, 90, 95, 100, 90, 92], False), ([0, 10, 50, 100, 100, 40, 95, 100, 90, 92], True),
    ([0, 60, 20, 30, 40, 50, 60, 70, 90, 100], False),   # before it had 80 of 100
    ([-50, -20, -9, -9, -8, -8, -9, -40, -8, -8], True),  # of returns below 0 what counts is the gain over random
    ([-50, -60, -55, -70, -52, -51, -60, -54, -53, -51], False),
])
def test_a_fall_is_less_than_half_of_a_best_that_was_nearly_reached(means, fell):
    assert evaluate.falls([m for m in means for _ in range(2)], low=-50 if min(means) < 0 else 0) == fell
    assert evaluate.falls([v for m in means for v in (m, float("nan"))], low=-50 if min(means) < 0 else 0) == fell


def test_a_late_plant_does_what_it_was_told_a_step_before():
    env, plain = plants.Latency(make("HalfCheetah-v5"), 1), make("HalfCheetah-v5")
    env.reset(seed=1), plain.reset(seed=1)
    told = [env.action_space.sample() for _ in range(3)]
    late = [env.step(action)[0] for action in told]
    prompt = [plain.step(action)[0] for action in [0 * told[0], *told]]
    assert all((a == b).all() for a, b in zip(late, prompt))
    assert (env.reset(seed=1)[0] == plain.reset(seed=1)[0]).all() and (env.step(told[0])[0] == late[0]).all()


def test_every_way_to_switch_can_be_tried():
    for way in naive_switch.WAYS:
        run = naive_switch.switch(way, 0, 50, 1)
        assert len(run["before"]) == len(run["after"]) == 1
        assert (run["before"] == run["after"]) == (naive_switch.WAYS[way].get("critic_warmup_steps", 10_000) > 50), way


@pytest.mark.parametrize("name", runs.RUNS)
def test_a_run_on_record_starts_to_learn(name):
    settings, _, _, (first, last, length) = runs.RUNS[name]
    run = train(replace(settings, steps=300, block=100, evaluate=1), seed=0)
    assert run.finished and run.steps == 300 and len(run.blocks) == 3 and run.blocks[-1].bad_updates == 0
    assert settings.steps == last and (last - first) % length == 0
