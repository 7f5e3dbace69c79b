"""What a learner learns from: options of its reward pipeline, and sums of rewards within a step."""
from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import byref, c_double, c_size_t
from typing import Any

import numpy as np

from ._library import check_rt, lib
from ._table_learner import eff_reward_options, eff_reward_sum
from .errors import ArgumentError
from .policy import Policy

MODES = {"add": 1, "replace": 2}
RULES = {"trapezoid": 0, "simpson": 1}
_OWN = {"struct_size", "reserved", "bonus_hidden_count", "potential_linear_count"}


def reward_options(given: Mapping[str, Any]) -> tuple[eff_reward_options, list[Any]]:
    """The C form of a pipeline, and the networks that must live until a learner is made of it."""
    made, kept = eff_reward_options(), []
    lib.eff_reward_options_default(byref(made), ctypes.sizeof(made))
    known = {name for name, _ in made._fields_} - _OWN
    for name, value in given.items():
        if name not in known:
            raise ArgumentError(f"there is no reward option '{name}'; they are {', '.join(sorted(known))}")
        if value is None:
            continue
        if name in ("network", "potential"):
            value = value if isinstance(value, Policy) else Policy(value)
            kept.append(value)
            value = value._handle.value
        elif name == "network_mode":
            if value not in MODES:
                raise ArgumentError(f"network_mode is {value!r}, expected 'add' or 'replace'")
            value = MODES[value]
        elif name == "potential_linear":
            numbers = np.asarray(value, np.float64).reshape(-1)
            made.potential_linear_count = numbers.size
            value = (c_double * numbers.size)(*numbers)
        elif name == "bonus_hidden":
            made.bonus_hidden_count = len(value)
            value = (c_size_t * len(value))(*value)
        setattr(made, name, value.encode() if isinstance(value, str) else value)
    return made, kept


class RewardSum:
    """The reward of one step of a policy, from a reward rate that is sampled faster: the integral of
    gamma^(t / nominal_dt) rate(t) over the step, as a transition with `dt` leaves it to the caller.

        rewards = efferent.RewardSum("simpson", gamma=0.99, nominal_dt=0.02)
        rewards.add(rate, time)                    # as often as the plant is sampled; rate: reward per second
        reward, dt = rewards.take()                # when the policy acts again
        learner.update(observation, reward, dt=dt)

    `rule` is "trapezoid" or "simpson" (reward.h says how uneven samples are joined). The last sample of a step is the
    first of the next one. A reward r of a nominal step is a rate of r / nominal_dt. One caller at a time.
    """

    def __init__(self, rule: str = "trapezoid", gamma: float = 0.99, nominal_dt: float = 0.0) -> None:
        if rule not in RULES:
            raise ArgumentError(f"rule is {rule!r}, expected 'trapezoid' or 'simpson'")
        self._given, self._sum = (RULES[rule], gamma, nominal_dt), eff_reward_sum()
        self._reward, self._dt = c_double(), c_double()
        self.begin()

    def begin(self) -> None:
        """Begins an episode: the next sample begins a step."""
        status = lib.eff_reward_sum_begin(byref(self._sum), *self._given)
        check_rt(status, "begin: gamma must be in [0, 1] and nominal_dt not negative")

    def add(self, rate: float, time: float) -> None:
        """Takes a sample of the rate at `time`, in seconds by any clock that goes forward. A rate that is not finite
        makes the reward of its step not finite; the learner refuses and counts it."""
        check_rt(lib.eff_reward_sum_add(byref(self._sum), rate, time),
                 f"add: time is {time}, expected a finite one after the last sample's")

    def take(self) -> tuple[float, float]:
        """Ends the step at the last sample: its reward, and its duration in seconds."""
        check_rt(lib.eff_reward_sum_take(byref(self._sum), byref(self._reward), byref(self._dt)),
                 "take: a step needs two samples")
        return self._reward.value, self._dt.value
