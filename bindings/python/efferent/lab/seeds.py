"""Several seeds of one setting, in processes of their own where that is asked for, with their progress shown."""
from __future__ import annotations

import json
import multiprocessing
import queue
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from .._types import StrPath
from ..errors import MismatchError
from .training import Rollout, Run, Settings, train

# settings, seed, folder of checkpoints, steps between them, whether to go on from them
Task = tuple[Settings, int, "StrPath | None", int, bool]
Progress = dict[str, Any]


def run_seeds(settings: Settings, seeds: Iterable[int], jobs: int = 1, folder: StrPath | None = None,
              checkpoint_every: int = 50_000, resume: bool = False) -> list[Run]:
    """Learns with every seed, `jobs` at a time, and shows the progress. Returns a `Run` of each."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        same_settings(Path(folder) / "settings.json", settings, resume)
    tasks: list[Task] = [(settings, seed, folder, checkpoint_every, resume) for seed in seeds]
    return list(_parallel(tasks, jobs) if jobs > 1 and len(tasks) > 1 else _in_turn(tasks))


def same_settings(path: Path, settings: Settings, resume: bool) -> None:
    """A folder belongs to one set of settings."""
    given = asdict(settings)
    if resume and path.exists():
        before = json.loads(path.read_text())
        different = [f"{k} is {given[k]!r}, expected {before.get(k)!r}" for k in given if given[k] != before.get(k)]
        if different:
            raise MismatchError(f"{path}: the run was begun otherwise: {'; '.join(different)}")
    path.write_text(json.dumps(given))


# ---- progress ----


def progress(rollout: Rollout, run: Run) -> Progress:
    """What is shown of a run, as plain numbers that can go from one process to another."""
    telemetry, last = rollout.telemetry, rollout.episodes[-20:]
    return {
        "seed": run.seed, "step": rollout.step, "return": sum(e.total for e in last) / len(last) if last else None,
        "td error": telemetry.td_error, "exploration": telemetry.exploration, "rollbacks": telemetry.rollbacks,
        "bad updates": telemetry.bad_updates + telemetry.bad_inputs,
        "per second": rollout.step / run.seconds if run.seconds else 0.0, "blocks": len(run.blocks),
        "block": run.blocks[-1].mean_return if run.blocks else None,
    }


class Board:
    """Shows the progress of all seeds: a live table on a terminal, a line per block elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rows: dict[int, Progress] = {}
        self.shown: dict[int, int] = {}  # blocks of each seed
        self.live = (Live(console=Console(highlight=False), refresh_per_second=4) if sys.stdout.isatty() else None)

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def show(self, row: Progress) -> None:
        self.rows[row["seed"]] = row
        if self.live:
            self.live.update(self._table())
        elif row["blocks"] > self.shown.get(row["seed"], 0):
            self.shown[row["seed"]] = row["blocks"]
            print(f"seed {row['seed']} step {row['step']}: return {_number(row['block'])}, std or epsilon "
                  f"{row['exploration']:.3g}, "
                  f"rollbacks {row['rollbacks']}, bad updates {row['bad updates']}, {row['per second']:.0f} steps/s",
                  flush=True)

    def _table(self) -> Table:
        columns = ("step", "return", "td error", "exploration", "rollbacks", "bad updates", "per second")
        table = Table("seed", *columns, box=None, header_style="bold",
                      title=f"{self.settings.env}, {self.settings.algorithm}")
        for seed, row in sorted(self.rows.items()):
            table.add_row(str(seed), *(_number(row[c]) for c in columns))
        return table


def _number(value: float | None) -> str:
    return (
        "-"
        if value is None
        else f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.1f}"
        if abs(value) >= 10
        else f"{value:.3f}"
    )


def _in_turn(tasks: list[Task]) -> Iterator[Run]:
    with Board(tasks[0][0]) as board:
        for settings, seed, folder, every, resume in tasks:
            yield train(settings, seed, folder, every, resume, lambda rollout, run: board.show(progress(rollout, run)))


def _parallel(tasks: list[Task], jobs: int) -> Iterator[Run]:
    """The same in processes. Each sends its progress at most twice a second."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(jobs) as pool, Board(tasks[0][0]) as board:
        reports = manager.Queue()
        result = pool.starmap_async(_worker, [(*task, reports) for task in tasks], chunksize=1)
        while not (result.ready() and reports.empty()):
            try:
                board.show(reports.get(timeout=0.2))
            except queue.Empty:
                continue
        yield from result.get()


def _worker(settings: Settings, seed: int, folder: StrPath | None, every: int, resume: bool,
            reports: queue.Queue[Progress]) -> Run:
    sent, blocks = 0.0, 0

    def report(rollout: Rollout, run: Run) -> None:
        nonlocal sent, blocks
        if time.monotonic() - sent > 0.5 or len(run.blocks) > blocks:
            sent, blocks = time.monotonic(), len(run.blocks)
            reports.put(progress(rollout, run))

    return train(settings, seed, folder, every, resume, report)
