"""Serves a Gymnasium environment to a policy behind a bridge. Needs no libefferent on the simulator's machine.

    with Plant(gymnasium.make("HalfCheetah-v5"), "tcp://127.0.0.1:5555") as plant:
        result = plant.run(episodes=5, seed=1000)
    print(result.mean_return, result.latency_percentiles)
"""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ._closes import Closes
from ._rows import rows_of
from ._spaces import actor, observer
from .client import Client
from .errors import ArgumentError, MismatchError
from .wire import BridgeError, BridgeLost, BridgeTimeout


# frames that may be too old one after the other before a run gives up: the ttl is below the round trip then
EXPIRED_LIMIT = 20


class Episode(NamedTuple):
    """One finished episode."""

    index: int          # in the order of ending
    row: int
    total: float        # undiscounted return
    length: int
    terminated: bool
    truncated: bool


class Step(NamedTuple):
    """One step of all rows, as `on_step` sees it."""

    index: int
    observation: dict   # {input name: [rows, ...]} as sent
    action: np.ndarray  # of the policy, [rows, ...]
    applied: np.ndarray  # what the environment got
    reward: np.ndarray  # [rows]
    terminated: np.ndarray
    truncated: np.ndarray
    latency: float      # seconds from the observation being sent to the action being here


class Recording(NamedTuple):
    """Every step of a run. Feeding the observations to a session that is reset where `starts` says so gives the actions
    bit for bit."""

    observations: dict    # {input name: [steps, rows, ...]} as sent
    actions: np.ndarray   # [steps, rows, ...] as received
    starts: np.ndarray    # [steps, rows]: recurrent state was cleared before this step
    counted: np.ndarray   # [steps, rows]: the step belongs to an episode (a vector's resetting steps do not)


@dataclass
class Result:
    """What a run gave."""

    episodes: list = field(default_factory=list)
    latency: np.ndarray = None   # seconds per step, round trip
    seconds: float = 0.0         # wall time of the loop
    steps: int = 0               # of all rows together
    reconnects: int = 0
    expired: int = 0             # frames that were too old when they were looked at, and went again
    recording: Recording = None

    @property
    def returns(self) -> np.ndarray:
        return np.array([e.total for e in self.episodes])

    @property
    def lengths(self) -> np.ndarray:
        return np.array([e.length for e in self.episodes])

    @property
    def mean_return(self) -> float:
        return float(self.returns.mean()) if self.episodes else float("nan")

    @property
    def rate(self) -> float:
        """Steps of all rows per second of wall time."""
        return self.steps / self.seconds if self.seconds else 0.0

    @property
    def latency_percentiles(self) -> Any:
        """(p50, p99, max) of the round trip in seconds."""
        return (
            tuple(float(v) for v in np.percentile(self.latency, (50, 99, 100)))
            if self.latency.size
            else (0.0, 0.0, 0.0)
        )


class Plant(Closes):
    """A Gymnasium environment, single or vectorized, stepped by the policy at `endpoint`.

    Observations are matched with the policy's inputs: the only one, or a dict's by name; they are flattened or one-hot
    encoded where that is the only way to fit, and cast. `constants` are inputs that the environment does not have.
    `observe(observation) -> {name: array}` and `act(action) -> action` replace the matching; both see batches, `[rows,
    ...]`. `output` names the action where there are several. Actions are clipped to the environment's bounds on their
    way to it, unless `clip` is false. `server_key` and `key` are those of `Client`, for a policy on another machine.
    `timeout` is how long one step may take; `connect_timeout` how long to wait for the policy; with `reconnect`
    seconds, a run survives the loss of the policy by connecting again and repeating the episodes it was in.
    """

    def __init__(self, env: Any, endpoint: str, timeout: float = 2.0, *, connect_timeout: float = 10.0,
                 reconnect: Any = 0.0, constants: Any = None, observe: Any = None, act: Any = None, output: Any = None,
                 clip: Any = True, ttl: Any = 0.0, expect: Any = None, context: Any = None,
                 server_key: str | None = None, key: Any = None) -> None:
        self.env, self.reconnect, self.ttl = env, reconnect, ttl
        self._rows = rows_of(env)
        self.rows = self._rows.rows
        self._told = {"constants": constants or {}, "observe": observe, "act": act, "output": output, "clip": clip}
        self.client = Client(
            endpoint,
            self.rows,
            timeout=timeout,
            connect_timeout=connect_timeout,
            expect=expect,
            context=context,
            server_key=server_key,
            key=key,
        )
        try:
            self._match()
        except BaseException:
            self.client.close()
            raise

    def _match(self):
        """Makes the functions from observation to inputs and from output to action; a mismatch names the field."""
        told, client = self._told, self.client
        constants = {}
        for name, value in told["constants"].items():
            found = [f for f in client.inputs if f.name == name]
            if not found:
                raise MismatchError(
                    f"constant '{name}': no such input, expected {', '.join(repr(f.name) for f in client.inputs)}"
                )
            constants[name] = np.broadcast_to(np.asarray(value, found[0].type), (self.rows, *found[0].shape))
        actions = [
            f for f in client.outputs if f.name == told["output"] or told["output"] is None and f.role == "action"
        ]
        if len(actions) != 1:
            raise MismatchError(
                f"output '{told['output'] or 'action'}': found {len(actions)}, expected one of "
                f"{', '.join(repr(f.name) for f in client.outputs)}"
            )
        self.output = actions[0].name
        self._observe = told["observe"] or observer(self._rows.observation_space, client.inputs, constants)
        self._act = told["act"] or actor(self._rows.action_space, actions[0], told["clip"])

    def run(self, episodes: int = 5, *, seed: int | None = None, on_step: Any = None, on_episode: Any = None,
            record: Any = False) -> Result:
        """Runs until `episodes` have ended, and returns a `Result`.

        One environment resets with seed + i for episode i; a vector with `seed` once, and each row contributes its
        share of the episodes, so that short ones are not preferred. `on_step(Step)` and `on_episode(Episode)` are
        called as they happen; returning False from either ends the run.
        """
        if episodes < 1:
            raise ArgumentError(f"episodes is {episodes}, expected at least 1")
        return _Run(self, episodes, seed, on_step, on_episode, record).result

    def close(self) -> None:
        """Says BYE. The environment stays open: it is the caller's."""
        self.client.close()


class _Run:
    """The loop of one `Plant.run`."""

    def __init__(self, plant, episodes, seed, on_step, on_episode, record):
        self.plant, self.rows, self.client = plant, plant._rows, plant.client
        self.seed, self.on_step, self.on_episode = seed, on_step, on_episode
        n = self.rows.rows
        self.quota = np.array([episodes // n + (i < episodes % n) for i in range(n)])
        self.result, self.latency, self.log = Result(), [], [] if record else None
        self.going = True
        self.expired_in_turn = 0
        began = time.perf_counter()
        self._restart()
        while self.going and self.quota.any():
            try:
                self._step()
            except (BridgeTimeout, BridgeLost):
                if plant.reconnect <= 0:
                    raise
                self._reconnect()
        self.result.seconds = time.perf_counter() - began
        self.result.latency = np.array(self.latency)
        if record:
            self.result.recording = self._recording()

    def _seed(self):
        """The seed of the next episode of a single environment, of all rows of a vector."""
        if self.seed is None:
            return None
        return self.seed + (len(self.result.episodes) if self.rows.rows == 1 else 0)

    def _restart(self):
        """Begins an episode in every row."""
        self.observation = self.rows.reset(self._seed())
        n = self.rows.rows
        self.total, self.length, self.starts = np.zeros(n), np.zeros(n, int), np.ones(n, bool)
        self.client.reset()

    def _reconnect(self):
        deadline = time.monotonic() + self.plant.reconnect
        while True:
            try:
                self.client.connect(max(deadline - time.monotonic(), 0.001))
                self.plant._match()
                self._restart()
                self.result.reconnects += 1
                return
            except (BridgeTimeout, BridgeLost):
                if time.monotonic() >= deadline:
                    raise

    def _step(self):
        plant, result = self.plant, self.result
        inputs = plant._observe(self.observation)
        simulated = result.steps / self.rows.rows * self.rows.period
        began = time.perf_counter()
        try:
            action = self.client.step(inputs, simulation_time=simulated, ttl=plant.ttl)[plant.output]
        except BridgeError as e:
            # too old when it was looked at: nothing ran, so the same observation goes again
            if e.reason != "expired" or self.expired_in_turn >= EXPIRED_LIMIT:
                raise
            self.expired_in_turn += 1
            result.expired += 1
            return
        self.expired_in_turn = 0
        latency = time.perf_counter() - began
        applied = plant._act(action)
        moved = self.rows.step(applied)

        self.latency.append(latency)
        result.steps += self.rows.rows
        if self.log is not None:
            self.log.append(({k: np.array(v) for k, v in inputs.items()}, action, self.starts, moved.counted))
        self.total[moved.counted] += moved.reward[moved.counted]
        self.length += moved.counted
        if self.on_step is not None:
            self.going &= (
                self.on_step(
                    Step(
                        len(self.latency) - 1,
                        inputs,
                        action,
                        applied,
                        moved.reward,
                        moved.terminated,
                        moved.truncated,
                        latency,
                    )
                )
                is not False
            )
        ended = (moved.terminated | moved.truncated) & moved.counted
        for row in np.flatnonzero(ended):
            self._finish(int(row), moved)
        self.observation = moved.observation
        self.starts = moved.fresh
        if self.going and self.quota.any():
            if self.rows.caller_resets and ended.any():
                self.observation = self.rows.again(ended, self._seed())
                self.starts = ended
            if self.starts.any():
                self.client.reset(None if self.starts.all() else self.starts)

    def _finish(self, row, moved):
        """Counts the episode that ended in a row, if that row still has some to give."""
        if self.quota[row] > 0 and self.going:
            self.quota[row] -= 1
            episode = Episode(
                len(self.result.episodes),
                row,
                float(self.total[row]),
                int(self.length[row]),
                bool(moved.terminated[row]),
                bool(moved.truncated[row]),
            )
            self.result.episodes.append(episode)
            if self.on_episode is not None:
                self.going &= self.on_episode(episode) is not False
        self.total[row], self.length[row] = 0.0, 0

    def _recording(self):
        inputs, actions, starts, counted = zip(*self.log) if self.log else ((), (), (), ())
        names = inputs[0] if inputs else ()
        return Recording(
            {name: np.stack([i[name] for i in inputs]) for name in names},
            *(np.stack(v) if v else np.empty(0) for v in (actions, starts, counted)),
        )
