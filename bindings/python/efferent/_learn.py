"""The command `efferent learn`."""
import importlib.util
import json
import multiprocessing
import queue
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

import typer
from rich.live import Live
from rich.table import Table

from ._command import Force, app, console, fail
from .errors import Error, MismatchError

ALGORITHMS = ("stream-ac", "stream-ac-discrete", "stream-q", "stream-sarsa")
Assignments = list[str]


@app.command()
def learn(
    env: str = typer.Argument(..., help="a Gymnasium environment, such as HalfCheetah-v5 or package:Name-v0"),
    algorithm: str = typer.Option("stream-ac", help=", ".join(ALGORITHMS)),
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
):
    """Learn in a simulator, one transition at a time, with live progress."""
    if importlib.util.find_spec("gymnasium") is None:
        fail("gymnasium is not installed: pip install 'efferent[learn]'")
    from .training import Settings

    if algorithm not in ALGORITHMS:
        fail(f"--algorithm {algorithm}: expected one of {', '.join(ALGORITHMS)}")
    if resume and out is None:
        fail("--resume needs --out, the folder of the checkpoints")
    if out is not None and not (resume or force) and ((out / "results.json").exists()
                                                      or (out / "checkpoints").exists()):
        fail(f"{out} holds a run already; give --resume to go on from its checkpoints, or --force to begin anew there")
    settings = Settings(env, algorithm, steps, block or max(1000, steps // 100), values("--option", option),
                        values("--env-option", env_option), evaluate)
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
        from ._results import write

        for path in write(out, settings, runs, shlex.join(["efferent", *sys.argv[1:]])):
            console.print(str(path), markup=False)


def values(name, assignments):
    """{name: value} of NAME=VALUE, values as JSON where they are."""
    found = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not key or not equals:
            fail(f"{name} {text}: expected NAME=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def run_seeds(settings, seeds, jobs=1, folder=None, checkpoint_every=50_000, resume=False):
    """Learns with every seed, `jobs` at a time, and shows the progress. Returns a `Run` of each."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _same_settings(Path(folder) / "settings.json", settings, resume)
    tasks = [(settings, seed, folder, checkpoint_every, resume) for seed in seeds]
    return list(_parallel(tasks, jobs) if jobs > 1 and len(tasks) > 1 else _in_turn(tasks))


def _same_settings(path, settings, resume):
    """A folder belongs to one set of settings."""
    given = asdict(settings)
    if resume and path.exists():
        before = json.loads(path.read_text())
        different = [f"{k} is {given[k]!r}, expected {before.get(k)!r}" for k in given if given[k] != before.get(k)]
        if different:
            raise MismatchError(f"{path}: the run was begun otherwise: {'; '.join(different)}")
    path.write_text(json.dumps(given))


# ---- progress ----


def progress(rollout, run):
    """What is shown of a run, as plain numbers that can go from one process to another."""
    told, last = rollout.told, rollout.episodes[-20:]
    return {
        "seed": run.seed, "step": rollout.step, "return": sum(e.total for e in last) / len(last) if last else None,
        "td error": told.td_error,
        "exploration": told.exploration, "rollbacks": told.rollbacks, "bad updates": told.bad_updates + told.bad_inputs,
        "per second": rollout.step / run.seconds if run.seconds else 0.0, "blocks": len(run.blocks),
        "block": run.blocks[-1].mean_return if run.blocks else None,
    }


class Board:
    """Shows the progress of all seeds: a live table on a terminal, a line per block elsewhere."""

    def __init__(self, settings):
        self.settings, self.rows, self.shown = settings, {}, {}
        self.live = Live(console=console, refresh_per_second=4) if sys.stdout.isatty() else None

    def __enter__(self):
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_):
        if self.live:
            self.live.stop()

    def show(self, row):
        self.rows[row["seed"]] = row
        if self.live:
            self.live.update(self._table())
        elif row["blocks"] > self.shown.get(row["seed"], 0):
            self.shown[row["seed"]] = row["blocks"]
            print(f"seed {row['seed']} step {row['step']}: return {_number(row['block'])}, std or epsilon "
                  f"{row['exploration']:.3g}, "
                  f"rollbacks {row['rollbacks']}, bad updates {row['bad updates']}, {row['per second']:.0f} steps/s",
                  flush=True)

    def _table(self):
        columns = ("step", "return", "td error", "exploration", "rollbacks", "bad updates", "per second")
        table = Table("seed", *columns, box=None, header_style="bold",
                      title=f"{self.settings.env}, {self.settings.algorithm}")
        for seed, row in sorted(self.rows.items()):
            table.add_row(str(seed), *(_number(row[c]) for c in columns))
        return table


def _number(value):
    return (
        "-"
        if value is None
        else f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.1f}"
        if abs(value) >= 10
        else f"{value:.3f}"
    )


def _in_turn(tasks):
    from .training import train

    with Board(tasks[0][0]) as board:
        for settings, seed, folder, every, resume in tasks:
            yield train(settings, seed, folder, every, resume, lambda rollout, run: board.show(progress(rollout, run)))


def _parallel(tasks, jobs):
    """The same in processes. Each sends its progress at most twice a second."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(jobs) as pool, Board(tasks[0][0]) as board:
        told = manager.Queue()
        result = pool.starmap_async(_worker, [(*task, told) for task in tasks], chunksize=1)
        while not (result.ready() and told.empty()):
            try:
                board.show(told.get(timeout=0.2))
            except queue.Empty:
                continue
        yield from result.get()


def _worker(settings, seed, folder, every, resume, told):
    from .training import train

    sent, blocks = 0.0, 0

    def report(rollout, run):
        nonlocal sent, blocks
        if time.monotonic() - sent > 0.5 or len(run.blocks) > blocks:
            sent, blocks = time.monotonic(), len(run.blocks)
            told.put(progress(rollout, run))

    return train(settings, seed, folder, every, resume, report)


def _print_summary(settings, runs):
    from ._results import summary

    for name, found in summary(settings, runs).items():
        console.print(f"{name.replace('_', ' ')}: interquartile mean {found['iqm']:.1f}, 95 % interval "
                      f"{found['low']:.1f} to {found['high']:.1f}, "
                      f"{len(found['mean_of_each_seed'])} seeds: "
                      f"{', '.join(f'{m:.0f}' for m in found['mean_of_each_seed'])}", markup=False, soft_wrap=True)
