"""Presets: layouts that live in the code of a stack and not in its files, as data. A preset is an answer: it is never
taken without being asked for.

A preset is a JSON file in the folder `presets`: title, source, the conventions that it belongs to, and `card`, a part
of a card in which
  "$joints", "$indices"             stand for the card's joints in policy order, and 0 to their number
  {"$file": PATH, "else", "plus"}   stands for a value of the sidecar file; {controller} in a path is the answer of that
  name {"$ages": N}                      stands for N frames from old to new
  {"$band": X}                      stands for [-X, X]
Terms get the keys of `frame` (ages and fill), and the sizes that their keys imply.
"""
import json
from pathlib import Path

from .errors import ArgumentError, FormatError, MismatchError

FOLDER = Path(__file__).parent / "presets"
WIDTHS = {"base_height": 1, "relative_orientation": 6, "reference_anchor_orientation_6d": 6}


def names():
    """{name: title} of all presets."""
    return {p.stem: json.loads(p.read_text())["title"] for p in sorted(FOLDER.glob("*.json"))}


def for_convention(convention):
    return [p.stem for p in sorted(FOLDER.glob("*.json")) if convention in json.loads(p.read_text())["conventions"]]


def overlay(name, card, item=None, controller=None):
    """The part of a card that a preset stands for, for the card that was imported and the Item of its sidecar."""
    path = FOLDER / f"{name}.json"
    if not isinstance(name, str) or not path.is_file():
        raise ArgumentError(f"supplied: preset {name!r} is not known, expected one of {', '.join(names())}")
    preset = json.loads(path.read_text())
    if card.get("convention") not in preset["conventions"]:
        raise MismatchError(f"supplied: preset '{name}' is for {', '.join(preset['conventions'])}, the files are "
                            f"{card.get('convention')}")
    made = _Filler(name, card, item, controller).fill(preset["card"])
    driven = (made.get("actions") or card.get("actions")) or []
    merged = {**(card.get("commands") or {})}
    for vector in (made.get("vectors") or {}).values():
        for i, term in enumerate(vector["terms"]):
            frame = _Filler(name, card, item, controller).fill(preset.get("frame") or {"ages": [0], "fill": "first"})
            term = {"name": term["name"], "op": term["op"], "size": None, "scale": 1.0, "clip": None,
                    **{"fill": "first", **frame}, **term}
            if term["size"] is None:
                term["size"] = _size(term, merged, made.get("clocks") or {}, sum(len(a["joints"]) for a in driven))
            vector["terms"][i] = term
    return made


def _size(term, commands, clocks, actions):
    op = term["op"]
    if op.startswith("joint_"):
        return len(term["joints"])
    if op == "last_action":
        return actions
    if op == "command":
        return len(term.get("fields") or commands[term["command"]]["fields"])
    if op == "clock":
        return len(term["fn"]) * len(clocks[term["clock"]]["phases"])
    if op == "constant":
        return len(term["value"])
    return WIDTHS.get(op, 3)


class _Filler:
    def __init__(self, name, card, item, controller):
        self.name, self.card, self.item, self.controller = name, card, item, controller

    def fill(self, node):
        if isinstance(node, list):
            return [self.fill(v) for v in node]
        if node == "$joints":
            return list(self.card["joint_order"])
        if node == "$indices":
            return list(range(len(self.card["joint_order"])))
        if not isinstance(node, dict):
            return node
        if "$ages" in node:
            frames = self.fill(node["$ages"])
            if not isinstance(frames, int) or not 1 <= frames <= 10_000:
                raise FormatError(f"preset '{self.name}': found {frames!r} frames of history, expected a whole number "
                                  f"from 1 to 10000")
            return list(range(frames - 1, -1, -1))
        if "$band" in node:
            bound = self.fill(node["$band"])
            return [-float(bound), float(bound)]
        if "$file" in node:
            return self._from_file(node)
        return {k: self.fill(v) for k, v in node.items()}

    def _from_file(self, node):
        at, keys = self.item, node["$file"].format(controller=self.controller).split(".")
        # files that put everything under one key
        while at is not None and at.is_mapping and keys[0] not in at.value and len(at.value) == 1:
            at = at[next(iter(at.value))]
        for key in keys:
            if at is None or not at.is_mapping or not at.has(key):
                if "else" in node:
                    return node["else"] + node.get("plus", 0)
                raise MismatchError(f"{self.item.file if self.item else 'the file'}: preset '{self.name}' needs "
                                    f"'{node['$file']}', which is not there: "
                                    "give the layout in a patch")
            at = at[key]
        if isinstance(at.value, list):
            return at.numbers()
        return at.number() + node.get("plus", 0)
