"""A policy before and after learning is switched on: what it earns, and how good its critic is.

    report = efferent.lab.switch_report("policy.safetensors", "HalfCheetah-v5", critic="policy.critic.safetensors")
    print(*report.lines(), sep="\\n")
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import StrPath
from ..learner import Learner
from .training import Rollout, _applied, make


@dataclass(frozen=True)
class Look:
    """Episodes without exploration and without learning, from the same starts each time."""

    returns: list[float]
    error: float        # mean of V(s) less the discounted return that followed, which is what a critic predicts
    spread: float       # root mean square of the same
    correlation: float  # of the two; nan where either is constant
    states: NDArray[np.float64]   # [visited, observations]
    actions: NDArray[np.float64]  # [visited, actions]

    def line(self, name: str) -> str:
        mean = np.mean(self.returns)
        return (f"{name}: return {mean:.1f} ({min(self.returns):.1f} to {max(self.returns):.1f}, {len(self.returns)} "
                f"episodes); critic: V(s) - discounted return {self.error:+.3g} in the mean, {self.spread:.3g} root "
                f"mean square, correlation {self.correlation:.2f}")


@dataclass(frozen=True)
class SwitchReport:
    before: Look
    after: Look
    steps: int
    learning: list[float]  # returns of the episodes in which it learned, exploration included
    moved: float           # mean |action after - action before| on the states of before

    def lines(self) -> list[str]:
        least = f"{min(self.learning):.1f} to {max(self.learning):.1f}" if self.learning else "no episode ended"
        return [self.before.line("before"), f"while learning, {self.steps} updates: return {least}",
                self.after.line("after"), f"actions moved by {self.moved:.3g} in the mean"]


def look(learner: Learner, env: Any, gamma: float, episodes: int, first_seed: int = 1_000_000) -> Look:
    """What a learner does and predicts as it is. Its state does not matter afterwards: give a copy."""
    learner.freeze("actor", "critic", "normalizers")
    apply = _applied(env.action_space)
    returns, states, actions, values, targets = [], [], [], [], []
    for k in range(episodes):
        observation, _ = env.reset(seed=first_seed + k)
        rewards, over, terminated, ahead = [], False, False, 0.0
        while not over:
            learner.act(observation)
            action = learner.infer(observation)
            states.append(observation)
            actions.append(np.atleast_1d(action))
            observation, reward, terminated, truncated, _ = env.step(apply(action))
            update = learner.update(observation, reward, terminated, truncated, action=action)
            rewards.append(float(reward))
            values.append(update.value)
            ahead, over = update.next_value, terminated or truncated
        returns.append(sum(rewards))
        # what was broken off is continued by the critic
        following, targets_here = 0.0 if terminated else ahead, []
        for reward in reversed(rewards):
            following = reward + gamma * following
            targets_here.append(following)
        targets += reversed(targets_here)
    v, t = np.array(values), np.array(targets)
    constant = v.std() == 0 or t.std() == 0
    return Look(returns, float((v - t).mean()), float(np.sqrt(((v - t) ** 2).mean())),
                float("nan") if constant else float(np.corrcoef(v, t)[0, 1]), np.array(states), np.array(actions))


def switch_report(policy: StrPath, env: str, critic: StrPath | None = None, steps: int = 10_000, episodes: int = 5,
                  seed: int = 0, env_options: dict[str, Any] | None = None, **options: Any) -> SwitchReport:
    """Evaluates a policy in an environment, lets it learn there for so many steps, and evaluates it again. `options`
    are those of Learner."""
    def made() -> Learner:
        return Learner(policy=policy, critic=critic, seed=seed, **options)

    learner, here = made(), make(env, **(env_options or {}))
    gamma = learner.gamma
    before = look(made(), here, gamma, episodes)
    rollout = Rollout(make(env, **(env_options or {})), learner, seed)
    rollout.advance(steps)
    copy = made()
    copy.restore_bytes(bytes(learner))
    moved = np.mean([np.abs(np.atleast_1d(copy.infer(s)) - a) for s, a in zip(before.states, before.actions)])
    # the copy is in the middle of an episode
    copy.freeze("actor", "critic", "normalizers")
    copy.act(before.states[0])
    copy.update(before.states[0], 0.0, truncated=True)
    return SwitchReport(before, look(copy, here, gamma, episodes), steps, [e.total for e in rollout.episodes],
                        float(moved))
