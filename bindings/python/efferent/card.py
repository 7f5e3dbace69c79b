"""Card: what a policy needs to know about its robot."""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from ctypes import byref, c_void_p, sizeof
from pathlib import Path
from typing import Any

from ._library import Handle, Owner, check, lib
from ._table_card import eff_card_options
from ._types import StrPath
from .errors import ArgumentError, UnsupportedError


class Card(Owner):
    """An immutable policy card: joints by name with pose, gains and limits, how observations are built, what actions
    mean, at which rates.

    card = efferent.Card.load(["policy.onnx"], supplied={"patch": {"policy_period": 0.02, "control_period": 0.02}})
    card.questions        # what no file said and nobody answered, as paths; [] where nothing is open
    card.to_json()        # the card as text; Card.from_json reads it back without loss

    Errors name the file, the path of the key, what was found and what was expected.
    """

    @classmethod
    def load(cls, files: StrPath | Sequence[StrPath], supplied: dict[str, Any] | None = None) -> Card:
        """The card of a JSON card, an ONNX file with metadata, or the sidecar files of a convention (YAML, JSON) with
        or without their network.

        files     a path or a list of paths
        supplied  answers to what no file says: joint_names (the motor table), joint_order, gain_order, command_of,
                  limits, motion, chunk_steps, joint_units, policy_period, control_period, preset (the layout that a
                  stack has in its code, by name), patch (merged into the imported card, RFC 7386), ...
        """
        if isinstance(files, (str, os.PathLike)):
            files = [files]
        files = [os.fspath(f) for f in files]
        if not files:
            raise ArgumentError("files is empty, expected at least one path")
        if len(files) == 1 and (Path(files[0]).suffix.lower() == ".onnx" or _is_card(files[0])):
            return cls._made(lib.eff_card_load_file, [_path(files[0])], cls._with_preset(files[0], supplied))
        from ._sidecars import import_files

        found = import_files(files, supplied)
        if found is not None:
            return cls.from_json(json.dumps(found), name=", ".join(Path(f).name for f in files))
        if len(files) == 1:
            return cls._made(lib.eff_card_load_file, [_path(files[0])], supplied)
        raise UnsupportedError(f"{', '.join(files)}: no known convention; expected a card, an ONNX file with metadata, "
                               f"or the sidecar files of one convention")

    @classmethod
    def _with_preset(cls, file, supplied):
        """Answers in which a preset has become a part of the patch: the core knows no presets."""
        if not isinstance(supplied, dict) or supplied.get("preset") is None:
            return supplied
        from ._presets import overlay
        from ._sidecars.draft import merge

        rest = {k: v for k, v in supplied.items() if k != "preset"}
        imported = json.loads(cls._made(lib.eff_card_load_file, [_path(file)],
                                        {k: v for k, v in rest.items() if k != "patch"}).to_json())
        return {**rest, "patch": merge(overlay(supplied["preset"], imported), rest.get("patch") or {})}

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "card") -> Card:
        """The card of a JSON text, which messages call `name`."""
        data = text.encode() if isinstance(text, str) else bytes(text)
        return cls._made(lib.eff_card_load_memory, [data, len(data)], None, name)

    @classmethod
    def _made(cls, load, arguments, supplied, name=None):
        options = eff_card_options()
        lib.eff_card_options_default(byref(options), sizeof(options))
        if supplied is not None:
            if not isinstance(supplied, dict):
                raise ArgumentError(f"supplied is a {type(supplied).__name__}, expected a dict")
            options.supplied = json.dumps(supplied).encode()
        if name is not None:
            options.name = name.encode()
        made = c_void_p()
        check(load(*arguments, byref(options), byref(made)))
        card = cls.__new__(cls)
        card._handle = Handle(made.value, lib.eff_card_release, "card")
        return card

    def to_json(self) -> str:
        """The card as text, answers included. Numbers are the shortest that read back as the same double."""
        return lib.eff_card_json(self._handle.value).decode()

    @property
    def questions(self) -> list[str]:
        """What is still to be answered before the card can drive a robot, as paths."""
        handle = self._handle.value
        return [lib.eff_card_question(handle, i).decode() for i in range(lib.eff_card_question_count(handle))]

    @property
    def answers(self) -> dict[str, str]:
        """How to answer each of `questions`: {path: one sentence}."""
        handle = self._handle.value
        return {q: lib.eff_card_answer(handle, i).decode() for i, q in enumerate(self.questions)}

    @property
    def recordings(self) -> list[str]:
        """Paths of the recordings that a Controller of this card must meet before it starts: the card's key
        `recordings`, from the folder of its file."""
        found, handle = [], self._handle.value
        while path := lib.eff_card_recording(handle, len(found)):
            found.append(os.fsdecode(path))
        return found

    def __eq__(self, other):
        return json.loads(self.to_json()) == json.loads(other.to_json()) if isinstance(other, Card) else NotImplemented

    __hash__ = None

    def __repr__(self):
        data = json.loads(self.to_json())
        name = data.get("robot") or data.get("convention") or ""
        return f"<Card {name}: {len(data.get('joints') or {})} joints, {len(self.questions)} questions>"


def _path(path):
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ArgumentError(f"path {path!r} has a NUL byte in it")
    return encoded


def _is_card(path):
    """Whether a JSON file is a card, good or bad, rather than a sidecar of some convention."""
    if Path(path).suffix.lower() != ".json":
        return False
    try:
        with open(path, encoding="utf-8") as f:
            return '"efferent_card"' in f.read()
    except (OSError, UnicodeDecodeError):
        return True  # the core says what is wrong with it
