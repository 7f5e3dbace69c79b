"""The command stall-test: which fallback ladder saves a robot whose data stop."""
import json
from pathlib import Path

import typer
from rich.table import Table

from . import Error
from ._command import Force, app, console, fail, not_there
from ._rig import Commands, Files, Keyframe, Models, Sensors, Supplied, controller_of, loop_of, pair, physics_of


@app.command("stall-test")
def stall_test(files: list[Path] = Files,
               mjcf: Path = typer.Option(..., exists=True, dir_okay=False, help="MuJoCo model of the robot"),
               model: list[str] = Models, supplied: Path = Supplied, command: list[str] = Commands,
               sensor: list[str] = Sensors, keyframe: str = Keyframe,
               stall: list[int] = typer.Option([100, 300, 500, 1000], min=1, help="ms without data"),
               ladder: list[str] = typer.Option([],
                                                help="such as hold:0.05,damp (steps with their seconds); left out: "
                                                     "hold, ramp:0.5, damp, zero, hold:0.05,damp"),
               trials: int = typer.Option(4, min=1, help="of each, at other phases of the gait"),
               stale_limit: float = typer.Option(None, min=0.0,
                                                 help="s: age at which the guard refuses; left out: the card's, or 2.5 "
                                                      "policy periods"),
               tilt: float = typer.Option(1.0, min=0.0, help="rad: a base that is tilted more has fallen"),
               output: Path = typer.Option(None, "--output", "-o", dir_okay=False,
                                           help="write the recommended ladder as a JSON patch for the card"),
               as_json: bool = typer.Option(False, "--json", help="print JSON"),
               force: bool = Force):
    """Stop the data of a walking robot in MuJoCo, and see with which fallback ladder it still stands."""
    from . import stall as module

    not_there(output, force)
    physics, joints = physics_of(mjcf, "stall-test")
    controller = controller_of(files, supplied, model, joints)
    loop = loop_of(physics, controller, keyframe, sensor, command)
    ladders = {text: _steps(text) for text in ladder} or module.LADDERS
    phases = [0.44 * i / trials for i in range(trials)]
    try:
        with console.status("") as status:
            found = module.stall_test(
                physics, controller, ladders=ladders, stalls=[ms / 1000 for ms in stall], phases=phases,
                stale_limit=stale_limit,
                command=loop.commands, keyframe=keyframe, sensors=dict(pair(s, "--sensor") for s in sensor), tilt=tilt,
                on_trial=lambda t: status.update(f"{t.ladder}, {1000 * t.stall:.0f} ms"))
    except Error as e:
        fail(e)
    patch = {"safety": {"fallback": found.safety()}}
    if output is not None:
        output.write_text(json.dumps(patch, indent=1) + "\n")
    if as_json:
        print(json.dumps({"recommended": found.recommended, **patch, "trials": [t._asdict() for t in found.trials]},
                         indent=1))
        return
    _tell(found, [ms / 1000 for ms in stall], patch)


def _steps(text):
    steps = []
    for word in text.split(","):
        mode, _, seconds = word.strip().partition(":")
        try:
            steps.append((mode, float(seconds or 0.0)))
        except ValueError:
            fail(f"--ladder {text}: '{seconds}' is no time in s")
    return steps


def _tell(found, stalls, patch):
    table = Table("ladder", *(f"{1000 * s:.0f} ms" for s in stalls), "largest tilt rad", "sank by", box=None,
                  pad_edge=False, header_style="bold")
    for name in found.ladders:
        of = [t for t in found.trials if t.ladder == name]
        cells = []
        for s in stalls:
            good, all_ = found.survived(name, s)
            falls = [t.fell for t in of if t.stall == s and t.fell is not None]
            text = f"{good} of {all_}" + (f", fell at {min(falls):.2f} s" if falls else "")
            cells.append(f"[green]{text}" if good == all_ else f"[red]{text}" if good == 0 else f"[yellow]{text}")
        table.add_row(name, *cells, f"{max(t.tilt for t in of):.2f}", f"{100 * max(t.sunk for t in of):.0f} %")
    console.print(table)
    console.print("still standing, of so many stalls; times are from the begin of a stall")
    if any(t.sunk >= 0.95 for t in found.trials):
        console.print("a base that sank by 95 % or more went into the ground: the model has no collision for it; it "
                      "counts as fallen")
    longest = found.longest(found.recommended)
    promise = (
        f"every stall up to {1000 * longest:.0f} ms was survived"
        if longest
        else "not even the shortest stall was always survived"
    )
    console.print(f"recommended: {found.recommended} ({promise})", style="bold", markup=False)
    console.print(json.dumps(patch), markup=False, soft_wrap=True)
