"""A trained policy goes on learning on a plant that is no longer the one it was trained on.

    python adapt.py --plants weak --seeds 1 --bridge --out out/adapt   # one, with the learner behind a ZeroMQ bridge
    python adapt.py --jobs 2                                           # all plants, 10 seeds, into results/adapt

Every seed makes a learner of examples/policies/half_cheetah.onnx. After every tenth of its steps what it has learned is
measured without exploration, from the same starts as the policy that stays as it was. `unchanged` is the control: the
plant of the training, with a policy that learns as well. Over the bridge the same numbers come out as in process
(Tests/Python/test_bridge_learner.py), only later. What is finished is kept in --work.

One setting serves all plants: the preset "adapted-quick". It was chosen, and so were the plants, on the seeds 0 and
1000 to 1004, which are not among those reported.
"""
import argparse
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from pathlib import Path

import efferent
import numpy as np
import plants
from deployed import ENV, POLICY, finished, record, returns
from efferent.lab import Rollout, make
from efferent.lab.estimates import interval
from efferent.learner import REASONS

# name: (what has changed, function of a fresh environment)
PLANTS = {
    "unchanged": ("nothing has changed (control)", lambda env: env),
    "weak": ("the back shin's motor has lost 80 % of its gear", lambda env: plants.gear(env, [1], 0.2)),
    "heavy": ("every part weighs twice as much",
              lambda env: plants.mass(env, range(1, env.unwrapped.model.nbody), 2.0)),
    "rusty": ("8 N m of dry friction in all joints", lambda env: plants.dry(env, 8.0)),
    "stiff": ("twice the damping in all joints", lambda env: plants.damping(env, 2.0)),
    "late": ("actions arrive one step (50 ms) late", lambda env: plants.Latency(env, 1)),
    "uphill": ("the ground rises by 5 degrees", lambda env: plants.slope(env, -5.0)),
}
SETTING = dict(preset="adapted-quick")
WARM_UP = 10_000  # steps in which the critic alone learns


@contextmanager
def joined(learner, bridge):
    """(what the plant talks to, a context in which the learner may be looked at): the learner itself, or the far end of
    a bridge that serves it."""
    if not bridge:
        yield learner, nullcontext
        return

    with efferent.Bridge(learner) as served:
        @contextmanager
        def paused():
            served.stop()
            yield
            served.start()

        served.start()
        with efferent.RemoteLearner(served.endpoint) as remote:
            yield remote, paused
        served.stop()


def adapt(plant, seed, steps, episodes, bridge=False, setting=SETTING):
    """What became of one seed on one plant: returns without exploration at the start (the frozen policy's), on the way
    and at the end."""
    began, env = time.perf_counter(), PLANTS[plant][1](make(ENV))
    learner = efferent.Learner(policy=POLICY, seed=seed, **setting)
    starts = 1_000_000 + 1000 * seed
    found = {"plant": plant, "seed": seed, "frozen": returns(efferent.Policy(POLICY), env, episodes, starts),
             "learned": []}
    reasons = Counter()
    with joined(learner, bridge) as (partner, paused):
        rollout = Rollout(PLANTS[plant][1](make(ENV)), partner, seed,
                          on_step=lambda told: reasons.update([REASONS[told.reason]]))
        for tenth in range(1, 11):
            rollout.advance(steps * tenth // 10 - rollout.step)
            with paused():
                last = tenth == 10
                found["learned"].append(returns(learner.policy(), env, episodes if last else max(episodes // 5, 1),
                                                starts))
    found["episodes"] = [[e.step, round(e.total, 2)] for e in rollout.episodes]
    return found | {"updates": dict(reasons), "seconds": round(time.perf_counter() - began, 1)}


def summary(runs):
    """Interquartile means over seeds with 95 % intervals, and which policy ends significantly above the other: where
    the intervals do not overlap."""
    frozen = interval([np.mean(r["frozen"]) for r in runs])
    adapted = interval([np.mean(r["learned"][-1]) for r in runs])
    gain = interval([np.mean(r["learned"][-1]) - np.mean(r["frozen"]) for r in runs])
    better = "adapted" if adapted[1] > frozen[2] else "frozen" if frozen[1] > adapted[2] else "neither"
    named = {name: dict(zip(("iqm", "low", "high"), values))
             for name, values in (("frozen", frozen), ("adapted", adapted), ("gain", gain))}
    return named | {"better": better}


def plot(path, found, steps):
    """For every plant the frozen policy's return and that of what is learned, over steps, interquartile mean and 95 %
    interval."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(15, 6.4), squeeze=False)
    for axis, (plant, runs) in zip(axes.flat, found.items()):
        at = np.arange(11) * steps / 10_000
        still = interval([np.mean(r["frozen"]) for r in runs])
        points = np.array([still] + [interval([np.mean(r["learned"][k]) for r in runs], samples=4000)
                                     for k in range(10)])
        axis.plot(at, [still[0]] * 11, color="tab:gray", label="frozen")
        axis.fill_between(at, still[1], still[2], color="tab:gray", alpha=0.3, linewidth=0)
        axis.plot(at, points[:, 0], color="tab:blue", label="keeps learning")
        axis.fill_between(at, points[:, 1], points[:, 2], color="tab:blue", alpha=0.2, linewidth=0)
        axis.axvline(WARM_UP / 1000, color="tab:gray", linestyle=":", linewidth=1)
        axis.set_title(f"{plant}: {PLANTS[plant][0]}", fontsize=8)
        axis.set_ylim(bottom=min(0, points.min() * 1.1))
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(found):]:
        axis.axis("off")
    axes[0, 0].legend(fontsize=8)
    axes[0, 0].set_ylabel("return without exploration")
    axes[0, 0].set_xlabel("thousand steps")
    figure.suptitle(f"{ENV}, a PPO policy on changed plants, {len(next(iter(found.values())))} seeds; dotted: the "
                    f"actor begins to learn", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", nargs="+", choices=PLANTS, default=list(PLANTS), metavar="NAME",
                        help=f"of {', '.join(PLANTS)} (all)")
    parser.add_argument("--steps", type=int, default=100_000, help="of learning, for each seed")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=10,
                        help="of a measurement at the start and at the end; a fifth of it on the way")
    parser.add_argument("--bridge", action="store_true", help="serve the learner over ZeroMQ to the plant")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "adapt")
    parser.add_argument("--work", type=Path, default=Path("out/learning/adapt"),
                        help="folder for finished runs; those of other settings do not belong there")
    args = parser.parse_args()
    found = {plant: [] for plant in args.plants}
    tasks = [(plant, seed, args.steps, args.episodes, args.bridge) for seed in range(1, args.seeds + 1)
             for plant in args.plants]
    for (plant, *_), run in finished(adapt, tasks, args.jobs, args.work):
        found[plant].append(run)
        print(f"{plant} seed {run['seed']}: frozen {np.mean(run['frozen']):.0f}, keeps learning "
              f"{np.mean(run['learned'][-1]):.0f}, "
              f"{run['updates'].get('rolled back', 0)} roll-backs ({run['seconds']} s)", flush=True)
    record(args.out, "python adapt.py", {"setting": SETTING, "steps": args.steps, "episodes": args.episodes}, {
        plant: {"changed": PLANTS[plant][0], **summary(runs), "runs": runs} for plant, runs in found.items()},
           ("frozen", "adapted", "gain"))
    plot(args.out / "adapt.png", found, args.steps)


if __name__ == "__main__":
    main()
