import ctypes
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


@pytest.fixture
def log():
    """The lines that the library logs during a test: (level, text)."""
    from efferent import _library, _table

    lines = []
    function = _table.LOG_FUNCTION(lambda user, level, text: lines.append((level, text.decode())))
    _library.lib.eff_set_log(function, None, 0)
    yield lines
    _library.lib.eff_set_log(ctypes.cast(None, _table.LOG_FUNCTION), None, 0)
