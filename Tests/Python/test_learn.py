"""Learning in environments: the loop, runs that go on where they stopped, and the command."""
import csv
import json
import math
import os
import subprocess
import sys

import efferent
import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
from efferent.lab import Rollout, Settings, evaluate, make, train  # noqa: E402


def run(*arguments, expect=0):
    done = subprocess.run([sys.executable, "-m", "efferent", "learn", *map(str, arguments)], capture_output=True,
                          text=True, env=os.environ)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


# ---- the loop ----


@pytest.mark.parametrize("name, algorithm", [
    ("CartPole-v1", "stream-ac"), ("CartPole-v1", "stream-q"), ("CartPole-v1", "stream-sarsa"),
    ("Pendulum-v1", "stream-ac"), ("FrozenLake-v1", "stream-q"),
])
def test_any_box_or_choice_is_learned(name, algorithm):
    done = train(Settings(name, algorithm, steps=700, block=350, evaluate=1, env_options={"max_episode_steps": 100}),
                 seed=3)
    assert [b.step for b in done.blocks] == [350, 700] and done.finished
    assert sum(b.episodes for b in done.blocks) == len(done.episodes) == len(done.returns(0, 700)) > 0
    assert all(math.isfinite(b.td_error) and b.td_error > 0 and b.drift > 0 for b in done.blocks)
    ends = np.cumsum([e.length for e in done.episodes])
    assert [e.step for e in done.episodes] == ends.tolist()


def test_actions_that_no_learner_has_are_refused():
    env = gymnasium.wrappers.TransformAction(make("CartPole-v1"), lambda a: a[0], gymnasium.spaces.MultiDiscrete([2]))
    with pytest.raises(efferent.UnsupportedError, match="MultiDiscrete"):
        Rollout(env, efferent.Learner(4, 2, "stream-q"))


def test_bounded_actions_are_clipped_and_choices_count_from_the_first():
    env, seen = make("Pendulum-v1"), []
    rollout = Rollout(gymnasium.wrappers.TransformAction(env, lambda a: seen.append(a) or a, env.action_space),
                      efferent.Learner.for_env(env, std_floor=10.0))
    rollout.advance(50)
    assert max(map(abs, np.ravel(seen))) == 2 and np.shape(seen) == (50, 1)
    env, seen = make("CartPole-v1"), []
    shifted = gymnasium.wrappers.TransformAction(env, lambda a: seen.append(a) or a - 5,
                                                 gymnasium.spaces.Discrete(2, start=5))
    Rollout(shifted, efferent.Learner.for_env(env)).advance(50)
    assert set(seen) == {5, 6}


def test_evaluation_explores_nothing_and_changes_nothing():
    env = make("CartPole-v1")
    learner = efferent.Learner.for_env(env, seed=1, time_limit=500, snapshots=2)
    Rollout(env, learner).advance(500)
    before = bytes(learner)
    first, second = evaluate(env, learner, 4), evaluate(env, learner, 4)
    assert first == second and bytes(learner) == before


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path):
    settings = Settings("CartPole-v1", steps=6000, block=1000, evaluate=2)
    whole = train(settings, 1)

    class Stop(Exception):
        pass

    def stop(at):
        def report(rollout, run):
            if rollout.step >= at:
                raise Stop
        return report

    for at in (1500, 2600, 4000):
        with pytest.raises(Stop):
            train(settings, 1, tmp_path, checkpoint_every=700, resume=True, report=stop(at), slice_steps=100)
    rest = train(settings, 1, tmp_path, checkpoint_every=700, resume=True)
    assert rest.episodes == whole.episodes and rest.evaluation == whole.evaluation
    assert [b[:3] + b[4:] for b in rest.blocks] == [b[:3] + b[4:] for b in whole.blocks]
    assert [b.td_error for b in rest.blocks] == pytest.approx([b.td_error for b in whole.blocks])
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    assert train(settings, 1, tmp_path, resume=True).episodes == whole.episodes


def test_a_run_has_the_rule_of_its_preset():
    named, plain = (train(Settings("CartPole-v1", "stream-q", 1500, 500, options, evaluate=0, preset=preset), 1)
                    for options, preset in (({}, "intentional"), ({"optimizer": "intentional"}, None)))
    assert named.blocks == plain.blocks
    assert named.blocks != train(Settings("CartPole-v1", "stream-q", 1500, 500, evaluate=0), 1).blocks


def test_an_environment_without_options_gets_the_measured_rule():
    def learned(env, **options):
        learner = efferent.Learner.for_env(make(env), seed=1, **options)
        Rollout(make(env), learner).advance(300)
        return bytes(learner)

    pendulum, pole = learned("Pendulum-v1"), learned("CartPole-v1")
    assert pendulum == learned("Pendulum-v1", preset="intentional-capped") != learned("Pendulum-v1", preset="stream-x")
    assert pole == learned("CartPole-v1", preset="intentional-capped") != learned("CartPole-v1", preset="stream-x")
    assert learned("CartPole-v1", algorithm="stream-q") == learned("CartPole-v1", algorithm="stream-q",
                                                                   preset="stream-x")
    # who names an optimizer gets that one with the numbers of its paper
    assert learned("Pendulum-v1", optimizer="obgd") == learned("Pendulum-v1", preset="stream-x")
    # a number that the rule does not read is no silent nothing
    with pytest.raises(efferent.ArgumentError, match="'kappa_policy' is of stream-x.*intentional-capped"):
        efferent.Learner.for_env(make("Pendulum-v1"), kappa_policy=5.0)
    assert learned("Pendulum-v1", kappa_policy=5.0, preset="stream-x") != learned("Pendulum-v1", preset="stream-x")


# ---- the command ----


def test_the_command_learns_and_writes_what_it_saw(tmp_path):
    text = run("CartPole-v1", "--algorithm", "stream-q", "--steps", 3000, "--seeds", 2, "--jobs", 2, "--block", 1000,
               "--evaluate", 2, "--out", tmp_path,
               "--option", "hidden=[16]", "--env-option", "max_episode_steps=60")
    assert "seed 1 step 3000" in text and "95 % interval" in text
    facts = json.loads((tmp_path / "results.json").read_text())
    assert (
        facts["options"] == {"hidden": [16]}
        and facts["versions"]["gymnasium"] == gymnasium.__version__
        and "--steps 3000" in facts["command"]
    )
    with open(tmp_path / "curve.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(r["seed"], r["step"]) for r in rows] == [(s, t) for s in "01" for t in ("1000", "2000", "3000")]
    both = [train(Settings("CartPole-v1", "stream-q", 3000, 1000, {"hidden": [16]}, {"max_episode_steps": 60}, 2), s)
            for s in (0, 1)]
    assert [s["evaluation"] for s in facts["seeds"]] == [r.evaluation for r in both]
    pytest.importorskip("matplotlib")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    # finished runs are kept; other settings are refused
    assert "seed 1 step" not in run("CartPole-v1", "--algorithm", "stream-q", "--steps", 3000, "--seeds", 2, "--block",
                                    1000, "--evaluate", 2, "--out", tmp_path,
                                    "--option", "hidden=[16]", "--env-option", "max_episode_steps=60", "--resume")
    assert "begun otherwise: steps is 4000, expected 3000" in " ".join(
        run(
            "CartPole-v1",
            "--algorithm",
            "stream-q",
            "--steps",
            4000,
            "--out",
            tmp_path,
            "--resume",
            "--block",
            1000,
            "--evaluate",
            2,
            "--option",
            "hidden=[16]",
            "--env-option",
            "max_episode_steps=60",
            expect=1,
        ).split()
    )


@pytest.mark.parametrize("arguments, words", [
    (["NoSuchThing-v0"], "NoSuchThing"), (["CartPole-v1", "--algorithm", "ppo"], "stream-sarsa"),
    (["CartPole-v1", "--preset", "adam"], "preset is 'adam', expected one of 'stream-x', 'intentional'"),
    (["CartPole-v1", "--option", "gama=1"], "gama"),
    (["CartPole-v1", "--option", "gamma"], "NAME=VALUE"), (["CartPole-v1", "--resume"], "--out"),
    (["CartPole-v1", "--option", "gamma=2"], "gamma"),
])
def test_what_the_command_cannot_do_is_said_in_a_line(arguments, words):
    text = run(*arguments, expect=1)
    assert text.startswith("error: ") and words in text and "Traceback" not in text
