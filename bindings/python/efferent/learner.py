"""Learner: a policy that keeps learning while it acts, one transition at a time."""
from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_size_t, c_void_p
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._library import Handle, Owner, check, check_rt, lib
from ._table_learner import eff_learner_options, eff_learner_tensor, eff_transition, eff_update
from ._types import StrPath
from .errors import ArgumentError, NumericError, ShapeError
from .policy import Policy
from .rewards import reward_options

if TYPE_CHECKING:
    from .session import Session

ALGORITHMS = {"stream-ac": 0, "stream-ac-discrete": 1, "stream-q": 2, "stream-sarsa": 3, "stream-td": 4}
OPTIMIZERS = {"obgd": 0, "adaptive-obgd": 1, "intentional": 2}
# the rule of for_env for actor-critics, chosen by measurement (examples/learning/README.md)
DEFAULT_RULE = "intentional-capped"
# presets, and the options that they do not read
INTENTIONAL, OF_OBGD = ("intentional", DEFAULT_RULE, "adapted-quick"), ("kappa_policy", "kappa_value", "step_size")
ACTIVATIONS = {"leaky_relu": 0, "relu": 1, "tanh": 2, "elu": 3, "swish": 4, "identity": 5}
REASONS = ("learned", "frozen", "bad input", "bad update", "drift", "rolled back", "change")
PARTS = {"actor": 1, "critic": 2, "normalizers": 4}
NUMERIC = -8
CELLS = {"fixed": 0, "learn": 1}
LEARN = {"all": 0, "last": 1, "residual": 2}
CRITICS = {"mean": 0, "quantile": 1, "categorical": 2, "two-hot": 3, "hl-gauss": 4}
RISKS = {"none": 0, "cvar": 1, "spread": 2}
STD_SOURCES = {"auto": 0, "constant": 1, "parameter": 2}
_NAMED = {
    "algorithm": ALGORITHMS, "optimizer": OPTIMIZERS, "activation": ACTIVATIONS, "dtype": {"f32": 1, "f64": 11},
    "learn": LEARN, "cells": CELLS,
    "std_source": STD_SOURCES, "critic_kind": CRITICS, "risk": RISKS,
}
_OWN = {"policy", "critic", "frozen", "frozen_count", "struct_size", "reserved", "observation_count", "action_count",
        "hidden", "hidden_count", "allocator", "arena", "arena_size", "rewards"}


def _code(option, value):
    known = _NAMED[option]
    if value not in known:
        raise ArgumentError(f"{option} is {value!r}, expected one of {', '.join(map(repr, known))}")
    return known[value]


class Learner(Owner):
    """Learns from each transition once, as it happens (stream-x, arXiv 2410.14606).

        learner = efferent.Learner(observations=4, actions=1)
        action = learner.act(observation)
        learner.update(next_observation, reward, terminated, truncated)

    `actions` is the number of dimensions, of choices, or 0 for stream-td. Options are the fields of eff_learner_options
    in learner.h, by their names there (`lambda_` for lambda); those with names are given by name: algorithm, optimizer,
    activation, dtype, learn, cells, std_source, critic_kind, risk. One caller at a time.

        learner = efferent.Learner(observations=4, actions=2, algorithm="stream-q", critic_kind="quantile",
                                   risk="cvar", risk_level=0.1, stock=1)

    chooses by the mean of the worst tenth of returns: the critic gives the distribution of the return ("quantile",
    "categorical"; "two-hot" and "hl-gauss" give its mean by classification), `risk` ("cvar" or "spread") is what is
    climbed, and with a stock it is the CVaR of a whole episode.

    `recurrent_units` gives the networks a memory: units that learn by exact real-time recurrent learning, for what the
    present observation does not show.

    `preset` is a learning rule with all its numbers: "stream-x" (the default), "intentional" or "intentional-capped";
    options beside it win.

    `rewards` is the pipeline that a raw reward passes, as the fields of eff_reward_options in reward.h: a reward
    `network`, shaping by a `potential` or `potential_linear`, a `bonus` for what is new, `clip`. Networks are Policy
    objects, paths or bytes; `network_mode` is "add" or "replace".

        learner = efferent.Learner(2, 4, "stream-q", rewards={"bonus": 0.1, "potential_linear": [0, 1]})

        learner = efferent.Learner(policy="deployed.onnx", critic_warmup_steps=20000)

    goes on from a policy that was trained elsewhere: a Policy that was loaded with learnable=True, a path, or bytes.
    Counts, algorithm and safe defaults are then those of eff_learner_options_adapt(); `hidden` describes the critic;
    `frozen` lists beginnings of the names of parameters that stay as they are; `critic_warmup_steps` is another name
    for actor_delay. A network of Q values goes on with algorithm "stream-q" or "stream-sarsa" (by itself where an
    output is called q), a value network with "stream-td". LSTM and GRU cells learn by SnAp-1; `cells="fixed"` keeps
    them as they are.

        learner = efferent.Learner(policy="deployed.onnx", preset="adapted-quick")

    is for a plant that has changed: larger steps, which are taken back where returns gain nothing. Without it steps are
    so small that little can be lost. Where episodes do not end it needs `return_window`.

        learner = efferent.Learner(policy="deployed.onnx", critic="critic.onnx")

    has a critic that was trained elsewhere too, so that no warm-up is needed. `value` names its tensor, without critic
    one of the policy's own file; `features` names a tensor on which a fresh linear critic learns.
    """

    def __init__(self, observations: int | None = 0, actions: int | None = 0, algorithm: str | None = None,
                 hidden: Sequence[int] | None = None, *, preset: str | None = None,
                 policy: Policy | StrPath | bytes | None = None,
                 critic: Policy | StrPath | bytes | None = None, value: str | None = None,
                 features: str | None = None, frozen: Sequence[str] = (),
                 rewards: Mapping[str, Any] | None = None, **options: Any) -> None:
        made = eff_learner_options()
        if critic is not None:
            critic = critic if isinstance(critic, Policy) else Policy(critic, learnable=True)
        if policy is None:
            lib.eff_learner_options_default(byref(made), ctypes.sizeof(made))
            made.algorithm = _code("algorithm", algorithm or "stream-ac")
        else:
            policy = policy if isinstance(policy, Policy) else Policy(policy, learnable=True)
            check(lib.eff_learner_options_adapt(byref(made), ctypes.sizeof(made), policy._handle.value))
            made.algorithm = made.algorithm if algorithm is None else _code("algorithm", algorithm)
            if frozen:
                made.frozen, made.frozen_count = (c_char_p
                                                  * len(frozen))(*(name.encode() for name in frozen)), len(frozen)
        made.critic = critic._handle.value if critic is not None else None
        for name, tensor in (("value", value), ("features", features)):
            if tensor is not None:
                setattr(made, name, tensor.encode())
        if policy is not None or critic is not None and preset is None:
            check(lib.eff_learner_options_preset(byref(made), b"adapted"))
        if preset is not None:
            foreign = [name for name in OF_OBGD if name in options]
            if foreign and preset in INTENTIONAL and "optimizer" not in options:
                raise ArgumentError(f"option '{foreign[0]}' is of stream-x, but this learner would learn by {preset}: "
                                    f"give preset=\"stream-x\" beside it, or optimizer=\"obgd\" where a policy is "
                                    f"loaded")
            check(lib.eff_learner_options_preset(byref(made), str(preset).encode()))
        made.observation_count, made.action_count = observations, actions
        if hidden is not None:
            made.hidden, made.hidden_count = (c_size_t * len(hidden))(*hidden), len(hidden)
        known = {name for name, _ in made._fields_} - _OWN
        for name, value in options.items():
            field = "actor_delay" if name == "critic_warmup_steps" else name.rstrip("_")
            if field not in known:
                raise ArgumentError(f"there is no option '{name}'; the options are {', '.join(sorted(known))}")
            value = _code(field, value) if field in _NAMED else value
            setattr(made, field, value.encode() if isinstance(value, str) else value)
        if rewards is not None:
            pipeline, networks = reward_options(rewards)
            made.rewards = ctypes.pointer(pipeline)
        pointer = c_void_p()
        check(lib.eff_learner_create(byref(made), byref(pointer)))
        self._handle = Handle(pointer.value, lib.eff_learner_destroy, "learner", kept=made)
        algorithm = next(name for name, code in ALGORITHMS.items() if code == made.algorithm)
        sizes = c_size_t(), c_size_t()
        check(lib.eff_learner_sizes(self._handle.value, *map(byref, sizes)))
        self.observations, self.algorithm, self.gamma = sizes[0].value, algorithm, made.gamma
        self.discrete = algorithm in ("stream-ac-discrete", "stream-q", "stream-sarsa")
        self._width, self._critic_size = sizes[1].value, made.critic_size
        self._action = np.zeros(self._width)
        self._given = np.zeros(self._width)
        self._seen, self._next = np.zeros(self.observations), np.zeros(self.observations)
        self._transition, self._update = eff_transition.sized(), eff_update.sized()
        self._transition.observation = self._next.ctypes.data
        self._addresses = (self._seen.ctypes.data, self._action.ctypes.data)

    @classmethod
    def for_env(cls, env: Any, algorithm: str | None = None, *, preset: str | None = None, **options: Any) -> Learner:
        """A learner for a Gymnasium environment with a box of observations.

        Left out, the algorithm is stream-ac or stream-ac-discrete, as the actions are. Without preset, optimizer or
        policy these two learn by "intentional-capped", the others by "stream-x".
        """
        discrete = hasattr(env.action_space, "n")
        size = math.prod(env.observation_space.shape)
        actions = int(env.action_space.n) if discrete else math.prod(env.action_space.shape)
        algorithm = algorithm or ("stream-ac-discrete" if discrete else "stream-ac")
        is_ruled = preset is not None or "optimizer" in options or options.get("policy") is not None
        if algorithm in ("stream-ac", "stream-ac-discrete") and not is_ruled:
            preset = DEFAULT_RULE
        return cls(size, actions, algorithm, preset=preset, **options)

    def _fill(self, buffer, values, what):
        if type(values) is not np.ndarray or values.shape != buffer.shape:
            values = np.asarray(values, np.float64).reshape(-1)
        if values.shape != buffer.shape:
            raise ShapeError(f"{what} has {values.size} numbers, expected {buffer.size}")
        buffer[:] = values

    def _out(self):
        return int(self._action[0]) if self.discrete else self._action.copy()

    def act(self, observation: ArrayLike) -> Any:
        """The action to take: an array (stream-ac), an index, or the predicted return (stream-td).

        Where the observation is not finite this is the last action again."""
        self._fill(self._seen, observation, "observation")
        status = lib.eff_learner_act(self._handle.value, *self._addresses)
        if status != NUMERIC:
            check_rt(status, "act")
        return self._out()

    def infer(self, observation: ArrayLike) -> Any:
        """The action without exploration; nothing is learned or counted."""
        self._fill(self._seen, observation, "observation")
        check_rt(lib.eff_learner_infer(self._handle.value, *self._addresses), "infer")
        return self._out()

    def returns(self, observation: ArrayLike, choice: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(values, probabilities) of the return from an observation on, in scaled rewards and ascending: what a critic
        of quantiles or a categorical one gives, for `choice` of stream-q and stream-sarsa. Nothing is learned."""
        self._fill(self._seen, observation, "observation")
        size = self._critic_size
        values, probabilities = np.empty(size), np.empty(size)
        status = lib.eff_learner_returns(self._handle.value, self._addresses[0], choice, values.ctypes.data,
                                         probabilities.ctypes.data, size)
        check_rt(status, "returns: the critic gives no distribution, or there is no such choice")
        return values, probabilities

    def update(self, observation: ArrayLike, reward: float, terminated: bool = False, truncated: bool = False,
               action: Any = None, next_action: Any = None, dt: float = 0.0) -> Any:
        """Learns from what followed the last `act`: the observation that the step led to, also where the episode ends.

        Returns telemetry, valid until the next call: `td_error`, `value`, `reason` and so on. `action` is what was
        really done, where it differs.
        """
        t = self._transition
        self._fill(self._next, observation, "observation")
        t.reward, t.terminated, t.truncated, t.dt = reward, bool(terminated), bool(truncated), dt
        t.action = t.next_action = None
        if action is not None:
            self._fill(self._given, action, "action")
            t.action = self._given.ctypes.data
        if next_action is not None:
            following = np.array([next_action], np.float64)
            t.next_action = following.ctypes.data
        status = lib.eff_learner_update(self._handle.value, byref(t), byref(self._update))
        if status != NUMERIC:
            check_rt(status, "update")
        return self._update

    @property
    def reason(self) -> str:
        """Why the last update did what it did, in words."""
        return REASONS[self._update.reason]

    def freeze(self, *parts: Any) -> None:
        """Keeps "actor", "critic" or "normalizers" from learning; without arguments everything learns again."""
        unknown = [p for p in parts if p not in PARTS]
        if unknown:
            raise ArgumentError(f"there is no part {unknown[0]!r}; the parts are {', '.join(map(repr, PARTS))}")
        check_rt(lib.eff_learner_freeze(self._handle.value, sum(PARTS[p] for p in set(parts))), "freeze")

    def snapshot(self) -> Any:
        """Keeps the present weights in the ring of snapshots."""
        check_rt(lib.eff_learner_snapshot(self._handle.value), "snapshot: the option snapshots is 0")

    def roll_back(self) -> Any:
        """Returns to the best snapshot."""
        check_rt(lib.eff_learner_roll_back(self._handle.value), "roll_back: there is no snapshot")

    def mark(self) -> Any:
        """Takes the actor as it is for the shipped one: drift, change and their budgets begin anew."""
        check_rt(lib.eff_learner_mark(self._handle.value), "mark")

    # ---- checkpoints ----

    def save(self, path: StrPath | None) -> Any:
        """Writes everything to a file, which is replaced as a whole."""
        check(lib.eff_learner_save_file(self._handle.value, str(path).encode()))

    def restore(self, path: StrPath) -> None:
        """Continues bit for bit where the learner that wrote the file was."""
        check(lib.eff_learner_restore_file(self._handle.value, str(path).encode()))

    def __bytes__(self):
        size = c_size_t()
        check(lib.eff_learner_save(self._handle.value, None, 0, byref(size)))
        block = ctypes.create_string_buffer(size.value)
        check(lib.eff_learner_save(self._handle.value, block, size.value, byref(size)))
        return block.raw

    def restore_bytes(self, blob: bytes) -> None:
        """The same from what `bytes(learner)` gave."""
        check(lib.eff_learner_restore(self._handle.value, bytes(blob), len(blob)))

    # ---- the policy that was learned ----

    def policy(self) -> Policy:
        """The policy that acts, without exploration and as it is now: a Policy of its own."""
        made = c_void_p()
        check(lib.eff_learner_policy(self._handle.value, byref(made)))
        return Policy._of(made)

    def export(self, path: StrPath) -> Any:
        """Writes the policy as an ONNX file: of a loaded policy its own file with what was learned in it, otherwise a
        new one."""
        check(lib.eff_learner_export_file(self._handle.value, os.fsencode(path)))

    def publisher(self, session: Session) -> Publisher:
        """A Publisher that gives a session of this learner's policy what was learned, again and again."""
        return Publisher(self, session)

    # ---- arrays ----

    @property
    def shapes(self) -> Any:
        """{name: shape} of every array that can be read and written."""
        found, one = {}, eff_learner_tensor.sized()
        while lib.eff_learner_describe(self._handle.value, len(found), byref(one)) == 0:
            found[one.name.decode()] = tuple(one.shape[: one.rank])
        return found

    def __getitem__(self, name):
        shape = self._shape(name)
        values = np.empty(shape)
        check(lib.eff_learner_read(self._handle.value, name.encode(), values.ctypes.data, values.size))
        return values

    def __setitem__(self, name, values):
        values = np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.float64), self._shape(name)))
        if not np.isfinite(values).all():
            raise NumericError(f"{name}: a value is not finite")
        check(lib.eff_learner_write(self._handle.value, name.encode(), values.ctypes.data, values.size))

    def _shape(self, name):
        if not hasattr(self, "_shapes"):
            self._shapes = self.shapes
        if name not in self._shapes:
            raise ArgumentError(f"there is no array '{name}'; the arrays are {', '.join(self._shapes)}")
        return self._shapes[name]


class Publisher:
    """Gives a session that another thread may step what a learner has learned; made by Learner.publisher."""

    def __init__(self, learner: Learner, session: Session) -> None:
        made = c_void_p()
        check(lib.eff_publisher_create(learner._handle.value, session._handle.value, byref(made)))
        self._handle = Handle(made.value, lib.eff_publisher_destroy, "publisher", kept=session, after=learner._handle)

    def publish(self) -> Any:
        """Offers the policy as it is now; the session takes it at its next step."""
        check_rt(lib.eff_publisher_publish(self._handle.value), "publish")

    def close(self) -> None:
        """Ends publishing; the session keeps what it has."""
        self._handle.close()
