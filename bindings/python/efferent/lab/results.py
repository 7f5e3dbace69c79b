"""What learning runs gave, as files: results.json, curve.csv and curve.png in a folder."""
from __future__ import annotations

import csv
import json
import os
import platform
import sys
from dataclasses import asdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import StrPath
from . import estimates
from .training import Block, Run, Settings


def versions() -> dict[str, str]:
    """Of everything that the figures depend on."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from .._library import version

    found = {"efferent": version(), "kernels": os.environ.get("EFFERENT_ISA", "best"), "processor": _processor(),
             "python": platform.python_version()}
    for name in ("gymnasium", "mujoco", "numpy"):
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                 if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def summary(settings: Settings, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Interquartile means with 95 % intervals over seeds: of the returns in the last tenth of the steps, and of the
    evaluation."""
    first = settings.steps - settings.steps // 10
    found: dict[str, dict[str, Any]] = {}
    scores = {"last_tenth": [run.returns(first, settings.steps) for run in runs],
              "evaluation": [run.evaluation for run in runs]}
    for name, returns in scores.items():
        means = [float(np.mean(r)) for r in returns if len(r)]
        if means:
            estimate, low, high = estimates.interval(means)
            found[name] = {"iqm": estimate, "low": low, "high": high, "mean_of_each_seed": means}
    return found


def write(folder: StrPath, settings: Settings, runs: Sequence[Run], command: str) -> list[Path]:
    """Writes the three files and returns their paths. Without matplotlib there is no picture, which is said on
    stderr: what was learned is worth more than its picture."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "command": command, **asdict(settings), "versions": versions(), "summary": summary(settings, runs),
        "seeds": [{"seed": r.seed, "seconds": round(r.seconds, 1), "episodes": len(r.episodes), **_last(r),
                   "evaluation": r.evaluation} for r in runs],
    }
    paths = [folder / "results.json", folder / "curve.csv"]
    paths[0].write_text(json.dumps(facts, indent=1) + "\n")
    with open(paths[1], "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("seed", *Block._fields))
        for run in runs:
            rows.writerows((run.seed, *(f"{v:.6g}" if isinstance(v, float) else v for v in block))
                           for block in run.blocks)
    try:
        plot(folder / "curve.png", settings, runs)
    except ModuleNotFoundError as e:
        if e.name != "matplotlib":
            raise
        print(f"{folder / 'curve.png'} is not drawn: matplotlib is not installed: pip install matplotlib",
              file=sys.stderr)
        return paths
    return [*paths, folder / "curve.png"]


def _last(run: Run) -> dict[str, Any]:
    return {name: getattr(run.blocks[-1], name) for name in ("rollbacks", "bad_updates", "drift")} if run.blocks else {}


def series(runs: Sequence[Run], name: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """(steps [blocks], values [seeds, blocks]) of one column over the blocks that all seeds have; missing returns are
    those of the block before."""
    count = min(len(r.blocks) for r in runs)
    values = np.array([[getattr(b, name) for b in r.blocks[:count]] for r in runs], np.float64)
    for row in values:
        for i in range(1, count):
            row[i] = row[i - 1] if np.isnan(row[i]) else row[i]
    return np.array([b.step for b in runs[0].blocks[:count]]), values


def band(axes: Any, steps: NDArray[Any], values: NDArray[np.float64], label: str, color: str) -> None:
    """Interquartile mean over seeds with its 95 % interval, over every seed as a thin line."""
    points = np.array([estimates.interval(column, samples=2000) if np.isfinite(column).all() else (np.nan,) * 3
                       for column in values.T])
    axes.plot(steps, values.T, color=color, alpha=0.25, linewidth=0.7)
    axes.plot(steps, points[:, 0], color=color, label=label)
    axes.fill_between(steps, points[:, 1], points[:, 2], color=color, alpha=0.2, linewidth=0)


def plot(path: StrPath, settings: Settings, runs: Sequence[Run]) -> None:
    """Return, TD error and exploration over steps, with a mark where a guard rolled back."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, figsize=(7, 8), sharex=True, height_ratios=(3, 1, 1))
    for axis, name, label in zip(axes, ("mean_return", "td_error", "exploration"),
                                 ("mean return of a block", "|TD error|", "std or epsilon")):
        steps, values = series(runs, name)
        band(axis, steps, values, f"interquartile mean of {len(runs)} seeds, 95 % interval", "tab:blue")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    for run in runs:
        for before, block in zip(run.blocks, run.blocks[1:]):
            if block.rollbacks > before.rollbacks and block.mean_return is not None:
                axes[0].plot(block.step, block.mean_return, "v", color="tab:red", markersize=4)
    axes[0].set_title(f"{settings.env}, {settings.algorithm} (red: a guard rolled back)")
    axes[0].legend(fontsize=8)
    axes[-1].set_xlabel("steps")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
