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

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._excite import conditions, excite, faults, walk
from ._types import StrPath
from .errors import ArgumentError, Error, FileError, FormatError, MismatchError

if TYPE_CHECKING:
    from .controller import Controller, Report
    from .mujoco_loop import MujocoLoop

TOLERANCE = (1e-4, 1e-4)
TEXTS = ("joints", "units", "guard", "policies", "mode")


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
            np.savez_compressed(f, **self)
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
    recording = Recording(recording)
    given = {k[3:]: v for k, v in recording.items() if k.startswith("in.")}
    if not given:
        raise ArgumentError("the recording has no raw signals ('in.NAME')")
    if not any(k[:4] in ("obs.", "act.", "out.") for k in recording):
        raise ArgumentError("the recording has nothing to compare with: no obs.MODEL.TENSOR, act.MODEL.TENSOR or "
                            "out.TARGET")
    ticks = {k: len(v) for k, v in given.items()}
    if len(set(ticks.values())) > 1:
        raise ArgumentError(f"the recording's signals are not equally long: "
                            f"{', '.join(f'{k} {n}' for k, n in ticks.items())}")
    return _Comparer(controller, recording, given, tolerance).run(next(iter(ticks.values())), whole)


def first_difference(controller: Controller, recording: StrPath | Mapping[str, ArrayLike],
                     tolerance: tuple[float, float] = TOLERANCE) -> Difference | None:
    """None where everything is as recorded, else the first Difference."""
    return compare(controller, recording, tolerance, whole=False).first


class _Comparer:
    def __init__(self, controller, recording, given, tolerance):
        self.recording, self.given, self.tolerance = recording, given, tolerance
        self.twin = controller.twin(guard=recording.words("guard"), binds_time="time" in given)
        self.content = json.loads(controller.card.to_json())
        self.first, self.worst, self.traces, self.notes, self.made = None, {}, {}, [], set()
        self.order, self.parts = self._joints(), {}

    def _joints(self):
        """Places of the controller's joints in the recording; None where they are the same. Joints are found by
        name."""
        names = self.recording.words("joints")
        if not names or names == list(self.twin.joints):
            return None
        absent = [j for j in self.content["joint_order"] if j not in names]
        if absent:
            raise MismatchError(f"preflight: joint '{absent[0]}' is not in the recording, which has {', '.join(names)}")
        return [names.index(j) if j in names else -1 for j in self.twin.joints]

    def _reordered(self, values, blank):
        return values if self.order is None else np.array([values[i] if i >= 0 else blank for i in self.order])

    def _differs(self, tick, name, what, found=np.nan, expected=np.nan):
        if self.first is None:
            self.first = Difference(tick, name, what, float(found), float(expected))

    def run(self, ticks, whole):
        self._facts()
        recording, twin, run = self.recording, self.twin, 0
        resets = {int(k) for k in np.ravel(recording.get("resets", []))}
        joint_signals = {s.name for s in twin.signals if s.is_joint}
        times, stamps, modes = recording.get("time"), recording.get("stamp"), recording.words("mode")
        twin.reset()
        for tick in range(ticks):
            if self.first is not None and not whole:
                break
            if tick in resets:
                twin.reset()
            signals = {k: self._reordered(v[tick], 0.0) if k in joint_signals else v[tick]
                       for k, v in self.given.items()}
            if stamps is not None:
                signals["stamp"] = stamps[tick]
            if modes:
                twin.mode(modes[tick])
            status = self._tick(tick, signals, None if times is None else float(times[tick]))
            ran = twin.report.ran and status == 0
            if "ran" in recording and bool(recording["ran"][tick]
                                           and not recording.get("status", np.zeros(ticks))[tick]) != ran:
                self._differs(tick, "policy_period",
                              f"the networks {'ran' if ran else 'did not run'} at tick {tick}, in the recording they "
                              f"did"
                              f"{' not' if ran else ''}: policy_period is {self.content.get('policy_period')} s")
            if ran:
                for kind, arrays in (("obs", twin.observations), ("act", twin.actions)):
                    for name, values in arrays.items():
                        self._values(tick, run, f"{kind}.{name}", values, whole)
                run += 1
            for name, values in twin.targets.items():
                self._values(tick, tick, "out." + name, values, whole)
        self._absent(run, whole)
        rows = [Row(name, *w) for name, w in self.worst.items()]
        if self.first is not None and (hint := self._hint(self.first.name)):
            self.first = self.first._replace(what=f"{self.first.what}; {hint}")
        return Comparison(self.first, rows, sorted(k for k in self.made if k not in recording), self.notes)

    def _facts(self):
        for name, found in (("control_period", self.twin.control_period),
                            ("policy_period", self.content.get("policy_period"))):
            expected = self.recording.get(name)
            if expected is not None and found is not None and abs(float(expected) - found) > 1e-9:
                self._differs(0, name, f"{name} is {found} s, the recording has {float(expected)} s", found, expected)
        units = dict(w.partition("=")[::2] for w in self.recording.words("units"))
        for s in self.twin.signals:
            if units.get(s.name, s.unit) != s.unit:
                self._differs(0, s.name, f"signal '{s.name}' is in '{s.unit}', in the recording in '{units[s.name]}'")
        hashes = dict(w.partition("=")[::2] for w in self.recording.words("policies"))
        for name, policy in self.twin.policies.items():
            if hashes.get(name, f"{policy.hash:016x}") != f"{policy.hash:016x}":
                self.notes.append(f"network '{name}' is another file ({policy.hash:016x}) than the recording's "
                                  f"({hashes[name]})")

    def _tick(self, tick, signals, now):
        expected = int(self.recording["status"][tick]) if "status" in self.recording else 0
        status, text = 0, ""
        try:
            self.twin.tick(signals, now)
        except Error as e:
            if not self.twin.report.fault:  # not the guard: the recording does not fit
                raise type(e)(f"preflight: tick {tick}: {e}") from None
            status, text = e.code, f": {e}"
        if status != expected:
            words = [f"is {'refused' if s else 'clean'}" for s in (status, expected)]
            words = words if words[0] != words[1] else [f"is refused with {s}" for s in (status, expected)]
            self._differs(tick, "guard", f"tick {tick} {words[0]}, in the recording it {words[1]}{text}", status,
                          expected)
        return status

    def _values(self, tick, at, key, values, whole):
        self.made.add(key)
        if key not in self.recording or at >= len(self.recording[key]):
            return
        expected = self.recording[key][at]
        if key.startswith("out."):
            expected = self._reordered(np.ravel(expected), np.nan)
        x, y = np.ravel(values).astype(float), np.ravel(expected).astype(float)
        if x.size != y.size:
            self._differs(tick, key, f"{key} has {x.size} values, the recording has {y.size}", x.size, y.size)
            return
        with np.errstate(invalid="ignore"):
            distance = np.where(np.isnan(x) & np.isnan(y), 0.0, np.abs(x - y))
        distance = np.where(np.isnan(distance), np.inf, distance)
        bad = distance > self.tolerance[0] + self.tolerance[1] * np.where(np.isnan(y), 0.0, np.abs(y))
        if not whole and not bad.any():
            return
        if key not in self.parts:
            self.parts[key] = self._parts(key, x.size)
        for name, part in self.parts[key]:
            i = part[int(np.argmax(distance[part]))]
            before = self.worst.get(name)
            is_bad = bool(bad[part].any())
            if before is None or distance[i] > before[1] or is_bad and before[0]:
                self.worst[name] = (not is_bad and (before is None or before[0]), float(distance[i]), tick, float(x[i]),
                                    float(y[i]))
            if is_bad:
                i = part[int(np.argmax(bad[part]))]
                self._differs(tick, name,
                              f"{element(self.content, self.twin, key, i)} at tick {tick} is {x[i]:.6g}, the recording "
                              f"has {y[i]:.6g}", x[i], y[i])
            self.traces.setdefault(name, []).append((x[part], y[part]))

    def _parts(self, key, size):
        """(name, elements) of what a tensor holds: its terms where a vector fills it."""
        if key.startswith("obs.") and (vector := _vector_of(self.content, key)):
            cells = _cells(vector[1])
            if len(cells) == size:
                places = {}
                for i, (term, _, _) in enumerate(cells):
                    places.setdefault(term["name"], []).append(i)
                return [(f"{key} {name}", np.array(p)) for name, p in places.items()]
        return [(key, np.arange(size))] if size else []

    def _absent(self, run, whole):
        for key in self.recording:
            if key[:4] == "out." and key not in self.made and not np.isnan(self.recording[key]).all():
                self._differs(0, key, f"the recording has {key}, which this card does not command")
            if key[:4] in ("obs.", "act."):
                if run and key not in self.made:
                    self._differs(0, key, f"the recording has {key}, which this card's networks do not have")
                elif (self.first is None or whole) and len(self.recording[key]) != run:
                    self._differs(0, key,
                                  f"the networks ran {run} times, the recording has {len(self.recording[key])} runs in "
                                  f"{key}", run, len(self.recording[key]))

    def _hint(self, name):
        """What would explain all values of a term: sign, scale, order, time, offset. "" where none does."""
        if name not in self.traces:
            return ""
        # early runs: later ones touch clips, which hide a factor
        traces = [t for t in self.traces[name] if np.any(t[1])][:14]
        if not traces:
            return ""
        x, y = (np.stack([t[i] for t in traces]) for i in (0, 1))
        used = ~(np.isnan(x) | np.isnan(y)).any(0)
        x, y = x[:, used], y[:, used]
        if not x.size or not y.any() or len(x) < 3:
            return ""

        def same(a, b):
            return a.size > 0 and np.allclose(a, b, rtol=1e-3, atol=1e-5)

        if same(x, -y):
            return "all values have the other sign"
        factor = float((x * y).sum() / (y * y).sum())
        if same(x, factor * y) and factor:
            return f"all values are {factor:.4g} times the recording's"
        if same(x[1:], y[:-1]):
            return "all values come one run later than in the recording"
        if same(x[:-1], y[1:]):
            return "all values come one run earlier than in the recording"
        if x.shape[1] <= 256:
            match = np.array([[same(x[:, i], y[:, j]) for j in range(x.shape[1])]
                              for i in range(x.shape[1])]) if len(x) * x.shape[1] ** 2 < 2e7 else np.zeros((1, 1))
            if (match.sum(0) == 1).all() and (match.sum(1) == 1).all():
                order = ", ".join(str(j) for j in match.argmax(1))
                return f"the values are those of the recording in another order: {order}"
        if same(x - y, np.broadcast_to((x - y).mean(0), x.shape)):
            return "all values differ by a constant"
        return ""


# ---- words ----


def element(content: dict[str, Any], controller: Controller, key: str, index: int) -> str:
    """Words for element `index` of obs.MODEL.TENSOR, act.MODEL.TENSOR or out.TARGET: the term or the joint that it
    belongs to."""
    kind, _, name = key.partition(".")
    if kind == "out":
        return f"target '{name}' of joint '{controller.joints[index]}'"
    if kind == "obs" and (vector := _vector_of(content, key)):
        cells = _cells(vector[1])
        if index < len(cells):
            term, i, age = cells[index]
            return f"vector '{vector[0]}', term '{term['name']}', value {i}{_label(content, term, i)}, age {age},"
        return f"vector '{vector[0]}', value {index},"
    for action in content["actions"] if kind == "act" else ():
        places = action.get("index") or list(range(len(action["joints"])))
        if name == f"{action['model']}.{action['output']}" and index in places:
            return f"output '{name}' for joint '{action['joints'][places.index(index)]}'"
    return f"{'input' if kind == 'obs' else 'output'} '{name}', element {index},"


def _label(content, term, i):
    """ (joint 'knee'), (lin_vel_x), (y) of a value of a term, where it has one."""
    op = term["op"]
    joints = term.get("joints") or content.get("joint_order") or []
    if op.startswith("joint_") or op in ("previous_target", "last_action"):
        return f" (joint '{joints[i]}')" if i < len(joints) == term["size"] else ""
    if op == "command":
        fields = term.get("fields") or (content.get("commands") or {}).get(term.get("command"), {}).get("fields") or []
        return f" ({fields[i]})" if i < len(fields) else ""
    return f" ({'xyz'[i]})" if term["size"] == 3 and op.startswith(("base_", "projected")) else ""


def _vector_of(content, key):
    """(name, vector) that fills the network input of obs.MODEL.TENSOR, or None."""
    name = key[4:]
    for model in content["models"]:
        for tensor, source in model["inputs"].items():
            if name == f"{model['name']}.{tensor}" and (source.get("from") or "").startswith("vector:"):
                vector = source["from"][7:]
                return vector, content["vectors"][vector]
    return None


def _cells(vector):
    """(term, value, age) of every element of a vector, in its order."""
    terms = vector["terms"]
    ages = [t.get("ages") or [0] for t in terms]
    order = [(t, a) for t, own in zip(terms, ages) for a in own]
    if vector.get("layout") == "time_major":
        order = [(t, own[p]) for p in range(len(ages[0])) for t, own in zip(terms, ages)]
    return [({**t, "name": t.get("name") or t["op"]}, i, age) for t, age in order for i in range(t["size"])]


__all__ = ["Comparison", "Difference", "Recorder", "Recording", "Row", "compare", "conditions", "first_difference",
           "record"]
