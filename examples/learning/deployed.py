"""What the examples that start from a trained policy share."""
import json
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from efferent.lab import versions

ENV = "HalfCheetah-v5"
POLICY = Path(__file__).parent.parent / "policies" / "half_cheetah.onnx"  # trained with PPO, by the script beside it


def returns(policy, env, episodes, first_seed):
    """Return of each episode in which a policy's own actions are taken, without exploration; episode k resets with
    `first_seed + k`."""
    session, totals = policy.session(), []
    for k in range(episodes):
        session.reset()
        observation, over, total = env.reset(seed=first_seed + k)[0], False, 0.0
        while not over:
            observation, reward, terminated, truncated, _ = env.step(session.step(observation.astype(np.float32)))
            total, over = total + reward, terminated or truncated
        totals.append(round(float(total), 2))
    return totals


def _kept(task):
    function, arguments, path = task
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(function(*arguments)))
        beside.replace(path)
    return arguments, json.loads(path.read_text())


def finished(function, tasks, jobs, folder):
    """Yields (arguments, result) of every call as it is finished, `jobs` at a time. Results are kept in the folder, so
    that an interrupted whole goes on."""
    named = [(function, task, folder / ("-".join(map(str, task)).replace(" ", "_") + ".json")) for task in tasks]
    if jobs == 1:
        yield from map(_kept, named)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_kept, named)


def record(folder, command, settings, cases, columns):
    """Writes results.json and prints the estimates of every case."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"command": command, "env": ENV, "policy": POLICY.name, **settings, "versions": versions(), "cases": cases}
    (folder / "results.json").write_text(json.dumps(facts) + "\n")
    for name, case in cases.items():
        estimates = (f"{c} {case[c]['iqm']:.0f} [{case[c]['low']:.0f}, {case[c]['high']:.0f}]" for c in columns
                     if c in case)
        print(f"{name:20}", *estimates, case.get("better", ""), sep="  ")
