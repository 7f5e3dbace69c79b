import sys
from pathlib import Path

# the package of this checkout, unless one was chosen with PYTHONPATH or installed
try:
    import efferent  # noqa: F401
except ImportError:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bindings/python"))
