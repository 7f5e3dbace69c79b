"""What the commands share that drive a robot in MuJoCo: card, networks, model, controller and loop, with their
options."""
import json

import numpy as np
import typer

from . import Error
from ._command import fail
from ._command_card import _load

Files = typer.Argument(..., help="a card, an ONNX file with metadata, or the sidecar files of one convention")
Mjcf = typer.Option(None, exists=True, dir_okay=False, help="MuJoCo model of the robot")
Models = typer.Option([], "--model",
                      help="NAME=FILE.onnx per network of the card; not needed where the only network is among the "
                           "files")
Supplied = typer.Option(None, exists=True, dir_okay=False, help="JSON with answers to what no file says")
Commands = typer.Option([], "--command", help="SIGNAL=NUMBERS, such as command.velocity=0.5,0,0")
Sensors = typer.Option([], "--sensor",
                       help="SIGNAL=SENSOR of the MuJoCo model, such as base.linear_velocity=local_linvel")
Keyframe = typer.Option(None, help="where the simulation starts")
Guards = typer.Option([], "--guard", help="clamps of the guard: position, velocity, effort, command")


def card_of(files, supplied):
    """The card of files; beside one that is a card already, networks are only networks."""
    said = [f for f in files if f.suffix.lower() != ".onnx"]
    return _load(said if len(said) == 1 and _is_card(said[0]) else files, supplied)


def _is_card(path):
    try:
        return "efferent_card" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def networks(files, model, card):
    """{name: path} of the networks of a card."""
    models = dict(pair(m, "--model") for m in model)
    found = [f for f in files if f.suffix.lower() == ".onnx"]
    if models or len(found) != 1:
        return models
    names = [m["name"] for m in json.loads(card.to_json())["models"]]
    return {names[0] if len(names) == 1 else "policy": found[0]}


def physics_of(mjcf, command):
    """The MuJoCo model of a file, and the names of its joints."""
    try:
        import mujoco
    except ImportError:
        fail(f"{command} needs the package mujoco: pip install mujoco")
    try:
        model = mujoco.MjModel.from_xml_path(str(mjcf))
    except ValueError as e:
        fail(f"{mjcf}: {e}")
    moving = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}
    return model, [model.joint(j).name for j in range(model.njnt) if int(model.jnt_type[j]) in moving]


def controller_of(files, supplied, model, joints, **options):
    """A controller, from what the command line gives. Errors end the program with one line."""
    from . import Controller

    card = card_of(files, supplied)
    try:
        return Controller(card, networks(files, model, card), joints or joint_order(card), **options)
    except Error as e:
        fail(e)


def loop_of(physics, controller, keyframe=None, sensor=(), command=()):
    from . import MujocoLoop

    try:
        loop = MujocoLoop(physics, controller, keyframe=keyframe, sensors=dict(pair(s, "--sensor") for s in sensor))
    except Error as e:
        fail(e)
    for text in command:
        name, numbers = pair(text, "--command")
        if name not in loop.commands:
            fail(f"--command {name}: the card has no such command; it has {', '.join(loop.commands) or 'none'}")
        try:
            values = np.array([float(n) for n in numbers.split(",")])
        except ValueError:
            fail(f"--command {text}: expected numbers with commas between them")
        if values.size != loop.commands[name].size:
            fail(f"--command {name}: {values.size} numbers, expected {loop.commands[name].size}")
        loop.commands[name][:] = values
    return loop


def joint_order(card):
    return json.loads(card.to_json()).get("joint_order") or []


def pair(text, option):
    name, equals, value = text.partition("=")
    if not equals:
        fail(f"{option} {text}: expected NAME=VALUE")
    return name, value
