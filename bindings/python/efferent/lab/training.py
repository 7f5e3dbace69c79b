"""Learning in a Gymnasium environment: the loop, checkpoints that a run continues from, and evaluation.

    env = efferent.lab.make("HalfCheetah-v5")
    rollout = efferent.lab.Rollout(env, efferent.Learner.for_env(env), seed=0)
    rollout.advance(10_000)
    print(rollout.episodes[-1].total)
"""
from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._types import StrPath
from ..errors import UnsupportedError
from ..learner import Learner

# a learner's choice as the environment takes it
Apply = Callable[[Any], Any]


class Episode(NamedTuple):
    """One finished episode."""

    step: int      # at which it ended
    total: float   # undiscounted return
    length: int
    terminated: bool


class Block(NamedTuple):
    """What happened in a block of steps."""

    step: int            # at its end
    mean_return: float | None  # of the episodes that ended in it; None where none did
    episodes: int
    td_error: float      # mean magnitude
    exploration: float   # at its end: mean standard deviation, or epsilon
    rollbacks: int       # since the beginning, like the next
    bad_updates: int
    drift: float         # of the actor, or of the critic where there is no actor


def make(name: str, **kwargs: Any) -> Any:
    """The environment of a name, its observations flattened to one box where they are something else."""
    import gymnasium

    env = gymnasium.make(name, disable_env_checker=True, **kwargs)
    space = env.observation_space
    return (
        env
        if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1
        else gymnasium.wrappers.FlattenObservation(env)
    )


class Learns(Protocol):
    """What a rollout needs of a learner: one here, or the far end of a bridge."""

    def act(self, observation: ArrayLike) -> Any: ...

    def update(self, observation: ArrayLike, reward: float, terminated: bool, truncated: bool) -> Any: ...


def _applied(space: Any) -> Apply:
    """Function from what a learner chose to what the environment takes: clipped to its bounds and shaped, or counted
    from its first choice."""
    if hasattr(space, "n"):
        first = int(space.start)
        return lambda action: first + (action if type(action) is int else int(action[0]))
    if not hasattr(space, "low"):
        raise UnsupportedError(f"the environment's actions are {space}, expected a Box or Discrete")
    low, high, shape, dtype = space.low.reshape(-1), space.high.reshape(-1), space.shape, space.dtype
    if np.issubdtype(dtype, np.integer):
        return lambda action: np.rint(np.clip(action, low, high)).astype(dtype).reshape(shape)

    def apply(action: NDArray[np.float64]) -> Any:
        action = np.minimum(action, high)
        return np.maximum(action, low, out=action).reshape(shape)

    return apply


class Rollout:
    """A learner in an environment, any number of steps at a time. Episode i of seed s always resets alike, so that a
    run can be continued.

    `learner` is anything with `act(observation)` and `update(observation, reward, terminated, truncated)`.
    `on_step(telemetry)` sees what every update tells.
    """

    def __init__(self, env: Any, learner: Learns, seed: int = 0, on_step: Callable[[Any], None] | None = None) -> None:
        self.env, self.learner, self.seed, self.on_step = env, learner, seed, on_step
        self.apply = _applied(env.action_space)
        self.step = 0
        self.episodes: list[Episode] = []
        self.telemetry: Any = None         # of the last update
        self.td_error = 0.0                # sum of magnitudes since the caller cleared it
        self.began: int | None = None      # index of the episode that runs
        self._total, self._length = 0.0, 0

    @property
    def between_episodes(self) -> bool:
        return self._length == 0

    def _reset(self) -> None:
        self.began = len(self.episodes) if self.began is None else self.began + 1
        self._observation, _ = self.env.reset(seed=(self.seed * 1_000_003 + self.began) % 2**31)

    def advance(self, steps: int, until_episode_ends: bool = False) -> None:
        """So many steps, at least 1, or fewer where an episode ends and that is asked for."""
        if steps < 1:
            raise ValueError(f"steps is {steps}, expected at least 1")
        if self.began is None:
            self._reset()
        env, learner, apply, on_step = self.env.step, self.learner, self.apply, self.on_step
        act, update, observation, total, errors = learner.act, learner.update, self._observation, self._total, 0.0
        for _ in range(steps):
            observation, reward, terminated, truncated, _ = env(apply(act(observation)))
            telemetry = update(observation, reward, terminated, truncated)
            errors += abs(telemetry.td_error)
            total += reward
            self._length += 1
            self.step += 1
            if on_step is not None:
                on_step(telemetry)
            if terminated or truncated:
                self.episodes.append(Episode(self.step, float(total), self._length, bool(terminated)))
                total, self._length = 0.0, 0
                self._reset()
                observation = self._observation
                if until_episode_ends:
                    break
        self._observation, self._total, self.telemetry = observation, total, telemetry
        self.td_error += errors


def evaluate(env: Any, learner: Learner, episodes: int, seed: int = 10_000) -> list[float]:
    """Undiscounted returns of whole episodes without exploration; episode i resets with `seed + i`. The learner is as
    before afterwards."""
    before, apply = bytes(learner), _applied(env.action_space)
    totals: list[float] = []
    learner.freeze("actor", "critic", "normalizers")
    try:
        for i in range(episodes):
            observation, _ = env.reset(seed=seed + i)
            total, ended = 0.0, False
            while not ended:
                learner.act(observation)  # begins the episode; a time input goes on with update
                action = learner.infer(observation)
                observation, reward, terminated, truncated, _ = env.step(apply(action))
                ended = terminated or truncated
                learner.update(observation, reward, terminated, truncated, action=action)
                total += reward
            totals.append(float(total))
    finally:
        learner.restore_bytes(before)
    return totals


@dataclass
class Settings:
    """What a learning run is made of; equal settings give equal runs."""

    env: str
    algorithm: str = "stream-ac"
    steps: int = 100_000
    block: int = 10_000
    options: dict[str, Any] = field(default_factory=dict)      # of the learner
    env_options: dict[str, Any] = field(default_factory=dict)  # of gymnasium.make
    evaluate: int = 10                                         # episodes after learning
    preset: str | None = None                                  # of the learner; None: its default

    def learner(self, env: Any, seed: int) -> Learner:
        """A fresh learner. The networks see the time in the episode where the environment has a limit and the options
        do not say otherwise."""
        algorithm = (
            "stream-ac-discrete" if self.algorithm == "stream-ac" and hasattr(env.action_space, "n") else self.algorithm
        )
        options = dict(self.options)
        if env.spec is not None and env.spec.max_episode_steps:
            options.setdefault("time_limit", env.spec.max_episode_steps)
        if algorithm in ("stream-q", "stream-sarsa"):
            options.setdefault("epsilon_steps", self.steps / 20)
        return Learner.for_env(env, algorithm, preset=self.preset, seed=seed, **options)


@dataclass
class Run:
    """What became of one seed."""

    seed: int
    steps: int = 0                                         # as last saved
    blocks: list[Block] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    evaluation: list[float] = field(default_factory=list)  # returns without exploration
    pending: float = 0.0                                   # magnitudes of TD errors since the last block
    seconds: float = 0.0
    finished: bool = False

    def returns(self, first: int, last: int) -> list[float]:
        """Returns of the episodes that ended after step `first` and not after `last`."""
        return [e.total for e in self.episodes if first < e.step <= last]

    @classmethod
    def load(cls, path: StrPath) -> Run:
        made = cls(**json.loads(Path(path).read_text()))
        made.blocks, made.episodes = [Block(*b) for b in made.blocks], [Episode(*e) for e in made.episodes]
        return made

    def save(self, path: StrPath) -> None:
        """Replaces the file as a whole."""
        beside = Path(f"{path}.tmp")
        beside.write_text(json.dumps(asdict(self)))
        os.replace(beside, path)


def train(settings: Settings, seed: int, folder: StrPath | None = None, checkpoint_every: int = 50_000,
          resume: bool = False, report: Callable[[Rollout, Run], None] | None = None, slice_steps: int = 1000) -> Run:
    """Learns with one seed and returns the `Run`.

    With a folder, `seed-N.json` says how far the run has come and `seed-N-STEP.ckpt` beside it is the learner at that
    step; both are written at the first end of an episode after every `checkpoint_every` steps, and with `resume` the
    run goes on from there as if it had not been interrupted. `report(rollout, run)` is called after every
    `slice_steps`.
    """
    env = make(settings.env, **settings.env_options)
    learner = settings.learner(env, seed)
    rollout, run = Rollout(env, learner, seed), Run(seed)
    state = Path(folder) / f"seed-{seed}.json" if folder is not None else None
    pending = 0.0  # magnitudes of TD errors in the block so far
    if resume and folder is not None and state is not None and state.exists():
        run = Run.load(state)
        if run.finished:
            return run
        learner.restore(_checkpoint(folder, seed, run.steps))
        rollout.step, rollout.episodes, pending = run.steps, list(run.episodes), run.pending
    began, saved = time.perf_counter() - run.seconds, run.steps

    def save(folder: StrPath, state: Path) -> None:
        nonlocal saved
        run.steps, run.episodes, run.pending, run.seconds = (
            rollout.step,
            rollout.episodes,
            pending,
            time.perf_counter() - began,
        )
        learner.save(_checkpoint(folder, seed, run.steps))
        run.save(state)
        if saved and saved != run.steps:
            _checkpoint(folder, seed, saved).unlink(missing_ok=True)
        saved = run.steps

    while rollout.step < settings.steps:
        due = state is not None and rollout.step - saved >= checkpoint_every
        edge = (rollout.step // settings.block + 1) * settings.block
        rollout.advance(min(slice_steps, edge - rollout.step, settings.steps - rollout.step), until_episode_ends=due)
        pending, rollout.td_error = pending + rollout.td_error, 0.0
        if rollout.step % settings.block == 0:
            run.blocks.append(_block(rollout, settings.block, pending))
            pending = 0.0
        if due and rollout.between_episodes and folder is not None and state is not None:
            save(folder, state)
        if report is not None:
            run.seconds = time.perf_counter() - began
            report(rollout, run)
    run.steps, run.episodes = rollout.step, rollout.episodes
    run.evaluation = evaluate(env, learner, settings.evaluate) if settings.evaluate else []
    run.finished = True
    if folder is not None and state is not None:
        save(folder, state)
    run.seconds = time.perf_counter() - began
    env.close()
    return run


def _checkpoint(folder: StrPath, seed: int, step: int) -> Path:
    return Path(folder) / f"seed-{seed}-{step}.ckpt"


def _block(rollout: Rollout, size: int, td_errors: float) -> Block:
    telemetry = rollout.telemetry
    ended = [e.total for e in rollout.episodes if e.step > rollout.step - size]
    drift = telemetry.actor.drift or telemetry.critic.drift
    return Block(rollout.step, float(np.mean(ended)) if ended else None, len(ended), td_errors / size,
                 telemetry.exploration, telemetry.rollbacks, telemetry.bad_updates, drift)
