"""Finds libefferent, binds the functions of the table, and turns statuses into exceptions."""

import ctypes
import os
from pathlib import Path

from . import _table, _table_bridge, _table_card, _table_controller, _table_learner, _version
from ._closes import Closes
from .errors import FileError, StateError, UnsupportedError, error

NAME = "libefferent.so"
FUNCTIONS = (
    _table.FUNCTIONS
    | _table_bridge.FUNCTIONS
    | _table_learner.FUNCTIONS
    | _table_card.FUNCTIONS
    | _table_controller.FUNCTIONS
)


def candidates():
    """Where the library is looked for, in order."""
    if chosen := os.environ.get("EFFERENT_LIBRARY"):
        return [chosen]
    here = Path(__file__).resolve().parent
    wanted = _version.number()
    return [str(p) for p in (here / NAME, here.parents[2] / ".build/prefix/lib" / NAME) if p.exists()] + [
        f"{NAME}.{_version.series(wanted)}" if wanted else NAME
    ]


def _text(version):
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


def _load():
    tried = []
    for path in candidates():
        try:
            loaded = ctypes.CDLL(path)
            found, wanted = _text(loaded.eff_version()), _version.number()
        except (OSError, AttributeError) as e:
            tried.append(f"  {path}: {e}")
            continue
        if wanted and _version.series(found) != _version.series(wanted):
            raise FileError(
                f"{path} is libefferent {found}; this package is {wanted} and needs {_version.series(wanted)}: "
                "install both from one release"
            )
        return loaded, path
    raise FileError(
        "libefferent was not found:\n"
        + "\n".join(tried)
        + "\nInstall it with `pip install ./bindings/python`, or set EFFERENT_LIBRARY."
    )


class Library:
    """The functions of libefferent as attributes, loaded at first use."""

    def __init__(self):
        self._loaded = None
        self.path = None

    def __getattr__(self, name):
        if name not in FUNCTIONS:
            raise AttributeError(name)
        if self._loaded is None:
            self._loaded, self.path = _load()
        try:
            function = getattr(self._loaded, name)
        except AttributeError:
            raise UnsupportedError(f"{self.path} has no function {name}: it was built without that part") from None
        function.restype, function.argtypes = FUNCTIONS[name]
        setattr(self, name, function)
        return function


lib = Library()


def check(status):
    """Raises the exception of a negative status, with this thread's last message."""
    if status < 0:
        raise error(status, lib.eff_last_error().decode("utf-8", "replace"))


def check_rt(status, what):
    """The same for an [RT] function, which leaves no message: `what` says what was tried."""
    if status < 0:
        raise error(status, f"{what}: {lib.eff_status_name(status).decode()}")


def version():
    """The version of the loaded library, such as "0.1.0"."""
    return _text(lib.eff_version())


class Handle:
    """Owns one C handle and destroys it once. `after` is a handle that must outlive it; `kept` is what C points to
    meanwhile."""

    def __init__(self, pointer, destroy, what, kept=None, after=None):
        self._pointer, self._destroy, self._what, self._kept = pointer, destroy, what, kept
        self._after, self._before = after, []
        if after is not None:
            after._before.append(self)

    @property
    def value(self):
        if self._pointer is None:
            raise StateError(f"this {self._what} is closed")
        return self._pointer

    def close(self):
        for other in list(self._before):
            other.close()
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._destroy(pointer)
        if self._after is not None and self in self._after._before:
            self._after._before.remove(self)

    def __del__(self):
        self.close()


class Owner(Closes):
    """An object over one handle, `_handle`."""

    def close(self):
        """Gives up what this holds now rather than when it is collected."""
        self._handle.close()
