"""How a robot survives that its data stop: the fallback ladders of the guard, measured in a MuJoCo simulation. Needs
the package mujoco."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, Error

if TYPE_CHECKING:
    from .controller import Controller

# what is tried where nobody asks for others: {name: ladder of Controller}
LADDERS = {
    "hold": [("hold", 0.0)],
    "ramp": [("ramp", 0.5)],
    "damp": [("damp", 0.0)],
    "zero": [("zero", 0.0)],
    "hold 0.05 s, damp": [("hold", 0.05), ("damp", 0.0)],
}
STALLS = (0.1, 0.3, 0.5, 1.0)
# the stall begins at other phases of a gait
PHASES = (0.0, 0.13, 0.29, 0.41)


class Trial(NamedTuple):
    """One stall. `fell` is the time after its begin in s at which the base was tilted beyond the limit, or None; `tilt`
    the largest in rad; `sunk` the share of its height that the base lost at worst; `low` the share that it still lacks
    at the end."""

    ladder: str
    stall: float
    phase: float
    fell: float
    tilt: float
    sunk: float
    low: float

    @property
    def is_survived(self) -> bool:
        # a base below the ground: the model has no collision for it, and what follows is no robot
        return self.fell is None and self.low < 0.3 and self.sunk < 0.95


class Outcome(NamedTuple):
    """All trials, and the ladder that survived most of them (of equals, the one that tilted least)."""

    trials: list
    recommended: str
    ladders: dict

    def survived(self, ladder: str, stall: float) -> tuple[int, int]:
        """(how many trials were survived, how many there were)."""
        of = [t for t in self.trials if t.ladder == ladder and t.stall == stall]
        return sum(t.is_survived for t in of), len(of)

    def longest(self, ladder: str) -> float:
        """The longest stall of which every trial, and every trial of the shorter ones, was survived; 0 for none."""
        longest = 0.0
        for stall in sorted({t.stall for t in self.trials}):
            good, of = self.survived(ladder, stall)
            if good < of:
                break
            longest = stall
        return longest

    def safety(self, ladder: str | None = None) -> list[dict[str, Any]]:
        """The ladder as `safety.fallback` of a card."""
        kinds = {"damp": "damping"}
        steps = self.ladders[ladder or self.recommended]
        made = [{"kind": kinds.get(s[0], s[0]), **({"seconds": s[1]} if s[1] else {})} for s in steps]
        return made


def stall_test(physics: Any, controller: Controller, *, ladders: Mapping[str, Sequence[tuple[Any, ...]]] | None = None,
               stalls: Sequence[float] = STALLS, phases: Sequence[float] = PHASES, stale_limit: float | None = None,
               command: Mapping[str, ArrayLike] | None = None, keyframe: str | None = None,
               sensors: Mapping[str, str] | None = None, warm: float = 2.0, after: float = 2.0, tilt: float = 1.0,
               on_trial: Callable[[Trial], Any] | None = None) -> Outcome:
    """Walks, stops the data for each of `stalls` seconds, gives them back, and sees who still stands. Returns an
    Outcome.

    physics      the MuJoCo model
    controller   the robot's controller; every trial runs a fresh one of its card, networks and joints
    ladders      {name: [(mode, seconds), ...]}; None: LADDERS
    phases       s after `warm` at which the stall begins, one trial each
    stale_limit  s: age at which the guard refuses a tick; None: the card's, 2.5 policy periods without it
    command      {signal: values} while it walks
    warm, after  s of the walk before the stall and after it
    tilt         rad: a base that is tilted more has fallen
    on_trial     called with every Trial
    """
    ladders = LADDERS if ladders is None else ladders
    if not ladders or not stalls or not phases:
        raise ArgumentError("a stall test needs at least one ladder, one stall and one phase")
    content = json.loads(controller.card.to_json())
    limit = stale_limit or (content.get("safety") or {}).get("data_age") or 2.5 * content["policy_period"]
    trials = []
    for name, ladder in ladders.items():
        for stall in stalls:
            for phase in phases:
                c = controller.twin(fallback=ladder, stale_limit=limit)
                trials.append(Trial(name, stall, phase,
                                    *_trial(physics, c, stall, warm + phase, after, tilt, command, keyframe, sensors)))
                if on_trial:
                    on_trial(trials[-1])

    def rank(name):
        of = [t for t in trials if t.ladder == name]
        return sum(t.is_survived for t in of), -float(np.mean([t.tilt for t in of]))

    return Outcome(trials, max(ladders, key=rank), dict(ladders))


def _trial(physics, controller, stall, begin, after, limit, command, keyframe, sensors):
    """(time of the fall after the begin of the stall or None, largest tilt, largest loss of height, loss of height at
    the end)."""
    from .mujoco_loop import MujocoLoop

    loop = MujocoLoop(physics, controller, keyframe=keyframe, sensors=sensors)
    for name, values in (command or {}).items():
        loop.commands[name][:] = values
    period, kept, now = controller.control_period, None, 0.0

    def tick(signals):
        nonlocal kept
        is_stalled = begin <= now < begin + stall
        if not is_stalled or kept is None:
            kept = ({k: np.array(v) for k, v in signals.items()}, now)
        given, stamp = kept
        try:
            return controller.tick({**given, "stamp": stamp}, now)
        except Error:
            return controller.report  # the fallback's targets are there

    fell, tilted, sunk, low, height = None, 0.0, 0.0, 0.0, None
    for k in range(round((begin + stall + after) / period)):
        now = k * period
        loop.step(tick)
        if now < begin:
            height = loop.height
            if loop.tilt > limit:
                raise ArgumentError(f"it fell {now:.2f} s after the start, before any stall: the walk itself is not "
                                    f"right")
            continue
        tilted = max(tilted, loop.tilt)
        low = 1 - loop.height / height if height else 0.0
        sunk = max(sunk, low)
        if loop.tilt > limit:
            return now - begin, tilted, sunk, low
    return None, tilted, sunk, low
