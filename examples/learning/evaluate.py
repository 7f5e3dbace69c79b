"""Learning rules compared on many tasks and seeds, each with one setting for all tasks.

    python evaluate.py --jobs 2    # stream-x and intentional on 10 MuJoCo tasks, 10 seeds of 200,000 steps
    python evaluate.py --tasks Hopper-v5 Swimmer-v5 --seeds 0-3 --rules stream-x intentional,entropy=0.003
    python evaluate.py --report    # of what is finished so far, without another step

A rule is a preset, with options of efferent.Learner behind commas where it is to be varied. The first is the one that
the others are compared with. Every run is kept in --work: what is finished is not run again, what was interrupted goes
on from its last checkpoint. --out gets report.md, results.json, curves.csv and, where matplotlib is installed,
curves.png and profiles.png.

The score of a run is the mean return of the episodes that end in the last tenth of its steps, exploration included. It
is normalized for each task: 0 is the mean return of random actions, 1 the mean score of the first rule on the same
seeds. Estimates are those of rliable (arXiv 2108.13264).
"""
import argparse
import csv
import json
import re
import shlex
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from efferent.lab import Settings, estimates, make, train, versions
from efferent.lab.results import band, series
from efferent.lab.seeds import same_settings
from efferent.lab.training import Run

MUJOCO = ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "InvertedPendulum-v5", "InvertedDoublePendulum-v5",
          "Swimmer-v5", "Reacher-v5", "Pusher-v5", "Humanoid-v5"]
CHOICES = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"]
SUITES = {"mujoco": MUJOCO, "tuning": MUJOCO[:7], "discrete": CHOICES}
BLOCKS = 20          # points of a curve, and spans of which none may fall
RANDOM_EPISODES = 50


def rule_settings(rule, task, steps):
    """The settings of a run: PRESET[,NAME=VALUE...], values as JSON where they are."""
    preset, *assignments = re.split(r",(?![^\[]*\])", rule)  # not at the commas of a list
    options = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise SystemExit(f"--rules {rule}: '{text}' is no NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    algorithm = options.pop("algorithm", "stream-ac")  # the discrete one where actions are choices
    return Settings(task, algorithm, steps, max(1, steps // BLOCKS), options, evaluate=0, preset=preset)


def random_return(task):
    """Mean return of episodes of random actions."""
    env, totals = make(task), []
    env.action_space.seed(0)
    for seed in range(RANDOM_EPISODES):
        env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, ended = total + float(reward), terminated or truncated
        totals.append(total)
    return float(np.mean(totals))


def random_file(work, task):
    return work / f"{task}-random.json"


def folder_of(work, task, rule, steps):
    return work / f"{task}-{steps}-{rule.replace('/', '_')}"


def perform(job):
    """One run, or the random actions of a task (rule None). Returns what is to be told of it."""
    work, task, rule, steps, seed, every = job
    if rule is None:
        path = random_file(work, task)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(random_return(task)))
        beside.replace(path)
        return f"{task} random: {json.loads(path.read_text()):.1f}"
    folder, settings = folder_of(work, task, rule, steps), rule_settings(rule, task, steps)
    run = train(settings, seed, folder, every, resume=True)
    for path in folder.glob(f"seed-{seed}-*.ckpt"):
        path.unlink()
    return f"{task} {rule} seed {seed}: {score(run, steps):.1f}, {run.seconds:.0f} s"


def finished(work, task, rule, steps, seed):
    """The run, or None where it is not finished."""
    path = folder_of(work, task, rule, steps) / f"seed-{seed}.json"
    run = Run.load(path) if path.exists() else None
    return run if run is not None and run.finished else None


def score(run, steps):
    """Mean return of the episodes that end in the last tenth; of the last episode where none does."""
    returns = run.returns(steps - steps // 10, steps) or [e.total for e in run.episodes[-1:]]
    return float(np.mean(returns)) if returns else float("nan")


def falls(means, low):
    """Whether a run falls: once it has had 80 % of the best of its tenths (above what random actions give), a later one
    is below half of the best. `means` [blocks] are block means, NaN where no episode ended."""
    tenths = [np.nanmean(part) for part in np.array_split(np.asarray(means), 10) if not np.isnan(part).all()]
    gains = np.asarray(tenths) - low
    if not len(gains) or gains.max() <= 0:
        return False
    first = int(np.argmax(gains >= 0.8 * gains.max()))
    return bool((gains[first:] < 0.5 * gains.max()).any())


def perform_all(jobs, processes):
    """Makes the runs, so many at a time, and says of each what became of it."""
    if processes == 1:
        for i, job in enumerate(jobs, 1):
            print(f"[{i}/{len(jobs)}] {perform(job)}", flush=True)
        return
    with get_context("spawn").Pool(processes) as pool:
        for i, text in enumerate(pool.imap_unordered(perform, jobs), 1):
            print(f"[{i}/{len(jobs)}] {text}", flush=True)


def collect(work, tasks, rules, steps, seeds):
    """{task: {rule: {seed: run}}} of what is finished for every rule, and the random return of each of those tasks."""
    found, low = {}, {}
    for task in tasks:
        runs = {rule: {s: finished(work, task, rule, steps, s) for s in seeds} for rule in rules}
        common = [s for s in seeds if all(runs[rule][s] for rule in rules)]
        if common and random_file(work, task).exists():
            found[task] = {rule: {s: runs[rule][s] for s in common} for rule in rules}
            low[task] = json.loads(random_file(work, task).read_text())
    return found, low


def normalized(found, low, rules, steps):
    """(tasks in which the first rule is better than random actions, {rule: scores [seeds, those tasks]}), over the
    seeds that all tasks have. In another task there is no unit to measure by."""
    count = min(len(runs[rules[0]]) for runs in found.values())
    tasks, columns = [], {rule: [] for rule in rules}
    for task, runs in found.items():
        raw = {rule: np.array([score(run, steps) for run in list(runs[rule].values())[:count]]) for rule in rules}
        unit = raw[rules[0]].mean() - low[task]
        if unit > 0:
            tasks.append(task)
            for rule in rules:
                columns[rule].append((raw[rule] - low[task]) / unit)
    return tasks, {rule: np.array(values).reshape(-1, count).T for rule, values in columns.items()}


def shown(interval, digits=2):
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*interval, d=digits)


def tables(found, low, rules, steps, command):
    """The report as facts and as text."""
    measured, scores = normalized(found, low, rules, steps)
    count, unmeasured = len(scores[rules[0]]), [t for t in found if t not in measured]
    facts = {"command": command, "steps": steps, "rules": rules, "random": low, "versions": versions(), "tasks": {},
             "all": {}, "unmeasured": unmeasured}
    text = ["# Evaluation", "", f"`{command}`", "",
            f"{len(found)} tasks, {steps:,} steps. A score is the mean return of the episodes that end in the last "
            "tenth of the steps. Interquartile means over seeds with 95 % intervals of the stratified bootstrap.", "",
            "| task | random | " + " | ".join(rules) + " |", "|---" * (len(rules) + 2) + "|"]
    for task, runs in found.items():
        entry = facts["tasks"][task] = {}
        cells = []
        for rule in rules:
            raw = [score(run, steps) for run in runs[rule].values()]
            means = [[np.nan if b.mean_return is None else b.mean_return for b in run.blocks]
                     for run in runs[rule].values()]
            entry[rule] = {
                "seeds": list(runs[rule]), "scores": raw, "interval": estimates.interval(raw),
                "falls": sum(falls(m, low[task]) for m in means),
                "bad_updates": sum(run.blocks[-1].bad_updates for run in runs[rule].values()),
                "seconds": round(sum(run.seconds for run in runs[rule].values()), 1)}
            cells.append(shown(entry[rule]["interval"], 0 if abs(np.mean(raw)) >= 100 else 1))
        seeds = len(entry[rules[0]]["seeds"])
        text.append(f"| {task} ({seeds} seeds) | {low[task]:.1f} | " + " | ".join(cells) + " |")
    text += ["", f"Normalized: 0 is random, 1 the mean of {rules[0]}; {count} seeds of every task. Improvement: how "
             f"probable it is that a run is better than one of {rules[0]} on the same task. Least task: the smallest "
             "interquartile mean of a task. Falls: runs that had 80 % of their best tenth and later less than half.",
             "", "| rule | interquartile mean | improvement | least task | falls | bad updates | seconds |",
             "|---" * 7 + "|"]
    for rule in rules if measured else ():
        each = {task: float(estimates.iqm(scores[rule][:, j])) for j, task in enumerate(measured)}
        worst = min(each, key=each.get)
        entries = [facts["tasks"][task][rule] for task in found]
        row = facts["all"][rule] = {
            "iqm": estimates.interval(scores[rule]), "of_each_task": each,
            "improvement": estimates.improvement_interval(scores[rule], scores[rules[0]]),
            **{name: sum(e[name] for e in entries) for name in ("falls", "bad_updates", "seconds")}}
        runs = sum(len(e["seeds"]) for e in entries)
        text.append(f"| {rule} | {shown(row['iqm'])} | {shown(row['improvement'])} | {each[worst]:.2f} ({worst}) | "
                    f"{row['falls']} of {runs} | {row['bad_updates']} | {row['seconds']:.0f} |")
    if unmeasured:
        text += ["", f"Not among the normalized, since {rules[0]} is no better than random: {', '.join(unmeasured)}."]
    text += ["", ", ".join(f"{k} {v}" for k, v in facts["versions"].items()), ""]
    return facts, "\n".join(text), scores


def curves(path, found):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("task", "rule", "seed", "step", "mean_return"))
        for task, runs in found.items():
            for rule, seeds in runs.items():
                for seed, run in seeds.items():
                    rows.writerows((task, rule, seed, b.step, "" if b.mean_return is None else f"{b.mean_return:.6g}")
                                   for b in run.blocks)


def plots(folder, found, rules, scores):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colors = dict(zip(rules, ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown") * 9))
    columns = min(4, len(found))
    figure, axes = pyplot.subplots(-(-len(found) // columns), columns, squeeze=False, sharex=True,
                                   figsize=(4 * columns, 3 * -(-len(found) // columns)))
    for axis in axes.flat[len(found):]:
        axis.axis("off")
    for axis, (task, runs) in zip(axes.flat, found.items()):
        for rule, seeds in runs.items():
            steps, values = series(list(seeds.values()), "mean_return")
            band(axis, steps, values, rule, colors[rule])
        axis.set_title(task, fontsize=9)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=100)
    pyplot.close(figure)

    if not scores[rules[0]].size:
        return
    figure, axis = pyplot.subplots(figsize=(6, 4))
    thresholds = np.linspace(0, max(2.0, float(np.quantile(np.stack(list(scores.values())), 0.99))), 101)
    for rule, values in scores.items():
        profile, low, high = estimates.profile_interval(values, thresholds)
        axis.plot(thresholds, profile, color=colors[rule], label=rule)
        axis.fill_between(thresholds, low, high, color=colors[rule], alpha=0.2, linewidth=0)
    axis.set_xlabel("normalized score")
    axis.set_ylabel("share of runs above it")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "profiles.png", dpi=100)
    pyplot.close(figure)


def numbers(text):
    """Seeds: 0-9 or 0,3,7."""
    made = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        made += range(int(first), int(last or first) + 1)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["mujoco"], metavar="TASK",
                        help=f"environments, or one of {', '.join(SUITES)} (mujoco)")
    parser.add_argument("--rules", nargs="+", default=["stream-x", "intentional"], metavar="PRESET[,NAME=VALUE...]")
    parser.add_argument("--seeds", type=numbers, default=numbers("0-9"), help="such as 0-9 or 0,3,7 (0-9)")
    parser.add_argument("--steps", type=int, default=200_000, help="of each run (200000)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--checkpoint-every", type=int, default=50_000, help="steps (50000)")
    parser.add_argument("--work", type=Path, default=Path("out/evaluate"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/evaluation", help="of the report")
    parser.add_argument("--report", action="store_true", help="run nothing: report what is finished for every rule")
    args = parser.parse_args()
    tasks = [t for name in args.tasks for t in SUITES.get(name, [name])]
    for rule in args.rules:
        for task in tasks:
            folder = folder_of(args.work, task, rule, args.steps)
            settings = rule_settings(rule, task, args.steps)
            if not args.report:
                folder.mkdir(parents=True, exist_ok=True)
                same_settings(folder / "settings.json", settings, resume=True)
    if not args.report:
        jobs = [(args.work, task, None, 0, 0, 0) for task in tasks if not random_file(args.work, task).exists()]
        # seed by seed, so that an early report has something of every task
        jobs += [(args.work, task, rule, args.steps, seed, args.checkpoint_every)
                 for seed in args.seeds for task in tasks for rule in args.rules
                 if finished(args.work, task, rule, args.steps, seed) is None]
        perform_all(jobs, args.jobs)
    found, low = collect(args.work, tasks, args.rules, args.steps, args.seeds)
    if not found:
        raise SystemExit(f"{args.work}: no task has a seed that is finished for every rule")
    facts, text, scores = tables(found, low, args.rules, args.steps, shlex.join(["evaluate.py", *sys.argv[1:]]))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(facts, indent=1) + "\n")
    (args.out / "report.md").write_text(text)
    curves(args.out / "curves.csv", found)
    print(text)
    missing = [t for t in tasks if t not in found]
    if missing:
        print(f"not in the report, since no seed is finished for every rule: {', '.join(missing)}")
    try:
        plots(args.out, found, args.rules, scores)
    except ModuleNotFoundError as e:
        if e.name != "matplotlib":
            raise
        print("no pictures: matplotlib is not installed: pip install matplotlib", file=sys.stderr)


if __name__ == "__main__":
    main()
