"""A trained policy drives a MuJoCo simulator through Efferent, over ZeroMQ or shared memory, beside the same policy in
plain onnxruntime.

Two processes: `efferent serve` runs the policy, this one runs the plant. Called by quickstart.sh, which installs and
builds first.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gymnasium
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from efferent import Plant, Policy

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "policies"))
from evaluate import evaluate, open_policy  # noqa: E402

console = Console(highlight=False)


def serve(file, endpoint, stats):
    """Starts the policy runtime; returns its process and the address that it bound."""
    command = [
        sys.executable,
        "-m",
        "efferent",
        "serve",
        str(file),
        "--endpoint",
        endpoint,
        "--once",
        "--stats",
        str(stats),
        "--force",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if " at " not in line:
        raise SystemExit(
            f"efferent serve did not start: {line.strip() or 'it ended with status ' + str(process.wait())}"
        )
    return process, line.rsplit(" at ", 1)[1].strip()


def drive(env, endpoint, episodes, seed):
    """Runs the episodes with live progress; returns the plant's result."""
    steps = env.spec.max_episode_steps or 1000
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total} steps"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Plant(env, endpoint) as plant, Progress(*columns, console=console) as progress:
        bar = progress.add_task("episode 1", total=steps, note="")
        totals = [0.0]

        def on_step(step):
            totals[0] += float(step.reward[0])
            progress.update(bar, advance=1, note=f"return {totals[0]:8.1f}   {1e6 * step.latency:5.0f} us")

        def on_episode(episode):
            progress.console.print(f"episode {episode.index + 1}: return {episode.total:.1f} in {episode.length} steps")
            totals[0] = 0.0
            if episode.index + 1 < episodes:
                progress.reset(bar, total=steps, description=f"episode {episode.index + 2}", note="")

        return plant.run(episodes, seed=seed, on_step=on_step, on_episode=on_episode, record=True)


def compare(file, recording):
    """Largest difference, over 1 + |y|, of the recorded actions from those of onnxruntime on the recorded
    observations."""
    session, _ = open_policy(str(file))
    (name, observations), = recording.observations.items()
    worst = 0.0
    for x, y in zip(observations, recording.actions):
        expected = session.run(None, {name: x.reshape(len(x), -1).astype(np.float32)})[0]
        worst = max(worst, float(np.max(np.abs(y - expected) / (1 + np.abs(expected)))))
    return worst


def microseconds(values):
    p50, p99, top = np.percentile(values, (50, 99, 100))
    return {"p50": round(1e6 * float(p50), 2), "p99": round(1e6 * float(p99), 2), "max": round(1e6 * float(top), 2)}


def in_process(file, recording):
    """Seconds of each step of a session in this process, on the recorded observations; and whether the actions are the
    same bits."""
    session = Policy(file).session()
    (observations,) = recording.observations.values()
    times = np.empty(len(observations))
    same = True
    for i, x in enumerate(observations):
        began = time.perf_counter()
        action = session.step(x)
        times[i] = time.perf_counter() - began
        same &= np.array_equal(action.ravel(), recording.actions[i].ravel())
    return times, bool(same)


def draw(path, title, way, result, reference, joints, names, control_period):
    """Return per episode, joint trajectories of the first seconds, histogram of the latencies."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), constrained_layout=True)
    figure.suptitle(title)
    x = np.arange(len(result.returns))
    axes[0].bar(x - 0.2, result.returns, 0.4, label=f"Efferent over {way}")
    axes[0].bar(x + 0.2, reference, 0.4, label="onnxruntime, in process")
    axes[0].set(
        title="return per episode",
        xlabel="episode",
        xticks=x,
        xticklabels=x + 1,
        ylim=(0, 1.25 * max(1.0, *result.returns, *reference)),
    )
    axes[0].legend(loc="upper right")
    shown = min(len(joints), int(5 / control_period))
    for k, name in enumerate(names):
        axes[1].plot(np.arange(shown) * control_period, joints[:shown, k], lw=1, label=name)
    axes[1].set(title="joints, first 5 s of episode 1", xlabel="time (s)", ylabel="angle (rad)")
    axes[1].legend(fontsize=7, ncols=2, loc="upper right")
    micro = 1e6 * result.latency
    axes[2].hist(np.minimum(micro, np.percentile(micro, 99.5)), bins=60)
    axes[2].axvline(np.median(micro), color="k", lw=1, label=f"p50 {np.median(micro):.0f} us")
    axes[2].set(title="round trip: observation out, action in", xlabel="us", ylabel="steps")
    axes[2].legend()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, default=here / "policies" / "half_cheetah.onnx")
    parser.add_argument(
        "--endpoint", default="tcp://127.0.0.1:*", help="tcp://127.0.0.1:PORT, ipc://PATH, unix:PATH or shm:PATH"
    )
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(".build/quickstart"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    card = json.loads(args.policy.with_suffix(".json").read_text())

    env = gymnasium.make(card["env"])
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "stats.json"
        process, endpoint = serve(args.policy, args.endpoint, stats)
        try:
            console.print(
                f"policy {args.policy.name} in process {process.pid} at {endpoint}; plant {card['env']} in this process"
            )
            result = drive(env, endpoint, args.episodes, args.seed)
            process.wait(timeout=10)
            served = json.loads(stats.read_text())
        finally:
            process.kill()
    env.close()

    way = {"unix": "a Unix socket", "shm": "shared memory"}.get(endpoint.partition(":")[0], "ZeroMQ")
    console.print("the same episodes in plain onnxruntime ...")
    reference = evaluate(str(args.policy), episodes=args.episodes, seed=args.seed)
    difference = compare(args.policy, result.recording)
    local, same = in_process(args.policy, result.recording)

    table = Table("episode", "seed", f"Efferent over {way}", "onnxruntime", box=None, header_style="bold")
    for i, (a, b) in enumerate(zip(result.returns, reference)):
        table.add_row(str(i + 1), str(args.seed + i), f"{a:.1f}", f"{b:.1f}")
    table.add_row("mean", "", f"{np.mean(result.returns):.1f}", f"{np.mean(reference):.1f}", style="bold")
    console.print(table)
    report = {
        "policy": args.policy.name,
        "env": card["env"],
        "endpoint": endpoint,
        "seed": args.seed,
        "returns": [float(v) for v in result.returns],
        "onnxruntime_returns": reference,
        "steps": int(result.steps),
        "steps_per_second": round(result.rate, 1),
        "round_trip_us": microseconds(result.latency),
        "session_step_from_python_us": microseconds(local),
        "library_run_us_mean": round(served["run"]["sum"] / max(1, served["run"]["count"]) / 1e3, 2),
        "largest_action_difference": difference,
        "bit_identical_to_in_process_session": same,
    }
    for key, what in (
        ("round_trip_us", f"round trip through {way}"),
        ("session_step_from_python_us", "session.step in one process"),
    ):
        v = report[key]
        console.print(f"{what}: p50 {v['p50']:.1f} us, p99 {v['p99']:.1f} us, max {v['max']:.1f} us")
    console.print(
        f"loop rate {report['steps_per_second']:.0f} steps per second, simulation included; the policy itself took "
        f"{report['library_run_us_mean']} us per step"
    )
    console.print(
        f"largest difference of an action from onnxruntime, over 1 + |y|: {difference:.2g}; bit-identical to an "
        f"in-process session: {'yes' if same else 'no'}"
    )

    names = [t["name"] for t in card["observation"]["terms"]]
    columns = [i for i, n in enumerate(names) if "position" in n and not n.startswith("root")] or list(
        range(min(6, len(names)))
    )
    (observations,) = result.recording.observations.values()
    flat = observations.reshape(len(observations), -1)
    draw(
        args.out / "quickstart.png",
        f"{args.policy.name} in {card['env']}",
        way,
        result,
        reference,
        flat[:, columns],
        [names[i].replace(" position", "") for i in columns],
        card["control_period"],
    )
    (args.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    np.savez(
        args.out / "run.npz",
        observations=flat,
        actions=result.recording.actions.reshape(len(flat), -1),
        starts=result.recording.starts,
        latency=result.latency,
    )
    console.print(f"wrote {args.out}/quickstart.png, report.json, run.npz")
    close = abs(np.mean(result.returns) - np.mean(reference)) <= 0.05 * abs(np.mean(reference))
    if difference > 2e-5 or not close or not same:
        raise SystemExit("the run differs from its reference by more than it should")


if __name__ == "__main__":
    main()
