"""Steers the frozen flow policy of this folder by its noise, where one of its two ways is shut.

    python examples/latent/steer.py --jobs 2     # 10 seeds of 50,000 steps on two plants, into results.json

`before`: standard normal noise, as the policy was trained. `after`: the noise that was learned, exploration included;
`mean`: without it. Each is the share of 200 fresh episodes that reach the goal. The open plant is the one of the
demonstrations: nothing is to be gained there, and nothing should be lost. What is finished is kept in results.json.
"""
from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import efferent
import numpy as np
from efferent.lab.estimates import interval
from reach import Reach

HERE = Path(__file__).parent
POLICY = HERE / "reach_flow.onnx"
PLANTS = {"open": False, "shut": True}
BLOCK = 5000


def success(choose, shut: bool, seed: int, episodes: int) -> float:
    """Share of episodes that reach the goal where `choose(observation)` acts."""
    env, reached = Reach(shut, seed), 0
    for _ in range(episodes):
        observation, ended, broken = env.reset(), False, False
        while not (ended or broken):
            observation, reward, ended, broken = env.step(choose(observation))
        reached += reward == 1
    return reached / episodes


def unsteered(seed: int):
    """The policy under standard normal noise."""
    session, random = efferent.Policy(POLICY).session(), np.random.default_rng(seed)

    def choose(observation):
        noise = random.normal(size=(1, 2)).astype(np.float32)
        return session.run({"obs": observation[None], "noise": noise})["actions"]

    return choose


def frozen(learner: efferent.LatentLearner):
    """What was learned, exploration included, without learning more."""
    copy = efferent.LatentLearner(POLICY, seed=1)
    copy.learner.restore_bytes(bytes(learner.learner))
    return copy.act


def run(plant: str, seed: int, steps: int, episodes: int) -> dict:
    """One seed: its shares of success before, on the way and after."""
    began, shut = time.perf_counter(), PLANTS[plant]
    learner = efferent.LatentLearner(POLICY, seed=seed)
    shipped, env = learner.policy.hash, Reach(shut, seed)
    observation, blocks, ended_well = env.reset(), [], []
    for step in range(1, steps + 1):
        observation, reward, ended, broken = env.step(learner.act(observation))
        learner.update(observation, reward, ended, broken)
        if ended or broken:
            ended_well.append(reward == 1)
            observation = env.reset()
        if step % BLOCK == 0:
            blocks.append(round(float(np.mean(ended_well)), 3))
            ended_well = []
    fresh = 1_000_000 + seed
    return {"plant": plant, "seed": seed, "steps": steps, "before": success(unsteered(seed), shut, fresh, episodes),
            "blocks": blocks, "after": success(frozen(learner), shut, fresh, episodes),
            "mean": success(learner.infer, shut, fresh, episodes), "unchanged": learner.policy.hash == shipped,
            "seconds": round(time.perf_counter() - began, 1)}


def table(runs: list[dict]) -> str:
    """Rows of the page: interquartile means over seeds with their 95 % intervals, and the worst seed."""
    rows = ["| plant | before | after, exploring | after, mean | worst block of 5,000 steps after the first |",
            "|---|---|---|---|---|"]
    for plant in PLANTS:
        of = [r for r in runs if r["plant"] == plant]
        if of:
            cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*interval([r[key] for r in of]))
                     for key in ("before", "after", "mean")]
            rows.append(f"| {plant} | {' | '.join(cells)} | {min(min(r['blocks'][1:]) for r in of):.3f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    runs = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    finished = {(r["plant"], r["seed"], r["steps"]) for r in runs}
    wanted = [(plant, seed) for seed in range(args.first, args.first + args.seeds)
              for plant in PLANTS]
    wanted = [(plant, seed) for plant, seed in wanted if (plant, seed, args.steps) not in finished]
    command = (f"python examples/latent/steer.py --seeds {args.seeds} --first {args.first} --steps {args.steps} "
               f"--episodes {args.episodes}")
    with ProcessPoolExecutor(args.jobs) as pool:
        for done in pool.map(run, *zip(*wanted), [args.steps] * len(wanted), [args.episodes] * len(wanted)):
            runs.append(done)
            print(f"[{len(runs)}/{len(finished) + len(wanted)}] {done['plant']} seed {done['seed']}: "
                  f"{done['before']:.2f} -> {done['after']:.2f}, {done['seconds']} s", flush=True)
            args.out.write_text(json.dumps({"command": command, "library": efferent.version(), "runs": runs}, indent=1)
                                + "\n")
    print(table(runs))


if __name__ == "__main__":
    main()
