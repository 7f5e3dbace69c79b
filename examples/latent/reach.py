"""A point that reaches a goal around a pillar, by the left or by the right. A second pillar may shut one way.

The task of this folder: small enough that a policy learns it in minutes, and with two modes, so that what was
demonstrated and what works on the robot at hand are not the same.
"""
from __future__ import annotations

import numpy as np

LIMIT = 80  # steps of an episode
STEP = 0.05  # metres per step at full speed
GOAL, NEAR = np.array([0.0, 1.0]), 0.12
PILLAR, RADIUS = np.array([0.0, 0.0]), 0.3
SHUT = np.array([0.59, 0.0])  # where the second pillar stands: no way is left on the right


class Reach:
    """Observation: place and last action, [4] f32. Action: velocity in both axes, [2], each within -1 to 1.

    Reward: 1 at the goal, -1 at a pillar, -0.01 for every step. Both end the episode.
    """

    observations, actions = 4, 2

    def __init__(self, shut: bool = False, seed: int = 0) -> None:
        self.pillars = [PILLAR, SHUT] if shut else [PILLAR]
        self.random = np.random.default_rng(seed)

    def reset(self, spread: float = 1.0) -> np.ndarray:
        """Begins an episode. `spread`: times the usual distance from the middle of the start."""
        self.place = np.array([0.1 * spread, 0.1]) * self.random.uniform(-1, 1, 2) + np.array([0.0, -1.0])
        self.last = np.zeros(2)
        self.steps = 0
        return self._seen()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Observation, reward, whether the episode ended, whether it was broken off."""
        self.last = np.clip(np.asarray(action, np.float64).reshape(2), -1, 1)
        self.place = self.place + STEP * self.last
        self.steps += 1
        if np.hypot(*(self.place - GOAL)) < NEAR:
            return self._seen(), 1.0, True, False
        if any(np.hypot(*(self.place - p)) < RADIUS for p in self.pillars):
            return self._seen(), -1.0, True, False
        return self._seen(), -0.01, False, self.steps >= LIMIT

    def _seen(self):
        return np.array([*self.place, *self.last], np.float32)


def demonstrate(env: Reach, random: np.random.Generator) -> tuple[list, list]:
    """Observations and actions of one episode of somebody who picks a side and goes around it."""
    side = random.choice([-1.0, 1.0])
    beside = side * random.uniform(0.5, 0.65)
    corners = [np.array([beside, -0.4]), np.array([beside, 0.1]), GOAL]
    seen, done = [], []
    # some begin beside the usual start, so that a policy that strayed knows the way
    observation = env.reset(spread=random.choice([1.0, 5.0]))
    while True:
        if len(corners) > 1 and (env.place[1] > corners[0][1] or np.hypot(*(corners[0] - env.place)) < 0.08):
            corners.pop(0)
        way = corners[0] - env.place
        action = np.clip(0.9 * way / np.hypot(*way) + random.normal(0, 0.1, 2), -1, 1)
        seen.append(observation)
        done.append(action.astype(np.float32))
        observation, reward, ended, broken = env.step(action)
        if ended or broken:
            return (seen, done) if reward == 1 else demonstrate(env, random)
