"""The command walk: a card and its networks close their loop in MuJoCo."""
import importlib.util
import time
import warnings
from pathlib import Path

import numpy as np
import typer

from . import Error
from ._command import Force, app, console, fail, not_there
from ._rig import Commands, Files, Guards, Keyframe, Models, Sensors, Supplied, controller_of, loop_of, physics_of


@app.command()
def walk(
    files: list[Path] = Files,
    mjcf: Path = typer.Option(..., exists=True, dir_okay=False, help="MuJoCo model of the robot"),
    model: list[str] = Models,
    supplied: Path = Supplied,
    command: list[str] = Commands,
    sensor: list[str] = Sensors,
    keyframe: str = Keyframe,
    seconds: float = typer.Option(10.0, min=0.0, help="how long"),
    guard: list[str] = Guards,
    preflight: list[Path] = typer.Option(
        [], exists=True, dir_okay=False, help="a recording that must be met before the first step"
    ),
    on_mismatch: str = typer.Option("refuse", help="refuse or warn: what a recording that is not met does"),
    endpoint: str = typer.Option(
        None, help="bridge of this controller (efferent serve --card): it ticks there, the robot is here"
    ),
    viewer: bool = typer.Option(
        False, "--viewer", help="show the robot in MuJoCo's viewer, in real time; closing it ends the walk"
    ),
    picture: Path = typer.Option(None, help="write a picture of command, velocity and joint tracking"),
    force: bool = Force,
):
    """Walk a policy in MuJoCo from its card, and say how well the base follows the command."""
    not_there(picture, force)
    if picture is not None and importlib.util.find_spec("matplotlib") is None:
        fail("--picture needs the package matplotlib: pip install matplotlib")
    physics, joints = physics_of(mjcf, "walk")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        controller = controller_of(files, supplied, model, joints, guard=guard, preflight=[str(p) for p in preflight],
                                   on_mismatch=on_mismatch)
    for w in caught:
        console.print(f"warning: {w.message}", style="yellow", markup=False, soft_wrap=True)
    if endpoint is not None:
        controller = _joined(controller, endpoint)
    loop = loop_of(physics, controller, keyframe, sensor, command)
    try:
        rows, fallen = (_watched if viewer else _run)(loop, round(seconds / controller.control_period))
    except Error as e:
        fail(e)
    controller.close()
    _tell(loop, rows, fallen)
    if picture is not None:
        _draw(loop, rows, picture)
    if fallen is not None:
        raise typer.Exit(1)


def _joined(controller, endpoint):
    """The controller of a bridge in the place of one here, with the same joints and units."""
    from . import RemoteController

    try:
        return RemoteController(endpoint, controller.joints, {s.name: s.unit for s in controller.signals})
    except Error as e:
        fail(e)


def _watched(loop, ticks):
    """The same as _run, in MuJoCo's viewer and no faster than time."""
    import mujoco.viewer

    try:
        window = mujoco.viewer.launch_passive(loop.model, loop.data)
    except Exception as e:  # whatever a machine without a display raises
        fail(f"--viewer: MuJoCo's viewer does not open here: {e}")
    with window:
        begin = time.monotonic()

        def shown():
            window.sync()
            time.sleep(max(0.0, loop.data.time - (time.monotonic() - begin)))
            return window.is_running()

        return _run(loop, ticks, shown)


def _run(loop, ticks, shown=lambda: True):
    """([time, velocity 3, turn rate, joint position ..., target ...] per tick, time of the fall or None). It ends where
    `shown` says so."""
    c, rows = loop.controller, []
    for k in range(ticks):
        if k and not shown():
            break
        loop.step()
        targets = c.targets.get("position", np.full(len(c.joints), np.nan))
        rows.append(np.concatenate([[loop.data.time], loop.velocity, [loop.turn], loop.joint_positions, targets]))
        if loop.tilt > 1.2:
            return np.array(rows), loop.data.time
    return np.array(rows), None


def _tell(loop, rows, fallen):
    late = rows[len(rows) // 5 :]
    report = loop.controller.report
    console.print(f"{len(rows)} ticks of {loop.controller.control_period:g} s, {report.runs} runs of the networks, "
                  f"{report.clamped} values clamped", markup=False)
    console.print(f"mean velocity {_numbers(late[:, 1:4].mean(0))} m/s in the base's frame, {late[:, 4].mean():.3f} "
                  f"rad/s about its z axis", markup=False)
    goal = loop.commands.get("command.velocity")
    if goal is not None and goal.size == 3:
        error = np.sqrt(((late[:, [1, 2, 4]] - goal) ** 2).mean(0))
        console.print(f"command {_numbers(goal)}: error (root mean square) {_numbers(error)}", markup=False)
    console.print("no fall" if fallen is None else f"fell at {fallen:.2f} s", markup=False)


def _numbers(values):
    return ", ".join(f"{v:.3f}" for v in values)


def _draw(loop, rows, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    n = len(loop.controller.joints)
    time, joints, targets = rows[:, 0], rows[:, 5 : 5 + n], rows[:, 5 + n :]
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(9, 7), sharex=True, constrained_layout=True)
    goal = loop.commands.get("command.velocity")
    for i, (column, name) in enumerate(((1, "forward, m/s"), (2, "left, m/s"), (4, "turn, rad/s"))):
        line, = top.plot(time, rows[:, column], label=name)
        if goal is not None and goal.size == 3:
            top.axhline(goal[i], color=line.get_color(), linestyle=":", linewidth=1)
    top.set_ylabel("velocity of the base (dotted: command)")
    top.legend(loc="upper right")
    error = np.abs(joints - targets)
    error = np.where(np.isnan(error).all(0), -1.0, np.nan_to_num(error).mean(0))
    for j in np.argsort(-error)[:4]:
        if error[j] < 0:
            continue
        line, = bottom.plot(time, joints[:, j], label=loop.controller.joints[j])
        bottom.plot(time, targets[:, j], color=line.get_color(), linestyle=":", linewidth=1)
    bottom.set_ylabel("joints that follow worst, rad (dotted: target)")
    bottom.set_xlabel("time, s")
    bottom.legend(loc="upper right")
    figure.savefig(path, dpi=120)
    console.print(f"picture written to {path}", markup=False)
