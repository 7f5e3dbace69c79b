"""What `efferent preflight --probe` prints."""
from rich.markup import escape
from rich.table import Table

from ._command import console, fail
from .errors import Error


def tell(loop):
    """Probes the robot of a loop and prints what should have reacted beside what did. False where something is
    wrong."""
    from .probe import limits, probe

    try:
        probes = probe(loop)
    except Error as e:
        fail(e)
    table = Table("probe", "should react", "reacts", "", box=None, pad_edge=False, header_style="bold")
    for p in probes:
        table.add_row(escape(p.name), escape(_words(p.expected, p)), escape(_words(p.found, p)),
                      "[red]wrong" if p.wrong else "[green]right")
    console.print(table)
    wrong = [p for p in probes if p.wrong]
    for p in wrong:
        console.print(f"{p.name}: {p.wrong}", style="red", markup=False, soft_wrap=True)
    for text in limits(loop):
        console.print(f"note: {text}", style="yellow", markup=False, soft_wrap=True)
    console.print(f"{len(probes)} probes, {len(wrong)} wrong", style="red" if wrong else "green", markup=False)
    return not wrong


def _words(changes, probe):
    if not changes:
        return "nothing"
    if probe.name.startswith(("position", "velocity", "effort")):
        return ", ".join(f"{k} {'+' if v > 0 else '-'}" for k, v in changes.items())
    return ", ".join(f"{k} {v:+.3g}" for k, v in changes.items())
