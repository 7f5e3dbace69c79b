"""Importers of policy cards from the YAML and JSON files that trainers and robot stacks write beside their networks.

Each convention is recognized by its keys. What a file cannot say is asked for by path and answered in `supplied`;
nothing is assumed. The card that comes out is checked again by the core.
"""
from pathlib import Path

from ..errors import ArgumentError, UnsupportedError
from . import leapp, rl_sar, unitree
from .draft import ANSWERS, Question
from .isaaclab import Advr, EnvYaml, IoDescriptors
from .item import read
from .legged import AgiBot, Berkeley, Booster, Limx, Spot, UnitreeGym
from .manipulation import LeRobot, OpenPi

__all__ = ["ANSWERS", "CONVENTIONS", "Question", "draft", "import_files", "is_sidecar"]

CONVENTIONS = [unitree, rl_sar, EnvYaml, IoDescriptors, Advr, Spot, UnitreeGym, Limx, Berkeley, Booster, AgiBot, leapp,
               LeRobot, OpenPi]
TEXTS = {".yaml", ".yml", ".json"}


def is_sidecar(path):
    return Path(path).suffix.lower() in TEXTS


def draft(files, supplied=None):
    """The card in the making, with its questions, from sidecar files; None where no convention is recognized."""
    files = [Path(f) for f in files]
    if not files:
        raise ArgumentError("no file given")
    items = [read(f) for f in files if is_sidecar(f)]
    for convention in CONVENTIONS:
        if items and convention.recognizes(items):
            others = [f for f in files if not is_sidecar(f)]
            if convention is LeRobot:
                return convention.read(items, supplied, others)
            if others and any(f.suffix != ".onnx" for f in others):
                raise UnsupportedError(f"{others[0].name}: has no place beside {items[0].file} "
                                       f"({convention.CONVENTION})")
            if convention is leapp:
                return convention.read(items, supplied, files[0].parent)
            made = convention.read(items, supplied)
            made.item = items[0]
            return made
    return None


def import_files(files, supplied=None):
    """The card of sidecar files as a dict, or None where no convention is recognized. Raises what cannot be read or is
    not answered."""
    made = draft(files, supplied)
    return None if made is None else made.finish()
