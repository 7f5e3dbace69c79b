import sys
from pathlib import Path

import pytest

# the package of this checkout, unless one was chosen with PYTHONPATH or installed
try:
    import efferent  # noqa: F401
except ImportError:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bindings/python"))

import models  # noqa: E402


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of small models of every kind (models.py)."""
    made = tmp_path_factory.mktemp("models")
    models.write(made)
    return made
