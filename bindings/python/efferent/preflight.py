"""Pre-flight: raw signals kept with the observations, actions and targets that belong to them, run again before a robot
moves.

    recording = efferent.preflight.record(controller, loop)      # a walk in MuJoCo, then signals that no walk shows
    recording.save("robot.npz")
    efferent.Controller(card, models, joints, preflight="robot.npz")   # MismatchError names the first term that is not
                                                                       as recorded

A recording belongs to a card and its networks, not to what a robot adds: limits, ladders and clamps that a Controller
is given are left out on both sides, but for `guard`, which a recording may ask for.

Arrays of a recording: in.SIGNAL [ticks, ...]; any of obs.MODEL.TENSOR and act.MODEL.TENSOR [runs, ...] and out.TARGET
[ticks, joints], NaN where nothing is commanded; resets [k]: ticks before which the controller is reset. Ours have more:
time and stamp [ticks] in s, mode [ticks], ran [ticks], status [ticks], and joints, units, control_period,
policy_period, guard, policies, card.
"""
from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._excite import conditions, excite, faults, walk
from ._library import check, lib
from ._table_controller import eff_preflight_report, eff_preflight_row, eff_recorded_array, eff_recording
from ._types import StrPath
from .errors import ArgumentError, Error, FileError, FormatError

if TYPE_CHECKING:
    from .controller import Controller, Report
    from .mujoco_loop import MujocoLoop

TOLERANCE = (1e-4, 1e-4)
SERIES = ("in.", "obs.", "act.", "out.")
MODES = ("run", "hold", "ramp", "damp", "zero")
CLAMPS = {"position": 1, "velocity": 2, "effort": 4, "command": 8}


class Difference(NamedTuple):
    """The first thing in which a controller and a recording differ: `what` says it in words."""

    tick: int
    name: str
    what: str
    found: float
    expected: float


class Row(NamedTuple):
    """How far one term, action or target is from its recording at worst. `is_same`: within the tolerance at every
    tick."""

    name: str
    is_same: bool
    difference: float
    tick: int
    found: float
    expected: float


class Comparison(NamedTuple):
    """`first` is the first Difference, or None; `rows` one Row per term, action and target; `unchecked` names what the
    recording does not hold."""

    first: Difference
    rows: list
    unchecked: list
    notes: list


class Recording(dict):
    """{name: array}, as the module says."""

    @classmethod
    def load(cls, path: StrPath) -> Recording:
        path = os.fspath(path)
        try:
            with np.load(path) as z:
                found = cls({k: z[k] for k in z.files})
        except FileNotFoundError:
            raise FileError(f"{path}: no such file") from None
        except Exception as e:  # a zip of another kind, pickles, a torn file
            raise FormatError(f"{path}: not a recording (npz): {e}") from None
        if not any(k.startswith("in.") for k in found):
            raise FormatError(f"{path}: no raw signals ('in.NAME'); it has {', '.join(found) or 'nothing'}")
        return found

    def save(self, path: StrPath, force: bool = False) -> None:
        """Writes an npz, whole or not at all. A file that is there is replaced with `force` alone."""
        path = Path(path)
        if path.exists() and not force:
            raise FileError(f"{path} is there already; give force to replace it")
        temporary = path.with_name(path.name + ".new")
        with open(temporary, "wb") as f:
            np.savez(f, **self)  # not compressed: the library reads it too
        os.replace(temporary, path)

    def words(self, key: str) -> list[str]:
        return [str(w) for w in np.ravel(self[key])] if key in self else []


# ---- making one ----


class Recorder:
    """Ticks a controller and keeps what went in and what came out."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self._kept, self._resets, self.ticks = controller, {}, [], 0

    def tick(self, signals: Mapping[str, ArrayLike], now: float | None = None, reset: bool = False, mode: str = "run",
             stamp: float | None = None) -> Report:
        """One control period. A refused tick is kept too, with its fallback's targets."""
        c = self.controller
        now = (self._kept["time"][-1] + c.control_period if self.ticks else 0.0) if now is None else now
        stamp = now if stamp is None else stamp
        if reset:
            c.reset()
            self._resets.append(self.ticks)
        c.mode(mode)
        status = 0
        try:
            c.tick({**signals, "stamp": stamp}, now)
        except Error as e:
            status = e.code
            if c.report.refused == 0 or not c.report.fault:
                raise
        self.ticks += 1
        kept = {"time": now, "stamp": stamp, "mode": mode, "status": status, "ran": c.report.ran}
        kept |= {"in." + k: np.array(signals[k], float).reshape(-1)
                 for k in c.needs} | {"out." + k: v.copy() for k, v in c.targets.items()}
        if c.report.ran and status == 0:
            kept |= {"obs." + k: v for k, v in c.observations.items()} | {"act." + k: v for k, v in c.actions.items()}
        for k, v in kept.items():
            self._kept.setdefault(k, []).append(v)
        return c.report

    def recording(self) -> Recording:
        c = self.controller
        made = Recording({k: np.stack([np.asarray(x) for x in v]) for k, v in self._kept.items()})
        made["resets"] = np.array(self._resets, np.int64)
        made["joints"] = np.array(c.joints)
        made["units"] = np.array([f"{s.name}={s.unit}" for s in c.signals])
        made["control_period"] = np.array(c.control_period)
        made["policy_period"] = np.array(json.loads(c.card.to_json())["policy_period"])
        made["policies"] = np.array([f"{n}={p.hash:016x}" for n, p in c.policies.items()])
        made["guard"] = np.array(list(c.guard))
        made["card"] = np.array(c.card.to_json())
        return made


def record(controller: Controller, loop: MujocoLoop | None = None, seconds: float = 4.0, seed: int = 0,
           guard: str | Sequence[str] = ()) -> Recording:
    """A Recording of a controller's card: a walk in `loop` (a MujocoLoop of the same joints; None: no walk), in which
    commands change and which begins anew once; then random raw signals, some far outside of what a robot shows, so that
    clips, orders and thresholds are touched; then old data, tilts, a signal that is not finite and the ramp, so that
    safety and startup are.

    The controller itself is not ticked: a twin without its limits and ladders is.
    """
    recorder = Recorder(controller.twin(guard=guard))
    content = json.loads(controller.card.to_json())
    rng = np.random.default_rng(seed)
    if loop is not None:
        walk(recorder, loop, content, seconds, rng)
    excite(recorder, content, rng)
    faults(recorder, content, rng)
    return recorder.recording()


# ---- running one again ----


def compare(controller: Controller, recording: StrPath | Mapping[str, ArrayLike],
            tolerance: tuple[float, float] = TOLERANCE, whole: bool = True) -> Comparison:
    """Runs a recording (or the path of one) through a twin of the controller. Returns a Comparison; without `whole` it
    ends at the first difference."""
    if isinstance(recording, (str, os.PathLike)):
        recording = Recording.load(recording)
    given, kept = _filled(Recording(recording), tolerance, whole)
    report, capacity = eff_preflight_report.sized(), 256
    while True:
        rows = (eff_preflight_row * capacity)()
        report.rows, report.row_capacity = rows, capacity
        status = lib.eff_controller_preflight(controller._handle.value, ctypes.byref(given), ctypes.byref(report))
        if status < 0 and not report.differs:
            check(status)
        if report.row_count <= capacity:
            break
        capacity = report.row_count
    del kept
    first = Difference(report.tick, report.name.decode("utf-8", "replace"), report.what.decode("utf-8", "replace"),
                       report.found, report.expected) if report.differs else None
    found = [Row(r.name.decode("utf-8", "replace"), bool(r.is_same), r.difference, r.tick, r.found, r.expected)
             for r in rows[:report.row_count]]
    return Comparison(first, found, sorted(_lines(report.unchecked)), _lines(report.notes))


def first_difference(controller: Controller, recording: StrPath | Mapping[str, ArrayLike],
                     tolerance: tuple[float, float] = TOLERANCE) -> Difference | None:
    """None where everything is as recorded, else the first Difference."""
    return compare(controller, recording, tolerance, whole=False).first


def _arrays(recording):
    """eff_recorded_array of everything that a preflight reads; the arrays behind them are in `kept`."""
    kept, made = [], []
    for key, values in recording.items():
        if key == "mode":
            values = [MODES.index(w) if w in MODES else -1 for w in recording.words(key)]
        elif key not in ("time", "stamp", "status", "ran", "resets") and not key.startswith(SERIES):
            continue
        values = np.asarray(values, np.float64)
        values = values.reshape(1) if values.ndim == 0 else values
        width = int(np.prod(values.shape[1:]))
        kept.append(np.ascontiguousarray(values))
        made.append((key.encode(), kept[-1].ctypes.data_as(ctypes.POINTER(ctypes.c_double)), len(values), width))
    return (eff_recorded_array * max(1, len(made)))(*made), len(made), kept


def _texts(words):
    return (ctypes.c_char_p * max(1, len(words)))(*[w.encode() for w in words]), len(words)


def _filled(recording, tolerance, whole):
    """eff_recording, and what its pointers show."""
    r = eff_recording.sized()
    r.arrays, r.array_count, kept = _arrays(recording)
    r.joints, r.joint_count = _texts(recording.words("joints"))
    r.units, r.unit_count = _texts(recording.words("units"))
    r.policies, r.policy_count = _texts(recording.words("policies"))
    for name in ("control_period", "policy_period"):
        told = recording.get(name)
        if told is not None and np.asarray(told).dtype != object:
            setattr(r, name, float(told))
    for word in recording.words("guard"):
        if word not in CLAMPS:
            raise ArgumentError(f"guard of the recording: '{word}' is not known, expected any of {', '.join(CLAMPS)}")
        r.guard |= CLAMPS[word]
    r.stops_at_first = int(not whole)
    r.absolute, r.relative = (t if t > 0 else -1.0 for t in tolerance)
    return r, kept


def _lines(text):
    return text.decode("utf-8", "replace").split("\n") if text else []


__all__ = ["Comparison", "Difference", "Recorder", "Recording", "Row", "compare", "conditions", "first_difference",
           "record"]
