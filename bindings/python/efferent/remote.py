"""RemoteLearner and RemoteController: the plant's end of a bridge that serves a learner or a controller. Need no
libefferent on the plant's machine."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._closes import Closes
from ._ladder import Ladder
from ._reports import FAULTS, MODES, TARGETS, Report, Signal, explain, take
from .client import Client
from .errors import MismatchError, StateError, error
from .wire import BridgeError


class Told(NamedTuple):
    """What came of an update."""

    td_error: float
    reason: int  # EFF_LEARNED_...


class RemoteLearner(Closes):
    """A learner behind a bridge, with the `act` and `update` of one that is here.

        with RemoteLearner("tcp://127.0.0.1:5555") as learner:
            efferent.lab.Rollout(env, learner).advance(10_000)

    `client` are the arguments of `efferent.Client`. One round trip per step: an update brings the next action.
    """

    def __init__(self, endpoint: str, **client: Any) -> None:
        self.client = Client(endpoint, aux=True, **client)
        found = [f.name for f in self.client.inputs]
        if found != ["observation", "reward", "terminated", "truncated"]:
            self.client.close()
            raise MismatchError(f"{endpoint}: serves inputs {', '.join(map(repr, found))}, expected a learner's")
        self.observations = self.client.inputs[0].count
        self._action = None
        self._fresh = True

    def _step(self, observation, reward, terminated, truncated, dt=0.0):
        told = self.client.step({
            "observation": np.reshape(observation, (1, -1)), "reward": np.array([[reward]]),
            "terminated": np.array([[terminated]], bool),
            "truncated": np.array([[truncated]], bool)}, step_time=dt)
        self._action = told["action"][0]
        return told

    def act(self, observation: ArrayLike) -> Any:
        """The action to take: an array, or of one number. The observation matters where an episode begins; then it is
        that of the last update."""
        if self._fresh:
            self.client.reset()
            self._step(observation, 0.0, False, False)
            self._fresh = False
        return self._action

    def update(self, observation: ArrayLike, reward: float, terminated: bool = False, truncated: bool = False,
               dt: float = 0.0) -> Any:
        """Tells what followed the last action; returns TD error and reason. `dt`: measured seconds of the step, in
        whole microseconds on the wire; 0: nominal."""
        told = self._step(observation, reward, terminated, truncated, dt)
        self._fresh = bool(terminated or truncated)
        return Told(float(told["td_error"][0, 0]), int(told["reason"][0, 0]))

    def close(self) -> None:
        self.client.close()


class RemoteController(Closes):
    """A controller behind a bridge, with the `tick`, `reset` and `targets` of one that is here.

        with RemoteController("tcp://127.0.0.1:5555", joints, {"joint.position": "rad", ...}) as controller:
            loop = efferent.MujocoLoop(model, controller)
            loop.step()

    joints   the robot's joints, in the order of its arrays; refused where the controller has another order
    units    {signal: unit} of what the robot gives; a needed signal that is missing here is refused by name. Others may
             be there, and are not sent
    learns   the controller has a learner: `reward` tells what followed the last action
    client   the arguments of `efferent.Client`; `timeout` is how long one tick may take

    A tick that is not answered in time raises BridgeTimeout, a refused one as Controller.tick does; `targets` then hold
    the fallback: of the controller's guard, or, where the link is dead, of the same ladder on this side. After a link
    that was dead the targets are blended in. Later ticks try the link again; `connect` begins a new bridge session
    where BridgeLost says that the old one is over.
    """

    def __init__(self, endpoint: str, joints: Sequence[str], units: Mapping[str, str], *, learns: bool = False,
                 **client: Any) -> None:
        self.joints = tuple(str(j) for j in joints)
        expect = dict(client.pop("expect", None) or {})
        inputs = [{"name": name, "unit": str(unit or "")} for name, unit in units.items()]
        own = ["now_ns", "stamp_ns", *(["reward", "terminated", "truncated"] if learns else [])]
        expect["inputs"], expect["joints"] = inputs + [{"name": name} for name in own], list(self.joints)
        self.client = Client(endpoint, aux=True, expect=expect, **client)
        if self.client.welcome.robot is None:
            self.client.close()
            raise MismatchError(f"{endpoint}: serves no controller")
        self.learns, welcome = learns, self.client.welcome
        self._schema = welcome.schema
        self.control_period = 1 / welcome.rate
        self.signals = tuple(Signal(f.name, f.unit, f.count, bool(f.elements)) for f in welcome.inputs
                             if f.name not in own)
        # kinds of targets that the card commands: {name: array in the robot's order}, NaN where a joint is not
        # commanded
        self.targets = {f.name: np.full(f.count, np.nan) for f in welcome.outputs if f.name in TARGETS}
        self.gains = {k: np.nan_to_num(np.array(welcome.robot[k])) for k in ("kp", "kd")}
        self._ladder = Ladder(welcome.robot, self.targets)
        self._values = {f.name: np.zeros((1, f.count), f.type) for f in welcome.inputs}
        self._measured = {s.name: self._values[s.name][0] for s in self.signals}
        self._report, self._ticks, self._outcome = Report("run", "", False, 0, 0, 0, 0, 0, 0.0, 0.0), 0, None

    def connect(self, timeout: float | None = None) -> None:
        """Begins a new bridge session: the policy begins a new episode. Refused where another controller is served."""
        self.client.connect(timeout)
        if self.client.welcome.schema != self._schema:
            self.client.close()
            raise MismatchError(f"{self.client.endpoint}: serves a controller of another layout now")

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the signals that a tick must be given."""
        return tuple(s.name for s in self.signals)

    @property
    def report(self) -> Report:
        """The last tick that was answered; while the link is dead, with the ladder's mode."""
        return self._report

    def reset(self) -> None:
        """The next tick begins a new episode; its clock may begin anew."""
        self.client.reset()
        self._outcome = None

    def reward(self, reward: float, terminated: bool = False, truncated: bool = False) -> None:
        """What followed the last tick, sent with the next one; rewards add up."""
        if not self.learns:
            raise StateError("reward: the controller was opened without learns=True")
        before = self._outcome or (0.0, False, False)
        self._outcome = (before[0] + reward, before[1] or terminated, before[2] or truncated)

    def tick(self, signals: Mapping[str, ArrayLike], now: float | None = None) -> Report:
        """One control period, as Controller.tick; one round trip."""
        now = self._ticks * self.control_period if now is None else float(now)
        self._ticks += 1
        values = self._values
        take(signals, self._measured)
        stamp = signals.get("stamp")
        values["now_ns"][0] = ns = round(now * 1e9)
        values["stamp_ns"][0] = ns if stamp is None else round(float(stamp) * 1e9)
        if self.learns:
            outcome = self._outcome or (0.0, False, False)
            for name, value in zip(("reward", "terminated", "truncated"), outcome):
                values[name][0] = value
        measured = self._measured.get("joint.position")
        try:
            told = self.client.step(values, simulation_time=max(now, 0.0))
        except BridgeError:
            self._report = self._report._replace(mode=self._ladder.fall(ns, measured), ran=False)
            raise
        self._outcome = None
        status, mode, fault, signal, joint, _, _, ran = (int(v) for v in told["report"][0])
        age, period = (float(v) * 1e-9 for v in told["times_ns"][0])
        self._report = Report(MODES[mode], FAULTS[fault], bool(ran), *(int(v) for v in told["counts"][0]), age, period)
        self._ladder.follow({k: told[k][0] for k in self.targets}, MODES[mode], ns, measured)
        if status < 0:
            raise error(status, self._words(fault, signal, joint, *(float(v) for v in told["limits"][0])))
        return self._report

    def close(self) -> None:
        """Says BYE. The robot is the caller's from here on."""
        self.client.close()

    def _words(self, fault, signal, joint, value, limit):
        kind = FAULTS[fault]
        known = self.signals[signal] if kind != "target" and 0 <= signal < len(self.signals) else None
        name = TARGETS[signal] if kind == "target" else known.name if known else "a signal"
        element = ""
        if 0 <= joint < len(self.joints) and (known is None or known.is_joint):
            element = f"joint '{self.joints[joint]}'"
        elif joint >= 0:
            element = f"element {joint}"
        return explain(fault, name, element, value, limit)
