"""Learning runs: one environment, some seeds, the mean return of the episodes that end in each block of steps.

    python runs.py InvertedPendulum-v5 --steps 100000 --seeds 10 --option snapshots=4 --out results/inverted_pendulum.json

Prints one line per seed and block, and writes a JSON file with the curves, the options and the versions.
"""
import argparse
import json
import platform
import time

import gymnasium
import numpy as np

import efferent


def run(env_name, algorithm, steps, seed, block, options):
    """Mean return of the episodes that end in each block (None where none does), and the learner's last telemetry."""
    kwargs = {"max_episode_steps": 10_000} if env_name.startswith("CartPole") else {}
    env = gymnasium.make(env_name, **kwargs)
    if hasattr(env.action_space, "low"):
        env = gymnasium.wrappers.ClipAction(env)
    learner = efferent.Learner.for_env(env, algorithm, seed=seed, **options)
    observation, _ = env.reset(seed=seed)
    curve, returns, total = [], [], 0.0
    for step in range(1, steps + 1):
        observation, reward, terminated, truncated, _ = env.step(learner.act(observation))
        told = learner.update(observation, reward, terminated, truncated)
        total += reward
        if terminated or truncated:
            returns.append(total)
            total = 0.0
            observation, _ = env.reset()
        if step % block == 0:
            curve.append(round(float(np.mean(returns)), 1) if returns else None)
            returns = []
            print(f"{env_name} seed {seed} step {step}: {curve[-1]}  rollbacks {told.rollbacks}  bad updates {told.bad_updates}", flush=True)
    return curve, {"rollbacks": told.rollbacks, "snapshots": told.snapshots, "bad_updates": told.bad_updates, "drift": told.actor.drift}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env")
    parser.add_argument("--algorithm", choices=list(efferent.learner.ALGORITHMS))
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--block", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of efferent.Learner")
    parser.add_argument("--out")
    args = parser.parse_args()
    options = {}
    for text in args.option:
        name, value = text.split("=", 1)
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    began, runs = time.monotonic(), []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        curve, end = run(args.env, args.algorithm, args.steps, seed, args.block, options)
        runs.append({"seed": seed, "mean_return": curve, **end})
        if args.out:
            result = {
                "env": args.env, "algorithm": args.algorithm, "steps": args.steps, "block": args.block, "options": options, "runs": runs,
                "seconds": round(time.monotonic() - began, 1),
                "versions": {"efferent": efferent.version(), "gymnasium": gymnasium.__version__, "python": platform.python_version()},
            }
            with open(args.out, "w") as file:
                json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
