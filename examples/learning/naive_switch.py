"""What a deployed policy loses when it is handed to a streaming learner, and how the defaults of Efferent avoid it.

    python naive_switch.py                    # results/naive_switch.json, 3 seeds of 200,000 steps of HalfCheetah-v5 for each way
    python naive_switch.py --only defaults    # prints, and keeps the other ways in the file

The policy is examples/policies/half_cheetah.onnx, trained with PPO. `before` and `after` are returns of the policy without exploration, from
the same starts; `during` are the returns of the episodes in which it learned, exploration included.
"""
import argparse
import json
import time
from pathlib import Path

import efferent
import gymnasium
import numpy as np

HERE = Path(__file__).parent
POLICY = HERE.parent / "policies" / "half_cheetah.onnx"
ENV = "HalfCheetah-v5"
PAPER = dict(kappa_policy=3.0, critic_warmup_steps=0, entropy=0.01)

# options beside the defaults of eff_learner_options_adapt
WAYS = {
    "frozen, explores": dict(critic_warmup_steps=1 << 40),
    "naive": PAPER,
    "naive, warm critic": PAPER | dict(critic_warmup_steps=10_000),
    "defaults": {},
    "last layer": dict(learn="last"),
    "residual": dict(learn="residual"),
}


def evaluate(policy, episodes, first_seed):
    """Returns of a policy's own actions."""
    env, session, returns = gymnasium.make(ENV), policy.session(), []
    for k in range(episodes):
        seen, over, total = env.reset(seed=first_seed + k)[0], False, 0.0
        while not over:
            seen, reward, terminated, truncated, _ = env.step(session.step(seen.astype(np.float32)))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    return returns


def learn(learner, steps, seed):
    """Returns of the episodes that end within `steps`, with the step at which each ended."""
    env = gymnasium.make(ENV)
    seen, total, ended = env.reset(seed=seed)[0], 0.0, []
    for step in range(1, steps + 1):
        action = learner.act(seen)
        seen, reward, terminated, truncated, _ = env.step(action)
        learner.update(seen, reward, terminated, truncated)
        total += reward
        if terminated or truncated:
            ended.append((step, total))
            seen, total = env.reset()[0], 0.0
    return ended


def run(options, seed, steps, episodes):
    start = time.perf_counter()
    learner = efferent.Learner(policy=POLICY, seed=seed, **options)
    before = evaluate(efferent.Policy(POLICY), episodes, 1000)
    ended = learn(learner, steps, seed)
    after = evaluate(learner.policy(), episodes, 1000)
    block = max(steps // 5, 1)
    during = [[r for at, r in ended if first < at <= first + block] for first in range(0, block * 5, block)]
    return {
        "seed": seed, "before": float(np.mean(before)), "during": [float(np.mean(r)) if r else None for r in during], "after": float(np.mean(after)),
        "after_each": [round(r, 1) for r in after], "rollbacks": int(learner._update.rollbacks), "seconds": round(time.perf_counter() - start, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=10, help="of each evaluation")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "naive_switch.json")
    args = parser.parse_args()
    kept = json.loads(args.out.read_text())["ways"] if args.out.exists() else {}
    for name in [args.only] if args.only else WAYS:
        runs = [run(WAYS[name], seed, args.steps, args.episodes) for seed in range(args.seeds)]
        for r in runs:
            print(f"{name}: seed {r['seed']}: before {r['before']:.0f}, during {[d and round(d) for d in r['during']]}, after {r['after']:.0f} ({r['seconds']} s)", flush=True)
        kept[name] = {"options": WAYS[name], "runs": runs}
        result = {"command": "python naive_switch.py", "env": ENV, "policy": POLICY.name, "steps": args.steps, "episodes": args.episodes, "ways": kept}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
