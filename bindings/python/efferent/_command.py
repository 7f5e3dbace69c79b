"""The commands, with typer and rich."""
import json
import math
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from . import Error, Policy, _joints, _ranges, version

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Runs trained policies.",
                  context_settings={"help_option_names": ["-h", "--help"]})
console = Console(highlight=False)

File = typer.Argument(..., exists=True, dir_okay=False, help="an ONNX or safetensors policy")
Dims = typer.Option([], "--dim", metavar="NAME=SIZE", help="size of a symbolic dimension")
Weights = typer.Option(None, help="storage of layers: f32, f16, bf16 or i8; left out: as the file says")
Action = typer.Option(None, metavar="NAME",
                      help="the output that moves the robot; left out: metadata, one clear name, the only candidate")
Observation = typer.Option(None, metavar="NAME",
                           help="the input that a step takes; the others keep what was written to them")
State = typer.Option([], metavar="INPUT=OUTPUT", help="a pair of recurrent state; left out: recognized by name")
NoState = typer.Option(False, "--no-state", help="recognize no recurrent state")
Outputs = typer.Option([], "--output", metavar="NAME", help="an output that is wanted; left out: all")
Force = typer.Option(False, "--force", help="replace an output that is there")
Constants = typer.Option([], "--constant", metavar="INPUT=JSON",
                         help="value of an input that is fixed at load, such as axes=[1]")


@app.callback(invoke_without_command=True)
def common(show_version: bool = typer.Option(False, "--version", help="version of the library")):
    if show_version:
        console.print(version())
        raise typer.Exit()


def bound_dims(dim):
    dims = {}
    for text in dim:
        name, _, size = text.partition("=")
        if not name or not size.isdigit():
            fail(f"--dim {text}: expected NAME=SIZE")
        dims[name] = int(size)
    return dims


def chosen(dim=(), action=None, observation=None, state=(), no_state=False, output=(), constant=()):
    """The options of the command line as those of Policy."""
    if no_state and state:
        fail("--no-state and --state contradict each other")
    pairs = dict(parted(s, "--state", "INPUT=OUTPUT") for s in state)
    constants = {}
    for text in constant:
        name, value = parted(text, "--constant", "INPUT=JSON")
        try:
            constants[name] = np.asarray(json.loads(value))
        except ValueError as e:
            fail(f"--constant {text}: expected a number or lists of numbers after '=': {e}")
    return {"dims": bound_dims(dim), "action": action, "observation": observation,
            "state": {} if no_state else pairs or None,
            "outputs": list(output) or None, "constants": constants}


def parted(text, option, expected):
    """The two sides of the last '=' that leaves something on both."""
    name, sign, value = text.partition("=")
    if not name or not value:
        fail(f"{option} {text}: expected {expected}")
    return name, value


def load(file, weights, **choices):
    options = chosen(**choices)
    try:
        return Policy(file, weights=weights, **options)
    except Error as e:
        fail(e)


def fail(reason, code=1):
    label = f"{reason.name}: " if isinstance(reason, Error) else ""
    Console(stderr=True, highlight=False).print(f"error: {label}{reason}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def not_there(path, force):
    """Ends the program where an output would replace a file without being told to, or has no folder to be in."""
    if path is None:
        return
    if path.exists() and not force:
        fail(f"{path} is there already; give --force to replace it")
    if not path.absolute().parent.is_dir():
        fail(f"{path}: the folder {path.absolute().parent} does not exist")


@app.command()
def inspect(file: Path = File, as_json: bool = typer.Option(False, "--json", help="print JSON"),
            joints: bool = typer.Option(False, "--joints", help="print the joints alone: names, gains, defaults"),
            dim: list[str] = Dims,
            weights: str = Weights,
            action: str = Action, observation: str = Observation, state: list[str] = State, no_state: bool = NoState,
            output: list[str] = Outputs, constant: list[str] = Constants):
    """Show the inputs, outputs, roles, metadata and plan of a policy."""
    policy = load(file, weights, dim=dim, action=action, observation=observation, state=state, no_state=no_state,
                  output=output,
                  constant=constant)
    info = vars(policy.info)

    def described(t):
        return {"name": t.name, "shape": list(t.shape), "dtype": t.type, "role": t.role, "reason": t.reason}

    facts = {
        "file": str(file), **info, "inputs": [described(t) for t in policy.inputs],
        "outputs": [described(t) for t in policy.outputs],
        "state": policy.state, "notes": policy.notes, "metadata": policy.metadata, "ops": policy.ops,
        "warnings": _joints.warnings(policy),
    }
    named = _joints.joints(policy.metadata)
    facts["joints"] = named and {"names": named.names, **named.columns}
    if joints:
        if named is None:
            fail(f"no key of the metadata names joints: found {', '.join(policy.metadata) or 'no metadata'}, expected "
                 f"one of {', '.join(_joints.NAME_KEYS)}; other conventions: efferent card {file}")
        print(json.dumps(facts["joints"], indent=2)) if as_json else console.print(_joint_table(named))
        return
    facts["step_microseconds"] = _measured(policy)
    if as_json:
        print(json.dumps(facts, indent=2))
        return

    kind = f"ONNX opset {info['opset']}" if info["opset"] else "safetensors"
    console.print(f"{file}: {kind}, {info['producer'] or 'unknown producer'}", markup=False)
    console.print(f"{info['node_count']} nodes in the file -> {info['unfused_op_count']} ops -> {info['op_count']} "
                  f"after fusion")
    if info["operators"]:
        console.print(f"operators: {info['operators']}", markup=False, soft_wrap=True)
    console.print(f"{info['parameter_count']:,} parameters; weights {info['weight_bytes']:,} bytes "
                  f"{'as ' + weights if weights else 'in the precision that the file says'}, read once per step")
    console.print(f"arena {info['arena_bytes']:,} bytes per session of one row: recurrent state "
                  f"{info['state_bytes']:,}, intermediate tensors {info['peak_bytes']:,} at their peak",
                  soft_wrap=True)
    console.print(f"cost of a step: {info['multiply_adds']:,} multiply-adds; {facts['step_microseconds']:.1f} us here "
                  f"({info['isa']}, one row, hot)\n")
    table = Table("", "name", "type", "shape of one row", "role", "decided", box=None, pad_edge=False,
                  header_style="bold")
    for kind, tensors in (("input", policy.inputs), ("output", policy.outputs)):
        for t in tensors:
            role = t.role
            if t.role == "state":
                arrow, others = ("->", policy.outputs) if kind == "input" else ("<-", policy.inputs)
                role += f" {arrow} {others[t.pair].name}"
            table.add_row(kind, escape(t.name), t.type, escape(str(list(t.shape))), escape(role), t.reason)
    console.print(table)
    step = (
        policy.info.step_refusal
        or f"{', '.join(t.name for t in policy.inputs if t.role == 'observation')} -> {policy.action.name}"
    )
    console.print(f"\nstep: {step}", markup=False, soft_wrap=True)
    for note in policy.notes:
        if note != step:
            console.print(f"note: {note}", markup=False, soft_wrap=True)
    for warning in facts["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if named:
        console.print(f"\njoints, as the metadata has them ({named.key})", style="bold")
        console.print(_joint_table(named))
    if policy.metadata:
        console.print("\nmetadata", style="bold")
        for key, value in policy.metadata.items():
            if named and (key == named.key or key in named.columns):
                continue
            console.print(f"  {key}: {value if len(value) < 200 else value[:200] + f'... ({len(value)} characters)'}",
                          markup=False)
    console.print("\nplan", style="bold")
    for i, op in enumerate(policy.ops):
        console.print(f"  {i:3} {op}", markup=False)


def _joint_table(named):
    """All joints, a column for every list of the metadata that has a number for each."""
    table = Table("", "joint", *map(escape, named.columns), box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(named.names):
        table.add_row(str(i), escape(name), *(f"{column[i]:g}" for column in named.columns.values()))
    return table


def _measured(policy, seconds=0.1):
    """Microseconds of a step of one row: the smallest mean of some runs, since whatever else the machine does can only
    add to it."""
    session, best, end = policy.session(), math.inf, time.monotonic() + seconds
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            session._run(1)
        took = time.perf_counter() - start
        best = min(best, took / count)
        count = max(1, min(100, int(1e-3 / best)))
        if time.monotonic() > end:
            return 1e6 * best


@app.command()
def check(file: Path = File, against: str = typer.Option("onnxruntime", help="the reference runtime"),
          samples: int = typer.Option(64, min=1),
          seed: int = 0, tolerance: float = typer.Option(2e-5, help="largest allowed difference, times 1 + |y|"),
          as_json: bool = typer.Option(False, "--json", help="print JSON"), dim: list[str] = Dims,
          weights: str = Weights,
          action: str = Action, observation: str = Observation, state: list[str] = State, no_state: bool = NoState,
            output: list[str] = Outputs, constant: list[str] = Constants):
    """Compare a policy with onnxruntime on random and extreme inputs, one sequence of steps with the recurrent state
    carried."""
    if against != "onnxruntime":
        fail(f"--against {against}: expected onnxruntime")
    try:
        import onnxruntime
    except ImportError:
        fail("onnxruntime is not installed: pip install 'efferent[check]'")
    policy = load(file, weights, dim=dim, action=action, observation=observation, state=state, no_state=no_state,
                  output=output,
                  constant=constant)
    fixed = chosen(constant=constant)["constants"]
    if policy.info.opset == 0:
        fail(f"{file} loads, but it is safetensors, which onnxruntime cannot run: there is nothing to compare it with "
             f"here; compare its actions with the trainer's")
    reference = _reference(onnxruntime, file)
    ids = _ranges.id_ranges(file)
    whole = [t.name for t in policy.inputs if t.dtype.kind in "iu" and t.role != "state"]
    if ids is None and whole:
        fail(f"the inputs {', '.join(whole)} are integers; to know what they may hold, check needs the package onnx: "
             f"pip install 'efferent[check]'")
    session = policy.session()
    state = {t.name: np.zeros(t.shape, t.dtype) for t in policy.inputs if t.role == "state"}
    worst = {t.name: (0.0, 0.0, 0) for t in policy.outputs}
    try:
        for step, inputs in enumerate(_samples(policy, samples, seed, ids)):
            expected = _expected(reference, {**inputs, **state, **_as_declared(reference, fixed)})
            found = session.run(inputs)
            for name, y in found.items():
                reference_y = np.asarray(expected[name])
                if reference_y.shape != y.shape:
                    fail(f"output '{name}' has shape {y.shape}, onnxruntime gives {reference_y.shape}")
                difference, relative = _difference(y, reference_y)
                if relative >= worst[name][1]:
                    worst[name] = (difference, relative, step)
            for i, o in policy.state.items():
                state[i] = expected[o]
    except Error as e:
        fail(e)
    same = {name: relative <= tolerance for name, (_, relative, _) in worst.items()}
    good = all(same.values())
    if as_json:
        finite = lambda x: x if math.isfinite(x) else None  # JSON has no infinity
        outputs = [{"name": n, "difference": finite(d), "relative": finite(r), "step": at, "same": same[n]}
                   for n, (d, r, at) in worst.items()]
        print(json.dumps({"file": str(file), "against": f"onnxruntime {onnxruntime.__version__}", "steps": samples,
                          "tolerance": tolerance, "weights": weights, "same": good,
                          "outputs": outputs}, indent=2))
        raise typer.Exit(0 if good else 1)
    table = Table("output", "largest difference", "over 1 + |y|", "at step", "", box=None, pad_edge=False,
                  header_style="bold")
    for name, (difference, relative, step) in worst.items():
        table.add_row(name, f"{difference:.3g}", f"{relative:.3g}", str(step),
                      "[green]same" if same[name] else "[red]differs")
    console.print(f"{samples} steps against onnxruntime {onnxruntime.__version__}, tolerance {tolerance:g} (1 + |y|), "
                  f"weights {weights or 'as the file says'}")
    console.print(table)
    raise typer.Exit(0 if good else 1)


def _reference(onnxruntime, file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its exceptions have no base class of their own
        fail(f"onnxruntime does not load {file}, so there is nothing to compare with: {e}")


def _as_declared(reference, constants):
    """Constants in the types of the inputs that they are for."""
    kinds = {i.name: i.type for i in reference.get_inputs()}
    names = {"float": "float32", "double": "float64"}
    found = {}
    for name, value in constants.items():
        kind = kinds.get(name, "").removeprefix("tensor(").removesuffix(")")
        found[name] = value.astype(names.get(kind, kind)) if kind else value
    return found


def _expected(reference, inputs):
    try:
        return dict(zip([o.name for o in reference.get_outputs()], reference.run(None, inputs)))
    except Exception as e:
        fail(f"onnxruntime does not run the policy, so there is nothing to compare with: {e}")


@app.command()
def convert(checkpoint: Path = typer.Argument(..., dir_okay=False,
                                              help="Stable-Baselines3 zip, rsl_rl or skrl .pt, torch state dict, "
                                                   "safetensors"),
            output: Path = typer.Option(..., "-o", "--output", help="policy file to write (.safetensors)"),
            normalizer: Path = typer.Option(None, dir_okay=False,
                                            help="VecNormalize pickle of an SB3 zip, or LeRobot's statistics"),
            activation: str = typer.Option(None,
                                           help="of the hidden layers, where the checkpoint does not say: relu, elu, "
                                                "tanh, ..."),
            normalizer_eps: float = typer.Option(None, help="where it is not the trainer's default (rsl_rl, skrl)"),
            normalizer_clip: float = typer.Option(None, min=0,
                                                  help="where it is not the trainer's default (rsl_rl, skrl)"),
            squash: bool = typer.Option(False, "--squash", help="tanh at the end (rsl_rl, skrl)"),
            action_low: float = typer.Option(None, help="lower limit: unscaled to with --squash, otherwise clipped"),
            action_high: float = typer.Option(None, help="upper limit"),
            actions: int = typer.Option(None, min=1, help="number of actions, where the network also gives their std "
                                                          "(rsl_rl)"),
            learnable: bool = typer.Option(False, "--learnable",
                                           help="for efferent.Learner: the std as an output, and the critic as a "
                                                "second file, OUTPUT with .critic before its ending"),
            reward_scale: float = typer.Option(None, help="with --learnable: what rewards were multiplied by in "
                                                          "training (skrl's rewards_shaper_scale)"),
            recorded: Path = typer.Option(None, "--recorded", dir_okay=False, exists=True,
                                          help="npz of the trainer's own obs [n, ...] and action [n, ...]: prints how "
                                               "far the converted actions are from them"),
            report: str = typer.Option(None, "--report", metavar="ENV",
                                       help="with --learnable: a Gymnasium environment in which the policy is "
                                            "evaluated, learns, and is evaluated again"),
            report_steps: int = typer.Option(10_000, min=1, help="updates between the two evaluations"),
            force: bool = Force):
    """Turn a trainer's checkpoint into a policy file. Nothing in the checkpoint is executed."""
    from . import convert as run
    from ._convert import critic_path

    not_there(output, force)
    if learnable:
        not_there(critic_path(output), force)
    if report and not learnable:
        fail("--report needs --learnable")

    try:
        made = run(checkpoint, output, normalizer=normalizer, activation=activation, normalizer_eps=normalizer_eps,
                   normalizer_clip=normalizer_clip,
                   squash=squash, action_low=action_low, action_high=action_high, actions=actions,
                   learnable=learnable, reward_scale=reward_scale)
        policy = Policy(output)
    except Error as e:
        fail(e)
    console.print(f"{checkpoint} ({made.trainer}) -> {output}: {len(made.layers)} layers, "
                  f"{policy.info.parameter_count:,} parameters, {len(made.data):,} bytes", markup=False)
    for note in made.notes:
        console.print(f"  {note}", markup=False)
    for kind, tensors in (("input", policy.inputs), ("output", policy.outputs)):
        for t in tensors:
            console.print(f"  {kind:6} {t!r}", markup=False)
    if made.critic is not None:
        console.print(f"critic -> {critic_path(output)}: {len(made.critic):,} bytes; "
                      f"efferent.Learner(policy={str(output)!r}, critic={str(critic_path(output))!r})", markup=False)
    if recorded:
        _compare_recorded(policy, recorded)
    if report:
        from .lab.switch import switch_report

        try:
            lines = switch_report(output, report, critic_path(output) if made.critic is not None else None,
                                  report_steps).lines()
        except ImportError as e:
            fail(f"--report needs gymnasium: pip install 'efferent[learn]' ({e})")
        except Error as e:
            fail(e)
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def _compare_recorded(policy, path):
    """How far a policy's actions are from those that its trainer recorded, step by step in one session."""
    try:
        with np.load(path, allow_pickle=False) as found:
            seen, wanted = found["obs"], found["action"]
    except (OSError, ValueError, KeyError) as e:
        fail(f"{path}: expected an npz with the arrays obs and action: {e}")
    ports = [t for t in policy.inputs if t.role == "observation"]
    if len(ports) != 1 or len(seen) != len(wanted) or seen[:1].size != np.prod(ports[0].shape[1:], dtype=int):
        fail(f"{path}: obs is {list(seen.shape)} and action {list(wanted.shape)}, which do not go with the policy")
    session, name = policy.session(), next(t.name for t in policy.outputs if t.role == "action")
    made = np.array([session.run({ports[0].name: x.reshape(ports[0].shape).astype(ports[0].dtype)})[name].reshape(-1)
                     for x in seen])
    apart = np.abs(made - wanted.reshape(made.shape)) if wanted.size == made.size else None
    if apart is None:
        fail(f"{path}: action is {list(wanted.shape)}, but the policy gives {made.shape[1]} numbers")
    console.print(f"{len(made)} recorded actions: at most {apart.max():.2g} apart, in the mean {apart.mean():.2g}",
                  markup=False)


@app.command()
def serve(
    file: Path = File,
    endpoint: str = typer.Option(
        "tcp://127.0.0.1:5555",
        help="where to listen: tcp://127.0.0.1:PORT (* takes any free one), ipc://PATH, unix:PATH or shm:PATH",
    ),
    rows: int = typer.Option(1, min=1, help="most robots that one plant may have"),
    rate: float = typer.Option(0.0, help="steps per second, told to the plant"),
    once: bool = typer.Option(False, "--once", help="end when the first plant says goodbye"),
    seed: int = 0,
    joints: str = typer.Option(
        None,
        metavar="NAME,NAME,...",
        help="names of the action's elements, told to the plant; left out: the "
        "metadata's. With --card the robot's joints, in the order of its arrays; left "
        "out: the card's",
    ),
    card: list[Path] = typer.Option(
        [],
        exists=True,
        dir_okay=False,
        help="card of the policy, or the sidecar files of one convention: a controller "
        "is served, raw signals in, targets out",
    ),
    model: list[str] = typer.Option(
        [], "--model", help="with --card: NAME=FILE.onnx of each network, where FILE is not the only one"
    ),
    supplied: Path = typer.Option(
        None, exists=True, dir_okay=False, help="with --card: JSON with answers to what no file says"
    ),
    guard: list[str] = typer.Option(
        [], "--guard", help="with --card: clamps that are on: position, velocity, effort, command"
    ),
    stats: Path = typer.Option(None, help="write the counters to this JSON file at the end"),
    remote: bool = typer.Option(False, "--remote", help="let other machines in that are allowed: see efferent keys"),
    key: Path = typer.Option(None, help="file of this machine's key; left out: as efferent keys new makes it"),
    allow: Path = typer.Option(None, help="file of those that are allowed; left out: as efferent keys allow makes it"),
    dim: list[str] = Dims,
    weights: str = Weights,
    action: str = Action,
    observation: str = Observation,
    state: list[str] = State,
    no_state: bool = NoState,
    output: list[str] = Outputs,
    constant: list[str] = Constants,
    force: bool = Force,
):
    """Serve a policy, or with --card a controller, over ZeroMQ, a Unix socket or shared memory until interrupted."""
    from .bridge import Bridge

    not_there(stats, force)

    roles = {"dim": dim, "action": action, "observation": observation, "state": state,
             "no_state": no_state, "output": output, "constant": constant}
    if card:
        for name, given in {**roles, "weights": weights, "rate": rate, "rows": rows > 1}.items():
            if given:
                fail(f"--{name.replace('_', '-')} with --card: the card says it, expected none")
        from ._rig import controller_of

        names = [n.strip() for n in joints.split(",")] if joints else None
        served = controller_of([*card, file], supplied, model, names, guard=guard, seed=seed)
        told = {}
    else:
        for name, given in {"model": model, "supplied": supplied, "guard": guard}.items():
            if given:
                fail(f"--{name} without --card, expected both")
        policy = load(file, weights, **roles)
        if policy.info.step_refusal:
            print(f"serving without a step: {policy.info.step_refusal}", file=sys.stderr, flush=True)
        served = policy.session(rows, seed)
        told = {"rate": rate, "joint_names": _joint_names(policy, joints)}
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        bridge = Bridge(served, endpoint, **told, allow_remote=remote, key=key, allow=allow,
                        on_event=lambda event: ended.set() if once and event.kind == "bye" else None)
        bridge.start()
    except Error as e:
        fail(e)
    print(f"serving {file} at {bridge.endpoint}", flush=True)
    if sys.stdout.isatty():
        with Live(console=console, refresh_per_second=4) as live:
            before = (time.monotonic(), 0)
            while not ended.wait(0.5):
                counts, now = bridge.stats, time.monotonic()
                live.update(_status(counts, (counts["steps"] - before[1]) / (now - before[0])))
                before = (now, counts["steps"])
    else:
        ended.wait()
    counts = bridge.stats
    bridge.close()
    print(_status(counts))
    if stats:
        stats.write_text(json.dumps({k: v._asdict() if hasattr(v, "_asdict") else v for k, v in counts.items()},
                                    indent=2))


def _joint_names(policy, told=None):
    """Names of the action's elements: as told, or as the metadata has them where there is one for each."""
    actions = [t for t in policy.outputs if t.role == "action"]
    size = int(np.prod(actions[0].shape)) if len(actions) == 1 else 0
    if told is not None:
        names = [n.strip() for n in told.split(",")]
        if len(names) != size or not all(names):
            fail(f"--joints names {len(names)} joints, expected {size}, one for each element of the action")
        return names
    named = _joints.joints(policy.metadata)
    if named is None:
        return []
    if len(named.names) != size:
        print(f"serving without names of joints: '{named.key}' of the metadata has {len(named.names)}, the action has "
              f"{size} elements", file=sys.stderr, flush=True)
        return []
    return named.names


def _status(counts, rate=None):
    tick = counts["tick"]
    text = f"{counts['steps']} steps, {counts['resets']} resets, {counts['drops']} dropped"
    if rate is not None:
        text += f", {rate:.0f} per second"
    if tick.count:
        text += (f", tick p50 {tick.quantile(0.5) / 1e3:.1f} us, p99 {tick.quantile(0.99) / 1e3:.1f} us, "
                 f"max {tick.max / 1e3:.1f} us")
    return text


def _samples(policy, count, seed, ids=None):
    """Random observations of growing scale; the first ones are all zero, all one, all minus one and large. Integers are
    drawn from all that they may be: rows of the tables that they pick from (`ids`), otherwise the range of their
    type."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        inputs = {}
        for t in policy.inputs:
            if t.role == "state":
                continue
            if t.dtype.kind == "b":
                value = rng.random(t.shape) < 0.5
            elif t.dtype.kind in "iu":
                value = _ranges.draw(rng, t.dtype, t.shape, (ids or {}).get(t.name))
            elif i < 5:
                value = np.full(t.shape, (0.0, 1.0, -1.0, 100.0, -100.0)[i])
            else:
                value = rng.normal(size=t.shape) * 10.0 ** rng.uniform(-2, 1)
            inputs[t.name] = np.asarray(value).astype(t.dtype)
        yield inputs


def _difference(found, expected):
    """Largest |found - expected|, and the same over 1 + |expected|."""
    if found.size == 0:
        return 0.0, 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        d = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        d = np.where(np.isnan(d), np.inf, d)
        return float(d.max()), float((d / (1 + np.where(np.isfinite(b), np.abs(b), 0))).max())
