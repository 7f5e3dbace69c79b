"""The command walk: a card and its networks close their loop in MuJoCo."""
from pathlib import Path

import numpy as np
import typer

from . import Error
from ._command import app, console, fail
from ._command_card import _load


@app.command()
def walk(files: list[Path] = typer.Argument(..., help="a card, an ONNX file with metadata, or the sidecar files of one convention"),
         mjcf: Path = typer.Option(..., exists=True, dir_okay=False, help="MuJoCo model of the robot"),
         model: list[str] = typer.Option([], "--model", help="NAME=FILE.onnx per network of the card; not needed where the only network is among the files"),
         supplied: Path = typer.Option(None, exists=True, dir_okay=False, help="JSON with answers to what no file says"),
         command: list[str] = typer.Option([], "--command", help="SIGNAL=NUMBERS, such as command.velocity=0.5,0,0"),
         sensor: list[str] = typer.Option([], "--sensor", help="SIGNAL=SENSOR of the MuJoCo model, such as base.linear_velocity=local_linvel"),
         keyframe: str = typer.Option(None, help="where the simulation starts"),
         seconds: float = typer.Option(10.0, min=0.0, help="how long"),
         guard: list[str] = typer.Option([], "--guard", help="clamps of the guard: position, velocity, effort, command"),
         picture: Path = typer.Option(None, help="write a picture of command, velocity and joint tracking")):
    """Walk a policy in MuJoCo from its card, and say how well the base follows the command."""
    try:
        import mujoco
    except ImportError:
        fail("walk needs the package mujoco: pip install mujoco")
    from . import Controller, MujocoLoop

    card = _load(files, supplied)
    models = dict(_pair(m, "--model") for m in model)
    networks = [f for f in files if f.suffix.lower() == ".onnx"]
    if not models and len(networks) == 1:
        models = {"policy": networks[0]}
    try:
        physics = mujoco.MjModel.from_xml_path(str(mjcf))
    except ValueError as e:
        fail(f"{mjcf}: {e}")
    moving = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}
    joints = [physics.joint(j).name for j in range(physics.njnt) if int(physics.jnt_type[j]) in moving]
    try:
        controller = Controller(card, models, joints, guard=guard)
        loop = MujocoLoop(physics, controller, keyframe=keyframe, sensors=dict(_pair(s, "--sensor") for s in sensor))
        for text in command:
            name, numbers = _pair(text, "--command")
            if name not in loop.commands:
                fail(f"--command {name}: the card has no such command; it has {', '.join(loop.commands) or 'none'}")
            values = np.array([float(n) for n in numbers.split(",")])
            if values.size != loop.commands[name].size:
                fail(f"--command {name}: {values.size} numbers, expected {loop.commands[name].size}")
            loop.commands[name][:] = values
        rows, fallen = _run(loop, round(seconds / controller.control_period))
    except Error as e:
        fail(e)
    except ValueError as e:
        fail(e)
    _tell(loop, rows, fallen)
    if picture is not None:
        _draw(loop, rows, picture)
    if fallen is not None:
        raise typer.Exit(1)


def _pair(text, option):
    name, equals, value = text.partition("=")
    if not equals:
        fail(f"{option} {text}: expected NAME=VALUE")
    return name, value


def _run(loop, ticks):
    """([time, velocity 3, turn rate, joint position ..., target ...] per tick, time of the fall or None)."""
    c, rows = loop.controller, []
    for k in range(ticks):
        loop.step()
        targets = c.targets.get("position", np.full(len(c.joints), np.nan))
        rows.append(np.concatenate([[loop.data.time], loop.velocity, [loop.turn], loop.joint_positions, targets]))
        if loop.tilt > 1.2:
            return np.array(rows), loop.data.time
    return np.array(rows), None


def _tell(loop, rows, fallen):
    late = rows[len(rows) // 5 :]
    report = loop.controller.report
    console.print(f"{len(rows)} ticks of {loop.controller.control_period:g} s, {report.runs} runs of the networks, {report.clamped} values clamped", markup=False)
    console.print(f"mean velocity {_numbers(late[:, 1:4].mean(0))} m/s in the base's frame, {late[:, 4].mean():.3f} rad/s about its z axis", markup=False)
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
