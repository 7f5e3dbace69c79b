"""What a deployed policy loses when it is handed to a streaming learner, and how the defaults of Efferent avoid it.

    python naive_switch.py --jobs 2     # every way, 5 seeds of 60,000 steps of HalfCheetah-v5, into
    results/naive_switch python naive_switch.py naive        # one of them; what is finished is kept in --work

The policy is examples/policies/half_cheetah.onnx, trained with PPO. `before` and `after` are returns of the policy
without exploration, from the same starts; `during` are the returns of the episodes in which it learned, exploration
included.
"""
import argparse
import json
import time
from pathlib import Path

import efferent
import numpy as np
from deployed import ENV, POLICY, finished, record, returns
from efferent.lab import Rollout, make
from efferent.lab.estimates import interval

# what stream-x uses from fresh weights on (arXiv 2410.14606)
PAPER = dict(kappa_policy=3.0, critic_warmup_steps=0, entropy=0.01)

# options beside the defaults of eff_learner_options_adapt
WAYS = {
    "explores only": dict(critic_warmup_steps=1 << 40),
    "naive": PAPER,
    "naive, warm critic": PAPER | dict(critic_warmup_steps=10_000),
    "defaults": {},
    "adapted-quick": dict(preset="adapted-quick"),
    "last layer": dict(learn="last"),
    "residual": dict(learn="residual"),
}


def switch(way, seed, steps, episodes):
    """What became of one seed."""
    began, env, starts = time.perf_counter(), make(ENV), 1_000_000 + 1000 * seed
    learner = efferent.Learner(policy=POLICY, seed=seed, **WAYS[way])
    before = returns(efferent.Policy(POLICY), env, episodes, starts)
    rollout = Rollout(make(ENV), learner, seed)
    rollout.advance(steps)
    return {"seed": seed, "before": before, "during": [[e.step, round(e.total, 2)] for e in rollout.episodes],
            "after": returns(learner.policy(), env, episodes, starts), "seconds": round(time.perf_counter() - began, 1)}


def summary(runs, steps):
    """{what: interquartile mean over seeds with its 95 % interval}: before, after, what it gained, and while it learned
    from the warm-up on."""
    late = [[total for step, total in run["during"] if step > 10_000] for run in runs]
    means = {
        "before": [np.mean(r["before"]) for r in runs], "after": [np.mean(r["after"]) for r in runs],
        "gain": [np.mean(r["after"]) - np.mean(r["before"]) for r in runs],
        "during": [np.mean(totals) for totals in late if totals],
    }
    return {name: dict(zip(("iqm", "low", "high"), interval(values))) for name, values in means.items() if values}


def plot(path, found, steps):
    """Return without exploration after learning, and returns on the way, of every way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.6), width_ratios=(3, 2))
    for i, (way, runs) in enumerate(found.items()):
        edges = np.linspace(0, steps, 7)
        blocks = [[np.mean([t for at, t in r["during"] if low < at <= high] or [np.nan]) for r in runs]
                  for low, high in zip(edges, edges[1:])]
        points = np.array([interval(block, samples=4000) for block in blocks])
        left.plot(edges[1:], points[:, 0], color=f"C{i}", label=way)
        left.fill_between(edges[1:], points[:, 1], points[:, 2], color=f"C{i}", alpha=0.15, linewidth=0)
        after = interval([np.mean(r["after"]) for r in runs])
        right.errorbar(after[0], -i, xerr=[[after[0] - after[1]], [after[2] - after[0]]], fmt="o", color=f"C{i}",
                       capsize=3)
    before = interval([np.mean(r["before"]) for runs in found.values() for r in runs])
    right.axvline(before[0], color="tab:gray", linestyle=":", label="before")
    right.set_yticks([-i for i in range(len(found))], list(found))
    left.set(xlabel="steps", ylabel="return while it learns, exploration included")
    right.set(xlabel="return afterwards, without exploration")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.suptitle(f"{ENV}: a PPO policy is handed to a streaming learner, {len(runs)} seeds, interquartile mean and "
                    f"95 % interval", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(map(repr, WAYS))} (all)")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=10, help="of each measurement")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "naive_switch")
    parser.add_argument("--work", type=Path, default=Path("out/learning/naive_switch"),
                        help="folder for finished runs; those of other settings do not belong there")
    args = parser.parse_args()
    if unknown := [way for way in args.ways if way not in WAYS]:
        parser.error(f"there is no way {unknown[0]!r}; the ways are {', '.join(map(repr, WAYS))}")
    ways = args.ways or list(WAYS)
    found = {way: [] for way in ways}
    for (way, *_), run in finished(switch,
                                   [(way, seed, args.steps, args.episodes) for seed in range(args.seeds)
                                    for way in ways], args.jobs, args.work):
        found[way].append(run)
        print(f"{way}: seed {run['seed']}: before {np.mean(run['before']):.0f}, after {np.mean(run['after']):.0f} "
              f"({run['seconds']} s)", flush=True)
    record(args.out, "python naive_switch.py", {"steps": args.steps, "episodes": args.episodes}, {
        way: {"options": WAYS[way], **summary(runs, args.steps), "runs": runs} for way, runs in found.items()},
           ("before", "during", "after", "gain"))
    plot(args.out / "naive_switch.png", found, args.steps)


if __name__ == "__main__":
    main()
