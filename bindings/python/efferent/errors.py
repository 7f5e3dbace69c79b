"""One exception class per status of the C header."""
from __future__ import annotations

class Error(Exception):
    """A call failed. `status` says how ("SHAPE"), `name` is that in the C header ("EFF_E_SHAPE"), `code` its value, and
    `message` says what failed, what was found and what was expected."""

    status = "UNKNOWN"
    name = "EFF_E_UNKNOWN"
    code = 0

    def __init_subclass__(cls):
        cls.name = "EFF_E_" + cls.status

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self):
        return self.message or self.name


class ArgumentError(Error, ValueError):
    """A wrong name, count, index or value."""

    status, code = "ARGUMENT", -1


class StateError(Error):
    """A call that this object does not offer in its present state or shape."""

    status, code = "STATE", -2


class MemoryError_(Error, MemoryError):
    """Out of memory, or over a memory limit."""

    status, code = "MEMORY", -3


class FileError(Error, OSError):
    """A file or socket cannot be opened, read or written."""

    status, code = "IO", -4


class FormatError(Error, ValueError):
    """The bytes are not what they claim to be."""

    status, code = "FORMAT", -5


class UnsupportedError(Error):
    """Well-formed, but outside what this library runs."""

    status, code = "UNSUPPORTED", -6


class ShapeError(Error, ValueError):
    """Shapes or types do not fit together."""

    status, code = "SHAPE", -7


class NumericError(Error, ArithmeticError):
    """A value that is not finite where one is needed."""

    status, code = "NUMERIC", -8


class TimeoutError_(Error, TimeoutError):
    """Nothing arrived in time."""

    status, code = "TIMEOUT", -9


class MismatchError(Error):
    """Two parts that must agree (layout, schema, names) do not."""

    status, code = "MISMATCH", -10


CLASSES = {c.code: c
           for c in (ArgumentError, StateError, MemoryError_, FileError, FormatError, UnsupportedError, ShapeError,
                     NumericError,
                               TimeoutError_, MismatchError)}


def error(code: int, message: str) -> Error:
    """The exception of a status code."""
    made = CLASSES.get(code, Error)(message)
    if code not in CLASSES:
        made.code = code
    return made
