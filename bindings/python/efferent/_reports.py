"""What controllers say of a tick, here and behind a bridge."""
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .errors import MismatchError, ShapeError

MODES = ("run", "hold", "ramp", "damp", "zero")
TARGETS = ("position", "velocity", "effort", "kp", "kd")
FAULTS = ("", "finite", "age", "unit", "roll", "pitch", "action", "target", "deadline", "clock")


class Signal(NamedTuple):
    """A raw signal that the card needs: `count` values in `unit` ("" where any will do); joint signals come in the
    robot's order."""

    name: str
    unit: str
    count: int
    is_joint: bool


class Report(NamedTuple):
    """One tick. `mode` says who moved the robot, `ran` whether networks ran; times are in seconds, counts are since the
    controller was made."""

    mode: str
    fault: str
    ran: bool
    ticks: int
    runs: int
    late: int
    refused: int
    clamped: int
    age: float
    period: float


def take(signals: Mapping[str, ArrayLike], values: Mapping[str, np.ndarray]) -> None:
    """Writes the signals of a tick into `values`, {name: array [count]}; refuses a missing one and another width."""
    for name, own in values.items():
        if name not in signals:
            raise MismatchError(f"signal '{name}' is missing: found {', '.join(signals) or 'none'}")
        given = np.asarray(signals[name], np.float64).reshape(-1)
        if given.size != own.size:
            raise ShapeError(f"signal '{name}' has {given.size} values, expected {own.size}")
        own[...] = given


def explain(fault: int, signal: str, element: str, value: float, limit: float) -> str:
    """A refused tick in words: the signal, what was found and what was expected."""
    kind = FAULTS[fault] if fault < len(FAULTS) else str(fault)
    of = f" of {element}" if element else ""
    return {
        "finite": f"signal '{signal}'{of} is {value:g}, expected a finite number",
        "age": f"signal '{signal}': its age is {value:g} s, expected at most {limit:g} s",
        "unit": f"signal '{signal}': the norm of the quaternion is {value:g}, expected a unit quaternion",
        "roll": f"signal '{signal}': roll is {value:g} rad, expected at most {limit:g}",
        "pitch": f"signal '{signal}': pitch is {value:g} rad, expected at most {limit:g}",
        "action": f"an action{of} is {value:g}, expected a finite number",
        "target": f"target '{signal}'{of} is {value:g}, expected a finite number",
        "deadline": f"the tick comes {value:g} s after the last one, expected at most {limit:g} s",
        "clock": f"now is {-value:g} s before the last tick, expected a clock that does not go back",
    }.get(kind, f"fault {kind}")
