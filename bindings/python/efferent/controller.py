"""Controller: a policy, its card and its robot, from raw signals to joint targets."""
from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Mapping, Sequence
from ctypes import byref, c_double, c_size_t, c_void_p
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._library import Handle, Owner, check, check_rt, lib
from ._table_controller import (eff_controller_model, eff_controller_options, eff_controller_report, eff_fallback_step,
                                eff_motion_track,
                                eff_signal_binding, eff_signal_spec, eff_target_binding)
from ._table_learner import eff_transition, eff_update
from ._reports import FAULTS, MODES, TARGETS, Report, Signal, take
from ._types import StrPath
from .errors import ArgumentError, MismatchError, ShapeError, StateError, error
from .motion import of_card
from .policy import Policy

if TYPE_CHECKING:
    from .card import Card
    from .learner import Learner

F64 = 11
CLAMPS = {"position": 1, "velocity": 2, "effort": 4, "command": 8}


class PreflightWarning(UserWarning):
    """A controller that was told to start although its pre-flight was not met."""


class Controller(Owner):
    """Runs the card's networks on a robot.

    card            an efferent.Card
    models          {name in the card: path of an ONNX file, or a Policy loaded with state={}}
    joints          the robot's joints, in the order of its arrays; the policy's are found by name
    control_period  seconds between two ticks; None: the card's
    units           {signal: unit} of what the robot gives; a needed signal that is missing here is refused. None: all
                    signals come in the card's units
    stale_limit     seconds: the oldest signal that a tick accepts; None: the card's, or any age
    guard           clamps that are on: any of "position", "velocity", "effort", "command"
    roll_limit, pitch_limit, slew_limit, deadline   rad, rad, rad/s, s; 0: the card's, or none
    blend, ramp     seconds from a fallback to the policy, and of the mode "ramp"; None: the defaults of
                    eff_controller_options
    fallback        ladder after a refused tick: [(mode, seconds)] or [(mode, seconds, kp, kd)]; (): the card's, or hold
                    0.05 s, then damp
    motion          {part: array [frames, ...]} of a motion that the card keeps in a file; None: its npz or csv, looked
                    for in the working directory and in the folders of the models and above them
    locked          keeps what a tick reads from being paged out
    preflight       path or array dict of a recording (see efferent.preflight), or a list of them: run through a twin
                    before this controller ticks, besides the recordings that the card names
    on_mismatch     "refuse": a recording that is not met raises MismatchError; "warn": it is a PreflightWarning, and
                    the controller starts; "skip": no recording is run, neither the card's
    learner         a Learner that acts in the place of a network and learns from `reward`; its network's policy is
                    given all the same. Use it elsewhere only between ticks, to save, freeze or export
    learner_model   the network for which it stands; None: the only one
    """

    def __init__(self, card: Card, models: Mapping[str, StrPath | Policy], joints: Sequence[str],
                 control_period: float | None = None, units: Mapping[str, str] | None = None,
                 stale_limit: float | None = None, *, guard: str | Sequence[str] = (), roll_limit: float = 0.0,
                 pitch_limit: float = 0.0, slew_limit: float = 0.0, deadline: float = 0.0, blend: float | None = None,
                 ramp: float | None = None, fallback: Sequence[tuple[Any, ...]] = (), seed: int = 0,
                 motion: Mapping[str, ArrayLike] | None = None, locked: bool = False, preflight: Any = None,
                 on_mismatch: str = "refuse", learner: Learner | None = None,
                 learner_model: str | None = None) -> None:
        if on_mismatch not in ("refuse", "warn", "skip"):
            raise ArgumentError(f"on_mismatch is '{on_mismatch}', expected refuse, warn or skip")
        self.joints = tuple(joints)
        self.guard = (guard,) if isinstance(guard, str) else tuple(guard)
        self.policies = {name: made if isinstance(made, Policy) else Policy(os.fspath(made), state={})
                         for name, made in models.items()}
        options = eff_controller_options()
        lib.eff_controller_options_default(byref(options), ctypes.sizeof(options))
        names = (ctypes.c_char_p * max(1, len(self.joints)))(*[str(j).encode() for j in self.joints])
        options.joints, options.joint_count = names, len(self.joints)
        given = (eff_controller_model
                 * max(1, len(models)))(*[(n.encode(), p._handle.value) for n, p in self.policies.items()])
        options.models, options.model_count = given, len(models)
        if control_period is not None:
            if not control_period > 0:
                raise ArgumentError(f"control_period is {control_period} s, expected a time above 0")
            options.control_period = control_period
        options.stale_limit = stale_limit or 0.0
        options.roll_limit, options.pitch_limit, options.slew_limit, options.deadline = (
            roll_limit,
            pitch_limit,
            slew_limit,
            deadline,
        )
        if blend is not None:
            options.blend_seconds = blend if blend > 0 else -1.0
        options.ramp_seconds = ramp or 0.0
        for word in self.guard:
            if word not in CLAMPS:
                raise ArgumentError(f"guard: '{word}' is not known, expected any of {', '.join(CLAMPS)}")
            options.guard |= CLAMPS[word]
        steps = [(_mode(s[0]), 0, s[1], *(s[2:] or (-1.0, -1.0))) for s in fallback]
        options.fallback, options.fallback_count = (eff_fallback_step * max(1, len(steps)))(*steps), len(steps)
        options.on_mismatch = 2  # EFF_PREFLIGHT_SKIP: recordings are run below, where a warning can be one of Python
        if learner is not None:
            options.learner = learner._handle.value
        options.learner_model = None if learner_model is None else learner_model.encode()
        options.seed, options.locked = int(seed) & (2**64 - 1), int(locked)
        if motion is None:
            motion = of_card(_content(card).get("motion"),
                             [m for m in models.values() if isinstance(m, (str, os.PathLike))])
        kept = {part: np.ascontiguousarray(np.asarray(v, np.float64).reshape(len(v), -1))
                for part, v in (motion or {}).items()}
        tracks = [(p.encode(), v.ctypes.data_as(ctypes.POINTER(c_double)), *v.shape) for p, v in kept.items()]
        options.motion, options.motion_count = (eff_motion_track * max(1, len(tracks)))(*tracks), len(tracks)
        made = c_void_p()
        check(lib.eff_controller_create(card._handle.value, byref(options), byref(made)))
        self._handle = Handle(made.value, lib.eff_controller_destroy, "controller")

        self.card, self._seed, self._motion = card, seed, motion or {}
        self.learner, self._transition, self._update = learner, eff_transition.sized(), eff_update.sized()
        self.control_period = control_period if control_period is not None else _period(card)
        self.signals = tuple(self._signals())
        self._values = {}
        for s in self.signals:
            self._bind(s, units)
        # kinds of targets that the card commands: {name: array in the robot's order}, NaN where a joint is not
        # commanded
        self.targets: dict[str, np.ndarray] = {}
        for what, name in enumerate(TARGETS):
            if lib.eff_controller_commands(self._handle.value, what):
                self.targets[name] = np.full(len(self.joints), np.nan)
                b = eff_target_binding.sized()
                b.what, b.dtype, b.data, b.count = what, F64, self.targets[name].ctypes.data, len(self.joints)
                check(lib.eff_controller_bind_target(self._handle.value, byref(b)))
        check(lib.eff_controller_start(self._handle.value))
        self._report = eff_controller_report.sized()
        self._ticks = 0
        self._order = _model_names(card)
        self._seen: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None = ({}, {})
        self._tensors = tuple(tuple(self._layout(policy)) for policy in ("inputs", "outputs"))
        recordings = [] if preflight is None else preflight if isinstance(preflight, (list, tuple)) else [preflight]
        for recording in [] if on_mismatch == "skip" else [*card.recordings, *recordings]:
            try:
                self.preflight(recording)
            except MismatchError as e:
                if on_mismatch == "refuse":
                    raise
                warnings.warn(str(e), PreflightWarning, stacklevel=2)

    def twin(self, **options: Any) -> Controller:
        """A fresh controller of the same card, networks and joints, without what this robot adds: limits, ladders and
        clamps but those in `options`. No recording is run."""
        return Controller(self.card, self.policies, self.joints, self.control_period, seed=self._seed,
                          motion=self._motion, on_mismatch="skip", **options)

    @property
    def gains(self) -> dict[str, np.ndarray]:
        """{"kp", "kd": array in the robot's order}: the card's gains; 0 where it has none."""
        joints = _content(self.card).get("joints") or {}
        return {k: np.array([(joints.get(j) or {}).get(k) or 0.0 for j in self.joints]) for k in ("kp", "kd")}

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the signals that a tick must be given."""
        return tuple(self._values)

    def _signals(self):
        spec = eff_signal_spec.sized()
        i = 0
        while lib.eff_controller_signal(self._handle.value, i, byref(spec)) == 0:
            yield Signal(spec.name.decode(), spec.unit.decode(), spec.count, bool(spec.is_joint))
            i += 1

    def _bind(self, signal, units):
        if signal.name == "time" and units is None:
            return
        if units is not None and signal.name not in units:
            return
        unit = signal.unit if units is None else units[signal.name]
        values = np.zeros(signal.count)
        b = eff_signal_binding.sized()
        b.name, b.data, b.count, b.dtype = signal.name.encode(), values.ctypes.data, signal.count, F64
        b.unit = str(unit).encode() if unit else None
        check(lib.eff_controller_bind(self._handle.value, byref(b)))
        self._values[signal.name] = values

    def reset(self) -> None:
        """The next tick begins a new episode."""
        check_rt(lib.eff_controller_reset(self._handle.value), "reset")

    def mode(self, mode: str) -> None:
        """Who moves the robot from the next tick on: "run" (the policy), "hold", "ramp", "damp" or "zero"."""
        check_rt(lib.eff_controller_mode(self._handle.value, _mode(mode)), "mode")

    def tick(self, signals: Mapping[str, ArrayLike], now: float | None = None) -> Report:
        """One control period. `signals` is {name: array}; joints come in the robot's order. `stamp` in it is the time
        in seconds at which they were sampled. `now` is the time in seconds; without it tick k is at k control periods.
        Returns a Report; targets, observations and actions are in the attributes of those names. A refused tick raises,
        and `targets` then hold the fallback.
        """
        now = self._ticks * self.control_period if now is None else float(now)
        self._ticks += 1
        take(signals, self._values)
        ns = round(now * 1e9)
        stamp = signals.get("stamp")
        check_rt(lib.eff_controller_stamp(self._handle.value, -1, ns if stamp is None else round(float(stamp) * 1e9)),
                 "stamp")
        status = lib.eff_controller_tick(self._handle.value, ns, byref(self._report))
        r = self._report
        self._seen = ({}, {}) if status < 0 or not r.ran else None
        if status < 0:
            text = ctypes.create_string_buffer(512)
            check(lib.eff_controller_explain(self._handle.value, byref(r), text, len(text)))
            raise error(status, text.value.decode("utf-8", "replace"))
        return self.report

    def reward(self, reward: float, terminated: bool = False, truncated: bool = False, action: ArrayLike | None = None,
               dt: float = 0.0) -> None:
        """What followed the last run of the network for which the learner stands. The next tick that runs it gives the
        learner its observation, learns, and acts; rewards between two runs add up. `terminated` and `truncated` end the
        episode: reset then."""
        t = self._transition
        t.reward, t.terminated, t.truncated, t.dt, t.action = reward, terminated, truncated, dt, None
        if action is not None:
            if self.learner is None:
                raise StateError("reward: the controller has no learner")
            done = np.ascontiguousarray(np.asarray(action, np.float64).reshape(-1))
            if done.size != self.learner._width:
                raise ShapeError(f"action has {done.size} numbers, expected {self.learner._width}")
            t.action = done.ctypes.data
        status = lib.eff_controller_reward(self._handle.value, byref(t))
        if status != -8:  # EFF_E_NUMERIC: the learner drops it and counts it
            check_rt(status, "reward")

    @property
    def learned(self) -> Any:
        """Telemetry of the last update, as Learner.update returns it; None where nothing was learned yet."""
        status = lib.eff_controller_learned(self._handle.value, byref(self._update))
        return None if status == -2 else self._update

    def preflight(self, recording: StrPath | Mapping[str, ArrayLike],
                  tolerance: tuple[float, float] = (1e-4, 1e-4)) -> None:
        """Runs stored raw signals through a twin and raises MismatchError by the name of the first term, action or
        target that is not as recorded. `recording` is the path of an npz or {name: array}, as efferent.preflight says.
        This controller is not ticked."""
        from .preflight import compare

        different = compare(self, recording, tolerance).first
        if different is not None:
            where = f" {recording}:" if isinstance(recording, (str, os.PathLike)) else ""
            raise MismatchError(f"preflight:{where} {different.what}")

    @property
    def observations(self) -> dict[str, np.ndarray]:
        """{"model.tensor": array} of what the networks of the last tick took; empty where none ran."""
        return self._look()[0]

    @property
    def actions(self) -> dict[str, np.ndarray]:
        """{"model.tensor": array} of what the networks of the last tick gave; empty where none ran."""
        return self._look()[1]

    @property
    def report(self) -> Report:
        """The last tick."""
        r = self._report
        return Report(MODES[r.mode], FAULTS[r.fault], bool(r.ran), r.ticks, r.runs, r.late, r.refused, r.clamped,
                      r.age_ns * 1e-9, r.period_ns * 1e-9)

    @property
    def clamps(self) -> np.ndarray:
        """How often the guard has clamped each joint of the robot."""
        return np.array([lib.eff_controller_clamps(self._handle.value, i) for i in range(len(self.joints))])

    def vector(self, name: str) -> np.ndarray:
        """A copy of an observation as the last run saw it."""
        count = c_size_t()
        values = lib.eff_controller_vector(self._handle.value, name.encode(), byref(count))
        if not values:
            raise ArgumentError(f"vector '{name}' does not exist")
        return np.frombuffer(ctypes.string_at(values, 4 * count.value), np.float32).copy()

    def swap(self, model: str, policy: Policy) -> None:
        """Offers other weights for a network; its next run adopts them, with recurrent state kept."""
        session = self._session(model)
        check(lib.eff_session_swap(session, policy._handle.value))
        self.policies[model] = policy

    def prewarm(self, model: str) -> None:
        """Touches what the next run of a network will read, so that a run after a pause finds a warm cache."""
        check_rt(lib.eff_session_prewarm(self._session(model)), "prewarm")

    def reclaim(self, model: str) -> None:
        """Frees what adopted swaps have retired."""
        check(lib.eff_session_reclaim(self._session(model)))

    def __repr__(self):
        return f"Controller({len(self.joints)} joints, {', '.join(self.policies)}, every {self.control_period} s)"

    # ---- inside ----

    def _session(self, model):
        session = lib.eff_controller_session(self._handle.value, model.encode())
        if not session:
            raise ArgumentError(f"model '{model}' does not exist, expected one of {', '.join(self._order)}")
        return session

    def _layout(self, kind):
        """("model.tensor", index of the model, index of the tensor, bytes, type, shape) of all inputs or outputs that
        have memory."""
        for m, model in enumerate(self._order):
            for t in getattr(self.policies[model], kind):
                size = int(np.prod(t.shape, dtype=np.int64)) * t.dtype.itemsize
                if size:
                    yield f"{model}.{t.name}", m, t.index, size, t.dtype, t.shape

    def _look(self):
        """(observations, actions) of the last tick, copied from the controller when somebody asks for them."""
        if self._seen is None:
            handle = self._handle.value
            self._seen = tuple(
                {key: np.frombuffer(ctypes.string_at(address, size), dtype).reshape(shape)
                 for key, m, index, size, dtype, shape in tensors if (address := find(handle, m, index))}
                for tensors, find in zip(self._tensors, (lib.eff_controller_input, lib.eff_controller_output)))
        return self._seen


def _mode(mode):
    if mode not in MODES:
        raise ArgumentError(f"mode is '{mode}', expected one of {', '.join(MODES)}")
    return MODES.index(mode)


def _content(card):
    import json

    return json.loads(card.to_json())


def _period(card):
    content = _content(card)
    return content.get("control_period") or content["policy_period"]


def _model_names(card):
    return [m["name"] for m in _content(card)["models"]]
