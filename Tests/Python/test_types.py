"""Type hints: everything public has them, they name types that exist, and type checkers see what is loaded at first
use."""
import ast
import importlib
import inspect
import re
import typing
from pathlib import Path

import efferent
import pytest

PACKAGE = Path(efferent.__file__).parent
MODULES = [
    "bridge",
    "card",
    "client",
    "controller",
    "errors",
    "lab.estimates",
    "lab.results",
    "lab.seeds",
    "lab.switch",
    "lab.training",
    "learner",
    "motion",
    "mujoco_loop",
    "plant",
    "policy",
    "preflight",
    "probe",
    "quantize",
    "remote",
    "rewards",
    "session",
    "stall",
]


def public(module):
    """(name, function) of everything public that a module defines."""
    for name, found in vars(module).items():
        if name.startswith("_") or getattr(found, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for key, member in vars(found).items():
                member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                written = inspect.isfunction(member) and member.__code__.co_filename == module.__file__
                if written and (not key.startswith("_") or key == "__init__"):
                    yield f"{name}.{key}", member


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_type_hints_that_name_types(name):
    module = importlib.import_module(f"efferent.{name}")
    known = {k: getattr(efferent, k) for k in efferent.__all__}
    known |= {k: getattr(importlib.import_module("efferent.controller"), k) for k in ("Report", "Signal")}
    made = list(public(module))
    assert made
    for label, function in made:
        hints = typing.get_type_hints(function, localns=known)
        parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
        assert [p for p in [*parameters, "return"] if p not in hints] == [], f"{name}.{label}"


def test_type_checkers_see_what_is_loaded_at_first_use():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING")
    seen = {a.name: n.module for n in block.body for a in n.names}
    assert {k: v for k, v in seen.items() if k in efferent._LAZY} == efferent._LAZY
    assert (PACKAGE / "py.typed").is_file()
    assert re.search(r'package-data\][^\[]*py\.typed',
                     (PACKAGE.parent / "pyproject.toml").read_text().replace("efferent = [", "efferent = "))
