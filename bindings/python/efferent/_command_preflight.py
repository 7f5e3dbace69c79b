"""The command preflight: a card against a recording, against its simulator, or a recording made."""
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Column, Table

from . import Error
from ._command import Force, app, console, fail, not_there
from ._rig import (
    Commands,
    Guards,
    Keyframe,
    Mjcf,
    Models,
    Sensors,
    Supplied,
    controller_of,
    joint_order,
    loop_of,
    physics_of,
)


@app.command()
def preflight(files: list[Path] = typer.Argument(...,
                                                 help="a card, an ONNX file with metadata, or sidecar files; and "
                                                      "recordings (.npz) to compare with"),
              record: Path = typer.Option(None, dir_okay=False, help="make a recording and write it here"),
              probe: bool = typer.Option(False, "--probe",
                                         help="move each joint, tilt gravity and turn the gyro in the MuJoCo model; "
                                              "see which terms react"),
              mjcf: Path = Mjcf, model: list[str] = Models, supplied: Path = Supplied, command: list[str] = Commands,
              sensor: list[str] = Sensors,
              keyframe: str = Keyframe, guard: list[str] = Guards,
              joints: str = typer.Option(None,
                                         help="the robot's joints in its order, with commas; left out: those of the "
                                              "MuJoCo model or of the recording"),
              seconds: float = typer.Option(4.0, min=0.0, help="of the walk of a recording"),
              seed: int = typer.Option(0, help="of a recording"),
              tolerance: float = typer.Option(1e-4, min=0.0, help="largest difference, absolute and relative"),
              force: bool = Force):
    """Check a card before a robot moves: run stored raw signals and compare observation, action and targets with what
    is stored.

    efferent preflight card.json --model policy=p.onnx --mjcf robot.xml --record robot.npz   makes a recording in the
    simulator

    efferent preflight card.json --model policy=p.onnx robot.npz                             compares; ends with 1 where
    something differs

    efferent preflight card.json --model policy=p.onnx --mjcf robot.xml --probe              lists which terms react to
    what
    """
    from .preflight import Recording, compare
    from .preflight import record as make

    stored = [f for f in files if f.suffix.lower() == ".npz"]
    files = [f for f in files if f not in stored]
    if not files:
        fail("preflight: no card among the files")
    if record is None and not stored and not probe:
        fail("preflight: nothing to do: give a recording (.npz), --record FILE or --probe")
    if probe and mjcf is None:
        fail("--probe needs --mjcf, the MuJoCo model of the robot")
    not_there(record, force)
    try:
        recordings = [Recording.load(f) for f in stored]
    except Error as e:
        fail(e)
    physics, names = physics_of(mjcf, "preflight --mjcf") if mjcf else (None, [])
    names = (
        [j.strip() for j in joints.split(",")]
        if joints
        else names or next((r.words("joints") for r in recordings if "joints" in r), [])
    )
    controller = controller_of(files, supplied, model, names)
    loop = loop_of(physics, controller, keyframe, sensor, command) if physics else None
    good = True
    try:
        if record is not None:
            made = make(controller, loop, seconds, seed, guard)
            made.save(record, force)
            walked = f"{seconds:g} s of a walk and " if loop else "no walk (no --mjcf), "
            console.print(f"{record}: {len(made['time'])} ticks, {int(made['ran'].sum())} runs of the networks: "
                          f"{walked}signals that no walk shows", markup=False)
        for path, recording in zip(stored, recordings):
            good = _tell(path, recording, compare(controller, recording, (tolerance, tolerance))) and good
    except Error as e:
        fail(e)
    if probe:
        from ._command_probe import tell

        good = tell(loop) and good
    if not good:
        raise typer.Exit(1)


def _tell(path, recording, found):
    table = Table(Column("term, action or target", no_wrap=True), "", "worst", "at tick", "found", "recorded", box=None,
                  pad_edge=False, header_style="bold")
    for r in found.rows:
        table.add_row(escape(r.name.removeprefix("obs.")), "[green]same" if r.is_same else "[red]differs",
                      f"{r.difference:.3g}", str(r.tick), f"{r.found:.6g}", f"{r.expected:.6g}")
    console.print(table)
    for name in found.unchecked:
        console.print(f"not in the recording, not compared: {name}", markup=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    if found.first is None:
        console.print(f"{path}: as recorded", style="green", markup=False)
        return True
    console.print(f"{path}: {found.first.what}", style="red", markup=False, soft_wrap=True)
    return False
