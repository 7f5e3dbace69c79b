"""The command card: what a policy needs to know about its robot, shown, written and compared."""
import json
import os
from pathlib import Path

import typer
from rich.table import Table

from . import Error
from ._card_text import action, differences, number, rows
from ._command import Force, app, console, fail, not_there

Files = typer.Argument(...,
                       help="a card, an ONNX file with metadata, or the sidecar files of one convention; or 'diff' and "
                            "two of these")


def _list_presets(is_asked):
    if is_asked:
        from ._presets import names

        for name, title in names().items():
            console.print(f"{name}: {title}", markup=False, soft_wrap=True)
        raise typer.Exit()


@app.command()
def card(files: list[Path] = Files,
         preset: str = typer.Option(None, metavar="NAME",
                                    help="the layout of a stack's own code, where no file says it; see --presets"),
         presets: bool = typer.Option(False, "--presets", is_eager=True, callback=_list_presets,
                                      help="list the presets"),
         supplied: Path = typer.Option(None, exists=True, dir_okay=False,
                                       help="JSON with answers to what no file says"),
         output: Path = typer.Option(None, "--output", "-o", help="write the card as JSON"),
         force: bool = Force,
         as_json: bool = typer.Option(False, "--json", help="print the card as JSON")):
    """Show the card of a policy: joints with pose and gains, terms with formula and slice, periods, open questions."""
    if files and str(files[0]) == "diff" and not files[0].exists():
        if len(files) != 3:
            fail(f"card diff: {len(files) - 1} files given, expected two")
        _diff(files[1], files[2], supplied)
        return
    not_there(output, force)
    made = _load(files, supplied, preset)
    if output is not None:
        temporary = output.with_name(output.name + ".new")
        temporary.write_text(made.to_json() + "\n")
        os.replace(temporary, output)
    if as_json:
        print(made.to_json())
    else:
        _show(json.loads(made.to_json()), made)
        if output is not None:
            console.print(f"\nwritten to {output}", markup=False)


def _load(files, supplied, preset=None):
    from . import Card

    for f in files:
        if not f.is_file():
            fail(f"{f}: no such file")
    answers = None
    if supplied is not None:
        try:
            answers = json.loads(supplied.read_text())
        except ValueError as e:
            fail(f"{supplied}: not JSON: {e}")
    if preset is not None:
        answers = {**(answers or {}), "preset": preset}
    try:
        return Card.load([str(f) for f in files], supplied=answers)
    except Error as e:
        fail(e)


def _table(*columns):
    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def _show(data, made):
    periods = (
        f"policy every {number(data.get('policy_period'))} s, targets every {number(data.get('control_period'))} s"
    )
    console.print(f"{data.get('robot') or 'robot not named'}: {len(data.get('joint_order') or [])} joints, "
                  f"{data.get('convention') or 'card'}; {periods}\n",
                  markup=False)
    joints = data.get("joints") or {}
    limits = [("lower", "rad"), ("upper", "rad"), ("velocity_limit", "rad/s"), ("effort_limit", "N m")]
    limits = [(k, u) for k, u in limits if any(j.get(k) is not None for j in joints.values())]
    table = _table("#", "joint", "default rad", "kp N m/rad", "kd N m s/rad",
                   *(f"{k.removesuffix('_limit')} {u}" for k, u in limits))
    for i, name in enumerate(data.get("joint_order") or []):
        joint = joints.get(name) or {}
        table.add_row(str(i), name, *(number(joint.get(k)) for k in ("default", "kp", "kd", *(k for k, _ in limits))))
    console.print(table)

    for vector in data.get("vectors") or {}:
        of = [r for r in rows(data) if r.vector == vector]
        facts = data["vectors"][vector]
        clip = facts.get("clip")
        frame = f", frame clipped to {number(clip[0])} to {number(clip[1])}" if clip else ""
        console.print(f"\nvector {vector}: {facts.get('layout') or 'term_major'}{frame}", style="bold", markup=False)
        table = _table("slice", "term", "value", "unit", "joints", "history")
        for r in of:
            table.add_row(r.slice, r.name, r.formula, r.unit, r.joints, r.history)
        console.print(table)
    for m in data.get("models") or []:
        console.print(f"\nnetwork {m.get('name')}", style="bold", markup=False)
        for tensor, source in (m.get("inputs") or {}).items():
            console.print(f"  {source.get('from')} -> {tensor}", markup=False)
        for tensor, target in (m.get("outputs") or {}).items():
            console.print(f"  {tensor} -> {target.get('to')}", markup=False)
    console.print("\nactions", style="bold")
    for a in data.get("actions") or []:
        console.print(f"  {a.get('name')}: {action(a)}", markup=False)
    for name, c in (data.get("commands") or {}).items():
        fields = ", ".join(f"{f} {u}"
                           for f, u in zip(c.get("fields") or [], c.get("units") or [""] * len(c.get("fields") or [])))
        ranges = (
            "" if not c.get("range") else f"; range {c['range']}" + (", clamped" if c.get("clamp") else ", not applied")
        )
        console.print(f"command {name}: {fields}{ranges}", markup=False)
    for name, clock in (data.get("clocks") or {}).items():
        facts = ", ".join(f"{k} {v}" for k, v in clock.items() if not isinstance(v, (dict, list)))
        console.print(f"clock {name}: {facts}", markup=False)
    _questions(made)


def _questions(made):
    open_ = made.questions
    if not open_:
        console.print("\nnothing is open: the card can drive a robot", style="green")
        return
    console.print(f"\n{len(open_)} open; answer in the file of --supplied", style="bold yellow")
    answers = made.answers
    for q in open_:
        console.print(f"  {q}: {answers.get(q, '')}", markup=False)


def _diff(first, second, supplied):
    a, b = (json.loads(_load([f], supplied).to_json()) for f in (first, second))
    found = differences(a, b)
    if not found:
        console.print("the cards are the same")
        return
    table = _table("where", str(first), str(second))
    for path, x, y in found:
        table.add_row(path, _short(x), _short(y))
    console.print(table)
    raise typer.Exit(1)


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
