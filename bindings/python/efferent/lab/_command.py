"""The command `efferent learn`."""
from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import typer

from .._command import Force, app, console, fail
from ..errors import Error
from .results import summary, write
from .seeds import run_seeds
from .training import Run, Settings

ALGORITHMS = ("stream-ac", "stream-ac-discrete", "stream-q", "stream-sarsa")
Assignments = list[str]


@app.command()
def learn(
    env: str = typer.Argument(..., help="a Gymnasium environment, such as HalfCheetah-v5 or package:Name-v0"),
    algorithm: str = typer.Option("stream-ac", help=", ".join(ALGORITHMS)),
    preset: str = typer.Option(None, help="a learning rule with its numbers: stream-x, intentional or "
                                          "intentional-capped; left out: the last for actor-critics, else the first"),
    steps: int = typer.Option(100_000, min=1, help="of each seed"),
    seeds: int = typer.Option(1, min=1, help="how many"),
    first_seed: int = typer.Option(0, min=0),
    jobs: int = typer.Option(1, min=1, help="seeds that learn at a time, each in a process of its own"),
    option: Assignments = typer.Option([], metavar="NAME=VALUE", help="of efferent.Learner, such as snapshots=4"),
    env_option: Assignments = typer.Option([], metavar="NAME=VALUE", help="of gymnasium.make"),
    block: int = typer.Option(0, min=0, help="steps of one point of the curves; 0: a hundredth of all, at least 1000"),
    evaluate: int = typer.Option(10, min=0, help="episodes without exploration after learning"),
    out: Path = typer.Option(None, file_okay=False,
                             help="folder for results.json, curve.csv, curve.png and checkpoints"),
    checkpoint_every: int = typer.Option(50_000, min=1, help="steps"),
    resume: bool = typer.Option(False, "--resume", help="go on from the checkpoints in the folder"),
    force: bool = Force,
) -> None:
    """Learn in a simulator, one transition at a time, with live progress."""
    if importlib.util.find_spec("gymnasium") is None:
        fail("gymnasium is not installed: pip install 'efferent[learn]'")
    if algorithm not in ALGORITHMS:
        fail(f"--algorithm {algorithm}: expected one of {', '.join(ALGORITHMS)}")
    if resume and out is None:
        fail("--resume needs --out, the folder of the checkpoints")
    if out is not None and not (resume or force) and ((out / "results.json").exists()
                                                      or (out / "checkpoints").exists()):
        fail(f"{out} holds a run already; give --resume to go on from its checkpoints, or --force to begin anew there")
    settings = Settings(env, algorithm, steps, block or max(1000, steps // 100), values("--option", option),
                        values("--env-option", env_option), evaluate, preset)
    folder = out / "checkpoints" if out else None
    try:
        runs = run_seeds(settings, range(first_seed, first_seed + seeds), jobs, folder, checkpoint_every, resume)
    except Error as e:
        fail(e)
    except KeyboardInterrupt:
        fail("interrupted" + (f"; --resume goes on from {folder}" if folder else ""), 130)
    except Exception as e:  # gymnasium's own errors, of which there is no common class
        if type(e).__module__.split(".")[0] != "gymnasium":
            raise
        fail(f"{env}: {e}")
    _print_summary(settings, runs)
    if out:
        for path in write(out, settings, runs, shlex.join(["efferent", *sys.argv[1:]])):
            console.print(str(path), markup=False)


def values(name: str, assignments: Assignments) -> dict[str, Any]:
    """{name: value} of NAME=VALUE, values as JSON where they are."""
    found: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not key or not equals:
            fail(f"{name} {text}: expected NAME=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _print_summary(settings: Settings, runs: list[Run]) -> None:
    for name, found in summary(settings, runs).items():
        console.print(f"{name.replace('_', ' ')}: interquartile mean {found['iqm']:.1f}, 95 % interval "
                      f"{found['low']:.1f} to {found['high']:.1f}, "
                      f"{len(found['mean_of_each_seed'])} seeds: "
                      f"{', '.join(f'{m:.0f}' for m in found['mean_of_each_seed'])}", markup=False, soft_wrap=True)
